"""Pushes through the WebSocket client: typed, acknowledged, resumed; what is lost is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.transports.pushes import Position, Push, RawPush, Reload
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import LOOK, asynchronous
from tests.rpc.proxies import AT_ONCE, QUICK, FakeGateway, FakeSocket, faking

EPOCH = 9
STRING = "google.protobuf.StringValue"


def text(value: str) -> StringValue:
    return StringValue(value=value)


def client(url: str, **more: object) -> WebSocketTransport:
    return WebSocketTransport(url, "alice", **{"retries": QUICK, "backoff": AT_ONCE, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def connected(
    counter: int = 0, **more: object
) -> AsyncIterator[tuple[FakeGateway, FakeSocket, WebSocketTransport]]:
    async with faking() as gateway, client(gateway.url, **more) as transport:
        connecting = asyncio.ensure_future(transport.connect())
        socket = await gateway.socket()
        await socket.welcome(EPOCH, counter)
        await connecting
        yield gateway, socket, transport


def send(socket: FakeSocket, *counters: int) -> None:
    for counter in counters:
        socket.push(counter, STRING, text(f"p{counter}").SerializeToString())


def pushed(*counters: int) -> list[Push[StringValue]]:
    return [Push(text(f"p{counter}"), counter) for counter in counters]


@asynchronous
async def test_pushes_come_typed_and_are_acknowledged_when_the_next_is_taken() -> None:
    async with connected(3) as (_, socket, transport):
        found = transport.pushes(StringValue, Int64Value)
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 4)
        socket.push(5, "test.v1.NobodyKnows", b"?")
        socket.push(6, "google.protobuf.Int64Value", Int64Value(value=8).SerializeToString())
        assert await waiting == Push(text("p4"), 4)
        assert transport.position == Position(EPOCH, 3)
        assert await anext(found) == Push(Int64Value(value=8), 6)
        await socket.acknowledged(5)
        assert transport.position == Position(EPOCH, 5)
        await found.aclose()


@asynchronous
async def test_without_types_they_all_come_encoded() -> None:
    async with connected() as (_, socket, transport), aclosing(transport.pushes()) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        socket.push(1, "test.v1.NobodyKnows", b"?")
        assert await waiting == RawPush(1, "test.v1.NobodyKnows", b"?")


@asynchronous
async def test_after_a_loss_they_go_on_where_they_were_left_off() -> None:
    async with connected() as (gateway, socket, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 1, 2, 3)
        assert await waiting == pushed(1)[0]
        assert await anext(found) == pushed(2)[0]
        socket.cut()
        again = await gateway.socket()
        hello = await again.welcome(EPOCH, 1)
        assert (hello.resume.epoch, hello.resume.counter) == (EPOCH, 1)
        send(again, 2, 3, 4)
        assert [await anext(found), await anext(found)] == pushed(3, 4)
        await again.acknowledged(3)


@asynchronous
async def test_nothing_is_acknowledged_that_did_not_come_on_the_connection() -> None:
    async with connected() as (gateway, socket, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 1, 2, 3)
        await waiting
        await anext(found)
        socket.cut()
        again = await gateway.socket()
        await again.welcome(EPOCH, 1)
        send(again, 2)
        await anext(found)
        assert (await again.frame("push_ack")).counter == 2
        send(again, 3, 4)
        assert await anext(found) == pushed(4)[0]
        await again.acknowledged(3)


@asynchronous
async def test_a_new_program_begins_where_the_last_one_left_off() -> None:
    async with faking() as gateway, client(gateway.url, resume=Position(EPOCH, 41)) as transport:
        calling = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        socket = await gateway.socket()
        hello = await socket.welcome(EPOCH, 41)
        assert (hello.resume.epoch, hello.resume.counter) == (EPOCH, 41)
        send(socket, 42)
        socket.reply(await socket.frame("call"), b"")
        await calling
        # It came before anybody asked, and is kept all the same.
        async with aclosing(transport.pushes(StringValue)) as found:
            assert await anext(found) == pushed(42)[0]


@asynchronous
async def test_what_is_gone_is_told_as_a_value() -> None:
    async with connected(5) as (gateway, socket, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 6)
        await waiting
        socket.cut()
        again = await gateway.socket()
        await again.welcome(EPOCH, 90, reload=True)
        send(again, 91)
        assert [await anext(found), await anext(found)] == [Reload(Position(EPOCH, 90)), *pushed(91)]
        assert transport.position == Position(EPOCH, 90)


@asynchronous
async def test_a_gap_is_mended_by_a_new_connection() -> None:
    async with connected() as (gateway, socket, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 1, 3)
        assert await waiting == pushed(1)[0]
        again = await gateway.socket()
        await again.welcome(EPOCH, 0)
        send(again, 1, 2, 3)
        assert [await anext(found), await anext(found)] == pushed(2, 3)
        await socket.gone()


@asynchronous
async def test_what_is_not_repeated_has_no_counter_and_no_acknowledgement() -> None:
    async with connected(7) as (_, socket, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 0, 8, 0)
        assert [await waiting, await anext(found), await anext(found)] == pushed(0, 8, 0)
        assert (await socket.frame("push_ack")).counter == 8


@asynchronous
async def test_a_loop_that_does_not_come_back_holds_up_no_calls_and_loses_nothing() -> None:
    async with (
        connected(max_pushes=3) as (gateway, socket, transport),
        aclosing(transport.pushes(StringValue)) as found,
    ):
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, *range(1, 101))
        assert await waiting == pushed(1)[0]
        calling = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        socket.reply(await socket.frame("call"), text("hi").SerializeToString())
        assert (await calling).value == "hi"
        kept = [await anext(found)]
        coming = asyncio.ensure_future(anext(found))
        seen = [1, *(push.counter for push in kept if isinstance(push, Push))]
        while gateway.arrived.empty() and not (coming.done() and len(seen) > 10):
            if coming.done():
                push = coming.result()
                assert isinstance(push, Push)
                seen.append(push.counter)
                coming = asyncio.ensure_future(anext(found))
            await asyncio.sleep(0)
        again = await gateway.socket()
        hello = await again.welcome(EPOCH, seen[-1])
        assert hello.resume.counter == seen[-1]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) <= 4
        send(again, *range(seen[-1] + 1, 101))
        assert await coming == pushed(seen[-1] + 1)[0]


@asynchronous
async def test_the_push_that_a_loop_is_left_with_comes_again() -> None:
    async with connected() as (_, socket, transport):
        found = transport.pushes(StringValue)
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        send(socket, 1, 2)
        await waiting
        await found.aclose()
        assert transport.position == Position(EPOCH, 0)
        async for push in transport.pushes(StringValue):
            assert push == pushed(1)[0]
            break


@asynchronous
async def test_a_new_loop_takes_over() -> None:
    async with connected() as (_, socket, transport):
        first = transport.pushes(StringValue)
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0)
        second = transport.pushes(StringValue)
        coming = asyncio.ensure_future(anext(second))
        with pytest.raises(StopAsyncIteration):
            await waiting
        send(socket, 1)
        assert await coming == pushed(1)[0]
        await second.aclose()


@asynchronous
async def test_a_client_that_only_calls_acknowledges_what_it_does_not_want() -> None:
    async with connected() as (_, socket, transport):
        send(socket, 1, 2)
        await socket.acknowledged(2)
        assert transport.position == Position(EPOCH, 2)


@asynchronous
async def test_a_push_that_is_no_message_is_an_error_once() -> None:
    async with connected() as (_, socket, transport):
        found = transport.pushes(StringValue)
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        socket.push(1, STRING, b"\xff")
        send(socket, 2)
        with pytest.raises(RpcError) as broken:
            await waiting
        assert broken.value.code is Code.INTERNAL
        async for push in transport.pushes(StringValue):
            assert push == pushed(2)[0]
            break


@asynchronous
async def test_loops_end_with_the_transport_and_fail_with_the_session() -> None:
    async with connected() as (_, socket, transport):
        waiting = asyncio.ensure_future(anext(transport.pushes(StringValue)))
        await asyncio.sleep(0)
        transport.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
    async with connected() as (_, socket, transport):
        waiting = asyncio.ensure_future(anext(transport.pushes(StringValue)))
        await asyncio.sleep(0)
        socket.close(4504, "the session has ended")
        with pytest.raises(RpcError) as ended:
            await waiting
        assert ended.value.code is Code.UNAUTHENTICATED


@asynchronous
async def test_after_a_goodbye_pushes_come_from_the_old_connection_until_the_new_one_is_there() -> None:
    async with connected() as (gateway, old, transport), aclosing(transport.pushes(StringValue)) as found:
        waiting = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        old.tell(goodbye=wire_pb2.Goodbye(reason="restart"))
        send(old, 1)
        assert await waiting == pushed(1)[0]
        new = await gateway.socket()
        await new.welcome(EPOCH, 0)
        send(new, 1, 2)
        assert await anext(found) == pushed(2)[0]
        await old.gone()
