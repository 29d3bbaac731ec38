"""Any schedule of sends, cuts, losses and returns, over two processes, ends with the state that a fetch gives."""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from runtime.generated.sql.sun_runtime import PushEntryDao
from runtime.push.hub import Feed, PushHub
from runtime.rpc.push_frames import PushMessage
from runtime.rpc.wire import Resume
from tests.examples import drawn
from tests.rpc.stores import store

USER = 7

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 1)),
        st.tuples(st.just("connect"), st.integers(0, 1)),
        st.tuples(st.just("cut"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("look"), st.integers(0, 1)),
        st.tuples(st.just("forget"), st.integers(0, 10)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
    ),
    max_size=40,
)


class Client:
    """A client and its connection: what was sent to it and not read yet is lost when the connection is cut."""

    def __init__(self, truth: list[str]) -> None:
        self.truth = truth
        self.items: list[str] = []
        self.position: Resume | None = None
        self.feed: Feed | None = None
        self.under_way: deque[tuple[int, str]] = deque()
        self.reloads = 0

    # The hub's side of the connection.

    def push(self, message: PushMessage, counter: int) -> None:
        self.under_way.append((counter, StringValue.FromString(message.payload).value))

    async def room(self, message: PushMessage, counter: int) -> None:
        await asyncio.sleep(0)

    def lost(self) -> None:
        self.cut()

    # The client's.

    async def connect(self, hub: PushHub) -> None:
        self.cut()
        self.feed, welcome = await hub.attach(self, USER, self.position)
        if self.position is None or welcome.reload:
            self.reloads += 1
            self.items = list(self.truth)
        else:
            assert welcome.counter == self.position.counter
        self.position = Resume(welcome.epoch, welcome.counter)
        self.feed.open()

    def cut(self) -> None:
        self.under_way.clear()
        if self.feed is not None:
            self.feed.close()
            self.feed = None

    def read(self, count: int) -> None:
        for _ in range(min(count, len(self.under_way))):
            counter, text = self.under_way.popleft()
            assert self.position is not None
            assert counter == self.position.counter + 1
            if counter > len(self.items):
                assert counter == len(self.items) + 1
                self.items.append(text)
            assert self.items[counter - 1] == text
            self.position = Resume(self.position.epoch, counter)


async def _run(steps: list[tuple[str, int]], url: str) -> None:
    async with store(url) as one, store(url) as two:
        hubs = [PushHub(one), PushHub(two)]
        truth: list[str] = []
        client = Client(truth)

        async def send(hub: PushHub) -> None:
            text = str(len(truth))

            async def work(tx: Any) -> None:
                await hub.append(tx, [USER], StringValue(value=text))

            await hub._db.transact(work)
            truth.append(text)

        for kind, number in steps:
            match kind:
                case "send":
                    await send(hubs[number])
                case "connect":
                    await client.connect(hubs[number])
                case "cut":
                    client.read(number)
                    client.cut()
                case "read":
                    client.read(number)
                case "look":
                    await hubs[number].look()
                case "forget":
                    await one.run(PushEntryDao.delete(PushEntryDao.counter <= len(truth) - number))
                case _:
                    for _ in range(number):
                        await asyncio.sleep(0)
        while client.position != Resume(1, len(truth)):
            if client.feed is None:
                await client.connect(hubs[len(truth) % 2])
            await asyncio.gather(*(hub.look() for hub in hubs))
            client.read(100)
            await asyncio.sleep(0.001)
        assert client.items == truth
        client.cut()


@drawn(60)
@given(STEPS)
def test_any_schedule_ends_as_a_fetch_does(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(asyncio.wait_for(_run(steps, f"sqlite:///{folder}/push.db"), 30))
