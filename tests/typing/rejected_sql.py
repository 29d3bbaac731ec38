"""Uses of a DAO that a type checker must refuse. Never run: tests/typing/test_typing.py reads what pyright says of it.

A line that must be refused ends with `# error: ` and pyright's rule.
"""

from __future__ import annotations

from typing import assert_type

from generated.proto.sun.rows.v1.post_pb2 import Post as PostMessage
from generated.proto.sun.rows.v1.user_pb2 import User as UserMessage
from generated.sql.sun import Post, PostDao, ProfileAll, ProfileAllDao, SessionDao, UserDao
from runtime import sql
from runtime.sql.database import Database
from runtime.sql.sync import SyncDatabase


async def accepted(db: Database, sync: SyncDatabase) -> None:
    assert_type(await db.run(PostDao.get(42)), Post | None)
    assert_type(sync.run(PostDao.get(42)), Post | None)
    assert_type(await db.run(PostDao.by_user(7, False, before=5, limit=20)), list[Post])
    assert_type(await db.run(PostDao.where(PostDao.user_id == 7).values(PostDao.text)), list[str])
    assert_type(await db.run(PostDao.where(PostDao.user_id.in_([1, 2])).first()), Post | None)
    assert_type(await db.run(PostDao.update(PostDao.post_id == 1).set(text="hi").increment(likes=-1)), int)
    assert_type(await db.run(PostDao.delete(post_id=1)), int)
    assert_type(await db.run(PostDao.get_many([1, 2])), dict[int, Post])
    assert_type(await db.run(ProfileAllDao.get_many([(1, 2)])), dict[tuple[int, int], ProfileAll])
    assert_type(db.cached(PostDao.get(42)), Post | None)
    assert_type(sync.cached(PostDao.get_many([1]), 5), dict[int, Post] | int)
    assert_type(await db.run(PostDao.get(42).fresh()), Post | None)
    assert_type(await db.run(PostDao.get_many([1]).fresh()), dict[int, Post])
    db.hook(PostDao, sql.Hooks[Post]())
    assert_type(await db.run(PostDao.exists(PostDao.post_id == 1)), bool)
    assert_type(await db.run(PostDao.all().values(PostDao.rich_text)), list[str | None])
    chosen = PostDao.all().distinct().select(PostDao.post_id, PostDao.rich_text, PostDao.is_archived)
    assert_type(await db.run(chosen), list[tuple[int, str | None, bool]])
    assert_type(await db.run(PostDao.all().sum(PostDao.likes)), int | None)
    assert_type(await db.run(PostDao.all().sum(PostDao.is_archived)), int | None)
    assert_type(await db.run(PostDao.all().max(PostDao.rich_text)), str | None)
    assert_type(await db.run(PostDao.all().avg(PostDao.likes)), float | None)
    assert_type(await db.run(PostDao.all().group_by(PostDao.user_id).count()), dict[int, int])
    assert_type(await db.run(PostDao.all().group_by(PostDao.rich_text).sum(PostDao.likes)), dict[str | None, int])
    assert_type(await db.run(PostDao.all().group_by(PostDao.user_id).min(PostDao.rich_text)), dict[int, str | None])
    pairs = PostDao.all().group_by(PostDao.user_id, PostDao.is_archived)
    assert_type(await db.run(pairs.count()), dict[tuple[int, bool], int])
    assert_type(PostDao.post_id.name, str)
    message = PostDao.to_message(Post(1, 2, "key", 3, "hi", 4))
    assert_type(message, PostMessage)
    assert_type(PostDao.from_message(PostMessage.FromString(message.SerializeToString())), Post)
    assert_type(await db.run(sql.raw("SELECT * FROM {sun.post} WHERE text = ?", "hi", into=Post)), list[Post])


async def rejected(db: Database) -> None:
    PostDao.get("42")  # error: reportArgumentType
    PostDao.get(id=42)  # error: reportCallIssue
    PostDao.by_user(7)  # error: reportCallIssue
    PostDao.by_user(7, False, before="x")  # error: reportArgumentType
    PostDao.where("user_id = 7")  # error: reportArgumentType
    PostDao.where(PostDao.user_id == "seven")  # error: reportArgumentType
    PostDao.where(PostDao.user_id > None)  # error: reportOperatorIssue
    PostDao.where(UserDao.user_id == 7)  # error: reportArgumentType
    PostDao.where(PostDao.user_id == UserDao.user_id)  # error: reportOperatorIssue
    PostDao.where(PostDao.user_id.like("x%"))  # error: reportAttributeAccessIssue
    PostDao.where(PostDao.user_id.in_(["a"]))  # error: reportArgumentType
    PostDao.nonsense  # error: reportAttributeAccessIssue
    PostDao.update(PostDao.post_id == 1).set(text=5)  # error: reportArgumentType
    PostDao.update(PostDao.post_id == 1).set(nonsense=5)  # error: reportCallIssue
    PostDao.update(PostDao.post_id == 1).set(text=None)  # error: reportArgumentType
    PostDao.update(PostDao.post_id == 1).increment(text=1)  # error: reportCallIssue
    db.hook(UserDao, sql.Hooks[Post]())  # error: reportArgumentType
    PostDao.get_many(["a"])  # error: reportArgumentType
    ProfileAllDao.get_many([1])  # error: reportArgumentType
    PostDao.all().values(UserDao.user_id)  # error: reportArgumentType
    PostDao.all().sum(PostDao.text)  # error: reportArgumentType
    word = str(db)
    sql.raw(f"SELECT post_id FROM {{sun.post}} WHERE text = '{word}'", into=Post)  # error: reportArgumentType
    sql.raw("SELECT post_id FROM {sun.post} WHERE text = ?", word, into=str)  # error: reportArgumentType
    PostDao.delete(user_id=1)  # error: reportCallIssue
    PostDao.to_message(PostMessage())  # error: reportArgumentType
    PostDao.from_message(Post(1, 2, "key", 3, "hi", 4))  # error: reportArgumentType
    PostDao.from_message(UserMessage())  # error: reportArgumentType
    PostDao.insert(await db.run(SessionDao.get(1)))  # error: reportArgumentType
    post = await db.run(PostDao.get(42))
    print(post.text)  # error: reportOptionalMemberAccess
    assert post is not None
    post.text = "rows are shared and never change"  # error: reportAttributeAccessIssue
