"""Rows of CQL to protobuf messages and back, for every type in every other: nothing is lost, nothing wrong gets in."""

from __future__ import annotations

import datetime
import importlib
import ipaddress
import itertools
import math
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import pipeline
from generators.python_names import table_class
from runtime.cql.errors import InvalidValue
from runtime.cql.values import Duration, FrozenMap, UserType
from tests.cql.drawn_messages import values

ROOT = Path(__file__).parents[2]
PACKAGE = "made_for_cql_messages"

NATIVES = (
    "ascii bigint blob boolean date decimal double duration float inet int smallint text time timestamp timeuuid "
    "tinyint uuid varint"
).split()
SHAPES = ("list", "set", "map", "key", "tuple", "vector", "type")  # `key` is a map that has the inner type as its key


class Schema:
    """Types within each other, each as a column of its own."""

    def __init__(self) -> None:
        self._types: list[str] = []
        self._tables: list[str] = []
        self._natives = itertools.cycle(NATIVES)

    def table(self, name: str, paths: list[tuple[str, ...]]) -> None:
        """A table with a column for each path of shapes, the outermost first: as it is, and frozen."""
        lines = ["id int PRIMARY KEY"]
        for path in paths:
            made = self._type(path)
            column = "_".join(("c", *path))
            lines.append(f"{column} {made}")
            if not made.startswith("vector"):
                lines.append(f"{column}_f frozen<{made}>")
        body = ",\n  ".join(lines)
        self._tables.append(f"CREATE TABLE {name} (\n  {body}\n);\n")

    def _type(self, path: tuple[str, ...]) -> str:
        return self._made(path, ordered="set" in path or "key" in path)

    def _made(self, path: tuple[str, ...], *, ordered: bool) -> str:
        if path == ():
            return next(native for native in self._natives if native != "duration" or not ordered)
        shape, *rest = path
        inner = self._made(tuple(rest), ordered=ordered)
        inner = f"frozen<{inner}>" if rest else inner
        match shape:
            case "list" | "set":
                return f"{shape}<{inner}>"
            case "map":
                return f"map<{self._made((), ordered=True)}, {inner}>"
            case "key":
                return f"map<{inner}, {self._made((), ordered=ordered)}>"
            case "vector":
                return f"vector<{inner}, 2>"
            case "tuple":
                return f"tuple<{inner}, {self._made((), ordered=ordered)}>"
            case _:
                name = f"type{len(self._types)}"
                other = self._made((), ordered=ordered)
                self._types.append(f'CREATE TYPE {name} ("{name} %" {inner}, other {other});\n')
                return name

    def text(self) -> str:
        return "".join((*self._types, *self._tables))


DEEP = [f"deep_{shape}" for shape in SHAPES]
NAMED = """
CREATE TYPE "class" ("import" int, "Mixed Case" text, own frozen<list<int>>);
CREATE TABLE natives (id uuid PRIMARY KEY, {natives});
CREATE TABLE bag (
  id int PRIMARY KEY,
  words set<text>,
  pairs set<frozen<tuple<text, int>>>,
  places map<frozen<list<text>>, int>,
  amounts map<decimal, int>
);
CREATE TABLE key (
  part frozen<list<int>>,
  a frozen<set<text>>,
  b frozen<map<text, frozen<list<int>>>>,
  c frozen<tuple<int, text>>,
  d timestamp,
  e frozen<map<blob, int>>,
  f decimal,
  owner text static,
  PRIMARY KEY (part, a, b, c, d, e, f)
);
CREATE TABLE counts (id int PRIMARY KEY, n counter);
CREATE TABLE "Odd" (
  "self" int PRIMARY KEY,
  "insert" int,
  "3p%" int,
  -- sun: enum=cqlrowtest.v1.Kind
  kind tinyint,
  -- sun: enum=cqlrowtest.v1.Kind
  wide bigint,
  "class" frozen<"class">,
  many list<frozen<"class">>
);
CREATE MATERIALIZED VIEW by_kind AS SELECT * FROM "Odd" WHERE kind IS NOT NULL AND "self" IS NOT NULL
PRIMARY KEY (kind, "self");
"""


@dataclass(frozen=True)
class Made:
    """A table by its generated DAO."""

    dao: Any

    def field(self, column: str) -> str:
        """The field of the row for a column."""
        return self.dao.table.fields[self.dao.table.names.index(column)]

    def row(self, **fields: Any) -> Any:
        return self.dao.table.row(**fields)

    def returned(self, row: Any) -> Any:
        """The row after its message went through bytes."""
        message = self.dao.to_message(row)
        again = self.dao.from_message(type(message).FromString(message.SerializeToString()))
        assert self.dao.to_message(again) == message
        return again

    def drawn(self, data: st.DataObject) -> tuple[Any, Any, str]:
        """A row with one value besides its key, the column of that value, and its field."""
        key, *columns = self.dao.table.columns
        chosen = data.draw(st.sampled_from(columns))
        field = self.field(chosen.name)
        return self.row(id=data.draw(values(key.type)), **{field: data.draw(values(chosen.type))}), chosen, field


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Made]]:
    """The tables of a keyspace with every type, by name."""
    folder = tmp_path_factory.mktemp("rows")
    schema = Schema()
    schema.table("flat", [(shape,) for shape in SHAPES for _ in NATIVES[:1]])
    schema.table("nested", list(itertools.product(SHAPES, repeat=2)))
    for shape, table in zip(SHAPES, DEEP, strict=True):
        schema.table(table, [(shape, *inner) for inner in itertools.product(SHAPES, repeat=2)])
    natives = ", ".join(f"c_{native} {native}" for native in NATIVES)
    (folder / "schema/cql").mkdir(parents=True)
    text = schema.text() + NAMED.format(natives=natives)
    (folder / "schema/cql/cqlrowtest.cql").write_text(text)
    enum = 'syntax = "proto3";\npackage cqlrowtest.v1;\nenum Kind {\n  KIND_UNSPECIFIED = 0;\n  KIND_ONE = 1;\n}\n'
    (folder / "schema/proto/cqlrowtest/v1").mkdir(parents=True)
    (folder / "schema/proto/cqlrowtest/v1/kind.proto").write_text(enum)
    pipeline.generate(pipeline.Source(folder, "schema", PACKAGE, PACKAGE, ()))
    sys.path.insert(0, str(folder))
    try:
        keyspace = importlib.import_module(f"{PACKAGE}.cql.cqlrowtest")
        names = (*DEEP, "flat", "nested", "natives", "bag", "key", "counts", "Odd", "by_kind")
        yield {name: Made(getattr(keyspace, f"{table_class(name)}Dao")) for name in names}
    finally:
        sys.path.remove(str(folder))


def classes(value: Any) -> Any:
    """The classes of a value and of its parts, which `==` does not compare."""
    match value:
        case list() | tuple():
            parts = [classes(each) for each in value]
        case set() | frozenset():
            parts = sorted(repr(classes(each)) for each in value)
        case dict() | FrozenMap():
            parts = sorted(repr((classes(key), classes(each))) for key, each in value.items())
        case UserType():
            parts = [classes(each) for each in msgspec.structs.astuple(value)]
        case _:
            parts = []
    return type(value), parts


@pytest.mark.parametrize("table", ["natives", "flat", "nested", *DEEP])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_row_comes_back_as_it_was(made: dict[str, Made], table: str, data: st.DataObject) -> None:
    row, column, field = made[table].drawn(data)
    again = made[table].returned(row)
    assert again == row
    value, back = getattr(row, field), getattr(again, field)
    assert classes(back) == classes(value)
    assert column.type.encode(back) == column.type.encode(value), "equal, and the same to Cassandra"


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_key_is_of_hashable_values(made: dict[str, Made], data: st.DataObject) -> None:
    found = made["key"]
    row = found.row(**{found.field(each.name): data.draw(values(each.type)) for each in found.dao.table.columns})
    again = found.returned(row)
    assert again == row
    assert hash(again) == hash(row)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_json_of_protobuf_says_the_same(made: dict[str, Made], data: st.DataObject) -> None:
    found = made[data.draw(st.sampled_from(["natives", "nested"]))]
    message = found.dao.to_message(found.drawn(data)[0])
    assert json_format.Parse(json_format.MessageToJson(message), type(message)()) == message


def test_equal_rows_are_equal_messages_in_the_order_of_cassandra(made: dict[str, Made]) -> None:
    found = made["bag"]
    words = [chr(letter) * 3 for letter in range(97, 123)]
    pairs = [(word, place) for place, word in enumerate(words)]
    places = {(word,): 1 for word in words}
    one = found.dao.to_message(found.row(id=1, words=set(words), pairs=set(pairs), places=places))
    back = dict(reversed(places.items()))
    words.reverse()
    pairs.reverse()
    other = found.dao.to_message(found.row(id=1, words=set(words), pairs=set(pairs), places=back))
    assert list(one.words) == sorted(words)
    assert [pair.item_1 for pair in one.pairs] == sorted(words)
    assert one.SerializeToString() == other.SerializeToString()


def test_null_and_empty_differ_where_they_do_in_cassandra(made: dict[str, Made]) -> None:
    found = made["flat"]
    nothing = found.row(id=1)
    assert found.returned(nothing) == nothing
    empty = found.row(id=1, c_list_f=[], c_set_f=set(), c_map_f={}, c_key_f={}, c_tuple=(None, None))
    assert found.returned(empty) == empty
    assert found.returned(found.row(id=1, c_list=None, c_set=None, c_map=None)) == nothing, (
        "what is not frozen is never NULL"
    )


def test_nan_and_the_zeros_survive(made: dict[str, Made]) -> None:
    found = made["natives"]
    row = found.returned(found.row(id=uuid.UUID(int=1), c_double=math.nan, c_float=-0.0))
    assert math.isnan(row.c_double)
    assert math.copysign(1, row.c_float) == -1
    assert found.returned(found.row(id=uuid.UUID(int=1), c_float=0.1)).c_float == 0.10000000149011612
    assert found.returned(found.row(id=uuid.UUID(int=1), c_float=math.inf)).c_float == math.inf


def test_counters_views_and_odd_names(made: dict[str, Made]) -> None:
    counts, odd, view = made["counts"], made["Odd"], made["by_kind"]
    assert counts.returned(counts.row(id=1, n=-5)) == counts.row(id=1, n=-5)
    kind = odd.dao.table.column("class").type.made
    value = kind(import_=5, Mixed_Case="x", own=(1, 2))
    row = odd.row(self_=1, insert_=2, c_3p_=3, kind=-7, wide=2**31 - 1, many=[value, kind()], class_=value)
    assert odd.returned(row) == row
    message = odd.dao.to_message(row)
    assert [field.name for field in message.DESCRIPTOR.fields][:3] == ["self", "insert", "c_3p"]
    assert getattr(getattr(message, "class"), "import") == 5
    assert view.returned(view.row(kind=1, self_=1)) == view.row(kind=1, self_=1)


AT = datetime.datetime(2020, 1, 31, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("c_int", 2**31, "takes an int from -2147483648 to 2147483647, not int 2147483648"),
        ("c_text", "\ud800", "takes text that UTF-8 can write"),
        ("c_timestamp", AT.replace(tzinfo=None), "takes a datetime with a time zone, not datetime"),
        ("c_timestamp", AT.replace(microsecond=1), "takes whole milliseconds"),
        ("c_inet", ipaddress.ip_address("fe80::1%eth0"), "takes an address without a zone"),
        ("c_duration", Duration(1, -1, 0), "takes a Duration whose parts are of one sign"),
        ("c_decimal", Decimal("NaN"), "takes a finite Decimal"),
    ],
)
def test_a_value_that_its_column_can_not_hold_makes_no_message(
    made: dict[str, Made], column: str, value: object, words: str
) -> None:
    found = made["natives"]
    with pytest.raises(InvalidValue) as refused:
        found.dao.to_message(found.row(id=uuid.UUID(int=1), **{column: value}))
    assert str(refused.value).startswith(f"cqlrowtest.natives.{column} {words}")
    assert (refused.value.table, refused.value.column) == ("cqlrowtest.natives", column)


def test_the_longest_numbers_survive(made: dict[str, Made]) -> None:
    found = made["natives"]
    row = found.row(id=uuid.UUID(int=1), c_varint=-(10**4300) + 1, c_decimal=Decimal(10**4300 - 1).scaleb(-4305))
    assert found.returned(row) == row
    for column, value in (("c_varint", 10**4300), ("c_decimal", Decimal(10**4300))):
        with pytest.raises(
            InvalidValue, match=rf"{column} can't hold it: numbers in messages have at most 4300 digits"
        ):
            found.dao.to_message(found.row(id=uuid.UUID(int=1), **{column: value}))
    far = found.row(id=uuid.UUID(int=1), c_decimal=Decimal("-1.5E-2147483646"))
    assert found.returned(far) == far


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("natives", "c_smallint", 2**15, "takes an int from -32768 to 32767, not int 32768"),
        ("natives", "c_time", -1, "takes the nanoseconds of a day"),
        ("natives", "c_ascii", "\u20ac", "takes ASCII text, not str of length 1"),
        *(
            ("natives", "c_uuid", text, "takes a UUID like 123e4567-e89b-12d3-a456-426614174000, not str")
            for text in ("", "123e4567e89b12d3a456426614174000", "{123e4567-e89b-12d3-a456-426614174000}", "x" * 36)
        ),
        ("natives", "c_timeuuid", "123e4567-e89b-42d3-a456-426614174000", "takes a UUID of version 1"),
        *(
            ("natives", "c_inet", text, "takes an address like 192.0.2.1 or 2001:db8::1, not str")
            for text in ("", "1.2.3", "192.0.2.1/24", "example.org", "01.2.3.4")
        ),
        ("natives", "c_inet", "fe80::1%eth0", "takes an address without a zone"),
        *(
            ("natives", "c_varint", text, "takes an integer like -1250")
            for text in ("", "1.0", " 1", "1_0", "+1", "\u0661", "1" * 4301)
        ),
        *(
            ("natives", "c_decimal", text, "takes a decimal like -12.50 or 1E+30")
            for text in ("", "NaN", "Infinity", "1_0", ".5", "1.", "1e", "1e11111111111", "1" * 5000)
        ),
        ("natives", "c_decimal", "1E+2147483649", "takes a Decimal whose exponent has 32 bits"),
        ("natives", "c_date", "2020-02-30", "takes a date like 2020-01-31"),
        ("natives", "c_timestamp", {"seconds": 253402300800}, "takes a Timestamp within the years 1 to 9999"),
        ("natives", "c_timestamp", {"nanos": 1_000}, "takes whole milliseconds"),
        ("natives", "c_duration", {"months": 1, "days": -1}, "takes a Duration whose parts are of one sign"),
        ("bag", "pairs", [{"item_2": 2**31 - 1}, {"item_1": "x"}], ""),
        ("bag", "amounts", {"1.0": 1, "1.00": 2}, "takes each key once, but two of these are equal"),
        ("bag", "amounts", {"x": 1}, "takes a decimal like -12.50 or 1E+30, not str of length 1"),
        ("bag", "places", [{"value": 1}], "has an entry without its key"),
        ("bag", "places", [{"key": {}, "value": 1}] * 2, "takes each key once, but two of these are equal"),
    ],
)
def test_a_message_that_fits_no_row_is_refused(
    made: dict[str, Made], table: str, column: str, value: object, words: str
) -> None:
    found = made[table]
    empty = found.dao.to_message(found.row(id=uuid.UUID(int=1) if table == "natives" else 1))
    message = type(empty)(id=empty.id, **{column: value})
    if not words:
        assert found.dao.to_message(found.dao.from_message(message)) != empty
        return
    with pytest.raises(InvalidValue) as refused:
        found.dao.from_message(message)
    assert str(refused.value).startswith(f"cqlrowtest.{table}.{column} {words}")
    assert (refused.value.table, refused.value.column) == (f"cqlrowtest.{table}", column)


def test_a_vector_has_its_length_or_is_null(made: dict[str, Made]) -> None:
    found = made["flat"]
    item = found.dao.table.column("c_vector").type.item.decode(bytes(4))
    assert found.returned(found.row(id=1, c_vector=[item] * 2)).c_vector == [item] * 2
    message = found.dao.to_message(found.row(id=1, c_vector=[item] * 2))
    message.c_vector.append(message.c_vector[0])
    with pytest.raises(InvalidValue, match=r"^cqlrowtest.flat.c_vector takes 2 items, not list$"):
        found.dao.from_message(message)
    message.ClearField("c_vector")
    assert found.dao.from_message(message).c_vector is None


def test_what_the_key_needs_is_refused_where_it_is_missing(made: dict[str, Made]) -> None:
    found = made["key"]
    row = found.row(part=(), a=frozenset(), b=FrozenMap(), c=(None, None), d=AT, e=FrozenMap(), f=Decimal(0))
    assert found.returned(row) == row
    for column, words in (("c", "is missing"), ("d", "is missing"), ("f", "takes a decimal like -12.50 or 1E+30")):
        message = found.dao.to_message(row)
        message.ClearField(column)
        with pytest.raises(InvalidValue, match=re.escape(f"cqlrowtest.key.{column} {words}")):
            found.dao.from_message(message)


def test_fields_of_a_newer_schema_do_no_harm(made: dict[str, Made]) -> None:
    found = made["counts"]
    message = found.dao.to_message(found.row(id=1, n=2))
    newer = type(message).FromString(message.SerializeToString() + b"\xf2\x7f\x01x")
    assert found.dao.from_message(newer) == found.row(id=1, n=2)


def test_the_converters_import_no_protobuf_before_the_first_row() -> None:
    code = "import sys, runtime.cql.messages; print([each for each in sys.modules if 'protobuf' in each])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
