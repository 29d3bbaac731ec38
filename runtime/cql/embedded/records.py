"""A row as one value of SQLite: the usual one as an array of its values, any other as a map of its cells.

The usual row was inserted whole at one time: all that it holds was written then, nothing of it ends. The time stands in
a column of its own beside the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from runtime.cql.embedded.cells import Cell, Group, Liveness, cell_lives, newer, newer_liveness

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

USUAL: Any = list
"""What `decode` makes of the record of a usual row."""

_KEYS, _LIVENESS, _CELLS, _GROUPS = range(4)


class Row:
    """The content of a row, or of the static columns of a partition; or what a write does to one.

    `keys` are the stored values of the clustering columns; cells and groups go by the numbers of their columns.
    """

    __slots__ = ("cells", "groups", "keys", "liveness")

    def __init__(
        self,
        keys: Sequence[Any],
        liveness: Liveness | None = None,
        cells: dict[int, Cell] | None = None,
        groups: dict[int, Group] | None = None,
    ) -> None:
        self.keys = keys
        self.liveness = liveness
        self.cells = {} if cells is None else cells
        self.groups = {} if groups is None else groups

    @classmethod
    def read(cls, time: int, record: Any, width: int) -> Row:
        """Of what `decode` gave and the time beside it; `width` is the number of clustering columns."""
        if type(record) is USUAL:
            cells: dict[int, Cell] = {
                number: (time, None, None, value) for number, value in enumerate(record[width:]) if value is not None
            }
            return cls(record[:width], (time, None, None), cells)
        liveness = record[_LIVENESS]
        return cls(
            record[_KEYS],
            tuple(liveness) if liveness else None,
            {number: tuple(cell) for number, cell in record[_CELLS].items()},
            {
                number: Group(deleted, at, {path: (key, tuple(cell)) for path, key, cell in parts})
                for number, (deleted, at, parts) in record[_GROUPS].items()
            },
        )

    def record(self, columns: int) -> bytes:
        """The record; `columns` is how many there are that are not of the key."""
        if self._is_usual():
            values = [*self.keys, *[None] * columns]
            for number, cell in self.cells.items():
                values[len(self.keys) + number] = cell[3]
            return encode(values)
        groups = {
            number: (group.deleted, group.deleted_at, [(path, key, cell) for path, (key, cell) in group.cells.items()])
            for number, group in self.groups.items()
        }
        return encode({_KEYS: self.keys, _LIVENESS: self.liveness, _CELLS: self.cells, _GROUPS: groups})

    def _is_usual(self) -> bool:
        liveness = self.liveness
        if liveness is None or liveness[1] is not None or self.groups:
            return False
        time = liveness[0]
        return all(cell[0] == time and cell[1] is None for cell in self.cells.values())

    def is_empty(self) -> bool:
        """Whether nothing is left of it, not even a tombstone."""
        return self.liveness is None and not self.cells and not self.groups

    def lives(self, now: int, *, strict: bool = False) -> bool:
        """Whether a query sees it; with `strict`, what its columns hold does not count."""
        liveness = self.liveness
        if liveness is not None and (liveness[1] is None or liveness[1] > now):
            return True
        if strict:
            return False
        return any(cell_lives(cell, now) for cell in self.cells.values()) or any(
            group.lives(now) for group in self.groups.values()
        )

    def merge(self, other: Row, as_bytes: Sequence[Any]) -> None:
        """Take in what the other has; `as_bytes` goes by the numbers of the columns."""
        self.liveness = newer_liveness(self.liveness, other.liveness)
        for number, cell in other.cells.items():
            known = self.cells.get(number)
            self.cells[number] = cell if known is None else newer(known, cell, as_bytes[number])
        for number, group in other.groups.items():
            self.groups.setdefault(number, Group()).merge(group, as_bytes[number])

    def shadow(self, time: int) -> None:
        """Leave out what was written up to this time, by a deletion that is kept elsewhere."""
        if self.liveness is not None and self.liveness[0] <= time:
            self.liveness = None
        self.cells = {number: cell for number, cell in self.cells.items() if cell[0] > time}
        for group in self.groups.values():
            group.shadow(time)
        self._drop_empty_groups()

    def purge(self, before: int) -> None:
        """Leave out what ended up to this second: nothing older than it can be written any more."""
        if self.liveness is not None and self.liveness[1] is not None and self.liveness[1] <= before:
            self.liveness = None
        self.cells = {number: cell for number, cell in self.cells.items() if cell[1] is None or cell[1] > before}
        for group in self.groups.values():
            group.purge(before)
        self._drop_empty_groups()

    def _drop_empty_groups(self) -> None:
        self.groups = {
            number: group for number, group in self.groups.items() if group.cells or group.deleted is not None
        }

    def newest(self) -> int:
        """The latest time that anything of it was written."""
        times = [cell[0] for cell in self._all_cells()]
        times += [group.deleted for group in self.groups.values() if group.deleted is not None]
        if self.liveness is not None:
            times.append(self.liveness[0])
        return max(times)

    def ends(self) -> int | None:
        """The second from which on no query sees it; None where it lives for ever."""
        ends = [group.deleted_at for group in self.groups.values() if group.deleted is not None]
        if self.liveness is not None:
            if self.liveness[1] is None:
                return None
            ends.append(self.liveness[1])
        for cell in self._all_cells():
            if cell[1] is None:
                return None
            ends.append(cell[1])
        return max(ends)

    def _all_cells(self) -> Iterator[Cell]:
        yield from self.cells.values()
        for group in self.groups.values():
            for _, cell in group.cells.values():
                yield cell
