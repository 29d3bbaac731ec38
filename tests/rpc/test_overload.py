"""What happens when more calls and connections come than can be served: which are refused, and how they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.rpc.sun.errors import Overloaded
from runtime.rpc.codecs import PROTO
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.overload import Shedder, overloaded
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.transports.websocket import WebSocketTransport
from runtime.rpc.wire import JSON_WIRE, PROTO_WIRE, Wire
from runtime.sql.database import connect
from tests.rpc.gateways import ECHO, WAIT, WHO, Handler, Response, Served, Tokens, asynchronous, read_response, serving

TARGET_MS = 100
HEAD = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock:
    """Seconds; moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def late(at: range, waited: float) -> dict[float, float]:
    """At each of these tenths of a second a call that has waited for so long."""
    return {tenth / 10: waited for tenth in at}


def refusals(shedder: Shedder, calls: Mapping[float, float]) -> list[float]:
    """When a call was refused; `calls` are when and how long they have waited."""
    return [at for at, waited in calls.items() if shedder.refuses(waited, at)]


def test_in_a_burst_a_call_may_wait_for_an_interval() -> None:
    assert refusals(Shedder(TARGET_MS), {0.0: 0.2, 0.1: 0.9, 0.2: 1.0, 0.3: 1.1, 0.4: 0.9}) == [0.3]


def test_where_calls_were_late_for_an_interval_a_call_may_wait_for_the_target() -> None:
    shedder = Shedder(TARGET_MS)
    assert refusals(shedder, late(range(13), 0.15)) == [1.0, 1.1, 1.2]
    assert refusals(shedder, {1.3: 0.1, 1.31: 0.11}) == [1.31]


def test_a_call_in_time_does_not_end_it() -> None:
    calls = {0.0: 0.2, **{at: 0.01 if number % 2 else 0.2 for number, at in enumerate(late(range(1, 15), 0))}}
    assert refusals(Shedder(TARGET_MS), calls) == [1.1, 1.3]


def test_half_an_interval_without_a_late_call_ends_it() -> None:
    shedder = Shedder(TARGET_MS)
    refusals(shedder, late(range(12), 0.2))
    assert refusals(shedder, late(range(17, 27), 0.2)) == []
    assert refusals(shedder, late(range(27, 29), 0.2)) == [2.7, 2.8]


def test_none_is_refused_where_it_is_off() -> None:
    assert refusals(Shedder(0), {0.0: 50.0, 0.5: 50.0, 1.0: 50.0, 1.5: 50.0}) == []


def test_those_who_were_refused_together_come_back_apart() -> None:
    times = {overloaded().detail.retry_after_ms for _ in range(100)}
    assert all(1000 <= each < 2000 for each in times)
    assert len(times) > 10


class Blocking(Handler):
    """Its echo holds the loop for as long as the request says, in ms of the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.ran: list[str] = []

    async def echo(self, request: StringValue, ctx: Context) -> StringValue:
        self.ran.append(request.value)
        self.clock.now += int(request.value) / 1000
        return request


async def results(
    dispatcher: Dispatcher, clock: Clock, values: list[str], timeout_ms: int = 0
) -> list[BaseException | bytes]:
    """Of calls that all arrive now, and begin one after the other."""
    arrived = clock.now
    caller = Caller("test", "", token="alice")
    calls = [
        dispatcher.call(
            ECHO.path, PROTO, StringValue(value=value).SerializeToString(), caller, timeout_ms, str(n), arrived=arrived
        )
        for n, value in enumerate(values)
    ]
    return await asyncio.gather(*calls, return_exceptions=True)


def refused(found: list[BaseException | bytes]) -> list[int]:
    return [number for number, each in enumerate(found) if isinstance(each, Overloaded)]


@asynchronous
async def test_calls_behind_a_handler_that_holds_the_loop_are_refused_before_they_run() -> None:
    clock = Clock()
    handler, tokens = Blocking(clock), Tokens()
    dispatcher = Dispatcher([handler], tokens, settings=GatewaySettings(shed_target_ms=TARGET_MS), clock=clock)
    assert refused(await results(dispatcher, clock, ["900", "1", "1"])) == [], "one pause fails nobody"
    clock.now += 1.0
    # 600 ms of work at a time: late calls run for an interval, and then as many begin as in the target's 100 ms.
    found = [refused(await results(dispatcher, clock, ["60"] * 10)) for _ in range(3)]
    assert found == [[], [9], [2, 3, 4, 5, 6, 7, 8, 9]]
    asked = tokens.asked
    handler.ran.clear()
    assert refused(await results(dispatcher, clock, ["5000", "1", "1"])) == [1, 2]
    assert handler.ran == ["5000"]
    assert tokens.asked == asked + 1, "who is refused costs no query"


@asynchronous
async def test_a_call_whose_time_is_over_before_it_begins_does_not_run() -> None:
    clock = Clock()
    handler = Blocking(clock)
    dispatcher = Dispatcher([handler], Tokens(), clock=clock)
    first, second = await results(dispatcher, clock, ["600", "1"], timeout_ms=500)
    assert isinstance(first, bytes)
    assert isinstance(second, RpcError)
    assert second.code is Code.DEADLINE_EXCEEDED
    assert handler.ran == ["600"]


@asynchronous
async def test_calls_are_refused_while_the_first_in_line_for_the_database_waits_too_long() -> None:
    clock = Clock()
    line: list[float] = [2.0, 0.9, 0.01, 0.2]
    dispatcher = Dispatcher([Blocking(clock)], Tokens(), clock=clock, queued=lambda: line.pop(0))
    assert refused([(await results(dispatcher, clock, ["1"]))[0] for _ in range(4)]) == [0]


@pytest.mark.mariadb
@asynchronous
async def test_the_pool_says_how_long_the_first_in_line_has_waited(mariadb_url: str) -> None:
    db = await connect(mariadb_url, pool_size=1)
    try:
        assert db.waited() == 0
        async with db.begin():
            waiting = asyncio.create_task(db.ping())
            async with asyncio.timeout(10):
                while db.waited() < 0.05:  # noqa: ASYNC110 - nothing tells of time that passes
                    await asyncio.sleep(0.01)
        await waiting
        assert db.waited() == 0
    finally:
        await db.close()


# How it is told.


@asynccontextmanager
async def full() -> AsyncIterator[Served]:
    """A gateway that has no room for another call."""
    async with serving(max_calls=1, drain_timeout_ms=0) as sun:
        waiting = asyncio.create_task(sun.post(WAIT.path, b'"x"'))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        yield sun
        sun.handler.release.set()
        assert (await waiting).status == 200


@asynchronous
async def test_over_http_it_is_503_with_retry_after() -> None:
    async with full() as sun:
        response = await sun.post(WHO.path, b'""')
        assert response.status == 503
        assert response.headers["retry-after"] in ("1", "2")
        error = json.loads(response.body)
        assert error["code"] == "unavailable"
        assert error["details"][0]["type"] == "sun.Overloaded"
        assert "sun_rpc_refused_total 1.0" in sun.dispatcher.metrics.render().decode()


@pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE])
@asynchronous
async def test_over_the_websocket_it_is_a_typed_detail(wire: Wire) -> None:
    async with full() as sun:
        socket = await sun.socket(wire)
        socket.call("1", ECHO, "hi")
        error = (await socket.reply()).error
        assert error is not None
        assert error.code is Code.UNAVAILABLE
        assert [detail.type_name for detail in error.details] == ["sun.Overloaded"]


@pytest.mark.parametrize("kind", ["http", "ws", "in process"])
@asynchronous
async def test_clients_get_it_in_its_own_type(kind: str) -> None:
    async with full() as sun, AsyncExitStack() as stack:
        if kind == "http":
            transport = await stack.enter_async_context(HttpTransport(sun.address.url, "alice"))
        elif kind == "ws":
            transport = await stack.enter_async_context(WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", "alice"))
        else:
            transport = InProcessTransport(sun.dispatcher, "alice")
        with pytest.raises(Overloaded) as told:
            await transport.call(ECHO, StringValue(value="x"), 5000)
        assert told.value.detail.retry_after_ms >= 1000


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@asynchronous
async def test_pages_are_never_refused(path: str) -> None:
    async with full() as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        writer.write(HEAD % path.encode())
        assert (await read_response(reader)).status == 200
        writer.close()
        await writer.wait_closed()


# Connections.


@asynccontextmanager
async def crowded() -> AsyncIterator[Callable[[bytes], asyncio.Task[tuple[Response, bytes]]]]:
    """A gateway with a connection more than it takes. Gives what sends a request on one more, and reads to its end."""
    async with serving(max_connections=1) as sun, AsyncExitStack() as stack:
        limit = sun.gateway.most_connections
        for _ in range(limit):
            _, writer = await asyncio.open_connection("127.0.0.1", sun.port)
            stack.push_async_callback(writer.wait_closed)
            stack.callback(writer.close)

        async def ask(data: bytes) -> tuple[Response, bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
            try:
                writer.write(data)
                return await read_response(reader), await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

        yield lambda data: asyncio.create_task(ask(data))


@asynchronous
async def test_a_connection_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rpc.server._OTHER_CONNECTIONS", 4)
    async with crowded() as ask:
        body = b"x" * 200_000
        head = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (WHO.path.encode(), len(body))
        for request in (head + body, HEAD % b"/ws", HEAD % b"/metrics"):
            response, rest = await ask(request)
            assert (response.status, rest) == (503, b"")
            assert response.headers["connection"] == "close"
            assert response.headers["retry-after"] in ("1", "2")
            assert json.loads(response.body)["code"] == "unavailable"


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
@asynchronous
async def test_a_probe_is_answered_on_a_connection_too_many(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rpc.server._OTHER_CONNECTIONS", 4)
    async with crowded() as ask:
        response, rest = await ask(HEAD % path)
        assert (response.status, rest) == (200, b""), "and then it is closed"


@asynchronous
async def test_far_too_many_are_closed_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rpc.server._OTHER_CONNECTIONS", 4)
    monkeypatch.setattr("runtime.rpc.listening._SPARE", 0)
    async with crowded() as ask:
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(HEAD % b"/healthz")


@asynchronous
async def test_sockets_count_as_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.rpc.server._OTHER_CONNECTIONS", 0)
    async with serving(max_connections=2) as sun:
        for _ in range(2):
            assert (await sun.socket()).status == 101
        assert (await sun.socket(token=None)).status == 503
