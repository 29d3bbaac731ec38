"""One call by path with JSON in and out, for tools that have no generated client."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from runtime.rpc.errors import Code, NotCalled
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.websocket import WebSocketTransport
from runtime.rpc.wire import JSON_WIRE


async def call_json(url: str, path: str, body: str, token: str = "", timeout_ms: int | None = None) -> str:
    """The answer as JSON. `url` is `http(s)://host:port` or `ws(s)://host:port/ws`, `path` `package.Service/Method`.

    Raises RpcError: what the server says, unavailable when it can't be reached, invalid_argument for a body that is no
    JSON and for another kind of URL.
    """
    if not token.isascii() or not token.isprintable():
        raise NotCalled(Code.INVALID_ARGUMENT, "the token has characters that no token has")
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotCalled(Code.INVALID_ARGUMENT, f"the request is no JSON: {error}") from error
    payload = body.encode()
    scheme = urlsplit(url).scheme
    if scheme in {"http", "https"}:
        async with HttpTransport(url, token) as http:
            return (await http.post(path, "json", payload, timeout_ms)).decode()
    if scheme in {"ws", "wss"}:
        async with WebSocketTransport(url, token, wire=JSON_WIRE) as socket:
            return (await socket.send(path, payload, timeout_ms)).decode()
    raise NotCalled(Code.INVALID_ARGUMENT, f"{url}: the URL must begin with http://, https://, ws:// or wss://")
