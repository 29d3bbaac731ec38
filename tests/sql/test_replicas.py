"""Which server a statement goes to where there are replicas: the rows tell, since here nothing is replicated."""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path
from typing import Any

import pytest

from runtime.sql.create import create
from runtime.sql.database import Database, Engine, Transaction, connect
from runtime.sql.engines.sqlite_asyncio import open_sqlite
from runtime.sql.engines.sqlite_sync import open_sqlite as open_sqlite_sync
from runtime.sql.errors import Unavailable
from runtime.sql.replicas import REST_S, Choice, ReplicatedEngine, ReplicatedSyncEngine
from runtime.sql.sync import SyncDatabase, SyncEngine, connect_sync
from runtime.sql.urls import InvalidUrl, MysqlUrl, SqliteUrl, configured, parse_url
from tests.sql.engine_tables import DDL, User, UserDao

ON_PRIMARY, ON_FIRST, ON_SECOND = User(1, "primary", 1), User(1, "first", 1), User(1, "second", 1)
WINDOW_MS = 1_000
GET = UserDao.get(1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def prepared(folder: Path) -> list[SqliteUrl]:
    """A primary and two replicas, each with a row of its own."""
    urls = [SqliteUrl(str(folder / name)) for name in ("primary.db", "first.db", "second.db")]
    for url, row in zip(urls, (ON_PRIMARY, ON_FIRST, ON_SECOND), strict=True):
        db = await connect(url)
        await create(db, DDL["sqlite"])
        await db.run(UserDao.insert(row))
        await db.close()
    return urls


async def replicated(folder: Path, clock: Clock) -> tuple[Database, list[Engine]]:
    engines: list[Engine] = [await open_sqlite(url) for url in await prepared(folder)]
    engine = ReplicatedEngine(engines[0], engines[1:], Choice(engines[1:], WINDOW_MS, clock))
    return Database(engine, wrote=engine.wrote), engines


async def streamed(db: Database) -> list[User]:
    return [row async for row in db.stream(UserDao.all())]


async def in_another_task(db: Database) -> User | None:
    """What one reads who did not write: its task is no child of the writer's context."""
    return await asyncio.get_running_loop().create_task(db.run(GET), context=contextvars.Context())


def test_reads_go_to_the_replicas_in_turn(tmp_path: Path) -> None:
    async def use() -> None:
        db, _ = await replicated(tmp_path, Clock())
        assert [await db.run(GET) for _ in range(4)] == [ON_FIRST, ON_SECOND, ON_FIRST, ON_SECOND]
        assert await streamed(db) == [ON_FIRST]
        async with db.begin() as tx:
            assert await tx.run(GET) == ON_PRIMARY
        async with db.begin(read_only=True) as tx:
            assert await tx.run(GET) == ON_PRIMARY
        await db.close()

    asyncio.run(use())


def test_a_read_that_locks_rows_goes_where_they_are_written(tmp_path: Path) -> None:
    async def use() -> None:
        db, _ = await replicated(tmp_path, Clock())
        assert await db.run(UserDao.all().for_update()) == [ON_PRIMARY]
        assert await db.run(UserDao.all().skip_locked()) == [ON_PRIMARY]
        await db.close()

    asyncio.run(use())


def test_who_wrote_reads_from_the_primary_for_a_while(tmp_path: Path) -> None:
    async def use() -> None:
        clock = Clock()
        db, _ = await replicated(tmp_path, clock)

        async def add(tx: Transaction) -> None:
            await tx.run(UserDao.insert(User(3, "three", 1)))

        writes: list[Any] = [
            lambda: db.run(UserDao.insert(User(2, "two", 1))),
            lambda: db.run(UserDao.insert_many([User(n, f"u{n}", 1) for n in range(100, 20_000)])),
            lambda: db.transact(add),
        ]
        for write in writes:
            assert await db.run(GET) in (ON_FIRST, ON_SECOND)
            await write()
            clock.now += WINDOW_MS / 1000 - 0.01
            assert await db.run(GET) == ON_PRIMARY
            assert ON_PRIMARY in await streamed(db)
            assert await in_another_task(db) in (ON_FIRST, ON_SECOND)
            clock.now += 0.02
        assert await db.run(GET) in (ON_FIRST, ON_SECOND)
        async with db.begin(read_only=True) as tx:
            await tx.run(GET)
        assert await db.run(GET) in (ON_FIRST, ON_SECOND)  # reading is no write
        await db.close()

    asyncio.run(use())


def test_a_replica_that_fails_rests_and_the_primary_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def use() -> None:
        clock = Clock()
        db, engines = await replicated(tmp_path, clock)
        await engines[1].close()
        assert await db.run(GET) == ON_PRIMARY  # the first one failed
        assert "a replica is not asked" in caplog.text
        assert [await db.run(GET) for _ in range(3)] == [ON_SECOND] * 3
        clock.now += REST_S
        await engines[2].close()
        assert [await db.run(GET) for _ in range(3)] == [ON_PRIMARY] * 3
        clock.now += REST_S
        assert await streamed(db) == [ON_PRIMARY]
        await db.close()
        with pytest.raises(Unavailable, match="closed"):
            await db.run(GET)

    asyncio.run(use())


def test_the_same_rules_without_an_event_loop(tmp_path: Path) -> None:
    clock = Clock()
    engines: list[SyncEngine] = [open_sqlite_sync(url) for url in asyncio.run(prepared(tmp_path))]
    engine = ReplicatedSyncEngine(engines[0], engines[1:], Choice(engines[1:], WINDOW_MS, clock))
    with SyncDatabase(engine, wrote=engine.wrote) as db:
        assert [db.run(GET) for _ in range(3)] == [ON_FIRST, ON_SECOND, ON_FIRST]
        assert list(db.stream(UserDao.all())) == [ON_SECOND]
        db.run(UserDao.insert(User(2, "two", 1)))
        assert db.run(GET) == ON_PRIMARY
        clock.now += WINDOW_MS / 1000
        assert db.run(GET) == ON_FIRST
        db.transact(lambda tx: tx.run(UserDao.insert(User(3, "three", 1))))
        assert db.run(GET) == ON_PRIMARY
        assert ON_PRIMARY in list(db.stream(UserDao.all()))
        clock.now += WINDOW_MS / 1000
        engines[1].close()
        engines[2].close()
        assert [db.run(GET) for _ in range(3)] == [ON_PRIMARY] * 3
        clock.now += REST_S
        assert ON_PRIMARY in list(db.stream(UserDao.all()))


@pytest.mark.mariadb
def test_a_list_of_urls_names_them_and_one_that_is_not_there_stops_nobody(mariadb_url: str) -> None:
    async def use() -> None:
        db = await connect(f"{mariadb_url},{mariadb_url.replace('?', '?pool_size=1&')},mysql://sun@127.0.0.1:1/")
        await create(db, DDL["mysql"])
        await db.run(UserDao.insert(ON_PRIMARY))
        assert [await in_another_task(db) for _ in range(4)] == [ON_PRIMARY] * 4
        await db.close()

    asyncio.run(use())
    with connect_sync(f"{mariadb_url},mysql://sun@127.0.0.1:1/") as db:
        assert [db.run(GET) for _ in range(3)] == [ON_PRIMARY] * 3


def test_a_list_of_urls() -> None:
    url = configured("mysql://a@h/?prefix=t_&own_writes_ms=50,mysql://b:x@i:2/?pool_size=3,mariadb://c@j", pool_size=7)
    assert isinstance(url, MysqlUrl)
    assert (url.host, url.pool_size, url.own_writes_ms) == ("h", 7, 50)
    assert url.replicas == (
        MysqlUrl("i", 2, "b", "x", prefix="t_", pool_size=3),
        MysqlUrl("j", 3306, "c", "", prefix="t_", pool_size=7),
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sqlite:///a.db,mysql://sun:secret@h/", "has replicas"),
        ("mysql://sun:secret@h/?prefix=a_,mysql://sun:secret@i/?prefix=b_", "prefix of its primary, 'a_'"),
        ("mysql://sun:secret@h/,sqlite:///a.db", "path"),
        ("mysql://sun:secret@h/,mysql://i/", "user is missing"),
    ],
)
def test_a_wrong_list_names_the_part_and_not_the_password(text: str, part: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_url(text)
    assert part in str(caught.value)
    assert "cret" not in str(caught.value)
