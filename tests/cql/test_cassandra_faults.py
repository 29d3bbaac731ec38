"""Clusters that are away, slow, strict or overloaded: one typed error each, within the time allowed, and a recovery."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from runtime import cql
from runtime.cql.cassandra import driver
from runtime.cql.cassandra.connecting import IfHarmless
from runtime.cql.cassandra.failures import failure
from runtime.cql.cassandra.places import Flight, Places
from runtime.cql.cassandra.protocol import RefusedRequest
from runtime.cql.database import Database, connect, connect_sync
from runtime.cql.errors import (
    CqlError,
    Denied,
    InvalidState,
    InvalidValue,
    MissingTable,
    Timeout,
    TooManyRequests,
    Unavailable,
)
from runtime.cql.urls import InvalidUrl
from tests.cql.nodes import StallProxy, StrictNode
from tests.cql.sample_tables import Message, MessageDao
from tests.cql.stores import create_samples, prefix

GET = MessageDao.get(room_key=f"room {uuid.uuid4()}", bucket=1, message_id=1)
INSERT = MessageDao.insert(Message(room_key=f"room {uuid.uuid4()}", bucket=1, message_id=1, text="x"))


@pytest.fixture
def proxy(cassandra_url: str, cassandra_address: str) -> Iterator[StallProxy]:
    with connect_sync(cassandra_url) as db:
        create_samples(db, cassandra_url)
    with StallProxy(cassandra_address) as made:
        yield made


def behind(proxy: StallProxy, url: str, options: str = "") -> str:
    return f"cassandra://127.0.0.1:{proxy.port}/?prefix={prefix(url)}&connect_timeout_ms=20000&{options}"


def run(url: str, work: Callable[[Database], Awaitable[None]]) -> None:
    async def main() -> None:
        db = await connect(url)
        try:
            await db.run(GET)  # prepared from here on
            await db.run(INSERT)
            await work(db)
        finally:
            await db.close()

    asyncio.run(main())


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.02)


async def works(db: Database) -> bool:
    try:
        await db.run(GET)
    except CqlError:
        return False
    return True


# --- time-outs and places


@pytest.mark.cassandra
def test_no_answer_is_a_timeout_and_the_database_goes_on(proxy: StallProxy, cassandra_url: str) -> None:
    async def work(db: Database) -> None:
        proxy.stall()
        delete = MessageDao.delete(room_key="x", bucket=1, message_id=1)
        queries: list[cql.Query[Any]] = [GET, INSERT, cql.batch([INSERT]), delete]
        for query in queries:
            with pytest.raises(Timeout, match=r"sun_msg\.message"):
                await db.run(query.options(timeout_ms=100))
        assert db.in_flight() == 0
        proxy.flow()
        await until(lambda: works(db))

    run(behind(proxy, cassandra_url, "timeout_ms=20000"), work)


@pytest.mark.cassandra
def test_a_thread_waits_no_longer_either(proxy: StallProxy, cassandra_url: str) -> None:
    with connect_sync(behind(proxy, cassandra_url)) as db:
        db.run(GET)
        proxy.stall()
        with pytest.raises(Timeout):
            db.run(GET.options(timeout_ms=100))
        with pytest.raises(Timeout):
            db.run(MessageDao.slice(room_key="a", bucket=1, after=5).options(timeout_ms=100))  # not prepared yet
        proxy.flow()


@pytest.mark.cassandra
def test_places_are_bounded_and_kept_by_cancelled_requests(proxy: StallProxy, cassandra_url: str) -> None:
    async def work(db: Database) -> None:
        proxy.stall()
        under_way = [asyncio.create_task(db.run(GET)) for _ in range(3)]
        await until(lambda: db.in_flight() == 3)
        with pytest.raises(TooManyRequests, match="all 3 places"):
            await db.run(GET)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        assert db.in_flight() == 3
        waiting = asyncio.create_task(db.run(GET.options(timeout_ms=20_000)))
        proxy.flow()
        await waiting
        await until(lambda: db.in_flight() == 0)

    run(behind(proxy, cassandra_url, "max_in_flight=3&acquire_timeout_ms=100&timeout_ms=20000"), work)


@pytest.mark.cassandra
def test_more_tasks_than_places_are_all_served(cassandra_url: str, proxy: StallProxy) -> None:
    async def work(db: Database) -> None:
        most = 0

        async def one() -> None:
            nonlocal most
            await db.run(GET)
            most = max(most, db.in_flight())

        await asyncio.gather(*(one() for _ in range(500)))
        assert most <= 4
        assert db.in_flight() == 0

    run(f"{cassandra_url}&max_in_flight=4", work)


def test_a_place_goes_to_the_next_in_line_once() -> None:
    places = Places(1)
    given: list[str] = []
    assert places.take()
    flight = Flight(places, lambda result: None)
    first = places.stand_in_line(lambda: given.append("first"))
    places.stand_in_line(lambda: given.append("second"))
    assert not places.leave(first)
    flight.expire("late")
    assert given == ["second"]
    flight.end("answer")
    flight.end("answer again")
    assert not places.take()
    places.give_back()
    assert places.take()


# --- lost connections


@pytest.mark.cassandra
@pytest.mark.parametrize("idempotent", [False, True])
def test_a_write_whose_connection_breaks_may_have_happened(
    proxy: StallProxy, cassandra_url: str, idempotent: bool
) -> None:
    async def work(db: Database) -> None:
        proxy.stall()
        write = asyncio.create_task(db.run(INSERT.options(idempotent=idempotent)))
        read = asyncio.create_task(db.run(GET))
        await until(lambda: db.in_flight() == 2)
        proxy.reset()
        proxy.flow()
        wrote, found = await asyncio.gather(write, read, return_exceptions=True)
        # What is idempotent may have been tried again, on a new connection.
        assert type(wrote) is Timeout or (idempotent and wrote is None)
        assert type(found) is Unavailable or found is None
        await until(lambda: works(db))
        assert db.in_flight() == 0

    run(behind(proxy, cassandra_url, "timeout_ms=20000"), work)


# --- connecting


@pytest.mark.parametrize("connecting", ["async", "sync"])
@pytest.mark.parametrize(
    ("host", "part"), [("127.0.0.1:1", "127.0.0.1:1: can't be reached"), ("nosuch.invalid", "no such host")]
)
def test_a_cluster_that_is_not_there(connecting: str, host: str, part: str) -> None:
    with pytest.raises(Unavailable, match=part):
        open_and_close(f"cassandra://sun:secret@{host}/?connect_timeout_ms=5000", connecting)


@pytest.mark.parametrize("connecting", ["async", "sync"])
def test_a_cluster_that_says_nothing(connecting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="can't be reached"):
            open_and_close(f"cassandra://127.0.0.1:{silent.getsockname()[1]}/?connect_timeout_ms=300", connecting)
        assert time.monotonic() - began < 10  # and not the driver's own patience with each host


@pytest.mark.parametrize("connecting", ["async", "sync"])
def test_wrong_credentials_are_denied_and_not_told(connecting: str) -> None:
    with StrictNode() as node, pytest.raises(Denied, match="password are incorrect") as caught:
        open_and_close(f"cassandra://sun:secret@127.0.0.1:{node.port}/?connect_timeout_ms=5000", connecting)
    assert "secret" not in str(caught.value)


@pytest.mark.cassandra
def test_a_wrong_data_centre_lists_those_there_are(cassandra_url: str) -> None:
    with pytest.raises(InvalidUrl, match=r"dc='elsewhere'.*datacenter1"):
        open_and_close(f"{cassandra_url}&dc=elsewhere", "async")
    open_and_close(f"{cassandra_url}&dc=datacenter1&speculative_ms=50", "async")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("tls=on&tls_ca=/nosuch/ca.pem", "tls_ca='/nosuch/ca.pem'"),
        ("tls=on&tls_certificate=/nosuch/me.pem", "tls_certificate='/nosuch/me.pem'"),
    ],
)
def test_files_that_are_missing_are_named(options: str, part: str) -> None:
    with pytest.raises(InvalidUrl, match=part):
        open_and_close(f"cassandra://127.0.0.1:1/?{options}", "sync")


def open_and_close(url: str, connecting: str) -> None:
    async def main() -> None:
        await (await connect(url)).close()

    if connecting == "sync":
        connect_sync(url).close()
    else:
        asyncio.run(main())


# --- what the driver raises


class _Query:
    def __init__(self, idempotent: bool) -> None:
        self.is_idempotent = idempotent


def test_only_what_is_harmless_is_tried_again() -> None:
    policy = IfHarmless()
    for idempotent, decision in ((True, policy.RETRY_NEXT_HOST), (False, policy.RETHROW)):
        query = _Query(idempotent)
        lost = policy.on_request_error(query, 1, driver.ConnectionShutdown("gone"), 0)
        assert lost[0] == decision
        assert policy.on_unavailable(query, 1, 2, 1, 0)[0] == decision
        assert policy.on_request_error(query, 1, driver.ConnectionShutdown("gone"), 1)[0] == policy.RETHROW
    assert policy.on_write_timeout(_Query(False), 1, 4, 1, 0, 0)[0] == policy.RETHROW
    assert policy.on_read_timeout(_Query(True), 1, 2, 2, False, 0)[0] == policy.RETRY


def _no_host(**errors: Exception) -> Exception:
    return driver.NoHostAvailable("Unable to complete", {_Host(name): error for name, error in errors.items()})


class _Host:
    def __init__(self, name: str) -> None:
        self.endpoint = name


INVALID = driver.InvalidRequest
WRITE_TIMEOUT: Any = driver.WriteTimeout
WRITE_FAILURE: Any = driver.WriteFailure


@pytest.mark.parametrize(
    ("error", "writes", "kind"),
    [
        (driver.Unavailable("Cannot achieve consistency", 6, 2, 1), True, Unavailable),
        (driver.ReadTimeout("too slow"), False, Timeout),
        (WRITE_TIMEOUT("too slow", write_type=0), True, Timeout),
        (WRITE_FAILURE("failed", write_type=0), True, Timeout),
        (driver.ReadFailure("failed"), False, CqlError),
        (driver.Overloaded(0x1001, "overloaded", None), True, Unavailable),
        (driver.ConnectionShutdown("gone"), True, Timeout),
        (driver.ConnectionShutdown("gone"), False, Unavailable),
        (_no_host(a=driver.ConnectionException("down")), False, Unavailable),
        (_no_host(), True, Timeout),
        (_no_host(a=driver.ReadTimeout("too slow")), False, Timeout),
        (driver.Unauthorized("User sun has no SELECT permission"), False, Denied),
        (INVALID('message="table nosuch does not exist"'), False, MissingTable),
        (INVALID('message="unconfigured table nosuch"'), False, MissingTable),
        (INVALID('message="Undefined column name zz in table a.b"'), False, MissingTable),
        (INVALID('message="Key length of 70000 is longer than maximum of 65535"'), True, InvalidValue),
        (INVALID('message="Batch too large"'), True, InvalidValue),
        (INVALID('message="Something else"'), True, CqlError),
        (RefusedRequest("Invalid value for the paging state"), False, CqlError),
    ],
)
def test_failures_have_their_classes_and_name_the_table(error: Exception, writes: bool, kind: type[Exception]) -> None:
    found: Any = failure(error, "sun_msg.message", writes=writes)
    assert type(found) is kind
    assert str(found).startswith("sun_msg.message: ")


def test_a_write_that_no_node_was_asked_for_did_not_happen() -> None:
    found = failure(_no_host(a=driver.ConnectionException("down")), "a.b", writes=True, sent=False)
    assert type(found) is Unavailable


def test_a_refused_state_is_an_invalid_state() -> None:
    assert type(failure(RefusedRequest("no"), "a.b", writes=False, state=True)) is InvalidState
