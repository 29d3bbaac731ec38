"""Names the handler that holds the event loop: a thread sees when the loop no longer turns. It stops nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import structlog

from runtime.metrics import Metrics

_log = structlog.get_logger()


class Watchdog:
    """Watches the loop that starts it. A turn of `threshold_ms` or more is logged while it lasts, with its stack.

    `running` tells the method that a task runs. The thread wakes up twice in a threshold, so that a block of one and a
    half is always seen, and asks the loop to answer; the time until then is what a call waits just now, and goes to the
    metrics.
    """

    def __init__(
        self, threshold_ms: int, running: Callable[[asyncio.Task[Any] | None], str | None], metrics: Metrics
    ) -> None:
        self._threshold = threshold_ms / 1000
        self._running = running
        self._metrics = metrics
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to watch the running loop, which must be this thread's."""
        arguments = (asyncio.get_running_loop(), threading.get_ident())
        self._thread = threading.Thread(target=self._watch, args=arguments, name="loop watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. Must not be called by it."""
        self._stopped.set()
        self._answered.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._stopped.wait(self._threshold / 2):
            self._answered.clear()
            if self._stopped.is_set():
                return  # its answer has just been cleared
            asked = time.perf_counter()
            try:
                loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._answered.wait(self._threshold):
                method = self._report(loop, thread)
                self._answered.wait()
                if not self._stopped.is_set():
                    held_ms = round((time.perf_counter() - asked) * 1000)
                    _log.warning("the event loop turns again", method=method, held_ms=held_ms)
            self._metrics.loop_lag.observe(time.perf_counter() - asked)

    def _report(self, loop: asyncio.AbstractEventLoop, thread: int) -> str | None:
        frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] - documented by that name
        method = self._running(asyncio.current_task(loop))
        # Code and no values: variables hold secrets.
        stack = "".join(traceback.format_stack(frame)).rstrip() if frame is not None else ""
        _log.warning(
            "the event loop is held: no other call goes on; run blocking code with asyncio.to_thread",
            method=method,
            held_ms=round(self._threshold * 1000),
            stack=stack,
        )
        self._metrics.loop_held.labels(method or "none").inc()
        return method
