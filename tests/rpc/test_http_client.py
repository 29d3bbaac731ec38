"""The HTTP client: connections that are kept, calls that are given up, and what is sent again when something fails."""

from __future__ import annotations

import asyncio
import socket as sockets

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.rpc.client import new_key
from runtime.rpc.compression import deflate, inflate
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.retries import Backoff, Retries
from tests.rpc.gateways import BIG, COUNT, ECHO, FAIL, LOOK, WAIT, Taken, asynchronous, method, serving
from tests.rpc.proxies import QUICK, Asked, Proxy, proxied, refusal, response, scripted

IDEMPOTENT = method("Put", idempotent=True)


def text(value: str) -> StringValue:
    return StringValue(value=value)


OK = response(200, text("ok").SerializeToString())


def reaching(port: int, **more: object) -> HttpTransport:
    return HttpTransport(f"http://127.0.0.1:{port}", **{"retries": QUICK, **more})  # type: ignore[arg-type]


@asynchronous
async def test_connections_are_kept_and_no_more_are_opened_than_allowed() -> None:
    async with serving() as sun, proxied(sun.port) as proxy, reaching(proxy.port, token="alice") as http:
        for _ in range(5):
            await http.call(ECHO, text("x"), None)
        assert proxy.connections == 1
    async with serving() as sun, proxied(sun.port) as proxy:
        async with reaching(proxy.port, token="alice", max_connections=3) as http:
            await asyncio.gather(*(http.call(ECHO, text(str(n)), None) for n in range(30)))
        assert proxy.connections == 3


@asynchronous
async def test_an_error_of_the_method_keeps_the_connection() -> None:
    async with serving() as sun, proxied(sun.port) as proxy, reaching(proxy.port) as http:
        with pytest.raises(Taken):
            await http.call(FAIL, text("taken"), None)
        await http.call(LOOK, text("x"), None)
        assert proxy.connections == 1


@asynchronous
async def test_a_connection_that_is_idle_for_too_long_is_not_used_again() -> None:
    async with serving() as sun, proxied(sun.port) as proxy, reaching(proxy.port, idle_ms=0) as http:
        await http.call(LOOK, text("x"), None)
        await http.call(LOOK, text("x"), None)
        assert proxy.connections == 2


@asynchronous
async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async with scripted(response(200, b"", {"Connection": "close"}), OK) as (port, asked), reaching(port) as http:
        await http.call(ECHO, text(""), None)
        await http.call(ECHO, text(""), None)
        assert [each.connection for each in asked] == [1, 2]


@asynchronous
async def test_a_call_given_up_ends_on_the_server_and_leaves_the_others_alone() -> None:
    async with serving() as sun, reaching(sun.port, token="alice") as http:
        given_up = asyncio.ensure_future(http.call(WAIT, text("given up"), None))
        kept = asyncio.ensure_future(http.call(WAIT, text("kept"), None))
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        given_up.cancel()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        sun.handler.release.set()
        assert (await kept).value == "kept"


@asynchronous
async def test_a_call_given_up_while_connecting_leaves_nothing_behind() -> None:
    with sockets.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        async with reaching(deaf.getsockname()[1]) as http:
            calls = [asyncio.ensure_future(http.call(LOOK, text(""), 20)) for _ in range(5)]
            for call in calls:
                with pytest.raises(RpcError):
                    await call


@asynchronous
async def test_waiting_for_a_connection_counts() -> None:
    async with serving() as sun, reaching(sun.port, max_connections=1) as http:
        first = asyncio.ensure_future(http.call(WAIT, text(""), None))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        with pytest.raises(NotCalled) as busy:
            await http.call(ECHO, text(""), 1)
        assert busy.value.code is Code.UNAVAILABLE
        sun.handler.release.set()
        await first


@pytest.mark.parametrize("failure", [None, refusal(503, "unavailable")], ids=["cut", "503"])
@asynchronous
async def test_only_what_is_safe_is_sent_again(failure: bytes | None) -> None:
    for safe in (LOOK, IDEMPOTENT):
        async with scripted(failure, failure, OK) as (port, asked), reaching(port) as http:
            assert (await http.call(safe, text("x"), None)).value == "ok"
            assert len(asked) == 3
    async with scripted(failure, OK) as (port, asked), reaching(port) as http:
        with pytest.raises(RpcError) as lost:
            await http.call(ECHO, text("x"), None)
        assert lost.value.code is Code.UNAVAILABLE
        assert len(asked) == 1
        if failure is None:
            assert "may have happened" in lost.value.message


@asynchronous
async def test_a_call_with_a_key_is_sent_again_with_the_same_key() -> None:
    key = new_key()
    async with scripted(None, refusal(503, "unavailable"), OK) as (port, asked), reaching(port) as http:
        await http.call(ECHO, text("x"), None, key)
        assert [each.headers["idempotency-key"] for each in asked] == [key] * 3


@asynchronous
async def test_keys_of_their_own_where_they_are_wanted() -> None:
    async with scripted(None, OK, OK, OK) as (port, asked), reaching(port, auto_keys=True) as http:
        await http.call(ECHO, text("x"), None)
        await http.call(ECHO, text("x"), None)
        await http.call(LOOK, text("x"), None)
        first, again, second, none = (each.headers.get("idempotency-key") for each in asked)
        assert first == again
        assert first is not None
        assert first != second
        assert none is None
        assert 16 <= len(first) <= 64


@asynchronous
async def test_what_never_reached_a_server_is_tried_again_whatever_it_is() -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with reaching(port) as http:
        with pytest.raises(NotCalled) as refused:
            await http.call(ECHO, text("x"), None)
        assert "refused" in refused.value.message
    waiting = asyncio.Event()

    def choose() -> float:
        waiting.set()
        return 0.0

    patient = Retries(attempts=1_000_000, backoff=Backoff(0, 0, choose))
    async with serving() as sun, reaching(port, retries=patient, token="alice") as http:
        call = asyncio.ensure_future(http.call(ECHO, text("x"), 20_000))
        await waiting.wait()
        proxy = Proxy(sun.port)
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", port):
            assert (await call).value == "x"


@asynchronous
async def test_retry_after_is_obeyed_within_the_time_limit() -> None:
    busy = refusal(503, "unavailable", {"Retry-After": "3600"})
    async with scripted(busy, OK) as (port, asked), reaching(port) as http:
        with pytest.raises(RpcError) as later:
            await http.call(LOOK, text("x"), 5_000)
        assert later.value.code is Code.UNAVAILABLE
        assert len(asked) == 1
    for value in ("0", "soon", "Fri, 31 Dec 2027 23:59:59 GMT", "9" * 30):
        busy = refusal(503, "unavailable", {"Retry-After": value})
        async with scripted(busy, OK) as (port, asked), reaching(port) as http:
            await http.call(LOOK, text("x"), 5_000)
            assert len(asked) == 2


@asynchronous
async def test_each_attempt_has_what_is_left_of_the_time() -> None:
    async def slow(asked: Asked) -> bytes:
        await asyncio.sleep(0.02)
        return refusal(503, "unavailable")

    async with scripted(slow, OK) as (port, asked), reaching(port) as http:
        await http.call(LOOK, text("x"), 9_000)
        first, second = (int(each.headers["connect-timeout-ms"]) for each in asked)
        assert second < first <= 9_000


@asynchronous
async def test_get_where_it_is_wanted_and_may_be() -> None:
    async with serving() as sun, proxied(sun.port) as proxy, reaching(proxy.port, use_get=True, token="alice") as http:
        assert (await http.call(LOOK, text("hä?&"), 5_000)).value == "hä?&"
        assert (await http.call(LOOK, text("x" * 10_000), None)).value == "x" * 10_000
        assert (await http.call(ECHO, text("x"), None)).value == "x"
    async with scripted(OK, OK, OK) as (port, asked), reaching(port, use_get=True) as http:
        await http.call(LOOK, text("x"), None)
        await http.call(LOOK, text("x" * 10_000), None)
        await http.call(ECHO, text("x"), None)
        assert [each.verb for each in asked] == ["GET", "POST", "POST"]
        assert asked[0].body == b""


@asynchronous
async def test_gzip_both_ways() -> None:
    large = text("x" * 5_000)
    packed = response(200, deflate(large.SerializeToString()), {"Content-Encoding": "gzip"})
    async with scripted(packed, OK, OK) as (port, asked), reaching(port) as http:
        assert await http.call(LOOK, large, None) == large
        await http.call(LOOK, text("x"), None)
        assert inflate(asked[0].body, 10_000) == large.SerializeToString()
        assert asked[0].headers["accept-encoding"] == "gzip"
        assert "content-encoding" not in asked[1].headers
    async with scripted(OK) as (port, asked), reaching(port, gzip=False) as http:
        await http.call(LOOK, large, None)
        assert asked[0].body == large.SerializeToString()
        assert "accept-encoding" not in asked[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        response(200, b"x" * 2_000),
        response(200, deflate(bytes(100_000)), {"Content-Encoding": "gzip"}),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"3e8\r\n" + b"x" * 1_000 + b"\r\n") * 3,
    ],
    ids=["plain", "bomb", "chunked"],
)
@asynchronous
async def test_an_answer_that_is_too_large_is_not_read(answer: bytes) -> None:
    async with scripted(answer) as (port, _), reaching(port, max_response_bytes=1_000) as http:
        with pytest.raises(RpcError) as large:
            await http.call(LOOK, text(""), None)
        assert large.value.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (response(200, b"\xff"), Code.INTERNAL),
        (response(200, b"x", {"Content-Encoding": "gzip"}), Code.INTERNAL),
        (response(200, b"", {"Content-Type": "text/html"}), Code.UNKNOWN),
        (response(502, b"<html>"), Code.UNAVAILABLE),
        (response(404, b"[1]"), Code.UNIMPLEMENTED),
        (response(500, b'{"code": 3}'), Code.UNKNOWN),
        (response(500, b'{"code": "aborted", "details": [1]}'), Code.UNKNOWN),
        (refusal(409, "aborted", details=[{"type": "x", "value": "%"}]), Code.UNKNOWN),
        (refusal(409, "aborted", details=[{"type": "sun.BadRequest", "value": "/w=="}]), Code.ABORTED),
        (refusal(418, "teapot"), Code.UNKNOWN),
        (b"HTTP/1.1 nonsense\r\n\r\n", Code.UNAVAILABLE),
        (b"\0" * 100_000, Code.UNAVAILABLE),
    ],
)
@asynchronous
async def test_answers_that_are_none_are_coded_errors(answer: bytes, code: Code) -> None:
    async with scripted(*[answer] * 10) as (port, _), reaching(port) as http:
        with pytest.raises(RpcError) as failed:
            await http.call(ECHO, text(""), 5_000)
        assert failed.value.code is code


@asynchronous
async def test_after_close_nothing_is_called() -> None:
    async with serving() as sun:
        http = reaching(sun.port)
        under_way = asyncio.ensure_future(http.call(WAIT, text(""), None))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        http.close()
        with pytest.raises(RpcError):
            await under_way
        with pytest.raises(NotCalled):
            await http.call(BIG, text("1"), None)


@asynchronous
async def test_leaving_a_stream_ends_it_on_the_server() -> None:
    async with serving() as sun, reaching(sun.port) as http:
        found = http.stream(COUNT, text("2 wait"), None)
        assert [(await anext(found)).value, (await anext(found)).value] == ["0", "1"]
        await found.aclose()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
