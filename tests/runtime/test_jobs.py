"""Jobs beside the calls: their turns, their failures, their end."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from runtime.jobs import Job, running


def test_a_job_has_its_turns_and_a_failure_does_not_end_it() -> None:
    turns: list[int] = []
    pauses: list[float] = []

    async def main() -> None:
        done = asyncio.Event()

        async def work() -> None:
            turns.append(len(turns))
            if len(turns) == 2:
                raise ValueError("the second turn")
            if len(turns) == 3:
                done.set()
                await asyncio.Event().wait()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        async with running([Job("count", 60_000, work)], sleep):
            await asyncio.wait_for(done.wait(), 10)

    with capture_logs() as logs:
        asyncio.run(main())
    assert turns == [0, 1, 2]
    assert all(54 <= pause <= 66 for pause in pauses)
    assert [(line["event"], line["job"]) for line in logs] == [("a job failed", "count")]


def test_a_job_under_way_has_ended_when_the_block_is_left() -> None:
    ended: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append("cleaned up")

        async def sleep(seconds: float) -> None:
            return None

        async with running([Job("wait", 1, work)], sleep):
            await asyncio.wait_for(begun.wait(), 10)
        assert ended == ["cleaned up"]

    asyncio.run(main())
