"""One WebSocket connection to a gateway, from its hello to its end; what comes after its end is not here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import DecodeError
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.close_codes import CloseCode, reconnect
from runtime.rpc.errors import Code, Detail, NotCalled, RpcError
from runtime.rpc.transports.http_pool import one_line, whole
from runtime.rpc.transports.pushes import Position, RawPush

SUBPROTOCOL = "sun.v1+proto"

_SIGN_IN_AGAIN = frozenset({CloseCode.UNAUTHENTICATED, CloseCode.SESSION_ENDED})
_PING_INTERVAL_S = 25.0
_PING_TIMEOUT_S = 10.0


class Lost(RpcError):
    """The connection was lost after the call had been sent, and before its answer came."""


class Final(RpcError):
    """Connecting again would end the same way."""


async def open_socket(
    url: str,
    subprotocol: str,
    received: Callable[[str | bytes | None], None],
    *,
    timeout_s: float,
    max_message_bytes: int,
    ssl_context: ssl.SSLContext | None = None,
) -> WebSocketClientConnection:
    """A WebSocket before its hello; `received` gets each message, and None for the end. Raises NotCalled."""
    if not url.startswith(("ws://", "wss://")):
        raise NotCalled(Code.INVALID_ARGUMENT, f"{url}: the URL must begin with ws:// or wss://")
    try:
        request = HTTPRequest(url, connect_timeout=timeout_s, request_timeout=timeout_s, ssl_options=ssl_context)
        opening = websocket_connect(
            request,
            on_message_callback=received,
            max_message_size=max_message_bytes,
            subprotocols=[subprotocol],
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_TIMEOUT_S,
        )
        return await whole(opening, WebSocketClientConnection.close)
    except (OSError, HTTPClientError, StreamClosedError, WebSocketError) as error:
        raise NotCalled(Code.UNAVAILABLE, f"{url} can't be reached: {one_line(error)}") from error
    except ValueError as error:
        raise NotCalled(Code.INVALID_ARGUMENT, f"{url}: {one_line(error)}") from error


class Link:
    """`open` makes one. `on_push` hears of its pushes, in the order of their counters, after `on_welcome`.

    `over` is set when new calls belong on another connection: the server said goodbye, `leave` was called, or the
    connection is lost. `ended` tells why it is lost, None while it is not. `gone` is set when nothing of it is left,
    which after `close` takes an answer of the server.
    """

    def __init__(self, url: str, on_welcome: Callable[[Link], None], on_push: Callable[[Link, RawPush], None]) -> None:
        self.welcome = wire_pb2.Welcome()
        self.ended: RpcError | None = None
        self.close_code: int | None = None
        self.over = asyncio.Event()
        self.gone = asyncio.Event()
        self.counter = 0
        """The newest push that came on this connection, or the one before its first."""
        self._acknowledged = 0
        self._url = url
        self._on_welcome = on_welcome
        self._on_push = on_push
        self._connection: WebSocketClientConnection | None = None
        self._stream: IOStream | None = None
        self._welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._finishing = False
        self._ended_early = False

    @classmethod
    async def open(
        cls,
        url: str,
        hello: wire_pb2.Hello,
        on_welcome: Callable[[Link], None],
        on_push: Callable[[Link, RawPush], None],
        *,
        timeout_s: float,
        max_message_bytes: int,
        ssl_context: ssl.SSLContext | None,
    ) -> Link:
        """A connection that is welcomed. Raises NotCalled (unavailable) when it can't be made now, Final when never."""
        link = cls(url, on_welcome, on_push)
        try:
            async with asyncio.timeout(timeout_s):
                link._connection = await open_socket(
                    url,
                    SUBPROTOCOL,
                    link._received,
                    timeout_s=timeout_s,
                    max_message_bytes=max_message_bytes,
                    ssl_context=ssl_context,
                )
                # Kept apart: a connection that is closing forgets its protocol.
                link._stream = cast(Any, link._connection).protocol.stream
                if link._ended_early:
                    link._closed()
                else:
                    link._write(wire_pb2.ClientFrame(hello=hello))
                await link._welcomed
        except TimeoutError as error:
            link.close()
            raise NotCalled(Code.UNAVAILABLE, f"{url} did not answer in time") from error
        except NotCalled as error:
            raise error if error.code is Code.UNAVAILABLE else Final(error.code, error.message) from error
        except BaseException:
            link.close()
            raise
        return link

    @property
    def position(self) -> Position:
        """The pushes of this connection follow this one."""
        return Position(self.welcome.epoch, self.welcome.counter)

    async def call(self, call: wire_pb2.Call) -> bytes:
        """The encoded answer. When it is given up, the server is told. Raises RpcError; Lost when nobody can know."""
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[call.id] = reply
        try:
            self._write(wire_pb2.ClientFrame(call=call))
            return await reply
        except asyncio.CancelledError:
            self._try_to_write(wire_pb2.ClientFrame(cancel=wire_pb2.Cancel(id=call.id)))
            raise
        finally:
            self._pending.pop(call.id, None)
            self._close_if_done()

    def acknowledge(self, dealt: Position) -> None:
        """Tells the server how far its pushes have been dealt with, as far as they came on this connection."""
        counter = min(dealt.counter, self.counter)
        if dealt.epoch == self.welcome.epoch and counter > self._acknowledged:
            self._acknowledged = counter
            self._try_to_write(wire_pb2.ClientFrame(push_ack=wire_pb2.PushAck(counter=counter)))

    def leave(self) -> None:
        """New calls belong on another connection; this one goes on until `finish`."""
        self.over.set()

    def finish(self) -> None:
        """Another connection has taken over: closes as soon as the calls under way are answered."""
        self._finishing = True
        self._close_if_done()

    def close(self) -> None:
        """Calls under way fail with Lost."""
        connection = self._connection
        if connection is not None:
            connection.close(1000)
        self._lose(Lost(Code.UNAVAILABLE, "the transport was closed: the call may have happened"))

    def abort(self) -> None:
        """Drops what is left, for a server that does not answer the close."""
        if self._stream is not None:
            self._stream.close()

    def _close_if_done(self) -> None:
        if self._finishing and not self._pending:
            self.close()

    def _write(self, frame: wire_pb2.ClientFrame) -> None:
        connection = self._connection
        try:
            if self.ended is not None or connection is None:
                raise WebSocketClosedError
            # Its future only repeats what the end of the connection says.
            connection.write_message(frame.SerializeToString(), binary=True).add_done_callback(_heard)
        except WebSocketClosedError as error:
            raise NotCalled(Code.UNAVAILABLE, f"the connection to {self._url} is closed") from error

    def _try_to_write(self, frame: wire_pb2.ClientFrame) -> None:
        try:
            self._write(frame)
        except NotCalled:
            return

    def _received(self, message: bytes | str | None) -> None:
        if message is None:
            self.gone.set()
        if self.ended is not None:
            return
        if message is None:
            self._closed()
            return
        try:
            if isinstance(message, str):
                raise DecodeError("text")
            self._take(wire_pb2.ServerFrame.FromString(message))
        except DecodeError:
            self._fail(f"{self._url} speaks another protocol")

    def _take(self, frame: wire_pb2.ServerFrame) -> None:
        match frame.WhichOneof("frame"):
            case "reply":
                self._reply(frame.reply)
            case "push":
                push = frame.push
                if push.counter and push.counter != self.counter + 1:
                    # Some were lost on the way: the next connection has them.
                    self.leave()
                    return
                self.counter = push.counter or self.counter
                self._on_push(self, RawPush(push.counter, push.type, push.payload))
            case "welcome" if not self._welcomed.done():
                self.welcome = frame.welcome
                self.counter = self._acknowledged = frame.welcome.counter
                # Called from here, since pushes may stand behind the welcome in the same bytes.
                self._on_welcome(self)
                self._welcomed.set_result(None)
            case "goodbye":
                self.over.set()
            case _:
                return  # frames of later versions say nothing to this one

    def _reply(self, reply: wire_pb2.Reply) -> None:
        waiting = self._pending.get(reply.id)
        if waiting is None or waiting.done():
            return
        if reply.WhichOneof("result") == "error":
            waiting.set_exception(_error(reply.error))
        else:
            waiting.set_result(reply.response)

    def _closed(self) -> None:
        connection = self._connection
        if connection is None:
            self._ended_early = True
            return
        code = self.close_code = connection.close_code
        reason = connection.close_reason or "the connection was lost"
        connection.close()
        if code in _SIGN_IN_AGAIN:
            self._lose(Final(Code.UNAUTHENTICATED, reason))
        elif not reconnect(code):
            self._lose(Final(Code.FAILED_PRECONDITION, f"{self._url} closed the connection ({code}): {reason}"))
        else:
            self._lose(Lost(Code.UNAVAILABLE, f"{self._url}: {reason}: the call may have happened"))

    def _fail(self, text: str) -> None:
        if self._connection is not None:
            self._connection.close(1002)
        self._lose(Final(Code.INTERNAL, text))

    def _lose(self, error: RpcError) -> None:
        if self.ended is not None:
            return
        self.ended = error
        self.over.set()
        if not self._welcomed.done():
            lost = Final(error.code, error.message) if isinstance(error, Final) else _unwelcome(self._url)
            self._welcomed.set_exception(lost)
            # Whoever waits gets it; when nobody does any more, it is not worth a warning.
            self._welcomed.exception()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(type(error)(error.code, error.message))
                waiting.exception()


def _unwelcome(url: str) -> NotCalled:
    return NotCalled(Code.UNAVAILABLE, f"{url} closed the connection before its welcome")


def _error(error: wire_pb2.Error) -> RpcError:
    details = [Detail(detail.type_url.rpartition("/")[2], detail.value) for detail in error.details]
    return RpcError(Code.from_number(int(error.code)), error.message, details)


def _heard(written: asyncio.Future[None]) -> None:
    if not written.cancelled():
        written.exception()
