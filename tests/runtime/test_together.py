"""Together: what is asked for at once is loaded at once, and never before it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from runtime.together import MOST, Together


class Shelf:
    """Loads are written down, and wait until the shelf is opened."""

    def __init__(self) -> None:
        self.loads: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.together = Together(self.load)

    async def load(self, keys: Sequence[int]) -> dict[int, str]:
        self.loads.append(list(keys))
        await self.open.wait()
        if 13 in keys:
            raise LookupError(13)
        return {key: str(key) for key in keys if key >= 0}


def test_who_asks_in_one_turn_shares_a_load() -> None:
    async def run() -> None:
        shelf = Shelf()
        found = await asyncio.gather(*map(shelf.together.get, (1, 2, 1, -1)))
        assert found == ["1", "2", "1", None]
        assert shelf.loads == [[1, 2, -1]]

    asyncio.run(run())


def test_what_is_asked_for_during_a_load_is_loaded_anew() -> None:
    async def run() -> None:
        shelf = Shelf()
        shelf.open.clear()
        first = asyncio.create_task(shelf.together.get(1))
        while not shelf.loads:  # noqa: ASYNC110 - a load tells nobody of its beginning
            await asyncio.sleep(0)
        second = asyncio.create_task(shelf.together.get(1))
        while len(shelf.loads) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        shelf.open.set()
        assert await asyncio.gather(first, second) == ["1", "1"]

    asyncio.run(run())


def test_a_failure_is_for_those_who_asked() -> None:
    async def run() -> None:
        shelf = Shelf()
        for outcome in await asyncio.gather(*map(shelf.together.get, (13, 14)), return_exceptions=True):
            assert isinstance(outcome, LookupError)
        assert await shelf.together.get(14) == "14"

    asyncio.run(run())


def test_who_gives_up_takes_nothing_from_the_others() -> None:
    async def run() -> None:
        shelf = Shelf()
        shelf.open.clear()
        gone = asyncio.create_task(shelf.together.get(1))
        stays = asyncio.create_task(shelf.together.get(1))
        while not shelf.loads:  # noqa: ASYNC110
            await asyncio.sleep(0)
        gone.cancel()
        shelf.open.set()
        assert await stays == "1"
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(run())


def test_no_load_is_too_large_for_an_engine() -> None:
    async def run() -> None:
        shelf = Shelf()
        await asyncio.gather(*map(shelf.together.get, range(20, 21 + MOST)))
        assert [len(load) for load in shelf.loads] == [MOST, 1]

    asyncio.run(run())
