"""What the runtime knows of one table.

Its row class, columns and keys, how rows are read, and its statements by shape.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from runtime.sql.cache import CacheRule
from runtime.sql.changes import Key
from runtime.sql.dialects import Dialect
from runtime.sql.expressions import AnyColumn, Shape
from runtime.sql.statements import Outcome, Param, Statement, column_term
from runtime.sql.types import TEXT, Convert, DateTime, Json, Timestamp

if TYPE_CHECKING:
    from runtime.sql.cache import Place

R = TypeVar("R")

_STATEMENTS = 1_024  # shapes kept for one table


class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of the generated row classes: immutable, so that a row may be shared.

    `msgspec.structs.replace` makes a changed copy.
    """


class Table(Generic[R]):
    """`columns` stand in the order of the row's fields; `unique` holds the columns of each unique key by its name.

    For code that looks at tables: `name` is `sun.post`, `path` the database and the table, `names` the columns' names
    in the schema and `fields` those in Python; `primary_key` and `unique` give schema names. `cascades` are the tables
    of which rows change with this one's, by foreign keys; `places` the finders whose results are cached by `cache`.
    `hidden` are columns that stand for expressions in keys: rows are found by them and don't have them.
    """

    def __init__(
        self,
        database: str,
        name: str,
        row: type[R],
        columns: Sequence[AnyColumn[R, Any]],
        *,
        primary_key: Sequence[AnyColumn[R, Any]] = (),
        unique: dict[str, Sequence[AnyColumn[R, Any]]] | None = None,
        hidden: Sequence[AnyColumn[R, Any]] = (),
        cache: CacheRule | None = None,
        cascades: tuple[str, ...] = (),
    ) -> None:
        self.path = (database, name)
        self.name = f"{database}.{name}"
        self.row = row
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self.terms = tuple(column_term(column) for column in columns)  # what a SELECT of whole rows gives
        self.primary_key = tuple(column.name for column in primary_key)
        self.unique = {key: tuple(c.name for c in parts) for key, parts in (unique or {}).items()}
        self.auto = next((column.name for column in columns if column.auto), None)
        self.all_plain = all(column.writable and not column.auto for column in columns)
        self.fields: tuple[str, ...] = cast("type[msgspec.Struct]", row).__struct_fields__
        self.cache = cache
        self.cascades = cascades
        self.told = cache is not None or bool(cascades)  # a cache must hear of this table's writes
        self.places: list[Place] = []
        # Columns that a write may change without naming them: generated ones, and moments by ON UPDATE.
        self.moved_by_engine = frozenset(
            column.name for column in columns if not column.writable or isinstance(column.type, (DateTime, Timestamp))
        )
        self._by_name = {column.name: column for column in (*columns, *hidden)}
        self._by_field = dict(zip(self.fields, columns, strict=True))
        self._statements: dict[tuple[Any, ...], Statement[Any]] = {}
        self._decoders: dict[str, tuple[Convert | None, ...] | None] = {}
        self._getters: dict[tuple[str, ...], Callable[[Any], Key]] = {}
        shared = [field for field, column in zip(self.fields, columns, strict=True) if isinstance(column.type, Json)]
        self.own_copy = _copier(shared) if shared else None

    def __repr__(self) -> str:
        return f"Table({self.name})"

    def column(self, name: str) -> AnyColumn[R, Any]:
        """The column of this schema name. Raises LookupError."""
        try:
            return self._by_name[name]
        except KeyError:
            raise LookupError(f"{self.name} has no column {name}") from None

    def field(self, name: str) -> AnyColumn[R, Any]:
        """The writable column behind this Python field name. Raises TypeError."""
        column = self._by_field.get(name)
        if column is None:
            raise TypeError(f"{self.name} has no column {name}")
        if not column.writable:
            raise TypeError(f"{self.name}.{name} is generated and can't be set")
        return column

    def values_of(self, row: R, names: tuple[str, ...]) -> Key:
        """The values of these columns, by their schema names. Raises LookupError."""
        getter = self._getters.get(names)
        if getter is None:
            places = [self.names.index(self.column(name).name) for name in names]
            fields = [self.fields[place] for place in places]
            getter = self._getters[names] = lambda row: tuple([getattr(row, field) for field in fields])
        return getter(row)

    def key_of(self, row: R) -> Key:
        """The values of the primary key."""
        return self.values_of(row, self.primary_key)

    def numbered(self, row: R, number: int) -> R:
        """The row with the id that the engine gave it, unless it had one."""
        field = self.fields[self.names.index(cast("str", self.auto))]
        return msgspec.structs.replace(cast("Any", row), **{field: number}) if getattr(row, field) == 0 else row

    def param(self, name: str) -> Param:
        """What may be written to the column of this schema name. Raises LookupError."""
        column = self.column(name)
        return Param(name, column.type, column.nullable or column.auto)

    def statement(self, key: tuple[Any, ...]) -> Statement[Any] | None:
        """The statement kept under this shape."""
        return self._statements.get(key)

    def keep(self, key: tuple[Any, ...], statement: Statement[Any]) -> Statement[Any]:
        # Shapes come from code, so there are few; where code makes them without end, starting over bounds the memory.
        if len(self._statements) >= _STATEMENTS:
            self._statements.clear()
        self._statements[key] = statement
        return statement

    def takes(self, where: Shape | None) -> tuple[Param, ...]:
        """What a condition's parameters may be, in order. Raises LookupError for a column of another table."""
        return tuple(self._takes(where)) if where is not None else ()

    def _takes(self, shape: Shape) -> Iterator[Param]:
        kind, *rest = shape
        if kind in ("and", "or", "not"):
            for part in rest:
                yield from self._takes(part)
        elif kind == "compare":
            yield self._compared(rest[1])
        elif kind in ("in", "not in"):
            yield from [self._compared(rest[0])] * rest[1]
        elif kind == "rows":
            yield from [self._compared(name) for name in rest[0]] * rest[1]
        elif kind == "like":
            yield Param(self.column(rest[0]).name, TEXT)
        elif kind == "columns":
            self.column(rest[1])
            self.column(rest[2])
        elif kind == "null":
            self.column(rest[0])

    def _compared(self, name: str) -> Param:
        return Param(name, self.column(name).type.compared())

    def _row_decoders(self, dialect: Dialect) -> tuple[Convert | None, ...] | None:
        """A converter for each column, or None where no column of this table needs one."""
        try:
            return self._decoders[dialect.name]
        except KeyError:
            decoders = tuple(column.type.decoders.get(dialect.name) for column in self.columns)
            found = decoders if any(decoders) else None
            self._decoders[dialect.name] = found
            return found

    def _decode(self, row: tuple[Any, ...], decoders: tuple[Convert | None, ...]) -> R:
        return self.row(
            *[
                value if decode is None or value is None else decode(value)
                for value, decode in zip(row, decoders, strict=True)
            ]
        )

    def read_all(self, outcome: Outcome, dialect: Dialect) -> list[R]:
        decoders = self._row_decoders(dialect)
        if decoders is None:
            make = self.row
            return [make(*row) for row in outcome.rows]
        return [self._decode(row, decoders) for row in outcome.rows]

    def read_one(self, outcome: Outcome, dialect: Dialect) -> R | None:
        if not outcome.rows:
            return None
        decoders = self._row_decoders(dialect)
        return self.row(*outcome.rows[0]) if decoders is None else self._decode(outcome.rows[0], decoders)


def _copier(fields: Sequence[str]) -> Callable[[Any], Any]:
    """Copies a row so that what these fields hold, which is mutable, belongs to the copy alone."""

    def own(row: Any) -> Any:
        return msgspec.structs.replace(row, **{field: copy.deepcopy(getattr(row, field)) for field in fields})

    return own
