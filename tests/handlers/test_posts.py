"""Posts: what adding, editing, archiving and deleting one changes elsewhere, who sees it, and how pages follow."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from generated.proto.sun.v1.enums_pb2 import PRIVACY_NOBODY
from generated.proto.sun.v1.social_pb2 import (
    AddPostRequest,
    ArchivePostRequest,
    DeletePostRequest,
    EditPostRequest,
    GetPostRequest,
    ListNewestPostsRequest,
    ListUserPostsRequest,
)
from generated.proto.sun.v1.user_pb2 import ChangePrivacyRequest
from generated.proto.sun.v1.views_pb2 import PostView
from generated.rpc.sun.v1.errors import NotPostOwner, PostNotFound, ProfilePrivate, UserNotFound
from generated.sql.sun import (
    Block,
    BlockDao,
    Post,
    PostDao,
    PostDeletedDao,
    PostKeyDao,
    ProfileAllDao,
    ProfileMentionedDao,
    TagDao,
    TagPostDao,
    User,
    UserDao,
)
from handlers import post_places, social
from runtime.generated.rpc.sun.errors import BadRequest
from runtime.sql.database import Database
from tests.handlers.people import Caller, Person, World, asynchronous, world


async def tags(people: World) -> dict[str, int]:
    """How many posts each tag says it has, which is how many there are."""
    said: dict[str, int] = {}
    for tag in await people.db.run(TagDao.all()):
        said[tag.tag_name] = tag.posts
        assert await people.db.run(TagPostDao.where(TagPostDao.tag_id == tag.tag_id).count()) == tag.posts
    return said


async def mentioned(people: World, post: PostView) -> set[int]:
    rows = ProfileMentionedDao.where(ProfileMentionedDao.post_id == post.post_id)
    return set(await people.db.run(rows.values(ProfileMentionedDao.user_id)))


async def row_of(people: World, person: Person) -> User:
    user = await people.db.run(UserDao.get(person.user_id))
    assert user is not None
    return user


async def in_profile(people: World, person: Person) -> set[int]:
    rows = ProfileAllDao.where(ProfileAllDao.user_id == person.user_id)
    return set(await people.db.run(rows.values(ProfileAllDao.post_id)))


async def blocks(people: World, blocker: Person, blocked: Person) -> None:
    block_id = people.app.platform.ids.next()
    await people.db.run(BlockDao.insert(Block(block_id, blocker.user_id, blocked.user_id, people.clock.now_ms)))


async def edits(person: Person, post: PostView, text: str) -> PostView:
    return (await person.call.social.edit_post(EditPostRequest(post_id=post.post_id, text=text))).post


async def archives(person: Person, post: PostView, archived: bool = True) -> PostView:
    request = ArchivePostRequest(post_id=post.post_id, archived=archived)
    return (await person.call.social.archive_post(request)).post


async def deletes(person: Person, post: PostView) -> None:
    await person.call.social.delete_post(DeletePostRequest(post_id=post.post_id))


async def hides(person: Person) -> None:
    await person.call.user.change_privacy(ChangePrivacyRequest(profile=PRIVACY_NOBODY))


async def get(caller: Caller, post: PostView) -> PostView:
    return (await caller.social.get_post(GetPostRequest(post_id=post.post_id))).post


# Adding


@asynchronous
async def test_a_post_is_counted_tagged_and_found_by_id_and_key(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("Bob_B")
        request = AddPostRequest(text="Hi @bob_b #Math #math \U0001f600", via="test", comments_disabled=True)
        post = (await ada.call.social.add_post(request)).post
        assert (post.text, post.via, post.comments_disabled) == (request.text, "test", True)
        assert (post.user.user_name, post.created_ms, post.edited_ms) == ("ada_l", people.clock.now_ms, 0)
        by_key = await people.caller().social.get_post(GetPostRequest(post_key=post.post_key))
        assert by_key.post == await get(people.caller(), post) == post

        author = await row_of(people, ada)
        assert (author.posts, author.post_seq, author.last_post_ms) == (1, 1, people.clock.now_ms)
        assert await tags(people) == {"math": 1}
        assert await mentioned(people, post) == {bob.user_id}
        assert await in_profile(people, ada) == {post.post_id}
        key = await people.db.run(PostKeyDao.get(post.post_key))
        assert key is not None
        assert key.post_id == post.post_id


@asynchronous
async def test_only_open_accounts_that_block_nobody_concerned_are_mentioned(sql_url: str) -> None:
    async with world(sql_url) as people:
        names = ("ada_l", "friend", "banned", "blocker", "blocked")
        ada, friend, banned, blocker, blocked = [await people.person(name) for name in names]
        await people.db.run(UserDao.update(UserDao.user_id == banned.user_id).set(is_banned=True))
        await blocks(people, blocker, ada)
        await blocks(people, ada, blocked)
        post = await ada.posts("@ada_l @FRIEND @banned @blocker @blocked @nobody_here")
        assert await mentioned(people, post) == {friend.user_id}


@asynchronous
async def test_a_text_must_be_there_and_not_too_long(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        for text in ("", " \n", "x" * 2001):
            with pytest.raises(BadRequest):
                await ada.posts(text)
        post = await ada.posts("\U0001f600" * 2000)
        assert (await get(ada.call, post)).text == "\U0001f600" * 2000


@asynchronous
async def test_posts_at_once_get_dense_numbers_and_exact_counters(sql_url: str) -> None:
    async with world(sql_url) as people:
        authors = [await people.person(f"user_{number}") for number in range(3)]
        orders = itertools.cycle(itertools.permutations(("#red", "#green", "#blue", "#grey")))
        await asyncio.gather(*(author.posts(" ".join(next(orders))) for author in authors for _ in range(8)))
        for author in authors:
            rows = await people.db.run(PostDao.where(PostDao.user_id == author.user_id))
            assert sorted(row.seq for row in rows) == [*range(1, 9)]
            row = await row_of(people, author)
            assert (row.posts, row.post_seq) == (8, 8)
        assert await tags(people) == dict.fromkeys(("red", "green", "blue", "grey"), 24)


@asynchronous
async def test_a_post_that_fails_half_way_leaves_nothing(sql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("half way")

    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        monkeypatch.setattr(post_places, "put", broken)
        with pytest.raises(Exception, match="internal"):
            await ada.posts("#one")
        row = await row_of(people, ada)
        assert (row.posts, row.post_seq, row.last_post_ms) == (0, 0, 0)
        assert await people.db.run(PostDao.all().count()) == await people.db.run(PostKeyDao.all().count()) == 0


@asynchronous
async def test_a_key_that_was_used_before_is_not_used_again(sql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        first = await ada.posts("one")
        await deletes(ada, first)
        keys = iter([first.post_key, first.post_key, "another"])
        monkeypatch.setattr(social, "new_post_key", lambda: next(keys))
        assert (await ada.posts("two")).post_key == "another"
        with pytest.raises(PostNotFound):
            await people.caller().social.get_post(GetPostRequest(post_key=first.post_key))


# Editing


@asynchronous
async def test_an_edit_moves_hashtags_and_mentions(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob, eve = [await people.person(name) for name in ("ada_l", "bob_b", "eve_e")]
        post = await ada.posts("#one #two @bob_b")
        await ada.posts("#two")
        people.clock.now_ms += 5
        edited = await edits(ada, post, "#two #three @eve_e")
        assert (edited.text, edited.edited_ms) == ("#two #three @eve_e", people.clock.now_ms)
        assert edited == await get(people.caller(), post)
        assert await tags(people) == {"one": 0, "two": 2, "three": 1}
        assert await mentioned(people, edited) == {eve.user_id}
        await edits(ada, post, "plain")
        assert await tags(people) == {"one": 0, "two": 1, "three": 0}
        assert await mentioned(people, edited) == set()
        assert (await row_of(people, bob)).posts == 0


@asynchronous
async def test_an_edit_that_changes_nothing_is_none(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        post = await ada.posts("#one")
        people.clock.now_ms += 5
        assert await edits(ada, post, "#one") == post
        request = EditPostRequest(post_id=post.post_id, text="#one", comments_disabled=True)
        closed = (await ada.call.social.edit_post(request)).post
        assert (closed.comments_disabled, closed.edited_ms) == (True, 0)
        assert (await edits(ada, post, "#one #two")).comments_disabled


@asynchronous
async def test_edits_at_once_leave_the_tags_of_the_text_that_stands(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        post = await ada.posts("#start")
        texts = [f"#tag{number} #tag{(number + 1) % 6}" for number in range(6)]
        await asyncio.gather(*(edits(ada, post, text) for text in texts))
        stands = (await get(ada.call, post)).text
        assert {name for name, posts in (await tags(people)).items() if posts} == set(stands.replace("#", "").split())


# Archiving and deleting


@asynchronous
async def test_archiving_hides_and_brings_back_and_twice_is_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        post = await ada.posts("#one @bob_b")
        for _ in range(2):
            assert (await archives(ada, post)).is_archived
            assert (await row_of(people, ada)).posts == 0
            assert await tags(people) == {"one": 0}
            assert await mentioned(people, post) == set()
            assert await in_profile(people, ada) == set()
        assert (await get(ada.call, post)).is_archived
        for caller in (bob.call, people.caller()):
            with pytest.raises(PostNotFound):
                await get(caller, post)
        for _ in range(2):
            assert await archives(ada, post, archived=False) == post
            assert (await row_of(people, ada)).posts == 1
            assert await tags(people) == {"one": 1}
            assert await mentioned(people, post) == {bob.user_id}
            assert await in_profile(people, ada) == {post.post_id}


@asynchronous
async def test_an_archived_post_is_edited_out_of_sight(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        post = await ada.posts("#one")
        await archives(ada, post)
        await edits(ada, post, "#two")
        assert await tags(people) == {"one": 0}
        await archives(ada, post, archived=False)
        assert await tags(people) == {"one": 0, "two": 1}


@asynchronous
async def test_archiving_at_once_counts_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        post, _ = await ada.posts("#one"), await ada.posts("#one")
        await asyncio.gather(*(archives(ada, post) for _ in range(6)))
        assert (await row_of(people, ada)).posts == 1
        assert await tags(people) == {"one": 1}


@asynchronous
async def test_a_deleted_post_is_gone_from_everywhere_but_its_mark_and_its_key(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, _ = await people.person("ada_l"), await people.person("bob_b")
        stays, post, hidden = await ada.posts("#one"), await ada.posts("#one @bob_b"), await ada.posts("#one")
        await archives(ada, hidden)
        await deletes(ada, hidden)
        assert (await row_of(people, ada)).posts == 2
        await deletes(ada, post)
        row = await row_of(people, ada)
        assert (row.posts, row.post_seq) == (1, 3)
        assert await tags(people) == {"one": 1}
        assert await mentioned(people, post) == set()
        assert await in_profile(people, ada) == {stays.post_id}
        mark = await people.db.run(PostDeletedDao.get(post.post_id))
        assert mark is not None
        assert (mark.user_id, mark.deleted_by, mark.deleted_ms) == (ada.user_id, ada.user_id, people.clock.now_ms)
        assert await people.db.run(PostKeyDao.get(post.post_key)) is not None
        for again in (get(ada.call, post), deletes(ada, post), edits(ada, post, "x"), archives(ada, post)):
            with pytest.raises(PostNotFound):
                await again


@asynchronous
async def test_deleting_and_archiving_at_once_count_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        posts = [await ada.posts("#one") for _ in range(4)]
        work = [deed(ada, post) for post in posts for deed in (deletes, archives, deletes)]
        results = await asyncio.gather(*work, return_exceptions=True)
        assert {type(each) for each in results if isinstance(each, Exception)} == {PostNotFound}
        assert (await row_of(people, ada)).posts == 0
        assert await tags(people) == {"one": 0}


# Who may


@asynchronous
async def test_the_post_of_another_is_theirs_and_one_out_of_sight_does_not_exist(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        seen, archived = await ada.posts("seen"), await ada.posts("archived")
        await archives(ada, archived)

        async def refused(post: PostView, kind: type[Exception]) -> None:
            for call in (edits(bob, post, "mine now"), archives(bob, post), deletes(bob, post)):
                with pytest.raises(kind):
                    await call

        await refused(seen, NotPostOwner)
        await refused(archived, PostNotFound)
        await hides(ada)
        await refused(seen, PostNotFound)
        for caller in (bob.call, people.caller()):
            with pytest.raises(PostNotFound):
                await get(caller, seen)
        assert (await get(ada.call, seen)).text == "seen"
        with pytest.raises(PostNotFound):
            await people.caller().social.get_post(GetPostRequest())


@asynchronous
async def test_those_who_block_see_no_posts_of_each_other(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        posts = {ada.user_id: await ada.posts("a"), bob.user_id: await bob.posts("b")}
        await blocks(people, ada, bob)
        for viewer, other in ((ada, bob), (bob, ada)):
            with pytest.raises(PostNotFound):
                await get(viewer.call, posts[other.user_id])
            with pytest.raises(UserNotFound):
                await viewer.call.social.list_user_posts(ListUserPostsRequest(user_id=other.user_id))
            newest = await viewer.call.social.list_newest_posts(ListNewestPostsRequest())
            assert [post.user.user_id for post in newest.posts] == [viewer.user_id]


# Pages


async def all_of(caller: Caller, user_id: int, limit: int, archived: bool = False) -> list[list[int]]:
    """The ids of a user's posts, page by page."""
    pages: list[list[int]] = []
    before = 0
    while True:
        request = ListUserPostsRequest(user_id=user_id, before_post_id=before, limit=limit, archived=archived)
        page = await caller.social.list_user_posts(request)
        pages.append([post.post_id for post in page.posts])
        before = page.next_before_post_id
        if before == 0:
            return pages


@asynchronous
async def test_pages_of_a_user_are_complete_newest_first_and_end_exactly(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        posts = [await ada.posts(str(number)) for number in range(9)]
        for post in posts[:3]:
            await archives(ada, post)
        standing = [post.post_id for post in reversed(posts[3:])]
        assert await all_of(people.caller(), ada.user_id, 3) == [standing[:3], standing[3:]]
        assert await all_of(people.caller(), ada.user_id, 4) == [standing[:4], standing[4:]]
        assert await all_of(people.caller(), ada.user_id, 0) == [standing]
        hidden = [post.post_id for post in reversed(posts[:3])]
        assert await all_of(ada.call, ada.user_id, 2, archived=True) == [hidden[:2], hidden[2:]]
        assert await all_of(people.caller(), ada.user_id, 2, archived=True) == [[]]


@asynchronous
async def test_the_posts_of_a_private_profile_are_for_its_owner(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        post = await ada.posts("mine")
        await hides(ada)
        for caller in (bob.call, people.caller()):
            with pytest.raises(ProfilePrivate) as error:
                await caller.social.list_user_posts(ListUserPostsRequest(user_id=ada.user_id))
            assert error.value.detail.user_id == ada.user_id
        assert await all_of(ada.call, ada.user_id, 0) == [[post.post_id]]
        with pytest.raises(UserNotFound):
            await people.caller().social.list_user_posts(ListUserPostsRequest(user_id=1))


@asynchronous
async def test_the_newest_posts_are_those_that_everybody_may_see_and_paging_goes_on_past_others(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob, eve = [await people.person(name) for name in ("ada_l", "bob_b", "eve_e")]
        await hides(bob)
        await people.db.run(UserDao.update(UserDao.user_id == eve.user_id).set(is_banned=True))
        seen: list[int] = []
        for _ in range(3):
            seen.append((await ada.posts("seen")).post_id)
            for _ in range(3):
                await bob.posts("private")
            row = Post(
                post_id=people.app.platform.ids.next(),
                user_id=eve.user_id,
                post_key=f"eve-{len(seen)}",
                post_type=1,
                text="of a banned user",
                created_ms=people.clock.now_ms,
            )
            await people.db.run(PostDao.insert(row))
        await archives(ada, await ada.posts("archived"))
        for caller in (people.caller(), bob.call):
            found: list[int] = []
            before, pages = 0, 0
            while before or not pages:
                request = ListNewestPostsRequest(before_post_id=before, limit=3)
                page = await caller.social.list_newest_posts(request)
                found += [post.post_id for post in page.posts]
                before, pages = page.next_before_post_id, pages + 1
            assert found == seen[::-1]
            assert pages == 5


@asynchronous
async def test_a_page_costs_the_same_few_queries_whatever_it_holds(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sqlite_url) as people:
        authors = [await people.person(f"user_{number}") for number in range(12)]
        for author in authors:
            await author.posts("hello")
        reader = authors[0].call
        await reader.social.list_newest_posts(ListNewestPostsRequest(limit=1))  # signs the connection in
        counted = 0
        run = Database.run

        async def counting(db: Database, query: object) -> object:
            nonlocal counted
            counted += 1
            return await run(db, query)  # type: ignore[arg-type]

        monkeypatch.setattr(Database, "run", counting)
        page = await reader.social.list_newest_posts(ListNewestPostsRequest())
        assert len(page.posts) == 12
        assert counted == 5
