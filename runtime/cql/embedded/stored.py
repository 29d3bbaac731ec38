"""How the values of a column are stored: one value in a cell, or parts with a cell each.

A stored value is one that MessagePack has: a number, a text, bytes. What it lacks is stored in the bytes of Cassandra's
protocol, frozen collections whole.
"""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from runtime.cql.embedded.cells import Bytes, Cell, Group, PartBytes, cell_lives
from runtime.cql.embedded.keys import order_code
from runtime.cql.errors import InvalidValue
from runtime.cql.types import (
    BigInt,
    Blob,
    Boolean,
    CqlType,
    Date,
    Double,
    Float,
    Int,
    List,
    Map,
    Set,
    SmallInt,
    Text,
    Time,
    TinyInt,
    UserDefined,
    Uuid,
)

Convert = Callable[[Any], Any]

_SINGLE = struct.Struct(">f")


def _single(value: float) -> float:
    return _SINGLE.unpack(_SINGLE.pack(value))[0]


def _uuid(data: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=data)


_SAME = (Text, TinyInt, SmallInt, Int, BigInt, Boolean, Blob, Time)  # and stored in the order of their values


def conversions(type: CqlType[Any]) -> tuple[Convert | None, Convert | None]:
    """What makes a stored value of a value, and the other way round; None where both are the same."""
    match type:
        case Float():
            return _single, None
        case Double():
            return None, None
        case Date():
            return datetime.date.toordinal, datetime.date.fromordinal
        case Uuid():
            return type.encode, _uuid
        case _ if isinstance(type, _SAME):
            return None, None
        case _:
            return type.encode, type.decode


def as_bytes(type: CqlType[Any]) -> Bytes:
    """What Cassandra stores, of a stored value."""
    encode, read = type.encode, conversions(type)[1]
    return encode if read is None else lambda stored: encode(read(stored))


class Stored:
    """How a column is stored. `number` is its place among those that are not of the key, for good."""

    __slots__ = ("as_bytes", "name", "number", "parts", "read", "static", "type", "write")

    def __init__(self, name: str, number: int, type: CqlType[Any], *, static: bool) -> None:
        self.name = name
        self.number = number
        self.type = type
        self.static = static
        self.parts = parts_of(name, type) if type.is_multi_cell else None
        self.write, self.read = (None, None) if self.parts else conversions(type)
        self.as_bytes: Bytes | PartBytes = self.parts.as_bytes if self.parts else as_bytes(type)


def parts_of(name: str, type: CqlType[Any]) -> Parts:
    match type:
        case List():
            return ListParts(name, type.item)
        case Set():
            return SetParts(name, type.item)
        case Map():
            return MapParts(name, type.key, type.value)
        case UserDefined():
            return FieldParts(name, type)
        case _:
            raise TypeError(f"column {name}: {type.text} is not stored in parts")


Place = tuple[Any, Any]
"""The path of a part, and the stored element or key where it can't be told from the path."""

Part = tuple[Place, Any]
"""Where a part stands and the stored value; None is a tombstone."""


class Stamps:
    """Gives items of lists their paths, above all that were given before in this process."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._last = 0

    def next(self, least: int = 0) -> int:
        """A path of its own, at least this one."""
        self._last = max(self._now_ns() // 100, self._last + 1, least)
        return self._last


class Parts:
    """A column that is stored in parts. `group` is what there is of it, `now` the second that it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def as_bytes(self, path: Any, stored: Any) -> bytes:
        """What Cassandra stores of a part."""
        raise NotImplementedError

    def cut(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        """The parts of a value: of a list, its items behind all that are there."""
        raise NotImplementedError

    def before(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        """The items of a list, before all that are there."""
        raise NotImplementedError

    def discarded(self, value: Any, group: Group, now: int) -> Iterator[Part]:
        """Tombstones for elements, keys, or items wherever they are."""
        raise NotImplementedError

    def entry(self, key: Any, value: Any, group: Group, now: int) -> Part:
        """The part at a map's key, a list's index or a field's name; value None deletes it. Raises InvalidValue."""
        raise NotImplementedError

    def whole(self, group: Group, now: int) -> Any:
        """The value of what lives of the parts; None where nothing does."""
        raise NotImplementedError


def _living(group: Group, now: int) -> list[tuple[Any, Any, Cell]]:
    """Path, key and cell of what lives, in order."""
    return [(path, *group.cells[path]) for path in sorted(group.cells) if cell_lives(group.cells[path][1], now)]


def _placer(type: CqlType[Any]) -> Callable[[Any], Place]:
    """What makes the place of an element or key."""
    if isinstance(type, _SAME):
        return lambda value: (value, None)
    code, write = order_code(type), conversions(type)[0]
    return lambda value: (code(value), value if write is None else write(value))


def _told(path: Any, key: Any) -> Any:
    return path if key is None else key


class ListParts(Parts):
    """The path of an item is a number: when it was appended, or, below zero, prepended."""

    def __init__(self, name: str, item: CqlType[Any]) -> None:
        super().__init__(name)
        self._write, self._read = conversions(item)
        self._bytes = as_bytes(item)

    def as_bytes(self, path: Any, stored: Any) -> bytes:
        return self._bytes(stored)

    def _stored(self, value: Any) -> Any:
        return value if self._write is None else self._write(value)

    def cut(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        last = max(group.cells, default=0)
        for item in value:
            yield (stamps.next(last + 1), None), self._stored(item)

    def before(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        first = min(group.cells, default=0)
        for item in reversed(value):
            yield (-stamps.next(1 - first), None), self._stored(item)

    def discarded(self, value: Any, group: Group, now: int) -> Iterator[Part]:
        unwanted = {self._bytes(self._stored(item)) for item in value}
        for path, key, cell in _living(group, now):
            if self._bytes(cell[3]) in unwanted:
                yield (path, key), None

    def entry(self, key: int, value: Any, group: Group, now: int) -> Part:
        living = _living(group, now)
        if not living:
            raise InvalidValue(f"{self.name}[{key}] can't be written: the list is empty", column=self.name)
        if not 0 <= key < len(living):
            raise InvalidValue(
                f"{self.name}[{key}] can't be written: the list has {len(living)} items", column=self.name
            )
        return (living[key][0], None), None if value is None else self._stored(value)

    def whole(self, group: Group, now: int) -> Any:
        read = self._read
        items = [cell[3] if read is None else read(cell[3]) for _, _, cell in _living(group, now)]
        return items or None


class SetParts(Parts):
    def __init__(self, name: str, item: CqlType[Any]) -> None:
        super().__init__(name)
        self._place = _placer(item)
        self._read = conversions(item)[1]

    def as_bytes(self, path: Any, stored: Any) -> bytes:
        return b""  # the element is the path

    def cut(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        for item in value:
            yield self._place(item), True

    def discarded(self, value: Any, group: Group, now: int) -> Iterator[Part]:
        for item in value:
            yield self._place(item), None

    def whole(self, group: Group, now: int) -> Any:
        read = self._read
        found = [_told(path, key) for path, key, _ in _living(group, now)]
        return set(found if read is None else map(read, found)) or None


class MapParts(Parts):
    def __init__(self, name: str, key: CqlType[Any], value: CqlType[Any]) -> None:
        super().__init__(name)
        self._place = _placer(key)
        self._read_key = conversions(key)[1]
        self._write, self._read = conversions(value)
        self._bytes = as_bytes(value)

    def as_bytes(self, path: Any, stored: Any) -> bytes:
        return self._bytes(stored)

    def _stored(self, value: Any) -> Any:
        return value if self._write is None else self._write(value)

    def cut(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        for key, each in value.items():
            yield self._place(key), self._stored(each)

    def discarded(self, value: Any, group: Group, now: int) -> Iterator[Part]:
        for key in value:
            yield self._place(key), None

    def entry(self, key: Any, value: Any, group: Group, now: int) -> Part:
        return self._place(key), None if value is None else self._stored(value)

    def whole(self, group: Group, now: int) -> Any:
        read_key, read = self._read_key, self._read
        found: dict[Any, Any] = {}
        for path, key, cell in _living(group, now):
            name = _told(path, key)
            found[name if read_key is None else read_key(name)] = cell[3] if read is None else read(cell[3])
        return found or None


class FieldParts(Parts):
    """A user-defined type that is not frozen: the path of a field is its place."""

    def __init__(self, name: str, type: UserDefined[Any]) -> None:
        super().__init__(name)
        self._made: Any = type.made
        self._places = {field: place for place, (field, _) in enumerate(type.fields)}
        kinds: list[CqlType[Any]] = [kind for _, kind in type.fields]
        self._writes = [conversions(kind)[0] for kind in kinds]
        self._reads = [conversions(kind)[1] for kind in kinds]
        self._bytes = [as_bytes(kind) for kind in kinds]

    def as_bytes(self, path: Any, stored: Any) -> bytes:
        place: int = path
        return self._bytes[place](stored)

    def _stored(self, place: int, value: Any) -> Any:
        write = self._writes[place]
        return value if write is None or value is None else write(value)

    def cut(self, value: Any, group: Group, stamps: Stamps) -> Iterator[Part]:
        for place, part in enumerate(msgspec.structs.astuple(value)):
            if part is not None:
                yield (place, None), self._stored(place, part)

    def entry(self, key: str, value: Any, group: Group, now: int) -> Part:
        place = self._places[key]
        return (place, None), self._stored(place, value)

    def whole(self, group: Group, now: int) -> Any:
        values: list[Any] = [None] * len(self._reads)
        for path, _, cell in _living(group, now):
            place: int = path
            if place < len(values):  # fields beyond are of a newer schema
                read = self._reads[place]
                values[place] = cell[3] if read is None else read(cell[3])
        return self._made(*values) if any(value is not None for value in values) else None
