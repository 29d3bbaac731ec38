"""Writes to the rows of a file, inside a transaction: each is merged with what is there, as Cassandra does on reading.

A deletion takes the rows out at once, and stays as a range of keys with its time: what is written later with an
earlier time is dead on arrival. Ranges never overlap, so that at most one holds a key. They go when `gc_grace_seconds`
are over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from runtime.cql.embedded.cells import Cell
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import Row, decode
from runtime.cql.embedded.stored import Stamps

_PURGED = 16  # deletions that are over, dropped at every new one
SWEPT = 256
"""Rows that are dropped of a table at once."""


class Turn:
    """The writer's connection while a write, or a batch, has it.

    `now` is in seconds, `stamp` gives a timestamp, `stamps` paths of lists; `guarded` says that there is an IF.
    """

    __slots__ = ("connection", "guarded", "now", "stamp", "stamps")

    def __init__(self, connection: sqlite3.Connection, now: int, stamp: Callable[[], int], stamps: Stamps) -> None:
        self.connection = connection
        self.now = now
        self.stamp = stamp
        self.stamps = stamps
        self.guarded = False

    def load(self, layout: Layout, key: bytes, *, static: bool = False) -> Row | None:
        """What is there, the dead parts too."""
        found = self.connection.execute(layout.get, (key,)).fetchone()
        return None if found is None else Row.read(found[0], decode(found[1]), 0 if static else layout.depth)

    def merge(self, layout: Layout, key: bytes, change: Row) -> None:
        """Write a row, or static columns."""
        shadow = self.connection.execute(layout.shadow, (key,)).fetchone()
        if shadow is not None and shadow[0] > key:
            change.shadow(shadow[1])
        if change.is_empty():
            return
        static = not change.keys
        before = self.load(layout, key, static=static)
        after = self.load(layout, key, static=static) if before is not None and layout.derived else before
        if after is None:
            after = change
        else:
            after.merge(change, layout.as_bytes)
        self.save(layout, key, before, after)

    def save(self, layout: Layout, key: bytes, before: Row | None, after: Row) -> None:
        """Put a row in the place of another. With indexes or views `before` is not changed any more."""
        after.purge(self.now - layout.grace)
        if after.is_empty():
            self.connection.execute(layout.drop, (key,))
        else:
            self.connection.execute(layout.put, (key, after.newest(), after.ends(), after.record(layout.columns)))
        for derived in layout.derived:
            derived.change(self.connection, key, before, after)

    def delete(self, layout: Layout, low: bytes, high: bytes, time: int) -> None:
        """Delete what was written up to `time` at the keys from `low` up to but without `high`."""
        if layout.is_counter:
            self._hide(layout, low, high, time)
            return
        if layout.derived:
            self._delete_each(layout, low, high, time)
        else:
            self.connection.execute(layout.drop_range, (low, high, time))
        for key, written, record in self.connection.execute(layout.newer, (low, high, time)).fetchall():
            # Of what is newer, some may be older: a column, or the row's own liveness.
            before = Row.read(written, decode(record), layout.width_at(key))
            after = Row.read(written, decode(record), layout.width_at(key))
            after.shadow(time)
            self.save(layout, key, before, after)
        self._remember(layout, low, high, time)

    def _delete_each(self, layout: Layout, low: bytes, high: bytes, time: int) -> None:
        while older := self.connection.execute(f"{layout.older} LIMIT {SWEPT}", (low, high, time)).fetchall():
            for key, written, record in older:
                row = Row.read(written, decode(record), layout.width_at(key))
                self.connection.execute(layout.drop, (key,))
                for derived in layout.derived:
                    derived.change(self.connection, key, row, None)

    def _hide(self, layout: Layout, low: bytes, high: bytes, time: int) -> None:
        """Cassandra's counters go on from where they were when their row was deleted, as long as its cache knows."""
        for key, written, record in self.connection.execute(layout.older, (low, high, time)).fetchall():
            row = Row.read(written, decode(record), layout.width_at(key))
            for number, cell in row.cells.items():
                row.cells[number] = (time, self.now, None, cell[3])
            self.save(layout, key, None, row)

    def count(self, layout: Layout, key: bytes, row: Row, amounts: dict[int, int], time: int) -> None:
        """Add to counters. One that was deleted by itself stays so (CASSANDRA-7346)."""
        found = self.load(layout, key, static=not row.keys) or row
        for number, amount in amounts.items():
            cell = found.cells.get(number)
            if cell is not None and cell[3] is None:
                continue
            sum = (0 if cell is None else cell[3]) + amount
            found.cells[number] = (time, None, None, (sum + (1 << 63)) % (1 << 64) - (1 << 63))
        self.save(layout, key, None, found)

    def drop_counters(self, layout: Layout, key: bytes, row: Row, numbers: list[int], time: int) -> None:
        """Delete counters by themselves, for good."""
        found = self.load(layout, key, static=not row.keys) or row
        tombstone: Cell = (time, self.now, None, None)
        found.cells.update(dict.fromkeys(numbers, tombstone))
        self.save(layout, key, None, found)

    def _remember(self, layout: Layout, low: bytes, high: bytes, time: int) -> None:
        run = self.connection.execute
        run(layout.forget_within, (low, high, time))
        pieces = [(low, high)]
        for first, last, written, at in run(layout.touching, (high, low)).fetchall():
            if written >= time:
                pieces = [piece for known in pieces for piece in _without(known, first, last)]
                continue
            run(layout.forget, (first,))
            for start, end in _without((first, last), low, high):
                run(layout.remember, (start, end, written, at))
        for start, end in pieces:
            run(layout.remember, (start, end, time, self.now))
        run(layout.forget_old, (self.now - layout.grace, _PURGED))

    def sweep(self, layout: Layout) -> int:
        """Drop some of the rows that ended longer ago than `gc_grace_seconds`; how many."""
        over = self.connection.execute(layout.over, (self.now - layout.grace, SWEPT)).fetchall()
        for key, written, record in over:
            row = Row.read(written, decode(record), layout.width_at(key)) if layout.derived else None
            self.connection.execute(layout.drop, (key,))
            for derived in layout.derived:
                derived.change(self.connection, key, row, None)
        return len(over)


def _without(range: tuple[bytes, bytes], low: bytes, high: bytes) -> list[tuple[bytes, bytes]]:
    """What is left of a range when another is cut out."""
    first, last = range
    left = [(first, min(last, low))] if first < low else []
    right = [(max(first, high), last)] if high < last else []
    return left + right
