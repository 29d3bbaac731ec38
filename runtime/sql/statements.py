"""The text of statements: one `Statement` per shape of SQL, rendered once per dialect and kept.

Knows nothing of connections.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from operator import call
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, cast

from runtime.described import described
from runtime.sql.dialects import Dialect
from runtime.sql.errors import InvalidValue
from runtime.sql.types import Arithmetic, Convert, SqlType

if TYPE_CHECKING:
    from runtime.sql.expressions import AnyColumn, Shape

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]
Lock = Literal["", "wait", "skip"]
"""Whether a SELECT locks its rows, and what it does about those that others hold."""


class Outcome:
    """What an engine gives back for one statement: the rows of a query, or what a write did."""

    __slots__ = ("changed", "last_id", "rows")

    def __init__(self, rows: Rows = (), changed: int = 0, last_id: int = 0) -> None:
        self.rows = rows
        self.changed = changed
        self.last_id = last_id


class Param(NamedTuple):
    """What one parameter of a statement may be; `column` names it in errors."""

    column: str
    type: SqlType[Any]
    nullable: bool = False

    def fault(self, value: Any) -> str | None:
        if value is None:
            return None if self.nullable else "takes no NULL"
        return self.type.fault(value)

    def fits(self) -> Callable[[Any], bool]:
        fits = self.type.fits()
        return (lambda value: value is None or fits(value)) if self.nullable else fits

    def all_fit(self, values: Sequence[Any]) -> bool:
        if self.nullable and None in values:
            values = [value for value in values if value is not None]
        return not values or self.type.all_fit(values)


_apply = cast("Callable[[Callable[[Any], bool], Any], bool]", call)  # typeshed's `call` does not fit `map`

_COLUMNWISE = 8
"""Rows of one INSERT from which its values are tested by column, with fewer calls, rather than one by one."""


class Statement(Generic[T]):
    """One shape of SQL with its reader.

    `short` marks reads bounded by a key or a small limit, which may run on the event loop.

    `render` gives the text for a dialect; `takes` says what the parameters may be, in order and `repeat` times over;
    those of LIMIT and OFFSET, which come last, are not among them. `read` makes the result.
    A read of `current` rows, such as one that locks them, goes where they are written, not to a replica. `rows` says
    that `read` gives whole rows: one or None, a list, or a dict. With `absorbs_duplicate` a UniqueViolation is no
    error: its result is that of no row, 0.
    """

    __slots__ = (
        "_encoders",
        "_tests",
        "_texts",
        "_twin",
        "absorbs_duplicate",
        "current",
        "read",
        "render",
        "repeat",
        "rows",
        "short",
        "table",
        "takes",
        "writes",
    )

    def __init__(
        self,
        table: str,
        render: Callable[[Dialect], str],
        read: Callable[[Outcome, Dialect], T],
        *,
        takes: tuple[Param, ...] = (),
        repeat: int = 1,
        writes: bool = False,
        short: bool = False,
        absorbs_duplicate: bool = False,
        current: bool = False,
        rows: bool = False,
    ) -> None:
        self.table = table
        self.render = render
        self.read = read
        self.takes = takes
        self.repeat = repeat
        self.writes = writes
        self.short = short
        self.absorbs_duplicate = absorbs_duplicate
        self.current = current
        self.rows = rows
        self._twin: Statement[T] | None = None
        self._tests = tuple(param.fits() for param in takes) * (repeat if repeat < _COLUMNWISE else 0)
        self._texts: dict[str, str] = {}
        self._encoders: dict[str, tuple[tuple[int, Convert], ...]] = {}

    def as_current(self) -> Statement[T]:
        """The same read of `current` rows."""
        if self.current:
            return self
        if self._twin is None:
            self._twin = copy.copy(self)
            self._twin.current = True
        return self._twin

    def text(self, dialect: Dialect) -> str:
        text = self._texts.get(dialect.key)
        if text is None:
            text = self._texts[dialect.key] = self.render(dialect)
        return text

    def encode(self, params: tuple[Any, ...], dialect: Dialect) -> tuple[Any, ...]:
        """The parameters as the driver takes them. Raises InvalidValue, naming the column, for one that can't be."""
        if self._tests:
            if not all(map(_apply, self._tests, params)):
                params = self._settled(params, range(len(self.takes)))
        elif self.takes:
            width = len(self.takes)
            unsure = [n for n, param in enumerate(self.takes) if not param.all_fit(params[n::width])]
            if unsure:
                params = self._settled(params, unsure)
        encoders = self._encoders.get(dialect.name)
        if encoders is None:
            encoders = tuple(
                (index, param.type.encoders[dialect.name])
                for index, param in enumerate(self.takes)
                if dialect.name in param.type.encoders
            )
            self._encoders[dialect.name] = encoders
        return self._encoded(params, encoders) if encoders else params

    def _settled(self, params: tuple[Any, ...], columns: Iterable[int]) -> tuple[Any, ...]:
        """Every value of these columns judged by `SqlType.fault`, and made plain."""
        settled = list(params)
        width = len(self.takes)
        for column in columns:
            param = self.takes[column]
            for index in range(column, width * self.repeat, width):
                value = params[index]
                if fault := param.fault(value):
                    raise self._invalid(param, value, fault)
                if value is not None:
                    settled[index] = param.type.plain(value)
        return tuple(settled)

    def _encoded(self, params: tuple[Any, ...], encoders: tuple[tuple[int, Convert], ...]) -> tuple[Any, ...]:
        values = list(params)
        width = len(self.takes)
        for first, encode in encoders:
            for index in range(first, width * self.repeat, width):
                value = values[index]
                if value is not None:
                    try:
                        values[index] = encode(value)
                    except (TypeError, ValueError, OverflowError) as error:
                        raise self._invalid(self.takes[first], value, f"can't hold it: {error}") from error
        return tuple(values)

    def _invalid(self, param: Param, value: object, fault: str) -> InvalidValue:
        given = described(value)
        message = f"{self.table}.{param.column} {fault}{'' if value is None else f', not {given}'}"
        return InvalidValue(message, table=self.table, column=param.column, value=given)


Term = str | tuple[str, str, Arithmetic]
"""What a SELECT gives: a column, or a function, its column and what is special about that.

The function `""` is the column itself.
"""


def column_term(column: AnyColumn[Any, Any]) -> Term:
    """What reads a column."""
    arithmetic = column.type.arithmetic
    return ("", column.name, arithmetic) if arithmetic == "single" else column.name


def order_term(column: AnyColumn[Any, Any]) -> Term:
    """What orders by a column."""
    arithmetic = column.type.arithmetic
    return ("", column.name, arithmetic) if arithmetic == "word" else column.name


def _order_text(term: Term, dialect: Dialect) -> str:
    return dialect.identifier(term) if isinstance(term, str) else _word_text(dialect.identifier(term[1]), dialect)


def _word_text(column: str, dialect: Dialect) -> str:
    """An ENUM or SET by its words. MySQL compares it so, but orders by the place in the schema, which fits no page."""
    return f"CONCAT({column}, '')" if dialect.name == "mysql" else column


def term_text(term: Term, dialect: Dialect) -> str:
    if isinstance(term, str):
        return dialect.identifier(term)
    function, name, arithmetic = term
    if function == "one":
        return "1"
    if function == "count":
        return "COUNT(*)"
    column = dialect.identifier(name)
    if arithmetic == "single" and dialect.name == "mysql":
        column = f"{column} + 0e0"  # a FLOAT itself is sent as text of six digits
    if not function:
        return column
    if arithmetic == "word":
        column = _word_text(column, dialect)
    if arithmetic == "bits" and dialect.name == "mysql":
        column = f"{column} + 0"  # MariaDB gives the least BIT as bytes, sometimes of digits
    if function == "avg":
        # MariaDB's average of integers has four digits behind the point, that of floats all.
        return f"AVG({column} + 0e0)"
    # SQLite keeps decimals as text, which only Python adds and orders rightly.
    if arithmetic == "exact" and dialect.name == "sqlite":
        return f"GROUP_CONCAT({column})"
    if arithmetic in ("wide", "bits") and function == "sum" and dialect.name == "sqlite":
        # SQLite's sum ends at 64 bits, so the halves are added apart; the reader joins them.
        return f"SUM({column} >> 32) || ',' || SUM({column} & 4294967295)"
    return f"{function.upper()}({column})"


def _sum_text(name: str, arithmetic: Arithmetic, dialect: Dialect) -> str:
    """A column with a parameter added. SQLite is told how (see `runtime.sql.engines.sqlite`)."""
    column, amount = dialect.identifier(name), dialect.placeholder
    if arithmetic == "exact" and dialect.name == "sqlite":
        return f"sun_add({column}, {amount})"
    if arithmetic == "single" and dialect.name == "sqlite":
        return f"sun_single({column} + {amount})"
    if arithmetic == "wide" and dialect.name == "sqlite":
        # A sum beyond 64 bits is a REAL, which near -2^63 would be stored rounded; as text it is refused.
        return f"({column} + {amount}) || ''"
    return f"{column} + {amount}"


def condition_text(shape: Shape, dialect: Dialect) -> str:
    """The SQL of a condition's shape, parenthesised so that it can stand anywhere."""
    kind, *rest = shape
    column = dialect.identifier
    if kind == "compare":
        operator, name = rest
        return f"{column(name)} {operator} {dialect.placeholder}"
    if kind == "and" or kind == "or":
        return f"({condition_text(rest[0], dialect)} {kind.upper()} {condition_text(rest[1], dialect)})"
    if kind == "not":
        return f"NOT ({condition_text(rest[0], dialect)})"
    if kind == "in" or kind == "not in":
        name, count = rest
        return f"{column(name)} {kind.upper()} ({', '.join([dialect.placeholder] * count)})"
    if kind == "rows":
        names, count = rest
        group = f"({', '.join([dialect.placeholder] * len(names))})"
        values = "VALUES " if dialect.name == "sqlite" else ""
        return f"({', '.join(map(column, names))}) IN ({values}{', '.join([group] * count)})"
    if kind == "null":
        return f"{column(rest[0])} IS NULL"
    if kind == "like":
        escape = r"'\\'" if dialect.name == "mysql" else r"'\'"
        return f"{column(rest[0])} LIKE {dialect.placeholder} ESCAPE {escape}"
    if kind == "columns":
        operator, left, right = rest
        return f"{column(left)} {operator} {column(right)}"
    if kind == "constant":
        return "1 = 1" if rest[0] else "1 = 0"
    raise AssertionError(f"unknown condition {kind!r}")


def select_text(
    table: tuple[str, str],
    terms: Sequence[Term],
    where: Shape | None,
    dialect: Dialect,
    *,
    distinct: bool = False,
    group: Sequence[str] = (),
    order: Sequence[tuple[Term, str]] = (),
    limit: bool = False,
    offset: bool = False,
    lock: Lock = "",
) -> str:
    """SELECT of `terms`. LIMIT and OFFSET are parameters, after those of `where`."""
    chosen = ", ".join(term_text(term, dialect) for term in terms)
    text = f"SELECT {'DISTINCT ' if distinct else ''}{chosen} FROM {dialect.table(*table)}"
    if where is not None:
        text += f" WHERE {condition_text(where, dialect)}"
    if group:
        text += " GROUP BY " + ", ".join(map(dialect.identifier, group))
    if order:
        text += " ORDER BY " + ", ".join(f"{_order_text(term, dialect)} {way.upper()}" for term, way in order)
    if limit:
        text += f" LIMIT {dialect.placeholder}"
    if offset:
        text += f" OFFSET {dialect.placeholder}"
    # SQLite locks the whole database for a writing transaction, so its rows are locked already.
    if lock and dialect.name == "mysql":
        text += " FOR UPDATE" if lock == "wait" else " FOR UPDATE SKIP LOCKED"
    return text


def insert_text(
    table: tuple[str, str],
    columns: Sequence[str],
    rows: int,
    dialect: Dialect,
    *,
    key: Sequence[str] = (),
    guard: bool = False,
    auto: str | None = None,
) -> str:
    """INSERT of `rows` rows; with `key`, an upsert on that primary key.

    `guard` says that the table has other unique keys; `auto` is its AUTO_INCREMENT column.
    """
    column = dialect.identifier
    group = "(" + ", ".join([dialect.placeholder] * len(columns)) + ")"
    text = f"INSERT INTO {dialect.table(*table)} ({', '.join(map(column, columns))}) VALUES {', '.join([group] * rows)}"
    if not key:
        return text
    changed = [name for name in columns if name not in key] or [columns[0]]
    if dialect.name == "sqlite":
        changes = ", ".join(f"{column(name)} = excluded.{column(name)}" for name in changed)
        return f"{text} ON CONFLICT ({', '.join(map(column, key))}) DO UPDATE SET {changes}"
    changes = ", ".join(f"{column(name)} = VALUES({column(name)})" for name in changed)
    if guard:
        # MySQL takes a duplicate of any unique key for the row to update. A primary key that strict mode refuses stops
        # it where that row is another one: NULL, or a number beyond 64 bits for an AUTO_INCREMENT, which takes NULL for
        # 0.
        refused = "99999999999999999999" if key[0] == auto else "NULL"
        same = " AND ".join(f"{column(name)} = VALUES({column(name)})" for name in key)
        changes = f"{column(key[0])} = IF({same}, {column(key[0])}, {refused}), {changes}"
    return f"{text} ON DUPLICATE KEY UPDATE {changes}"


def update_text(
    table: tuple[str, str],
    values: Sequence[str],
    increments: Sequence[tuple[str, Arithmetic]],
    where: Shape | None,
    dialect: Dialect,
) -> str:
    """UPDATE setting `values` and adding to `increments`, in this order of parameters, then those of `where`."""
    column = dialect.identifier
    changes = [f"{column(name)} = {dialect.placeholder}" for name in values]
    changes += [f"{column(name)} = {_sum_text(name, arithmetic, dialect)}" for name, arithmetic in increments]
    text = f"UPDATE {dialect.table(*table)} SET {', '.join(changes)}"
    return text if where is None else f"{text} WHERE {condition_text(where, dialect)}"


def delete_text(table: tuple[str, str], where: Shape | None, dialect: Dialect) -> str:
    text = f"DELETE FROM {dialect.table(*table)}"
    return text if where is None else f"{text} WHERE {condition_text(where, dialect)}"
