"""Time-ordered 64-bit ids: 41 bits of milliseconds, 10 of the node, 12 of a sequence.

The layout is Snowflake's (https://github.com/twitter-archive/snowflake/tree/snowflake-2010), its trust in the clock is
not. Who has which node number, `runtime.leases` says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from runtime.rpc.errors import Code, RpcError

EPOCH_MS = 1_704_067_200_000
"""2024-01-01 00:00 UTC, where the 41 bits begin; they end in 2093."""

NODES = 1 << 10
"""Node numbers: 0 to 1023."""

_SEQUENCES = 1 << 12  # ids of one node in one millisecond
_LAST_MS = EPOCH_MS + (1 << 41) - 1

Clock = Callable[[], int]
"""Milliseconds since 1970 by the wall."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class LeaseExpired(RpcError):
    """This node may give out no ids now: the lease of its number was not renewed in time.

    The call may be tried again.
    """

    def __init__(self) -> None:
        super().__init__(Code.UNAVAILABLE, "no ids can be given out at the moment")


class IdGenerator:
    """Gives out ids that rise and never repeat, whatever the clock does. Threads may share it.

    An id's millisecond is at least `start_ms`, below `expires_ms`, and never before that of an earlier id: while the
    clock stands or goes back, ids continue in the last millisecond, and a full sequence moves on to the next before the
    clock does.
    """

    def __init__(self, node: int, *, start_ms: int, expires_ms: int, clock: Clock = wall_clock_ms) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ms = EPOCH_MS - 1
        self._sequence = _SEQUENCES - 1
        self._node = self._expires_ms = 0
        self.lease(node, start_ms=start_ms, expires_ms=expires_ms)

    @property
    def node(self) -> int:
        return self._node

    @property
    def last_ms(self) -> int:
        """The millisecond, since 1970, of the last id; no later id has an earlier one."""
        return self._ms

    @property
    def expires_ms(self) -> int:
        """Where the lease ends, in milliseconds since 1970."""
        return self._expires_ms

    def lease(self, node: int, *, start_ms: int, expires_ms: int) -> None:
        """Go on with this node number, from `start_ms` until before `expires_ms`.

        Raises ValueError for no such number.
        """
        if not 0 <= node < NODES:
            raise ValueError(f"node {node}: node numbers are 0 to {NODES - 1}")
        with self._lock:
            self._node = node
            self._expires_ms = expires_ms
            # The next id opens a new millisecond: within one, a lower node number would come after a higher one.
            self._ms = max(self._ms, start_ms - 1)
            self._sequence = _SEQUENCES - 1

    def extend(self, expires_ms: int) -> None:
        """The lease of this node number lasts until then."""
        with self._lock:
            self._expires_ms = max(self._expires_ms, expires_ms)

    def end(self) -> int:
        """Give out no more ids. Returns the first millisecond that no id of this node reached, for the next holder."""
        with self._lock:
            self._expires_ms = 0
            return self._ms + 1

    def next(self) -> int:
        """A new id, above every earlier one of this generator. Raises LeaseExpired."""
        with self._lock:
            ms, sequence = self._ms, self._sequence + 1
            now = self._clock()
            if now > ms:
                ms, sequence = now, 0
            elif sequence == _SEQUENCES:
                ms, sequence = ms + 1, 0
            if ms >= self._expires_ms or ms > _LAST_MS:
                raise LeaseExpired
            self._ms, self._sequence = ms, sequence
            return (ms - EPOCH_MS) << 22 | self._node << 12 | sequence


def timestamp_ms(id: int) -> int:
    """When an id was given out, in milliseconds since 1970."""
    return (id >> 22) + EPOCH_MS


def node_of(id: int) -> int:
    """The node number that an id was given out under."""
    return id >> 12 & NODES - 1
