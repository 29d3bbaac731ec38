"""The gateway's life: bind, serve HTTP and the WebSocket on one port, drain, close."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import structlog
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from runtime.push.hub import PushHub
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.connect_http import DISCARD_FACTOR, MAX_HEAD_BYTES, ConnectServer
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.explorer import explorer_pages
from runtime.rpc.pages import Check, Health, MetricsPage, Readiness
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.websocket import Connections, Socket

_OTHER_CONNECTIONS = 1_000
"""Connections besides sockets: calls over HTTP, probes, metrics."""

_BACKLOG = 4_096
"""Connections that the system accepts ahead of us. When all clients come back at once, each one more waits a second to
try again."""

_KEPT_DESCRIPTORS = 64
"""For the database, the log and what else a process opens."""

_POLL_S = 0.01
_CLOSE_HANDSHAKE_S = 1.0

_log = structlog.get_logger()


class Address(NamedTuple):
    """Where the gateway listens; `port` is the real one when 0 was asked for."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Server(HTTPServer):
    """Closes a connection at once that is one too many: a process without file descriptors can do nothing at all."""

    most = 0

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if len(self._connections) >= self.most:
            stream.close()
            return
        cast("Any", super()).handle_stream(stream, address)


def _descriptors() -> int:
    """How many files and sockets this process may have open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if most == resource.RLIM_INFINITY else most


class Gateway:
    """Serves a dispatcher until it is drained. Belongs to one event loop.

    `checks` must pass for /readyz: a name and a coroutine function that raises when the thing isn't well.
    `connections` and the `hub` of pushes are handed in, since handlers share them; without a hub there are no pushes.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: GatewaySettings,
        checks: Mapping[str, Check] | None = None,
        connections: Connections | None = None,
        hub: PushHub | None = None,
    ) -> None:
        self._settings = settings
        self._connections = Connections() if connections is None else connections
        self._draining = False
        self._sweeper: asyncio.Task[None] | None = None
        sockets: dict[str, object] = {
            "dispatcher": dispatcher,
            "settings": settings,
            "connections": self._connections,
            "hub": hub,
        }
        pages: dict[str, tuple[type[RequestHandler], dict[str, object]]] = {
            "/healthz": (Health, {}),
            "/readyz": (Readiness, {"checks": checks or {}, "draining": lambda: self._draining}),
            "/metrics": (MetricsPage, {"metrics": dispatcher.metrics}),
            "/ws": (Socket, sockets),
        }
        if settings.explorer:
            pages |= explorer_pages(dispatcher.methods)
        application = Application(
            [(path, handler, arguments) for path, (handler, arguments) in pages.items()],
            log_function=_quiet,
        )
        self._connect = ConnectServer(dispatcher, settings, application, frozenset(pages))
        self._http = _Server(
            self._connect,
            idle_connection_timeout=settings.http_idle_ms / 1000,
            max_header_size=MAX_HEAD_BYTES,
            max_body_size=settings.max_message_bytes * DISCARD_FACTOR,
        )

    @property
    def connections(self) -> Connections:
        return self._connections

    async def start(self) -> Address:
        """Binds and begins to serve. Raises OSError when the address can't be bound."""
        settings = self._settings
        self._http.most = min(settings.max_connections + _OTHER_CONNECTIONS, _descriptors() - _KEPT_DESCRIPTORS)
        sockets = bind_sockets(settings.port, settings.host, backlog=_BACKLOG, reuse_port=settings.reuse_port)
        self._http.add_sockets(sockets)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        host, port = sockets[0].getsockname()[:2]
        return Address(host, port)

    async def drain(self) -> None:
        """Stops without failing calls: refuses new connections, says goodbye, waits for the calls in flight, closes.

        Calls that are not done after `drain_timeout_ms` end with `unavailable`. A second drain returns at once.
        """
        if self._draining:
            return
        self._draining = True
        self._connect.draining = True
        clock = asyncio.get_running_loop().time
        end = clock() + self._settings.drain_timeout_ms / 1000
        _log.info("draining", calls=self._busy(), connections=self._connections.count)
        self._http.stop()
        self._connections.say_goodbye("the server is going away")
        await asyncio.sleep(min(self._settings.drain_grace_ms, self._settings.drain_timeout_ms) / 1000)
        await _until(lambda: not self._busy(), end)
        self._connect.cancel_calls()
        self._connections.cancel_calls()
        self._connections.close_all(CloseCode.GOING_AWAY, "the server is going away")
        await _until(lambda: not self._connect.exchanges and not self._connections.count, clock() + _CLOSE_HANDSHAKE_S)
        self._connections.abort_all()
        await self._http.close_all_connections()
        if self._sweeper is not None:
            self._sweeper.cancel()
        _log.info("drained")

    def _busy(self) -> int:
        # A request whose body is still on its way is no call yet, and its sender may never finish it.
        return sum(not each.receiving for each in self._connect.exchanges) + self._connections.calls

    async def _sweep(self) -> None:
        settings = self._settings
        limits = [settings.ping_interval_ms, settings.ping_timeout_ms, settings.body_timeout_ms]
        limits.append(settings.unread_timeout_ms)
        if settings.socket_idle_ms:
            limits.append(settings.socket_idle_ms)
        period_s = max(min(limits) / 4000, 0.01)
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(period_s)
            self._connections.sweep(clock())
            self._connect.sweep(clock())


async def _until(condition: Callable[[], bool], end: float) -> None:
    """Waits for the condition, at most until `end` (event loop's clock)."""
    clock = asyncio.get_running_loop().time
    # Polled: it happens once in a process's life, and an event would be set and cleared with every call.
    while not condition() and clock() < end:  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)


def _quiet(handler: RequestHandler) -> None:
    """Probes and scrapes are not worth a log line."""
