"""One load for all who ask at nearly the same time. Keeps nothing once it is loaded: that is the row cache's affair."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 500
"""Keys of one load; more are loaded in turn."""


class Together(Generic[K, V]):
    """Loads values by key, at once those that are asked for within `within_s` seconds or a turn of the event loop.

    A turn is short while there is little to do and long while there is much, so that nobody waits without a gain. What
    is given was loaded after it was asked for. `load` leaves out what there isn't. Belongs to one event loop.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], within_s: float = 0) -> None:
        self._load = load
        self._within_s = within_s
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._loading: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """None where there is nothing. Raises what the load raises."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.get_running_loop().create_future()
            if len(self._asked) == 1:
                task = asyncio.create_task(self._run(), name="load together")
                self._loading.add(task)
                task.add_done_callback(self._loading.discard)
        return await asyncio.shield(asked)

    async def _run(self) -> None:
        await asyncio.sleep(self._within_s)
        asked, self._asked = self._asked, {}
        keys = list(asked)
        for first in range(0, len(keys), MOST):
            some = keys[first : first + MOST]
            try:
                found = await self._load(some)
            except Exception as error:  # noqa: BLE001 - each of those who asked gets it
                for key in some:
                    asked[key].set_exception(error)
                    asked[key].exception()  # those who asked may be gone
            else:
                for key in some:
                    asked[key].set_result(found.get(key))
