"""Runs a transaction anew when it met another one, which MariaDB ends by choosing one of the two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.sql.database import Database, Transaction
from runtime.sql.errors import Conflict

T = TypeVar("T")

TRIES = 5


async def transact(db: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """What `work` returns, its queries committed together. It may run up to TRIES times, so it has no other effects.

    Raises what `work` raises, with nothing written; Conflict when every try met another transaction.
    """
    for _ in range(TRIES - 1):
        try:
            return await _once(db, work)
        except Conflict:
            continue
    return await _once(db, work)


async def _once(db: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    async with db.begin() as tx:
        return await work(tx)
