"""Calls by GET, for methods without side effects: everything is in the query."""

from __future__ import annotations

import base64
import gzip
import json
from urllib.parse import quote, urlencode

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from tests.rpc.gateways import COUNT, ECHO, LOOK, Response, Served, asynchronous, request, serving

HELLO = StringValue(value="hällo").SerializeToString()


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def get(sun: Served, query: str, headers: dict[str, str] | None = None, path: str = LOOK.path) -> Response:
    return await request(sun.port, "GET", f"/{path}?{query}", headers)


@asynchronous
async def test_json_and_proto() -> None:
    async with serving() as sun:
        message = quote(json.dumps("hä+llo", ensure_ascii=False))
        response = await get(sun, f"connect=v1&encoding=json&message={message}")
        assert (response.status, json.loads(response.body)) == (200, "hä+llo")
        assert response.headers["content-type"] == "application/json"
        assert response.headers["vary"] == "Accept-Encoding, Origin"

        response = await get(sun, f"connect=v1&encoding=proto&base64=1&message={packed(HELLO)}")
        assert (response.status, response.body) == (200, HELLO)
        assert response.headers["content-type"] == "application/proto"
        assert (await get(sun, f"encoding=proto&message={quote(HELLO)}")).body == HELLO


@asynchronous
async def test_parameters_in_any_order_and_unknown_ones() -> None:
    async with serving() as sun:
        padded = quote(base64.urlsafe_b64encode(HELLO).decode())
        for query in (
            f"message={padded}&utm=1&base64=1&encoding=proto",
            f"base64=1&encoding=proto&message={packed(HELLO)}&message=other&compression=identity",
            "message=&encoding=proto",
            "message=%22a%20b%22&encoding=json&base64=0",
            "message=%22a+b%22&encoding=json",
        ):
            assert (await get(sun, query)).status == 200, query


@asynchronous
async def test_compressed_queries() -> None:
    async with serving(gzip_min_bytes=0) as sun:
        query = f"encoding=proto&base64=1&compression=gzip&message={packed(gzip.compress(HELLO))}"
        response = await get(sun, query)
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(response.body) == HELLO
        assert (await get(sun, query, {"Accept-Encoding": "identity"})).body == HELLO
        assert (await get(sun, "encoding=proto&compression=gzip&message=")).status == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("encoding=json", 400, "invalid_argument"),
        ("encoding=json&message=nonsense", 400, "invalid_argument"),
        ("encoding=proto&message=%ff", 400, "invalid_argument"),
        ("encoding=proto&base64=1&message=a", 400, "invalid_argument"),
        ("encoding=proto&base64=1&message=a%2Bb%2F", 400, "invalid_argument"),
        ("encoding=proto&base64=1&message=%e2%82%ac", 400, "invalid_argument"),
        ("encoding=json&message=%22%22&connect=v2", 400, "invalid_argument"),
        ("encoding=json&message=%22%22&compression=br", 501, "unimplemented"),
        ("encoding=json&message=%22%22&compression=gzip", 400, "invalid_argument"),
        ("message=%22%22", 415, "unknown"),
        ("encoding=xml&message=%22%22", 415, "unknown"),
        ("", 415, "unknown"),
        ("&".join(f"a{number}=1" for number in range(200)), 400, "invalid_argument"),
        ("encoding=json&message=" + quote('"' + "x" * 20_000 + '"'), 429, "resource_exhausted"),
        (
            f"encoding=json&base64=1&compression=gzip&message={packed(gzip.compress(b' ' * 3_000_000))}",
            429,
            "resource_exhausted",
        ),
    ],
)
@asynchronous
async def test_broken_queries(query: str, status: int, code: str) -> None:
    async with serving(max_message_bytes=10_000) as sun:
        response = await get(sun, query)
        assert (response.status, json.loads(response.body)["code"]) == (status, code)
        assert status != 415 or response.headers["accept-post"] == "application/json, application/proto"


@asynchronous
async def test_only_methods_without_side_effects() -> None:
    async with serving() as sun:
        query = urlencode({"encoding": "json", "message": '"3"'})
        for path, allowed in ((ECHO.path, "POST"), (COUNT.path, "POST")):
            response = await get(sun, query, path=path)
            assert (response.status, response.headers["allow"]) == (405, allowed)
        response = await request(sun.port, "PUT", f"/{LOOK.path}", {}, b"")
        assert (response.status, response.headers["allow"]) == (405, "GET, POST")
        assert (await sun.post(LOOK.path, b'"hi"')).status == 200


@asynchronous
async def test_caches_are_told_what_an_answer_depends_on() -> None:
    async with serving(allowed_origins=("https://app.example",)) as sun:
        query = urlencode({"encoding": "json", "message": '"hi"'})
        for headers in ({}, {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}):
            assert (await get(sun, query, headers)).headers["vary"] == "Accept-Encoding, Origin"


@asynchronous
async def test_headers_count_as_in_a_post() -> None:
    async with serving() as sun:
        query = urlencode({"encoding": "json", "message": '"hi"'})
        assert (await get(sun, query, {"Connect-Timeout-Ms": "soon"})).status == 400
        assert (await get(sun, query, {"Connect-Timeout-Ms": "1000", "Authorization": "Bearer alice"})).status == 200


@asynchronous
async def test_a_query_longer_than_a_head_may_be() -> None:
    async with serving() as sun:
        response = await get(sun, "encoding=json&message=" + "x" * 100_000)
        assert (response.status, json.loads(response.body)["code"]) == (414, "resource_exhausted")
