"""What the runtime knows of one table.

Its row class, columns and keys, how rows are read, and its statements by shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from runtime.cql.columns import AnyColumn, CollectionColumn, Condition
from runtime.cql.params import Param, Part
from runtime.cql.statements import Operator, Outcome, Relation
from runtime.cql.types import Counter, CqlType, List, Map, Set

R = TypeVar("R")
V = TypeVar("V")

_SHAPES = 1_024  # kept for one table


class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of the generated row classes: immutable. `msgspec.structs.replace` makes a changed copy."""


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index by its name. `target` says what of a collection it holds; `full` is a frozen one as a whole."""

    name: str
    column: AnyColumn[Any, Any]
    target: Literal["", "keys", "values", "entries", "full"] = ""
    sai: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What makes a table a materialized view: the rows of `base` whose `not_null` columns hold something, and that
    meet the `filters` of column, operator and value.
    """

    base: Table[Any]
    not_null: tuple[str, ...]
    filters: tuple[tuple[str, Operator, Any], ...] = ()


class Table(Generic[R]):
    """`columns` stand in the order of the row's fields: the partition key, the clustering columns, the others.

    For code that looks at tables: `name` is `sun_msg.message`, `path` the keyspace and the table, `names` the columns'
    names in the schema and `fields` those in Python. `partition_key`, `clustering` and `statics` hold columns;
    `default_time_to_live` and `gc_grace_seconds` are the table's options, in seconds.
    """

    def __init__(
        self,
        keyspace: str,
        name: str,
        row: type[R],
        columns: Sequence[AnyColumn[R, Any]],
        *,
        partition_key: Sequence[AnyColumn[R, Any]],
        clustering: Sequence[AnyColumn[R, Any]] = (),
        indexes: Sequence[Index] = (),
        view: View | None = None,
        default_time_to_live: int = 0,
        gc_grace_seconds: int = 864_000,
    ) -> None:
        self.path = (keyspace, name)
        self.name = f"{keyspace}.{name}"
        self.row = row
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self.fields: tuple[str, ...] = cast("type[msgspec.Struct]", row).__struct_fields__
        self.terms = tuple(column.term for column in columns)  # what a SELECT of whole rows gives
        self.partition_key = tuple(partition_key)
        self.clustering = tuple(clustering)
        self.primary_key = self.partition_key + self.clustering
        self.statics = tuple(column for column in columns if column.kind == "static")
        self.indexes = tuple(indexes)
        self.view = view
        self.is_counter = any(isinstance(column.type, Counter) for column in columns)
        self.default_time_to_live = default_time_to_live
        self.gc_grace_seconds = gc_grace_seconds
        self._by_name = {column.name: column for column in columns}
        self._by_field = dict(zip(self.fields, columns, strict=True))
        self.empties = tuple(
            (place, cast("Callable[[], Any]", column.empty))
            for place, column in enumerate(columns)
            if isinstance(column, CollectionColumn)
        )
        # A partition of static columns alone is told as a row without clustering columns.
        self._rowless = len(self.partition_key) if self.statics and self.clustering else None
        self._shapes: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"Table({self.name})"

    def column(self, name: str) -> AnyColumn[R, Any]:
        """The column of this schema name. Raises LookupError."""
        try:
            return self._by_name[name]
        except KeyError:
            raise LookupError(f"{self.name} has no column {name}") from None

    def field(self, name: str) -> AnyColumn[R, Any]:
        """The column behind this Python field name. Raises TypeError."""
        column = self._by_field.get(name)
        if column is None:
            raise TypeError(f"{self.name} has no column {name}")
        return column

    def shape(self, key: Any, make: Callable[[], V]) -> V:
        """What is kept under this key, made where it is new.

        Shapes come from code, so there are few; where code makes them without end, starting over bounds the memory.
        """
        found = self._shapes.get(key)
        if found is None:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            found = self._shapes[key] = make()
        return found

    def key_param(self, column: AnyColumn[R, Any]) -> Param:
        """What the value of a column of the key may be."""
        whole = column.kind == "partition" and len(self.partition_key) == 1
        return Param(column.name, column.type, cast("Part", column.kind), is_whole=whole)

    def params(self, relation: Relation, *, nullable: bool = False) -> list[Param]:
        """What a relation's parameters may be; None among them only where `nullable`. Raises LookupError."""
        columns = [self.column(name) for name in relation.columns]
        column, type = columns[0], columns[0].type
        match relation.operator:
            case "contains":
                assert isinstance(type, (List, Set, Map))
                return [Param(column.name, type.value if isinstance(type, Map) else type.item)]
            case "contains key":
                assert isinstance(type, Map)
                return [Param(column.name, type.key)]
            case "entry":
                assert isinstance(type, Map)
                return [Param(column.name, type.key), Param(column.name, type.value)]
            case "in":
                return [self._compared(column, is_list=True)]
            case _:
                none = nullable and relation.operator in ("=", "!=")
                return [self._compared(column, may_be_none=none) for column in columns]

    def _compared(self, column: AnyColumn[R, Any], **how: bool) -> Param:
        kind: CqlType[Any] = column.type
        part = column.kind if column.is_key else ""
        whole = column.kind == "partition" and len(self.partition_key) == 1
        return Param(column.name, kind, cast("Part", part), is_whole=whole, **how)

    def condition_params(self, conditions: Sequence[Condition[R]]) -> tuple[Any, ...]:
        """The parameters of conditions, in order."""
        return tuple(param for condition in conditions for param in condition.params)

    def read_all(self, outcome: Outcome) -> list[R]:
        rows = outcome.rows
        if self._rowless is not None:
            rows = [row for row in rows if row[self._rowless] is not None]
        if self.empties:
            return [self._filled(row) for row in rows]
        return list(starmap(self.row, rows))

    def read_one(self, outcome: Outcome) -> R | None:
        rows = self.read_all(outcome)
        return rows[0] if rows else None

    def _filled(self, row: Sequence[Any]) -> R:
        values = list(row)
        for place, empty in self.empties:
            if values[place] is None:
                values[place] = empty()
        return self.row(*values)
