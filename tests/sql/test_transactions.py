"""What transactions do beyond commit and rollback: blocks inside them, attempts after a conflict, isolation.

In asyncio and in synchronous code.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from runtime.sql.create import create
from runtime.sql.database import ATTEMPTS, Database, Isolation, Transaction, connect
from runtime.sql.errors import Conflict, PoolTimeout, ReadOnlyTransaction, Unavailable, UniqueViolation
from runtime.sql.queries import Batch
from runtime.sql.sync import SyncDatabase, SyncTransaction, connect_sync
from tests.sql.engine_tables import DDL, User, UserDao, with_database

Run = Callable[[Callable[[Database], Awaitable[None]]], None]

ADA, BOB, CY = User(1, "ada", 36), User(2, "bob", 40), User(3, "cy", 1)
ALL = UserDao.all().order_by(UserDao.user_id.asc())


@pytest.fixture
def run(sql_url: str) -> Run:
    return lambda use: with_database(sql_url, use)


@pytest.fixture
def sync(run: Run, sql_url: str) -> SyncDatabase:
    async def nothing(db: Database) -> None:
        pass

    run(nothing)
    return connect_sync(sql_url)


def test_a_failure_inside_undoes_the_inner_block_only(run: Run) -> None:
    async def use(db: Database) -> None:
        called: list[str] = []

        async def fail(tx: Transaction) -> None:
            async with tx.begin() as inner:
                await inner.run(UserDao.insert(BOB))
                inner.after_commit(lambda: called.append("undone"))
                async with inner.begin() as innermost:
                    await innermost.run(UserDao.insert(CY))
                    innermost.after_commit(lambda: called.append("undone with the one around it"))
                assert await inner.run(ALL) == [ADA, BOB, CY]
                raise EOFError

        async with db.begin() as tx:
            await tx.run(UserDao.insert(ADA))
            tx.after_commit(lambda: called.append("outer"))
            with pytest.raises(EOFError):
                await fail(tx)
            assert await tx.run(ALL) == [ADA]
            async with tx.begin() as inner:
                await inner.run(UserDao.insert(CY))
                inner.after_commit(lambda: called.append("inner"))
            assert called == []
        assert called == ["outer", "inner"]
        assert await db.run(ALL) == [ADA, CY]

    run(use)


def test_a_failure_inside_undoes_the_inner_block_only_without_an_event_loop(sync: SyncDatabase) -> None:
    called: list[str] = []

    def fail(tx: SyncTransaction) -> None:
        with tx.begin() as inner:
            inner.run(UserDao.insert(BOB))
            inner.after_commit(lambda: called.append("undone"))
            with inner.begin() as innermost:
                innermost.run(UserDao.insert(CY))
                innermost.after_commit(lambda: called.append("undone with the one around it"))
            assert inner.run(ALL) == [ADA, BOB, CY]
            raise EOFError

    with sync:
        with sync.begin() as tx:
            tx.run(UserDao.insert(ADA))
            tx.after_commit(lambda: called.append("outer"))
            with pytest.raises(EOFError):
                fail(tx)
            assert tx.run(ALL) == [ADA]
            with tx.begin() as inner:
                inner.run(UserDao.insert(CY))
                inner.after_commit(lambda: called.append("inner"))
            assert called == []
        assert called == ["outer", "inner"]
        assert sync.run(ALL) == [ADA, CY]


def test_the_whole_undoes_what_inner_blocks_did(run: Run) -> None:
    async def use(db: Database) -> None:
        called: list[int] = []

        async def write() -> None:
            async with db.begin() as tx:
                async with tx.begin() as inner:
                    await inner.run(UserDao.insert(ADA))
                    inner.after_commit(lambda: called.append(1))
                raise EOFError

        with pytest.raises(EOFError):
            await write()
        assert called == []
        assert await db.run(ALL) == []

    run(use)


def test_a_constraint_broken_inside_may_be_caught_inside(run: Run) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            await tx.run(UserDao.insert(ADA))
            async with tx.begin() as inner:
                with pytest.raises(UniqueViolation):
                    await inner.run(Batch([UserDao.insert(CY), UserDao.insert(ADA)]))
                await inner.run(UserDao.insert(BOB))
        assert await db.run(ALL) == [ADA, BOB]

    run(use)


def test_the_outer_block_waits_until_the_inner_is_over(run: Run) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            inner = tx.begin()
            with pytest.raises(RuntimeError, match="not open"):
                await inner.run(ALL)
            async with inner:
                with pytest.raises(RuntimeError, match="a block inside this transaction is open"):
                    await tx.run(ALL)
                with pytest.raises(RuntimeError, match="a block inside this transaction is open"):
                    async with tx.begin():
                        pass
                await inner.run(UserDao.insert(ADA))
            with pytest.raises(RuntimeError, match="not open"):
                await inner.run(ALL)
            with pytest.raises(RuntimeError, match="once"):
                await inner.__aenter__()
        assert await db.run(ALL) == [ADA]

        async def leave_open() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(BOB))
                await tx.begin().__aenter__()

        with pytest.raises(RuntimeError, match="ended while one inside it was open"):
            await leave_open()
        assert await db.run(ALL) == [ADA]
        await db.run(UserDao.insert(CY))

    run(use)


def test_the_outer_block_waits_until_the_inner_is_over_without_an_event_loop(sync: SyncDatabase) -> None:
    def leave_open() -> None:
        with sync.begin() as tx:
            tx.run(UserDao.insert(BOB))
            tx.begin().__enter__()

    with sync:
        with sync.begin() as tx, tx.begin() as inner:
            with pytest.raises(RuntimeError, match="a block inside this transaction is open"):
                tx.run(ALL)
            inner.run(UserDao.insert(ADA))
        with pytest.raises(RuntimeError, match="ended while one inside it was open"):
            leave_open()
        assert sync.run(ALL) == [ADA]
        sync.run(UserDao.insert(CY))


def test_a_cancelled_statement_inside_ends_the_whole(run: Run) -> None:
    async def cancel_inside(tx: Transaction) -> None:
        async with tx.begin() as inner:
            statement = asyncio.create_task(inner.run(UserDao.insert(BOB)))
            await asyncio.sleep(0)
            statement.cancel()
            await statement

    async def use(db: Database) -> None:
        async def write() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(ADA))
                with pytest.raises(asyncio.CancelledError):
                    await cancel_inside(tx)
                with pytest.raises(Conflict, match="earlier failure"):
                    await tx.run(ALL)

        with pytest.raises(Conflict, match="earlier failure"):
            await write()
        assert await db.run(ALL) == []

    run(use)


@pytest.mark.mariadb
def test_a_deadlock_is_tried_again_until_both_are_done(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many([ADA, BOB]))
        met = asyncio.Barrier(2)
        runs = 0

        async def swap(first: int, second: int) -> None:
            nonlocal runs
            is_first_run = True

            async def work(tx: Transaction) -> None:
                nonlocal is_first_run, runs
                runs += 1
                await tx.run(UserDao.update(UserDao.user_id == first, age=first))
                if is_first_run:
                    is_first_run = False
                    await met.wait()
                async with tx.begin() as inner:  # a deadlock inside ends the whole, which runs again
                    await inner.run(UserDao.update(UserDao.user_id == second, age=second))

            await db.transact(work)

        await asyncio.gather(swap(1, 2), swap(2, 1))
        assert runs == 3

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_a_deadlock_between_threads_is_tried_again(mariadb_url: str) -> None:
    with connect_sync(mariadb_url) as db:
        asyncio.run(_create(mariadb_url))
        db.run(UserDao.insert_many([ADA, BOB]))
        met = threading.Barrier(2, timeout=10)
        runs: list[int] = []

        def swap(first: int, second: int) -> None:
            def work(tx: SyncTransaction) -> None:
                tx.run(UserDao.update(UserDao.user_id == first, age=first))
                runs.append(first)
                if runs.count(first) == 1:
                    met.wait()
                tx.run(UserDao.update(UserDao.user_id == second, age=second))

            db.transact(work)

        threads = [threading.Thread(target=swap, args=pair) for pair in ((1, 2), (2, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(runs) == 3


async def _create(url: str) -> None:
    db = await connect(url)
    await create(db, DDL[db.dialect.name])
    await db.close()


@pytest.mark.parametrize("conflicts", [0, 1, ATTEMPTS - 1, ATTEMPTS])
def test_conflicts_are_tried_again_and_leave_nothing(run: Run, sql_url: str, conflicts: int) -> None:
    runs = 0

    async def work(tx: Transaction) -> str:
        nonlocal runs
        runs += 1
        await tx.run(UserDao.insert(User(runs, f"u{runs}", 1)))
        if runs <= conflicts:
            raise Conflict("met another")
        return "done"

    def sync_work(tx: SyncTransaction) -> str:
        nonlocal runs
        runs += 1
        tx.run(UserDao.insert(User(runs, f"u{runs}", 1)))
        if runs <= conflicts:
            raise Conflict("met another")
        return "done"

    async def use(db: Database) -> None:
        if conflicts < ATTEMPTS:
            assert await db.transact(work) == "done"
            assert await db.run(ALL.values(UserDao.user_id)) == [conflicts + 1]
        else:
            with pytest.raises(Conflict):
                await db.transact(work)
            assert await db.run(ALL) == []
        assert runs == min(conflicts + 1, ATTEMPTS)
        await db.run(UserDao._delete((), {}).everywhere())

    run(use)
    runs = 0
    with connect_sync(sql_url) as db:
        if conflicts < ATTEMPTS:
            assert db.transact(sync_work) == "done"
            assert db.run(ALL.values(UserDao.user_id)) == [conflicts + 1]
        else:
            with pytest.raises(Conflict):
                db.transact(sync_work)
            assert db.run(ALL) == []
        assert runs == min(conflicts + 1, ATTEMPTS)


def test_other_errors_are_not_tried_again(run: Run) -> None:
    async def use(db: Database) -> None:
        runs = 0

        async def work(tx: Transaction) -> None:
            nonlocal runs
            runs += 1
            raise Unavailable("gone")

        with pytest.raises(Unavailable):
            await db.transact(work)
        assert runs == 1
        with pytest.raises(ValueError, match="attempts"):
            await db.transact(work, attempts=0)

    run(use)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_isolated_reader_sees_one_state(run: Run, sql_url: str, isolation: Isolation) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert(ADA))
        async with db.begin(isolation=isolation, read_only=True) as tx:
            assert await tx.run(ALL) == [ADA]
            if isolation == "repeatable read" or sql_url.startswith("sqlite"):  # MariaDB's SERIALIZABLE locks
                await db.run(UserDao.insert(BOB))
            assert await tx.run(ALL) == [ADA]
            async with tx.begin() as inner:
                assert await inner.run(ALL) == [ADA]
            with pytest.raises(ReadOnlyTransaction, match=r"sun\.user"):
                await tx.run(UserDao.insert(CY))
            with pytest.raises(ReadOnlyTransaction, match=r"sun\.user"):
                await tx.run(Batch([UserDao.insert(CY)]))
        async with db.begin(isolation=isolation) as tx:
            await tx.run(UserDao.insert(CY))
        assert CY in await db.run(ALL)
        with pytest.raises(ValueError, match="isolation"):
            db.begin(isolation="chaos")  # type: ignore[arg-type]

    run(use)
    with connect_sync(sql_url) as db:
        with db.begin(isolation=isolation, read_only=True) as tx:
            before = tx.run(ALL)
            if isolation == "repeatable read" or sql_url.startswith("sqlite"):
                db.run(UserDao.insert(User(9, "zoe", 1)))
            assert tx.run(ALL) == before
            with pytest.raises(ReadOnlyTransaction, match=r"sun\.user"):
                tx.run(UserDao.insert(CY))
        with db.begin(isolation=isolation) as tx:
            tx.run(UserDao.insert(User(10, "last", 1)))
        assert len(db.run(ALL)) > len(before)


@pytest.mark.mariadb
def test_isolation_is_of_one_transaction(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin(isolation="repeatable read") as tx:
            assert await tx.run(ALL) == []
        other = await connect(mariadb_url)
        async with db.begin() as tx:  # on the same connection, at the level of the session
            assert await tx.run(ALL) == []
            await other.run(UserDao.insert(ADA))
            assert await tx.run(ALL) == [ADA]
        await other.close()

    with_database(mariadb_url + "&pool_size=1", use)


def test_readers_of_sqlite_do_not_wait_for_the_writer_and_are_bounded(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as writing:
            await writing.run(UserDao.insert(ADA))
            async with db.begin(read_only=True) as first, db.begin(read_only=True) as second:
                assert await first.run(ALL) == await second.run(ALL) == []
                with pytest.raises(PoolTimeout, match="all 2 connections"):
                    async with db.begin(read_only=True):
                        pass
        async with db.begin(read_only=True) as tx:
            assert await tx.run(ALL) == [ADA]

    with_database(sqlite_url + "?snapshots=2&acquire_timeout_ms=30", use)


def test_a_cancelled_reader_leaves_its_place_to_the_next(run: Run) -> None:
    async def use(db: Database) -> None:
        async def read() -> None:
            async with db.begin(read_only=True) as tx:
                await tx.run(ALL)

        for steps in range(12):
            task = asyncio.create_task(read())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(read() for _ in range(20)))

    run(use)
