"""Spans of calls and statements, as an exporter gets them. Off, nothing of OpenTelemetry is imported."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.tracing import NoTraces
from runtime.rpc.wire import JSON_WIRE, PROTO_WIRE, Call, Hello, Wire
from runtime.sql.database import Database, connect
from runtime.sql.errors import SqlError
from runtime.sql.raw import raw
from runtime.telemetry import Telemetry, exporting
from tests.conftest import ROOT
from tests.rpc.gateways import COUNT, ECHO, FAIL, SECRET, WHO, Handler, RawSocket, Tokens, asynchronous, request

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
JSON = {"Content-Type": "application/json", "Authorization": "Bearer alice"}


class One(msgspec.Struct):
    one: int


class Asking(Handler):
    """Its echo runs two statements, the second of which fails."""

    def __init__(self, db: Database) -> None:
        super().__init__()
        self._db = db

    async def echo(self, request: StringValue, ctx: Context) -> StringValue:
        await self._db.run(raw("SELECT 1", into=One))
        with contextlib.suppress(SqlError):
            await self._db.run(raw("SELECT one FROM missing", into=One))
        return request


@asynccontextmanager
async def traced() -> AsyncIterator[tuple[int, InMemorySpanExporter]]:
    """A gateway's port, and the spans of its calls."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(provider)
    db = await connect("sqlite:///:memory:")
    db.observe(telemetry.statement_finished)
    gateway = Gateway(Dispatcher([Asking(db)], Tokens(), tracer=telemetry), GatewaySettings(port=0, drain_grace_ms=0))
    address = await gateway.start()
    try:
        yield address.port, exporter
    finally:
        await gateway.drain()
        await db.close()
        telemetry.close()


def named(exporter: InMemorySpanExporter, name: str) -> Any:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


@asynchronous
async def test_a_call_over_http_is_a_span_of_its_callers_trace() -> None:
    async with traced() as (port, exporter):
        await request(port, "POST", f"/{ECHO.path}", {**JSON, "traceparent": TRACEPARENT}, b'"hi"')
        span = named(exporter, ECHO.path)
        assert format(span.context.trace_id, "032x") == TRACE
        assert format(span.parent.span_id, "016x") == SPAN
        assert span.kind is SpanKind.SERVER
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes) == {
            "rpc.system": "connect_rpc",
            "rpc.service": "test.v1.TestService",
            "rpc.method": "Echo",
            "sun.transport": "http",
        }


@pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE])
@asynchronous
async def test_a_call_over_the_websocket_too(wire: Wire) -> None:
    async with traced() as (port, exporter):
        socket = await RawSocket.open(port, wire)
        socket.send(Hello("alice", "phone", "test"))
        await socket.frame()
        payload = wire.codec.encode(StringValue(value="hi"))
        socket.send(Call("1", ECHO.path, payload, 0, headers={"traceparent": TRACEPARENT}))
        socket.call("2", WHO, "hi")
        assert {(await socket.value())[0] for _ in range(2)} == {"1", "2"}
        await socket.close()
        assert format(named(exporter, ECHO.path).context.trace_id, "032x") == TRACE
        assert named(exporter, WHO.path).parent is None


@asynchronous
async def test_statements_are_spans_beneath_their_call() -> None:
    async with traced() as (port, exporter):
        await request(port, "POST", f"/{ECHO.path}", JSON, b'"hi"')
        call = named(exporter, ECHO.path)
        statements: list[Any] = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]
        assert [span.attributes["db.operation.name"] for span in statements] == ["select", "select"]
        for span in statements:
            assert span.parent.span_id == call.context.span_id
            assert call.start_time <= span.start_time <= span.end_time <= call.end_time
        assert [span.status.status_code for span in statements] == [StatusCode.UNSET, StatusCode.ERROR]


@pytest.mark.parametrize(
    ("value", "code", "status"), [("taken", "already_exists", "UNSET"), ("x", "internal", "ERROR")]
)
@asynchronous
async def test_a_failure_is_its_code_and_no_word_of_it(value: str, code: str, status: str) -> None:
    async with traced() as (port, exporter):
        await request(port, "POST", f"/{FAIL.path}", JSON, json.dumps(value).encode())
        span = named(exporter, FAIL.path)
        assert span.attributes["rpc.connect_rpc.error_code"] == code
        assert span.status.status_code.name == status
        assert SECRET not in span.to_json()
        assert "alice" not in span.to_json()


@asynchronous
async def test_a_stream_is_one_span_and_a_wrong_parent_none() -> None:
    async with traced() as (port, exporter):
        body = b'\0\0\0\0\x03"3"'
        await request(
            port,
            "POST",
            f"/{COUNT.path}",
            {"Content-Type": "application/connect+json", "traceparent": "00-x-y-01"},
            body,
        )
        assert named(exporter, COUNT.path).parent is None
        await request(port, "POST", "/no.Such/Method", JSON, b"{}")
        assert len(exporter.get_finished_spans()) == 1, "what a client makes up is no span's name"


def test_an_exporter_that_is_not_there_is_named() -> None:
    with pytest.raises(NoTraces, match=r"no exporter 'carrier_pigeon' is installed; there are .*console"):
        exporting("carrier_pigeon")


def test_what_is_off_is_not_imported() -> None:
    code = (
        "import sun, sys, runtime.bundle, runtime.supervisor; print([m for m in sys.modules if 'opentelemetry' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
