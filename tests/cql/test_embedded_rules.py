"""The rules of the wide-column store, each on the embedded engine and on Apache Cassandra."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import cql
from runtime.cql import types
from runtime.cql.database import SyncDatabase, connect_sync
from runtime.cql.errors import CqlError, InvalidState
from runtime.cql.statements import Bound, Options, Relation, Select
from tests.cql.rules_tables import create, nearest, space

LONG_AGO = 1_000_000  # µs: 1970


class Address(cql.UserType, frozen=True):
    street: str | None = None
    zip: int | None = None


ADDRESS = types.UserDefined("rules", "address", Address, (("street", types.Text()), ("zip", types.Int())))

ROWS = space(
    "rows",
    {"p": types.Int()},
    {"c": types.Int(), "d": types.Text()},
    {"v": types.Int(), "w": types.Text()},
    statics={"s": types.Int()},
    descending=("c",),
)
FLAT = space("flat", {"p": types.Int(), "q": types.Text()}, {}, {"v": types.Int(), "w": types.Text()})
PARTS = space(
    "parts",
    {"p": types.Int()},
    {},
    {
        "l": types.List(types.Int()),
        "s": types.Set(types.Int()),
        "m": types.Map(types.Text(), types.Int()),
        "f": types.List(types.Int(), frozen=True),
        "u": ADDRESS,
        "v": types.Int(),
    },
)
SHORT_LIVED = space("short_lived", {"p": types.Int()}, {}, {"v": types.Int()}, default_time_to_live=1_000)
TALLY = space(
    "tally",
    {"p": types.Int()},
    {"c": types.Int()},
    {"n": types.Counter(), "m": types.Counter()},
    statics={"all": types.Counter()},
)
FOUND = space(
    "found",
    {"p": types.Int()},
    {"c": types.Int()},
    {
        "v": types.Int(),
        "s": types.Set(types.Int()),
        "k": types.Map(types.Text(), types.Int()),
        "e": types.Map(types.Text(), types.Int()),
        "n": types.Int(),
        "vec": types.Vector(types.Float(), 2),
        "x": types.Int(),
    },
    statics={"t": types.Int()},
    indexes={"v": "", "s": "values", "k": "keys", "e": "entries", "n": "sai", "vec": "sai"},
)
SCANNED = space("scanned", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int()}, statics={"s": types.Int()})
BASE = space("base", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int(), "w": types.Text(), "x": types.Int()})
BY_VALUE = space(
    "by_value",
    {"v": types.Int()},
    {"p": types.Int(), "c": types.Int()},
    {"w": types.Text()},
    view=cql.View(BASE.table, ("v", "p", "c")),
)
TURNED = space(
    "turned",
    {"p": types.Int()},
    {"c": types.Int()},
    {"v": types.Int()},
    descending=("c",),
    view=cql.View(BASE.table, ("p", "c")),
)
LATE = space(
    "late",
    {"p": types.Int()},
    {"v": types.Int(), "c": types.Int()},
    {"w": types.Text(), "x": types.Int()},
    view=cql.View(BASE.table, ("p", "v"), (("c", ">=", 2),)),
)
EVERY = (BASE, BY_VALUE, TURNED, LATE, ROWS, FLAT, PARTS, SHORT_LIVED, TALLY, FOUND, SCANNED)


@pytest.fixture(scope="module", params=["embedded", pytest.param("cassandra", marks=pytest.mark.cassandra)])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncDatabase]:
    path: Path = tmp_path_factory.mktemp("rules") / "cql.db"
    url = f"embedded:{path}" if request.param == "embedded" else request.getfixturevalue("cassandra_url")
    with connect_sync(url) as database:
        create(database, url, *EVERY)
        yield database


_NUMBERS = itertools.count(random.randrange(1 << 20) << 10)


@pytest.fixture
def p() -> int:
    """A partition of the test's own."""
    return next(_NUMBERS)


def fill(db: SyncDatabase, p: int, *keys: tuple[int, str]) -> None:
    for place, (c, d) in enumerate(keys):
        db.run(ROWS.insert(p, c, d, v=place))


def keys(db: SyncDatabase, query: Any) -> list[Any]:
    return db.run(query.select(ROWS.c, ROWS.d))


SQUARE = [(c, d) for c in (1, 2, 3) for d in ("a", "b", "c")]


# --- what makes a row


def test_an_insert_makes_a_row_that_stays_when_its_columns_are_deleted(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.insert(p, "q", v=1))
    db.run(FLAT.update(p, "q").set(v=cql.NULL))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q")


def test_an_update_makes_a_row_that_goes_with_its_columns(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.update(p, "q").set(v=1))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=1)
    db.run(FLAT.update(p, "q").set(v=cql.NULL))
    assert db.run(FLAT.get(p, "q")) is None


def test_an_insert_leaves_columns_that_it_does_not_say(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.insert(p, "q", v=1, w="w"))
    db.run(FLAT.insert(p, "q", v=2))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=2, w="w")
    db.run(FLAT.insert(p, "q", v=cql.NULL))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", w="w")


# --- timestamps


def test_the_later_timestamp_wins_whatever_the_order_of_the_writes(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.insert(p, "q", v=2, timestamp=LONG_AGO + 2))
    db.run(FLAT.insert(p, "q", v=1, w="w", timestamp=LONG_AGO + 1))
    assert db.run(FLAT.get(p, "q").select(FLAT.v, FLAT.v.writetime(), FLAT.w, FLAT.w.writetime())) == (
        2,
        LONG_AGO + 2,
        "w",
        LONG_AGO + 1,
    )


def test_of_two_values_of_one_timestamp_the_greater_bytes_win(db: SyncDatabase, p: int) -> None:
    for value in (7, -6, 3):
        db.run(FLAT.update(p, "q").set(v=value).timestamp(LONG_AGO))
    assert db.run(FLAT.get(p, "q").value(FLAT.v)) == -6  # ff ff ff fa


def test_a_tombstone_wins_over_a_value_of_its_timestamp(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.insert(p, "q", w="w"))
    db.run(FLAT.update(p, "q").set(v=cql.NULL).timestamp(LONG_AGO))
    db.run(FLAT.update(p, "q").set(v=1).timestamp(LONG_AGO))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", w="w")


def test_a_value_with_a_ttl_wins_over_one_of_its_timestamp_without(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.update(p, "q").set(v=1).timestamp(LONG_AGO).ttl(1_000))
    db.run(FLAT.update(p, "q").set(v=9).timestamp(LONG_AGO))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=1)


@pytest.mark.parametrize("kind", ["row", "range", "partition"])
def test_what_is_written_with_an_earlier_timestamp_than_a_delete_stays_dead(
    db: SyncDatabase, p: int, kind: str
) -> None:
    delete = {
        "row": ROWS.delete(p, 1, "a"),
        "range": ROWS.delete_slice(p, at_most=1),
        "partition": ROWS.delete_partition(p),
    }[kind]
    db.run(delete.timestamp(LONG_AGO + 5))
    db.run(ROWS.insert(p, 1, "a", v=1, timestamp=LONG_AGO + 4))
    db.run(ROWS.insert(p, 1, "a", v=1, timestamp=LONG_AGO + 5))
    assert db.run(ROWS.get(p, 1, "a")) is None
    db.run(ROWS.insert(p, 1, "a", v=1, timestamp=LONG_AGO + 6))
    assert db.run(ROWS.get(p, 1, "a")) == ROWS.row(p, 1, "a", v=1)


def test_a_delete_leaves_what_was_written_with_a_later_timestamp(db: SyncDatabase, p: int) -> None:
    db.run(ROWS.insert(p, 1, "a", v=1, w="old", timestamp=LONG_AGO))
    db.run(ROWS.update(p, 1, "a").set(v=2).timestamp(LONG_AGO + 9))
    db.run(ROWS.delete_partition(p).timestamp(LONG_AGO + 5))
    assert db.run(ROWS.get(p, 1, "a")) == ROWS.row(p, 1, "a", v=2)
    db.run(ROWS.update(p, 1, "a").set(v=cql.NULL))
    assert db.run(ROWS.get(p, 1, "a")) is None  # the insert was deleted


def test_deletes_that_overlap_are_each_remembered(db: SyncDatabase, p: int) -> None:
    db.run(ROWS.delete_slice(p, at_least=2, at_most=8).timestamp(LONG_AGO + 10))
    db.run(ROWS.delete_slice(p, at_least=4, at_most=6).timestamp(LONG_AGO + 20))
    db.run(ROWS.delete_slice(p, at_least=1, at_most=5).timestamp(LONG_AGO + 15))
    db.run(ROWS.delete(p, 3, "a").timestamp(LONG_AGO + 30))
    for c in range(10):
        db.run(ROWS.insert(p, c, "a", timestamp=LONG_AGO + 15))
        db.run(ROWS.insert(p, c, "b", timestamp=LONG_AGO + 16))
    assert sorted(keys(db, ROWS.slice(p))) == sorted(
        [(c, "a") for c in (0, 7, 8, 9)] + [(c, "b") for c in (0, 1, 2, 3, 7, 8, 9)]
    )


# --- time to live


def test_a_ttl_is_told_in_seconds_left(db: SyncDatabase, p: int) -> None:
    db.run(FLAT.insert(p, "q", v=1, ttl=1_000))
    db.run(FLAT.update(p, "q").set(w="w"))
    left, none = db.run(FLAT.get(p, "q").select(FLAT.v.ttl(), FLAT.w.ttl()))
    assert 990 <= left <= 1_000
    assert none is None


def test_the_table_s_ttl_holds_unless_a_write_says_another(db: SyncDatabase, p: int) -> None:
    ttl = SHORT_LIVED.v.ttl()
    db.run(SHORT_LIVED.insert(p, v=1))
    assert 990 <= db.run(SHORT_LIVED.get(p).value(ttl)) <= 1_000
    db.run(SHORT_LIVED.insert(p, v=1, ttl=0))
    assert db.run(SHORT_LIVED.get(p).select(SHORT_LIVED.v, ttl)) == (1, None)


def test_a_ttl_beyond_what_cassandra_can_store_is_refused(db: SyncDatabase, p: int) -> None:
    with pytest.raises(CqlError, match=r"2038|exceeds"):
        db.run(FLAT.insert(p, "q", v=1, ttl=630_720_000))
    assert db.run(FLAT.get(p, "q")) is None


# --- order and slices


def test_rows_come_in_the_clustering_order(db: SyncDatabase, p: int) -> None:
    fill(db, p, *random.sample(SQUARE, len(SQUARE)))
    ordered = sorted(SQUARE, key=lambda key: (-key[0], key[1]))
    assert keys(db, ROWS.slice(p)) == ordered
    assert keys(db, ROWS.slice(p).reversed()) == ordered[::-1]
    assert keys(db, ROWS.slice(p, 2)) == [(2, "a"), (2, "b"), (2, "c")]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"after": 1}, [(c, d) for c, d in SQUARE if c > 1]),
        ({"at_least": 2, "before": 3}, [(c, d) for c, d in SQUARE if c == 2]),
        ({"after": (1, "b")}, [key for key in SQUARE if key > (1, "b")]),
        ({"at_least": (1, "b"), "before": (3, "b")}, [key for key in SQUARE if (1, "b") <= key < (3, "b")]),
        ({"at_most": (2, "a")}, [key for key in SQUARE if key <= (2, "a")]),
        ({"after": (2, "b"), "at_most": 2}, [(2, "c")]),
        ({"after": 3}, []),
        ({"after": (3, "c"), "before": (1, "a")}, []),
    ],
)
def test_a_slice_takes_rows_between_bounds_in_any_clustering_order(
    db: SyncDatabase, p: int, bounds: Any, expected: list[Any]
) -> None:
    fill(db, p, *SQUARE)
    ordered = sorted(expected, key=lambda key: (-key[0], key[1]))
    assert keys(db, ROWS.slice(p, **bounds)) == ordered
    assert keys(db, ROWS.slice(p, **bounds).reversed()) == ordered[::-1]
    assert keys(db, ROWS.slice(p, limit=2, **bounds)) == ordered[:2]


def test_in_gives_rows_in_the_clustering_order_once(db: SyncDatabase, p: int) -> None:
    fill(db, p, *SQUARE)
    assert keys(db, ROWS.key.get_in((p, 2), ["c", "zz", "a", "c"])) == [(2, "a"), (2, "c")]
    assert keys(db, ROWS.key.get_in((p, 2), ["c", "a"]).reversed()) == [(2, "c"), (2, "a")]
    assert keys(db, ROWS.key.get_in((p, 2), [])) == []


def test_partitions_of_in_come_by_value_not_by_token(db: SyncDatabase, p: int) -> None:
    for place in range(5):
        db.run(FLAT.insert(p + place, "q", v=place))
        next(_NUMBERS)
    wanted = [p + 3, p - 1, p, p + 4, p + 3]
    query = cql.Found(FLAT.table, (Relation(("p",), "in"), Relation(("q",), "=")), (wanted, "q"))
    assert [row.v for row in db.run(query)] == [0, 3, 4]
    assert [row.v for row in db.run(query.limit(2))] == [0, 3]


def test_limits_count_rows_and_rows_of_a_partition(db: SyncDatabase, p: int) -> None:
    q = next(_NUMBERS)
    for each in (p, q):
        fill(db, each, *SQUARE)
    query = ROWS.key.slice_in((), [p, q])
    assert keys(db, query.per_partition(2)) == [(3, "a"), (3, "b")] * 2
    assert keys(db, query.per_partition(2).limit(3)) == [(3, "a"), (3, "b"), (3, "a")]
    assert db.run(query.count()) == 18


# --- static columns


def test_static_columns_are_of_the_partition(db: SyncDatabase, p: int) -> None:
    fill(db, p, (1, "a"), (2, "b"))
    db.run(ROWS.update_static(p).set(s=7))
    assert [row.s for row in db.run(ROWS.slice(p))] == [7, 7]
    db.run(ROWS.insert(p, 3, "c", s=8))
    assert {row.s for row in db.run(ROWS.slice(p))} == {8}
    db.run(ROWS.delete_slice(p, at_least=1))
    assert db.run(ROWS.slice(p).select(ROWS.p, ROWS.c, ROWS.s)) == [(p, None, 8)]
    assert db.run(ROWS.slice(p, at_least=1).select(ROWS.p, ROWS.c, ROWS.s)) == []
    assert db.run(ROWS.slice(p).count()) == 1
    db.run(ROWS.delete_partition(p))
    assert db.run(ROWS.slice(p).count()) == 0


# --- whole tables


def test_a_scan_goes_by_token_with_static_columns_and_partitions_once(db: SyncDatabase) -> None:
    partitions = random.sample(range(1 << 20), 12)
    for place, each in enumerate(partitions):
        if place % 3:
            db.run(SCANNED.insert(each, 2, v=place))
            db.run(SCANNED.insert(each, 1, v=place))
        if place % 4 == 0:
            db.run(SCANNED.update_static(each).set(s=place))
    listed = db.run(SCANNED.key.partitions())
    assert sorted(listed) == sorted(each for place, each in enumerate(partitions) if place % 3 or place % 4 == 0)
    rows = db.run(SCANNED.scan().select(SCANNED.p, SCANNED.c, SCANNED.s))
    expected: list[Any] = []
    for each in listed:
        place = partitions.index(each)
        static = place if place % 4 == 0 else None
        expected += [(each, 1, static), (each, 2, static)] if place % 3 else [(each, None, static)]
    assert rows == expected
    parts = [row for tokens in cql.token_ranges(7) for row in db.run(SCANNED.scan(tokens))]
    assert parts == db.run(SCANNED.scan())
    paged = SCANNED.scan().options(page_size=2).select(SCANNED.p, SCANNED.c, SCANNED.s)
    assert db.run(paged) == expected
    assert db.run(SCANNED.key.partitions().options(page_size=1)) == listed
    assert db.run(SCANNED.scan().count()) == len(expected)


# --- collections


def test_lists_grow_at_both_ends_and_change_by_index(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.update(p).set(l=[1, 2, 3]))
    db.run(PARTS.update(p).append(l=[4, 5]))
    db.run(PARTS.update(p).prepend(l=[8, 9]))
    assert db.run(PARTS.get(p).value(PARTS.l)) == [8, 9, 1, 2, 3, 4, 5]
    db.run(PARTS.update(p).put_at(l={1: 99, 0: cql.NULL}))
    assert db.run(PARTS.get(p).value(PARTS.l)) == [99, 1, 2, 3, 4, 5]
    db.run(PARTS.update(p).append(l=[1]))
    db.run(PARTS.update(p).discard(l=[1, 3, 77]))
    assert db.run(PARTS.get(p).value(PARTS.l)) == [99, 2, 4, 5]


def test_an_index_beyond_a_list_is_an_error_and_nothing_is_written(db: SyncDatabase, p: int) -> None:
    with pytest.raises(CqlError, match=r"empty|null"):
        db.run(PARTS.update(p).put_at(l={0: 1}).set(v=1))
    db.run(PARTS.update(p).append(l=[1]))
    with pytest.raises(CqlError, match=r"1 items|out of bound"):
        db.run(PARTS.update(p).put_at(l={1: 1}).set(v=1))
    assert db.run(PARTS.get(p)) == PARTS.row(p, l=[1])


def test_sets_and_maps_have_each_element_once_in_order(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.update(p).add(s={3, 1}).put(m={"b": 1, "a": 2}))
    db.run(PARTS.update(p).add(s={2, 3}).put(m={"b": 9, "c": 3}))
    db.run(PARTS.update(p).discard(s={1, 7}, m={"a"}))
    row = db.run(PARTS.get(p))
    assert row == PARTS.row(p, s={2, 3}, m={"b": 9, "c": 3})
    assert list(row.m) == ["b", "c"]
    db.run(PARTS.update(p).put(m={"b": cql.NULL, "aa": 0}))
    assert db.run(PARTS.get(p)).m == {"aa": 0, "c": 3}


def test_a_row_of_an_update_goes_with_its_last_element(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.update(p).add(s={1}))
    db.run(PARTS.update(p).discard(s={1}))
    assert db.run(PARTS.get(p)) is None


def test_each_element_has_a_timestamp_and_a_new_collection_deletes_what_was_before(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.update(p).set(s={5, 6}).timestamp(LONG_AGO))
    db.run(PARTS.update(p).add(s={7}).timestamp(LONG_AGO - 50))
    db.run(PARTS.update(p).add(s={9}).timestamp(LONG_AGO - 1))
    db.run(PARTS.update(p).add(s={8}).timestamp(LONG_AGO))
    assert db.run(PARTS.get(p)).s == {5, 6, 8}
    db.run(PARTS.update(p).set(s={1}).timestamp(LONG_AGO + 1))
    assert db.run(PARTS.get(p)).s == {1}


def test_two_new_collections_of_one_timestamp_are_one(db: SyncDatabase, p: int) -> None:
    db.run(cql.batch([PARTS.update(p).set(s={1, 2}, l=[1, 2]), PARTS.update(p).set(s={3}, l=[3])]))
    row = db.run(PARTS.get(p))
    assert (row.s, row.l) == ({1, 2, 3}, [1, 2, 3])


def test_fields_of_a_type_that_is_not_frozen_are_written_by_themselves(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.update(p).set(u=Address("x", 3)))
    db.run(PARTS.update(p).set_fields("u", {"zip": 4}))
    assert db.run(PARTS.get(p)).u == Address("x", 4)
    db.run(PARTS.update(p).set_fields("u", {"zip": cql.NULL, "street": cql.NULL}))
    assert db.run(PARTS.get(p)) is None


def test_a_frozen_collection_is_one_value(db: SyncDatabase, p: int) -> None:
    db.run(PARTS.insert(p, f=[]))
    assert db.run(PARTS.get(p)).f == []
    db.run(PARTS.update(p).set(f=[1]).timestamp(LONG_AGO))
    assert db.run(PARTS.get(p)).f == []


# --- counters


def counted(db: SyncDatabase, p: int) -> list[Any]:
    return db.run(TALLY.slice(p).select(TALLY.c, TALLY.n, TALLY.m, TALLY.all))


def add(p: int, c: int, **amounts: int) -> Any:
    return TALLY.key.increment((p, c), amounts)


def test_counters_begin_at_zero_and_add(db: SyncDatabase, p: int) -> None:
    db.run(add(p, 1, n=5))
    db.run(add(p, 1, n=-7, m=0))
    db.run(TALLY.key.increment_static((p,), {"all": 3}))
    assert counted(db, p) == [(1, -2, 0, 3)]
    db.run(cql.counter_batch([add(p, 1, n=1), add(p, 1, n=1), add(p, 2, n=1)]))
    assert counted(db, p) == [(1, 0, 0, 3), (2, 1, None, 3)]


def test_a_counter_goes_round_at_64_bits(db: SyncDatabase, p: int) -> None:
    for _ in range(2):
        db.run(add(p, 1, n=(1 << 63) - 1))
    assert counted(db, p) == [(1, -2, None, None)]


def test_deleted_counters_are_not_seen(db: SyncDatabase, p: int) -> None:
    db.run(add(p, 1, n=5))
    db.run(add(p, 2, n=5))
    db.run(TALLY.delete(p, 1))
    assert counted(db, p) == [(2, 5, None, None)]
    db.run(TALLY.delete_partition(p))
    assert counted(db, p) == []


# --- conditions


def test_an_insert_if_not_exists_tells_the_row_that_is_there(db: SyncDatabase, p: int) -> None:
    assert db.run(FLAT.insert(p, "q", v=1, w="w").if_not_exists()).applied
    told = db.run(FLAT.insert(p, "q", v=2).if_not_exists())
    assert not told.applied
    assert told.row == FLAT.row(p, "q", v=1, w="w")
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=1, w="w")


def test_writes_if_exists_make_no_row(db: SyncDatabase, p: int) -> None:
    told = db.run(FLAT.update(p, "q").set(v=1).if_exists())
    assert (told.applied, told.exists) == (False, False)
    assert not db.run(FLAT.delete(p, "q").if_exists()).applied
    db.run(FLAT.insert(p, "q"))
    assert db.run(FLAT.update(p, "q").set(v=1).if_exists()).applied
    assert db.run(FLAT.delete(p, "q").if_exists()).applied
    assert db.run(FLAT.get(p, "q")) is None


def test_a_condition_that_fails_tells_what_its_columns_hold(db: SyncDatabase, p: int) -> None:
    v, w = FLAT.v, FLAT.w
    db.run(FLAT.insert(p, "q", v=1))
    told = db.run(FLAT.update(p, "q").set(v=2).if_(w == "x", v == 1))
    assert not told.applied
    assert (told.value(v), told.value(w)) == (1, None)
    assert db.run(FLAT.update(p, "q").set(v=2).if_(w.is_null(), v.in_([1, 5]))).applied
    assert not db.run(FLAT.delete(p, "q").if_(v > 2)).applied
    assert not db.run(FLAT.delete(p, "q").if_(w < "x")).applied
    assert db.run(FLAT.delete(p, "q").if_(w != "x")).applied


def test_conditions_on_a_row_that_is_not_there(db: SyncDatabase, p: int) -> None:
    v = FLAT.v
    told = db.run(FLAT.update(p, "q").set(v=2).if_(v == 1))
    assert (told.applied, told.exists) == (False, False)
    assert db.run(FLAT.update(p, "q").set(v=2).if_(v.is_null())).applied
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=2)


def test_conditions_on_collections(db: SyncDatabase, p: int) -> None:
    update = PARTS.update(p).set(v=1)
    db.run(PARTS.update(p).set(l=[1, 2], s={1, 3}, m={"a": 1, "b": 2}, f=[1], u=Address("x", 1)))
    for condition, holds in [
        (PARTS.l == [1, 2], True),
        (PARTS.l != [1], True),
        (PARTS.l > [1], True),
        (PARTS.s == {1}, False),
        (PARTS.s.contains(3), True),
        (PARTS.m.contains_key("c"), False),
        (PARTS.m.contains(2), True),
        (PARTS.m.entry("a") == 1, True),
        (PARTS.m.entry("z") == 1, False),
        (PARTS.f == [1], True),
        (PARTS.u == Address("x", 2), False),
    ]:
        assert db.run(update.if_(condition)).applied == holds, condition


def test_conditions_on_static_columns(db: SyncDatabase, p: int) -> None:
    s, v = ROWS.s, ROWS.v
    db.run(ROWS.insert(p, 1, "a", v=1, s=5))
    told = db.run(ROWS.update(p, 2, "b").set(v=1).if_(s == 4))
    assert (told.applied, told.value(s)) == (False, 5)
    told = db.run(ROWS.update(p, 2, "b").set(v=1).if_(s == 5, v == 1))
    assert (told.applied, told.value(s), told.value(v)) == (False, 5, None)
    assert db.run(ROWS.update(p, 2, "b").set(v=1).if_(s == 5)).applied
    assert db.run(ROWS.update_static(p).set(s=7).if_exists()).applied
    assert [(row.v, row.s) for row in db.run(ROWS.slice(p))] == [(1, 7), (1, 7)]


def test_a_write_with_a_condition_is_of_the_server_s_time(db: SyncDatabase, p: int) -> None:
    far = 99_999_999_999_999_999
    db.run(FLAT.insert(p, "q", v=1, timestamp=far))
    assert db.run(FLAT.update(p, "q").set(v=2).if_(FLAT.v == 1)).applied
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=1)


# --- batches


def test_the_order_in_a_batch_means_nothing(db: SyncDatabase, p: int) -> None:
    db.run(cql.batch([FLAT.insert(p, "q", v=1), FLAT.delete(p, "q")]))
    assert db.run(FLAT.get(p, "q")) is None
    db.run(cql.batch([FLAT.insert(p, "q", v=1), FLAT.insert(p, "q", v=0), FLAT.insert(p, "r", v=3)]))
    assert db.run(FLAT.get(p, "q")) == FLAT.row(p, "q", v=1)


def test_writes_in_a_batch_have_its_timestamp_or_their_own(db: SyncDatabase, p: int) -> None:
    db.run(cql.batch([FLAT.insert(p, "q", v=1)], timestamp=LONG_AGO))
    db.run(cql.unlogged_batch([FLAT.insert(p, "q", w="w", timestamp=LONG_AGO + 1)]))
    assert db.run(FLAT.get(p, "q").select(FLAT.v.writetime(), FLAT.w.writetime())) == (LONG_AGO, LONG_AGO + 1)


def test_a_batch_with_conditions_is_done_wholly_or_not_at_all(db: SyncDatabase, p: int) -> None:
    fill(db, p, (1, "a"), (2, "b"))
    parts: list[Any] = [
        ROWS.update(p, 1, "a").set(w="new").if_(ROWS.v == 0),
        ROWS.insert(p, 3, "c", v=3).if_not_exists(),
        ROWS.update(p, 2, "b").set(w="new"),
    ]
    done: Any = db.run(cql.batch(parts))
    assert done.applied
    assert [(row.c, row.w) for row in db.run(ROWS.slice(p))] == [(3, None), (2, "new"), (1, "new")]
    done = db.run(cql.batch([*parts, ROWS.delete(p, 2, "b")]))
    assert not done.applied
    assert db.run(ROWS.slice(p).count()) == 3


# --- finding rows without their key


def found(db: SyncDatabase, query: Any, p: int) -> list[int]:
    """The clustering keys of what was found in this partition."""
    return [row.c for row in db.run(query) if row.p == p]


def fill_found(db: SyncDatabase, p: int) -> None:
    for c in range(6):
        db.run(FOUND.insert(p, c, v=c % 2, s={c, 10}, k={f"k{c}": c}, e={"x": c % 3}, n=c, x=c, vec=[1.0 + c, 1.0]))
    db.run(FOUND.insert(p, 9))
    db.run(FOUND.update_static(p).set(t=4))


def test_indexes_find_rows_in_the_order_of_the_table(db: SyncDatabase, p: int) -> None:
    fill_found(db, p)
    assert found(db, FOUND.by("v").equal(1), p) == [1, 3, 5]
    assert found(db, FOUND.by("s").containing(10), p) == [0, 1, 2, 3, 4, 5]
    assert found(db, FOUND.by("s").containing(4), p) == [4]
    assert found(db, FOUND.by("k").containing_key("k2"), p) == [2]
    assert found(db, FOUND.by("e").containing_entry("x", 2), p) == [2, 5]
    assert found(db, FOUND.by("n").between(3), p) == [3]
    assert found(db, FOUND.by("n").between(after=1, at_most=4), p) == [2, 3, 4]
    db.run(FOUND.update(p, 1).set(v=0))
    db.run(FOUND.update(p, 2).discard(s={10}))
    db.run(FOUND.delete(p, 5))
    assert found(db, FOUND.by("v").equal(1), p) == [3]
    assert found(db, FOUND.by("v").equal(0).options(page_size=1), p) == [0, 1, 2, 4]
    assert found(db, FOUND.by("s").containing(10), p) == [0, 1, 3, 4]


def test_filters_ask_every_row_and_null_meets_none(db: SyncDatabase, p: int) -> None:
    fill_found(db, p)
    rows = FOUND.slice(p)
    assert found(db, rows.allow_filtering(FOUND.x >= 4), p) == [4, 5]
    assert found(db, rows.allow_filtering(FOUND.x < 9), p) == [0, 1, 2, 3, 4, 5]
    assert found(db, rows.allow_filtering(FOUND.x.in_([1, 9])), p) == [1]
    assert found(db, rows.allow_filtering(FOUND.x > 1, FOUND.v == 0), p) == [2, 4]
    assert found(db, rows.allow_filtering(FOUND.s.contains(3)), p) == [3]
    assert found(db, rows.allow_filtering(FOUND.k.contains(2)), p) == [2]
    assert found(db, rows.allow_filtering(FOUND.t == 4, FOUND.x == 0), p) == [0]
    assert found(db, rows.allow_filtering(FOUND.x >= 0).limit(2), p) == [0, 1]
    assert found(db, FOUND.scan().allow_filtering(FOUND.x == 3, FOUND.c > 1), p) == [3]


def told(db: SyncDatabase, query: Any, expected: list[Any]) -> None:
    """A view of Cassandra's comes to this; writes do not wait for it."""
    deadline = time.monotonic() + 10
    while (rows := db.run(query)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert rows == expected


def test_a_view_follows_the_column_of_its_key(db: SyncDatabase, p: int) -> None:
    v = 1_000_000 + p
    db.run(BASE.insert(p, 1, v=v, w="a"))
    db.run(BASE.insert(p, 2, v=v, w="b", timestamp=LONG_AGO))
    db.run(BASE.insert(p, 3, w="c"))
    told(db, BY_VALUE.slice(v), [BY_VALUE.row(v, p, 1, w="a"), BY_VALUE.row(v, p, 2, w="b")])
    db.run(BASE.update(p, 1).set(v=-v))
    db.run(BASE.update(p, 2).set(w=cql.NULL))
    told(db, BY_VALUE.slice(v), [BY_VALUE.row(v, p, 2)])
    told(db, BY_VALUE.slice(-v), [BY_VALUE.row(-v, p, 1, w="a")])
    db.run(BASE.update(p, 2).set(v=v + 1).timestamp(LONG_AGO - 1))
    db.run(BASE.update(p, 1).set(v=cql.NULL))
    told(db, BY_VALUE.slice(-v), [])
    told(db, BY_VALUE.slice(v), [BY_VALUE.row(v, p, 2)])
    db.run(BASE.delete_partition(p))
    told(db, BY_VALUE.slice(v), [])


def test_a_view_row_lives_by_columns_that_the_view_leaves_out(db: SyncDatabase, p: int) -> None:
    db.run(BASE.update(p, 1).set(x=1))
    db.run(BASE.update(p, 2).set(v=2))
    told(db, TURNED.slice(p), [TURNED.row(p, 2, v=2), TURNED.row(p, 1)])
    db.run(BASE.update(p, 1).set(x=cql.NULL))
    told(db, TURNED.slice(p), [TURNED.row(p, 2, v=2)])
    db.run(BASE.delete_slice(p, at_least=0))
    told(db, TURNED.slice(p), [])


def test_a_view_has_the_rows_that_meet_its_filters(db: SyncDatabase, p: int) -> None:
    for c in range(4):
        db.run(BASE.insert(p, c, v=8 + c, w="w"))
    told(db, LATE.slice(p), [LATE.row(p, 8 + c, c, w="w") for c in (2, 3)])
    db.run(BASE.update(p, 0).set(v=99))
    db.run(BASE.update(p, 2).set(v=99))
    told(db, LATE.slice(p), [LATE.row(p, 11, 3, w="w"), LATE.row(p, 99, 2, w="w")])


def test_vectors_are_found_by_cosine(db: SyncDatabase, p: int) -> None:
    fill_found(db, p)
    rows = db.run(nearest(FOUND, "vec", [1.0, 1.0], 1_000))
    assert [row.c for row in rows if row.p == p] == [0, 1, 2, 3, 4, 5]


# --- pages


def test_a_page_goes_on_behind_its_last_row_whatever_was_written_between(db: SyncDatabase, p: int) -> None:
    for c in range(10):
        db.run(SCANNED.insert(p, c * 10))
    first = db.page(SCANNED.slice(p), size=4)
    assert [row.c for row in first.rows] == [0, 10, 20, 30]
    for c in (0, 30, 40):
        db.run(SCANNED.delete(p, c))
    for c in (5, 35, 45):
        db.run(SCANNED.insert(p, c))
    second = db.page(SCANNED.slice(p), size=4, state=first.state)
    assert [row.c for row in second.rows] == [35, 45, 50, 60]
    third = db.page(SCANNED.slice(p), size=40, state=second.state)
    assert [row.c for row in third.rows] == [70, 80, 90]
    assert third.state is None


def test_limits_and_directions_hold_across_pages(db: SyncDatabase, p: int) -> None:
    fill(db, p, *SQUARE)
    ordered = sorted(SQUARE, key=lambda key: (-key[0], key[1]))
    for size in (1, 2, 3, 8, 9, 10):
        paged = ROWS.slice(p).options(page_size=size)
        assert keys(db, paged) == ordered
        assert keys(db, paged.reversed()) == ordered[::-1]
        assert keys(db, ROWS.slice(p, limit=5).options(page_size=size)) == ordered[:5]
        assert keys(db, ROWS.slice(p, after=(1, "a")).reversed().options(page_size=size)) == [
            key for key in ordered[::-1] if key > (1, "a")
        ]


def test_a_state_of_another_query_or_a_broken_one_is_refused(db: SyncDatabase, p: int) -> None:
    fill(db, p, *SQUARE)
    state = db.page(ROWS.slice(p), size=2).state
    assert state is not None
    other = next(_NUMBERS)
    broken = bytes([state[0] ^ 1]) + state[1:]
    for query, given in [
        (ROWS.slice(other), state),
        (ROWS.slice(p, 2), state),
        (ROWS.slice(p).reversed(), state),
        (ROWS.slice(p), broken),
        (ROWS.slice(p), b""),
        (ROWS.slice(p), b"anything"),
    ]:
        with pytest.raises(InvalidState):
            db.page(query, size=2, state=given)


def test_pages_of_partitions_by_in(db: SyncDatabase, p: int) -> None:
    numbers = [p, *(next(_NUMBERS) for _ in range(3))]
    for each in numbers[1:]:
        fill(db, each, *SQUARE)
    db.run(ROWS.update_static(p).set(s=1))
    terms = ROWS.key.slice_in((), numbers).select(ROWS.p, ROWS.c, ROWS.s)
    whole = db.run(terms)
    assert len(whole) == 28
    for size in (1, 4, 9, 27, 28):
        assert db.run(terms.options(page_size=size)) == whole


def test_static_columns_alone_are_told_for_each_row_of_a_range(db: SyncDatabase, p: int) -> None:
    db.run(ROWS.insert(p, 1, "a", v=1, s=5))
    db.run(ROWS.insert(p, 1, "b", v=2))
    db.run(ROWS.insert(p, 2, "c", v=3))
    assert db.run(ROWS.slice(p, 1).select(ROWS.p, ROWS.s)) == [(p, 5), (p, 5)]


def test_static_columns_alone_are_not_told_of_a_range_of_rows(db: SyncDatabase, p: int) -> None:
    where = (Relation(("p",), "="), Relation(("c",), "="))
    with pytest.raises(CqlError, match="static columns"):
        db.engine.execute_now(Bound(Select(ROWS.table, (ROWS.p.term, ROWS.s.term), where), (p, 1)))


def test_an_empty_in_finds_nothing(db: SyncDatabase) -> None:
    table = FLAT.table
    statement = Select(table, table.terms, (Relation(("p",), "in"), Relation(("q",), "=")))
    assert list(db.engine.execute_now(Bound(statement, ([], "q"), Options())).rows) == []
