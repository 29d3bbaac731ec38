"""The embedded engine: a wide-column store in one SQLite file that means what Cassandra means.

Reads that are short run where they are asked for, on the event loop; long ones on threads; writes share commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from runtime.cql.clock import Clock
from runtime.cql.embedded import catalog
from runtime.cql.embedded.files import File, Readers, Writer, closed, failure
from runtime.cql.embedded.guards import Question
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.reading import ReadPlan
from runtime.cql.embedded.stored import Stamps
from runtime.cql.embedded.turns import SWEPT, Turn
from runtime.cql.embedded.writing import WritePlan, compile_write
from runtime.cql.errors import CqlError, UnsafeStatement
from runtime.cql.statements import Batch, Bound, Outcome, Request, Select, Statement
from runtime.cql.tables import Table

PAGE = 1_000
"""Rows of a page where the request does not say."""

_PLANS = 4_096  # shapes kept
_SWEEP_S = 10
_THREADS = 2
_STEPS = 10_000  # of SQLite's machine between looks at the clock: some hundred rows

Plan = ReadPlan | WritePlan


class _Entry(NamedTuple):
    """A shape's plan; `get` is the short way of one that reads one row."""

    statement: Statement
    plan: Plan
    get: Callable[[sqlite3.Connection, tuple[Any, ...], Callable[[], int]], Outcome] | None


class EmbeddedEngine:
    """One store, for asyncio and for threads at once; several processes may have the same file open.

    `path` None is a private store, gone at `close`. `now_ns` is the clock: timestamps and TTLs go by it.
    Raises Unavailable for a file that can't be opened, or is none of this kind.
    """

    def __init__(
        self, path: str | None = None, *, page_size: int = PAGE, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._file = File(path)
        self._page_size = page_size
        self._now_ns = now_ns
        self._clock = Clock(now_ns)
        self._stamps = Stamps(now_ns)
        self._layouts: dict[Table[Any], Layout] = {}
        self._plans: dict[Statement, Plan] = {}
        self._by_id: dict[int, _Entry] = {}  # hashing a shape takes longer than reading a row
        self._version = 0
        self._next_sweep = 0
        try:
            connection = self._file.open(writes=True)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._file.close()
            raise
        self._writer = Writer(self._file, connection, self._begin)
        self._readers = Readers(self._file)
        self._loop_readers = Readers(self._file, busy_timeout_ms=0)  # the event loop never sleeps on a lock
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            catalog.prepare(connection, self._file.path)
            self._version = catalog.version_of(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise failure(self._file.path, error) from error

    # Running requests.

    async def execute(self, request: Request, *, state: bytes | None = None) -> Outcome:
        """Run a request; of a SELECT one page, from `state` on. Raises CqlError."""
        if type(request) is not Bound or type(request.statement) is not Select:
            return await self._write(request)
        entry = self._by_id.get(id(request.statement))
        if entry is None or entry.statement is not request.statement:
            entry = self._found(request.statement) or await self._entered(request.statement)
        plan = entry.plan
        assert isinstance(plan, ReadPlan)
        size = request.options.page_size or self._page_size
        if entry.get is not None or plan.is_short(request.params, size):
            connection = self._loop_readers.take()
            try:
                if entry.get is not None:
                    return entry.get(connection, request.params, self._now)
                return self._page(connection, plan, request, state, size)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise failure(self._file.path, error) from error
                # Locked for a moment, while another process recovers the log.
            except sqlite3.Error as error:
                raise failure(self._file.path, error) from error
            finally:
                self._loop_readers.give(connection)
        return await self._in_thread(lambda: self._read(entry, request, state))

    def execute_now(self, request: Request, *, state: bytes | None = None) -> Outcome:
        """The same for threads, blocking."""
        if type(request) is not Bound or type(request.statement) is not Select:
            return self._write_now(request)
        entry = self._by_id.get(id(request.statement))
        if entry is None or entry.statement is not request.statement:
            entry = self._found(request.statement) or self._entered_now(request.statement)
        return self._read(entry, request, state)

    def _read(self, entry: _Entry, bound: Bound, state: bytes | None) -> Outcome:
        connection = self._readers.take()
        try:
            if entry.get is not None:
                return entry.get(connection, bound.params, self._now)
            assert isinstance(entry.plan, ReadPlan)
            return self._page(connection, entry.plan, bound, state, bound.options.page_size or self._page_size)
        except sqlite3.Error as error:
            raise failure(self._file.path, error) from error
        finally:
            self._readers.give(connection)

    def _page(
        self, connection: sqlite3.Connection, plan: ReadPlan, bound: Bound, state: bytes | None, size: int
    ) -> Outcome:
        timeout = bound.options.timeout_ms
        if timeout is not None:
            deadline = time.monotonic() + timeout / 1000
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        connection.execute("BEGIN")  # so that all that is read is of one moment
        try:
            return plan.page(connection, bound.params, self._now(), size, state)
        finally:
            if timeout is not None:
                connection.set_progress_handler(None, 0)
            connection.execute("ROLLBACK")

    def _now(self) -> int:
        """In seconds."""
        return self._now_ns() // 1_000_000_000

    async def _in_thread(self, work: Callable[[], Outcome]) -> Outcome:
        if self._closed:
            raise closed(self._file.path)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "cql-reader")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _write(self, request: Request) -> Outcome:
        for statement in _statements(request):
            if self._found(statement) is None:
                await self._entered(statement)
        timeout = request.options.timeout_ms
        return await self._writer.submit(self._work(request), timeout and timeout / 1000)

    def _write_now(self, request: Request) -> Outcome:
        for statement in _statements(request):
            if self._found(statement) is None:
                self._entered_now(statement)
        timeout = request.options.timeout_ms
        return self._writer.run(self._work(request), timeout and timeout / 1000)

    def _work(self, request: Request) -> Callable[[Turn], Outcome]:
        """What the writer does for a request that writes. A write without a timestamp gets that of its call."""
        if isinstance(request, Batch):
            return self._batch_work(request)
        plan = self._write_plan(request)
        params = request.params
        if plan.guard:
            return lambda turn: _guarded(turn, [(plan, params)], is_batch=False)
        said = plan.timestamp(params) if plan.has_timestamp else None
        timestamp = self._clock.next() if said is None else said

        def work(turn: Turn) -> Outcome:
            plan.run(turn, params, timestamp)
            return Outcome()

        return work

    def _batch_work(self, batch: Batch) -> Callable[[Turn], Outcome]:
        parts = [(self._write_plan(part), part.params) for part in batch.parts]
        if any((plan.layout.is_counter) != (batch.kind == "counter") for plan, _ in parts):
            raise UnsafeStatement("a batch holds counters only, or none")
        if any(plan.guard for plan, _ in parts):
            return lambda turn: _guarded(turn, parts, is_batch=True)
        common = self._clock.next() if batch.timestamp is None else batch.timestamp

        def work(turn: Turn) -> Outcome:
            todo: list[Callable[[], None]] = []
            for plan, params in parts:
                said = plan.timestamp(params) if plan.has_timestamp else None
                todo.append(plan.ready(turn, params, common if said is None else said))
            for do in todo:
                do()
            return Outcome()

        return work

    # Plans.

    def _found(self, statement: Statement) -> _Entry | None:
        """The plan of a shape; None where its table was never used."""
        known = self._by_id.get(id(statement))
        if known is not None and known.statement is statement:
            return known
        plan = self._plans.get(statement)
        if plan is None:
            layout = self._layouts.get(statement.table)
            if layout is None:
                return None
            plan = ReadPlan(layout, statement) if isinstance(statement, Select) else compile_write(layout, statement)
        if len(self._by_id) >= _PLANS:  # shapes come from code: only a program that makes them without end gets here
            self._by_id.clear()
            self._plans.clear()
        self._plans[statement] = plan
        get = plan.getter() if isinstance(plan, ReadPlan) and plan.is_get else None
        entry = self._by_id[id(statement)] = _Entry(statement, plan, get)
        return entry

    def _write_plan(self, bound: Bound) -> WritePlan:
        entry = self._found(bound.statement)
        if entry is None or isinstance(entry.plan, ReadPlan):
            raise CqlError(f"{bound.statement.table.name}: a batch holds writes only")
        return entry.plan

    async def _entered(self, statement: Statement) -> _Entry:
        """The plan of a shape whose table is entered first. Raises ChangedTable."""
        await self.create([statement.table])
        return self._planned(statement)

    def _entered_now(self, statement: Statement) -> _Entry:
        self.create_now([statement.table])
        return self._planned(statement)

    def _planned(self, statement: Statement) -> _Entry:
        entry = self._found(statement)
        assert entry is not None
        return entry

    def _begin(self, connection: sqlite3.Connection) -> Turn:
        """The turn of a transaction, which knows what other processes have entered."""
        turn = Turn(connection, self._now(), self._clock.next, self._stamps)
        self._refresh(connection)
        if turn.now >= self._next_sweep:
            swept = [turn.sweep(layout) for layout in self._layouts.values()]
            self._next_sweep = turn.now + (1 if SWEPT in swept else _SWEEP_S)
        return turn

    def _refresh(self, connection: sqlite3.Connection) -> None:
        """Learn what was entered since, here or in another process: columns, indexes, views."""
        version = catalog.version_of(connection)
        if version == self._version:
            return
        for layout in list(self._layouts.values()):
            catalog.refresh(connection, layout)
        self._by_id.clear()
        self._plans.clear()
        self._version = version

    # The rest.

    async def create(self, tables: Iterable[Table[Any]]) -> None:
        """Enter tables: what is new of them, their columns, indexes and views is made. Raises ChangedTable."""
        entered: dict[Table[Any], Layout] = {}
        wanted = list(tables)
        await self._writer.submit(lambda turn: self._enter_all(turn, wanted, entered))
        self._know(entered)

    def create_now(self, tables: Iterable[Table[Any]]) -> None:
        """The same for threads, blocking."""
        entered: dict[Table[Any], Layout] = {}
        wanted = list(tables)
        self._writer.run(lambda turn: self._enter_all(turn, wanted, entered))
        self._know(entered)

    def _enter_all(self, turn: Turn, tables: Iterable[Table[Any]], entered: dict[Table[Any], Layout]) -> Outcome:
        for table in tables:
            entered[table] = catalog.enter(turn.connection, table)
        for layout in entered.values():  # a table may have been entered before its views
            catalog.refresh(turn.connection, layout)
        self._refresh(turn.connection)  # writes in the same transaction keep the new indexes and views
        return Outcome()

    def _know(self, entered: dict[Table[Any], Layout]) -> None:
        for table, layout in entered.items():
            self._layouts.setdefault(table, layout)

    async def ping(self) -> None:
        """Raises Unavailable."""
        self.ping_now()

    def ping_now(self) -> None:
        with self._readers.snapshot() as connection:
            catalog.version_of(connection)

    async def close(self) -> None:
        """Do what waits, then let go of the file. A second time does nothing."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown()
        self._writer.close()
        self._readers.close()
        self._loop_readers.close()
        self._file.close()


def _statements(request: Request) -> Iterable[Statement]:
    return [part.statement for part in request.parts] if isinstance(request, Batch) else [request.statement]


def _guarded(turn: Turn, parts: list[tuple[WritePlan, tuple[Any, ...]]], *, is_batch: bool) -> Outcome:
    """Writes of one partition, some under conditions, which the server gives their timestamp."""
    question = Question(turn.connection, parts, turn.now)
    if not question.answer():
        return question.told(keys=is_batch)
    timestamp = turn.stamp()
    turn.guarded = True
    try:
        todo = [plan.ready(turn, params, timestamp) for plan, params in parts]
        for do in todo:
            do()
    finally:
        turn.guarded = False
    return Outcome(applied=True)
