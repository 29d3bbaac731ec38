"""Where a post is found besides its own row: its tags, the profile of its author, those whom it mentions.

A standing post has a row in each place; an archived or deleted one has none. Every function runs inside the transaction
that changes the post, whose row its caller holds, so the counters of tags change exactly when the rows do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from generated.sql.sun import (
    BlockDao,
    Post,
    ProfileAll,
    ProfileAllDao,
    ProfileMentioned,
    ProfileMentionedDao,
    Tag,
    TagDao,
    TagPost,
    TagPostDao,
    User,
    UserDao,
)
from handlers.accounts import is_active
from handlers.text_entities import MOST_MENTIONS, hashtags, mentions
from runtime.ids import IdGenerator
from runtime.sql.database import Runner


async def put(tx: Runner, ids: IdGenerator, post: Post) -> None:
    """Into every place, for a post that is in none."""
    await tx.run(ProfileAllDao.insert(ProfileAll(user_id=post.user_id, sort_id=post.post_id, post_id=post.post_id)))
    await _mention(tx, post, await _mentioned(tx, post))
    # Tags last: many posts carry the same ones, and wait for each other from here to the commit.
    await _tag(tx, post, await _tag_ids(tx, ids, hashtags(post.text), post.created_ms))


async def move(tx: Runner, ids: IdGenerator, post: Post) -> None:
    """From the places of its former text to those of this one."""
    mine = ProfileMentionedDao.post_id == post.post_id
    former_users = set(await tx.run(ProfileMentionedDao.where(mine).values(ProfileMentionedDao.user_id)))
    users = set(await _mentioned(tx, post))
    if gone := former_users - users:
        await tx.run(ProfileMentionedDao.delete(mine, ProfileMentionedDao.user_id.in_(sorted(gone))))
    await _mention(tx, post, users - former_users)
    former_tags = await _tags_of(tx, post.post_id)
    tags = set(await _tag_ids(tx, ids, hashtags(post.text), post.edited_ms))
    await _untag(tx, post.post_id, former_tags - tags)
    await _tag(tx, post, tags - former_tags)


async def take(tx: Runner, post: Post) -> None:
    """Out of every place. Reshares by others stay in their profiles."""
    own = (ProfileAllDao.user_id == post.user_id, ProfileAllDao.sort_id == post.post_id)
    await tx.run(ProfileAllDao.delete(*own))
    await tx.run(ProfileMentionedDao.delete(ProfileMentionedDao.post_id == post.post_id))
    await _untag(tx, post.post_id, await _tags_of(tx, post.post_id))


async def _tags_of(tx: Runner, post_id: int) -> set[int]:
    return set(await tx.run(TagPostDao.where(TagPostDao.post_id == post_id).values(TagPostDao.tag_id)))


async def _tag_ids(tx: Runner, ids: IdGenerator, names: Sequence[str], now_ms: int) -> list[int]:
    """The ids of the tags of these names, which are made where they are missing."""
    if not names:
        return []
    named = TagDao.where(TagDao.tag_name.in_(names)).limit(len(names))
    known = await tx.run(named.values(TagDao.tag_name))
    missing = sorted(set(names) - set(known))
    if missing:
        # In one order, so that two posts with the same new tags wait for each other instead of each for the other.
        for name in missing:
            await tx.run(TagDao.insert_if_absent(Tag(tag_id=ids.next(), tag_name=name, created_ms=now_ms)))
    return await tx.run(named.values(TagDao.tag_id))


async def _tag(tx: Runner, post: Post, tag_ids: Collection[int]) -> None:
    if tag_ids:
        rows = [
            TagPost(tag_id=each, post_id=post.post_id, post_type=post.post_type, user_id=post.user_id)
            for each in tag_ids
        ]
        await tx.run(TagPostDao.insert_many(rows))
        await tx.run(TagDao.update(TagDao.tag_id.in_(sorted(tag_ids))).increment(posts=1))


async def _untag(tx: Runner, post_id: int, tag_ids: Collection[int]) -> None:
    if tag_ids:
        carried = (TagPostDao.post_id == post_id, TagPostDao.tag_id.in_(sorted(tag_ids)))
        await tx.run(TagPostDao.delete(*carried))
        await tx.run(TagDao.update(TagDao.tag_id.in_(sorted(tag_ids))).increment(posts=-1))


async def _mentioned(tx: Runner, post: Post) -> list[int]:
    """The users whom the text mentions, but for its author and those who have blocked the author or are blocked."""
    names = mentions(post.text)
    if not names:
        return []
    users: list[User] = await tx.run(UserDao.where(UserDao.user_name_lower.in_(names)).limit(MOST_MENTIONS))
    found = sorted(user.user_id for user in users if is_active(user) and user.user_id != post.user_id)
    by_author = BlockDao.where(BlockDao.user_id == post.user_id, BlockDao.blocked_user_id.in_(found))
    of_author = BlockDao.where(BlockDao.user_id.in_(found), BlockDao.blocked_user_id == post.user_id)
    blocked = {
        *await tx.run(by_author.values(BlockDao.blocked_user_id)),
        *await tx.run(of_author.values(BlockDao.user_id)),
    }
    return [user_id for user_id in found if user_id not in blocked]


async def _mention(tx: Runner, post: Post, user_ids: Collection[int]) -> None:
    if user_ids:
        rows = [
            ProfileMentioned(user_id=each, post_id=post.post_id, post_user_id=post.user_id) for each in sorted(user_ids)
        ]
        await tx.run(ProfileMentionedDao.insert_many(rows))
