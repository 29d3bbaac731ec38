"""Waiting in asyncio: in line with a time limit, and to the end in spite of a cancellation.

Knows nothing of SQL but its errors.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from runtime.sql.errors import PoolTimeout

T = TypeVar("T")

GRACE_S = 5.0
"""Seconds that a COMMIT or ROLLBACK may still take after its caller was cancelled."""


class Waiter:
    """One who waits: the future that tells the end of it, and when patience ends (loop time, seconds)."""

    __slots__ = ("deadline", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.deadline = 0.0


W = TypeVar("W", bound=Waiter)


class Line(Generic[W]):
    """Waiters in order of arrival. One who waits longer than `limit` seconds gets a PoolTimeout with `message`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float, message: str) -> None:
        self._loop = loop
        self._limit = limit
        self._message = message
        self._waiters: deque[W] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiter: W) -> None:
        waiter.deadline = self._loop.time() + self._limit
        self._waiters.append(waiter)
        # All have the same patience, so the first in line is always the next to lose it: one timer does for everyone.
        if self._timer is None:
            self._timer = self._loop.call_at(waiter.deadline, self._expire)

    def first(self) -> W | None:
        """The first who still waits; stays in line."""
        while self._waiters:
            if not self._waiters[0].future.done():
                return self._waiters[0]
            self._waiters.popleft()
        return None

    def waited(self) -> float:
        """For how long the first has stood in line, in seconds; 0 where nobody stands there."""
        waiter = self.first()
        return 0.0 if waiter is None else self._loop.time() - waiter.deadline + self._limit

    def take(self) -> W | None:
        """The first who still waits; leaves the line."""
        waiter = self.first()
        if waiter is not None:
            self._waiters.popleft()
        return waiter

    def close(self, error: Exception) -> None:
        """Everybody in line gets this error."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (waiter := self.take()) is not None:
            waiter.future.set_exception(error)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while (waiter := self.first()) is not None:
            if waiter.deadline > now:
                self._timer = self._loop.call_at(waiter.deadline, self._expire)
                return
            self._waiters.popleft()
            waiter.future.set_exception(PoolTimeout(self._message))


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even if the caller is cancelled; the cancellation is raised then.

    Work that takes more than GRACE_S after the cancellation is cancelled itself.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,), timeout=None if cancellation is None else GRACE_S)
        except asyncio.CancelledError as error:
            cancellation = error
        else:
            if not task.done():
                task.cancel()
    if cancellation is not None:
        if not task.cancelled():
            task.exception()  # seen here: the caller learns of the cancellation instead
        raise cancellation
    return task.result()
