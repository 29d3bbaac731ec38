"""SQLite in asyncio: short reads on the event loop, other reads on threads, writes on one thread with group commit."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from runtime.sql.database import DEFAULT, How, Part, Session
from runtime.sql.dialects import SQLITE
from runtime.sql.engines import sqlite
from runtime.sql.errors import Conflict, SqlError, Unavailable
from runtime.sql.pool import Pool
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import SqliteUrl
from runtime.sql.waiting import GRACE_S, Line, Waiter, uninterrupted

T = TypeVar("T")

GROUP = 256
"""Writes that may share one COMMIT, and so one flush."""


async def open_sqlite(url: SqliteUrl) -> SqliteEngine:
    """An engine over the file of this URL, which is made where it is missing. Raises Unavailable."""
    file = sqlite.File(url)
    try:
        connections = await asyncio.to_thread(_open_all, file, url.readers)
    except BaseException:
        file.close()
        raise
    return SqliteEngine(url, file, *connections)


def _open_all(
    file: sqlite.File, readers: int
) -> tuple[sqlite3.Connection, sqlite3.Connection, list[sqlite3.Connection]]:
    opened: list[sqlite3.Connection] = []
    try:
        opened.append(file.open(writes=True))
        opened.append(file.open(writes=False, busy_timeout_ms=0))  # the event loop never sleeps on a lock
        opened.extend(file.open(writes=False) for _ in range(readers))
    except BaseException:
        for connection in opened:
            connection.close()
        raise
    return opened[0], opened[1], opened[2:]


class _Workers:
    """Threads that own a connection each and do the jobs they are given, in order. Closed by `close` only."""

    def __init__(self, name: str, connections: Sequence[sqlite3.Connection]) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = [
            threading.Thread(target=self._work, args=(connection,), name=name, daemon=True)
            for connection in connections
        ]
        self._stopped = False
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """What the job returns or raises. Cancelling the future does not stop a job.

        Raises Unavailable after `stop`.
        """
        if self._stopped:
            raise Unavailable("the database was closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, future))
        return future

    def stop(self) -> None:
        """End every thread after the jobs it was given; its connection is closed, which rolls back."""
        self._stopped = True
        for _ in self._threads:
            self._jobs.put(None)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _work(self, connection: sqlite3.Connection) -> None:
        with contextlib.closing(connection):
            while (item := self._jobs.get()) is not None:
                job, future = item
                try:
                    tell = partial(_succeed, future, job(connection))
                except BaseException as error:  # noqa: BLE001 - it is raised where the job is awaited
                    tell = partial(_fail, future, error)
                with contextlib.suppress(RuntimeError):  # the event loop is closed, nobody waits
                    self._loop.call_soon_threadsafe(tell)
                del item, job, future, tell


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class _Snapshot:
    """A reading connection with its own thread, for whoever needs one across several statements; kept in a Pool."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._workers = _Workers("sqlite-snapshot", [connection])
        self._dead = False
        self.idle_since = 0.0

    @classmethod
    async def open(cls, file: sqlite.File) -> _Snapshot:
        opening = asyncio.ensure_future(asyncio.to_thread(file.open, writes=False))
        try:
            return cls(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_result)
            raise

    async def submit(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """What the job returns. One who is cancelled leaves a connection that is used no more."""
        try:
            return await self._workers.submit(job)
        except asyncio.CancelledError:
            self.kill()
            raise

    def broken(self) -> bool:
        return self._dead

    async def alive(self) -> bool:
        return True

    def kill(self) -> None:
        if not self._dead:
            self._dead = True
            self._connection.interrupt()  # a statement under way ends; nobody wants its rows
            self._workers.stop()

    async def quit(self) -> None:
        self.kill()
        await asyncio.to_thread(self._workers.join)


def _close_result(opening: asyncio.Future[sqlite3.Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _ReadSession:
    """A read-only transaction: a snapshot of the file, beside which others write."""

    def __init__(self, pool: Pool[_Snapshot], link: _Snapshot) -> None:
        self._pool = pool
        self._link = link

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return await self._link.submit(lambda connection: sqlite.read(connection, statement, params))

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        return [await self.execute(statement, params) for statement, params in parts]

    async def command(self, text: str) -> None:
        await self._link.submit(lambda connection: sqlite.command(connection, text))

    async def commit(self) -> None:
        await self.rollback()

    async def rollback(self) -> None:
        try:
            if not self._link.broken():
                await self._link.submit(sqlite.rollback)
        except SqlError:
            self._link.kill()
        finally:
            self._pool.release(self._link)


class _Write(Waiter):
    """One or several statements, all or none, that wait for the writer; several writes share a commit."""

    __slots__ = ("error", "outcomes", "parts")

    def __init__(self, loop: asyncio.AbstractEventLoop, parts: Sequence[Part]) -> None:
        super().__init__(loop)
        self.parts = parts
        self.outcomes: list[Outcome | None] = []
        self.error: BaseException | None = None


def _commit_group(group: Sequence[_Write], connection: sqlite3.Connection) -> None:
    """Run writes in one transaction. One that fails is undone alone; when the transaction fails, all do."""
    try:
        sqlite.command(connection, "BEGIN IMMEDIATE")
        for write in group:
            try:
                write.outcomes = sqlite.run_all(connection, write.parts)
            except Exception as error:  # its caller gets it, the others are not concerned
                write.error = error
                if not connection.in_transaction:  # a full disk, for one, ends the whole transaction
                    raise
        sqlite.commit(connection)
    except Exception as error:  # noqa: BLE001 - each caller gets it
        with contextlib.suppress(SqlError):
            sqlite.rollback(connection)
        for write in group:
            write.error = write.error or error


class _Session:
    """A transaction that has the writer to itself."""

    def __init__(self, engine: SqliteEngine, writer: _Workers) -> None:
        self._engine = engine
        self._writer = writer

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return await self._writer.submit(lambda connection: _inside(connection, [(statement, params)])[0])

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        return await self._writer.submit(lambda connection: _inside(connection, parts))

    async def command(self, text: str) -> None:
        await self._writer.submit(lambda connection: sqlite.command(connection, text))

    async def commit(self) -> None:
        try:
            await self._writer.submit(sqlite.commit)
        finally:
            self._engine.next()

    async def rollback(self) -> None:
        try:
            with contextlib.suppress(SqlError):
                await self._writer.submit(sqlite.rollback)
        finally:
            self._engine.next()


def _inside(connection: sqlite3.Connection, parts: Sequence[Part]) -> list[Outcome | None]:
    try:
        return sqlite.run_all(connection, parts)
    except SqlError as error:
        if not connection.in_transaction:
            raise Conflict(f"SQLite ended the transaction: {error}") from error
        raise


class SqliteEngine:
    """One file.

    Whoever writes stands in one line, in order of arrival: writes by themselves, and whole transactions.
    """

    dialect = SQLITE

    def __init__(
        self,
        url: SqliteUrl,
        file: sqlite.File,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        readers: Sequence[sqlite3.Connection],
    ) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._reader = reader  # for the event loop
        self._writer = _Workers("sqlite-writer", [writer])
        self._readers = _Workers("sqlite-reader", readers)
        seconds = url.acquire_timeout_ms / 1000
        self._snapshots: Pool[_Snapshot] = Pool(
            lambda: _Snapshot.open(file), size=url.snapshots, timeout=seconds, place=file.path
        )
        message = f"{file.path}: the SQLite writer was not free for {seconds:g} s: another transaction holds it"
        self._line: Line[Waiter] = Line(self._loop, seconds, message)
        self._busy = False  # a group of writes or a transaction has the writer
        self._unused = asyncio.Event()
        self._unused.set()
        self._holder: asyncio.Task[Any] | None = None  # the task whose transaction has it
        self._closed = False

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        if statement.writes:
            return (await self.execute_all([(statement, params)]))[0]
        if self._closed:
            raise self._closed_error()
        if statement.short:
            # Each statement takes a snapshot and lets it go with its last row, so this sees every acknowledged write.
            try:
                return sqlite.read(self._reader, statement, params)
            except Conflict:  # locked for a moment, while another process recovers the log
                pass
        return await self._readers.submit(lambda connection: sqlite.read(connection, statement, params))

    def waited(self) -> float:
        return 0.0  # who reads waits for nobody; the line of writers has a time limit of its own

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        write = _Write(self._loop, parts)
        self._enter(write)
        return await write.future

    async def begin(self, how: How = DEFAULT) -> Session:
        return await (self._begin_reading() if how.read_only else self._begin_writing())

    async def _begin_reading(self) -> _ReadSession:
        link = await self._snapshots.acquire()
        try:
            await link.submit(lambda connection: sqlite.command(connection, "BEGIN"))
        except BaseException:
            self._snapshots.discard(link)
            raise
        return _ReadSession(self._snapshots, link)

    async def stream(
        self, statement: Statement[Any], params: tuple[Any, ...], batch: int
    ) -> AsyncGenerator[Rows, None]:
        """The rows, `batch` at a time, from a connection that is held until the end. Raises SqlError."""
        link = await self._snapshots.acquire()
        try:
            cursor = await link.submit(lambda connection: sqlite.cursor(connection, statement, params))
            rows = await link.submit(lambda connection: sqlite.fetch(connection, cursor, statement, batch))
            while rows:
                yield rows
                rows = await link.submit(lambda connection: sqlite.fetch(connection, cursor, statement, batch))
        except BaseException:  # its end was not reached, so that it still reads
            self._snapshots.discard(link)
            raise
        self._snapshots.release(link)

    async def _begin_writing(self) -> _Session:
        await self._turn()
        session = _Session(self, self._writer)
        try:
            await uninterrupted(self._begin())
        except BaseException:
            await session.rollback()
            raise
        self._holder = asyncio.current_task()
        return session

    async def _begin(self) -> None:
        await self._writer.submit(lambda connection: sqlite.command(connection, "BEGIN IMMEDIATE"))

    async def _turn(self) -> None:
        """Wait until the writer is the caller's, who calls `next` afterwards."""
        waiter = Waiter(self._loop)
        self._enter(waiter)
        try:
            await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.next()
            raise

    def _enter(self, waiter: Waiter) -> None:
        if self._closed:
            raise self._closed_error()
        if self._holder is not None and self._holder is asyncio.current_task():
            raise RuntimeError(
                "this task's transaction holds SQLite's one writer: run the query with `tx.run`, or after it"
            )
        self._line.add(waiter)
        if not self._busy:
            self.next()

    def next(self) -> None:
        """The writer is free: the first in line gets it, and the writes right behind a write join it."""
        self._holder = None
        first = self._line.take()
        self._busy = first is not None
        if first is None:
            self._unused.set()
        else:
            self._unused.clear()
        if isinstance(first, _Write):
            group = [first]
            while len(group) < GROUP and isinstance(write := self._line.first(), _Write):
                self._line.take()
                group.append(write)
            self._writer.submit(partial(_commit_group, group)).add_done_callback(lambda _: self._written(group))
        elif first is not None:
            first.future.set_result(None)

    def _written(self, group: Sequence[_Write]) -> None:
        for write in group:
            if write.error is not None:
                _fail(write.future, write.error)
            else:
                _succeed(write.future, write.outcomes)
        self.next()

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        await self._turn()
        try:
            await uninterrupted(self._create(scripts))
        finally:
            self.next()

    async def _create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        await self._writer.submit(lambda connection: sqlite.create(connection, scripts))

    async def ping(self) -> None:
        if self._closed:
            raise self._closed_error()
        await self._readers.submit(lambda connection: sqlite.command(connection, "SELECT 1"))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._line.close(self._closed_error())
        with contextlib.suppress(TimeoutError):  # what is under way may end first
            await asyncio.wait_for(self._unused.wait(), GRACE_S)
        await self._snapshots.close()
        self._readers.stop()
        self._writer.stop()
        self._reader.close()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        self._readers.join()
        self._writer.join()
        self._file.close()

    def _closed_error(self) -> Unavailable:
        return Unavailable(f"{self._file.path}: the database was closed")
