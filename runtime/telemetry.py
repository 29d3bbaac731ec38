"""Traces with OpenTelemetry: a span for each call, and one beneath it for each SQL statement.

Imported only where traces are on. Source of names and attributes: https://opentelemetry.io/docs/specs/semconv/rpc/
and https://opentelemetry.io/docs/specs/semconv/database/. No span holds a request, an answer, the text of an error or
of a statement: they may hold secrets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any, cast

from runtime.rpc.errors import Code
from runtime.rpc.metadata import CallMetadata
from runtime.rpc.tracing import NoTraces

_EXTRA = "install the extra `otel` of sun-framework"
_SERVER_FAULTS = frozenset(
    code.text
    for code in (
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.UNIMPLEMENTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    )
)


class Telemetry:
    """Traces of one process. A Tracer of the dispatcher, and an observer of SQL statements.

    What is sampled, and where the exporter sends it, OpenTelemetry's own variables say (`OTEL_TRACES_SAMPLER`,
    `OTEL_EXPORTER_OTLP_ENDPOINT`, …): https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """

    def __init__(self, provider: Any) -> None:
        """`provider` is an opentelemetry.sdk TracerProvider. Raises NoTraces."""
        try:
            from opentelemetry import context, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise NoTraces(f"{error}: {_EXTRA}") from error
        self._provider = provider
        self._tracer: Any = provider.get_tracer("sun")
        self._context: Any = context
        self._trace: Any = trace
        self._propagator: Any = TraceContextTextMapPropagator()

    def begin(self, method: str, transport: str, metadata: CallMetadata) -> _Span:
        """A span of a call, made the current one."""
        parent = None
        if traceparent := metadata.request.get("traceparent"):
            carrier = {"traceparent": traceparent, "tracestate": metadata.request.get("tracestate") or ""}
            parent = self._propagator.extract(carrier)
        service, _, name = method.partition("/")
        attributes = {
            "rpc.system": "connect_rpc",
            "rpc.service": service,
            "rpc.method": name,
            "sun.transport": transport,
        }
        span = self._tracer.start_span(method, parent, self._trace.SpanKind.SERVER, attributes)
        token = self._context.attach(self._trace.set_span_in_context(span, parent))
        return _Span(self, span, token)

    def end(self, span: Any, token: Any, code: str) -> None:
        self._context.detach(token)
        if span.is_recording():
            if code != "ok":
                span.set_attribute("rpc.connect_rpc.error_code", code)
            if code in _SERVER_FAULTS:
                span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end()

    def statement_finished(self, table: str, kind: str, seconds: float, rows: int, error: BaseException | None) -> None:
        """A statement ended, in the context of the call that ran it; see `runtime.sql.watch.Observer`."""
        if not self._trace.get_current_span().is_recording():
            return
        now = time.time_ns()
        attributes: dict[str, Any] = {"db.operation.name": kind, "db.collection.name": table}
        if kind in ("select", "stream"):
            attributes["db.response.returned_rows"] = rows
        began = now - int(seconds * 1_000_000_000)
        span = self._tracer.start_span(
            f"{kind} {table}", None, self._trace.SpanKind.CLIENT, attributes, start_time=began
        )
        if error is not None:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end(now)

    def close(self) -> None:
        """Exports what is left. Blocks, at most for some seconds."""
        with suppress(Exception):
            self._provider.shutdown()


class _Span:
    __slots__ = ("_span", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, span: Any, token: Any) -> None:
        self._telemetry = telemetry
        self._span = span
        self._token = token

    def end(self, code: str) -> None:
        self._telemetry.end(self._span, self._token, code)


def exporting(exporter: str) -> Telemetry:
    """Traces that this exporter takes, by its OpenTelemetry name: `console`, `otlp_proto_http`, … Raises NoTraces."""
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NoTraces(f"traces: {error}: {_EXTRA}") from error
    known = entry_points(group="opentelemetry_traces_exporter")
    found = next(iter(known.select(name=exporter)), None)
    if found is None:
        names = ", ".join(sorted(known.names))
        raise NoTraces(f"traces: no exporter {exporter!r} is installed; there are {names}")
    make = cast("Callable[[], Any]", found.load())
    # The SDK calls a service without a name unknown_service.
    attributes = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "sun"}
    provider = TracerProvider(resource=Resource.create(attributes))
    provider.add_span_processor(BatchSpanProcessor(make()))
    return Telemetry(provider)
