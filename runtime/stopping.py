"""How signals end a process: the first asks it to end, the second insists. What ends then is not here."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

INSIST_S = 3.0


class Stop:
    """`asked` is set by the first SIGTERM or SIGINT, `insisted` by the second; `signal` is the latter's number.

    A process that was asked twice is gone after `insist_s` seconds, whatever holds it.
    """

    def __init__(self, insist_s: float = INSIST_S) -> None:
        self._insist_s = insist_s
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()
        self.signal = 0

    @contextmanager
    def listening(self, hang_up: Callable[[], object]) -> Generator[None]:
        """Signals reach the running loop while the block lasts; SIGHUP calls `hang_up` there."""
        loop = asyncio.get_running_loop()

        # Not the loop's own handlers: where a handler holds the loop, those would never run.
        def end(number: int, frame: FrameType | None) -> None:
            if self.signal:
                return
            if asked:
                self.signal = number
                loop.call_soon_threadsafe(self.insisted.set)
                _exit_soon(128 + number, self._insist_s)
            asked.append(number)
            loop.call_soon_threadsafe(self.asked.set)

        def hung_up(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(hang_up)

        asked: list[int] = []
        handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: hung_up}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """0 for a process that ended in its own time; as a shell says it of one that a signal has ended."""
        return 128 + self.signal if self.signal else 0


def _exit_soon(code: int, seconds: float) -> None:
    """The process ends with this code then, if it is still there, and cleans up nothing."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
