"""The Connect protocol's unary POST on tornado's HTTP connections, beneath tornado.web: one exchange is one call.

Rules are from https://connectrpc.com/docs/protocol. Everything that is no call (pages, the WebSocket) goes to a
tornado.web.Application.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import re
import secrets
import zlib
from collections.abc import Awaitable, Container
from http.client import responses
from typing import Any, cast

import structlog
from tornado import httputil, netutil
from tornado.web import Application

from runtime.rpc.codecs import JSON, PROTO, Codec
from runtime.rpc.connect import error_to_json
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.wire import MAX_NAME_CHARS

DISCARD_FACTOR = 16
"""A body over the limit is read to its end and thrown away up to this many times the limit, so that its sender sees the
answer; closing a socket with unread input would reset it."""

_CODECS: dict[str, Codec] = {"application/json": JSON, "application/proto": PROTO}
_TIMEOUT = re.compile(r"[0-9]{1,10}")
_ALLOWED_HEADERS = (
    "Authorization, Connect-Protocol-Version, Connect-Timeout-Ms, Content-Encoding, Content-Type, Sun-Call-Id, "
    "Sun-Device, X-User-Agent"
)
_OK = httputil.ResponseStartLine("HTTP/1.1", 200, "OK")


class _Refused(Exception):
    """The request isn't answered by a handler; `error` is the body."""

    def __init__(self, status: int, error: RpcError, headers: dict[str, str] | None = None) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers or {}


class ConnectServer(httputil.HTTPServerConnectionDelegate):
    """Hands requests for `pages` to `application`, and all others to the dispatcher."""

    def __init__(
        self, dispatcher: Dispatcher, settings: GatewaySettings, application: Application, pages: Container[str]
    ) -> None:
        self.dispatcher = dispatcher
        self.settings = settings
        self.application = application
        self.pages = pages
        self.draining = False
        self.exchanges: set[Exchange] = set()
        self._call_ids = itertools.count(1)
        self._call_prefix = secrets.token_hex(4)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        return Exchange(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        pass

    def next_call_id(self) -> str:
        return f"{self._call_prefix}-{next(self._call_ids):x}"

    def sweep(self, now: float) -> None:
        """Closes connections whose request body is late. `now` is on the event loop's clock."""
        limit_s = self.settings.body_timeout_ms / 1000
        for exchange in [*self.exchanges]:
            if exchange.receiving and now - exchange.began > limit_s:
                exchange.abort()

    def cancel_calls(self) -> None:
        """Ends every call in flight with `unavailable`."""
        for exchange in [*self.exchanges]:
            exchange.cancel()


class Exchange(httputil.HTTPMessageDelegate):
    """One request and its response."""

    def __init__(self, server: ConnectServer, server_conn: object, request_conn: httputil.HTTPConnection) -> None:
        self._server = server
        self._server_conn = server_conn
        # HTTP1Connection; its base class leaves out the context and the close callback.
        self._conn: Any = request_conn
        self._other: httputil.HTTPMessageDelegate | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._too_large = False
        self._answered = False
        self._gone = False
        self._task: asyncio.Task[None] | None = None
        self.receiving = False
        self.began = 0.0

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, httputil.RequestStartLine)
        path = start_line.path.partition("?")[0]
        server = self._server
        # A page takes no body: a request that has one is no page's, so that the limits of calls hold for it.
        has_body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
        if path in server.pages and not has_body:
            self._other = server.application.start_request(self._server_conn, self._conn)
            return self._other.headers_received(start_line, headers)
        self._method = start_line.method
        self._path = path
        self._headers = headers
        self.began = asyncio.get_running_loop().time()
        self.receiving = True
        server.exchanges.add(self)
        # Cut before it is a number: Python refuses to read one of thousands of digits.
        length = headers.get("Content-Length", "0").lstrip("0")[:18]
        if length.isdecimal() and int(length) > server.settings.max_message_bytes:
            self._too_large = True
            if "Expect" in headers or int(length) > server.settings.max_message_bytes * DISCARD_FACTOR:
                self._refuse(self._oversized())
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._other is not None:
            return self._other.data_received(chunk)
        self._size += len(chunk)
        if self._size > self._server.settings.max_message_bytes:
            self._too_large = True
            self._chunks.clear()
        if not self._too_large:
            self._chunks.append(chunk)
        return None

    def finish(self) -> None:
        if self._other is not None:
            self._other.finish()
            return
        self.receiving = False
        if self._answered:
            return
        self._conn.set_close_callback(self._client_left)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def on_connection_close(self) -> None:
        if self._other is not None:
            self._other.on_connection_close()
            return
        self._client_left()

    def abort(self) -> None:
        """Closes the connection without an answer."""
        self._server.exchanges.discard(self)
        self._conn.close()

    def cancel(self) -> None:
        """Ends the call with `unavailable`."""
        if self._task is not None:
            self._task.cancel()
        elif self.receiving:
            self._refuse(RpcError(Code.UNAVAILABLE, "the server is going away"))

    def _client_left(self) -> None:
        self._gone = True
        self.receiving = False
        self._server.exchanges.discard(self)
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        try:
            codec, payload, timeout_ms, caller, call_id = self._request()
            body = await self._server.dispatcher.call(
                self._path[1:], codec, payload, caller, timeout_ms=timeout_ms, call_id=call_id
            )
            self._respond(_OK, f"application/{codec.name}", body, {})
        except _Refused as refused:
            self._refuse(refused.error, refused.status, refused.headers)
        except RpcError as error:
            self._refuse(error)
        except asyncio.CancelledError:
            if not self._gone:
                self._refuse(RpcError(Code.UNAVAILABLE, "the server is going away"))
        except Exception as failure:  # noqa: BLE001 - whatever went wrong, the client gets an answer
            error_id = secrets.token_hex(6)
            structlog.get_logger().error("exchange failed", error_id=error_id, exc_info=failure)
            self._refuse(RpcError(Code.INTERNAL, f"internal error {error_id}"))

    def _request(self) -> tuple[Codec, bytes, int, Caller, str]:
        headers = self._headers
        if self._method != "POST":
            if self._method == "OPTIONS" and "Access-Control-Request-Method" in headers:
                raise self._preflight()
            if self._server.dispatcher.serves(self._path[1:]):
                raise _Refused(405, RpcError(Code.UNIMPLEMENTED, "calls are made with POST"), {"Allow": "POST"})
        if not self._server.dispatcher.serves(self._path[1:]):
            raise _Refused(404, RpcError(Code.UNIMPLEMENTED, "this server has no such method"))
        if self._too_large:
            raise self._oversized()
        codec = _CODECS.get(headers.get("Content-Type", "").partition(";")[0].strip().lower())
        if codec is None:
            accepted = ", ".join(_CODECS)
            raise _Refused(
                415, RpcError(Code.UNKNOWN, f"the content type must be one of {accepted}"), {"Accept-Post": accepted}
            )
        version = headers.get("Connect-Protocol-Version")
        if version is not None and version != "1":
            raise RpcError(Code.INVALID_ARGUMENT, "Connect-Protocol-Version must be 1")
        timeout = headers.get("Connect-Timeout-Ms")
        if timeout is not None and (_TIMEOUT.fullmatch(timeout) is None or int(timeout) == 0):
            raise RpcError(Code.INVALID_ARGUMENT, "Connect-Timeout-Ms must be a positive integer of at most 10 digits")
        device = self._name("Sun-Device")
        call_id = self._name("Sun-Call-Id") or self._server.next_call_id()
        caller = Caller("http", self._address(), device, self._token())
        return codec, self._payload(), int(timeout or 0), caller, call_id

    def _payload(self) -> bytes:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        encoding = self._headers.get("Content-Encoding", "identity").lower()
        if encoding == "identity" or (encoding == "gzip" and not body):
            return body
        if encoding != "gzip":
            raise _Refused(
                Code.UNIMPLEMENTED.http_status,
                RpcError(Code.UNIMPLEMENTED, "Content-Encoding must be one of gzip, identity"),
                {"Accept-Encoding": "gzip"},
            )
        limit = self._server.settings.max_message_bytes
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            inflated = inflater.decompress(body, limit + 1)
        except zlib.error as error:
            raise RpcError(Code.INVALID_ARGUMENT, "the body is no gzip") from error
        if len(inflated) > limit:
            raise self._oversized()
        if not inflater.eof or inflater.unused_data:
            raise RpcError(Code.INVALID_ARGUMENT, "the body is no single gzip member")
        return inflated

    def _oversized(self) -> RpcError:
        limit = self._server.settings.max_message_bytes
        return RpcError(Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes")

    def _name(self, header: str) -> str:
        value = self._headers.get(header, "")
        if len(value) > MAX_NAME_CHARS or not value.isprintable():
            raise RpcError(Code.INVALID_ARGUMENT, f"{header} must have at most {MAX_NAME_CHARS} printable characters")
        return value

    def _token(self) -> str:
        """The bearer token; another scheme is a token that nobody has."""
        value = self._headers.get("Authorization")
        if value is None:
            return ""
        scheme, _, token = value.partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else value

    def _address(self) -> str:
        trusted = self._server.settings.trusted_proxies
        address: str = self._conn.context.remote_ip
        return client_address(address, self._headers.get("X-Forwarded-For", ""), trusted) if trusted else address

    def _preflight(self) -> _Refused:
        # Not an error, but like one it ends the request before a handler; the status has no body.
        allowed = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": "7200",
        }
        return _Refused(204, RpcError(Code.UNKNOWN, ""), allowed)

    def _refuse(self, error: RpcError, status: int = 0, headers: dict[str, str] | None = None) -> None:
        status = status or error.code.http_status
        more = dict(headers or {})
        if status == 401:
            more["WWW-Authenticate"] = "Bearer"
        reason = responses.get(status, "Client Closed Request")
        body = b"" if status == 204 else error_to_json(error)
        self._respond(httputil.ResponseStartLine("HTTP/1.1", status, reason), "application/json", body, more)

    def _respond(
        self, start_line: httputil.ResponseStartLine, content_type: str, body: bytes, more: dict[str, str]
    ) -> None:
        if self._answered or self._gone:
            return
        self._answered = True
        headers = httputil.HTTPHeaders()
        if start_line.code != 204:
            headers["Content-Type"] = content_type
            if len(body) >= self._server.settings.gzip_min_bytes and self._accepts_gzip():
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
        origin = self._headers.get("Origin")
        if origin is not None and origin_allowed(
            origin, self._headers.get("Host", ""), self._server.settings.allowed_origins
        ):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Vary"] = "Origin"
        else:
            more = {name: value for name, value in more.items() if not name.startswith("Access-Control-")}
        for name, value in more.items():
            headers[name] = value
        if self._server.draining:
            headers["Connection"] = "close"
        chunk = b"" if self._method == "HEAD" else body
        written = cast("asyncio.Future[None]", self._conn.write_headers(start_line, headers, chunk))
        self._conn.finish()
        if written.done():
            self._written(written)
        else:
            written.add_done_callback(self._written)

    def _written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled():
            written.exception()
        self._server.exchanges.discard(self)

    def _accepts_gzip(self) -> bool:
        # Without Accept-Encoding the protocol has the client accept what it sent.
        accepted = self._headers.get("Accept-Encoding", self._headers.get("Content-Encoding", ""))
        for entry in accepted.split(","):
            coding, _, quality = entry.partition(";")
            if coding.strip().lower() == "gzip":
                return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        return False


def origin_allowed(origin: str, host: str, allowed: Container[str]) -> bool:
    """Whether scripts of this origin may call; those of the gateway's own `host`, as the request names it, may."""
    return origin in allowed or "*" in allowed or origin.partition("://")[2].lower() == host.lower()


def client_address(peer: str, forwarded_for: str, trusted: Container[str]) -> str:
    """The address of the client behind trusted proxies: the last in X-Forwarded-For that isn't a proxy of ours.

    `peer` is the address of the socket; the header counts only when that is trusted, and only as far as it holds
    addresses.
    """
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        if address not in trusted:
            return address
        candidate = hop.strip()
        if not netutil.is_valid_ip(candidate):
            return address
        address = candidate
    return address
