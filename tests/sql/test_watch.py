"""What is told of statements: observers, the log at DEBUG, warnings for slow ones; never their parameters."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

import pytest

from runtime.metrics import Metrics
from runtime.sql.database import Database, connect
from runtime.sql.errors import UniqueViolation
from runtime.sql.queries import Fixed
from runtime.sql.statements import Statement
from runtime.sql.sync import connect_sync
from runtime.sql.watch import KINDS
from tests.sql.cached_tables import ItemDao, with_shop
from tests.sql.engine_tables import User, UserDao, with_database

Run = Callable[[Callable[[Database], Awaitable[None]]], None]
Told = tuple[str, str, int, str | None]

ADA, BOB = User(1, "ada", 36), User(2, "bob", 40)
SECRET = "not-for-the-log"
SLEEP = Fixed(Statement("a sleep", lambda dialect: "SELECT SLEEP(0.02)", lambda o, d: 0), ())


@pytest.fixture
def run(sql_url: str) -> Run:
    return lambda use: with_database(sql_url, use)


class Ear:
    """Keeps what an observer is told; the times need only be times."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def __call__(self, table: str, kind: str, seconds: float, rows: int, error: BaseException | None) -> None:
        assert 0 <= seconds < 60
        assert kind in KINDS
        self.told.append((table, kind, rows, None if error is None else type(error).__name__))

    def take(self) -> list[Told]:
        taken, self.told = self.told, []
        return taken


def test_observers_are_told_every_statement(run: Run, sql_url: str) -> None:
    ear = Ear()

    async def use(db: Database) -> None:
        db.observe(lambda *told: 1 // 0)  # one that fails stops nobody
        db.observe(ear)
        await db.run(UserDao.insert(ADA))
        await db.run(UserDao.get(1))
        await db.run(UserDao.get(9))
        with pytest.raises(UniqueViolation):
            await db.run(UserDao.insert(ADA))
        assert ear.take() == [
            ("sun.user", "insert", 1, None),
            ("sun.user", "select", 1, None),
            ("sun.user", "select", 0, None),
            ("sun.user", "insert", 0, "UniqueViolation"),
        ]
        assert [row async for row in db.stream(UserDao.all(), batch=1)] == [ADA]
        async with db.begin() as tx, tx.begin() as inner:
            await inner.run(UserDao.update(UserDao.user_id == 1, age=3))
            await inner.run(UserDao._delete((UserDao.user_id == 1,), {}))
        assert ear.take() == [
            ("sun.user", "stream", 1, None),
            ("sun.user", "update", 1, None),
            ("sun.user", "delete", 1, None),
            ("transaction", "commit", 0, None),
        ]

    run(use)
    with connect_sync(sql_url) as db:
        db.observe(ear)
        db.run(UserDao.insert(ADA))
        with pytest.raises(UniqueViolation):
            db.run(UserDao.insert(ADA))
        assert list(db.stream(UserDao.all())) == [ADA]
        with db.begin() as tx, tx.begin() as inner:
            inner.run(UserDao.update(UserDao.user_id == 1, age=3))
    assert ear.take() == [
        ("sun.user", "insert", 1, None),
        ("sun.user", "insert", 0, "UniqueViolation"),
        ("sun.user", "stream", 1, None),
        ("sun.user", "update", 1, None),
        ("transaction", "commit", 0, None),
    ]


def test_a_batch_is_told_as_one(run: Run) -> None:
    ear = Ear()

    async def use(db: Database) -> None:
        db.observe(ear)
        users = [User(n, f"u{n}", 1) for n in range(25_000)]  # more than one statement
        await db.run(UserDao.insert_many(users))
        with pytest.raises(UniqueViolation):
            await db.run(UserDao.insert_many(users))
        assert ear.take() == [("sun.user", "batch", 25_000, None), ("sun.user", "batch", 0, "UniqueViolation")]

    run(use)


def test_the_log_tells_statements_at_debug_without_parameters(
    run: Run, sql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(db: Database) -> None:
        with contextlib.suppress(UniqueViolation):
            await db.run(UserDao.insert(User(1, SECRET, 1)))
            await db.run(UserDao.insert(User(1, SECRET, 1)))

    with caplog.at_level(logging.DEBUG, "sun.sql"):
        run(use)
        assert "insert of sun.user: " in caplog.text
        assert "1 rows" in caplog.text
        assert "UniqueViolation" in caplog.text
        caplog.clear()
        with connect_sync(sql_url) as db:
            db.run(UserDao.where(UserDao.user_name == SECRET))
        assert "select of sun.user: " in caplog.text
    assert SECRET not in caplog.text
    caplog.clear()
    run(use)
    assert caplog.text == ""


@pytest.mark.mariadb
def test_a_slow_statement_is_a_warning(mariadb_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def use(db: Database) -> None:
        await db.run(SLEEP)
        assert "slow select of a sleep" in caplog.text
        assert "SELECT SLEEP(0.02)" in caplog.text
        assert caplog.records[-1].levelname == "WARNING"
        caplog.clear()
        async with db.begin() as tx:
            await tx.run(SLEEP)
        assert "slow select of a sleep" in caplog.text
        other = await connect(mariadb_url + "&slow_ms=0")
        caplog.clear()
        await other.run(SLEEP)
        assert caplog.text == ""
        await other.close()

    with_database(mariadb_url + "&slow_ms=10", use)
    caplog.clear()
    with connect_sync(mariadb_url + "&slow_ms=10") as db:
        db.run(SLEEP)
    assert "slow select of a sleep" in caplog.text


def test_statements_are_measured_by_table(run: Run) -> None:
    metrics = Metrics()

    async def use(db: Database) -> None:
        db.observe(metrics.statement_finished)
        await db.run(UserDao.insert_many([ADA, BOB]))
        await db.run(UserDao.all())
        with pytest.raises(UniqueViolation):
            await db.run(UserDao.insert(ADA))

    run(use)
    value = metrics.registry.get_sample_value
    assert value("sun_sql_seconds_count", {"table": "sun.user", "kind": "select"}) == 1
    labels = {"table": "sun.user", "kind": "insert", "error": "UniqueViolation"}
    assert value("sun_sql_errors_total", labels) == 1


def test_the_labels_of_statements_are_bounded() -> None:
    metrics = Metrics()
    for n in range(3_000):
        metrics.statement_finished(f"raw {n}", "select", 0.001, 1, ValueError("no"))
    assert metrics.registry.get_sample_value("sun_sql_seconds_count", {"table": "other", "kind": "other"}) == 1_000
    errors = {"table": "other", "kind": "other", "error": "ValueError"}
    assert metrics.registry.get_sample_value("sun_sql_errors_total", errors) == 1_000


def test_the_row_cache_is_in_the_metrics(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        metrics = Metrics()
        metrics.watch_cache(db.cache)
        for _ in range(3):
            await db.run(ItemDao.get(1))
        text = metrics.render().decode()
        assert 'sun_cache_rows{table="shop.item"} 1.0' in text
        assert 'sun_cache_hits_total{table="shop.item"} 2.0' in text
        assert 'sun_cache_misses_total{table="shop.item"} 1.0' in text

    with_shop(sqlite_url, use)
