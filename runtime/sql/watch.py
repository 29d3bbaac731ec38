"""Tells how long statements took: a log line for each at DEBUG, a warning for a slow one, and observers.

Sees the text of statements and never their parameters. Runs nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from runtime.sql.dialects import Dialect
from runtime.sql.statements import Outcome, Statement

log = logging.getLogger("sun.sql")

SLOW_MS = 200
"""Milliseconds from which a statement is slow, where the SQL URL says nothing."""

Observer = Callable[[str, str, float, int, BaseException | None], object]
"""Called with table, kind, seconds, rows and what was raised (None for nothing).

`table` is `sun.user`, or `transaction` for a commit; `kind` one of KINDS; `rows` those read or written. The wait for
a connection is in the time, except inside a transaction. Called on the event loop, or in a SyncDatabase's thread.
"""

KINDS = ("select", "insert", "update", "delete", "batch", "stream", "commit", "other")

_VERBS = {verb.upper(): verb for verb in ("select", "insert", "update", "delete")}
_SHOWN = 300  # characters of a slow statement


class Watch:
    """What to tell of statements, and to whom.

    The one who runs a statement asks only whether it took `limit` seconds or more: with nobody listening, that is a
    comparison.
    """

    __slots__ = ("_logs", "_observers", "_slow", "limit", "listening")

    def __init__(self, slow_ms: int) -> None:
        self._slow = slow_ms / 1000 if slow_ms else float("inf")
        self._observers: tuple[Observer, ...] = ()
        self._logs = log.isEnabledFor(logging.DEBUG)  # asked once: each statement would pay for asking again
        self.listening = self._logs
        self.limit = 0.0 if self.listening else self._slow

    def observe(self, observer: Observer) -> None:
        """Call this after every statement, in the order of the calls of this method. What it raises is logged."""
        self._observers += (observer,)
        self.listening = True
        self.limit = 0.0

    def tell(
        self,
        statement: Statement[Any],
        dialect: Dialect,
        seconds: float,
        rows: int,
        error: BaseException | None = None,
        kind: str = "",
    ) -> None:
        """A statement ended."""
        if not kind:
            kind = _VERBS.get(statement.text(dialect)[:6], "other")
        self._tell(statement.table, kind, seconds, rows, error)
        if seconds >= self._slow and kind != "stream":  # a stream takes as long as it has rows
            text = statement.text(dialect)
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
            log.warning("slow %s of %s: %.0f ms, %d rows: %s", kind, statement.table, seconds * 1000, rows, shown)

    def tell_commit(self, seconds: float, error: BaseException | None = None) -> None:
        """A COMMIT ended, which is where the engine flushes."""
        self._tell("transaction", "commit", seconds, 0, error)
        if seconds >= self._slow:
            log.warning("slow commit: %.0f ms", seconds * 1000)

    def _tell(self, table: str, kind: str, seconds: float, rows: int, error: BaseException | None) -> None:
        if self._logs:
            failure = "" if error is None else f", {type(error).__name__}"
            log.debug("%s of %s: %.2f ms, %d rows%s", kind, table, seconds * 1000, rows, failure)
        for observer in self._observers:
            try:
                observer(table, kind, seconds, rows, error)
            except Exception:
                log.exception("an observer of statements failed")


def rows_in(outcome: Outcome | None) -> int:
    """Rows that a statement read or wrote."""
    return 0 if outcome is None else len(outcome.rows) or outcome.changed
