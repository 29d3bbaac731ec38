"""How a table lies in SQLite: its columns' numbers, the bytes of its keys, and the text of its statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.cql.embedded.cells import cell_lives
from runtime.cql.embedded.keys import clustering_code, partition_code, partition_end
from runtime.cql.embedded.records import USUAL, Row
from runtime.cql.embedded.stored import Stored, conversions
from runtime.cql.tables import Table
from runtime.cql.types import Blob, Counter, CqlType, Float, Inet, Text, Varint

if TYPE_CHECKING:
    from runtime.cql.embedded.derived import Derived


class Layout:
    """One table.

    `rows` holds its rows by key, `deleted` the ranges of keys that were deleted. What a query reads of a row is a list
    of values: the partition key, the clustering columns, then the others by their numbers, of which there are
    `columns`; `places` tells where in it a column is.
    """

    def __init__(self, table: Table[Any], number: int, numbers: Mapping[str, int]) -> None:
        self.table = table
        self.number = number
        self.name = table.name
        self.rows = f"rows_{number}"
        self.deleted = f"deleted_{number}"
        self.partition_types = tuple(column.type for column in table.partition_key)
        self.partition = partition_code(self.partition_types)
        self._partition_told = tuple(map(_told, self.partition_types))
        self.tells_partition_as_given = not any(self._partition_told)
        self.depth = len(table.clustering)
        self.codes = tuple(clustering_code(column.type, descending=column.descending) for column in table.clustering)
        self.key_conversions = tuple(conversions(column.type) for column in table.clustering)
        self.stored = {
            column.name: Stored(column.name, numbers[column.name], column.type, static=column.kind == "static")
            for column in table.columns
            if not column.is_key
        }
        self.by_number = {stored.number: stored for stored in self.stored.values()}
        self.columns = 0
        self.as_bytes: list[Any] = []
        self.grow(len(numbers))
        self.head = len(self.partition_types) + self.depth
        self.places = {column.name: place for place, column in enumerate(table.primary_key)} | {
            name: self.head + stored.number for name, stored in self.stored.items()
        }
        self.statics = tuple(stored for stored in self.stored.values() if stored.static)
        self.regulars = tuple(stored for stored in self.stored.values() if not stored.static)
        self.is_counter = any(isinstance(column.type, Counter) for column in table.columns)
        self.derived: Sequence[Derived] = ()
        # A view with a column in its key that is none of the table's: only that column keeps a row alive.
        self.strict = table.view is not None and any(
            not table.view.base.column(column.name).is_key for column in table.primary_key
        )
        self.grace = 0 if table.view is not None else table.gc_grace_seconds  # a view is never written by itself
        self.default_ttl = table.default_time_to_live

        self.get = f"SELECT t, v FROM {self.rows} WHERE k = ?"
        self.put = (
            f"INSERT INTO {self.rows} (k, t, x, v) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (k) DO UPDATE SET t = excluded.t, x = excluded.x, v = excluded.v"
        )
        self.drop = f"DELETE FROM {self.rows} WHERE k = ?"
        living = "(x IS NULL OR x > ?)"
        rows = f"SELECT k, t, v FROM {self.rows} WHERE k >= ?"
        self.forward = f"{rows} AND k < ? AND {living} ORDER BY k"
        self.backward = f"{rows} AND k < ? AND {living} ORDER BY k DESC"
        counted = f"SELECT count(*) FROM {self.rows} WHERE k >= ?"
        self.count = f"{counted} AND k < ? AND {living}"
        self.count_onward = f"{counted} AND {living}"
        self.onward = f"{rows} AND {living} ORDER BY k"
        # The last range that begins at or before a key is the only one that can hold it: no two overlap.
        self.shadow = f"SELECT e, t FROM {self.deleted} WHERE s <= ? ORDER BY s DESC LIMIT 1"
        fresh = (
            f"INSERT INTO {self.rows} (k, t, v) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM"
            f" (SELECT e, t FROM {self.deleted} WHERE s <= ?1 ORDER BY s DESC LIMIT 1) WHERE e > ?1 AND t >= ?2)"
            " ON CONFLICT (k) DO"
        )
        self.add = f"{fresh} NOTHING"
        self.replace = f"{fresh} UPDATE SET t = excluded.t, x = NULL, v = excluded.v WHERE t < excluded.t"

        within = f"FROM {self.rows} WHERE k >= ? AND k < ?"
        self.drop_range = f"DELETE {within} AND t <= ?"
        self.older = f"SELECT k, t, v {within} AND t <= ?"
        self.newer = f"SELECT k, t, v {within} AND t > ?"
        self.over = f"SELECT k, t, v FROM {self.rows} WHERE x <= ? LIMIT ?"
        self.forget_within = f"DELETE FROM {self.deleted} WHERE s >= ?1 AND s < ?2 AND e <= ?2 AND t <= ?3"
        self.touching = (
            f"SELECT s, e, t, at FROM {self.deleted} WHERE s < ?1 AND s >= coalesce("
            f"(SELECT s FROM {self.deleted} WHERE s <= ?2 ORDER BY s DESC LIMIT 1), ?2) AND e > ?2"
        )
        self.forget = f"DELETE FROM {self.deleted} WHERE s = ?"
        self.remember = f"INSERT INTO {self.deleted} (s, e, t, at) VALUES (?, ?, ?, ?)"
        self.forget_old = (
            f"DELETE FROM {self.deleted} WHERE s IN (SELECT s FROM {self.deleted} WHERE at <= ? ORDER BY at LIMIT ?)"
        )

    def partition_told(self, values: Sequence[Any]) -> Sequence[Any]:
        """The values of a partition key as they are read back: floats of 32 bits, maps in the order of their keys."""
        if self.tells_partition_as_given:
            return values
        return [
            value if tell is None else tell(value) for tell, value in zip(self._partition_told, values, strict=True)
        ]

    def grow(self, columns: int) -> None:
        """Another process, with a newer schema, has entered more columns."""
        known = self.by_number
        self.as_bytes += [
            known[number].as_bytes if number in known else _unknown for number in range(self.columns, columns)
        ]
        self.columns = columns

    def width_at(self, key: bytes) -> int:
        """How many clustering columns the record at this key begins with: static columns have none."""
        return 0 if self.depth and partition_end(key) == len(key) else self.depth

    def values(self, partition: Sequence[Any], time: int, record: Any, now: int) -> list[Any] | None:
        """The values of a row as they are stored, collections whole; None where the row is not there any more."""
        if type(record) is USUAL:
            told = [*partition, *record]
            if missing := self.head + self.columns - len(told):
                # It was written when there were fewer columns, or by a newer schema, which has more.
                told = [*told, *[None] * missing][: self.head + self.columns]
            return told
        row = Row.read(time, record, self.depth)
        return self.row_values(partition, row, now) if row.lives(now, strict=self.strict) else None

    def row_values(self, partition: Sequence[Any], row: Row, now: int) -> list[Any]:
        """The same of a row that is there, or of static columns, where the clustering columns are None."""
        values = [*partition, *(row.keys or [None] * self.depth), *[None] * self.columns]
        head = self.head
        for number, cell in row.cells.items():
            if number in self.by_number and cell_lives(cell, now):
                values[head + number] = cell[3]
        for number, group in row.groups.items():
            if number in self.by_number and (parts := self.by_number[number].parts) is not None:
                values[head + number] = parts.whole(group, now)
        return values

    def time_of(self, row: Row | None, stored: Stored, now: int) -> int | None:
        """When what the column holds was written, in µs."""
        cell = row.cells.get(stored.number) if row is not None else None
        return cell[0] if cell is not None and cell_lives(cell, now) else None

    def ttl_of(self, row: Row | None, stored: Stored, now: int) -> int | None:
        """The seconds that what the column holds has left."""
        cell = row.cells.get(stored.number) if row is not None else None
        if cell is None or cell[2] is None or cell[1] is None or cell[1] <= now:
            return None
        return cell[1] - now


def _told(type: CqlType[Any]) -> Callable[[Any], Any] | None:
    """What makes of a value what is read back; None where that is the same."""
    if (type.size is None and not isinstance(type, Text | Blob | Inet | Varint)) or isinstance(type, Float):
        return lambda value: type.decode(type.encode(value))
    return None


def _unknown(*_: Any) -> bytes:
    """Of a column that only a newer schema has."""
    return b""
