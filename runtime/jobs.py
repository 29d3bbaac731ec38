"""Work that is done now and then beside the calls, for as long as a server runs. Not for work that must not be lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is run every `every_ms`, give or take a tenth, so that several servers don't run it all at once.

    What it raises is logged, and the next turn comes as if nothing had been.
    """

    name: str
    every_ms: int
    work: Callable[[], Awaitable[object]]


@asynccontextmanager
async def running(
    jobs: Sequence[Job], sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> AsyncGenerator[None]:
    """The jobs run while the block lasts; at its end those under way are cancelled, and have ended when it is left."""
    tasks = [asyncio.create_task(_repeat(job, sleep), name=job.name) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job, sleep: Callable[[float], Awaitable[object]]) -> None:
    while True:
        await sleep(job.every_ms / 1000 * random.uniform(0.9, 1.1))
        try:
            await job.work()
        except Exception as failure:  # noqa: BLE001 - whatever a job raises, its next turn comes
            _log.warning("a job failed", job=job.name, exc_info=failure)
