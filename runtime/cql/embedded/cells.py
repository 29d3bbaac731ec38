"""What a row is made of: cells with the time they were written, and which of two for one place is kept.

Times of writes are µs since 1970, as clients say them; ends are seconds since 1970, of this machine's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

Cell = tuple[int, int | None, int | None, Any]
"""When it was written, when it ends, its TTL in seconds, the value as stored.

One without an end lives for ever. One with an end and no TTL is a tombstone: its end is when it was made.
"""

Liveness = tuple[int, int | None, int | None]
"""When a row was inserted, when that ends, and the TTL: what keeps a row alive whose columns hold nothing."""

Bytes = Callable[[Any], bytes]
"""What Cassandra stores of a stored value."""

PartBytes = Callable[[Any, Any], bytes]
"""The same of a part: of its path and its stored value."""

YEAR_2038 = (1 << 31) - 2
"""The last second that may be the end of a cell in Cassandra 5.0 with its default storage_compatibility_mode."""

LONGEST_TTL = 630_720_000  # 20 years (https://issues.apache.org/jira/browse/CASSANDRA-4771)


def cell_lives(cell: Cell, now: int) -> bool:
    end = cell[1]
    return end is None or (cell[2] is not None and end > now)


def newer(left: Cell, right: Cell, as_bytes: Bytes) -> Cell:
    """The one of two cells that is kept. `as_bytes` gives a stored value as Cassandra stores it.

    The rules of CASSANDRA-14592: the later write; then what ends, as a tombstone or by its TTL, before what doesn't;
    tombstones before what has a TTL; the later end; the greater bytes.
    """
    if left[0] != right[0]:
        return left if left[0] > right[0] else right
    if (left[1] is None) != (right[1] is None):
        return right if left[1] is None else left
    if left[1] is not None and right[1] is not None:
        if (left[2] is None) != (right[2] is None):
            return left if left[2] is None else right
        if left[1] != right[1]:
            return left if left[1] > right[1] else right
        if left[2] is None:
            return left
    return left if left[3] == right[3] or as_bytes(left[3]) >= as_bytes(right[3]) else right


def newer_liveness(left: Liveness | None, right: Liveness | None) -> Liveness | None:
    """The later insert; then one with a TTL; then the later end."""
    if left is None or right is None:
        return left or right
    if left[0] != right[0]:
        return left if left[0] > right[0] else right
    if left[1] is None or right[1] is None:
        return right if left[1] is None else left
    return left if left[1] >= right[1] else right


class Group:
    """The cells of a column that is stored in parts, by their paths, and the deletion of all that was before.

    A path sorts as the parts do: a list's is a number, those of sets and maps are made of the element or key, which
    stands beside the cell where it can't be told from the path.
    """

    __slots__ = ("cells", "deleted", "deleted_at")

    def __init__(
        self, deleted: int | None = None, deleted_at: int = 0, cells: dict[Any, tuple[Any, Cell]] | None = None
    ) -> None:
        self.deleted = deleted
        self.deleted_at = deleted_at
        self.cells = {} if cells is None else cells

    def merge(self, other: Group, as_bytes: PartBytes) -> None:
        """Take in what the other has."""
        if other.deleted is not None:
            self.delete(other.deleted, other.deleted_at)
        for path, (key, cell) in other.cells.items():
            if self.deleted is not None and cell[0] <= self.deleted:
                continue
            known = self.cells.get(path)
            self.cells[path] = (key, cell if known is None else newer(known[1], cell, partial(as_bytes, path)))

    def delete(self, time: int, at: int) -> None:
        """Everything that was written up to this time is gone."""
        if self.deleted is None or time > self.deleted:
            self.deleted, self.deleted_at = time, at
        self.shadow(time)

    def shadow(self, time: int) -> None:
        """Leave out what was written up to this time, by a deletion that is kept elsewhere."""
        self.cells = {path: part for path, part in self.cells.items() if part[1][0] > time}
        if self.deleted is not None and self.deleted < time:
            self.deleted = None

    def purge(self, before: int) -> None:
        """Leave out what ended up to this second."""
        self.cells = {path: part for path, part in self.cells.items() if part[1][1] is None or part[1][1] > before}
        if self.deleted is not None and self.deleted_at <= before:
            self.deleted = None

    def lives(self, now: int) -> bool:
        return any(cell_lives(cell, now) for _, cell in self.cells.values())
