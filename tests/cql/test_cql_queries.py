"""What the methods of DAOs ask an engine for, what they refuse, and how they read what comes back."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

import pytest

from runtime import cql
from runtime.cql import batches, types
from runtime.cql.errors import InvalidValue, UnsafeStatement
from runtime.cql.statements import UNSET, Batch, Bound, Change, Insert, Options, Outcome, Relation, Select, Term, Update
from tests.cql.sample_tables import (
    Message,
    MessageByIdDao,
    MessageDao,
    Place,
    TallyDao,
    Visit,
    VisitDao,
)

KEY: dict[str, Any] = {"room_key": "r", "bucket": 1, "message_id": 2}
PARTITION: dict[str, Any] = {"room_key": "r", "bucket": 1}
DAY = datetime.date(2026, 1, 2)
OF_ROW = (Relation(("room_key",), "="), Relation(("bucket",), "="), Relation(("message_id",), "="))
OF_PARTITION = OF_ROW[:2]


def bound(query: cql.Query[Any]) -> Bound:
    request = query.resolve().request
    assert isinstance(request, Bound)
    return request


def shape(query: cql.Query[Any]) -> Any:
    return bound(query).statement


def params(query: cql.Query[Any]) -> tuple[Any, ...]:
    return bound(query).params


def read(query: cql.Query[Any], *rows: tuple[Any, ...], **outcome: Any) -> Any:
    return query.resolve().read(Outcome(rows=rows, **outcome))


# --- reads -----------------------------------------------------------------------------------------------------------


def test_get_asks_by_the_whole_key() -> None:
    query = MessageDao.get(**KEY)
    assert shape(query) == Select(MessageDao.table, MessageDao.table.terms, OF_ROW)
    assert params(query) == ("r", 1, 2)
    assert bound(query).options == Options(idempotent=True)


def test_one_shape_serves_every_call() -> None:
    assert shape(MessageDao.get(**KEY)) is shape(MessageDao.get(room_key="s", bucket=2, message_id=3))
    assert shape(MessageDao.slice(**PARTITION, limit=2)) is shape(MessageDao.slice(**PARTITION).limit(5))
    insert = MessageDao.insert(Message("r", 1, 2))
    assert shape(insert) is shape(MessageDao.insert(Message("r", 1, 2, text="x", tags=["a"])))
    one, other = (MessageDao.update(**KEY).set(text=text) for text in "ab")
    assert shape(one) is shape(other)


def row(**values: Any) -> tuple[Any, ...]:
    given = {"room_key": "r", "bucket": 1, "message_id": 2, **values}
    return tuple(given.get(name) for name in MessageDao.table.names)


def test_rows_have_empty_collections_where_there_are_none() -> None:
    assert read(MessageDao.get(**KEY), row()) == Message("r", 1, 2)
    found = read(MessageDao.get(**KEY), row(tags=["a"], origin=Place("x")))
    assert found == Message("r", 1, 2, tags=["a"], origin=Place("x"))
    assert read(MessageDao.get(**KEY)) is None
    assert read(MessageByIdDao.slice(message_id=2), (2, "r", 1, "x"))[0].text == "x"


def test_no_two_rows_share_an_empty_collection() -> None:
    one, other = read(MessageDao.slice(**PARTITION), row(), row(message_id=3))
    assert one.tags is not other.tags


def test_a_partition_of_static_columns_alone_has_no_rows() -> None:
    lonely = row(message_id=None, topic="t")
    assert read(MessageDao.slice(**PARTITION), lonely) == []
    assert read(MessageDao.slice(**PARTITION).first(), lonely) is None
    assert read(MessageDao.slice(**PARTITION).values(MessageDao.topic), ("t",)) == ["t"]


def test_some_columns_of_a_row() -> None:
    query = MessageDao.get(**KEY).select(MessageDao.text, MessageDao.text.writetime(), MessageDao.tags)
    assert shape(query).terms == (Term("column", "text"), Term("writetime", "text"), Term("column", "tags"))
    assert read(query, ("x", 5, None)) == ("x", 5, [])
    assert read(query) is None
    value = MessageDao.get(**KEY).value(MessageDao.text.ttl())
    assert shape(value).terms == (Term("ttl", "text"),)
    assert read(value, (7,)) == 7
    assert read(value) is None


def test_some_columns_of_many_rows() -> None:
    rows = MessageDao.slice(**PARTITION, limit=9)
    assert read(rows.select(MessageDao.message_id, MessageDao.attrs), (1, None), (2, {"a": "b"})) == [
        (1, {}),
        (2, {"a": "b"}),
    ]
    assert read(rows.values(MessageDao.readers), (None,), ({5},)) == [set(), {5}]
    assert params(rows.values(MessageDao.readers)) == ("r", 1, 9)
    with pytest.raises(TypeError, match="needs columns"):
        rows.select()


def test_get_many_reads_each_key_on_its_own() -> None:
    query = MessageDao.get_many([("r", 1, 2), ("r", 1, 3), ("r", 1, 2)])
    assert isinstance(query, cql.Many)
    assert [params(part) for part in query.parts()] == [("r", 1, 2), ("r", 1, 3)]
    assert query.combine([None, Message("r", 1, 3)]) == {("r", 1, 3): Message("r", 1, 3)}
    assert all(bound(part).options.consistency == "ONE" for part in query.options(consistency="ONE").parts())
    with pytest.raises(ValueError, match="run it on a database"):
        query.resolve()
    with pytest.raises(ValueError, match="a key is a tuple of 3 values"):
        MessageDao.get_many([("r", 1)])  # type: ignore[list-item]


def test_in_of_the_last_columns() -> None:
    query = MessageDao.get_in(**PARTITION, message_id=iter([2, 3])).reversed()
    assert shape(query).where == (*OF_PARTITION, Relation(("message_id",), "in"))
    assert shape(query).reversed
    assert params(query) == ("r", 1, [2, 3])
    query = MessageDao.slice_in(room_key="r", bucket=[], limit=3)
    assert shape(query).where == (OF_ROW[0], Relation(("bucket",), "in"))
    assert params(query) == ("r", [], 3)
    assert params(VisitDao.slice_in(user_id=[1])) == ([1],)


BOUNDS: list[tuple[dict[str, Any], tuple[Relation, ...], tuple[Any, ...]]] = [
    ({}, (), ()),
    ({"after": DAY}, (Relation(("day",), ">"),), (DAY,)),
    (
        {"at_least": (DAY, 3), "before": DAY},
        (Relation(("day", "hour"), ">="), Relation(("day",), "<")),
        (DAY, 3, DAY),
    ),
    ({"at_most": (DAY, 3, "x")}, (Relation(("day", "hour", "page"), "<="),), (DAY, 3, "x")),
    (
        {"day": DAY, "after": (3, "x")},
        (Relation(("day",), "="), Relation(("hour", "page"), ">")),
        (DAY, 3, "x"),
    ),
    (
        {"day": DAY, "hour": 0, "before": ""},
        (Relation(("day",), "="), Relation(("hour",), "="), Relation(("page",), "<")),
        (DAY, 0, ""),
    ),
]


@pytest.mark.parametrize(("given", "relations", "values"), BOUNDS)
def test_slices_by_prefix_and_bounds(
    given: dict[str, Any], relations: tuple[Relation, ...], values: tuple[Any, ...]
) -> None:
    query = VisitDao.slice(user_id=7, **given)
    assert shape(query).where == (Relation(("user_id",), "="), *relations)
    assert params(query) == (7, *values)
    if relations:
        delete = VisitDao.delete_slice(user_id=7, **given)
        assert shape(delete).where == shape(query).where
        assert params(delete) == params(query)


def test_bounds_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="two lower bounds"):
        VisitDao.slice(user_id=1, after=DAY, at_least=DAY)
    with pytest.raises(ValueError, match="two upper bounds"):
        VisitDao.slice(user_id=1, before=DAY, at_most=DAY)
    with pytest.raises(ValueError, match="a tuple of 1 to 2 values"):
        VisitDao.slice(user_id=1, day=DAY, after=(1, "x", 2))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="delete_partition deletes all of it"):
        VisitDao.delete_slice(user_id=1)


def test_a_bound_of_tuples_is_a_tuple_of_them() -> None:
    class Pair(cql.Row, frozen=True):
        id: int
        pair: tuple[int | None, int | None]
        last: int

    columns: list[cql.KeyColumn[Pair, Any]] = [
        cql.KeyColumn("id", types.Int(), "partition"),
        cql.KeyColumn("pair", types.Tuple((types.Int(), types.Int())), "clustering"),
        cql.KeyColumn("last", types.Int(), "clustering"),
    ]
    table = cql.Table("ks", "pairs", Pair, columns, partition_key=columns[:1], clustering=columns[1:])
    key = cql.Key(table)
    assert params(key.slice((1,), after=((2, None),))) == (1, (2, None))
    assert params(key.slice((1,), after=((2, None), 3))) == (1, (2, None), 3)
    with pytest.raises(InvalidValue, match=r"ks\.pairs\.pair takes a tuple"):
        params(key.slice((1,), after=(2, None)))


def test_limits_order_and_counting() -> None:
    query = MessageDao.slice(**PARTITION, before=9).per_partition(2).limit(3).reversed()
    assert (shape(query).per_partition, shape(query).limit, shape(query).reversed) == (True, True, True)
    assert params(query) == ("r", 1, 9, 2, 3)
    assert not shape(query.reversed()).reversed
    count = query.count()
    assert shape(count).terms == (Term("count"),)
    assert params(count) == ("r", 1, 9)
    assert read(count, (4,)) == 4
    assert params(query.first()) == ("r", 1, 9, 2, 1)
    for make in (query.limit, query.per_partition):
        for wrong in (0, 1 << 31):
            with pytest.raises(ValueError, match="is from 1 to 2147483647"):
                make(wrong)


def test_scans_of_ranges_of_tokens() -> None:
    assert shape(MessageDao.scan()).where == ()
    part = cql.token_ranges(2)[0]
    query = MessageDao.scan(part).limit(7)
    assert shape(query).tokens
    assert params(query) == (part.low, part.high, 7)
    keys = MessageDao.partitions(part)
    assert shape(keys).distinct
    assert shape(keys).terms == (Term("column", "room_key"), Term("column", "bucket"))
    assert read(keys, ("r", 1)) == [("r", 1)]
    assert read(VisitDao.partitions(), (5,), (6,)) == [5, 6]


LOOKUPS: list[tuple[Callable[[], cql.Query[Any]], Relation, tuple[Any, ...]]] = [
    (lambda: MessageDao.by_text("x"), Relation(("text",), "="), ("x",)),
    (lambda: MessageDao.by_readers(5), Relation(("readers",), "contains"), (5,)),
    (lambda: MessageDao.by_attrs_keys("k"), Relation(("attrs",), "contains key"), ("k",)),
    (lambda: MessageDao.by_attrs("v"), Relation(("attrs",), "contains"), ("v",)),
    (lambda: MessageDao.by_attrs_entries("k", "v"), Relation(("attrs",), "entry"), ("k", "v")),
    (lambda: MessageDao.by_likes(0), Relation(("likes",), "="), (0,)),
    (lambda: MessageDao.by_likes(at_least=5), Relation(("likes",), ">="), (5,)),
]


@pytest.mark.parametrize(("make", "relation", "values"), LOOKUPS)
def test_rows_are_found_by_indexes(
    make: Callable[[], cql.Query[Any]], relation: Relation, values: tuple[Any, ...]
) -> None:
    assert shape(make()).where == (relation,)
    assert not shape(make()).filtering
    assert params(make()) == values


def test_an_index_is_asked_for_a_value_or_bounds() -> None:
    for make in (MessageDao.by_likes, lambda: MessageDao.by_likes(1, after=2)):
        with pytest.raises(TypeError, match=r"by a value of sun_msg\.message\.likes or by its bounds"):
            make()
    with pytest.raises(TypeError, match="text can't be compared with None"):
        MessageDao.by_text(None)  # type: ignore[arg-type]


def test_the_nearest_vectors() -> None:
    query = MessageDao.nearest_embedding([1.0, 0.0, 0.5], 3)
    assert shape(query).nearest == "embedding"
    assert params(query) == ([1.0, 0.0, 0.5], 3)
    with pytest.raises(ValueError, match="at most 1000 rows"):
        MessageDao.nearest_embedding([1.0, 0.0, 0.5], 1_001)
    with pytest.raises(InvalidValue, match="takes 3 items"):
        params(MessageDao.nearest_embedding([1.0], 3))


def test_filtering_is_said() -> None:
    query = MessageDao.slice(**PARTITION).allow_filtering(
        MessageDao.sent_at > datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), MessageDao.likes.in_([1, 2])
    )
    assert shape(query).filtering
    assert shape(query).where == (*OF_PARTITION, Relation(("sent_at",), ">"), Relation(("likes",), "in"))
    assert params(query)[-1] == [1, 2]
    both = MessageDao.scan().allow_filtering(MessageDao.tags.contains("a"), MessageDao.tags.contains("b"))
    assert params(both.allow_filtering(MessageDao.likes >= 1, MessageDao.likes < 5)) == ("a", "b", 1, 5)


REFUSED_FILTERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: MessageDao.scan().allow_filtering(), "needs conditions"),
    (lambda: MessageDao.scan().allow_filtering(MessageDao.text.is_null()), r"is only asked in if_\(\)"),
    (lambda: MessageDao.scan().allow_filtering(MessageDao.text != "x"), "can't be filtered by !="),
    (lambda: MessageDao.scan().allow_filtering(MessageDao.tags == ["x"]), "is filtered by its parts"),
    (lambda: MessageDao.scan().allow_filtering(MessageDao.place == Place()), "unless it is frozen"),
    (lambda: MessageDao.slice(**PARTITION).allow_filtering(MessageDao.bucket == 1), "two conditions"),
    (lambda: MessageDao.scan().allow_filtering(MessageDao.likes > 1, MessageDao.likes == 2), "two conditions"),
    (lambda: MessageDao.scan(cql.TokenRange()).allow_filtering(MessageDao.bucket == 1), "the tokens choose"),
    (lambda: params(MessageDao.slice(**PARTITION).reversed().allow_filtering(MessageDao.text == "x")), "be reversed"),
    (MessageDao.place.writetime, "of its own"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED_FILTERS)
def test_what_cassandra_would_refuse_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        make()


def test_conditions_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(MessageDao.text == "x")
    with pytest.raises(TypeError, match="only compared with =="):
        assert MessageDao.attrs.entry("k") != "v"
    with pytest.raises(TypeError, match="no such parts"):
        MessageDao.text.contains("x")  # type: ignore[misc]


# --- writes ----------------------------------------------------------------------------------------------------------


def test_insert_leaves_alone_what_is_none_and_deletes_what_is_null() -> None:
    message = Message("r", 1, 2, text="x", likes=cql.NULL, tags=[], readers=cql.NULL, attrs={"a": "b"})
    query = MessageDao.insert(message, ttl=5, timestamp=6)
    assert shape(query) == Insert(MessageDao.table, MessageDao.table.names, ttl=True, timestamp=True)
    given = dict(zip(MessageDao.table.names, params(query), strict=False))
    assert given["text"] == "x"
    assert given["likes"] is cql.NULL
    assert given["tags"] is UNSET
    assert given["readers"] is cql.NULL
    assert given["attrs"] == {"a": "b"}
    assert given["topic"] is UNSET
    assert params(query)[-2:] == (5, 6)
    assert read(query) is None


def test_insert_takes_rows_of_its_table_and_times_in_range() -> None:
    with pytest.raises(TypeError, match="takes rows of Message, not Visit"):
        MessageDao.insert(Visit(1, DAY, 2, "x"))  # type: ignore[call-overload]
    for ttl in (-1, 630_720_001):
        with pytest.raises(ValueError, match="a TTL is from 0 to 630720000 seconds"):
            MessageDao.insert(Message("r", 1, 2), ttl=ttl)
    for timestamp in (-(1 << 63), 1 << 63):
        with pytest.raises(ValueError, match="a timestamp is an int of 64 bits"):
            MessageDao.insert(Message("r", 1, 2), timestamp=timestamp)


def test_insert_many_is_an_insert_of_each() -> None:
    query = VisitDao.insert_many([Visit(1, DAY, hour, "x") for hour in range(3)], ttl=9)
    assert isinstance(query, cql.Many)
    assert [params(part)[2] for part in query.parts()] == [0, 1, 2]
    assert all(params(part)[-1] == 9 for part in query.parts())
    assert query.combine([None] * 3) is None


def test_an_update_of_every_kind() -> None:
    query = (
        MessageDao.update(**KEY)
        .set(text="x", likes=cql.NULL)
        .append(tags=["c"])
        .prepend(tags=["a"])
        .put_at(tags={0: "z"})
        .add(readers={5})
        .put(attrs={"k": "v", "gone": cql.NULL})
        .set_place(zip=7)
        .ttl(60)
        .timestamp(1_000)
    )
    assert shape(query) == Update(
        MessageDao.table,
        (
            Change("text", "set"),
            Change("likes", "set"),
            Change("tags", "append"),
            Change("tags", "prepend"),
            Change("tags", "item"),
            Change("readers", "add"),
            Change("attrs", "discard"),
            Change("attrs", "add"),
            Change("place", "field", "zip"),
        ),
        OF_ROW,
        ttl=True,
        timestamp=True,
    )
    changed = ("x", cql.NULL, ["c"], ["a"], 0, "z", {5}, {"gone"}, {"k": "v"}, 7)
    assert params(query) == (60, 1_000, *changed, "r", 1, 2)


def test_changes_of_one_kind_become_one() -> None:
    update = MessageDao.update(**KEY)
    assert params(update.set(text="a").set(text="b"))[0] == "b"
    assert params(update.append(tags=["a"]).append(tags=["b"]))[0] == ["a", "b"]
    assert params(update.prepend(tags=["b"]).prepend(tags=["a"]))[0] == ["a", "b"]
    assert params(update.add(readers={1}).add(readers={2}))[0] == {1, 2}
    assert params(update.put(attrs={"a": "1"}).put(attrs={"a": "2", "b": "3"}))[0] == {"a": "2", "b": "3"}
    assert params(update.discard(tags=["a"]).discard(tags=["b"]))[0] == ["a", "b"]
    assert params(update.put_at(tags={0: "a", 1: "b"}).put_at(tags={0: "c"}))[:4] == (1, "b", 0, "c")


def test_an_update_is_a_value() -> None:
    update = MessageDao.update(**KEY).set(text="a")
    update.set(likes=5)
    update.append(tags=["x"])
    assert params(update) == ("a", "r", 1, 2)


REFUSED_UPDATES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: params(MessageDao.update(**KEY)), ValueError, "changes nothing"),
    (lambda: MessageDao.update(**KEY).setting({"bucket": 1}), TypeError, "is of the key and never changes"),
    (lambda: MessageDao.update(**KEY).setting({"nonsense": 1}), TypeError, "has no column nonsense"),
    (lambda: MessageDao.update_static(**PARTITION).setting({"text": "x"}), TypeError, "is not static"),
    (lambda: MessageDao.update(**KEY).set(tags=[]).append(tags=["x"]), ValueError, "both sets tags"),
    (lambda: MessageDao.update(**KEY).append(tags=["x"]).set(tags=[]), ValueError, "both sets tags"),
    (lambda: MessageDao.update(**KEY).add(readers={1}).discard(readers={1}), ValueError, "both adds to readers"),
    (lambda: params(MessageDao.update(**KEY).set(text=None)), InvalidValue, "text takes no None"),  # type: ignore[arg-type]
    (lambda: params(MessageDao.update(**KEY).put_at(tags={-1: "x"})), InvalidValue, "an int from 0"),
    (lambda: params(MessageDao.update(**KEY).set_place(zip="x")), InvalidValue, r"place\.zip takes an int"),  # type: ignore[arg-type]
    (lambda: params(MessageDao.update(**KEY).append(tags="x")), InvalidValue, "tags takes a list"),  # type: ignore[arg-type]
    (lambda: MessageDao.update(**KEY)._append({"text": ["x"]}), TypeError, "no such parts"),
    (lambda: MessageDao.update(**KEY)._set_fields("origin", {"zip": 1}), TypeError, "is frozen"),
    (lambda: MessageDao.update(**KEY)._set_fields("place", {"x": 1}), TypeError, "has no field x"),
    (lambda: MessageDao.update(**KEY).ttl(-1), ValueError, "a TTL is"),
]


@pytest.mark.parametrize(("make", "kind", "words"), REFUSED_UPDATES)
def test_updates_that_can_not_be(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_static_columns_are_of_the_partition() -> None:
    query = MessageDao.update_static(**PARTITION).set(topic="t")
    assert shape(query).where == OF_PARTITION
    assert params(query) == ("t", "r", 1)
    assert params(query.if_(MessageDao.topic.is_null())) == ("t", "r", 1, None)
    with pytest.raises(TypeError, match="text is not static"):
        MessageDao.update_static(**PARTITION).set(topic="t").if_(MessageDao.text == "x")


def test_counters_are_added_to() -> None:
    query = TallyDao.increment(name="n", slot=1, hits=2, misses=-1)
    assert shape(query).changes == (Change("hits", "increment"), Change("misses", "increment"))
    assert params(query) == (2, -1, "n", 1)
    assert not bound(query).options.idempotent
    assert params(TallyDao.increment_static(name="n", total=3)) == (3, "n")
    with pytest.raises(InvalidValue, match="hits takes an int"):
        params(TallyDao.increment(name="n", slot=1, hits=1.5))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="counters take no timestamp"):
        TallyDao.delete(name="n", slot=1).timestamp(5)
    with pytest.raises(TypeError, match="counters know no conditions"):
        TallyDao.delete(name="n", slot=1).if_exists()


def test_deletes_of_rows_and_partitions() -> None:
    query = MessageDao.delete(**KEY).timestamp(5)
    assert shape(query).where == OF_ROW
    assert params(query) == (5, "r", 1, 2)
    assert shape(MessageDao.delete_partition(**PARTITION)).where == OF_PARTITION
    assert params(MessageDao.delete_slice(**PARTITION, at_most=9)) == ("r", 1, 9)


@pytest.mark.parametrize(
    ("query", "idempotent"),
    [
        (MessageDao.insert(Message("r", 1, 2)), True),
        (MessageDao.update(**KEY).set(text="x").add(readers={1}).put(attrs={"a": "b"}).set_place(zip=1), True),
        (MessageDao.update(**KEY).discard(tags=["x"]), True),
        (MessageDao.update(**KEY).append(tags=["x"]), False),
        (MessageDao.update(**KEY).prepend(tags=["x"]), False),
        (MessageDao.update(**KEY).put_at(tags={0: "x"}), False),
        (MessageDao.update(**KEY).append(tags=["x"]).options(idempotent=True), True),
        (MessageDao.delete(**KEY), True),
        (MessageDao.delete(**KEY).if_exists(), False),
        (MessageDao.delete(**KEY).if_exists().options(idempotent=True), True),
        (MessageDao.insert(Message("r", 1, 2), if_not_exists=True), False),
        (MessageDao.slice(**PARTITION).count(), True),
        (MessageDao.get(**KEY).options(idempotent=False), False),
    ],
)
def test_what_may_be_done_twice(query: cql.Query[Any], idempotent: bool) -> None:
    assert bound(query).options.idempotent is idempotent


def test_options_are_kept_by_what_is_made_of_a_query() -> None:
    rows = MessageDao.slice(**PARTITION).options(consistency="ONE", page_size=10)
    for query in (rows, rows.limit(3), rows.first(), rows.values(MessageDao.text), rows.count().options(timeout_ms=7)):
        assert bound(query).options.consistency == "ONE"
        assert bound(query).options.page_size == 10
    assert bound(rows.count().options(timeout_ms=7)).options.timeout_ms == 7
    one = MessageDao.get(**KEY).options(consistency="TWO").value(MessageDao.text)
    assert bound(one).options.consistency == "TWO"
    guarded = MessageDao.delete(**KEY).options(consistency="ALL").if_exists()
    assert bound(guarded).options == Options("ALL", idempotent=False)
    with pytest.raises(ValueError, match="timeout_ms is at least 1, not 0"):
        rows.options(timeout_ms=0)


# --- conditions ------------------------------------------------------------------------------------------------------


def test_conditions_of_a_write() -> None:
    query = (
        MessageDao.update(**KEY)
        .set(text="b")
        .ttl(9)
        .if_(
            MessageDao.text == "a",
            MessageDao.likes.is_not_null(),
            MessageDao.tags.contains("t"),
            MessageDao.attrs.entry("k") == "v",
        )
    )
    assert shape(query).conditions == (
        Relation(("text",), "="),
        Relation(("likes",), "!="),
        Relation(("tags",), "contains"),
        Relation(("attrs",), "entry"),
    )
    assert not shape(query).if_exists
    assert params(query) == (9, "b", "r", 1, 2, "a", None, "t", "k", "v")
    assert shape(MessageDao.delete(**KEY).if_exists()).if_exists


def test_conditions_that_can_not_be() -> None:
    update = MessageDao.update(**KEY).set(text="b")
    with pytest.raises(TypeError, match="needs conditions"):
        update.if_()
    with pytest.raises(TypeError, match="bucket is of the key"):
        update.if_(MessageDao.bucket == 1)
    with pytest.raises(TypeError, match="the timestamp that the engine gives it"):
        update.timestamp(5).if_exists()
    with pytest.raises(TypeError, match="the timestamp that the engine gives it"):
        MessageDao.insert(Message("r", 1, 2), timestamp=5).if_not_exists()
    with pytest.raises(TypeError, match=r"likes can't be compared with None: use is_null\(\)"):
        update.if_(MessageDao.likes > None)  # type: ignore[operator]


def test_a_write_that_was_not_applied_tells_of_the_row_there_is() -> None:
    query = MessageDao.insert(Message("r", 1, 2), if_not_exists=True)
    names = tuple(reversed(MessageDao.table.names))
    told = read(query, tuple(reversed(row(text="x"))), applied=False, names=names)
    assert not told.applied
    assert told.exists
    assert told.row == Message("r", 1, 2, text="x")
    assert told.value(MessageDao.tags) == []


def test_a_condition_tells_what_it_looked_at() -> None:
    query = MessageDao.update(**KEY).set(text="b").if_(MessageDao.text == "a")
    told = read(query, ("c",), applied=False, names=("text",))
    assert told.value(MessageDao.text) == "c"
    assert told.row is None
    with pytest.raises(KeyError):
        told.value(MessageDao.likes)
    missing = read(query, applied=False)
    assert (missing.applied, missing.exists, missing.row) == (False, False, None)
    assert read(query, applied=True).applied


# --- values ----------------------------------------------------------------------------------------------------------


def refused(query: cql.Query[Any]) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        query.resolve()
    return caught.value


def test_a_value_that_does_not_fit_names_its_place() -> None:
    error = refused(MessageDao.get(room_key="r", bucket="secret", message_id=2))  # type: ignore[arg-type]
    assert str(error) == "sun_msg.message.bucket takes an int, not str of length 6"
    assert (error.table, error.column, error.value) == ("sun_msg.message", "bucket", "str of length 6")
    assert "is never null" in str(refused(MessageDao.insert(Message("r", cql.NULL, 2))))
    assert "takes no None" in str(refused(MessageDao.get(room_key="r", bucket=None, message_id=2)))  # type: ignore[arg-type]
    assert "takes no None" in str(refused(MessageDao.get_in(**PARTITION, message_id=[1, None])))  # type: ignore[list-item]
    assert "is made of what takes a str" in str(refused(MessageDao.insert(Message("r", 1, 2, tags=[5]))))  # type: ignore[list-item]


def test_values_are_made_plain() -> None:
    assert params(MessageDao.get(room_key="r", bucket=True, message_id=2)) == ("r", 1, 2)
    assert type(params(MessageDao.get(room_key="r", bucket=True, message_id=2))[1]) is int
    embedding = MessageDao.insert(Message("r", 1, 2, embedding=[1, 2, 3]))
    assert params(embedding)[-1] == [1.0, 2.0, 3.0]
    assert type(params(embedding)[-1][0]) is float


def test_keys_have_a_size() -> None:
    assert "takes no empty value" in str(refused(TallyDao.get(name="", slot=1)))
    assert params(MessageDao.get(room_key="", bucket=1, message_id=1)) == ("", 1, 1)
    assert params(TallyDao.get(name="x" * 65_535, slot=1))[1] == 1
    assert "takes at most 65535 bytes" in str(refused(TallyDao.get(name="é" * 32_768, slot=1)))
    room = "x" * (65_535 - 4 - 6)  # of a composite key each column has three bytes around it
    assert params(MessageDao.get(room_key=room, bucket=1, message_id=1))[0] == room
    assert "65535 bytes together" in str(refused(MessageDao.get(room_key=room + "x", bucket=1, message_id=1)))
    page = "x" * (65_535 - 8)
    assert params(VisitDao.get(user_id=1, day=DAY, hour=1, page=page))[3] == page
    assert "65535 bytes together" in str(refused(VisitDao.get(user_id=1, day=DAY, hour=1, page=page + "x")))


# --- batches ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_warned", set[frozenset[str]]())


def test_a_batch_is_its_parts() -> None:
    insert, delete = MessageDao.insert(Message("r", 1, 2)), MessageDao.delete(**KEY)
    request = cql.batch([insert, delete], timestamp=5).options(consistency="ALL").resolve().request
    assert isinstance(request, Batch)
    assert (request.kind, request.timestamp) == ("logged", 5)
    assert [part.statement for part in request.parts] == [shape(insert), shape(delete)]
    assert request.options == Options("ALL", idempotent=True)
    many = cql.unlogged_batch([VisitDao.insert_many([Visit(1, DAY, hour, "x") for hour in range(3)])]).resolve().request
    assert isinstance(many, Batch)
    assert (many.kind, len(many.parts)) == ("unlogged", 3)
    assert not cql.counter_batch([TallyDao.increment(name="n", slot=1, hits=1)]).resolve().request.options.idempotent


def test_a_batch_with_conditions_is_of_one_partition() -> None:
    update = MessageDao.update(**KEY).set(text="x").ttl(5)
    guarded = MessageDao.update(**PARTITION, message_id=3).put_at(tags={0: "a"}).if_(MessageDao.text == "b")
    query = cql.batch([update, guarded, MessageDao.update_static(**PARTITION).set(topic="t")])
    request = query.resolve().request
    assert not request.options.idempotent
    told = read(query, ("c",), applied=False, names=("text",))
    assert told.value(MessageDao.text) == "c"
    other = MessageDao.update(room_key="s", bucket=1, message_id=2).set(text="x")
    with pytest.raises(UnsafeStatement, match="is of one partition, not of 2"):
        cql.batch([other, guarded]).resolve()
    with pytest.raises(UnsafeStatement, match="the timestamp that the engine gives it"):
        cql.batch([update.timestamp(5), guarded]).resolve()


def test_batches_that_may_not_run() -> None:
    count = TallyDao.increment(name="n", slot=1, hits=1)
    with pytest.raises(UnsafeStatement, match="needs writes"):
        cql.batch([]).resolve()
    for make in (cql.batch, cql.unlogged_batch, cql.counter_batch):
        with pytest.raises(UnsafeStatement, match="no other writes"):
            make([count, MessageDao.delete(**KEY)]).resolve()
    with pytest.raises(UnsafeStatement, match="no other writes"):
        cql.batch([count]).resolve()
    with pytest.raises(UnsafeStatement, match="not of both"):
        cql.batch([MessageDao.delete(**KEY).timestamp(5)], timestamp=6).resolve()
    with pytest.raises(TypeError, match="a batch holds writes of rows, not Get"):
        cql.batch([MessageDao.get(**KEY)])  # type: ignore[list-item]


def test_a_batch_that_spans_partitions_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    def both(room: str) -> list[cql.Query[None]]:
        return [MessageDao.delete(**KEY), MessageDao.delete(room_key=room, bucket=1, message_id=2)]

    with caplog.at_level(logging.WARNING):
        cql.batch(both("r")).resolve()
        assert not caplog.records
        cql.batch(both("s")).resolve()
        cql.unlogged_batch(both("t")).resolve()
    assert [record.getMessage() for record in caplog.records] == [
        "a logged batch spans partitions of sun_msg.message: its writes are not seen as one"
    ]
