"""What every generated DAO stands on: reads and writes by key, and finders by index.

Each method returns a value; a Database runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeGuard, TypeVar, overload

from runtime.cql.columns import AnyColumn, Condition
from runtime.cql.queries import Chosen, Found, Get, Many, Pages, Point, Query, Rows, Scan, Slice, at_least_one
from runtime.cql.statements import Operator, Outcome, Relation
from runtime.cql.tables import Table
from runtime.cql.tokens import TokenRange
from runtime.cql.types import CqlType, List, Tuple, Vector
from runtime.cql.writes import (
    Conditional,
    Delete,
    Increment,
    Insert,
    RangeDelete,
    Target,
)

R = TypeVar("R")

MOST_NEAREST = 1_000  # rows of a search by vector, of which Cassandra gives no more


class Dao(Generic[R]):
    """Access to one table.

    Generated subclasses add its columns and what its keys and indexes allow.
    """

    table: ClassVar[Table[Any]]

    @classmethod
    def scan(cls, tokens: TokenRange | None = None) -> Scan[R]:
        """Every row, or those whose partitions are in a range of tokens: see `token_ranges`."""
        return Scan(cls.table, tokens=tokens)


class WritableDao(Dao[R]):
    """Access to a table that takes whole rows: one that has no counters and is no view."""

    @overload
    @classmethod
    def insert(cls, row: R, *, ttl: int | None = None, timestamp: int | None = None) -> Insert[R]: ...

    @overload
    @classmethod
    def insert(cls, row: R, *, ttl: int | None = None, if_not_exists: Literal[True]) -> Conditional[R]: ...

    @classmethod
    def insert(
        cls, row: R, *, ttl: int | None = None, timestamp: int | None = None, if_not_exists: bool = False
    ) -> Insert[R] | Conditional[R]:
        """Write a row, over the one of its key if there is one.

        None, and an empty collection that is not frozen, leave what is there; `NULL` deletes it. `ttl` in seconds,
        `timestamp` in µs since 1970. Raises ValueError for one out of range.
        """
        insert: Insert[R] = Insert(cls.table, row, ttl, timestamp)
        return insert.if_not_exists() if if_not_exists else insert

    @classmethod
    def insert_many(cls, rows: Iterable[R], *, ttl: int | None = None, timestamp: int | None = None) -> Query[None]:
        """Write rows side by side, each on its own: where one fails, others are written."""
        return Many([Insert(cls.table, row, ttl, timestamp) for row in rows], lambda _: None)


class Key(Generic[R]):
    """The primary key of a table: what generated methods read and write by it. Made once per DAO.

    Values come in the order of the key. Those of slices stand for the partition key and the first clustering columns;
    None at their end stands for a column that is not given.
    """

    __slots__ = ("_distinct", "_partition", "_point", "_prefixes", "_row", "_table")

    def __init__(self, table: Table[R]) -> None:
        self._table = table
        self._point = Point(table)
        self._row: Target[R] = Target(table, table.primary_key)
        self._partition: Target[R] = Target(table, table.partition_key, is_static=True)
        relations = self._point.where
        self._prefixes = {length: relations[:length] for length in range(len(table.partition_key), len(relations) + 1)}

    @property
    def row(self) -> Target[R]:
        """What an update of a row is of."""
        return self._row

    @property
    def partition(self) -> Target[R]:
        """What an update of static columns is of."""
        return self._partition

    def get(self, *values: Any) -> Get[R]:
        """The row of this key."""
        return Get(self._point, values)

    def get_many(self, keys: Iterable[Any]) -> Query[dict[Any, R]]:
        """The rows of many keys, each a tuple or, of one column, its value; by key, without those that have none.

        A key given twice counts once. Raises ValueError for a tuple of another length.
        """
        table, point = self._table, self._point
        width = len(table.primary_key)
        asked = list(dict.fromkeys(keys))
        wanted = [key if width > 1 else (key,) for key in asked]
        for key in wanted:
            if not is_tuple(key) or len(key) != width:
                raise ValueError(f"{table.name}: a key is a tuple of {width} values")

        def combine(rows: Sequence[R | None]) -> dict[Any, R]:
            return {key: row for key, row in zip(asked, rows, strict=True) if row is not None}

        return Many([Get(point, key) for key in wanted], combine)

    def get_in(self, values: tuple[Any, ...], last: Iterable[Any]) -> Slice[R]:
        """The rows whose last clustering column is one of these."""
        return self._one_of(Slice, self._table.primary_key, values, last)

    def slice(
        self,
        values: tuple[Any, ...],
        after: Any = None,
        before: Any = None,
        at_least: Any = None,
        at_most: Any = None,
        limit: int | None = None,
    ) -> Slice[R]:
        """Rows of one partition between bounds, by value whatever the order: `after` and `before` leave theirs out.

        A bound is a value of the next clustering column or a tuple of the next ones; always a tuple where the next has
        tuples for values and is not the last. Raises ValueError for a tuple of another length and for two bounds of one
        side.
        """
        where, params = self._bounded(values, after, before, at_least, at_most)
        return Slice(self._table, where, params, limit=limit)

    def slice_in(self, values: tuple[Any, ...], last: Iterable[Any], limit: int | None = None) -> Found[R]:
        """Rows of the partitions whose last column is one of these."""
        return self._one_of(Found, self._table.partition_key, values, last, limit=limit)

    def partitions(self, tokens: TokenRange | None = None) -> Pages[Any]:
        """Each partition's key once: a tuple or, of one column, its value."""
        columns = self._table.partition_key
        rows: Rows[R] = Rows(self._table, tokens=tokens, distinct=True)

        def read(outcome: Outcome) -> list[Any]:
            return [row[0] for row in outcome.rows] if len(columns) == 1 else list(outcome.rows)

        return Chosen(rows, tuple(column.term for column in columns), read)

    def increment(self, values: tuple[Any, ...], amounts: Mapping[str, Any]) -> Increment[R]:
        """Add amounts to counters, by their Python names, of one row."""
        return Increment[R].of(self._row, values, amounts)

    def increment_static(self, values: tuple[Any, ...], amounts: Mapping[str, Any]) -> Increment[R]:
        """Add amounts to static counters, by their Python names, of one partition."""
        return Increment[R].of(self._partition, values, amounts)

    def delete(self, *values: Any) -> Delete[R]:
        """Delete one row."""
        return Delete(self._table, self._point.where, values)

    def delete_slice(
        self,
        values: tuple[Any, ...],
        after: Any = None,
        before: Any = None,
        at_least: Any = None,
        at_most: Any = None,
    ) -> RangeDelete[R]:
        """Delete the rows that `slice` gives. Raises TypeError without any bound or clustering column."""
        where, params = self._bounded(values, after, before, at_least, at_most)
        if len(where) == len(self._table.partition_key):
            raise TypeError(f"delete_slice of {self._table.name} has no bound; delete_partition deletes all of it")
        return RangeDelete(self._table, where, params)

    def delete_partition(self, *values: Any) -> RangeDelete[R]:
        """Delete all rows of a partition, and its static columns."""
        return RangeDelete(self._table, self._partition.where, values)

    def _one_of(
        self, kind: Any, columns: Sequence[AnyColumn[R, Any]], values: tuple[Any, ...], last: Iterable[Any], **how: Any
    ) -> Any:
        where = (*self._point.where[: len(columns) - 1], Relation((columns[-1].name,), "in"))
        return kind(self._table, where, (*values, list(last)), **how)

    def _bounded(
        self, values: tuple[Any, ...], after: Any, before: Any, at_least: Any, at_most: Any
    ) -> tuple[tuple[Relation, ...], tuple[Any, ...]]:
        table = self._table
        while len(values) > len(table.partition_key) and values[-1] is None:
            values = values[:-1]
        where = self._prefixes[len(values)]
        if after is None and before is None and at_least is None and at_most is None:
            return where, values
        rest = table.primary_key[len(values) :]
        bounds = bounded(table.name, rest, after, before, at_least, at_most)
        return (*where, *bounds[0]), (*values, *bounds[1])


def _reads_as_tuple(type: CqlType[Any]) -> bool:
    return isinstance(type, Tuple) or (isinstance(type, (List, Vector)) and type.is_hashable)


def is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def bounded(
    table: str, columns: Sequence[AnyColumn[Any, Any]], after: Any, before: Any, at_least: Any, at_most: Any
) -> tuple[tuple[Relation, ...], tuple[Any, ...]]:
    """The relations and parameters of bounds of these columns. Raises ValueError for two of one side."""
    if after is not None and at_least is not None:
        raise ValueError(f"{table}: after and at_least are two lower bounds")
    if before is not None and at_most is not None:
        raise ValueError(f"{table}: before and at_most are two upper bounds")
    where: list[Relation] = []
    params: list[Any] = []
    bounds: list[tuple[Operator, Any]] = [(">", after), (">=", at_least), ("<", before), ("<=", at_most)]
    for operator, bound in bounds:
        if bound is not None:
            values = _cursor(table, columns, bound)
            where.append(Relation(tuple(column.name for column in columns[: len(values)]), operator))
            params += values
    return tuple(where), tuple(params)


def _cursor(table: str, columns: Sequence[AnyColumn[Any, Any]], bound: Any) -> tuple[Any, ...]:
    if not columns:
        raise TypeError(f"{table}: no clustering column is left to have bounds")
    tuples = _reads_as_tuple(columns[0].type)
    if len(columns) == 1 or not (tuples or is_tuple(bound)):
        return (bound,)
    if not is_tuple(bound) or not 1 <= len(bound) <= len(columns):
        raise ValueError(
            f"{table}: a bound of {[column.name for column in columns]} is a tuple of 1 to {len(columns)} values"
        )
    return bound


class Lookup(Generic[R]):
    """Finds rows by a secondary index. Made once per index."""

    __slots__ = ("_column", "_table")

    def __init__(self, table: Table[R], column: AnyColumn[R, Any]) -> None:
        self._table = table
        self._column = column

    def equal(self, value: Any) -> Found[R]:
        """Rows whose column is this value."""
        return self._found(self._column == value)

    def containing(self, value: Any) -> Found[R]:
        """Rows whose list or set has this element, or whose map has this value."""
        return self._found(self._column.contains(value))

    def containing_key(self, key: Any) -> Found[R]:
        """Rows whose map has this key."""
        return self._found(self._column.contains_key(key))

    def containing_entry(self, key: Any, value: Any) -> Found[R]:
        """Rows whose map has this value at this key."""
        return self._found(self._column.entry(key) == value)

    def between(
        self, value: Any = None, after: Any = None, before: Any = None, at_least: Any = None, at_most: Any = None
    ) -> Found[R]:
        """Rows whose column is this value, or between bounds of which `after` and `before` leave theirs out.

        Raises TypeError for neither or both, ValueError for two bounds of one side.
        """
        name = f"{self._table.name}.{self._column.name}"
        where, params = bounded(self._table.name, (self._column,), after, before, at_least, at_most)
        if (value is None) == (not where):
            raise TypeError(f"rows are found by a value of {name} or by its bounds")
        return self.equal(value) if value is not None else Found(self._table, where, params)

    def nearest(self, vector: Any, limit: int) -> Rows[R]:
        """The rows whose vectors are nearest to this one, the nearest first.

        Raises ValueError for a limit beyond 1,000.
        """
        if at_least_one("limit", limit) > MOST_NEAREST:
            raise ValueError(f"a search by vector finds at most {MOST_NEAREST} rows, not {limit}")
        return Rows(self._table, limit=limit, nearest=(self._column.name, vector))

    def _found(self, condition: Condition[R]) -> Found[R]:
        return Found(self._table, (condition.relation,), condition.params)
