"""Connections that break at any byte, tasks cancelled at any step, locks and packets beyond the limits.

Whatever happens is a typed error; a batch is written whole or not at all; and no connection is used again half-way
through an answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import pytest

from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.errors import Conflict, InvalidValue, PoolTimeout, Unavailable
from runtime.sql.queries import Batch, Fixed, Query
from runtime.sql.statements import Statement
from runtime.sql.sync import SyncDatabase, SyncTransaction, connect_sync
from runtime.sql.urls import MysqlUrl, parse_url
from tests.sql.compiled import Compiled, compiled
from tests.sql.cut_proxy import CutProxy, Way
from tests.sql.engine_tables import DDL, Post, PostDao, User, UserDao, with_database

T = TypeVar("T")
MIB = 1 << 20
ADA, BOB, CY = User(1, "ada", 36), User(2, "bob", 40), User(3, "cy", 1)
BATCH = Batch([UserDao.insert(ADA), UserDao.insert(BOB), UserDao.update(UserDao.user_id == 1, age=37)])
WHOLE = [User(1, "ada", 37), BOB]
USERS = UserDao.all().order_by(UserDao.user_id.asc())


class Door(Protocol):
    """A database of either kind, without an event loop for the test."""

    def run(self, query: Query[T]) -> T: ...

    def stream(self, query: Query[list[T]]) -> list[T]: ...

    def transaction(self, *queries: Query[Any]) -> None: ...


class AsyncDoor:
    def __init__(self, loop: asyncio.Runner, db: Database) -> None:
        self._loop = loop
        self._db = db

    def run(self, query: Query[T]) -> T:
        return self._loop.run(self._db.run(query))

    def stream(self, query: Query[list[T]]) -> list[T]:
        async def rows() -> list[T]:
            return [row async for row in self._db.stream(query, batch=7)]

        return self._loop.run(rows())

    def transaction(self, *queries: Query[Any]) -> None:
        async def work() -> None:
            async with self._db.begin() as tx:
                for query in queries:
                    await tx.run(query)

        self._loop.run(work())


class SyncDoor:
    def __init__(self, db: SyncDatabase) -> None:
        self._db = db

    def run(self, query: Query[T]) -> T:
        return self._db.run(query)

    def stream(self, query: Query[list[T]]) -> list[T]:
        return list(self._db.stream(query, batch=7))

    def transaction(self, *queries: Query[Any]) -> None:
        with self._db.begin() as tx:
            for query in queries:
                tx.run(query)


@pytest.fixture
def proxy(mariadb_url: str) -> Iterator[CutProxy]:
    place = parse_url(mariadb_url)
    assert isinstance(place, MysqlUrl)
    with CutProxy(place.host, place.port) as made:
        yield made


@pytest.fixture(params=["asyncio", "synchronous"])
def door(request: pytest.FixtureRequest, mariadb_url: str, proxy: CutProxy) -> Iterator[Door]:
    """A database behind the proxy, of one connection, with its tables."""
    place = parse_url(mariadb_url)
    assert isinstance(place, MysqlUrl)
    through = replace(place, host="127.0.0.1", port=proxy.port, pool_size=1)

    async def prepare() -> Database:
        db = await connect(through)
        await create(db, DDL["mysql"])
        return db

    with asyncio.Runner() as loop:
        db = loop.run(prepare())
        with connect_sync(through) as sync:
            yield AsyncDoor(loop, db) if request.param == "asyncio" else SyncDoor(sync)
        loop.run(db.close())


def measured(proxy: CutProxy, way: Way, work: Callable[[], object]) -> int:
    """The bytes that pass that way while `work` runs undisturbed."""
    before = proxy.passed[way]
    work()
    return proxy.passed[way] - before


def cuts(total: int, most: int) -> list[int]:
    """Every place to cut, or about `most` of them, the first and the last among them."""
    step = max(1, total // most)
    return sorted({*range(0, total, step), total - 1})


def empty(door: Door) -> None:
    door.run(UserDao._delete((), {}).everywhere())
    door.run(PostDao._delete((), {}).everywhere())


WAYS: list[Way] = ["up", "down"]


@pytest.mark.mariadb
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("in_block", [False, True])
def test_a_batch_cut_anywhere_is_whole_or_not_there(door: Door, proxy: CutProxy, way: Way, in_block: bool) -> None:
    def work() -> None:
        door.transaction(*BATCH.parts) if in_block else door.run(BATCH)

    empty(door)
    total = measured(proxy, way, work)
    outcomes: set[str] = set()
    for place in cuts(total, 30):
        empty(door)
        proxy.cut(way, place)
        try:
            work()
        except (Unavailable, Conflict) as error:
            told = str(error)
        else:
            told = ""
        proxy.spare()
        found = door.run(USERS)
        assert found == WHOLE if not told else found == [] or (found == WHOLE and "unknown" in told)
        outcomes.add("whole" if found else "not there")
    assert "not there" in outcomes


@pytest.mark.mariadb
@pytest.mark.parametrize("way", WAYS)
def test_a_write_cut_anywhere_happens_once_at_most(door: Door, proxy: CutProxy, way: Way) -> None:
    insert = PostDao.insert(Post(0, 7, "text"))  # nothing but the count tells a second one
    total = measured(proxy, way, lambda: door.run(insert))
    refused = 0
    for place in cuts(total, 25):
        empty(door)
        proxy.cut(way, place)
        try:
            door.run(insert)
        except Unavailable:
            refused += 1
            assert door.run(PostDao.all().count()) <= 1
        else:
            assert door.run(PostDao.all().count()) == 1
        proxy.spare()
    assert refused


@pytest.mark.mariadb
@pytest.mark.parametrize("way", WAYS)
def test_a_read_cut_anywhere_is_tried_again(door: Door, proxy: CutProxy, way: Way) -> None:
    empty(door)
    door.run(BATCH)
    for place in cuts(measured(proxy, way, lambda: door.run(USERS)), 25):
        proxy.cut(way, place)
        assert door.run(USERS) == WHOLE
        proxy.spare()


@pytest.mark.mariadb
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_cut_anywhere_ends_with_an_error_and_not_early(door: Door, proxy: CutProxy, way: Way) -> None:
    empty(door)
    users = [User(n, f"u{n}" * 3, 1) for n in range(100)]
    door.run(UserDao.insert_many(users))
    failed = 0
    for place in cuts(measured(proxy, way, lambda: door.stream(USERS)), 25):
        proxy.cut(way, place)
        try:
            assert door.stream(USERS) == users
        except Unavailable:
            failed += 1
        proxy.spare()
        assert door.run(UserDao.get(7)) == users[7]
    assert failed or way == "up"


# --- cancelled tasks -------------------------------------------------------------------------------------------------


async def cancelled_after(steps: int, work: Awaitable[object]) -> bool:
    """Run `work` for so many turns of the event loop, then cancel it. Whether it was over before."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            break
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, (asyncio.CancelledError, Conflict)) or not isinstance(result, BaseException), result
    return not isinstance(result, BaseException)


def one_connection(url: str) -> str:
    if url.startswith("sqlite"):
        return f"{url}?readers=1&snapshots=1"
    return f"{url}&pool_size=1"


async def every_step(work: Callable[[], Awaitable[object]], check: Callable[[bool], Awaitable[None]]) -> None:
    """Cancel `work` after each number of steps until it is through three times running."""
    through = steps = 0
    while through < 3:
        done = await cancelled_after(steps, work())
        await check(done)
        through = through + 1 if done else 0
        # What waits for a socket or a thread takes as many turns as it takes: first each step, then wider.
        steps += 1 if steps < 60 else steps // 4
        assert steps < 10**7


def test_a_batch_cancelled_at_any_step_is_whole_or_not_there(sql_url: str) -> None:
    many = Batch([UserDao.insert_many(User(n, f"u{n}", 1) for n in range(k, k + 100)) for k in (0, 100, 200)])

    async def use(db: Database) -> None:
        async def check(done: bool) -> None:
            async with db.begin() as tx:  # waits for a write that SQLite finishes though its caller is gone
                count = await tx.run(UserDao.all().count())
                assert count in ((300,) if done else (0, 300))
                await tx.run(UserDao._delete((), {}).everywhere())

        await every_step(lambda: db.run(many), check)

    with_database(one_connection(sql_url), use)


def test_a_transaction_cancelled_at_any_step_is_whole_or_not_there(sql_url: str) -> None:
    async def use(db: Database) -> None:
        async def work() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(ADA))
                async with tx.begin() as inner:
                    await inner.run(BATCH.parts[1])
                await tx.run(BATCH.parts[2])

        async def check(done: bool) -> None:
            async with db.begin() as tx:
                assert await tx.run(USERS) in ((WHOLE,) if done else ([], WHOLE))
                await tx.run(UserDao._delete((), {}).everywhere())

        await every_step(work, check)

    with_database(one_connection(sql_url), use)


def test_answers_after_a_cancelled_question_are_its_own(sql_url: str) -> None:
    users = [User(n, f"u{n}", n) for n in range(50)]

    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many(users))
        asked = 0

        async def work() -> None:
            async for _ in db.stream(USERS, batch=7):
                await db_sleep()
            async with db.begin(read_only=True) as tx:
                await tx.run(UserDao.get(3))
            await db.run(USERS)

        async def db_sleep() -> None:
            await asyncio.sleep(0)

        async def check(done: bool) -> None:
            nonlocal asked
            asked = (asked + 7) % 50
            assert await db.run(UserDao.get(asked)) == users[asked]
            assert await db.run(UserDao.where(UserDao.user_id < asked).count()) == asked

        await every_step(work, check)

    with_database(one_connection(sql_url), use)


def test_who_is_cancelled_as_the_writer_becomes_his_leaves_it_to_the_next(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        async def begin() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(BOB))

        for waits in (begin, lambda: db.run(UserDao.insert(BOB)), lambda: create(db, DDL["sqlite"])):
            async with db.begin() as tx:
                task = asyncio.ensure_future(waits())
                await asyncio.sleep(0)
                tx.after_commit(task.cancel)  # runs when the writer is the task's, which does not know it yet
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(10):
                assert await db.run(UserDao.upsert(ADA)) == 1

    with_database(sqlite_url, use)


# --- locks, pools, packets -------------------------------------------------------------------------------------------


def raw_write(text: str) -> Query[int]:
    return Fixed(Statement("a test", lambda dialect: text, lambda outcome, dialect: 0, writes=True), ())


IMPATIENT = raw_write("SET SESSION innodb_lock_wait_timeout = 1")


@pytest.mark.mariadb
def test_a_lock_waited_for_too_long_is_a_conflict_and_ends_the_transaction(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many([ADA, BOB]))

        async def write() -> None:
            async with db.begin() as tx:
                await tx.run(IMPATIENT)
                await tx.run(UserDao.update(UserDao.user_id == 2, age=1))
                with pytest.raises(Conflict, match=r"sun\.user"):
                    await tx.run(UserDao.update(UserDao.user_id == 1, age=1))

        async with db.begin() as holder:
            await holder.run(UserDao.update(UserDao.user_id == 1, age=50))
            with pytest.raises(Conflict, match="earlier failure"):
                await write()
        assert await db.run(UserDao.all().order_by(UserDao.user_id.asc()).values(UserDao.age)) == [50, 40]

    with_database(f"{mariadb_url}&pool_size=2", use)
    with connect_sync(f"{mariadb_url}&pool_size=2") as db:

        def write(tx: SyncTransaction) -> None:
            tx.run(IMPATIENT)
            tx.run(UserDao.update(UserDao.user_id == 1, age=1))

        with db.begin() as holder:
            holder.run(UserDao.update(UserDao.user_id == 1, age=51))
            with pytest.raises(Conflict):
                db.transact(write, attempts=1)
        assert db.run(UserDao.get(1)) == User(1, "ada", 51)


@pytest.mark.mariadb
def test_an_exhausted_pool_says_so_without_an_event_loop(mariadb_url: str) -> None:
    with_database(mariadb_url, nothing)
    with connect_sync(f"{mariadb_url}&pool_size=1&acquire_timeout_ms=50") as db:
        with db.begin() as tx:
            for query in (UserDao.get(1), BATCH):
                with pytest.raises(PoolTimeout, match=r"all 1 connections of the pool were in use for 0\.05 s"):
                    db.run(query)  # type: ignore[arg-type]
            with pytest.raises(PoolTimeout):
                list(db.stream(USERS))
            tx.run(UserDao.insert(ADA))
        assert db.run(USERS) == [ADA]


async def nothing(db: Database) -> None:
    pass


def test_many_threads_over_few_connections_all_get_their_own_rows(sql_url: str) -> None:
    users = [User(n, f"u{n}", 1) for n in range(100)]

    async def prepare(db: Database) -> None:
        await db.run(UserDao.insert_many(users))

    with_database(sql_url, prepare)
    failures: list[BaseException] = []
    url = sql_url if sql_url.startswith("sqlite") else f"{sql_url}&pool_size=3"
    with connect_sync(url) as db:

        def work(first: int) -> None:
            try:
                for n in range(first, first + 60):
                    assert db.run(UserDao.get(n % 100)) == users[n % 100]
                    with db.begin(read_only=True) as tx:
                        assert tx.run(UserDao.get(n % 100)) == users[n % 100]
            except BaseException as error:  # noqa: BLE001 - it is told in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n * 13,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


FILES = "CREATE TABLE file (id INT NOT NULL PRIMARY KEY, text LONGTEXT NOT NULL, data LONGBLOB NOT NULL);"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(FILES, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(params=["asyncio", "synchronous"])
def store(request: pytest.FixtureRequest, sql_url: str, files: Compiled) -> Iterator[Door]:
    """A database of one connection with the table of `files`."""

    async def prepare() -> Database:
        db = await connect(one_connection(sql_url))
        await create(db, files.ddl[db.dialect.name])
        return db

    with asyncio.Runner() as loop:
        db = loop.run(prepare())
        with connect_sync(one_connection(sql_url)) as sync:
            yield AsyncDoor(loop, db) if request.param == "asyncio" else SyncDoor(sync)
        loop.run(db.close())


@pytest.mark.parametrize("letter", [b"x", b"'"])
def test_a_value_that_no_packet_carries_is_refused_and_the_next_is_not(
    store: Door, files: Compiled, sql_url: str, letter: bytes
) -> None:
    """MariaDB's packets have 16 MiB by default. SQLite has none."""
    dao = files.daos["file"]
    huge, fits = dao.table.row(1, "", letter * (17 * MIB)), dao.table.row(2, "", letter * (5 * MIB))
    if sql_url.startswith("sqlite"):
        store.run(dao.insert_many([huge, fits]))
        assert store.run(dao.get(1)) == huge
        return
    for query in (dao.insert(huge), dao.upsert(huge), dao.insert_many([fits, huge])):
        with pytest.raises(InvalidValue, match=r"app\.file"):
            store.run(query)
        assert store.run(dao.all().count()) == 0
    with pytest.raises((InvalidValue, Conflict)):
        store.transaction(dao.insert(fits), dao.insert(huge))
    assert store.run(dao.all().count()) == 0
    store.run(dao.insert(fits))
    assert store.run(dao.get(2)) == fits


def test_many_large_rows_are_cut_below_the_packet(store: Door, files: Compiled) -> None:
    dao = files.daos["file"]
    rows = [dao.table.row(n, "ä'" * (MIB // 3), b"\0'\\" * (MIB // 3)) for n in range(12)]
    assert store.run(dao.insert_many(rows)) == 12
    assert store.run(dao.all().order_by(dao.id.asc())) == rows
    assert store.run(dao.upsert_many(rows)) == 12
    assert store.run(dao.all().count()) == 12
