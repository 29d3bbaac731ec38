"""Tables with a row cache, and their DDL, for the tests of the cache and of hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from runtime import sql
from runtime.sql import types
from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.queries import Delete, Update

TTL_MS = 60_000
MOST = 50  # rows


class Item(sql.Row, frozen=True, gc=False):
    item_id: int
    name: str
    shelf: int = 0
    rank: int = 0
    notes: Any = None


class ItemUpdate(Update):
    __slots__ = ()

    def set(self, **values: Any) -> Self:
        return self._set(values)

    def increment(self, **amounts: Any) -> Self:
        return self._increment(amounts)


class ItemDao(sql.Dao[Item]):
    item_id: sql.Column[Item, int] = sql.Column("item_id", types.Int(64))
    name: sql.Column[Item, str] = sql.Column("name", types.Text(20))
    shelf: sql.Column[Item, int] = sql.Column("shelf", types.Int(64))
    rank: sql.Column[Item, int] = sql.Column("rank", types.Int(64))
    notes: sql.NullableColumn[Item, Any] = sql.NullableColumn("notes", types.Json())

    table = sql.Table(
        "shop",
        "item",
        Item,
        [item_id, name, shelf, rank, notes],
        primary_key=[item_id],
        unique={"item_by_name": [name]},
        cache=sql.CacheRule(TTL_MS, MOST),
        cascades=("shop.label",),
    )
    _get = sql.Finder(table, [item_id])
    _by_name = sql.Finder(table, [name])
    _by_shelf = sql.Finder(table, [shelf], order=[rank, item_id], cached=True)

    @classmethod
    def get(cls, item_id: int) -> sql.Query[Item | None]:
        return cls._get.one(item_id)

    @classmethod
    def get_many(cls, keys: Iterable[int]) -> sql.Query[dict[int, Item]]:
        return cls._get.many(keys)

    @classmethod
    def by_name(cls, name: str) -> sql.Query[Item | None]:
        return cls._by_name.one(name)

    @classmethod
    def by_shelf(cls, shelf: int, *, before: Any = None, after: Any = None, limit: int = sql.PAGE) -> sql.Select[Item]:
        return cls._by_shelf.page((shelf,), before, after, limit)

    @classmethod
    def update(cls, *conditions: sql.Condition[Item]) -> ItemUpdate:
        return ItemUpdate.of(cls.table, conditions)

    @classmethod
    def delete(cls, *conditions: sql.Condition[Item], **key: int) -> Delete:
        return cls._delete(conditions, key)


class Label(sql.Row, frozen=True, gc=False):
    item_id: int
    text: str


class LabelDao(sql.Dao[Label]):
    """Its rows go with their item, by ON DELETE CASCADE."""

    item_id: sql.Column[Label, int] = sql.Column("item_id", types.Int(64))
    text: sql.Column[Label, str] = sql.Column("text", types.Text(20))

    table = sql.Table("shop", "label", Label, [item_id, text], primary_key=[item_id], cache=sql.CacheRule(TTL_MS, MOST))
    _get = sql.Finder(table, [item_id])

    @classmethod
    def get(cls, item_id: int) -> sql.Query[Label | None]:
        return cls._get.one(item_id)


class Ticket(sql.Row, frozen=True, gc=False):
    text: str
    ticket_id: int = 0


class TicketDao(sql.Dao[Ticket]):
    """The engine gives its ids."""

    ticket_id: sql.Column[Ticket, int] = sql.Column("ticket_id", types.Int(64), auto=True)
    text: sql.Column[Ticket, str] = sql.Column("text", types.Text(20))

    table = sql.Table("shop", "ticket", Ticket, [text, ticket_id], primary_key=[ticket_id], cache=sql.CacheRule(TTL_MS))
    _get = sql.Finder(table, [ticket_id])

    @classmethod
    def get(cls, ticket_id: int) -> sql.Query[Ticket | None]:
        return cls._get.one(ticket_id)


DDL = {
    "mysql": {
        "shop": """
CREATE TABLE `item` (
  `item_id` BIGINT NOT NULL PRIMARY KEY,
  `name` VARCHAR(20) NOT NULL UNIQUE,
  `shelf` BIGINT NOT NULL,
  `rank` BIGINT NOT NULL,
  `notes` JSON,
  KEY `item_by_shelf` (`shelf`, `rank`)
);
CREATE TABLE `label` (
  `item_id` BIGINT NOT NULL PRIMARY KEY,
  `text` VARCHAR(20) NOT NULL,
  FOREIGN KEY (`item_id`) REFERENCES `item` (`item_id`) ON DELETE CASCADE
);
CREATE TABLE `ticket` (`ticket_id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `text` VARCHAR(20) NOT NULL);
""",
    },
    "sqlite": {
        "shop": """
CREATE TABLE "shop.item" (
  "item_id" INTEGER NOT NULL PRIMARY KEY,
  "name" TEXT NOT NULL UNIQUE COLLATE NOCASE,
  "shelf" INTEGER NOT NULL,
  "rank" INTEGER NOT NULL,
  "notes" TEXT
) STRICT;
CREATE INDEX "shop.item.item_by_shelf" ON "shop.item" ("shelf", "rank");
CREATE TABLE "shop.label" (
  "item_id" INTEGER NOT NULL PRIMARY KEY REFERENCES "shop.item" ("item_id") ON DELETE CASCADE,
  "text" TEXT NOT NULL
) STRICT;
CREATE TABLE "shop.ticket" ("ticket_id" INTEGER PRIMARY KEY AUTOINCREMENT, "text" TEXT NOT NULL) STRICT;
""",
    },
}


def with_shop(url: str, use: Callable[[Database], Awaitable[None]]) -> None:
    """Make the tables and run the test."""

    async def run() -> None:
        db = await connect(url)
        try:
            await create(db, DDL[db.dialect.name])
            await use(db)
        finally:
            await db.close()

    asyncio.run(run())
