"""Writes that an engine takes as one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, cast, overload

from runtime.cql.errors import UnsafeStatement
from runtime.cql.queries import Many, Query
from runtime.cql.statements import Batch as Batched
from runtime.cql.statements import Bound, Delete, Insert, Reading, Update
from runtime.cql.tables import Table
from runtime.cql.tokens import partition_key_bytes
from runtime.cql.writes import Applied, Conditional, Write, checked_timestamp, nothing

R = TypeVar("R")

_Part = Write | Conditional[Any]
BatchKind = Literal["logged", "unlogged", "counter"]

_log = logging.getLogger("sun.cql")
_MOST_WARNINGS = 1_000
_warned: set[frozenset[str]] = set()


class _Batch(Query[Any]):
    __slots__ = ("_kind", "_parts", "_timestamp")

    def __init__(self, kind: BatchKind, parts: Sequence[_Part], timestamp: int | None) -> None:
        self._given = {}
        self._kind: BatchKind = kind
        self._parts = parts
        self._timestamp = None if timestamp is None else checked_timestamp(timestamp)

    def resolve(self) -> Reading[Any]:
        bounds = tuple(part.bound() for part in self._parts)
        guarded = next((part for part in self._parts if isinstance(part, Conditional)), None)
        self._refuse_unsafe(bounds, guarded is not None)
        idempotent = guarded is None and all(bound.options.idempotent for bound in bounds)
        request = Batched(self._kind, bounds, self._timestamp, self._options(idempotent))
        if guarded is None:
            return Reading(request, nothing)
        table: Table[Any] = guarded.table
        return Reading(request, lambda outcome: Applied(table, outcome))

    def _refuse_unsafe(self, bounds: Sequence[Bound], guarded: bool) -> None:
        if not bounds:
            raise UnsafeStatement("a batch needs writes")
        counters = {bound.statement.table.is_counter for bound in bounds}
        if counters != {self._kind == "counter"}:
            text = "a counter batch holds" if self._kind == "counter" else "a batch without counters holds"
            raise UnsafeStatement(f"{text} no other writes: see cql.counter_batch")
        if self._timestamp is not None and any(map(_has_timestamp, bounds)):
            raise UnsafeStatement("the timestamp is that of the batch or of its parts, not of both")
        partitions = {(bound.statement.table.name, _partition(bound)) for bound in bounds}
        if guarded:
            if len(partitions) > 1:
                raise UnsafeStatement(f"a batch with conditions is of one partition, not of {len(partitions)}")
            if self._timestamp is not None or any(map(_has_timestamp, bounds)):
                raise UnsafeStatement("a batch with conditions has the timestamp that the engine gives it")
        elif len(partitions) > 1:
            _warn(self._kind, frozenset(name for name, _ in partitions))


def _has_timestamp(bound: Bound) -> bool:
    return getattr(bound.statement, "timestamp", False)


def _partition(bound: Bound) -> bytes:
    """The key of the partition that a write is to, whose columns come first in the key of every write."""
    statement = bound.statement
    columns = statement.table.partition_key
    match statement:
        case Insert():
            start = 0
        case Delete():
            start = int(statement.timestamp)
        case Update():
            changed = sum(2 if change.operation in ("entry", "item") else 1 for change in statement.changes)
            start = int(statement.ttl) + int(statement.timestamp) + changed
        case _:
            raise UnsafeStatement("a batch holds writes only")
    values = bound.params[start : start + len(columns)]
    return partition_key_bytes([column.type.encode(value) for column, value in zip(columns, values, strict=True)])


def _warn(kind: BatchKind, tables: frozenset[str]) -> None:
    # Once for each set of tables: what does it does it again.
    if tables in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(tables)
    _log.warning("a %s batch spans partitions of %s: its writes are not seen as one", kind, ", ".join(sorted(tables)))


@overload
def batch(queries: Iterable[Query[None]], *, timestamp: int | None = None) -> Query[None]: ...
@overload
def batch(queries: Iterable[Query[None] | Query[Applied[R]]]) -> Query[Applied[R]]: ...
def batch(queries: Iterable[Query[Any]], *, timestamp: int | None = None) -> Query[Any]:
    """Writes of which all are done or none is, even where they are of several partitions.

    With conditions among them, all of one partition, nothing is done unless every one holds. The timestamp is in µs
    since 1970. Running it raises UnsafeStatement for a batch that may not be.
    """
    return _Batch("logged", _writes(queries), timestamp)


@overload
def unlogged_batch(queries: Iterable[Query[None]], *, timestamp: int | None = None) -> Query[None]: ...
@overload
def unlogged_batch(queries: Iterable[Query[None] | Query[Applied[R]]]) -> Query[Applied[R]]: ...
def unlogged_batch(queries: Iterable[Query[Any]], *, timestamp: int | None = None) -> Query[Any]:
    """Writes that are sent as one: of one partition all or none are done, of several perhaps some."""
    return _Batch("unlogged", _writes(queries), timestamp)


def counter_batch(queries: Iterable[Query[None]]) -> Query[None]:
    """Writes to counters that are sent as one."""
    return _Batch("counter", _writes(queries), None)


def _writes(queries: Iterable[Query[Any]]) -> list[_Part]:
    writes: list[_Part] = []
    for query in queries:
        if isinstance(query, Many):
            writes += _writes(query.parts())
        elif isinstance(query, (Write, Conditional)):
            writes.append(cast("_Part", query))
        else:
            raise TypeError(f"a batch holds writes of rows, not {type(query).__name__}")
    return writes
