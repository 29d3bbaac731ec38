"""What MariaDB alone must show: a pool whose connections are sound, a server that fails, deadlocks, prefixes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.sql.create import create, missing
from runtime.sql.database import Database, connect
from runtime.sql.errors import Conflict, InvalidValue, PoolTimeout, Unavailable
from runtime.sql.queries import Fixed, Query
from runtime.sql.statements import Outcome, Statement
from runtime.sql.sync import connect_sync
from runtime.sql.urls import MysqlUrl, parse_url
from tests.sql.engine_tables import DDL, User, UserDao, with_database

ADA, BOB = User(1, "ada", 36), User(2, "bob", 40)


def with_option(url: str, option: str) -> str:
    return f"{url}&{option}"


def raw(text: str, *, writes: bool = False) -> Query[int]:
    def read(outcome: Outcome, dialect: object) -> int:
        return outcome.rows[0][0] if outcome.rows else outcome.changed

    return Fixed(Statement("a test", lambda dialect: text, read, writes=writes), ())


CONNECTION_ID = raw("SELECT CONNECTION_ID()")


async def kill(db: Database, connection: int) -> None:
    """End a connection on the server, and wait until it is gone."""
    await db.run(raw(f"KILL {connection}", writes=True))
    async with asyncio.timeout(10):
        while await db.run(raw(f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {connection}")):
            pass


async def until_asleep(db: Database, connection: int) -> None:
    """Wait until the server runs SLEEP on this connection."""
    asleep = f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {connection} AND state = 'User sleep'"
    async with asyncio.timeout(10):
        while not await db.run(raw(asleep)):
            pass


@pytest.mark.mariadb
def test_a_connection_whose_query_was_cancelled_is_never_used_again(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        used = await db.run(CONNECTION_ID)
        other = await connect(mariadb_url)
        task = asyncio.create_task(db.run(raw("SELECT SLEEP(30) + 12345")))
        await until_asleep(other, used)
        await other.close()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await db.run(CONNECTION_ID) != used
        assert await db.run(raw("SELECT 7")) == 7

    with_database(with_option(mariadb_url, "pool_size=1"), use)


@pytest.mark.mariadb
def test_a_timeout_around_a_query_frees_its_place_in_the_pool(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await db.run(raw("SELECT SLEEP(30)"))
        assert await db.run(raw("SELECT 7")) == 7

    with_database(with_option(mariadb_url, "pool_size=1"), use)


@pytest.mark.mariadb
def test_the_pool_is_bounded_and_waiters_get_their_turn(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        ids = await asyncio.gather(*(db.run(raw("SELECT CONNECTION_ID() + SLEEP(0.01)")) for _ in range(30)))
        assert len(set(ids)) <= 3

    with_database(with_option(mariadb_url, "pool_size=3"), use)


@pytest.mark.mariadb
def test_an_exhausted_pool_says_so(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin(), db.begin():
            with pytest.raises(PoolTimeout, match="all 2 connections"):
                await db.run(raw("SELECT 1"))
        assert await db.run(raw("SELECT 1")) == 1

    with_database(with_option(mariadb_url, "pool_size=2&acquire_timeout_ms=30"), use)
    with (
        connect_sync(with_option(mariadb_url, "pool_size=1&acquire_timeout_ms=30")) as db,
        db.begin(),
        pytest.raises(PoolTimeout, match="all 1 connections"),
    ):
        db.run(raw("SELECT 1"))


@pytest.mark.mariadb
def test_a_waiter_that_gives_up_costs_nothing(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        async with db.begin():
            tasks = [asyncio.create_task(db.run(raw("SELECT 1"))) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks[:4]:
                task.cancel()
        assert await tasks[4] == 1
        assert await db.run(raw("SELECT 2")) == 2

    with_database(with_option(mariadb_url, "pool_size=1"), use)


@pytest.mark.mariadb
def test_connections_that_the_server_closed_are_replaced(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        other = await connect(mariadb_url)
        for query, expected in ((raw("SELECT 7"), 7), (UserDao.insert(ADA), 1)):
            victim = await db.run(CONNECTION_ID)
            await kill(other, victim)
            assert await db.run(query) == expected
        victim = await db.run(CONNECTION_ID)
        await kill(other, victim)
        async with db.begin() as tx:
            await tx.run(UserDao.insert(BOB))
        assert await db.run(UserDao.all().count()) == 2
        await other.close()

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_a_transaction_whose_connection_is_lost_ends_unavailable(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        other = await connect(mariadb_url)

        async def lose(*after: Query[int]) -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.insert(ADA))
                await kill(other, await tx.run(CONNECTION_ID))
                for query in after:
                    await tx.run(query)

        with pytest.raises(Unavailable):
            await lose(UserDao.insert(BOB))
        with pytest.raises(Unavailable, match="unknown"):
            await lose()
        assert await db.run(UserDao.all()) == []
        await other.close()

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_a_deadlock_is_a_conflict_and_ends_one_transaction(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many([ADA, BOB]))
        first_holds, second_holds = asyncio.Event(), asyncio.Event()

        async def write(mine: int, other: int, holds: asyncio.Event, awaited: asyncio.Event) -> None:
            async with db.begin() as tx:
                await tx.run(UserDao.update(UserDao.user_id == mine, age=mine))
                holds.set()
                await awaited.wait()
                try:
                    await tx.run(UserDao.update(UserDao.user_id == other, age=mine))
                except Conflict:
                    # The server has ended the transaction: another write must not slip out by itself.
                    with pytest.raises(Conflict, match="earlier failure"):
                        await tx.run(UserDao.update(UserDao.user_id == mine, age=99))

        results = await asyncio.gather(
            write(1, 2, first_holds, second_holds), write(2, 1, second_holds, first_holds), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
        winner = 1 if results[0] is None else 2
        assert await db.run(UserDao.all().values(UserDao.age)) == [winner, winner]

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_prefixes_keep_installations_apart(mariadb_url: str) -> None:
    async def run() -> None:
        one, two = await connect(mariadb_url + "one_"), await connect(mariadb_url + "two_")
        try:
            await create(one, DDL["mysql"])
            assert (await missing(two, {"sun.user": ["age"]})).tables == ["sun.user"]
            await create(two, DDL["mysql"])
            await one.run(UserDao.upsert(ADA))
            assert await one.run(UserDao.get(1)) == ADA
            assert await two.run(UserDao.get(1)) is None
        finally:
            await one.close()
            await two.close()

    asyncio.run(run())


@pytest.mark.mariadb
def test_sessions_are_strict_in_utc_and_read_what_is_committed(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        assert await db.run(raw("SELECT @@time_zone = '+00:00'")) == 1
        assert await db.run(raw("SELECT FIND_IN_SET('STRICT_ALL_TABLES', @@sql_mode) > 0")) == 1
        assert await db.run(raw("SELECT LOCATE('NO_BACKSLASH_ESCAPES', @@sql_mode)")) == 0
        async with db.begin() as tx:
            assert await tx.run(UserDao.all().count()) == 0
            await db.run(UserDao.insert(ADA))
            assert await tx.run(UserDao.all().count()) == 1

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_a_percent_sign_in_a_text_stands_for_itself(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        assert await db.run(raw("SELECT 7 %% 4")) == 3

    with_database(mariadb_url, use)
    with connect_sync(mariadb_url) as db:
        assert db.run(raw("SELECT 7 %% 4")) == 3


@pytest.mark.mariadb
def test_a_statement_longer_than_the_server_takes_is_an_invalid_value(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        with pytest.raises((InvalidValue, Unavailable)):
            await db.run(raw(f"SELECT LENGTH('{'x' * (17 << 20)}')"))
        assert await db.run(raw("SELECT 7")) == 7

    with_database(mariadb_url, use)


@pytest.mark.mariadb
def test_a_refused_password_is_one_line_without_it(mariadb_url: str) -> None:
    url = parse_url(mariadb_url)
    assert isinstance(url, MysqlUrl)
    wrong = f"mysql://{url.user}:not-the-password@{url.host}:{url.port}/"
    with pytest.raises(Unavailable, match=f"{url.host}:{url.port}: the user or the password") as caught:
        asyncio.run(connect(wrong))
    assert "not-the-password" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(Unavailable, match="the user or the password"):
        connect_sync(wrong)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_server_that_is_down_is_named() -> None:
    url = f"mysql://sun:secret@127.0.0.1:{closed_port()}/"
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: nothing answers there") as caught:
        asyncio.run(connect(url))
    assert "secret" not in str(caught.value)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: nothing answers there"):
        connect_sync(url)


@pytest.fixture
def serving() -> Iterator[Callable[[bytes], int]]:
    """Starts a server that says the given bytes to whoever connects, and then nothing; gives its port."""
    listeners: list[socket.socket] = []
    accepted: list[socket.socket] = []

    def start(greeting: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    accepted.append(connection)
                    connection.sendall(greeting)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    for each in listeners:
        each.shutdown(socket.SHUT_RDWR)
        each.close()
    for each in accepted:
        each.close()


def test_a_server_that_never_answers_is_given_up(serving: Callable[[bytes], int]) -> None:
    with pytest.raises(Unavailable, match="no connection within 60 ms"):
        asyncio.run(connect(f"mysql://sun@127.0.0.1:{serving(b'')}/?connect_timeout_ms=60"))


def test_a_server_of_another_kind_is_told(serving: Callable[[bytes], int]) -> None:
    port = serving(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        asyncio.run(connect(f"mysql://sun@127.0.0.1:{port}/?connect_timeout_ms=200"))


@pytest.mark.mariadb
def test_many_tasks_over_few_connections_all_get_their_own_rows(mariadb_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(UserDao.insert_many(User(n, f"u{n}", n % 100) for n in range(50)))

        async def look(n: int) -> None:
            for turn in range(20):
                which = (n + turn) % 50
                assert await db.run(UserDao.get(which)) == User(which, f"u{which}", which % 100)

        await asyncio.gather(*(look(n) for n in range(32)))

    with_database(with_option(mariadb_url, "pool_size=4"), use)
