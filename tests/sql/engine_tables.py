"""A small hand-made schema and its DDL for the tests of the engines, and stores to run them on."""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import Awaitable, Callable
from typing import Any

from runtime.sql import types
from runtime.sql.create import create
from runtime.sql.dao import Dao, Finder
from runtime.sql.database import Database, connect
from runtime.sql.expressions import Column, NullableColumn, all_of
from runtime.sql.queries import Query, Update
from runtime.sql.tables import Row, Table


class User(Row, frozen=True, gc=False):
    user_id: int
    user_name: str
    age: int


class UserDao(Dao[User]):
    user_id: Column[User, int] = Column("user_id", types.Int(64))
    user_name: Column[User, str] = Column("user_name", types.Text(20))
    age: Column[User, int] = Column("age", types.Int(8))

    table = Table(
        "sun",
        "user",
        User,
        (user_id, user_name, age),
        primary_key=(user_id,),
        unique={"user_by_name": (user_name,), "user_by_age": (age, user_id)},
    )
    _get = Finder(table, (user_id,))

    @classmethod
    def get(cls, user_id: int) -> Query[User | None]:
        return cls._get.one(user_id)

    @classmethod
    def update(cls, *conditions: Any, **values: Any) -> Update:
        return Update(cls.table, all_of(conditions))._set(values)


class Post(Row, frozen=True, gc=False):
    post_id: int
    user_id: int
    text: str | None = None
    price: decimal.Decimal = decimal.Decimal("0.00")
    data: bytes = b""
    is_open: bool = True
    made: datetime.datetime = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    ratio: float = 0.0


class PostDao(Dao[Post]):
    post_id: Column[Post, int] = Column("post_id", types.Int(64), auto=True)
    user_id: Column[Post, int] = Column("user_id", types.Int(64))
    text: NullableColumn[Post, str] = NullableColumn("text", types.Text())
    price: Column[Post, decimal.Decimal] = Column("price", types.Decimal(10, 2))
    data: Column[Post, bytes] = Column("data", types.Bytes())
    is_open: Column[Post, bool] = Column("is_open", types.Bool())
    made: Column[Post, datetime.datetime] = Column("made", types.Timestamp())
    ratio: Column[Post, float] = Column("ratio", types.Float(64))

    table = Table(
        "sun_chat",
        "post",
        Post,
        (post_id, user_id, text, price, data, is_open, made, ratio),
        primary_key=(post_id,),
    )
    _get = Finder(table, (post_id,))

    @classmethod
    def get(cls, post_id: int) -> Query[Post | None]:
        return cls._get.one(post_id)


DDL = {
    "mysql": {
        "sun": """
-- Users.
CREATE TABLE IF NOT EXISTS `user` (
  `user_id` BIGINT NOT NULL,
  `user_name` VARCHAR(20) NOT NULL,
  `age` TINYINT NOT NULL,
  PRIMARY KEY (`user_id`),
  UNIQUE KEY `user_by_name` (`user_name`),
  UNIQUE KEY `user_by_age` (`age`, `user_id`)
) COMMENT='A comment; with a semicolon.';
""",
        "sun_chat": """
CREATE TABLE IF NOT EXISTS `post` (
  `post_id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `text` TEXT,
  `price` DECIMAL(10,2) NOT NULL,
  `data` BLOB NOT NULL,
  `is_open` BOOL NOT NULL,
  `made` TIMESTAMP(6) NOT NULL DEFAULT '2024-01-01 00:00:00',
  `ratio` DOUBLE NOT NULL,
  PRIMARY KEY (`post_id`),
  KEY `post_by_user` (`user_id`)
);
""",
    },
    "sqlite": {
        "sun": """
-- Users.
CREATE TABLE IF NOT EXISTS "sun.user" (
  "user_id" INTEGER NOT NULL PRIMARY KEY,
  "user_name" TEXT NOT NULL,
  "age" INTEGER NOT NULL,
  CONSTRAINT "type.user_name" CHECK (length("user_name") <= 20),
  CONSTRAINT "type.age" CHECK ("age" BETWEEN -128 AND 127)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS "sun.user.user_by_name" ON "sun.user" ("user_name");
CREATE UNIQUE INDEX IF NOT EXISTS "sun.user.user_by_age" ON "sun.user" ("age", "user_id");
""",
        "sun_chat": """
CREATE TABLE IF NOT EXISTS "sun_chat.post" (
  "post_id" INTEGER PRIMARY KEY AUTOINCREMENT,
  "user_id" INTEGER NOT NULL,
  "text" TEXT,
  "price" TEXT COLLATE sun_decimal NOT NULL,
  "data" BLOB NOT NULL,
  "is_open" INTEGER NOT NULL,
  "made" TEXT NOT NULL,
  "ratio" REAL NOT NULL
) STRICT;
""",
    },
}


def with_database(url: str, use: Callable[[Database], Awaitable[None]]) -> None:
    """Open the store, make the tables, empty them, and run the test."""

    async def run() -> None:
        db = await connect(url)
        try:
            await create(db, DDL[db.dialect.name])
            await db.run(UserDao._delete((), {}).everywhere())
            await db.run(PostDao._delete((), {}).everywhere())
            await use(db)
        finally:
            await db.close()

    asyncio.run(run())
