"""The bound on requests in flight: who has a place, who waits for one, and whose answer is long in coming.

Shared by the tasks of every event loop and by threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

LOST = 8_192
"""Requests that were given up without an answer and hold no place. A connection keeps a number for each."""


class Waiter:
    """One who stands in line. `wake` is called in whichever thread gives a place, once it is there."""

    __slots__ = ("given", "left", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.given = False
        self.left = False


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
        """Wait no longer. False where a place was given in the meantime: it is still the waiter's."""
        with self._lock:
            waiter.left = True
            return not waiter.given

    def give_back(self) -> None:
        """The request ended."""
        waiter = None
        with self._lock:
            while self._line:
                waiter = self._line.popleft()
                if not waiter.left:
                    waiter.given = True
                    break
                waiter = None
            else:
                self._free += 1
        if waiter is not None:
            waiter.wake()

    def give_up(self) -> bool:
        """Nobody waits for the answer any more. Whether that makes room for another; not where too many are lost."""
        with self._lock:
            if self._lost >= LOST:
                return False
            self._lost += 1
        self.give_back()
        return True

    def found(self) -> None:
        """The answer came that had been given up."""
        with self._lock:
            self._lost -= 1
