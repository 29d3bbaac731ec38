"""Whose word on a client's address and scheme is taken, and how far."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from runtime.rpc.proxies import client_address
from tests.rpc.gateways import WHO, asynchronous, serving

TRUSTED = ("10.0.0.0/8", "192.0.2.7", "fd00::/8")


def forwarded_for(value: str, peer: str = "10.0.0.1") -> str:
    return client_address(peer, HTTPHeaders({"X-Forwarded-For": value}), TRUSTED)


def forwarded(value: str, peer: str = "10.0.0.1") -> str:
    return client_address(peer, HTTPHeaders({"Forwarded": value}), TRUSTED, "forwarded")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),  # what the client wrote itself is on the left
        ("10.9.9.9, 1.2.3.4, 192.0.2.7, 10.2.0.1", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1, fd00::5", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("", "10.0.0.1"),
        ("nonsense", "10.0.0.1"),
        ("1.2.3.4, nonsense", "10.0.0.1"),
        ("1.2.3.4, nonsense, 10.0.0.3", "10.0.0.3"),
        ("1.2.3.4,", "10.0.0.1"),
        ("10.0.0.2", "10.0.0.2"),
        (", ".join(["1.2.3.4", *["10.0.0.9"] * 500]), "10.0.0.9"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(value: str, address: str) -> None:
    assert forwarded_for(value) == address


@pytest.mark.parametrize("peer", ["9.9.9.9", "192.0.2.8", "2001:db8::2"])
def test_a_peer_that_is_no_proxy_of_ours_is_the_client(peer: str) -> None:
    assert forwarded_for("1.2.3.4", peer) == peer
    assert forwarded("for=1.2.3.4", peer) == peer


def test_a_proxy_in_ipv6s_clothes_is_known() -> None:
    assert forwarded_for("1.2.3.4", "::ffff:10.0.0.1") == "1.2.3.4"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("for=1.2.3.4", "1.2.3.4"),
        ('For="[2001:db8::1]:4711";proto=https;by=10.0.0.1', "2001:db8::1"),
        ("for=6.6.6.6, for=1.2.3.4;proto=http, for=10.0.0.2", "1.2.3.4"),
        ('for="1.2.3.4, for=6.6.6.6"', "10.0.0.1"),  # a comma within quotes parts nothing
        ('for=6.6.6.6;x="\\", for=10.0.0.3, for=1.2.3.4', "10.0.0.1"),  # a quote that is never closed
        ("for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("for=1.2.3.4, garbage", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_from_the_right(value: str, address: str) -> None:
    assert forwarded(value) == address


def test_only_the_header_that_the_proxies_set_counts() -> None:
    both = HTTPHeaders({"Forwarded": "for=6.6.6.6", "X-Forwarded-For": "1.2.3.4"})
    assert client_address("10.0.0.1", both, TRUSTED) == "1.2.3.4"
    assert client_address("10.0.0.1", both, TRUSTED, "forwarded") == "6.6.6.6"


@asynchronous
async def test_calls_go_by_it() -> None:
    spoofed = {"X-Forwarded-For": "6.6.6.6, 1.2.3.4", "Forwarded": "for=5.5.5.5", "X-Forwarded-Proto": "https"}
    async with serving() as sun:
        assert " 127.0.0.1 " in (await sun.post(WHO.path, b'""', spoofed)).body.decode()
    async with serving(trusted_proxies=("127.0.0.0/8",)) as sun:
        assert " 1.2.3.4 " in (await sun.post(WHO.path, b'""', spoofed)).body.decode()
