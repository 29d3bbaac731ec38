"""What a WHERE means: the partitions it names, the ranges of their rows, and what is left to be asked of each row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from runtime.cql.embedded.keys import behind
from runtime.cql.embedded.layout import Layout
from runtime.cql.errors import InvalidValue
from runtime.cql.statements import Relation

Range = tuple[bytes, bytes | None]
"""Keys, or what of them stands behind the partition's; from the first up to but without the second, None is the end."""

Params = Sequence[Any]

WHOLE: Range = (b"\0", None)
"""All rows of a partition, without its static columns."""

ONLY: Range = (b"", b"\0")
"""The one row of a partition whose table has no clustering columns."""


def places_of(relations: Sequence[Relation], first: int = 0) -> list[tuple[Relation, int]]:
    """Each relation with the place of its first parameter."""
    placed: list[tuple[Relation, int]] = []
    for relation in relations:
        placed.append((relation, first))
        first += width_of(relation)
    return placed


def width_of(relation: Relation) -> int:
    """How many parameters a relation has."""
    return 2 if relation.operator == "entry" else len(relation.columns)


class Where:
    """Compiled relations. `first` is the place of their first parameter among the statement's.

    `names_partitions` says whether the whole partition key is given, `names_rows` whether the whole primary key is.
    `rest` are the relations that are neither of the partition key nor a range of rows.
    """

    def __init__(self, layout: Layout, relations: Sequence[Relation], first: int = 0) -> None:
        self._layout = layout
        placed = places_of(relations, first)
        self._partition = self._take_partition(placed)
        self.names_partitions = self._partition is not None
        self._chosen: list[tuple[int, bool]] = []  # for each clustering column in turn: its parameter; whether a list
        self._bounds: list[tuple[str, int, int]] = []  # the operator, how many columns, the first parameter
        if self.names_partitions:
            self._take_clustering(placed)
        self.names_rows = self.names_partitions and len(self._chosen) == layout.depth
        self.restricts_rows = bool(self._chosen or self._bounds)
        self.rest = placed
        self._is_single = self.names_partitions and not any(
            is_list for _, is_list in (*(self._partition or ()), *self._chosen)
        )

    def _take_partition(self, placed: list[tuple[Relation, int]]) -> list[tuple[int, bool]] | None:
        found: list[tuple[int, bool]] = []
        taken: list[tuple[Relation, int]] = []
        for column in self._layout.table.partition_key:
            match = _equal(placed, column.name)
            if match is None:
                return None
            taken.append(match)
            found.append((match[1], match[0].operator == "in"))
        for match in taken:
            placed.remove(match)
        return found

    def _take_clustering(self, placed: list[tuple[Relation, int]]) -> None:
        columns = self._layout.table.clustering
        for column in columns:
            match = _equal(placed, column.name)
            if match is None:
                break
            placed.remove(match)
            self._chosen.append((match[1], match[0].operator == "in"))
        following = tuple(column.name for column in columns[len(self._chosen) :])
        for relation, place in list(placed):
            width = len(relation.columns)
            if relation.operator in ("<", "<=", ">", ">=") and following and relation.columns == following[:width]:
                placed.remove((relation, place))
                self._bounds.append((relation.operator, width, place))

    def key(self, params: Params) -> bytes:
        """The one row's key of a WHERE that names it by `=` only."""
        return self.key_of()(params)

    def key_of(self) -> Callable[[Params], bytes]:
        """What makes the key of a WHERE that names one row by `=` only."""
        partition, codes = self._layout.partition, self._layout.codes
        values = self.values_of_partition()
        chosen = [place for place, _ in self._chosen]
        if not chosen:
            return lambda params: partition(values(params))
        if len(chosen) == 1:
            (place,), (code,) = chosen, codes[:1]
            return lambda params: partition(values(params)) + code(params[place])
        pairs = list(zip(codes, chosen, strict=False))
        return lambda params: partition(values(params)) + b"".join([code(params[place]) for code, place in pairs])

    def values_of_partition(self) -> Callable[[Params], Sequence[Any]]:
        """What picks the values of the partition key's columns, which are named by `=` only."""
        places = [place for place, _ in self._partition or ()]
        if not self._layout.tells_partition_as_given:
            told = self._layout.partition_told
            return lambda params: told([params[place] for place in places])
        first = places[0]
        if places == list(range(first, first + len(places))):
            return itemgetter(slice(first, first + len(places)))
        return lambda params: [params[place] for place in places]

    @property
    def names_one_row(self) -> bool:
        return self._is_single and self.names_rows

    def ways(self, params: Params) -> int:
        """How many ranges of rows the lists of IN make together."""
        return math.prod(len(params[place]) for place, is_list in (*(self._partition or ()), *self._chosen) if is_list)

    def partition_values(self, params: Params) -> list[Sequence[Any]]:
        """The partitions as the values of their columns, in order of these."""
        layout = self._layout
        choices: list[list[Any]] = []
        for type, (place, is_list) in zip(layout.partition_types, self._partition or (), strict=True):
            if not is_list:
                choices.append([params[place]])
                continue
            by_order = {type.order(value): value for value in params[place]}
            choices.append([by_order[order] for order in sorted(by_order)])
        return list(map(layout.partition_told, itertools.product(*choices)))

    def clustering_values(self, params: Params) -> list[tuple[Any, ...]]:
        """The values of the clustering columns that are named, in clustering order."""
        choices: list[list[Any]] = []
        for code, (place, is_list) in zip(self._layout.codes, self._chosen, strict=False):
            if not is_list:
                choices.append([params[place]])
                continue
            by_code = {code(value): value for value in params[place]}
            choices.append([by_code[each] for each in sorted(by_code)])
        return list(itertools.product(*choices))

    def ranges(self, params: Params) -> list[Range]:
        """The ranges of rows within each partition, in clustering order."""
        codes = self._layout.codes
        if not codes:
            return [ONLY]
        ranges: list[Range] = []
        for values in self.clustering_values(params):
            prefix = b"".join(code(value) for code, value in zip(codes, values, strict=False))
            if not self._bounds:
                ranges.append(_all_of(prefix))
                continue
            found = [_all_of(prefix)]
            for operator, width, place in self._bounds:
                bound = self._bound(prefix, len(values), operator, params[place : place + width])
                found = _intersection(found, bound)
            ranges += found
        return ranges

    def _bound(self, prefix: bytes, depth: int, operator: str, values: Params) -> list[Range]:
        """The ranges behind `prefix`, the codes of `depth` columns, of a bound of the columns that follow.

        `(a, b) > (1, 2)` is what has `a > 1`, and what has `a = 1` and `b > 2`: with mixed clustering orders these are
        two ranges.
        """
        layout = self._layout
        ranges: list[Range] = []
        for place, value in enumerate(values):
            column = layout.table.clustering[depth + place]
            upward = (operator[0] == ">") != column.descending
            low, high = _all_of(prefix)
            code = prefix + layout.codes[depth + place](value)
            if not upward:
                ranges.append((low, code))
            elif (following := _all_of(code)[1]) is not None:
                ranges.append((following, high))
            prefix = code
        if operator.endswith("="):
            ranges.append(_all_of(prefix))
        return sorted((range for range in ranges if range[1] is None or range[0] < range[1]), key=_low)


def _equal(placed: list[tuple[Relation, int]], name: str) -> tuple[Relation, int] | None:
    for relation, place in placed:
        if relation.columns == (name,) and relation.operator in ("=", "in"):
            return relation, place
    return None


def _intersection(some: list[Range], others: list[Range]) -> list[Range]:
    found: list[Range] = []
    for low, high in some:
        for other_low, other_high in others:
            least = max(low, other_low)
            most = high if other_high is None else other_high if high is None else min(high, other_high)
            if most is None or least < most:
                found.append((least, most))
    return sorted(found, key=_low)


def _all_of(prefix: bytes) -> Range:
    """Everything that begins with the codes of some columns."""
    if not prefix:
        return WHOLE
    return prefix, behind(prefix) if prefix.strip(b"\xff") else None


def _low(range: Range) -> bytes:
    return range[0]


Check = Callable[[Sequence[Any]], bool]
"""Whether a row's values, as they are stored, meet a relation."""


def checks(
    layout: Layout, placed: Sequence[tuple[Relation, int]], params: Params, *, null: bool = False
) -> list[Check]:
    """The relations as questions to a row. With `null`, as in IF, a value may be compared with None, and what holds
    nothing differs from everything; otherwise null meets no relation.
    """
    return [_check(layout, relation, params[place : place + width_of(relation)], null) for relation, place in placed]


def _check(layout: Layout, relation: Relation, params: Params, null: bool) -> Check:
    (name,) = relation.columns
    place = layout.places[name]
    column = layout.table.column(name)
    read = reading(layout, name)
    meets = meeting(column.type, relation.operator, params, null=null)

    def check(values: Sequence[Any]) -> bool:
        value = values[place]
        return meets(value if value is None or read is None else read(value))

    return check


def reading(layout: Layout, name: str) -> Callable[[Any], Any] | None:
    """What makes a value of this column of the stored one; None where both are the same."""
    place = layout.places[name]
    first = len(layout.partition_types)
    if place < first:
        return None
    return layout.key_conversions[place - first][1] if place < layout.head else layout.stored[name].read


def meeting(type: Any, operator: str, params: Params, *, null: bool) -> Callable[[Any], bool]:
    """Whether a value, or None, meets an operator. Values compare as their type says."""
    if operator in ("contains", "contains key", "entry"):
        return _part_meeting(type, operator, params)
    order = type.encode if type.has_duration else type.order
    is_nothing = _is_empty if null and type.is_multi_cell else _is_none
    if operator == "in":
        wanted = [None if is_nothing(each) else order(each) for each in params[0]]
        return lambda value: (None if value is None else order(value)) in wanted if null or value is not None else False
    given = params[0]
    if null and type.is_multi_cell and given is not None and _is_empty(given):
        if operator not in ("=", "!="):
            raise InvalidValue(f"an empty {type.text} is not compared by {operator}")
        given = None
    if given is None:
        return (lambda value: value is None) if operator == "=" else (lambda value: value is not None)
    bound = order(given)
    compare = _COMPARISONS[operator]
    absent = null and operator == "!="
    return lambda value: absent if value is None else compare(order(value), bound)


def _is_none(value: Any) -> bool:
    return value is None


def _is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _part_meeting(type: Any, operator: str, params: Params) -> Callable[[Any], bool]:
    if operator == "contains":
        part = type.value if hasattr(type, "value") else type.item
        order = part.encode if part.has_duration else part.order
        wanted = order(params[0])
        return lambda value: (
            value is not None
            and any(order(each) == wanted for each in (value.values() if hasattr(value, "values") else value))
        )
    of_key = type.key.order
    key = of_key(params[0])
    if operator == "contains key":
        return lambda value: value is not None and any(of_key(each) == key for each in value)
    each = type.value.encode if type.value.has_duration else type.value.order
    wanted = None if params[1] is None else each(params[1])

    def entry(value: dict[Any, Any] | None) -> bool:
        found = next((one for name, one in (value or {}).items() if of_key(name) == key), None)
        return found is None and wanted is None if found is None or wanted is None else each(found) == wanted

    return entry
