"""The bound on requests in flight: who has a place, who waits for one, and whose answer is long in coming.

Shared by the tasks of every event loop and by threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

LOST = 8_192
"""Requests given up without an answer that hold no place any more. The driver keeps a number for each, of 32,768."""


class Waiter:
    """One who stands in line. `wake` is called in whichever thread gives a place, once it is there."""

    __slots__ = ("given", "left", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.given = False
        self.left = False


class Flight:
    """A request that has a place. `deliver` is called with what came of it, in the thread where it came, and may be
    called again: with a late answer, or a second one where the driver asked two nodes.
    """

    __slots__ = ("_deliver", "_places", "state")

    def __init__(self, places: Places, deliver: Callable[[Any], object]) -> None:
        self._places = places
        self._deliver = deliver
        self.state: Literal["held", "lost", "ended"] = "held"

    def end(self, result: Any) -> None:
        """The answer is there, or the error."""
        self._places.end(self)
        self._deliver(result)

    def expire(self, result: Any) -> None:
        """Its time is over, and `result` comes of it. The place goes to the next, unless too many are lost."""
        self._places.lose(self)
        self._deliver(result)


class Places:
    """At most `size` requests at once. Those that wait are served in order of arrival."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = Lock()
        self._free = size
        self._lost = 0
        self._line: deque[Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """Requests under way, without those that were given up."""
        return self.size - self._free

    def take(self) -> bool:
        """Whether there was a place, which now is the caller's."""
        with self._lock:
            if self._free < 1:
                return False
            self._free -= 1
            return True

    def stand_in_line(self, wake: Callable[[], object]) -> Waiter:
        """Wait for a place: it is there once `given` is true, which may be at once."""
        waiter = Waiter(wake)
        with self._lock:
            if self._free:
                self._free -= 1
                waiter.given = True
            else:
                self._line.append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Wait no longer. Whether a place was given in the meantime: then it is the waiter's."""
        with self._lock:
            waiter.left = True
            return waiter.given

    def give_back(self) -> None:
        """A place that no flight was made for."""
        with self._lock:
            waiter = self._next()
        if waiter is not None:
            waiter.wake()

    def end(self, flight: Flight) -> None:
        with self._lock:
            state, flight.state = flight.state, "ended"
            if state == "lost":
                self._lost -= 1
            waiter = self._next() if state == "held" else None
        if waiter is not None:
            waiter.wake()

    def lose(self, flight: Flight) -> None:
        with self._lock:
            if flight.state != "held" or self._lost >= LOST:
                return
            flight.state = "lost"
            self._lost += 1
            waiter = self._next()
        if waiter is not None:
            waiter.wake()

    def _next(self) -> Waiter | None:
        """A place became free."""
        while self._line:
            waiter = self._line.popleft()
            if not waiter.left:
                waiter.given = True
                return waiter
        self._free += 1
        return None
