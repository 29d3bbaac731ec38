"""A Database runs queries and transactions in asyncio.

Which engine does the work, its URL says; `runtime.sql.sync` is the twin without await.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, cast

from runtime.sql.dialects import Dialect
from runtime.sql.errors import Conflict, ConstraintViolation, InvalidValue, MissingTable, SqlError
from runtime.sql.queries import Batch, Query
from runtime.sql.statements import Outcome, Statement
from runtime.sql.urls import MysqlUrl, SqlUrl, configured
from runtime.sql.waiting import uninterrupted

T = TypeVar("T")

Part = tuple[Statement[Any], tuple[Any, ...]]
"""A statement and its parameters as the driver takes them."""

log = logging.getLogger("sun.sql")

HARMLESS = (ConstraintViolation, InvalidValue, MissingTable)
"""Failures that undo their own statement and leave the transaction as it was before."""


class Session(Protocol):
    """A transaction under way in an engine. After `commit` or `rollback` it is gone."""

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        """Run one statement; None stands for a duplicate that the statement absorbs. Raises SqlError."""
        ...

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        """Run every part or, where one fails, none."""
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

    async def begin(self) -> Session: ...

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        """Make the logical databases and run the DDL statements of each."""
        ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Runner(Protocol):
    """What runs queries: a Database, each query by itself, or a Transaction."""

    async def run(self, query: Query[T]) -> T: ...


class Database:
    """One SQL store for one event loop. Made by `connect`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.dialect = engine.dialect

    async def run(self, query: Query[T]) -> T:
        """Run a query by itself; a Batch in one transaction. A write is flushed when this returns. Raises SqlError."""
        if isinstance(query, Batch):
            return cast(T, await self._run_batch(query))
        statement, params = query.resolve()
        dialect = self.dialect
        outcome = await self._engine.execute(statement, statement.encode(params, dialect))
        return statement.read(outcome, dialect) if outcome is not None else cast(T, 0)

    async def _run_batch(self, batch: Batch) -> int:
        parts = resolve_all(batch, self.dialect)
        if not parts:
            return 0
        return total(parts, await self._engine.execute_all(parts), self.dialect)

    def begin(self) -> Transaction:
        """A transaction for `async with`: committed at the end of the block, rolled back if an exception leaves it."""
        return Transaction(self._engine)

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        """Make the logical databases and run the DDL statements of each; for `runtime.sql.create`."""
        await self._engine.create(scripts)

    async def ping(self) -> None:
        """Ask the engine whether it is there. Raises Unavailable."""
        await self._engine.ping()

    async def close(self) -> None:
        """Let go of every connection. Transactions under way may still end. A second time does nothing."""
        await self._engine.close()


class Transaction:
    """Statements that happen together or not at all. They run one after the other, whoever calls.

    A statement that breaks a constraint is undone alone, and the transaction may go on. A Conflict, a lost connection
    or a cancelled statement ends it: whatever is run then raises Conflict, and so does leaving the block as if nothing
    had been.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dialect = engine.dialect
        self._session: Session | None = None
        self._begun = False
        self._failure: BaseException | None = None
        self._turn = asyncio.Lock()
        self._callbacks: list[Callable[[], object]] = []

    async def __aenter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        self._session = await self._engine.begin()
        return self

    async def run(self, query: Query[T]) -> T:
        """Run a query in this transaction. Raises SqlError; RuntimeError before the block and after it."""
        if isinstance(query, Batch):
            parts = resolve_all(query, self._dialect)
            async with self._turn:
                outcomes = await self._guarded(lambda session: session.execute_all(parts))
            return cast(T, total(parts, outcomes, self._dialect))
        statement, params = query.resolve()
        encoded = statement.encode(params, self._dialect)
        async with self._turn:
            outcome = await self._guarded(lambda session: session.execute(statement, encoded))
        return statement.read(outcome, self._dialect) if outcome is not None else cast(T, 0)

    async def _guarded(self, work: Callable[[Session], Any]) -> Any:
        if self._session is None:
            raise RuntimeError("the transaction is not open: it runs queries inside its `async with` block only")
        if self._failure is not None:
            raise ended(self._failure)
        try:
            return await work(self._session)
        except HARMLESS:
            raise
        except BaseException as error:
            self._failure = error
            raise

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call this once the transaction is committed, in order; never if it is not. What it raises is logged."""
        self._callbacks.append(callback)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._session is None:
            return
        # Finished even when cancelled: a COMMIT that was sent may have happened, and then its callbacks are due.
        await uninterrupted(self._end(commit=kind is None))

    async def _end(self, *, commit: bool) -> None:
        async with self._turn:
            session, self._session = self._session, None
            if session is None:
                return
            if not commit or self._failure is not None:
                await session.rollback()
            else:
                await session.commit()
        if commit and self._failure is not None:
            raise ended(self._failure)
        if commit:
            call_all(self._callbacks)


async def connect(
    url: str | SqlUrl, *, pool_size: int | None = None, connect_timeout_ms: int | None = None
) -> Database:
    """Open the store that the URL names (see `runtime.sql.urls`); the other values count where the URL gives none.

    Raises InvalidUrl; Unavailable when the engine can't be reached within the connect time-out.
    """
    place = configured(url, pool_size=pool_size, connect_timeout_ms=connect_timeout_ms)
    if isinstance(place, MysqlUrl):
        from runtime.sql.engines.mysql_asyncio import open_mysql

        return Database(await open_mysql(place))
    from runtime.sql.engines.sqlite_asyncio import open_sqlite

    return Database(await open_sqlite(place))


def resolve_all(batch: Batch, dialect: Dialect) -> list[Part]:
    """Every statement of a batch with its encoded parameters, in order."""
    parts: list[Part] = []
    for query in _leaves(batch):
        statement, params = query.resolve()
        parts.append((statement, statement.encode(params, dialect)))
    return parts


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


def ended(failure: BaseException) -> SqlError:
    """What a transaction raises after a failure that ended it."""
    error = Conflict(f"the transaction was ended by an earlier failure: {failure or type(failure).__name__}")
    error.__cause__ = failure
    return error


def call_all(callbacks: Sequence[Callable[[], object]]) -> None:
    """Call each; what one raises is logged and stops neither the others nor the caller, whose rows are committed."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("a callback after commit failed")
