"""Columns and the typed conditions made of them.

Values only: the text they become is made by `runtime.sql.statements`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar, cast, final

from runtime.sql.types import SqlType

R = TypeVar("R")
T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)

Shape = tuple[Any, ...]
"""A condition without its values.

Nested tuples of strings and numbers, hashable, the key under which its text is cached.
"""


@final
class Condition(Generic[R]):
    """A truth about one row of table R. Combine with `&`, `|` and `~`; Python's `and`, `or`, `not` are refused."""

    __slots__ = ("params", "shape")

    def __init__(self, shape: Shape, params: tuple[Any, ...] = ()) -> None:
        self.shape = shape
        self.params = params

    def __and__(self, other: Condition[R]) -> Condition[R]:
        return Condition(("and", self.shape, other.shape), self.params + other.params)

    def __or__(self, other: Condition[R]) -> Condition[R]:
        return Condition(("or", self.shape, other.shape), self.params + other.params)

    def __invert__(self) -> Condition[R]:
        return Condition(("not", self.shape), self.params)

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition has no truth value in Python: combine conditions with &, | and ~")

    def __repr__(self) -> str:
        return f"Condition({self.shape!r}, {self.params!r})"


@final
class Order(Generic[R]):
    """One term of ORDER BY."""

    __slots__ = ("shape",)

    def __init__(self, column: str, direction: Literal["asc", "desc"]) -> None:
        self.shape = (column, direction)


class Selectable(Generic[R, V_co]):
    """What a query over table R may choose to read, and the type V of what it then gives."""

    __slots__ = ()


class AnyColumn(Generic[R, T]):
    """A column of table R, compared with values T.

    Comparing it gives a Condition; a comparison with None is refused, `is_null()` says it. `name` is its name in the
    schema.
    """

    __slots__ = ("auto", "name", "type", "writable")

    nullable: ClassVar[bool] = False

    def __init__(self, name: str, type: SqlType[T], *, auto: bool = False, writable: bool = True) -> None:
        self.name = name
        self.type = type
        self.auto = auto  # AUTO_INCREMENT: zero asks the engine for the next value
        self.writable = writable  # False for a generated column

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _compare(self, operator: str, value: T | AnyColumn[R, T]) -> Condition[R]:
        if isinstance(value, AnyColumn):
            other = cast("AnyColumn[R, T]", value)
            return Condition(("columns", operator, self.name, other.name))
        if value is None:
            raise TypeError(f"column {self.name} can't be compared with None: use is_null()")
        return Condition(("compare", operator, self.name), (value,))

    def __eq__(self, value: T | AnyColumn[R, T]) -> Condition[R]:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: T | AnyColumn[R, T]) -> Condition[R]:  # type: ignore[override]
        return self._compare("<>", value)

    def __lt__(self, value: T | AnyColumn[R, T]) -> Condition[R]:
        return self._compare("<", value)

    def __le__(self, value: T | AnyColumn[R, T]) -> Condition[R]:
        return self._compare("<=", value)

    def __gt__(self, value: T | AnyColumn[R, T]) -> Condition[R]:
        return self._compare(">", value)

    def __ge__(self, value: T | AnyColumn[R, T]) -> Condition[R]:
        return self._compare(">=", value)

    def _membership(self, operator: str, values: Iterable[T]) -> Condition[R]:
        items = tuple(values)
        if any(item is None for item in items):
            raise TypeError(f"column {self.name}: None in a list never matches; use is_null()")
        if not items:
            return Condition(("constant", operator == "not in"))
        # Padding the list to a power of two bounds the number of statement texts; a repeated value changes no result.
        items += items[-1:] * ((1 << (len(items) - 1).bit_length()) - len(items))
        return Condition((operator, self.name, len(items)), items)

    def in_(self, values: Iterable[T]) -> Condition[R]:
        """One of these values. An empty list matches nothing."""
        return self._membership("in", values)

    def not_in(self, values: Iterable[T]) -> Condition[R]:
        """None of these values. An empty list matches everything."""
        return self._membership("not in", values)

    def between(self, low: T, high: T) -> Condition[R]:
        """From `low` to `high`, both included."""
        return (self >= low) & (self <= high)

    def like(self: AnyColumn[R, str], pattern: str) -> Condition[R]:
        """SQL LIKE: `%` any run, `_` one character, `\\` escapes; alone at the end it stands for itself."""
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            pattern += "\\"  # SQLite would match nothing
        return Condition(("like", self.name), (pattern,))

    def starts_with(self: AnyColumn[R, str], prefix: str) -> Condition[R]:
        """The text begins with exactly this prefix; `%` and `_` in it stand for themselves."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return Condition(("like", self.name), (escaped + "%",))

    def is_null(self) -> Condition[R]:
        return Condition(("null", self.name))

    def is_not_null(self) -> Condition[R]:
        return Condition(("not", ("null", self.name)))

    def asc(self) -> Order[R]:
        return Order(self.name, "asc")

    def desc(self) -> Order[R]:
        return Order(self.name, "desc")


@final
class Column(AnyColumn[R, T], Selectable[R, T]):
    """A NOT NULL column."""

    __slots__ = ()


@final
class NullableColumn(AnyColumn[R, T], Selectable[R, T | None]):
    """A column that may be NULL: reading it gives T or None."""

    __slots__ = ()

    nullable: ClassVar[bool] = True


def all_of(conditions: Iterable[Condition[R]]) -> Condition[R] | None:
    """Every condition at once; None where there is none."""
    whole: Condition[R] | None = None
    for condition in conditions:
        whole = condition if whole is None else whole & condition
    return whole
