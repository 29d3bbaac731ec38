"""What stands where a client looks for its server: a proxy that cuts connections, and servers that follow a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.transports.retries import Backoff, Retries

QUICK = Retries(attempts=5, backoff=Backoff(0, 0))
AT_ONCE = Backoff(0, 0)


@dataclass
class Proxy:
    """Passes bytes on to `target`. `connections` counts all that were made; while `refusing`, none gets through."""

    target: int
    port: int = 0
    connections: int = 0
    refusing: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    def cut(self) -> None:
        """Every connection is lost at once."""
        for writer in [*self.writers]:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, back}
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            self.writers -= {writer, back}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            proxy.cut()


@dataclass
class Asked:
    """One HTTP request, names of headers in lower case. `connection` counts from 1."""

    connection: int
    verb: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], Awaitable[bytes | None]]
"""What the scripted HTTP server does with a request: the bytes of a response, None to cut the connection."""


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"Content-Type": "application/proto", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def refusal(status: int, code: str, headers: Mapping[str, str] | None = None, details: Any = ()) -> bytes:
    body = json.dumps({"code": code, "message": "as told", "details": list(details)}).encode()
    return response(status, body, {"Content-Type": "application/json", **(headers or {})})


@contextlib.asynccontextmanager
async def scripted(*script: bytes | Answer | None) -> AsyncIterator[tuple[int, list[Asked]]]:
    """A port and what was asked there. The script's entries answer one request each, in their order; None cuts."""
    asked: list[Asked] = []
    steps = iter(script)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                verb, target, _ = head[0].split()
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Asked(mine, verb, target, headers, body)
                asked.append(request)
                step = next(steps)
                answer = await step(request) if callable(step) else step
                if answer is None:
                    break
                writer.write(answer)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked


class FakeSocket(WebSocketHandler):
    """One connection of a client to the FakeGateway."""

    def initialize(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.frames: asyncio.Queue[wire_pb2.ClientFrame | None] = asyncio.Queue()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0]

    def open(self, *args: str, **kwargs: str) -> None:
        self.gateway.arrived.put_nowait(self)

    def on_message(self, message: str | bytes) -> None:
        assert isinstance(message, bytes)
        self.frames.put_nowait(wire_pb2.ClientFrame.FromString(message))

    def on_close(self) -> None:
        self.frames.put_nowait(None)

    async def frame(self, kind: str) -> Any:
        """The next frame of this kind; acknowledgements before it are passed over."""
        while True:
            frame = await self.frames.get()
            assert frame is not None, "the client closed the connection"
            found = frame.WhichOneof("frame")
            if found == kind:
                return getattr(frame, kind)
            assert found == "push_ack", frame

    async def acknowledged(self, counter: int) -> None:
        """Waits until this push is acknowledged."""
        while (await self.frame("push_ack")).counter < counter:
            pass

    async def gone(self) -> None:
        """Waits until the client has closed the connection."""
        while await self.frames.get() is not None:
            pass

    def tell(self, **frame: Any) -> None:
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(wire_pb2.ServerFrame(**frame).SerializeToString(), binary=True)

    async def welcome(self, epoch: int = 0, counter: int = 0, *, reload: bool = False) -> wire_pb2.Hello:
        """Takes the hello and answers it."""
        hello = await self.frame("hello")
        self.tell(welcome=wire_pb2.Welcome(epoch=epoch, counter=counter, reload=reload, max_message_bytes=1 << 20))
        return hello

    def push(self, counter: int, kind: str = "", payload: bytes = b"") -> None:
        self.tell(push=wire_pb2.Push(counter=counter, type=kind, payload=payload))

    def reply(self, call: wire_pb2.Call, payload: bytes) -> None:
        self.tell(reply=wire_pb2.Reply(id=call.id, response=payload))

    def cut(self) -> None:
        connection: Any = self.ws_connection
        connection.stream.close()


@dataclass
class FakeGateway:
    """A gateway whose every frame the test writes."""

    url: str = ""
    arrived: asyncio.Queue[FakeSocket] = field(default_factory=asyncio.Queue[FakeSocket])

    async def socket(self) -> FakeSocket:
        """The next connection of the client."""
        return await self.arrived.get()


@contextlib.asynccontextmanager
async def faking() -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway()
    server = HTTPServer(Application([("/ws", FakeSocket, {"gateway": gateway})]))
    server.listen(0, "127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]
    gateway.url = f"ws://127.0.0.1:{port}/ws"
    try:
        yield gateway
    finally:
        server.stop()
        await server.close_all_connections()
