"""The text of statements: one `Statement` per shape of SQL, rendered once per dialect and kept.

Knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runtime.sql.dialects import Dialect
from runtime.sql.types import Convert, SqlType

if TYPE_CHECKING:
    from runtime.sql.expressions import Shape

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]


class Outcome:
    """What an engine gives back for one statement: the rows of a query, or what a write did."""

    __slots__ = ("changed", "last_id", "rows")

    def __init__(self, rows: Rows = (), changed: int = 0, last_id: int = 0) -> None:
        self.rows = rows
        self.changed = changed
        self.last_id = last_id


class Statement(Generic[T]):
    """One shape of SQL with its reader.

    `short` marks reads bounded by a key or a small limit, which may run on the event loop.

    `render` gives the text for a dialect; `types` are those of the parameters, in order; `read` makes the result.
    With `absorbs_duplicate` a UniqueViolation is no error: its result is that of no row, 0.
    """

    __slots__ = ("_encoders", "_texts", "absorbs_duplicate", "read", "render", "short", "table", "types", "writes")

    def __init__(
        self,
        table: str,
        render: Callable[[Dialect], str],
        read: Callable[[Outcome, Dialect], T],
        *,
        types: tuple[SqlType[Any], ...] = (),
        writes: bool = False,
        short: bool = False,
        absorbs_duplicate: bool = False,
    ) -> None:
        self.table = table
        self.render = render
        self.read = read
        self.types = types
        self.writes = writes
        self.short = short
        self.absorbs_duplicate = absorbs_duplicate
        self._texts: dict[str, str] = {}
        self._encoders: dict[str, tuple[tuple[int, Convert], ...]] = {}

    def text(self, dialect: Dialect) -> str:
        text = self._texts.get(dialect.key)
        if text is None:
            text = self._texts[dialect.key] = self.render(dialect)
        return text

    def encode(self, params: tuple[Any, ...], dialect: Dialect) -> tuple[Any, ...]:
        """The parameters as the driver takes them."""
        encoders = self._encoders.get(dialect.name)
        if encoders is None:
            encoders = tuple(
                (index, type.encoders[dialect.name])
                for index, type in enumerate(self.types)
                if dialect.name in type.encoders
            )
            self._encoders[dialect.name] = encoders
        if not encoders:
            return params
        values = list(params)
        for index, encode in encoders:
            if values[index] is not None:
                values[index] = encode(values[index])
        return tuple(values)


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
    columns: Sequence[str],
    where: Shape | None,
    dialect: Dialect,
    *,
    order: Sequence[tuple[str, str]] = (),
    limit: bool = False,
    offset: bool = False,
    for_update: bool = False,
) -> str:
    """SELECT of `columns`; with no columns, of their count. LIMIT and OFFSET are parameters, after those of `where`."""
    chosen = ", ".join(dialect.identifier(name) for name in columns) or "COUNT(*)"
    text = f"SELECT {chosen} FROM {dialect.table(*table)}"
    if where is not None:
        text += f" WHERE {condition_text(where, dialect)}"
    if order:
        text += " ORDER BY " + ", ".join(f"{dialect.identifier(name)} {way.upper()}" for name, way in order)
    if limit:
        text += f" LIMIT {dialect.placeholder}"
    if offset:
        text += f" OFFSET {dialect.placeholder}"
    # SQLite locks the whole database for a writing transaction, so its rows are locked already.
    if for_update and dialect.name == "mysql":
        text += " FOR UPDATE"
    return text


def insert_text(
    table: tuple[str, str],
    columns: Sequence[str],
    rows: int,
    dialect: Dialect,
    *,
    key: Sequence[str] = (),
    guard: bool = False,
) -> str:
    """INSERT of `rows` rows; with `key`, an upsert on that primary key.

    `guard` says that the table has other unique keys.
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
        # MySQL takes a duplicate of any unique key for the row to update. A NULL primary key, refused in strict mode,
        # stops it
        # where that row is another one.
        same = " AND ".join(f"{column(name)} = VALUES({column(name)})" for name in key)
        changes = f"{column(key[0])} = IF({same}, {column(key[0])}, NULL), {changes}"
    return f"{text} ON DUPLICATE KEY UPDATE {changes}"


def update_text(
    table: tuple[str, str],
    values: Sequence[str],
    increments: Sequence[str],
    where: Shape | None,
    dialect: Dialect,
) -> str:
    """UPDATE setting `values` and adding to `increments`, in this order of parameters, then those of `where`."""
    column = dialect.identifier
    changes = [f"{column(name)} = {dialect.placeholder}" for name in values]
    changes += [f"{column(name)} = {column(name)} + {dialect.placeholder}" for name in increments]
    text = f"UPDATE {dialect.table(*table)} SET {', '.join(changes)}"
    return text if where is None else f"{text} WHERE {condition_text(where, dialect)}"


def delete_text(table: tuple[str, str], where: Shape | None, dialect: Dialect) -> str:
    text = f"DELETE FROM {dialect.table(*table)}"
    return text if where is None else f"{text} WHERE {condition_text(where, dialect)}"
