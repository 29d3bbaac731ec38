"""A table as a plain list of rows: what every engine must do, in Python."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runtime.sql.errors import ConstraintViolation, InvalidValue, UniqueViolation
from tests.sql.column_kinds import DAYS, Kind, single
from tests.sql.drawn_tables import Call, Shape

Row = list[Any]
EXACT = decimal.Context(prec=80)


@dataclass(frozen=True)
class Refused:
    """A call that fails: one of these errors, for a unique key by one of these names."""

    errors: tuple[type[Exception], ...]
    keys: frozenset[str] = frozenset()


def folded(kind: Kind, value: Any) -> Any:
    """A value as it compares: two are equal where this is."""
    if kind.family == "set" and value is not None:
        return ",".join(day for day in DAYS if day in value)
    return value.lower() if kind.family == "folded" and value is not None else value


def sort_key(kind: Kind, value: Any) -> tuple[bool, Any]:
    """NULL comes first."""
    return (value is not None, 0 if value is None else folded(kind, value))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<>": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def like(pattern: str) -> re.Pattern[str]:
    """A LIKE pattern, with the backslash as its escape."""
    parts: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            parts.append(re.escape(next(letters, "\\")))
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return re.compile("".join(parts), re.DOTALL)


class Model:
    """The rows, in no order, and what calls do to them and give."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.kinds = [field.kind for field in shape.fields]
        self.rows: list[Row] = []

    # reading

    def holds(self, condition: Call | None, row: Row) -> bool | None:
        """Three-valued: None where NULL leaves it open."""
        if condition is None:
            return True
        name, *rest = condition
        if name == "and":
            both = [self.holds(part, row) for part in rest]
            return False if False in both else None if None in both else True
        if name == "or":
            both = [self.holds(part, row) for part in rest]
            return True if True in both else None if None in both else False
        if name == "not":
            inner = self.holds(rest[0], row)
            return None if inner is None else not inner
        if name == "columns":
            operator, (one, other) = rest
            return self._compared(operator, row[one], row[other], self.kinds[one])
        place, *given = rest
        kind, value = self.kinds[place], row[place]
        if name == "null":
            return value is None
        if name == "not null":
            return value is not None
        if name in ("in", "not in"):
            if not given[0]:
                return name == "not in"
            if value is None:
                return None
            return (folded(kind, value) in [folded(kind, each) for each in given[0]]) == (name == "in")
        if value is None:
            return None
        if name == "between":
            low, high = (folded(kind, each) for each in given)
            return low <= folded(kind, value) <= high
        if name == "like":
            return like(given[0]).fullmatch(value) is not None
        if name == "starts":
            return value.startswith(given[0])
        return self._compared(name, value, given[0], kind)

    def _compared(self, operator: str, one: Any, other: Any, kind: Kind) -> bool | None:
        if one is None or other is None:
            return None
        return _COMPARE[operator](folded(kind, one), folded(kind, other))

    def found(self, condition: Call | None) -> list[Row]:
        return [row for row in self.rows if self.holds(condition, row) is True]

    def ordered(self, rows: list[Row], order: list[tuple[int, bool]]) -> list[Row]:
        """`order` holds places and whether upwards."""
        done = list(rows)
        for place, upwards in reversed(order):
            done.sort(key=lambda row: sort_key(self.kinds[place], row[place]), reverse=not upwards)
        return done

    def aggregate(self, rows: list[Row], function: str, place: int) -> Any:
        values = [row[place] for row in rows if row[place] is not None]
        if not values:
            return None
        if function in ("min", "max"):
            best = min if function == "min" else max
            return best(values, key=lambda value: folded(self.kinds[place], value))
        total = values[0] if self.kinds[place].family == "decimal" else sum(values)
        if self.kinds[place].family == "decimal":
            for value in values[1:]:
                total = EXACT.add(total, value)
        return float(total) / len(values) if function == "avg" else total

    def groups(self, condition: Call | None, places: list[int]) -> dict[tuple[Any, ...], list[Row]]:
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.found(condition):
            found.setdefault(tuple(folded(self.kinds[place], row[place]) for place in places), []).append(row)
        return found

    def key(self, row: Row, places: tuple[int, ...]) -> tuple[Any, ...]:
        return tuple(folded(self.kinds[place], row[place]) for place in places)

    def by_key(self, row: Row, places: tuple[int, ...]) -> Row | None:
        """The row that has the same key; a NULL in a key equals nothing."""
        wanted = self.key(row, places)
        if None in wanted:
            return None
        return next((each for each in self.rows if self.key(each, places) == wanted), None)

    # writing; each gives the rows afterwards, or says why not

    def _keys(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.shape.primary:
            yield "PRIMARY", self.shape.primary
        yield from self.shape.unique.items()

    def _clashes(self, rows: list[Row]) -> frozenset[str]:
        """The keys that two rows share."""
        clashes: set[str] = set()
        for name, places in self._keys():
            keys = [key for key in (self.key(row, places) for row in rows) if None not in key]
            if len(set(keys)) < len(keys):
                clashes.add(name)
        return frozenset(clashes)

    def inserted(self, new: list[Row]) -> list[Row] | Refused:
        rows = [*self.rows, *(list(row) for row in new)]
        clashes = self._clashes(rows)
        return Refused((UniqueViolation,), clashes) if clashes else rows

    def upserted(self, new: list[Row]) -> list[Row] | Refused:
        rows = [list(row) for row in self.rows]
        primary = self.shape.primary
        for row in new:
            key = self.key(row, primary)
            place = next((place for place, each in enumerate(rows) if self.key(each, primary) == key), None)
            if place is None or self._asks_for_id(row):
                rows.append(list(row))
            else:
                rows[place] = [rows[place][each] if each in primary else value for each, value in enumerate(row)]
            if self._clashes(rows):
                return Refused((ConstraintViolation, InvalidValue))
        return rows

    def _asks_for_id(self, row: Row) -> bool:
        return self.shape.auto is not None and not row[self.shape.auto]

    def updated(self, rows: list[Row], changes: dict[int, Any], amounts: dict[int, Any]) -> list[Row] | Refused:
        """`rows` are some of the table's own."""
        after: list[Row] = []
        out_of_range = False
        for row in self.rows:
            becomes = list(row)
            if any(row is each for each in rows):
                for place, value in changes.items():
                    becomes[place] = value
                for place, amount in amounts.items():
                    if row[place] is not None:
                        becomes[place] = _added(self.kinds[place], row[place], amount)
                        out_of_range = out_of_range or becomes[place] is None
            after.append(becomes)
        clashes = self._clashes(after)
        if out_of_range:
            return Refused((InvalidValue, UniqueViolation) if clashes else (InvalidValue,), clashes)
        return Refused((UniqueViolation,), clashes) if clashes else after


def _added(kind: Kind, value: Any, amount: Any) -> Any:
    """The sum as the column holds it; None where it is out of range."""
    if kind.family == "float":
        return single(value + amount) if kind.declared == "FLOAT" else value + amount
    if kind.family == "decimal":
        precision, scale = (int(number) for number in re.findall(r"\d+", kind.declared))
        total = EXACT.add(value, amount)
        return total if -(decimal.Decimal(10) ** (precision - scale)) < total < 10 ** (precision - scale) else None
    bits = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}[kind.declared.split()[0]]
    signed = "UNSIGNED" not in kind.declared
    total = value + amount
    top = 2 ** (bits - 1) if signed or bits == 64 else 2**bits
    return total if (-top if signed else 0) <= total < top else None
