"""Clients without an event loop: threads that share a transport, streams, pushes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.blocking import BlockingTransport
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.pushes import Push
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import COUNT, ECHO, FAIL, WAIT, Served, Taken, asynchronous, serving
from tests.rpc.proxies import AT_ONCE, faking

every = pytest.mark.parametrize("kind", ["http", "ws"])


def text(value: str) -> StringValue:
    return StringValue(value=value)


@contextlib.contextmanager
def reaching(sun: Served, kind: str) -> Iterator[BlockingTransport]:
    url = f"{kind}://127.0.0.1:{sun.port}"
    inner = HttpTransport(url, "alice") if kind == "http" else WebSocketTransport(f"{url}/ws", "alice")
    with BlockingTransport(inner) as transport:
        yield transport


async def in_thread(work: Callable[[], None]) -> None:
    """The gateway runs on this loop, so whoever blocks has a thread of its own."""
    await asyncio.to_thread(work)


@every
@asynchronous
async def test_threads_share_a_transport(kind: str) -> None:
    async with serving() as sun:

        def work() -> None:
            with reaching(sun, kind) as transport, ThreadPoolExecutor(8) as pool:
                answers = pool.map(lambda n: transport.call(ECHO, text(str(n)), 10_000).value, range(100))
                assert list(answers) == [str(n) for n in range(100)]

        await in_thread(work)


@every
@asynchronous
async def test_errors_and_deadlines(kind: str) -> None:
    async with serving() as sun:

        def work() -> None:
            with reaching(sun, kind) as transport:
                with pytest.raises(Taken) as taken:
                    transport.call(FAIL, text("taken"), None)
                assert taken.value.detail.value == "ann"
                with pytest.raises(RpcError) as late:
                    transport.call(WAIT, text(""), 30)
                assert late.value.code is Code.DEADLINE_EXCEEDED

        await in_thread(work)
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@asynchronous
async def test_streams_and_leaving_them() -> None:
    async with serving() as sun:

        def work() -> None:
            with reaching(sun, "http") as transport:
                assert [message.value for message in transport.stream(COUNT, text("3"), None)] == ["0", "1", "2"]
                with closing(transport.stream(COUNT, text("1 wait"), None)) as messages:
                    assert next(messages).value == "0"

        await in_thread(work)
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@every
@asynchronous
async def test_close_ends_the_calls_of_other_threads(kind: str) -> None:
    async with serving() as sun:

        def call() -> None:
            with pytest.raises(RpcError) as closed:
                transport.call(WAIT, text(""), None)
            assert closed.value.code is Code.UNAVAILABLE

        with reaching(sun, kind) as transport:
            calling = asyncio.ensure_future(in_thread(call))
            await sun.handler.until(lambda: sun.handler.waiting == 1)
            await in_thread(transport.close)
        await calling
        await sun.handler.until(lambda: sun.handler.waiting == 0)
        with pytest.raises(NotCalled):
            transport.call(ECHO, text(""), None)
        assert "sun client" not in {thread.name for thread in threading.enumerate()}


@asynchronous
async def test_pushes() -> None:
    async with faking() as gateway:
        found: list[object] = []

        def work() -> None:
            with BlockingTransport(WebSocketTransport(gateway.url, "alice", backoff=AT_ONCE)) as transport:
                for push in transport.pushes(StringValue):
                    found.append(push)
                    if len(found) == 2:
                        break

        working = asyncio.ensure_future(in_thread(work))
        socket = await gateway.socket()
        await socket.welcome(1, 0)
        for counter in (1, 2):
            socket.push(counter, "google.protobuf.StringValue", text("hi").SerializeToString())
        await socket.acknowledged(1)
        await working
        assert found == [Push(text("hi"), 1), Push(text("hi"), 2)]


def test_over_http_there_are_no_pushes() -> None:
    with BlockingTransport(HttpTransport("http://127.0.0.1:1")) as transport, pytest.raises(TypeError, match="pushes"):
        transport.pushes(StringValue)


def test_nothing_starts_before_the_first_call() -> None:
    with BlockingTransport(HttpTransport("http://127.0.0.1:1")):
        assert "sun client" not in {thread.name for thread in threading.enumerate()}


@asynchronous
async def test_a_server_that_does_not_answer_the_close_holds_nobody_up() -> None:
    async with serving() as sun:
        with reaching(sun, "ws") as transport:
            await asyncio.to_thread(transport.call, ECHO, text(""), None)
            # This loop is the server's, and stands still until the transport has closed.
        assert "sun client" not in {thread.name for thread in threading.enumerate()}
