"""Runs requests on Apache Cassandra through cassandra-driver, for event loops and for threads.

The driver has one thread for all connections. Requests are sent from whichever thread asks, and answers carried back
to it; none waits in a thread of its own. Time is kept here, not by the driver, whose clock may step.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any, Final, NamedTuple, assert_never
from weakref import ref

from runtime.cql.cassandra import driver
from runtime.cql.cassandra.codec import decoders, encoded, read
from runtime.cql.cassandra.connecting import level, open_session
from runtime.cql.cassandra.failures import failure
from runtime.cql.cassandra.handover import Bridge
from runtime.cql.cassandra.places import Flight, Places
from runtime.cql.cassandra.prepared import Prepared, Shapes
from runtime.cql.cassandra.protocol import Rows
from runtime.cql.cassandra.schema import ClusterSchema, schema_of
from runtime.cql.clock import Clock
from runtime.cql.errors import (
    InvalidState,
    InvalidValue,
    Timeout,
    TooManyRequests,
    Unavailable,
)
from runtime.cql.scalars import CqlType
from runtime.cql.statements import Batch, Bound, Delete, Insert, Outcome, Request, Select, Statement, Update
from runtime.cql.tables import Table
from runtime.cql.types import Boolean
from runtime.cql.urls import CassandraUrl

_EXPIRED: Final = object()
_MARK = 8  # bytes at the beginning of a page state that tell of which query it is
_MOST_PARTS = 65_535  # of a batch: their number is two bytes of the protocol
_BOOLEAN = Boolean()
_CLOCK = Clock()  # of the process: what two engines write to one table is in order, too


class _Message(NamedTuple):
    """What is given to the driver, and what is known of it."""

    statement: Any
    state: bytes | None
    parts: Sequence[Prepared]
    what: str  # for messages: the table
    writes: bool


class CassandraEngine:
    """One cluster, shared by the event loops and threads of a process. Made by `open_cassandra`."""

    def __init__(self, url: CassandraUrl, cluster: Any, session: Any) -> None:
        self._url = url
        self._cluster = cluster
        self._session = session
        self._send: Callable[..., Any] = session.execute_async
        self._places = Places(url.max_in_flight)
        self._shapes = Shapes(session.prepare, url.prefix)
        self._bridges: dict[asyncio.AbstractEventLoop, Bridge] = {}
        self._seconds = url.timeout_ms / 1000
        self._patience = url.acquire_timeout_ms / 1000
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._places.in_flight

    async def execute(self, request: Request, *, state: bytes | None = None) -> Outcome:
        """Run a request; of a SELECT, the page that `state` goes on with. Raises CqlError.

        Cancelled, it keeps its place among those in flight until its answer comes or its time is over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout(request)
        shapes = _shapes(request)
        parts = [self._shapes.get(shape) or await self._prepared(shape, deadline) for shape in shapes]
        message = self._message(request, parts, state)
        if not self._places.take():
            await self._wait(message.what, deadline)
        answer: asyncio.Future[Any] = loop.create_future()
        flight = Flight(self._places, partial(self._bridge(loop).give, answer))
        self._start(message, flight)
        timer = loop.call_at(deadline, flight.expire, _EXPIRED)
        result = await answer
        timer.cancel()
        return self._outcome(message, result)

    def execute_now(self, request: Request, *, state: bytes | None = None) -> Outcome:
        """The same, blocking this thread."""
        deadline = monotonic() + self._timeout(request)
        parts = [self._shapes.get(shape) or self._prepared_now(shape, deadline) for shape in _shapes(request)]
        message = self._message(request, parts, state)
        if not self._places.take():
            self._wait_now(message.what, deadline)
        answer: list[Any] = []
        there = threading.Event()

        def deliver(result: Any) -> None:
            answer.append(result)
            there.set()

        flight = Flight(self._places, deliver)
        self._start(message, flight)
        if not there.wait(deadline - monotonic()):
            flight.expire(_EXPIRED)
        return self._outcome(message, answer[0])

    def schema(self) -> AbstractContextManager[ClusterSchema]:
        """What the cluster has and the making of more, for `runtime.cql.create`. Blocks."""
        self._check_open()
        return schema_of(self._cluster, self._url)

    async def ping(self) -> None:
        """Ask the cluster whether it is there. Raises CqlError."""
        await _in_thread(self.ping_now)

    def ping_now(self) -> None:
        """The same, blocking this thread."""
        self._check_open()
        try:
            self._session.execute(driver.SimpleStatement("SELECT key FROM system.local"), timeout=self._seconds)
        except Exception as error:
            raise failure(error, self._url.place, writes=False) from error

    async def close(self) -> None:
        """Let go of every connection. Requests under way fail. A second time does nothing."""
        await _in_thread(self.close_now)

    def close_now(self) -> None:
        """The same, blocking this thread."""
        self._closed = True
        self._shapes.close()
        self._cluster.shutdown()

    def _timeout(self, request: Request) -> float:
        """Seconds."""
        self._check_open()
        given = request.options.timeout_ms
        return self._seconds if given is None else given / 1000

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"{self._url.place}: the database was closed")

    async def _prepared(self, shape: Statement, deadline: float) -> Prepared:
        coming = asyncio.wrap_future(self._shapes.prepare(shape))
        coming.add_done_callback(_seen)
        left = deadline - asyncio.get_running_loop().time()
        try:
            # Shielded, since others may wait for the same.
            return await asyncio.wait_for(asyncio.shield(coming), left)
        except TimeoutError:
            raise _late(shape.table.name) from None
        except Exception as error:
            raise failure(error, shape.table.name, writes=False) from error

    def _prepared_now(self, shape: Statement, deadline: float) -> Prepared:
        try:
            return self._shapes.prepare(shape).result(deadline - monotonic())
        except FutureTimeout:
            raise _late(shape.table.name) from None
        except Exception as error:
            raise failure(error, shape.table.name, writes=False) from error

    async def _wait(self, what: str, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        there: asyncio.Future[None] = loop.create_future()
        waiter = self._places.stand_in_line(partial(self._bridge(loop).give, there, None))
        try:
            if not waiter.given:
                async with asyncio.timeout_at(min(deadline, loop.time() + self._patience)):
                    await there
        except BaseException as error:
            given = self._places.leave(waiter)
            if isinstance(error, TimeoutError) and given:
                return
            if given:
                self._places.give_back()
            if isinstance(error, TimeoutError):
                raise self._too_many(what) from None
            raise

    def _wait_now(self, what: str, deadline: float) -> None:
        there = threading.Event()
        waiter = self._places.stand_in_line(there.set)
        if not waiter.given:
            there.wait(min(deadline - monotonic(), self._patience))
            if not self._places.leave(waiter):
                raise self._too_many(what)

    def _too_many(self, what: str) -> TooManyRequests:
        return TooManyRequests(
            f"{what}: all {self._places.size} places of requests in flight were taken for {self._patience:g} s"
        )

    def _bridge(self, loop: asyncio.AbstractEventLoop) -> Bridge:
        bridge = self._bridges.get(loop)
        if bridge is None:
            bridge = Bridge(loop)
            self._bridges = {open: its for open, its in self._bridges.items() if not open.is_closed()} | {loop: bridge}
        return bridge

    def _message(self, request: Request, parts: list[Prepared], state: bytes | None) -> _Message:
        if isinstance(request, Batch):
            return self._batch(request, parts)
        prepared = parts[0]
        options = request.options
        statement = _bound(prepared, request.params)
        if options.consistency is not None:
            statement.consistency_level = level(options.consistency)
        if options.serial_consistency is not None:
            statement.serial_consistency_level = level(options.serial_consistency)
        statement.is_idempotent = options.idempotent
        what = prepared.table.name
        if not prepared.reads:
            return _Message(statement, None, parts, what, True)
        statement.fetch_size = options.page_size or self._url.page_size
        if state is not None:
            state = _opened(state, prepared, statement.values)
            if isinstance(prepared.shape, Select) and prepared.shape.limit:
                # Cassandra takes no notice of a state where a page has room for all rows of the LIMIT.
                statement.fetch_size = max(1, min(statement.fetch_size, request.params[-1] - 1))
        return _Message(statement, state, parts, what, False)

    def _batch(self, batch: Batch, parts: list[Prepared]) -> _Message:
        names = list(dict.fromkeys(part.table.name for part in parts))
        what = "batch of " + ", ".join(names)
        if len(parts) > _MOST_PARTS:
            raise InvalidValue(f"{what}: {len(parts)} parts; a batch has at most {_MOST_PARTS}")
        statement = driver.BatchStatement(getattr(driver.BatchType, batch.kind.upper()))
        for prepared, part in zip(parts, batch.parts, strict=True):
            params = part.params if batch.timestamp is None else _stamped(part, batch.timestamp)[1]
            statement.add(_bound(prepared, params))
        options = batch.options
        if options.consistency is not None:
            statement.consistency_level = level(options.consistency)
        if options.serial_consistency is not None:
            statement.serial_consistency_level = level(options.serial_consistency)
        statement.is_idempotent = options.idempotent
        return _Message(statement, None, parts, what, True)

    def _start(self, message: _Message, flight: Flight) -> None:
        try:
            response = self._send(message.statement, paging_state=message.state)
        except Exception as error:  # noqa: BLE001 - whatever the driver raises is how the request ended
            flight.end(_Failed(error, sent=False))
            return
        # Weak, for the response holds its callbacks: a ring for each request would be left to the collector.
        response.add_callbacks(flight.end, partial(_fail, flight, ref(response)))

    def _outcome(self, message: _Message, result: Any) -> Outcome:
        if result is _EXPIRED:
            raise _late(message.what)
        if isinstance(result, _Failed):
            error = result.error
            state = message.state is not None
            raise failure(error, message.what, writes=message.writes, state=state, sent=result.sent) from error
        prepared = message.parts[0]
        if prepared.reads:
            rows = read(result, prepared.names, prepared.decoders, message.what)
            state = result.state
            if state is not None:
                state = _mark(prepared, message.statement.values) + state
            return Outcome(rows, state)
        if result is None:
            return Outcome()
        return _conditional(result, prepared.table)


class _Failed(NamedTuple):
    error: Exception
    sent: bool


async def open_cassandra(url: CassandraUrl) -> CassandraEngine:
    """Connect to a cluster. Raises InvalidUrl, Unavailable and Denied."""
    opening = _opening(url)
    try:
        return await asyncio.wait_for(asyncio.wrap_future(opening), url.connect_timeout_ms / 1000)
    except TimeoutError:
        raise _unreachable(url) from None


def open_cassandra_now(url: CassandraUrl) -> CassandraEngine:
    """The same, blocking this thread."""
    opening = _opening(url)
    try:
        return opening.result(url.connect_timeout_ms / 1000)
    except FutureTimeout:
        opening.cancel()
        raise _unreachable(url) from None


def _opening(url: CassandraUrl) -> Future[CassandraEngine]:
    """Connects in a thread that nobody waits for at exit: the driver tries one host after the other, each in turn for
    as long as the URL allows for all.
    """
    future: Future[CassandraEngine] = Future()

    def work() -> None:
        engine = None
        try:
            engine = CassandraEngine(url, *open_session(url, _CLOCK.next))
            future.set_result(engine)
        except InvalidStateError:  # cancelled: nobody waits any more
            if engine is not None:
                engine.close_now()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            if not future.cancelled():
                future.set_exception(error)

    threading.Thread(target=work, name="cql-connect", daemon=True).start()
    return future


def _unreachable(url: CassandraUrl) -> Unavailable:
    return Unavailable(f"{url.place}: can't be reached within {url.connect_timeout_ms} ms")


def _late(what: str) -> Timeout:
    return Timeout(f"{what}: no answer came in time")


def _shapes(request: Request) -> list[Statement]:
    if isinstance(request, Bound):
        return [request.statement]
    if request.timestamp is None:
        return [part.statement for part in request.parts]
    return [_stamped(part, request.timestamp)[0] for part in request.parts]


def _stamped(part: Bound, micros: int) -> tuple[Statement, tuple[Any, ...]]:
    """A part of a batch with the batch's timestamp, for which the driver has no place beside the statements."""
    statement, params = part.statement, part.params
    match statement:
        case Insert(timestamp=True) | Update(timestamp=True) | Delete(timestamp=True):
            return statement, params
        case Insert():
            return replace(statement, timestamp=True), (*params, micros)
        case Update(ttl=ttl):
            return replace(statement, timestamp=True), (*params[:ttl], micros, *params[ttl:])
        case Delete():
            return replace(statement, timestamp=True), (micros, *params)
        case Select():
            raise TypeError("a batch is made of writes")
    assert_never(statement)


def _bound(prepared: Prepared, params: Sequence[Any]) -> Any:
    statement = driver.BoundStatement(prepared.statement)
    statement.values = encoded(prepared.encode, params)
    statement.raw_values = None  # what its text shows: nobody's values
    return statement


def _fail(flight: Flight, response: ref[Any], error: Exception) -> None:
    asked = response()
    flight.end(_Failed(error, asked is None or bool(asked.attempted_hosts)))


def _conditional(rows: Rows, table: Table[Any]) -> Outcome:
    """What came of a write with IF: the first column says whether it was applied, the others how the row is."""
    types: list[CqlType[Any]] = [_BOOLEAN, *(table.column(name).type for name in rows.names[1:])]
    told = read(rows, rows.names, decoders(types), table.name)
    applied = all(row[0] for row in told)
    names = rows.names[1:]
    if applied or not names:
        return Outcome(applied=applied)
    return Outcome([row[1:] for row in told], applied=applied, names=names)


def _mark(prepared: Prepared, values: Sequence[Any]) -> bytes:
    """Tells the page states of one query from those of others: Cassandra may take a wrong one for right."""
    digest = blake2b(prepared.text.encode(), digest_size=_MARK)
    for value in values:
        digest.update(b"-" if value is None else b"%d:%b" % (len(value), value))
    return digest.digest()


def _opened(state: bytes, prepared: Prepared, values: Sequence[Any]) -> bytes:
    if len(state) <= _MARK or state[:_MARK] != _mark(prepared, values):
        raise InvalidState(f"{prepared.table.name}: not a page state of this query")
    return state[_MARK:]


def _seen(future: asyncio.Future[Any]) -> None:
    """The exception of what nobody waits for any more was looked at."""
    if not future.cancelled():
        future.exception()


async def _in_thread(work: Callable[[], None]) -> None:
    """Not in the loop's own threads, which others may keep busy."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result: Any = error
        else:
            result = None
        with suppress(InvalidStateError):  # cancelled
            future.set_result(None) if result is None else future.set_exception(result)

    threading.Thread(target=run, name="cql", daemon=True).start()
    await asyncio.wrap_future(future)
