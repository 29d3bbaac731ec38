"""Calls a gateway over one WebSocket, many at a time; reconnecting, resume and pushes are not here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from runtime.rpc.close_codes import CloseCode, reconnect
from runtime.rpc.errors import Code, NotCalled, RpcError, typed
from runtime.rpc.framework_errors import FRAMEWORK_ERRORS
from runtime.rpc.service import Method
from runtime.rpc.settings import MIB
from runtime.rpc.transports.http import one_line
from runtime.rpc.wire import PROTO_WIRE, BadFrame, Call, Cancel, ClientFrame, Goodbye, Hello, Reply, Welcome, Wire

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_SIGN_IN_AGAIN = frozenset({CloseCode.UNAUTHENTICATED, CloseCode.SESSION_ENDED})


class WebSocketTransport:
    """A Transport. `url` is `ws://host:port/ws`. Connects at the first call or at `connect`; belongs to one event loop.

    When the connection is lost, the calls under way and all later ones fail with `unavailable`. After the server's
    goodbye `leaving` is true: new calls fail, those under way are still answered.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        device: str = "",
        *,
        client: str = "sun-python",
        wire: Wire = PROTO_WIRE,
        connect_timeout_ms: int = 10_000,
        max_response_bytes: int = 64 * MIB,
    ) -> None:
        self._url = url
        self._hello = Hello(token, device, client)
        self._wire = wire
        self._connect_timeout_s = connect_timeout_ms / 1000
        self._max_response_bytes = max_response_bytes
        self._connecting: asyncio.Task[None] | None = None
        self._connection: WebSocketClientConnection | None = None
        self._welcomed: asyncio.Future[Welcome] | None = None
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._ids = itertools.count(1)
        self._lost: RpcError | None = None
        self.leaving = False
        self.welcome: Welcome | None = None

    async def connect(self) -> Welcome:
        """Connects and says hello. Raises RpcError: unavailable, or unauthenticated for a token that is refused."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        # Shielded: the first caller may give up, and others wait for the same connection.
        await asyncio.shield(self._connecting)
        assert self.welcome is not None
        return self.welcome

    async def call(self, method: Method[Q, A], request: Q, timeout_ms: int | None) -> A:
        """Raises RpcError; the errors that the method declares in their own types."""
        try:
            body = await self.send(method.path, request.SerializeToString(), timeout_ms)
        except RpcError as error:
            raise typed(error, (*method.errors, *FRAMEWORK_ERRORS)) from error
        try:
            return method.response.FromString(body)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"the answer is no {method.response.DESCRIPTOR.full_name}") from error

    async def stream(self, method: Method[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """Raises RpcError (unimplemented): the frames carry no streams."""
        raise RpcError(Code.UNIMPLEMENTED, f"{method.path} answers with a stream: call it over HTTP")
        yield method.response()

    async def send(self, path: str, payload: bytes, timeout_ms: int | None) -> bytes:
        """One call with its messages encoded in the wire's codec. Raises RpcError."""
        if self.welcome is None:
            await self.connect()
        if self._lost is not None:
            raise RpcError(self._lost.code, self._lost.message)
        if self.leaving:
            raise RpcError(Code.UNAVAILABLE, f"{self._url} is going away")
        call_id = f"{next(self._ids):x}"
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = reply
        try:
            self._write(Call(call_id, path, payload, timeout_ms or 0))
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                return await reply
        except TimeoutError as error:
            self._give_up(call_id)
            raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over") from error
        except asyncio.CancelledError:
            self._give_up(call_id)
            raise
        finally:
            self._pending.pop(call_id, None)
            if self.leaving and not self._pending:
                self.close()

    def close(self) -> None:
        """Closes the connection; calls under way fail with `unavailable`."""
        if self._connection is not None:
            self._connection.close(1000)
        self._lose(RpcError(Code.UNAVAILABLE, "the transport is closed"))

    async def __aenter__(self) -> WebSocketTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _connect(self) -> None:
        self._welcomed = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                self._connection = await websocket_connect(
                    HTTPRequest(self._url, connect_timeout=self._connect_timeout_s),
                    on_message_callback=self._received,
                    max_message_size=self._max_response_bytes,
                    subprotocols=[self._wire.subprotocol],
                )
                self._write(self._hello)
                self.welcome = await self._welcomed
        except TimeoutError as error:
            if self._connection is not None:
                self._connection.close()
            raise self._lose(RpcError(Code.UNAVAILABLE, f"{self._url} did not answer in time")) from error
        except (OSError, HTTPClientError, StreamClosedError, WebSocketError) as error:
            reason = f"{self._url} can't be reached: {one_line(error)}"
            raise self._lose(NotCalled(Code.UNAVAILABLE, reason)) from error
        except ValueError as error:
            raise self._lose(RpcError(Code.INVALID_ARGUMENT, f"{self._url}: {one_line(error)}")) from error

    def _write(self, frame: ClientFrame) -> None:
        assert self._connection is not None
        try:
            self._connection.write_message(self._wire.to_server(frame), binary=self._wire.binary)
        except WebSocketClosedError as error:
            raise RpcError(Code.UNAVAILABLE, f"the connection to {self._url} is closed") from error

    def _give_up(self, call_id: str) -> None:
        if self._lost is None:
            try:
                self._write(Cancel(call_id))
            except RpcError:
                return

    def _received(self, message: bytes | str | None) -> None:
        if message is None:
            self._lose(self._why_closed())
            return
        try:
            frame = self._wire.from_server(message)
        except BadFrame as error:
            self._lose(RpcError(Code.INTERNAL, f"{self._url} speaks another protocol: {error}"))
            return
        if isinstance(frame, Reply):
            waiting = self._pending.get(frame.id)
            if waiting is None or waiting.done():
                return
            if frame.error is not None:
                waiting.set_exception(frame.error)
            else:
                waiting.set_result(frame.response)
        elif isinstance(frame, Goodbye):
            self.leaving = True
            if not self._pending:
                self.close()
        elif self._welcomed is not None and not self._welcomed.done():
            self._welcomed.set_result(frame)

    def _why_closed(self) -> RpcError:
        connection = self._connection
        code = connection.close_code if connection is not None else None
        reason = (connection.close_reason if connection is not None else None) or "the connection was lost"
        if code in _SIGN_IN_AGAIN:
            return RpcError(Code.UNAUTHENTICATED, reason)
        if not reconnect(code):
            return RpcError(Code.FAILED_PRECONDITION, f"{self._url} closed the connection ({code}): {reason}")
        return RpcError(Code.UNAVAILABLE, f"{self._url}: {reason}")

    def _lose(self, error: RpcError) -> RpcError:
        if self._lost is None:
            self._lost = error
        waiting = [*self._pending.values()]
        if self._welcomed is not None:
            waiting = [*waiting, self._welcomed]
        for future in waiting:
            if not future.done():
                future.set_exception(RpcError(error.code, error.message))
                # Whoever waits gets it; when nobody does any more, it is not worth a warning.
                future.exception()
        return error
