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
from runtime.cql.errors import CqlError
from runtime.cql.statements import Outcome

Guarded = tuple[WritePlan, Params]


class Question:
    """What the guards among writes to one partition ask. Raises CqlError for guards that exclude each other."""

    def __init__(self, connection: sqlite3.Connection, writes: Sequence[Guarded], now: int) -> None:
        self._connection = connection
        self._now = now
        guarded = [(plan, params) for plan, params in writes if plan.guard]
        self._layout: Layout = guarded[0][0].layout
        self._guarded = [(plan.guard, params, *plan.target(params)) for plan, params in guarded]
        self._partition = self._guarded[0][2]
        self._partition_values = guarded[0][0].partition_values(guarded[0][1])
        self._static = self._row(self._partition, static=True) if self._layout.statics else None
        self._refuse_mixed()
        self._asked = self._conditional_columns()
        rows = any(plan.names_row for plan, _ in writes)
        statics = any(plan.names_statics for plan, _ in guarded)
        self._read = {
            stored.number
            for stored in self._layout.stored.values()
            if stored in self._asked or (statics if stored.static else rows)
        }

    def _conditional_columns(self) -> list[Stored]:
        """Those that conditions name: write by write, each time the static ones last."""
        asked: dict[str, Stored] = {}
        for guard, *_ in self._guarded:
            named = [self._layout.stored[relation.columns[0]] for relation, _ in guard.conditions]
            asked |= {stored.name: stored for stored in sorted(named, key=_is_static) if stored.name not in asked}
        return list(asked.values())

    def _refuse_mixed(self) -> None:
        kinds: dict[bytes | None, set[str]] = {}
        for guard, _, _, key in self._guarded:
            if guard.absent or guard.exists:
                kinds.setdefault(key, set()).add("absent" if guard.absent else "exists")
            for relation, _ in guard.conditions:
                static = self._layout.stored[relation.columns[0]].static
                kinds.setdefault(None if static else key, set()).add("conditions")
        if any(len(each) > 1 for each in kinds.values()):
            text = "a row is under IF EXISTS, IF NOT EXISTS or conditions, but not under two of them"
            raise CqlError(f"{self._layout.name}: {text}")

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

    def _values(self, row: Row | None) -> list[Any]:
        layout = self._layout
        partition = [None] * len(layout.partition_types)
        values = layout.row_values(partition, row or Row([]), self._now)
        if self._static is not None:
            told = layout.row_values(partition, self._static, self._now)
            for stored in layout.statics:
                values[layout.head + stored.number] = told[layout.head + stored.number]
        return values

    def told(self, *, keys: bool) -> Outcome:
        """What is told of the rows that were asked about; with their `keys` in any case."""
        layout = self._layout
        existence = any(guard.absent or guard.exists for guard, *_ in self._guarded)
        if existence:
            columns = sorted(layout.stored.values(), key=lambda stored: (not stored.static, stored.name))
        else:
            columns = self._asked
        rows = self._asked_rows()
        if not rows:
            return Outcome(applied=False)
        named = [*layout.table.primary_key] if existence or keys else []
        names = [column.name for column in named] + [stored.name for stored in columns]
        told = [self._told_row(row, columns, keys=bool(named)) for row in rows]
        return Outcome(told, applied=False, names=tuple(names))

    def _told_row(self, row: Row | None, columns: Sequence[Stored], *, keys: bool) -> tuple[Any, ...]:
        layout = self._layout
        values = self._values(row)
        told: list[Any] = []
        if keys:
            told += self._partition_values
            for place, column in enumerate(layout.table.clustering, len(layout.partition_types)):
                told.append(_read(values[place], reading(layout, column.name)))
        for stored in columns:
            value = values[layout.head + stored.number] if stored.number in self._read else None
            told.append(_read(value, stored.read))
        return tuple(told)

    def _asked_rows(self) -> Sequence[Row | None]:
        """The rows that are there, in order; None is one of static columns alone."""
        keys = {
            key
            for guard, _, _, key in self._guarded
            if key is not None
            and (
                guard.absent
                or guard.exists
                or any(not self._layout.stored[relation.columns[0]].static for relation, _ in guard.conditions)
            )
        }
        found = [self._row(key) for key in sorted(keys)] if keys else [self._first()]
        rows = [row for row in found if row is not None and self._is_seen(row)]
        if rows:
            return rows
        return [None] if self._static is not None and self._is_seen(self._static) else []

    def _first(self) -> Row | None:
        partition = self._partition
        rows = self._connection.execute(self._layout.forward, (partition + b"\0", behind(partition), self._now))
        for _, time, record in rows:
            row = Row.read(time, decode(record), self._layout.depth)
            if self._is_seen(row):
                return row
        return None

    def _is_seen(self, row: Row) -> bool:
        """Whether it lives by what is read of it."""
        cells = {number: cell for number, cell in row.cells.items() if number in self._read}
        groups = {number: group for number, group in row.groups.items() if number in self._read}
        return Row(row.keys, row.liveness, cells, groups).lives(self._now)


def _is_static(stored: Stored) -> bool:
    return stored.static


def _read(value: Any, read: Any) -> Any:
    return value if value is None or read is None else read(value)
