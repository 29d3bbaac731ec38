"""Where the tokens of rate limits are kept: the interface, and buckets in the memory of one process.

Whose bucket a call draws from is settled in limits.py; buckets that processes share are in sql_token_buckets.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

MOST_BUCKETS = 100_000
"""Of one limit, in memory: some 20 MB. An attacker with more addresses pushes out buckets of addresses only."""


class Bucket(NamedTuple):
    """One bucket of a limit: whose it is (`key`, at most 200 characters), its size, and its time from empty to full."""

    limit: str
    key: str
    tokens: int
    refill_ms: int

    @property
    def interval_us(self) -> int:
        """The time in which one token comes, rounded up, so that rounding lets nobody through."""
        return -(-self.refill_ms * 1000 // self.tokens)

    def wait_us(self, full_us: int, now_us: int) -> int:
        """How long until there is a token in the bucket that will be full at `full_us`; 0 or less for at once.

        This is GCRA (ITU-T I.371, annex A): when a bucket will be full says all of it.
        """
        return full_us - now_us - (self.tokens - 1) * self.interval_us


class Refusal(NamedTuple):
    """The limit whose bucket is empty, and when it has a token again."""

    limit: str
    retry_after_ms: int


class TokenBuckets(Protocol):
    """Holds buckets; one that it does not know is full. `now_ms` is the time since 1970."""

    async def take(self, buckets: Sequence[Bucket], now_ms: int) -> Refusal | None:
        """Take a token from each of them or, where one is empty, from none: then the one that takes longest.

        Raises SqlError where buckets are shared through a database.
        """
        ...

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        """Put a token back into each of them, as far as it can be done: the call has its answer already."""
        ...


class MemoryTokenBuckets:
    """Buckets of this process alone, so `n` processes let `n` times as many calls through.

    There are at most `most` of a limit; beyond, the one that was used longest ago is forgotten, which makes it full.
    Buckets that have filled up are forgotten as others are used, without a timer.
    """

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._full_us: dict[str, OrderedDict[str, int]] = {}

    async def take(self, buckets: Sequence[Bucket], now_ms: int) -> Refusal | None:
        now_us = now_ms * 1000
        longest, refusal = 0, None
        for bucket in buckets:
            wait_us = bucket.wait_us(self._full(bucket, now_us), now_us)
            if wait_us > longest:
                longest, refusal = wait_us, Refusal(bucket.limit, -(-wait_us // 1000))
        if refusal is None:
            for bucket in buckets:
                self._put(bucket, self._full(bucket, now_us) + bucket.interval_us, now_us)
        return refusal

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        for bucket in buckets:
            kept = self._full_us.get(bucket.limit)
            if kept is not None and bucket.key in kept:
                kept[bucket.key] -= bucket.interval_us

    def __len__(self) -> int:
        return sum(map(len, self._full_us.values()))

    def _full(self, bucket: Bucket, now_us: int) -> int:
        """When it will be full. A clock that was set back does not make it emptier than empty."""
        kept = self._full_us.get(bucket.limit)
        if kept is None or bucket.key not in kept:
            return now_us
        empty_us = now_us + bucket.tokens * bucket.interval_us
        if kept[bucket.key] > empty_us:
            kept[bucket.key] = empty_us
        return max(now_us, kept[bucket.key])

    def _put(self, bucket: Bucket, full_us: int, now_us: int) -> None:
        kept = self._full_us.setdefault(bucket.limit, OrderedDict())
        kept[bucket.key] = full_us
        kept.move_to_end(bucket.key)
        # One goes for each that comes, and one more while the oldest are full: memory falls again after a flood.
        for _ in range(2):
            oldest = next(iter(kept))
            if len(kept) <= self._most and kept[oldest] > now_us:
                return
            del kept[oldest]
