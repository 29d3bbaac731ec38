"""What every generated DAO stands on: access by condition, writes, and finders by key.

Each method returns a value; a Database runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from runtime.sql.dialects import Dialect
from runtime.sql.expressions import Column, Condition, all_of
from runtime.sql.queries import Batch, Delete, Fixed, Query, Select
from runtime.sql.statements import Outcome, Statement, insert_text, select_text
from runtime.sql.tables import Table
from runtime.sql.types import Bool, Float, Int

R = TypeVar("R")

PAGE = 100
"""Rows of a page where the caller names no limit."""

# Bounds of one INSERT: SQLite takes 32,766 parameters, MariaDB 16 MiB of text by default.
_BATCH_PARAMETERS = 30_000
_BATCH_BYTES = 4 << 20


class Dao(Generic[R]):
    """Access to one table.

    Generated subclasses add its columns, its `get`, a finder for each key, and a typed `update`.
    """

    table: ClassVar[Table[Any]]

    @classmethod
    def where(cls, *conditions: Condition[R]) -> Select[R]:
        """Rows that meet every condition."""
        return Select(cls.table, all_of(conditions))

    @classmethod
    def all(cls) -> Select[R]:
        """Every row of the table."""
        return Select(cls.table, None)

    @classmethod
    def insert(cls, row: R) -> Query[int]:
        """Add a row; the result is the id the engine gave it, 1 where the table has no AUTO_INCREMENT.

        Running it raises UniqueViolation when a row with one of its unique keys exists.
        """
        return Fixed(_insert(cls.table, "insert", 1), _values(cls.table, row))

    @classmethod
    def insert_if_absent(cls, row: R) -> Query[int]:
        """Add a row unless one with the same unique key exists; the result is 1 or 0."""
        return Fixed(_insert(cls.table, "insert_if_absent", 1), _values(cls.table, row))

    @classmethod
    def insert_many(cls, rows: Iterable[R]) -> Query[int]:
        """Add rows, all or none; the result is how many."""
        return _batch(cls.table, "insert_many", rows)

    @classmethod
    def upsert(cls, row: R) -> Query[int]:
        """Add a row, or change the one with its primary key to it; never deletes. The result is 1.

        Running it raises ConstraintViolation or InvalidValue when another row has one of its unique keys.
        """
        return Fixed(_insert(cls.table, "upsert", 1), _values(cls.table, row))

    @classmethod
    def upsert_many(cls, rows: Iterable[R]) -> Query[int]:
        """`upsert` of every row, all or none; the result is how many."""
        return _batch(cls.table, "upsert", rows)

    @classmethod
    def _delete(cls, conditions: Sequence[Condition[R]], key: dict[str, Any]) -> Delete:
        table = cast("Table[R]", cls.table)
        columns = {table.field(name): value for name, value in key.items()}
        if key and (conditions or {column.name for column in columns} != set(table.primary_key)):
            raise TypeError(f"delete of {table.name} takes conditions, or its whole primary key {table.primary_key}")
        return Delete(table, all_of((*conditions, *(column == value for column, value in columns.items()))))


class Finder(Generic[R]):
    """Finds rows by one key of a table. Made once per key; each call returns a value.

    `columns` are compared for equality. A non-unique key also has `order`: the columns that order its pages, and whose
    values are the cursor of keyset paging (https://use-the-index-luke.com/no-offset).
    """

    __slots__ = ("_columns", "_order", "_statement", "_table")

    def __init__(
        self, table: Table[R], columns: Sequence[Column[R, Any]], order: Sequence[Column[R, Any]] = ()
    ) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._order = tuple(order)
        self._statement: Statement[R | None] | None = None

    def one(self, *values: Any) -> Query[R | None]:
        """The row of a unique key. Raises TypeError for a None among the values, which no key has."""
        if None in values:
            raise TypeError(f"{self._table.name}: no row is found by None")
        statement = self._statement
        if statement is None:
            statement = self._statement = self._unique(values)
        return Fixed(statement, values)

    def page(self, values: tuple[Any, ...], before: Any, after: Any, limit: int) -> Select[R]:
        """Rows below the cursor `before`, newest first; above `after`, oldest first; between both, newest first."""
        terms = list(self._equal(values))
        if before is not None:
            terms.append(_beyond(self._order, before, upwards=False))
        if after is not None:
            terms.append(_beyond(self._order, after, upwards=True))
        upwards = after is not None and before is None
        order = [column.asc() if upwards else column.desc() for column in self._order]
        return Select(self._table, all_of(terms)).order_by(*order).limit(limit)

    def _equal(self, values: tuple[Any, ...]) -> Iterator[Condition[R]]:
        return (column == value for column, value in zip(self._columns, values, strict=True))

    def _unique(self, values: tuple[Any, ...]) -> Statement[R | None]:
        table = self._table
        condition = all_of(self._equal(values))
        where = None if condition is None else condition.shape

        def render(dialect: Dialect) -> str:
            return select_text(table.path, table.names, where, dialect)

        return Statement(table.name, render, table.read_one, types=table.types(where), short=True)


def _beyond(order: Sequence[Column[R, Any]], cursor: Any, *, upwards: bool) -> Condition[R]:
    """Rows past the cursor in the order.

    `a <= x AND (a < x OR …)` rather than `(a, b) < (x, y)`, which MySQL runs without the index.
    """
    values: tuple[Any, ...] = tuple(cursor) if len(order) > 1 else (cursor,)
    if len(values) != len(order):
        raise ValueError(
            f"a cursor over {[column.name for column in order]} has {len(order)} values, not {len(values)}"
        )
    column, value = order[0], values[0]
    past = column > value if upwards else column < value
    if len(order) == 1:
        return past
    at_least = column >= value if upwards else column <= value
    rest = values[1:] if len(order) > 2 else values[1]
    return at_least & (past | _beyond(order[1:], rest, upwards=upwards))


def _values(table: Table[R], row: R) -> tuple[Any, ...]:
    """The writable columns' values; NULL for an AUTO_INCREMENT of zero, on which every engine gives the next id."""
    if type(row) is not table.row:
        raise TypeError(f"{table.name} takes rows of {table.row.__name__}, not {type(row).__name__}")
    values: tuple[Any, ...] = msgspec.structs.astuple(cast("msgspec.Struct", row))
    if table.all_plain:
        return values
    return tuple(
        None if column.auto and value == 0 else value
        for column, value in zip(table.columns, values, strict=True)
        if column.writable
    )


def _insert(table: Table[Any], verb: str, rows: int) -> Statement[int]:
    """The statement of `insert`, `insert_if_absent`, `insert_many` or `upsert` for a number of rows."""
    statement = table.statement((verb, rows))
    if statement is None:
        writable = [column for column in table.columns if column.writable]
        names = tuple(column.name for column in writable)
        key = table.primary_key if verb == "upsert" else ()
        if verb == "upsert" and not key:
            raise TypeError(f"{table.name} has no primary key to upsert by")

        def render(dialect: Dialect) -> str:
            return insert_text(table.path, names, rows, dialect, key=key, guard=len(table.unique) > 0)

        def read(outcome: Outcome, dialect: Dialect) -> int:
            # The engines count an upsert differently, MySQL's 2 for a changed row among them; a write that did not
            # fail wrote all.
            return outcome.last_id if verb == "insert" and table.auto else rows

        types = tuple(column.type for column in writable) * rows
        statement = Statement(
            table.name, render, read, types=types, writes=True, absorbs_duplicate=verb == "insert_if_absent"
        )
        # Odd remainders of large batches would fill the memory with long texts that are hardly used again.
        if rows <= 16 or rows == _rows_per_statement(table):
            table.keep((verb, rows), statement)
    return statement


def _rows_per_statement(table: Table[Any]) -> int:
    return max(1, _BATCH_PARAMETERS // len(table.columns))


def _batch(table: Table[R], verb: str, rows: Iterable[R]) -> Query[int]:
    most = _rows_per_statement(table)
    writable = [column.type for column in table.columns if column.writable]
    texts = [place for place, type in enumerate(writable) if not isinstance(type, (Bool, Int, Float))]
    parts: list[Query[int]] = []
    chunk: list[Any] = []
    count = size = 0

    def cut() -> None:
        nonlocal chunk, count, size
        if count:
            parts.append(Fixed(_insert(table, verb, count), tuple(chunk)))
        chunk, count, size = [], 0, 0

    for row in rows:
        values = _values(table, row)
        weight = 8 * len(values)
        for place in texts:
            value = values[place]
            if isinstance(value, (str, bytes)):
                weight += 2 * len(value)
        if count == most or (count and size + weight > _BATCH_BYTES):
            cut()
        chunk += values
        count += 1
        size += weight
    cut()
    return Batch(parts)
