"""The generated DAOs, each test on every engine, in asyncio and in synchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import pytest

from generated.sql.sun import (
    Follow,
    FollowDao,
    Post,
    PostDao,
    ProfileAll,
    ProfileAllDao,
    Session,
    SessionDao,
    TriggerLog,
    TriggerLogDao,
    User,
    UserDao,
)
from runtime import sql
from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.errors import InvalidValue, ResultMismatch, UniqueViolation, UnsafeStatement
from runtime.sql.queries import Query
from runtime.sql.sync import connect_sync

T = TypeVar("T")
DDL = Path(__file__).parents[2] / "generated" / "ddl"


class Run(Protocol):
    """Runs a query on the store under test."""

    def __call__(self, query: Query[T]) -> T: ...


@pytest.fixture(params=["asyncio", "synchronous"])
def run(request: pytest.FixtureRequest, sql_url: str) -> Iterator[Run]:
    async def prepare() -> Database:
        db = await connect(sql_url)
        await create(db, {"sun": (DDL / db.dialect.name / "sun.sql").read_text("utf-8")})
        return db

    with asyncio.Runner() as loop:
        db = loop.run(prepare())
        try:
            if request.param == "asyncio":
                yield lambda query: loop.run(db.run(query))
            else:
                with connect_sync(sql_url) as sync:
                    yield sync.run
        finally:
            loop.run(db.close())


def post(post_id: int, user_id: int = 7, **values: Any) -> Post:
    fields = {"post_key": f"key{post_id}", "post_type": 1, "text": "hi", "created_ms": 1_000 + post_id}
    return Post(post_id=post_id, user_id=user_id, **(fields | values))


def user(user_id: int, name: str, **values: Any) -> User:
    return User(user_id, name, name.lower(), "hash", 1_000, **values)


def ids(rows: list[Post]) -> list[int]:
    return [row.post_id for row in rows]


def test_a_row_is_found_by_each_of_its_keys(run: Run) -> None:
    row = user(1, "Ada", phone="+31612345678")
    run(UserDao.insert(row))
    assert run(UserDao.get(1)) == row
    assert run(UserDao.by_user_name("ada")) == row
    assert run(UserDao.by_phone("+31612345678")) == row
    assert run(UserDao.get(2)) is None


def test_text_compares_by_case_on_every_engine(run: Run) -> None:
    run(UserDao.insert(user(1, "Ada")))
    assert run(UserDao.by_user_name("ADA")) is None
    assert run(UserDao.where(UserDao.user_name == "ada").count()) == 0
    assert run(UserDao.where(UserDao.user_name.starts_with("A")).count()) == 1
    assert run(UserDao.where(UserDao.user_name.starts_with("a")).count()) == 0


@pytest.mark.parametrize(
    "text", ["50% off_", "back\\slash", 'quote\'s "two"', "new\nline", "\N{PILE OF POO}", "%s %% ?"]
)
def test_any_text_is_stored_found_and_matched_as_it_is(run: Run, text: str) -> None:
    run(PostDao.insert_many([post(1, text=text), post(2, text="other")]))
    assert run(PostDao.get(1)) == post(1, text=text)
    assert ids(run(PostDao.where(PostDao.text == text))) == [1]
    assert ids(run(PostDao.where(PostDao.text.starts_with(text)))) == [1]


def test_pages_by_index_cover_everything_once(run: Run) -> None:
    run(PostDao.insert_many([post(n, is_archived=n % 5 == 0) for n in range(1, 26)] + [post(99, user_id=8)]))
    seen: list[int] = []
    before: int | None = None
    while page := run(PostDao.by_user(7, False, before=before, limit=6)):
        seen += ids(page)
        before = page[-1].post_id
    assert seen == [n for n in range(25, 0, -1) if n % 5]
    assert ids(run(PostDao.by_user(7, False, after=20, limit=3))) == [21, 22, 23]
    assert ids(run(PostDao.by_user(7, False, after=20, before=23))) == [22, 21]


def test_a_composite_primary_key_has_a_finder_for_its_beginning(run: Run) -> None:
    rows = [ProfileAll(user_id=u, sort_id=s, post_id=s) for u in (1, 2) for s in (10, 20, 30)]
    run(ProfileAllDao.insert_many(rows))
    assert [row.sort_id for row in run(ProfileAllDao.by_user_id(2, before=30))] == [20, 10]
    assert run(ProfileAllDao.get(1, 20)) == rows[1]
    assert run(ProfileAllDao.delete(user_id=1, sort_id=20)) == 1
    assert run(ProfileAllDao.all().count()) == 5


def test_conditions_select_as_they_read(run: Run) -> None:
    run(PostDao.insert_many([post(n, likes=n % 4, rich_text="x" if n % 2 else None) for n in range(1, 13)]))
    cases: list[tuple[Any, Callable[[int], bool]]] = [
        (PostDao.likes == 2, lambda n: n % 4 == 2),
        (PostDao.likes != 2, lambda n: n % 4 != 2),
        (PostDao.post_id.in_([3, 5, 500]), lambda n: n in (3, 5)),
        (PostDao.post_id.in_([]), lambda n: False),
        (PostDao.post_id.not_in([]), lambda n: True),
        (PostDao.post_id.not_in([3, 5]), lambda n: n not in (3, 5)),
        (PostDao.post_id.between(4, 6), lambda n: 4 <= n <= 6),
        (PostDao.rich_text.is_null(), lambda n: n % 2 == 0),
        (PostDao.rich_text.is_not_null(), lambda n: n % 2 == 1),
        ((PostDao.likes == 1) | (PostDao.post_id > 10), lambda n: n % 4 == 1 or n > 10),
        (~((PostDao.likes == 1) & (PostDao.post_id > 4)), lambda n: not (n % 4 == 1 and n > 4)),
        (PostDao.likes >= PostDao.post_id, lambda n: n % 4 >= n),
        (PostDao.is_archived == True, lambda n: False),  # noqa: E712
    ]
    for condition, expected in cases:
        found = run(PostDao.where(condition).order_by(PostDao.post_id.asc()))
        assert ids(found) == [n for n in range(1, 13) if expected(n)], condition


def test_order_limit_offset_first_count_and_values(run: Run) -> None:
    run(PostDao.insert_many([post(n, likes=n % 3) for n in range(1, 8)]))
    by_likes = PostDao.all().order_by(PostDao.likes.desc(), PostDao.post_id.asc())
    assert ids(run(by_likes)) == [2, 5, 1, 4, 7, 3, 6]
    assert ids(run(by_likes.limit(2).offset(3))) == [4, 7]
    first = run(by_likes.first())
    assert first is not None
    assert first.post_id == 2
    assert run(by_likes.limit(3).values(PostDao.post_id)) == [2, 5, 1]
    assert run(PostDao.where(PostDao.likes == 0).count()) == 2
    assert run(PostDao.all().limit(3).values(PostDao.is_archived)) == [False, False, False]


def test_update_sets_and_adds_signed_amounts(run: Run) -> None:
    run(PostDao.insert_many([post(1, likes=5), post(2, likes=5)]))
    assert run(PostDao.update(PostDao.post_id == 1).set(text="new", rich_text=None).increment(likes=-2, views=3)) == 1
    assert run(PostDao.get(1)) == post(1, likes=3, views=3, text="new")
    assert run(PostDao.get(2)) == post(2, likes=5)
    assert run(PostDao.update(PostDao.post_id == 9).set(text="x")) == 0


def test_what_has_no_condition_needs_to_say_everywhere(run: Run) -> None:
    run(PostDao.insert_many([post(1), post(2)]))
    with pytest.raises(UnsafeStatement):
        run(PostDao.update().set(likes=1))
    with pytest.raises(UnsafeStatement):
        run(PostDao.delete())
    assert run(PostDao.update().set(likes=1).everywhere()) == 2
    assert run(PostDao.delete().everywhere()) == 2


def test_upsert_adds_or_changes_and_keeps_other_rows(run: Run) -> None:
    run(PostDao.insert(post(1, likes=5)))
    assert run(PostDao.upsert(post(1, text="new"))) == 1
    assert run(PostDao.upsert(post(2))) == 1
    assert run(PostDao.all().order_by(PostDao.post_id.asc())) == [post(1, text="new"), post(2)]
    assert run(PostDao.upsert_many([post(n, likes=9) for n in range(1, 4)])) == 3
    assert run(PostDao.all().values(PostDao.likes)) == [9, 9, 9]


def test_upsert_never_takes_over_another_row(run: Run) -> None:
    run(PostDao.insert_many([post(1), post(2)]))
    with pytest.raises((UniqueViolation, InvalidValue)):
        run(PostDao.upsert(post(3, post_key="key1")))
    assert run(PostDao.all().order_by(PostDao.post_id.asc())) == [post(1), post(2)]


def test_insert_if_absent_tells_whether_it_did(run: Run) -> None:
    assert run(FollowDao.insert_if_absent(Follow(1, 7, 8, 1_000))) == 1
    assert run(FollowDao.insert_if_absent(Follow(2, 7, 8, 2_000))) == 0
    assert run(FollowDao.by_user_followed(7, 8)) == Follow(1, 7, 8, 1_000)


def test_insert_many_of_nothing_is_nothing(run: Run) -> None:
    assert run(PostDao.insert_many([])) == 0
    assert run(PostDao.upsert_many([])) == 0


def test_insert_many_is_all_or_nothing_over_its_statements(run: Run) -> None:
    rows = [post(n) for n in range(3_000)]
    with pytest.raises(UniqueViolation) as clash:
        run(PostDao.insert_many([*rows, post(5_000, post_key="key1")]))
    assert (clash.value.table, clash.value.key) == ("sun.post", "post_by_post_key")
    assert run(PostDao.all().count()) == 0
    assert run(PostDao.insert_many(rows)) == 3_000


def test_an_auto_increment_id_comes_back(run: Run) -> None:
    entry = TriggerLog(table_name="post", change_type=1, row_key="1", created_ms=1)
    first, second = run(TriggerLogDao.insert(entry)), run(TriggerLogDao.insert(entry))
    assert second > first > 0
    assert run(TriggerLogDao.get(second)) == msgspec.structs.replace(entry, trigger_log_id=second)
    assert run(TriggerLogDao.insert_many([entry] * 3)) == 3


def test_bytes_are_kept_and_compared_as_they_are(run: Run) -> None:
    token_hash = bytes(range(224, 256))
    run(SessionDao.insert(Session(1, 7, token_hash, 1, 2, 3)))
    assert run(SessionDao.by_token_hash(token_hash)) == Session(1, 7, token_hash, 1, 2, 3)
    assert run(SessionDao.by_token_hash(bytes(32))) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"post_key": "k" * 17},
        {"post_type": 128},
        {"likes": 1 << 63},
        {"text": None},
        {"created_ms": "soon"},
    ],
)
def test_a_value_that_does_not_fit_is_refused_alike(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        run(PostDao.insert(post(1, **wrong)))
    assert run(PostDao.all().count()) == 0


def test_many_keys_give_the_rows_that_exist_by_key(run: Run) -> None:
    rows = [post(n) for n in range(1, 40)]
    run(PostDao.insert_many(rows))
    assert run(PostDao.get_many([3, 500, 1, 3])) == {1: post(1), 3: post(3)}
    assert run(PostDao.get_many([])) == {}
    assert run(PostDao.get_many(range(40_000))) == {row.post_id: row for row in rows}


def test_many_composite_keys_are_tuples(run: Run) -> None:
    rows = {(u, s): ProfileAll(user_id=u, sort_id=s, post_id=s) for u in (1, 2) for s in range(10, 20)}
    run(ProfileAllDao.insert_many(rows.values()))
    some = [(2, 12), (1, 11), (2, 12), (3, 11), (1, 10)]
    assert run(ProfileAllDao.get_many(some)) == {key: rows[key] for key in some if key in rows}
    assert run(ProfileAllDao.get_many((u, s) for u in range(100) for s in range(100))) == rows


def test_exists_and_count_take_conditions(run: Run) -> None:
    run(PostDao.insert_many([post(n, likes=n) for n in range(4)]))
    assert run(PostDao.exists(PostDao.likes == 3, PostDao.user_id == 7)) is True
    assert run(PostDao.exists(PostDao.likes == 4)) is False
    assert run(PostDao.by_user(7, False, limit=1).exists()) is True
    assert run(PostDao.count(PostDao.likes > 0)) == 3
    assert run(PostDao.count()) == 4


def test_columns_are_chosen_and_told_once(run: Run) -> None:
    run(PostDao.insert_many([post(n, likes=n % 2, rich_text="x" if n % 2 else None) for n in range(1, 6)]))
    ordered = PostDao.where(PostDao.post_id < 4).order_by(PostDao.post_id.desc())
    assert run(ordered.select(PostDao.post_id, PostDao.rich_text, PostDao.is_archived)) == [
        (3, "x", False),
        (2, None, False),
        (1, "x", False),
    ]
    assert run(ordered.limit(1).select(PostDao.text)) == [("hi",)]
    assert run(ordered.values(PostDao.rich_text)) == ["x", None, "x"]
    once = PostDao.all().distinct().order_by(PostDao.likes.asc())
    assert run(once.values(PostDao.likes)) == [0, 1]
    assert run(once.select(PostDao.likes, PostDao.rich_text)) == [(0, None), (1, "x")]


def test_sums_and_extremes(run: Run) -> None:
    nothing = PostDao.where(PostDao.post_id == 0)
    assert run(nothing.sum(PostDao.likes)) is None
    assert run(nothing.min(PostDao.text)) is None
    assert run(nothing.avg(PostDao.likes)) is None
    likes = [1, 1, 2, -5]
    run(PostDao.insert_many([post(n, likes=each, text=f"t{n}") for n, each in enumerate(likes, 1)]))
    rows = PostDao.where(PostDao.post_id < 4).limit(1)
    total = run(rows.sum(PostDao.likes))
    assert (total, type(total)) == (4, int)
    assert run(PostDao.all().min(PostDao.likes)) == -5
    run(PostDao.update(PostDao.post_id > 2).set(is_archived=True))
    assert run(PostDao.all().sum(PostDao.is_archived)) == 2
    assert run(PostDao.all().max(PostDao.is_archived)) is True
    assert run(PostDao.all().max(PostDao.text)) == "t4"
    assert run(rows.avg(PostDao.likes)) == pytest.approx(4 / 3, rel=1e-12)


def test_groups_are_counted_and_summed(run: Run) -> None:
    assert run(PostDao.all().group_by(PostDao.user_id).count()) == {}
    run(
        PostDao.insert_many(
            [post(n, user_id=n % 2, likes=n, rich_text="x" if n == 1 else None, is_archived=n > 2) for n in range(1, 5)]
        )
    )
    assert run(PostDao.all().group_by(PostDao.user_id).count()) == {0: 2, 1: 2}
    assert run(PostDao.where(PostDao.likes > 1).group_by(PostDao.rich_text).count()) == {None: 3}
    sums = run(PostDao.all().group_by(PostDao.is_archived).sum(PostDao.likes))
    assert sums == {False: 3, True: 7}
    assert {type(key) for key in sums} == {bool}
    assert run(PostDao.all().group_by(PostDao.user_id, PostDao.is_archived).max(PostDao.likes)) == {
        (0, False): 2,
        (0, True): 4,
        (1, False): 1,
        (1, True): 3,
    }
    assert run(PostDao.all().group_by(PostDao.user_id).min(PostDao.rich_text)) == {0: None, 1: "x"}


def test_rows_are_locked_by_one_or_passed_over(run: Run) -> None:
    run(PostDao.insert_many([post(1), post(2)]))
    jobs = PostDao.where(PostDao.user_id == 7).order_by(PostDao.post_id.asc()).limit(1)
    assert ids(run(jobs.for_update())) == [1]
    assert ids(run(jobs.skip_locked())) == [1]


def test_update_row_writes_what_differs(run: Run) -> None:
    old = post(1, likes=5)
    run(PostDao.insert(old))
    run(PostDao.update(PostDao.post_id == 1).increment(likes=1))
    new = msgspec.structs.replace(old, text="new", rich_text="x")
    assert run(PostDao.update_row(old, new)) == 1
    assert run(PostDao.get(1)) == msgspec.structs.replace(new, likes=6)
    assert run(PostDao.update_row(new, new)) == 0
    assert run(PostDao.update_row(post(9), post(9, text="new"))) == 0
    with pytest.raises(ValueError, match="differ in their primary key: post_id"):
        PostDao.update_row(post(1), post(2))


class Liked(msgspec.Struct, frozen=True):
    user_id: int
    posts: int
    likes: int
    is_archived: bool
    note: str | None


def test_raw_sql_gives_typed_rows_on_every_engine(run: Run) -> None:
    run(PostDao.insert_many([post(n, user_id=n % 2, likes=n, text="100% 'sure'?") for n in range(1, 5)]))
    query = sql.raw(
        "SELECT `user_id`, COUNT(*), SUM(likes), MAX(is_archived), NULL FROM {sun.post} -- is {this} a table?\n"
        " WHERE text LIKE ? ESCAPE '!' AND via <> '?%{x}''' AND likes > ? AND likes % 2 < 5"
        " GROUP BY user_id ORDER BY user_id",
        "100!% %",
        1,
        into=Liked,
    )
    assert run(query) == [Liked(0, 2, 6, False, None), Liked(1, 1, 3, False, None)]
    assert run(sql.raw("SELECT text FROM {sun.post} WHERE post_id = ?", 99, into=Liked)) == []
    with pytest.raises(ResultMismatch, match="Liked has 5 fields, the rows 1 columns"):
        run(sql.raw("SELECT text FROM {sun.post}", into=Liked))
    with pytest.raises(ResultMismatch, match="Expected `int`"):
        run(sql.raw("SELECT text, 1, 1, 1, NULL FROM {sun.post}", into=Liked))
    assert run(sql.raw_write("UPDATE {sun.post} SET text = ? WHERE likes > ?", "new", 2)) == 2
    assert run(PostDao.where(PostDao.text == "new").values(PostDao.post_id)) == [3, 4]
