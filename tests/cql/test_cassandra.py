"""Queries on Apache Cassandra: what was written is read, in pages and streams, from event loops and threads."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import ipaddress
import logging
import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from runtime import cql
from runtime.cql import types
from runtime.cql.database import Database, SyncDatabase, connect, connect_sync
from runtime.cql.errors import (
    CqlError,
    InvalidState,
    InvalidValue,
    MissingTable,
    UnreadableValue,
    UnsafeStatement,
)
from runtime.cql.statements import UNSET, Bound, Insert, Outcome, Relation, Select, Term
from tests.cql.sample_tables import Message, MessageDao, Place, Tally, TallyDao, Visit, VisitDao
from tests.cql.stores import create, create_samples, prefix

pytestmark = pytest.mark.cassandra

MOMENT = datetime.datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def url(cassandra_url: str) -> str:
    with connect_sync(cassandra_url) as db:
        create_samples(db, cassandra_url)
    return cassandra_url


@pytest.fixture
def db(url: str) -> Iterator[SyncDatabase]:
    with connect_sync(url) as database:
        yield database


@pytest.fixture
def room() -> str:
    """A partition of the test's own."""
    return f"room {uuid.uuid4()}"


def run(url: str, work: Any) -> Any:
    """What `work(db)` gives in an event loop of its own."""

    async def main() -> Any:
        db = await connect(url)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(main())


def message(room: str, number: int, **values: Any) -> Message:
    return Message(room_key=room, bucket=1, message_id=number, **values)


# --- values


COLUMNS: dict[str, tuple[types.CqlType[Any], list[Any]]] = {
    "c_ascii": (types.Ascii(), ["", "abc"]),
    "c_text": (types.Text(), ["", "ä☃𝄞", "x" * 100_000]),
    "c_tinyint": (types.TinyInt(), [-128, 127]),
    "c_smallint": (types.SmallInt(), [-32_768, 32_767]),
    "c_int": (types.Int(), [-(1 << 31), 0, (1 << 31) - 1]),
    "c_bigint": (types.BigInt(), [-(1 << 63), (1 << 63) - 1]),
    "c_varint": (types.Varint(), [0, -1, 10**40, -(10**40)]),
    "c_float": (types.Float(), [0.5, -math.inf]),
    "c_double": (types.Double(), [0.1, math.inf, 5e-324]),
    "c_decimal": (types.Decimal(), [decimal.Decimal("-12.3400"), decimal.Decimal("1E+30")]),
    "c_boolean": (types.Boolean(), [True, False]),
    "c_blob": (types.Blob(), [b"", bytes(range(256))]),
    "c_uuid": (types.Uuid(), [uuid.UUID(int=0), uuid.UUID("01234567-89ab-4def-8123-456789abcdef")]),
    "c_timeuuid": (types.TimeUuid(), [uuid.uuid1()]),
    "c_inet": (types.Inet(), [ipaddress.ip_address("10.1.2.3"), ipaddress.ip_address("fe80::1")]),
    "c_date": (types.Date(), [datetime.date.min, datetime.date(1970, 1, 1), datetime.date.max]),
    "c_time": (types.Time(), [0, 86_399_999_999_999]),
    "c_timestamp": (
        types.Timestamp(),
        [MOMENT, datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), MOMENT.replace(year=9999, microsecond=1_000)],
    ),
    "c_duration": (types.Duration(), [cql.Duration(), cql.Duration(-1, -2, -3), cql.Duration(14, 3, 10**15)]),
    "c_list": (types.List(types.Int()), [[3, 1, 3]]),
    "c_set": (types.Set(types.Text()), [{"b", "a"}]),
    "c_map": (types.Map(types.Text(), types.Timestamp()), [{"a": MOMENT, "b": MOMENT}]),
    "c_flist": (types.List(types.List(types.Int(), True), True), [[], [[1], []]]),
    "c_fset": (types.Set(types.List(types.Int(), True), True), [set(), {(1, 2), (3,)}]),
    "c_fmap": (types.Map(types.Uuid(), types.List(types.Text(), True), True), [{}, {uuid.UUID(int=5): ["a"]}]),
    "c_tuple": (types.Tuple((types.Int(), types.Text())), [(1, "a"), (None, "a"), (None, None)]),
    "c_vector": (types.Vector(types.Float(), 3), [[0.5, -0.25, 2.0]]),
    "c_words": (types.Vector(types.Text(), 2), [["", "abc"]]),
}


class Everything(cql.Row, frozen=True):
    key: int


KEY: cql.KeyColumn[Everything, int] = cql.KeyColumn("key", types.Int(), "partition")
EVERYTHING: cql.Table[Any] = cql.Table(
    "everything",
    "everything",
    # Read as tuples: a row class of 28 fields would say the same again.
    type("Wide", (cql.Row,), {"__annotations__": {"key": int} | dict.fromkeys(COLUMNS, Any)}, frozen=True),
    [KEY, *(cql.Column[Any, Any](name, type) for name, (type, _) in COLUMNS.items())],
    partition_key=[KEY],
)


@pytest.fixture(scope="module")
def wide(cassandra_url: str) -> Iterator[SyncDatabase]:
    name = f"{prefix(cassandra_url)}everything"
    columns = ", ".join(f"{column} {type.text}" for column, (type, _) in COLUMNS.items())
    with connect_sync(cassandra_url) as db:
        keyspace = f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        create(db, [keyspace, f"CREATE TABLE {name}.everything (key int PRIMARY KEY, {columns})"])
        yield db


def stored(db: SyncDatabase, key: int, column: str) -> Any:
    select = Select(EVERYTHING, (Term("column", column),), (Relation(("key",), "="),))
    (row,) = db.engine.execute_now(Bound(select, (key,))).rows
    return row[0]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_type_comes_back_as_it_was(wide: SyncDatabase, column: str) -> None:
    for key, value in enumerate(COLUMNS[column][1]):
        wide.engine.execute_now(Bound(Insert(EVERYTHING, ("key", column)), (key, value)))
        assert stored(wide, key, column) == value
        assert type(stored(wide, key, column)) is type(value)


def test_nan_comes_back(wide: SyncDatabase) -> None:
    wide.engine.execute_now(Bound(Insert(EVERYTHING, ("key", "c_double")), (50, math.nan)))
    assert math.isnan(stored(wide, 50, "c_double"))


def test_unset_leaves_a_column_and_null_deletes_it(wide: SyncDatabase) -> None:
    insert = Insert(EVERYTHING, ("key", "c_text"))
    for given, found in (("x", "x"), (UNSET, "x"), (cql.NULL, None)):
        wide.engine.execute_now(Bound(insert, (60, given)))
        assert stored(wide, 60, "c_text") == found


def test_what_python_cannot_tell_fails_its_own_read_only(cassandra_url: str, wide: SyncDatabase) -> None:
    name = f"{prefix(cassandra_url)}everything.everything"
    far = "UPDATE {} SET c_timestamp = 318000000000000, c_date = 2932897 + 0 WHERE key = 70"
    create(wide, [far.format(name).replace("2932897 + 0", "4294967295")])

    async def work(db: Database) -> None:
        select = Select(EVERYTHING, (Term("column", "c_timestamp"),), (Relation(("key",), "="),))
        others = [db.engine.execute(Bound(select, (0,))) for _ in range(20)]
        results = await asyncio.gather(*others, db.engine.execute(Bound(select, (70,))), return_exceptions=True)
        assert all(isinstance(result, Outcome) for result in results[:-1])
        assert isinstance(results[-1], UnreadableValue)
        assert "everything.everything: c_timestamp" in str(results[-1])

    run(cassandra_url, work)
    with pytest.raises(UnreadableValue, match="c_date"):
        stored(wide, 70, "c_date")


@pytest.mark.parametrize("column", ["c_int", "c_bigint"])
def test_an_integer_of_no_bytes_is_unreadable(cassandra_url: str, wide: SyncDatabase, column: str) -> None:
    """Cassandra keeps such a thing beside null, for old clients' sake."""
    name = f"{prefix(cassandra_url)}everything.everything"
    create(wide, [f"UPDATE {name} SET {column} = blob_as_{column[2:]}(0x) WHERE key = 80"])
    with pytest.raises(UnreadableValue, match=f"{column}: 0 bytes"):
        stored(wide, 80, column)


# --- reads and writes


def test_a_row_of_every_kind_of_column(db: SyncDatabase, room: str) -> None:
    row = message(
        room,
        1,
        text="hello",
        likes=3,
        tags=["b", "a"],
        readers={2, 1},
        attrs={"a": "1", "b": "2"},
        origin=Place("here", 1, (1, 2)),
        place=Place("there", None, ()),
        sent_at=MOMENT,
        embedding=[0.5, 0.25, 1.0],
    )
    db.run(MessageDao.insert(row))
    assert db.run(MessageDao.get(room_key=room, bucket=1, message_id=1)) == row
    assert db.run(MessageDao.get(room_key=room, bucket=1, message_id=2)) is None
    changed = (
        MessageDao.update(room_key=room, bucket=1, message_id=1)
        .append(tags=["c"])
        .put_at(tags={0: "x"})
        .add(readers={3})
        .put(attrs={"c": "3"})
        .set_place(zip=9)
        .set(likes=cql.NULL)
    )
    db.run(changed)
    found = db.run(MessageDao.get(room_key=room, bucket=1, message_id=1))
    assert found is not None
    assert (found.readers, found.attrs) == ({1, 2, 3}, {"a": "1", "b": "2", "c": "3"})
    assert (found.place, found.likes, found.text) == (Place("there", 9, ()), None, "hello")
    db.run(MessageDao.update(room_key=room, bucket=1, message_id=1).discard(tags=["x"], readers={3}, attrs={"c"}))
    found = db.run(MessageDao.get(room_key=room, bucket=1, message_id=1))
    assert found is not None
    assert (found.readers, found.attrs) == ({1, 2}, {"a": "1", "b": "2"})


def test_ttl_and_timestamps(db: SyncDatabase, room: str) -> None:
    db.run(MessageDao.insert(message(room, 1, text="new"), ttl=600, timestamp=2_000))
    db.run(MessageDao.insert(message(room, 1, text="old"), timestamp=1_000))
    ((text, written, left),) = db.run(
        MessageDao.slice(room_key=room, bucket=1).select(
            MessageDao.text, MessageDao.text.writetime(), MessageDao.text.ttl()
        )
    )
    assert (text, written) == ("new", 2_000)
    assert left is not None
    assert 500 < left <= 600


def test_writes_are_stamped_here_and_keep_their_order(db: SyncDatabase, room: str) -> None:
    before = time.time_ns() // 1_000
    stamps: list[int | None] = []
    for text in ("a", "b", "c"):
        db.run(MessageDao.insert(message(room, 1, text=text)))
        stamps += db.run(MessageDao.slice(room_key=room, bucket=1).values(MessageDao.text.writetime()))
    first, second, third = (stamp or 0 for stamp in stamps)
    assert before <= first < second < third <= time.time_ns() // 1_000 + 1_000_000


def test_conditions_tell_whether_they_held(db: SyncDatabase, room: str) -> None:
    insert = MessageDao.insert(message(room, 1, text="a", tags=["t"]))
    first, second = db.run(insert.if_not_exists()), db.run(insert.if_not_exists())
    assert (first.applied, first.row, first.exists) == (True, None, False)
    assert (second.applied, second.row) == (False, message(room, 1, text="a", tags=["t"]))
    change = MessageDao.update(room_key=room, bucket=1, message_id=1).set(text="b")
    refused = db.run(change.if_(MessageDao.text == "z"))
    assert (refused.applied, refused.value(MessageDao.text)) == (False, "a")
    assert db.run(change.if_(MessageDao.text == "a").options(serial_consistency="LOCAL_SERIAL")).applied
    assert not db.run(MessageDao.delete(room_key=room, bucket=1, message_id=9).if_exists()).exists
    absent = MessageDao.update(room_key=room, bucket=1, message_id=9).set(text="b").if_(MessageDao.text == "a")
    assert db.run(absent).exists is False


def test_counters(db: SyncDatabase, room: str) -> None:
    db.run(TallyDao.increment(name=room, slot=1, hits=5))
    db.run(TallyDao.increment(name=room, slot=1, hits=-2, misses=1))
    db.run(cql.counter_batch([TallyDao.increment(name=room, slot=n, hits=1) for n in (1, 2)]))
    assert db.run(TallyDao.get(name=room, slot=1)) == Tally(name=room, slot=1, hits=4, misses=1)
    assert db.run(TallyDao.get(name=room, slot=2)) == Tally(name=room, slot=2, hits=1)


@pytest.mark.parametrize("make", [cql.batch, cql.unlogged_batch])
def test_batches(db: SyncDatabase, room: str, make: Any) -> None:
    db.run(MessageDao.insert(message(room, 9, text="old"), timestamp=5))
    db.run(
        make(
            [
                MessageDao.insert(message(room, 1, text="a")),
                MessageDao.update(room_key=room, bucket=1, message_id=2).ttl(600).set(text="b"),
                MessageDao.delete(room_key=room, bucket=1, message_id=9),
            ],
            timestamp=7_000,
        )
    )
    rows = db.run(MessageDao.slice(room_key=room, bucket=1).select(MessageDao.message_id, MessageDao.text.writetime()))
    assert rows == [(2, 7_000), (1, 7_000)]


def test_a_batch_with_conditions_is_done_or_not(db: SyncDatabase, room: str) -> None:
    one, two = (MessageDao.insert(message(room, n, text="x")).if_not_exists() for n in (1, 2))
    assert db.run(cql.batch([one, two])).applied
    three = MessageDao.insert(message(room, 3, text="x"))
    assert not db.run(cql.batch([one, three])).applied
    assert db.run(MessageDao.get(room_key=room, bucket=1, message_id=3)) is None


def test_mixed_batches_are_refused(db: SyncDatabase, room: str) -> None:
    with pytest.raises(UnsafeStatement):
        db.run(cql.batch([TallyDao.increment(name=room, slot=1, hits=1)]))


def test_many_side_by_side(url: str, room: str) -> None:
    async def work(db: Database) -> None:
        rows = [message(room, number, text=str(number)) for number in range(500)]
        await db.run(MessageDao.insert_many(rows))
        found = await db.run(MessageDao.get_many([(room, 1, number) for number in range(0, 600, 3)]))
        assert len(found) == 167
        assert found[room, 1, 300].text == "300"
        assert await db.run_all([]) == []
        with pytest.raises(InvalidValue):
            await db.run_all([MessageDao.get(room_key="a", bucket=1 << 40, message_id=n) for n in range(3)])

    run(url, work)


def test_many_without_a_loop(db: SyncDatabase, room: str) -> None:
    db.run(MessageDao.insert_many([message(room, number) for number in range(50)]))
    assert db.run(MessageDao.slice(room_key=room, bucket=1).count()) == 50


# --- pages and streams


@pytest.fixture(scope="module")
def long(url: str) -> int:
    """A user with 20,000 visits."""

    async def work(db: Database) -> None:
        day = datetime.date(2026, 1, 1)
        rows = [Visit(1, day + datetime.timedelta(number // 24), number % 24, "p", number) for number in range(20_000)]
        batches = [
            cql.unlogged_batch([VisitDao.insert(row) for row in rows[n : n + 100]]) for n in range(0, 20_000, 100)
        ]
        await db.run_all(batches, at_once=8)

    run(url, work)
    return 1


def test_all_pages_are_read(db: SyncDatabase, long: int) -> None:
    rows = db.run(VisitDao.slice(user_id=long).options(page_size=3_000).values(VisitDao.seconds))
    assert sorted(rows, key=lambda seconds: seconds or 0) == list(range(20_000))
    assert len(db.run(VisitDao.slice(user_id=long, limit=2_500).options(page_size=1_000))) == 2_500


def test_a_page_goes_on_in_another_database(url: str, db: SyncDatabase, long: int) -> None:
    query = VisitDao.slice(user_id=long).reversed()
    whole = db.run(query)
    page = db.page(query, size=7_000)
    assert page.rows == whole[:7_000]
    with connect_sync(url) as other:
        rest = list(other.stream(query, page_size=6_000, state=page.state))
    assert rest == whole[7_000:]


def test_a_state_of_something_else_is_refused_and_harms_nobody(url: str, long: int) -> None:
    async def work(db: Database) -> None:
        query = VisitDao.slice(user_id=long)
        state = (await db.page(query, size=10)).state
        assert state is not None
        forged = state[:8] + b"\xff" * 20
        wrong = [b"", b"junk", state[:-1], forged, bytes([state[0] ^ 1]) + state[1:]]
        others = [db.run(VisitDao.slice(user_id=long, limit=5)) for _ in range(50)]
        running = asyncio.gather(*others)
        for each in wrong:
            with pytest.raises(InvalidState, match=r"sun_msg\.visit"):
                await db.page(query, size=10, state=each)
        with pytest.raises(InvalidState):
            await db.page(VisitDao.slice(user_id=long + 1), size=10, state=state)
        assert all(len(rows) == 5 for rows in await running)

    run(url, work)


def test_a_stream_gives_every_row_once(url: str, long: int) -> None:
    async def work(db: Database) -> list[int | None]:
        stream = db.stream(VisitDao.slice(user_id=long).values(VisitDao.seconds), page_size=900)
        seconds = [seconds async for seconds in stream]
        assert stream.ended
        assert stream.state is None
        return seconds

    seconds = run(url, work)
    assert sorted(seconds) == list(range(20_000))


def test_a_stream_that_was_left_goes_on_with_its_page(url: str, long: int) -> None:
    query = VisitDao.slice(user_id=long, limit=100).values(VisitDao.seconds)

    async def work(db: Database) -> None:
        whole = await db.run(query)
        stream = db.stream(query, page_size=30)
        given: list[int | None] = []
        async for seconds in stream:
            given.append(seconds)
            if len(given) == 45:
                break
        assert given == whole[:45]
        assert [seconds async for seconds in db.stream(query, state=stream.state)] == whole[30:]

    run(url, work)


def test_a_scan_by_ranges_of_tokens_sees_every_row_once(db: SyncDatabase, url: str) -> None:
    whole = [(row.room_key, row.bucket, row.message_id) for row in db.stream(MessageDao.scan())]
    parts = [
        (row.room_key, row.bucket, row.message_id)
        for tokens in cql.token_ranges(7)
        for row in db.run(MessageDao.scan(tokens))
    ]
    assert whole
    assert sorted(parts) == sorted(whole)
    assert len(set(parts)) == len(parts)


def test_only_rows_come_in_pages(db: SyncDatabase, room: str) -> None:
    get: Any = MessageDao.get(room_key=room, bucket=1, message_id=1)
    with pytest.raises(TypeError, match="pages"):
        db.page(get)


# --- loops and threads


def test_several_event_loops_share_a_database(url: str, room: str) -> None:
    made: list[Database] = []

    async def first() -> None:
        made.append(await connect(url))
        await made[0].run(MessageDao.insert(message(room, 1, text="x")))

    async def again() -> list[Message | None]:
        get = MessageDao.get(room_key=room, bucket=1, message_id=1)
        return await asyncio.gather(*(made[0].run(get) for _ in range(50)))

    asyncio.run(first())
    for loop in (asyncio.run, uvloop.run, asyncio.run):
        assert loop(again()) == [message(room, 1, text="x")] * 50
    assert made[0].in_flight() == 0
    asyncio.run(made[0].close())


def test_closing_twice_is_closing_once(url: str) -> None:
    async def work(db: Database) -> None:
        await db.close()
        await db.close()
        with pytest.raises(CqlError, match="closed"):
            await db.run(MessageDao.get(room_key="a", bucket=1, message_id=1))

    run(url, work)


# --- what is told


def test_observers_hear_of_every_request(url: str, room: str) -> None:
    told: list[tuple[str, str, int, str]] = []

    async def work(db: Database) -> None:
        db.observe(lambda table, kind, seconds, rows, error: told.append((table, kind, rows, type(error).__name__)))
        await db.run(MessageDao.insert(message(room, 1)))
        await db.run(MessageDao.slice(room_key=room, bucket=1))
        await db.run(cql.batch([MessageDao.delete(room_key=room, bucket=1, message_id=1)]))
        with pytest.raises(MissingTable):
            await db.engine.execute(Bound(Select(NOWHERE, NOWHERE.terms), ()))
        with pytest.raises(MissingTable):
            await db.run(cql.Key(NOWHERE).get(1))

    run(url, work)
    assert told == [
        ("sun_msg.message", "insert", 0, "NoneType"),
        ("sun_msg.message", "select", 1, "NoneType"),
        ("sun_msg.message", "batch", 0, "NoneType"),
        ("sun_msg.nowhere", "select", 0, "MissingTable"),
    ]


def test_a_slow_request_is_logged(url: str, room: str, caplog: pytest.LogCaptureFixture) -> None:
    async def work(db: Database) -> None:
        await db.run(MessageDao.insert(message(room, 1, text="secret")))

    caplog.set_level(logging.WARNING, "sun.cql")
    run(f"{url}&slow_ms=1", work)
    assert any("slow insert of sun_msg.message" in record.getMessage() for record in caplog.records)
    assert "secret" not in caplog.text


# --- refusals of the cluster


class Nowhere(cql.Row, frozen=True):
    id: int


ID: cql.KeyColumn[Nowhere, int] = cql.KeyColumn("id", types.Int(), "partition")
NOWHERE = cql.Table("sun_msg", "nowhere", Nowhere, [ID], partition_key=[ID])
NO_KEYSPACE = cql.Table("sun_nowhere", "nowhere", Nowhere, [ID], partition_key=[ID])


def test_missing_tables_keyspaces_and_columns_are_named(db: SyncDatabase) -> None:
    with pytest.raises(MissingTable, match=r"sun_msg\.nowhere.*does not exist"):
        db.run(cql.Key(NOWHERE).get(1))
    with pytest.raises(MissingTable, match=r"sun_nowhere\.nowhere.*does not exist"):
        db.run(cql.Key(NO_KEYSPACE).get(1))
    newer = replace(Select(MessageDao.table, (Term("column", "sent_by"),)))
    table = cql.Table(
        "sun_msg", "message", Nowhere, [cql.KeyColumn[Nowhere, int]("sent_by", types.Int())], partition_key=[]
    )
    with pytest.raises(MissingTable, match="sent_by"):
        db.engine.execute_now(Bound(replace(newer, table=table), ()))


def test_a_table_that_was_dropped_is_missing_and_back_when_made_again(db: SyncDatabase, url: str) -> None:
    name = f"{prefix(url)}sun_msg.nowhere"
    made = f"CREATE TABLE {name} (id int PRIMARY KEY)"
    create(db, [made])
    assert db.run(cql.Key(NOWHERE).get(1)) is None
    create(db, [f"DROP TABLE {name}"])
    with pytest.raises(MissingTable):
        db.run(cql.Key(NOWHERE).get(1))
    create(db, [made])
    assert db.run(cql.Key(NOWHERE).get(1)) is None
    create(db, [f"DROP TABLE {name}"])


def test_a_value_too_large_is_refused(db: SyncDatabase, room: str) -> None:
    with pytest.raises(InvalidValue, match=r"sun_msg\.message"):
        db.run(MessageDao.insert(message(room, 1, text="x" * (17 << 20))))
    assert db.run(MessageDao.get(room_key=room, bucket=1, message_id=1)) is None


def test_large_values_side_by_side_all_arrive(url: str, room: str) -> None:
    """More than the sockets hold: what is not taken at once waits, and is not refused."""

    async def work(db: Database) -> None:
        rows = [message(room, number, tags=["x" * (1 << 20)]) for number in range(24)]
        await db.run_all([MessageDao.insert(row) for row in rows], at_once=24)
        assert await db.run(MessageDao.slice(room_key=room, bucket=1).count()) == 24

    run(url, work)
