"""What a hostile client sends besides broken calls: each is refused by name, and nothing is kept for it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from google.protobuf.message import Message

from generated.proto.sun.v1.auth_pb2 import SignUpRequest
from generated.proto.sun.v1.user_pb2 import ChangePrivacyRequest
from runtime.rpc.codecs import JSON
from runtime.rpc.errors import Code, RpcError
from tests.rpc.gateways import ECHO, Served, asynchronous, serving


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
