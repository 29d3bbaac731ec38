"""Values that Python has no class for: durations, maps that can be part of a key. How they are stored is in `types`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, final

import msgspec

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)


class Duration(msgspec.Struct, frozen=True):
    """Calendar months, days, and nanoseconds of a day, none of which can be turned into another.

    All are of one sign. A month is not a number of days, so durations have no order.
    """

    months: int = 0
    days: int = 0
    nanoseconds: int = 0


@final
class FrozenMap(Mapping[K, V_co]):
    """A dict that never changes, and may be an element of a set or the key of a map. It keeps its order.

    Equal to every mapping of the same keys and values, whatever their order.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = ()) -> None:
        self._items = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"


class UserType(msgspec.Struct, frozen=True):
    """Base of the generated classes of user-defined types: immutable, so that a value may be part of a key."""
