"""The CQL text of every kind of shape, and that Cassandra prepares each."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import cql
from runtime.cql import types
from runtime.cql.database import SyncDatabase, connect_sync
from runtime.cql.statements import Bound, Delete, Insert, Relation, Select, Statement, Term
from runtime.cql.text import text
from tests.cql.sample_tables import Message, MessageDao, Place, TallyDao, VisitDao
from tests.cql.stores import create_samples

ROW: dict[str, Any] = {"room_key": "a", "bucket": 1, "message_id": 2}
DAY = datetime.date(2026, 1, 2)
PLACE = Place("x", 1)
KEY = '"room_key" = ? AND "bucket" = ? AND "message_id" = ?'
WHOLE = (
    'SELECT "room_key", "bucket", "message_id", "topic", "text", "likes", "tags", "readers", "attrs", "origin",'
    ' "place", "sent_at", "embedding" FROM "sun_msg"."message"'
)
COLUMNS = (
    '("room_key", "bucket", "message_id", "topic", "text", "likes", "tags", "readers", "attrs", "origin", "place",'
    ' "sent_at", "embedding") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
)
VISITS = 'SELECT "user_id", "day", "hour", "page", "seconds" FROM "sun_msg"."visit" WHERE "user_id" = ?'
COUNT = 'SELECT count(*) FROM "sun_msg"."message"'
UPDATE = 'UPDATE "sun_msg"."message"'
DELETE = 'DELETE FROM "sun_msg"."message"'

MESSAGES = MessageDao.slice(room_key="a", bucket=1)
CHANGE = MessageDao.update(**ROW)

NO_TEXT = MessageDao.text.is_null()

CASES: list[tuple[cql.Query[Any], str]] = [
    (MessageDao.get(**ROW), f"{WHOLE} WHERE {KEY}"),
    (MessageDao.scan(), WHOLE),
    (
        MessageDao.scan(cql.token_ranges(4)[1]),
        f'{WHOLE} WHERE token("room_key", "bucket") > ? AND token("room_key", "bucket") <= ?',
    ),
    (
        MESSAGES.limit(5).reversed(),
        f'{WHOLE} WHERE "room_key" = ? AND "bucket" = ? ORDER BY "message_id" ASC LIMIT ?',
    ),
    (
        MessageDao.get_in(room_key="a", bucket=1, message_id=[1, 2]),
        f'{WHOLE} WHERE "room_key" = ? AND "bucket" = ? AND "message_id" IN ?',
    ),
    (
        MessageDao.slice_in(room_key="a", bucket=[1, 2]).per_partition(2).limit(3),
        f'{WHOLE} WHERE "room_key" = ? AND "bucket" IN ? PER PARTITION LIMIT ? LIMIT ?',
    ),
    (MessageDao.partitions(), 'SELECT DISTINCT "room_key", "bucket" FROM "sun_msg"."message"'),
    (MESSAGES.count(), f'{COUNT} WHERE "room_key" = ? AND "bucket" = ?'),
    (
        MESSAGES.select(MessageDao.text, MessageDao.text.writetime(), MessageDao.text.ttl()),
        'SELECT "text", writetime("text"), ttl("text") FROM "sun_msg"."message" WHERE "room_key" = ? AND "bucket" = ?',
    ),
    (MessageDao.by_readers(1), f'{WHOLE} WHERE "readers" CONTAINS ?'),
    (MessageDao.by_attrs_keys("k"), f'{WHOLE} WHERE "attrs" CONTAINS KEY ?'),
    (MessageDao.by_attrs_entries("k", "v"), f'{WHOLE} WHERE "attrs"[?] = ?'),
    (MessageDao.nearest_embedding([1.0, 2.0, 3.0], 4), f'{WHOLE} ORDER BY "embedding" ANN OF ? LIMIT ?'),
    (
        MESSAGES.allow_filtering(MessageDao.sent_at > datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        f'{WHOLE} WHERE "room_key" = ? AND "bucket" = ? AND "sent_at" > ? ALLOW FILTERING',
    ),
    (
        VisitDao.slice(user_id=1, after=DAY).reversed(),
        f'{VISITS} AND "day" > ? ORDER BY "day" ASC, "hour" DESC, "page" ASC',
    ),
    (
        VisitDao.slice(user_id=1, at_least=(DAY, 2), before=(DAY, 5)),
        f'{VISITS} AND ("day", "hour") >= (?, ?) AND ("day", "hour") < (?, ?)',
    ),
    (MessageDao.insert(Message(**ROW)), f'INSERT INTO "sun_msg"."message" {COLUMNS}'),
    (
        MessageDao.insert(Message(**ROW), ttl=5, timestamp=6),
        f'INSERT INTO "sun_msg"."message" {COLUMNS} USING TTL ? AND TIMESTAMP ?',
    ),
    (
        MessageDao.insert(Message(**ROW), ttl=5).if_not_exists(),
        f'INSERT INTO "sun_msg"."message" {COLUMNS} IF NOT EXISTS USING TTL ?',
    ),
    (
        CHANGE.set(text="x", likes=cql.NULL).ttl(5).timestamp(6),
        f'{UPDATE} USING TTL ? AND TIMESTAMP ? SET "text" = ?, "likes" = ? WHERE {KEY}',
    ),
    (CHANGE.append(tags=["a"]), f'{UPDATE} SET "tags" = "tags" + ? WHERE {KEY}'),
    (CHANGE.prepend(tags=["a"]), f'{UPDATE} SET "tags" = ? + "tags" WHERE {KEY}'),
    (CHANGE.put_at(tags={0: "a"}), f'{UPDATE} SET "tags"[?] = ? WHERE {KEY}'),
    (
        CHANGE.discard(tags=["a"], readers={1}),
        f'{UPDATE} SET "tags" = "tags" - ?, "readers" = "readers" - ? WHERE {KEY}',
    ),
    (CHANGE.discard(attrs={"k"}), f'{UPDATE} SET "attrs" = "attrs" - ? WHERE {KEY}'),
    (CHANGE.add(readers={1}), f'{UPDATE} SET "readers" = "readers" + ? WHERE {KEY}'),
    (CHANGE.put(attrs={"k": "v"}), f'{UPDATE} SET "attrs" = "attrs" + ? WHERE {KEY}'),
    (CHANGE.set_place(name="x", zip=cql.NULL), f'{UPDATE} SET "place"."name" = ?, "place"."zip" = ? WHERE {KEY}'),
    (CHANGE.set(text="x").if_exists(), f'{UPDATE} SET "text" = ? WHERE {KEY} IF EXISTS'),
    (
        CHANGE.set(text="x").if_(NO_TEXT, MessageDao.likes.in_([1]), MessageDao.attrs.entry("k") == "v"),
        f'{UPDATE} SET "text" = ? WHERE {KEY} IF "text" = ? AND "likes" IN ? AND "attrs"[?] = ?',
    ),
    (
        MessageDao.update_static(room_key="a", bucket=1).set(topic="x"),
        f'{UPDATE} SET "topic" = ? WHERE "room_key" = ? AND "bucket" = ?',
    ),
    (MessageDao.delete(**ROW).timestamp(5), f"{DELETE} USING TIMESTAMP ? WHERE {KEY}"),
    (MessageDao.delete(**ROW).if_(MessageDao.origin == PLACE), f'{DELETE} WHERE {KEY} IF "origin" = ?'),
    (MessageDao.delete(**ROW).if_exists(), f"{DELETE} WHERE {KEY} IF EXISTS"),
    (MessageDao.delete_partition(room_key="a", bucket=1), f'{DELETE} WHERE "room_key" = ? AND "bucket" = ?'),
    (
        MessageDao.delete_slice(room_key="a", bucket=1, before=5),
        f'{DELETE} WHERE "room_key" = ? AND "bucket" = ? AND "message_id" < ?',
    ),
    (
        TallyDao.increment(name="a", slot=1, hits=2, misses=-1),
        'UPDATE "sun_msg"."tally" SET "hits" = "hits" + ?, "misses" = "misses" + ? WHERE "name" = ? AND "slot" = ?',
    ),
]


def shape(query: cql.Query[Any]) -> Statement:
    request = query.resolve().request
    assert isinstance(request, Bound)
    return request.statement


@pytest.mark.parametrize(("query", "expected"), CASES)
def test_texts(query: cql.Query[Any], expected: str) -> None:
    assert text(shape(query)) == expected


def test_a_prefix_comes_before_the_keyspace() -> None:
    assert (
        text(shape(VisitDao.delete_partition(user_id=1)), "t1_")
        == 'DELETE FROM "t1_sun_msg"."visit" WHERE "user_id" = ?'
    )


def test_names_are_quoted() -> None:
    class Odd(cql.Row, frozen=True):
        key: int

    column = cql.KeyColumn[Odd, int]('A "b', types.Int(), "partition")
    table = cql.Table("Select", 'x"y', Odd, [column], partition_key=[column])
    where = (Relation((column.name,), "="),)
    assert text(Select(table, (Term("count"),), where)) == 'SELECT count(*) FROM "Select"."x""y" WHERE "A ""b" = ?'
    assert text(Insert(table, (column.name,))) == 'INSERT INTO "Select"."x""y" ("A ""b") VALUES (?)'
    assert text(Delete(table, where)) == 'DELETE FROM "Select"."x""y" WHERE "A ""b" = ?'


@pytest.fixture(scope="module")
def samples(cassandra_url: str) -> Iterator[SyncDatabase]:
    with connect_sync(cassandra_url) as db:
        create_samples(db, cassandra_url)
        yield db


@pytest.mark.cassandra
@pytest.mark.parametrize(("query", "expected"), CASES)
def test_cassandra_takes_every_text(samples: SyncDatabase, query: cql.Query[Any], expected: str) -> None:
    samples.run(query)
