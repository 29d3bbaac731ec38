"""Which scripts of other origins may call, and what a browser is told of it: Cross-Origin Resource Sharing.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol and https://connectrpc.com/docs/cors
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping

_HEADER_NAMES = re.compile(r"[A-Za-z0-9_.,\- ]{1,2000}")
_USUAL_HEADERS = (
    "Authorization, Connect-Protocol-Version, Connect-Timeout-Ms, Content-Encoding, Content-Type, Idempotency-Key, "
    "Sun-Call-Id, Sun-Device, X-User-Agent"
)
_MAX_AGE_S = 7200


def origin_allowed(origin: str, host: str, allowed: Container[str]) -> bool:
    """Whether scripts of this origin may call; those of the gateway's own `host`, as the request names it, may."""
    if origin in allowed or "*" in allowed:
        return True
    return bool(host) and origin.partition("://")[2].lower() == host.lower()


def is_preflight(verb: str, headers: Mapping[str, str]) -> bool:
    return verb == "OPTIONS" and "Access-Control-Request-Method" in headers


def preflight_headers(headers: Mapping[str, str], allowed: Container[str]) -> dict[str, str]:
    """The answer to a browser that asks whether a call would be let in. An origin that isn't let in is told nothing.

    An origin that is may send what headers it likes: metadata have names of the application's own.
    """
    found = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
    origin = headers.get("Origin")
    if origin is None or not origin_allowed(origin, headers.get("Host", ""), allowed):
        return found
    asked = headers.get("Access-Control-Request-Headers", "")
    return found | {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": asked if _HEADER_NAMES.fullmatch(asked) else _USUAL_HEADERS,
        "Access-Control-Max-Age": str(_MAX_AGE_S),
    }


def answer_headers(headers: Mapping[str, str], allowed: Container[str], exposed: Iterable[str]) -> dict[str, str]:
    """What an answer carries so that the script may read it, and those of its headers that are `exposed`."""
    origin = headers.get("Origin")
    if origin is None or not origin_allowed(origin, headers.get("Host", ""), allowed):
        return {}
    found = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    names = ", ".join(dict.fromkeys(exposed))
    if names:
        found["Access-Control-Expose-Headers"] = names
    return found
