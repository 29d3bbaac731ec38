"""Buckets of rate limits that all processes share, in `sun_runtime.token_bucket`.

Each step is one statement that changes a row by a condition on it, so nothing is counted twice or lost, and no lock is
held between two statements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import structlog

from runtime.generated.sql.sun_runtime import TokenBucket, TokenBucketDao
from runtime.ids import Clock, wall_clock_ms
from runtime.jobs import Job
from runtime.rpc.token_buckets import Bucket, Refusal
from runtime.sql.database import Runner
from runtime.sql.errors import SqlError
from runtime.sql.expressions import Condition

SWEEP_EVERY_MS = 10 * 60_000

_ATTEMPTS = 5
"""When others change the row between two statements; each attempt fails only because another's has succeeded."""

_log = structlog.get_logger()


class SqlTokenBuckets:
    """TokenBuckets in a database. The clocks of its processes should be set by NTP: a token early or late is theirs."""

    def __init__(self, db: Runner, clock: Clock = wall_clock_ms) -> None:
        self._db = db
        self._clock = clock

    @property
    def job(self) -> Job:
        """Deletes the rows of full buckets."""
        return Job("rate limits", SWEEP_EVERY_MS, self.sweep)

    async def take(self, buckets: Sequence[Bucket], now_ms: int) -> Refusal | None:
        """Raises SqlError."""
        taken: list[Bucket] = []
        refusals: list[Refusal] = []
        for bucket in buckets:
            wait_us = await self._take(bucket, now_ms * 1000)
            if wait_us <= 0:
                taken.append(bucket)
            else:
                refusals.append(Refusal(bucket.limit, -(-wait_us // 1000)))
        if not refusals:
            return None
        await self.give_back(taken)
        return max(refusals, key=lambda refusal: refusal.retry_after_ms)

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        for bucket in buckets:
            change = TokenBucketDao.update(*_this(bucket)).increment(full_us=-bucket.interval_us)
            try:
                await self._db.run(change)
            except SqlError as failure:
                _log.warning("a token was not given back", limit=bucket.limit, error=str(failure))

    async def sweep(self) -> int:
        """Delete what is as good as not there. Returns how many rows; raises SqlError."""
        return await self._db.run(TokenBucketDao.delete(TokenBucketDao.full_us <= self._clock() * 1000))

    async def _take(self, bucket: Bucket, now_us: int) -> int:
        """0 with a token; otherwise how long until there is one."""
        full, this, interval_us = TokenBucketDao.full_us, _this(bucket), bucket.interval_us
        row = TokenBucket(limit_name=bucket.limit, bucket=_digest(bucket.key), full_us=now_us + interval_us)
        latest = now_us + (bucket.tokens - 1) * interval_us
        wait_us = 1
        for _ in range(_ATTEMPTS):
            in_use = TokenBucketDao.update(*this, full > now_us, full <= latest).increment(full_us=interval_us)
            if await self._db.run(in_use) == 1:
                return 0
            is_full = TokenBucketDao.update(*this, full <= now_us).set(full_us=row.full_us)
            if await self._db.run(is_full) == 1 or await self._db.run(TokenBucketDao.insert_if_absent(row)) == 1:
                return 0
            found = await self._db.run(TokenBucketDao.get(bucket.limit, row.bucket))
            wait_us = bucket.wait_us(found.full_us, now_us) if found is not None else 0
            if wait_us > 0:
                return await self._refused(bucket, wait_us, now_us)
        return max(wait_us, interval_us)

    async def _refused(self, bucket: Bucket, wait_us: int, now_us: int) -> int:
        """The wait. More than two whole refills can't be: then the clock was set back, and the row with it."""
        refill_us = bucket.tokens * bucket.interval_us
        if wait_us <= 2 * refill_us:
            return wait_us
        lost = TokenBucketDao.update(*_this(bucket), TokenBucketDao.full_us > now_us + 2 * refill_us)
        await self._db.run(lost.set(full_us=now_us + refill_us))
        return bucket.interval_us


def _this(bucket: Bucket) -> tuple[Condition[TokenBucket], ...]:
    return TokenBucketDao.limit_name == bucket.limit, TokenBucketDao.bucket == _digest(bucket.key)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
