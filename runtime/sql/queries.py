"""Queries as values: what to run, with which parameters, and the type of what comes back. A Database runs them."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

from runtime.sql import types
from runtime.sql.changes import Change, Key, bound_keys
from runtime.sql.dialects import Dialect
from runtime.sql.errors import UnsafeStatement
from runtime.sql.expressions import (
    AnyColumn,
    Column,
    Condition,
    NullableColumn,
    Order,
    Selectable,
    Shape,
    all_of,
)
from runtime.sql.statements import (
    Lock,
    Outcome,
    Param,
    Rows,
    Statement,
    Term,
    column_term,
    delete_text,
    order_term,
    select_text,
    update_text,
)
from runtime.sql.types import Arithmetic, Convert, SqlType

if TYPE_CHECKING:
    from runtime.sql.cache import Place
    from runtime.sql.tables import Table

R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")
K = TypeVar("K")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
N = TypeVar("N", int, float, decimal.Decimal)

COUNT: Term = ("count", "", "")
SHORT_LIMIT = 1_000  # rows; a read that can return no more may run on the event loop


class Query(Generic[T]):
    """What to run and what comes back (T). Immutable; the same value runs on every Database, any number of times.

    The result is kept in the row cache at a `place`, under `key`. A write is `told` where a cache must hear of it.
    """

    __slots__ = ()

    place: Place | None = None
    key: Key = ()
    told: bool = False

    def resolve(self) -> tuple[Statement[T], tuple[Any, ...]]:
        """The statement and its parameters.

        Raises UnsafeStatement, TypeError and ValueError for a query that may not run.
        """
        raise NotImplementedError

    def changes(self, outcome: Outcome | None) -> Sequence[Change]:
        """What a write did that had this outcome; None where it is unknown."""
        return ()

    def fresh(self) -> Query[T]:
        """The same, past the row cache and past replicas: what is committed when it runs."""
        return Fresh(self)


class Fresh(Query[T]):
    """A read of what is committed now."""

    __slots__ = ("_query",)

    def __init__(self, query: Query[T]) -> None:
        self._query = query

    def resolve(self) -> tuple[Statement[T], tuple[Any, ...]]:
        statement, params = self._query.resolve()
        return statement.as_current(), params


class Fixed(Query[T]):
    """A query whose statement is known already."""

    __slots__ = ("params", "statement")

    def __init__(self, statement: Statement[T], params: tuple[Any, ...]) -> None:
        self.statement = statement
        self.params = params

    def resolve(self) -> tuple[Statement[T], tuple[Any, ...]]:
        return self.statement, self.params

    def __repr__(self) -> str:
        return f"Query({self.statement.table}, {self.params!r})"


class Keyed(Fixed[T]):
    """The row of a unique key, which the row cache may have."""

    __slots__ = ("key", "place")

    def __init__(self, statement: Statement[T], params: tuple[Any, ...], place: Place) -> None:
        self.statement = statement
        self.params = self.key = params
        self.place = place


class Insert(Fixed[int]):
    """Adds rows, or with `upsert` puts them in the place of others."""

    __slots__ = ("_rows", "_table", "_upsert")

    def __init__(
        self, statement: Statement[int], params: tuple[Any, ...], table: Table[Any], rows: tuple[Any, ...], upsert: bool
    ) -> None:
        super().__init__(statement, params)
        self._table = table
        self._rows = rows
        self._upsert = upsert

    @property
    def told(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._table.told

    def changes(self, outcome: Outcome | None) -> Sequence[Change]:
        table, rows = self._table, self._rows
        if outcome is not None and len(rows) == 1 and table.auto is not None and outcome.last_id:
            rows = (table.numbered(rows[0], outcome.last_id),)
        return (Change(table.name, table, "upsert" if self._upsert else "insert", rows, count=len(rows)),)


class Many(Query[dict[K, R]]):
    """The rows of many keys, by key. `cut` makes of keys the queries that find them, none too large for an engine.

    `within` is where the row cache keeps each row, and `one` the query for it.
    """

    __slots__ = ("cut", "keys", "one", "within")

    def __init__(
        self,
        keys: Sequence[Key],
        cut: Callable[[Sequence[Key]], Sequence[Query[dict[K, R]]]],
        one: Callable[[Key], Query[R | None]],
        within: Place | None,
    ) -> None:
        self.keys = keys
        self.cut = cut
        self.one = one
        self.within = within

    def parts(self) -> Sequence[Query[dict[K, R]]]:
        """The queries to run; none for no keys."""
        return self.cut(self.keys)

    def resolve(self) -> tuple[Statement[dict[K, R]], tuple[Any, ...]]:
        """The statement, where one is enough. Raises ValueError where it takes another number of them."""
        parts = self.parts()
        if len(parts) != 1:
            raise ValueError(f"{len(self.keys)} keys take {len(parts)} statements: run the query on a database")
        return parts[0].resolve()

    def fresh(self) -> Query[dict[K, R]]:
        cut = self.cut
        return Many(self.keys, lambda keys: [part.fresh() for part in cut(keys)], self.one, None)


class Batch(Query[int]):
    """Several writes that happen together or not at all. The result is the sum of the rows written."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Query[int]]) -> None:
        self.parts = tuple(parts)


def changed(outcome: Outcome, dialect: Dialect) -> int:
    """Reads the number of rows a write changed."""
    return outcome.changed


class Select(Query[list[R]]):
    """Rows of one table. Each method returns a new value.

    `count`, `exists`, the sums and the groups are over all rows that meet the conditions: order, limit and offset do
    not count there.
    """

    __slots__ = ("_distinct", "_limit", "_lock", "_offset", "_order", "_table", "_where")

    def __init__(
        self,
        table: Table[R],
        where: Condition[R] | None,
        order: tuple[tuple[str, str], ...] = (),
        limit: int | None = None,
        offset: int | None = None,
        lock: Lock = "",
        distinct: bool = False,
    ) -> None:
        self._table = table
        self._where = where
        self._order = order
        self._limit = limit
        self._offset = offset
        self._lock: Lock = lock
        self._distinct = distinct

    def _but(self, **changes: Any) -> Select[R]:
        fields: dict[str, Any] = {
            "order": self._order,
            "limit": self._limit,
            "offset": self._offset,
            "lock": self._lock,
            "distinct": self._distinct,
        }
        return Select(self._table, changes.pop("where", self._where), **(fields | changes))

    def where(self, *conditions: Condition[R]) -> Select[R]:
        """Only rows that meet these conditions too."""
        mine = () if self._where is None else (self._where,)
        return self._but(where=all_of((*mine, *conditions)))

    def order_by(self, *terms: Order[R]) -> Select[R]:
        return self._but(order=tuple(term.shape for term in terms))

    def limit(self, count: int) -> Select[R]:
        """At most `count` rows. Raises ValueError for a negative count."""
        if count < 0:
            raise ValueError(f"limit can't be negative: {count}")
        return self._but(limit=count)

    def offset(self, count: int) -> Select[R]:
        """Skip `count` rows; asks for a limit. Raises ValueError for a negative count."""
        if count < 0:
            raise ValueError(f"offset can't be negative: {count}")
        return self._but(offset=count)

    def for_update(self) -> Select[R]:
        """Lock the rows until the transaction ends; wait for those that others hold.

        On SQLite a transaction that writes is alone, so nothing is left to lock.
        """
        return self._but(lock="wait")

    def skip_locked(self) -> Select[R]:
        """`for_update`, but pass over the rows that others hold: what workers take their jobs with.

        Needs MariaDB 10.6 or MySQL 8.0.
        """
        return self._but(lock="skip")

    def distinct(self) -> Select[R]:
        """Each result once; for `values` and `select`."""
        return self._but(distinct=True)

    def first(self) -> Query[R | None]:
        """The first row in the order, or None."""
        table = self._table
        return Derived(self._but(limit=1), "first", table.terms, table.read_one, rows=True)

    def values(self, column: Selectable[R, V]) -> Query[list[V]]:
        """One column of each row, without building rows."""
        (chosen,) = _columns(column)
        decoder = chosen.type.decoders.get

        def read(outcome: Outcome, dialect: Dialect) -> list[V]:
            decode = decoder(dialect.name)
            if decode is None:
                return [row[0] for row in outcome.rows]
            return [cast("V", row[0] if row[0] is None else decode(row[0])) for row in outcome.rows]

        return Derived(self, "values", (column_term(chosen),), read)

    @overload
    def select(self, a: Selectable[R, A], /) -> Query[list[tuple[A]]]: ...
    @overload
    def select(self, a: Selectable[R, A], b: Selectable[R, B], /) -> Query[list[tuple[A, B]]]: ...
    @overload
    def select(
        self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], /
    ) -> Query[list[tuple[A, B, C]]]: ...
    @overload
    def select(
        self, a: Selectable[R, A], b: Selectable[R, B], c: Selectable[R, C], d: Selectable[R, D], /
    ) -> Query[list[tuple[A, B, C, D]]]: ...
    @overload
    def select(
        self,
        a: Selectable[R, A],
        b: Selectable[R, B],
        c: Selectable[R, C],
        d: Selectable[R, D],
        e: Selectable[R, E],
        /,
    ) -> Query[list[tuple[A, B, C, D, E]]]: ...
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
    ) -> Query[list[tuple[A, B, C, D, E, F]]]: ...
    @overload
    def select(self, *columns: Selectable[R, Any]) -> Query[list[tuple[Any, ...]]]: ...
    def select(self, *columns: Selectable[R, Any]) -> Query[Any]:
        """Some columns of each row, as tuples; typed up to six. Raises TypeError for none."""
        if not columns:
            raise TypeError(f"{self._table.name}: select() needs columns")
        chosen = _columns(*columns)

        def read(outcome: Outcome, dialect: Dialect) -> list[tuple[Any, ...]]:
            return decoded(outcome.rows, [column.type.decoders.get(dialect.name) for column in chosen])

        return Derived(self, "select", tuple(map(column_term, chosen)), read)

    def count(self) -> Query[int]:
        """How many rows meet the conditions."""

        def read(outcome: Outcome, dialect: Dialect) -> int:
            return outcome.rows[0][0]

        return Derived(self._all(), "count", (COUNT,), read)

    def exists(self) -> Query[bool]:
        """Whether a row meets the conditions."""

        def read(outcome: Outcome, dialect: Dialect) -> bool:
            return bool(outcome.rows)

        return Derived(self._all().limit(1), "exists", (("one", "", ""),), read)

    def sum(self, column: AnyColumn[R, N]) -> Query[N | None]:
        """The sum of a column; None without a value. Exact for integers and decimals; of bools, how many are true."""
        return self._aggregate("sum", column)

    def min(self, column: AnyColumn[R, V]) -> Query[V | None]:
        """The least value of a column; None without one."""
        return self._aggregate("min", column)

    def max(self, column: AnyColumn[R, V]) -> Query[V | None]:
        """The greatest value of a column; None without one."""
        return self._aggregate("max", column)

    def avg(self, column: AnyColumn[R, N]) -> Query[float | None]:
        """The mean of a column; None without a value."""
        return self._aggregate("avg", column)

    def _aggregate(self, function: str, column: AnyColumn[R, Any]) -> Query[Any]:
        def read(outcome: Outcome, dialect: Dialect) -> Any:
            value = outcome.rows[0][0]
            return None if value is None else aggregate_decoder(function, column.type, dialect)(value)

        return Derived(self._all(), "aggregate", (_aggregate_term(function, column),), read)

    @overload
    def group_by(self, a: Selectable[R, A], /) -> Groups[R, A]: ...
    @overload
    def group_by(self, a: Selectable[R, A], b: Selectable[R, B], /) -> Groups[R, tuple[A, B]]: ...
    def group_by(self, *columns: Selectable[R, Any]) -> Groups[R, Any]:
        """The rows by the value of a column, or by the values of two; then say what of each group."""
        return Groups(self._all(), _columns(*columns))

    def _all(self) -> Select[R]:
        if self._distinct:
            raise ValueError(f"{self._table.name}: distinct() is for values() and select()")
        return Select(self._table, self._where)

    def resolve(self) -> tuple[Statement[list[R]], tuple[Any, ...]]:
        return self.resolve_as("rows", self._table.terms, self._table.read_all, rows=True)

    def resolve_as(
        self,
        kind: str,
        terms: tuple[Term, ...],
        read: Callable[[Outcome, Dialect], V],
        group: tuple[str, ...] = (),
        rows: bool = False,
    ) -> tuple[Statement[V], tuple[Any, ...]]:
        """The statement that selects `terms` and reads them with `read`.

        `kind` tells readers apart in the table's cache.
        """
        if self._offset is not None and self._limit is None:
            raise ValueError("offset() needs a limit()")
        table, order, lock, distinct = self._table, self._order, self._lock, self._distinct
        where, params = _parts(self._where)
        limited, skipping = self._limit is not None, self._offset is not None
        short = self._limit is not None and self._limit <= SHORT_LIMIT
        key = (kind, terms, where, group, order, limited, skipping, lock, distinct, short)
        if limited:
            params += (self._limit,)
        if skipping:
            params += (self._offset,)
        statement = table.statement(key)
        if statement is None:
            ordered = [(order_term(table.column(name)), way) for name, way in order]

            def render(dialect: Dialect) -> str:
                return select_text(
                    table.path,
                    terms,
                    where,
                    dialect,
                    distinct=distinct,
                    group=group,
                    order=ordered,
                    limit=limited,
                    offset=skipping,
                    lock=lock,
                )

            statement = table.keep(
                key,
                Statement(
                    table.name, render, read, takes=table.takes(where), short=short, current=bool(lock), rows=rows
                ),
            )
        return statement, params


class Page(Select[R]):
    """A page of a finder, which the row cache may have. Refined further it is a Select, which the cache has not."""

    __slots__ = ("key", "place")

    def __init__(self, select: Select[R], place: Place, key: Key) -> None:
        super().__init__(select._table, select._where, select._order, select._limit)
        self.place = place
        self.key = key


class Derived(Query[T]):
    """What a Select gives when it is read in another way."""

    __slots__ = ("_group", "_kind", "_read", "_rows", "_select", "_terms")

    def __init__(
        self,
        select: Select[Any],
        kind: str,
        terms: tuple[Term, ...],
        read: Callable[[Outcome, Dialect], T],
        group: tuple[str, ...] = (),
        rows: bool = False,
    ) -> None:
        self._select = select
        self._kind = kind
        self._terms = terms
        self._read = read
        self._group = group
        self._rows = rows

    def resolve(self) -> tuple[Statement[T], tuple[Any, ...]]:
        return self._select.resolve_as(self._kind, self._terms, self._read, self._group, self._rows)


class Groups(Generic[R, K]):
    """Rows by the value K of a column. Each method gives a query of a dict by it; a group of NULL has the key None."""

    __slots__ = ("_by", "_select")

    def __init__(self, select: Select[R], by: tuple[AnyColumn[R, Any], ...]) -> None:
        self._select = select
        self._by = by

    def count(self) -> Query[dict[K, int]]:
        """How many rows each group has."""
        return self._query(COUNT, lambda dialect: int)

    @overload
    def sum(self, column: Column[R, N]) -> Query[dict[K, N]]: ...
    @overload
    def sum(self, column: NullableColumn[R, N]) -> Query[dict[K, N | None]]: ...
    def sum(self, column: AnyColumn[R, Any]) -> Query[Any]:
        """The sum of a column in each group; None where it is NULL in every row."""
        return self._aggregate("sum", column)

    @overload
    def min(self, column: Column[R, V]) -> Query[dict[K, V]]: ...
    @overload
    def min(self, column: NullableColumn[R, V]) -> Query[dict[K, V | None]]: ...
    def min(self, column: AnyColumn[R, Any]) -> Query[Any]:
        """The least value of a column in each group."""
        return self._aggregate("min", column)

    @overload
    def max(self, column: Column[R, V]) -> Query[dict[K, V]]: ...
    @overload
    def max(self, column: NullableColumn[R, V]) -> Query[dict[K, V | None]]: ...
    def max(self, column: AnyColumn[R, Any]) -> Query[Any]:
        """The greatest value of a column in each group."""
        return self._aggregate("max", column)

    def _aggregate(self, function: str, column: AnyColumn[R, Any]) -> Query[Any]:
        return self._query(
            _aggregate_term(function, column), lambda dialect: aggregate_decoder(function, column.type, dialect)
        )

    def _query(self, term: Term, decoder: Callable[[Dialect], Convert]) -> Query[Any]:
        by = self._by
        names = tuple(column.name for column in by)

        def read(outcome: Outcome, dialect: Dialect) -> dict[Any, Any]:
            rows = decoded(outcome.rows, [*(column.type.decoders.get(dialect.name) for column in by), decoder(dialect)])
            if len(by) == 1:
                return dict(cast("list[tuple[Any, Any]]", rows))
            return {row[:-1]: row[-1] for row in rows}

        return Derived(self._select, "group", (*map(column_term, by), term), read, names)


def _columns(*columns: Selectable[R, Any]) -> tuple[AnyColumn[R, Any], ...]:
    """Columns are all that is selectable so far."""
    for column in columns:
        if not isinstance(column, AnyColumn):
            raise TypeError(f"{column!r} is no column")
    return cast("tuple[AnyColumn[R, Any], ...]", columns)


def decoded(rows: Rows, decoders: Sequence[Convert | None]) -> list[tuple[Any, ...]]:
    """Rows with each value as Python sees it."""
    if not any(decoders):
        return list(rows)
    return [
        tuple(
            value if decode is None or value is None else decode(value)
            for value, decode in zip(row, decoders, strict=True)
        )
        for row in rows
    ]


def _aggregate_term(function: str, column: AnyColumn[Any, Any]) -> Term:
    return (function, column.name, column.type.arithmetic)


_EXACT = decimal.Context(prec=decimal.MAX_PREC)  # Python's own adds up 28 digits only


def _exact_sum(numbers: Iterable[decimal.Decimal]) -> decimal.Decimal:
    return reduce(_EXACT.add, numbers)


_OF_TEXTS: dict[str, Callable[[Iterable[decimal.Decimal]], Any]] = {"sum": _exact_sum, "min": min, "max": max}


def aggregate_decoder(function: str, kind: SqlType[Any], dialect: Dialect) -> Convert:
    """How the engine's result becomes one of the column's type."""
    if function == "avg":
        return float
    if isinstance(kind, types.Decimal) and dialect.name == "sqlite":
        return lambda texts: _OF_TEXTS[function](map(decimal.Decimal, texts.split(",")))
    if function == "sum" and kind.arithmetic in ("wide", "bits") and dialect.name == "sqlite":
        return _joined
    if isinstance(kind, (types.Int, types.Bits)) or (function == "sum" and isinstance(kind, types.Bool)):
        return int  # MariaDB's sum of integers is a decimal
    return kind.decoders.get(dialect.name, _same)


def _joined(halves: str) -> int:
    """The sum of 64-bit integers from those of their upper and lower halves."""
    upper, lower = halves.split(",")
    return (int(upper) << 32) + int(lower)


def _same(value: Any) -> Any:
    return value


def _parts(where: Condition[Any] | None) -> tuple[Shape | None, tuple[Any, ...]]:
    return (None, ()) if where is None else (where.shape, where.params)


class Update(Query[int]):
    """Changes rows; the result is how many. Generated subclasses give `set` and `increment` their column types."""

    __slots__ = ("_everywhere", "_increments", "_table", "_values", "_where")

    def __init__(self, table: Table[Any], where: Condition[Any] | None) -> None:
        self._table = table
        self._where = where
        self._values: dict[str, Any] = {}
        self._increments: dict[str, Any] = {}
        self._everywhere = False

    def _copy(self) -> Self:
        twin = type(self)(self._table, self._where)
        twin._values = self._values
        twin._increments = self._increments
        twin._everywhere = self._everywhere
        return twin

    @classmethod
    def of(cls, table: Table[R], conditions: Sequence[Condition[R]]) -> Self:
        """An update of the rows that meet every condition."""
        return cls(table, all_of(conditions))

    def _set(self, values: Mapping[str, object]) -> Self:
        twin = self._copy()
        twin._values = self._values | {self._table.field(name).name: value for name, value in values.items()}
        return twin

    def _increment(self, amounts: Mapping[str, object]) -> Self:
        twin = self._copy()
        twin._increments = self._increments | {self._table.field(name).name: value for name, value in amounts.items()}
        return twin

    def setting(self, values: Mapping[str, object]) -> Self:
        """`set` of columns whose names are known only when the program runs."""
        return self._set(values)

    @property
    def told(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._table.told

    def changes(self, outcome: Outcome | None) -> Sequence[Change]:
        keys = bound_keys(self._table, self._where)
        count = 0 if outcome is None else outcome.changed
        return (Change(self._table.name, self._table, "update", (), keys, self._values, self._increments, count),)

    def everywhere(self) -> Self:
        """Say that every row of the table is meant."""
        twin = self._copy()
        twin._everywhere = True
        return twin

    def resolve(self) -> tuple[Statement[int], tuple[Any, ...]]:
        if not self._values and not self._increments:
            raise ValueError(f"update of {self._table.name} sets nothing")
        if both := self._values.keys() & self._increments.keys():
            raise ValueError(f"update of {self._table.name} both sets and increments {min(both)}")
        _refuse_unbounded("update", self._table, self._where, self._everywhere)
        table, values, increments = self._table, tuple(self._values), tuple(self._increments)
        where, params = _parts(self._where)
        key = ("update", values, increments, where)
        statement = table.statement(key)
        if statement is None:
            sums: list[tuple[str, Arithmetic]] = [(name, table.column(name).type.arithmetic) for name in increments]

            def render(dialect: Dialect) -> str:
                return update_text(table.path, values, sums, where, dialect)

            takes = (
                *(table.param(name) for name in values),
                *(Param(name, table.column(name).type.added()) for name in increments),
                *table.takes(where),
            )
            statement = table.keep(key, Statement(table.name, render, changed, takes=takes, writes=True))
        return statement, (*self._values.values(), *self._increments.values(), *params)


class Delete(Query[int]):
    """Deletes rows; the result is how many."""

    __slots__ = ("_everywhere", "_table", "_where")

    def __init__(self, table: Table[Any], where: Condition[Any] | None, everywhere: bool = False) -> None:
        self._table = table
        self._where = where
        self._everywhere = everywhere

    @property
    def told(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._table.told

    def changes(self, outcome: Outcome | None) -> Sequence[Change]:
        keys = bound_keys(self._table, self._where)
        return (Change(self._table.name, self._table, "delete", (), keys, count=outcome.changed if outcome else 0),)

    def everywhere(self) -> Delete:
        """Say that every row of the table is meant."""
        return Delete(self._table, self._where, everywhere=True)

    def resolve(self) -> tuple[Statement[int], tuple[Any, ...]]:
        _refuse_unbounded("delete", self._table, self._where, self._everywhere)
        table = self._table
        where, params = _parts(self._where)
        statement = table.statement(("delete", where))
        if statement is None:

            def render(dialect: Dialect) -> str:
                return delete_text(table.path, where, dialect)

            takes = table.takes(where)
            statement = table.keep(("delete", where), Statement(table.name, render, changed, takes=takes, writes=True))
        return statement, params


def _refuse_unbounded(verb: str, table: Table[Any], where: Condition[Any] | None, everywhere: bool) -> None:
    if where is None and not everywhere:
        raise UnsafeStatement(f"{verb} of {table.name} has no condition; say .everywhere() if every row is meant")
