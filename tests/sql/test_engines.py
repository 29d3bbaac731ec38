"""What every engine does alike: writes and reads, transactions, batches, errors."""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import Awaitable, Callable

import pytest

from runtime.sql.create import create, missing, split_statements
from runtime.sql.database import Database
from runtime.sql.dialects import MYSQL
from runtime.sql.errors import (
    Conflict,
    ConstraintViolation,
    InvalidValue,
    MissingTable,
    PoolTimeout,
    SqlError,
    Unavailable,
    UniqueViolation,
)
from runtime.sql.queries import Batch
from runtime.sql.sync import connect_sync
from tests.sql.engine_tables import DDL, Post, PostDao, User, UserDao, with_database

Use = Callable[[Database], Awaitable[None]]
Run = Callable[[Use], None]


@pytest.fixture
def run(sql_url: str) -> Run:
    return lambda use: with_database(sql_url, use)


ADA, BOB = User(1, "ada", 36), User(2, "bob", 40)


def test_rows_come_back_as_they_went(run: Run) -> None:
    post = Post(
        7,
        1,
        "a 'quoted' \\ 100% \N{GRINNING FACE}\0end",
        decimal.Decimal("12.50"),
        b"\x00\xff'\\",
        False,
        datetime.datetime(2030, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC),
        1.1,
    )

    async def use(db: Database) -> None:
        await db.run(PostDao.insert(post))
        assert await db.run(PostDao.get(7)) == post
        assert await db.run(PostDao.get(8)) is None
        for column, value in ((PostDao.text, post.text), (PostDao.data, post.data), (PostDao.price, post.price)):
            assert await db.run(PostDao.where(column == value)) == [post]  # type: ignore[arg-type]

    run(use)


def test_an_auto_increment_id_is_the_result_of_the_insert(run: Run) -> None:
    async def use(db: Database) -> None:
        first = await db.run(PostDao.insert(Post(0, 1)))
        second = await db.run(PostDao.insert(Post(0, 1)))
        assert second > first > 0
        assert await db.run(PostDao.get(second)) == Post(second, 1)

    run(use)


def test_counts_are_of_rows_matched(run: Run) -> None:
    async def use(db: Database) -> None:
        assert await db.run(UserDao.insert_many([ADA, BOB])) == 2
        assert await db.run(UserDao.update(UserDao.user_id > 0, age=36)) == 2
        assert await db.run(UserDao.update(UserDao.user_id > 0, age=36)) == 2  # the same values again
        assert await db.run(UserDao.update(UserDao.user_id == 9, age=1)) == 0
        assert await db.run(UserDao.upsert(User(1, "ada", 36))) == 1  # unchanged
        assert await db.run(UserDao.upsert(User(1, "ada", 37))) == 1  # changed
        assert await db.run(UserDao.upsert_many([User(1, "ada", 38), User(3, "cy", 1)])) == 2
        assert await db.run(UserDao.insert_if_absent(User(3, "other", 1))) == 0
        assert await db.run(UserDao.insert_if_absent(User(4, "cy", 1))) == 0
        assert await db.run(UserDao.insert_if_absent(User(4, "dan", 1))) == 1
        assert await db.run(UserDao.all().count()) == 4

    run(use)


def test_a_large_batch_is_all_or_nothing(run: Run) -> None:
    async def use(db: Database) -> None:
        assert await db.run(UserDao.insert_many(User(n, f"u{n}", 0) for n in range(25_000))) == 25_000
        with pytest.raises(UniqueViolation):
            await db.run(UserDao.insert_many(User(n, f"v{n}", 0) for n in range(49_999, 24_998, -1)))
        assert await db.run(UserDao.all().count()) == 25_000
        assert await db.run(Batch([])) == 0

    run(use)


@pytest.mark.parametrize(
    ("row", "key"),
    [(User(1, "eve", 1), "PRIMARY"), (User(9, "ada", 1), "user_by_name")],
)
def test_a_unique_violation_names_table_and_key(run: Run, row: User, key: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert(ADA))
        with pytest.raises(UniqueViolation) as caught:
            await db.run(UserDao.insert(row))
        assert (caught.value.table, caught.value.key) == ("sun.user", key)
        async with db.begin() as tx:
            with pytest.raises(UniqueViolation) as caught:
                await tx.run(UserDao.insert(row))
        assert (caught.value.table, caught.value.key) == ("sun.user", key)

    run(use)


@pytest.mark.parametrize(
    "row",
    [
        User(1, "a name of more than twenty letters", 1),
        User(1, "a", 300),
        User(1, "a", 1 << 70),
        User(1, "a", "many"),  # type: ignore[arg-type]
        User(1, None, 1),  # type: ignore[arg-type]
        User(1, "\ud800", 1),
    ],
)
def test_values_that_do_not_fit_are_refused(run: Run, row: User) -> None:
    async def use(db: Database) -> None:
        with pytest.raises(InvalidValue, match=r"sun\.user"):
            await db.run(UserDao.insert(row))
        async with db.begin() as tx:
            with pytest.raises(InvalidValue):
                await tx.run(UserDao.insert(row))
            await tx.run(UserDao.insert(BOB))  # a refused value leaves the transaction as it was
        assert await db.run(UserDao.all()) == [BOB]

    run(use)


def test_an_upsert_that_meets_another_row_is_refused(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many([ADA, BOB]))
        with pytest.raises((ConstraintViolation, InvalidValue)):
            await db.run(UserDao.upsert(User(3, "ada", 1)))
        assert await db.run(UserDao.all().order_by(UserDao.user_id.asc())) == [ADA, BOB]

    run(use)


def test_a_transaction_commits_as_a_whole_and_sees_its_own_writes(run: Run) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            await tx.run(UserDao.insert(ADA))
            assert await tx.run(UserDao.get(1)) == ADA
            assert await db.run(UserDao.get(1)) is None
        assert await db.run(UserDao.get(1)) == ADA

    run(use)


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_any_exception_rolls_back(run: Run, error: BaseException) -> None:
    async def use(db: Database) -> None:
        async def fail() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(ADA))
                raise error

        with pytest.raises(type(error)):
            await fail()
        assert await db.run(UserDao.get(1)) is None
        await db.run(UserDao.insert(ADA))

    run(use)


def test_a_batch_that_fails_in_a_transaction_leaves_nothing_behind(run: Run) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            with pytest.raises(UniqueViolation):
                await tx.run(Batch([UserDao.insert(ADA), UserDao.insert(BOB), UserDao.insert(ADA)]))
            assert await tx.run(UserDao.all()) == []
            assert await tx.run(Batch([UserDao.insert_if_absent(BOB), UserDao.insert_if_absent(BOB)])) == 1
        assert await db.run(UserDao.all()) == [BOB]

    run(use)


def test_a_transaction_spans_logical_databases(run: Run) -> None:
    async def use(db: Database) -> None:
        async def write() -> None:
            async with db.begin() as tx:
                await tx.run(PostDao.insert(Post(5, 1)))
                await tx.run(UserDao.insert(ADA))
                await tx.run(UserDao.insert(ADA))

        with pytest.raises(UniqueViolation):
            await write()
        assert await db.run(PostDao.get(5)) is None

    run(use)


def test_use_outside_the_block_is_an_error(run: Run) -> None:
    async def use(db: Database) -> None:
        tx = db.begin()
        with pytest.raises(RuntimeError, match="not open"):
            await tx.run(UserDao.get(1))
        async with tx:
            pass
        with pytest.raises(RuntimeError, match="not open"):
            await tx.run(UserDao.get(1))
        with pytest.raises(RuntimeError, match="once"):
            await tx.__aenter__()
        await tx.__aexit__(None, None, None)  # leaving twice is nothing

    run(use)


def test_callbacks_run_after_the_commit_and_only_then(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def use(db: Database) -> None:
        called: list[str] = []
        async with db.begin() as tx:
            tx.after_commit(lambda: called.append("one"))
            tx.after_commit(lambda: 1 // 0)
            tx.after_commit(lambda: called.append("two"))
            await tx.run(UserDao.insert(ADA))
            assert called == []
        assert called == ["one", "two"]
        assert "a callback after commit failed" in caplog.text

        async def fail() -> None:
            async with db.begin() as tx:
                tx.after_commit(lambda: called.append("three"))
                raise EOFError

        with pytest.raises(EOFError):
            await fail()
        assert called == ["one", "two"]

    run(use)


def test_statements_of_one_transaction_wait_for_each_other(run: Run) -> None:
    async def use(db: Database) -> None:
        async with db.begin() as tx:
            await asyncio.gather(*(tx.run(UserDao.insert(User(n, f"u{n}", n))) for n in range(50)))
        assert await db.run(UserDao.all().count()) == 50

    run(use)


def test_a_cancelled_statement_ends_its_transaction(run: Run) -> None:
    async def use(db: Database) -> None:
        async def write() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(ADA))
                statement = asyncio.create_task(tx.run(UserDao.insert(BOB)))
                await asyncio.sleep(0)
                statement.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await statement
                with pytest.raises(Conflict, match="earlier failure"):
                    await tx.run(UserDao.all())

        with pytest.raises(Conflict, match="earlier failure"):
            await write()
        assert await db.run(UserDao.all()) == []

    run(use)


def test_cancelled_calls_leave_the_store_whole(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many(User(n, f"u{n}", n) for n in range(100)))
        tasks: list[asyncio.Task[object]] = []
        tasks += [asyncio.create_task(db.run(UserDao.get(n % 100))) for n in range(300)]
        tasks += [asyncio.create_task(db.run(UserDao.all().count())) for _ in range(50)]
        await asyncio.sleep(0.002)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for n, result in enumerate(done[:300]):
            assert isinstance(result, asyncio.CancelledError) or result == User(n % 100, f"u{n % 100}", n % 100)
        for n in range(100):
            assert await db.run(UserDao.get(n)) == User(n, f"u{n}", n)

    run(use)


def test_a_transaction_cancelled_while_it_begins_holds_nothing(run: Run) -> None:
    async def use(db: Database) -> None:
        async def write() -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert_if_absent(ADA))

        for steps in range(12):
            task = asyncio.create_task(write())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(write() for _ in range(20)))
        assert await db.run(UserDao.all()) == [ADA]

    run(use)


def test_missing_tables_and_columns_are_named(run: Run) -> None:
    async def use(db: Database) -> None:
        await create(db, {"sun_internal": ""})
        wanted = {
            "sun.user": ["age", "size"],
            "sun_internal.nothing": ["a"],
            "sun_chat.post": ["text"],
            "sun.nobody": [],
        }
        lacking = await missing(db, wanted)
        assert lacking.tables == ["sun_internal.nothing", "sun.nobody"]
        assert lacking.columns == ["sun.user.size"]
        assert await missing(db, {}) == ([], [])
        dropped = "DROP TABLE " + (db.dialect.table("sun", "user"))
        await db.create({"sun": [dropped]})
        with pytest.raises(MissingTable, match=r"sun\.user"):
            await db.run(UserDao.get(1))
        await create(db, DDL[db.dialect.name])
        await create(db, DDL[db.dialect.name])
        assert await db.run(UserDao.get(1)) is None

    run(use)


def test_ddl_that_fails_is_a_typed_error(run: Run) -> None:
    async def use(db: Database) -> None:
        with pytest.raises(SqlError, match="CREATE NONSENSE"):
            await create(db, {"sun": "CREATE NONSENSE here;\n"})
        assert await db.run(UserDao.all()) == []

    run(use)


def test_ddl_is_split_at_line_ends() -> None:
    assert split_statements("-- a; b;\n\nCREATE a (\n  b INT, -- c\n  d INT COMMENT ';'\n);\nCREATE e;\n") == [
        "CREATE a (\n  b INT, -- c\n  d INT COMMENT ';'\n)",
        "CREATE e",
    ]


def test_a_closed_database_says_so(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.ping()
        await db.close()
        await db.close()
        for query in (UserDao.get(1), UserDao.insert(ADA), UserDao.all()):
            with pytest.raises(Unavailable, match="closed"):
                await db.run(query)  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="closed"):
            await db.ping()
        with pytest.raises(Unavailable, match="closed"):
            async with db.begin():
                pass

    run(use)


def test_the_same_queries_run_without_an_event_loop(run: Run, sql_url: str) -> None:
    async def prepare(db: Database) -> None:
        pass

    run(prepare)
    with connect_sync(sql_url) as db:
        db.ping()
        assert db.run(UserDao.insert_many([ADA, BOB])) == 2
        assert db.run(UserDao.get(1)) == ADA
        assert db.run(UserDao.update(UserDao.user_id > 0, age=36)) == 2
        assert db.run(UserDao.insert_if_absent(ADA)) == 0
        assert db.run(PostDao.insert(Post(0, 1, "x"))) > 0
        with pytest.raises(UniqueViolation) as caught:
            db.run(UserDao.insert(User(9, "ada", 1)))
        assert (caught.value.table, caught.value.key) == ("sun.user", "user_by_name")
        with pytest.raises(InvalidValue, match=r"sun\.user"):
            db.run(UserDao.insert(User(9, "eve", 300)))

        def fail() -> None:
            with db.begin() as tx:
                tx.run(UserDao.insert(User(3, "cy", 1)))
                raise EOFError

        with pytest.raises(EOFError):
            fail()
        called: list[int] = []
        with db.begin() as tx:
            tx.after_commit(lambda: called.append(1))
            with pytest.raises(UniqueViolation):
                tx.run(Batch([UserDao.insert(User(3, "cy", 1)), UserDao.insert(ADA)]))
            tx.run(UserDao.insert(User(4, "dan", 1)))
        assert called == [1]
        with pytest.raises(RuntimeError, match="not open"):
            tx.run(UserDao.get(1))
        assert db.run(UserDao.all().order_by(UserDao.user_id.asc()).values(UserDao.user_id)) == [1, 2, 4]
        with pytest.raises(UniqueViolation):
            db.run(Batch([UserDao.insert(User(5, "fay", 1)), UserDao.insert(ADA)]))
        assert db.run(UserDao.get(5)) is None
    with pytest.raises(Unavailable, match="closed"):
        db.run(UserDao.get(1))


def test_waiting_for_a_connection_or_the_writer_has_a_limit(sql_url: str) -> None:
    limited = f"{sql_url}{'&' if '?' in sql_url else '?'}acquire_timeout_ms=50"
    if not sql_url.startswith("sqlite"):
        limited += "&pool_size=1"

    async def use(db: Database) -> None:
        async with db.begin() as tx:
            waiting = [asyncio.create_task(db.run(UserDao.insert(ADA))) for _ in range(3)]
            for task in waiting:
                with pytest.raises(PoolTimeout, match=r"for 0\.05 s"):
                    await task
            await tx.run(UserDao.insert(BOB))
        assert await db.run(UserDao.all()) == [BOB]

    with_database(limited, use)


def test_prefixes_keep_installations_apart_in_the_text() -> None:
    assert MYSQL.prefixed("t1_").table("sun", "user") == "`t1_sun`.`user`"
    statement, _ = UserDao.get(1).resolve()
    assert "`a_sun`" in statement.text(MYSQL.prefixed("a_"))
    assert "`b_sun`" in statement.text(MYSQL.prefixed("b_"))
    assert "`sun`" in statement.text(MYSQL)
