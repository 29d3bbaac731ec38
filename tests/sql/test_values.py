"""Values that a column can't hold are refused before any engine is asked, naming table, column and what was given."""

from __future__ import annotations

import datetime
import decimal
import enum
from typing import Any

import pytest

from generated.sql.sun import Post, PostDao, TriggerLog, TriggerLogDao
from runtime.sql import types
from runtime.sql.dialects import MYSQL, SQLITE
from runtime.sql.errors import InvalidValue
from runtime.sql.queries import Batch, Query
from runtime.sql.statements import Param, Statement

NAIVE = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
AWARE = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
FINE = datetime.timedelta(microseconds=1)


class Kind(enum.IntEnum):
    TEXT = 1


def dec(text: str) -> decimal.Decimal:
    return decimal.Decimal(text)


ACCEPTED: list[tuple[types.SqlType[Any], list[Any]]] = [
    (types.Bool(), [True, False]),
    (types.Int(8), [-128, 127, True, Kind.TEXT]),
    (types.Int(24, signed=False), [0, 2**24 - 1]),
    (types.Int(64), [-(2**63), 2**63 - 1]),
    (types.Int(64, signed=False), [2**64 - 1]),
    (types.Float(), [1.5, 2, -1e308]),
    (types.Float(32), [3.4e38]),
    (types.Decimal(5, 2), [dec("0"), dec("-999.99"), dec("1.500"), dec("1E+2"), dec("0E-9")]),
    (types.Text(3), ["", "abc", "\N{PILE OF POO}" * 3]),
    (types.Text(max_bytes=4), ["abcd", "\N{PILE OF POO}"]),
    (types.Text(3, fixed=True), ["", " ab", "é"]),
    (types.Bytes(2), [b"", b"ab", bytearray(b"ab")]),
    (types.Bytes(2, fixed=True), [b"ab", bytearray(b"\0\0")]),
    (types.Date(), [datetime.date(2024, 2, 29)]),
    (types.Time(), [HOUR, -838 * HOUR, FINE]),
    (types.Time(3), [HOUR, -1000 * FINE]),
    (types.DateTime(), [NAIVE, NAIVE + FINE]),
    (types.DateTime(0), [NAIVE]),
    (types.Timestamp(), [AWARE, AWARE + FINE, EPOCH + FINE, END - FINE]),
    (types.Timestamp(1), [AWARE + 100_000 * FINE]),
    (types.Year(), [0, 1901, 2155]),
    (types.Json(), [{"a": [1, None]}, "text", 5]),
    (types.Bits(12), [0, 4095]),
    (types.Choice[Any](("red", "green")), ["red"]),
    (types.Choices(("mon", "tue")), [frozenset(), frozenset({"tue"})]),
]

REFUSED: list[tuple[types.SqlType[Any], list[Any]]] = [
    (types.Bool(), [1, 0, "yes", 1.0]),
    (types.Int(8), [-129, 128, "1", 1.0, b"1"]),
    (types.Int(24, signed=False), [-1, 2**24]),
    (types.Int(64), [2**63, 10**5000]),
    (types.Float(), ["1", float("nan"), float("inf"), 10**400, dec("1")]),
    (types.Float(32), [3.5e38]),
    (types.Decimal(5, 2), [dec("1000"), dec("0.001"), dec("1E+3"), dec("nan"), dec("inf"), 1.5, 1]),
    (types.Text(3), ["abcd", 5, b"abc", "\ud800", "é\udfff"]),
    (types.Text(max_bytes=4), ["abcde", "\N{PILE OF POO}a"]),
    (types.Text(3, fixed=True), ["a ", "abcd", 5, "\ud800"]),
    (types.Bytes(2), [b"abc", "ab"]),
    (types.Bytes(2, fixed=True), [b"a", b"abc", "ab"]),
    (types.Date(), [AWARE, "2024-01-01"]),
    (types.Time(), [839 * HOUR, datetime.time(1)]),
    (types.Time(3), [100 * FINE, -FINE]),
    (types.DateTime(), [AWARE, datetime.date(2024, 1, 1)]),
    (types.DateTime(0), [NAIVE + FINE]),
    (types.Timestamp(), [NAIVE, 5, EPOCH, END, datetime.datetime.max.replace(tzinfo=datetime.UTC)]),
    (types.Timestamp(1), [AWARE + 10_000 * FINE]),
    (types.Year(), [5, 1900, 2156, "2000"]),
    (types.Bits(12), [-1, 4096, "1"]),
    (types.Choice[Any](("red", "green")), ["blue", "RED", 1]),
    (types.Choices(("mon", "tue")), [frozenset({"sun"}), "mon"]),
]


@pytest.mark.parametrize(("kind", "values"), ACCEPTED)
def test_what_fits_is_accepted(kind: types.SqlType[Any], values: list[Any]) -> None:
    for value in values:
        assert kind.fault(value) is None, value


@pytest.mark.parametrize(("kind", "values"), REFUSED)
def test_what_does_not_fit_is_refused_alone_and_among_others(kind: types.SqlType[Any], values: list[Any]) -> None:
    (fine,) = [accepted[:1] for other, accepted in ACCEPTED if other == kind]
    for value in values:
        assert kind.fault(value), value
        assert not kind.fits()(value), value
        assert not kind.all_fit([*fine, value, *fine]), value


def post(post_id: int = 1, **values: Any) -> Post:
    fields = {"post_key": f"key{post_id}", "post_type": 1, "text": "hi", "created_ms": 1_000}
    return Post(post_id=post_id, user_id=7, **(fields | values))


def encoded(query: Query[Any]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for each in query.parts if isinstance(query, Batch) else [query]:
        statement, params = each.resolve()
        assert statement.encode(params, MYSQL) == statement.encode(params, SQLITE)
        found.append(statement.encode(params, SQLITE))
    return found


def refusal(query: Query[Any]) -> InvalidValue:
    with pytest.raises(InvalidValue) as refused:
        encoded(query)
    return refused.value


WRONG: list[dict[str, Any]] = [
    {"post_key": "k" * 17},
    {"post_type": 128},
    {"likes": 1 << 63},
    {"text": None},
    {"text": "\ud800"},
    {"created_ms": "soon"},
    {"is_archived": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("rows", [1, 5, 2_500])
def test_every_write_names_the_column_of_a_wrong_value(wrong: dict[str, Any], rows: int) -> None:
    (column,) = wrong
    many = [*(post(n) for n in range(rows - 1)), post(rows, **wrong)]
    queries: list[Query[Any]] = [PostDao.insert_many(many), PostDao.upsert_many(many)]
    if rows == 1:
        queries += [PostDao.insert(many[0]), PostDao.upsert(many[0]), PostDao.insert_if_absent(many[0])]
        queries.append(PostDao.update(PostDao.post_id == 1).set(**wrong))
    for query in queries:
        error = refusal(query)
        assert (error.table, error.column) == ("sun.post", column)
        assert str(error).startswith(f"sun.post.{column} takes ")


def test_messages_show_numbers_but_of_texts_only_the_size() -> None:
    assert str(refusal(PostDao.insert(post(post_type=300)))) == (
        "sun.post.post_type takes an int from -128 to 127, not int 300"
    )
    long = refusal(PostDao.insert(post(post_key="secret" * 5)))
    assert str(long) == "sun.post.post_key takes at most 16 characters, not str of length 30"
    assert long.value == "str of length 30"
    nothing: Any = None
    assert str(refusal(PostDao.insert(post(text=nothing)))) == "sun.post.text takes no NULL"
    assert "int of 3322 bits" in str(refusal(PostDao.insert(post(likes=10**1_000 - 1))))


def test_conditions_hold_values_to_the_type_but_not_to_the_length() -> None:
    wrong: Any = "7"
    for condition in (
        PostDao.user_id == wrong,
        PostDao.user_id.in_([1, wrong, 3]),
        PostDao.user_id.between(1, wrong),
        (PostDao.likes > 1) & ~(PostDao.user_id < wrong),
        PostDao.user_id == 1 << 63,
    ):
        for query in (PostDao.where(condition).limit(3), PostDao.where(condition).count(), PostDao.delete(condition)):
            assert refusal(query).column == "user_id"
    assert encoded(PostDao.where(PostDao.post_key == "k" * 100).limit(3)) == [("k" * 100, 3)]
    assert refusal(PostDao.where(PostDao.text.like("\ud800%"))).column == "text"


def test_a_key_of_a_wrong_type_is_refused() -> None:
    for wrong in ("1", 1.0, 1 << 63):
        key: Any = wrong
        assert refusal(PostDao.get(key)).column == "post_id"
        assert refusal(PostDao.by_user(key, False)).column == "user_id"


def test_an_increment_is_signed_and_of_the_columns_kind() -> None:
    update = PostDao.update(PostDao.post_id == 1)
    assert encoded(update.increment(likes=-5)) == [(-5, 1)]
    wrong: Any = "5"
    assert refusal(update.increment(likes=wrong)).column == "likes"
    assert refusal(update.increment(likes=1 << 64)).column == "likes"


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_members_of_enums_become_what_drivers_know(rows: int) -> None:
    (params,) = encoded(PostDao.insert_many([post(n, post_type=Kind.TEXT) for n in range(rows)]))
    assert {type(value) for value in params[3 :: len(params) // rows]} == {int}


@pytest.mark.parametrize("rows", [1, 50])
def test_null_fits_where_the_schema_says_so(rows: int) -> None:
    (params,) = encoded(PostDao.insert_many([post(n, rich_text="x" if n % 2 else None) for n in range(rows)]))
    assert params.count(None) == (rows + 1) // 2
    entry = TriggerLog(table_name="post", change_type=1, row_key="1", created_ms=1)
    assert encoded(TriggerLogDao.insert(entry))[0].count(None) == 1


@pytest.mark.parametrize("wrong", [{1, 2}, float("nan"), {"at": AWARE}], ids=str)
def test_what_json_can_not_say_is_refused_by_name(wrong: Any) -> None:
    statement = Statement("app.note", lambda dialect: "", lambda o, d: None, takes=(Param("extra", types.Json()),))
    assert statement.encode(({"a": "é"},), SQLITE) == ('{"a":"é"}',)
    with pytest.raises(InvalidValue, match=r"^app\.note\.extra can't hold it: ") as refused:
        statement.encode((wrong,), SQLITE)
    assert refused.value.column == "extra"
