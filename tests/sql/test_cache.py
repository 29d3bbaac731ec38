"""The row cache: what it spares, and that nothing that is committed is hidden by it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from runtime import sql
from runtime.sql.cache import DOUBT_S, Invalidation, RowCache
from runtime.sql.database import Database, connect
from runtime.sql.errors import Conflict, InvalidValue, Unavailable, UniqueViolation
from runtime.sql.statements import Outcome, Statement
from runtime.sql.sync import SyncDatabase, connect_sync
from tests.sql.cached_tables import MOST, TTL_MS, Item, ItemDao, Label, LabelDao, Ticket, TicketDao, with_shop

Run = Callable[[Callable[[Database], Awaitable[None]]], None]

PEN, INK, NIB = Item(1, "pen", 7, 1), Item(2, "ink", 7, 2), Item(3, "nib", 8, 1)
UNKNOWN = object()


@pytest.fixture
def run(sql_url: str) -> Run:
    return lambda use: with_shop(sql_url, use)


@pytest.fixture
def sync_shop(sql_url: str) -> SyncDatabase:
    with_shop(sql_url, _nothing)
    return connect_sync(sql_url)


async def _nothing(db: Database) -> None:
    pass


class Asked:
    """Counts the SELECTs that reach the engine."""

    def __init__(self, db: Database | SyncDatabase) -> None:
        self.count = 0
        db.observe(self._seen)

    def _seen(self, table: str, kind: str, seconds: float, rows: int, error: BaseException | None) -> None:
        self.count += kind == "select"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Held:
    """An engine whose statements reach their caller only when `gate` is open; `fault` is raised in their place."""

    def __init__(self, db: Database) -> None:
        self._engine: Any = db._engine
        self.dialect = self._engine.dialect
        self.gate = asyncio.Event()
        self.gate.set()
        self.ran = asyncio.Event()
        self.fault: Exception | None = None
        self.count = 0

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        self.count += 1
        outcome = await self._engine.execute(statement, params)
        self.ran.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return outcome

    async def execute_all(self, parts: Sequence[Any]) -> Any:
        return await self._engine.execute_all(parts)


# What it spares


def test_a_row_is_asked_for_once_by_each_of_its_keys(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        asked = Asked(db)
        for _ in range(3):
            assert await db.run(ItemDao.get(1)) == PEN
            assert await db.run(ItemDao.by_name("pen")) == PEN
            assert await db.run(ItemDao.get(99)) is None
            assert await db.run(ItemDao.by_shelf(7, limit=5)) == [INK, PEN]
            assert await db.run(ItemDao.by_shelf(7, after=(1, 1), limit=5)) == [INK]
        assert asked.count == 5
        assert db.cache.stats()["shop.item"] == (6, 10, 5)

    run(use)


def test_many_keys_are_asked_for_together_and_only_those_that_are_not_there(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        asked = Asked(db)
        assert await db.run(ItemDao.get(1)) == PEN
        for _ in range(2):
            assert await db.run(ItemDao.get_many([1, 2, 99])) == {1: PEN, 2: INK}
        assert await db.run(ItemDao.get(99)) is None
        assert await db.run(ItemDao.get(2)) == INK
        assert await db.run(ItemDao.get_many([])) == {}
        assert asked.count == 2
        await db.preload(ItemDao.get_many([2, 3]))
        assert await db.run(ItemDao.get(3)) == NIB
        assert asked.count == 3

    run(use)


def test_what_is_there_can_be_had_without_asking(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        asked = Asked(db)
        assert db.cached(ItemDao.get(1), UNKNOWN) is UNKNOWN
        assert db.cached(ItemDao.get(1)) is None
        assert db.cached(ItemDao.get_many([1, 2])) == {}
        assert asked.count == 0
        await db.preload(ItemDao.get_many([1, 2]))
        assert db.cached(ItemDao.get(1), UNKNOWN) == PEN
        assert db.cached(ItemDao.get(2), UNKNOWN) is None
        assert db.cached(ItemDao.get_many([1, 2, 3])) == {1: PEN}
        with pytest.raises(TypeError, match="the row cache keeps results of unique keys"):
            db.cached(ItemDao.where(ItemDao.shelf == 7))
        with pytest.raises(TypeError, match="the row cache keeps"):
            await db.preload(ItemDao.by_shelf(7).limit(3))

    run(use)


def test_fresh_queries_and_refined_pages_go_past_it(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        asked = Asked(db)
        for _ in range(2):
            assert await db.run(ItemDao.get(1).fresh()) == PEN
            assert await db.run(ItemDao.get_many([1]).fresh()) == {1: PEN}
            assert await db.run(ItemDao.by_shelf(7).where(ItemDao.rank == 1)) == [PEN]
        assert asked.count == 6
        assert db.cache.stats() == {}

    run(use)


def test_one_asks_for_all_who_wait(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK]))
        held = Held(db)
        shop = Database(held)  # pyright: ignore[reportArgumentType]
        held.gate.clear()
        waiting = [asyncio.create_task(shop.run(ItemDao.get(1))) for _ in range(20)]
        both = asyncio.create_task(shop.run(ItemDao.get_many([1, 2])))
        await asyncio.wait_for(held.ran.wait(), 10)
        held.gate.set()
        assert await asyncio.gather(*waiting) == [PEN] * 20
        assert await both == {1: PEN, 2: INK}
        assert held.count == 2

    run(use)


def test_when_the_one_who_asks_gives_up_another_does(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        held = Held(db)
        shop = Database(held)  # pyright: ignore[reportArgumentType]
        held.gate.clear()
        first, *others = [asyncio.create_task(shop.run(ItemDao.get(1))) for _ in range(5)]
        await asyncio.wait_for(held.ran.wait(), 10)
        others[0].cancel()
        first.cancel()
        held.gate.set()
        assert await asyncio.gather(*others[1:]) == [PEN] * 3
        assert held.count == 2
        for given_up in (first, others[0]):
            with pytest.raises(asyncio.CancelledError):
                await given_up

    run(use)


def test_a_failure_reaches_all_who_wait_and_is_not_kept(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        held = Held(db)
        shop = Database(held)  # pyright: ignore[reportArgumentType]
        held.gate.clear()
        held.fault = Unavailable("gone")
        waiting = [asyncio.create_task(shop.run(ItemDao.get(1))) for _ in range(3)]
        await asyncio.wait_for(held.ran.wait(), 10)
        held.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 3
        held.fault = None
        assert await shop.run(ItemDao.get(1)) == PEN
        with pytest.raises(InvalidValue, match=r"shop\.item\.item_id takes an int"):
            await shop.run(ItemDao.get("1"))  # pyright: ignore[reportArgumentType]
        wrong: Any = [1]
        with pytest.raises(InvalidValue, match=r"shop\.item\.item_id takes an int"):
            await shop.run(ItemDao.get(wrong))

    run(use)


def test_nothing_is_kept_longer_than_the_schema_or_the_url_says(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        for most_ms, lasts in ((None, TTL_MS), (500, 500), (10 * TTL_MS, TTL_MS)):
            clock = Clock()
            shop = Database(db._engine, cache=RowCache(most_ms, clock=clock))
            await shop.run(ItemDao.get(1))
            clock.seconds = lasts / 1000 - 0.001
            assert shop.cached(ItemDao.get(1), UNKNOWN) == PEN
            clock.seconds = lasts / 1000
            assert shop.cached(ItemDao.get(1), UNKNOWN) is UNKNOWN
            asked = Asked(shop)
            assert await shop.run(ItemDao.get(1)) == PEN
            assert asked.count == 1

    with_shop(sqlite_url, use)


def test_the_url_switches_it_off(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        asked = Asked(db)
        for _ in range(2):
            assert await db.run(ItemDao.get(1)) == PEN
            assert await db.run(ItemDao.get_many([1])) == {1: PEN}
            assert await db.run(ItemDao.by_shelf(7)) == [PEN]
        assert asked.count == 6
        await db.preload(ItemDao.get_many([1]))
        assert db.cached(ItemDao.get(1), UNKNOWN) is UNKNOWN
        assert asked.count == 6

    with_shop(f"{sqlite_url}?cache_ms=0", use)


def test_it_holds_so_many_rows_and_prefers_those_that_are_used(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many(Item(n, f"n{n}", n % 5, n) for n in range(200)))
        for _ in range(2):
            for n in range(MOST):
                await db.run(ItemDao.get(n))
        for n in range(MOST, MOST + MOST // 2):  # asked for once: none of them is worth one of the others twice
            await db.run(ItemDao.get(n))
            await db.run(ItemDao.get(0))
        assert db.cached(ItemDao.get(0), UNKNOWN) == Item(0, "n0", 0, 0)
        assert db.cache.stats()["shop.item"].rows == MOST
        await db.run(ItemDao.by_shelf(3, limit=30))
        await db.run(ItemDao.by_shelf(4, limit=30))
        assert db.cache.stats()["shop.item"].rows <= MOST
        await db.run(ItemDao.get_many(range(200)))
        assert db.cache.stats()["shop.item"].rows <= MOST
        db.cache.clear()
        assert db.cache.stats()["shop.item"].rows == 0

    with_shop(sqlite_url, use)


def test_nobody_can_change_what_others_get(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(Item(1, "pen", 7, 1, {"tags": ["blue"]})))
        for _ in range(2):
            item = await db.run(ItemDao.get(1))
            assert item is not None
            assert item.notes == {"tags": ["blue"]}
            item.notes["tags"].append("red")
            page = await db.run(ItemDao.by_shelf(7))
            assert [each.notes for each in page] == [{"tags": ["blue"]}]
            page[0].notes.clear()
            page.clear()
            many = await db.run(ItemDao.get_many([1]))
            assert many[1].notes == {"tags": ["blue"]}
            many[1].notes["tags"] = None

    run(use)


# What is written


WRITES: dict[str, tuple[Callable[[], sql.Query[int]], list[Item]]] = {
    "insert": (lambda: ItemDao.insert(Item(4, "cap", 7, 3)), [PEN, INK, NIB, Item(4, "cap", 7, 3)]),
    "insert_if_absent": (lambda: ItemDao.insert_if_absent(Item(4, "cap", 7, 3)), [PEN, INK, NIB, Item(4, "cap", 7, 3)]),
    "insert_many": (
        lambda: ItemDao.insert_many([Item(4, "cap"), Item(5, "jar")]),
        [PEN, INK, NIB, Item(4, "cap"), Item(5, "jar")],
    ),
    "upsert of a new row": (lambda: ItemDao.upsert(Item(4, "cap")), [PEN, INK, NIB, Item(4, "cap")]),
    "upsert": (lambda: ItemDao.upsert(Item(1, "cap", 8, 9)), [Item(1, "cap", 8, 9), INK, NIB]),
    "upsert_many": (
        lambda: ItemDao.upsert_many([Item(1, "cap", 8, 9), Item(5, "jar")]),
        [Item(1, "cap", 8, 9), INK, NIB, Item(5, "jar")],
    ),
    "update by key": (lambda: ItemDao.update(ItemDao.item_id == 1).set(name="cap"), [Item(1, "cap", 7, 1), INK, NIB]),
    "increment by key": (
        lambda: ItemDao.update(ItemDao.item_id == 1).increment(rank=5),
        [Item(1, "pen", 7, 6), INK, NIB],
    ),
    "update of several keys": (
        lambda: ItemDao.update(ItemDao.item_id.in_([1, 3])).set(shelf=9),
        [Item(1, "pen", 9, 1), INK, Item(3, "nib", 9, 1)],
    ),
    "update of a primary key": (
        lambda: ItemDao.update(ItemDao.item_id == 1).set(item_id=4),
        [Item(4, "pen", 7, 1), INK, NIB],
    ),
    "update by another condition": (
        lambda: ItemDao.update(ItemDao.shelf == 7).increment(rank=1),
        [Item(1, "pen", 7, 2), Item(2, "ink", 7, 3), NIB],
    ),
    "update of a key or another": (
        lambda: ItemDao.update((ItemDao.item_id == 1) | (ItemDao.rank == 2)).set(shelf=1),
        [Item(1, "pen", 1, 1), Item(2, "ink", 1, 2), NIB],
    ),
    "update everywhere": (
        lambda: ItemDao.update().set(rank=0).everywhere(),
        [Item(1, "pen", 7), Item(2, "ink", 7), Item(3, "nib", 8)],
    ),
    "update_row": (lambda: ItemDao.update_row(PEN, Item(1, "cap", 8, 1)), [Item(1, "cap", 8, 1), INK, NIB]),
    "delete by key": (lambda: ItemDao.delete(item_id=1), [INK, NIB]),
    "delete by condition": (lambda: ItemDao.delete(ItemDao.rank == 1), [INK]),
    "delete everywhere": (lambda: ItemDao.delete().everywhere(), []),
    "hand-written SQL": (
        lambda: sql.raw_write("UPDATE {shop.item} SET shelf = ? WHERE name = ?", 9, "pen"),
        [Item(1, "pen", 9, 1), INK, NIB],
    ),
}

READS: list[sql.Query[Any]] = [
    *(ItemDao.get(n) for n in range(1, 7)),
    *(ItemDao.by_name(name) for name in ("pen", "PEN", "ink", "nib", "cap", "jar")),
    *(ItemDao.by_shelf(shelf, limit=limit) for shelf in (0, 1, 7, 8, 9) for limit in (1, 10)),
    *(ItemDao.by_shelf(shelf, before=(3, 3)) for shelf in (7, 8, 9)),
    *(ItemDao.by_shelf(shelf, after=(1, 0), limit=2) for shelf in (7, 8, 9)),
]


async def same_as_fresh(db: Database) -> None:
    for query in READS:
        kept = db.cached(query, UNKNOWN)
        if kept is not UNKNOWN:
            assert kept == await db.run(query.fresh())


@pytest.mark.parametrize("name", WRITES)
def test_every_way_of_writing_is_seen(run: Run, name: str) -> None:
    async def use(db: Database) -> None:
        write, after = WRITES[name]
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        for query in READS:
            await db.run(query)
        await db.run(write())
        await same_as_fresh(db)
        assert await db.run(ItemDao.get_many(range(1, 7))) == {item.item_id: item for item in after}
        for query in READS:
            assert await db.run(query) == await db.run(query.fresh())

    run(use)


@pytest.mark.parametrize("name", WRITES)
def test_a_transaction_is_seen_when_it_is_committed(run: Run, name: str) -> None:
    async def use(db: Database) -> None:
        write, after = WRITES[name]
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        before = [await db.run(query) for query in READS]
        with contextlib.suppress(ZeroDivisionError):
            async with db.begin() as tx:
                await tx.run(write())
                assert await tx.run(ItemDao.get_many(range(1, 7))) == {item.item_id: item for item in after}
                assert [db.cached(query, UNKNOWN) for query in READS] == before
                raise ZeroDivisionError
        assert [db.cached(query, UNKNOWN) for query in READS] == before
        async with db.begin() as tx:
            async with tx.begin() as inner:
                await inner.run(write())
            assert [db.cached(query, UNKNOWN) for query in READS] == before
        await same_as_fresh(db)
        assert await db.run(ItemDao.get_many(range(1, 7))) == {item.item_id: item for item in after}

    run(use)


def test_what_a_savepoint_undid_is_not_forgotten(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK]))
        await db.preload(ItemDao.get_many([1, 2]))
        async with db.begin() as tx:
            with contextlib.suppress(ZeroDivisionError):
                async with tx.begin() as inner:
                    await inner.run(ItemDao.update(ItemDao.item_id == 1).set(rank=9))
                    raise ZeroDivisionError
            with pytest.raises(UniqueViolation):
                await tx.run(ItemDao.insert(PEN))
            await tx.run(ItemDao.update(ItemDao.item_id == 2).set(rank=9))
        assert db.cached(ItemDao.get(1), UNKNOWN) == PEN
        assert db.cached(ItemDao.get(2), UNKNOWN) is UNKNOWN

    run(use)


def test_a_write_by_key_forgets_only_what_it_may_have_changed(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        for query in READS:
            await db.run(query)
        await db.run(ItemDao.update(ItemDao.item_id == 1).set(notes=[1]))
        gone = [query for query in READS if db.cached(query, UNKNOWN) is UNKNOWN]
        assert len(gone) == 6
        for query in gone:
            assert "pen" in str(await db.run(query.fresh()))
        await db.run(ItemDao.insert(Item(6, "jar", 8, 3)))
        assert db.cached(ItemDao.get(2), UNKNOWN) == INK
        assert db.cached(ItemDao.by_name("ink"), UNKNOWN) == INK
        assert db.cached(ItemDao.by_shelf(9, limit=1), UNKNOWN) == []
        assert db.cached(ItemDao.by_shelf(8, limit=1), UNKNOWN) is UNKNOWN

    run(use)


def test_rows_that_a_foreign_key_takes_along_are_forgotten(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK]))
        await db.run(LabelDao.insert_many([Label(1, "blue"), Label(2, "red")]))
        assert await db.run(LabelDao.get(1)) == Label(1, "blue")
        await db.run(ItemDao.update(ItemDao.item_id == 1).set(rank=3))
        assert db.cached(LabelDao.get(1)) == Label(1, "blue")
        await db.run(ItemDao.delete(item_id=1))
        assert await db.run(LabelDao.get(1)) is None

    run(use)


def test_a_row_is_found_by_the_id_that_the_engine_gave_it(run: Run) -> None:
    async def use(db: Database) -> None:
        assert await db.run(TicketDao.get(1)) is None
        assert await db.run(TicketDao.get(2)) is None
        assert await db.run(TicketDao.get(3)) is None
        assert await db.run(TicketDao.insert(Ticket("a"))) == 1
        assert db.cached(TicketDao.get(2), UNKNOWN) is None
        assert await db.run(TicketDao.get(1)) == Ticket("a", 1)
        await db.run(TicketDao.insert_many([Ticket("b"), Ticket("c")]))
        assert await db.run(TicketDao.get(2)) == Ticket("b", 2)
        assert await db.run(TicketDao.get(3)) == Ticket("c", 3)

    run(use)


def test_a_read_that_began_before_a_write_is_not_kept(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK]))
        held = Held(db)
        shop = Database(held)  # pyright: ignore[reportArgumentType]
        reads: list[sql.Query[Any]] = [
            ItemDao.get(1),
            ItemDao.by_name("pen"),
            ItemDao.by_shelf(7),
            ItemDao.get_many([1]),
        ]
        for read in reads:
            old = await db.run(read.fresh())
            held.gate.clear()
            held.ran.clear()
            early = asyncio.create_task(shop.run(read))
            await asyncio.wait_for(held.ran.wait(), 10)
            held.ran.clear()
            write = asyncio.create_task(shop.run(ItemDao.update(ItemDao.item_id == 1).increment(rank=1)))
            await asyncio.wait_for(held.ran.wait(), 10)
            held.gate.set()
            await write
            assert await early == old
            assert await shop.run(read) == await db.run(read.fresh())

    run(use)


def test_who_asks_after_a_write_does_not_wait_for_who_asked_before(run: Run) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert(PEN))
        held = Held(db)
        shop = Database(held)  # pyright: ignore[reportArgumentType]
        held.gate.clear()
        early = asyncio.create_task(shop.run(ItemDao.get(1)))
        await asyncio.wait_for(held.ran.wait(), 10)
        await db.run(ItemDao.update(ItemDao.item_id == 1).set(rank=9))
        shop.cache.apply([Invalidation("shop.item", rows=((1,),))])
        held.ran.clear()
        late = asyncio.create_task(shop.run(ItemDao.get(1)))
        await asyncio.wait_for(held.ran.wait(), 10)
        held.gate.set()
        assert await early == PEN
        assert await late == Item(1, "pen", 7, 9)
        assert shop.cached(ItemDao.get(1)) == Item(1, "pen", 7, 9)

    run(use)


def test_after_a_write_of_which_nobody_knows_nothing_is_kept_for_a_while(sqlite_url: str) -> None:
    async def use(db: Database) -> None:
        await db.run(ItemDao.insert_many([PEN, INK]))
        clock = Clock()
        held = Held(db)
        shop = Database(held, cache=RowCache(clock=clock))  # pyright: ignore[reportArgumentType]
        await shop.preload(ItemDao.get_many([1, 2]))
        held.fault = Unavailable("the connection broke")
        with pytest.raises(Unavailable):
            await shop.run(ItemDao.update(ItemDao.item_id == 1).set(rank=9))
        held.fault = None
        assert await shop.run(ItemDao.get(1)) == Item(1, "pen", 7, 9)
        assert shop.cached(ItemDao.get(1), UNKNOWN) is UNKNOWN
        clock.seconds = DOUBT_S
        await shop.run(ItemDao.get(1))
        assert shop.cached(ItemDao.get(1), UNKNOWN) == Item(1, "pen", 7, 9)

    with_shop(sqlite_url, use)


def test_what_a_commit_changes_can_be_told_to_another_process(run: Run, sql_url: str) -> None:
    async def use(db: Database) -> None:
        other = await connect(sql_url)
        wire: list[bytes] = []
        db.cache.publish = lambda told: wire.append(msgspec.msgpack.encode(told))
        await db.run(ItemDao.insert_many([PEN, INK, NIB]))
        for write, _ in WRITES.values():
            await db.run(ItemDao.delete().everywhere())
            await db.run(ItemDao.insert_many([PEN, INK, NIB]))
            other.cache.clear()
            for query in READS:
                await other.run(query)
            wire.clear()
            await db.run(write())
            for told in wire:
                other.cache.apply(msgspec.msgpack.decode(told, type=list[Invalidation]))
            await same_as_fresh(other)
        await other.close()

    run(use)


# Many at once


def _random_write(dice: random.Random) -> sql.Query[int]:
    """Writes that never break the unique key of names, which are the ids' own."""
    n = dice.randrange(8)
    item = Item(n, f"n{n}", dice.randrange(3), dice.randrange(5))
    where = dice.choice([ItemDao.item_id == n, ItemDao.shelf == item.shelf, ItemDao.rank < 2])
    return dice.choice(
        [
            lambda: ItemDao.upsert(item),
            lambda: ItemDao.insert_if_absent(item),
            lambda: ItemDao.update(where).set(shelf=item.shelf, rank=item.rank),
            lambda: ItemDao.update(ItemDao.item_id == n).increment(rank=-1),
            lambda: ItemDao.delete(item_id=n),
            lambda: ItemDao.delete(where),
        ]
    )()


def _random_read(dice: random.Random) -> sql.Query[Any]:
    n = dice.randrange(8)
    return dice.choice(
        [
            lambda: ItemDao.get(n),
            lambda: ItemDao.by_name(f"n{n}"),
            lambda: ItemDao.by_shelf(n % 3, limit=1 + n),
            lambda: ItemDao.get_many(range(n)),
        ]
    )()


ALL_READS: list[sql.Query[Any]] = [
    *(ItemDao.get(n) for n in range(8)),
    *(ItemDao.by_name(f"n{n}") for n in range(8)),
    *(ItemDao.by_shelf(shelf, limit=limit) for shelf in range(3) for limit in range(1, 9)),
]


@pytest.mark.parametrize("seed", range(5))
def test_under_writers_that_commit_and_roll_back_it_ends_as_the_engine_does(run: Run, seed: int) -> None:
    dice = random.Random(seed)

    async def write(db: Database) -> None:
        for _ in range(15):
            if dice.random() < 0.5:
                with contextlib.suppress(Conflict):  # a deadlock undoes a write by itself too
                    await db.run(_random_write(dice))
                continue

            async def work(tx: Any) -> None:
                for _ in range(dice.randrange(1, 4)):
                    await tx.run(_random_write(dice))
                    await asyncio.sleep(0)
                if dice.random() < 0.3:
                    raise ZeroDivisionError

            with contextlib.suppress(ZeroDivisionError):
                await db.transact(work, attempts=50)

    async def read(db: Database, done: asyncio.Event) -> None:
        while not done.is_set():
            await db.run(_random_read(dice))
            await asyncio.sleep(0)

    async def use(db: Database) -> None:
        done = asyncio.Event()
        readers = [asyncio.create_task(read(db, done)) for _ in range(4)]
        await asyncio.gather(*(write(db) for _ in range(4)))
        done.set()
        await asyncio.gather(*readers)
        for query in ALL_READS:
            kept = db.cached(query, UNKNOWN)
            if kept is not UNKNOWN:
                assert kept == await db.run(query.fresh())

    run(use)


@pytest.mark.parametrize("seed", range(3))
def test_threads_share_it(sync_shop: SyncDatabase, seed: int) -> None:
    done = threading.Event()

    def write(number: int) -> None:
        dice = random.Random(f"{seed} {number}")

        def work(tx: Any) -> None:
            for _ in range(dice.randrange(1, 4)):
                tx.run(_random_write(dice))

        for _ in range(10):
            if dice.random() < 0.5:
                sync_shop.transact(work, attempts=50)
            else:
                sync_shop.transact(lambda tx: tx.run(_random_write(dice)), attempts=50)

    def read(number: int) -> None:
        dice = random.Random(f"{seed} {number}")
        while not done.is_set():
            sync_shop.run(_random_read(dice))

    with sync_shop, ThreadPoolExecutor(6) as threads:
        readers = [threads.submit(read, number) for number in range(3)]
        try:
            for writer in [threads.submit(write, number) for number in range(3)]:
                writer.result(60)
        finally:
            done.set()
        for reader in readers:
            reader.result(60)
        for query in ALL_READS:
            kept = sync_shop.cached(query, UNKNOWN)
            if kept is not UNKNOWN:
                assert kept == sync_shop.run(query.fresh())


def test_the_synchronous_twin_keeps_and_forgets_alike(sync_shop: SyncDatabase) -> None:
    with sync_shop as db:
        db.run(ItemDao.insert_many([PEN, INK, NIB]))
        asked = Asked(db)
        db.preload(ItemDao.get_many([1, 2, 3]))
        assert db.run(ItemDao.get(1)) == PEN
        assert asked.count == 1
        for write, _ in WRITES.values():
            db.run(ItemDao.delete().everywhere())
            db.run(ItemDao.insert_many([PEN, INK, NIB]))
            before = [db.run(query) for query in READS]
            with contextlib.suppress(ZeroDivisionError), db.begin() as tx:
                tx.run(write())
                raise ZeroDivisionError
            assert [db.cached(query, UNKNOWN) for query in READS] == before
            with db.begin() as tx:
                tx.run(write())
            for query in READS:
                assert db.run(query) == db.run(query.fresh())
