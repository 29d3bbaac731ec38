"""Uses of a DAO that a type checker must refuse. Never run: tests/typing/test_typing.py reads what pyright says of it.

A line that must be refused ends with `# error: ` and pyright's rule.
"""

from __future__ import annotations

from typing import assert_type

from generated.sql.sun import Post, PostDao, SessionDao, UserDao
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
    PostDao.delete(user_id=1)  # error: reportCallIssue
    PostDao.insert(await db.run(SessionDao.get(1)))  # error: reportArgumentType
    post = await db.run(PostDao.get(42))
    print(post.text)  # error: reportOptionalMemberAccess
    assert post is not None
    post.text = "rows are shared and never change"  # error: reportAttributeAccessIssue
