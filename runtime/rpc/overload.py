"""Whether a call may begin, when more come than can be answered in time. Who may call, and how often, is not here."""

from __future__ import annotations

import random
from collections.abc import Callable

from runtime.generated.rpc.sun.errors import Overloaded

INTERVAL = 10
"""The interval is this many times the target: RFC 8289, section 4.3, has the target at 5 to 10 % of it."""

_RETRY_MS = 1_000


class Shedder:
    """Refuses calls while those before them wait too long, so that what is answered is answered in time.

    The rule is CoDel's (RFC 8289) as Facebook has it for requests (B. Maurer, "Fail at Scale", ACM Queue 13:8, 2015):
    a burst may make calls wait for an interval, ten times `target_ms`. But where every call of a whole interval has
    waited longer than `target_ms`, the line no longer empties, and a call may have waited that long only. One short
    wait ends it. A `target_ms` of 0 refuses nothing. Times are seconds of one clock, whichever it is.
    """

    def __init__(self, target_ms: int) -> None:
        self._target = target_ms / 1000 if target_ms else float("inf")
        self._interval = INTERVAL * self._target
        self._above_since: float | None = None
        self._seen = 0.0

    def refuses(self, waited: float, now: float) -> bool:
        """Whether a call that has waited for this long is one too many."""
        if waited < self._target:
            self._above_since = None
            return False
        if self._above_since is None or now - self._seen > self._interval:
            self._above_since = now
        self._seen = now
        standing = now - self._above_since >= self._interval
        return waited > (self._target if standing else self._interval)


def overloaded(choose: Callable[[int, int], int] = random.randrange) -> Overloaded:
    """What a refused caller is told. The times differ, so that those who were refused together don't come together."""
    return Overloaded(retry_after_ms=choose(_RETRY_MS, 2 * _RETRY_MS))
