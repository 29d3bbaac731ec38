"""Every column type with the values that it holds, for the tests that draw them."""

from __future__ import annotations

import datetime
import decimal
import struct
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[Any]

_SURROGATES = ("Cs",)


@dataclass(frozen=True)
class Kind:
    """A type as the schema declares it, of a `family` whose columns compare with each other.

    `anything` draws every value that it holds; `few` draws of so few that two draws are often equal, and leaves out
    what the engines are known to compare in different ways (see docs/data-access.md).
    """

    declared: str
    family: str
    anything: Values
    few: Values
    whole: bool = True  # can be a key without a prefix
    ordered: bool = True  # has `<`
    adds: Values | None = None  # what may be added to it


def _few(*values: Any) -> Values:
    return st.sampled_from(values)


def _int(declared: str, low: int, high: int, *, top: int | None = None) -> Kind:
    edges = _few(low, low + 1, high - 1, high, 0)
    few = _few(*(value for value in (-2, -1, 0, 1, 2, 3, low, top or high) if low <= value <= high))
    adds = _few(-3, -1, 0, 1, 5, top or high)
    return Kind(declared, "int", st.integers(low, high) | edges, few, adds=adds)


def _decimal(precision: int, scale: int) -> Kind:
    top = 10**precision - 1
    whole = st.integers(-top, top) | st.integers(-1000, 1000) | _few(top, -top, 0)
    anything = whole.map(lambda value: decimal.Decimal(value).scaleb(-scale, decimal.Context(70)))
    units = [-top, -100, -15, -9, -1, 0, 1, 9, 10, 15, 100, 101, top]
    # MariaDB's sums have 65 digits, as its columns.
    units = [unit // 1000 if precision == 65 else unit for unit in units if abs(unit) <= top]
    few = _few(*(decimal.Decimal(unit).scaleb(-scale, decimal.Context(70)) for unit in units))
    adds = _few(*(decimal.Decimal(unit).scaleb(-scale) for unit in (-7, -1, 0, 1, 9)))
    return Kind(f"DECIMAL({precision},{scale})", "decimal", anything, few, adds=adds)


def single(value: float) -> float:
    """The nearest float of 32 bits."""
    return struct.unpack("f", struct.pack("f", value))[0]


def _text(declared: str, length: int, *, whole: bool = True, fixed: bool = False) -> Kind:
    anything = st.text(st.characters(exclude_categories=_SURROGATES), max_size=length)
    if fixed:
        anything = anything.filter(lambda value: not value.endswith(" "))
    few = _few("", "a", "A", "b", "aa", "a b", "%", "_", "\\", "a%", "'", "é", "ü", "z", "\N{PILE OF POO}", "?{}")
    return Kind(declared, "text", anything, few.filter(lambda value: len(value) <= length), whole)


def _bytes(declared: str, length: int, *, whole: bool = True, fixed: bool = False) -> Kind:
    anything = st.binary(min_size=length if fixed else 0, max_size=length)
    few = [b"", b"\0", b"a", b"A", b"\xff", b"a\0", b"'", b"\\"]
    few = [value.ljust(length, b"\0") if fixed else value for value in few]
    return Kind(declared, "bytes", anything, _few(*few), whole)


_HOURS = datetime.timedelta(hours=838, minutes=59, seconds=59)
_EPOCH = datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2038, 1, 19, 3, 14, 7, tzinfo=datetime.UTC)
_DAY = datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)


def _cut(microseconds: int, fraction: int) -> int:
    step = 10 ** (6 - fraction)
    return microseconds - microseconds % step


def _moment(declared: str, fraction: int, *, instant: bool) -> Kind:
    def cut(value: datetime.datetime) -> datetime.datetime:
        return value.replace(microsecond=_cut(value.microsecond, fraction))

    zone: Any = st.just(datetime.UTC) if instant else st.none()
    years = (_EPOCH.replace(tzinfo=None), _END.replace(tzinfo=None)) if instant else ()
    anything = st.datetimes(*years, timezones=zone).map(cut)
    day = _DAY if instant else _DAY.replace(tzinfo=None)
    fine = datetime.timedelta(microseconds=10 ** (6 - fraction))
    few = _few(day, day + fine, day - fine, day + datetime.timedelta(days=1), day.replace(year=1996))
    return Kind(declared, "timestamp" if instant else "datetime", anything, few)


def _span(declared: str, fraction: int) -> Kind:
    def cut(value: datetime.timedelta) -> datetime.timedelta:
        whole = value // datetime.timedelta(microseconds=1)
        size = _cut(abs(whole), fraction)
        return datetime.timedelta(microseconds=-size if whole < 0 else size)

    fine = datetime.timedelta(microseconds=10 ** (6 - fraction))
    edges = [_HOURS, -_HOURS, fine, -fine, -datetime.timedelta(minutes=30), datetime.timedelta(0)]
    return Kind(declared, "time", st.timedeltas(-_HOURS, _HOURS).map(cut) | _few(*edges), _few(*edges))


_SINGLE = st.floats(allow_nan=False, allow_infinity=False, width=32)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_FLOATS = _few(0.0, 0.5, -0.5, 1.0, 1.5, -2.25, 1024.0)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(st.characters(exclude_categories=_SURROGATES)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab'\\\"é"), inner, max_size=3),
    max_leaves=6,
)
_WORDS = _few("red", "green", "Blue", "it's")
DAYS = ("mon", "tue", "fri", "a b")
_DAYS = _few(*DAYS)

_SAID = _JSON.filter(lambda value: value is not None)  # None is NULL

KINDS = (
    Kind("BOOL", "bool", st.booleans(), st.booleans()),
    _int("TINYINT", -128, 127),
    _int("TINYINT UNSIGNED", 0, 255),
    _int("SMALLINT", -(2**15), 2**15 - 1),
    _int("MEDIUMINT UNSIGNED", 0, 2**24 - 1),
    _int("INT", -(2**31), 2**31 - 1),
    _int("INT UNSIGNED", 0, 2**32 - 1),
    _int("BIGINT", -(2**63), 2**63 - 1),
    _int("BIGINT UNSIGNED", 0, 2**63 - 1, top=2**40),  # to 2^64-1 on MariaDB alone
    _decimal(5, 2),
    _decimal(18, 6),
    _decimal(30, 0),
    _decimal(65, 30),
    Kind("DOUBLE", "float", _FINITE, _FLOATS, adds=_few(-0.5, 0.25, 2.0)),
    Kind("FLOAT", "float", _SINGLE, _FLOATS | _few(0.1, 1e-3).map(single), adds=_few(-0.5, 0.25, 0.1)),
    _text("CHAR(3)", 3, fixed=True),
    _text("VARCHAR(20)", 20),
    Kind(
        "VARCHAR(10) COLLATE utf8mb4_general_ci",
        "folded",
        st.text(st.characters(exclude_categories=_SURROGATES), max_size=10),
        _few("", "a", "A", "ab", "AB", "b", "B", "7"),
    ),
    _text("TINYTEXT", 60, whole=False),
    _text("TEXT", 60, whole=False),
    _text("LONGTEXT", 60, whole=False),
    _bytes("BINARY(4)", 4, fixed=True),
    _bytes("VARBINARY(8)", 8),
    _bytes("TINYBLOB", 60, whole=False),
    _bytes("LONGBLOB", 60, whole=False),
    Kind("DATE", "date", st.dates(), _few(*(datetime.date(2024, 2, day) for day in (1, 2, 28, 29)))),
    _span("TIME", 0),
    _span("TIME(3)", 3),
    _span("TIME(6)", 6),
    _moment("DATETIME", 0, instant=False),
    _moment("DATETIME(2)", 2, instant=False),
    _moment("DATETIME(6)", 6, instant=False),
    _moment("TIMESTAMP", 0, instant=True),
    _moment("TIMESTAMP(6)", 6, instant=True),
    Kind("YEAR", "year", st.integers(1901, 2155) | st.just(0), _few(0, 1901, 1999, 2000, 2155)),
    Kind("JSON", "json", _SAID, _SAID, whole=False, ordered=False),
    Kind("BIT(1)", "bits", st.integers(0, 1), st.integers(0, 1)),
    Kind("BIT(12)", "bits", st.integers(0, 4095), _few(0, 1, 255, 256, 4095)),
    Kind("BIT(63)", "bits", st.integers(0, 2**63 - 1), _few(0, 1, 2**63 - 1)),
    Kind("ENUM('red','green','Blue','it''s')", "enum", _WORDS, _WORDS),
    Kind("SET('mon','tue','fri','a b')", "set", st.frozensets(_DAYS), st.frozensets(_DAYS)),
)
