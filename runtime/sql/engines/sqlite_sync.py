"""SQLite without an event loop: one connection for writes and transactions, one for reads."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from runtime.sql.database import DEFAULT, How, Part
from runtime.sql.dialects import SQLITE
from runtime.sql.engines import sqlite
from runtime.sql.errors import Conflict, PoolTimeout, SqlError, Unavailable
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.sync import SyncSession
from runtime.sql.urls import SqliteUrl


def open_sqlite(url: SqliteUrl) -> SqliteSyncEngine:
    """An engine over the file of this URL, which is made where it is missing. Raises Unavailable."""
    return SqliteSyncEngine(url)


class _Session:
    """A transaction that has the writing connection to itself."""

    def __init__(self, engine: SqliteSyncEngine) -> None:
        self._engine = engine

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return self.execute_all([(statement, params)])[0]

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        connection = self._engine.writer
        try:
            return sqlite.run_all(connection, parts)
        except SqlError as error:
            if not connection.in_transaction:
                raise Conflict(f"SQLite ended the transaction: {error}") from error
            raise

    def command(self, text: str) -> None:
        sqlite.command(self._engine.writer, text)

    def commit(self) -> None:
        try:
            sqlite.commit(self._engine.writer)
        finally:
            self._engine.leave()

    def rollback(self) -> None:
        try:
            with contextlib.suppress(SqlError):
                sqlite.rollback(self._engine.writer)
        finally:
            self._engine.leave()


class _Snapshots:
    """At most `snapshots` reading connections, for whoever needs one across several statements."""

    def __init__(self, url: SqliteUrl, file: sqlite.File) -> None:
        self._file = file
        self._size = url.snapshots
        self._timeout = url.acquire_timeout_ms / 1000
        self._free = threading.Semaphore(url.snapshots)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def acquire(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable(f"{self._file.path}: the database was closed")
        if not self._free.acquire(timeout=self._timeout):
            raise PoolTimeout(
                f"{self._file.path}: all {self._size} connections of the pool were in use for {self._timeout:g} s"
            )
        try:
            return self._take() or self._file.open(writes=False)
        except BaseException:
            self._free.release()
            raise

    def _take(self) -> sqlite3.Connection | None:
        # Asking whether one is there first would leave time for another thread to take it.
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def release(self, connection: sqlite3.Connection) -> None:
        """Give back a connection that reads nothing."""
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)
        self._free.release()

    def discard(self, connection: sqlite3.Connection) -> None:
        """Give back a connection that is closed here."""
        connection.close()
        self._free.release()

    def close(self) -> None:
        self._closed = True
        while (connection := self._take()) is not None:
            connection.close()


class _ReadSession:
    """A read-only transaction: a snapshot of the file, beside which others write."""

    def __init__(self, snapshots: _Snapshots, connection: sqlite3.Connection) -> None:
        self._snapshots = snapshots
        self._connection = connection

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return sqlite.read(self._connection, statement, params)

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        return [self.execute(statement, params) for statement, params in parts]

    def command(self, text: str) -> None:
        sqlite.command(self._connection, text)

    def commit(self) -> None:
        self.rollback()

    def rollback(self) -> None:
        try:
            sqlite.rollback(self._connection)
        except SqlError:
            self._snapshots.discard(self._connection)
        else:
            self._snapshots.release(self._connection)


class SqliteSyncEngine:
    """One file, shared by threads: each read by itself, one writer at a time."""

    dialect = SQLITE

    def __init__(self, url: SqliteUrl) -> None:
        self._file = sqlite.File(url)
        self._timeout = url.acquire_timeout_ms / 1000
        try:
            self.writer = self._file.open(writes=True)
            try:
                self._reader = self._file.open(writes=False)
            except BaseException:
                self.writer.close()
                raise
        except BaseException:
            self._file.close()
            raise
        self._snapshots = _Snapshots(url, self._file)
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._holder = 0  # the thread that has the writer
        self._closed = False

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        if statement.writes:
            return self.execute_all([(statement, params)])[0]
        if self._closed:
            raise self._closed_error()
        with self._reading:
            return sqlite.read(self._reader, statement, params)

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        if len(parts) == 1:
            self._enter()
            try:
                return [sqlite.run(self.writer, *parts[0])]
            finally:
                self.leave()
        session = self._begin_writing()
        try:
            outcomes = session.execute_all(parts)
        except BaseException:
            session.rollback()
            raise
        session.commit()
        return outcomes

    def begin(self, how: How = DEFAULT) -> SyncSession:
        return self._begin_reading() if how.read_only else self._begin_writing()

    def _begin_reading(self) -> _ReadSession:
        connection = self._snapshots.acquire()
        try:
            sqlite.command(connection, "BEGIN")
        except BaseException:
            self._snapshots.discard(connection)
            raise
        return _ReadSession(self._snapshots, connection)

    def stream(self, statement: Statement[Any], params: tuple[Any, ...], batch: int) -> Generator[Rows, None, None]:
        """The rows, `batch` at a time, from a connection that is held until the end. Raises SqlError."""
        connection = self._snapshots.acquire()
        try:
            cursor = sqlite.cursor(connection, statement, params)
            while rows := sqlite.fetch(connection, cursor, statement, batch):
                yield rows
        except BaseException:  # its end was not reached, so that it still reads
            self._snapshots.discard(connection)
            raise
        self._snapshots.release(connection)

    def _begin_writing(self) -> _Session:
        self._enter()
        try:
            sqlite.command(self.writer, "BEGIN IMMEDIATE")
        except BaseException:
            self.leave()
            raise
        return _Session(self)

    def _enter(self) -> None:
        if self._closed:
            raise self._closed_error()
        if self._holder == threading.get_ident():
            raise RuntimeError(
                "this thread's transaction holds SQLite's one writer: run the query with `tx.run`, or after it"
            )
        if not self._writing.acquire(timeout=self._timeout):
            raise PoolTimeout(
                f"{self._file.path}: the SQLite writer was not free for {self._timeout:g} s: "
                "another transaction holds it"
            )
        self._holder = threading.get_ident()

    def leave(self) -> None:
        """Give the writing connection back."""
        self._holder = 0
        self._writing.release()

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        self._enter()
        try:
            sqlite.create(self.writer, scripts)
        finally:
            self.leave()

    def ping(self) -> None:
        if self._closed:
            raise self._closed_error()
        with self._reading:
            sqlite.command(self._reader, "SELECT 1")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._snapshots.close()
        with self._reading:
            self._reader.close()
        self.writer.close()
        self._file.close()

    def _closed_error(self) -> Unavailable:
        return Unavailable(f"{self._file.path}: the database was closed")
