"""Queries as values: what to run, with which parameters, and the type of what comes back. A Database runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from runtime.sql.dialects import Dialect
from runtime.sql.errors import UnsafeStatement
from runtime.sql.expressions import Column, Condition, Order, Shape, all_of
from runtime.sql.statements import Outcome, Statement, delete_text, select_text, update_text

if TYPE_CHECKING:
    from runtime.sql.tables import Table

R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

SHORT_LIMIT = 1_000  # rows; a read that can return no more may run on the event loop


class Query(Generic[T]):
    """What to run and what comes back (T). Immutable; the same value runs on every Database, any number of times."""

    __slots__ = ()

    def resolve(self) -> tuple[Statement[T], tuple[Any, ...]]:
        """The statement and its parameters.

        Raises UnsafeStatement, TypeError and ValueError for a query that may not run.
        """
        raise NotImplementedError


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


class Batch(Query[int]):
    """Several writes that happen together or not at all. The result is the sum of the rows written."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Query[int]]) -> None:
        self.parts = tuple(parts)


def _count(outcome: Outcome, dialect: Dialect) -> int:
    return outcome.rows[0][0]


def changed(outcome: Outcome, dialect: Dialect) -> int:
    """Reads the number of rows a write changed."""
    return outcome.changed


class Select(Query[list[R]]):
    """Rows of one table. Each method returns a new Select."""

    __slots__ = ("_for_update", "_limit", "_offset", "_order", "_table", "_where")

    def __init__(
        self,
        table: Table[R],
        where: Condition[R] | None,
        order: tuple[tuple[str, str], ...] = (),
        limit: int | None = None,
        offset: int | None = None,
        for_update: bool = False,
    ) -> None:
        self._table = table
        self._where = where
        self._order = order
        self._limit = limit
        self._offset = offset
        self._for_update = for_update

    def _but(self, **changes: Any) -> Select[R]:
        fields: dict[str, Any] = {
            "order": self._order,
            "limit": self._limit,
            "offset": self._offset,
            "for_update": self._for_update,
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
        """Lock the rows until the transaction ends."""
        return self._but(for_update=True)

    def first(self) -> Query[R | None]:
        """The first row in the order, or None."""
        return First(self._but(limit=1))

    def count(self) -> Query[int]:
        """How many rows meet the conditions."""
        return Count(self._table, self._where)

    def values(self, column: Column[R, V]) -> Query[list[V]]:
        """One column of each row, without building rows."""
        return Scalars(self, column)

    def resolve(self) -> tuple[Statement[list[R]], tuple[Any, ...]]:
        return self.resolve_as("rows", self._table.names, self._table.read_all)

    def resolve_as(
        self, kind: str, names: tuple[str, ...], read: Callable[[Outcome, Dialect], V]
    ) -> tuple[Statement[V], tuple[Any, ...]]:
        """The statement that selects `names` and reads them with `read`.

        `kind` tells readers apart in the table's cache.
        """
        if self._offset is not None and self._limit is None:
            raise ValueError("offset() needs a limit()")
        table, order, for_update = self._table, self._order, self._for_update
        where, params = _parts(self._where)
        limited, skipping = self._limit is not None, self._offset is not None
        short = self._limit is not None and self._limit <= SHORT_LIMIT
        key = (kind, names, where, order, limited, skipping, for_update, short)
        if limited:
            params += (self._limit,)
        if skipping:
            params += (self._offset,)
        statement = table.statement(key)
        if statement is None:
            for name, _ in order:
                table.column(name)

            def render(dialect: Dialect) -> str:
                return select_text(
                    table.path,
                    names,
                    where,
                    dialect,
                    order=order,
                    limit=limited,
                    offset=skipping,
                    for_update=for_update,
                )

            statement = table.keep(key, Statement(table.name, render, read, types=table.types(where), short=short))
        return statement, params

    @property
    def table(self) -> Table[R]:
        return self._table


class First(Query[R | None]):
    """The first row of a Select, or None."""

    __slots__ = ("_select",)

    def __init__(self, select: Select[R]) -> None:
        self._select = select

    def resolve(self) -> tuple[Statement[R | None], tuple[Any, ...]]:
        table = self._select.table
        return self._select.resolve_as("first", table.names, table.read_one)


class Scalars(Query[list[V]]):
    """One column of the rows of a Select."""

    __slots__ = ("_column", "_select")

    def __init__(self, select: Select[Any], column: Column[Any, V]) -> None:
        self._select = select
        self._column = column

    def resolve(self) -> tuple[Statement[list[V]], tuple[Any, ...]]:
        return self._select.resolve_as("values", (self._column.name,), self._read)

    def _read(self, outcome: Outcome, dialect: Dialect) -> list[V]:
        decode = self._column.type.decoders.get(dialect.name)
        if decode is None:
            return [row[0] for row in outcome.rows]
        return [cast("V", row[0] if row[0] is None else decode(row[0])) for row in outcome.rows]


class Count(Query[int]):
    """How many rows meet a condition."""

    __slots__ = ("_table", "_where")

    def __init__(self, table: Table[Any], where: Condition[Any] | None) -> None:
        self._table = table
        self._where = where

    def resolve(self) -> tuple[Statement[int], tuple[Any, ...]]:
        table = self._table
        where, params = _parts(self._where)
        statement = table.statement(("count", where))
        if statement is None:

            def render(dialect: Dialect) -> str:
                return select_text(table.path, (), where, dialect)

            statement = table.keep(("count", where), Statement(table.name, render, _count, types=table.types(where)))
        return statement, params


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

            def render(dialect: Dialect) -> str:
                return update_text(table.path, values, increments, where, dialect)

            types = (*(table.column(name).type for name in (*values, *increments)), *table.types(where))
            statement = table.keep(key, Statement(table.name, render, changed, types=types, writes=True))
        return statement, (*self._values.values(), *self._increments.values(), *params)


class Delete(Query[int]):
    """Deletes rows; the result is how many."""

    __slots__ = ("_everywhere", "_table", "_where")

    def __init__(self, table: Table[Any], where: Condition[Any] | None, everywhere: bool = False) -> None:
        self._table = table
        self._where = where
        self._everywhere = everywhere

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

            types = table.types(where)
            statement = table.keep(("delete", where), Statement(table.name, render, changed, types=types, writes=True))
        return statement, params


def _refuse_unbounded(verb: str, table: Table[Any], where: Condition[Any] | None, everywhere: bool) -> None:
    if where is None and not everywhere:
        raise UnsafeStatement(f"{verb} of {table.name} has no condition; say .everywhere() if every row is meant")
