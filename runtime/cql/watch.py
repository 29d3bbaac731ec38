"""Tells how long requests took: a log line for each at DEBUG, a warning for a slow one, and observers.

Sees what kind of request it was and never its parameters. Runs nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from runtime.cql.statements import Batch, Delete, Insert, Request, Select, Update

log = logging.getLogger("sun.cql")

SLOW_MS = 200
"""Milliseconds from which a request is slow, where the CQL URL says nothing."""

Observer = Callable[[str, str, float, int, BaseException | None], object]
"""Called with table, kind, seconds, rows and what was raised (None for nothing).

`table` is `sun_msg.message`, for a batch that of its first part; `kind` one of KINDS; `rows` those read. The wait for a
place among the requests in flight is in the time; each page counts by itself. Called on the event loop, or in a
SyncDatabase's thread.
"""

KINDS = ("select", "insert", "update", "delete", "batch")

_KINDS = {Select: "select", Insert: "insert", Update: "update", Delete: "delete"}


class Watch:
    """What to tell of requests, and to whom.

    The one who runs a request asks only whether it took `limit` seconds or more: with nobody listening, that is a
    comparison.
    """

    __slots__ = ("_logs", "_observers", "_slow", "limit")

    def __init__(self, slow_ms: int) -> None:
        self._slow = slow_ms / 1000 if slow_ms else float("inf")
        self._observers: tuple[Observer, ...] = ()
        self._logs = log.isEnabledFor(logging.DEBUG)  # asked once: each request would pay for asking again
        self.limit = 0.0 if self._logs else self._slow

    def observe(self, observer: Observer) -> None:
        """Call this after every request, in the order of the calls of this method. What it raises is logged."""
        self._observers += (observer,)
        self.limit = 0.0

    def tell(self, request: Request, seconds: float, rows: int, error: BaseException | None = None) -> None:
        """A request ended."""
        table, kind = _named(request)
        if self._logs:
            failure = "" if error is None else f", {type(error).__name__}"
            log.debug("%s of %s: %.2f ms, %d rows%s", kind, table, seconds * 1000, rows, failure)
        if seconds >= self._slow:
            log.warning("slow %s of %s: %.0f ms, %d rows", kind, table, seconds * 1000, rows)
        for observer in self._observers:
            try:
                observer(table, kind, seconds, rows, error)
            except Exception:
                log.exception("an observer of requests failed")


def _named(request: Request) -> tuple[str, str]:
    if isinstance(request, Batch):
        return request.parts[0].statement.table.name if request.parts else "batch", "batch"
    return request.statement.table.name, _KINDS[type(request.statement)]
