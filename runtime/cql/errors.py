"""Failures of the wide-column store as typed exceptions, the same on every engine."""

from __future__ import annotations


class CqlError(Exception):
    """A statement failed. Subclasses say why; this class itself stands for what no subclass names."""


class Unavailable(CqlError):
    """The engine can't be reached, or too few replicas are there. Nothing was written; the call may be tried again."""


class TooManyRequests(Unavailable):
    """No place among the requests in flight became free within the time limit. Nothing was sent."""


class Denied(CqlError):
    """The cluster does not take these credentials, or this user may not do this."""


class Timeout(CqlError):
    """No answer came in time, or none that tells the end of a write: the connection broke, a replica failed.

    A write may have happened or may happen yet: try it again only where that is harmless.
    """


class InvalidValue(CqlError):
    """A value does not fit: out of range, too large, or of the wrong type.

    `table` is `sun_msg.message`, `column` the column's name in the schema; `value` describes what was given, texts and
    bytes by their size, since they may be secret. They are None where the engine refused what was sent to it.
    """

    def __init__(
        self, message: str, *, table: str | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        super().__init__(message)
        self.table = table
        self.column = column
        self.value = value


class MissingTable(CqlError):
    """The cluster has no such keyspace, table or column: it was never created, or is older than the schema."""


class ChangedTable(CqlError):
    """The store has the table with another key, or a column or user-defined type as something else."""


class UnreadableValue(CqlError):
    """A stored value can't be told in Python, as a date of the year 12000."""


class InvalidState(CqlError):
    """A page state that no page of this query gave."""


class UnsafeStatement(CqlError):
    """A query that may not run: a batch that mixes counters with other writes, or has none."""
