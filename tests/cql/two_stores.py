"""Runs the same calls on Cassandra and on the embedded store, and says where they do not agree."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from runtime import cql
from runtime.cql.cassandra.engine import CassandraEngine
from runtime.cql.database import Database, SyncDatabase, connect, connect_sync
from runtime.cql.errors import CqlError
from runtime.cql.statements import Bound, Request, Select
from runtime.cql.urls import CassandraUrl, parse_url
from tests.cql.called_keyspaces import Accessed, Compiled
from tests.cql.drawn_calls import Call

_DAY = 86_400_000_000  # µs
_TTL_STEP = 1_000  # seconds; drawn TTLs are that far apart
_MILLISECOND = 1_000_000  # ns


class Door(Protocol):
    """A store, behind asyncio or not."""

    def run(self, query: cql.Query[Any]) -> Any: ...

    def pages(self, query: Any, size: int) -> list[Any]:
        """Every row, by pages of which each goes on with the state of the one before."""
        ...


class SyncDoor:
    def __init__(self, db: SyncDatabase) -> None:
        self._db = db

    def run(self, query: cql.Query[Any]) -> Any:
        return self._db.run(query)

    def pages(self, query: Any, size: int) -> list[Any]:
        page = self._db.page(query, size=size)
        rows = page.rows
        while page.state is not None:
            page = self._db.page(query, size=size, state=page.state)
            rows += page.rows
        return rows


class AsyncDoor:
    def __init__(self, loop: asyncio.Runner, db: Database) -> None:
        self._loop = loop
        self._db = db

    def run(self, query: cql.Query[Any]) -> Any:
        return self._loop.run(self._db.run(query))

    def pages(self, query: Any, size: int) -> list[Any]:
        async def rows() -> list[Any]:
            return [row async for row in self._db.stream(query, page_size=size)]

        return self._loop.run(rows())


# What came back, in a form of which two are equal where Cassandra's answer and the other mean the same.


def told(value: Any) -> Any:
    """A value that compares with others as Cassandra means it: NaN equals NaN, -0.0 is not 0.0, 1.0 is not 1.00."""
    match value:
        case cql.Applied():
            return ("applied", value.applied, value.exists, told(value.row), told(_told_columns(value)))
        case msgspec.Struct():
            return (type(value).__name__, *map(told, msgspec.structs.astuple(value)))
        case set() | frozenset():
            return (type(value).__name__, *sorted(map(told, value), key=repr))
        case list() | tuple():
            return (type(value).__name__, *map(told, value))
        case Mapping():
            return (type(value).__name__, *((told(key), told(each)) for key, each in value.items()))
        case float():
            return repr(value)
        case _:
            return (type(value).__name__, repr(value))


def _told_columns(applied: cql.Applied[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in applied._table.columns:  # pyright: ignore[reportPrivateUsage]
        try:
            found[column.name] = applied.value(column)  # pyright: ignore[reportArgumentType]
        except KeyError:
            continue
    return found


def steadied(query: cql.Query[Any], result: Any) -> Any:
    """A result without what depends on the moment: timestamps of today are one, and TTLs are cut to coarse steps."""
    if isinstance(query, cql.Many):
        return result
    request = query.resolve().request
    kinds = _kinds(request)
    if not {"writetime", "ttl"} & set(kinds):
        return result
    if isinstance(result, tuple):
        return _steady_row(kinds, result)
    if isinstance(result, list):
        return [_steady_row(kinds, row) if isinstance(row, tuple) else _steady(kinds[0], row) for row in result]
    return _steady(kinds[0], result)


def _kinds(request: Request) -> list[str]:
    if isinstance(request, Bound) and isinstance(request.statement, Select):
        return [term.kind for term in request.statement.terms]
    return []


def _steady_row(kinds: Iterable[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    # Behind the columns that were asked for may be one that is left out again.
    return tuple(_steady(kind, value) for kind, value in zip(kinds, row, strict=False))


def _steady(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "ttl":
        return math.ceil(value / _TTL_STEP)
    if kind == "writetime" and abs(value - time.time_ns() // 1_000) < _DAY:
        return "today"
    return value


# Moments at which the two stores may be asked the same.


def wait_for_a_new_millisecond() -> None:
    """The server gives a write with a condition the timestamp of its millisecond, and it must be behind those of the
    microseconds that this process gave before.
    """
    now = time.time_ns() // _MILLISECOND
    while time.time_ns() // _MILLISECOND <= now:
        pass


def wait_for_room_in_the_second() -> None:
    """Both stores are asked within one second, by which they count TTLs."""
    while time.time() % 1 > 0.9:
        time.sleep(0.01)


@dataclass(frozen=True)
class Raised:
    """An error, which equals another of its class."""

    kind: type[Exception]
    text: str = field(compare=False)


class Differs(AssertionError):
    """The stores do not agree on a call."""

    def __init__(self, call: Call, expected: Any, found: Any) -> None:
        super().__init__(f"{call!r}\n  Cassandra: {expected!r}\n  embedded:  {found!r}")
        self.call = call


class Both:
    """The two stores, which hold the same keyspace."""

    def __init__(self, url: str, keyspace: Compiled) -> None:
        self.keyspace = keyspace
        self._loop = asyncio.Runner()
        parsed = parse_url(url)
        assert isinstance(parsed, CassandraUrl)
        self._name = f"{parsed.prefix}{keyspace.source.name}"
        self._cassandra = connect_sync(url)
        self._cassandra_async = self._loop.run(connect(url))
        self._execute([*keyspace.ddl(parsed.prefix)])

    def _execute(self, statements: list[str]) -> None:
        engine = self._cassandra.engine
        assert isinstance(engine, CassandraEngine)
        with engine.schema() as schema:
            for statement in statements:
                schema.run(statement, None)

    def play(self, tables: Sequence[Accessed], calls: Sequence[Call], *, synchronous: bool) -> list[Any]:
        """Make these calls of empty tables of both, and tell their results, an error as Raised; then read everything.

        Raises Differs.
        """
        with self._doors(tables, synchronous=synchronous) as doors:
            results = [self._same(doors, call) for call in calls]
            for call in (call for table in tables for call in final_state(table)):
                self._same(doors, call)
            return results

    def awaiting(
        self, tables: Sequence[Accessed], writes: Sequence[str], read: str, awaited: Callable[[Any], bool]
    ) -> tuple[Any, Any]:
        """What a read gives after these writes, and what it gives once each store has what is awaited."""
        with self._doors(tables, synchronous=True) as doors:
            for write in writes:
                self._same(doors, Call(write))
            before = self._same(doors, Call(read))
            query = self._query(Call(read))
            deadline = time.monotonic() + 20
            for door in doors:
                while not awaited(door.run(query)) and time.monotonic() < deadline:
                    time.sleep(0.05)
            return before, self._same(doors, Call(read))

    @contextmanager
    def _doors(self, tables: Sequence[Accessed], *, synchronous: bool) -> Iterator[tuple[Door, Door]]:
        for table in (each.dao.table for each in tables):
            if table.view is None:
                self._execute([f'TRUNCATE "{self._name}"."{table.path[1]}"'])
        if synchronous:
            with connect_sync("embedded::memory:") as embedded:
                yield SyncDoor(self._cassandra), SyncDoor(embedded)
            return
        embedded = self._loop.run(connect("embedded::memory:"))
        try:
            yield AsyncDoor(self._loop, self._cassandra_async), AsyncDoor(self._loop, embedded)
        finally:
            self._loop.run(embedded.close())

    def _query(self, call: Call) -> Any:
        return eval(call.text, dict(self.keyspace.names))  # noqa: S307 - text that a test has

    def _same(self, doors: tuple[Door, Door], call: Call) -> Any:
        """What both stores give."""
        try:
            query = self._query(call)
        except (TypeError, ValueError) as error:  # before any store is asked
            return Raised(type(error), str(error))
        wait_for_a_new_millisecond()
        wait_for_room_in_the_second()
        expected, found = (outcome(door, query, call.page_size) for door in doors)
        if compared(query, expected) != compared(query, found):
            raise Differs(call, expected, found)
        return found

    def close(self) -> None:
        self._execute([f'DROP KEYSPACE "{self._name}"'])
        self._cassandra.close()
        self._loop.run(self._cassandra_async.close())
        self._loop.close()


def outcome(door: Door, query: Any, page_size: int | None) -> Any:
    """What comes of a query."""
    try:
        return door.run(query) if page_size is None else door.pages(query, page_size)
    except (CqlError, TypeError, ValueError) as error:
        return Raised(type(error), str(error))


def compared(query: Any, result: Any) -> Any:
    return result if isinstance(result, Raised) else told(steadied(query, result))


def final_state(accessed: Accessed) -> list[Call]:
    """Reads that tell everything of a table: rows, partitions, and when each column was written and ends."""
    dao, table = accessed.dao_name, accessed.dao.table
    found = [Call(f"{dao}.scan()"), Call(f"{dao}.partitions()")]
    names = [f"{dao}.{name}" for name in table.fields]
    found.append(Call(f"{dao}.scan().select({', '.join(names)})", 3))
    if not table.is_counter:
        whole = [
            name
            for name, column in zip(names, table.columns, strict=True)
            if not column.is_key and not column.type.is_multi_cell
        ]
        times = [f"{name}.{kind}()" for name in whole for kind in ("writetime", "ttl")]
        found += [Call(f"{dao}.scan().select({', '.join(times)})")] * bool(times)
    return found
