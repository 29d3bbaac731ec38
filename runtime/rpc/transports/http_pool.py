"""Kept-alive HTTP/1.1 connections to one server, bounded in number. What travels on them is the caller's affair."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from runtime.rpc.errors import Code, NotCalled, RpcError

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10.0
_MAX_HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Answer:
    """A whole response. Names in `headers` are not case-sensitive."""

    status: int
    headers: HTTPHeaders
    body: bytes


class Pool:
    """At most `max_connections` at once; one that was idle for `idle_ms` is not used again.

    Keep `idle_ms` below the server's own limit: what it closes as a request leaves is lost, and nobody knows whether
    it was run. Belongs to one event loop.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int,
        idle_ms: int,
        max_body_bytes: int,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._url = urlsplit(base_url)
        self._slots = asyncio.Semaphore(max_connections)
        self._idle_s = idle_ms / 1000
        self._max_body_bytes = max_body_bytes
        self._ssl_context = ssl_context
        self._idle: list[tuple[IOStream, float]] = []
        self._busy: set[IOStream] = set()
        self._closed = False

    async def exchange(
        self, verb: str, target: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        """Sends one request and reads its answer. `deadline` is on the event loop's clock (seconds).

        When it is given up, by the deadline or a cancellation, its connection is closed, which the server sees. Raises
        RpcError: NotCalled while nothing had been sent, deadline_exceeded, unavailable when the connection was lost,
        resource_exhausted for a body that is too large.
        """
        reader: _Reader | None = None
        stream: IOStream | None = None
        try:
            async with asyncio.timeout_at(deadline), self._slots:
                stream = await self._take()
                self._busy.add(stream)
                reader = _Reader(self._max_body_bytes, stream)
                whole = await self._send(stream, verb, target, headers, body, reader)
                if whole and reader.keeps_alive and not self._closed:
                    # A stream looks for its end only where somebody wants to hear of it.
                    stream.set_close_callback(_nothing)
                    self._idle.append((stream, time.monotonic()))
                    self._busy.discard(stream)
                    stream = None
        except TimeoutError as error:
            if reader is None:
                raise NotCalled(Code.UNAVAILABLE, f"{self._url.netloc} had no free connection in time") from error
            raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over") from error
        finally:
            if stream is not None:
                self._busy.discard(stream)
                stream.close()
        return reader.answer(self._url.netloc)

    def close(self) -> None:
        """Closes every connection; requests under way fail with `unavailable`."""
        self._closed = True
        for stream in (*self._busy, *(stream for stream, _ in self._idle)):
            stream.close()
        self._idle.clear()

    async def _take(self) -> IOStream:
        """The connection that was used last, or a new one."""
        if self._closed:
            raise NotCalled(Code.UNAVAILABLE, "the transport is closed")
        oldest = time.monotonic() - self._idle_s
        while self._idle:
            stream, since = self._idle.pop()
            if since >= oldest and not stream.closed():
                return stream
            stream.close()
        return await open_stream(self._url, self._ssl_context)

    async def _send(
        self,
        stream: IOStream,
        verb: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        reader: _Reader,
    ) -> bool:
        parameters = HTTP1ConnectionParameters(max_header_size=_MAX_HEAD_BYTES, max_body_size=sys.maxsize)
        connection = HTTP1Connection(stream, True, parameters)
        head = HTTPHeaders(headers)
        head["Host"] = self._url.netloc.rpartition("@")[2]
        if body is not None:
            head["Content-Length"] = str(len(body))
        try:
            # Its future fails where reading fails, too, and that is where it is told.
            connection.write_headers(RequestStartLine(verb, target, "HTTP/1.1"), head, body).add_done_callback(_heard)
            connection.finish()
            await connection.read_response(reader)
        except StreamClosedError:
            return False
        return reader.whole


def _nothing() -> None:
    pass


def _heard(written: asyncio.Future[None]) -> None:
    if not written.cancelled():
        written.exception()


async def open_stream(url: SplitResult, ssl_context: ssl.SSLContext | None) -> IOStream:
    """A connection to the server of a URL. Raises NotCalled, also for a URL that leads nowhere."""
    try:
        secure = url.scheme == "https"
        host, port = url.hostname or "", url.port or (443 if secure else 80)
        options = (ssl_context or ssl.create_default_context()) if secure else None
        connecting = TCPClient().connect(host, port, ssl_options=options, timeout=_CONNECT_TIMEOUT_S)
        stream = await whole(connecting, IOStream.close)
    except TimeoutError as error:
        raise NotCalled(Code.UNAVAILABLE, f"{url.netloc} did not answer in time") from error
    except OSError as error:
        raise NotCalled(Code.UNAVAILABLE, f"{url.netloc} can't be reached: {one_line(error)}") from error
    except ValueError as error:
        raise NotCalled(Code.INVALID_ARGUMENT, f"{url.geturl()}: {one_line(error)}") from error
    stream.set_nodelay(True)
    return stream


async def whole(opening: Awaitable[T], close: Callable[[T], object]) -> T:
    """What is being opened. When the wait for it is given up, it is closed as soon as it is there."""
    task = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: None if done.cancelled() or done.exception() else close(done.result()))
        raise


def one_line(error: BaseException | None) -> str:
    """An error of the network as one line for people."""
    if isinstance(error, StreamClosedError) and error.real_error is not None:
        error = error.real_error
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


class _Reader(HTTPMessageDelegate):
    """Gathers one response; one that is larger than it may be closes the stream."""

    def __init__(self, max_body_bytes: int, stream: IOStream) -> None:
        self.whole = False
        self.keeps_alive = False
        self._max_body_bytes = max_body_bytes
        self._stream = stream
        self._status = 0
        self._headers = HTTPHeaders()
        self._body: list[bytes] = []
        self._size = 0

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self._status, self._headers = start_line.code, headers
        self.keeps_alive = start_line.version == "HTTP/1.1" and headers.get("Connection", "").lower() != "close"

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._max_body_bytes:
            self._stream.close()
        else:
            self._body.append(chunk)

    def finish(self) -> None:
        self.whole = True

    def answer(self, server: str) -> Answer:
        """The response. Raises RpcError (resource_exhausted, unavailable) where there is no whole one."""
        if self._size > self._max_body_bytes:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"the answer is larger than {self._max_body_bytes} bytes")
        if not self.whole:
            text = f"the connection to {server} was lost before the answer came: the call may have happened"
            raise RpcError(Code.UNAVAILABLE, text)
        return Answer(self._status, self._headers, b"".join(self._body))
