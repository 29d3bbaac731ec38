"""The page at / in development: what it lists, that it runs nothing but its own script, and that it can be left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue

from generated.proto.sun.v1.auth_pb2 import SignUpRequest
from generated.proto.sun.v1.user_pb2 import ChangePrivacyRequest
from runtime.config import load
from runtime.rpc.codecs import JSON
from runtime.rpc.explorer import example
from tests.rpc.gateways import COUNT, ECHO, FAIL, METHODS, asynchronous, request, serving

HTML = {"Accept": "text/html,application/xhtml+xml"}


@asynchronous
async def test_browsers_get_a_page_and_all_others_text() -> None:
    async with serving(explorer=True) as sun:
        page = await request(sun.port, "GET", "/", HTML)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        loaded = re.findall(rb'(?:src|href)="([^"]*)"', page.body)
        assert loaded == [b"explorer.css", b"explorer.js"]
        for name in loaded:
            assert (await request(sun.port, "GET", f"/{name.decode()}")).status == 200
        text = await request(sun.port, "GET", "/", {"Accept": "*/*"})
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert "Count(StringValue) -> stream StringValue  [anyone]" in text.body.decode()


@asynchronous
async def test_its_policy_allows_its_own_scripts_only() -> None:
    async with serving(explorer=True) as sun:
        for path in ("/", "/explorer.js", "/explorer.css", "/explorer.json"):
            page = await request(sun.port, "GET", path, HTML)
            policy = page.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert page.headers["x-content-type-options"] == "nosniff"
            assert not re.search(rb"<script>|\son\w+=|https?://|innerHTML|eval\(", page.body)


@asynchronous
async def test_it_lists_every_method() -> None:
    async with serving(explorer=True) as sun:
        page = await request(sun.port, "GET", "/explorer.json")
        assert page.headers["content-type"] == "application/json; charset=utf-8"
        listed = {entry["path"]: entry for entry in json.loads(page.body)}
        assert sorted(listed) == sorted(method.path for method in METHODS)
        assert (listed[ECHO.path]["callers"], listed[ECHO.path]["example"]) == ("user", "")
        assert (listed[COUNT.path]["stream"], listed[ECHO.path]["stream"]) == (True, False)
        assert listed[FAIL.path]["errors"] == ["google.protobuf.StringValue"]


@asynchronous
async def test_without_it_there_is_nothing_to_see() -> None:
    async with serving() as sun:
        for path in ("/", "/explorer.json", "/explorer.js"):
            page = await request(sun.port, "GET", path, HTML)
            assert page.status == 404
            assert ECHO.path.encode() not in page.body


def test_examples_are_requests() -> None:
    for kind in (SignUpRequest, ChangePrivacyRequest, StringValue, Struct):
        JSON.decode(kind, json.dumps(example(kind)).encode())
    found = example(SignUpRequest)
    assert found["userName"] == ""
    assert found["deviceInfo"]["device"] == ""


def test_only_development_shows_it_unless_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(tmp_path).shows_explorer
    assert not load(tmp_path, host="0.0.0.0").shows_explorer
    monkeypatch.setenv("SUN_SQL_URL", "mysql://db.example/")
    assert not load(tmp_path).shows_explorer
    monkeypatch.setenv("SUN_EXPLORER", "true")
    assert load(tmp_path, host="0.0.0.0").shows_explorer
