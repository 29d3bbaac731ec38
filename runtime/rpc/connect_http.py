"""The Connect protocol on tornado's HTTP connections, beneath tornado.web: one exchange is one call.

What a request asks for is read in connect_request.py. Everything that is no call (pages, the WebSocket) goes to a
tornado.web.Application.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Container, Iterable
from http.client import responses
from typing import Any, cast

import structlog
from tornado import httputil
from tornado.iostream import StreamClosedError
from tornado.web import Application

from runtime.rpc import connect_request, cors
from runtime.rpc.codecs import PROTO
from runtime.rpc.compression import GZIP, deflate, prefers_gzip
from runtime.rpc.connect import end_stream_to_json, error_to_json
from runtime.rpc.connect_request import Refused
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.envelopes import COMPRESSED, END_STREAM, envelope
from runtime.rpc.errors import Code, RpcError, retry_after_ms
from runtime.rpc.metadata import CallMetadata
from runtime.rpc.proxies import client_address
from runtime.rpc.service import Method
from runtime.rpc.settings import KIB, GatewaySettings
from runtime.rpc.wire import MAX_NAME_CHARS

DISCARD_FACTOR = 16
"""A body over the limit is read to its end and thrown away up to this many times the limit, so that its sender sees the
answer; closing a socket with unread input would reset it."""

MAX_URL_CHARS = 64 * KIB
"""A longer URL, which can only be a call by GET, is answered 414."""

MAX_HEAD_BYTES = 2 * MAX_URL_CHARS
"""A longer head of a request closes its connection without an answer."""

_OK = httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
_GOING_AWAY = RpcError(Code.UNAVAILABLE, "the server is going away")


class ConnectServer(httputil.HTTPServerConnectionDelegate):
    """Hands requests for `pages` to `application`, and all others to the dispatcher."""

    def __init__(
        self, dispatcher: Dispatcher, settings: GatewaySettings, application: Application, pages: Container[str]
    ) -> None:
        self.dispatcher = dispatcher
        self.settings = settings
        self.application = application
        self.pages = pages
        limit = settings.max_message_bytes
        # The limit is the message's: gzip makes what can't be compressed a little larger, and an envelope has a prefix.
        self.max_body_bytes = limit + limit // 1024 + 64
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
        """Closes connections whose request body is late, or whose answer nobody reads. `now` is on the loop's clock."""
        body_limit_s = self.settings.body_timeout_ms / 1000
        unread_limit_s = self.settings.unread_timeout_ms / 1000
        for exchange in [*self.exchanges]:
            since = exchange.unread_since
            late = exchange.receiving and now - exchange.began > body_limit_s
            if late or (since is not None and now - since > unread_limit_s):
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
        self._compression = "identity"
        self._codec = PROTO
        self._stream_gzip = False
        self._answered = False
        self._gone = False
        self._runs_on = False
        self._last_write: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._arrived = 0.0
        self.receiving = False
        self.began = 0.0
        self.unread_since: float | None = None
        """When something was written that the client has not taken yet (event loop's clock, seconds)."""

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, httputil.RequestStartLine)
        path, _, query = start_line.path.partition("?")
        server = self._server
        # A page takes no body: a request that has one is no page's, so that the limits of calls hold for it.
        has_body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
        if path in server.pages and not has_body:
            self._other = server.application.start_request(self._server_conn, self._conn)
            return self._other.headers_received(start_line, headers)
        self._start_line = start_line
        self._path = path[1:]
        self._query = query
        self._headers = headers
        self._metadata = CallMetadata(headers.get_all())
        self.began = asyncio.get_running_loop().time()
        self.receiving = True
        server.exchanges.add(self)
        # Cut before it is a number: Python refuses to read one of thousands of digits.
        length = headers.get("Content-Length", "0").lstrip("0")[:18]
        if length.isdecimal() and int(length) > server.max_body_bytes:
            self._too_large = True
            if "Expect" in headers or int(length) > server.settings.max_message_bytes * DISCARD_FACTOR:
                self._fail(self._oversized())
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._other is not None:
            return self._other.data_received(chunk)
        self._size += len(chunk)
        if self._size > self._server.max_body_bytes:
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
        self._arrived = time.perf_counter()
        self._conn.set_close_callback(self._client_left)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def on_connection_close(self) -> None:
        if self._other is not None:
            self._other.on_connection_close()
            return
        self._client_left()

    def abort(self) -> None:
        """Closes the connection without an answer, or within one."""
        self._client_left()
        self._conn.close()

    def cancel(self) -> None:
        """Ends the call with `unavailable`."""
        if self._task is not None:
            self._task.cancel()
        elif self.receiving:
            self._fail(_GOING_AWAY)

    def _client_left(self) -> None:
        self._gone = True
        self.receiving = False
        if self._runs_on and self._task is not None:
            # Its result can be had by asking again with the same key.
            self._task.add_done_callback(lambda _: self._server.exchanges.discard(self))
            return
        self._server.exchanges.discard(self)
        if self._task is not None:
            self._task.cancel()

    def _received(self) -> None:
        """The call has a key that is noted: it runs to its end, whoever waits for it."""
        self._runs_on = True

    # What was asked.

    async def _serve(self) -> None:
        try:
            if cors.is_preflight(self._start_line.method, self._headers):
                self._preflight()
                return
            method = self._route()
            if self._too_large:
                raise self._oversized()
            if method.server_streaming:
                await self._serve_stream()
            else:
                await self._serve_unary()
        except Refused as refused:
            self._refuse(refused.error, refused.status, refused.headers)
        except RpcError as error:
            self._fail(error)
        except asyncio.CancelledError:
            self._fail(_GOING_AWAY)
        except Exception as failure:  # noqa: BLE001 - whatever went wrong, the client gets an answer
            error_id = secrets.token_hex(6)
            structlog.get_logger().error("exchange failed", error_id=error_id, exc_info=failure)
            self._fail(RpcError(Code.INTERNAL, f"internal error {error_id}"))

    def _route(self) -> Method[Any, Any]:
        if len(self._start_line.path) > MAX_URL_CHARS:
            raise Refused(414, RpcError(Code.RESOURCE_EXHAUSTED, f"the URL is longer than {MAX_URL_CHARS} characters"))
        method = self._server.dispatcher.method(self._path)
        if method is None:
            raise Refused(404, RpcError(Code.UNIMPLEMENTED, "this server has no such method"))
        allowed = connect_request.allowed_verbs(method)
        if self._start_line.method not in allowed.split(", "):
            raise Refused(
                405, RpcError(Code.UNKNOWN, f"calls of this method are made with {allowed}"), {"Allow": allowed}
            )
        return method

    async def _serve_unary(self) -> None:
        limit = self._server.settings.max_message_bytes
        if self._start_line.method == "GET":
            incoming = connect_request.read_get(self._query, limit)
        else:
            incoming = connect_request.read_post(self._headers, self._body(), limit)
        self._compression = incoming.compression
        timeout_ms, caller, call_id = self._circumstances()
        answer = await self._server.dispatcher.call(
            self._path,
            incoming.codec,
            incoming.payload,
            caller,
            timeout_ms,
            call_id,
            self._metadata,
            self._arrived,
            self._key(),
            self._received,
        )
        self._respond(_OK, f"application/{incoming.codec.name}", answer, self._metadata_headers())

    async def _serve_stream(self) -> None:
        if self._start_line.version == "HTTP/1.0":
            raise Refused(505, RpcError(Code.UNKNOWN, "streams need HTTP/1.1"))
        incoming = connect_request.read_stream(self._headers, self._body(), self._server.settings.max_message_bytes)
        self._codec = incoming.codec
        self._compression = incoming.compression
        self._stream_gzip = self._accepts_gzip("Connect-Accept-Encoding")
        timeout_ms, caller, call_id = self._circumstances()
        await self._server.dispatcher.stream(
            self._path,
            incoming.codec,
            incoming.payload,
            caller,
            self._send,
            timeout_ms,
            call_id,
            self._metadata,
            self._arrived,
        )
        self._end_stream(None)

    def _circumstances(self) -> tuple[int, Caller, str]:
        """The time limit in ms, the caller, and the call's id."""
        timeout_ms = connect_request.timeout_ms(self._headers)
        device = self._name("Sun-Device")
        call_id = self._name("Sun-Call-Id") or self._server.next_call_id()
        client = self._headers.get("User-Agent", "")
        return timeout_ms, Caller("http", self._address(), device, self._token(), client), call_id

    def _key(self) -> str:
        """The key that makes the call safe to repeat; a structured header writes it in quotes."""
        value = self._headers.get("Idempotency-Key", "")
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        return value[1:-1] if quoted else value

    def _body(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _oversized(self) -> RpcError:
        return connect_request.oversized(self._server.settings.max_message_bytes)

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
        settings = self._server.settings
        peer: str = self._conn.context.remote_ip
        if not settings.trusted_proxies:
            return peer
        return client_address(peer, self._headers, settings.trusted_proxies, settings.forwarded_header)

    # What is answered.

    def _preflight(self) -> None:
        start_line = httputil.ResponseStartLine("HTTP/1.1", 204, "No Content")
        headers = cors.preflight_headers(self._headers, self._server.settings.allowed_origins)
        self._finish(self._write(b"", start_line, httputil.HTTPHeaders(headers)))

    def _fail(self, error: RpcError) -> None:
        """Ends the call with an error, in the way of its kind."""
        method = self._server.dispatcher.method(self._path)
        codec = connect_request.STREAMING.get(connect_request.content_type(self._headers))
        if method is not None and method.server_streaming and codec is not None:
            self._codec = codec
            self._end_stream(error)
        else:
            self._refuse(error)

    def _refuse(self, error: RpcError, status: int = 0, more: dict[str, str] | None = None) -> None:
        status = status or error.code.http_status
        headers = [*self._metadata_headers(), *(more or {}).items()]
        if status == 401:
            headers.append(("WWW-Authenticate", "Bearer"))
        if wait_ms := retry_after_ms(error):
            headers.append(("Retry-After", str(-(-wait_ms // 1000))))
        reason = responses.get(status, "Client Closed Request")
        start_line = httputil.ResponseStartLine("HTTP/1.1", status, reason)
        self._respond(start_line, "application/json", error_to_json(error), headers)

    def _respond(
        self,
        start_line: httputil.ResponseStartLine,
        content_type: str,
        body: bytes,
        more: Iterable[tuple[str, str]],
    ) -> None:
        """The whole answer of a unary call."""
        if self._answered or self._gone:
            return
        headers = httputil.HTTPHeaders()
        headers["Content-Type"] = content_type
        if len(body) >= self._server.settings.gzip_min_bytes and self._accepts_gzip("Accept-Encoding"):
            body = deflate(body)
            headers["Content-Encoding"] = GZIP
        headers["Content-Length"] = str(len(body))
        self._add(headers, more)
        self._finish(self._write(b"" if self._start_line.method == "HEAD" else body, start_line, headers))

    async def _send(self, message: bytes) -> None:
        """One message of a stream. Waits until the client's side has taken it."""
        written = self._write_stream(0, message)
        if written.done():
            # A handler that never waits for anything must not hold up all others.
            await asyncio.sleep(0)
        try:
            await written
        except StreamClosedError as error:
            raise RpcError(Code.CANCELED, "the client has left") from error

    def _end_stream(self, error: RpcError | None) -> None:
        """The end of a stream, which is also how one that never began says why."""
        if self._answered or self._gone:
            return
        self._finish(self._write_stream(END_STREAM, end_stream_to_json(error, self._metadata.sent_trailers)))

    def _write_stream(self, flags: int, message: bytes) -> asyncio.Future[None]:
        if self._stream_gzip and len(message) >= self._server.settings.gzip_min_bytes:
            flags, message = flags | COMPRESSED, deflate(message)
        chunk = envelope(flags, message)
        if self._last_write is not None:
            return self._write(chunk)
        headers = httputil.HTTPHeaders()
        headers["Content-Type"] = f"application/connect+{self._codec.name}"
        if self._stream_gzip:
            headers["Connect-Content-Encoding"] = GZIP
        self._add(headers, self._metadata.sent_headers)
        return self._write(chunk, _OK, headers)

    def _add(self, headers: httputil.HTTPHeaders, more: Iterable[tuple[str, str]]) -> None:
        """The headers of every answer, and these, of which there may be several of one name."""
        exposed: list[str] = []
        for name, value in more:
            headers.add(name, value)
            exposed.append(name)
        allowed = self._server.settings.allowed_origins
        for name, value in cors.answer_headers(self._headers, allowed, exposed).items():
            headers[name] = value
        if self._start_line.method == "GET":
            headers["Vary"] = "Accept-Encoding, Origin"
        if self._server.draining:
            headers["Connection"] = "close"

    def _metadata_headers(self) -> list[tuple[str, str]]:
        """The handler's metadata as a unary answer carries them: trailers too go before the body, by another name."""
        trailers = ((f"trailer-{name}", value) for name, value in self._metadata.sent_trailers)
        return [*self._metadata.sent_headers, *trailers]

    def _accepts_gzip(self, header: str) -> bool:
        # Without a word of what it accepts, the protocol has the client accept what it sent.
        return prefers_gzip(self._headers.get(header, self._compression))

    def _write(
        self,
        data: bytes,
        start_line: httputil.ResponseStartLine | None = None,
        headers: httputil.HTTPHeaders | None = None,
    ) -> asyncio.Future[None]:
        """The head of an answer with what follows it, or more of a stream. Done when the system has taken it."""
        if start_line is None:
            written = self._conn.write(data)
        else:
            written = self._conn.write_headers(start_line, headers, data)
        self._last_write = cast("asyncio.Future[None]", written)
        if not self._last_write.done():
            self.unread_since = asyncio.get_running_loop().time()
            self._last_write.add_done_callback(self._taken)
        return self._last_write

    def _finish(self, written: asyncio.Future[None]) -> None:
        self._answered = True
        self._conn.finish()
        if written.done():
            self._taken(written)

    def _taken(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled():
            written.exception()
        if written is self._last_write:
            self.unread_since = None
            if self._answered:
                self._server.exchanges.discard(self)
