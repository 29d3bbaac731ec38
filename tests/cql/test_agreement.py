"""What Cassandra and the embedded store must do alike, one rule a test: what random calls found, and what they can't
draw, since it takes time or many rows.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import cql
from runtime.cql.database import SyncDatabase, connect_sync
from runtime.cql.errors import CqlError, InvalidValue
from tests.cql.called_keyspaces import Compiled, compiled
from tests.cql.drawn_calls import Call
from tests.cql.two_stores import Both, Raised

pytestmark = pytest.mark.cassandra

KEYSPACE = """
CREATE TYPE place (name text, zip int);

CREATE TABLE edge (
  id int, up int, down bigint, value text,
  PRIMARY KEY (id, up, down)
) WITH CLUSTERING ORDER BY (up ASC, down DESC);

CREATE TABLE measure (
  at frozen<map<float, text>>, exact float, value text,
  PRIMARY KEY ((at, exact))
);

CREATE TABLE item (
  room text, id int,
  topic text static, label text, wait duration, tags set<text>, notes list<text>, place place,
  PRIMARY KEY (room, id)
);
CREATE INDEX item_label ON item (label);

CREATE TABLE reading (id int PRIMARY KEY, heat float, heats list<float>, place text);
CREATE INDEX reading_heat ON reading (heat);
CREATE MATERIALIZED VIEW reading_by_place AS
  SELECT place, id FROM reading WHERE place IS NOT NULL AND id IS NOT NULL PRIMARY KEY (place, id);

CREATE TABLE stock (shelf int, box int, id int, owner text static, PRIMARY KEY ((shelf, box), id));
CREATE INDEX stock_shelf ON stock (shelf);
CREATE CUSTOM INDEX stock_box ON stock (box) USING 'sai';

CREATE TABLE single (id int PRIMARY KEY, label text, amounts map<text, int>);

CREATE TABLE many (shard int, id int, value text, PRIMARY KEY (shard, id));
"""


@pytest.fixture(scope="module")
def keyspace(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(KEYSPACE, "agreement", tmp_path_factory.mktemp("agreement"))


@pytest.fixture(scope="module")
def both(cassandra_url: str, keyspace: Compiled) -> Iterator[Both]:
    made = Both(cassandra_url, keyspace)
    yield made
    made.close()


def results(both: Both, keyspace: Compiled, *calls: str) -> list[Any]:
    """What both stores give, call by call, where the tables were empty before."""
    return both.play(keyspace.tables[:-1], [Call(call) for call in calls], synchronous=True)[: len(calls)]


def refused(both: Both, keyspace: Compiled, call: str) -> type[Exception]:
    (result,) = results(both, keyspace, call)
    assert isinstance(result, Raised)
    return result.kind


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("EdgeDao.slice(id=1, after=2147483647)", 0),
        ("EdgeDao.slice(id=1, at_least=2147483647)", 2),
        ("EdgeDao.slice(id=1, up=2147483647)", 2),
        ("EdgeDao.slice(id=1, up=2147483647, before=-9223372036854775807)", 1),
        ("EdgeDao.slice(id=1, up=2147483647, at_most=-9223372036854775808)", 1),
        ("EdgeDao.slice(id=1, at_least=(2147483647, -9223372036854775808))", 2),
        ("EdgeDao.slice(id=1, after=(2147483647, -9223372036854775808)).reversed()", 1),
        ("EdgeDao.slice(id=1, before=(2147483647, 0)).reversed()", 2),
    ],
)
def test_slices_end_at_the_greatest_values(both: Both, keyspace: Compiled, call: str, found: int) -> None:
    """Their codes have no bit that is zero, so that no key of that length is behind them."""
    rows = ["2147483647, down=0", "2147483647, down=-9223372036854775808", "0, down=0"]
    *_, last = results(both, keyspace, *(f"EdgeDao.insert(Edge(id=1, up={row}))" for row in rows), call)
    assert len(last) == found


def test_ranges_are_deleted_up_to_the_greatest_values(both: Both, keyspace: Compiled) -> None:
    *_, left = results(
        both,
        keyspace,
        "EdgeDao.insert(Edge(id=1, up=2147483647, down=-9223372036854775808))",
        "EdgeDao.insert(Edge(id=1, up=1, down=1))",
        "EdgeDao.delete_slice(id=1, up=2147483647)",
        "EdgeDao.scan().values(EdgeDao.up)",
    )
    assert left == [1]


def test_a_partition_key_is_told_as_it_is_stored(both: Both, keyspace: Compiled) -> None:
    """0.1 has more bits than a float of CQL, and maps have the order of their keys."""
    key = "at={2.5: 'b', 0.1: 'a'}, exact=0.1".replace("{", "FrozenMap({").replace("}", "})")
    _, row, last = results(
        both,
        keyspace,
        f"MeasureDao.insert(Measure({key}))",
        f"MeasureDao.get({key})",
        f"MeasureDao.insert(Measure({key}), if_not_exists=True)",
    )
    assert row.exact != 0.1
    assert list(row.at.values()) == ["a", "b"]
    assert last.row == row


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("ReadingDao.by_heat(0.1).values(ReadingDao.id)", [1]),
        ("ReadingDao.scan().allow_filtering(ReadingDao.heat == 0.1).values(ReadingDao.id)", [1]),
        ("ReadingDao.scan().allow_filtering(ReadingDao.heat > 0.1).values(ReadingDao.id)", []),
        ("ReadingDao.scan().allow_filtering(ReadingDao.heats.contains(0.1)).values(ReadingDao.id)", [1]),
    ],
)
def test_floats_are_compared_as_they_are_stored(both: Both, keyspace: Compiled, call: str, found: list[int]) -> None:
    insert = "ReadingDao.insert(Reading(id=1, heat=0.1, heats=[0.1]))"
    assert results(both, keyspace, insert, call)[1] == found


def test_an_empty_key_of_a_view_is_before_all_tokens(both: Both, keyspace: Compiled) -> None:
    *_, rows, whole, first, last = results(
        both,
        keyspace,
        "ReadingDao.insert_many([Reading(id=1, place='a'), Reading(id=2, place='')])",
        "ReadingByPlaceDao.scan().values(ReadingByPlaceDao.id)",
        "ReadingByPlaceDao.scan(TokenRange()).values(ReadingByPlaceDao.id)",
        "ReadingByPlaceDao.scan(TokenRange(high=-9223372036854775807)).values(ReadingByPlaceDao.id)",
        "ReadingByPlaceDao.scan(TokenRange(-9223372036854775807)).values(ReadingByPlaceDao.id)",
    )
    assert (rows, whole, first, last) == ([2, 1], [2, 1], [2], [1])


@pytest.mark.parametrize("index", ["shelf", "box"])
def test_an_index_of_the_partition_key_finds_static_columns_alone(both: Both, keyspace: Compiled, index: str) -> None:
    """But only where the partition has no rows."""
    _, alone, _, beside, _, gone = results(
        both,
        keyspace,
        "StockDao.update_static(shelf=1, box=2).set(owner='x')",
        f"StockDao.by_{index}({index}={'1' if index == 'shelf' else '2'}).select(StockDao.id, StockDao.owner)",
        "StockDao.insert(Stock(shelf=1, box=2, id=3))",
        f"StockDao.by_{index}({index}={'1' if index == 'shelf' else '2'}).select(StockDao.id, StockDao.owner)",
        "StockDao.delete_partition(shelf=1, box=2)",
        f"StockDao.by_{index}({index}={'1' if index == 'shelf' else '2'}).select(StockDao.id, StockDao.owner)",
    )
    assert (alone, beside, gone) == ([(None, "x")], [(3, "x")], [])


def test_no_collection_is_an_empty_one_to_a_condition(both: Both, keyspace: Compiled) -> None:
    update = "ItemDao.update(room='a', id=1).set(label='b')"
    one_of, equal = results(
        both, keyspace, f"{update}.if_(ItemDao.tags.in_([set()]))", f"{update}.if_(ItemDao.notes == [])"
    )
    assert one_of.applied
    assert equal.applied


def test_a_batch_may_delete_a_row_and_write_it_again(both: Both, keyspace: Compiled) -> None:
    """Without clustering columns it is the partition that is deleted, and what the same batch writes stays."""
    *_, row = results(
        both,
        keyspace,
        "SingleDao.insert(Single(id=1, label='a', amounts={'x': 1}))",
        "batch([SingleDao.delete(id=1).if_exists(), SingleDao.update(id=1).set(label='b')])",
        "SingleDao.get(id=1)",
    )
    assert (row.label, row.amounts) == ("b", {})


def test_the_parts_of_a_batch_see_none_of_each_other(both: Both, keyspace: Compiled) -> None:
    """What is discarded from a list, or put at a place of it, is looked for among what was there before."""
    *_, refused, row = results(
        both,
        keyspace,
        "ItemDao.insert(Item(room='a', id=1, notes=['x', 'y']))",
        "batch([ItemDao.update(room='a', id=1).append(notes=['x']),"
        " ItemDao.update(room='a', id=1).discard(notes=['x'])])",
        "batch([ItemDao.update(room='a', id=2).set(notes=['z']),"
        " ItemDao.update(room='a', id=2).put_at(notes={0: 'w'})])",
        "ItemDao.get(room='a', id=1)",
    )
    assert isinstance(refused, Raised)
    assert row.notes == ["y", "x"]


def test_static_columns_are_read_by_the_key_of_a_row(both: Both, keyspace: Compiled) -> None:
    """Cassandra wants a column of rows wherever a row is asked for."""
    *_, there, absent, times = results(
        both,
        keyspace,
        "ItemDao.insert(Item(room='a', id=1, topic='x'), timestamp=7)",
        "ItemDao.get(room='a', id=1).value(ItemDao.topic)",
        "ItemDao.get(room='a', id=2).value(ItemDao.topic)",
        "ItemDao.slice(room='a', at_least=1).select(ItemDao.room, ItemDao.topic.writetime())",
    )
    assert (there, absent, times) == ("x", None, [("a", 7)])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("ItemDao.update(room='a', id=1).put_at(notes={0: 'x'})", InvalidValue),
        ("ItemDao.update(room='a', id=1).set(label='x').if_(ItemDao.tags > set())", InvalidValue),
        ("batch([SingleDao.delete(id=1).if_exists(), SingleDao.insert(Single(id=1), if_not_exists=True)])", CqlError),
    ],
)
def test_what_can_not_be_asked_is_the_same_error(
    both: Both, keyspace: Compiled, call: str, error: type[Exception]
) -> None:
    assert refused(both, keyspace, call) is error


@pytest.mark.parametrize(
    "call",
    [
        "ItemDao.update(room='a', id=1).set(topic='x')",
        "ItemDao.update_static(room='a').set(topic='x').if_(ItemDao.label == 'y')",
        "ItemDao.delete(room='a', id=1).if_(ItemDao.wait < Duration())",
        "ItemDao.slice_in(room=['a']).allow_filtering(ItemDao.label == 'x')",
        "ItemDao.by_label('x').allow_filtering(ItemDao.room.in_(['a']))",
        "EdgeDao.slice(id=1, before=(1, 2)).allow_filtering(EdgeDao.down > 1)",
    ],
)
def test_what_cassandra_refuses_is_refused_before_it_is_asked(keyspace: Compiled, call: str) -> None:
    with pytest.raises(TypeError):
        eval(call, dict(keyspace.names))  # noqa: S307 - the text stands above


def test_what_has_a_ttl_ends_alike(both: Both, keyspace: Compiled) -> None:
    """A row whose insert ends lives on by a column that was written for ever, and goes where there is none."""

    def awaited(result: list[Any]) -> bool:
        return result == [(1, None, "kept")]

    query = "ItemDao.scan().select(ItemDao.id, ItemDao.label, ItemDao.topic)"
    writes = [
        "ItemDao.insert(Item(room='a', id=1, label='x'), ttl=4)",
        "ItemDao.update(room='a', id=1).add(tags={'for ever'})",
        "ItemDao.update_static(room='a').set(topic='kept')",
        "ItemDao.insert(Item(room='a', id=2, label='y'), ttl=4)",
        "ItemDao.update(room='a', id=3).set(label='z').ttl(5)",
    ]
    before, after = both.awaiting(keyspace.tables[:-1], writes, query, awaited)
    assert len(before) == 3
    assert awaited(after)


def test_a_partition_of_many_rows_comes_page_by_page(
    cassandra_url: str, keyspace: Compiled, both: Both, tmp_path: Path
) -> None:
    """100,000 rows, alike on both, of which no more than a few pages are in memory."""
    dao = keyspace.names["ManyDao"]
    with connect_sync(cassandra_url) as cassandra, connect_sync(f"embedded:{tmp_path / 'many.db'}") as embedded:
        for db in (cassandra, embedded):
            fill(db, dao, keyspace.names["Many"])
        streams = [db.stream(dao.scan(), page_size=1_000) for db in (cassandra, embedded)]
        tracemalloc.start()
        try:
            count = 0
            for one, other in zip(*streams, strict=True):
                assert one == other
                count += 1
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == 100_000
        assert most < 8_000_000
        for db in (cassandra, embedded):
            page = db.page(dao.slice(shard=3).reversed(), size=7_000)
            again = db.page(dao.slice(shard=3).reversed(), size=7_000, state=page.state)
            assert [row.id for row in (*page.rows, *again.rows)] == list(range(9_999, -1, -1))
            assert again.state is None


def fill(db: SyncDatabase, dao: Any, row: Any) -> None:
    for shard in range(10):
        for first in range(0, 10_000, 500):
            rows = [row(shard=shard, id=id, value="x" * 20) for id in range(first, first + 500)]
            db.run(cql.unlogged_batch([dao.insert(each) for each in rows]))
