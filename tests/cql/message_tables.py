"""Tables of a CQL schema as the runtime has them, with their messages: made from the model, without generated DAOs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from generators import ir
from generators.artifacts import Target
from generators.python_names import cql_column, user_field
from generators.row_walker import cql_message_view
from runtime.cql import types
from runtime.cql.columns import Column
from runtime.cql.messages import RowMessage
from runtime.cql.tables import Row, Table
from runtime.cql.values import Duration, FrozenMap, UserType

NATIVE: dict[type[ir.Type], types.CqlType[Any]] = {
    ir.Ascii: types.Ascii(),
    ir.Bool: types.Boolean(),
    ir.Bytes: types.Blob(),
    ir.Counter: types.Counter(),
    ir.Date: types.Date(),
    ir.DateTime: types.Timestamp(),
    ir.Duration: types.Duration(),
    ir.Inet: types.Inet(),
    ir.Number: types.Decimal(),
    ir.Text: types.Text(),
    ir.Time: types.Time(),
    ir.Varint: types.Varint(),
}
INTS = {8: types.TinyInt(), 16: types.SmallInt(), 32: types.Int(), 64: types.BigInt()}


@dataclass(frozen=True)
class Made:
    """A table, its rows' class and its messages."""

    table: Table[Any]
    message: RowMessage[Any]

    def row(self, **values: Any) -> Any:
        return self.table.row(**values)

    def returned(self, row: Any) -> Any:
        """The row after its message went through bytes."""
        message = self.message.of(row)
        again = self.message.row(type(message).FromString(message.SerializeToString()))
        assert self.message.of(again) == message
        return again


class Keyspace:
    """What the package that `sun generate` made has of a keyspace."""

    def __init__(self, keyspace: ir.Keyspace, package: str) -> None:
        self._keyspace = keyspace
        self._target = Target(package, "schema", {})
        self.types: dict[str, types.UserDefined[Any]] = {}
        for made in keyspace.types:
            fields = [(field.name, self.type(field.type)) for field in made.fields]
            names = [(user_field(name), Any, None) for name, _ in fields]
            base = msgspec.defstruct(made.name.replace(" ", ""), names, bases=(UserType,), frozen=True)
            self.types[made.name] = types.UserDefined(keyspace.name, made.name, base, tuple(fields))

    def type(self, kind: ir.Type) -> types.CqlType[Any]:
        match kind:
            case ir.Frozen(inner):
                return self.type(inner).as_frozen()
            case ir.List(item):
                return types.List(self.type(item).as_frozen())
            case ir.Set(item):
                return types.Set(self.type(item).as_frozen())
            case ir.Map(key, value):
                return types.Map(self.type(key).as_frozen(), self.type(value).as_frozen())
            case ir.Vector(item, size):
                return types.Vector(self.type(item), size)
            case ir.Tuple(items):
                return types.Tuple(tuple(self.type(item).as_frozen() for item in items))
            case ir.UserDefined(name):
                return self.types[name]
            case ir.Int(bits):
                return INTS[bits]
            case ir.Float(bits):
                return types.Float() if bits == 32 else types.Double()
            case ir.Uuid(time):
                return types.TimeUuid() if time else types.Uuid()
            case _:
                return NATIVE[type(kind)]

    def table(self, name: str) -> Made:
        (table,) = [each for each in (*self._keyspace.tables, *self._keyspace.views) if each.name == name]
        keys = [*table.partition_key, *table.clustering]
        ordered = sorted(table.columns, key=lambda each: keys.index(each.name) if each.name in keys else len(keys))
        kinds = [self.type(each.type) for each in ordered]
        columns = [
            Column(each.name, kind.hashable() if each.name in keys else kind, each.kind)
            for each, kind in zip(ordered, kinds, strict=True)
        ]
        fields: list[Any] = [
            (cql_column(column.name), Any) if column.is_key else (cql_column(column.name), Any, empty(column))
            for column in columns
        ]
        row = msgspec.defstruct("Row", fields, bases=(Row,), frozen=True)
        by_name = {column.name: column for column in columns}
        made = Table(
            self._keyspace.name,
            name,
            row,
            columns,
            partition_key=[by_name[key] for key in table.partition_key],
            clustering=[by_name[key] for key in table.clustering],
        )
        view = cql_message_view(self._target, self._keyspace, table)
        return Made(made, RowMessage(made, view.module, view.name, view.renamed, view.types))


def empty(column: Column[Any, Any]) -> Any:
    """The default of a column's field."""
    made = {types.List: list, types.Set: set, types.Map: dict}.get(type(column.type))
    return msgspec.field(default_factory=made) if made is not None and column.type.is_multi_cell else None


UTC = datetime.UTC
PLAIN: dict[type[types.CqlType[Any]], st.SearchStrategy[Any]] = {
    types.Ascii: st.text(st.characters(codec="ascii"), max_size=5),
    types.Text: st.text(st.characters(codec="utf-8"), max_size=5),
    types.TinyInt: st.integers(-(2**7), 2**7 - 1),
    types.SmallInt: st.integers(-(2**15), 2**15 - 1),
    types.Int: st.integers(-(2**31), 2**31 - 1),
    types.BigInt: st.integers(-(2**63), 2**63 - 1),
    types.Counter: st.integers(-(2**63), 2**63 - 1),
    types.Varint: st.integers() | st.integers(-(2**200), 2**200),
    types.Double: st.floats(allow_nan=False),
    types.Float: st.floats(allow_nan=False, width=32),
    types.Decimal: st.builds(lambda n, e: Decimal(n).scaleb(e), st.integers(-(10**25), 10**25), st.integers(-900, 900)),
    types.Boolean: st.booleans(),
    types.Blob: st.binary(max_size=5),
    types.Uuid: st.uuids(),
    types.TimeUuid: st.uuids(version=1),
    types.Inet: st.ip_addresses().map(lambda address: ipaddress.ip_address(address.packed)),
    types.Date: st.dates(),
    types.Time: st.integers(0, 86_399_999_999_999),
    types.Timestamp: st.datetimes().map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC, fold=0)
    ),
    types.Duration: st.builds(
        lambda sign, months, days, nanoseconds: Duration(sign * months, sign * days, sign * nanoseconds),
        st.sampled_from([1, -1]),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**63 - 1),
    ),
}


def values(kind: types.CqlType[Any]) -> st.SearchStrategy[Any]:
    """Every value of a type, as Python has it in this place."""
    match kind:
        case types.List():
            return st.lists(values(kind.item), max_size=3).map(tuple if kind.is_hashable else list)
        case types.Vector():
            items = st.lists(values(kind.item), min_size=kind.dimensions, max_size=kind.dimensions)
            return items.map(tuple if kind.is_hashable else list)
        case types.Set():
            return st.sets(values(kind.item), max_size=3).map(frozenset if kind.is_hashable else set)
        case types.Map():
            found = st.dictionaries(values(kind.key), values(kind.value), max_size=3)
            return found.map(FrozenMap) if kind.is_hashable else found
        case types.Tuple():
            return st.tuples(*(st.none() | values(item) for item in kind.items))
        case types.UserDefined():
            return st.builds(kind.made, *(st.none() | values(item) for _, item in kind.fields))
        case _:
            return PLAIN[type(kind)]
