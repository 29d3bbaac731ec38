"""Columns, what a query may read of them, and the typed conditions made of them.

Values only: engines run them, and `runtime.cql.text` writes their text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, NoReturn, TypeVar, cast, final

from runtime.cql.statements import Operator, Relation, Term
from runtime.cql.types import CqlType, List, Map, Set

R = TypeVar("R")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Kind = Literal["partition", "clustering", "static", "regular"]


@final
class Condition(Generic[R]):
    """A truth about one row of table R. Conditions are only ever given together, which means: all of them."""

    __slots__ = ("params", "relation")

    def __init__(self, relation: Relation, params: tuple[Any, ...]) -> None:
        self.relation = relation
        self.params = params

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition has no truth value in Python: give conditions side by side")

    def __repr__(self) -> str:
        return f"Condition({self.relation!r}, {self.params!r})"


class Selectable(Generic[R, V_co]):
    """What a query over table R may choose to read, and the type V of what it then gives.

    `empty` makes the value that stands for nothing, where that is not None.
    """

    __slots__ = ()

    @property
    def term(self) -> Term:
        raise NotImplementedError

    @property
    def empty(self) -> Callable[[], Any] | None:
        return None


@final
class Told(Selectable[R, int | None]):
    """When a column was written (µs since 1970), or the seconds that it has left; None where it holds nothing, or for
    ever.
    """

    __slots__ = ("_term",)

    def __init__(self, kind: Literal["writetime", "ttl"], column: str) -> None:
        self._term = Term(kind, column)

    @property
    def term(self) -> Term:
        return self._term


class AnyColumn(Generic[R, T]):
    """A column of table R, compared with values T. `name` is its name in the schema.

    Comparing it gives a Condition, for `if_` and `allow_filtering`. A comparison with None is refused; in `if_`,
    `is_null()` says it.
    """

    __slots__ = ("descending", "kind", "name", "term", "type")

    def __init__(self, name: str, type: CqlType[T], kind: Kind = "regular", *, descending: bool = False) -> None:
        self.name = name
        self.type = type
        self.kind: Kind = kind
        self.descending = descending
        self.term = Term("column", name)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def is_key(self) -> bool:
        return self.kind in ("partition", "clustering")

    def _compare(self, operator: Operator, value: Any) -> Condition[R]:
        if value is None:
            raise TypeError(f"column {self.name} can't be compared with None: use is_null()")
        return Condition(Relation((self.name,), operator), (value,))

    def __eq__(self, value: T) -> Condition[R]:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: T) -> Condition[R]:  # type: ignore[override]
        return self._compare("!=", value)

    def __lt__(self, value: T) -> Condition[R]:
        return self._compare("<", value)

    def __le__(self, value: T) -> Condition[R]:
        return self._compare("<=", value)

    def __gt__(self, value: T) -> Condition[R]:
        return self._compare(">", value)

    def __ge__(self, value: T) -> Condition[R]:
        return self._compare(">=", value)

    def in_(self, values: Iterable[T]) -> Condition[R]:
        """One of these values. An empty list matches nothing."""
        return self._compare("in", list(values))

    def is_null(self) -> Condition[R]:
        """It holds nothing; for `if_`."""
        return Condition(Relation((self.name,), "="), (None,))

    def is_not_null(self) -> Condition[R]:
        """It holds something; for `if_`."""
        return Condition(Relation((self.name,), "!="), (None,))

    def contains(
        self: AnyColumn[R, list[V]] | AnyColumn[R, set[V]] | AnyColumn[R, dict[Any, V]], value: V
    ) -> Condition[R]:
        """The list or set has this element, or the map this value."""
        column = cast("AnyColumn[R, Any]", self)
        column.parts(List, Set, Map)
        return column._compare("contains", value)

    def contains_key(self: AnyColumn[R, dict[K, Any]], key: K) -> Condition[R]:
        """The map has this key."""
        self.parts(Map)
        return self._compare("contains key", key)

    def entry(self: AnyColumn[R, dict[K, V]], key: K) -> Entry[R, V]:
        """What the map has at this key; compare it with `==`."""
        self.parts(Map)
        return Entry(self.name, key)

    def parts(self, *kinds: type[CqlType[Any]]) -> None:
        """Raises TypeError where the column is none of these."""
        if not isinstance(self.type, kinds):
            raise TypeError(f"column {self.name} is {self.type.text}, which has no such parts")


@final
class Entry(Generic[R, V]):
    """The value of a map at a key."""

    __slots__ = ("_column", "_key")

    def __init__(self, column: str, key: Any) -> None:
        self._column = column
        self._key = key

    __hash__ = object.__hash__

    def __eq__(self, value: V) -> Condition[R]:  # type: ignore[override]
        return Condition(Relation((self._column,), "entry"), (self._key, value))

    def __ne__(self, value: object) -> NoReturn:
        raise TypeError(f"an entry of {self._column} is only compared with ==")


@final
class KeyColumn(AnyColumn[R, T], Selectable[R, T]):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A column of the partition key or a clustering column. No row is without it."""

    __slots__ = ()


@final
class Column(AnyColumn[R, T], Selectable[R, T | None]):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A column that may hold nothing, which reads as None: of a native type, frozen, or user-defined."""

    __slots__ = ()

    def writetime(self) -> Selectable[R, int | None]:
        """When it was written, in µs since 1970. Raises TypeError for a type that is stored in parts."""
        return self._told("writetime")

    def ttl(self) -> Selectable[R, int | None]:
        """The seconds it has left to live; None for ever. Raises TypeError for a type that is stored in parts."""
        return self._told("ttl")

    def _told(self, kind: Literal["writetime", "ttl"]) -> Selectable[R, int | None]:
        if self.type.is_multi_cell:
            raise TypeError(f"column {self.name} is {self.type.text}, of which each part has a {kind} of its own")
        return Told(kind, self.name)


@final
class CollectionColumn(AnyColumn[R, T], Selectable[R, T]):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A list, set or map that is not frozen. Cassandra can't tell an empty one from none: it reads as empty."""

    __slots__ = ()

    @property
    def empty(self) -> Callable[[], Any] | None:
        return list if isinstance(self.type, List) else set if isinstance(self.type, Set) else dict
