"""What a socket sends: whole frames in order, and how far its reader is behind. What they say is not here."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, cast

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from runtime.rpc.close_codes import CloseCode
from runtime.rpc.push_frames import PushMessage, message_frame
from runtime.rpc.wire import ServerFrame, Wire

_HEADER_BYTES = 2
"""Of a frame, at the least."""


class Protocol(WebSocketProtocol13):
    """Tornado's, but the sending half knows of the frames that it sends by itself: no frame may go into their midst.

    For handlers with an attribute `outgoing`. One here would be one too many: an object with more than thirty of them
    takes 1.5 KB more.
    """

    def _write_frame(self, fin: bool, opcode: int, data: bytes, flags: int = 0) -> asyncio.Future[None]:
        written = super()._write_frame(fin, opcode, data, flags)
        outgoing: Outgoing | None = cast(Any, self.handler).outgoing
        if outgoing is not None:
            outgoing.wrote(written, len(data) + _HEADER_BYTES)
        return written


class Outgoing:
    """The sending half of one connection, and what the hub pushes to: see `runtime.push.hub.Sink`.

    `end` is called with a close code when the reader is too slow, that is `limit` bytes behind, or has lost pushes.

    Apart from the tornado handler because a room has thousands of them: the time of a push beside the system call is
    that of fetching what it touches from memory, and here it touches little.
    """

    __slots__ = (
        "_connection",
        "_deflates",
        "_drained",
        "_end",
        "_ended",
        "_limit",
        "_outbox",
        "_send",
        "_unsent",
        "_wire",
    )

    def __init__(self, connection: Protocol, wire: Wire, limit: int, end: Callable[[CloseCode, str], object]) -> None:
        self._connection = connection
        self._wire = wire
        self._limit = limit
        self._end = end
        stream = connection.stream
        # Over TLS it is the stream that encrypts.
        self._send: Callable[[bytes], int] | None = None
        if type(stream) is IOStream:
            self._send = cast(Any, stream).socket.send
        self._deflates = cast(Any, connection)._compressor is not None
        self._outbox: list[bytes] = []
        self._unsent = 0  # bytes that tornado's stream has not written; with none of them it writes nothing
        self._drained: asyncio.Future[None] | None = None
        self._ended = False
        if stream.writing():
            self.wrote(stream.write(b""), 1)  # the end of the handshake

    def push(self, message: PushMessage, counter: int) -> None:
        if self._ended:
            return
        frame = message.frame(self._wire, counter)
        if self._unsent and not self._has_room(len(frame)):
            self._too_slow()
        elif self._deflates:
            self._deflate(message.body(self._wire, counter))
        elif self._outbox:
            self._outbox.append(frame)  # what was said before goes before
        else:
            self._transmit(frame)

    async def room(self, message: PushMessage, counter: int) -> None:
        while not self._has_room(len(message.frame(self._wire, counter))) and not self._ended:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def lost(self) -> None:
        self._end(CloseCode.PUSHES_LOST, "pushes are gone; fetch anew")

    def send(self, frame: ServerFrame) -> None:
        """Sends this at the end of the event loop's turn."""
        if self._ended:
            return
        if self._unsent > self._limit:
            self._too_slow()
            return
        payload = self._wire.to_client(frame)
        if self._deflates:
            self._deflate(payload)
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(message_frame(self._wire.binary, payload))

    def end(self) -> None:
        """Nothing more is sent; what was said before still is."""
        if self._ended:
            return
        self._flush()
        self._ended = True
        self._release()

    def wrote(self, written: asyncio.Future[None], size: int) -> None:
        """This much was given to tornado's stream."""
        if not written.done():
            self._unsent += size
            written.add_done_callback(functools.partial(self._written, size))

    def _has_room(self, size: int) -> bool:
        return not self._unsent or self._unsent + size <= self._limit

    def _too_slow(self) -> None:
        self._end(CloseCode.SLOW_READER, "the reader is too slow; resume")

    def _flush(self) -> None:
        """Writes what one turn of the event loop has gathered: calls that end together share a system call."""
        if not self._outbox or self._ended:
            return
        data = self._outbox[0] if len(self._outbox) == 1 else b"".join(self._outbox)
        self._outbox.clear()
        self._transmit(data)

    def _transmit(self, data: bytes) -> None:
        """Gives whole frames to the kernel, and to tornado's stream what the kernel does not take now.

        Not write_message: it frames the message for each socket anew, and wraps every write into a task.
        """
        rest: bytes | memoryview = data
        if self._send is not None and not self._unsent:
            try:
                sent = self._send(data)
            except OSError:  # not now, or not any more: the stream finds out
                sent = 0
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
        try:
            self.wrote(self._connection.stream.write(rest), len(rest))
        except StreamClosedError:
            return

    def _deflate(self, payload: bytes) -> None:
        """Sends a message through tornado, which compresses it for this connection."""
        try:
            written = self._connection.write_message(payload, binary=self._wire.binary)
        except WebSocketClosedError:
            return
        written.add_done_callback(_heed)

    def _written(self, size: int, written: asyncio.Future[None]) -> None:
        self._unsent -= size
        if written.cancelled() or written.exception() is not None or not self._unsent:
            self._release()

    def _release(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)


def _heed(written: asyncio.Future[None]) -> None:
    """A connection that was closed meanwhile is no news: its error is not to be logged as one that nobody saw."""
    if not written.cancelled():
        written.exception()
