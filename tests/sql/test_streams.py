"""Streams of rows: the same rows, flat memory, and connections that are sound afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from runtime.sql.database import Database
from runtime.sql.dialects import Dialect
from runtime.sql.errors import MissingTable, Unavailable
from runtime.sql.queries import Fixed, Query
from runtime.sql.statements import Outcome, Statement
from runtime.sql.sync import connect_sync
from tests.sql.engine_tables import User, UserDao, with_database

USERS = [User(n, f"u{n}", n % 100) for n in range(2_500)]
ALL = UserDao.all().order_by(UserDao.user_id.asc())
LARGE = 200_000  # rows
MIB = 1 << 20


def single(url: str) -> str:
    """The same place with one connection for streams."""
    return f"{url}{'&' if '?' in url else '?'}{'snapshots' if url.startswith('sqlite') else 'pool_size'}=1"


def large(read: Callable[[Outcome, Dialect], Any] | None = None) -> Query[list[tuple[int, str]]]:
    """LARGE rows of 200 characters that no table holds."""
    digits = "SELECT 0 AS x " + " ".join(f"UNION ALL SELECT {n}" for n in range(1, 10))
    text = (
        f"WITH d AS ({digits}) SELECT a.x, '{'x' * 200}' FROM d a, d b, d c, d e, d f, (SELECT 1 UNION ALL SELECT 2) g"
    )
    return Fixed(Statement("large", lambda dialect: text, read or (lambda outcome, dialect: list(outcome.rows))), ())


def with_users(url: str, use: Callable[[Database], Awaitable[None]]) -> None:
    async def prepared(db: Database) -> None:
        await db.run(UserDao.insert_many(USERS))
        await use(db)

    with_database(url, prepared)


@pytest.mark.parametrize("batch", [1, 7, 500, 2_500, 9_999])
def test_a_stream_gives_the_rows_of_the_query(sql_url: str, batch: int) -> None:
    async def use(db: Database) -> None:
        assert [row async for row in db.stream(ALL, batch=batch)] == USERS
        names = ALL.where(UserDao.user_id < 3).values(UserDao.user_name)
        assert [name async for name in db.stream(names, batch=batch)] == ["u0", "u1", "u2"]
        assert [row async for row in db.stream(ALL.where(UserDao.user_id < 0), batch=batch)] == []
        assert await db.run(UserDao.get(1)) == USERS[1]

    with_users(single(sql_url), use)
    with connect_sync(single(sql_url)) as db:
        assert list(db.stream(ALL, batch=batch)) == USERS
        assert list(db.stream(ALL.where(UserDao.user_id < 0), batch=batch)) == []
        assert db.run(UserDao.get(1)) == USERS[1]


def test_memory_is_flat(sql_url: str) -> None:
    """Even where the reader is slower than the engine: 40 MB pass, little of it is held."""

    async def use(db: Database) -> None:
        count = 0
        tracemalloc.start()
        try:
            async for _ in db.stream(large(), batch=500):
                count += 1
                if count % 500 == 0:
                    for _ in range(10):
                        await asyncio.sleep(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == LARGE
        assert peak < 5 * MIB

    with_database(sql_url, use)
    with connect_sync(sql_url) as db:
        tracemalloc.start()
        try:
            assert sum(1 for _ in db.stream(large(), batch=500)) == LARGE
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 5 * MIB


def test_leaving_early_leaves_no_half_read_connection(sql_url: str) -> None:
    async def use(db: Database) -> None:
        for taken in (1, 3, 10):
            seen = 0
            async with contextlib.aclosing(db.stream(large(), batch=3)) as rows:
                async for _ in rows:
                    seen += 1
                    if seen == taken:
                        break
            assert await db.run(UserDao.get(1)) == USERS[1]
        async for _ in db.stream(large()):  # left without closing: as soon as nothing refers to it
            break
        assert [row async for row in db.stream(ALL)] == USERS

        async def fail() -> None:
            async with contextlib.aclosing(db.stream(large())) as rows:
                async for _ in rows:
                    raise EOFError

        with pytest.raises(EOFError):
            await fail()
        assert await db.run(UserDao.get(2)) == USERS[2]

    with_users(single(sql_url), use)
    with connect_sync(single(sql_url)) as db:
        for _ in range(3):
            for _ in db.stream(large(), batch=3):
                break
            assert db.run(UserDao.get(1)) == USERS[1]
        rows = db.stream(large())
        next(rows)
        rows.close()
        assert list(db.stream(ALL)) == USERS


def test_a_cancelled_stream_leaves_no_half_read_connection(sql_url: str) -> None:
    async def use(db: Database) -> None:
        async def read() -> None:
            async for _ in db.stream(large(), batch=10):
                await asyncio.sleep(0)

        for steps in (0, 1, 2, 3, 5, 8, 13, 21, 34, 200):
            task = asyncio.create_task(read())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await db.run(UserDao.get(1)) == USERS[1]
        assert [row async for row in db.stream(ALL)] == USERS

    with_users(single(sql_url), use)


def test_a_failing_stream_says_why_and_gives_its_connection_back(sql_url: str) -> None:
    missing = Fixed(
        Statement("sun.missing", lambda dialect: f"SELECT a FROM {dialect.table('sun', 'missing')}", lambda o, d: [0]),
        (),
    )

    async def use(db: Database) -> None:
        for _ in range(3):
            with pytest.raises(MissingTable, match=r"sun\.missing"):
                async for _ in db.stream(missing):
                    pass
        assert [row async for row in db.stream(ALL)] == USERS
        await db.close()
        with pytest.raises(Unavailable, match="closed"):
            async for _ in db.stream(ALL):
                pass

    with_users(single(sql_url), use)
    with connect_sync(single(sql_url)) as db:
        for _ in range(3):
            with pytest.raises(MissingTable, match=r"sun\.missing"):
                list(db.stream(missing))
        assert list(db.stream(ALL)) == USERS
    with pytest.raises(Unavailable, match="closed"):
        list(db.stream(ALL))


def test_only_rows_can_be_streamed(sql_url: str) -> None:
    async def use(db: Database) -> None:
        for query in (UserDao.insert(USERS[0]), UserDao.insert_many(USERS), UserDao.get(1)):
            with pytest.raises(TypeError, match="stream"):
                async for _ in db.stream(cast("Query[list[Any]]", query)):
                    pass
        with pytest.raises(ValueError, match="batch"):
            async for _ in db.stream(ALL, batch=0):
                pass

    with_users(sql_url, use)


@pytest.mark.mariadb
def test_a_connection_lost_in_the_middle_is_said(mariadb_url: str) -> None:
    identity = Fixed(Statement("a test", lambda dialect: "SELECT CONNECTION_ID()", lambda o, d: o.rows[0][0]), ())

    async def use(db: Database) -> None:
        used = await db.run(identity)

        async def read() -> None:
            async with contextlib.aclosing(db.stream(large(), batch=10)) as rows:
                async for _ in rows:
                    with connect_sync(mariadb_url) as other, contextlib.suppress(Unavailable):
                        kill = Statement("a test", lambda dialect: f"KILL {used}", lambda o, d: 0, writes=True)
                        other.run(Fixed(kill, ()))
                    break
                async for _ in rows:
                    pass

        with pytest.raises(Unavailable):
            await read()
        assert [row async for row in db.stream(ALL)] == USERS

    with_users(mariadb_url + "&pool_size=1", use)
