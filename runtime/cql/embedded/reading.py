"""SELECT compiled: which rows, in which order, and what is told of each."""

from __future__ import annotations

import contextlib
import heapq
import math
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from operator import itemgetter, mul
from typing import Any

import msgspec

from runtime.cql.embedded import states
from runtime.cql.embedded.derived import Index
from runtime.cql.embedded.keys import behind, is_row_key, partition_end, partition_values, token_bounds
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import USUAL, Row, decode
from runtime.cql.embedded.where import Check, Params, Where, checks, reading, width_of
from runtime.cql.errors import CqlError, InvalidState
from runtime.cql.statements import Outcome, Relation, Select, Term
from runtime.cql.tokens import GREATEST_TOKEN, LEAST_TOKEN

SHORT = 200
"""Rows that are read on the event loop: these take about a millisecond."""

Found = tuple[bytes, Sequence[Any], int, Any, "Row | None"]
"""A row: its key, the values of its partition, its time and record; and the static columns that go with it."""


class ReadPlan:
    """A SELECT of one shape."""

    def __init__(self, layout: Layout, statement: Select) -> None:
        self.layout = layout
        self._statement = statement
        self._where = Where(layout, statement.where)
        at = sum(map(width_of, statement.where))
        self._tokens = at if statement.tokens else None
        at += 2 * statement.tokens
        self._nearest = at if statement.nearest else None
        at += bool(statement.nearest)
        self._per_partition = at if statement.per_partition else None
        at += statement.per_partition
        self._limit = at if statement.limit else None
        self._width = at + statement.limit
        self._counts = [term for term in statement.terms if term.kind == "count"]
        self._tell = Telling(layout, statement.terms)
        self._index = None if self._where.names_partitions or statement.nearest else _usable(layout, self._where.rest)
        self._statics = self._needs_statics()
        self._refuse_statics_of_rows()
        self._name = repr((layout.name, statement.terms, statement.where, statement.tokens, statement.nearest)).encode()
        self._name += repr((statement.reversed, statement.per_partition, statement.limit, statement.distinct)).encode()
        self._encoders = _encoders(layout, statement)
        # The usual query, for which nothing of the rest is needed: one row, whole.
        self.is_get = (
            self._where.names_one_row
            and not (self._where.rest or self._counts or statement.nearest or self._statics)
            and not (statement.distinct or statement.tokens or self._tell.needs_cells)
            and not (statement.limit or statement.per_partition)
        )

    def _needs_statics(self) -> bool:
        layout = self.layout
        if not layout.statics:
            return False
        names = {stored.name for stored in layout.statics}
        asked = {term.column for term in self._statement.terms} | {
            name for relation, _ in self._where.rest for name in relation.columns
        }
        return bool(names & asked) or not self._where.restricts_rows

    def _refuse_statics_of_rows(self) -> None:
        """As Cassandra does: that would be one answer for each of the rows, which say nothing."""
        columns = [self.layout.table.column(term.column) for term in self._statement.terms if term.column]
        kinds = {column.kind for column in columns}
        if self._where.restricts_rows and "static" in kinds and kinds <= {"static", "partition"}:
            raise CqlError(
                f"{self.layout.name}: static columns alone are told of partitions, not of some of their rows"
            )

    def is_short(self, params: Params, size: int) -> bool:
        """Whether few rows are read for sure."""
        if self._counts or self._where.rest or self._nearest is not None or not self._where.names_partitions:
            return False
        most = size if self._limit is None else min(size, params[self._limit])
        return self._where.ways(params) <= SHORT and (most <= SHORT or self._where.names_one_row)

    def getter(self) -> Callable[[sqlite3.Connection, Params, Callable[[], int]], Outcome]:
        """What reads the one row of `is_get`; it asks what second it is only where something of the row ends."""
        layout, tell = self.layout, self._tell
        key, partition, text = self._where.key_of(), self._where.values_of_partition(), layout.get
        is_whole, width = tell.is_whole, layout.depth + layout.columns

        def get(connection: sqlite3.Connection, params: Params, now: Callable[[], int]) -> Outcome:
            found = connection.execute(text, (key(params),)).fetchone()
            if found is None:
                return Outcome()
            record = decode(found[1])
            if is_whole and type(record) is USUAL and len(record) == width:
                return Outcome(((*partition(params), *record),))
            values = layout.values(partition(params), found[0], record, now())
            return Outcome() if values is None else Outcome((tell.plain(values),))

        return get

    def page(self, connection: sqlite3.Connection, params: Params, now: int, size: int, state: bytes | None) -> Outcome:
        """Up to `size` rows, from `state` on. Raises InvalidState."""
        if self._nearest is not None:
            return self._nearest_rows(connection, params, now)
        if self._counts:
            return self._count(connection, params, now)
        query = self._query(params) if state is not None else b""
        place = states.read(state, query) if state is not None else None
        if place is not None and not is_row_key(place.key):
            raise InvalidState("not a page state: it is of no row")
        left = place.left if place else self._said(self._limit, params)
        rows: list[tuple[Any, ...]] = []
        if left == 0:
            return Outcome()
        most = size if left is None else min(size, left)
        walk = _Walk(self, connection, params, now, place)
        told = self._tell.of(now)
        last = b""
        with contextlib.closing(walk.rows()) as found_rows:
            for found in found_rows:
                rows.append(told(found))
                last = found[0]
                if len(rows) == most:
                    break
            else:
                return Outcome(rows)
        if left is not None and left == len(rows):
            return Outcome(rows)
        behind_last = states.Place(last, None if left is None else left - len(rows), walk.left_of_partition)
        return Outcome(rows, states.written(behind_last, query or self._query(params)))

    def _said(self, place: int | None, params: Params) -> int | None:
        return None if place is None else params[place]

    def _query(self, params: Params) -> bytes:
        parts = [self._name]
        for encode, param in zip(self._encoders, params[: self._width], strict=True):
            data = encode(param)
            parts += (len(data).to_bytes(8, "big"), data)
        return b"".join(parts)

    def _count(self, connection: sqlite3.Connection, params: Params, now: int) -> Outcome:
        if len(self._counts) == len(self._statement.terms) and not (self._where.rest or self.layout.statics):
            number = sum(_counted(connection, self.layout, range, now) for range in self._key_ranges(params))
            return Outcome([(number,) * len(self._counts)])
        first: tuple[Any, ...] | None = None
        told = self._tell.of(now)
        number = 0
        for found in _Walk(self, connection, params, now, None).rows():
            number += 1
            if first is None:
                first = told(found)
        row = first or (None,) * len(self._statement.terms)
        counted = zip(self._statement.terms, row, strict=True)
        return Outcome([tuple(number if term.kind == "count" else value for term, value in counted)])

    def _key_ranges(self, params: Params) -> Iterator[tuple[bytes, bytes | None]]:
        """All that a query without filters reads, as ranges of keys."""
        if not self._where.names_partitions:
            yield token_bounds(*(self.tokens(params) or (LEAST_TOKEN, GREATEST_TOKEN)))
            return
        ranges = self._where.ranges(params)
        for values in self._where.partition_values(params):
            key = self.layout.partition(values)
            for low, high in ranges:
                yield key + low, behind(key) if high is None else key + high

    def _nearest_rows(self, connection: sqlite3.Connection, params: Params, now: int) -> Outcome:
        """The nearest first. Every row is looked at: no graph of neighbours is kept."""
        layout, name = self.layout, self._statement.nearest
        assert self._nearest is not None
        wanted = params[self._nearest]
        similarity = _SIMILARITIES[_similarity(layout, name)]
        place, read = layout.places[name], reading(layout, name)
        limit = self._said(self._limit, params)
        told = self._tell.of(now)

        def scored() -> Iterator[tuple[float, int, tuple[Any, ...]]]:
            for number, found in enumerate(_Walk(self, connection, params, now, None).rows()):
                values = layout.values(found[1], found[2], found[3], now)
                vector = None if values is None else values[place]
                if vector is not None:
                    score = similarity(wanted, vector if read is None else read(vector))
                    yield -score, number, told(found)

        best = heapq.nsmallest(limit, scored()) if limit is not None else sorted(scored())
        return Outcome([row for _, _, row in best])

    # What the walk asks.

    @property
    def where(self) -> Where:
        return self._where

    @property
    def is_reversed(self) -> bool:
        return self._statement.reversed

    @property
    def is_distinct(self) -> bool:
        return self._statement.distinct

    @property
    def index(self) -> tuple[Index, Relation, int] | None:
        return self._index

    @property
    def needs_statics(self) -> bool:
        return self._statics

    def per_partition(self, params: Params) -> int | None:
        return self._said(self._per_partition, params)

    def tokens(self, params: Params) -> tuple[int, int] | None:
        return None if self._tokens is None else (params[self._tokens], params[self._tokens + 1])


def _counted(connection: sqlite3.Connection, layout: Layout, range: tuple[bytes, bytes | None], now: int) -> int:
    low, high = range
    if high is None:
        return connection.execute(layout.count_onward, (low, now)).fetchone()[0]
    return connection.execute(layout.count, (low, high, now)).fetchone()[0]


class _Walk:
    """The rows of a query, in order, from a place on; iterated once.

    A partition that has static columns only counts as a row without clustering columns, where no rows are asked for in
    particular.
    """

    def __init__(
        self, plan: ReadPlan, connection: sqlite3.Connection, params: Params, now: int, place: states.Place | None
    ) -> None:
        self._plan = plan
        self._layout = plan.layout
        self._connection = connection
        self._params = params
        self._now = now
        self._place = place
        self._per_partition = 1 if plan.is_distinct else plan.per_partition(params)
        self.left_of_partition = place.left_of_partition if place else self._per_partition
        self._checks: list[Check] = checks(plan.layout, plan.where.rest, params)
        self._takes_statics_alone = bool(plan.layout.statics) and not plan.where.restricts_rows

    def rows(self) -> Generator[Found]:
        plan = self._plan
        if plan.where.names_partitions:
            return self._named_partitions()
        if plan.index is not None:
            return self._by_index(*plan.index)
        return self._scan()

    def _passes(self, partition: Sequence[Any], time: int, record: Any, statics: Row | None) -> bool:
        if not self._checks:
            return type(record) is USUAL or self._layout.values(partition, time, record, self._now) is not None
        values = self._layout.values(partition, time, record, self._now)
        if values is None:
            return False
        _overlay(self._layout, values, statics, self._now)
        return all(check(values) for check in self._checks)

    def _load_statics(self, partition: bytes) -> Row | None:
        if not self._plan.needs_statics:
            return None
        found = self._connection.execute(self._layout.get, (partition,)).fetchone()
        return self._living_statics(found[0], decode(found[1])) if found else None

    def _living_statics(self, time: int, record: Any) -> Row | None:
        row = Row.read(time, record, 0)
        return row if row.lives(self._now) else None

    def _named_partitions(self) -> Generator[Found]:
        plan, layout, place = self._plan, self._layout, self._place
        ranges = plan.where.ranges(self._params)
        if plan.is_reversed:
            ranges.reverse()
        keys = [(layout.partition(values), values) for values in plan.where.partition_values(self._params)]
        begun = place.key[: partition_end(place.key)] if place is not None else b""
        if place is not None:
            while keys and keys[0][0] != begun:
                keys.pop(0)
            if not keys:
                raise InvalidState("not a page state of this query: it is of another partition")
        for key, values in keys:
            begun_at = place.key if place is not None and key == begun else None
            if begun_at is None:
                self.left_of_partition = self._per_partition
            yield from self._partition(key, values, ranges, begun_at)

    def _partition(
        self, key: bytes, values: Sequence[Any], ranges: Sequence[tuple[bytes, bytes | None]], begun_at: bytes | None
    ) -> Generator[Found]:
        """The rows of a partition in these ranges, behind the one it was begun at."""
        plan, layout = self._plan, self._layout
        if self.left_of_partition == 0:
            return
        statics = self._load_statics(key)
        text = layout.backward if plan.is_reversed else layout.forward
        has_rows = begun_at is not None
        for least, most in ranges:
            low, high = key + least, behind(key) if most is None else key + most
            if begun_at is not None:
                low, high = (low, min(high, begun_at)) if plan.is_reversed else (max(low, begun_at + b"\0"), high)
            for found, time, data in self._connection.execute(text, (low, high, self._now)):
                record = decode(data)
                if type(record) is USUAL and not self._checks:
                    has_rows = True
                elif not self._passes(values, time, record, statics):
                    has_rows = has_rows or layout.values(values, time, record, self._now) is not None
                    continue
                has_rows = True
                self._take()
                yield found, values, time, record, statics
                if self.left_of_partition == 0:
                    return
        if not has_rows and statics is not None and self._takes_statics_alone:
            yield from self._statics_alone(key, values, statics)

    def _take(self) -> None:
        if self.left_of_partition is not None:
            self.left_of_partition -= 1

    def _statics_alone(self, key: bytes, values: Sequence[Any], statics: Row) -> Generator[Found]:
        row = self._layout.row_values(values, Row([]), self._now)
        _overlay(self._layout, row, statics, self._now)
        if all(check(row) for check in self._checks):
            self._take()
            yield key, values, 0, None, statics

    def _scan(self) -> Generator[Found]:
        """Every partition in the order of tokens."""
        layout, place, now = self._layout, self._place, self._now
        low, high = b"", None
        if (tokens := self._plan.tokens(self._params)) is not None:
            low, high = token_bounds(*tokens)
        if place is not None:
            low = max(low, place.key + b"\0")
        partition = place.key[: partition_end(place.key)] if place is not None else b""
        values = partition_values(partition, layout.partition_types) if partition else ()
        statics = self._load_statics(partition) if partition else None
        pending = False  # whether the partition has shown nothing but static columns
        if self.left_of_partition == 0 and partition:
            low = max(low, behind(partition))
        while low is not None:
            skip: bytes | None = None
            for key, time, data in self._run(low, high):
                record = decode(data)
                if not partition or not key.startswith(partition):
                    if pending and statics is not None:
                        yield from self._statics_alone(partition, values, statics)
                    partition = key[: partition_end(key)]
                    values = partition_values(partition, layout.partition_types)
                    statics, pending = None, False
                    self.left_of_partition = self._per_partition
                    if layout.statics and key == partition:
                        statics = self._living_statics(time, record)
                        pending = self._takes_statics_alone and statics is not None
                        continue
                if pending:
                    pending = type(record) is not list and layout.values(values, time, record, now) is None
                if not self._passes(values, time, record, statics):
                    continue
                self._take()
                yield key, values, time, record, statics
                if self.left_of_partition == 0:
                    skip = behind(partition)
                    break
            low = skip
        if pending and statics is not None:
            yield from self._statics_alone(partition, values, statics)

    def _run(self, low: bytes, high: bytes | None) -> sqlite3.Cursor:
        if high is None:
            return self._connection.execute(self._layout.onward, (low, self._now))
        return self._connection.execute(self._layout.forward, (low, high, self._now))

    def _by_index(self, index: Index, relation: Relation, at: int) -> Generator[Found]:
        """The rows that an index names, in the order of their keys."""
        layout, place = self._layout, self._place
        low, high = b"", None
        if (tokens := self._plan.tokens(self._params)) is not None:
            low, high = token_bounds(*tokens)
        if place is not None:
            low = max(low, place.key + b"\0")
        entry = index.entry(self._params[at : at + width_of(relation)])
        text = (
            f"SELECT r.k, r.t, r.v FROM {index.rows} i JOIN {layout.rows} r ON r.k = i.k"
            f" WHERE i.v {_COMPARED.get(relation.operator, '=')} ?1"
            " AND i.k >= ?2 AND (?3 IS NULL OR i.k < ?3) ORDER BY i.k"
        )
        partition = place.key[: partition_end(place.key)] if place is not None else b""
        values: Sequence[Any] = partition_values(partition, layout.partition_types) if partition else ()
        statics = self._load_statics(partition) if partition else None
        pending = False  # as in a scan, where the index is of the partition key
        for key, time, data in self._connection.execute(text, (entry, low, high)):
            if not partition or not key.startswith(partition):
                if pending and statics is not None:
                    yield from self._statics_alone(partition, values, statics)
                pending = False
                partition = key[: partition_end(key)]
                values = partition_values(partition, layout.partition_types)
                statics = self._load_statics(partition)
                self.left_of_partition = self._per_partition
            if self.left_of_partition == 0:
                continue
            if layout.statics and key == partition:
                pending = self._takes_statics_alone and statics is not None
                continue
            record = decode(data)
            if pending:
                pending = type(record) is not list and layout.values(values, time, record, self._now) is None
            if self._passes(values, time, record, statics):
                self._take()
                yield key, values, time, record, statics
        if pending and statics is not None:
            yield from self._statics_alone(partition, values, statics)


def _overlay(layout: Layout, values: list[Any], statics: Row | None, now: int) -> None:
    """Put the static columns of the partition into a row's values."""
    if statics is None:
        return
    told = layout.row_values((None,) * len(layout.partition_types), statics, now)
    for stored in layout.statics:
        values[layout.head + stored.number] = told[layout.head + stored.number]


class Telling:
    """What is told of a row: the values of its terms."""

    def __init__(self, layout: Layout, terms: Sequence[Term]) -> None:
        self._layout = layout
        self._terms = terms
        self.needs_cells = any(term.kind in ("writetime", "ttl") for term in terms)
        places = [layout.places[term.column] if term.kind == "column" else 0 for term in terms]
        self._width = layout.head + layout.columns
        self._record_width = layout.depth + layout.columns
        whole = list(range(self._width))
        self._pick: Callable[[Any], tuple[Any, ...]] | None = None
        if places != whole:
            self._pick = itemgetter(*places) if len(places) > 1 else lambda values: (values[places[0]],)
        self._converted: list[tuple[int, Callable[[Any], Any]]] = [
            (place, read)
            for place, term in enumerate(terms)
            if term.kind == "column" and (read := reading(layout, term.column)) is not None
        ]

    @property
    def is_whole(self) -> bool:
        """Whether it is told as it is stored: every column, in the order of the table."""
        return self._pick is None and not self._converted

    def plain(self, values: list[Any]) -> tuple[Any, ...]:
        """Of the values of a row as they are stored."""
        told = values[: self._width] if self._pick is None else self._pick(values)
        if not self._converted:
            return tuple(told)
        told = list(told)
        for place, read in self._converted:
            if (value := told[place]) is not None:
                told[place] = read(value)
        return tuple(told)

    def of(self, now: int) -> Callable[[Found], tuple[Any, ...]]:
        """The same of a row that was found."""
        layout = self._layout

        def tell(found: Found) -> tuple[Any, ...]:
            _, partition, time, record, statics = found
            if record is None:
                values = layout.row_values(partition, Row([]), now)
            else:
                values = layout.values(partition, time, record, now) or []
            _overlay(layout, values, statics, now)
            if not self.needs_cells:
                return self.plain(values)
            row = None if record is None else Row.read(time, record, layout.depth)
            told = list(self.plain(values))
            for place, term in enumerate(self._terms):
                if term.kind in ("writetime", "ttl"):
                    stored = layout.stored[term.column]
                    source = statics if stored.static else row
                    ask = layout.time_of if term.kind == "writetime" else layout.ttl_of
                    told[place] = ask(source, stored, now)
            return tuple(told)

        return partial(self._tell_whole, tell) if self.is_whole and not layout.statics else tell

    def _tell_whole(self, tell: Callable[[Found], tuple[Any, ...]], found: Found) -> tuple[Any, ...]:
        record = found[3]
        return (*found[1], *record) if type(record) is USUAL and len(record) == self._record_width else tell(found)


def _usable(layout: Layout, rest: Sequence[tuple[Relation, int]]) -> tuple[Index, Relation, int] | None:
    """The first index that answers one of the relations."""
    for relation, at in rest:
        for index in layout.derived:
            if (
                isinstance(index, Index)
                and index.column == relation.columns[0]
                and relation.operator in _ANSWERED.get(index.target, _PLAIN)
                and not index.static
            ):
                return index, relation, at
    return None


_COMPARED = {operator: operator for operator in ("<", "<=", ">", ">=")}
_PLAIN = ("=", "contains", *_COMPARED)
_ANSWERED = {"keys": ("contains key",), "entries": ("entry",), "full": ("=",), "values": ("=", "contains")}


def _encoders(layout: Layout, statement: Select) -> list[Callable[[Any], bytes]]:
    """What makes bytes of each parameter, the same for the same values in every process."""
    encoders: list[Callable[[Any], bytes]] = []
    for relation in statement.where:
        for param in layout.table.params(relation):
            encode = param.type.encode
            encoders.append(_list_encoder(encode) if param.is_list else encode)
    if statement.tokens:
        encoders += [_number, _number]
    if statement.nearest:
        encoders.append(layout.table.column(statement.nearest).type.encode)
    return encoders + [_number] * (statement.per_partition + statement.limit)


def _list_encoder(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda values: msgspec.msgpack.encode([encode(value) for value in values])


def _number(value: int) -> bytes:
    return b"%d" % value


def _similarity(layout: Layout, name: str) -> str:
    for index in layout.table.indexes:
        if index.column.name == name:
            return getattr(index, "similarity", "") or "cosine"
    raise CqlError(f"{layout.name}.{name} has no index that finds the nearest vectors")


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(map(mul, left, right))


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    lengths = math.sqrt(_dot(left, left) * _dot(right, right))
    return _dot(left, right) / lengths if lengths else -1.0


def _euclidean(left: Sequence[float], right: Sequence[float]) -> float:
    return -math.dist(left, right)


_SIMILARITIES = {"cosine": _cosine, "dot_product": _dot, "euclidean": _euclidean}
