"""Types of CQL and values of them, drawn by hypothesis; and both as cassandra-driver has them, to compare with."""

from __future__ import annotations

import datetime
import decimal
import functools
import uuid
from collections.abc import Callable
from typing import Any

from cassandra import cqltypes
from hypothesis import strategies as st

from runtime import cql
from runtime.cql import types
from runtime.cql.types import CqlType


class Place(cql.UserType, frozen=True):
    name: str | None = None
    marks: tuple[int, ...] | None = None
    seen: datetime.datetime | None = None


PLACE = types.UserDefined(
    "ks",
    "place",
    Place,
    (("name", types.Text()), ("Marks", types.List(types.Int(), frozen=True)), ("seen", types.Timestamp())),
)


def whole(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def durations() -> st.SearchStrategy[cql.Duration]:
    parts = st.tuples(st.integers(0, (1 << 31) - 1), st.integers(0, (1 << 31) - 1), st.integers(0, (1 << 63) - 1))
    return st.builds(lambda part, sign: cql.Duration(*(sign * each for each in part)), parts, st.sampled_from((1, -1)))


def decimals() -> st.SearchStrategy[decimal.Decimal]:
    return st.builds(
        lambda whole, exponent: decimal.Decimal(whole).scaleb(exponent, decimal.Context(prec=100)),
        st.integers(-(10**60), 10**60),
        st.integers(-500, 500),
    )


def timeuuids() -> st.SearchStrategy[uuid.UUID]:
    return st.builds(lambda number: uuid.UUID(int=number & ~(0xF << 76) | 1 << 76), st.integers(0, (1 << 128) - 1))


timestamps = st.builds(
    lambda ms: datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=ms),
    st.integers(-62_135_596_800_000, 253_402_300_799_999),
)
text = st.text(st.characters(codec="utf-8"), max_size=20)

SCALARS: dict[CqlType[Any], st.SearchStrategy[Any]] = {
    types.Ascii(): st.text(st.characters(max_codepoint=127), max_size=20),
    types.Text(): text,
    types.TinyInt(): whole(8),
    types.SmallInt(): whole(16),
    types.Int(): whole(32),
    types.BigInt(): whole(64),
    types.Varint(): st.integers() | st.integers(-(1 << 200), 1 << 200),
    types.Float(): st.floats(width=32, allow_nan=False),
    types.Double(): st.floats(allow_nan=False),
    types.Decimal(): decimals(),
    types.Boolean(): st.booleans(),
    types.Blob(): st.binary(max_size=20),
    types.Uuid(): st.uuids(),
    types.TimeUuid(): timeuuids(),
    types.Inet(): st.ip_addresses(),
    types.Date(): st.dates(),
    types.Time(): st.integers(0, 86_399_999_999_999),
    types.Timestamp(): timestamps,
}
NATIVES = {**SCALARS, types.Duration(): durations()}


def drawn_types(depth: int = 2) -> st.SearchStrategy[CqlType[Any]]:
    """Frozen types of any kind."""
    leaves = st.sampled_from([*SCALARS, PLACE.as_frozen()])
    if not depth:
        return leaves
    inner = st.deferred(lambda: drawn_types(depth - 1))
    return st.one_of(
        leaves,
        st.builds(lambda item: types.List(item, frozen=True), inner),
        st.builds(lambda item: types.Set(item, frozen=True), inner),
        st.builds(lambda key, value: types.Map(key, value, frozen=True), inner, inner),
        st.builds(lambda items: types.Tuple(tuple(items)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(types.Vector, inner, st.integers(1, 3)),
    )


@functools.singledispatch
def values_of(type: CqlType[Any]) -> st.SearchStrategy[Any]:
    return NATIVES[type]


@values_of.register
def _(type: types.List) -> st.SearchStrategy[Any]:
    return st.lists(values_of(type.item), max_size=3).map(tuple if type.is_hashable else list)


@values_of.register
def _(type: types.Set) -> st.SearchStrategy[Any]:
    return st.lists(values_of(type.item), max_size=3).map(frozenset if type.is_hashable else set)


@values_of.register
def _(type: types.Map) -> st.SearchStrategy[Any]:
    pairs = st.lists(st.tuples(values_of(type.key), values_of(type.value)), max_size=3)
    return pairs.map(dict).map(cql.FrozenMap if type.is_hashable else dict)


@values_of.register
def _(type: types.Tuple) -> st.SearchStrategy[Any]:
    return st.tuples(*(st.none() | values_of(item) for item in type.items))


@values_of.register
def _(type: types.Vector) -> st.SearchStrategy[Any]:
    items = st.lists(values_of(type.item), min_size=type.dimensions, max_size=type.dimensions)
    return items.map(tuple if type.is_hashable else list)


@values_of.register
def _(type: types.UserDefined) -> st.SearchStrategy[Any]:
    return st.builds(type.made, *(st.none() | values_of(field) for _, field in type.fields))


def typed_values(depth: int = 2) -> st.SearchStrategy[tuple[CqlType[Any], Any]]:
    return drawn_types(depth).flatmap(lambda type: st.tuples(st.just(type), values_of(type)))


DRIVER: dict[str, Any] = {
    "ascii": cqltypes.AsciiType,
    "text": cqltypes.UTF8Type,
    "tinyint": cqltypes.ByteType,
    "smallint": cqltypes.ShortType,
    "int": cqltypes.Int32Type,
    "bigint": cqltypes.LongType,
    "varint": cqltypes.IntegerType,
    "float": cqltypes.FloatType,
    "double": cqltypes.DoubleType,
    "decimal": cqltypes.DecimalType,
    "boolean": cqltypes.BooleanType,
    "blob": cqltypes.BytesType,
    "uuid": cqltypes.UUIDType,
    "timeuuid": cqltypes.TimeUUIDType,
    "inet": cqltypes.InetAddressType,
    "date": cqltypes.SimpleDateType,
    "time": cqltypes.TimeType,
    "timestamp": cqltypes.DateType,
    "duration": cqltypes.DurationType,
}


def driver_type(type: CqlType[Any]) -> Any:
    match type:
        case types.List():
            return cqltypes.ListType.apply_parameters([driver_type(type.item)])
        case types.Set():
            return cqltypes.SetType.apply_parameters([driver_type(type.item)])
        case types.Map():
            return cqltypes.MapType.apply_parameters([driver_type(type.key), driver_type(type.value)])
        case types.Tuple():
            return cqltypes.TupleType.apply_parameters([driver_type(item) for item in type.items])
        case types.Vector():
            return cqltypes.VectorType.apply_parameters([driver_type(type.item), type.dimensions], None)
        case types.UserDefined():
            names = tuple(name for name, _ in type.fields)
            fields = tuple(driver_type(field) for _, field in type.fields)
            return cqltypes.UserType.make_udt_class(type.keyspace, type.name, names, fields)
        case _:
            return DRIVER[type.text]


def driver_value(type: CqlType[Any], value: Any) -> Any:
    """A value as the driver takes it, what has no order in that of Cassandra."""
    of: Callable[..., Any] = driver_value
    match type:
        case _ if value is None:
            return None
        case types.Inet():
            return str(value)
        case types.List() | types.Vector():
            return [of(type.item, item) for item in value]
        case types.Set():
            return [of(type.item, item) for item in sorted(value, key=type.item.order)]
        case types.Map():
            return _Pairs((of(type.key, key), of(type.value, value[key])) for key in sorted(value, key=type.key.order))
        case types.Tuple():
            return tuple(map(of, type.items, value))
        case types.UserDefined():
            return tuple(of(field, getattr(value, attribute)) for attribute, (_, field) in _fields(type))
        case _:
            return value


def _fields(type: types.UserDefined[Any]) -> Any:
    return zip(type.made.__struct_fields__, type.fields, strict=True)


class _Pairs(list[Any]):
    """What the driver takes for a map whose keys have no hash."""

    def items(self) -> _Pairs:
        return self
