"""A Database runs queries in asyncio; a SyncDatabase runs the same without an event loop.

Which engine does the work, its URL says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from runtime.cql.queries import Many, Pages, Query
from runtime.cql.statements import Outcome, Reading, Request
from runtime.cql.urls import CassandraUrl, CqlUrl, EmbeddedUrl, configured
from runtime.cql.watch import SLOW_MS, Observer, Watch

T = TypeVar("T")
V = TypeVar("V")

AT_ONCE = 64
"""Queries of a `Many` or of `run_all` that are under way at once."""


class Engine(Protocol):
    """What databases need of an engine. Its values are checked already; the `_now` twins block the thread."""

    async def execute(self, request: Request, *, state: bytes | None = None) -> Outcome:
        """Run a request; of a SELECT one page, from `state` on. Raises CqlError."""
        ...

    def execute_now(self, request: Request, *, state: bytes | None = None) -> Outcome: ...

    async def ping(self) -> None: ...

    def ping_now(self) -> None: ...

    async def close(self) -> None: ...

    def close_now(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """Some rows of a query. `state` goes on behind them, on any database of the same store; None at the end.

    It tells of the key of its last row: don't show it to whom that is secret.
    """

    rows: list[V]
    state: bytes | None


class _Shared:
    """What the two kinds of databases share."""

    def __init__(self, engine: Engine, *, slow_ms: int = SLOW_MS) -> None:
        self.engine = engine
        self._watch = Watch(slow_ms)

    def observe(self, observer: Observer) -> None:
        """Call this after every request; see `runtime.cql.watch.Observer`."""
        self._watch.observe(observer)

    def in_flight(self) -> int:
        """Requests under way on the engine; 0 for the embedded one."""
        return getattr(self.engine, "in_flight", 0)

    def _told(self, request: Request, started: float, outcome: Outcome | None, error: BaseException | None) -> None:
        if (seconds := perf_counter() - started) >= self._watch.limit:
            self._watch.tell(request, seconds, len(outcome.rows) if outcome is not None else 0, error)


class Database(_Shared):
    """One wide-column store for asyncio. Made by `connect`."""

    async def run(self, query: Query[T]) -> T:
        """Run a query; of one that reads rows, every page. Raises CqlError."""
        if isinstance(query, Many):
            return query.combine(await self.run_all(query.parts()))
        reading = query.resolve()
        request = reading.request
        outcome = await self._execute(request, None)
        if outcome.state is not None:
            rows = list(outcome.rows)
            while outcome.state is not None:
                outcome = await self._execute(request, outcome.state)
                rows += outcome.rows
            outcome = Outcome(rows)
        return reading.read(outcome)

    async def run_all(self, queries: Iterable[Query[T]], *, at_once: int = AT_ONCE) -> list[T]:
        """The results of queries that run side by side, `at_once` at most, in their order.

        The first failure is raised, once those under way have been cancelled; others may have been done.
        """
        numbered = enumerate(queries)
        results: dict[int, T] = {}

        async def work() -> None:
            for number, query in numbered:
                results[number] = await self.run(query)

        count = min(at_once, len(queries)) if isinstance(queries, Sized) else at_once
        workers = [asyncio.ensure_future(work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [results[number] for number in range(len(results))]

    async def page(self, query: Pages[V], *, size: int | None = None, state: bytes | None = None) -> Page[V]:
        """About `size` rows of a query, from the beginning or behind the page that `state` came with.

        A page may have fewer rows, or none, and others follow. Raises CqlError, InvalidState for a state of another
        query.
        """
        reading = _paged(query, size)
        outcome = await self._execute(reading.request, state)
        return Page(reading.read(outcome), outcome.state)

    def stream(self, query: Pages[V], *, page_size: int | None = None, state: bytes | None = None) -> Stream[V]:
        """The rows of a query one by one: `async for row in db.stream(query)`. See `Stream`."""
        return Stream(self._execute, _paged(query, page_size), state)

    async def ping(self) -> None:
        """Ask the engine whether it is there. Raises CqlError."""
        await self.engine.ping()

    async def close(self) -> None:
        """Let go of every connection. A second time does nothing."""
        await self.engine.close()

    async def _execute(self, request: Request, state: bytes | None) -> Outcome:
        started = perf_counter()
        try:
            outcome = await self.engine.execute(request, state=state)
        except BaseException as error:
            self._told(request, started, None, error)
            raise
        self._told(request, started, outcome, None)
        return outcome


class _Position:
    """How far a stream has come. `state` goes on behind the last page of which every row was given: the rows of one
    that was left in the middle come again. It is None at the beginning, and at the end, where `ended` is true.
    """

    def __init__(self, state: bytes | None) -> None:
        self.state = state
        self.ended = False

    def passed(self, outcome: Outcome) -> None:
        self.state = outcome.state
        self.ended = outcome.state is None


class Stream(_Position, Generic[V]):
    """The rows of a query, page by page, for `async for`. While the rows of one page are given, the next is asked for.

    Leaving the loop cancels that; with `contextlib.aclosing` on the loop's iterator at once, else as soon as nothing
    refers to it. Raises CqlError, in the middle as well.
    """

    def __init__(
        self,
        execute: Callable[[Request, bytes | None], Coroutine[Any, Any, Outcome]],
        reading: Reading[list[V]],
        state: bytes | None,
    ) -> None:
        super().__init__(state)
        self._execute = execute
        self._reading = reading

    async def __aiter__(self) -> AsyncGenerator[V, None]:
        reading = self._reading
        coming = self._ask(self.state)
        try:
            while coming is not None:
                outcome = await coming
                coming = None if outcome.state is None else self._ask(outcome.state)
                for row in reading.read(outcome):
                    yield row
                self.passed(outcome)
        finally:
            if coming is not None:
                coming.cancel()

    def _ask(self, state: bytes | None) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(self._execute(self._reading.request, state))
        task.add_done_callback(_seen)  # where the loop was left, nobody looks at what came of it
        return task


class SyncStream(_Position, Generic[V]):
    """The rows of a query, page by page, for `for`. Raises CqlError, in the middle as well."""

    def __init__(
        self,
        execute: Callable[[Request, bytes | None], Outcome],
        reading: Reading[list[V]],
        state: bytes | None,
    ) -> None:
        super().__init__(state)
        self._execute = execute
        self._reading = reading

    def __iter__(self) -> Generator[V, None, None]:
        reading = self._reading
        while not self.ended:
            outcome = self._execute(reading.request, self.state)
            yield from reading.read(outcome)
            self.passed(outcome)


class SyncDatabase(_Shared):
    """One wide-column store without asyncio. Threads may share it. Made by `connect_sync`."""

    def run(self, query: Query[T]) -> T:
        """Run a query; of one that reads rows, every page. Raises CqlError."""
        if isinstance(query, Many):
            return query.combine(self.run_all(query.parts()))
        reading = query.resolve()
        request = reading.request
        outcome = self._execute(request, None)
        if outcome.state is not None:
            rows = list(outcome.rows)
            while outcome.state is not None:
                outcome = self._execute(request, outcome.state)
                rows += outcome.rows
            outcome = Outcome(rows)
        return reading.read(outcome)

    def run_all(self, queries: Iterable[Query[T]], *, at_once: int = AT_ONCE) -> list[T]:
        """The results of queries that run side by side in threads, `at_once` at most, in their order.

        The first failure is raised, once those under way have ended; others may have been done.
        """
        with ThreadPoolExecutor(at_once, "cql-many") as pool:
            started = [pool.submit(self.run, query) for query in queries]
            try:
                return [each.result() for each in started]
            finally:
                pool.shutdown(cancel_futures=True)

    def page(self, query: Pages[V], *, size: int | None = None, state: bytes | None = None) -> Page[V]:
        """About `size` rows of a query; see `Database.page`."""
        reading = _paged(query, size)
        outcome = self._execute(reading.request, state)
        return Page(reading.read(outcome), outcome.state)

    def stream(self, query: Pages[V], *, page_size: int | None = None, state: bytes | None = None) -> SyncStream[V]:
        """The rows of a query one by one: `for row in db.stream(query)`. One page is in memory."""
        return SyncStream(self._execute, _paged(query, page_size), state)

    def ping(self) -> None:
        """Ask the engine whether it is there. Raises CqlError."""
        self.engine.ping_now()

    def close(self) -> None:
        """Let go of every connection. A second time does nothing."""
        self.engine.close_now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _execute(self, request: Request, state: bytes | None) -> Outcome:
        started = perf_counter()
        try:
            outcome = self.engine.execute_now(request, state=state)
        except BaseException as error:
            self._told(request, started, None, error)
            raise
        self._told(request, started, outcome, None)
        return outcome


async def connect(url: str | CqlUrl, *, connect_timeout_ms: int | None = None) -> Database:
    """Open the store that the URL names (see `runtime.cql.urls`); the other value counts where the URL gives none.

    Raises InvalidUrl, also for a data centre that the cluster has not; Unavailable when it can't be reached within the
    connect time-out; Denied for wrong credentials.
    """
    place = configured(url, connect_timeout_ms=connect_timeout_ms)
    if isinstance(place, CassandraUrl):
        from runtime.cql.cassandra.engine import open_cassandra

        return Database(await open_cassandra(place), slow_ms=place.slow_ms)
    return Database(_embedded(place), slow_ms=place.slow_ms)


def connect_sync(url: str | CqlUrl, *, connect_timeout_ms: int | None = None) -> SyncDatabase:
    """The twin of `connect` for code without an event loop. Raises the same."""
    place = configured(url, connect_timeout_ms=connect_timeout_ms)
    if isinstance(place, CassandraUrl):
        from runtime.cql.cassandra.engine import open_cassandra_now

        return SyncDatabase(open_cassandra_now(place), slow_ms=place.slow_ms)
    return SyncDatabase(_embedded(place), slow_ms=place.slow_ms)


def _embedded(url: EmbeddedUrl) -> Engine:
    from runtime.cql.embedded import EmbeddedEngine

    return EmbeddedEngine(url.path, page_size=url.page_size)


def _paged(query: Pages[V], size: int | None) -> Reading[list[V]]:
    """How to read a query in pages of this size. Raises TypeError for one that gives no rows."""
    if not isinstance(cast(object, query), Pages):
        raise TypeError(f"{type(query).__name__} gives no rows that could come in pages")
    return (query if size is None else query.options(page_size=size)).resolve()


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
