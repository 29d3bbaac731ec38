"""The value side of SQL: what text and parameters a query becomes, and which are refused. No engine is asked."""

from __future__ import annotations

import decimal
from typing import Any

import pytest

from runtime import sql
from runtime.sql import types
from runtime.sql.dialects import MYSQL, SQLITE
from runtime.sql.errors import InvalidValue, UnsafeStatement
from runtime.sql.queries import Batch, Many, Select
from runtime.sql.statements import Outcome


class Note(sql.Row, frozen=True, gc=False):
    note_id: int
    user_id: int
    title: str
    likes: int = 0
    body: str | None = None


class NoteUpdate(sql.Update):
    def set(self, **values: Any) -> NoteUpdate:
        return self._set(values)

    def increment(self, **amounts: Any) -> NoteUpdate:
        return self._increment(amounts)


class NoteDao(sql.Dao[Note]):
    note_id: sql.Column[Note, int] = sql.Column("note_id", types.Int())
    user_id: sql.Column[Note, int] = sql.Column("user id", types.Int())
    title: sql.Column[Note, str] = sql.Column("title%", types.Text(10))
    likes: sql.Column[Note, int] = sql.Column("likes", types.Int())
    body: sql.NullableColumn[Note, str] = sql.NullableColumn("body", types.Text())
    table = sql.Table("app", "note", Note, [note_id, user_id, title, likes, body], primary_key=[note_id])
    _get = sql.Finder(table, [note_id])
    _by_user = sql.Finder(table, [user_id], order=[note_id])
    _by_likes = sql.Finder(table, [user_id], order=[likes, note_id])


def sqlite(query: sql.Query[Any]) -> tuple[str, tuple[Any, ...]]:
    statement, params = query.resolve()
    return statement.text(SQLITE), statement.encode(params, SQLITE)


def mysql(query: sql.Query[Any]) -> str:
    return query.resolve()[0].text(MYSQL)


def where(query: sql.Query[Any]) -> tuple[str, tuple[Any, ...]]:
    text, params = sqlite(query)
    return text.partition(" WHERE ")[2], params


def test_each_dialect_quotes_and_places_in_its_own_way() -> None:
    query = NoteDao.where(NoteDao.title == "x", NoteDao.user_id > 3)
    assert mysql(query) == (
        "SELECT `note_id`, `user id`, `title%%`, `likes`, `body` FROM `app`.`note`"
        " WHERE (`title%%` = %s AND `user id` > %s)"
    )
    assert sqlite(query) == (
        'SELECT "note_id", "user id", "title%", "likes", "body" FROM "app.note" WHERE ("title%" = ? AND "user id" > ?)',
        ("x", 3),
    )


def test_conditions_group_as_written() -> None:
    either = (NoteDao.likes == 1) | (NoteDao.likes == 2)
    assert where(NoteDao.where(either & ~(NoteDao.user_id == 7))) == (
        '(("likes" = ? OR "likes" = ?) AND NOT ("user id" = ?))',
        (1, 2, 7),
    )


def test_between_null_and_column_comparisons() -> None:
    assert where(NoteDao.where(NoteDao.likes.between(1, 5))) == ('("likes" >= ? AND "likes" <= ?)', (1, 5))
    assert where(NoteDao.where(NoteDao.body.is_null())) == ('"body" IS NULL', ())
    assert where(NoteDao.where(NoteDao.body.is_not_null())) == ('NOT ("body" IS NULL)', ())
    assert where(NoteDao.where(NoteDao.likes < NoteDao.user_id)) == ('"likes" < "user id"', ())


@pytest.mark.parametrize(("count", "padded"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_a_list_is_padded_so_that_few_texts_exist(count: int, padded: int) -> None:
    text, params = where(NoteDao.where(NoteDao.user_id.in_(range(count))))
    assert text.count("?") == len(params) == padded
    assert set(params) == set(range(count))


def test_an_empty_list_matches_nothing_and_its_negation_everything() -> None:
    assert where(NoteDao.where(NoteDao.user_id.in_([]))) == ("1 = 0", ())
    assert where(NoteDao.where(NoteDao.user_id.not_in([]))) == ("1 = 1", ())


def test_a_prefix_search_escapes_wildcards() -> None:
    assert where(NoteDao.where(NoteDao.title.starts_with("50%_\\"))) == (
        "\"title%\" LIKE ? ESCAPE '\\'",
        ("50\\%\\_\\\\%",),
    )


def test_conditions_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match="combine conditions with &"):
        bool(NoteDao.likes == 1)


def test_comparing_with_none_names_the_column() -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match=r"column body can't be compared with None: use is_null\(\)"):
        _ = NoteDao.body == nothing
    with pytest.raises(TypeError, match="None in a list"):
        NoteDao.body.in_([nothing])


def test_update_and_delete_without_a_condition_are_refused() -> None:
    update = NoteUpdate.of(NoteDao.table, ()).set(likes=1)
    with pytest.raises(UnsafeStatement, match=r"update of app\.note has no condition"):
        update.resolve()
    assert sqlite(update.everywhere()) == ('UPDATE "app.note" SET "likes" = ?', (1,))
    delete = NoteDao._delete((), {})
    with pytest.raises(UnsafeStatement, match=r"delete of app\.note has no condition"):
        delete.resolve()
    assert sqlite(delete.everywhere()) == ('DELETE FROM "app.note"', ())


def test_update_sets_and_adds_signed_amounts() -> None:
    query = NoteUpdate.of(NoteDao.table, (NoteDao.note_id == 42,)).set(title="hi").increment(likes=-1)
    assert sqlite(query) == (
        'UPDATE "app.note" SET "title%" = ?, "likes" = ("likes" + ?) || \'\' WHERE "note_id" = ?',
        ("hi", -1, 42),
    )


def test_an_update_is_a_value_that_later_calls_do_not_change() -> None:
    base = NoteUpdate.of(NoteDao.table, (NoteDao.note_id == 1,)).set(likes=1)
    base.set(likes=2)
    assert sqlite(base)[1] == (1, 1)


def test_update_refuses_nothing_both_and_unknown_columns() -> None:
    update = NoteUpdate.of(NoteDao.table, (NoteDao.note_id == 1,))
    with pytest.raises(ValueError, match="sets nothing"):
        update.resolve()
    with pytest.raises(ValueError, match="both sets and increments likes"):
        update.set(likes=1).increment(likes=1).resolve()
    with pytest.raises(TypeError, match=r"app\.note has no column nope"):
        update.set(nope=1)


def test_delete_by_key_takes_the_whole_key_or_conditions() -> None:
    assert sqlite(NoteDao._delete((), {"note_id": 5})) == ('DELETE FROM "app.note" WHERE "note_id" = ?', (5,))
    with pytest.raises(TypeError, match="its whole primary key"):
        NoteDao._delete((), {"likes": 5})
    with pytest.raises(TypeError, match="its whole primary key"):
        NoteDao._delete((NoteDao.likes == 1,), {"note_id": 5})


def test_pages_go_down_from_before_and_up_from_after() -> None:
    down = NoteDao._by_user.page((7,), 100, None, 20)
    assert where(down) == ('("user id" = ? AND "note_id" < ?) ORDER BY "note_id" DESC LIMIT ?', (7, 100, 20))
    up = NoteDao._by_user.page((7,), None, 100, 20)
    assert where(up) == ('("user id" = ? AND "note_id" > ?) ORDER BY "note_id" ASC LIMIT ?', (7, 100, 20))


def test_a_cursor_over_two_columns_settles_ties() -> None:
    text, params = where(NoteDao._by_likes.page((7,), (5, 100), None, 20))
    assert text == (
        '("user id" = ? AND ("likes" <= ? AND ("likes" < ? OR "note_id" < ?)))'
        ' ORDER BY "likes" DESC, "note_id" DESC LIMIT ?'
    )
    assert params == (7, 5, 5, 100, 20)
    with pytest.raises(ValueError, match="has 2 values, not 3"):
        NoteDao._by_likes.page((7,), (1, 2, 3), None, 20)


def test_a_key_is_never_none() -> None:
    with pytest.raises(TypeError, match=r"app\.note: no row is found by None"):
        NoteDao._get.one(None)


@pytest.mark.parametrize("limit", [-1, -100])
def test_limits_are_not_negative(limit: int) -> None:
    with pytest.raises(ValueError, match=f"can't be negative: {limit}"):
        NoteDao.all().limit(limit)
    with pytest.raises(ValueError, match=f"can't be negative: {limit}"):
        NoteDao.all().offset(limit)


def test_offset_needs_a_limit() -> None:
    with pytest.raises(ValueError, match=r"offset\(\) needs a limit\(\)"):
        NoteDao.all().offset(3).resolve()


def test_count_first_and_values_read_what_they_say() -> None:
    assert sqlite(NoteDao.where(NoteDao.likes > 1).count()) == (
        'SELECT COUNT(*) FROM "app.note" WHERE "likes" > ?',
        (1,),
    )
    assert sqlite(NoteDao.all().values(NoteDao.title)) == ('SELECT "title%" FROM "app.note"', ())
    statement, params = NoteDao.all().order_by(NoteDao.likes.desc()).first().resolve()
    assert statement.text(SQLITE).endswith('ORDER BY "likes" DESC LIMIT ?')
    assert params == (1,)
    assert statement.read(Outcome([(1, 2, "a", 3, None)]), SQLITE) == Note(1, 2, "a", 3)
    assert statement.read(Outcome([]), SQLITE) is None


def test_a_shape_is_rendered_once() -> None:
    one, _ = NoteDao.where(NoteDao.likes == 1).limit(5).resolve()
    two, _ = NoteDao.where(NoteDao.likes == 2).limit(9).resolve()
    assert one is two


def test_insert_many_is_cut_below_the_placeholder_limit() -> None:
    query = NoteDao.insert_many(Note(i, 1, "t") for i in range(10_000))
    assert isinstance(query, Batch)
    sizes = [len(params) for _, params in (part.resolve() for part in query.parts)]
    assert sum(sizes) == 50_000
    assert max(sizes) <= SQLITE.max_parameters


def test_insert_many_is_cut_by_size_too() -> None:
    query = NoteDao.insert_many(Note(i, 1, "t", body="x" * 1_000_000) for i in range(4))
    assert isinstance(query, Batch)
    assert [len(part.resolve()[1]) // 5 for part in query.parts] == [2, 2]


def test_a_row_of_another_table_is_refused() -> None:
    class Other(sql.Row, frozen=True):
        note_id: int

    stranger: Any = Other(1)
    with pytest.raises(TypeError, match=r"app\.note takes rows of Note, not Other"):
        NoteDao.insert(stranger)


def test_upsert_never_replaces() -> None:
    text, _ = sqlite(NoteDao.upsert(Note(1, 2, "t")))
    assert text.startswith("INSERT INTO")
    assert 'ON CONFLICT ("note_id") DO UPDATE SET "user id" = excluded."user id"' in text
    assert "ON DUPLICATE KEY UPDATE `user id` = VALUES(`user id`)" in mysql(NoteDao.upsert(Note(1, 2, "t")))


def test_rows_are_locked_where_the_engine_locks_rows() -> None:
    assert mysql(NoteDao.all().for_update()).endswith("FROM `app`.`note` FOR UPDATE")
    assert mysql(NoteDao.all().limit(1).skip_locked()).endswith(" LIMIT %s FOR UPDATE SKIP LOCKED")
    assert sqlite(NoteDao.all().skip_locked())[0].endswith('FROM "app.note"')


def test_update_row_names_only_what_differs_and_nothing_where_nothing_does() -> None:
    old = Note(1, 2, "t", likes=3)
    assert sqlite(NoteDao.update_row(old, Note(1, 2, "u", likes=3, body="b"))) == (
        'UPDATE "app.note" SET "title%" = ?, "body" = ? WHERE "note_id" = ?',
        ("u", "b", 1),
    )
    nothing = NoteDao.update_row(old, Note(1, 2, "t", likes=3))
    assert isinstance(nothing, Batch)
    assert nothing.parts == ()


def test_many_keys_are_told_once_and_cut_below_the_placeholder_limit() -> None:
    text, params = where(NoteDao._get.many([5, 6, 5, 7]))
    assert text == '"note_id" IN (?, ?, ?, ?) LIMIT ?'
    assert params == (5, 6, 7, 7, 3)
    many = NoteDao._get.many(range(40_000))
    assert isinstance(many, Many)
    sizes = [len(part.resolve()[1]) for part in many.parts()]
    assert max(sizes) <= SQLITE.max_parameters
    nothing_at_all = NoteDao._get.many([])
    assert isinstance(nothing_at_all, Many)
    assert nothing_at_all.parts() == []
    nothing: Any = None
    with pytest.raises(TypeError, match=r"app\.note: no row is found by None"):
        NoteDao._get.many([1, nothing])


def test_distinct_is_for_values() -> None:
    once = NoteDao.all().distinct()
    assert sqlite(once.values(NoteDao.likes))[0] == 'SELECT DISTINCT "likes" FROM "app.note"'
    for wrong in (once.count, once.exists, lambda: once.sum(NoteDao.likes)):
        with pytest.raises(ValueError, match=r"distinct\(\) is for values\(\) and select\(\)"):
            wrong()


def test_decimals_are_added_exactly_on_every_engine() -> None:
    class Bill(sql.Row, frozen=True):
        amount: decimal.Decimal

    amount: sql.Column[Bill, decimal.Decimal] = sql.Column("amount", types.Decimal(10, 2))
    bills = Select(sql.Table("app", "bill", Bill, [amount]), None)
    statement, _ = bills.sum(amount).resolve()
    assert statement.text(SQLITE) == 'SELECT GROUP_CONCAT("amount") FROM "app.bill"'
    assert statement.read(Outcome([("10.10,0.20,9.00",)]), SQLITE) == decimal.Decimal("19.30")
    assert statement.text(MYSQL) == "SELECT SUM(`amount`) FROM `app`.`bill`"
    greatest, _ = bills.max(amount).resolve()
    assert greatest.read(Outcome([("10.10,0.20,9.00",)]), SQLITE) == decimal.Decimal("10.10")


def test_raw_sql_names_tables_and_parameters_as_the_engine_does() -> None:
    query = sql.raw("SELECT note_id FROM {app.note} WHERE `title%` LIKE '?%' AND likes = ?", 5, into=Note)
    assert sqlite(query) == ('SELECT note_id FROM "app.note" WHERE "title%" LIKE \'?%\' AND likes = ?', (5,))
    assert mysql(query) == "SELECT note_id FROM `app`.`note` WHERE `title%%` LIKE '?%%' AND likes = %s"
    again = sql.raw("SELECT note_id FROM {app.note} WHERE `title%` LIKE '?%' AND likes = ?", 6, into=Note)
    assert again.resolve()[0] is query.resolve()[0]


@pytest.mark.parametrize(
    "text", ['SELECT "a"', "SELECT 'a\\'b'", "SELECT 'a", "SELECT {a}", "SELECT 1 # x", "SELECT 1--1"]
)
def test_raw_sql_that_engines_read_in_different_ways_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not read alike by every engine"):
        sql.raw(text, into=Note)


def test_raw_sql_counts_and_knows_its_parameters() -> None:
    with pytest.raises(ValueError, match="has 2 placeholders and 1 parameters"):
        sql.raw("SELECT ?, ?", 1, into=Note)
    with pytest.raises(TypeError, match="can't be a list"):
        sql.raw("SELECT ?", [1], into=Note)
    with pytest.raises(InvalidValue, match="parameter 1 takes"):
        sqlite(sql.raw("SELECT ?", 1 << 64, into=Note))
