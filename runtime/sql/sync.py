"""A SyncDatabase runs the same queries without an event loop, for scripts, the command line and threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Protocol, Self, TypeVar, cast, overload

from runtime.sql.cache import Load, Place, RowCache
from runtime.sql.changes import Change
from runtime.sql.dao import Dao
from runtime.sql.database import (
    ATTEMPTS,
    DEFAULT,
    HARMLESS,
    INNER_LEFT,
    INNER_OPEN,
    UNDONE,
    How,
    Isolation,
    Part,
    call_all,
    changes_of,
    doubts,
    ended,
    how,
    pauses,
    read_batch,
    refused,
    resolve_all,
    rows_of,
    savepoint,
    total,
)
from runtime.sql.dialects import Dialect
from runtime.sql.effects import Effects, Hooks
from runtime.sql.errors import Conflict, SqlError
from runtime.sql.queries import Batch, Many, Query
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import MysqlUrl, SqlUrl, configured
from runtime.sql.watch import SLOW_MS, Observer, Watch, rows_in

T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R")
D = TypeVar("D")


class SyncSession(Protocol):
    """A transaction under way in an engine; see `database.Session`."""

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None: ...

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]: ...

    def command(self, text: str) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class SyncEngine(Protocol):
    """What a SyncDatabase needs of an engine; see `database.Engine`."""

    @property
    def dialect(self) -> Dialect: ...

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None: ...

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]: ...

    def begin(self, how: How = DEFAULT) -> SyncSession: ...

    def stream(self, statement: Statement[Any], params: tuple[Any, ...], batch: int) -> Generator[Rows, None, None]: ...

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


class SyncDatabase:
    """One SQL store. Threads may share it; a transaction belongs to the thread that began it.

    Made by `connect_sync`.
    """

    def __init__(
        self,
        engine: SyncEngine,
        *,
        slow_ms: int = SLOW_MS,
        cache: RowCache | None = None,
        wrote: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._wrote = wrote
        self.dialect = engine.dialect
        self.cache = RowCache() if cache is None else cache
        self._clock = self.cache.clock
        self._keeps = not self.cache.off
        self._kept = self.cache.places
        self._effects = Effects(self.cache)
        self._watch = Watch(slow_ms)

    def hook(self, dao: type[Dao[R]], hooks: Hooks[R]) -> None:
        """Call these after rows of this table were written or read, in the thread that did; see `Hooks`."""
        self._effects.hook(dao.table.name, hooks)

    def observe(self, observer: Observer) -> None:
        """Call this after every statement, in the thread that ran it; see `runtime.sql.watch.Observer`."""
        self._watch.observe(observer)

    def run(self, query: Query[T]) -> T:
        """Run a query by itself; a Batch in one transaction. A write is flushed when this returns. Raises SqlError.

        What the row cache has is not asked for, nor what another thread is about to load.
        """
        place = query.place
        if place is not None and self._keeps:
            entries = self._kept.get(place)
            if entries is not None:
                try:
                    entry = entries.get(query.key)
                except TypeError:  # a list, say: the checks of values know better what to say
                    entry = None
                if entry is not None and entry.expires > self._clock():
                    entry.hits += 1
                    return entry.value if entry.share is None else entry.share(entry.value)
            return self._run_kept(query, place)
        if isinstance(query, Batch):
            return cast(T, self._run_batch(query))
        if isinstance(query, Many):
            return cast(T, self._run_many(cast("Many[Any, Any]", query)))
        statement, params = query.resolve()
        if statement.writes and self._effects.concern(query):
            return self._write(query, statement, params)
        return self._execute(statement, params)

    def _execute(self, statement: Statement[T], params: tuple[Any, ...]) -> T:
        dialect = self.dialect
        encoded = statement.encode(params, dialect)
        watch = self._watch
        started = perf_counter()
        try:
            outcome = self._engine.execute(statement, encoded)
        except BaseException as error:
            if (seconds := perf_counter() - started) >= watch.limit:
                watch.tell(statement, dialect, seconds, 0, error)
            raise
        if (seconds := perf_counter() - started) >= watch.limit:
            watch.tell(statement, dialect, seconds, rows_in(outcome))
        result = statement.read(outcome, dialect) if outcome is not None else cast(T, 0)
        if self._effects.hooked:
            self._effects.loaded(statement, result)
        return result

    def _write(self, query: Query[T], statement: Statement[T], params: tuple[Any, ...]) -> T:
        """A write of which the cache or hooks must hear."""
        dialect = self.dialect
        encoded = statement.encode(params, dialect)
        try:
            outcome = watched(self._watch, statement, dialect, lambda: self._engine.execute(statement, encoded))
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(query.changes(None))
            raise
        if outcome is None:
            return cast(T, 0)
        self._effects.committed(query.changes(outcome))
        return statement.read(outcome, dialect)

    def _run_batch(self, batch: Batch) -> int:
        queries, parts = resolve_all(batch, self.dialect)
        if not parts:
            return 0
        try:
            outcomes = watched_batch(self._watch, parts, self.dialect, lambda: self._engine.execute_all(parts))
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(doubts(self._effects, queries))
            raise
        self._effects.committed(changes_of(self._effects, queries, outcomes))
        return total(parts, outcomes, self.dialect)

    def _run_kept(self, query: Query[T], place: Place) -> T:
        """A query whose result the cache may keep, and has not."""
        statement, params = query.resolve()
        statement.encode(params, self.dialect)  # raises for what can be no key
        while (entry := self.cache.find(place, query.key)) is None:
            ended = threading.Event()
            load, leads = self.cache.enter(place, query.key, ended.set)
            if leads:
                return self._load(load, statement, params)
            ended.wait()
            if load.error is not None:
                raise load.error
            if load.entry is not None:
                return load.entry.give()
        return entry.give()

    def _load(self, load: Load, statement: Statement[T], params: tuple[Any, ...]) -> T:
        try:
            result = self._execute(statement.as_current(), params)
        except BaseException as error:
            self.cache.abandon(load, error if isinstance(error, Exception) else None)
            raise
        return self.cache.finish(load, result).give()

    def _run_many(self, many: Many[Any, Any]) -> dict[Any, Any]:
        place = many.within
        if place is None or not self._keeps:
            return self._find(many.parts())
        found, loads, others = self.cache.enter_many(place, many.keys)
        if loads:
            try:
                rows = self._find([part.fresh() for part in many.cut([load.key for load in loads])])
            except BaseException:
                for load in loads:
                    self.cache.abandon(load)
                raise
            found |= self.cache.finish_many(loads, rows)
        for key in others:
            row = self.run(many.one(key))
            if row is not None:
                found[place.plain_key(row)] = row
        return found

    def _find(self, queries: Sequence[Query[dict[Any, Any]]]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for query in queries:
            statement, params = query.resolve()
            found |= self._execute(statement, params)
        return found

    @overload
    def cached(self, query: Query[T]) -> T | None: ...
    @overload
    def cached(self, query: Query[T], default: D) -> T | D: ...
    def cached(self, query: Query[Any], default: Any = None) -> Any:
        """What the row cache has of a query, or `default`; see `database.Database.cached`."""
        return self.cache.peek(query, default)

    def preload(self, query: Query[Any]) -> None:
        """Run a query that the row cache keeps, for those that ask next; see `database.Database.preload`."""
        self.cache.peek(query, None)
        if self._keeps:
            self.run(query)

    def stream(self, query: Query[list[V]], *, batch: int = 1000) -> Generator[V, None, None]:
        """The rows of a query one by one, of which `batch` are in memory at once; see `database.Database.stream`."""
        statement, params = rows_of(query, batch)
        dialect = self.dialect
        seconds, count, failure = 0.0, 0, None
        try:
            with contextlib.closing(
                self._engine.stream(statement, statement.encode(params, dialect), batch)
            ) as batches:
                while True:
                    started = perf_counter()
                    rows = next(batches, None)
                    seconds += perf_counter() - started
                    if rows is None:
                        return
                    count += len(rows)
                    yield from read_batch(statement, rows, dialect)
        except SqlError as error:
            failure = error
            raise
        finally:
            if self._watch.listening:
                self._watch.tell(statement, dialect, seconds, count, failure, "stream")

    def begin(self, *, isolation: Isolation | None = None, read_only: bool = False) -> SyncTransaction:
        """A transaction for `with`: committed at the end of the block, rolled back when an exception leaves it.

        One that is `read_only` refuses writes; on SQLite it reads one snapshot and does not hold the writer.
        """
        wrote = None if read_only else self._wrote
        return SyncTransaction(self._engine, how(isolation, read_only), self._watch, self._effects, wrote)

    def transact(
        self,
        work: Callable[[SyncTransaction], T],
        *,
        attempts: int = ATTEMPTS,
        isolation: Isolation | None = None,
        read_only: bool = False,
    ) -> T:
        """What `work` returns, run again after a Conflict; see `database.Database.transact`."""
        for pause in pauses(attempts):
            try:
                with self.begin(isolation=isolation, read_only=read_only) as tx:
                    return work(tx)
            except Conflict:
                time.sleep(pause)
        with self.begin(isolation=isolation, read_only=read_only) as tx:
            return work(tx)

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        """Make the logical databases and run the DDL statements of each; for `runtime.sql.create`."""
        self._engine.create(scripts)

    def ping(self) -> None:
        """Ask the engine whether it is there. Raises Unavailable."""
        self._engine.ping()

    def close(self) -> None:
        """Let go of every connection. A second time does nothing."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Whole:
    """What a transaction and the blocks nested in it share."""

    __slots__ = ("failure", "open", "read_only", "session")

    def __init__(self, read_only: bool) -> None:
        self.read_only = read_only
        self.session: SyncSession | None = None
        self.failure: BaseException | None = None
        self.open: list[SyncTransaction] = []  # the blocks that are open, the innermost last


class SyncTransaction:
    """Statements that happen together or not at all; failures mean what they mean in `database.Transaction`."""

    def __init__(
        self, engine: SyncEngine, how: How, watch: Watch, effects: Effects, wrote: Callable[[], None] | None = None
    ) -> None:
        self._engine = engine
        self._how = how
        self._watch = watch
        self._effects = effects
        self._wrote = wrote
        self._dialect = engine.dialect
        self._begun = False
        self._left = False
        self._callbacks: list[Callable[[], object]] = []
        self._changes: list[Change] = []
        self._whole = _Whole(how.read_only)

    def __enter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        self._whole.session = self._engine.begin(self._how)
        self._whole.open.append(self)
        return self

    def begin(self) -> SyncTransaction:
        """A block for `with` inside this one, a savepoint; see `database.Transaction.begin`."""
        return _Nested(self)

    def run(self, query: Query[T]) -> T:
        """Run a query in this transaction.

        Raises SqlError; RuntimeError before the block, after it and while a block inside it is open.
        """
        whole = self._whole
        if isinstance(query, Batch):
            return cast(T, self._run_batch(query))
        if isinstance(query, Many):
            found: dict[Any, Any] = {}
            for part in cast("Many[Any, Any]", query).parts():
                found |= self.run(part)
            return cast(T, found)
        statement, params = query.resolve()
        if whole.read_only and statement.writes:
            raise refused(statement)
        encoded = statement.encode(params, self._dialect)
        outcome = watched(
            self._watch,
            statement,
            self._dialect,
            lambda: self._guarded(lambda session: session.execute(statement, encoded)),
        )
        if statement.writes and outcome is not None and self._effects.concern(query):
            self._changes += query.changes(outcome)
        result = statement.read(outcome, self._dialect) if outcome is not None else cast(T, 0)
        if self._effects.hooked and statement.rows:
            self._callbacks.append(partial(self._effects.loaded, statement, result))
        return result

    def _run_batch(self, batch: Batch) -> int:
        queries, parts = resolve_all(batch, self._dialect)
        if self._whole.read_only and parts:
            raise refused(parts[0][0])
        outcomes = watched_batch(
            self._watch, parts, self._dialect, lambda: self._guarded(lambda session: session.execute_all(parts))
        )
        self._changes += changes_of(self._effects, queries, outcomes)
        return total(parts, outcomes, self._dialect)

    def _guarded(self, work: Callable[[SyncSession], V]) -> V:
        whole = self._whole
        session = whole.session
        if session is None or self not in whole.open:
            raise RuntimeError("the transaction is not open: it runs queries inside its `with` block only")
        if whole.open[-1] is not self:
            raise RuntimeError(INNER_OPEN)
        if whole.failure is not None:
            raise ended(whole.failure)
        try:
            return work(session)
        except HARMLESS:
            raise
        except BaseException as error:
            whole.failure = error
            raise

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call this once the whole transaction is committed, in order; never if it, or this block of it, is undone.

        What it raises is logged.
        """
        self._callbacks.append(callback)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self not in self._whole.open:
            if kind is None and self._begun and not self._left:
                raise RuntimeError(INNER_LEFT)
            return
        self._left = True
        self._end(commit=kind is None)

    def _end(self, *, commit: bool) -> None:
        whole = self._whole
        session, whole.session = whole.session, None
        if session is None:
            return
        left_open = whole.open[-1] is not self
        whole.open.clear()
        if commit and whole.failure is None and not left_open:
            try:
                self._commit(session)
            finally:
                if self._wrote is not None:
                    self._wrote()
            self._effects.committed(self._changes)
            call_all(self._callbacks)
            return
        session.rollback()
        if commit:
            raise RuntimeError(INNER_LEFT) if whole.failure is None else ended(whole.failure)

    def _commit(self, session: SyncSession) -> None:
        watch = self._watch
        started = perf_counter()
        try:
            session.commit()
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(self._changes)
            if (seconds := perf_counter() - started) >= watch.limit:
                watch.tell_commit(seconds, error)
            raise
        if (seconds := perf_counter() - started) >= watch.limit:
            watch.tell_commit(seconds)


class _Nested(SyncTransaction):
    """A block inside a transaction: a savepoint."""

    def __init__(self, outer: SyncTransaction) -> None:
        super().__init__(outer._engine, outer._how, outer._watch, outer._effects)
        self._outer = outer
        self._whole = outer._whole
        self._savepoint = ""

    def __enter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        self._savepoint = savepoint(len(self._whole.open))
        self._outer._guarded(lambda session: session.command(f"SAVEPOINT {self._savepoint}"))
        self._whole.open.append(self)
        return self

    def _end(self, *, commit: bool) -> None:
        whole = self._whole
        left_open = whole.open[-1] is not self
        del whole.open[whole.open.index(self) :]
        done = commit and whole.failure is None and not left_open
        if whole.failure is None:
            try:
                self._outer._guarded(lambda session: self._close(session, undo=not done))
            except SqlError:
                if commit:
                    raise
        if done:
            self._outer._callbacks += self._callbacks
            self._outer._changes += self._changes
        elif commit:
            raise RuntimeError(INNER_LEFT) if whole.failure is None else ended(whole.failure)

    def _close(self, session: SyncSession, *, undo: bool) -> None:
        if undo:
            session.command(f"ROLLBACK TO SAVEPOINT {self._savepoint}")
        session.command(f"RELEASE SAVEPOINT {self._savepoint}")


def connect_sync(
    url: str | SqlUrl,
    *,
    pool_size: int | None = None,
    connect_timeout_ms: int | None = None,
    cache_ms: int | None = None,
) -> SyncDatabase:
    """`database.connect` without an event loop."""
    place = configured(url, pool_size=pool_size, connect_timeout_ms=connect_timeout_ms, cache_ms=cache_ms)
    if isinstance(place, MysqlUrl):
        from runtime.sql.engines.mysql_sync import MysqlSyncEngine, open_mysql

        primary: SyncEngine = open_mysql(place)
        if not place.replicas:
            return SyncDatabase(primary, slow_ms=place.slow_ms, cache=RowCache(place.cache_ms))
        from runtime.sql.replicas import Choice, ReplicatedSyncEngine

        replicas: list[SyncEngine] = [MysqlSyncEngine(url) for url in place.replicas]
        engine = ReplicatedSyncEngine(primary, replicas, Choice(replicas, place.own_writes_ms))
        return SyncDatabase(engine, slow_ms=place.slow_ms, cache=RowCache(place.cache_ms), wrote=engine.wrote)
    from runtime.sql.engines.sqlite_sync import open_sqlite

    return SyncDatabase(open_sqlite(place), slow_ms=place.slow_ms, cache=RowCache(place.cache_ms))


def watched(
    watch: Watch, statement: Statement[Any], dialect: Dialect, work: Callable[[], Outcome | None]
) -> Outcome | None:
    """What `work`, the run of a statement, gives."""
    started = perf_counter()
    try:
        outcome = work()
    except BaseException as error:
        if (seconds := perf_counter() - started) >= watch.limit:
            watch.tell(statement, dialect, seconds, 0, error)
        raise
    if (seconds := perf_counter() - started) >= watch.limit:
        watch.tell(statement, dialect, seconds, rows_in(outcome))
    return outcome


def watched_batch(
    watch: Watch, parts: Sequence[Part], dialect: Dialect, work: Callable[[], list[Outcome | None]]
) -> list[Outcome | None]:
    """What `work`, the run of a batch, gives; see `database.watched_batch`."""
    started = perf_counter()
    try:
        outcomes = work()
    except BaseException as error:
        if parts and (seconds := perf_counter() - started) >= watch.limit:
            watch.tell(parts[0][0], dialect, seconds, 0, error, "batch")
        raise
    if parts and (seconds := perf_counter() - started) >= watch.limit:
        watch.tell(parts[0][0], dialect, seconds, sum(map(rows_in, outcomes)), None, "batch")
    return outcomes
