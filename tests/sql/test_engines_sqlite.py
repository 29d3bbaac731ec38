"""What SQLite alone must show: group commit, one line for all writers, reads beside a transaction, other processes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.errors import Conflict, ForeignKeyViolation, InvalidValue, Unavailable, UniqueViolation
from runtime.sql.queries import Batch, Fixed
from runtime.sql.statements import Outcome, Statement
from runtime.sql.sync import connect_sync
from tests.sql.engine_tables import DDL, User, UserDao, with_database

ADA, BOB = User(1, "ada", 36), User(2, "bob", 40)


def commits(database: Path) -> int:
    """How many transactions the write-ahead log holds (https://www.sqlite.org/fileformat2.html#walformat)."""
    log = database.with_name(database.name + "-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(32, len(log), 24 + page)
    return sum(log[at + 4 : at + 8] != bytes(4) for at in frames)


def first_number(text: str, *, short: bool = False) -> Fixed[int]:
    def read(outcome: Outcome, dialect: object) -> int:
        return outcome.rows[0][0]

    return Fixed(Statement("a test", lambda dialect: text, read, short=short), ())


def test_writes_that_wait_share_a_commit(sqlite_url: str, tmp_path: Path) -> None:
    async def use(db: Database) -> None:
        before = commits(tmp_path / "test.db")
        ids = await asyncio.gather(*(db.run(UserDao.insert(User(n, f"u{n}", 1))) for n in range(100)))
        assert len(ids) == 100
        assert await db.run(UserDao.all().count()) == 100
        # The first write finds the writer free and goes alone; the other 99 wait for it together.
        assert commits(tmp_path / "test.db") - before == 2

    with_database(sqlite_url, use)


def test_one_failing_write_does_not_hurt_its_group(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert(ADA))
        batch = Batch([UserDao.insert(User(50, "fifty", 1)), UserDao.insert(ADA)])
        results = await asyncio.gather(
            db.run(UserDao.insert(User(10, "ten", 1))),
            db.run(UserDao.insert(User(11, "ada", 1))),
            db.run(batch),
            db.run(UserDao.insert(User(12, "twelve", 999))),
            db.run(UserDao.insert_if_absent(ADA)),
            db.run(UserDao.insert(User(13, "thirteen", 1))),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [int, UniqueViolation, UniqueViolation, InvalidValue, int, int]
        assert results[4] == 0
        found = await db.run(UserDao.all().order_by(UserDao.user_id.asc()).values(UserDao.user_id))
        assert found == [1, 10, 13]

    with_database(sqlite_url, use)


def test_a_read_sees_what_was_acknowledged(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        async def write_and_read(n: int) -> None:
            await db.run(UserDao.insert(User(n, f"u{n}", 1)))
            assert await db.run(UserDao.get(n)) is not None
            assert n in await db.run(UserDao.all().values(UserDao.user_id))

        await asyncio.gather(*(write_and_read(n) for n in range(40)))

    with_database(sqlite_url, use)


def test_writers_are_served_in_order_of_arrival(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        order: list[str] = []

        async def write(name: str, n: int) -> None:
            await db.run(UserDao.insert(User(n, name, 1)))
            order.append(name)

        async def transact(name: str, n: int) -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(User(n, name, 1)))
                order.append(name)

        async with db.begin():
            tasks = [
                asyncio.create_task(write("a", 1)),
                asyncio.create_task(transact("b", 2)),
                asyncio.create_task(write("c", 3)),
                asyncio.create_task(write("d", 4)),
                asyncio.create_task(transact("e", 5)),
            ]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c", "d", "e"]

    with_database(sqlite_url, use)


def test_a_write_cancelled_in_line_never_happens(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin():
            task = asyncio.create_task(db.run(UserDao.insert(ADA)))
            other = asyncio.create_task(db.run(UserDao.insert(BOB)))
            await asyncio.sleep(0)
            task.cancel()
        await other
        assert await db.run(UserDao.all()) == [BOB]

    with_database(sqlite_url, use)


def test_a_commit_is_finished_though_its_caller_is_cancelled(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        called: list[int] = []
        ending = asyncio.Event()

        async def write() -> None:
            async with db.begin() as tx:
                tx.after_commit(lambda: called.append(1))
                await tx.run(UserDao.insert(ADA))
                ending.set()

        task = asyncio.create_task(write())
        await ending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert called == [1]
        assert await db.run(UserDao.get(1)) == ADA

    with_database(sqlite_url, use)


def test_a_write_beside_the_own_transaction_is_told_at_once(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            with pytest.raises(RuntimeError, match=r"tx\.run"):
                await db.run(UserDao.insert(ADA))
            with pytest.raises(RuntimeError, match=r"tx\.run"):
                async with db.begin():
                    pass
            await tx.run(UserDao.insert(BOB))
        await db.run(UserDao.insert(ADA))

    with_database(sqlite_url, use)
    with connect_sync(sqlite_url) as db, db.begin(), pytest.raises(RuntimeError, match=r"tx\.run"):
        db.run(UserDao.insert(ADA))


def test_reads_that_are_not_short_leave_the_event_loop_free(sqlite_url: str) -> None:
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT COUNT(*) FROM n"

    async def use(db: Database) -> None:
        task = asyncio.create_task(db.run(first_number(slow)))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        assert await task == 300_000
        assert turns > 2

    with_database(sqlite_url, use)


def test_another_process_that_writes_is_waited_for_up_to_a_limit(sqlite_url: str, tmp_path: Path) -> None:
    async def use(db: Database) -> None:
        other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Conflict, match="another process"):
                await db.run(UserDao.insert(ADA))
            with pytest.raises(Conflict, match="another process"):
                async with db.begin():
                    pass
            assert await db.run(UserDao.all()) == []
            other.execute("ROLLBACK")
        finally:
            other.close()
        await db.run(UserDao.insert(ADA))

    with_database(sqlite_url + "?busy_timeout_ms=20", use)


def test_a_full_disk_fails_the_group_and_passes(sqlite_url: str) -> None:
    limit = Fixed(Statement("a test", lambda dialect: "PRAGMA max_page_count = 1", lambda o, d: None, writes=True), ())
    free = Fixed(
        Statement("a test", lambda dialect: "PRAGMA max_page_count = 100000", lambda o, d: None, writes=True), ()
    )
    large = [User(n, "x" * 20, n % 100) for n in range(20_000)]

    async def use(db: Database) -> None:
        await db.run(limit)  # below its size a database keeps that size as its limit
        with pytest.raises(Unavailable, match="full"):
            await db.run(UserDao.insert_many(User(n, f"user-name-{n}", 1) for n in range(len(large))))
        with pytest.raises((Unavailable, Conflict)):
            async with db.begin() as tx:
                await tx.run(UserDao.insert_many(User(n, f"user-name-{n}", 1) for n in range(len(large))))
        assert await db.run(UserDao.all().count()) == 0
        await db.run(free)
        await db.run(UserDao.insert(ADA))

    with_database(sqlite_url, use)


def test_an_in_memory_database_is_private_and_behaves_like_a_file() -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            await tx.run(UserDao.insert(ADA))
            assert await db.run(UserDao.get(1)) is None
        other = await connect("sqlite:///:memory:")
        await create(other, DDL["sqlite"])
        assert await other.run(UserDao.all()) == []
        await other.close()
        assert await db.run(UserDao.get(1)) == ADA

    with_database("sqlite:///:memory:", use)


def test_foreign_keys_are_kept(sqlite_url: str) -> None:
    ddl = 'CREATE TABLE "sun.pet" (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES "sun.user" (user_id)) STRICT;\n'
    stray = Fixed(
        Statement(
            "sun.pet", lambda dialect: 'INSERT INTO "sun.pet" VALUES (1, 99)', lambda o, d: o.changed, writes=True
        ),
        (),
    )

    async def use(db: Database) -> None:
        await create(db, {"sun": ddl})
        with pytest.raises(ForeignKeyViolation, match=r"sun\.pet"):
            await db.run(stray)

    with_database(sqlite_url, use)


@pytest.mark.parametrize("path", ["folder.db", "text.db"])
def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "text.db").write_text("this is not a database, but longer than its header would be" * 20)
    with pytest.raises(Unavailable, match=path):
        asyncio.run(connect(f"sqlite:///{tmp_path / path}"))
    with pytest.raises(Unavailable, match=path):
        connect_sync(f"sqlite:///{tmp_path / path}")


def test_folders_are_made(tmp_path: Path) -> None:
    with_database(f"sqlite:///{tmp_path}/a/b/test.db", lambda db: db.ping())
    assert (tmp_path / "a" / "b" / "test.db").exists()


def test_closing_lets_what_is_under_way_end_and_its_threads_too(sqlite_url: str) -> None:
    async def run() -> None:
        db = await connect(sqlite_url)
        await create(db, DDL["sqlite"])
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with db.begin() as tx:
                begun.set()
                await go_on.wait()
                await tx.run(UserDao.insert(ADA))

        task = asyncio.create_task(write())
        await begun.wait()
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="closed"):
            await db.run(UserDao.insert(BOB))
        go_on.set()
        await task
        await closing

    asyncio.run(run())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlite-")]
    with connect_sync(sqlite_url) as db:
        assert db.run(UserDao.all()) == [ADA]


def test_threads_may_share_a_synchronous_database(sqlite_url: str) -> None:
    with_database(sqlite_url, lambda db: db.ping())
    with connect_sync(sqlite_url) as db:

        def work(first: int) -> Callable[[], None]:
            def write() -> None:
                for n in range(first, first + 50):
                    with db.begin() as tx:
                        tx.run(UserDao.insert(User(n, f"u{n}", 1)))
                    assert db.run(UserDao.get(n)) is not None

            return write

        threads = [threading.Thread(target=work(first)) for first in (0, 50, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.run(UserDao.all().count()) == 150
