"""A bounded pool of connections for asyncio. What a connection is, the engine says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from runtime.sql.errors import Unavailable
from runtime.sql.waiting import Line, Waiter

CHECK_AFTER_S = 30.0
"""Idle seconds after which a connection is asked whether it is alive before it is used."""


class Link(Protocol):
    """One connection, as the pool sees it."""

    idle_since: float  # loop time, seconds

    def broken(self) -> bool:
        """Known to be unusable, without asking the server."""
        ...

    async def alive(self) -> bool:
        """Ask the server."""
        ...

    def kill(self) -> None:
        """Close at once, saying nothing to the server."""
        ...

    async def quit(self) -> None:
        """Take leave of the server and close. Raises nothing."""
        ...


L = TypeVar("L", bound=Link)


class Pool(Generic[L]):
    """At most `size` links, opened as they are needed.

    Waiters are served in order of arrival, each within `timeout` seconds.
    """

    def __init__(self, connect: Callable[[], Awaitable[L]], *, size: int, timeout: float, place: str) -> None:
        self._connect = connect
        self._size = size
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._idle: list[L] = []  # the last one used is the next one used: the rest grow old and are checked
        self._count = 0  # idle, in use and being opened
        self._closed = False
        message = f"{place}: all {size} connections of the pool were in use for {timeout:g} s"
        self._line: Line[Waiter] = Line(self._loop, timeout, message)

    def take(self) -> L | None:
        """An idle link that is fit for use, without waiting; None where `acquire` must be awaited."""
        while self._idle:
            link = self._idle[-1]
            if link.broken():
                self._idle.pop()
                self.discard(link)
            elif self._loop.time() - link.idle_since > CHECK_AFTER_S:
                return None
            else:
                return self._idle.pop()
        return None

    async def acquire(self) -> L:
        """A link that is fit for use.

        Raises PoolTimeout; Unavailable when the server can't be reached or the pool is closed.
        """
        if self._closed:
            raise Unavailable(f"{self._place}: the database was closed")
        while (link := self.take()) is None and self._idle:
            stale = self._idle.pop()
            if await self._alive(stale):
                return stale
        if link is not None:
            return link
        if self._count < self._size:
            self._count += 1
            return await self._open()
        waiter = Waiter(self._loop)
        self._line.add(waiter)
        try:
            given: L | None = await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                given = waiter.future.result()
                self._vacate() if given is None else self.release(given)
            raise
        return await self._open() if given is None else given

    def waited(self) -> float:
        """For how long the first in line has waited for a link, in seconds."""
        return self._line.waited()

    def release(self, link: L) -> None:
        """Give back a link that is ready for the next statement."""
        if self._closed or link.broken():
            self.discard(link)
            return
        waiter = self._line.take()
        if waiter is not None:
            waiter.future.set_result(link)
        else:
            link.idle_since = self._loop.time()
            self._idle.append(link)

    def discard(self, link: L) -> None:
        """Give back a link that must not be used again."""
        link.kill()
        self._vacate()

    def forget_idle(self) -> None:
        """Close what is idle: when one connection was lost, the others likely were too."""
        while self._idle:
            self.discard(self._idle.pop())

    async def close(self) -> None:
        """Close idle links now, those in use when they are given back. Whoever waits gets Unavailable."""
        self._closed = True
        self._line.close(Unavailable(f"{self._place}: the database was closed"))
        idle, self._idle = self._idle, []
        self._count -= len(idle)
        for link in idle:
            await link.quit()

    async def _alive(self, link: L) -> bool:
        try:
            alive = await link.alive()
        except BaseException:
            self.discard(link)
            raise
        if not alive:
            self.discard(link)
        return alive

    async def _open(self) -> L:
        """Open a link for a place that is counted already."""
        try:
            link = await self._connect()
        except BaseException:
            self._vacate()
            raise
        if self._closed:
            self.discard(link)
            raise Unavailable(f"{self._place}: the database was closed")
        return link

    def _vacate(self) -> None:
        """A place became free: the next in line may open a link in it."""
        waiter = None if self._closed else self._line.take()
        if waiter is None:
            self._count -= 1
        else:
            waiter.future.set_result(None)
