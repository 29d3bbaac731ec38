"""Calls that are answered with a stream: over HTTP as the Connect protocol frames them, and through the clients."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import aclosing
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.rpc.sun.errors import BadRequest
from runtime.rpc.client import Stream, Transport
from runtime.rpc.codecs import PROTO
from runtime.rpc.dispatcher import BindingError, Dispatcher
from runtime.rpc.envelopes import COMPRESSED, END_STREAM, ENVELOPE, envelope
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.service import Service
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import (
    COUNT,
    ECHO,
    NAME,
    SECRET,
    WAIT,
    Handler,
    Response,
    Served,
    Taken,
    asynchronous,
    method,
    read_response,
    serving,
)
from tests.rpc.test_transports import reaching

JSON_STREAM = {"Content-Type": "application/connect+json"}
PROTO_STREAM = {"Content-Type": "application/connect+proto"}

both = pytest.mark.parametrize("kind", ["http", "in_process"])


def text(value: str) -> StringValue:
    return StringValue(value=value)


def asking(value: str) -> bytes:
    return envelope(0, json.dumps(value).encode())


def frames(body: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while body:
        flags, length = ENVELOPE.unpack_from(body)
        found.append((flags, body[ENVELOPE.size : ENVELOPE.size + length]))
        body = body[ENVELOPE.size + length :]
    return found


def end(response: Response) -> dict[str, Any]:
    """The EndStreamResponse, which must be the last frame and the only one of its kind."""
    assert response.status == 200
    found = frames(response.body)
    assert [bool(flags & END_STREAM) for flags, _ in found] == [False] * (len(found) - 1) + [True]
    flags, message = found[-1]
    return json.loads(gzip.decompress(message) if flags & COMPRESSED else message)


@asynchronous
async def test_messages_come_in_envelopes_and_the_end_says_so() -> None:
    async with serving() as sun:
        response = await sun.post(COUNT.path, asking("3"), JSON_STREAM)
        assert response.headers["content-type"] == "application/connect+json"
        assert response.headers["acme-began"] == "yes"
        assert [message for _, message in frames(response.body)[:-1]] == [b'"0"', b'"1"', b'"2"']
        assert end(response) == {"metadata": {"acme-counted": ["3"], "acme-raw-bin": ["AP8"]}}

        response = await sun.post(COUNT.path, envelope(0, text("1").SerializeToString()), PROTO_STREAM)
        assert response.headers["content-type"] == "application/connect+proto"
        assert [PROTO.decode(StringValue, message).value for _, message in frames(response.body)[:-1]] == ["0"]


@asynchronous
async def test_a_stream_without_messages_is_its_end() -> None:
    async with serving() as sun:
        response = await sun.post(COUNT.path, asking("0"), JSON_STREAM)
        assert len(frames(response.body)) == 1
        assert "error" not in end(response)


@asynchronous
async def test_several_streams_use_one_connection() -> None:
    async with serving() as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        for many in ("1", "2"):
            body = asking(many)
            head = f"POST /{COUNT.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert len(frames((await read_response(reader)).body)) == int(many) + 1
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_gzip_of_each_message() -> None:
    async with serving(gzip_min_bytes=100) as sun:
        accepting = {**JSON_STREAM, "Connect-Accept-Encoding": "gzip"}
        response = await sun.post(COUNT.path, asking("2 x 500"), accepting)
        assert response.headers["connect-content-encoding"] == "gzip"
        flags, message = frames(response.body)[1]
        assert flags == COMPRESSED
        assert json.loads(gzip.decompress(message)) == "1" + "x" * 500
        assert frames((await sun.post(COUNT.path, asking("1"), accepting)).body)[0] == (0, b'"0"')

        packed = envelope(COMPRESSED, gzip.compress(b'"1 x 500"'))
        response = await sun.post(COUNT.path, packed, {**JSON_STREAM, "Connect-Content-Encoding": "gzip"})
        assert frames(response.body)[0][0] == COMPRESSED


@pytest.mark.parametrize(
    ("asked", "code", "messages"),
    [
        ("2 taken", "already_exists", 2),
        ("0 taken", "already_exists", 0),
        ("2 crash", "internal", 2),
        ("2 wrong", "internal", 2),
        ("nonsense", "internal", 0),
        ("", "invalid_argument", 0),
    ],
)
@asynchronous
async def test_errors_are_in_the_end(asked: str, code: str, messages: int) -> None:
    async with serving() as sun:
        response = await sun.post(COUNT.path, asking(asked), JSON_STREAM)
        assert end(response)["error"]["code"] == code
        assert len(frames(response.body)) == messages + 1
        assert SECRET not in response.body.decode("latin-1")
        await sun.handler.until(lambda: sun.handler.waiting == 0)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "unimplemented"),
        (asking("1") * 2, {}, "unimplemented"),
        (asking("1")[:3], {}, "invalid_argument"),
        (asking("1")[:-1], {}, "invalid_argument"),
        (envelope(4, b'"1"'), {}, "invalid_argument"),
        (envelope(END_STREAM, b"{}"), {}, "invalid_argument"),
        (envelope(0, b"nonsense"), {}, "invalid_argument"),
        (envelope(COMPRESSED, gzip.compress(b'"1"')), {}, "internal"),
        (envelope(COMPRESSED, gzip.compress(b'"1"')[:-2]), {"Connect-Content-Encoding": "gzip"}, "invalid_argument"),
        (asking("1"), {"Connect-Content-Encoding": "br"}, "unimplemented"),
        (asking("1"), {"Connect-Protocol-Version": "2"}, "invalid_argument"),
        (asking("1"), {"Connect-Timeout-Ms": "soon"}, "invalid_argument"),
        (envelope(0, b'"' + b"x" * 20_000 + b'"'), {}, "resource_exhausted"),
        (envelope(0, b'"' + b"x" * 9_999 + b'"'), {}, "resource_exhausted"),
        (
            envelope(COMPRESSED, gzip.compress(b" " * 1_000_000)),
            {"Connect-Content-Encoding": "gzip"},
            "resource_exhausted",
        ),
    ],
)
@asynchronous
async def test_broken_requests(body: bytes, headers: dict[str, str], code: str) -> None:
    async with serving(max_message_bytes=10_000) as sun:
        response = await sun.post(COUNT.path, body, {**JSON_STREAM, **headers})
        assert end(response)["error"]["code"] == code
        assert sun.handler.counted == 0


@asynchronous
async def test_the_kind_of_call_must_fit_the_method() -> None:
    async with serving() as sun:
        response = await sun.post(COUNT.path, b'"1"')
        assert response.status == 415
        assert response.headers["accept-post"] == "application/connect+json, application/connect+proto"
        response = await sun.post(ECHO.path, asking("1"), JSON_STREAM)
        assert response.status == 415
        assert response.headers["accept-post"] == "application/json, application/proto"
        head = f"POST /{COUNT.path} HTTP/1.0\r\nContent-Type: application/connect+json\r\nContent-Length: 8\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        writer.write(head.encode() + asking("1"))
        assert (await read_response(reader)).status == 505
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_the_deadline_ends_a_stream_and_its_handler() -> None:
    async with serving() as sun:
        response = await sun.post(COUNT.path, asking("1 wait"), {**JSON_STREAM, "Connect-Timeout-Ms": "30"})
        assert end(response)["error"]["code"] == "deadline_exceeded"
        assert len(frames(response.body)) == 2
        assert (sun.handler.waiting, sun.handler.cancelled) == (0, 1)
    async with serving(max_stream_ms=30) as sun:
        response = await sun.post(COUNT.path, asking("1 wait"), JSON_STREAM)
        assert end(response)["error"]["code"] == "deadline_exceeded"


@asynchronous
async def test_a_stream_may_last_longer_than_a_call() -> None:
    async with (
        serving(default_timeout_ms=30, max_timeout_ms=30) as sun,
        HttpTransport(sun.address.url) as http,
        aclosing(http.stream(COUNT, text("1 wait"), None)) as messages,
    ):
        assert (await anext(messages)).value == "0"
        with pytest.raises(RpcError) as late:
            await http.call(WAIT, text(""), None)
        assert late.value.code is Code.DEADLINE_EXCEEDED
        sun.handler.release.set()
        assert [message async for message in messages] == []


async def reading_nothing(sun: Served, asked: str) -> asyncio.StreamWriter:
    """A client that asks for a stream and never reads."""
    body = asking(asked)
    _, writer = await asyncio.open_connection("127.0.0.1", sun.port, limit=1)
    head = f"POST /{COUNT.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return writer


async def stalled(sun: Served) -> None:
    """Waits until the handler is no longer asked for messages."""
    await sun.handler.until(lambda: sun.handler.waiting == 1)
    seen = 0
    while seen != sun.handler.counted or not seen:
        seen = sun.handler.counted
        await asyncio.sleep(0.1)


@asynchronous
async def test_a_slow_reader_holds_up_its_handler_and_nobody_else() -> None:
    async with serving() as sun:
        writer = await reading_nothing(sun, "1000000 x 100000")
        await stalled(sun)
        assert sun.handler.counted < 1000
        assert end(await sun.post(COUNT.path, asking("3"), JSON_STREAM))["metadata"]["acme-counted"] == ["3"]
        writer.close()
        await writer.wait_closed()
        await sun.handler.until(lambda: sun.handler.waiting == 0)


@asynchronous
async def test_a_client_that_never_reads_loses_its_connection() -> None:
    async with serving(unread_timeout_ms=50) as sun:
        writer = await reading_nothing(sun, "1000000 x 100000")
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        await sun.handler.until(lambda: sun.handler.waiting == 0)
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_a_handler_that_never_waits_holds_up_nobody() -> None:
    async with serving() as sun, HttpTransport(sun.address.url, "alice") as http:
        counting = asyncio.create_task(sun.post(COUNT.path, asking("3000"), JSON_STREAM))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        await http.call(ECHO, text("hi"), None)
        assert not counting.done()
        assert len(frames((await counting).body)) == 3001


@asynchronous
async def test_a_drain_ends_streams_with_unavailable() -> None:
    async with serving() as sun:
        waiting = asyncio.create_task(sun.post(COUNT.path, asking("1 wait"), JSON_STREAM))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        await sun.gateway.drain()
        assert end(await waiting)["error"]["code"] == "unavailable"
        assert sun.handler.cancelled == 1


@asynchronous
async def test_one_log_line_a_stream() -> None:
    async with serving() as sun:
        await sun.post(COUNT.path, asking("3"), JSON_STREAM)
        await sun.post(COUNT.path, asking("3 taken"), JSON_STREAM)
        lines = [json.loads(line) for line in sun.log.getvalue().splitlines()]
        assert [line["result"] for line in lines if line["event"] == "rpc"] == ["ok", "already_exists"]


# Through the clients.


@both
@asynchronous
async def test_clients_iterate(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        assert [message.value async for message in Stream(transport, COUNT, text("3"), None)] == ["0", "1", "2"]
        long = [message.value async for message in Stream(transport, COUNT, text("2 x 300000"), None)]
        assert [len(value) for value in long] == [300_001, 300_001]


@both
@asynchronous
async def test_clients_get_typed_errors_after_messages(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        messages = aiter(Stream(transport, COUNT, text("2 taken"), None))
        assert [(await anext(messages)).value for _ in range(2)] == ["0", "1"]
        with pytest.raises(Taken) as taken:
            await anext(messages)
        assert taken.value.detail.value == "ann"
        for asked, kind_of_error in (("", BadRequest), ("2 crash", RpcError)):
            with pytest.raises(kind_of_error):
                await drained(transport, asked)


async def drained(transport: Transport, asked: str, timeout_ms: int | None = None) -> None:
    async for _ in Stream(transport, COUNT, text(asked), timeout_ms):
        pass


@both
@asynchronous
async def test_clients_that_leave_end_the_handler(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        async with aclosing(aiter(Stream(transport, COUNT, text("5 wait"), None))) as messages:
            assert (await anext(messages)).value == "0"
            assert sun.handler.waiting == 1
        await sun.handler.until(lambda: sun.handler.waiting == 0)

        reading = asyncio.create_task(drained(transport, "1 wait"))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await sun.handler.until(lambda: sun.handler.waiting == 0)


@both
@asynchronous
async def test_clients_set_deadlines(kind: str) -> None:
    async with serving() as sun, reaching(sun, kind) as transport:
        with pytest.raises(RpcError) as late:
            await drained(transport, "1 wait", 30)
        assert late.value.code is Code.DEADLINE_EXCEEDED
        await sun.handler.until(lambda: sun.handler.waiting == 0)


@both
@asynchronous
async def test_a_slow_client_holds_up_the_handler(kind: str) -> None:
    async with (
        serving(gzip_min_bytes=1_000_000) as sun,
        reaching(sun, kind) as transport,
        aclosing(aiter(Stream(transport, COUNT, text("100000 x 100000"), None))) as messages,
    ):
        await anext(messages)
        await stalled(sun)
        assert sun.handler.counted < 1000


@both
@asynchronous
async def test_a_session_that_ends_ends_its_streams(kind: str) -> None:
    async with serving(identity_max_age_ms=0) as sun, reaching(sun, kind) as transport:
        messages = aiter(Stream(transport, COUNT, text("1000000 x 10000"), None))
        await anext(messages)
        sun.tokens.known.clear()
        with pytest.raises(RpcError) as ended:
            async for _ in messages:
                pass
        assert ended.value.code is Code.UNAUTHENTICATED


@asynchronous
async def test_a_message_larger_than_the_client_takes() -> None:
    async with serving() as sun, HttpTransport(sun.address.url, max_response_bytes=1000) as http:
        for size in (2000, 100_000):
            with pytest.raises(RpcError) as large:
                await drained(http, f"1 x {size}")
            assert large.value.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", Code.UNKNOWN),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Code.UNAVAILABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+proto\r\nContent-Length: 9\r\n\r\n1", Code.UNAVAILABLE),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+proto\r\nContent-Length: 5\r\n\r\n\x01\0\0\0\0",
            Code.INTERNAL,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+proto\r\nContent-Length: 6\r\n\r\n\x02\0\0\0\x01?",
            Code.INTERNAL,
        ),
        (b"nonsense", Code.UNAVAILABLE),
        (b"", Code.UNAVAILABLE),
    ],
)
@asynchronous
async def test_servers_that_are_none(answer: bytes, code: Code) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as http,
    ):
        with pytest.raises(RpcError) as other:
            await drained(http, "1")
        assert other.value.code is code
    async with HttpTransport("http://127.0.0.1:1") as http:
        with pytest.raises(RpcError) as refused:
            await drained(http, "1")
        assert refused.value.code is Code.UNAVAILABLE


@asynchronous
async def test_the_websocket_says_that_it_carries_no_streams() -> None:
    async with serving() as sun, WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", "alice") as socket:
        with pytest.raises(RpcError) as client:
            await drained(socket, "1")
        with pytest.raises(RpcError) as server:
            await socket.call(COUNT, text("1"), None)
        assert client.value.code is server.value.code is Code.UNIMPLEMENTED
        in_process = InProcessTransport(sun.dispatcher)
        with pytest.raises(RpcError) as unary:
            async for _ in in_process.stream(ECHO, text("1"), None):
                pass
        assert unary.value.code is Code.UNIMPLEMENTED


def test_a_handler_of_a_stream_must_be_a_generator() -> None:
    class Wrong(Service):
        service_name = NAME
        methods = (method("Count", server_streaming=True),)
        count = Handler.echo

    with pytest.raises(BindingError, match=r"Wrong.count: must be an async generator"):
        Dispatcher([Wrong()], None)
