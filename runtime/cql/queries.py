"""Reads as values: what to ask for and the type of what comes back. A Database runs them.

Writes are in `writes`, what a generated method makes them of in `dao`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, final, overload

from runtime.cql.columns import AnyColumn, Condition, Selectable
from runtime.cql.params import Params
from runtime.cql.statements import (
    Bound,
    Consistency,
    Options,
    Outcome,
    Reading,
    Relation,
    Select,
    Term,
)
from runtime.cql.tables import Table
from runtime.cql.tokens import TokenRange
from runtime.cql.types import UserDefined

R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")

_COUNT = Term("count")
_MOST_ROWS = (1 << 31) - 1
_TIMES: tuple[Options, Options] = (Options(idempotent=False), Options(idempotent=True))
_AS_USUAL: Mapping[str, Any] = {}


class Query(Generic[T]):
    """What to run and what comes back (T). Immutable; the same value runs on every Database, any number of times."""

    __slots__ = ("_given",)

    _given: Mapping[str, Any]  # of Options, as far as the caller named them

    def resolve(self) -> Reading[T]:
        """The request, and how to read what comes back.

        Raises InvalidValue for a value that its column can't hold, UnsafeStatement, TypeError and ValueError for a
        query that may not run.
        """
        raise NotImplementedError

    def options(
        self,
        *,
        consistency: Consistency | None = None,
        serial_consistency: Literal["SERIAL", "LOCAL_SERIAL"] | None = None,
        timeout_ms: int | None = None,
        page_size: int | None = None,
        idempotent: bool | None = None,
    ) -> Self:
        """The same, run in another way; None leaves what was said before. See `Options`.

        Reads and plain writes are idempotent unless this says otherwise; what counts, has a condition, or adds to a
        list or writes at an index of it is not. Raises ValueError for a time or a size below 1.
        """
        named = {
            "consistency": consistency,
            "serial_consistency": serial_consistency,
            "timeout_ms": timeout_ms,
            "page_size": page_size,
            "idempotent": idempotent,
        }
        for name, value in (("timeout_ms", timeout_ms), ("page_size", page_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        twin = copy.copy(self)
        twin._given = {**self._given, **{name: value for name, value in named.items() if value is not None}}
        return twin

    def _options(self, idempotent: bool) -> Options:
        if not self._given:
            return _TIMES[idempotent]
        named: dict[str, Any] = {"idempotent": idempotent, **self._given}
        return Options(**named)


class Many(Query[T]):
    """Several queries that are run side by side, and what their results make together."""

    __slots__ = ("_combine", "_parts")

    def __init__(self, parts: Sequence[Query[Any]], combine: Callable[[Sequence[Any]], T]) -> None:
        self._given = _AS_USUAL
        self._parts = parts
        self._combine = combine

    def parts(self) -> Sequence[Query[Any]]:
        """The queries to run; none where there is nothing to do."""
        return [part.options(**self._given) for part in self._parts] if self._given else self._parts

    def combine(self, results: Sequence[Any]) -> T:
        """The result, of those of the parts in their order."""
        return self._combine(results)

    def resolve(self) -> Reading[T]:
        """Raises ValueError: there is no one request."""
        raise ValueError(f"this query is {len(self._parts)} requests: run it on a database")


class Point(Generic[R]):
    """What all reads of single rows of a table share."""

    __slots__ = ("params", "read", "statement", "table", "where")

    def __init__(self, table: Table[R]) -> None:
        self.table = table
        self.where = tuple(Relation((column.name,), "=") for column in table.primary_key)
        self.params = Params(table.name, [table.key_param(column) for column in table.primary_key])
        self.statement = Select(table, table.terms, self.where)
        self.read = table.read_one


@final
class Get(Query[R | None]):
    """The row of a whole primary key, or None."""

    __slots__ = ("_point", "_values")

    def __init__(self, point: Point[R], values: tuple[Any, ...]) -> None:
        self._given = _AS_USUAL
        self._point = point
        self._values = values

    def __repr__(self) -> str:
        return f"Get({self._point.table.name}, {self._values!r})"

    def resolve(self) -> Reading[R | None]:
        point = self._point
        bound = Bound(point.statement, point.params.checked(self._values), self._options(True))
        return Reading(bound, point.read)

    def value(self, column: Selectable[R, V]) -> Query[V | None]:
        """One column of the row; None also where there is no row."""
        return self._chosen((column,), lambda rows: rows[0][0] if rows else None)

    @overload
    def select(self, a: Selectable[R, A], /) -> Query[tuple[A] | None]: ...
    @overload
    def select(self, a: Selectable[R, A], b: Selectable[R, B], /) -> Query[tuple[A, B] | None]: ...
    @overload
    def select(
        self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], /
    ) -> Query[tuple[A, B, C] | None]: ...
    @overload
    def select(
        self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], d: Selectable[R, D], /
    ) -> Query[tuple[A, B, C, D] | None]: ...
    @overload
    def select(
        self,
        a: Selectable[R, A],
        b: Selectable[R, B],
        c: Selectable[R, C],
        d: Selectable[R, D],
        e: Selectable[R, E],
        /,
    ) -> Query[tuple[A, B, C, D, E] | None]: ...
    @overload
    def select(
        self,
        a: Selectable[R, A],
        b: Selectable[R, B],
        c: Selectable[R, C],
        d: Selectable[R, D],
        e: Selectable[R, E],
        f: Selectable[R, F],
        /,
    ) -> Query[tuple[A, B, C, D, E, F] | None]: ...
    @overload
    def select(self, *columns: Selectable[R, Any]) -> Query[tuple[Any, ...] | None]: ...
    def select(self, *columns: Selectable[R, Any]) -> Query[Any]:
        """Some columns of the row, as a tuple; typed up to six. Raises TypeError for none."""
        return self._chosen(columns, lambda rows: rows[0] if rows else None)

    def _chosen(self, columns: tuple[Selectable[R, Any], ...], read: Callable[[list[tuple[Any, ...]]], Any]) -> Any:
        point = self._point
        rows: Rows[R] = Rows(point.table, point.where, self._values)
        rows._given = self._given
        return rows.derived(columns, read)


class Pages(Query[list[V]]):
    """A query whose results (V) can come page by page."""

    __slots__ = ()


class Derived(Query[T]):
    """Other terms of some rows, read in another way."""

    __slots__ = ("_read", "_rows", "_terms")

    def __init__(self, rows: Rows[Any], terms: tuple[Term, ...] | None, read: Callable[[Outcome], T]) -> None:
        self._given = rows._given
        self._rows = rows
        self._terms = terms
        self._read = read

    def resolve(self) -> Reading[T]:
        return Reading(self._rows.bound(self._terms, self._options(True)), self._read)


@final
class Chosen(Derived[list[V]], Pages[V]):
    """Some columns of each row."""

    __slots__ = ()


class Rows(Pages[R]):
    """Rows of one table. Each method returns a new value."""

    __slots__ = (
        "_distinct",
        "_filters",
        "_limit",
        "_nearest",
        "_params",
        "_per_partition",
        "_reversed",
        "_table",
        "_tokens",
        "_where",
    )

    def __init__(
        self,
        table: Table[R],
        where: tuple[Relation, ...] = (),
        params: tuple[Any, ...] = (),
        *,
        limit: int | None = None,
        tokens: TokenRange | None = None,
        nearest: tuple[str, Any] | None = None,
        distinct: bool = False,
    ) -> None:
        self._given = _AS_USUAL
        self._table = table
        self._where = where
        self._params = params
        self._filters: tuple[Condition[R], ...] = ()
        self._tokens = tokens
        self._nearest = nearest
        self._reversed = False
        self._per_partition: int | None = None
        self._limit = None if limit is None else at_least_one("limit", limit)
        self._distinct = distinct

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._table.name}, {self._params!r})"

    def _but(self, name: str, value: Any) -> Self:
        twin = copy.copy(self)
        setattr(twin, name, value)
        return twin

    def resolve(self) -> Reading[list[R]]:
        return Reading(self.bound(None, self._options(True)), self._table.read_all)

    def bound(self, terms: tuple[Term, ...] | None, options: Options) -> Bound:
        """The request for these terms; None stands for whole rows."""
        where = (*self._where, *(condition.relation for condition in self._filters))
        nearest = "" if self._nearest is None else self._nearest[0]
        shape = (
            terms,
            where,
            self._tokens is not None,
            nearest,
            self._reversed,
            self._per_partition is not None,
            self._limit is not None,
            self._distinct,
            bool(self._filters),
        )
        table = self._table
        statement, takes = table.shape(shape, lambda: self._made(terms, where, nearest))
        given = (*self._params, *table.condition_params(self._filters))
        params = takes.checked(given if self._nearest is None else (*given, self._nearest[1]))
        if self._tokens is not None:
            params += (self._tokens.low, self._tokens.high)
        if self._per_partition is not None:
            params += (self._per_partition,)
        if self._limit is not None:
            params += (self._limit,)
        return Bound(statement, params, options)

    def _made(self, terms: tuple[Term, ...] | None, where: tuple[Relation, ...], nearest: str) -> tuple[Select, Params]:
        table = self._table
        takes = [param for relation in where for param in table.params(relation)]
        if nearest:
            takes += table.params(Relation((nearest,), "="))
        statement = Select(
            table,
            table.terms if terms is None else terms,
            where,
            tokens=self._tokens is not None,
            nearest=nearest,
            reversed=self._reversed,
            per_partition=self._per_partition is not None,
            limit=self._limit is not None,
            distinct=self._distinct,
            filtering=bool(self._filters),
        )
        return statement, Params(table.name, takes)

    def first(self) -> Query[R | None]:
        """The first row, or None."""
        return Derived(self._but("_limit", 1), None, self._table.read_one)

    def values(self, column: Selectable[R, V]) -> Pages[V]:
        """One column of each row, without building rows."""

        def read(rows: list[tuple[Any, ...]]) -> list[V]:
            return [row[0] for row in rows]

        return self.derived((column,), read, Chosen)

    @overload
    def select(self, a: Selectable[R, A], /) -> Pages[tuple[A]]: ...
    @overload
    def select(self, a: Selectable[R, A], b: Selectable[R, B], /) -> Pages[tuple[A, B]]: ...
    @overload
    def select(self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], /) -> Pages[tuple[A, B, C]]: ...
    @overload
    def select(
        self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], d: Selectable[R, D], /
    ) -> Pages[tuple[A, B, C, D]]: ...
    @overload
    def select(
        self,
        a: Selectable[R, A],
        b: Selectable[R, B],
        c: Selectable[R, C],
        d: Selectable[R, D],
        e: Selectable[R, E],
        /,
    ) -> Pages[tuple[A, B, C, D, E]]: ...
    @overload
    def select(
        self,
        a: Selectable[R, A],
        b: Selectable[R, B],
        c: Selectable[R, C],
        d: Selectable[R, D],
        e: Selectable[R, E],
        f: Selectable[R, F],
        /,
    ) -> Pages[tuple[A, B, C, D, E, F]]: ...
    @overload
    def select(self, *columns: Selectable[R, Any]) -> Pages[tuple[Any, ...]]: ...
    def select(self, *columns: Selectable[R, Any]) -> Pages[Any]:
        """Some columns of each row, as tuples; typed up to six. Raises TypeError for none.

        A partition that has static columns and no rows gives them with None for all others.
        """
        return self.derived(columns, list, Chosen)

    def derived(
        self,
        columns: tuple[Selectable[R, Any], ...],
        make: Callable[[list[tuple[Any, ...]]], Any],
        kind: type[Derived[Any]] = Derived,
    ) -> Any:
        """These columns of each row, and what `make` makes of their tuples."""
        if not columns:
            raise TypeError(f"{self._table.name}: select() needs columns")
        empties = [(place, column.empty) for place, column in enumerate(columns) if column.empty is not None]
        terms = tuple(column.term for column in columns)
        hidden = self._asks_rows_for_statics(terms)

        def read(outcome: Outcome) -> Any:
            rows = [_filled(row, empties) for row in outcome.rows] if empties else list(outcome.rows)
            return make([row[:-1] for row in rows] if hidden else rows)

        return kind(self, (*terms, self._table.clustering[0].term) if hidden else terms, read)

    def _asks_rows_for_statics(self, terms: tuple[Term, ...]) -> bool:
        """Whether rows are asked for in particular, and nothing of them: Cassandra wants one of their columns then."""
        table = self._table
        if any(table.column(term.column).kind in ("clustering", "regular") for term in terms):
            return False
        where = (*self._where, *(condition.relation for condition in self._filters))
        return any(table.column(name).kind == "clustering" for relation in where for name in relation.columns)


def _filled(row: tuple[Any, ...], empties: Iterable[tuple[int, Callable[[], Any]]]) -> tuple[Any, ...]:
    values = list(row)
    for place, empty in empties:
        if values[place] is None:
            values[place] = empty()
    return tuple(values)


class Found(Rows[R]):
    """Rows that can be limited, counted and filtered."""

    __slots__ = ()

    def limit(self, count: int) -> Self:
        """At most `count` rows. Raises ValueError below 1."""
        return self._but("_limit", at_least_one("limit", count))

    def per_partition(self, count: int) -> Self:
        """At most `count` rows of each partition. Raises ValueError below 1."""
        return self._but("_per_partition", at_least_one("per_partition", count))

    def count(self) -> Query[int]:
        """How many rows there are, without regard to limits. Cassandra reads them all.

        A partition that has static columns and no rows counts as one.
        """

        def read(outcome: Outcome) -> int:
            return sum(row[0] for row in outcome.rows)

        rows = self._but("_limit", None)._but("_per_partition", None)._but("_reversed", False)
        return Derived(rows, (_COUNT,), read)

    def allow_filtering(self, *conditions: Condition[R]) -> Self:
        """Only rows that meet these conditions too: ALLOW FILTERING, which reads every row there is to find them.

        Raises TypeError for none, and for what Cassandra can't filter by.
        """
        table = self._table
        if not conditions:
            raise TypeError(f"{table.name}: allow_filtering() needs conditions")
        for condition in conditions:
            if condition.params[-1] is None:
                raise TypeError(
                    f"{table.name}.{condition.relation.columns[0]} is null or not: that is only asked in if_()"
                )
        filters = self._filters + conditions
        _refuse_unfit(table, (*self._where, *(each.relation for each in filters)), len(self._where), self._tokens)
        return self._but("_filters", filters)


@final
class Scan(Found[R]):
    """Rows of the whole table, in the order of the partitions' tokens."""

    __slots__ = ()


@final
class Slice(Found[R]):
    """Rows of one partition, in the clustering order."""

    __slots__ = ()

    def reversed(self) -> Self:
        """In the other order; reversed twice is as it was."""
        return self._but("_reversed", not self._reversed)

    def bound(self, terms: tuple[Term, ...] | None, options: Options) -> Bound:
        if self._reversed and self._filters:
            self._refuse_index()
        return super().bound(terms, options)

    def _refuse_index(self) -> None:
        indexed = {index.column.name for index in self._table.indexes}
        for relation in (*self._where, *(condition.relation for condition in self._filters)):
            if indexed.intersection(relation.columns):
                name = relation.columns[0]
                raise TypeError(f"{self._table.name}: what the index of {name} finds can't be reversed")


def _refuse_unfit(table: Table[Any], where: Sequence[Relation], keyed: int, tokens: TokenRange | None) -> None:
    """Refuses conditions that Cassandra would: all relations, of which the first `keyed` are not up to the caller."""
    if any(each.operator == "in" and table.column(each.columns[0]).kind == "partition" for each in where):
        indexed = {index.column.name for index in table.indexes}
        for name in (name for relation in where for name in relation.columns):
            if name in indexed:
                raise TypeError(f"{table.name}: an index, as that of {name}, finds nothing in several partitions")
    seen: dict[str, list[Relation]] = {}
    for place, relation in enumerate(where):
        for name in relation.columns:
            column = table.column(name)
            if place >= keyed:
                fault = _filter_fault(relation.operator, column)
                if fault is None and tokens is not None and column.kind == "partition":
                    fault = "is of the partition key, which the tokens choose already"
                if fault:
                    raise TypeError(f"{table.name}.{name} {fault}")
            before = seen.setdefault(name, [])
            if any(not _go_together(each, relation) for each in before):
                raise TypeError(f"{table.name}.{name} has two conditions that can't both be asked")
            before.append(relation)


def _filter_fault(operator: str, column: AnyColumn[Any, Any]) -> str | None:
    type = column.type
    if operator == "!=":
        return "can't be filtered by !="
    if operator in ("contains", "contains key", "entry"):
        if column.descending:
            return "is in descending order, in which Cassandra knows no parts of a collection"
        frozen_entry = operator == "entry" and not type.is_multi_cell
        return "is frozen, and has no entries to be filtered by" if frozen_entry else None
    if type.is_multi_cell:
        return "can't be compared unless it is frozen" if isinstance(type, UserDefined) else "is filtered by its parts"
    if type.has_duration and operator != "=":
        return "holds durations, which have no order"
    return None


_LOWER, _UPPER = (">", ">="), ("<", "<=")


def _go_together(one: Relation, other: Relation) -> bool:
    """Whether two relations of one column are a query: a lower and an upper bound that begin with the same column, or
    parts of a collection.
    """
    parts, operators = ("contains", "contains key", "entry"), (one.operator, other.operator)
    if all(operator in parts for operator in operators):
        return True
    opposite = any(each in _LOWER for each in operators) and any(each in _UPPER for each in operators)
    return opposite and one.columns[0] == other.columns[0]


def at_least_one(name: str, count: int) -> int:
    """The count. Raises ValueError where it is no number of rows."""
    if not 1 <= count <= _MOST_ROWS:
        raise ValueError(f"{name} is from 1 to {_MOST_ROWS}, not {count}")
    return count
