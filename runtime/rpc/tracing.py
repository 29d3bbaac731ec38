"""What the dispatcher asks of whoever traces calls; runtime/telemetry.py does it with OpenTelemetry."""

from __future__ import annotations

from typing import Protocol

from runtime.rpc.metadata import CallMetadata


class Span(Protocol):
    """One call that is traced."""

    def end(self, code: str) -> None:
        """The call ended: with `ok` or the name of an error code. In the context in which it began."""
        ...


class Tracer(Protocol):
    """Begins spans. Neither sees a request, an answer or the text of an error: they may hold secrets."""

    def begin(self, method: str, transport: str, metadata: CallMetadata) -> Span:
        """A call begins; `metadata` may name the span that it belongs to (W3C Trace Context)."""
        ...


class NoTraces(Exception):
    """Traces were asked for and can't be had; the message is one line that says what to install."""
