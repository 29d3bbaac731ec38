"""Windows over times that a table keeps, for limits that must outlive the process; all others are in the schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` times within `span_ms`."""

    most: int
    span_ms: int


def window_wait_ms(windows: Sequence[Window], times_ms: Sequence[int], now_ms: int) -> int:
    """How long until no window is full; `times_ms` are those so far, newest first."""
    full = (times_ms[window.most - 1] + window.span_ms - now_ms for window in windows if len(times_ms) >= window.most)
    return max(0, max(full, default=0))
