"""Failures of the database as typed exceptions, the same on every engine."""

from __future__ import annotations


class SqlError(Exception):
    """A statement failed. Subclasses say why; this class itself stands for what no subclass names."""


class Unavailable(SqlError):
    """The engine can't be reached, or the connection broke. The call may be tried again."""


class PoolTimeout(Unavailable):
    """No connection became free within the pool's time limit."""


class Conflict(SqlError):
    """A deadlock or a lock time-out ended the transaction. The whole transaction may be tried again."""


class ConstraintViolation(SqlError):
    """The rows would break a constraint; nothing was written."""


class UniqueViolation(ConstraintViolation):
    """A row with this key exists.

    `table` is `sun.user`; `key` the key's name in the schema, `PRIMARY` for the primary key.
    """

    def __init__(self, table: str, key: str) -> None:
        super().__init__(f"{table}: a row with this {key} exists")
        self.table = table
        self.key = key


class ForeignKeyViolation(ConstraintViolation):
    """A row refers to one that is not there, or is still referred to."""


class CheckViolation(ConstraintViolation):
    """A row breaks a CHECK.

    `table` is `sun.user`; `check` the constraint's name in the schema.
    """

    def __init__(self, table: str, check: str) -> None:
        super().__init__(f"{table}: the row breaks CHECK {check}")
        self.table = table
        self.check = check


class InvalidValue(SqlError):
    """A value does not fit: too long, out of range, NULL in a NOT NULL column, or of the wrong type.

    `table` is `sun.post`, `column` the column's name in the schema; `value` describes what was given, texts and bytes
    by their size, since they may be secret. They are None where the engine refused what was sent to it.
    """

    def __init__(
        self, message: str, *, table: str | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        super().__init__(message)
        self.table = table
        self.column = column
        self.value = value


class MissingTable(SqlError):
    """The database has no such table or column: it was never created, or is older than the schema."""


class ReadOnlyTransaction(SqlError):
    """A write in a transaction begun with `read_only=True`; nothing was sent."""


class ResultMismatch(SqlError):
    """The rows of hand-written SQL are not what its row class says."""


class UnsafeStatement(SqlError):
    """An update or delete without a condition that does not say `.everywhere()`."""
