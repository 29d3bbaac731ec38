"""The HTTP server's listening sockets, and what a connection meets that is one too many."""

from __future__ import annotations

import socket
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple, cast

from tornado import httputil
from tornado.http1connection import HTTP1ConnectionParameters
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application

from runtime.rpc.connect import error_to_json
from runtime.rpc.overload import overloaded

_BACKLOG = 4_096
"""Connections that the system keeps until they are taken; it cuts this to its own limit (somaxconn)."""

_AT_ONCE = 32
"""Connections that are taken in one turn of the loop: few, so that processes that share a socket share them evenly, and
enough that a probe does not wait for many turns, which are long when there is much to do."""

_SPARE = 64
"""Connections above the limit that are told so; those above these are closed without a word."""

_SPARE_TIMEOUT_S = 2.0
_SPARE_BODY_BYTES = 1 << 20

_UNAVAILABLE = httputil.ResponseStartLine("HTTP/1.1", 503, "Service Unavailable")


class Address(NamedTuple):
    """Where a server listens; `port` is the real one when 0 was asked for."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, of one port, for every address of the host. Raises OSError."""
    return bind_sockets(port, host, backlog=_BACKLOG)


def address_of(sockets: Sequence[socket.socket], scheme: str = "http") -> Address:
    host, port = sockets[0].getsockname()[:2]
    return Address(host, port, scheme)


class Server(HTTPServer):
    """Takes connections a few at a time, and answers 503 on those above `most`, but for probes.

    `upgraded` counts those that speak HTTP no more and are still open; `probes` are paths of `application`.
    """

    most = 0
    upgraded: Callable[[], int]
    application: Application
    probes: Container[str] = ()

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        cast(Any, super()).initialize(*args, **kwargs)
        self._usual: HTTP1ConnectionParameters = self.conn_params
        self._crowded = HTTP1ConnectionParameters(
            no_keep_alive=True,
            header_timeout=_SPARE_TIMEOUT_S,
            body_timeout=_SPARE_TIMEOUT_S,
            max_header_size=self._usual.max_header_size,
            max_body_size=_SPARE_BODY_BYTES,
        )

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        server = cast(Any, self)
        for each in sockets:
            server._sockets[each.fileno()] = each
            server._handlers[each.fileno()] = self._accept_from(each)

    def take_waiting(self) -> None:
        """Takes every connection that the system has ready: those would be reset when the socket is closed."""
        for each in [*cast("dict[int, socket.socket]", cast(Any, self)._sockets).values()]:
            while self._accept(each):
                pass

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        above = len(self._connections) + self.upgraded() - self.most
        if above >= _SPARE:
            stream.close()
            return
        self.conn_params = self._usual if above < 0 else self._crowded
        cast(Any, super()).handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> httputil.HTTPMessageDelegate:
        if cast(Any, server_conn).params is not self._crowded:
            return super().start_request(server_conn, request_conn)
        return _Crowded(self, server_conn, request_conn)

    def _accept_from(self, listening: socket.socket) -> Callable[[], None]:
        def accept(ready: socket.socket, events: int) -> None:
            for _ in range(_AT_ONCE):
                if not self._accept(ready):
                    return

        loop = IOLoop.current()
        loop.add_handler(listening, accept, IOLoop.READ)
        return lambda: loop.remove_handler(listening)

    def _accept(self, listening: socket.socket) -> bool:
        """Whether there was one."""
        try:
            connection, address = listening.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        cast(Any, self)._handle_connection(connection, address)
        return True


class _Crowded(httputil.HTTPMessageDelegate):
    """A request on a connection above the limit. Read to its end, so that its sender sees the answer."""

    def __init__(self, server: Server, server_conn: object, request_conn: httputil.HTTPConnection) -> None:
        self._server = server
        self._server_conn = server_conn
        self._conn = request_conn
        self._probe: httputil.HTTPMessageDelegate | None = None

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Any:
        assert isinstance(start_line, httputil.RequestStartLine)
        if start_line.path.partition("?")[0] not in self._server.probes:
            return None
        self._probe = self._server.application.start_request(self._server_conn, self._conn)
        return self._probe.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        return None if self._probe is None else self._probe.data_received(chunk)

    def finish(self) -> None:
        if self._probe is not None:
            self._probe.finish()
            return
        error = overloaded()
        body = error_to_json(error)
        headers = httputil.HTTPHeaders(
            {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Retry-After": str(-(-error.detail.retry_after_ms // 1000)),
            }
        )
        self._conn.write_headers(_UNAVAILABLE, headers, body)
        self._conn.finish()

    def on_connection_close(self) -> None:
        if self._probe is not None:
            self._probe.on_connection_close()
