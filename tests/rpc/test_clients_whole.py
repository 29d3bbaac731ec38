"""Clients against a whole gateway, through a connection that is cut again and again: nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.push.hub import MAX_RESUME, PushHub
from runtime.rpc.attempts import Attempts
from runtime.rpc.client import new_key
from runtime.rpc.errors import RpcError
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.transports.pushes import Position, Push, Reload
from runtime.rpc.transports.retries import Retries
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import ECHO, Served, asynchronous, serving
from tests.rpc.proxies import AT_ONCE, Proxy, proxied
from tests.rpc.stores import store

ALICE = 7
PATIENT = Retries(attempts=1_000, backoff=AT_ONCE)


def text(value: str) -> StringValue:
    return StringValue(value=value)


@asynccontextmanager
async def whole(url: str) -> AsyncIterator[tuple[Served, PushHub, Proxy]]:
    """A gateway that keeps pushes and the results of calls with a key, and a proxy before it."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(store(url))
        hub = PushHub(db, poll_ms=0)
        watch = asyncio.create_task(hub.watch())
        try:
            sun = await stack.enter_async_context(serving(hub=hub, attempts=Attempts(db)))
            yield sun, hub, await stack.enter_async_context(proxied(sun.port))
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


def over_socket(proxy: Proxy, resume: Position | None = None, max_pushes: int = 1_000) -> WebSocketTransport:
    url = f"ws://127.0.0.1:{proxy.port}/ws"
    return WebSocketTransport(
        url, "alice", retries=PATIENT, backoff=AT_ONCE, auto_keys=True, resume=resume, max_pushes=max_pushes
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["http", "ws"])
@asynchronous
async def test_calls_with_a_key_run_once_whatever_is_cut(kind: str, seed: int, sqlite_url: str) -> None:
    chance = random.Random(seed)
    async with whole(sqlite_url) as (sun, _, proxy):
        http = HttpTransport(f"http://127.0.0.1:{proxy.port}", "alice", retries=PATIENT, auto_keys=True)
        async with http, over_socket(proxy) as socket:
            transport = http if kind == "http" else socket
            calls: list[asyncio.Task[StringValue]] = []
            for number in range(60):
                calls.append(asyncio.create_task(transport.call(ECHO, text(str(number)), None)))
                await asyncio.sleep(chance.random() / 200)
                if chance.random() < 0.3:
                    proxy.cut()
            answers = await asyncio.gather(*calls)
        assert [answer.value for answer in answers] == [str(number) for number in range(60)]
        assert set(Counter(sun.handler.echoed).values()) == {1}


@asynchronous
async def test_one_key_is_one_call_on_every_transport(sqlite_url: str) -> None:
    async with whole(sqlite_url) as (sun, _, proxy):
        key = new_key()
        async with HttpTransport(f"http://127.0.0.1:{proxy.port}", "alice") as http, over_socket(proxy) as socket:
            for transport in (socket, http, InProcessTransport(sun.dispatcher, "alice"), socket):
                assert (await transport.call(ECHO, text("once"), None, key)).value == "once"
            with pytest.raises(RpcError, match="used for another call"):
                await socket.call(ECHO, text("twice"), None, key)
        assert sun.handler.echoed == ["once"]


@pytest.mark.parametrize(("seed", "max_pushes"), [(0, 1_000), (1, 1_000), (2, 3), (3, 3)])
@asynchronous
async def test_pushes_come_once_and_in_order_whatever_is_cut(seed: int, max_pushes: int, sqlite_url: str) -> None:
    chance = random.Random(seed)
    async with whole(sqlite_url) as (_, hub, proxy), over_socket(proxy, max_pushes=max_pushes) as transport:
        await transport.connect()
        found: list[str] = []

        async def follow() -> None:
            async for push in transport.pushes(StringValue):
                assert isinstance(push, Push), "so few are never lost"
                found.append(push.message.value)
                if chance.random() < 0.1:
                    await asyncio.sleep(0.01)
                if len(found) == 200:
                    return

        following = asyncio.create_task(follow())
        for number in range(200):
            await hub.send([ALICE], text(str(number)))
            if chance.random() < 0.05:
                proxy.cut()
        await following
        assert found == [str(number) for number in range(200)]


@asynchronous
async def test_a_new_program_goes_on_and_one_that_was_away_for_long_is_told(sqlite_url: str) -> None:
    async with whole(sqlite_url) as (_, hub, proxy):
        async with over_socket(proxy) as transport:
            pushes = transport.pushes(StringValue)
            await transport.connect()
            await hub.send([ALICE], text("first"))
            await hub.send([ALICE], text("second"))
            assert (await anext(pushes))[0] == text("first")
            assert (await anext(pushes))[0] == text("second")
            left_off = transport.position
            await pushes.aclose()
        assert left_off is not None
        async with over_socket(proxy, left_off) as transport:
            assert (await anext(transport.pushes(StringValue)))[0] == text("second")
        for number in range(MAX_RESUME + 1):
            await hub.send([ALICE], text(str(number)))
        async with over_socket(proxy, left_off) as transport:
            pushes = transport.pushes(StringValue)
            assert await anext(pushes) == Reload(Position(left_off.epoch, MAX_RESUME + 3))
            await hub.send([ALICE], text("after"))
            assert (await anext(pushes))[0] == text("after")
            await pushes.aclose()
