"""Rows to protobuf messages and back: nothing is lost on the way, and nothing gets through that a column can't hold."""

from __future__ import annotations

import datetime
import decimal
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generated.proto.sun.rows.v1 import post_pb2
from generated.sql.sun import Post, PostDao
from generators import pipeline
from runtime.sql.errors import InvalidValue

ROOT = Path(__file__).parents[2]
PACKAGE = "made_for_row_messages"

TYPES = {
    "flag": "BOOL",
    "tiny": "TINYINT",
    "utiny": "TINYINT UNSIGNED",
    "medium": "MEDIUMINT",
    "number": "INT",
    "unumber": "INT UNSIGNED",
    "big": "BIGINT",
    "ubig": "BIGINT UNSIGNED",
    "money": "DECIMAL(12,2)",
    "huge": "DECIMAL(65,30)",
    "ratio": "DOUBLE",
    "single": "FLOAT",
    "code": "CHAR(3)",
    "name": "VARCHAR(50)",
    "body": "TINYTEXT",
    "long": "LONGTEXT",
    "octets": "VARBINARY(16)",
    "picture": "BLOB",
    "born": "DATE",
    "length": "TIME(6)",
    "local": "DATETIME(6)",
    "made": "TIMESTAMP(6)",
    "vintage": "YEAR",
    "extra": "JSON",
    "colour": "ENUM('red','green','')",
    "days": "SET('wed','mon','tue')",
    "mask": "BIT(64)",
    "kind": "SMALLINT",
    "wide": "BIGINT",
}
DIRECTIVES = {"kind": "  -- sun: enum=rowtest.v1.Kind\n", "wide": "  -- sun: enum=rowtest.v1.Kind\n"}
ODD = ("self", "class", "optional", "message", "cls", "to_message", "_hidden", "3p%", "Mixed Case", "userName", "None")


def text(most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters=" "), max_size=most)


def scaled(digits: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: decimal.Decimal(n).scaleb(-scale, WIDE))


at = datetime.datetime.fromisoformat
EARLIEST, LATEST = at("0001-01-01T00:00:00"), at("9999-12-31T23:59:59.999999")


def moments(first: datetime.datetime, last: datetime.datetime) -> st.SearchStrategy[datetime.datetime]:
    return st.datetimes(first, last).map(lambda moment: moment.replace(fold=0))  # which no column holds


WIDE = decimal.Context(prec=70)
UTC = datetime.UTC
HOURS = datetime.timedelta(hours=838, minutes=59, seconds=59)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text(5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text(5), inner, max_size=3),
    max_leaves=5,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "tiny": st.integers(-128, 127),
    "utiny": st.integers(0, 255),
    "medium": st.integers(-(2**23), 2**23 - 1),
    "number": st.integers(-(2**31), 2**31 - 1),
    "unumber": st.integers(0, 2**32 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "ubig": st.integers(0, 2**64 - 1),
    "money": scaled(12, 2),
    "huge": scaled(65, 30),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "single": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "code": text(3),
    "name": text(50),
    "body": text(63),
    "long": text(200),
    "octets": st.binary(max_size=16),
    "picture": st.binary(max_size=100),
    "born": st.dates(),
    "length": st.timedeltas(-HOURS, HOURS),
    "local": moments(EARLIEST, LATEST),
    "made": moments(at("1970-01-02"), at("2038-01-18")).map(lambda moment: moment.replace(tzinfo=UTC)),
    "vintage": st.just(0) | st.integers(1901, 2155),
    "extra": JSON,
    "colour": st.sampled_from(["red", "green", ""]),
    "days": st.frozensets(st.sampled_from(["wed", "mon", "tue"])),
    "mask": st.integers(0, 2**64 - 1),
    "kind": st.integers(-(2**15), 2**15 - 1),
    "wide": st.integers(-(2**31), 2**31 - 1),
}


def create(table: str, columns: dict[str, str]) -> str:
    lines = ",\n".join(f"{DIRECTIVES.get(name, '')}  `{name}` {kind}" for name, kind in columns.items())
    return f"CREATE TABLE {table} (\n{lines}\n);\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generated package of a database with every type, NULL and NOT NULL."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "schema/sql").mkdir(parents=True)
    (folder / "schema/sql/rowtest.sql").write_text(
        create("wanted", {name: f"{kind} NOT NULL" for name, kind in TYPES.items()})
        + create("spare", {name: f"{kind} NULL DEFAULT NULL" for name, kind in TYPES.items()})
        + create("odd", dict.fromkeys(ODD, "INT NOT NULL"))
        + create("lone", {"only": "INT NOT NULL"})
    )
    enum = 'syntax = "proto3";\npackage rowtest.v1;\nenum Kind {\n  KIND_UNSPECIFIED = 0;\n  KIND_ONE = 1;\n}\n'
    (folder / "schema/proto/rowtest/v1").mkdir(parents=True)
    (folder / "schema/proto/rowtest/v1/kind.proto").write_text(enum)
    pipeline.generate(pipeline.Source(folder, "schema", PACKAGE, PACKAGE, ()))
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(f"{PACKAGE}.sql.rowtest")
    finally:
        sys.path.remove(str(folder))


def returned(dao: Any, row: Any) -> Any:
    """The row after its message went through bytes."""
    message = dao.to_message(row)
    again = dao.from_message(type(message).FromString(message.SerializeToString()))
    assert dao.to_message(again) == message
    return again


def exactly(row: Any) -> list[tuple[type, str]]:
    """What can be told of the values beyond `==`, which takes 1 for True and 0.0 for -0.0."""
    return [(type(value), repr(value)) for value in msgspec.structs.astuple(row) if not isinstance(value, frozenset)]


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries(VALUES))
def test_a_row_comes_back_as_it_was(made: Any, values: dict[str, Any]) -> None:
    row = made.Wanted(**values)
    again = returned(made.WantedDao, row)
    assert again == row
    assert exactly(again) == exactly(row)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}))
def test_null_is_not_the_empty_or_zero_value(made: Any, values: dict[str, Any]) -> None:
    row = made.Spare(**values)
    again = returned(made.SpareDao, row)
    assert again == row
    assert exactly(again) == exactly(row)


EMPTY = {
    "flag": False,
    "number": 0,
    "ratio": 0.0,
    "name": "",
    "octets": b"",
    "length": datetime.timedelta(0),
    "colour": "",
    "days": frozenset[str](),
    "mask": 0,
    "kind": 0,
    "extra": "",
}


def test_null_and_zero_differ_on_the_wire(made: Any) -> None:
    assert returned(made.SpareDao, made.Spare()) == made.Spare()
    assert made.SpareDao.to_message(made.Spare()).SerializeToString() == b""
    assert returned(made.SpareDao, made.Spare(**EMPTY)) == made.Spare(**EMPTY)


def test_the_extremes(made: Any) -> None:
    for local in (EARLIEST, LATEST, at("1969-12-31T23:59:59.999999")):
        assert returned(made.SpareDao, made.Spare(local=local)).local == local
    for born in (datetime.date.min, datetime.date.max):
        assert returned(made.SpareDao, made.Spare(born=born)).born == born
    for length in (-HOURS, HOURS, datetime.timedelta(microseconds=-1), datetime.timedelta(days=-1, microseconds=1)):
        assert returned(made.SpareDao, made.Spare(length=length)).length == length


def test_what_drivers_never_give_but_columns_take_is_made_plain(made: Any) -> None:
    row = made.Spare(octets=bytearray(b"x"), number=True, ratio=1, days={"tue", "mon"}, money=decimal.Decimal("1E+2"))
    again = returned(made.SpareDao, row)
    assert (again.octets, again.number, again.ratio, again.days) == (b"x", 1, 1.0, frozenset({"mon", "tue"}))
    assert again.money == 100
    assert list(made.SpareDao.to_message(row).days.values) == ["mon", "tue"], "in the order of the schema"


def test_a_moment_of_another_zone_is_the_same_moment(made: Any) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-3, microseconds=7))
    row = made.Spare(made=datetime.datetime(2020, 1, 31, 10, tzinfo=zone))
    assert returned(made.SpareDao, row) == row


def test_json_null_in_a_column_without_null_stays(made: Any) -> None:
    message = made.WantedDao.to_message(made.Wanted(**sample(), extra=None))
    assert message.extra == "null"
    assert made.WantedDao.from_message(message).extra is None


def test_odd_names_and_tables_of_one_column(made: Any) -> None:
    row = made.Odd(*range(1, len(ODD) + 1))
    assert returned(made.OddDao, row) == row
    names = [field.name for field in made.OddDao.to_message(row).DESCRIPTOR.fields]
    assert names[6:] == ["hidden", "c_3p", "mixed_case", "user_name", "none"]
    assert returned(made.LoneDao, made.Lone(5)) == made.Lone(5)


def test_a_number_that_the_enum_does_not_name_survives(made: Any) -> None:
    assert returned(made.SpareDao, made.Spare(kind=-7, wide=2**31 - 1)) == made.Spare(kind=-7, wide=2**31 - 1)


def sample() -> dict[str, Any]:
    """A good value for each column but `extra`."""
    zeros: dict[str, Any] = dict.fromkeys(TYPES, 0)
    del zeros["extra"]
    zeros |= dict.fromkeys(("code", "name", "body", "long"), "a") | dict.fromkeys(("octets", "picture"), b"")
    return zeros | {
        "flag": True,
        "money": decimal.Decimal("1.50"),
        "huge": decimal.Decimal(0),
        "born": datetime.date(2020, 1, 31),
        "length": datetime.timedelta(0),
        "local": at("2020-01-31"),
        "made": datetime.datetime(2020, 1, 31, tzinfo=UTC),
        "colour": "red",
        "days": frozenset[str](),
    }


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("tiny", 128, "takes an int from -128 to 127, not int 128"),
        ("number", "5", "takes an int, not str of length 1"),
        ("number", None, "takes no NULL"),
        ("flag", 1, "takes a bool, not int 1"),
        ("ubig", -1, "takes an int from 0 to 18446744073709551615, not int -1"),
        ("money", decimal.Decimal("1.234"), "takes 10 digits before the point and 2 behind it, not Decimal 1.234"),
        ("money", decimal.Decimal("NaN"), "takes a finite Decimal, not Decimal NaN"),
        ("money", 1.5, "takes a finite Decimal, not float 1.5"),
        ("ratio", float("inf"), "takes a finite float, not float inf"),
        ("code", "abcd", "takes at most 3 characters, not str of length 4"),
        ("body", "\u20ac" * 86, "takes at most 255 bytes of UTF-8, not str of length 86"),
        ("name", "\ud800", "takes text that UTF-8 can write"),
        ("name", b"x", "takes a str, not bytes of size 1"),
        ("octets", "x", "takes bytes, not str of length 1"),
        ("octets", b"x" * 17, "takes at most 16 bytes"),
        ("born", at("2020-01-01"), "takes a date, not datetime"),
        ("length", datetime.timedelta(hours=839), "takes a timedelta of less than 839 hours"),
        ("local", datetime.datetime(2020, 1, 1, tzinfo=UTC), "takes a datetime without a time zone"),
        ("made", at("2020-01-01"), "takes a datetime with a time zone"),
        ("colour", "blue", "takes one of 'red', 'green', '', not str of length 4"),
        ("days", frozenset({"sun"}), "takes a frozenset of some of 'wed', 'mon', 'tue'"),
        ("extra", {1, 2}, "can't hold it: Object of type set is not JSON serializable"),
        ("extra", float("nan"), "can't hold it: "),
        ("extra", ["\ud800"], "can't hold it: "),
        ("wide", 2**31, "can't hold it: the numbers of an enum have 32 bits, not int 2147483648"),
    ],
)
def test_a_value_that_its_column_can_not_hold_makes_no_message(
    made: Any, column: str, value: object, words: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        made.WantedDao.to_message(made.Wanted(**sample() | {"extra": 1, column: value}))
    assert str(refused.value).startswith(f"rowtest.wanted.{column} {words}")
    assert (refused.value.table, refused.value.column) == ("rowtest.wanted", column)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("tiny", 128, "takes an int from -128 to 127, not int 128"),
        ("money", "", "takes a decimal like -12.50, not str of length 0"),
        *(
            ("money", each, "takes a decimal like -12.50")
            for each in ("NaN", "1_000", "1e5", " 1", "1.", ".5", "+1", "\u0661", "--1", "1" * 5000)
        ),
        ("money", "1.234", "takes 10 digits before the point and 2 behind it"),
        ("ratio", float("nan"), "takes a finite float"),
        ("single", 1e39, "takes a float of 32 bits"),
        ("code", "abcd", "takes at most 3 characters"),
        ("octets", b"x" * 17, "takes at most 16 bytes"),
        *(
            ("born", each, "takes a date like 2020-01-31, not str")
            for each in ("", "2020-02-30", "20200131", "2020-W01-1", "0000-01-01", "2020-01-31T00:00:00")
        ),
        *(
            ("local", each, "takes a date and time like 2020-01-31T10:00:00.000001")
            for each in ("", "2020-01-31", "2020-01-31T25:00:00", "2020-01-31T10:00:00Z", "2020-01-31T10:00:00+01:00")
        ),
        ("extra", "", "takes JSON, not str of length 0"),
        ("extra", "NaN", "takes JSON"),
        ("extra", "[" * 100_000, "takes JSON"),
        ("extra", "1" * 5000, "takes JSON"),
        ("colour", "blue", "takes one of 'red', 'green', ''"),
        ("days", ["sun"], "takes a frozenset of some of 'wed', 'mon', 'tue'"),
        ("made", {"seconds": 253402300800}, "takes a Timestamp within the years 1 to 9999"),
        ("made", {"seconds": 1, "nanos": -1}, "takes a Timestamp within the years 1 to 9999"),
        ("made", {"seconds": 1, "nanos": 1}, "takes whole microseconds"),
        ("length", {"seconds": 3_020_400}, "takes a timedelta of less than 839 hours"),
        ("length", {"seconds": 2**62}, ""),
        ("length", {"seconds": 1, "nanos": -1000}, "takes a Duration whose seconds and nanos agree"),
        ("length", {"seconds": 1, "nanos": 1}, "takes whole microseconds"),
    ],
)
def test_a_message_that_fits_no_row_is_refused(made: Any, column: str, value: object, words: str) -> None:
    message = made.WantedDao.to_message(made.Wanted(**sample(), extra=1))
    message.ClearField(column)
    message.MergeFrom(type(message)(**{column: value}))
    with pytest.raises(InvalidValue) as refused:
        made.WantedDao.from_message(message)
    assert str(refused.value).startswith(f"rowtest.wanted.{column} {words}")
    assert (refused.value.table, refused.value.column) == ("rowtest.wanted", column)


@pytest.mark.parametrize("column", ["money", "born", "local", "made", "length", "extra"])
def test_what_a_message_lacks_and_a_column_needs_is_refused(made: Any, column: str) -> None:
    message = made.WantedDao.to_message(made.Wanted(**sample(), extra=1))
    message.ClearField(column)
    with pytest.raises(InvalidValue, match=rf"^rowtest.wanted.{column} (takes a |takes JSON|is missing$)"):
        made.WantedDao.from_message(message)


def test_rows_and_messages_of_other_tables_are_refused(made: Any) -> None:
    other = made.Lone(1)
    with pytest.raises(TypeError, match=r"^sun.post takes rows of Post, not Lone$"):
        PostDao.to_message(other)
    with pytest.raises(TypeError, match=r"^sun.post takes messages of sun.rows.v1.Post, not rowtest.rows.v1.Lone$"):
        PostDao.from_message(made.LoneDao.to_message(other))
    with pytest.raises(TypeError, match=r"^sun.post takes messages of sun.rows.v1.Post, not NoneType$"):
        PostDao.from_message(None)  # pyright: ignore[reportArgumentType]


def test_fields_of_a_newer_schema_do_no_harm() -> None:
    row = Post(post_id=1, user_id=2, post_key="k", post_type=3, text="hi", created_ms=4)
    newer = PostDao.to_message(row).SerializeToString() + b"\xf2\x7f\x01x"
    assert PostDao.from_message(post_pb2.Post.FromString(newer)) == row


def test_importing_a_table_imports_no_protobuf() -> None:
    code = "import sys, generated.sql.sun.post; print([each for each in sys.modules if 'protobuf' in each])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
