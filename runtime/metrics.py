"""What the process counts for Prometheus, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from runtime.sql.cache import RowCache

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_MAX_STATEMENTS = 2_000
"""Pairs of table and kind that are told apart: more than any schema has, should raw SQL name its tables at random."""


class Metrics:
    """Label values are bounded: names of the schema, codes, transports; never what a client sends."""

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
        self._draws = Counter("sun_limit_draws", "Draws from rate limits.", ["limit", "result"], registry=self.registry)
        self.statement_finished = _Statements("sun_sql", "SQL statements", self.registry).finished
        self.request_finished = _Statements("sun_cql", "CQL requests", self.registry).finished
        self.refused = Counter("sun_rpc_refused", "Calls refused because there were too many.", registry=self.registry)
        self.loop_lag = Histogram(
            "sun_loop_lag_seconds", "Time until the event loop answers.", buckets=_BUCKETS, registry=self.registry
        )
        self.loop_held = Counter(
            "sun_loop_held", "Times that the event loop was held for too long.", ["method"], registry=self.registry
        )
        # Looking up a labelled child takes a lock and a tuple of strings; a call pays for it once per combination.
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._drawn: dict[tuple[str, bool], Counter] = {}

    def call_finished(self, method: str, code: str, transport: str, seconds: float) -> None:
        """Counts one call. `code` is `ok` or the name of an error code."""
        key = (method, code, transport)
        children = self._children.get(key)
        if children is None:
            children = (self._calls.labels(method, code, transport), self._seconds.labels(method, code))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def limit_drawn(self, limit: str, refused: bool) -> None:
        """Counts one token that a call has drawn, or was refused."""
        child = self._drawn.get((limit, refused))
        if child is None:
            child = self._drawn[limit, refused] = self._draws.labels(limit, "refused" if refused else "drawn")
        child.inc()

    def watch_requests(self, in_flight: Callable[[], int]) -> None:
        """Tells of the CQL requests that are under way."""
        gauge = Gauge("sun_cql_in_flight", "CQL requests under way.", registry=self.registry)
        gauge.set_function(in_flight)

    def watch_cache(self, cache: RowCache) -> None:
        """Tells of a row cache, by table."""
        self.registry.register(_CacheCollector(cache))

    def render(self) -> bytes:
        """The text that Prometheus scrapes, of type CONTENT_TYPE."""
        return generate_latest(self.registry)


class _Statements:
    """Time and failures of statements, by table and kind."""

    def __init__(self, name: str, what: str, registry: CollectorRegistry) -> None:
        labels = ["table", "kind"]
        self._seconds = Histogram(f"{name}_seconds", f"Time of {what}.", labels, buckets=_BUCKETS, registry=registry)
        self._errors = Counter(f"{name}_errors", f"{what} that failed.", [*labels, "error"], registry=registry)
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def finished(self, table: str, kind: str, seconds: float, rows: int, error: BaseException | None) -> None:
        """Counts one statement; an observer of a database. `error` is counted by the name of its class."""
        histogram = self._histograms.get((table, kind))
        if histogram is None:
            if len(self._histograms) >= _MAX_STATEMENTS:
                table, kind = "other", "other"
            histogram = self._seconds.labels(table, kind)
            if table != "other":
                self._histograms[table, kind] = histogram
        histogram.observe(seconds)
        if error is not None:
            self._errors.labels(table, kind, type(error).__name__).inc()


class _CacheCollector(Collector):
    """Reads a cache's own figures whenever it is asked, so that a hit pays for no counter."""

    def __init__(self, cache: RowCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily("sun_cache_rows", "Rows in the row cache.", labels=["table"])
        hits = CounterMetricFamily("sun_cache_hits", "Results given from the row cache.", labels=["table"])
        misses = CounterMetricFamily("sun_cache_misses", "Results loaded for the row cache.", labels=["table"])
        for table, stats in self._cache.stats().items():
            rows.add_metric([table], stats.rows)
            hits.add_metric([table], stats.hits)
            misses.add_metric([table], stats.misses)
        yield from (rows, hits, misses)
