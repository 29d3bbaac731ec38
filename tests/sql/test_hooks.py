"""Row hooks: what is told after rows were written or read, and when."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from runtime import sql
from runtime.sql.database import Database
from runtime.sql.errors import UniqueViolation
from runtime.sql.sync import connect_sync
from tests.sql.cached_tables import Item, ItemDao, Ticket, TicketDao, with_shop

Run = Callable[[Callable[[Database], Awaitable[None]]], None]

PEN, INK = Item(1, "pen", 7, 1), Item(2, "ink", 7, 2)


class Heard(sql.Hooks[Any]):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def take(self) -> list[Any]:
        taken, self.told = self.told, []
        return taken

    def inserted(self, rows: Sequence[Any]) -> None:
        self.told.append(("inserted", *rows))

    def upserted(self, rows: Sequence[Any]) -> None:
        self.told.append(("upserted", *rows))

    def updated(self, update: sql.Updated) -> None:
        self.told.append(("updated", update.keys, update.count, dict(update.values), dict(update.amounts)))

    def deleted(self, delete: sql.Deleted) -> None:
        self.told.append(("deleted", delete.keys, delete.count))

    def rewritten(self) -> None:
        self.told.append("rewritten")

    def loaded(self, rows: Sequence[Any]) -> None:
        self.told.append(("loaded", *rows))


@pytest.fixture
def run(sql_url: str) -> Run:
    return lambda use: with_shop(sql_url, use)


def test_each_write_is_told_with_what_it_did(run: Run) -> None:
    async def use(db: Database) -> None:
        heard = Heard()
        db.hook(ItemDao, heard)
        await db.run(ItemDao.insert(PEN))
        assert heard.take() == [("inserted", PEN)]
        await db.run(ItemDao.insert_many([INK, Item(3, "nib")]))
        assert heard.take() == [("inserted", INK, Item(3, "nib"))]
        await db.run(ItemDao.insert_if_absent(INK))
        assert heard.take() == []
        with pytest.raises(UniqueViolation):
            await db.run(ItemDao.insert(INK))
        assert heard.take() == []
        await db.run(ItemDao.upsert(Item(3, "cap")))
        assert heard.take() == [("upserted", Item(3, "cap"))]
        await db.run(ItemDao.update(ItemDao.item_id.in_([1, 9])).set(shelf=8).increment(rank=-1))
        assert heard.take() == [("updated", [1, 9], 1, {"shelf": 8}, {"rank": -1})]
        await db.run(ItemDao.update(ItemDao.shelf == 8).set(rank=0))
        assert heard.take() == [("updated", None, 1, {"rank": 0}, {})]
        await db.run(ItemDao.update_row(INK, Item(2, "ink", 7, 5)))
        assert heard.take() == [("updated", [2], 1, {"rank": 5}, {})]
        await db.run(ItemDao.update_row(INK, INK))
        assert heard.take() == []
        await db.run(ItemDao.delete(item_id=1))
        assert heard.take() == [("deleted", [1], 1)]
        await db.run(ItemDao.delete(ItemDao.shelf == 7, ItemDao.item_id == 2))
        assert heard.take() == [("deleted", [2], 1)]
        await db.run(sql.raw_write("DELETE FROM {shop.item}"))
        assert heard.take() == ["rewritten"]

    run(use)


def test_the_row_has_the_id_that_the_engine_gave_it(run: Run) -> None:
    async def use(db: Database) -> None:
        heard = Heard()
        db.hook(TicketDao, heard)
        await db.run(TicketDao.insert(Ticket("a", 41)))
        number = await db.run(TicketDao.insert(Ticket("b")))
        assert heard.take() == [("inserted", Ticket("a", 41)), ("inserted", Ticket("b", number))]
        assert number == 42

    run(use)


def test_rows_are_told_when_they_are_read_from_the_engine(run: Run) -> None:
    async def use(db: Database) -> None:
        heard = Heard()
        await db.run(ItemDao.insert_many([PEN, INK]))
        db.hook(ItemDao, heard)
        for _ in range(2):
            await db.run(ItemDao.get(1))
            await db.run(ItemDao.get(9))
        assert heard.take() == [("loaded", PEN)]
        await db.run(ItemDao.get_many([1, 2]))
        await db.run(ItemDao.where(ItemDao.rank > 0).order_by(ItemDao.rank.asc()))
        await db.run(ItemDao.all().order_by(ItemDao.rank.desc()).first())
        assert heard.take() == [("loaded", INK), ("loaded", PEN, INK), ("loaded", INK)]
        await db.run(ItemDao.all().values(ItemDao.rank))
        await db.run(ItemDao.count())
        assert heard.take() == []

    run(use)


def test_a_transaction_is_told_after_its_commit_and_never_if_it_is_undone(run: Run) -> None:
    async def use(db: Database) -> None:
        heard = Heard()
        db.hook(ItemDao, heard)
        async with db.begin() as tx:
            await tx.run(ItemDao.insert(PEN))
            with contextlib.suppress(ZeroDivisionError):
                async with tx.begin() as inner:
                    await inner.run(ItemDao.insert(Item(8, "undone")))
                    raise ZeroDivisionError
            async with tx.begin() as inner:
                await inner.run(ItemDao.insert(INK))
            assert await tx.run(ItemDao.get(1)) == PEN
            assert heard.take() == []
        assert heard.take() == [("inserted", PEN), ("inserted", INK), ("loaded", PEN)]
        with contextlib.suppress(ZeroDivisionError):
            async with db.begin() as tx:
                await tx.run(ItemDao.delete().everywhere())
                raise ZeroDivisionError
        assert heard.take() == []

    run(use)


def test_a_hook_that_fails_harms_nobody(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(sql.Hooks[Item]):
        def inserted(self, rows: Sequence[Item]) -> None:
            raise RuntimeError("boom")

    async def use(db: Database) -> None:
        heard = Heard()
        db.hook(ItemDao, Failing())
        db.hook(ItemDao, heard)
        await db.run(ItemDao.insert(PEN))
        assert heard.take() == [("inserted", PEN)]
        assert await db.run(ItemDao.get(1)) == PEN
        assert "a hook failed" in caplog.text

    run(use)


def test_the_synchronous_twin_tells_alike(sql_url: str) -> None:
    async def use(db: Database) -> None:
        heard = Heard()
        with connect_sync(sql_url) as sync:
            sync.hook(ItemDao, heard)
            sync.run(ItemDao.insert(PEN))
            with sync.begin() as tx:
                tx.run(ItemDao.insert_many([INK]))
                tx.run(ItemDao.get(2))
            sync.run(ItemDao.delete(item_id=1))
            sync.run(ItemDao.get_many([1, 2]))
        assert heard.take() == [
            ("inserted", PEN),
            ("inserted", INK),
            ("loaded", INK),
            ("deleted", [1], 1),
            ("loaded", INK),
        ]

    with_shop(sql_url, use)
