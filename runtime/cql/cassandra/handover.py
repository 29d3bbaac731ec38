"""Carries answers from the driver's thread to the event loops that wait for them, many at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any


class Bridge:
    """To one event loop. Waking a loop is what costs: while it has been woken and not come yet, answers just queue."""

    __slots__ = ("_done", "_loop", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._woken = False

    def give(self, future: asyncio.Future[Any], result: Any) -> None:
        """Make this the future's result, unless it has one by then. From any thread."""
        self._done.append((future, result))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:  # the loop was closed: nobody waits there any more
                self._done.clear()

    def _settle(self) -> None:
        self._woken = False  # before the queue is looked at: what comes after that look wakes the loop again
        done = self._done
        while done:
            future, result = done.popleft()
            if not future.done():
                future.set_result(result)
