"""MariaDB and MySQL without an event loop, over PyMySQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS
from pymysql.converters import escape_string
from pymysql.cursors import SSCursor
from pymysql.err import MySQLError

from runtime.sql.database import DEFAULT, How, Part
from runtime.sql.engines.mysql import (
    CLOSES,
    MAX_PACKET,
    SESSION,
    NotSent,
    create_database,
    dialect_of,
    number_of,
    start_transaction,
    too_large,
    translate,
    use_database,
)
from runtime.sql.errors import InvalidValue, PoolTimeout, SqlError, Unavailable, UniqueViolation
from runtime.sql.pool import CHECK_AFTER_S
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import MysqlUrl

_BULK = 8
"""Rows of one INSERT from which its literals are made by column."""

_NO_BACKSLASH_ESCAPES = SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES


def open_mysql(url: MysqlUrl) -> MysqlSyncEngine:
    """An engine whose server has answered once. Raises Unavailable."""
    engine = MysqlSyncEngine(url)
    engine.ping()
    return engine


class _Link:
    """One connection with its one cursor. After a failure of the connection itself it is closed."""

    def __init__(self, url: MysqlUrl) -> None:
        self._url = url
        self.idle_since = 0.0  # time.monotonic(), seconds
        self.fresh = True
        try:
            self._connection: Any = pymysql.connect(
                host=url.host,
                port=url.port,
                unix_socket=url.socket,
                user=url.user,
                password=url.password.encode(),  # as text it would be sent in Latin-1
                charset="utf8mb4",
                client_flag=CLIENT.FOUND_ROWS,
                autocommit=None,
                connect_timeout=max(1, round(url.connect_timeout_ms / 1000)),
            )
        except MySQLError as error:
            raise translate(url, error, "connect") from error
        self._cursor: Any = self._connection.cursor()
        for text in (*SESSION, MAX_PACKET):
            self.command(text)
        self._most: int = self._cursor.fetchone()[0]

    def execute(self, text: str, params: tuple[Any, ...], statement: Statement[Any]) -> Outcome | None:
        self.fresh = False
        try:
            if statement.repeat >= _BULK and not self._connection.server_status & _NO_BACKSLASH_ESCAPES:
                self._cursor.execute(text % tuple(self._literals(statement, params)))
            else:
                self._cursor.execute(text, params)
            if statement.writes:
                return Outcome((), self._cursor.rowcount, self._cursor.lastrowid)
            return Outcome(self._cursor.fetchall())
        except BaseException as error:
            typed = self._failed(error, statement.table)
            if isinstance(typed, Unavailable) and (size := self._size(text, params)) > self._most:
                raise too_large(statement.table, size, self._most) from error
            if isinstance(typed, UniqueViolation) and statement.absorbs_duplicate:
                return None
            if typed is error:
                raise
            raise typed from error

    def _literals(self, statement: Statement[Any], params: tuple[Any, ...]) -> list[str]:
        """What the driver would make of the parameters, column by column: it asks each value for its type."""
        literals = [""] * len(params)
        width = len(statement.takes)
        for first in range(width):
            column = params[first::width]
            kinds = set(map(type, column))
            if kinds == {int}:
                texts = map(repr, column)
            elif kinds == {str}:
                texts = map("'{}'".format, map(escape_string, column))
            else:
                texts = map(self._connection.escape, column)
            literals[first::width] = texts
        return literals

    def _size(self, text: str, params: tuple[Any, ...]) -> int:
        return len(self._cursor.mogrify(text, params).encode(errors="surrogateescape"))

    def command(self, text: str) -> None:
        """Run a statement without parameters or result. Raises SqlError."""
        try:
            self._cursor.execute(text)
        except BaseException as error:
            typed = self._failed(error, text.partition("\n")[0][:80])
            if typed is error:
                raise
            raise typed from error

    def stream(self, text: str, params: tuple[Any, ...], table: str) -> Any:
        """An unbuffered cursor over the rows, for `fetch`."""
        self.fresh = False
        cursor: Any = self._connection.cursor(SSCursor)
        try:
            cursor.execute(text, params)
        except BaseException as error:
            typed = self._failed(error, table)
            if typed is error:
                raise
            raise typed from error
        return cursor

    def fetch(self, cursor: Any, table: str, batch: int) -> Rows:
        """The next rows of a stream, none at its end."""
        try:
            return cursor.fetchmany(batch)
        except BaseException as error:
            self.abandon(cursor)
            typed = self._failed(error, table)
            if typed is error:
                raise
            raise typed from error

    def abandon(self, cursor: Any) -> None:
        """Close the connection in the middle of a stream. The driver's cursor would read the rest of it first."""
        if cursor._result is not None:
            cursor._result.unbuffered_active = False
        cursor.connection = None
        self.kill()

    def start(self, how: How) -> None:
        for text in start_transaction(how):
            self.command(text)

    def _failed(self, error: BaseException, table: str) -> BaseException:
        if isinstance(error, (UnicodeEncodeError, OverflowError)):
            return InvalidValue(f"{table}: {error}")  # refused before anything was sent
        typed = translate(self._url, error, table) if isinstance(error, MySQLError) else error
        if not isinstance(typed, SqlError) or isinstance(typed, Unavailable) or number_of(error) in CLOSES:
            self.kill()
        return typed

    def broken(self) -> bool:
        return not self._connection.open

    def alive(self) -> bool:
        try:
            self._connection.ping(reconnect=False)
        except (MySQLError, OSError):
            return False
        return True

    def kill(self) -> None:
        if self._connection.open:
            self._connection._force_close()

    def quit(self) -> None:
        if self._connection.open:
            self._connection.close()


class _Pool:
    """At most `pool_size` connections, shared by threads."""

    def __init__(self, url: MysqlUrl) -> None:
        self._url = url
        self._idle: list[_Link] = []
        self._free = threading.Semaphore(url.pool_size)
        self._closed = False

    def acquire(self) -> _Link:
        if self._closed:
            raise Unavailable(f"{self._url.place}: the database was closed")
        if not self._free.acquire(timeout=self._url.acquire_timeout_ms / 1000):
            raise PoolTimeout(
                f"{self._url.place}: all {self._url.pool_size} connections of the pool were in use "
                f"for {self._url.acquire_timeout_ms / 1000:g} s"
            )
        try:
            while (link := self._take()) is not None:
                if not link.broken() and (time.monotonic() - link.idle_since <= CHECK_AFTER_S or link.alive()):
                    return link
                link.kill()
            return _Link(self._url)
        except BaseException:
            self._free.release()
            raise

    def _take(self) -> _Link | None:
        # Asking whether one is there first would leave time for another thread to take it.
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def release(self, link: _Link) -> None:
        if self._closed or link.broken():
            link.kill()
        else:
            link.idle_since = time.monotonic()
            self._idle.append(link)
        self._free.release()

    def forget_idle(self) -> None:
        while (link := self._take()) is not None:
            link.kill()

    def close(self) -> None:
        self._closed = True
        while (link := self._take()) is not None:
            link.quit()


class _Session:
    """A transaction on a connection of its own."""

    def __init__(self, pool: _Pool, link: _Link, engine: MysqlSyncEngine) -> None:
        self._pool = pool
        self._link = link
        self._engine = engine

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        return self._link.execute(statement.text(self._engine.dialect), params, statement)

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        self._link.command("SAVEPOINT sun_batch")
        try:
            outcomes = [self.execute(statement, params) for statement, params in parts]
        except SqlError:
            if not self._link.broken():
                self._link.command("ROLLBACK TO SAVEPOINT sun_batch")
            raise
        self._link.command("RELEASE SAVEPOINT sun_batch")
        return outcomes

    def command(self, text: str) -> None:
        self._link.command(text)

    def commit(self) -> None:
        try:
            self._link.command("COMMIT")
        except Unavailable as error:
            raise Unavailable(f"{error}; whether the transaction was committed is unknown") from error
        except BaseException:
            self._link.kill()
            raise
        finally:
            self._pool.release(self._link)

    def rollback(self) -> None:
        try:
            if not self._link.broken():
                self._link.command("ROLLBACK")
        except SqlError:
            self._link.kill()
        finally:
            self._pool.release(self._link)


class MysqlSyncEngine:
    """A pool of connections to one server."""

    def __init__(self, url: MysqlUrl) -> None:
        self._url = url
        self.dialect = dialect_of(url)
        self._pool = _Pool(url)

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        text = statement.text(self.dialect)
        link = self._pool.acquire()
        fresh = link.fresh
        try:
            return link.execute(text, params, statement)
        except Unavailable as error:
            if fresh or (statement.writes and not isinstance(error, NotSent)):
                raise
            self._pool.forget_idle()
        finally:
            self._pool.release(link)
        link = self._pool.acquire()
        try:
            return link.execute(text, params, statement)
        finally:
            self._pool.release(link)

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        if len(parts) == 1:
            return [self.execute(*parts[0])]
        session = self.begin()
        try:
            outcomes = [session.execute(statement, params) for statement, params in parts]
        except BaseException:
            session.rollback()
            raise
        session.commit()
        return outcomes

    def stream(self, statement: Statement[Any], params: tuple[Any, ...], batch: int) -> Generator[Rows, None, None]:
        """The rows, `batch` at a time, from a connection that is held until the end. Raises SqlError."""
        text, table = statement.text(self.dialect), statement.table
        link = self._pool.acquire()
        fresh = link.fresh
        try:
            cursor = link.stream(text, params, table)
        except Unavailable:
            self._pool.release(link)
            if fresh:
                raise
            self._pool.forget_idle()
            link = self._pool.acquire()
            try:
                cursor = link.stream(text, params, table)
            except BaseException:
                self._pool.release(link)
                raise
        except BaseException:
            self._pool.release(link)
            raise
        try:
            while rows := link.fetch(cursor, table, batch):
                yield rows
        except BaseException:  # rows that nobody wants are still under way
            link.abandon(cursor)
            raise
        finally:
            self._pool.release(link)

    def begin(self, how: How = DEFAULT) -> _Session:
        link = self._pool.acquire()
        fresh = link.fresh
        try:
            link.start(how)
        except Unavailable:
            self._pool.release(link)
            if fresh:
                raise
            self._pool.forget_idle()
        except BaseException:
            link.kill()
            self._pool.release(link)
            raise
        else:
            return _Session(self._pool, link, self)
        link = self._pool.acquire()
        try:
            link.start(how)
        except BaseException:
            link.kill()
            self._pool.release(link)
            raise
        return _Session(self._pool, link, self)

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        link = _Link(self._url)  # its own, since it changes the current database
        try:
            for database, statements in scripts.items():
                for command in (
                    create_database(self.dialect, database),
                    use_database(self.dialect, database),
                    *statements,
                ):
                    link.command(command)
        finally:
            link.quit()

    def ping(self) -> None:
        link = self._pool.acquire()
        try:
            if not link.fresh and not link.alive():
                link.kill()
                raise Unavailable(f"{self._url.place}: the server does not answer")
        finally:
            self._pool.release(link)

    def close(self) -> None:
        self._pool.close()
