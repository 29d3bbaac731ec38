"""A Database runs queries and transactions in asyncio.

Which engine does the work, its URL says; `runtime.sql.sync` is the twin without await.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Literal, Protocol, Self, TypeVar, cast, overload

from runtime.sql.cache import Load, Place, RowCache
from runtime.sql.changes import Change
from runtime.sql.dao import Dao
from runtime.sql.dialects import Dialect
from runtime.sql.effects import Effects, Hooks
from runtime.sql.errors import (
    Conflict,
    ConstraintViolation,
    InvalidValue,
    MissingTable,
    PoolTimeout,
    ReadOnlyTransaction,
    SqlError,
)
from runtime.sql.queries import Batch, Many, Query
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import MysqlUrl, SqlUrl, configured
from runtime.sql.waiting import uninterrupted
from runtime.sql.watch import SLOW_MS, Observer, Watch, rows_in

T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R")
D = TypeVar("D")

Isolation = Literal["read committed", "repeatable read", "serializable"]
"""What a transaction sees of others (SQL-92, 4.28). SQLite gives `serializable` whatever is asked for."""


@dataclass(frozen=True, slots=True)
class How:
    """How a transaction begins; `isolation` None is the engine's own, READ COMMITTED on MariaDB."""

    isolation: Isolation | None = None
    read_only: bool = False


DEFAULT = How()

Part = tuple[Statement[Any], tuple[Any, ...]]
"""A statement and its parameters as the driver takes them."""

log = logging.getLogger("sun.sql")

ATTEMPTS = 5
"""How often `transact` runs its work at most."""

INNER_OPEN = "a block inside this transaction is open: run the query in that one, or after it"
INNER_LEFT = "the block ended while one inside it was open: everything it did is undone"

HARMLESS = (ConstraintViolation, InvalidValue, MissingTable)
"""Failures that undo their own statement and leave the transaction as it was before."""

UNDONE = (*HARMLESS, Conflict, PoolTimeout)
"""Failures after which a write by itself has certainly not happened."""


class Session(Protocol):
    """A transaction under way in an engine. After `commit` or `rollback` it is gone."""

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        """Run one statement; None stands for a duplicate that the statement absorbs. Raises SqlError."""
        ...

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        """Run every part or, where one fails, none."""
        ...

    async def command(self, text: str) -> None:
        """Run a statement about savepoints. Raises SqlError."""
        ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None:
        """Undo everything. Raises nothing: a connection that can't roll back is closed, which does."""
        ...


class Engine(Protocol):
    """What a Database needs of an engine."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        """Run one statement by itself; None stands for a duplicate that the statement absorbs. Raises SqlError."""
        ...

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        """Run every part in one transaction."""
        ...

    async def begin(self, how: How = DEFAULT) -> Session: ...

    def stream(self, statement: Statement[Any], params: tuple[Any, ...], batch: int) -> AsyncGenerator[Rows, None]:
        """The rows in batches, from a connection that is held until the generator ends."""
        ...

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        """Make the logical databases and run the DDL statements of each."""
        ...

    def waited(self) -> float:
        """For how long the first in line for a connection has waited, in seconds; 0 where none is needed."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Runner(Protocol):
    """What runs queries: a Database, each query by itself, or a Transaction."""

    async def run(self, query: Query[T]) -> T: ...


class Database:
    """One SQL store for one event loop. Made by `connect`."""

    def __init__(
        self,
        engine: Engine,
        *,
        slow_ms: int = SLOW_MS,
        cache: RowCache | None = None,
        wrote: Callable[[], None] | None = None,
    ) -> None:
        """`wrote` is called after a transaction that may have written, in the context of whoever ended it."""
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
        """Call these after rows of this table were written or read; see `Hooks`."""
        self._effects.hook(dao.table.name, hooks)

    def observe(self, observer: Observer) -> None:
        """Call this after every statement; see `runtime.sql.watch.Observer`. Transactions under way are not told."""
        self._watch.observe(observer)

    async def run(self, query: Query[T]) -> T:
        """Run a query by itself; a Batch in one transaction. A write is flushed when this returns. Raises SqlError.

        What the row cache has is not asked for, nor what another task is about to load.
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
            return await self._run_kept(query, place)
        if isinstance(query, Batch):
            return cast(T, await self._run_batch(query))
        if isinstance(query, Many):
            return cast(T, await self._run_many(cast("Many[Any, Any]", query)))
        statement, params = query.resolve()
        if statement.writes and self._effects.concern(query):
            return await self._write(query, statement, params)
        return await self._execute(statement, params)

    async def _execute(self, statement: Statement[T], params: tuple[Any, ...]) -> T:
        dialect = self.dialect
        encoded = statement.encode(params, dialect)
        watch = self._watch
        started = perf_counter()
        try:
            outcome = await self._engine.execute(statement, encoded)
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

    async def _write(self, query: Query[T], statement: Statement[T], params: tuple[Any, ...]) -> T:
        """A write of which the cache or hooks must hear."""
        dialect = self.dialect
        encoded = statement.encode(params, dialect)
        try:
            outcome = await watched(self._watch, statement, dialect, self._engine.execute(statement, encoded))
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(query.changes(None))
            raise
        if outcome is None:
            return cast(T, 0)
        self._effects.committed(query.changes(outcome))
        return statement.read(outcome, dialect)

    async def _run_batch(self, batch: Batch) -> int:
        queries, parts = resolve_all(batch, self.dialect)
        if not parts:
            return 0
        try:
            outcomes = await watched_batch(self._watch, parts, self.dialect, self._engine.execute_all(parts))
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(doubts(self._effects, queries))
            raise
        self._effects.committed(changes_of(self._effects, queries, outcomes))
        return total(parts, outcomes, self.dialect)

    async def _run_kept(self, query: Query[T], place: Place) -> T:
        """A query whose result the cache may keep, and has not."""
        statement, params = query.resolve()
        statement.encode(params, self.dialect)  # raises for what can be no key
        while (entry := self.cache.find(place, query.key)) is None:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            load, leads = self.cache.enter(place, query.key, partial(_settle, ended))
            if leads:
                return await self._load(load, statement, params)
            await ended
            if load.error is not None:
                raise load.error
            if load.entry is not None:
                return load.entry.give()
        return entry.give()

    async def _load(self, load: Load, statement: Statement[T], params: tuple[Any, ...]) -> T:
        try:
            result = await self._execute(statement.as_current(), params)
        except BaseException as error:
            self.cache.abandon(load, error if isinstance(error, Exception) else None)
            raise
        return self.cache.finish(load, result).give()

    async def _run_many(self, many: Many[Any, Any]) -> dict[Any, Any]:
        place = many.within
        if place is None or not self._keeps:
            return await self._find(many.cut(many.keys))
        found, loads, others = self.cache.enter_many(place, many.keys)
        if loads:
            try:
                rows = await self._find([part.fresh() for part in many.cut([load.key for load in loads])])
            except BaseException:
                for load in loads:
                    self.cache.abandon(load)
                raise
            found |= self.cache.finish_many(loads, rows)
        for key in others:
            row = await self.run(many.one(key))
            if row is not None:
                found[place.plain_key(row)] = row
        return found

    async def _find(self, queries: Sequence[Query[dict[Any, Any]]]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for query in queries:
            statement, params = query.resolve()
            found |= await self._execute(statement, params)
        return found

    @overload
    def cached(self, query: Query[T]) -> T | None: ...
    @overload
    def cached(self, query: Query[T], default: D) -> T | D: ...
    def cached(self, query: Query[Any], default: Any = None) -> Any:
        """What the row cache has of a query, or `default`; the engine is not asked. Of `get_many`, the rows it has.

        Raises TypeError for a query whose result the cache never keeps.
        """
        return self.cache.peek(query, default)

    async def preload(self, query: Query[Any]) -> None:
        """Run `get_many`, `get` or another query that the row cache keeps, for those that ask next.

        Raises SqlError; TypeError for a query whose result the cache never keeps.
        """
        self.cache.peek(query, None)
        if self._keeps:
            await self.run(query)

    async def stream(self, query: Query[list[V]], *, batch: int = 1000) -> AsyncGenerator[V, None]:
        """The rows of a query one by one, of which `batch` are in memory at once: `async for row in db.stream(query)`.

        A connection is held until the last row, or until the generator is closed, which leaving the loop does; with
        `contextlib.aclosing` at once, else as soon as nothing refers to it. Raises SqlError, in the middle as well;
        TypeError for a query that gives no list of rows.
        """
        statement, params = rows_of(query, batch)
        dialect = self.dialect
        batches = self._engine.stream(statement, statement.encode(params, dialect), batch)
        seconds, count, failure = 0.0, 0, None
        try:
            async with contextlib.aclosing(batches):
                while True:
                    started = perf_counter()
                    rows = await anext(batches, None)
                    seconds += perf_counter() - started
                    if rows is None:
                        return
                    count += len(rows)
                    for row in read_batch(statement, rows, dialect):
                        yield row
        except SqlError as error:
            failure = error
            raise
        finally:
            if self._watch.listening:
                self._watch.tell(statement, dialect, seconds, count, failure, "stream")

    def begin(self, *, isolation: Isolation | None = None, read_only: bool = False) -> Transaction:
        """A transaction for `async with`: committed at the end of the block, rolled back if an exception leaves it.

        One that is `read_only` refuses writes; on SQLite it reads one snapshot and does not hold the writer.
        """
        wrote = None if read_only else self._wrote
        return Transaction(self._engine, how(isolation, read_only), self._watch, self._effects, wrote)

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        attempts: int = ATTEMPTS,
        isolation: Isolation | None = None,
        read_only: bool = False,
    ) -> T:
        """What `work` returns, its queries committed together. After a Conflict it runs again, `attempts` times in all.

        So `work` has no effects but those of its queries. Raises what it raises, with nothing written, and the last
        Conflict.
        """
        for pause in pauses(attempts):
            try:
                async with self.begin(isolation=isolation, read_only=read_only) as tx:
                    return await work(tx)
            except Conflict:
                await asyncio.sleep(pause)
        async with self.begin(isolation=isolation, read_only=read_only) as tx:
            return await work(tx)

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        """Make the logical databases and run the DDL statements of each; for `runtime.sql.create`."""
        await self._engine.create(scripts)

    def waited(self) -> float:
        """For how long the first in line for a connection of the pool has waited, in seconds.

        Who asks next will wait about as long, so it says how far behind the database is. 0 on SQLite.
        """
        return self._engine.waited()

    async def ping(self) -> None:
        """Ask the engine whether it is there. Raises Unavailable."""
        await self._engine.ping()

    async def close(self) -> None:
        """Let go of every connection. Transactions under way may still end. A second time does nothing."""
        await self._engine.close()


class _Whole:
    """What a transaction and the blocks nested in it share."""

    __slots__ = ("failure", "open", "read_only", "session", "turn")

    def __init__(self, read_only: bool) -> None:
        self.read_only = read_only
        self.session: Session | None = None
        self.failure: BaseException | None = None
        self.turn = asyncio.Lock()
        self.open: list[Transaction] = []  # the blocks that are open, the innermost last


class Transaction:
    """Statements that happen together or not at all. They run one after the other, whoever calls.

    A statement that breaks a constraint is undone alone, and the transaction may go on. A Conflict, a lost connection
    or a cancelled statement ends it: whatever is run then raises Conflict, and so does leaving the block as if nothing
    had been. `begin` opens a block inside this one, which can be undone alone. Reads go past the row cache, which hears
    of the writes after the commit.
    """

    def __init__(
        self, engine: Engine, how: How, watch: Watch, effects: Effects, wrote: Callable[[], None] | None = None
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

    async def __aenter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        self._whole.session = await self._engine.begin(self._how)
        self._whole.open.append(self)
        return self

    def begin(self) -> Transaction:
        """A block for `async with` inside this one, a savepoint: an exception that leaves it undoes only what it did.

        While it is open, queries run in it, not in this one. Its callbacks run when the whole is committed.
        """
        return _Nested(self)

    async def run(self, query: Query[T]) -> T:
        """Run a query in this transaction.

        Raises SqlError; RuntimeError before the block, after it and while a block inside it is open.
        """
        whole = self._whole
        if isinstance(query, Batch):
            return cast(T, await self._run_batch(query))
        if isinstance(query, Many):
            found: dict[Any, Any] = {}
            for part in cast("Many[Any, Any]", query).parts():
                found |= await self.run(part)
            return cast(T, found)
        statement, params = query.resolve()
        if whole.read_only and statement.writes:
            raise refused(statement)
        encoded = statement.encode(params, self._dialect)
        async with whole.turn:
            work = self._guarded(lambda session: session.execute(statement, encoded))
            outcome = await watched(self._watch, statement, self._dialect, work)
            if statement.writes and outcome is not None and self._effects.concern(query):
                self._changes += query.changes(outcome)
        result = statement.read(outcome, self._dialect) if outcome is not None else cast(T, 0)
        if self._effects.hooked and statement.rows:
            self._callbacks.append(partial(self._effects.loaded, statement, result))
        return result

    async def _run_batch(self, batch: Batch) -> int:
        queries, parts = resolve_all(batch, self._dialect)
        if self._whole.read_only and parts:
            raise refused(parts[0][0])
        async with self._whole.turn:
            work = self._guarded(lambda session: session.execute_all(parts))
            outcomes = await watched_batch(self._watch, parts, self._dialect, work)
            self._changes += changes_of(self._effects, queries, outcomes)
        return total(parts, outcomes, self._dialect)

    async def _guarded(self, work: Callable[[Session], Awaitable[V]]) -> V:
        whole = self._whole
        session = whole.session
        if session is None or self not in whole.open:
            raise RuntimeError("the transaction is not open: it runs queries inside its `async with` block only")
        if whole.open[-1] is not self:
            raise RuntimeError(INNER_OPEN)
        if whole.failure is not None:
            raise ended(whole.failure)
        try:
            return await work(session)
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

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self not in self._whole.open:
            if kind is None and self._begun and not self._left:
                raise RuntimeError(INNER_LEFT)
            return
        self._left = True
        # Finished even when cancelled: a COMMIT that was sent may have happened, and then its callbacks are due.
        try:
            await uninterrupted(self._end(commit=kind is None))
        finally:
            if self._wrote is not None:
                self._wrote()

    async def _end(self, *, commit: bool) -> None:
        whole = self._whole
        async with whole.turn:
            session, whole.session = whole.session, None
            if session is None:
                return
            left_open = whole.open[-1] is not self
            whole.open.clear()
            done = commit and whole.failure is None and not left_open
            await (self._commit(session) if done else session.rollback())
        if done:
            if self._wrote is not None:  # the callbacks run in a task of their own, which may start others that read
                self._wrote()
            self._effects.committed(self._changes)
            call_all(self._callbacks)
        elif commit:
            raise RuntimeError(INNER_LEFT) if whole.failure is None else ended(whole.failure)

    async def _commit(self, session: Session) -> None:
        watch = self._watch
        started = perf_counter()
        try:
            await session.commit()
        except BaseException as error:
            if not isinstance(error, UNDONE):
                self._effects.doubtful(self._changes)
            if (seconds := perf_counter() - started) >= watch.limit:
                watch.tell_commit(seconds, error)
            raise
        if (seconds := perf_counter() - started) >= watch.limit:
            watch.tell_commit(seconds)


class _Nested(Transaction):
    """A block inside a transaction: a savepoint."""

    def __init__(self, outer: Transaction) -> None:
        super().__init__(outer._engine, outer._how, outer._watch, outer._effects)
        self._outer = outer
        self._whole = outer._whole
        self._savepoint = ""

    async def __aenter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        whole = self._whole
        async with whole.turn:
            self._savepoint = savepoint(len(whole.open))
            await self._outer._guarded(lambda session: session.command(f"SAVEPOINT {self._savepoint}"))
            whole.open.append(self)
        return self

    async def _end(self, *, commit: bool) -> None:
        whole = self._whole
        async with whole.turn:
            if self not in whole.open:  # the outer one ended in the meantime
                return
            left_open = whole.open[-1] is not self
            del whole.open[whole.open.index(self) :]
            done = commit and whole.failure is None and not left_open
            if whole.failure is None:
                try:
                    await self._outer._guarded(lambda session: self._close(session, undo=not done))
                except SqlError:
                    if commit:
                        raise
        if done:
            self._outer._callbacks += self._callbacks
            self._outer._changes += self._changes
        elif commit:
            raise RuntimeError(INNER_LEFT) if whole.failure is None else ended(whole.failure)

    async def _close(self, session: Session, *, undo: bool) -> None:
        if undo:
            await session.command(f"ROLLBACK TO SAVEPOINT {self._savepoint}")
        await session.command(f"RELEASE SAVEPOINT {self._savepoint}")


async def connect(
    url: str | SqlUrl,
    *,
    pool_size: int | None = None,
    connect_timeout_ms: int | None = None,
    cache_ms: int | None = None,
) -> Database:
    """Open the store that the URL names (see `runtime.sql.urls`); the other values count where the URL gives none.

    Raises InvalidUrl; Unavailable when the engine can't be reached within the connect time-out.
    """
    place = configured(url, pool_size=pool_size, connect_timeout_ms=connect_timeout_ms, cache_ms=cache_ms)
    if isinstance(place, MysqlUrl):
        from runtime.sql.engines.mysql_asyncio import MysqlEngine, open_mysql

        primary: Engine = await open_mysql(place)
        if not place.replicas:
            return Database(primary, slow_ms=place.slow_ms, cache=RowCache(place.cache_ms))
        from runtime.sql.replicas import Choice, ReplicatedEngine

        replicas: list[Engine] = [MysqlEngine(url) for url in place.replicas]  # reached when they are first asked
        engine = ReplicatedEngine(primary, replicas, Choice(replicas, place.own_writes_ms))
        return Database(engine, slow_ms=place.slow_ms, cache=RowCache(place.cache_ms), wrote=engine.wrote)
    from runtime.sql.engines.sqlite_asyncio import open_sqlite

    return Database(await open_sqlite(place), slow_ms=place.slow_ms, cache=RowCache(place.cache_ms))


async def watched(
    watch: Watch, statement: Statement[Any], dialect: Dialect, work: Awaitable[Outcome | None]
) -> Outcome | None:
    """What `work`, the run of a statement, gives."""
    started = perf_counter()
    try:
        outcome = await work
    except BaseException as error:
        if (seconds := perf_counter() - started) >= watch.limit:
            watch.tell(statement, dialect, seconds, 0, error)
        raise
    if (seconds := perf_counter() - started) >= watch.limit:
        watch.tell(statement, dialect, seconds, rows_in(outcome))
    return outcome


async def watched_batch(
    watch: Watch, parts: Sequence[Part], dialect: Dialect, work: Awaitable[list[Outcome | None]]
) -> list[Outcome | None]:
    """What `work`, the run of a batch, gives. It is told as one, under the table of its first statement."""
    started = perf_counter()
    try:
        outcomes = await work
    except BaseException as error:
        if parts and (seconds := perf_counter() - started) >= watch.limit:
            watch.tell(parts[0][0], dialect, seconds, 0, error, "batch")
        raise
    if parts and (seconds := perf_counter() - started) >= watch.limit:
        watch.tell(parts[0][0], dialect, seconds, sum(map(rows_in, outcomes)), None, "batch")
    return outcomes


def resolve_all(batch: Batch, dialect: Dialect) -> tuple[list[Query[int]], list[Part]]:
    """Every query of a batch, and its statement with its encoded parameters, in order."""
    queries = list(_leaves(batch))
    parts: list[Part] = []
    for query in queries:
        statement, params = query.resolve()
        parts.append((statement, statement.encode(params, dialect)))
    return queries, parts


def changes_of(effects: Effects, queries: Sequence[Query[Any]], outcomes: Sequence[Outcome | None]) -> list[Change]:
    """What a batch did, of which the cache or hooks must hear."""
    return [
        change
        for query, outcome in zip(queries, outcomes, strict=True)
        if outcome is not None and effects.concern(query)
        for change in query.changes(outcome)
    ]


def doubts(effects: Effects, queries: Sequence[Query[Any]]) -> list[Change]:
    """What a batch may have done."""
    return [change for query in queries if effects.concern(query) for change in query.changes(None)]


def _leaves(batch: Batch) -> Iterator[Query[int]]:
    for query in batch.parts:
        if isinstance(query, Batch):
            yield from _leaves(query)
        else:
            yield query


def total(parts: Sequence[Part], outcomes: Sequence[Outcome | None], dialect: Dialect) -> int:
    """What a batch gives: the sum of what its parts give."""
    return sum(
        statement.read(outcome, dialect)
        for (statement, _), outcome in zip(parts, outcomes, strict=True)
        if outcome is not None
    )


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def ended(failure: BaseException) -> SqlError:
    """What a transaction raises after a failure that ended it."""
    error = Conflict(f"the transaction was ended by an earlier failure: {failure or type(failure).__name__}")
    error.__cause__ = failure
    return error


def rows_of(query: Query[list[V]], batch: int) -> tuple[Statement[list[V]], tuple[Any, ...]]:
    """The statement of a query to be streamed. Raises TypeError for what gives no rows, ValueError for `batch`."""
    if batch < 1:
        raise ValueError(f"batch must be 1 or more: {batch}")
    if isinstance(query, Batch):
        raise TypeError("a batch of writes can't be streamed")
    statement, params = query.resolve()
    if statement.writes:
        raise TypeError(f"{statement.table}: a write can't be streamed")
    return statement, params


def read_batch(statement: Statement[list[V]], rows: Rows, dialect: Dialect) -> list[V]:
    read = cast(object, statement.read(Outcome(rows), dialect))
    if not isinstance(read, list):
        raise TypeError(f"{statement.table}: the query gives {type(read).__name__}, not a list of rows to stream")
    return cast("list[V]", read)


def refused(statement: Statement[Any]) -> SqlError:
    return ReadOnlyTransaction(f"{statement.table}: a write in a transaction begun with read_only=True")


def how(isolation: Isolation | None, read_only: bool) -> How:
    """Checks what a type checker may not have seen: the level becomes part of a statement. Raises ValueError."""
    if isolation not in (None, "read committed", "repeatable read", "serializable"):
        raise ValueError(f"isolation {isolation!r}: one of read committed, repeatable read, serializable")
    return How(isolation, read_only) if isolation or read_only else DEFAULT


def pauses(attempts: int) -> Iterator[float]:
    """Seconds between attempts, growing and random, so that transactions that met don't meet again."""
    if attempts < 1:
        raise ValueError(f"attempts must be 1 or more: {attempts}")
    return (random.uniform(0, 0.005 * 2 ** min(number, 5)) for number in range(attempts - 1))


def savepoint(depth: int) -> str:
    return f"sun_{depth}"


def call_all(callbacks: Sequence[Callable[[], object]]) -> None:
    """Call each; what one raises is logged and stops neither the others nor the caller, whose rows are committed."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("a callback after commit failed")
