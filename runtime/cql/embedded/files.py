"""The SQLite file of a store: its connections, its one writer, and what SQLite's errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator

from runtime.cql.embedded.turns import Turn
from runtime.cql.errors import CqlError, InvalidValue, Timeout, TooManyRequests, Unavailable
from runtime.cql.statements import Outcome
from runtime.sql.engines import sqlite
from runtime.sql.errors import SqlError
from runtime.sql.urls import SqliteUrl

GROUP = 256
"""Writes that may share one COMMIT, and so one flush."""

WAITING = 16_384
"""Writes that may wait for the writer."""


class File:
    """One SQLite file, or with no path a folder of its own, gone at `close`."""

    def __init__(self, path: str | None) -> None:
        try:
            self._file = sqlite.File(SqliteUrl(path))
        except SqlError as error:
            raise Unavailable(str(error)) from error
        self.path = self._file.path

    def open(self, *, writes: bool, busy_timeout_ms: int | None = None) -> sqlite3.Connection:
        """A connection that any one thread at a time may use. Raises Unavailable."""
        try:
            return self._file.open(writes=writes, busy_timeout_ms=busy_timeout_ms)
        except SqlError as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        self._file.close()


def failure(path: str, error: BaseException) -> CqlError:
    """The typed error (https://www.sqlite.org/rescode.html)."""
    if isinstance(error, CqlError):
        return error
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_INTERRUPT:
        return Timeout(f"{path}: the rows were not read within the time limit")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{path}: another process holds the file: {error}")
    if primary == sqlite3.SQLITE_TOOBIG or isinstance(error, OverflowError):
        return InvalidValue(f"{path}: {error}")
    return Unavailable(f"{path}: {error}")


class Readers:
    """Connections that read, each used by one at a time; opened when all are in use."""

    def __init__(self, file: File, busy_timeout_ms: int | None = None) -> None:
        self._file = file
        self._busy_timeout_ms = busy_timeout_ms
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextlib.contextmanager
    def snapshot(self) -> Generator[sqlite3.Connection]:
        """A connection inside a transaction, so that all it reads is of one moment. Raises CqlError."""
        connection = self.take()
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise failure(self._file.path, error) from error
        finally:
            self.give(connection)

    def take(self) -> sqlite3.Connection:
        """Raises Unavailable."""
        if self._closed:
            raise closed(self._file.path)
        try:
            return self._idle.pop()
        except IndexError:
            return self._file.open(writes=False, busy_timeout_ms=self._busy_timeout_ms)

    def give(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


def closed(path: str) -> Unavailable:
    return Unavailable(f"{path}: the store was closed")


Work = Callable[[Turn], Outcome]


class Job:
    """Something to write, and what came of it. `future` is where it is told in asyncio."""

    __slots__ = ("error", "future", "is_done", "loop", "outcome", "work")

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Outcome] | None = None if loop is None else loop.create_future()
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.is_done = False

    def is_wanted(self) -> bool:
        return self.future is None or not self.future.done()

    def tell(self) -> None:
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif self.outcome is not None:
            self.future.set_result(self.outcome)


class Writer:
    """The one connection that writes. Writes that wait are done together, in order, in one transaction.

    Who has the connection does the writes of all who wait: threads that call `run` do, and for asyncio a thread of the
    writer's own. `begin` makes the turn of a transaction.
    """

    def __init__(self, file: File, connection: sqlite3.Connection, begin: Callable[[sqlite3.Connection], Turn]) -> None:
        self._path = file.path
        self._connection = connection
        self._begin = begin
        self._waiting: deque[Job] = deque()
        self._lock = threading.Lock()
        self._entering = threading.Lock()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Work, seconds: float | None = None) -> Outcome:
        """Do it now, in this thread or another's; the writer is waited for so long at most. Raises CqlError."""
        job = Job(work)
        self._enter(job)
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            with contextlib.suppress(ValueError):
                self._waiting.remove(job)
            raise Timeout(f"{self._path}: the writer was not free for {seconds:g} s")
        try:
            while not job.is_done:
                self._write_group()
        finally:
            self._lock.release()
        if job.error is not None:
            raise job.error
        assert job.outcome is not None
        return job.outcome

    async def submit(self, work: Work, seconds: float | None = None) -> Outcome:
        """The same in asyncio. Raises CqlError, Timeout where it is not known whether it is done."""
        job = Job(work, asyncio.get_running_loop())
        assert job.future is not None
        self._enter(job)
        self._wake.put(True)
        if seconds is None:
            return await job.future
        try:
            return await asyncio.wait_for(job.future, seconds)
        except TimeoutError:
            raise Timeout(f"{self._path}: the write was not done within {seconds:g} s") from None

    def _enter(self, job: Job) -> None:
        with self._entering:
            if self._closed:
                raise closed(self._path)
            if len(self._waiting) >= WAITING:
                raise TooManyRequests(f"{self._path}: {WAITING} writes are waiting")
            self._waiting.append(job)
            if job.loop is not None and self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="cql-writer", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while self._wake.get():
            with self._lock:
                if self._waiting:
                    self._write_group()

    def _write_group(self) -> None:
        """Do the writes that wait, up to GROUP, in one transaction. One that fails is undone alone; where the
        transaction fails, all do.
        """
        group: list[Job] = []
        with contextlib.suppress(IndexError):
            while len(group) < GROUP:
                job = self._waiting.popleft()
                if job.is_wanted():
                    group.append(job)
        if not group:
            return
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            turn = self._begin(self._connection)
            for job in group:
                self._do(job, turn)
            run("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                run("ROLLBACK")
            typed = failure(self._path, error)
            for job in group:
                job.error = job.error or typed
            if not isinstance(error, Exception):  # this thread is told to end; what others wait for is undone, too
                raise
        finally:
            self._tell(group)

    def _do(self, job: Job, turn: Turn) -> None:
        run = self._connection.execute
        run("SAVEPOINT one")
        try:
            job.outcome = job.work(turn)
        except Exception as error:
            if not self._connection.in_transaction:  # a full disk, for one, ends the whole transaction
                raise
            job.error = failure(self._path, error) if isinstance(error, sqlite3.Error) else error
            run("ROLLBACK TO one")
        run("RELEASE one")

    def _tell(self, group: list[Job]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in group:
            job.is_done = True
            if job.loop is not None:
                loops.setdefault(job.loop, []).append(job)
        for loop, jobs in loops.items():
            with contextlib.suppress(RuntimeError):  # the event loop is closed, nobody waits
                loop.call_soon_threadsafe(_tell_all, jobs)

    def close(self) -> None:
        """Do what waits, and close the connection."""
        with self._entering:
            self._closed = True
        self._wake.put(False)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            while self._waiting:
                self._write_group()
            self._connection.close()


def _tell_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.tell()
