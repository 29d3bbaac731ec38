"""Numbered pushes in the database: appended in a transaction, read again after a loss. Knows nothing of connections."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol, TypeVar

from runtime.generated.sql.sun_runtime import PushCounter, PushCounterDao, PushEntry, PushEntryDao
from runtime.ids import Clock, wall_clock_ms
from runtime.sql.database import Database
from runtime.sql.queries import Query

T = TypeVar("T")


class State(NamedTuple):
    """Where a user's pushes are: `counter` is the last one's, 0 before the first."""

    epoch: int
    counter: int


NONE_YET = State(1, 0)

_CUT_ROWS = 1_000
"""Old pushes deleted at a time, so that no lock is held for long."""


class Appender(Protocol):
    """A transaction."""

    async def run(self, query: Query[T]) -> T: ...


class PushJournal:
    """Where pushes wait for those who have not seen them. Raises SqlError wherever it asks the database."""

    def __init__(self, db: Database, clock: Clock = wall_clock_ms) -> None:
        self._db = db
        self._clock = clock

    async def append(self, tx: Appender, users: Collection[int], message_type: str, payload: bytes) -> dict[int, State]:
        """Number a push for each user and keep it, in this transaction; where each user's pushes then are.

        The users' counters stay locked until the transaction ends. They are taken in order of user ids, so that two
        transactions with one push each can't wait for one another; with several pushes they can, as any two may.
        """
        wanted = sorted(set(users))
        now = self._clock()
        mine = PushCounterDao.user_id.in_(wanted)
        update = PushCounterDao.update(mine).increment(next_counter=1).set(updated_ms=now)
        if await tx.run(update) < len(wanted):
            known = set(await tx.run(PushCounterDao.where(mine).values(PushCounterDao.user_id)))
            for user_id in wanted:
                if user_id not in known and not await tx.run(
                    PushCounterDao.insert_if_absent(PushCounter(user_id, next_counter=2, updated_ms=now))
                ):  # another transaction was first; it has committed
                    other = PushCounterDao.update(PushCounterDao.user_id == user_id)
                    await tx.run(other.increment(next_counter=1).set(updated_ms=now))
        rows = await tx.run(PushCounterDao.where(mine))
        states = {row.user_id: State(row.epoch, row.next_counter - 1) for row in rows}
        await tx.run(
            PushEntryDao.insert_many(
                PushEntry(user_id, state.counter, message_type, payload, now) for user_id, state in states.items()
            )
        )
        return states

    async def states(self, users: Iterable[int]) -> dict[int, State]:
        """Where these users' pushes are."""
        wanted = list(users)
        rows = await self._db.run(PushCounterDao.get_many(wanted).fresh())
        return {user: _state(rows[user]) if user in rows else NONE_YET for user in wanted}

    async def changed_since(self, ms: int) -> dict[int, State]:
        """Where the pushes are of those users who got one since, by the clocks of those who sent them."""
        rows = await self._db.run(PushCounterDao.where(PushCounterDao.updated_ms >= ms).fresh())
        return {row.user_id: _state(row) for row in rows}

    async def read(self, user_id: int, after: int, limit: int) -> list[PushEntry]:
        """A user's pushes after a counter, oldest first. The numbers of what is kept have no gap."""
        return await self._db.run(PushEntryDao.by_user_id(user_id, after=after, limit=limit).fresh())

    async def read_many(self, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], PushEntry]:
        """These pushes, by user and counter; those that are not kept any more are left out."""
        return await self._db.run(PushEntryDao.get_many(wanted).fresh())

    async def cut(self, before_ms: int) -> int:
        """Delete the pushes from before this moment; how many they were."""
        total = 0
        while True:
            old = PushEntryDao.where(PushEntryDao.created_ms < before_ms).limit(_CUT_ROWS)
            keys = await self._db.run(old.select(PushEntryDao.user_id, PushEntryDao.counter))
            for user_id, counter in keys:
                total += await self._db.run(PushEntryDao.delete(user_id=user_id, counter=counter))
            if len(keys) < _CUT_ROWS:
                return total


def _state(row: PushCounter) -> State:
    return State(row.epoch, row.next_counter - 1)
