"""MariaDB and MySQL in asyncio, over asyncmy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import asyncmy
from asyncmy.cursors import SSCursor
from asyncmy.errors import MySQLError

from runtime.sql.database import DEFAULT, How, Part
from runtime.sql.engines.mysql import (
    CLOSES,
    MAX_PACKET,
    SESSION,
    NotSent,
    create_database,
    dialect_of,
    number_of,
    size_of,
    start_transaction,
    timed_out,
    too_large,
    translate,
    use_database,
)
from runtime.sql.errors import InvalidValue, SqlError, Unavailable, UniqueViolation
from runtime.sql.pool import Pool
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import MysqlUrl

_driver: Any = asyncmy  # its stubs name few types

# CLIENT_FOUND_ROWS: an UPDATE counts the rows it matched, as SQLite does, not those whose values differed.
_FOUND_ROWS = 2

# Prepared statements that a connection keeps: the server neither parses them again nor prints numbers as text.
_PREPARED = 256

# A statement with more parameters, an INSERT of many rows, is sent as text: it comes in too many lengths to keep.
_PREPARED_PARAMETERS = 64


async def open_mysql(url: MysqlUrl) -> MysqlEngine:
    """An engine whose server has answered once. Raises Unavailable."""
    engine = MysqlEngine(url)
    try:
        await engine.ping()
    except BaseException:
        await engine.close()
        raise
    return engine


class _Link:
    """One connection with its one cursor. After a failure of the connection itself it is broken and closed."""

    __slots__ = ("_connection", "_cursor", "_most", "_url", "fresh", "idle_since")

    def __init__(self, url: MysqlUrl, connection: Any) -> None:
        self._url = url
        self._connection = connection
        self._cursor = connection.cursor()
        self._most = 0  # bytes of a statement
        self.idle_since = 0.0
        self.fresh = True  # not used since it was opened

    @classmethod
    async def open(cls, url: MysqlUrl) -> _Link:
        try:
            async with asyncio.timeout(url.connect_timeout_ms / 1000):
                connection = await _driver.connect(
                    host=url.host,
                    port=url.port,
                    unix_socket=url.socket,
                    user=url.user,
                    password=url.password.encode(),  # as text it would be sent in Latin-1
                    charset="utf8mb4",
                    client_flag=_FOUND_ROWS,
                    autocommit=None,
                    stmt_cache_size=_PREPARED,
                    connect_timeout=max(1, url.connect_timeout_ms // 1000 + 1),
                )
                link = cls(url, connection)
                try:
                    for command in (*SESSION, MAX_PACKET):
                        await link.command(command)
                    (link._most,) = await link._cursor.fetchone()
                except BaseException:
                    link.kill()
                    raise
                return link
        except TimeoutError:
            raise timed_out(url) from None
        except MySQLError as error:
            raise translate(url, error, "connect") from error
        except (OSError, RuntimeError, ValueError) as error:  # of a server that speaks something else
            raise Unavailable(f"{url.place}: not a MariaDB or MySQL server: {error}") from error

    async def execute(self, text: str, params: tuple[Any, ...], statement: Statement[Any]) -> Outcome | None:
        cursor = self._cursor
        self.fresh = False
        try:
            if len(params) <= _PREPARED_PARAMETERS:
                await cursor.execute(text, params)
            else:
                await cursor.execute(cursor.mogrify(text, params))
            if statement.writes:
                return Outcome((), cursor.rowcount, cursor.lastrowid)
            return Outcome(await cursor.fetchall())
        except BaseException as error:
            typed = self._failed(error, statement.table)
            if isinstance(typed, Unavailable) and (size := self._size(text, params)) > self._most:
                raise too_large(statement.table, size, self._most) from error
            if isinstance(typed, UniqueViolation) and statement.absorbs_duplicate:
                return None
            if typed is error:
                raise
            raise typed from error

    def _size(self, text: str, params: tuple[Any, ...]) -> int:
        if len(params) <= _PREPARED_PARAMETERS:
            return size_of(params)
        return len(self._cursor.mogrify(text, params).encode(errors="surrogateescape"))

    async def command(self, text: str) -> None:
        """Run a statement without parameters or result. Raises SqlError."""
        try:
            await self._cursor.execute(text)
        except BaseException as error:
            typed = self._failed(error, text.partition("\n")[0][:80])
            if typed is error:
                raise
            raise typed from error

    async def stream(self, text: str, params: tuple[Any, ...], table: str) -> Any:
        """An unbuffered cursor over the rows, for `fetch`."""
        self.fresh = False
        cursor: Any = self._connection.cursor(SSCursor)
        try:
            await cursor.execute(text, params)
        except BaseException as error:
            typed = self._failed(error, table)
            if typed is error:
                raise
            raise typed from error
        return cursor

    async def fetch(self, cursor: Any, table: str, batch: int) -> Rows:
        """The next rows of a stream, none at its end.

        Between two calls nothing is read from the socket: the driver would keep all that the server sends in memory.
        """
        transport = self._connection._transport
        try:
            transport.resume_reading()
            rows = await cursor.fetchmany(batch)
            if rows and not self.broken():
                transport.pause_reading()
        except BaseException as error:
            typed = self._failed(error, table)
            if typed is error:
                raise
            raise typed from error
        return rows

    async def start(self, how: How) -> None:
        for text in start_transaction(how):
            await self.command(text)

    def _failed(self, error: BaseException, table: str) -> BaseException:
        """The typed error.

        Where the connection may be out of step with the server, as after a cancellation, it is closed.
        """
        if isinstance(error, (UnicodeEncodeError, OverflowError)) or _is_unpackable(error):
            return InvalidValue(f"{table}: {error}")  # refused before anything was sent
        typed = translate(self._url, error, table) if isinstance(error, MySQLError) else error
        if not isinstance(typed, SqlError) or isinstance(typed, Unavailable) or number_of(error) in CLOSES:
            self.kill()
        return typed

    def broken(self) -> bool:
        # The driver's own pool asks the same: a stream that the server has closed is seen without a question to it.
        return self._connection._stream_broken

    async def alive(self) -> bool:
        try:
            async with asyncio.timeout(self._url.connect_timeout_ms / 1000):
                await self._connection.ping(reconnect=False)
        except (MySQLError, OSError, TimeoutError):
            return False
        return True

    def kill(self) -> None:
        self._connection.close()

    async def quit(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._connection.ensure_closed()
        except (MySQLError, OSError, TimeoutError, RuntimeError):
            self.kill()


def _is_unpackable(error: BaseException) -> bool:
    return type(error) is ValueError and str(error).startswith("int parameter out of")


class _Session:
    """A transaction on a connection of its own."""

    def __init__(self, pool: Pool[_Link], link: _Link, engine: MysqlEngine) -> None:
        self._pool = pool
        self._link = link
        self._engine = engine

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return await self._link.execute(statement.text(self._engine.dialect), params, statement)

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        await self._link.command("SAVEPOINT sun_batch")
        try:
            outcomes = [await self.execute(statement, params) for statement, params in parts]
        except SqlError:
            if not self._link.broken():
                await self._link.command("ROLLBACK TO SAVEPOINT sun_batch")
            raise
        await self._link.command("RELEASE SAVEPOINT sun_batch")
        return outcomes

    async def command(self, text: str) -> None:
        await self._link.command(text)

    async def commit(self) -> None:
        try:
            await self._link.command("COMMIT")
        except Unavailable as error:
            self._pool.discard(self._link)
            raise Unavailable(f"{error}; whether the transaction was committed is unknown") from error
        except BaseException:
            self._pool.discard(self._link)
            raise
        self._pool.release(self._link)

    async def rollback(self) -> None:
        try:
            if not self._link.broken():
                await self._link.command("ROLLBACK")
        except SqlError:
            self._link.kill()
        except BaseException:
            self._pool.discard(self._link)
            raise
        self._pool.release(self._link)


class MysqlEngine:
    """A pool of connections to one server."""

    def __init__(self, url: MysqlUrl) -> None:
        self._url = url
        self.dialect = dialect_of(url)
        self._pool: Pool[_Link] = Pool(
            lambda: _Link.open(url), size=url.pool_size, timeout=url.acquire_timeout_ms / 1000, place=url.place
        )

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        text = statement.text(self.dialect)
        pool = self._pool
        link = pool.take() or await pool.acquire()
        fresh = link.fresh
        try:
            return await link.execute(text, params, statement)
        except Unavailable as error:
            # A connection that the server closed while it was idle says nothing of the server: what changes nothing, or
            # was never sent, is tried once more.
            if fresh or (statement.writes and not isinstance(error, NotSent)):
                raise
            pool.forget_idle()
        finally:
            pool.release(link)
        link = await pool.acquire()
        try:
            return await link.execute(text, params, statement)
        finally:
            pool.release(link)

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        if len(parts) == 1:
            return [await self.execute(*parts[0])]
        session = await self.begin()
        try:
            outcomes = [await session.execute(statement, params) for statement, params in parts]
        except BaseException:
            await session.rollback()
            raise
        await session.commit()
        return outcomes

    async def stream(
        self, statement: Statement[Any], params: tuple[Any, ...], batch: int
    ) -> AsyncGenerator[Rows, None]:
        """The rows, `batch` at a time, from a connection that is held until the end. Raises SqlError."""
        text, table, pool = statement.text(self.dialect), statement.table, self._pool
        link = pool.take() or await pool.acquire()
        fresh = link.fresh
        try:
            cursor = await link.stream(text, params, table)
        except Unavailable:
            pool.release(link)
            if fresh:
                raise
            pool.forget_idle()
            link = await pool.acquire()
            try:
                cursor = await link.stream(text, params, table)
            except BaseException:
                pool.release(link)
                raise
        except BaseException:
            pool.release(link)
            raise
        try:
            while rows := await link.fetch(cursor, table, batch):
                yield rows
        except SqlError:  # the server ended it; a connection that is lost is closed already
            pool.release(link)
            raise
        except BaseException:  # rows that nobody wants are still under way
            pool.discard(link)
            raise
        pool.release(link)

    async def begin(self, how: How = DEFAULT) -> _Session:
        pool = self._pool
        link = pool.take() or await pool.acquire()
        fresh = link.fresh
        try:
            await link.start(how)
        except Unavailable:
            pool.discard(link)
            if fresh:
                raise
            pool.forget_idle()
        except BaseException:
            pool.discard(link)
            raise
        else:
            return _Session(pool, link, self)
        link = await pool.acquire()
        try:
            await link.start(how)
        except BaseException:
            pool.discard(link)
            raise
        return _Session(pool, link, self)

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        link = await _Link.open(self._url)  # its own, since it changes the current database
        try:
            for database, statements in scripts.items():
                for command in (
                    create_database(self.dialect, database),
                    use_database(self.dialect, database),
                    *statements,
                ):
                    await link.command(command)
        finally:
            await link.quit()

    def waited(self) -> float:
        return self._pool.waited()

    async def ping(self) -> None:
        link = await self._pool.acquire()
        try:
            if not link.fresh and not await link.alive():
                link.kill()
                raise Unavailable(f"{self._url.place}: the server does not answer")
        except BaseException:
            link.kill()
            raise
        finally:
            self._pool.release(link)

    async def close(self) -> None:
        await self._pool.close()
