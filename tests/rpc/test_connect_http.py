"""The Connect protocol over raw HTTP: statuses, codes, encodings and limits."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.proto.sun import errors_pb2
from runtime.rpc.compression import prefers_gzip
from tests.rpc.gateways import (
    ADMIN,
    BIG,
    CHECKED,
    ECHO,
    FAIL,
    METADATA,
    SECRET,
    WAIT,
    WHO,
    Response,
    asynchronous,
    read_response,
    request,
    serving,
)

ALICE = {"Authorization": "Bearer alice"}


def code(response: Response) -> str:
    assert response.headers["content-type"] == "application/json"
    return json.loads(response.body)["code"]


@asynchronous
async def test_json_in_json_out() -> None:
    async with serving() as sun:
        response = await sun.post(ECHO.path, b'"h\xc3\xa4"', ALICE)
        assert (response.status, response.body) == (200, b'"h\xc3\xa4"')
        assert response.headers["content-type"] == "application/json"
        with_charset = {**ALICE, "Content-Type": "application/json; charset=utf-8"}
        assert (await sun.post(ECHO.path, b'"hi"', with_charset)).status == 200


@asynchronous
async def test_proto_in_proto_out() -> None:
    async with serving() as sun:
        body = StringValue(value="hi").SerializeToString()
        response = await sun.post(ECHO.path, body, {**ALICE, "Content-Type": "application/proto"})
        assert (response.status, response.body) == (200, body)
        assert response.headers["content-type"] == "application/proto"


@asynchronous
async def test_several_calls_use_one_connection() -> None:
    async with serving() as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        for text in (b'"a"', b'"b"'):
            head = f"POST /{ECHO.path} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer alice\r\n"
            rest = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write((head + rest).encode() + text)
            assert (await read_response(reader)).body == text
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_unknown_methods_are_404() -> None:
    async with serving() as sun:
        for path in ("test.v1.TestService/Nope", "nope", "test.v1.TestService", "test.v1.TestService/Echo/"):
            response = await sun.post(path)
            assert (response.status, code(response)) == (404, "unimplemented")


@asynchronous
async def test_other_verbs_are_405() -> None:
    async with serving() as sun:
        for verb in ("GET", "PUT", "DELETE"):
            response = await request(sun.port, verb, f"/{ECHO.path}")
            assert (response.status, response.headers["allow"]) == (405, "POST")
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        writer.write(f"HEAD /{ECHO.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 405")
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_other_content_types_are_415() -> None:
    async with serving() as sun:
        for content_type in ("text/plain", "application/grpc", "application/connect+json", ""):
            response = await sun.post(ECHO.path, b"{}", {"Content-Type": content_type})
            assert response.status == 415
            assert response.headers["accept-post"] == "application/json, application/proto"


@asynchronous
async def test_the_protocol_version_must_be_1() -> None:
    async with serving() as sun:
        assert (await sun.post(WHO.path, b'""', {"Connect-Protocol-Version": "1"})).status == 200
        response = await sun.post(WHO.path, b'""', {"Connect-Protocol-Version": "2"})
        assert (response.status, code(response)) == (400, "invalid_argument")


@pytest.mark.parametrize("limit", ["abc", "-1", "0", "1.5", "12345678901", " "])
@asynchronous
async def test_bad_time_limits_are_invalid(limit: str) -> None:
    async with serving() as sun:
        response = await sun.post(WHO.path, b'""', {"Connect-Timeout-Ms": limit})
        assert (response.status, code(response)) == (400, "invalid_argument")


@asynchronous
async def test_the_deadline_ends_the_call() -> None:
    async with serving() as sun:
        response = await sun.post(WAIT.path, b'""', {"Connect-Timeout-Ms": "20"})
        assert (response.status, code(response)) == (504, "deadline_exceeded")
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@asynchronous
async def test_the_servers_limits_bound_every_deadline() -> None:
    async with serving(default_timeout_ms=20, max_timeout_ms=30) as sun:
        assert (await sun.post(WAIT.path, b'""')).status == 504
        assert (await sun.post(WAIT.path, b'""', {"Connect-Timeout-Ms": "9999999999"})).status == 504


@asynchronous
async def test_who_may_call() -> None:
    async with serving() as sun:
        cases = [
            (WHO, {}, 200),
            (WHO, {"Authorization": "Bearer nobody"}, 200),
            (WHO, ALICE, 200),
            (ECHO, {}, 401),
            (ECHO, {"Authorization": "Bearer nobody"}, 401),
            (ECHO, {"Authorization": "Basic alice"}, 401),
            (ECHO, ALICE, 200),
            (ADMIN, {}, 401),
            (ADMIN, ALICE, 403),
            (ADMIN, {"Authorization": "Bearer root"}, 200),
        ]
        for method, headers, status in cases:
            response = await sun.post(method.path, b'"x"', headers)
            assert response.status == status, (method.path, headers)
            if status == 401:
                assert response.headers["www-authenticate"] == "Bearer"
        assert json.loads((await sun.post(WHO.path, b'""', {"Authorization": "Bearer nobody"})).body)[:9] == "anonymous"


@asynchronous
async def test_the_caller_is_known_before_the_request_is_read() -> None:
    async with serving() as sun:
        assert (await sun.post(ECHO.path, b"broken")).status == 401


@asynchronous
async def test_what_the_context_holds() -> None:
    async with serving() as sun:
        response = await sun.post(WHO.path, b'""', {**ALICE, "Sun-Device": "phone", "Sun-Call-Id": "c-1"})
        assert json.loads(response.body) == "7 phone 127.0.0.1 c-1"
        for header in ("Sun-Device", "Sun-Call-Id"):
            assert (await sun.post(WHO.path, b'""', {header: "x" * 65})).status == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b"7", b"[" * 100_000, b'{"a":' * 50_000, b'"\\ud800"']
)
@asynchronous
async def test_broken_json_is_invalid(body: bytes) -> None:
    async with serving() as sun:
        response = await sun.post(WHO.path, body)
        assert (response.status, code(response)) == (400, "invalid_argument")


@asynchronous
async def test_an_error_repeats_no_value() -> None:
    async with serving() as sun:
        response = await sun.post(WHO.path, json.dumps({"x": SECRET}).encode())
        assert response.status == 400
        assert SECRET not in response.body.decode() + sun.log.getvalue()


@asynchronous
async def test_broken_proto_is_invalid() -> None:
    async with serving() as sun:
        for body in (b"\x0a\xff", b"\xff" * 40, b"\x0a\x02\xff\xfe"):
            response = await sun.post(WHO.path, body, {"Content-Type": "application/proto"})
            assert (response.status, code(response)) == (400, "invalid_argument")


@asynchronous
async def test_all_violations_are_told() -> None:
    async with serving() as sun:
        response = await sun.post(CHECKED.path, b'"1"')
        assert (response.status, code(response)) == (400, "invalid_argument")
        (detail,) = json.loads(response.body)["details"]
        assert detail["type"] == "sun.BadRequest"
        found = errors_pb2.BadRequest.FromString(base64.b64decode(detail["value"] + "=" * (-len(detail["value"]) % 4)))
        assert [(v.field, v.rule) for v in found.violations] == [("value", "min_len"), ("value", "pattern")]
        assert not detail["value"].endswith("=")
        assert detail["debug"]["violations"][0]["rule"] == "min_len"


@pytest.mark.parametrize(
    ("request_text", "status", "expected"),
    [
        ("taken", 409, "already_exists"),
        ("undeclared", 404, "not_found"),
        ("coded", 400, "failed_precondition"),
        ("pool", 503, "unavailable"),
        ("conflict", 409, "aborted"),
        ("wrong", 500, "internal"),
        ("crash", 500, "internal"),
        ("timeout", 500, "internal"),
        ("cancel", 499, "canceled"),
    ],
)
@asynchronous
async def test_failures_of_handlers(request_text: str, status: int, expected: str) -> None:
    async with serving() as sun:
        response = await sun.post(FAIL.path, json.dumps(request_text).encode())
        assert (response.status, code(response)) == (status, expected)
        assert SECRET not in response.body.decode()


@asynchronous
async def test_an_unexpected_failure_is_found_again_in_the_log() -> None:
    async with serving() as sun:
        message = json.loads((await sun.post(FAIL.path, b'"crash"')).body)["message"]
        error_id = message.removeprefix("internal error ")
        (line,) = [entry for entry in map(json.loads, sun.log.getvalue().splitlines()) if "error_id" in entry]
        assert line["error_id"] == error_id
        assert "RuntimeError" in line["exception"]


@asynchronous
async def test_gzip_requests_and_responses() -> None:
    async with serving(gzip_min_bytes=100) as sun:
        text = json.dumps("a" * 1000).encode()
        packed = {**ALICE, "Content-Encoding": "gzip"}
        plain = {**packed, "Accept-Encoding": "identity"}
        assert (await sun.post(ECHO.path, gzip.compress(text), plain)).body == text
        for accepting in (packed, {**ALICE, "Accept-Encoding": "br, gzip;q=0.5"}):
            body = gzip.compress(text) if accepting is packed else text
            response = await sun.post(ECHO.path, body, accepting)
            assert response.headers["content-encoding"] == "gzip"
            assert gzip.decompress(response.body) == text
        refusing = await sun.post(ECHO.path, text, {**ALICE, "Accept-Encoding": "gzip;q=0"})
        assert "content-encoding" not in refusing.headers
        assert (
            "content-encoding" not in (await sun.post(ECHO.path, b'"a"', {**ALICE, "Accept-Encoding": "gzip"})).headers
        )


@asynchronous
async def test_broken_and_unknown_encodings() -> None:
    async with serving() as sun:
        good = gzip.compress(b'"hi"')
        for body in (b"no gzip", good[:-3], good + b"tail", zlib.compress(b'"hi"')):
            response = await sun.post(WHO.path, body, {"Content-Encoding": "gzip"})
            assert (response.status, code(response)) == (400, "invalid_argument")
        response = await sun.post(WHO.path, b'"hi"', {"Content-Encoding": "br"})
        assert (response.status, code(response)) == (501, "unimplemented")
        assert "gzip" in json.loads(response.body)["message"]


@asynchronous
async def test_a_gzip_bomb_is_refused() -> None:
    async with serving(max_message_bytes=10_000) as sun:
        bomb = gzip.compress(b" " * 5_000_000)
        assert len(bomb) < 10_000
        response = await sun.post(WHO.path, bomb, {"Content-Encoding": "gzip"})
        assert (response.status, code(response)) == (429, "resource_exhausted")


@asynchronous
async def test_oversized_bodies_are_refused_with_a_code() -> None:
    async with serving(max_message_bytes=10_000) as sun:
        response = await sun.post(WHO.path, b" " * 10_001)
        assert (response.status, code(response)) == (429, "resource_exhausted")
        assert (await sun.post(WHO.path, b'"' + b"x" * 9_998 + b'"')).status == 200

        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        head = f"POST /{WHO.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 4 + b"0\r\n\r\n")
        assert (await read_response(reader)).status == 429
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_a_client_that_asks_first_need_not_send_too_much() -> None:
    async with serving(max_message_bytes=10_000) as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        head = f"POST /{WHO.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n".encode())
        assert (await read_response(reader)).status == 429
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_a_late_body_loses_its_connection() -> None:
    async with serving(body_timeout_ms=50) as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        writer.write(f"POST /{WHO.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123".encode())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_a_client_that_leaves_cancels_its_call() -> None:
    async with serving() as sun:
        _, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        head = f"POST /{WAIT.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        writer.write(head.encode() + b'""')
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        writer.close()
        await writer.wait_closed()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)


@asynchronous
async def test_garbage_harms_nobody_else() -> None:
    async with serving() as sun:
        waiting = asyncio.create_task(sun.post(WAIT.path, b'"still here"'))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        for garbage in (b"\x00\xff" * 50 + b"\r\n\r\n", b"POST / HTTP/9\r\n\r\n", b"GET\r\n\r\n", b"A: b\r\n\r\n" * 10):
            reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
            writer.write(garbage)
            writer.write_eof()
            assert not (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
        sun.handler.release.set()
        assert (await waiting).body == b'"still here"'


@asynchronous
async def test_more_calls_than_the_server_takes_are_turned_away() -> None:
    async with serving(max_calls=1) as sun:
        waiting = asyncio.create_task(sun.post(WAIT.path, b'"first"'))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        assert (await sun.post(WHO.path, b'""')).status == 503
        sun.handler.release.set()
        assert (await waiting).status == 200
        assert (await sun.post(WHO.path, b'""')).status == 200


@asynchronous
async def test_browsers_of_allowed_origins_may_call() -> None:
    app = {"Origin": "https://app.example"}
    async with serving(allowed_origins=("https://app.example",)) as sun:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "acme-shard,authorization"}
        allowed = await request(sun.port, "OPTIONS", f"/{WHO.path}", {**asking, **app})
        assert allowed.status == 204
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert allowed.headers["access-control-allow-headers"] == "acme-shard,authorization"
        assert allowed.headers["access-control-allow-methods"] == "GET, POST"
        assert "Origin" in allowed.headers["vary"]
        del asking["Access-Control-Request-Headers"]
        usual = (await request(sun.port, "OPTIONS", f"/{WHO.path}", {**asking, **app})).headers
        for name in ("Connect-Timeout-Ms", "Connect-Protocol-Version", "Content-Type", "Authorization"):
            assert name in usual["access-control-allow-headers"]
        for origin in ("https://evil.example", "null", "https://app.example.evil.example", "http://app.example", ""):
            other = await request(sun.port, "OPTIONS", f"/{WHO.path}", {**asking, "Origin": origin})
            assert not [name for name in other.headers if name.startswith("access-control-")]
            answer = await sun.post(WHO.path, b'""', {"Origin": origin})
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        answer = await sun.post(WHO.path, b'""', app)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"


@asynchronous
async def test_scripts_see_errors_and_metadata() -> None:
    async with serving(allowed_origins=("*",)) as sun:
        origin = {"Origin": "https://any.example", "Acme-Shard": "1"}
        for body, status in ((b'"ok"', 200), (b'"fail"', 409)):
            answer = await sun.post(METADATA.path, body, origin)
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "https://any.example"
            assert answer.headers["access-control-expose-headers"] == "acme-shard, trailer-acme-shard"
        assert (await sun.post("no/Such", b"", origin)).headers["access-control-allow-origin"] == "https://any.example"


@asynchronous
async def test_no_host_is_the_origin_of_nobody() -> None:
    async with serving() as sun:
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        head = f"POST /{WHO.path} HTTP/1.0\r\nOrigin: null\r\nContent-Type: application/json\r\nContent-Length: 2"
        writer.write(f'{head}\r\n\r\n""'.encode())
        assert "access-control-allow-origin" not in (await read_response(reader)).headers
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("deflate, gzip, br, zstd", True),
        ("gzip;q=0.5, identity;q=0.1", True),
        ("*", True),
        ("GZIP ; Q=1", True),
        ("identity, gzip", False),
        ("gzip;q=0.1, identity;q=0.5", False),
        ("*, gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=nonsense", False),
        ("identity", False),
        ("br", False),
        ("", False),
    ],
)
def test_which_encoding_is_preferred(accepted: str, expected: bool) -> None:
    assert prefers_gzip(accepted) is expected


@asynchronous
async def test_large_answers_arrive_whole() -> None:
    async with serving() as sun:
        response = await sun.post(BIG.path, b'"3000000"')
        assert len(response.body) == 3_000_002


@asynchronous
async def test_the_pages() -> None:
    async def broken() -> None:
        raise OSError("no database")

    async def well() -> None:
        pass

    async with serving({"sql": well}, explorer=True) as sun:
        for path, text in (("/healthz", "ok"), ("/readyz", "ready"), ("/", "Echo(StringValue) -> StringValue  [user]")):
            response = await request(sun.port, "GET", path)
            assert response.status == 200
            assert text in response.body.decode()
        await sun.post(WHO.path, b'""')
        await sun.post("what/Ever", b'""')
        metrics = (await request(sun.port, "GET", "/metrics")).body.decode()
        assert f'sun_rpc_calls_total{{code="ok",method="{WHO.path}",transport="http"}} 1.0' in metrics
        assert "what/Ever" not in metrics
    async with serving({"sql": well, "cql": broken}) as sun:
        response = await request(sun.port, "GET", "/readyz")
        assert (response.status, response.body) == (503, b"not ready: cql\n")


@asynchronous
async def test_one_log_line_a_call_and_no_secret() -> None:
    async with serving() as sun:
        await sun.post(ECHO.path, json.dumps(SECRET).encode(), ALICE)
        await sun.post(ECHO.path, json.dumps(SECRET).encode(), {"Authorization": f"Bearer {SECRET}"})
        lines = [json.loads(line) for line in sun.log.getvalue().splitlines()]
        calls = [line for line in lines if line["event"] == "rpc"]
        assert [(line["method"], line["result"], line["user_id"]) for line in calls] == [
            (ECHO.path, "ok", 7),
            (ECHO.path, "unauthenticated", None),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\x00\r\n\r\n".encode())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        assert SECRET not in sun.log.getvalue()
        assert "alice" not in sun.log.getvalue()


@asynchronous
async def test_proxies_are_believed_only_when_trusted() -> None:
    forwarded = {"X-Forwarded-For": "1.2.3.4"}
    async with serving() as sun:
        assert " 127.0.0.1 " in (await sun.post(WHO.path, b'""', forwarded)).body.decode()
    async with serving(trusted_proxies=("127.0.0.1",)) as sun:
        assert " 1.2.3.4 " in (await sun.post(WHO.path, b'""', forwarded)).body.decode()
