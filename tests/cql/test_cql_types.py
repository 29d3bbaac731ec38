"""Values of every type of CQL: their bytes, what fits, and how Cassandra orders them."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import math
import random
import struct
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import cql
from runtime.cql import types
from runtime.cql.errors import UnreadableValue
from runtime.cql.types import CqlType
from tests.cql.drawn_values import NATIVES, PLACE, Place, driver_type, driver_value, typed_values, values_of

D = decimal.Decimal


def check(type: CqlType[Any], value: Any) -> None:
    assert type.fault(value) is None
    assert type.plain(value) == value
    data = type.encode(value)
    assert type.decode(data) == value
    driver = driver_type(type)
    assert data == driver.serialize(driver_value(type, value), 4)


@pytest.mark.parametrize("type", NATIVES, ids=lambda type: type.text)
def test_values_of_native_types_are_the_bytes_of_the_driver(type: CqlType[Any]) -> None:
    @settings(max_examples=60, deadline=None)
    @given(values_of(type))
    def every(value: Any) -> None:
        check(type, value)

    every()


@settings(max_examples=250, deadline=None)
@given(typed_values())
def test_values_of_nested_types_are_the_bytes_of_the_driver(typed: tuple[CqlType[Any], Any]) -> None:
    check(*typed)


@settings(max_examples=150, deadline=None)
@given(typed_values())
def test_a_quick_test_passes_nothing_that_is_refused(typed: tuple[CqlType[Any], Any]) -> None:
    type, value = typed
    if type.fits()(value):
        assert type.fault(value) is None
    assert not type.fits()(object())
    assert type.fault(object()) is not None


@settings(max_examples=150, deadline=None)
@given(typed_values())
def test_values_in_a_hashable_position_have_a_hash(typed: tuple[CqlType[Any], Any]) -> None:
    type, value = typed
    twin = type.hashable()
    read = twin.decode(type.encode(value))
    hash(read)
    assert twin.fault(read) is None
    assert twin.encode(read) == type.encode(value)
    assert twin.text == type.text


def test_types_read_as_cql_spells_them() -> None:
    assert types.List(types.Int()).text == "list<int>"
    assert types.List(types.Int(), frozen=True).text == "frozen<list<int>>"
    assert types.Map(types.Text(), types.Set(types.Int(), frozen=True)).text == "map<text, frozen<set<int>>>"
    nested = types.Tuple((types.Int(), types.List(types.Int())))
    assert nested.text == "frozen<tuple<int, frozen<list<int>>>>"
    assert types.Vector(types.Float(), 3).text == "vector<float, 3>"
    assert PLACE.text == "place"
    assert PLACE.as_frozen().text == "frozen<place>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("json", "json"),
        ("select", '"select"'),
        ("Place", '"Place"'),
        ("2x", '"2x"'),
        ('a "b"', '"a ""b"""'),
    ],
)
def test_names_of_types_read_as_cassandra_quotes_them(name: str, text: str) -> None:
    place = types.UserDefined("app", name, Place, PLACE.fields)
    assert place.text == text
    assert types.List(place).text == f"list<frozen<{text}>>"


REFUSED: list[tuple[CqlType[Any], Any, str]] = [
    (types.Text(), 5, "takes a str"),
    (types.Text(), "\ud800", "surrogate at 0"),
    (types.Ascii(), "é", "ASCII"),
    (types.TinyInt(), 128, "from -128 to 127"),
    (types.Int(), 1 << 31, "from -2147483648"),
    (types.BigInt(), "5", "takes an int"),
    (types.Varint(), 1.0, "takes an int"),
    (types.Float(), 1e39, "32 bits"),
    (types.Double(), "1", "takes a float"),
    (types.Double(), 10**400, "64 bits"),
    (types.Decimal(), D("NaN"), "finite"),
    (types.Decimal(), D("1E-9999999999"), "exponent"),
    (types.Decimal(), 1.5, "finite Decimal"),
    (types.Boolean(), 1, "takes a bool"),
    (types.Blob(), "x", "takes bytes"),
    (types.Uuid(), "x", "takes a UUID"),
    (types.TimeUuid(), uuid.UUID(int=1 << 78), "version 1"),
    (types.Inet(), "1.2.3.4", "takes an IPv4Address"),
    (types.Inet(), ipaddress.ip_address("fe80::1%eth0"), "zone"),
    (types.Date(), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "takes a date"),
    (types.Time(), 86_400_000_000_000, "nanoseconds of a day"),
    (types.Timestamp(), datetime.datetime(2020, 1, 1), "time zone"),  # noqa: DTZ001
    (types.Timestamp(), datetime.datetime(2020, 1, 1, 0, 0, 0, 1, datetime.UTC), "milliseconds"),
    (types.Duration(), datetime.timedelta(1), "takes a Duration"),
    (types.Duration(), cql.Duration(1, -1), "one sign"),
    (types.Duration(), cql.Duration(1 << 31), "months are an int of 32 bits"),
    (types.List(types.Int()), {1}, "takes a list"),
    (types.List(types.Int()), [None], "no None"),
    (types.List(types.Int()), ["x"], "takes an int"),
    (types.Set(types.Int()), [1], "takes a set"),
    (types.Map(types.Int(), types.Text()), {"a": "b"}, "has keys of what takes an int"),
    (types.Map(types.Int(), types.Text()), {1: 2}, "has values of what takes a str"),
    (types.Tuple((types.Int(), types.Int())), (1,), "2 items"),
    (types.Tuple((types.Int(), types.Int())), (1, "x"), r"item \[1\] that takes an int"),
    (types.Vector(types.Float(), 2), [1.0], "takes 2 items"),
    (PLACE, ("a", None, None), "takes a Place"),
    (PLACE, Place(marks=("x",)), "field Marks that is made of what takes an int"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("type", "value", "words"), REFUSED, ids=lambda part: getattr(part, "text", None))
def test_what_no_column_holds_is_said_in_words(type: CqlType[Any], value: Any, words: str) -> None:
    fault = type.fault(value)
    assert fault is not None
    assert any(word in fault for word in [words.replace("\\", "")])
    assert not type.fits()(value)


def test_subclasses_and_other_kinds_are_made_plain() -> None:
    moment = datetime.datetime(2020, 1, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    plain = types.Timestamp().plain(moment)
    assert plain == moment
    assert plain.tzinfo is datetime.UTC
    assert type(types.Blob().plain(bytearray(b"x"))) is bytes
    assert types.List(types.Double()).plain((1, 2)) == [1.0, 2.0]
    assert type(types.Set(types.Int()).plain(frozenset({1}))) is set
    assert types.Set(types.Int()).plain({True}) == {1}


def test_floats_of_every_kind_come_back() -> None:
    for kind in (types.Float(), types.Double()):
        assert kind.fault(math.inf) is None
        assert kind.decode(kind.encode(-math.inf)) == -math.inf
        assert kind.fault(math.nan) is None
        assert math.isnan(kind.decode(kind.encode(math.nan)))
        assert math.copysign(1, kind.decode(kind.encode(-0.0))) == -1
    assert types.Float().decode(types.Float().encode(0.1)) == 0.10000000149011612


@pytest.mark.parametrize("year", [1, 9999])
def test_timestamps_at_the_ends_of_pythons_years_are_exact(year: int) -> None:
    last = datetime.datetime(year, 12, 31, 23, 59, 59, 999_000, datetime.UTC)
    first = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
    moment = first if year == 1 else last
    kind = types.Timestamp()
    assert kind.decode(kind.encode(moment)) == moment
    beyond = moment.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1 if year == 1 else -1)))
    assert kind.fault(beyond) == "takes a moment that is in the years 1 to 9999 in UTC"


@pytest.mark.parametrize(
    ("kind", "data"),
    [(types.Date(), struct.pack(">I", 0)), (types.Timestamp(), struct.pack(">q", 1 << 62))],
    ids=["date", "timestamp"],
)
def test_what_python_cant_tell_is_an_error_of_its_own(kind: CqlType[Any], data: bytes) -> None:
    with pytest.raises(UnreadableValue, match="beyond Python's years"):
        kind.decode(data)


def test_a_value_from_before_a_field_was_added_reads_as_none_there() -> None:
    assert PLACE.decode(types.Tuple((types.Text(),)).encode(("here",))) == Place("here")


def test_a_value_with_fields_that_are_not_known_yet_is_read() -> None:
    wider = types.Tuple((types.Text(), types.Blob(), types.Blob(), types.Int()))
    assert PLACE.decode(wider.encode(("here", None, None, 5))) == Place("here")


ORDERED: list[tuple[CqlType[Any], list[Any]]] = [
    (types.Text(), ["", "A", "a", "é", "\uffff", "\U00010000"]),
    (types.TinyInt(), [-128, -1, 0, 127]),
    (types.Varint(), [-(1 << 80), -1, 0, 1 << 80]),
    (types.Double(), [-math.inf, -1.0, -0.0, 0.0, 1.0, math.inf, math.nan]),
    (types.Boolean(), [False, True]),
    (types.Inet(), [ipaddress.ip_address(text) for text in ("0.0.0.1", "1::", "2.0.0.0", "200.0.0.1", "ff00::")]),
    (
        types.Uuid(),
        [
            uuid.UUID("ffffffff-0000-1000-8000-000000000000"),
            uuid.UUID("00000000-0001-1000-8000-000000000000"),
            uuid.UUID("00000000-0000-4000-8000-000000000000"),
            uuid.UUID("ffffffff-0000-4000-8000-000000000000"),
        ],
    ),
    (
        types.TimeUuid(),
        [
            uuid.UUID("00000001-0000-1000-8000-000000000000"),  # the lower bytes have a sign
            uuid.UUID("00000001-0000-1000-ff00-000000000000"),
            uuid.UUID("00000001-0000-1000-0080-000000000000"),
            uuid.UUID("00000001-0000-1000-0000-000000000000"),
            uuid.UUID("00000000-0001-1000-8000-000000000000"),
        ],
    ),
    (types.List(types.Int()), [[], [1], [1, 0], [2]]),
    (types.Set(types.Int()), [set(), {1}, {5, 1}, {2}]),
    (types.Map(types.Int(), types.Int()), [{}, {1: 1}, {2: 0, 1: 1}, {1: 2}]),
    (types.Tuple((types.Int(), types.Int())), [(None, 5), (1, None), (1, -1), (1, 0)]),
    (PLACE, [Place(), Place(marks=(1,)), Place(""), Place("a")]),
]


@pytest.mark.parametrize(("kind", "ascending"), ORDERED, ids=lambda part: getattr(part, "text", ""))
def test_values_are_ordered_as_cassandra_does(kind: CqlType[Any], ascending: list[Any]) -> None:
    mixed = ascending.copy()
    random.Random(1).shuffle(mixed)
    assert [kind.encode(value) for value in sorted(mixed, key=kind.order)] == [kind.encode(each) for each in ascending]


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=3))
def test_frozen_maps_are_mappings_with_a_hash(items: dict[str, int]) -> None:
    frozen = cql.FrozenMap(items)
    assert frozen == items
    assert frozen == cql.FrozenMap(reversed(items.items()))
    assert hash(frozen) == hash(cql.FrozenMap(reversed(items.items())))
    assert list(frozen) == list(items)
    with pytest.raises(KeyError):
        frozen["none such"]
