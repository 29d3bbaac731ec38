"""The peers of the SQL benchmark: bare asyncmy and SQLAlchemy's asyncio ORM, used as their documentation shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import asyncmy
from sqlalchemy import URL, BigInteger, SmallInteger, String, Text, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from runtime.sql.urls import MysqlUrl

# A statement by hand names every column, as the ORM's do.
COLUMNS = (
    "post_id, user_id, post_key, post_type, text, created_ms, rich_text, post_media_id, file_ref, media_count, "
    "shared_to, comments_disabled, is_archived, via, seq, comments, likes, views, reshares, chat_shares, edited_ms"
)


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "post"

    post_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(BigInteger)
    post_key: Mapped[str] = mapped_column(String(16))
    post_type: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    rich_text: Mapped[str | None] = mapped_column(Text)
    post_media_id: Mapped[int] = mapped_column(BigInteger)
    file_ref: Mapped[int] = mapped_column(BigInteger)
    media_count: Mapped[int]
    shared_to: Mapped[int] = mapped_column(SmallInteger)
    comments_disabled: Mapped[bool]
    is_archived: Mapped[bool]
    via: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int] = mapped_column(BigInteger)
    comments: Mapped[int] = mapped_column(BigInteger)
    likes: Mapped[int] = mapped_column(BigInteger)
    views: Mapped[int] = mapped_column(BigInteger)
    reshares: Mapped[int] = mapped_column(BigInteger)
    chat_shares: Mapped[int] = mapped_column(BigInteger)
    edited_ms: Mapped[int] = mapped_column(BigInteger)


class BareAsyncmy:
    """A pool of the driver's own."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: MysqlUrl, size: int, statements: int = 0) -> Self:
        """`statements` are those that each connection keeps prepared: the driver's default is none."""
        driver: Any = asyncmy
        pool = await driver.create_pool(
            minsize=size,
            maxsize=size,
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password,
            database=f"{url.prefix}sun",
            autocommit=True,
            stmt_cache_size=statements,
        )
        return cls(pool)

    async def get(self, post_id: int) -> tuple[Any, ...]:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(f"SELECT {COLUMNS} FROM post WHERE post_id = %s", (post_id,))
            return await cursor.fetchone()

    async def close(self) -> None:
        self._pool.close()
        await self._pool.wait_closed()


class SqlAlchemy:
    """A session for each read, as for each request of a server."""

    def __init__(self, url: MysqlUrl, size: int) -> None:
        place = URL.create("mysql+asyncmy", url.user, url.password or None, url.host, url.port, f"{url.prefix}sun")
        self._engine = create_async_engine(place, pool_size=size, max_overflow=0)
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)

    async def get(self, post_id: int) -> Post | None:
        async with self._session() as session:
            return await session.get(Post, post_id)

    async def page(self, user_id: int, limit: int) -> Sequence[Post]:
        newest = (
            select(Post)
            .where(Post.user_id == user_id, Post.is_archived.is_(False))
            .order_by(Post.post_id.desc())
            .limit(limit)
        )
        async with self._session() as session:
            return (await session.scalars(newest)).all()

    async def close(self) -> None:
        await self._engine.dispose()
