"""What a write did, as far as the write itself says: for the row cache and the hooks. Asks no database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from runtime.sql.types import Bits, Bool, Bytes, Int, SqlType

if TYPE_CHECKING:
    from runtime.sql.expressions import Condition, Shape
    from runtime.sql.tables import Table

Key = tuple[Any, ...]
"""The values of a key's columns."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write to one table. `table` is None for hand-written SQL, of which only the table's name is known.

    `rows` were written whole. `keys` are primary keys to which the condition was bound, so that no other row changed;
    None where it could be any. `values` and `amounts`, by the columns' names in the schema, are what an update set and
    added. `count` is the number of rows.
    """

    name: str
    table: Table[Any] | None
    kind: Literal["insert", "upsert", "update", "delete", "raw"]
    rows: tuple[Any, ...] = ()
    keys: tuple[Key, ...] | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    amounts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    count: int = 0


def found_exactly(kind: SqlType[Any]) -> bool:
    """Whether a stored value equals one that finds it: not so for texts, of which a collation makes many equal."""
    return isinstance(kind, (Int, Bool, Bits, Bytes))


def stored_exactly(kind: SqlType[Any]) -> bool:
    """Whether a value is stored as it was given: BINARY pads, and moments lose digits."""
    return isinstance(kind, (Int, Bool, Bits))


def bound_keys(table: Table[Any], where: Condition[Any] | None) -> tuple[Key, ...] | None:
    """The primary keys outside of which no row meets the condition; None where it says nothing of the key."""
    if where is None or not table.primary_key:
        return None
    if not all(found_exactly(table.column(name).type) for name in table.primary_key):
        return None
    single: dict[str, Any] = {}
    for shape, params in _conjuncts(where.shape, where.params):
        kind, *rest = shape
        if kind == "compare" and rest[0] == "=" and rest[1] in table.primary_key:
            single[rest[1]] = params[0]
        elif kind == "in" and table.primary_key == (rest[0],):
            return tuple((value,) for value in dict.fromkeys(params))
        elif kind == "rows" and rest[0] == table.primary_key:
            width = len(table.primary_key)
            return tuple(dict.fromkeys(params[start : start + width] for start in range(0, len(params), width)))
        elif kind == "constant" and not rest[0]:
            return ()
    if len(single) == len(table.primary_key):
        return (tuple(single[name] for name in table.primary_key),)
    return None


def _conjuncts(shape: Shape, params: Key) -> Iterator[tuple[Shape, Key]]:
    """The conditions that all must hold, each with its own parameters."""
    if shape[0] != "and":
        yield shape, params
        return
    middle = _count(shape[1])
    yield from _conjuncts(shape[1], params[:middle])
    yield from _conjuncts(shape[2], params[middle:])


def _count(shape: Shape) -> int:
    """How many parameters a condition has."""
    kind, *rest = shape
    if kind in ("and", "or", "not"):
        return sum(map(_count, rest))
    if kind in ("compare", "like"):
        return 1
    if kind in ("in", "not in"):
        return rest[1]
    if kind == "rows":
        return len(rest[0]) * rest[1]
    return 0
