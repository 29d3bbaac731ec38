"""A call that answers with a stream, on an HTTP connection of its own: opened with the call, and closed with it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from runtime.rpc.compression import GZIP, TooLarge, inflate
from runtime.rpc.envelopes import COMPRESSED, END_STREAM, ENVELOPE, envelope
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.connect import end_stream_from_json, error_from_json
from runtime.rpc.transports.http_pool import open_stream

_MAX_ERROR_BYTES = 1 << 20


async def stream_messages(
    url: str,
    headers: Mapping[str, str],
    codec: str,
    payload: bytes,
    timeout_s: float | None,
    max_bytes: int,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[bytes, None]:
    """The encoded messages of the answer. `max_bytes` is the most that one of them may have, after inflation.

    The server is read no faster than the messages are taken. Raises RpcError, also between messages: what the server
    says, deadline_exceeded, unavailable when it can't be reached or breaks off, resource_exhausted for a message that
    is too large, internal for what is no stream.
    """
    loop = asyncio.get_running_loop()
    deadline = None if timeout_s is None else loop.time() + timeout_s
    parts = urlsplit(url)
    try:
        async with asyncio.timeout_at(deadline):
            stream = await open_stream(parts, ssl_context)
    except TimeoutError as error:
        raise NotCalled(Code.UNAVAILABLE, f"{parts.netloc} did not answer in time") from error
    connection = HTTP1Connection(stream, True, HTTP1ConnectionParameters(no_keep_alive=True, max_body_size=sys.maxsize))
    reader = _Reader(max_bytes)
    reading: asyncio.Task[bool] | None = None
    try:
        body = envelope(0, payload)
        head = HTTPHeaders(headers)
        head["Host"] = parts.netloc.rpartition("@")[2]
        head["Content-Type"] = f"application/connect+{codec}"
        head["Connect-Accept-Encoding"] = GZIP
        head["Content-Length"] = str(len(body))
        connection.write_headers(RequestStartLine("POST", parts.path, "HTTP/1.1"), head, body)
        connection.finish()
        reading = asyncio.create_task(_read(connection, reader))
        reading.add_done_callback(lambda _: reader.found.put_nowait(None))
        while (message := await _next(reader.found, deadline)) is not None:
            yield message
            if reader.found.empty():
                reader.room.set()
        reader.close()
    finally:
        connection.close()
        reader.leave()
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)


async def _read(connection: HTTP1Connection, reader: _Reader) -> bool:
    return await connection.read_response(reader)


async def _next(found: asyncio.Queue[bytes | None], deadline: float | None) -> bytes | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await found.get()
    except TimeoutError as error:
        raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over") from error


class _Reader(HTTPMessageDelegate):
    """Takes the answer apart. `found` gets the messages, and None for the end; reading goes on when there is `room`."""

    def __init__(self, max_bytes: int) -> None:
        self.found: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.room = asyncio.Event()
        self._left = False
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._status = 0
        self._is_stream = False
        self._compression = "identity"
        self._ended = False
        self._error: RpcError | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self._status = start_line.code
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._is_stream = self._status == 200 and content_type.startswith("application/connect+")
        self._compression = headers.get("Connect-Content-Encoding", "identity").lower()

    async def data_received(self, chunk: bytes) -> None:
        if self._left:
            return
        self._buffer += chunk
        if not self._is_stream:
            del self._buffer[_MAX_ERROR_BYTES:]
            return
        try:
            self._take_apart()
        except RpcError as error:
            self._error = error
            self.found.put_nowait(None)
        if not self.found.empty():
            self.room.clear()
            await self.room.wait()

    def leave(self) -> None:
        """Lets the rest of the answer pass."""
        self._left = True
        self.room.set()

    def close(self) -> None:
        """Raises the RpcError that the answer ended with, when it did not end well."""
        if self._error is not None:
            raise self._error
        if self._ended:
            return
        if self._status == 0 or self._is_stream:
            raise RpcError(Code.UNAVAILABLE, "the connection was lost before the end of the stream")
        if self._status == 200:
            raise RpcError(Code.UNKNOWN, "the server does not answer with a stream")
        raise error_from_json(bytes(self._buffer), self._status)

    def _take_apart(self) -> None:
        while len(self._buffer) >= ENVELOPE.size:
            flags, length = ENVELOPE.unpack_from(self._buffer)
            if length > self._max_bytes:
                raise RpcError(
                    Code.RESOURCE_EXHAUSTED, f"a message of the answer is larger than {self._max_bytes} bytes"
                )
            if len(self._buffer) < ENVELOPE.size + length:
                return
            message = bytes(self._buffer[ENVELOPE.size : ENVELOPE.size + length])
            del self._buffer[: ENVELOPE.size + length]
            self._add(flags, message)

    def _add(self, flags: int, message: bytes) -> None:
        if self._ended or flags & ~(COMPRESSED | END_STREAM):
            raise RpcError(Code.INTERNAL, "the answer breaks the protocol of streams")
        try:
            if flags & COMPRESSED:
                if self._compression != GZIP:
                    raise ValueError("a compressed message, which no header announced")
                message = inflate(message, self._max_bytes)
            if not flags & END_STREAM:
                self.found.put_nowait(message)
                return
            self._ended = True
            self._error = end_stream_from_json(message)
        except TooLarge as error:
            text = f"a message of the answer is larger than {self._max_bytes} bytes"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text) from error
        except ValueError as error:
            raise RpcError(Code.INTERNAL, f"the answer breaks the protocol of streams: {error}") from error
