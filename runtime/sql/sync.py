"""A SyncDatabase runs the same queries without an event loop, for scripts, the command line and threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, cast

from runtime.sql.database import HARMLESS, Part, call_all, ended, resolve_all, total
from runtime.sql.dialects import Dialect
from runtime.sql.queries import Batch, Query
from runtime.sql.statements import Outcome, Statement
from runtime.sql.urls import MysqlUrl, SqlUrl, configured

T = TypeVar("T")


class SyncSession(Protocol):
    """A transaction under way in an engine; see `database.Session`."""

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None: ...

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class SyncEngine(Protocol):
    """What a SyncDatabase needs of an engine; see `database.Engine`."""

    @property
    def dialect(self) -> Dialect: ...

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None: ...

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]: ...

    def begin(self) -> SyncSession: ...

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


class SyncRunner(Protocol):
    """What runs queries: a SyncDatabase, each query by itself, or a SyncTransaction."""

    def run(self, query: Query[T]) -> T: ...


class SyncDatabase:
    """One SQL store. Threads may share it; a transaction belongs to the thread that began it.

    Made by `connect_sync`.
    """

    def __init__(self, engine: SyncEngine) -> None:
        self._engine = engine
        self.dialect = engine.dialect

    def run(self, query: Query[T]) -> T:
        """Run a query by itself; a Batch in one transaction. A write is flushed when this returns. Raises SqlError."""
        if isinstance(query, Batch):
            parts = resolve_all(query, self.dialect)
            return cast(T, total(parts, self._engine.execute_all(parts), self.dialect) if parts else 0)
        statement, params = query.resolve()
        dialect = self.dialect
        outcome = self._engine.execute(statement, statement.encode(params, dialect))
        return statement.read(outcome, dialect) if outcome is not None else cast(T, 0)

    def begin(self) -> SyncTransaction:
        """A transaction for `with`: committed at the end of the block, rolled back when an exception leaves it."""
        return SyncTransaction(self._engine)

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


class SyncTransaction:
    """Statements that happen together or not at all; failures mean what they mean in `database.Transaction`."""

    def __init__(self, engine: SyncEngine) -> None:
        self._engine = engine
        self._dialect = engine.dialect
        self._session: SyncSession | None = None
        self._begun = False
        self._failure: BaseException | None = None
        self._callbacks: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a transaction can be entered once")
        self._begun = True
        self._session = self._engine.begin()
        return self

    def run(self, query: Query[T]) -> T:
        """Run a query in this transaction. Raises SqlError; RuntimeError before the block and after it."""
        if isinstance(query, Batch):
            parts = resolve_all(query, self._dialect)
            outcomes = self._guarded(lambda session: session.execute_all(parts))
            return cast(T, total(parts, outcomes, self._dialect))
        statement, params = query.resolve()
        encoded = statement.encode(params, self._dialect)
        outcome = self._guarded(lambda session: session.execute(statement, encoded))
        return statement.read(outcome, self._dialect) if outcome is not None else cast(T, 0)

    def _guarded(self, work: Callable[[SyncSession], Any]) -> Any:
        if self._session is None:
            raise RuntimeError("the transaction is not open: it runs queries inside its `with` block only")
        if self._failure is not None:
            raise ended(self._failure)
        try:
            return work(self._session)
        except HARMLESS:
            raise
        except BaseException as error:
            self._failure = error
            raise

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call this once the transaction is committed, in order; never if it is not. What it raises is logged."""
        self._callbacks.append(callback)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if kind is not None or self._failure is not None:
            session.rollback()
            if kind is None and self._failure is not None:
                raise ended(self._failure)
            return
        session.commit()
        call_all(self._callbacks)


def connect_sync(
    url: str | SqlUrl, *, pool_size: int | None = None, connect_timeout_ms: int | None = None
) -> SyncDatabase:
    """`database.connect` without an event loop."""
    place = configured(url, pool_size=pool_size, connect_timeout_ms=connect_timeout_ms)
    if isinstance(place, MysqlUrl):
        from runtime.sql.engines.mysql_sync import open_mysql

        return SyncDatabase(open_mysql(place))
    from runtime.sql.engines.sqlite_sync import open_sqlite

    return SyncDatabase(open_sqlite(place))
