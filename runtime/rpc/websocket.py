"""The server's side of the WebSocket at /ws: hello, calls in parallel, cancels, goodbyes, and the limits around them.

The frames themselves are in wire.py, the close codes in close_codes.py.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, cast

import structlog
from tornado.websocket import WebSocketHandler

from runtime.push.hub import Feed, PushHub, Welcomed
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.cors import origin_allowed
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.metadata import CallMetadata
from runtime.rpc.outgoing import Outgoing, Protocol
from runtime.rpc.proxies import client_address
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.wire import (
    FRAME_OVERHEAD_BYTES,
    MAX_NAME_CHARS,
    WIRES,
    BadFrame,
    Call,
    Cancel,
    Goodbye,
    Hello,
    PushAck,
    Received,
    Reply,
    ServerFrame,
    Welcome,
    Wire,
)
from runtime.sql.errors import SqlError

_MAX_HEADERS = 64
_MAX_HEADER_CHARS = 4096
"""How many headers a call may have, and how long their names and values may be together."""

# The task of a socket's call, known to every task that the call starts: a transaction's end, for one, runs in its own.
_call_task: ContextVar[asyncio.Task[Any] | None] = ContextVar("call_task", default=None)

_GOING_AWAY = RpcError(Code.UNAVAILABLE, "the server is going away")


class Connections:
    """The open sockets of this process. Handlers that end sessions are given it; the gateway keeps it up to date."""

    def __init__(self) -> None:
        self._open: set[Socket] = set()
        self._by_session: dict[int, set[Socket]] = {}
        self._detached: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return len(self._open)

    def close_session(self, session_id: int) -> None:
        """Closes the connections of a revoked session at once.

        When the caller is itself a call on such a connection, that connection is closed after its reply was sent.
        """
        for socket in [*self._by_session.get(session_id, ())]:
            socket.end_session()

    @property
    def calls(self) -> int:
        """Calls in flight on all sockets, and those that outlived theirs."""
        return sum(socket.calls for socket in self._open) + len(self._detached)

    def detach(self, task: asyncio.Task[None]) -> None:
        """This call runs to its end without its socket: another attempt will ask for its result."""
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)

    def say_goodbye(self, reason: str) -> None:
        """Tells every client that the server is about to close."""
        for socket in [*self._open]:
            socket.say_goodbye(reason)

    def cancel_calls(self) -> None:
        """Ends every call in flight with `unavailable`."""
        for socket in [*self._open]:
            socket.cancel_calls(_GOING_AWAY)
        for task in [*self._detached]:
            task.cancel()

    def close_all(self, code: CloseCode, reason: str) -> None:
        for socket in [*self._open]:
            socket.end(code, reason)

    def abort_all(self) -> None:
        """Drops the connections of clients that did not answer the close."""
        for socket in [*self._open]:
            socket.abort()

    def sweep(self, now: float) -> None:
        """Pings silent sockets, closes dead and idle ones. `now` is on the event loop's clock."""
        for socket in [*self._open]:
            socket.sweep(now)

    def opened(self, socket: Socket) -> None:
        self._open.add(socket)

    def signed_in(self, socket: Socket, session_id: int) -> None:
        self._by_session.setdefault(session_id, set()).add(socket)

    def closed(self, socket: Socket, session_id: int | None) -> None:
        self._open.discard(socket)
        if session_id is not None:
            sockets = self._by_session.get(session_id, set())
            sockets.discard(socket)
            if not sockets:
                self._by_session.pop(session_id, None)


class Socket(WebSocketHandler):
    """One connection. Its state has one owner, the event loop's thread."""

    def initialize(
        self,
        dispatcher: Dispatcher,
        settings: GatewaySettings,
        connections: Connections,
        hub: PushHub | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._limits = settings
        self._connections = connections
        self._hub = hub
        self._feed: Feed | None = None
        self._wire: Wire | None = None
        self._caller: Caller | None = None
        self._session_id: int | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._keyed: set[str] = set()
        self._given_up: set[asyncio.Task[None]] = set()
        self._hello_timer: asyncio.TimerHandle | None = None
        self.outgoing: Outgoing | None = None
        self._ended = False
        self._end_after: asyncio.Task[None] | None = None
        self._pinged = False
        self._heard_at = 0.0
        self._called_at = 0.0

    @property
    def calls(self) -> int:
        return len(self._calls)

    # What tornado asks while it shakes hands.

    def prepare(self) -> None:
        if self._connections.count >= self._limits.max_connections:
            self.set_status(503)
            self.set_header("Retry-After", "1")
            cast(Any, self).finish("too many connections\n")

    def check_origin(self, origin: str) -> bool:
        return origin_allowed(origin, self.request.headers.get("Host", ""), self._limits.allowed_origins)

    def get_compression_options(self) -> dict[str, Any] | None:
        return {} if self._limits.compress_sockets else None

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return next((name for name in subprotocols if name in WIRES), None)

    def get_websocket_protocol(self) -> Protocol | None:
        made = super().get_websocket_protocol()
        return None if made is None else Protocol(self, False, cast(Any, made).params)

    @property
    def max_message_size(self) -> int:
        return self._limits.max_message_bytes + FRAME_OVERHEAD_BYTES

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        loop = self._loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._heard_at = self._called_at = self._clock()
        self._connections.opened(self)
        self._dispatcher.metrics.connections.inc()
        self.set_nodelay(True)
        name = self.selected_subprotocol
        if name is None:
            self.end(CloseCode.SUBPROTOCOL, f"offer one of {', '.join(WIRES)}")
            return
        self._wire = WIRES[name]
        connection = cast(Protocol, self.ws_connection)
        self.outgoing = Outgoing(connection, self._wire, self._limits.send_buffer_bytes, self.end)
        self._hello_timer = loop.call_later(
            self._limits.hello_timeout_ms / 1000, self.end, CloseCode.HELLO_TIMEOUT, "no hello came in time"
        )

    # What comes in.

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        wire = self._wire
        if self._ended or wire is None:
            return None
        self._heard_at = self._clock()
        self._pinged = False
        try:
            frame = wire.from_client(message)
            if isinstance(frame, Call):
                self._start(frame)
            elif isinstance(frame, Cancel):
                self._cancel(frame.id)
            elif isinstance(frame, PushAck):
                self._acknowledged(frame.counter)
            else:
                return self._hello(wire, frame)
        except BadFrame as error:
            self.end(CloseCode.BAD_FRAME, str(error))
        return None

    def on_pong(self, data: bytes) -> None:
        self._heard_at = self._clock()
        self._pinged = False

    def on_close(self) -> None:
        self._ended = True
        self._stop()
        # They know of this one: without a cycle it is gone at once, and the collector finds nothing.
        self._feed = self.outgoing = None
        self._connections.closed(self, self._session_id)
        if hasattr(self, "_clock"):
            self._dispatcher.metrics.connections.dec()

    async def _hello(self, wire: Wire, hello: Hello) -> None:
        if self._caller is not None:
            self.end(CloseCode.BAD_FRAME, "a second hello")
            return
        if len(hello.device) > MAX_NAME_CHARS or not hello.device.isprintable():
            self.end(CloseCode.BAD_FRAME, f"device must have at most {MAX_NAME_CHARS} printable characters")
            return
        caller = Caller("ws", self._address(), hello.device, hello.token, hello.client)
        try:
            identity = await self._dispatcher.identify(caller)
        except RpcError as error:
            self.end(CloseCode.UNAVAILABLE, error.message)
            return
        if self._ended:
            return
        if hello.token and identity is None:
            self.end(CloseCode.UNAUTHENTICATED, "the session is unknown or has ended; sign in again")
            return
        begins = Welcomed(0, 0, False)
        if identity is not None and self._hub is not None:
            outgoing = cast(Outgoing, self.outgoing)
            try:
                self._feed, begins = await self._hub.attach(outgoing, identity.user_id, hello.resume)
            except SqlError:
                self.end(CloseCode.UNAVAILABLE, "pushes can't be read now")
                return
            if self._ended:
                self._feed.close()
                return
        if self._caller is not None:  # two hellos at once
            self.end(CloseCode.BAD_FRAME, "a second hello")
            return
        self._caller = caller
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        if identity is not None:
            self._session_id = identity.session_id
            self._connections.signed_in(self, identity.session_id)
        user_id = identity.user_id if identity is not None else 0
        welcome = Welcome(secrets.token_hex(8), user_id, self._limits.max_message_bytes, *begins)
        self._send(welcome)
        if self._feed is not None:
            self._feed.open()

    def _start(self, call: Call) -> None:
        if self._caller is None:
            self.end(CloseCode.HELLO_EXPECTED, "the first frame must be a hello")
            return
        if not 0 < len(call.id) <= MAX_NAME_CHARS or not call.id.isprintable():
            raise BadFrame(f"a call's id must have 1 to {MAX_NAME_CHARS} printable characters")
        if call.id in self._calls:
            self._fail(call.id, RpcError(Code.ALREADY_EXISTS, "a call with this id is in flight"))
        elif len(self._calls) >= self._limits.max_connection_calls:
            limit = self._limits.max_connection_calls
            self._fail(call.id, RpcError(Code.RESOURCE_EXHAUSTED, f"{limit} calls are in flight on this connection"))
        elif len(call.request) > self._limits.max_message_bytes:
            limit = self._limits.max_message_bytes
            self._fail(call.id, RpcError(Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes"))
        elif (
            len(call.headers) > _MAX_HEADERS
            or sum(map(len, (*call.headers, *call.headers.values()))) > _MAX_HEADER_CHARS
        ):
            self._fail(call.id, RpcError(Code.RESOURCE_EXHAUSTED, "the call has too many or too long headers"))
        else:
            self._called_at = self._heard_at
            if call.key:
                self._keyed.add(call.id)
            self._calls[call.id] = asyncio.get_running_loop().create_task(
                self._run(call, self._caller, time.perf_counter())
            )

    def _cancel(self, call_id: str) -> None:
        if self._caller is None:
            self.end(CloseCode.HELLO_EXPECTED, "the first frame must be a hello")
            return
        if call_id in self._calls:
            self._give_up(call_id, RpcError(Code.CANCELED, "the caller gave the call up"))

    async def _run(self, call: Call, caller: Caller, arrived: float) -> None:
        wire = cast(Wire, self._wire)
        current = asyncio.current_task()
        _call_task.set(current)
        try:
            response = await self._dispatcher.call(
                call.method,
                wire.codec,
                call.request,
                caller,
                timeout_ms=call.timeout_ms,
                call_id=call.id,
                metadata=CallMetadata(call.headers.items()) if call.headers else None,
                key=call.key,
                received=functools.partial(self._received, call.id),
                arrived=arrived,
            )
            reply = Reply(call.id, response, None)
        except RpcError as error:
            reply = Reply(call.id, b"", error)
        finally:
            # A task in its own context is a cycle, which only the garbage collector would end: one for each call.
            _call_task.set(None)
        # A call that was given up has had its reply, and its id may be in use again.
        if self._calls.get(call.id) is current:
            del self._calls[call.id]
            self._keyed.discard(call.id)
            self._send(reply)
        if caller.refused or self._end_after is current:
            self.end(CloseCode.SESSION_ENDED, "the session has ended")

    def _received(self, call_id: str) -> None:
        self._send(Received(call_id))

    def _acknowledged(self, counter: int) -> None:
        if self._caller is None:
            self.end(CloseCode.HELLO_EXPECTED, "the first frame must be a hello")
        elif self._feed is None or not self._feed.acknowledge(counter, self._heard_at):
            self.end(CloseCode.BAD_FRAME, "a push was acknowledged that was never sent")

    # What goes out.

    def _fail(self, call_id: str, error: RpcError) -> None:
        self._send(Reply(call_id, b"", error))

    def _send(self, frame: ServerFrame) -> None:
        if self.outgoing is not None:
            self.outgoing.send(frame)

    def say_goodbye(self, reason: str) -> None:
        if self._caller is not None and not self._ended:
            self._send(Goodbye(reason))

    # How it ends.

    def end(self, code: CloseCode, reason: str) -> None:
        """Cancels the calls in flight and closes. `reason` reaches the client: at most 123 bytes, no secret."""
        if self._ended:
            return
        self._ended = True
        self._stop()
        self._dispatcher.metrics.closes.labels(code.name).inc()
        structlog.get_logger().info("socket closed", close=code.name, reason=reason)
        self.close(code, reason)

    def end_session(self) -> None:
        current = _call_task.get()
        if current is None or current not in self._calls.values():
            self.end(CloseCode.SESSION_ENDED, "the session has ended")
            return
        for call_id, task in [*self._calls.items()]:
            if task is not current:
                self._give_up(call_id, RpcError(Code.UNAUTHENTICATED, "the session has ended"))
        self._end_after = current

    def cancel_calls(self, error: RpcError) -> None:
        for call_id in [*self._calls]:
            self._give_up(call_id, error)

    def abort(self) -> None:
        """Drops the connection without a close handshake."""
        self._ended = True
        self._stop()
        self.on_connection_close()

    def sweep(self, now: float) -> None:
        if self._ended:
            return
        limits, feed = self._limits, self._feed
        silent_ms = (now - self._heard_at) * 1000
        if self._pinged and silent_ms > limits.ping_interval_ms + limits.ping_timeout_ms:
            self.end(CloseCode.PING_TIMEOUT, "no answer to a ping")
        elif (
            feed is not None
            and feed.waiting_since is not None
            and (now - feed.waiting_since) * 1000 > limits.push_ack_timeout_ms
        ):
            self.end(CloseCode.NO_PUSH_ACK, "no push was acknowledged for too long; resume")
        elif limits.socket_idle_ms and not self._calls and (now - self._called_at) * 1000 > limits.socket_idle_ms:
            self.end(CloseCode.IDLE, "no call for too long")
        elif not self._pinged and silent_ms > limits.ping_interval_ms:
            self._pinged = True
            self.ping()

    def _give_up(self, call_id: str, error: RpcError) -> None:
        task = self._calls.pop(call_id)
        self._keyed.discard(call_id)
        # The loop holds tasks weakly, and this one's handler may still have something to clean up.
        self._given_up.add(task)
        task.add_done_callback(self._given_up.discard)
        task.cancel()
        self._fail(call_id, error)

    def _stop(self) -> None:
        if self.outgoing is not None:
            self.outgoing.end()
        if self._hello_timer is not None:
            self._hello_timer.cancel()
        if self._feed is not None:
            self._feed.close()
        current = asyncio.current_task()
        for call_id, task in self._calls.items():
            if call_id in self._keyed:
                self._connections.detach(task)
            elif task is not current:
                self._given_up.add(task)
                task.add_done_callback(self._given_up.discard)
                task.cancel()
        self._calls.clear()
        self._keyed.clear()

    def _address(self) -> str:
        connection = cast(Any, self.request.connection)
        peer: str = connection.context.remote_ip
        limits = self._limits
        return client_address(peer, self.request.headers, limits.trusted_proxies, limits.forwarded_header)
