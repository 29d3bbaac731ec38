"""What is kept beside a table's rows and follows from them: entries of indexes, rows of materialized views.

Each is a function of one row of the table as it is after a write, so nothing of it is merged and it has no tombstones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from runtime.cql.embedded.cells import Cell, Group, Liveness, cell_lives
from runtime.cql.embedded.keys import Code, clustering_code, order_code, partition_code, partition_end, partition_values
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import Row
from runtime.cql.embedded.where import meeting, reading
from runtime.cql.types import CqlType, List, Map, Set


class Derived(Protocol):
    """Follows the rows of a table."""

    def change(self, connection: sqlite3.Connection, key: bytes, before: Row | None, after: Row | None) -> None:
        """The row of this key was `before` and is `after`; None where there is none."""
        ...


class Index:
    """The keys of rows by what an indexed column holds, or each of its elements, keys or entries.

    An entry may outlive its value, which ended by a TTL: who reads asks the row.
    """

    def __init__(self, layout: Layout, rows: str, column: str, target: str) -> None:
        self._layout = layout
        self._place = layout.places[column]
        self._of_partition = self._place < len(layout.partition_types)
        self._read = reading(layout, column)
        self.static = column in layout.stored and layout.stored[column].static
        self.column = column
        self.target = target
        self.rows = rows
        type = layout.table.column(column).type
        self.type = type
        self._codes = tuple(_code(part) for part in _parts(type, target))
        self._add = f"INSERT OR IGNORE INTO {rows} (v, k) VALUES (?, ?)"
        self._drop = f"DELETE FROM {rows} WHERE v = ? AND k = ?"

    def entry(self, params: Sequence[Any]) -> bytes:
        """What an entry for these parameters of a relation begins with."""
        return b"".join(code(param) for code, param in zip(self._codes, params, strict=True))

    def change(self, connection: sqlite3.Connection, key: bytes, before: Row | None, after: Row | None) -> None:
        was, is_ = self._entries(key, before), self._entries(key, after)
        connection.executemany(self._drop, [(entry, key) for entry in was - is_])
        connection.executemany(self._add, [(entry, key) for entry in is_ - was])

    def _entries(self, key: bytes, row: Row | None) -> set[bytes]:
        if row is None or (not row.keys and self._layout.depth and not (self.static or self._of_partition)):
            return set()
        partition: Sequence[Any] = ()
        if self._of_partition:
            partition = partition_values(key[: partition_end(key)], self._layout.partition_types)
        else:
            partition = [None] * len(self._layout.partition_types)
        value = self._layout.row_values(partition, row, 0)[self._place]
        if value is None:
            return set()
        if self._read is not None:
            value = self._read(value)
        return {self.entry(params) for params in self._told(value)}

    def _told(self, value: Any) -> Iterator[tuple[Any, ...]]:
        match self.target, self.type:
            case "keys", Map():
                yield from ((each,) for each in value)
            case "entries", Map():
                yield from value.items()
            case "full", _:
                yield (value,)
            case _, Map(frozen=False):
                yield from ((each,) for each in value.values())
            case _, List(frozen=False) | Set(frozen=False):
                yield from ((each,) for each in value)
            case _:
                yield (value,)


def _parts(type: CqlType[Any], target: str) -> tuple[CqlType[Any], ...]:
    match target, type:
        case "keys", Map():
            return (type.key,)
        case "entries", Map():
            return (type.key, type.value)
        case "full", _:
            return (type,)
        case _, Map(frozen=False):
            return (type.value,)
        case _, List(frozen=False) | Set(frozen=False):
            return (type.item,)
        case _:
            return (type,)


def _code(type: CqlType[Any]) -> Code:
    if not type.has_duration:
        return order_code(type)
    return lambda value: type.encode(value).replace(b"\0", b"\0\xff") + b"\0\0"


class ViewRows:
    """The rows of a materialized view.

    A view may have one column in its key that is not of the table's: that column alone then keeps a row alive. In any
    other view a row lives as long as the table's, also by columns that the view leaves out
    (https://issues.apache.org/jira/browse/CASSANDRA-11500).
    """

    def __init__(self, base: Layout, view: Layout) -> None:
        made = view.table.view
        assert made is not None
        self._base = base
        self._view = view
        self._partition = partition_code(view.partition_types)
        self._partition_names = [column.name for column in view.table.partition_key]
        self._clustering = [
            (column.name, clustering_code(column.type, descending=column.descending))
            for column in view.table.clustering
        ]
        extra = [column.name for column in view.table.primary_key if column.name in base.stored]
        self._extra = base.stored[extra[0]] if extra else None
        self._kept = {
            base.stored[name].number: stored.number for name, stored in view.stored.items() if name in base.stored
        }
        self._filters: list[tuple[int, Any, Callable[[Any], bool]]] = []
        for name, operator, value in made.filters:
            meets = meeting(base.table.column(name).type, operator, (value,), null=False)
            self._filters.append((base.places[name], reading(base, name), meets))
        self._drop = view.drop
        self._put = view.put

    def change(self, connection: sqlite3.Connection, key: bytes, before: Row | None, after: Row | None) -> None:
        was, is_ = self._row(key, before), self._row(key, after)
        if was is not None and (is_ is None or was[0] != is_[0]):
            connection.execute(self._drop, (was[0],))
        if is_ is not None and is_ != was:
            connection.execute(self._put, is_)

    def _row(self, key: bytes, row: Row | None) -> tuple[bytes, int, int | None, bytes] | None:
        if row is None or (self._base.depth and not row.keys):  # static columns have no part in a view
            return None
        liveness = self._liveness(row)
        if liveness is None and self._extra is not None:
            return None
        base, view = self._base, self._view
        stored = base.row_values(partition_values(key[: partition_end(key)], base.partition_types), row, 0)
        if not all(meets(_read(stored[place], read)) for place, read, meets in self._filters):
            return None
        values = {name: _read(stored[base.places[name]], reading(base, name)) for name in self._key_names()}
        if any(value is None for value in values.values()):
            return None
        made = self._partition([values[name] for name in self._partition_names])
        made += b"".join(code(values[name]) for name, code in self._clustering)
        keys: list[Any] = []
        for (name, _), (write, _) in zip(self._clustering, view.key_conversions, strict=True):
            keys.append(values[name] if write is None else write(values[name]))
        cells: dict[int, Cell] = {}
        groups: dict[int, Group] = {}
        for number, place in self._kept.items():
            if number in row.cells:
                cells[place] = row.cells[number]
            if number in row.groups:
                groups[place] = row.groups[number]
        kept = Row(keys, liveness, cells, groups)
        if kept.is_empty():
            return None
        ends = liveness[1] if self._extra is not None and liveness is not None else kept.ends()
        return made, kept.newest(), ends, kept.record(view.columns)

    def _key_names(self) -> list[str]:
        return [*self._partition_names, *(name for name, _ in self._clustering)]

    def _liveness(self, row: Row) -> Liveness | None:
        if self._extra is not None:
            cell = row.cells.get(self._extra.number)
            return cell[:3] if cell is not None and cell_lives(cell, 0) else None
        liveness = row.liveness
        for number, cell in _cells(row):
            if number in self._kept or not cell_lives(cell, 0):
                continue
            liveness = _longer(liveness, cell)
        return liveness


def _cells(row: Row) -> Iterator[tuple[int, Cell]]:
    yield from row.cells.items()
    for number, group in row.groups.items():
        for _, cell in group.cells.values():
            yield number, cell


def _longer(liveness: Liveness | None, cell: Cell) -> Liveness:
    """What keeps a row alive for as long as either does; its time is that of the later one."""
    if liveness is None:
        return cell[:3]
    time = max(liveness[0], cell[0])
    if liveness[1] is None or (cell[1] is not None and cell[1] <= liveness[1]):
        return (time, liveness[1], liveness[2])
    return (time, cell[1], cell[2])


def _read(value: Any, read: Any) -> Any:
    return value if value is None or read is None else read(value)
