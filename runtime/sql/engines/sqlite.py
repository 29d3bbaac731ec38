"""What both SQLite engines share: how a connection is opened, how statements run on it, and what its errors mean."""

from __future__ import annotations

import decimal
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.sql.database import Part
from runtime.sql.dialects import SQLITE
from runtime.sql.errors import (
    CheckViolation,
    Conflict,
    ConstraintViolation,
    ForeignKeyViolation,
    InvalidValue,
    MissingTable,
    SqlError,
    Unavailable,
    UniqueViolation,
)
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.types import single
from runtime.sql.urls import SqliteUrl

_OLDEST = (3, 37, 0)  # the first with STRICT tables

# FULL: a COMMIT returns when the write-ahead log is flushed, so that an acknowledged write survives the machine's fall.
_PRAGMAS = (
    "foreign_keys = ON",
    "synchronous = FULL",
    "temp_store = MEMORY",
    "journal_size_limit = 67108864",
    # LIKE compares by case as on MariaDB's utf8mb4_bin, and so can use an index.
    "case_sensitive_like = ON",
)
_PRIVATE = "synchronous = OFF"  # what is gone at close need not survive a fall

UNIQUE_INDEX = "{table}.{key}"
"""How the DDL names the index of a unique key: all indexes of a file share one space of names."""


class File:
    """Where a database is kept.

    With no path it is a folder of its own, removed at `close`: an in-memory database that several connections share
    would lock readers out while somebody writes.
    """

    def __init__(self, url: SqliteUrl) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise Unavailable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        self._url = url
        self._folder = tempfile.TemporaryDirectory(prefix="sun-") if url.path is None else None
        self.path = url.path or str(Path(self._folder.name if self._folder else "") / "sun.db")

    def open(self, *, writes: bool, busy_timeout_ms: int | None = None) -> sqlite3.Connection:
        """A connection that any one thread at a time may use. Raises Unavailable."""
        timeout_ms = self._url.busy_timeout_ms if busy_timeout_ms is None else busy_timeout_ms
        try:
            if writes:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path,
                timeout=timeout_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=1024,
            )
            try:
                if writes:
                    connection.execute("PRAGMA journal_mode = WAL").fetchall()
                add_arithmetic(connection)
                for pragma in (
                    *_PRAGMAS,
                    *([_PRIVATE] if self._folder else []),
                    f"query_only = {'OFF' if writes else 'ON'}",
                ):
                    connection.execute(f"PRAGMA {pragma}").fetchall()
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"{self.path}: the SQLite file can't be opened: {error}") from error
        return connection

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


# The most digits that a DECIMAL has are 65, and a sum may have one more.
_EXACT = decimal.Context(prec=80)
_NO_NUMBER = decimal.Decimal("Infinity")


def add_arithmetic(connection: sqlite3.Connection) -> None:
    """What DECIMAL and FLOAT columns need of SQLite, which has doubles only.

    The generated DDL gives DECIMAL columns, which are text, the collation, so that they compare, sort and are unique
    by their number wherever they stand. Another program needs it too, for whatever compares such a column.
    """
    connection.create_collation("sun_decimal", _compare)
    connection.create_function("sun_add", 2, _add, deterministic=True)
    connection.create_function("sun_single", 1, _single, deterministic=True)


def _number(text: str) -> decimal.Decimal:
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return _NO_NUMBER
    return number if number.is_finite() else _NO_NUMBER


def _compare(left: str, right: str) -> int:
    if left == right:
        return 0
    one, other = _number(left), _number(right)
    return (one > other) - (one < other)


def _add(number: str | None, amount: str | None) -> str | None:
    if number is None or amount is None:
        return None
    return f"{_EXACT.add(decimal.Decimal(number), decimal.Decimal(amount)):zf}"


def _single(number: float | None) -> float | None:
    return None if number is None else single(number)


def read(connection: sqlite3.Connection, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome:
    """Run a statement that writes nothing. Raises SqlError."""
    try:
        return Outcome(connection.execute(statement.text(SQLITE), params).fetchall())
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        raise failure(connection, error, statement.table) from error


def run(connection: sqlite3.Connection, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
    """Run any statement; None stands for a duplicate that it absorbs. Raises SqlError."""
    try:
        cursor = connection.execute(statement.text(SQLITE), params)
        if statement.writes:
            return Outcome((), max(cursor.rowcount, 0), cursor.lastrowid or 0)
        return Outcome(cursor.fetchall())
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        typed = failure(connection, error, statement.table)
        if isinstance(typed, UniqueViolation) and statement.absorbs_duplicate:
            return None
        raise typed from error


def run_all(connection: sqlite3.Connection, parts: Sequence[Part]) -> list[Outcome | None]:
    """Run every part or, where one fails, none; inside a transaction. Raises SqlError.

    A single statement needs the savepoint too: inside a transaction SQLite keeps the rows that an UPDATE changed
    before it met a value of a wrong type for a STRICT table (seen with 3.40).
    """
    command(connection, "SAVEPOINT sun_batch")
    try:
        outcomes = [run(connection, statement, params) for statement, params in parts]
    except BaseException:
        if connection.in_transaction:
            command(connection, "ROLLBACK TO sun_batch")
            command(connection, "RELEASE sun_batch")
        raise
    command(connection, "RELEASE sun_batch")
    return outcomes


def cursor(connection: sqlite3.Connection, statement: Statement[Any], params: tuple[Any, ...]) -> sqlite3.Cursor:
    """A cursor over the rows of a statement that writes nothing, for `fetch`. Raises SqlError."""
    try:
        return connection.execute(statement.text(SQLITE), params)
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        raise failure(connection, error, statement.table) from error


def fetch(connection: sqlite3.Connection, cursor: sqlite3.Cursor, statement: Statement[Any], batch: int) -> Rows:
    """The next rows of a cursor, none at its end. Raises SqlError."""
    try:
        return cursor.fetchmany(batch)
    except sqlite3.Error as error:
        raise failure(connection, error, statement.table) from error


def command(connection: sqlite3.Connection, text: str) -> None:
    """Run a statement without parameters or result. Raises SqlError."""
    try:
        connection.execute(text)
    except sqlite3.Error as error:
        raise failure(connection, error, text.partition("\n")[0][:80]) from error


def commit(connection: sqlite3.Connection) -> None:
    """Commit and flush; where that fails, everything is undone. Raises SqlError."""
    try:
        command(connection, "COMMIT")
    except SqlError:
        rollback(connection)
        raise


def rollback(connection: sqlite3.Connection) -> None:
    """Undo everything. SQLite rolls back by itself after some errors, so there may be nothing to undo."""
    if connection.in_transaction:
        command(connection, "ROLLBACK")


def create(connection: sqlite3.Connection, scripts: Mapping[str, Sequence[str]]) -> None:
    """Run DDL statements in one transaction. Raises SqlError."""
    command(connection, "BEGIN IMMEDIATE")
    try:
        for statements in scripts.values():
            for text in statements:
                command(connection, text)
    except BaseException:
        rollback(connection)
        raise
    commit(connection)


def failure(connection: sqlite3.Connection, error: Exception, table: str) -> SqlError:
    """The typed error (https://www.sqlite.org/rescode.html)."""
    reason = str(error)
    if isinstance(error, (OverflowError, UnicodeEncodeError)) or "binding parameter" in reason:
        return InvalidValue(f"{table}: {reason}")
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code in (
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
    ):
        return _unique(connection, reason, table)
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return ForeignKeyViolation(f"{table}: {reason}")
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        # The DDL names the checks of the schema `check.<name>`, and those that stand for a type `type.<column>`.
        name = reason.partition(": ")[2]
        if name.startswith("check."):
            return CheckViolation(table, name.removeprefix("check."))
        column = name.removeprefix("type.")
        broken = (
            f"{table}.{column}: the value does not fit the column's type" if column != name else f"{table}: {reason}"
        )
        return InvalidValue(broken)
    if code in (
        sqlite3.SQLITE_CONSTRAINT_NOTNULL,
        _CONSTRAINT_DATATYPE,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
    ):
        return InvalidValue(f"{table}: {reason}")
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ConstraintViolation(f"{table}: {reason}")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Conflict(f"{table}: another process holds the SQLite file: {reason}")
    if primary in _UNAVAILABLE:
        return Unavailable(f"{table}: {reason}")
    if "no such table" in reason or "no such column" in reason or "has no column" in reason:
        return MissingTable(f"{table}: {reason}")
    if reason == "Cannot operate on a closed database.":
        return Unavailable(f"{table}: the database was closed")
    return SqlError(f"{table}: {reason}")


_CONSTRAINT_DATATYPE = 3091  # SQLITE_CONSTRAINT_DATATYPE, of STRICT tables; sqlite3 names it from Python 3.12 on

_UNAVAILABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
}


def _unique(connection: sqlite3.Connection, reason: str, table: str) -> UniqueViolation:
    """What `UNIQUE constraint failed: sun.user.first, sun.user.last` means; for an expression it names the index."""
    named = reason.partition(": ")[2]
    if named.startswith("index "):
        return UniqueViolation(table, _key(table, named.removeprefix("index ").strip("'")))
    quoted = table.replace('"', '""')
    try:
        for _, index, unique, origin, _ in connection.execute(f'PRAGMA index_list("{quoted}")').fetchall():
            info = connection.execute("SELECT name FROM pragma_index_info(?)", (index,)).fetchall()
            if unique and ", ".join(f"{table}.{name}" for (name,) in info) == named:
                return UniqueViolation(table, "PRIMARY" if origin == "pk" else _key(table, index))
    except sqlite3.Error:
        return UniqueViolation(table, "unknown")
    return UniqueViolation(table, "PRIMARY")  # the rowid itself, an INTEGER PRIMARY KEY, has no index


def _key(table: str, index: str) -> str:
    return index.removeprefix(UNIQUE_INDEX.format(table=table, key=""))
