"""The transports of generated clients: one behaviour over HTTP, WebSocket and in process."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.rpc.sun.errors import BadRequest
from runtime.rpc.client import Call, Transport
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.transports.dynamic import call_json
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import (
    BIG,
    CHECKED,
    ECHO,
    FAIL,
    SECRET,
    WAIT,
    WHO,
    Served,
    Taken,
    asynchronous,
    serving,
)

every = pytest.mark.parametrize("kind", ["http", "ws", "in_process"])


@asynccontextmanager
async def reaching(sun: Served, kind: str, token: str = "alice") -> AsyncIterator[Transport]:
    if kind == "http":
        async with HttpTransport(sun.address.url, token, "phone") as http:
            yield http
    elif kind == "ws":
        async with WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", token, "phone") as socket:
            yield socket
    else:
        yield InProcessTransport(sun.dispatcher, token, "phone")


def text(value: str) -> StringValue:
    return StringValue(value=value)


@every
@asynchronous
async def test_calls_are_answered(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        assert (await Call(transport, ECHO, text("hi"), None)).value == "hi"
        assert (await transport.call(WHO, text(""), None)).value.startswith("7 phone ")
        assert len((await transport.call(BIG, text("3000000"), None)).value) == 3_000_000


@every
@asynchronous
async def test_calls_run_at_once(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        answers = await asyncio.gather(*(transport.call(ECHO, text(str(n)), 10_000) for n in range(50)))
        assert [answer.value for answer in answers] == [str(n) for n in range(50)]


@every
@asynchronous
async def test_errors_come_in_their_own_types(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        with pytest.raises(Taken) as taken:
            await transport.call(FAIL, text("taken"), None)
        assert (taken.value.detail.value, taken.value.code) == ("ann", Code.ALREADY_EXISTS)
        assert taken.value.message == "the name ann is taken"
        with pytest.raises(BadRequest) as bad:
            await transport.call(CHECKED, text("1"), None)
        assert [violation.rule for violation in bad.value.detail.violations] == ["min_len", "pattern"]
        with pytest.raises(RpcError) as failed:
            await transport.call(FAIL, text("crash"), None)
        assert failed.value.code is Code.INTERNAL
        assert SECRET not in str(failed.value)


@every
@asynchronous
async def test_deadlines(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        with pytest.raises(RpcError) as late:
            await transport.call(WAIT, text(""), 30)
        assert late.value.code is Code.DEADLINE_EXCEEDED
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@every
@asynchronous
async def test_giving_a_call_up_cancels_it_on_the_server(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        call = asyncio.ensure_future(transport.call(WAIT, text(""), None))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        call.cancel()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        with pytest.raises(asyncio.CancelledError):
            await call


@every
@asynchronous
async def test_a_refused_token(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind, SECRET) as transport:
        with pytest.raises(RpcError) as refused:
            await transport.call(ECHO, text(""), None)
        assert refused.value.code is Code.UNAUTHENTICATED
        assert SECRET not in sun.log.getvalue() + str(refused.value)


@pytest.mark.parametrize("kind", ["http", "ws"])
@asynchronous
async def test_nobody_there_is_unavailable_in_one_line(kind: str) -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"{kind}://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(RpcError) as refused:
            await call_json(url, ECHO.path, "{}")
    assert refused.value.code is Code.UNAVAILABLE
    assert "\n" not in refused.value.message
    assert "refused" in refused.value.message


@asynchronous
async def test_a_lost_socket_fails_the_calls_under_way_and_comes_back_for_others() -> None:
    async with serving() as sun, WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", "alice") as transport:
        call = asyncio.ensure_future(transport.call(WAIT, text(""), None))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        sun.gateway.connections.abort_all()
        with pytest.raises(RpcError) as lost:
            await call
        assert lost.value.code is Code.UNAVAILABLE
        assert "may have happened" in lost.value.message
        assert (await transport.call(ECHO, text("later"), None)).value == "later"


@asynchronous
async def test_an_ended_session_is_told_to_the_calls_under_way() -> None:
    async with serving() as sun, WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", "alice") as transport:
        call = asyncio.ensure_future(transport.call(WAIT, text(""), None))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        sun.gateway.connections.close_session(70)
        with pytest.raises(RpcError) as ended:
            await call
        assert ended.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("scheme", ["http", "ws"])
@asynchronous
async def test_json_by_path(scheme: str) -> None:
    async with serving() as sun:
        url = f"http://127.0.0.1:{sun.port}" if scheme == "http" else f"ws://127.0.0.1:{sun.port}/ws"
        assert json.loads(await call_json(url, ECHO.path, '"hä"', "alice", 5000)) == "hä"
        for path, body, code in (
            (ECHO.path, "nonsense", Code.INVALID_ARGUMENT),
            (CHECKED.path, '"1"', Code.INVALID_ARGUMENT),
            ("no/Such", "{}", Code.UNIMPLEMENTED),
            (FAIL.path, '"taken"', Code.ALREADY_EXISTS),
        ):
            with pytest.raises(RpcError) as failed:
                await call_json(url, path, body, "alice")
            assert failed.value.code is code
        with pytest.raises(RpcError) as bad:
            await call_json(url, CHECKED.path, '"1"', "alice")
        assert [detail.type_name for detail in bad.value.details] == ["sun.BadRequest"]


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:80", "http://", "ws://"])
@asynchronous
async def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(RpcError) as bad:
        await call_json(url, ECHO.path, "{}")
    assert bad.value.code in {Code.INVALID_ARGUMENT, Code.UNAVAILABLE}


@asynchronous
async def test_another_kind_of_server_is_told_from_a_gateway() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws"):
            with pytest.raises(RpcError) as other:
                await call_json(url, ECHO.path, "{}")
            assert other.value.code in {Code.UNKNOWN, Code.UNAVAILABLE}
