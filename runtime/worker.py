"""What one worker of several knows of its place, and how it speaks to the others: the supervisor, and its siblings.

A worker is `sun serve` again, with the variable VARIABLE. It serves on sockets that it was born with, tells the
supervisor when it does, and ends when that is gone. Each gives its metrics to whichever sibling is scraped.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import structlog

VARIABLE = "SUN_WORKER"
READY = b"ready\n"

_SIBLING_S = 2.0
"""A sibling that does not give its metrics in this time is left out."""

_log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True):
    """A worker's place: its number among `workers`, and numbers of the descriptors that it has from the supervisor.

    `folder` is where the siblings' sockets are; only the user of the server may enter it.
    """

    slot: int
    workers: int
    listening: tuple[int, ...]
    admin: tuple[int, ...]
    channel: int
    folder: str

    @property
    def runs_jobs(self) -> bool:
        """Jobs run in one worker: the first."""
        return self.slot == 0


def place() -> Place | None:
    """The place of this process, None for one that no supervisor has started."""
    text = os.environ.get(VARIABLE)
    return None if text is None else msgspec.json.decode(text, type=Place)


def sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    found = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in found:
        each.setblocking(False)
        each.set_inheritable(False)
    return found


@asynccontextmanager
async def channel(where: Place, supervisor_gone: Callable[[], object]) -> AsyncGenerator[Callable[[str], None]]:
    """Gives what tells the supervisor that this worker serves, and where. Calls `supervisor_gone` when it has ended."""
    (connection,) = sockets([where.channel])
    reader, writer = await asyncio.open_connection(sock=connection)

    async def watch() -> None:
        await reader.read()
        supervisor_gone()

    def ready(url: str) -> None:
        writer.write(READY)  # the supervisor knows where

    watching = asyncio.create_task(watch(), name="supervisor")
    try:
        yield ready
    finally:
        watching.cancel()
        writer.close()


@asynccontextmanager
async def shared_metrics(where: Place, render: Callable[[], bytes]) -> AsyncGenerator[Callable[[], Awaitable[bytes]]]:
    """Offers this worker's metrics to its siblings. Gives what renders everybody's."""
    folder = Path(where.folder)
    path = folder / f"{where.slot}.sock"

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(render())
            await writer.drain()
        writer.close()

    # Made aside and then moved: in a restart the successor takes the place of one that still offers its own.
    aside = folder / f"{where.slot}.{os.getpid()}"
    server = await asyncio.start_unix_server(give, str(aside))
    aside.rename(path)
    try:
        yield lambda: _everybodys(folder, {str(where.slot): render})
    finally:
        server.close()


async def _everybodys(folder: Path, own: Mapping[str, Callable[[], bytes]]) -> bytes:
    others = {name.removesuffix(".sock"): name for name in os.listdir(folder) if name.endswith(".sock")}
    others = {name: str(folder / file) for name, file in others.items() if name not in own}
    pages = await asyncio.gather(*(_ask(name, path) for name, path in others.items()))
    found = {name: render() for name, render in own.items()}
    found |= {name: page for name, page in zip(others, pages, strict=True) if page}
    return merged(dict(sorted(found.items(), key=lambda item: int(item[0]))))


async def _ask(name: str, path: str) -> bytes:
    try:
        async with asyncio.timeout(_SIBLING_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        _log.warning("a worker gave no metrics", worker=name, error=type(error).__name__)
        return b""


def merged(pages: Mapping[str, bytes]) -> bytes:
    """Prometheus pages as one: every sample with the label `worker`, the samples of a metric together.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    families: dict[str, list[str]] = {}
    for worker, page in pages.items():
        described = head = ""
        for line in page.decode().splitlines():
            if line.startswith("# HELP "):
                described = f"{line}\n"
            elif line.startswith("# TYPE "):
                head, described = f"{described}{line}", ""
                families.setdefault(head, [])
            elif line:
                families[head].append(_labelled(line, worker))
    return "".join(f"{head}\n" + "".join(samples) for head, samples in families.items()).encode()


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}\n'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}\n'
