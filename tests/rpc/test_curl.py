"""curl as a client: what the documentation shows, and what curl itself makes of our answers."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from runtime.rpc.envelopes import ENVELOPE, envelope
from tests.rpc.gateways import BIG, COUNT, ECHO, FAIL, LOOK, Served, asynchronous, serving

JSON = ("-H", "content-type: application/json")


@pytest.fixture(autouse=True)
def curl_is_there() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; on Debian: apt install curl")


async def curl(sun: Served, path: str, *options: str) -> bytes:
    """What curl prints; it must not complain."""
    command = ("curl", "-sS", "--noproxy", "*", "--max-time", "20", *options, f"{sun.address.url}/{path}")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    output, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    return output


@asynchronous
async def test_a_call_as_the_documentation_shows_it() -> None:
    async with serving() as sun:
        assert await curl(sun, ECHO.path, *JSON, "-H", "Authorization: Bearer alice", "-d", '"hi"') == b'"hi"'


@asynchronous
async def test_an_error_has_its_status() -> None:
    async with serving() as sun:
        output = await curl(sun, FAIL.path, *JSON, "-d", '"taken"', "-w", "%{http_code} %{content_type}")
        body, _, last = output.rpartition(b"}")
        assert last == b"409 application/json"
        assert json.loads(body + b"}")["code"] == "already_exists"


@asynchronous
async def test_a_get() -> None:
    async with serving() as sun:
        query = ("-G", "--data-urlencode", 'message="a+b c"', "-d", "encoding=json", "-d", "connect=v1")
        assert await curl(sun, LOOK.path, *query) == b'"a+b c"'


@asynchronous
async def test_gzip() -> None:
    async with serving() as sun:
        plain = await curl(sun, BIG.path, *JSON, "--compressed", "-d", '"100000"', "-w", " %{size_download}")
        text, _, size = plain.rpartition(b" ")
        assert len(text) == 100_002
        assert int(size) < 10_000


@asynchronous
async def test_a_large_body_asks_first() -> None:
    async with serving(max_message_bytes=2_000_000) as sun:
        options = (*JSON, "-H", "Authorization: Bearer alice", "-H", "Expect: 100-continue", "--data-binary", "@-")
        for size, status in ((1_999_998, b"200"), (2_100_000, b"429")):
            command = ("curl", "-sS", "--noproxy", "*", *options, "-o", "/dev/null", "-w", "%{http_code}")
            pipe = asyncio.subprocess.PIPE
            url = f"{sun.address.url}/{ECHO.path}"
            process = await asyncio.create_subprocess_exec(*command, url, stdin=pipe, stdout=pipe)
            output, _ = await process.communicate(b'"' + b"x" * size + b'"')
            assert output == status


@asynchronous
async def test_a_stream(tmp_path: Path) -> None:
    async with serving() as sun:
        request = tmp_path / "request"
        request.write_bytes(envelope(0, b'"3"'))
        kind = ("-H", "content-type: application/connect+json")
        output = await curl(sun, COUNT.path, *kind, "--data-binary", f"@{request}", "-w", "%{http_code}")
        assert output.endswith(b"200")
        assert ENVELOPE.unpack_from(output) == (0, 3)
        assert output[ENVELOPE.size :].startswith(b'"0"')
