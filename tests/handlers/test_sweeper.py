"""What the sweeper deletes, and what it leaves."""

from __future__ import annotations

from generated.sql.sun import Session, SessionDao, SmsDao
from handlers.sessions import LIFE_MS
from handlers.sweeper import BATCH, SMS_KEPT_MS, Sweeper
from tests.handlers.people import asynchronous, world


@asynchronous
async def test_only_what_has_ended_is_deleted(sql_url: str) -> None:
    async with world(sql_url) as people:
        sweeper = Sweeper(people.db, people.clock)
        await people.person("ada_l")
        assert await sweeper.sweep() == 0
        people.clock.now_ms += LIFE_MS - SMS_KEPT_MS
        bob = await people.person("bob_b")
        people.clock.now_ms += SMS_KEPT_MS
        await sweeper.sweep()
        assert await people.db.run(SessionDao.all().values(SessionDao.session_id)) == [bob.session_id]
        assert await people.db.run(SmsDao.all().values(SmsDao.phone)) == [bob.phone]


@asynchronous
async def test_more_than_one_batch_goes_in_one_turn(sql_url: str) -> None:
    async with world(sql_url) as people:
        ended = [Session(n, 1, n.to_bytes(32, "big"), 1, expires_ms=n, created_ms=1) for n in range(1, BATCH + 3)]
        await people.db.run(SessionDao.insert_many(ended))
        assert await Sweeper(people.db, people.clock).sweep() == BATCH + 2
        assert await people.db.run(SessionDao.all().count()) == 0
