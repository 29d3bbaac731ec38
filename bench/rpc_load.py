"""The load of the RPC benchmark: clients that cost as little as they can, so that the server is what is measured.

Requests are encoded before the clock starts, and every answer must be byte for byte the one that was expected.
"""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import grpc.aio

WARM_UP = 0.2
"""Share of a sample that is not counted."""

_MASK = b"\x5a\x3c\x96\xe1"


class WrongAnswer(Exception):
    """A server did not answer what it must."""


@dataclass(slots=True)
class Sample:
    """Answered calls a second, and their 99th percentile in milliseconds."""

    rate: float
    p99_ms: float


@dataclass(slots=True, eq=False)
class Meter:
    """Counts calls that began and ended between two times of the performance counter.

    Not of the event loop's clock, which tells milliseconds only on uvloop.
    """

    begin: float
    end: float
    seconds: list[float] = field(default_factory=list[float])

    def answered(self, sent: float, now: float) -> None:
        if self.begin <= sent and now <= self.end:
            self.seconds.append(now - sent)

    def sample(self) -> Sample:
        if len(self.seconds) < 2:
            raise WrongAnswer("hardly any call was answered")
        return Sample(len(self.seconds) / (self.end - self.begin), statistics.quantiles(self.seconds, n=100)[98] * 1000)


def meter(seconds: float) -> Meter:
    """One that begins after the warm-up."""
    now = time.perf_counter()
    return Meter(now + WARM_UP * seconds, now + (1 + WARM_UP) * seconds)


# Raw clients: HTTP/1.1 and the WebSocket, on one connection each.


class _Client(asyncio.Protocol):
    """One connection that keeps one call or several under way until its meter ends."""

    meter: Meter

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        try:
            self.received(data)
        except Exception as error:  # noqa: BLE001 - whatever it is ends the sample
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc or WrongAnswer("the server closed the connection"))

    def end(self, error: BaseException | None = None) -> None:
        if not self.ended.done():
            self.ended.set_result(None) if error is None else self.ended.set_exception(error)

    def received(self, data: bytes) -> None:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError


class HttpClient(_Client):
    """One call at a time over a connection that is kept alive."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes, answer: bytes) -> None:
        super().__init__()
        lines = [f"POST /{path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._request = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
        self._answer = answer

    def start(self) -> None:
        self._sent = time.perf_counter()
        self.transport.write(self._request)

    def received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) < len(self._answer):
            return
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank or len(body) < len(self._answer):
            return
        if body != self._answer or not head.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswer(repr(self.buffer))
        self.buffer = b""
        now = time.perf_counter()
        self.meter.answered(self._sent, now)
        if now < self.meter.end:
            self.start()
        else:
            self.end()


class WebSocketClient(_Client):
    """Some calls in flight on one socket: `requests` and their `answers`, each sent again once it is answered.

    `hello` is sent first where there is one, and a frame awaited.
    """

    def __init__(self, protocol: str, hello: bytes, requests: Sequence[bytes], answers: Sequence[bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._hello = hello
        self._frames = [masked_frame(request) for request in requests]
        self._places = {answer: place for place, answer in enumerate(answers)}
        self._sent = [0.0] * len(requests)
        self._open = False
        self.ready: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        key = base64.b64encode(os.urandom(16)).decode()
        protocol = f"Sec-WebSocket-Protocol: {self._protocol}\r\n" if self._protocol else ""
        self.transport.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n".encode()
        )

    def start(self) -> None:
        now = time.perf_counter()
        self._sent = [now] * len(self._frames)
        self.transport.write(b"".join(self._frames))

    def received(self, data: bytes) -> None:
        self.buffer += data
        if not self._open:
            head, blank, rest = self.buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise WrongAnswer(repr(head))
            self._open, self.buffer = True, rest
            if not self._hello:
                self.ready.set_result(None)
                return
            self.transport.write(masked_frame(self._hello))
        payloads, self.buffer = server_messages(self.buffer)
        if not payloads:
            return
        if not self.ready.done():
            self.ready.set_result(None)
            return
        now = time.perf_counter()
        again: list[bytes] = []
        for payload in payloads:
            place = self._places.get(payload)
            if place is None:
                raise WrongAnswer(repr(payload))
            self.meter.answered(self._sent[place], now)
            self._sent[place] = now
            again.append(self._frames[place])
        if now < self.meter.end:
            self.transport.write(b"".join(again))
        else:
            self.end()

    def end(self, error: BaseException | None = None) -> None:
        super().end(error)
        if error is not None and not self.ready.done():
            self.ready.set_exception(error)


def masked_frame(payload: bytes) -> bytes:
    """A whole binary message as a client sends it (RFC 6455, section 5.2); of less than 64 KiB."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x82" + length + _MASK + bytes(byte ^ _MASK[place & 3] for place, byte in enumerate(payload))


def server_messages(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of the whole messages at the beginning, of less than 64 KiB each, and what remains."""
    payloads: list[bytes] = []
    start, size = 0, len(data)
    while size - start >= 2:
        if data[start] != 0x82:
            raise WrongAnswer(f"no binary message: {data[start : start + 64]!r}")
        length, begin = data[start + 1], start + 2
        if length == 126:
            length, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
        if size < begin + length:
            break
        payloads.append(data[begin : begin + length])
        start = begin + length
    return payloads, data[start:]


async def drive(port: int, clients: int, make: Callable[[], _Client], seconds: float) -> Sample:
    """One sample by this many connections."""
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(make, "127.0.0.1", port))[1] for _ in range(clients)]
    try:
        for client in made:
            if isinstance(client, WebSocketClient):
                await client.ready
        measured = meter(seconds)
        for client in made:
            client.meter = measured
            client.start()
        await asyncio.gather(*(client.ended for client in made))
        return measured.sample()
    finally:
        for client in made:
            client.end()
            client.transport.abort()


async def drive_grpc(port: int, path: str, calls: int, request: bytes, answer: bytes, seconds: float) -> Sample:
    """One sample by this many calls in flight on one channel."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(f"/{path}")
        await channel.channel_ready()
        measured = meter(seconds)
        clock = time.perf_counter

        async def work() -> None:
            while (sent := clock()) < measured.end:
                if await call(request) != answer:
                    raise WrongAnswer("grpc.aio")
                measured.answered(sent, clock())

        await asyncio.gather(*(work() for _ in range(calls)))
        return measured.sample()
