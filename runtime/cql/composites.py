"""The types of CQL that are made of others: collections, tuples, vectors and user-defined types.

What is inside a type is frozen, whether the schema says so or not. Where Python needs a hash (an element of a set, the
key of a map, whatever is inside of either or of a user-defined type), the values are of the classes that have one:
tuples for lists and vectors, frozensets, FrozenMaps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

import msgspec

from runtime.cql.scalars import CqlType, read_uvint, uvint_bytes
from runtime.cql.spellings import type_name
from runtime.cql.values import FrozenMap, UserType

T = TypeVar("T")
U = TypeVar("U", bound=UserType)

_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)


def _framed(parts: Iterable[bytes]) -> bytes:
    """Each with its length before it."""
    return b"".join(chain.from_iterable((_LENGTH.pack(len(part)), part) for part in parts))


def _collection(parts: list[bytes], size: int) -> bytes:
    return _LENGTH.pack(size) + _framed(parts)


def _parts(data: bytes, at: int) -> Iterator[bytes | None]:
    """What `_framed` put together from this place on; None for a null."""
    end = len(data)
    while at < end:
        size: int = _LENGTH.unpack_from(data, at)[0]
        at += 4
        if size < 0:
            yield None
        else:
            yield data[at : at + size]
            at += size


def _items(data: bytes) -> Iterator[bytes]:
    return cast("Iterator[bytes]", _parts(data, 4))  # collections hold no nulls


def _frozen(text: str, frozen: bool) -> str:
    return f"frozen<{text}>" if frozen else text


def _nullable_order(type: CqlType[Any], value: Any) -> tuple[Any, ...]:
    """Null is below every value."""
    return (0,) if value is None else (1, type.order(value))


class _OfItems(CqlType[T], frozen=True):
    """What lists, sets and vectors share."""

    item: CqlType[Any]

    @property
    def has_duration(self) -> bool:
        return self.item.has_duration

    def _item_faults(self, items: Iterable[Any]) -> str | None:
        for item in items:
            if item is None:
                return "takes no None inside"
            if fault := self.item.fault(item):
                return f"is made of what {fault}"
        return None


class List(_OfItems[list[Any]], frozen=True):
    """`list<…>`. Whether its values are lists or, where they need a hash, tuples, says `is_hashable`."""

    item: CqlType[Any]
    frozen: bool = False
    is_hashable: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "item", self.item.as_frozen())

    @property
    def text(self) -> str:
        return _frozen(f"list<{self.item.text}>", self.frozen)

    @property
    def is_multi_cell(self) -> bool:
        return not self.frozen

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (list, tuple)):
            return f"takes a {self._class.__name__}"
        return self._item_faults(cast("Sequence[Any]", value))

    def fits(self) -> Callable[[Any], bool]:
        made, all_fit = self._class, self.item.all_fit
        return lambda value: type(value) is made and all_fit(value)

    def plain(self, value: Any) -> Any:
        return self._class(map(self.item.plain, value))

    def encode(self, value: Any) -> bytes:
        return _collection(list(map(self.item.encode, value)), len(value))

    def decode(self, data: bytes) -> Any:
        return self._class(map(self.item.decode, _items(data)))

    def order(self, value: Any) -> Any:
        return tuple(map(self.item.order, value))

    def hashable(self) -> CqlType[Any]:
        return List(self.item.hashable(), True, True)

    def as_frozen(self) -> List:
        return List(self.item, True, self.is_hashable)

    @property
    def _class(self) -> Callable[[Iterable[Any]], Any]:
        return tuple if self.is_hashable else list


class Set(_OfItems[set[Any]], frozen=True):
    """`set<…>`: sets of Python, or frozensets where they need a hash. Cassandra keeps them in the type's order."""

    item: CqlType[Any]
    frozen: bool = False
    is_hashable: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "item", self.item.hashable())

    @property
    def text(self) -> str:
        return _frozen(f"set<{self.item.text}>", self.frozen)

    @property
    def is_multi_cell(self) -> bool:
        return not self.frozen

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (set, frozenset)):
            return f"takes a {self._class.__name__}"
        return self._item_faults(cast("Iterable[Any]", value))

    def fits(self) -> Callable[[Any], bool]:
        made, all_fit = self._class, self.item.all_fit
        return lambda value: type(value) is made and all_fit(list(value))

    def plain(self, value: Any) -> Any:
        return self._class(map(self.item.plain, value))

    def encode(self, value: Any) -> bytes:
        ordered = sorted(value, key=self.item.order)
        return _collection(list(map(self.item.encode, ordered)), len(ordered))

    def decode(self, data: bytes) -> Any:
        return self._class(map(self.item.decode, _items(data)))

    def order(self, value: Any) -> Any:
        return tuple(sorted(map(self.item.order, value)))

    def hashable(self) -> CqlType[Any]:
        return Set(self.item, True, True)

    def as_frozen(self) -> Set:
        return Set(self.item, True, self.is_hashable)

    @property
    def _class(self) -> Callable[[Iterable[Any]], Any]:
        return frozenset if self.is_hashable else set


class Map(CqlType[dict[Any, Any]], frozen=True):
    """`map<…>`: dicts in the order of the keys' type, or FrozenMaps where they need a hash."""

    key: CqlType[Any]
    value: CqlType[Any]
    frozen: bool = False
    is_hashable: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "key", self.key.hashable())
        msgspec.structs.force_setattr(self, "value", self.value.as_frozen())

    @property
    def text(self) -> str:
        return _frozen(f"map<{self.key.text}, {self.value.text}>", self.frozen)

    @property
    def is_multi_cell(self) -> bool:
        return not self.frozen

    @property
    def has_duration(self) -> bool:
        return self.value.has_duration

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"takes a {self._class.__name__}"
        for key, each in cast("Mapping[Any, Any]", value).items():
            if key is None or each is None:
                return "takes no None inside"
            if fault := self.key.fault(key):
                return f"has keys of what {fault}"
            if fault := self.value.fault(each):
                return f"has values of what {fault}"
        return None

    def fits(self) -> Callable[[Any], bool]:
        made, keys_fit, values_fit = self._class, self.key.all_fit, self.value.all_fit
        return lambda value: type(value) is made and keys_fit(list(value)) and values_fit(list(value.values()))

    def plain(self, value: Any) -> Any:
        return self._class((self.key.plain(key), self.value.plain(each)) for key, each in value.items())

    def encode(self, value: Any) -> bytes:
        key, each = self.key, self.value
        parts: list[bytes] = []
        for name in sorted(value, key=key.order):
            parts += (key.encode(name), each.encode(value[name]))
        return _collection(parts, len(value))

    def decode(self, data: bytes) -> Any:
        parts = _items(data)
        return self._class((self.key.decode(key), self.value.decode(next(parts))) for key in parts)

    def order(self, value: Any) -> Any:
        return tuple(sorted((self.key.order(key), self.value.order(each)) for key, each in value.items()))

    def hashable(self) -> CqlType[Any]:
        return Map(self.key, self.value.hashable(), True, True)

    def as_frozen(self) -> Map:
        return Map(self.key, self.value, True, self.is_hashable)

    @property
    def _class(self) -> Callable[[Iterable[tuple[Any, Any]]], Any]:
        return cast("Any", FrozenMap if self.is_hashable else dict)


class Vector(_OfItems[list[Any]], frozen=True):
    """`vector<…, n>`: lists of n items, or tuples where they need a hash."""

    item: CqlType[Any]
    dimensions: int
    is_hashable: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "item", self.item.as_frozen())

    @property
    def text(self) -> str:
        return f"vector<{self.item.text}, {self.dimensions}>"

    @property
    def vector_size(self) -> int | None:
        size = self.item.vector_size
        return None if size is None else size * self.dimensions

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (list, tuple)):
            return f"takes a {self._class.__name__}"
        items = cast("Sequence[Any]", value)
        return self._item_faults(items) if len(items) == self.dimensions else f"takes {self.dimensions} items"

    def fits(self) -> Callable[[Any], bool]:
        made, all_fit, size = self._class, self.item.all_fit, self.dimensions
        return lambda value: type(value) is made and len(value) == size and all_fit(value)

    def plain(self, value: Any) -> Any:
        return self._class(map(self.item.plain, value))

    def encode(self, value: Any) -> bytes:
        parts = map(self.item.encode, value)
        if self.item.vector_size is not None:
            return b"".join(parts)
        return b"".join(uvint_bytes(len(part)) + part for part in parts)

    def decode(self, data: bytes) -> Any:
        return self._class(map(self.item.decode, self._cut(data)))

    def _cut(self, data: bytes) -> Iterator[bytes]:
        size, at = self.item.vector_size, 0
        for _ in range(self.dimensions):
            if size is None:
                length, at = read_uvint(data, at)
            else:
                length = size
            yield data[at : at + length]
            at += length

    def order(self, value: Any) -> Any:
        return tuple(map(self.item.order, value))

    def hashable(self) -> CqlType[Any]:
        return Vector(self.item.hashable(), self.dimensions, True)

    @property
    def _class(self) -> Callable[[Iterable[Any]], Any]:
        return tuple if self.is_hashable else list


class _OfFields(CqlType[T], frozen=True):
    """What tuples and user-defined types share: parts that may be null, each of its own type."""

    def _types(self) -> tuple[CqlType[Any], ...]:
        raise NotImplementedError

    def _encoded(self, parts: Iterable[Any]) -> bytes:
        out: list[bytes] = []
        for type, part in zip(self._types(), parts, strict=True):
            if part is None:
                out.append(_NULL)
            else:
                data = type.encode(part)
                out += (_LENGTH.pack(len(data)), data)
        return b"".join(out)

    def _decoded(self, data: bytes) -> list[Any]:
        # A value that was written before the type got its last fields ends early.
        found = [
            None if part is None else type.decode(part)
            for type, part in zip(self._types(), _parts(data, 0), strict=False)
        ]
        return found + [None] * (len(self._types()) - len(found))

    def _order(self, parts: Iterable[Any]) -> Any:
        return tuple(map(_nullable_order, self._types(), parts))

    def _plain(self, parts: Iterable[Any]) -> Iterator[Any]:
        return (None if part is None else type.plain(part) for type, part in zip(self._types(), parts, strict=True))


class Tuple(_OfFields[tuple[Any, ...]], frozen=True):
    """`tuple<…>`, each item of which may be None."""

    items: tuple[CqlType[Any], ...]

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "items", tuple(item.as_frozen() for item in self.items))

    def _types(self) -> tuple[CqlType[Any], ...]:
        return self.items

    @property
    def text(self) -> str:
        return f"frozen<tuple<{', '.join(item.text for item in self.items)}>>"

    @property
    def has_duration(self) -> bool:
        return any(item.has_duration for item in self.items)

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, tuple):
            return "takes a tuple"
        items = cast("tuple[Any, ...]", value)
        if len(items) != len(self.items):
            return f"takes a tuple of {len(self.items)} items"
        for place, (type, item) in enumerate(zip(self.items, items, strict=True)):
            if item is not None and (fault := type.fault(item)):
                return f"has an item [{place}] that {fault}"
        return None

    def plain(self, value: Any) -> Any:
        return tuple(self._plain(value))

    def encode(self, value: tuple[Any, ...]) -> bytes:
        return self._encoded(value)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        return tuple(self._decoded(data))

    def order(self, value: tuple[Any, ...]) -> Any:
        return self._order(value)

    def hashable(self) -> CqlType[Any]:
        return Tuple(tuple(item.hashable() for item in self.items))


class UserDefined(_OfFields[U], frozen=True):
    """A type that a keyspace declares. `made` is its class, `fields` the names in the schema and the types of its
    fields, in the order of both.
    """

    keyspace: str
    name: str
    made: type[U]
    fields: tuple[tuple[str, CqlType[Any]], ...]
    frozen: bool = False

    def __post_init__(self) -> None:
        hashable = tuple((name, type.hashable()) for name, type in self.fields)
        msgspec.structs.force_setattr(self, "fields", hashable)

    def _types(self) -> tuple[CqlType[Any], ...]:
        return tuple(type for _, type in self.fields)

    @property
    def text(self) -> str:
        return _frozen(type_name(self.name), self.frozen)

    @property
    def is_multi_cell(self) -> bool:
        return not self.frozen

    @property
    def has_duration(self) -> bool:
        return any(type.has_duration for _, type in self.fields)

    def field(self, name: str) -> tuple[str, CqlType[Any]]:
        """The name in the schema and the type of this field of the class. Raises TypeError."""
        for attribute, field in zip(self.made.__struct_fields__, self.fields, strict=True):
            if attribute == name:
                return field
        raise TypeError(f"{self.keyspace}.{self.name} has no field {name}")

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, self.made):
            return f"takes a {self.made.__name__}"
        for (name, type), part in zip(self.fields, msgspec.structs.astuple(value), strict=True):
            if part is not None and (fault := type.fault(part)):
                return f"has a field {name} that {fault}"
        return None

    def plain(self, value: Any) -> Any:
        return self.made(*self._plain(msgspec.structs.astuple(value)))

    def encode(self, value: U) -> bytes:
        return self._encoded(msgspec.structs.astuple(value))

    def decode(self, data: bytes) -> U:
        return self.made(*self._decoded(data))

    def order(self, value: U) -> Any:
        return self._order(msgspec.structs.astuple(value))

    def hashable(self) -> CqlType[Any]:
        return self.as_frozen()

    def as_frozen(self) -> UserDefined[U]:
        return UserDefined(self.keyspace, self.name, self.made, self.fields, True)
