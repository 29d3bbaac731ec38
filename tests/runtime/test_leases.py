"""No two holders ever have one node number, and what follows on a number follows in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.generated.sql.sun_runtime import NodeLease, NodeLeaseDao
from runtime.ids import EPOCH_MS, NODES, LeaseExpired, node_of, timestamp_ms
from runtime.leases import NodeLeases, NoFreeNode, leased_ids
from runtime.sql.create import create
from runtime.sql.database import Database, connect

START = EPOCH_MS + 1_000_000
DDL = Path(__file__).parents[2] / "runtime" / "generated" / "ddl"

Use = Callable[[Database, Database], Awaitable[None]]


class Clock:
    """A clock that tests set by hand (ms since 1970)."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def run(sql_url: str) -> Callable[[Use], None]:
    """Runs a test with two handles on one store, as two processes have them."""

    async def use_two(use: Use) -> None:
        one, two = await connect(sql_url), await connect(sql_url)
        try:
            text = (DDL / one.dialect.name / "sun_runtime.sql").read_text()
            await create(one, {"sun_runtime": text})
            await one.run(NodeLeaseDao.delete().everywhere())
            await use(one, two)
        finally:
            await one.close()
            await two.close()

    return lambda use: asyncio.run(use_two(use))


Run = Callable[[Use], None]


def test_a_race_for_one_number_has_one_winner(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        leases = [NodeLeases(db, clock=Clock(), choose=min) for db in (one, two) * 4]
        holders = await asyncio.gather(*(lease.acquire() for lease in leases))
        assert sorted(ids.node for ids in holders) == list(range(8))

    run(use)


def test_a_race_for_an_expired_number_has_one_winner(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        await one.run(NodeLeaseDao.insert_many(NodeLease(n, "gone", START - 1) for n in range(4)))
        leases = [NodeLeases(db, clock=Clock(), choose=min) for db in (one, two) * 2]
        holders = await asyncio.gather(*(lease.acquire() for lease in leases))
        assert sorted(ids.node for ids in holders) == [0, 1, 2, 3]

    run(use)


def test_a_number_given_back_is_free_at_once_and_goes_on_in_time(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        first = NodeLeases(one, clock=Clock(), choose=min)
        ids = await first.acquire()
        made = [ids.next() for _ in range(10_000)]  # runs ahead of the clock
        await first.release()
        with pytest.raises(LeaseExpired):
            ids.next()
        clock = Clock(timestamp_ms(made[-1]) + 1)
        successor = await NodeLeases(two, clock=clock, choose=min).acquire()
        assert successor.node == ids.node
        assert successor.next() > made[-1]

    run(use)


def test_a_successor_starts_where_the_silent_holder_had_to_stop(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        clock = Clock()
        ids = await NodeLeases(one, lease_ms=60_000, clock=clock, choose=min).acquire()
        clock.now = START + 59_999
        last = ids.next()
        # Its clock is a minute ahead: by it the lease is over, by the holder's it is not yet.
        other = await NodeLeases(two, lease_ms=60_000, clock=Clock(START + 60_000), choose=min).acquire()
        assert other.node == ids.node
        assert other.next() > last
        clock.now = START + 60_000
        with pytest.raises(LeaseExpired):
            ids.next()

    run(use)


def test_a_renewal_carries_ids_on_and_survives_clock_steps(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        clock = Clock()
        lease = NodeLeases(one, lease_ms=60_000, clock=clock)
        ids = await lease.acquire()
        made = [ids.next()]
        for step in (20_000, 20_000, 20_000, -3_600_000, 20_000, 3_700_000, 20_000):
            clock.now += step
            await lease.renew()
            made += [ids.next() for _ in range(5_000)]
        assert made == sorted(set(made))
        row = await two.run(NodeLeaseDao.get(node=ids.node))
        assert row is not None
        assert row.expires_ms == ids.expires_ms

    run(use)


def test_a_lost_number_is_replaced_by_another(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        clock = Clock()
        lease = NodeLeases(one, lease_ms=60_000, clock=clock, choose=min)
        ids = await lease.acquire()
        before = ids.next()
        clock.now = START + 60_000
        taken = await NodeLeases(two, lease_ms=60_000, clock=clock, choose=min).acquire()
        assert taken.node == ids.node
        await lease.renew()
        assert ids.node != taken.node
        assert ids.next() > before
        assert node_of(ids.next()) != node_of(taken.next())

    run(use)


def test_all_numbers_taken_is_told_with_the_time_to_wait(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        await one.run(NodeLeaseDao.insert_many(NodeLease(n, "busy", START + 500 + n) for n in range(NODES)))
        with pytest.raises(NoFreeNode, match=r"all 1024 node numbers.* free in 500 ms"):
            await NodeLeases(one, clock=Clock()).acquire()
        ids = await NodeLeases(two, clock=Clock(START + 500)).acquire()
        assert ids.node == 0

    run(use)


def test_the_lease_is_renewed_every_third_of_its_time(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        clock = Clock()
        lease = NodeLeases(one, lease_ms=60_000, clock=clock)
        ids = await lease.acquire()
        naps: list[float] = []
        renewed = asyncio.Event()

        async def sleep(seconds: float) -> None:
            if naps:
                renewed.set()
                await asyncio.Event().wait()
            naps.append(seconds)
            clock.now += round(seconds * 1000)

        task = asyncio.create_task(lease.keep(sleep))
        await renewed.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert naps == [20.0]
        assert ids.expires_ms == START + 80_000

    run(use)


def test_a_failed_renewal_is_tried_again(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def use(one: Database, two: Database) -> None:
        lease = NodeLeases(two, clock=Clock())
        ids = await lease.acquire()
        ids.next()
        await two.close()
        turns = 0

        async def sleep(seconds: float) -> None:
            nonlocal turns
            turns += 1
            if turns == 3:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await lease.keep(sleep)
        assert caplog.text.count("could not be renewed") == 2
        ids.next()  # the lease lasts still

    run(use)


def test_leased_ids_last_as_long_as_their_block(run: Run) -> None:
    async def use(one: Database, two: Database) -> None:
        async with leased_ids(one) as ids, leased_ids(two) as others:
            assert ids.node != others.node
            ids.next()
        with pytest.raises(LeaseExpired):
            ids.next()
        row = await two.run(NodeLeaseDao.get(node=ids.node))
        assert row == NodeLease(ids.node, "", ids.last_ms + 1)

    run(use)
