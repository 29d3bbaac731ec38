"""One call by path with JSON in and out, for tools that have no generated client."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

from tornado.websocket import WebSocketClosedError

from runtime.rpc.close_codes import CloseCode
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.link import open_socket
from runtime.rpc.wire import JSON_WIRE, BadFrame, Call, Hello, Reply

_CONNECT_TIMEOUT_S = 10.0
_MAX_MESSAGE_BYTES = 64 << 20


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
        return (await _over_socket(url, path, payload, token, timeout_ms)).decode()
    raise NotCalled(Code.INVALID_ARGUMENT, f"{url}: the URL must begin with http://, https://, ws:// or wss://")


async def _over_socket(url: str, path: str, payload: bytes, token: str, timeout_ms: int | None) -> bytes:
    """One connection for one call, in the subprotocol sun.v1+json."""
    messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
    socket = await open_socket(
        url,
        JSON_WIRE.subprotocol,
        messages.put_nowait,
        timeout_s=_CONNECT_TIMEOUT_S,
        max_message_bytes=_MAX_MESSAGE_BYTES,
    )
    try:
        async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
            for frame in (Hello(token, "", "sun call"), Call("1", path, payload, timeout_ms or 0)):
                socket.write_message(JSON_WIRE.to_server(frame))
            while (message := await messages.get()) is not None:
                found = JSON_WIRE.from_server(message)
                if isinstance(found, Reply):
                    if found.error is not None:
                        raise found.error
                    return found.response
    except TimeoutError as error:
        raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over") from error
    except WebSocketClosedError as error:
        raise RpcError(Code.UNAVAILABLE, f"{url} closed the connection") from error
    except BadFrame as error:
        raise RpcError(Code.INTERNAL, f"{url} speaks another protocol: {error}") from error
    finally:
        socket.close(1000)
    reason = socket.close_reason or "the connection was lost"
    if socket.close_code in {CloseCode.UNAUTHENTICATED, CloseCode.SESSION_ENDED}:
        raise RpcError(Code.UNAUTHENTICATED, reason)
    raise RpcError(Code.UNAVAILABLE, f"{url}: {reason}")
