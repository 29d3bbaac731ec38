"""Writes as values: inserts, updates and deletes, alone or under a condition. A Database runs them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, cast, final

import msgspec

from runtime.cql.columns import AnyColumn, Condition, Selectable
from runtime.cql.params import Param, Params
from runtime.cql.queries import Query
from runtime.cql.statements import (
    NULL,
    UNSET,
    Bound,
    Change,
    Operation,
    Outcome,
    Reading,
    Relation,
)
from runtime.cql.statements import Delete as DeleteShape
from runtime.cql.statements import Insert as InsertShape
from runtime.cql.statements import Update as UpdateShape
from runtime.cql.tables import Table
from runtime.cql.types import BigInt, CqlType, Int, List, Map, UserDefined
from runtime.cql.types import Set as SetType

R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

MOST_TTL = (
    630_720_000  # seconds: twenty years (https://cassandra.apache.org/doc/latest/cassandra/developing/cql/dml.html)
)

_LASTING = {"set", "add", "discard", "field"}  # doing them twice is doing them once


def checked_ttl(seconds: int) -> int:
    """Raises ValueError for what is no time to live."""
    if not 0 <= seconds <= MOST_TTL:
        raise ValueError(f"a TTL is from 0 to {MOST_TTL} seconds, not {seconds}")
    return seconds


def checked_timestamp(microseconds: int) -> int:
    """Raises ValueError for what is no timestamp."""
    if not -(1 << 63) < microseconds < 1 << 63:
        raise ValueError(f"a timestamp is an int of 64 bits, not {microseconds}")
    return microseconds


def nothing(outcome: Outcome) -> None:
    """Reads what a write without a condition gives."""


@final
class Applied(Generic[R]):
    """What became of a write with a condition.

    `applied` says whether it was done, `exists` whether it was not and there is a row. Of that row the engine tells the
    columns that the conditions name; all of it to `if_not_exists`, which makes `row`.
    """

    __slots__ = ("_table", "_told", "applied")

    def __init__(self, table: Table[R], outcome: Outcome) -> None:
        self.applied = bool(outcome.applied)
        self._table = table
        self._told = dict(zip(outcome.names, outcome.rows[0], strict=True)) if outcome.rows else {}

    def __repr__(self) -> str:
        return f"Applied({self.applied}, {self._told!r})"

    @property
    def exists(self) -> bool:
        return bool(self._told)

    @property
    def row(self) -> R | None:
        table = self._table
        if not self._told.keys() >= set(table.names):
            return None
        return table.read_one(Outcome(rows=[tuple(self._told[name] for name in table.names)]))

    def value(self, column: Selectable[R, V]) -> V:
        """What the row holds in this column. Raises KeyError where the engine didn't tell."""
        value = cast("V", self._told[column.term.column])
        return cast("V", column.empty()) if value is None and column.empty is not None else value


class Write(Query[None]):
    """A write that a batch can hold."""

    __slots__ = ("_table",)

    _table: Table[Any]
    is_static = False  # to static columns of a partition, not to a row

    def bound(self, guarded: bool = False, conditions: tuple[Condition[Any], ...] = ()) -> Bound:
        """The request; `guarded` makes it one with IF EXISTS or IF NOT EXISTS, unless there are conditions."""
        raise NotImplementedError

    def resolve(self) -> Reading[None]:
        return Reading(self.bound(), nothing)

    @property
    def table(self) -> Table[Any]:
        return self._table


@final
class Conditional(Query[Applied[R]]):
    """A write that is done under a condition only, which costs a round of Paxos. Not idempotent."""

    __slots__ = ("_conditions", "_write")

    def __init__(self, write: Write, conditions: tuple[Condition[R], ...] = ()) -> None:
        self._given = write._given  # pyright: ignore[reportPrivateUsage]
        self._write = write
        self._conditions = conditions
        table = write.table
        if table.is_counter:
            raise TypeError(f"{table.name}: counters know no conditions")
        for condition in conditions:
            column = table.column(condition.relation.columns[0])
            if column.is_key:
                raise TypeError(f"{table.name}.{column.name} is of the key, of which there is no condition")
            if column.type.has_duration and condition.relation.operator in ("<", "<=", ">", ">="):
                raise TypeError(f"{table.name}.{column.name} holds durations, which have no order")
            if write.is_static and column.kind != "static":
                raise TypeError(f"{table.name}.{column.name} is not static: a partition has no such column")

    @property
    def table(self) -> Table[R]:
        return self._write.table

    def bound(self) -> Bound:
        """The request."""
        bound = self._write.bound(True, self._conditions)
        return Bound(bound.statement, bound.params, self._options(False))

    def resolve(self) -> Reading[Applied[R]]:
        table = self.table
        return Reading(self.bound(), lambda outcome: Applied(table, outcome))


@final
class Insert(Write, Generic[R]):
    """Puts a row in its place; what is None is left as it was."""

    __slots__ = ("_row", "_timestamp", "_ttl")

    def __init__(self, table: Table[R], row: R, ttl: int | None, timestamp: int | None) -> None:
        if type(row) is not table.row:
            raise TypeError(f"{table.name} takes rows of {table.row.__name__}, not {type(row).__name__}")
        self._given = {}
        self._table = table
        self._row = cast("msgspec.Struct", row)
        self._ttl = None if ttl is None else checked_ttl(ttl)
        self._timestamp = None if timestamp is None else checked_timestamp(timestamp)

    def __repr__(self) -> str:
        return f"Insert({self._table.name})"

    def if_not_exists(self) -> Conditional[R]:
        """Only where there is no row of this key. Raises TypeError with a timestamp, which the engine gives."""
        _refuse_timestamp(self._table, self._timestamp)
        return Conditional(self)

    def bound(self, guarded: bool = False, conditions: tuple[Condition[Any], ...] = ()) -> Bound:
        table, ttl, timestamp = self._table, self._ttl, self._timestamp
        shape = ("insert", guarded, ttl is not None, timestamp is not None)
        statement, takes = table.shape(shape, lambda: _insert(table, *shape[1:]))
        values: Any = msgspec.structs.astuple(self._row)
        keys = len(table.primary_key)
        values = [*values[:keys], *[UNSET if value is None else value for value in values[keys:]]]
        for place, _ in table.empties:
            if values[place] is not UNSET and values[place] is not NULL and not values[place]:
                values[place] = UNSET
        params = takes.checked_present(tuple(values))
        if ttl is not None:
            params += (ttl,)
        if timestamp is not None:
            params += (timestamp,)
        return Bound(statement, params, self._options(True))


def _insert(table: Table[Any], guarded: bool, ttl: bool, timestamp: bool) -> tuple[InsertShape, Params]:
    takes = [
        table.key_param(column) if column.is_key else Param(column.name, column.type, may_be_null=True)
        for column in table.columns
    ]
    statement = InsertShape(table, table.names, if_not_exists=guarded, ttl=ttl, timestamp=timestamp)
    return statement, Params(table.name, takes)


class Target(Generic[R]):
    """What the writes to one place share: a row by its primary key, or a partition by its own."""

    __slots__ = ("is_static", "params", "table", "where")

    def __init__(self, table: Table[R], columns: Sequence[AnyColumn[R, Any]], *, is_static: bool = False) -> None:
        self.table = table
        self.where = tuple(Relation((column.name,), "=") for column in columns)
        self.params = tuple(table.key_param(column) for column in columns)
        self.is_static = is_static

    def column(self, field: str) -> AnyColumn[R, Any]:
        """The column behind a Python field name, which an update of this place may change. Raises TypeError."""
        column = self.table.field(field)
        if column.is_key:
            raise TypeError(f"{self.table.name}.{column.name} is of the key and never changes")
        if self.is_static != (column.kind == "static"):
            why = "is not static" if self.is_static else "is static: update_static changes it"
            raise TypeError(f"{self.table.name}.{column.name} {why}")
        return column


_OPPOSITE = {"add": "discard", "discard": "add"}

_Kept = Mapping[tuple[Any, ...], tuple[Change, tuple[Any, ...]]]


class Changes(Write, Generic[R]):
    """Changes of columns in one place: what updates and increments share."""

    __slots__ = ("_changes", "_target", "_timestamp", "_ttl", "_values")

    def __init__(self, target: Target[R], values: tuple[Any, ...]) -> None:
        self._given = {}
        self._table = target.table
        self._target = target
        self._values = values
        self._changes: _Kept = {}
        self._ttl: int | None = None
        self._timestamp: int | None = None

    @property
    def is_static(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._target.is_static

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._table.name}, {self._values!r})"

    def _but(self, name: str, value: Any) -> Self:
        twin = copy.copy(self)
        setattr(twin, name, value)
        return twin

    def _change(self, column: AnyColumn[R, Any], operation: Operation, *params: Any, field: str = "") -> Self:
        """With one change more, which takes in an earlier one of the same kind."""
        key = (column.name, operation, field) if operation != "item" else (column.name, operation, params[0])
        changes = dict(self._changes)
        before = changes.pop(key, None)
        alone = [name for name, kind, _ in changes if name == column.name and "set" in (kind, operation)]
        if alone:
            raise ValueError(f"update of {self._table.name} both sets {column.name} and changes what it holds")
        other = changes.get((column.name, _OPPOSITE.get(operation), ""))
        if other is not None and not set(other[1][0]).isdisjoint(params[0]):
            raise ValueError(f"update of {self._table.name} both adds to {column.name} and discards the same from it")
        if before is not None:
            params = (*params[:-1], _joined(operation, before[1][-1], params[-1]))
        changes[key] = (Change(column.name, operation, field), params)
        return self._but("_changes", changes)

    def bound(self, guarded: bool = False, conditions: tuple[Condition[Any], ...] = ()) -> Bound:
        if not self._changes:
            raise ValueError(f"update of {self._table.name} changes nothing")
        table, ttl, timestamp = self._table, self._ttl, self._timestamp
        changes = tuple(change for change, _ in self._changes.values())
        if_ = tuple(condition.relation for condition in conditions)
        shape = ("update", self._target.is_static, changes, guarded, if_, ttl is not None, timestamp is not None)
        statement, takes, where, last = table.shape(shape, lambda: self._made(changes, guarded, if_))
        first = takes.checked(tuple(param for _, params in self._changes.values() for param in params))
        params = (*first, *where.checked(self._values), *last.checked(table.condition_params(conditions)))
        times = (*(() if ttl is None else (ttl,)), *(() if timestamp is None else (timestamp,)))
        lasting = all(_is_lasting(change) for change in changes)
        return Bound(statement, (*times, *params), self._options(lasting))

    def _made(
        self, changes: tuple[Change, ...], guarded: bool, conditions: tuple[Relation, ...]
    ) -> tuple[UpdateShape, Params, Params, Params]:
        table, target = self._table, self._target
        statement = UpdateShape(
            table,
            changes,
            target.where,
            if_exists=guarded and not conditions,
            conditions=conditions,
            ttl=self._ttl is not None,
            timestamp=self._timestamp is not None,
        )
        takes = [param for change in changes for param in _change_params(table, change)]
        last = [param for relation in conditions for param in table.params(relation, nullable=True)]
        return statement, Params(table.name, takes), Params(table.name, target.params), Params(table.name, last)


def _is_lasting(change: Change) -> bool:
    return change.operation in _LASTING


def _joined(operation: Operation, before: Any, after: Any) -> Any:
    """What two changes of the same kind are together."""
    match operation:
        case "append" if isinstance(after, (list, tuple)):
            return [*before, *after]
        case "prepend" if isinstance(after, (list, tuple)):
            return [*after, *before]
        case "discard" if isinstance(after, (list, tuple)):
            return [*before, *after]
        case "add" | "discard":
            return before | after
        case "increment":
            return before + after
        case _:
            return after


def _change_params(table: Table[Any], change: Change) -> list[Param]:
    column = table.column(change.column)
    name, kind = column.name, column.type
    match change.operation:
        case "set":
            return [Param(name, kind, may_be_null=True)]
        case "discard" if isinstance(kind, Map):
            return [Param(name, SetType(kind.key))]
        case "entry":
            assert isinstance(kind, Map)
            return [Param(name, kind.key), Param(name, kind.value, may_be_null=True)]
        case "item":
            assert isinstance(kind, List)
            return [Param(name, _INDEX), Param(name, kind.item, may_be_null=True)]
        case "field":
            assert isinstance(kind, UserDefined)
            fields: dict[str, CqlType[Any]] = dict(kind.fields)
            return [Param(f"{name}.{change.field}", fields[change.field], may_be_null=True)]
        case "increment":
            return [Param(name, BigInt())]
        case _:
            return [Param(name, kind)]


class _Index(Int, frozen=True):
    def bounds(self) -> tuple[int, int]:
        return 0, (1 << 31) - 1


_INDEX = _Index()


class Update(Changes[R]):
    """Changes columns of one row, which comes to be where it was not. Generated subclasses say which, by kind."""

    __slots__ = ()

    def ttl(self, seconds: int) -> Self:
        """What is written vanishes after so many seconds; 0 means never. Raises ValueError beyond twenty years."""
        return self._but("_ttl", checked_ttl(seconds))

    def timestamp(self, microseconds: int) -> Self:
        """Write as of this moment, in µs since 1970: what was written later stays."""
        return self._but("_timestamp", checked_timestamp(microseconds))

    def if_exists(self) -> Conditional[R]:
        """Only where the row is there. Raises TypeError with a timestamp, which the engine gives."""
        _refuse_timestamp(self._table, self._timestamp)
        return Conditional(self)

    def if_(self, *conditions: Condition[R]) -> Conditional[R]:
        """Only where the row meets every condition.

        Raises TypeError for none, for one of the key, and with a timestamp, which the engine gives.
        """
        return _conditional(self, self._timestamp, conditions)

    def setting(self, values: Mapping[str, object]) -> Self:
        """`set` of columns whose names are known only when the program runs."""
        return self._set(values)

    def _set(self, values: Mapping[str, object]) -> Self:
        twin = self
        for field, value in values.items():
            twin = twin._change(self._target.column(field), "set", value)
        return twin

    def _append(self, lists: Mapping[str, Any]) -> Self:
        return self._each("append", lists, List)

    def _prepend(self, lists: Mapping[str, Any]) -> Self:
        return self._each("prepend", lists, List)

    def _add(self, sets: Mapping[str, Any]) -> Self:
        return self._each("add", sets, SetType)

    def _put(self, maps: Mapping[str, Any]) -> Self:
        """The entries of a dict, of which NULL deletes one."""
        twin = self
        for field, entries in maps.items():
            column = self._parted(field, Map)
            kept = {key: value for key, value in entries.items() if value is not NULL}
            if len(kept) < len(entries):
                twin = twin._change(column, "discard", {key for key, value in entries.items() if value is NULL})
            if kept or not entries:
                twin = twin._change(column, "add", kept)
        return twin

    def _discard(self, parts: Mapping[str, Any]) -> Self:
        return self._each("discard", parts, List, SetType, Map)

    def _put_at(self, items: Mapping[str, Any]) -> Self:
        twin = self
        for field, values in items.items():
            column = self._parted(field, List)
            for index, value in values.items():
                twin = twin._change(column, "item", index, value)
        return twin

    def _set_fields(self, column: str, values: Mapping[str, object]) -> Self:
        """Fields, by their Python names, of a column (by its Python name too) of a user-defined type."""
        found = self._parted(column, UserDefined)
        type = cast("UserDefined[Any]", found.type)
        twin = self
        for field, value in values.items():
            twin = twin._change(found, "field", value, field=type.field(field)[0])
        return twin

    def _each(self, operation: Operation, values: Mapping[str, Any], *kinds: type[CqlType[Any]]) -> Self:
        twin = self
        for field, value in values.items():
            twin = twin._change(self._parted(field, *kinds), operation, value)
        return twin

    def _parted(self, field: str, *kinds: type[CqlType[Any]]) -> AnyColumn[R, Any]:
        column = self._target.column(field)
        column.parts(*kinds)
        if not column.type.is_multi_cell:
            raise TypeError(f"{self._table.name}.{column.name} is frozen: it is set as a whole")
        return column


@final
class Increment(Changes[R]):
    """Adds to counters of one row, which begin at zero. Not idempotent."""

    __slots__ = ()

    @classmethod
    def of(cls, target: Target[R], values: tuple[Any, ...], amounts: Mapping[str, int]) -> Increment[R]:
        """An increment of these fields by these amounts, negative ones too."""
        increment = cls(target, values)
        for field, amount in amounts.items():
            increment = increment._change(target.column(field), "increment", amount)
        return increment


class RangeDelete(Write, Generic[R]):
    """Deletes rows of a partition, or all of it."""

    __slots__ = ("_params", "_timestamp", "_where")

    def __init__(self, table: Table[R], where: tuple[Relation, ...], params: tuple[Any, ...]) -> None:
        self._given = {}
        self._table = table
        self._where = where
        self._params = params
        self._timestamp: int | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._table.name}, {self._params!r})"

    def timestamp(self, microseconds: int) -> Self:
        """Delete what was written until this moment, in µs since 1970. Raises TypeError for counters."""
        if self._table.is_counter:
            raise TypeError(f"{self._table.name}: counters take no timestamp")
        twin = copy.copy(self)
        twin._timestamp = checked_timestamp(microseconds)
        return twin

    def bound(self, guarded: bool = False, conditions: tuple[Condition[Any], ...] = ()) -> Bound:
        table, timestamp = self._table, self._timestamp
        if_ = tuple(condition.relation for condition in conditions)
        shape = ("delete", self._where, guarded, if_, timestamp is not None)
        statement, takes = table.shape(shape, lambda: self._made(guarded, if_))
        params = takes.checked((*self._params, *table.condition_params(conditions)))
        return Bound(statement, params if timestamp is None else (timestamp, *params), self._options(True))

    def _made(self, guarded: bool, conditions: tuple[Relation, ...]) -> tuple[DeleteShape, Params]:
        table = self._table
        statement = DeleteShape(
            table,
            self._where,
            if_exists=guarded and not conditions,
            conditions=conditions,
            timestamp=self._timestamp is not None,
        )
        takes = [param for relation in self._where for param in table.params(relation)]
        takes += [param for relation in conditions for param in table.params(relation, nullable=True)]
        return statement, Params(table.name, takes)


@final
class Delete(RangeDelete[R]):
    """Deletes one row."""

    __slots__ = ()

    def if_exists(self) -> Conditional[R]:
        """Only where the row is there. Raises TypeError with a timestamp, which the engine gives."""
        _refuse_timestamp(self._table, self._timestamp)
        return Conditional(self)

    def if_(self, *conditions: Condition[R]) -> Conditional[R]:
        """Only where the row meets every condition.

        Raises TypeError for none, for one of the key, and with a timestamp, which the engine gives.
        """
        return _conditional(self, self._timestamp, conditions)


def _conditional(write: Write, timestamp: int | None, conditions: tuple[Condition[R], ...]) -> Conditional[R]:
    if not conditions:
        raise TypeError(f"{write.table.name}: if_() needs conditions")
    _refuse_timestamp(write.table, timestamp)
    return Conditional(write, conditions)


def _refuse_timestamp(table: Table[Any], timestamp: int | None) -> None:
    if timestamp is not None:
        raise TypeError(f"{table.name}: a write with a condition has the timestamp that the engine gives it")
