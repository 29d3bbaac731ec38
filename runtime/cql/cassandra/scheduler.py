"""Does later what the driver wants done later, as the next attempt to reach a node; not for requests and their time."""

from __future__ import annotations

import logging
import sched
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from threading import Condition, Thread
from time import monotonic
from typing import Any

log = logging.getLogger("sun.cql")


class Scheduler:
    """Takes the place of `Cluster.scheduler`, which goes by the time of day: where that is set back by an hour, a node
    that is down at that moment is not looked for until the hour has passed.
    """

    def __init__(self, executor: Executor) -> None:
        self.is_shutdown = False
        self._executor = executor
        self._plan = sched.scheduler(monotonic)
        self._unique: set[tuple[Any, ...]] = set()
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="cql-scheduler", daemon=True)
        self._thread.start()

    def schedule(self, delay: float, work: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """Run this in the executor in `delay` seconds."""
        self._put(delay, (work, arguments, tuple(named.items())))

    def schedule_unique(self, delay: float, work: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """The same, unless the same is waiting already."""
        task = (work, arguments, tuple(named.items()))
        with self._changed:
            if task not in self._unique:
                self._unique.add(task)
                self._put(delay, task)

    def shutdown(self) -> None:
        """What waits is not done any more."""
        with self._changed:
            self.is_shutdown = True
            self._changed.notify()
        self._thread.join()

    def _put(self, delay: float, task: tuple[Any, ...]) -> None:
        with self._changed:
            self._plan.enter(delay, 0, self._start, (task,))
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self.is_shutdown:
                self._changed.wait(self._plan.run(blocking=False))

    def _start(self, task: tuple[Any, ...]) -> None:
        self._unique.discard(task)
        work, arguments, named = task
        with suppress(RuntimeError):  # the interpreter ends, and takes no more work
            self._executor.submit(work, *arguments, **dict(named)).add_done_callback(_told)


def _told(done: Future[Any]) -> None:
    if (error := done.exception()) is not None:
        log.warning("what was to be done later failed", exc_info=error)
