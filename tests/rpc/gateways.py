"""A gateway on a free port, its service doing what the requests say, and clients that speak raw HTTP and frames."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec

from google.protobuf.wrappers_pb2 import BoolValue, Int64Value, StringValue

from runtime.logs import configure_logging
from runtime.push.hub import PushHub
from runtime.rpc.attempts import Attempts
from runtime.rpc.context import Context, Identity
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.errors import Code, DeclaredError, RpcError
from runtime.rpc.listening import Address
from runtime.rpc.server import Gateway
from runtime.rpc.service import Callers, Method, Service, Violation
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.websocket import Connections
from runtime.rpc.wire import (
    PROTO_WIRE,
    Call,
    Cancel,
    ClientFrame,
    Goodbye,
    Hello,
    Reply,
    ServerFrame,
    Welcome,
    Wire,
)
from runtime.sql.errors import Conflict, PoolTimeout

P = ParamSpec("P")

TOKENS = {"alice": Identity(7, 70), "bob": Identity(8, 80), "root": Identity(1, 10, is_admin=True)}
NAME = "test.v1.TestService"
SECRET = "s3cr3t-inside"


def asynchronous(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an async test on a loop of its own; one that hangs fails."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Taken(DeclaredError):
    declared_code = Code.ALREADY_EXISTS
    declared_message = "the name {value} is taken"
    type_name = "google.protobuf.StringValue"
    detail_type = StringValue


class Undeclared(DeclaredError):
    declared_code = Code.NOT_FOUND
    declared_message = "no {value}"
    type_name = "google.protobuf.Int64Value"
    detail_type = Int64Value


def _check(request: StringValue) -> list[Violation]:
    found: list[Violation] = []
    if len(request.value) < 2:
        found.append(Violation("value", "min_len", "write at least 2 characters"))
    if not request.value.isalpha():
        found.append(Violation("value", "pattern", "write letters only"))
    return found


def _check_count(request: StringValue) -> list[Violation]:
    return [] if request.value else [Violation("value", "required", "is required")]


def method(name: str, callers: Callers = Callers.ANYONE, **more: Any) -> Method[StringValue, StringValue]:
    return Method(f"{NAME}/{name}", name.lower(), StringValue, StringValue, callers, **more)


ECHO = method("Echo", Callers.USER)
OWN = method("Own", Callers.OWNER)
ADMIN = method("Admin", Callers.ADMIN)
WHO = method("Who")
WAIT = method("Wait")
FAIL = method("Fail", errors=(Taken,))
BIG = method("Big")
CHECKED = method("Checked", check=_check)
LOGOUT = method("Logout", Callers.USER)
COUNT = method("Count", server_streaming=True, check=_check_count, errors=(Taken,))
LOOK = method("Look", side_effects=False)
METADATA = method("Metadata", side_effects=False)
METHODS = (ECHO, OWN, ADMIN, WHO, WAIT, FAIL, BIG, CHECKED, LOGOUT, COUNT, LOOK, METADATA)


class Handler(Service):
    service_name = NAME
    methods = METHODS

    def __init__(self, connections: Connections | None = None) -> None:
        self.connections = Connections() if connections is None else connections
        self.release = asyncio.Event()
        self.waiting = 0
        self.cancelled = 0
        self.counted = 0
        self.echoed: list[str] = []
        self.changed = asyncio.Condition()

    async def echo(self, request: StringValue, ctx: Context) -> StringValue:
        self.echoed.append(request.value)
        return StringValue(value=request.value)

    async def own(self, request: StringValue, ctx: Context) -> StringValue:
        return StringValue(value=str(ctx.user_id))

    async def admin(self, request: StringValue, ctx: Context) -> StringValue:
        return StringValue(value="admin")

    async def who(self, request: StringValue, ctx: Context) -> StringValue:
        user = ctx.identity.user_id if ctx.identity is not None else "anonymous"
        ctx.log.info("asked", user=user)
        return StringValue(value=f"{user} {ctx.device} {ctx.address} {ctx.call_id}")

    async def wait(self, request: StringValue, ctx: Context) -> StringValue:
        await self._count(waiting=1)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            await self._count(cancelled=1)
            raise
        finally:
            await self._count(waiting=-1)
        return StringValue(value=request.value)

    async def fail(self, request: StringValue, ctx: Context) -> StringValue:
        match request.value:
            case "taken":
                raise Taken(StringValue(value="ann"))
            case "undeclared":
                raise Undeclared(Int64Value(value=5))
            case "coded":
                raise RpcError(Code.FAILED_PRECONDITION, "not now")
            case "pool":
                raise PoolTimeout(SECRET)
            case "conflict":
                raise Conflict(SECRET)
            case "wrong":
                return BoolValue(value=True)  # type: ignore[return-value]
            case "cancel":
                raise asyncio.CancelledError
            case "timeout":
                raise TimeoutError(SECRET)
            case _:
                raise RuntimeError(SECRET)

    async def big(self, request: StringValue, ctx: Context) -> StringValue:
        return StringValue(value="x" * int(request.value))

    async def checked(self, request: StringValue, ctx: Context) -> StringValue:
        return request

    async def logout(self, request: StringValue, ctx: Context) -> StringValue:
        self.connections.close_session(ctx.signed_in.session_id)
        return StringValue(value="bye")

    async def count(self, request: StringValue, ctx: Context) -> AsyncIterator[StringValue]:
        """`3` is 0 1 2, `3 wait` the same and then nothing more, `3 taken` and `3 crash` an error in the end.

        `3 x 1000` makes each message as long as that.
        """
        many, _, rest = request.value.partition(" ")
        word, _, size = rest.partition(" ")
        await self._count(waiting=1)
        try:
            for number in range(int(many)):
                ctx.response_headers.set("acme-began", "yes") if number == 0 else None
                self.counted += 1
                yield StringValue(value=str(number) + "x" * int(size or 0))
            ctx.response_trailers.set("acme-counted", many)
            ctx.response_trailers.set("acme-raw-bin", bytes((0, 255)))
            match word:
                case "wait":
                    await self.release.wait()
                case "taken":
                    raise Taken(StringValue(value="ann"))
                case "crash":
                    raise RuntimeError(SECRET)
                case "wrong":
                    yield BoolValue(value=True)  # type: ignore[misc]
                case _:
                    pass
        except asyncio.CancelledError:
            await self._count(cancelled=1)
            raise
        finally:
            await self._count(waiting=-1)

    async def look(self, request: StringValue, ctx: Context) -> StringValue:
        return request

    async def metadata(self, request: StringValue, ctx: Context) -> StringValue:
        """Sends the `acme-` metadata back, as headers and as trailers; fails when the request says so."""
        for name, value in ctx.request_headers:
            if name.endswith("-bin"):
                ctx.response_headers.add(name, ctx.request_headers.get_bytes(name) or b"")
            elif name.startswith("acme-"):
                ctx.response_headers.add(name, value)
                ctx.response_trailers.add(name, value)
        if request.value == "reserved":
            ctx.response_headers.set("Content-Length", "5")
        if request.value == "fail":
            raise RpcError(Code.ABORTED, "as asked")
        return request

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition on `waiting` and `cancelled`."""
        async with self.changed:
            await self.changed.wait_for(condition)

    async def _count(self, waiting: int = 0, cancelled: int = 0) -> None:
        self.waiting += waiting
        self.cancelled += cancelled
        async with self.changed:
            self.changed.notify_all()


class Tokens:
    """An Authenticator over a dictionary."""

    def __init__(self) -> None:
        self.known = dict(TOKENS)
        self.asked = 0
        self.failure: Exception | None = None

    async def authenticate(self, token: str) -> Identity | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.known.get(token)


@dataclass
class Served:
    gateway: Gateway
    dispatcher: Dispatcher
    handler: Handler
    tokens: Tokens
    address: Address
    log: io.StringIO
    sockets: list[RawSocket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.address.port

    async def post(
        self, path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None, **more: Any
    ) -> Response:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return await request(self.port, "POST", f"/{path}", headers, body, **more)

    async def socket(self, wire: Wire = PROTO_WIRE, token: str | None = "alice", **more: Any) -> RawSocket:
        """A connection that has said hello, unless the token is None."""
        socket = await RawSocket.open(self.port, wire, **more)
        self.sockets.append(socket)
        if token is not None:
            socket.send(Hello(token, "phone", "test"))
            assert isinstance(await socket.frame(), Welcome)
        return socket


@contextlib.asynccontextmanager
async def serving(
    checks: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    hub: PushHub | None = None,
    attempts: Attempts | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    log = io.StringIO()
    configure_logging("json", "debug", log)
    limits = GatewaySettings(**{"port": 0, "drain_timeout_ms": 0, "drain_grace_ms": 0, **settings})
    connections = Connections()
    handler, tokens = Handler(connections), Tokens()
    dispatcher = Dispatcher([handler], tokens, settings=limits, attempts=attempts)
    gateway = Gateway(dispatcher, limits, checks, connections, hub)
    served = Served(gateway, dispatcher, handler, tokens, await gateway.start(), log)
    try:
        yield served
    finally:
        for socket in served.sockets:
            await socket.close()
        await gateway.drain()


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


async def request(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Response:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = {"Host": f"127.0.0.1:{port}", "Connection": "close", **(headers or {})}
        if body is not None:
            head.setdefault("Content-Length", str(len(body)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b""))
        return await read_response(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def read_response(reader: asyncio.StreamReader) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        return Response(status, headers, await read_chunks(reader))
    return Response(status, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


class Closed(Exception):
    """The server closed the connection; `code` is None without a close frame."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code


class RawSocket:
    """A WebSocket client that can also do what it must not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire, head: str) -> None:
        self.reader = reader
        self.writer = writer
        self.wire = wire
        self.head = head

    @classmethod
    async def open(
        cls, port: int, wire: Wire = PROTO_WIRE, subprotocols: str | None = None, origin: str | None = None
    ) -> RawSocket:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        offered = wire.subprotocol if subprotocols is None else subprotocols
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Extensions: permessage-deflate",
            *([f"Sec-WebSocket-Protocol: {offered}"] if offered else []),
            *([f"Origin: {origin}"] if origin else []),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return cls(reader, writer, wire, head)

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def raw(self, first_byte: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((first_byte, 0x80 | size))
        elif size < 1 << 16:
            head = struct.pack("!BBH", first_byte, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", first_byte, 0x80 | 127, size)
        self.writer.write(head + b"\0\0\0\0" + payload)

    def send(self, frame: ClientFrame) -> None:
        self.raw(0x82 if self.wire.binary else 0x81, self.wire.to_server(frame))

    def call(self, call_id: str, method: Method[Any, Any], value: str = "", timeout_ms: int = 0, key: str = "") -> None:
        payload = self.wire.codec.encode(StringValue(value=value))
        self.send(Call(call_id, method.path, payload, timeout_ms, key))

    def cancel(self, call_id: str) -> None:
        self.send(Cancel(call_id))

    async def message(self) -> tuple[int, bytes]:
        """The next message: first byte and payload. Raises Closed."""
        try:
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed(None) from error
        if first & 0x0F == 8:
            raise Closed(int.from_bytes(payload[:2]) if payload else None, payload[2:].decode())
        return first, payload

    async def frame(self) -> ServerFrame:
        first, payload = await self.message()
        return self.wire.from_server(payload.decode() if first == 0x81 else payload)

    async def reply(self) -> Reply:
        frame = await self.frame()
        assert isinstance(frame, Reply), frame
        return frame

    async def value(self) -> tuple[str, str]:
        """Id and text of the next reply, which must be no error."""
        reply = await self.reply()
        assert reply.error is None, reply.error
        return reply.id, self.wire.codec.decode(StringValue, reply.response).value

    async def error(self) -> tuple[str, Code]:
        reply = await self.reply()
        assert reply.error is not None
        return reply.id, reply.error.code

    async def closed(self) -> int | None:
        """The close code, when the server closes next; goodbyes may come before."""
        try:
            while isinstance(await self.frame(), Goodbye):
                pass
        except Closed as closed:
            return closed.code
        raise AssertionError("another frame came before the close")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
