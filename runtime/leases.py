"""Leases the node number of this process's ids in `sun_runtime.node_lease`: no two processes use one at a time.

A holder gives out ids below its `expires_ms` only, and whoever takes a number over begins at that value, so ids stay
apart even where the clocks of two machines differ or go back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable

from runtime.generated.sql.sun_runtime import NodeLease, NodeLeaseDao
from runtime.ids import NODES, Clock, IdGenerator, wall_clock_ms
from runtime.sql.database import Runner
from runtime.sql.errors import SqlError

LEASE_MS = 60_000
"""How long a number stays with a process that has fallen silent."""

log = logging.getLogger("sun.ids")


class NoFreeNode(RuntimeError):
    """All node numbers are leased. The message says when the first one is free again."""


class NodeLeases:
    """Takes, renews and gives back one node number. `ids` is the generator that lives on it."""

    ids: IdGenerator

    def __init__(
        self,
        db: Runner,
        *,
        lease_ms: int = LEASE_MS,
        clock: Clock = wall_clock_ms,
        choose: Callable[[list[int]], int] = random.choice,
    ) -> None:
        self._db = db
        self._lease_ms = lease_ms
        self._clock = clock
        self._choose = choose
        # A holder is one process in one life: two that share a host name are two, and so is one that was restarted.
        self._holder = secrets.token_hex(16)
        self._row: NodeLease | None = None

    async def acquire(self) -> IdGenerator:
        """Take a free number. Raises NoFreeNode and SqlError."""
        row, start_ms = await self._take()
        self._row = row
        self.ids = IdGenerator(row.node, start_ms=start_ms, expires_ms=row.expires_ms, clock=self._clock)
        return self.ids

    async def renew(self) -> None:
        """Hold the number for another lease time, or take another one where it was lost.

        Raises NoFreeNode and SqlError.
        """
        row = self._row
        if row is None:
            raise RuntimeError("there is no lease to renew")
        # Never before the last id: when the clock was set back, ids go on ahead of it.
        until_ms = max(self._clock(), self.ids.last_ms, row.expires_ms - self._lease_ms) + self._lease_ms
        if await self._hold(row.node, until_ms):
            self._row = NodeLease(node=row.node, holder=self._holder, expires_ms=until_ms)
            self.ids.extend(until_ms)
            return
        log.warning("node number %d was lost to another process; taking another", row.node)
        self._row, start_ms = await self._take()
        self.ids.lease(self._row.node, start_ms=start_ms, expires_ms=self._row.expires_ms)

    async def release(self) -> None:
        """Give the number back. No id is given out any more; the next holder begins right after the last one.

        Raises SqlError.
        """
        row, self._row = self._row, None
        if row is not None:
            await self._hold(row.node, self.ids.end(), holder="")

    async def keep(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Renew every third of the lease time until cancelled.

        Failures are logged; ids end by themselves when the lease does.
        """
        while True:
            await sleep(self._lease_ms / 3000)
            try:
                await self.renew()
            except (SqlError, NoFreeNode) as error:
                log.warning("the lease of node number %d could not be renewed: %s", self.ids.node, error)

    async def _take(self) -> tuple[NodeLease, int]:
        """A number that is ours now, and the first millisecond of its ids."""
        while True:
            now = self._clock()
            leases = {row.node: row for row in await self._db.run(NodeLeaseDao.all())}
            free = [node for node in range(NODES) if node not in leases or leases[node].expires_ms <= now]
            if not free:
                first = min(row.expires_ms for row in leases.values())
                raise NoFreeNode(
                    f"all {NODES} node numbers of sun_runtime.node_lease are leased; "
                    f"the first is free in {first - now} ms"
                )
            node = self._choose(free)
            old = leases.get(node)
            row = NodeLease(node=node, holder=self._holder, expires_ms=now + self._lease_ms)
            # Whoever comes second to a number changes nothing, and looks again.
            if old is None:
                won = await self._db.run(NodeLeaseDao.insert_if_absent(row)) == 1
            else:
                won = await self._take_over(old, row.expires_ms)
            if won:
                return row, max(now, old.expires_ms if old is not None else 0)

    async def _take_over(self, old: NodeLease, expires_ms: int) -> bool:
        """Write our name over another's, if that lease is still what it was."""
        same = (
            NodeLeaseDao.node == old.node,
            NodeLeaseDao.holder == old.holder,
            NodeLeaseDao.expires_ms == old.expires_ms,
        )
        return await self._db.run(NodeLeaseDao.update(*same).set(holder=self._holder, expires_ms=expires_ms)) == 1

    async def _hold(self, node: int, expires_ms: int, holder: str | None = None) -> bool:
        """Move the end of our own lease, if it is still ours; with an empty holder it is ours no more."""
        name = self._holder if holder is None else holder
        ours = (NodeLeaseDao.node == node, NodeLeaseDao.holder == self._holder)
        return await self._db.run(NodeLeaseDao.update(*ours).set(holder=name, expires_ms=expires_ms)) == 1


@contextlib.asynccontextmanager
async def leased_ids(
    db: Runner, *, lease_ms: int = LEASE_MS, clock: Clock = wall_clock_ms
) -> AsyncGenerator[IdGenerator]:
    """Ids for as long as the block lasts. Raises NoFreeNode and SqlError."""
    leases = NodeLeases(db, lease_ms=lease_ms, clock=clock)
    ids = await leases.acquire()
    renewal = asyncio.create_task(leases.keep(), name="node lease")
    try:
        yield ids
    finally:
        renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewal
        try:
            await leases.release()
        except SqlError as error:
            log.warning("node number %d was not given back and stays leased for a while: %s", ids.node, error)
