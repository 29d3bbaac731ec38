"""Whether a call may begin, when more come than can be answered in time. Who may call, and how often, is not here."""

from __future__ import annotations

import random
from collections.abc import Callable

from runtime.generated.rpc.sun.errors import Overloaded

INTERVAL = 10
"""The interval is this many times the target: RFC 8289, section 4.3, has the target at 5 to 10 % of it."""

_RETRY_MS = 1_000


class Shedder:
    """Refuses calls that have waited too long, so that the others are answered in time.

    The rule is CoDel's (RFC 8289) as Facebook has it for requests (B. Maurer, "Fail at Scale", ACM Queue 13:8, 2015):
    in a burst a call may wait for an interval, ten times `target_ms`. But where calls have been late, which is later
    than `target_ms`, for a whole interval, the line does not empty, and a call may have waited for the target only.

    One call in time does not end that, unlike there: an event loop takes what has come in batches, in each of which
    the first has hardly waited. Half an interval in which none is late does. A `target_ms` of 0 refuses nothing. Times
    are seconds of one clock, whichever it is.
    """

    def __init__(self, target_ms: int) -> None:
        self._target = target_ms / 1000 if target_ms else float("inf")
        self._interval = INTERVAL * self._target
        self._late_since = self._late = float("-inf")

    def refuses(self, waited: float, now: float) -> bool:
        """Whether a call that has waited for this long is not to be begun."""
        if waited <= self._target:
            return False
        if now - self._late > self._interval / 2:
            self._late_since = now
        self._late = now
        standing = now - self._late_since >= self._interval
        return standing or waited > self._interval


def overloaded(choose: Callable[[int, int], int] = random.randrange) -> Overloaded:
    """What a refused caller is told. The times differ, so that those who were refused together don't come together."""
    return Overloaded(retry_after_ms=choose(_RETRY_MS, 2 * _RETRY_MS))
