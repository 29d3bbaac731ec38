"""What a hostile client sends besides broken calls: each is refused by name, and nothing is kept for it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import tracemalloc
from random import Random
from urllib.parse import quote

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.wrappers_pb2 import StringValue

from generated.proto.sun.v1.auth_pb2 import SignUpRequest
from generated.proto.sun.v1.user_pb2 import ChangePrivacyRequest
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.codecs import JSON, PROTO, Codec
from runtime.rpc.compression import TooLarge, inflate
from runtime.rpc.envelopes import envelope
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.wire import JSON_WIRE, PROTO_WIRE, Call, Cancel, ClientFrame, Hello, PushAck, Resume, Wire
from tests.examples import wanted
from tests.rpc.gateways import (
    BIG,
    CHECKED,
    COUNT,
    ECHO,
    LOOK,
    Closed,
    RawSocket,
    Served,
    asynchronous,
    request,
    serving,
)

QUERY = b"connect=v1&encoding=json&base64=1&compression=identity&message=ImhpIg"


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def answer(sun: Served, request: bytes) -> bytes:
    """What comes back on a connection of its own, to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        await hang_up(writer)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (ChangePrivacyRequest, b"[]", "it must be an object"),
        (ChangePrivacyRequest, b'"profile"', "it must be an object"),
        (ChangePrivacyRequest, b"7", "it must be an object"),
        (ChangePrivacyRequest, b'{"profile": "PRIVACY_NOPE"}', "the value of profile does not fit"),
        (ChangePrivacyRequest, b'{"profile": 1, "profile": 2}', "ChangePrivacyRequest in JSON"),
        (SignUpRequest, b'{"deviceInfo": "device"}', "the value of deviceInfo does not fit"),
        (SignUpRequest, b'{"device_info": ["device"]}', "the value of deviceInfo does not fit"),
    ],
)
def test_json_that_would_count_as_nothing_is_refused(kind: type[Message], body: bytes, words: str) -> None:
    with pytest.raises(RpcError, match=words) as error:
        JSON.decode(kind, body)
    assert error.value.code is Code.INVALID_ARGUMENT


def test_json_that_fits_is_read() -> None:
    assert JSON.decode(ChangePrivacyRequest, b'{"profile": "PRIVACY_NOBODY", "nobody": {"knows": 1}}').profile == 2
    assert JSON.decode(SignUpRequest, b'{"deviceInfo": {"device": "d"}}').device_info.device == "d"
    assert not JSON.decode(SignUpRequest, b'{"deviceInfo": null}').HasField("device_info")


@asynchronous
async def test_a_content_length_of_thousands_of_digits_is_too_large() -> None:
    async with serving() as sun:
        head = f"POST /{ECHO.path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {'9' * 5000}\r\n\r\n"
        await answer(sun, head.encode())
        assert "Traceback" not in sun.log.getvalue()


@asynchronous
async def test_a_page_takes_no_body() -> None:
    async with serving() as sun:
        for page in ("/healthz", "/metrics", "/"):
            head = f"POST {page} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
            assert (await answer(sun, head.encode())).startswith(b"HTTP/1.1 404 ")


@asynchronous
async def test_a_connection_too_many_is_closed_and_the_others_go_on() -> None:
    async with serving() as sun:
        sun.gateway._http.most = 2
        first = [await asyncio.open_connection("127.0.0.1", sun.port) for _ in range(2)]
        for _, writer in first:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for reader, _ in first:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        await hang_up(writer)
        for _, writer in first:
            await hang_up(writer)


def nested_json(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def nested_proto(depth: int) -> bytes:
    """A google.protobuf.Value that is a list of a list of a list."""
    value = b""
    for _ in range(depth):
        inner = b"\x0a" + varint(len(value)) + value
        value = b"\x32" + varint(len(inner)) + inner
    return value


def varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


@pytest.mark.parametrize("codec", [JSON, PROTO])
def test_nesting_is_bounded(codec: Codec) -> None:
    nested = nested_json if codec is JSON else nested_proto
    codec.decode(Value, nested(20))
    for depth in (1_000, 100_000 if codec is JSON else 3_000):
        with pytest.raises(RpcError) as deep:
            codec.decode(Value, nested(depth))
        assert deep.value.code is Code.INVALID_ARGUMENT


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflate(bomb, 100_000)
        assert tracemalloc.get_traced_memory()[1] < len(bomb) + 300_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Type: application/json\r\nContent-Type: application/json", 415),
        ("Content-Type: application/json\r\nConnect-Timeout-Ms: 5\r\nConnect-Timeout-Ms: 50", 400),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip", 501),
        ("Content-Type: application/json\r\nAuthorization: Bearer alice\r\nAuthorization: Bearer root", 401),
        ("Content-Type: application/json\r\nConnect-Protocol-Version: 1\r\nConnect-Protocol-Version: 1", 400),
        ("Content-Type: application/json\r\nContent-Length: 2", 401),
        ("Content-Type: application/json\r\nContent-Length: 3", 400),
        ("Content-Type: application/json\r\nTransfer-Encoding: chunked", 400),
    ],
)
@asynchronous
async def test_headers_that_stand_twice_or_contradict(headers: str, status: int) -> None:
    async with serving() as sun:
        head = f"POST /{ECHO.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n{headers}"
        found = await answer(sun, f'{head}\r\n\r\n""'.encode())
        assert found.startswith(f"HTTP/1.1 {status} ".encode())
        assert found.count(b"HTTP/1.1 ") == 1
        assert "Traceback" not in sun.log.getvalue()


@asynchronous
async def test_a_client_that_never_reads_a_large_answer_loses_its_connection() -> None:
    async with serving(unread_timeout_ms=50, gzip_min_bytes=1 << 30) as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port, limit=1)
        head = f"POST /{BIG.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
        writer.write(head.encode() + b'"50000000"')
        while "rpc" not in sun.log.getvalue() or sun.gateway._connect.exchanges:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        assert len(await reader.read()) < 50_000_000
        await hang_up(writer)


def mutated(random: Random, data: bytes) -> bytes:
    """The same bytes with some changed, cut out or doubled."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(found) + 1)
        match random.randrange(3):
            case 0:
                found[at : at + 1] = random.randbytes(1)
            case 1:
                del found[at : at + random.randint(1, 8)]
            case _:
                found[at:at] = found[: random.randint(1, 8)]
    return bytes(found)


async def ending(socket: RawSocket) -> int | None:
    """The code that the connection is closed with, whatever comes before."""
    try:
        while True:
            await asyncio.wait_for(socket.message(), 10)
    except Closed as end:
        return end.code


# Without the limit of a test's time, which is for those that wait: long runs take as long as they take.


@pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE], ids=["proto", "json"])
def test_mutated_frames_close_their_connection_or_are_answered(wire: Wire) -> None:
    """Every connection ends with a code of the table, and another one is served as if nothing had been."""

    async def use() -> None:
        random = Random(5)
        frames: list[ClientFrame] = [
            Hello("bob", "phone", "test", Resume(1, 0)),
            Call("1", CHECKED.path, wire.codec.encode(StringValue(value="hi")), 50, "k" * 16, {"acme-a": "b"}),
            Cancel("1"),
            PushAck(0),
        ]
        codes = {*map(int, CloseCode), 1000, 1002, 1007, 1009, None}
        async with serving() as sun:
            steady = await sun.socket(wire)
            for number in range(wanted(300)):
                socket = await sun.socket(wire, token=random.choice(["alice", None]))
                for _ in range(3):
                    payload = mutated(random, wire.to_server(random.choice(frames)))
                    first = random.choice([0x82, 0x81]) if random.random() < 0.1 else 0x82 if wire.binary else 0x81
                    socket.raw(first, payload)
                socket.raw(0x88, b"\x03\xe8")
                assert await ending(socket) in codes
                await hang_up(socket.writer)
                sun.sockets.remove(socket)
                steady.call(str(number), ECHO, "x")
                assert await steady.value() == (str(number), "x")
            events = [json.loads(line) for line in sun.log.getvalue().splitlines()]
            assert not [line for line in events if line["level"] == "error"]

    asyncio.run(use())


def test_mutated_requests_are_nobodys_fault_but_their_clients() -> None:
    asyncio.run(_mutated_requests())


async def _mutated_requests() -> None:
    random = Random(4)
    message = StringValue(value="3 x 5").SerializeToString()
    packed = gzip.compress(message)
    proto = {"Content-Type": "application/proto"}
    stream = {"Content-Type": "application/connect+proto", "Connect-Content-Encoding": "gzip"}
    async with serving(explorer=True) as sun:
        for _ in range(wanted(750) // 5):
            answers = [
                await sun.post(CHECKED.path, mutated(random, message), proto),
                await sun.post(CHECKED.path, mutated(random, packed), {**proto, "Content-Encoding": "gzip"}),
                await sun.post(CHECKED.path, mutated(random, b'{"a":[1,"b",null],"c":{}}')),
                await request(sun.port, "GET", f"/{LOOK.path}?{quote(mutated(random, QUERY), safe='=&%+')}"),
                await sun.post(COUNT.path, mutated(random, envelope(random.randrange(2), packed)), stream),
            ]
            assert {found.status for found in answers} <= {200, 400, 415, 429, 501}
        lines = [json.loads(line) for line in sun.log.getvalue().splitlines()]
        # A count that is no number is the fault of the tests' own handler.
        faults = [line for line in lines if line["event"] == "call failed" and line["method"] != COUNT.path]
        assert not [line for line in lines if line["event"] == "exchange failed"] + faults
