"""IF: whether a write, or a batch of one partition, may be done, and what is told of the rows where it may not.

What is told is what Cassandra's ModificationStatement and CQL3CasRequest read for the question, as observed on 5.0: the
static columns only where one of them is asked about, and a partition's first row where nothing else is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from runtime.cql.embedded.keys import behind
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import Row, decode
from runtime.cql.embedded.stored import Stored
from runtime.cql.embedded.where import Check, Params, checks, reading
from runtime.cql.embedded.writing import WritePlan
from runtime.cql.errors import InvalidValue
from runtime.cql.statements import Outcome

Guarded = tuple[WritePlan, Params]


class Question:
    """What the guards of writes to one partition ask. Raises InvalidValue for guards that exclude each other."""

    def __init__(self, connection: sqlite3.Connection, guarded: Sequence[Guarded], now: int) -> None:
        self._connection = connection
        self._now = now
        self._layout: Layout = guarded[0][0].layout
        self._guarded = [(plan.guard, params, *plan.target(params)) for plan, params in guarded]
        self._partition = self._guarded[0][2]
        self._partition_values = guarded[0][0].partition_values(guarded[0][1])
        guards = {(key, guard.absent) for guard, _, _, key in self._guarded}
        if any((key, not absent) in guards for key, absent in guards):
            raise InvalidValue(f"{self._layout.name}: a row is under IF NOT EXISTS and another condition at once")
        self._static = self._row(self._partition, static=True) if self._layout.statics else None

    def answer(self) -> bool:
        return all(self._meets(guard, params, key) for guard, params, _, key in self._guarded)

    def _meets(self, guard: Any, params: Params, key: bytes | None) -> bool:
        row = self._static if key is None else self._row(key)
        if guard.absent or guard.exists:
            return (row is None) == guard.absent
        values = self._values(row if key is not None else None)
        asked: list[Check] = checks(self._layout, guard.conditions, params, null=True)
        return all(check(values) for check in asked)

    def _row(self, key: bytes, *, static: bool = False) -> Row | None:
        found = self._connection.execute(self._layout.get, (key,)).fetchone()
        if found is None:
            return None
        row = Row.read(found[0], decode(found[1]), 0 if static else self._layout.depth)
        return row if row.lives(self._now) else None

    def _values(self, row: Row | None, *, statics: bool = True) -> list[Any]:
        layout = self._layout
        partition = [None] * len(layout.partition_types)
        values = layout.row_values(partition, row or Row([]), self._now)
        if self._static is not None and statics:
            told = layout.row_values(partition, self._static, self._now)
            for stored in layout.statics:
                values[layout.head + stored.number] = told[layout.head + stored.number]
        return values

    def told(self, *, keys: bool) -> Outcome:
        """What is told of the rows that were asked about; with their `keys` in any case."""
        layout = self._layout
        asked = [relation.columns[0] for guard, *_ in self._guarded for relation, _ in guard.conditions]
        columns = [layout.stored[name] for name in dict.fromkeys(asked)]
        existence = any(guard.absent or guard.exists for guard, *_ in self._guarded)
        with_statics = any(stored.static for stored in columns) or any(key is None for *_, key in self._guarded)
        if existence:
            columns = sorted(layout.stored.values(), key=lambda stored: (not stored.static, stored.name))
        else:
            columns.sort(key=lambda stored: stored.static)
        rows = self._asked_rows(with_statics)
        named = [*layout.table.primary_key] if existence or keys else []
        names = [column.name for column in named] + [stored.name for stored in columns]
        partition = self._partition_values if named else ()
        return Outcome(
            [self._told_row(row, partition, columns, with_statics) for row in rows],
            applied=False,
            names=tuple(names) if rows else (),
        )

    def _told_row(
        self, row: Row | None, partition: Sequence[Any], columns: Sequence[Stored], statics: bool
    ) -> tuple[Any, ...]:
        layout = self._layout
        values = self._values(row, statics=statics)
        told: list[Any] = list(partition)
        if partition:
            for place, column in enumerate(layout.table.clustering, len(layout.partition_types)):
                told.append(_read(values[place], reading(layout, column.name)))
        told += [_read(values[layout.head + stored.number], stored.read) for stored in columns]
        return tuple(told)

    def _asked_rows(self, with_statics: bool) -> Sequence[Row | None]:
        """The rows that are there, in order; None is one of static columns alone."""
        keys = sorted(
            {
                key
                for guard, _, _, key in self._guarded
                if key is not None
                and (
                    guard.absent
                    or guard.exists
                    or any(not self._layout.stored[relation.columns[0]].static for relation, _ in guard.conditions)
                )
            }
        )
        found = [self._row(key) for key in keys] if keys else [self._first()]
        rows = [row for row in found if row is not None]
        return rows or ([None] if with_statics and self._static is not None else [])

    def _first(self) -> Row | None:
        partition = self._partition
        rows = self._connection.execute(self._layout.forward, (partition + b"\0", behind(partition), self._now))
        for _, time, record in rows:
            row = Row.read(time, decode(record), self._layout.depth)
            if row.lives(self._now):
                return row
        return None


def _read(value: Any, read: Any) -> Any:
    return value if value is None or read is None else read(value)
