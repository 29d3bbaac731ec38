"""A node that dies and comes back, or stops to answer, under the writes of a process that goes on all the while."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from runtime import cql
from runtime.cql.cassandra import connecting
from runtime.cql.clock import Clock
from runtime.cql.database import Database, SyncDatabase, connect, connect_sync
from runtime.cql.errors import CqlError, Timeout, TooManyRequests, Unavailable
from tests.cql.sample_tables import DDL, Message, MessageDao
from tests.cql.stores import create
from tests.servers import PrivateCassandra

pytestmark = pytest.mark.cassandra

TIMEOUT_S = 5
PAUSE_S = 0.02
"""Between two writes of a task or thread, so that the node has something left of the processor to start with."""
STORED = 500
"""Rows that are there before anything happens, for streams."""
PAGE = 50
STORED_ROWS = MessageDao.slice(room_key="stored", bucket=0)
GET = MessageDao.get(room_key="stored", bucket=0, message_id=1)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCassandra]:
    with PrivateCassandra(tmp_path_factory.mktemp("node")) as node:
        with connect_sync(url(node)) as db:
            tables = ("CREATE KEYSPACE", "CREATE TYPE", "CREATE TABLE sun_msg.message ")
            statements = [each.strip() for each in DDL.split(";")]
            create(db, [each for each in statements if each.startswith(tables)])
            db.run(MessageDao.insert_many(row("stored", 0, number) for number in range(STORED)))
        yield node


def url(node: PrivateCassandra, options: str = "") -> str:
    return f"cassandra://{node.address}/?timeout_ms={TIMEOUT_S * 1000}&connect_timeout_ms=20000&{options}"


def row(room: str, bucket: int, number: int) -> Message:
    return Message(room_key=room, bucket=bucket, message_id=number, text=f"text {number}")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def works(db: SyncDatabase) -> bool:
    try:
        db.run(GET)
    except CqlError:
        return False
    return True


async def works_too(db: Database) -> bool:
    try:
        await db.run(GET)
    except CqlError:
        return False
    return True


# --- a node that is killed and started again


def insert(room: str, bucket: int, number: int) -> cql.Query[Any]:
    return MessageDao.insert(row(room, bucket, number))


def harmless(room: str, bucket: int, number: int) -> cql.Query[Any]:
    return MessageDao.insert(row(room, bucket, number)).options(idempotent=True)


def conditional(room: str, bucket: int, number: int) -> cql.Query[Any]:
    return MessageDao.insert(row(room, bucket, number)).if_not_exists()


def batch(room: str, bucket: int, number: int) -> cql.Query[Any]:
    return cql.batch([insert(room, bucket, number), insert(room, bucket, -number)])


KINDS = (insert, harmless, conditional, batch)
ROOMS = ("tasks", "threads")
PLACES = [(room, bucket) for room in ROOMS for bucket in range(len(KINDS))]


@dataclass(frozen=True)
class Attempt:
    """A write of a row of its own. `error` None: it was acknowledged."""

    room: str
    bucket: int
    number: int
    error: BaseException | None
    seconds: float


class Writers:
    """Tasks and threads that write one new row after the other, and note what came of each, until they are stopped."""

    def __init__(self, address: str) -> None:
        self.attempts: list[Attempt] = []
        self.in_flight_at_end = -1
        self._address = address
        self._stopping = threading.Event()
        self._sync = connect_sync(address)
        self._threads = [threading.Thread(target=self._run_tasks)]
        self._threads += [threading.Thread(target=self._write, args=(bucket,)) for bucket in range(len(KINDS))]
        for thread in self._threads:
            thread.start()

    def count(self, *, since: int = 0) -> Counter[tuple[str, int, bool]]:
        """Attempts by room, bucket and whether they were acknowledged."""
        return Counter((each.room, each.bucket, each.error is None) for each in self.attempts[since:])

    def await_of_each(self, least: int, *, acknowledged: bool) -> None:
        """Until every kind of write, from now on, was so often acknowledged, or not."""
        since = len(self.attempts)
        until(lambda: all(self.count(since=since)[(*place, acknowledged)] >= least for place in PLACES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self._sync.close()

    def _run_tasks(self) -> None:
        asyncio.run(self._write_in_tasks())

    async def _write_in_tasks(self) -> None:
        db = await connect(self._address)
        async with asyncio.TaskGroup() as tasks:
            for bucket in range(len(KINDS)):
                tasks.create_task(self._write_in_task(db, bucket))
        self.in_flight_at_end = db.in_flight()
        await db.close()

    async def _write_in_task(self, db: Database, bucket: int) -> None:
        for number in itertools.count(1):
            if self._stopping.is_set():
                return
            with self._noted("tasks", bucket, number):
                await db.run(KINDS[bucket]("tasks", bucket, number))
            await asyncio.sleep(PAUSE_S)

    def _write(self, bucket: int) -> None:
        for number in itertools.count(1):
            if self._stopping.wait(PAUSE_S):
                return
            with self._noted("threads", bucket, number):
                self._sync.run(KINDS[bucket]("threads", bucket, number))

    @contextmanager
    def _noted(self, room: str, bucket: int, number: int) -> Iterator[None]:
        began, failure = time.monotonic(), None
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, a test looks at it
            failure = error
        self.attempts.append(Attempt(room, bucket, number, failure, time.monotonic() - began))


@dataclass
class Outage:
    """What a process saw of it."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])
    found: dict[tuple[str, int], set[int]] = field(default_factory=dict[tuple[str, int], set[int]])
    in_flight: int = -1
    while_down: dict[str, BaseException] = field(default_factory=dict[str, BaseException])
    in_stream: list[BaseException] = field(default_factory=list[BaseException])
    streamed: list[list[int]] = field(default_factory=list[list[int]])


@pytest.fixture(scope="module")
def outage(node: PrivateCassandra) -> Outage:
    """Kills the node under writes and starts it again, while the clock is set back."""
    told = Outage()
    with Writers(url(node)) as writers, asyncio.Runner() as loop, connect_sync(url(node)) as sync:
        db = loop.run(connect(url(node)))
        stream, sync_stream = db.stream(STORED_ROWS, page_size=PAGE), sync.stream(STORED_ROWS, page_size=PAGE)
        rows, sync_rows = aiter(stream), iter(sync_stream)
        seen: list[list[int]] = [[], []]
        loop.run(take(rows, seen[0], 2 * PAGE))
        take_now(sync_rows, seen[1], 2 * PAGE)
        writers.await_of_each(20, acknowledged=True)
        node.kill()
        with pytest.MonkeyPatch.context() as patch:
            now = time.time
            patch.setattr(time, "time", lambda: now() - 3600)
            writers.await_of_each(3, acknowledged=False)
            told.in_stream = [
                raised(lambda: loop.run(take(rows, seen[0]))),
                raised(lambda: take_now(sync_rows, seen[1])),
            ]
            told.while_down = {
                "connect": raised(lambda: loop.run(connect(url(node)))),
                "connect_sync": raised(lambda: connect_sync(url(node))),
                "ping": raised(lambda: loop.run(db.ping())),
                "unprepared read": raised(lambda: sync.run(MessageDao.slice(room_key="stored", bucket=0, limit=1))),
                "unprepared write": raised(lambda: loop.run(db.run(insert("other", 0, 1).options(timeout_ms=400)))),
            }
            node.start()
            writers.await_of_each(20, acknowledged=True)
        writers.stop()
        until(lambda: works(sync))
        until(lambda: loop.run(works_too(db)))
        loop.run(take(aiter(stream), seen[0]))
        take_now(iter(sync_stream), seen[1])
        loop.run(db.ping())
        loop.run(db.close())
    with connect_sync(url(node)) as later:
        for room, bucket in PLACES:
            found = later.run(MessageDao.slice(room_key=room, bucket=bucket))
            told.found[room, bucket] = {each.message_id for each in found}
    told.attempts, told.in_flight, told.streamed = writers.attempts, writers.in_flight_at_end, seen
    return told


async def take(rows: AsyncIterator[Message], into: list[int], most: int | None = None) -> None:
    async for each in rows:
        into.append(each.message_id)
        if len(into) == most:
            break


def take_now(rows: Iterator[Message], into: list[int], most: int | None = None) -> None:
    into.extend(each.message_id for each in itertools.islice(rows, most))


def raised(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one, a test says
        work()
    return caught.value


@pytest.mark.parametrize(("room", "bucket"), PLACES)
def test_every_row_that_was_acknowledged_is_there(outage: Outage, room: str, bucket: int) -> None:
    ours = [each for each in outage.attempts if (each.room, each.bucket) == (room, bucket)]
    assert {each.number for each in ours if each.error is None} <= outage.found[room, bucket]


@pytest.mark.parametrize(("room", "bucket"), PLACES)
def test_a_write_that_was_unavailable_did_not_happen(outage: Outage, room: str, bucket: int) -> None:
    ours = [each for each in outage.attempts if (each.room, each.bucket) == (room, bucket)]
    unavailable = {each.number for each in ours if isinstance(each.error, Unavailable)}
    assert unavailable
    assert not unavailable & outage.found[room, bucket]


def test_a_batch_was_done_wholly_or_not_at_all(outage: Outage) -> None:
    for room in ROOMS:
        found = outage.found[room, KINDS.index(batch)]
        assert {-number for number in found} == found


def test_every_failure_says_whether_the_write_may_have_happened(outage: Outage) -> None:
    assert {type(each.error) for each in outage.attempts if each.error is not None} <= {Unavailable, Timeout}


def test_no_write_took_longer_than_its_time(outage: Outage) -> None:
    assert max(each.seconds for each in outage.attempts) < 2 * TIMEOUT_S  # a machine that is busy with a start


def test_no_place_among_the_requests_in_flight_was_lost(outage: Outage) -> None:
    assert outage.in_flight == 0


def test_what_asks_a_node_that_is_down_is_told_so(outage: Outage, node: PrivateCassandra) -> None:
    assert {name: type(error) for name, error in outage.while_down.items()} == dict.fromkeys(
        outage.while_down, Unavailable
    )
    for name in ("connect", "connect_sync"):
        assert str(outage.while_down[name]).startswith(f"{node.address}: can't be reached")


def test_a_stream_breaks_clearly_and_goes_on_where_it_was(outage: Outage) -> None:
    assert [type(error) for error in outage.in_stream] == [Unavailable, Unavailable]
    for numbers in outage.streamed:
        assert set(numbers) == set(range(STORED))
        assert len(numbers) <= STORED + PAGE  # of the page that was left in the middle, rows come again


def test_a_statement_that_the_node_forgot_is_prepared_again(node: PrivateCassandra) -> None:
    with connect_sync(url(node)) as db, connect_sync(url(node)) as other:
        for bucket, kind in enumerate(KINDS):
            db.run(kind("forgotten", bucket, 1))
        create(other, ["ALTER TABLE sun_msg.message ADD other int"])
        for bucket, kind in enumerate(KINDS):
            db.run(kind("forgotten", bucket, 2))
            found = db.run(MessageDao.slice(room_key="forgotten", bucket=bucket))
            assert {abs(each.message_id) for each in found} == {1, 2}


# --- a node that stops to answer


@contextmanager
def frozen(node: PrivateCassandra) -> Iterator[None]:
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


def test_a_frozen_node_costs_no_more_than_the_time_of_each_request(node: PrivateCassandra) -> None:
    async def main() -> None:
        db = await connect(url(node, "max_in_flight=4&acquire_timeout_ms=100"))
        try:
            await db.run_all([GET, insert("frozen", 0, 0)] * 4)
            with frozen(node):
                for _ in range(3):
                    waiting = [db.run(insert("frozen", 0, number).options(timeout_ms=300)) for number in range(5)]
                    errors = await asyncio.gather(*waiting, return_exceptions=True)
                    assert Counter(map(type, errors)) == {Timeout: 4, TooManyRequests: 1}
                    assert db.in_flight() == 0
                cancelled = asyncio.create_task(db.run(GET.options(timeout_ms=20_000)))
                await asyncio.sleep(0)
                cancelled.cancel()
                assert db.in_flight() == 1
            await db.run_all([GET] * 8)
            assert db.in_flight() == 0
        finally:
            await db.close()

    asyncio.run(main())


def test_threads_wait_no_longer_for_a_frozen_node(node: PrivateCassandra) -> None:
    with connect_sync(url(node, "max_in_flight=1&acquire_timeout_ms=100")) as db:
        db.run(GET)
        with frozen(node):
            for _ in range(3):
                with pytest.raises(Timeout):
                    db.run(GET.options(timeout_ms=100))
            assert db.in_flight() == 0
        assert db.run(GET) is not None


def test_a_node_that_stays_frozen_is_given_up_and_found_again(
    node: PrivateCassandra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_HEARTBEAT_S", 1)
    with connect_sync(url(node)) as db:
        db.run(insert("frozen", 1, 0))
        with frozen(node):
            # Long before its own time: nothing is heard on the connection.
            with pytest.raises(Timeout, match="connection broke"):
                db.run(insert("frozen", 1, 1).options(timeout_ms=60_000))
            with pytest.raises(Unavailable):
                db.run(insert("frozen", 1, 2))
        until(lambda: works(db))
        assert db.in_flight() == 0
        assert 2 not in {each.message_id for each in db.run(MessageDao.slice(room_key="frozen", bucket=1))}


# --- clocks


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_the_later_write_wins_although_the_clock_was_set(
    node: PrivateCassandra, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    started = time.time_ns()
    now = [started]
    monkeypatch.setattr("runtime.cql.cassandra.engine._CLOCK", Clock(lambda: now[0]))
    key = {"room_key": "clock", "bucket": step_s, "message_id": 1}
    with connect_sync(url(node)) as db:
        db.run(MessageDao.insert(Message(**key, text="first")))
        for text, moment in (("second", started + step_s * 10**9), ("third", started)):
            now[0] = moment
            db.run(MessageDao.update(**key).set(text=text))
            found = db.run(MessageDao.get(**key))
            assert found is not None
            assert found.text == text
