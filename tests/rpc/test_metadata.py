"""Metadata: what a handler reads of a request's headers, and the headers and trailers that it sends."""

from __future__ import annotations

import json

import pytest

from runtime.rpc.errors import RpcError
from runtime.rpc.metadata import Metadata, ResponseMetadata
from tests.rpc.gateways import METADATA, asynchronous, serving


@asynchronous
async def test_headers_and_trailers_of_a_unary_call() -> None:
    async with serving() as sun:
        asked = {"Acme-Shard": "42", "Acme-Raw-Bin": "AP8="}
        for value, status in (("fine", 200), ("fail", 409)):
            response = await sun.post(METADATA.path, json.dumps(value).encode(), asked)
            assert response.status == status
            assert response.headers["acme-shard"] == response.headers["trailer-acme-shard"] == "42"
            assert response.headers["acme-raw-bin"] == "AP8"


@asynchronous
async def test_what_is_reserved_is_the_servers_fault() -> None:
    async with serving() as sun:
        response = await sun.post(METADATA.path, b'"reserved"')
        assert (response.status, json.loads(response.body)["code"]) == (500, "internal")
        assert "content-length is reserved" in sun.log.getvalue()


@asynchronous
async def test_binary_metadata_that_is_none_is_the_clients() -> None:
    async with serving() as sun:
        response = await sun.post(METADATA.path, b'"fine"', {"Acme-Raw-Bin": "?"})
        assert (response.status, json.loads(response.body)["code"]) == (400, "invalid_argument")


def test_reading() -> None:
    metadata = Metadata([("Acme-A", "1"), ("acme-a", "2"), ("Acme-Bin", "AP8=, /w"), ("Acme-Bad-Bin", "a")])
    assert (metadata.get("ACME-A"), metadata.get_all("acme-a"), metadata.get("other")) == ("1", ["1", "2"], None)
    assert metadata.get_all_bytes("acme-bin") == [b"\x00\xff", b"\xff"]
    assert (metadata.get_bytes("Acme-Bin"), metadata.get_bytes("other-bin")) == (b"\x00\xff", None)
    with pytest.raises(RpcError, match="acme-bad-bin is no base64"):
        metadata.get_bytes("Acme-Bad-Bin")
    with pytest.raises(ValueError, match="must end in -bin"):
        metadata.get_bytes("acme-a")


def test_writing() -> None:
    metadata = ResponseMetadata()
    assert not metadata
    metadata.add("Acme-A", "1")
    metadata.add("acme-a", "2")
    metadata.set("acme-b-bin", b"\x00")
    assert list(metadata) == [("acme-a", "1"), ("acme-a", "2"), ("acme-b-bin", "AA")]
    metadata.set("acme-a", "3")
    assert metadata.get_all("acme-a") == ["3"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect-anything", "x"),
        ("Content-Type", "x"),
        ("transfer-encoding", "x"),
        ("access-control-allow-origin", "*"),
        ("trailer-x", "x"),
        ("set cookie", "x"),
        ("", "x"),
        ("ä", "x"),
        ("acme", "a\r\nb"),
        ("acme", "ä"),
        ("acme", b"x"),
        ("acme-bin", "x"),
    ],
)
def test_what_can_not_be_written(name: str, value: str | bytes) -> None:
    metadata = ResponseMetadata()
    for write in (metadata.set, metadata.add):
        with pytest.raises(ValueError, match=r"name|reserved|ASCII|bytes"):
            write(name, value)
    assert not metadata
