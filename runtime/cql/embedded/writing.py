"""Inserts, updates and deletes compiled: what their parameters do to which rows, and what IF asks before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from runtime.cql.embedded.cells import LONGEST_TTL, YEAR_2038, Cell, Group
from runtime.cql.embedded.keys import behind, is_exact
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import Row, encode
from runtime.cql.embedded.stored import Stored
from runtime.cql.embedded.turns import Turn
from runtime.cql.embedded.where import Params, Where, width_of
from runtime.cql.errors import CqlError, InvalidValue
from runtime.cql.statements import NULL, UNSET, Change, Delete, Insert, Relation, Update

_NO_PARTS = Group()

_WIDTHS = {"entry": 2, "item": 2}


@dataclass(slots=True)
class Guard:
    """The IF of a write: what is asked of the row. Beside each condition is the place of its first parameter."""

    exists: bool = False
    absent: bool = False
    conditions: list[tuple[Relation, int]] = field(default_factory=list[tuple[Relation, int]])

    def __bool__(self) -> bool:
        return self.exists or self.absent or bool(self.conditions)


class WritePlan(Protocol):
    """A write of one shape."""

    layout: Layout
    guard: Guard
    has_timestamp: bool
    names_row: bool
    """Whether it is about a row, not about static columns alone."""
    names_statics: bool
    """Whether it may write static columns."""

    def timestamp(self, params: Params) -> int | None:
        """The timestamp that the parameters say."""
        ...

    def run(self, turn: Turn, params: Params, time: int) -> None:
        """Do it. Raises CqlError before anything is done."""
        ...

    def ready(self, turn: Turn, params: Params, time: int) -> Callable[[], None]:
        """What does it, once everything is read that the write depends on: so the parts of a batch see none of each
        other. Raises CqlError.
        """
        ...

    def partition_values(self, params: Params) -> Sequence[Any]:
        """Those of the one partition of a write with a guard."""
        ...

    def target(self, params: Params) -> tuple[bytes, bytes | None]:
        """The partition's key and that of the one row; None where only static columns are written."""
        ...


def compile_write(layout: Layout, statement: Insert | Update | Delete) -> WritePlan:
    match statement:
        case Insert():
            return InsertPlan(layout, statement)
        case Update():
            return CounterPlan(layout, statement) if layout.is_counter else UpdatePlan(layout, statement)
        case Delete():
            return DeletePlan(layout, statement)


class _Plan:
    """A write that depends on nothing of what is there."""

    def run(self, turn: Turn, params: Params, time: int) -> None:
        raise NotImplementedError

    def ready(self, turn: Turn, params: Params, time: int) -> Callable[[], None]:
        return partial(self.run, turn, params, time)


class _Times(_Plan):
    """The TTL and the timestamp among the parameters."""

    def __init__(self, layout: Layout, ttl: int | None, timestamp: int | None) -> None:
        self._layout = layout
        self._ttl = ttl
        self._timestamp = timestamp

    def timestamp(self, params: Params) -> int | None:
        return None if self._timestamp is None else params[self._timestamp]

    def ttl(self, params: Params) -> int:
        """In seconds; 0 for ever."""
        return self._layout.default_ttl if self._ttl is None else params[self._ttl]

    def end(self, ttl: int, now: int) -> tuple[int | None, int | None]:
        """When what is written ends, and the TTL. Raises InvalidValue."""
        if not ttl:
            return None, None
        if not 0 < ttl <= LONGEST_TTL:
            raise InvalidValue(f"{self._layout.name}: a TTL is from 0 to {LONGEST_TTL} seconds, not {ttl}")
        if now + ttl > YEAR_2038:
            raise InvalidValue(f"{self._layout.name}: a TTL of {ttl} seconds ends after 2038-01-19T03:14:06Z")
        return now + ttl, ttl


class _Change:
    """A row's change while it is put together."""

    __slots__ = ("_end", "_time", "_ttl", "_turn", "row")

    def __init__(self, turn: Turn, time: int, end: int | None, ttl: int | None, keys: list[Any]) -> None:
        self._turn = turn
        self._time = time
        self._end = end
        self._ttl = ttl
        self.row = Row(keys)

    def live(self) -> None:
        self.row.liveness = (self._time, self._end, self._ttl)

    def cell(self, stored: Any) -> Cell:
        if stored is None:
            return (self._time, self._turn.now, None, None)
        return (self._time, self._end, self._ttl, stored)

    def set(self, column: Stored, value: Any) -> None:
        """A value or NULL instead of what there is."""
        if column.parts is None:
            if value is NULL:
                self.row.cells[column.number] = self.cell(None)
            else:
                self.row.cells[column.number] = self.cell(value if column.write is None else column.write(value))
            return
        group = self.group(column)
        group.delete(self._time - 1, self._turn.now)  # so that what is written with it stays
        if value is not NULL:
            self.put(column, column.parts.cut(value, _NO_PARTS, self._turn.stamps))

    def group(self, column: Stored) -> Group:
        return self.row.groups.setdefault(column.number, Group())

    def put(self, column: Stored, parts: Iterator[tuple[tuple[Any, Any], Any]]) -> None:
        """Parts beside those that are there."""
        cells = self.group(column).cells
        for (path, key), stored in parts:
            cells[path] = (key, self.cell(stored))


class InsertPlan(_Times):
    def __init__(self, layout: Layout, statement: Insert) -> None:
        ttl = len(statement.columns) if statement.ttl else None
        timestamp = len(statement.columns) + statement.ttl if statement.timestamp else None
        super().__init__(layout, ttl, timestamp)
        self.layout = layout
        self.has_timestamp = statement.timestamp
        self.guard = Guard(absent=statement.if_not_exists)
        places = {name: place for place, name in enumerate(statement.columns)}
        self._partition = [places[column.name] for column in layout.table.partition_key]
        clustering = [column.name for column in layout.table.clustering]
        self._has_row = all(name in places for name in clustering)
        self._clustering = [
            (places[name], code, write)
            for name, code, (write, _) in zip(clustering, layout.codes, layout.key_conversions, strict=True)
            if name in places
        ]
        self._regulars = [(places[stored.name], stored) for stored in layout.regulars if stored.name in places]
        self._statics = [(places[stored.name], stored) for stored in layout.statics if stored.name in places]
        self.names_row = self._has_row
        self.names_statics = bool(self._statics)
        self._is_exact = all(is_exact(column.type) for column in layout.table.clustering)  # or the first stays
        self._simple = not layout.is_counter and self.layout.default_ttl == 0 and ttl is None

    def partition_values(self, params: Params) -> Sequence[Any]:
        return self.layout.partition_told([params[place] for place in self._partition])

    def target(self, params: Params) -> tuple[bytes, bytes | None]:
        partition = self.layout.partition([params[place] for place in self._partition])
        if not self._has_row:
            return partition, None
        return partition, partition + b"".join([code(params[place]) for place, code, _ in self._clustering])

    def run(self, turn: Turn, params: Params, time: int) -> None:
        partition, key = self.target(params)
        end, ttl = self.end(self.ttl(params), turn.now)
        if key is not None and not self._run_fast(turn, key, params, time):
            change = _Change(turn, time, end, ttl, self._keys(params))
            change.live()
            for place, stored in self._regulars:
                if params[place] is not UNSET:
                    change.set(stored, params[place])
            turn.merge(self.layout, key, change.row)
        statics = [(params[place], stored) for place, stored in self._statics if params[place] is not UNSET]
        if statics:
            change = _Change(turn, time, end, ttl, [])
            for value, stored in statics:
                change.set(stored, value)
            turn.merge(self.layout, partition, change.row)

    def _keys(self, params: Params) -> list[Any]:
        return [params[place] if write is None else write(params[place]) for place, _, write in self._clustering]

    def _run_fast(self, turn: Turn, key: bytes, params: Params, time: int) -> bool:
        """Write the row at once where there is none, or none that any of it would stay of."""
        layout = self.layout
        if not self._simple or layout.derived:
            return False
        values = [*self._keys(params), *[None] * layout.columns]
        depth = layout.depth
        is_whole = self._is_exact and len(self._regulars) + len(layout.statics) == layout.columns
        for place, stored in self._regulars:
            value = params[place]
            if value is UNSET:
                is_whole = False
            elif value is NULL or stored.parts is not None:
                return False
            else:
                values[depth + stored.number] = value if stored.write is None else stored.write(value)
        text = layout.replace if is_whole else layout.add
        return turn.connection.execute(text, (key, time, encode(values))).rowcount > 0


class UpdatePlan(_Times):
    def __init__(self, layout: Layout, statement: Update) -> None:
        super().__init__(layout, 0 if statement.ttl else None, int(statement.ttl) if statement.timestamp else None)
        self.layout = layout
        self.has_timestamp = statement.timestamp
        at = int(statement.ttl) + int(statement.timestamp)
        self._changes: list[tuple[Change, Stored, int]] = []
        for change in statement.changes:
            self._changes.append((change, layout.stored[change.column], at))
            at += _WIDTHS.get(change.operation, 1)
        self._where = Where(layout, statement.where, at)
        self.guard = _guard(statement, at + sum(map(width_of, statement.where)))
        self._regulars = [each for each in self._changes if not each[1].static]
        self._statics = [each for each in self._changes if each[1].static]
        self.names_row = bool(self._regulars)
        self.names_statics = bool(self._statics)
        _require_rows(layout, self._where, statics_alone=not self._regulars)

    def partition_values(self, params: Params) -> Sequence[Any]:
        return self._where.partition_values(params)[0]

    def target(self, params: Params) -> tuple[bytes, bytes | None]:
        partition = self.layout.partition(self.partition_values(params))
        return partition, self._where.key_of()(params) if self._regulars else None

    def run(self, turn: Turn, params: Params, time: int) -> None:
        self.ready(turn, params, time)()

    def ready(self, turn: Turn, params: Params, time: int) -> Callable[[], None]:
        end, ttl = self.end(self.ttl(params), turn.now)
        writes: list[tuple[bytes, Row]] = []  # all before any is done, since an index may be out of a list's range
        for partition, key, keys in _named_rows(self.layout, self._where, params, statics_alone=not self._regulars):
            for changes, place, own in ((self._regulars, key, keys), (self._statics, partition, [])):
                if changes:
                    change = _Change(turn, time, end, ttl, own)
                    self._put_together(turn, change, changes, place, params)
                    writes.append((place, change.row))

        def do() -> None:
            for place, row in writes:
                turn.merge(self.layout, place, row)

        return do

    def _put_together(
        self, turn: Turn, change: _Change, changes: Sequence[tuple[Change, Stored, int]], key: bytes, params: Params
    ) -> None:
        there: Row | None = None
        if any(each.operation in _READING for each, _, _ in changes):
            there = turn.load(self.layout, key, static=not change.row.keys)
        for each, stored, place in changes:
            parts, value = stored.parts, params[place]
            if each.operation == "set" or parts is None:
                change.set(stored, value)
                continue
            group = (there.groups.get(stored.number) if there is not None else None) or _NO_PARTS
            match each.operation:
                case "append" | "add":
                    change.put(stored, parts.cut(value, group, turn.stamps))
                case "prepend":
                    change.put(stored, parts.before(value, group, turn.stamps))
                case "discard":
                    change.put(stored, parts.discarded(value, group, turn.now))
                case "field":
                    change.put(stored, iter([parts.entry(each.field, _or_none(value), group, turn.now)]))
                case _:
                    new = _or_none(params[place + 1])
                    change.put(stored, iter([parts.entry(value, new, group, turn.now)]))


_READING = {"append", "prepend", "discard", "item"}


def _or_none(value: Any) -> Any:
    return None if value is NULL else value


def _guard(statement: Update | Delete, at: int) -> Guard:
    conditions: list[tuple[Relation, int]] = []
    for relation in statement.conditions:
        conditions.append((relation, at))
        at += width_of(relation)
    return Guard(exists=statement.if_exists, conditions=conditions)


def _require_rows(layout: Layout, where: Where, *, statics_alone: bool) -> None:
    if not where.names_partitions or where.rest or not (statics_alone or where.names_rows):
        raise CqlError(f"{layout.name}: an update names the whole key of its rows by = or IN")


def _named_rows(
    layout: Layout, where: Where, params: Params, *, statics_alone: bool
) -> Iterator[tuple[bytes, bytes, list[Any]]]:
    """The partition's key, the row's, and its clustering columns as they are stored."""
    rows = where.clustering_values(params)
    for values in where.partition_values(params):
        partition = layout.partition(values)
        if statics_alone:
            yield partition, partition, []
            continue
        for row in rows:
            key = partition + b"".join(code(value) for code, value in zip(layout.codes, row, strict=True))
            conversions = zip(row, layout.key_conversions, strict=True)
            yield partition, key, [value if write is None else write(value) for value, (write, _) in conversions]


class CounterPlan(_Plan):
    """Increments, and the deletion of single counters."""

    has_timestamp = False
    names_row = names_statics = True

    def __init__(self, layout: Layout, statement: Update) -> None:
        self.layout = layout
        self.guard = Guard()
        self._columns = [layout.stored[change.column] for change in statement.changes]
        self._where = Where(layout, statement.where, len(self._columns))
        self._statics_alone = all(stored.static for stored in self._columns)
        _require_rows(layout, self._where, statics_alone=self._statics_alone)

    def timestamp(self, params: Params) -> int | None:
        return None

    def partition_values(self, params: Params) -> Sequence[Any]:
        raise NotImplementedError  # counters know no conditions

    def target(self, params: Params) -> tuple[bytes, bytes | None]:
        raise NotImplementedError

    def run(self, turn: Turn, params: Params, time: int) -> None:
        for partition, key, keys in _named_rows(self.layout, self._where, params, statics_alone=self._statics_alone):
            for static, place, own in ((False, key, keys), (True, partition, [])):
                amounts = {
                    stored.number: amount
                    for stored, amount in zip(self._columns, params, strict=False)
                    if stored.static == static
                }
                added = {number: amount for number, amount in amounts.items() if amount is not NULL}
                dropped = [number for number, amount in amounts.items() if amount is NULL]
                if added:
                    turn.count(self.layout, place, Row(own), added, time)
                if dropped:
                    turn.drop_counters(self.layout, place, Row(own), dropped, time)


class DeletePlan(_Plan):
    """Rows, ranges of rows, partitions with their static columns."""

    names_statics = False

    def __init__(self, layout: Layout, statement: Delete) -> None:
        self.layout = layout
        self.has_timestamp = statement.timestamp
        self._where = Where(layout, statement.where, int(statement.timestamp))
        self.guard = _guard(statement, int(statement.timestamp) + sum(map(width_of, statement.where)))
        if not self._where.names_partitions or self._where.rest:
            raise CqlError(f"{layout.name}: a delete names partitions, and of their rows ranges in clustering order")
        self.names_row = self._where.restricts_rows or not layout.depth
        if self.guard and not self._where.names_one_row:
            raise CqlError(f"{layout.name}: a delete with conditions names the whole key of one row")

    def timestamp(self, params: Params) -> int | None:
        return params[0] if self.has_timestamp else None

    def partition_values(self, params: Params) -> Sequence[Any]:
        return self._where.partition_values(params)[0]

    def target(self, params: Params) -> tuple[bytes, bytes | None]:
        return self.layout.partition(self.partition_values(params)), self._where.key_of()(params)

    def run(self, turn: Turn, params: Params, time: int) -> None:
        layout, where = self.layout, self._where
        if turn.guarded and not (where.names_rows and layout.depth):
            time -= 1  # so Paxos does, and what the same batch writes stays; but not where it writes the deleted row
        for values in where.partition_values(params):
            partition = layout.partition(values)
            if not where.restricts_rows:
                turn.delete(layout, partition, behind(partition), time)
                continue
            for low, high in where.ranges(params):
                turn.delete(layout, partition + low, behind(partition) if high is None else partition + high, time)
