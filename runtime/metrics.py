"""What the process counts for Prometheus, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Label values are bounded: methods of the schema, codes, transports; never what a client sends."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.connections = Gauge("sun_connections", "Open WebSocket connections.", registry=self.registry)
        self.closes = Counter(
            "sun_connection_closes", "WebSocket connections closed by the server.", ["code"], registry=self.registry
        )
        self._calls = Counter(
            "sun_rpc_calls", "Finished calls.", ["method", "code", "transport"], registry=self.registry
        )
        self._seconds = Histogram(
            "sun_rpc_seconds", "Time of finished calls.", ["method", "code"], buckets=_BUCKETS, registry=self.registry
        )
        # Looking up a labelled child takes a lock and a tuple of strings; a call pays for it once per combination.
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    def call_finished(self, method: str, code: str, transport: str, seconds: float) -> None:
        """Counts one call. `code` is `ok` or the name of an error code."""
        key = (method, code, transport)
        children = self._children.get(key)
        if children is None:
            children = (self._calls.labels(method, code, transport), self._seconds.labels(method, code))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus scrapes, of type CONTENT_TYPE."""
        return generate_latest(self.registry)
