"""The clustering order of every type, up and down, on the embedded engine and on Apache Cassandra."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import math
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import cql
from runtime.cql import types
from runtime.cql.database import SyncDatabase, connect_sync
from tests.cql.rules_tables import create, space


class Pair(cql.UserType, frozen=True):
    name: str | None = None
    number: int | None = None


PAIR = types.UserDefined("rules", "pair", Pair, (("name", types.Text()), ("number", types.Int())), frozen=True)
UTC = datetime.UTC


def uuid1(time: int, clock: int, node: int) -> uuid.UUID:
    """A UUID of version 1 of this time, in 100 ns since 1582."""
    return uuid.UUID(
        fields=(time & 0xFFFFFFFF, time >> 32 & 0xFFFF, time >> 48 | 0x1000, clock >> 8, clock & 255, node)
    )


TIMES = [
    uuid1(time, clock, node)
    for time in (0, 1, 1 << 31, 1 << 32, 1 << 47, (1 << 60) - 1)
    for clock, node in ((0x8000, 0), (0x80FF, 1 << 47), (0xBF7F, 0x7F8000FF0001))
]

VALUES: dict[str, tuple[types.CqlType[Any], list[Any]]] = {
    "ascii": (types.Ascii(), ["", "a", "a\0", "a\0b", "aa", "b", "~"]),
    "text": (types.Text(), ["", "\0", "a", "a\0", "ab", "é", "�", "\U0001f600"]),
    "tinyint": (types.TinyInt(), [-128, -1, 0, 1, 127]),
    "smallint": (types.SmallInt(), [-(1 << 15), -1, 0, 1, (1 << 15) - 1]),
    "int": (types.Int(), [-(1 << 31), -1, 0, 1, 255, 256, (1 << 31) - 1]),
    "bigint": (types.BigInt(), [-(1 << 63), -1, 0, 1, (1 << 63) - 1]),
    "varint": (types.Varint(), [-(10**30), -257, -256, -255, -1, 0, 1, 127, 128, 255, 256, 10**30]),
    "float": (types.Float(), [-math.inf, -1.5, -0.5, 0.0, 0.5, 2.0, math.inf]),
    "double": (types.Double(), [-math.inf, -1e300, -1.5, -5e-324, -0.0, 0.0, 5e-324, 1e300, math.inf, math.nan]),
    "decimal": (
        types.Decimal(),
        [
            decimal.Decimal(text)
            for text in ("-1E+30", "-12.5", "-1.2", "-0.012", "0", "1E-20", "0.9", "1.1", "11", "1E+9")
        ],
    ),
    "boolean": (types.Boolean(), [False, True]),
    "blob": (types.Blob(), [b"", b"\0", b"\0\0", b"\0\xff", b"\1", b"\xff", b"\xff\xff"]),
    "uuid": (
        types.Uuid(),
        [uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1), *TIMES, *(uuid.uuid4() for _ in range(5))],
    ),
    "timeuuid": (types.TimeUuid(), TIMES),
    "inet": (types.Inet(), [ipaddress.ip_address(text) for text in ("::", "::1", "1.2.3.4", "10.0.0.0", "fe80::1")]),
    "date": (
        types.Date(),
        [datetime.date.min, datetime.date(1969, 12, 31), datetime.date(1970, 1, 1), datetime.date.max],
    ),
    "time": (types.Time(), [0, 1, 255, 256, 86_399_999_999_999]),
    "timestamp": (
        types.Timestamp(),
        [datetime.datetime(year, 1, 1, microsecond=1_000, tzinfo=UTC) for year in (1, 1969, 1970, 2026, 9999)],
    ),
    "tuple": (
        types.Tuple((types.Text(), types.Int())),
        [(None, None), (None, 1), ("", None), ("", -1), ("a", 5), ("aa", -9), ("b", None)],
    ),
    "list": (types.List(types.Int(), True), [[], [-1], [1], [1, -5], [1, 2], [2]]),
    "set": (types.Set(types.Text(), True), [set(), {""}, {"", "a"}, {"a"}, {"a", "b"}, {"b"}]),
    "map": (types.Map(types.Int(), types.Text(), True), [{}, {-1: "z"}, {1: ""}, {1: "", 2: ""}, {1: "a"}, {2: ""}]),
    "vector": (types.Vector(types.Float(), 2), [[-1.0, 5.0], [0.0, -2.0], [0.0, 3.0], [2.0, -9.0]]),
    "pair": (PAIR, [Pair(), Pair(None, 1), Pair("", None), Pair("", -1), Pair("a", 3), Pair("b")]),
}

# The values stand in `c`, where they go up, of one partition, and in `d`, where they go down, of another.
TABLES = {
    name: space(f"of_{name}", {"p": types.Int()}, {"c": type, "d": type}, {"v": types.Int()}, descending=("d",))
    for name, (type, _) in VALUES.items()
}


@pytest.fixture(scope="module", params=["embedded", pytest.param("cassandra", marks=pytest.mark.cassandra)])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncDatabase]:
    path: Path = tmp_path_factory.mktemp("order") / "cql.db"
    url = f"embedded:{path}" if request.param == "embedded" else request.getfixturevalue("cassandra_url")
    with connect_sync(url) as database:
        create(database, url, *TABLES.values())
        yield database


@pytest.mark.parametrize("name", VALUES)
def test_rows_come_in_the_order_of_the_type(db: SyncDatabase, name: str) -> None:
    table = TABLES[name]
    type, values = VALUES[name]
    fixed = values[0]
    for place in random.sample(range(len(values)), len(values)):
        db.run(table.insert(1, values[place], fixed, v=place))
        db.run(table.insert(2, fixed, values[place], v=place))
    expected = sorted(range(len(values)), key=lambda place: type.order(values[place]))
    assert places(db, table.slice(1)) == expected
    assert places(db, table.slice(2)) == expected[::-1]
    for rank, place in enumerate(expected):
        bound = (values[place],)
        assert places(db, table.slice(1, after=bound)) == expected[rank + 1 :]
        assert places(db, table.slice(1, at_most=bound)) == expected[: rank + 1]
        assert places(db, table.slice(2, at_least=(fixed, *bound))) == expected[rank:][::-1]
        assert places(db, table.slice(2, before=(fixed, *bound))) == expected[:rank][::-1]
        assert db.run(table.get(1, *bound, fixed)).v == place


def places(db: SyncDatabase, query: Any) -> list[int]:
    return [row.v for row in db.run(query)]


def test_decimals_that_are_equal_are_one_row(db: SyncDatabase) -> None:
    table, zero = TABLES["decimal"], decimal.Decimal(0)
    db.run(table.insert(3, decimal.Decimal("1.0"), zero, v=1))
    db.run(table.insert(3, decimal.Decimal("1.00"), zero, v=2))
    assert [(str(row.c), row.v) for row in db.run(table.slice(3))] == [("1.0", 2)]
