"""Keeps the workers of `sun serve --workers N`: starts them on one listening socket, replaces the dead, ends them all.

It serves nothing itself. Every worker inherits the one listening socket, rather than having one of its own on the same
port (SO_REUSEPORT): what waits in its queue survives a worker, a worker that is held up keeps nobody waiting, and it is
the same on every platform.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from runtime.config import Settings
from runtime.logs import configure_logging
from runtime.rpc.listening import address_of, listen
from runtime.stopping import INSIST_S, Stop
from runtime.worker import READY, VARIABLE, Place

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 10.0
"""A worker that has served for this long dies for a new reason: the pauses begin anew."""

_MARGIN_S = 10.0
"""What a worker may take to end beyond the time limit of its drain."""

_log = structlog.get_logger()

Command = Sequence[str]


class _Worker:
    """One process. `served` tells whether it ever came to serve; `began` is when it did, or was started."""

    def __init__(self, slot: int, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.slot = slot
        self.process = process
        self.served = False
        self.began = time.monotonic()
        self._channel = channel
        self._writer: asyncio.StreamWriter | None = None
        self._ended = asyncio.ensure_future(process.wait())

    async def comes_to_serve(self) -> bool:
        """Returns when it serves, or has ended before."""
        reader, writer = await asyncio.open_connection(sock=self._channel)
        self._writer = writer  # open for as long as the worker lives: it ends when this does
        self.served = await reader.readline() == READY
        self.began = time.monotonic()
        if self.served:
            _log.info("a worker serves", worker=self.slot, pid=self.process.pid)
        return self.served

    async def end(self) -> int:
        """Returns its exit code when it has ended."""
        code = await asyncio.shield(self._ended)
        if self._writer is not None:
            self._writer.close()
        return code

    def tell(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """`command` starts a worker, as seen from its settings; `announce` is told the URL once every worker serves."""

    def __init__(self, settings: Settings, command: Command, announce: Callable[[str], object]) -> None:
        self._settings = settings
        self._command = command
        self._announce = announce
        self._stop = Stop(2 * INSIST_S)
        self._workers: dict[int, _Worker] = {}
        self._alive: set[_Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._restart = asyncio.Event()
        self._changing = asyncio.Lock()  # of who is in a slot
        self._listening: list[socket.socket] = []
        self._admin: list[socket.socket] = []
        self._folder = ""

    async def run(self) -> int:
        """Serves until it is asked to stop. The exit code. Raises OSError where an address can't be bound."""
        settings = self._settings
        self._listening = listen(settings.host, settings.port)
        if settings.admin_port is not None:
            self._admin = listen(settings.admin_host, settings.admin_port)
        with tempfile.TemporaryDirectory(prefix="sun-") as self._folder, self._stop.listening(self._restart.set):
            starting = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self._stop.asked.wait())
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            refusal = starting.result() if starting.done() else 0
            if not starting.done():
                starting.cancel()
            if refusal == 0 and not self._stop.asked.is_set():
                scheme = "http" if settings.tls_certificate is None else "https"
                self._announce(address_of(self._listening, scheme).url)
                rolling = asyncio.create_task(self._restart_when_told())
                await stopping
                rolling.cancel()
            stopping.cancel()
            return refusal or await self._end()

    async def _start(self) -> int:
        """The exit code of a worker that would not start; 0 when every one serves."""
        # The first one alone: it makes what the embedded engine lacks, and says what an operator must mend.
        for slots in (range(1), range(1, self._settings.workers)):
            started = [await self._spawn(slot) for slot in slots]
            for worker, serves in zip(
                started, await asyncio.gather(*(each.comes_to_serve() for each in started)), strict=True
            ):
                if not serves:
                    code = await worker.end()
                    await self._end()
                    return code if code > 0 else 1
        for worker in [*self._workers.values()]:
            self._watch(worker)
        return 0

    async def _spawn(self, slot: int) -> _Worker:
        ours, theirs = socket.socketpair()
        listening = tuple(each.fileno() for each in self._listening)
        admin = tuple(each.fileno() for each in self._admin)
        where = Place(slot, self._settings.workers, listening, admin, theirs.fileno(), self._folder)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, VARIABLE: msgspec.json.encode(where).decode()},
            pass_fds=(*listening, *admin, theirs.fileno()),
            # Ctrl-C goes to the whole group of the terminal: workers are told by the supervisor, and by nobody else.
            process_group=0,
        )
        theirs.close()
        ours.setblocking(False)
        worker = _Worker(slot, process, ours)
        self._alive.add(worker)
        self._workers.setdefault(slot, worker)
        return worker

    def _watch(self, worker: _Worker) -> None:
        task = asyncio.create_task(self._keep(worker), name=f"worker {worker.slot}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, worker: _Worker) -> None:
        """Replaces the worker of a slot whenever it dies."""
        pause_s = _FIRST_PAUSE_S
        while True:
            code = await worker.end()
            self._alive.discard(worker)
            if self._workers[worker.slot] is not worker:
                return
            if worker.served and time.monotonic() - worker.began >= _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("a worker died", worker=worker.slot, reason=_reason(code), again_in_ms=round(pause_s * 1000))
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            async with self._changing:
                if self._workers[worker.slot] is not worker:
                    return  # a restart came first
                successor = await self._spawn(worker.slot)
                self._workers[worker.slot] = worker = successor
            await worker.comes_to_serve()

    async def _restart_when_told(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            for slot in range(self._settings.workers):
                if not await self._replace(slot):
                    _log.error("the restart was given up: the workers that are left go on as they are", worker=slot)
                    break
            else:
                _log.info("every worker was restarted")

    async def _replace(self, slot: int) -> bool:
        """Starts a successor, and ends the worker of the slot once that serves."""
        async with self._changing:
            successor = await self._spawn(slot)
            if not await successor.comes_to_serve():
                await successor.end()
                self._alive.discard(successor)
                return False
            worker, self._workers[slot] = self._workers[slot], successor
        self._watch(successor)
        worker.tell(signal.SIGHUP)
        await worker.end()
        self._alive.discard(worker)
        return True

    async def _end(self) -> int:
        """Ends every worker and waits for their drains. The exit code."""
        # First of all: once the workers have closed theirs, connections are refused, and do not wait for nobody.
        for each in (*self._listening, *self._admin):
            each.close()
        for task in self._tasks:
            task.cancel()
        for worker in self._alive:
            worker.tell(signal.SIGTERM)
        insisting = asyncio.create_task(self._insist())
        limit_s = (self._settings.drain_delay_ms + self._settings.drain_timeout_ms) / 1000 + _MARGIN_S
        codes = await asyncio.gather(*(self._ended(worker, limit_s) for worker in self._alive))
        insisting.cancel()
        # One that was still on its way has no handler for the signal yet.
        return self._stop.exit_code or (0 if all(code in (0, -signal.SIGTERM) for code in codes) else 1)

    async def _ended(self, worker: _Worker, limit_s: float) -> int:
        """The exit code of a worker that was asked to end."""
        try:
            async with asyncio.timeout(limit_s):
                return await worker.end()
        except TimeoutError:
            _log.error("a worker did not end and is killed", worker=worker.slot)
            worker.tell(signal.SIGKILL)
            return await worker.end()

    async def _insist(self) -> None:
        await self._stop.insisted.wait()
        for worker in self._alive:
            worker.tell(signal.SIGTERM)


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def run(settings: Settings, announce: Callable[[str], object]) -> int:
    """Serves with `settings.workers` processes, each the command of this process again. The exit code.

    Raises OSError where an address can't be bound.
    """
    configure_logging(settings.log_format, settings.log_level)
    command = [sys.executable, *sys.orig_argv[1:]]

    async def serve() -> int:
        return await Supervisor(settings, command, announce).run()

    return asyncio.run(serve())
