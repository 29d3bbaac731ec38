"""The timestamps of writes: microseconds that only ever grow within a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """Gives each write a timestamp in µs since 1970, above every one before it.

    Where the system's clock steps back, it counts on from the last until the clock is past it again. `now_ns` is that
    clock, in ns. Any thread may ask.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """A timestamp in µs that was never given before."""
        with self._lock:
            self._last = max(self._now_ns() // 1_000, self._last + 1)
            return self._last
