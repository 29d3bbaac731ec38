"""Deletes what time has ended: sessions after their expiry, confirm codes when no limit counts them any more."""

from __future__ import annotations

from collections.abc import Callable

from generated.sql.sun import SessionDao, SmsDao
from handlers.limits import DAY_MS, MINUTE_MS
from runtime.ids import Clock
from runtime.jobs import Job
from runtime.sql.database import Database
from runtime.sql.queries import Query

EVERY_MS = 10 * MINUTE_MS
SMS_KEPT_MS = 2 * DAY_MS
"""A confirm code's row outlives the code by this, which is longer than the longest window of the limits."""

BATCH = 500
"""Rows of one statement, so that nobody waits long for the rows or for SQLite's writer."""


class Sweeper:
    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    @property
    def job(self) -> Job:
        return Job("sweep sessions and codes", EVERY_MS, self.sweep)

    async def sweep(self) -> int:
        """Delete every row whose time is over, and say how many."""
        now_ms = self._clock()
        sessions = SessionDao.where(SessionDao.expires_ms <= now_ms).order_by(SessionDao.expires_ms.asc()).limit(BATCH)
        codes = SmsDao.where(SmsDao.expires_ms <= now_ms - SMS_KEPT_MS).order_by(SmsDao.expires_ms.asc()).limit(BATCH)
        return await self._drain(
            sessions.values(SessionDao.session_id), lambda ids: SessionDao.delete(SessionDao.session_id.in_(ids))
        ) + await self._drain(codes.values(SmsDao.sms_id), lambda ids: SmsDao.delete(SmsDao.sms_id.in_(ids)))

    async def _drain(self, ended: Query[list[int]], delete: Callable[[list[int]], Query[int]]) -> int:
        deleted = 0
        while ids := await self._db.run(ended):
            deleted += await self._db.run(delete(ids))
            if len(ids) < BATCH:
                break
        return deleted
