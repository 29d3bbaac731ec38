"""The WebSocket client: connections that are lost, replaced and refused, and the calls that live through it."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.proto.sun import options_pb2, wire_pb2
from runtime.rpc.client import new_key
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.retries import Backoff
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import ECHO, LOOK, WAIT, Served, asynchronous, method, serving
from tests.rpc.proxies import AT_ONCE, QUICK, FakeGateway, FakeSocket, Proxy, faking, proxied

IDEMPOTENT = method("Put", idempotent=True)


def text(value: str) -> StringValue:
    return StringValue(value=value)


OK = text("ok").SerializeToString()


def client(url: str, **more: object) -> WebSocketTransport:
    return WebSocketTransport(url, "alice", **{"retries": QUICK, "backoff": AT_ONCE, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def through_a_proxy(**more: object) -> AsyncIterator[tuple[Served, Proxy, WebSocketTransport]]:
    async with (
        serving() as sun,
        proxied(sun.port) as proxy,
        client(f"ws://127.0.0.1:{proxy.port}/ws", **more) as transport,
    ):
        yield sun, proxy, transport


@asynccontextmanager
async def connected(**more: object) -> AsyncIterator[tuple[FakeGateway, FakeSocket, WebSocketTransport]]:
    """A client of a gateway whose frames the test writes, with a connection that is welcomed."""
    async with faking() as gateway, client(gateway.url, **more) as transport:
        connecting = asyncio.ensure_future(transport.connect())
        socket = await gateway.socket()
        await socket.welcome()
        await connecting
        yield gateway, socket, transport


@asynchronous
async def test_a_connection_that_is_cut_comes_back() -> None:
    async with through_a_proxy() as (_, proxy, transport):
        for number in range(5):
            assert (await transport.call(LOOK, text(str(number)), None)).value == str(number)
            proxy.cut()
        await transport.call(LOOK, text(""), None)
        assert proxy.connections == 6


@asynchronous
async def test_calls_wait_while_there_is_no_connection() -> None:
    async with through_a_proxy() as (_, proxy, transport):
        await transport.connect()
        proxy.refusing = True
        proxy.cut()
        calls = [asyncio.ensure_future(transport.call(LOOK, text(str(n)), 20_000)) for n in range(20)]
        made = proxy.connections
        async with asyncio.timeout(20):
            while proxy.connections < made + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert not any(call.done() for call in calls)
        proxy.refusing = False
        assert [answer.value for answer in await asyncio.gather(*calls)] == [str(n) for n in range(20)]


@asynchronous
async def test_waiting_calls_are_bounded_in_number_and_time() -> None:
    async with serving(), client("ws://127.0.0.1:1/ws", max_waiting=2) as transport:
        waiting = [asyncio.ensure_future(transport.call(ECHO, text(""), 100)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(NotCalled) as full:
            await transport.call(ECHO, text(""), None)
        assert full.value.code is Code.RESOURCE_EXHAUSTED
        for call in waiting:
            with pytest.raises(NotCalled) as late:
                await call
            assert late.value.code is Code.UNAVAILABLE
            assert "refused" in late.value.message


@asynchronous
async def test_what_was_sent_is_sent_again_only_where_that_is_safe() -> None:
    async with connected() as (gateway, socket, transport):
        key = new_key()
        calls = [
            asyncio.ensure_future(transport.call(LOOK, text("look"), None)),
            asyncio.ensure_future(transport.call(IDEMPOTENT, text("put"), None)),
            asyncio.ensure_future(transport.call(ECHO, text("keyed"), None, key)),
        ]
        unsafe = asyncio.ensure_future(transport.call(ECHO, text("unsafe"), None))
        first = [await socket.frame("call") for _ in range(4)]
        socket.cut()
        with pytest.raises(RpcError) as lost:
            await unsafe
        assert lost.value.code is Code.UNAVAILABLE
        assert "may have happened" in lost.value.message
        again = await gateway.socket()
        await again.welcome()
        second = [await again.frame("call") for _ in range(3)]
        assert {(call.id, call.key) for call in second} == {(call.id, call.key) for call in first[:3]}
        assert [call.key for call in first] == ["", "", key, ""]
        for call in second:
            again.reply(call, OK)
        assert [answer.value for answer in await asyncio.gather(*calls)] == ["ok"] * 3


@asynchronous
async def test_a_call_is_not_sent_for_ever() -> None:
    async with connected() as (gateway, socket, transport):
        call = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        for _ in range(QUICK.attempts):
            await socket.frame("call")
            socket.cut()
            socket = await gateway.socket()  # noqa: PLW2901
            await socket.welcome()
        with pytest.raises(RpcError) as lost:
            await call
        assert lost.value.code is Code.UNAVAILABLE


@asynchronous
async def test_keys_of_their_own_where_they_are_wanted() -> None:
    async with connected(auto_keys=True) as (gateway, socket, transport):
        call = asyncio.ensure_future(transport.call(ECHO, text(""), None))
        first = await socket.frame("call")
        socket.cut()
        again = await gateway.socket()
        await again.welcome()
        second = await again.frame("call")
        assert first.key == second.key
        assert len(first.key) >= 16
        again.reply(second, OK)
        await call


@asynchronous
async def test_a_busy_server_is_asked_again_where_that_is_safe() -> None:
    async with connected() as (_, socket, transport):
        busy = wire_pb2.Error(code=options_pb2.CODE_UNAVAILABLE, message="busy")
        safe = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        call = await socket.frame("call")
        socket.tell(reply=wire_pb2.Reply(id=call.id, error=busy))
        socket.reply(await socket.frame("call"), OK)
        assert (await safe).value == "ok"
        unsafe = asyncio.ensure_future(transport.call(ECHO, text(""), None))
        call = await socket.frame("call")
        socket.tell(reply=wire_pb2.Reply(id=call.id, error=busy))
        with pytest.raises(RpcError):
            await unsafe


@asynchronous
async def test_a_goodbye_is_answered_with_a_new_connection_before_the_old_one_ends() -> None:
    async with connected() as (gateway, old, transport):
        under_way = asyncio.ensure_future(transport.call(ECHO, text("old"), None))
        call = await old.frame("call")
        old.tell(goodbye=wire_pb2.Goodbye(reason="restart"))
        new = await gateway.socket()
        later = asyncio.ensure_future(transport.call(ECHO, text("new"), None))
        await new.welcome()
        new.reply(await new.frame("call"), OK)
        await later
        old.reply(call, OK)
        assert (await under_way).value == "ok"
        await old.gone()
        assert gateway.arrived.empty()


@asynchronous
async def test_an_old_connection_without_calls_is_closed_when_the_new_one_is_there() -> None:
    async with connected() as (gateway, old, _):
        old.tell(goodbye=wire_pb2.Goodbye(reason="restart"))
        new = await gateway.socket()
        await new.welcome()
        await old.gone()


@pytest.mark.parametrize("code", [code for code in CloseCode if code < 4500])
@asynchronous
async def test_codes_below_4500_come_back(code: CloseCode) -> None:
    async with connected() as (gateway, socket, transport):
        socket.close(code, "as told")
        if code is CloseCode.IDLE:
            await socket.gone()
            assert gateway.arrived.empty()
            asking = asyncio.ensure_future(transport.call(LOOK, text(""), None))
            again = await gateway.socket()
            await again.welcome()
            again.reply(await again.frame("call"), OK)
            await asking
        else:
            await (await gateway.socket()).welcome()
            await transport.connect()


@pytest.mark.parametrize("code", [*(code for code in CloseCode if code >= 4500), 4999, 1009])
@asynchronous
async def test_codes_from_4500_do_not_come_back(code: int) -> None:
    async with connected() as (gateway, socket, transport):
        under_way = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        await socket.frame("call")
        socket.close(code, "as told")
        expected = Code.UNAUTHENTICATED if code in {4503, 4504} else Code.FAILED_PRECONDITION
        for call in (under_way, transport.call(LOOK, text(""), None), transport.connect()):
            with pytest.raises(RpcError) as ended:
                await call
            assert ended.value.code is expected
            assert "as told" in ended.value.message
        assert gateway.arrived.empty()


@asynchronous
async def test_the_back_off_grows_and_begins_anew_after_a_good_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = 0

    def choose() -> float:
        nonlocal chosen
        chosen += 1
        return 0.0

    class Watched(Backoff):
        def delay_ms(self, failures: int) -> float:
            seen.append(failures)
            return super().delay_ms(failures)

    seen: list[int] = []
    backoff = Watched(500, 30_000, choose)
    async with faking() as gateway, client(gateway.url, backoff=backoff) as transport:
        connecting = asyncio.ensure_future(transport.connect())
        for _ in range(3):
            socket = await gateway.socket()
            socket.cut()
            with pytest.raises(NotCalled):
                await connecting
            connecting = asyncio.ensure_future(transport.connect())
        socket = await gateway.socket()
        await socket.welcome()
        socket.cut()
        socket = await gateway.socket()
        assert seen == [0, 1, 2, 3]
        monkeypatch.setattr("runtime.rpc.transports.websocket._SETTLED_S", 0.0)
        await socket.welcome()
        socket.cut()
        await (await gateway.socket()).welcome()
        assert seen == [0, 1, 2, 3, 0]
        connecting.cancel()


@asynchronous
async def test_giving_up_and_time_limits_send_a_cancel() -> None:
    async with connected() as (_, socket, transport):
        given_up = asyncio.ensure_future(transport.call(ECHO, text(""), 10_000))
        call = await socket.frame("call")
        assert 0 < call.timeout_ms <= 10_000
        given_up.cancel()
        assert (await socket.frame("cancel")).id == call.id
        with pytest.raises(RpcError) as late:
            await transport.call(LOOK, text(""), 20)
        assert late.value.code is Code.DEADLINE_EXCEEDED
        call = await socket.frame("call")
        assert (await socket.frame("cancel")).id == call.id
        socket.reply(call, OK)  # too late: nobody waits for it
        untimed = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        call = await socket.frame("call")
        assert call.timeout_ms == 0
        socket.reply(call, OK)
        await untimed


@asynchronous
async def test_a_request_over_the_servers_limit_is_not_sent() -> None:
    async with connected() as (_, socket, transport):
        with pytest.raises(NotCalled) as large:
            await transport.call(LOOK, text("x" * (1 << 20)), None)
        assert large.value.code is Code.RESOURCE_EXHAUSTED
        asking = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        socket.reply(await socket.frame("call"), OK)
        await asking


@pytest.mark.parametrize("message", [b"\xff\xff\xff", "text"])
@asynchronous
async def test_a_server_that_speaks_something_else(message: bytes | str) -> None:
    async with connected() as (_, socket, transport):
        asking = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        await socket.frame("call")
        socket.write_message(message, binary=isinstance(message, bytes))
        with pytest.raises(RpcError) as other:
            await asking
        assert other.value.code is Code.INTERNAL


@asynchronous
async def test_frames_of_later_versions_are_passed_over() -> None:
    async with connected() as (_, socket, transport):
        asking = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        call = await socket.frame("call")
        socket.write_message(b"", binary=True)
        socket.write_message(b"\xfa\x07\x00", binary=True)  # an unknown field with number 127
        socket.tell(received=wire_pb2.Received(id=call.id))
        socket.tell(reply=wire_pb2.Reply(id="nobody's", response=OK))
        socket.reply(call, OK)
        assert (await asking).value == "ok"


@asynchronous
async def test_close_ends_calls_and_waiting_calls() -> None:
    async with serving() as sun, client(f"ws://127.0.0.1:{sun.port}/ws") as transport:
        calls = [asyncio.ensure_future(transport.call(WAIT, text(""), None)) for _ in range(2)]
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        transport.close()
        for call in [*calls, transport.call(LOOK, text(""), None), transport.connect()]:
            with pytest.raises(RpcError) as closed:
                await call
            assert closed.value.code is Code.UNAVAILABLE
        await sun.handler.until(lambda: sun.handler.waiting == 0)
    with sockets.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        transport = client(f"ws://127.0.0.1:{deaf.getsockname()[1]}/ws")
        call = asyncio.ensure_future(transport.call(LOOK, text(""), None))
        await asyncio.sleep(0)
        transport.close()
        with pytest.raises(RpcError):
            await call


@asynchronous
async def test_a_server_that_never_welcomes_is_given_up() -> None:
    async with faking() as gateway, client(gateway.url, connect_timeout_ms=30) as transport:
        with pytest.raises(NotCalled) as silent:
            await transport.connect()
        assert "did not answer in time" in silent.value.message
        await (await gateway.socket()).gone()


@asynchronous
async def test_a_server_that_is_no_gateway() -> None:
    async with serving() as sun, client(f"ws://127.0.0.1:{sun.port}/readyz", backoff=Backoff(60_000, 60_000)) as ws:
        with pytest.raises(NotCalled):
            await ws.connect()
    for url in ("ftp://x", "127.0.0.1:80", "ws://"):
        async with client(url) as ws:
            with pytest.raises(RpcError) as bad:
                await ws.connect()
            assert bad.value.code in {Code.INVALID_ARGUMENT, Code.UNAVAILABLE}
