"""What a schema says of its methods besides who may call: time limits, sizes of requests, deprecation."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.logs import configure_logging
from runtime.rpc.codecs import PROTO
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.server import Address, Gateway
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.transports.websocket import WebSocketTransport
from runtime.rpc.wire import JSON_WIRE, Call, Hello, Reply, Welcome
from tests.rpc.gateways import RawSocket, Tokens, asynchronous, request

NAME = "rules.v1.RulesService"
SINCE_S = 1_795_996_800


def method(name: str, **more: Any) -> Method[StringValue, StringValue]:
    return Method(f"{NAME}/{name}", name.lower(), StringValue, StringValue, Callers.ANYONE, **more)


LEFT = method("Left")
SLOW = method("Slow", timeout_ms=200_000)
SHORT = method("Short", timeout_ms=2_000, max_timeout_ms=10_000)
ENDLESS = method("Endless", max_timeout_ms=10_000, server_streaming=True)
SMALL = method("Small", max_request_bytes=20)
OLD = method("Old", deprecated=True, deprecated_since_s=SINCE_S, side_effects=False)
OLDER = method("Older", deprecated=True)
METHODS = (LEFT, SLOW, SHORT, ENDLESS, SMALL, OLD, OLDER)


class Handler(Service):
    """Answers with the milliseconds that its call has left, rounded to whole seconds."""

    service_name = NAME
    methods = METHODS

    async def left(self, asked: StringValue, ctx: Context) -> StringValue:
        return _left(ctx)

    async def slow(self, asked: StringValue, ctx: Context) -> StringValue:
        return _left(ctx)

    async def short(self, asked: StringValue, ctx: Context) -> StringValue:
        return _left(ctx)

    async def endless(self, asked: StringValue, ctx: Context) -> AsyncIterator[StringValue]:
        yield _left(ctx)

    async def small(self, asked: StringValue, ctx: Context) -> StringValue:
        return asked

    async def old(self, asked: StringValue, ctx: Context) -> StringValue:
        if asked.value == "fail":
            raise RpcError(Code.ABORTED, "as asked")
        return asked

    async def older(self, asked: StringValue, ctx: Context) -> StringValue:
        return asked


def _left(ctx: Context) -> StringValue:
    left_s = ctx.deadline - asyncio.get_running_loop().time()
    return StringValue(value=str(round(left_s) * 1000))


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Dispatcher, Address, io.StringIO]]:
    log = io.StringIO()
    configure_logging("json", "debug", log)
    limits = GatewaySettings(**{"port": 0, "drain_timeout_ms": 0, "drain_grace_ms": 0, **settings})
    dispatcher = Dispatcher([Handler()], Tokens(), settings=limits)
    gateway = Gateway(dispatcher, limits)
    try:
        yield dispatcher, await gateway.start(), log
    finally:
        await gateway.drain()


@asynchronous
@pytest.mark.parametrize(
    ("asked", "timeout_ms", "left_ms"),
    [
        (LEFT, 0, 30_000),
        (LEFT, 90_000, 90_000),
        (LEFT, 900_000, 100_000),
        (SLOW, 0, 100_000),
        (SLOW, 5_000, 5_000),
        (SHORT, 0, 2_000),
        (SHORT, 5_000, 5_000),
        (SHORT, 90_000, 10_000),
    ],
)
async def test_the_shortest_of_what_client_method_and_server_say_is_the_limit(
    asked: Method[Any, Any], timeout_ms: int, left_ms: int
) -> None:
    async with serving(default_timeout_ms=30_000, max_timeout_ms=100_000) as (dispatcher, _, _):
        answer = await dispatcher.call(asked.path, PROTO, b"", Caller("test", ""), timeout_ms)
        assert StringValue.FromString(answer).value == str(left_ms)


@asynchronous
async def test_a_stream_has_the_time_that_its_method_says() -> None:
    async with serving() as (dispatcher, _, _):
        found: list[bytes] = []

        async def send(message: bytes) -> None:
            found.append(message)

        await dispatcher.stream(ENDLESS.path, PROTO, b"", Caller("test", ""), send)
        assert [StringValue.FromString(each).value for each in found] == ["10000"]


@asynchronous
async def test_the_size_of_a_request_counts_after_inflation() -> None:
    headers = {"Content-Type": "application/json"}
    async with serving() as (_, address, _):
        good, large = json.dumps("x" * 18).encode(), json.dumps("x" * 19).encode()
        assert (await request(address.port, "POST", f"/{SMALL.path}", headers, good)).status == 200
        refused = await request(address.port, "POST", f"/{SMALL.path}", headers, large)
        assert refused.status == 429
        assert json.loads(refused.body)["message"] == "the request is larger than 20 bytes"
        packed = {**headers, "Content-Encoding": "gzip"}
        assert (await request(address.port, "POST", f"/{SMALL.path}", packed, gzip.compress(large * 9))).status == 429
        async with WebSocketTransport(f"{address.url.replace('http', 'ws')}/ws") as transport:
            assert await transport.call(SMALL, StringValue(value="x" * 18), None)
            with pytest.raises(RpcError) as error:
                await transport.call(SMALL, StringValue(value="x" * 19), None)
            assert error.value.code is Code.RESOURCE_EXHAUSTED


@asynchronous
async def test_http_says_since_when_a_method_is_deprecated() -> None:
    headers = {"Content-Type": "application/json"}
    async with serving() as (_, address, _):
        for body, status in ((b'"hi"', 200), (b'"fail"', 409)):
            answer = await request(address.port, "POST", f"/{OLD.path}", headers, body)
            assert (answer.status, answer.headers["deprecation"]) == (status, f"@{SINCE_S}")
        assert "deprecation" not in (await request(address.port, "POST", f"/{OLDER.path}", headers, b'"hi"')).headers


@asynchronous
async def test_the_log_says_once_which_client_program_calls_a_deprecated_method() -> None:
    async with serving() as (_, address, log):
        for agent in ("app/1", "app/1", "app/2"):
            headers = {"Content-Type": "application/json", "User-Agent": agent}
            await request(address.port, "POST", f"/{OLDER.path}", headers, b'"hi"')
        socket = await RawSocket.open(address.port, JSON_WIRE)
        socket.send(Hello("", "phone", "app/3\n[error]"))
        assert isinstance(await socket.frame(), Welcome)
        for call_id in ("1", "2"):
            socket.send(Call(call_id, OLDER.path, b'"hi"', 0))
            assert isinstance(await socket.frame(), Reply)
        await socket.close()
        lines = [json.loads(line) for line in log.getvalue().splitlines() if "deprecated method" in line]
        assert [(line["method"], line["client"]) for line in lines] == [
            (OLDER.path, "app/1"),
            (OLDER.path, "app/2"),
            (OLDER.path, "app/3\\n[error]"),
        ]


@asynchronous
async def test_clients_that_call_themselves_anything_fill_no_memory_and_no_log() -> None:
    async with serving() as (dispatcher, _, log):
        for number in range(1_100):
            caller = Caller("test", "", client=f"{number:05}" * 100)
            await dispatcher.call(OLDER.path, PROTO, b"", caller)
        lines = [json.loads(line) for line in log.getvalue().splitlines() if "deprecated method" in line]
        assert len(lines) == 1_000
        assert {len(line["client"]) for line in lines} == {100}
