"""Who a client behind proxies is: its address and scheme, read from headers only as far as proxies are trusted.

Sources: https://www.rfc-editor.org/rfc/rfc7239 and, for X-Forwarded-For, its section 7.4 and
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#security_and_privacy_concerns
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

_MAX_HOPS = 32
"""Proxies that are looked at, from ours outwards."""

# A forwarded-pair (RFC 7239, section 4): a token, and a token or a quoted string.
_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')


def network(text: str) -> IPv4Network | IPv6Network:
    """`10.0.0.0/8`, or one address. Raises ValueError."""
    return ip_network(text)


def client_address(
    peer: str, headers: Mapping[str, str], trusted: tuple[str, ...], header: ForwardedHeader = "x-forwarded-for"
) -> str:
    """The address of the client: the last one in the header that is no proxy of ours.

    `peer` is the address of the socket; the header counts only where that is trusted, and only as far as it holds
    addresses: each proxy appends the one that it saw, so what is left of an untrusted one may be anything.
    """
    if not _trusts(trusted, peer):
        return peer
    address = peer
    for hop in _hops(headers, header):
        found = _address(hop)
        if found is None:
            return address
        address = str(found)
        if not _trusts(trusted, address):
            return address
    return address


def _trusts(trusted: tuple[str, ...], address: str) -> bool:
    found = _address(address)
    return found is not None and any(found in each for each in _networks(trusted))


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> Sequence[IPv4Network | IPv6Network]:
    return [network(text) for text in texts]


def _hops(headers: Mapping[str, str], header: ForwardedHeader) -> list[str]:
    """Who each proxy says it was called by, the nearest to us first."""
    text = headers.get(header, "")
    if not text:
        return []
    hops = text.split(",") if header == "x-forwarded-for" else _forwarded(text)
    return hops[: -_MAX_HOPS - 1 : -1]


def _forwarded(text: str) -> list[str]:
    """The `for` of each element, an empty one where there is none. Nothing, where a part of it can't be read."""
    hops: list[str] = []
    place, node = 0, ""
    while (pair := _PAIR.match(text, place)) is not None:
        if pair[1].lower() == "for":
            node = pair[2].strip('"')
        place = pair.end()
        following = text[place : place + 1]
        if following != ";":
            hops.append(node)
            node = ""
        if following not in (";", ","):
            break
        place += 1
    # The elements on the right are those of our proxies: without its end, the rest is not to be believed.
    return hops if place == len(text) else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address of a node, with a port or without; None for names that hide one (`unknown`, `_gazonk`)."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    # A socket that takes both families names IPv4 peers in IPv6's clothes.
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
