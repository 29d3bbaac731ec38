"""Limits on tries: in memory for what needs no account of the past, and windows over times that a table keeps."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from generated.rpc.sun.v1.errors import RateLimited

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Allowance:
    """`burst` tries at once, and another one every `refill_ms`, for each key.

    This is GCRA (ITU-T I.371, annex A), which needs one number a key: when its burst is whole again. The numbers are
    this process's own, so `n` processes allow `n` times as much. Beyond `most_keys` the key that was used longest ago
    is forgotten.
    """

    def __init__(self, burst: int, refill_ms: int, most_keys: int = 100_000) -> None:
        self.burst = burst
        self.refill_ms = refill_ms
        self._most_keys = most_keys
        self._whole_ms: OrderedDict[str, int] = OrderedDict()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """How long until a try is allowed; 0 for at once."""
        return max(0, self._whole_ms.get(key, 0) - now_ms - (self.burst - 1) * self.refill_ms)

    def take(self, key: str, now_ms: int) -> None:
        """Count a try."""
        self._whole_ms[key] = max(now_ms, self._whole_ms.pop(key, 0)) + self.refill_ms
        if len(self._whole_ms) > self._most_keys:
            self._whole_ms.popitem(last=False)

    def give_back(self, key: str) -> None:
        """Count a try no longer."""
        if key in self._whole_ms:
            self._whole_ms[key] -= self.refill_ms


Tries = Sequence[tuple[Allowance, str]]
"""What one try counts against: allowances, each with its key."""


def take(tries: Tries, now_ms: int) -> None:
    """Count a try against all of them, or, where one of them is used up, against none. Raises RateLimited."""
    wait_ms = max(allowance.wait_ms(key, now_ms) for allowance, key in tries)
    if wait_ms > 0:
        raise RateLimited(retry_after_ms=wait_ms)
    for allowance, key in tries:
        allowance.take(key, now_ms)


def give_back(tries: Tries) -> None:
    """The try was a good one: it counts against nothing."""
    for allowance, key in tries:
        allowance.give_back(key)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` times within `span_ms`."""

    most: int
    span_ms: int


def window_wait_ms(windows: Sequence[Window], times_ms: Sequence[int], now_ms: int) -> int:
    """How long until no window is full; `times_ms` are those so far, newest first."""
    full = (times_ms[window.most - 1] + window.span_ms - now_ms for window in windows if len(times_ms) >= window.most)
    return max(0, max(full, default=0))


def network_of(address: str) -> str:
    """What limits take for one address: an IPv4 address, or the /64 of an IPv6 subscriber (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))
