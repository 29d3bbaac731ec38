"""Tokens of partitions, ranges of them, and the clock of writes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from cassandra.cluster import Cluster
from cassandra.murmur3 import _murmur3
from cassandra.query import SimpleStatement
from hypothesis import given
from hypothesis import strategies as st

from runtime import cql
from runtime.cql import types
from runtime.cql.clock import Clock
from runtime.cql.tokens import GREATEST_TOKEN, LEAST_TOKEN, murmur3_in_python, partition_key_bytes, token


@given(st.binary(min_size=1, max_size=80))
def test_the_token_of_a_key_is_the_drivers(key: bytes) -> None:
    assert token(key) == _murmur3(key) == murmur3_in_python(key)


def test_the_empty_key_of_a_view_has_the_least_token() -> None:
    assert token(b"") == LEAST_TOKEN


@pytest.mark.parametrize("length", range(1, 34))
def test_bytes_above_127_at_the_end_have_a_sign(length: int) -> None:
    key = b"\xff" * length
    assert murmur3_in_python(key) == _murmur3(key)


def test_only_an_empty_key_has_the_least_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token(b"") == LEAST_TOKEN
    monkeypatch.setattr("runtime.cql.tokens._found", [lambda key: LEAST_TOKEN])
    assert token(b"x") == GREATEST_TOKEN


def test_one_column_is_the_key_and_more_are_framed() -> None:
    assert partition_key_bytes([b"ab"]) == b"ab"
    assert partition_key_bytes([b"ab", b""]) == b"\0\2ab\0\0\0\0"


@given(st.integers(1, 1_000))
def test_ranges_hold_the_whole_ring_once(count: int) -> None:
    ranges = cql.token_ranges(count)
    assert len(ranges) == count
    assert (ranges[0].low, ranges[-1].high) == (LEAST_TOKEN, GREATEST_TOKEN)
    assert all(one.high == other.low for one, other in pairwise(ranges))
    sizes = [each.high - each.low for each in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="into 0 ranges"):
        cql.token_ranges(0)
    with pytest.raises(ValueError, match="goes upwards"):
        cql.TokenRange(5, 4)
    with pytest.raises(ValueError, match="within 64 bits"):
        cql.TokenRange(0, 1 << 63)


@pytest.fixture
def session(cassandra_address: str) -> Iterator[Any]:
    host, _, port = cassandra_address.rpartition(":")
    cluster = Cluster([host], port=int(port), protocol_version=5)
    keyspace = f"tokens_{secrets.token_hex(4)}"
    try:
        session = cluster.connect()
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}")
        session.set_keyspace(keyspace)
        yield session
        session.execute(f"DROP KEYSPACE {keyspace}")
    finally:
        cluster.shutdown()


@pytest.mark.cassandra
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the driver
def test_tokens_are_those_of_cassandra(session: Any) -> None:
    session.execute("CREATE TABLE one (key blob PRIMARY KEY)")
    session.execute("CREATE TABLE two (a text, b frozen<set<int>>, PRIMARY KEY ((a, b)))")
    keys = [bytes([fill]) * length for fill in (0, 1, 127, 128, 255) for length in range(1, 40)]
    insert = session.prepare("INSERT INTO one (key) VALUES (?)")
    for key in keys:
        session.execute(insert, (key,))
    rows = list(session.execute(SimpleStatement("SELECT key, token(key) FROM one", fetch_size=1_000)))
    assert len(rows) == len(keys)
    assert {key: token(key) for key in keys} == dict(rows)
    text, numbers = types.Text(), types.Set(types.Int(), frozen=True)
    insert = session.prepare("INSERT INTO two (a, b) VALUES (?, ?)")
    pairs = [("", {1}), ("é" * 9, {-1, 5, 300}), ("x", set[int]())]
    for pair in pairs:
        session.execute(insert, pair)
    rows = {(a, frozenset(b)): found for a, b, found in session.execute("SELECT a, b, token(a, b) FROM two")}
    assert rows == {
        (a, frozenset(b)): token(partition_key_bytes([text.encode(a), numbers.encode(b)])) for a, b in pairs
    }


def test_a_clock_that_steps_back_or_stands_still_gives_growing_timestamps() -> None:
    times = iter([5_000_000, 5_000_500, 9_000_000, 1_000, 9_002_000, 20_000_000])
    clock = Clock(lambda: next(times))
    assert [clock.next() for _ in range(6)] == [5_000, 5_001, 9_000, 9_001, 9_002, 20_000]


def test_no_two_threads_get_one_timestamp() -> None:
    clock = Clock(lambda: 7_000)
    given: list[int] = []

    def take() -> None:
        given.extend([clock.next() for _ in range(500)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(7, 2_007))
