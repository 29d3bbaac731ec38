"""The WebSocket over raw frames: hello, calls in parallel, limits, close codes."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.close_codes import CloseCode, reconnect
from runtime.rpc.errors import Code
from runtime.rpc.outgoing import Outgoing
from runtime.rpc.wire import JSON_WIRE, PROTO_WIRE, Call, Goodbye, Hello, Welcome, Wire
from runtime.sql.errors import Unavailable
from tests.rpc.gateways import (
    ADMIN,
    BIG,
    CHECKED,
    ECHO,
    FAIL,
    LOGOUT,
    SECRET,
    WAIT,
    WHO,
    RawSocket,
    asynchronous,
    serving,
)

both = pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE], ids=["proto", "json"])


@both
@asynchronous
async def test_hello_is_welcomed(wire: Wire) -> None:
    async with serving() as sun:
        socket = await sun.socket(wire, token=None)
        assert socket.status == 101
        assert f"Sec-Websocket-Protocol: {wire.subprotocol}".lower() in socket.head.lower()
        assert "extensions" not in socket.head.lower()
        socket.send(Hello("alice", "phone", "test 1.0"))
        welcome = await socket.frame()
        assert isinstance(welcome, Welcome)
        assert (welcome.user_id, welcome.max_message_bytes) == (7, 4 << 20)
        assert welcome.connection_id
        socket.call("1", ECHO, "hä")
        assert await socket.value() == ("1", "hä")
        socket.call("2", WHO)
        assert (await socket.value())[1] == "7 phone 127.0.0.1 2"


@both
@asynchronous
async def test_an_anonymous_connection_may_call_what_anyone_may(wire: Wire) -> None:
    async with serving() as sun:
        socket = await sun.socket(wire, token="")
        socket.call("1", WHO)
        assert (await socket.value())[1].startswith("anonymous")
        socket.call("2", ECHO)
        assert await socket.error() == ("2", Code.UNAUTHENTICATED)
        socket.call("3", ADMIN)
        assert await socket.error() == ("3", Code.UNAUTHENTICATED)


@both
@asynchronous
async def test_failures_come_as_coded_errors_with_details(wire: Wire) -> None:
    async with serving() as sun:
        socket = await sun.socket(wire)
        for value, code in (("taken", Code.ALREADY_EXISTS), ("crash", Code.INTERNAL), ("cancel", Code.CANCELED)):
            socket.call(value, FAIL, value)
            assert await socket.error() == (value, code)
        socket.call("1", CHECKED, "1")
        reply = await socket.reply()
        assert reply.error is not None
        assert [detail.type_name for detail in reply.error.details] == ["sun.BadRequest"]
        socket.call("2", ADMIN)
        assert await socket.error() == ("2", Code.PERMISSION_DENIED)
        socket.send(Call("3", "nope/Nope", b"{}", 0))
        assert await socket.error() == ("3", Code.UNIMPLEMENTED)


@asynchronous
async def test_the_json_frames_as_written_by_hand() -> None:
    async with serving() as sun:
        socket = await sun.socket(JSON_WIRE, token=None)
        socket.raw(0x81, b'{"hello": {"token": "alice", "device": "tv", "unknown": 1}}')
        assert json.loads((await socket.message())[1])["welcome"]["userId"] == "7"
        socket.raw(
            0x81, b'{"call": {"id": "a", "method": "test.v1.TestService/Echo", "request": "hi", "timeoutMs": "900"}}'
        )
        assert json.loads((await socket.message())[1]) == {"reply": {"id": "a", "response": "hi"}}
        socket.raw(0x81, b'{"call": {"id": "b", "method": "test.v1.TestService/Checked", "request": "1"}}')
        error = json.loads((await socket.message())[1])["reply"]["error"]
        assert error["code"] == "CODE_INVALID_ARGUMENT"
        assert error["details"][0]["violations"][0]["rule"] == "min_len"


@asynchronous
async def test_calls_run_in_parallel() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.call("slow", WAIT, "later")
        socket.call("fast", ECHO, "now")
        assert await socket.value() == ("fast", "now")
        sun.handler.release.set()
        assert await socket.value() == ("slow", "later")


@asynchronous
async def test_each_call_has_its_deadline() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.call("slow", WAIT)
        socket.call("short", WAIT, timeout_ms=20)
        assert await socket.error() == ("short", Code.DEADLINE_EXCEEDED)
        sun.handler.release.set()
        assert (await socket.value())[0] == "slow"


@asynchronous
async def test_cancel_ends_a_call_and_only_that() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.call("1", WAIT, "a")
        socket.call("2", WAIT, "b")
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        socket.cancel("1")
        socket.cancel("unknown")
        assert await socket.error() == ("1", Code.CANCELED)
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        socket.call("1", ECHO, "the id is free again")
        assert await socket.value() == ("1", "the id is free again")
        sun.handler.release.set()
        assert await socket.value() == ("2", "b")


@asynchronous
async def test_a_call_cancelled_before_it_began_is_answered() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        for n in range(20):
            socket.call(str(n), WAIT)
            socket.cancel(str(n))
        for n in range(20):
            assert await socket.error() == (str(n), Code.CANCELED)


@asynchronous
async def test_an_id_in_flight_is_refused() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.call("1", WAIT, "first")
        socket.call("1", ECHO, "second")
        assert await socket.error() == ("1", Code.ALREADY_EXISTS)
        sun.handler.release.set()
        assert await socket.value() == ("1", "first")


@asynchronous
async def test_too_many_calls_in_flight_are_refused() -> None:
    async with serving(max_connection_calls=2) as sun:
        socket = await sun.socket()
        for n in range(3):
            socket.call(str(n), WAIT)
        assert await socket.error() == ("2", Code.RESOURCE_EXHAUSTED)
        other = await sun.socket()
        other.call("x", ECHO, "unharmed")
        assert await other.value() == ("x", "unharmed")


@asynchronous
async def test_a_client_that_leaves_cancels_its_calls() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.call("1", WAIT)
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        await socket.close()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@pytest.mark.parametrize("offered", ["", "chat", "sun.v2+proto, chat"])
@asynchronous
async def test_an_unknown_subprotocol_is_closed_with_a_code(offered: str) -> None:
    async with serving() as sun:
        socket = await sun.socket(token=None, subprotocols=offered)
        assert await socket.closed() == CloseCode.SUBPROTOCOL


@asynchronous
async def test_the_first_known_subprotocol_is_taken() -> None:
    async with serving() as sun:
        socket = await sun.socket(JSON_WIRE, subprotocols="chat, sun.v1+json, sun.v1+proto")
        socket.call("1", ECHO, "hi")
        assert await socket.value() == ("1", "hi")


@asynchronous
async def test_origins() -> None:
    async with serving(allowed_origins=("https://app.example",)) as sun:
        statuses: dict[str | None, int] = {}
        for origin in (None, f"http://127.0.0.1:{sun.port}", "https://app.example", "https://evil.example", "null"):
            statuses[origin] = (await sun.socket(token=None, origin=origin)).status
        assert [*statuses.values()] == [101, 101, 101, 403, 403]


@asynchronous
async def test_connections_over_the_cap_get_503() -> None:
    async with serving(max_connections=1) as sun:
        await sun.socket()
        assert (await sun.socket(token=None)).status == 503


@both
@asynchronous
async def test_a_call_before_hello_is_closed(wire: Wire) -> None:
    async with serving() as sun:
        socket = await sun.socket(wire, token=None)
        socket.call("1", WHO)
        assert await socket.closed() == CloseCode.HELLO_EXPECTED


@asynchronous
async def test_no_hello_in_time_is_closed() -> None:
    async with serving(hello_timeout_ms=20) as sun:
        assert await (await sun.socket(token=None)).closed() == CloseCode.HELLO_TIMEOUT


@asynchronous
async def test_a_bad_token_is_closed_for_good() -> None:
    async with serving() as sun:
        socket = await sun.socket(token=None)
        socket.send(Hello(SECRET, "", ""))
        assert await socket.closed() == CloseCode.UNAUTHENTICATED
        assert SECRET not in sun.log.getvalue()


@asynchronous
async def test_a_token_that_cant_be_checked_is_closed_for_now() -> None:
    async with serving() as sun:
        sun.tokens.failure = Unavailable("down")
        socket = await sun.socket(token=None)
        socket.send(Hello("alice", "", ""))
        assert await socket.closed() == CloseCode.UNAVAILABLE


BAD = [
    (PROTO_WIRE, 0x82, b"\xff\xff\xff"),
    (PROTO_WIRE, 0x82, b""),
    (PROTO_WIRE, 0x81, b"text"),
    (PROTO_WIRE, 0x82, wire_pb2.ClientFrame(hello=wire_pb2.Hello()).SerializeToString()),
    (PROTO_WIRE, 0x82, wire_pb2.ClientFrame(call=wire_pb2.Call(method=ECHO.path)).SerializeToString()),
    (PROTO_WIRE, 0x82, wire_pb2.ClientFrame(call=wire_pb2.Call(id="x" * 65, method=ECHO.path)).SerializeToString()),
    (JSON_WIRE, 0x82, b'{"cancel":{"id":"1"}}'),
    (JSON_WIRE, 0x81, b"nonsense"),
    (JSON_WIRE, 0x81, b"{}"),
    (JSON_WIRE, 0x81, b"[" * 100_000),
    (JSON_WIRE, 0x81, b'{"call":{"id":7}}'),
    (JSON_WIRE, 0x81, b'{"call":{"id":"1","method":"a/B","timeoutMs":-1}}'),
    (JSON_WIRE, 0x81, b'{"call":{"id":"1"},"cancel":{"id":"1"}}'),
]


@pytest.mark.parametrize(("wire", "first_byte", "payload"), BAD)
@asynchronous
async def test_a_bad_frame_closes_its_connection_and_no_other(wire: Wire, first_byte: int, payload: bytes) -> None:
    async with serving() as sun:
        other = await sun.socket(token="bob")
        other.call("1", WAIT, "unharmed")
        socket = await sun.socket(wire)
        socket.raw(first_byte, payload)
        assert await socket.closed() == CloseCode.BAD_FRAME
        sun.handler.release.set()
        assert await other.value() == ("1", "unharmed")


@pytest.mark.parametrize("first_byte", [0xC2, 0x83, 0x80, 0x09], ids=["rsv", "opcode", "continuation", "split ping"])
@asynchronous
async def test_frames_against_rfc_6455_close_the_connection(first_byte: int) -> None:
    async with serving() as sun:
        socket = await sun.socket()
        socket.raw(first_byte, b"x")
        assert await socket.closed() is None


@asynchronous
async def test_a_fragmented_message_with_a_ping_inside_is_one_frame() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        message = PROTO_WIRE.to_server(Call("1", ECHO.path, b"\n\x02hi", 0))
        socket.raw(0x02, message[:5])
        socket.raw(0x89, b"are you there")
        socket.raw(0x80, message[5:])
        assert await socket.message() == (0x8A, b"are you there")
        assert await socket.value() == ("1", "hi")


@asynchronous
async def test_an_oversized_frame_is_closed_with_1009() -> None:
    async with serving(max_message_bytes=1000) as sun:
        socket = await sun.socket()
        socket.writer.write(bytes((0x82, 0x80 | 127)) + (1 << 40).to_bytes(8))
        assert await socket.closed() == 1009


@asynchronous
async def test_an_oversized_request_is_a_coded_error() -> None:
    async with serving(max_message_bytes=1000) as sun:
        socket = await sun.socket()
        socket.call("1", ECHO, "x" * 1500)
        assert await socket.error() == ("1", Code.RESOURCE_EXHAUSTED)
        socket.call("2", ECHO, "x" * 900)
        assert await socket.value() == ("2", "x" * 900)


@asynchronous
async def test_the_identity_is_asked_for_again_when_it_is_old() -> None:
    async with serving(identity_max_age_ms=0) as sun:
        socket = await sun.socket()
        socket.call("1", ECHO, "a")
        await socket.value()
        del sun.tokens.known["alice"]
        socket.call("2", ECHO, "b")
        assert await socket.error() == ("2", Code.UNAUTHENTICATED)
        assert await socket.closed() == CloseCode.SESSION_ENDED


@asynchronous
async def test_the_identity_is_asked_for_once_while_it_is_young() -> None:
    async with serving() as sun:
        socket = await sun.socket()
        for n in range(5):
            socket.call(str(n), ECHO)
            await socket.value()
        assert sun.tokens.asked == 1


@asynchronous
async def test_a_revoked_session_is_closed_at_once() -> None:
    async with serving() as sun:
        first, second, other = await sun.socket(), await sun.socket(JSON_WIRE), await sun.socket(token="bob")
        first.call("1", WAIT)
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        sun.gateway.connections.close_session(70)
        assert await first.closed() == CloseCode.SESSION_ENDED
        assert await second.closed() == CloseCode.SESSION_ENDED
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        other.call("1", ECHO, "unharmed")
        assert await other.value() == ("1", "unharmed")


@asynchronous
async def test_the_call_that_ends_its_own_session_is_answered_first() -> None:
    async with serving() as sun:
        socket, second = await sun.socket(), await sun.socket()
        socket.call("waiting", WAIT)
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        socket.call("out", LOGOUT)
        assert await socket.error() == ("waiting", Code.UNAUTHENTICATED)
        assert await socket.value() == ("out", "bye")
        assert await socket.closed() == CloseCode.SESSION_ENDED
        assert await second.closed() == CloseCode.SESSION_ENDED


@asynchronous
async def test_a_slow_reader_is_closed_and_others_are_served() -> None:
    async with serving(send_buffer_bytes=50_000) as sun:
        slow, other = await sun.socket(), await sun.socket(token="bob")
        narrow(slow)
        slow.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
        calls = 0
        while "SLOW_READER" not in sun.log.getvalue():
            slow.call(str(calls), BIG, "1000000")
            other.call(str(calls), ECHO, "unharmed")
            assert await other.value() == (str(calls), "unharmed")
            calls += 1
            assert calls < 100
        metrics = sun.dispatcher.metrics.render().decode()
        assert 'sun_connection_closes_total{code="SLOW_READER"} 1.0' in metrics


def narrow(socket: RawSocket) -> None:
    """Makes the kernel hold little for this reader."""
    raw: Any = socket.writer.get_extra_info("socket")
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)


@asynchronous
async def test_the_sending_half_knows_of_the_frames_that_tornado_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def wrote(_: Outgoing, written: asyncio.Future[None], size: int) -> None:
        sizes.append(size)

    async with serving() as sun:
        socket = await sun.socket()
        monkeypatch.setattr(Outgoing, "wrote", wrote)
        socket.raw(0x89, b"are you there")
        assert await socket.message() == (0x8A, b"are you there")
        assert sizes == [2 + len(b"are you there")]


@asynchronous
async def test_silent_sockets_are_pinged_and_dead_ones_closed() -> None:
    async with serving(ping_interval_ms=40, ping_timeout_ms=400) as sun:
        socket = await sun.socket()
        for _ in range(2):
            assert await socket.message() == (0x89, b"")
            socket.raw(0x8A, b"")
        assert await socket.message() == (0x89, b"")
        assert await socket.closed() == CloseCode.PING_TIMEOUT


@asynchronous
async def test_idle_sockets_are_closed() -> None:
    async with serving(socket_idle_ms=50) as sun:
        busy, idle = await sun.socket(), await sun.socket()
        busy.call("1", WAIT, "done")
        assert await idle.closed() == CloseCode.IDLE
        sun.handler.release.set()
        assert await busy.value() == ("1", "done")


@asynchronous
async def test_many_connections_and_calls_at_once() -> None:
    async with serving() as sun:

        async def talk(name: int) -> None:
            socket = await sun.socket([PROTO_WIRE, JSON_WIRE][name % 2])
            for n in range(20):
                socket.call(str(n), ECHO, f"{name}-{n}")
            replies = [await socket.value() for _ in range(20)]
            assert sorted(replies) == sorted((str(n), f"{name}-{n}") for n in range(20))

        await asyncio.gather(*(talk(n) for n in range(30)))
        assert sun.gateway.connections.count == 30
        assert "sun_connections 30.0" in sun.dispatcher.metrics.render().decode()


@asynchronous
async def test_goodbye_reaches_every_client() -> None:
    async with serving() as sun:
        socket = await sun.socket(JSON_WIRE)
        draining = asyncio.create_task(sun.gateway.drain())
        assert isinstance(await socket.frame(), Goodbye)
        assert await socket.closed() == CloseCode.GOING_AWAY
        await socket.close()
        await draining


def test_the_close_codes_say_whether_to_come_back() -> None:
    back = {code.name for code in CloseCode if reconnect(code)}
    assert back == {
        "GOING_AWAY",
        "UNAVAILABLE",
        "SLOW_READER",
        "HELLO_TIMEOUT",
        "PING_TIMEOUT",
        "IDLE",
        "PUSHES_LOST",
        "NO_PUSH_ACK",
    }
    assert reconnect(None)
    assert reconnect(1006)
    assert not reconnect(1009)
    assert reconnect(4499)
    assert not reconnect(4999)


@both
@asynchronous
async def test_a_call_has_a_bounded_number_of_headers(wire: Wire) -> None:
    async with serving() as sun:
        socket = await sun.socket(wire)
        payload = wire.codec.encode(StringValue(value="hi"))
        for number, headers in enumerate([{f"a{n}": "" for n in range(65)}, {"a": "x" * 5_000}]):
            socket.send(Call(str(number), ECHO.path, payload, 0, headers=headers))
            assert await socket.error() == (str(number), Code.RESOURCE_EXHAUSTED)
        socket.send(Call("9", ECHO.path, payload, 0, headers={"acme-shard": "42"}))
        assert await socket.value() == ("9", "hi")
