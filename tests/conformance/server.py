"""A server for the Connect conformance runner: reads what is wanted on stdin, serves it, writes where on stdout.

Run by run.py. Source: https://github.com/connectrpc/conformance/blob/main/docs/testing_servers.md
"""

from __future__ import annotations

import asyncio
import base64
import signal
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

import uvloop
from google.protobuf import any_pb2

from runtime.logs import configure_logging
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.errors import Code, Detail, RpcError
from runtime.rpc.metadata import ResponseMetadata
from runtime.rpc.server import Gateway
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from tests.conformance.messages import load, message

_NAME = "connectrpc.conformance.v1.ConformanceService"
_MAX_TIMEOUT_MS = 600_000


def _method(name: str, attribute: str, **more: Any) -> Method[Any, Any]:
    request, response = message(f"{name}Request"), message(f"{name}Response")
    return Method(f"{_NAME}/{name}", attribute, request, response, Callers.ANYONE, **more)


class Conformance(Service):
    """Answers as the requests say."""

    service_name = _NAME

    async def unary(self, request: Any, ctx: Context) -> Any:
        return message("UnaryResponse")(payload=await _payload(request, ctx))

    async def idempotent_unary(self, request: Any, ctx: Context) -> Any:
        return message("IdempotentUnaryResponse")(payload=await _payload(request, ctx))

    async def unimplemented(self, request: Any, ctx: Context) -> Any:
        raise RpcError(Code.UNIMPLEMENTED, "not written")

    async def server_stream(self, request: Any, ctx: Context) -> AsyncIterator[Any]:
        definition = request.response_definition
        _describe(definition, ctx)
        info = _info(request, ctx)
        for data in definition.response_data:
            await asyncio.sleep(definition.response_delay_ms / 1000)
            yield message("ServerStreamResponse")(payload={"data": data, "request_info": info})
            info = None
        if definition.HasField("error"):
            raise _error(definition.error, info)


async def _payload(request: Any, ctx: Context) -> Any:
    definition = request.response_definition
    _describe(definition, ctx)
    await asyncio.sleep(definition.response_delay_ms / 1000)
    info = _info(request, ctx)
    if definition.HasField("error"):
        raise _error(definition.error, info)
    return message("ConformancePayload")(data=definition.response_data, request_info=info)


def _describe(definition: Any, ctx: Context) -> None:
    _copy(definition.response_headers, ctx.response_headers)
    _copy(definition.response_trailers, ctx.response_trailers)


def _copy(headers: Iterable[Any], into: ResponseMetadata) -> None:
    for header in headers:
        for value in header.value:
            binary = header.name.lower().endswith("-bin")
            into.add(header.name, base64.b64decode(value + "=" * (-len(value) % 4)) if binary else value)


def _info(request: Any, ctx: Context) -> Any:
    values: dict[str, list[str]] = {}
    for name, value in ctx.request_headers:
        values.setdefault(name, []).append(value)
    timeout = ctx.request_headers.get("connect-timeout-ms")
    packed = any_pb2.Any()
    packed.Pack(request)
    header = message("Header")
    return message("ConformancePayload.RequestInfo")(
        request_headers=[header(name=name, value=value) for name, value in values.items()],
        timeout_ms=None if timeout is None else int(timeout),
        requests=[packed],
    )


def _error(error: Any, info: Any) -> RpcError:
    details = [Detail(each.type_url.rpartition("/")[2], each.value) for each in error.details]
    if info is not None:
        details.append(Detail(info.DESCRIPTOR.full_name, info.SerializeToString()))
    return RpcError(Code.from_number(error.code), error.message, details)


def _read() -> Any:
    (size,) = struct.unpack("!I", sys.stdin.buffer.read(4))
    return message("ServerCompatRequest").FromString(sys.stdin.buffer.read(size))


def _write(answer: Any) -> None:
    data = answer.SerializeToString()
    sys.stdout.buffer.write(struct.pack("!I", len(data)) + data)
    sys.stdout.buffer.flush()


async def _serve(wanted: Any) -> None:
    more = {"max_message_bytes": wanted.message_receive_limit} if wanted.message_receive_limit else {}
    settings = GatewaySettings(
        port=0, drain_timeout_ms=0, drain_grace_ms=0, max_timeout_ms=_MAX_TIMEOUT_MS, gzip_min_bytes=0, **more
    )
    gateway = Gateway(Dispatcher([Conformance()], None, settings=settings), settings)
    address = await gateway.start()
    _write(message("ServerCompatResponse")(host=address.host, port=address.port))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await gateway.drain()


def main() -> None:
    configure_logging("console", "warning", sys.stderr)
    load()
    Conformance.methods = (
        _method("Unary", "unary"),
        _method("IdempotentUnary", "idempotent_unary", side_effects=False),
        _method("ServerStream", "server_stream", server_streaming=True),
        _method("Unimplemented", "unimplemented"),
    )
    uvloop.run(_serve(_read()))


if __name__ == "__main__":
    main()
