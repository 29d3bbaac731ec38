"""What every generated DAO stands on: access by condition, writes, and finders by key.

Each method returns a value; a Database runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from runtime.sql.cache import Place
from runtime.sql.changes import Key
from runtime.sql.dialects import Dialect
from runtime.sql.expressions import AnyColumn, Condition, all_of
from runtime.sql.queries import (
    SHORT_LIMIT,
    Batch,
    Delete,
    Derived,
    Fixed,
    Insert,
    Keyed,
    Many,
    Page,
    Query,
    Select,
    Update,
)
from runtime.sql.statements import Outcome, Statement, insert_text, select_text
from runtime.sql.tables import Table
from runtime.sql.types import Bool, Float, Int

R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")

PAGE = 100
"""Rows of a page where the caller names no limit."""

# Bounds of one INSERT: SQLite takes 32,766 parameters, MariaDB 16 MiB of text by default.
_BATCH_PARAMETERS = 30_000
_BATCH_BYTES = 4 << 20

_KEY_PARAMETERS = 16_384  # of one SELECT by many keys, a power of two since lists of values are padded to one


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
    def exists(cls, *conditions: Condition[R]) -> Query[bool]:
        """Whether a row meets every condition."""
        return cls.where(*conditions).exists()

    @classmethod
    def count(cls, *conditions: Condition[R]) -> Query[int]:
        """How many rows meet every condition."""
        return cls.where(*conditions).count()

    @classmethod
    def insert(cls, row: R) -> Query[int]:
        """Add a row; the result is the id the engine gave it, 1 where the table has no AUTO_INCREMENT.

        Running it raises UniqueViolation when a row with one of its unique keys exists.
        """
        return _single(cls.table, "insert", row)

    @classmethod
    def insert_if_absent(cls, row: R) -> Query[int]:
        """Add a row unless one with the same unique key exists; the result is 1 or 0."""
        return _single(cls.table, "insert_if_absent", row)

    @classmethod
    def insert_many(cls, rows: Iterable[R]) -> Query[int]:
        """Add rows, all or none; the result is how many."""
        return _batch(cls.table, "insert_many", rows)

    @classmethod
    def upsert(cls, row: R) -> Query[int]:
        """Add a row, or change the one with its primary key to it; never deletes. The result is 1.

        Running it raises ConstraintViolation or InvalidValue when another row has one of its unique keys.
        """
        return _single(cls.table, "upsert", row)

    @classmethod
    def upsert_many(cls, rows: Iterable[R]) -> Query[int]:
        """`upsert` of every row, all or none; the result is how many."""
        return _batch(cls.table, "upsert", rows)

    @classmethod
    def update_row(cls, old: R, new: R) -> Query[int]:
        """Write what differs between two versions of a row, by their primary key; nothing is run where nothing does.

        The result is 1, or 0 where nothing differs or the row is gone. Raises ValueError for rows of different keys,
        TypeError for a table without a primary key.
        """
        table = cast("Table[R]", cls.table)
        before, after = _fields(table, old), _fields(table, new)
        if not table.primary_key:
            raise TypeError(f"{table.name} has no primary key to find the row by")
        values: dict[str, Any] = {}
        key: list[Condition[R]] = []
        for field, column, was, becomes in zip(table.fields, table.columns, before, after, strict=True):
            if column.name in table.primary_key:
                if was != becomes:
                    raise ValueError(f"{table.name}: the rows differ in their primary key: {field}")
                key.append(column == was)
            elif was != becomes and column.writable:
                values[field] = becomes
        return Update.of(table, key).setting(values) if values else Batch(())

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
    values are the cursor of keyset paging (https://use-the-index-luke.com/no-offset). What a unique key of a cached
    table finds is kept in the row cache; pages are where they are `cached`.
    """

    __slots__ = ("_columns", "_key_of", "_order", "_place", "_statement", "_table")

    def __init__(
        self,
        table: Table[R],
        columns: Sequence[AnyColumn[R, Any]],
        order: Sequence[AnyColumn[R, Any]] | None = None,
        *,
        cached: bool = False,
    ) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._order = tuple(order or ())
        self._statement: Statement[R | None] | None = None
        fields = dict(zip(table.names, table.fields, strict=True))
        # A column that stands for an expression is in no row: rows don't tell which of them it finds.
        told = all(column.name in fields for column in columns)
        self._key_of = attrgetter(*(fields[column.name] for column in columns)) if told else None
        self._place: Place | None = None
        if table.cache is not None and told and (order is None or cached):
            self._place = Place(table, columns, order)
            table.places.append(self._place)

    def one(self, *values: Any) -> Query[R | None]:
        """The row of a unique key. Raises TypeError for a None among the values, which no key has."""
        if None in values:
            raise TypeError(f"{self._table.name}: no row is found by None")
        statement = self._statement
        if statement is None:
            statement = self._statement = self._unique(values)
        place = self._place
        return Fixed(statement, values) if place is None else Keyed(statement, values, place)

    def many(self, keys: Iterable[Any]) -> Query[dict[Any, R]]:
        """The rows of many keys, each key a value or a tuple of them, by the key as the row has it.

        A key given twice counts once. Raises TypeError for a None and where an expression is part of the key,
        ValueError for a tuple of another length.
        """
        if self._key_of is None:
            raise TypeError(f"{self._table.name}: rows don't have the value of an expression")
        width = len(self._columns)
        rows = [key if width > 1 else (key,) for key in dict.fromkeys(keys)]
        for row in rows:
            if len(row) != width:
                raise ValueError(f"{self._table.name}: a key has {width} values, not {len(row)}")
            if None in row:
                raise TypeError(f"{self._table.name}: no row is found by None")
        return Many(rows, self._cut, lambda key: self.one(*key), self._place)

    def _cut(self, keys: Sequence[Key]) -> list[Query[dict[Any, R]]]:
        most = max(1, _KEY_PARAMETERS // len(self._columns))
        return [self._many(list(keys[start : start + most])) for start in range(0, len(keys), most)]

    def _many(self, keys: list[Key]) -> Query[dict[Any, R]]:
        table, key_of = self._table, self._key_of
        assert key_of is not None  # `many` has seen to it
        names = tuple(column.name for column in self._columns)
        if len(names) == 1:
            condition = self._columns[0].in_(key[0] for key in keys)
        else:
            keys = keys + keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))
            condition = Condition[R](("rows", names, len(keys)), tuple(value for key in keys for value in key))

        def read(outcome: Outcome, dialect: Dialect) -> dict[Any, R]:
            return {key_of(row): row for row in table.read_all(outcome, dialect)}

        select = Select(table, condition)
        return Derived(
            select.limit(len(keys)) if len(keys) <= SHORT_LIMIT else select,
            f"many {names}",
            table.terms,
            read,
            rows=True,
        )

    def page(self, values: tuple[Any, ...], before: Any, after: Any, limit: int) -> Select[R]:
        """Rows below the cursor `before`, newest first; above `after`, oldest first; between both, newest first."""
        terms = list(self._equal(values))
        if before is not None:
            terms.append(_beyond(self._order, before, upwards=False))
        if after is not None:
            terms.append(_beyond(self._order, after, upwards=True))
        upwards = after is not None and before is None
        order = [column.asc() if upwards else column.desc() for column in self._order]
        select = Select(self._table, all_of(terms)).order_by(*order).limit(limit)
        # The values stand first in the key: the cache finds by them the pages that a new row may belong to.
        return select if self._place is None else Page(select, self._place, (values, before, after, limit))

    def _equal(self, values: tuple[Any, ...]) -> Iterator[Condition[R]]:
        return (column == value for column, value in zip(self._columns, values, strict=True))

    def _unique(self, values: tuple[Any, ...]) -> Statement[R | None]:
        table = self._table
        condition = all_of(self._equal(values))
        where = None if condition is None else condition.shape

        def render(dialect: Dialect) -> str:
            return select_text(table.path, table.terms, where, dialect)

        return Statement(table.name, render, table.read_one, takes=table.takes(where), short=True, rows=True)


def _beyond(order: Sequence[AnyColumn[R, Any]], cursor: Any, *, upwards: bool) -> Condition[R]:
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


def _fields(table: Table[R], row: R) -> tuple[Any, ...]:
    if type(row) is not table.row:
        raise TypeError(f"{table.name} takes rows of {table.row.__name__}, not {type(row).__name__}")
    return msgspec.structs.astuple(cast("msgspec.Struct", row))


def _values(table: Table[R], row: R) -> tuple[Any, ...]:
    """The writable columns' values; NULL for an AUTO_INCREMENT of zero, on which every engine gives the next id."""
    values = _fields(table, row)
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
            return insert_text(table.path, names, rows, dialect, key=key, guard=len(table.unique) > 0, auto=table.auto)

        def read(outcome: Outcome, dialect: Dialect) -> int:
            # The engines count an upsert differently, MySQL's 2 for a changed row among them; a write that did not
            # fail wrote all.
            return outcome.last_id if verb == "insert" and table.auto else rows

        statement = Statement(
            table.name,
            render,
            read,
            takes=tuple(table.param(column.name) for column in writable),
            repeat=rows,
            writes=True,
            absorbs_duplicate=verb == "insert_if_absent",
        )
        # Odd remainders of large batches would fill the memory with long texts that are hardly used again.
        if rows <= 16 or rows == _rows_per_statement(table):
            table.keep((verb, rows), statement)
    return statement


def _rows_per_statement(table: Table[Any]) -> int:
    return max(1, _BATCH_PARAMETERS // len(table.columns))


def _single(table: Table[R], verb: str, row: R) -> Query[int]:
    return Insert(_insert(table, verb, 1), _values(table, row), table, (row,), verb == "upsert")


def _batch(table: Table[R], verb: str, rows: Iterable[R]) -> Query[int]:
    most = _rows_per_statement(table)
    writable = [column.type for column in table.columns if column.writable]
    texts = [place for place, type in enumerate(writable) if not isinstance(type, (Bool, Int, Float))]
    parts: list[Query[int]] = []
    chunk: list[Any] = []
    group: list[R] = []
    size = 0

    def cut() -> None:
        nonlocal chunk, group, size
        if group:
            statement = _insert(table, verb, len(group))
            parts.append(Insert(statement, tuple(chunk), table, tuple(group), verb == "upsert"))
        chunk, group, size = [], [], 0

    for row in rows:
        values = _values(table, row)
        weight = 8 * len(values)
        for place in texts:
            value = values[place]
            if isinstance(value, (str, bytes)):
                weight += 2 * len(value)
        if len(group) == most or (group and size + weight > _BATCH_BYTES):
            cut()
        chunk += values
        group.append(row)
        size += weight
    cut()
    return Batch(parts)
