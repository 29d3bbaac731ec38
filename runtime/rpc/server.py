"""The gateway's life: bind, serve HTTP and the WebSocket on one port, drain, close."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from runtime.push.hub import PushHub
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.connect_http import DISCARD_FACTOR, MAX_HEAD_BYTES, ConnectServer
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.explorer import explorer_pages
from runtime.rpc.listening import Address, Server, address_of, listen
from runtime.rpc.pages import Check, Health, MetricsPage, Readiness
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.websocket import Connections, Socket

_OTHER_CONNECTIONS = 1_000
"""Connections besides sockets: calls over HTTP, probes, metrics."""

_KEPT_DESCRIPTORS = 64
"""For the database, the log and what else a process opens."""

_POLL_S = 0.01
_CLOSE_HANDSHAKE_S = 1.0

_Pages = dict[str, tuple[type[RequestHandler], dict[str, object]]]

_log = structlog.get_logger()


def _descriptors() -> int:
    """How many files and sockets this process may have open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if most == resource.RLIM_INFINITY else most


class Gateway:
    """Serves a dispatcher until it is drained. Belongs to one event loop.

    `checks` must pass for /readyz: a name and a coroutine function that raises when the thing isn't well.
    `connections` and the `hub` of pushes are handed in, since handlers share them; without a hub there are no pushes.
    With `tls` the port speaks HTTPS. `render` makes the page at /metrics, by default of this process's own.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: GatewaySettings,
        checks: Mapping[str, Check] | None = None,
        connections: Connections | None = None,
        hub: PushHub | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        render: Callable[[], Awaitable[bytes]] | None = None,
    ) -> None:
        self._settings = settings
        self._connections = Connections() if connections is None else connections
        self._draining = False
        self._hurried = False
        self._sweeper: asyncio.Task[None] | None = None
        sockets: dict[str, object] = {
            "dispatcher": dispatcher,
            "settings": settings,
            "connections": self._connections,
            "hub": hub,
        }
        probes: _Pages = {
            "/healthz": (Health, {}),
            "/readyz": (Readiness, {"checks": checks or {}, "draining": lambda: self._draining}),
        }
        metrics: _Pages = {"/metrics": (MetricsPage, {"metrics": dispatcher.metrics, "render": render})}
        pages: _Pages = {
            "/healthz": probes["/healthz"],
            "/ws": (Socket, sockets),
        }
        if settings.explorer:
            pages |= explorer_pages(dispatcher.methods)
        self._admin: HTTPServer | None = None
        if settings.admin_port is None:
            pages |= probes | metrics
        else:
            self._admin = HTTPServer(
                _application(probes | metrics), idle_connection_timeout=settings.http_idle_ms / 1000
            )
        application = _application(pages)
        self._connect = ConnectServer(dispatcher, settings, application, frozenset(pages))
        self._http = Server(
            self._connect,
            idle_connection_timeout=settings.http_idle_ms / 1000,
            max_header_size=MAX_HEAD_BYTES,
            max_body_size=settings.max_message_bytes * DISCARD_FACTOR,
            ssl_options=tls,
        )
        self._http.most = min(settings.max_connections + _OTHER_CONNECTIONS, _descriptors() - _KEPT_DESCRIPTORS)
        self._http.upgraded = lambda: self._connections.count
        self._http.application = application
        self._http.probes = frozenset(probes) & frozenset(pages)

    @property
    def connections(self) -> Connections:
        return self._connections

    @property
    def most_connections(self) -> int:
        """Those above it are answered 503."""
        return self._http.most

    async def start(
        self, sockets: Sequence[socket.socket] = (), admin_sockets: Sequence[socket.socket] = ()
    ) -> Address:
        """Begins to serve on sockets that listen already, or binds its own. Raises OSError where it can't be bound."""
        settings = self._settings
        listening = sockets or listen(settings.host, settings.port)
        self._http.add_sockets(listening)
        if self._admin is not None and settings.admin_port is not None:
            admin_listening = admin_sockets or listen(settings.admin_host, settings.admin_port)
            self._admin.add_sockets(admin_listening)
            _log.info("admin pages", url=address_of(admin_listening).url)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        return address_of(listening, "http" if self._http.ssl_options is None else "https")

    def use_tls(self, context: ssl.SSLContext) -> None:
        """From now on new connections get this certificate; those that are open keep theirs."""
        self._http.ssl_options = context

    async def drain(self, *, replaced: bool = False) -> None:
        """Stops without failing calls: isn't ready, refuses new connections, says goodbye, waits for the calls, closes.

        Calls that are not done after `drain_timeout_ms` end with `unavailable`, streams in their own way. A gateway
        that was `replaced` by another process on the same sockets leaves them to it at once, also those of the admin
        pages, where it would say that the server is not ready. A second drain returns at once.
        """
        if self._draining:
            return
        self._draining = True
        clock = asyncio.get_running_loop().time
        if replaced and self._admin is not None:
            self._admin.stop()
        elif not replaced:
            await self._pause(self._settings.drain_delay_ms)
        self._connect.draining = True
        end = clock() + self._settings.drain_timeout_ms / 1000
        _log.info("draining", calls=self._busy(), connections=self._connections.count)
        if not replaced:
            self._http.take_waiting()
        self._http.stop()
        self._connections.say_goodbye("the server is going away")
        await self._pause(min(self._settings.drain_grace_ms, self._settings.drain_timeout_ms))
        await _until(lambda: self._hurried or not self._busy(), end)
        self._connect.cancel_calls()
        self._connections.cancel_calls()
        self._connections.close_all(CloseCode.GOING_AWAY, "the server is going away")
        await _until(lambda: not self._connect.exchanges and not self._connections.count, clock() + _CLOSE_HANDSHAKE_S)
        self._connections.abort_all()
        await self._http.close_all_connections()
        if self._admin is not None:
            self._admin.stop()
            await self._admin.close_all_connections()
        if self._sweeper is not None:
            self._sweeper.cancel()
        _log.info("drained")

    def hurry(self) -> None:
        """A drain under way, or to come, waits for nothing any more: calls end with `unavailable`."""
        self._hurried = True

    def _busy(self) -> int:
        # A request whose body is still on its way is no call yet, and its sender may never finish it.
        return sum(not each.receiving for each in self._connect.exchanges) + self._connections.calls

    async def _pause(self, ms: int) -> None:
        await asyncio.sleep(0)  # what was on its way before the drain began comes first, be it only by a turn
        await _until(lambda: self._hurried, asyncio.get_running_loop().time() + ms / 1000)

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


def _application(pages: _Pages) -> Application:
    return Application(
        [(path, handler, arguments) for path, (handler, arguments) in pages.items()], log_function=_quiet
    )


def _quiet(handler: RequestHandler) -> None:
    """Probes and scrapes are not worth a log line."""
