"""Random tables and random calls on them, for the comparison with a plain-Python model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from generators.python_names import column_field
from tests.sql.column_kinds import KINDS, Kind

# Reserved words, methods of a DAO, and what is odd in other ways.
_COLUMNS = (
    """
    a|b|group|class|3p%|_hidden|select|self|where|order|conn|value|n|key|count|rows|é|limit|by_a|id_|Values|type|def
    |update|table|sql|t|types|before|in|quo"te|back`tick|{}|%s|?|'x'|Mixed_Case|Mixed Case|a;b|a--b
""".replace("\n", "")
    .replace("  ", "")
    .split("|")
)
_TABLES = ["item", "order", "3p%", "Mixed Case", "_t", "select", 'quo"te', "a;b", "class"]
_NUMBERS = ("bool", "int", "decimal", "float", "bits")
_INTS = [place for place, kind in enumerate(KINDS) if kind.family == "int" and "BIGINT" in kind.declared]


@dataclass(frozen=True)
class Field:
    """A column of a drawn table."""

    name: str
    kind: Kind
    nullable: bool
    auto: bool = False

    @property
    def values(self) -> st.SearchStrategy[Any]:
        if self.auto:
            return st.integers(0, 9)  # 0 asks for the next
        return st.none() | self.kind.few if self.nullable else self.kind.few


@dataclass(frozen=True, repr=False)
class Shape:
    """A drawn table: its columns, the places of those of its keys, and its text in the schema."""

    name: str
    fields: tuple[Field, ...]
    primary: tuple[int, ...]
    unique: dict[str, tuple[int, ...]]
    text: str

    def __repr__(self) -> str:
        return self.text

    @property
    def auto(self) -> int | None:
        return next((place for place, field in enumerate(self.fields) if field.auto), None)

    @property
    def keyed(self) -> set[int]:
        """Places of the columns of primary and unique keys."""
        return {*self.primary, *(place for key in self.unique.values() for place in key)}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A table with a primary key or none, and at least one column outside of it."""
    names = draw(st.lists(st.sampled_from(_COLUMNS), min_size=3, max_size=6, unique_by=(str.lower, column_field)))
    auto = draw(st.booleans()) and draw(st.booleans())
    fields = [
        Field(name, draw(st.sampled_from(KINDS)), draw(st.booleans()))
        if place or not auto
        else Field(name, KINDS[draw(st.sampled_from(_INTS))], nullable=False, auto=True)
        for place, name in enumerate(names)
    ]
    primary = (0,) if auto else draw(_places(fields[:-1], nullable=False))
    keys = draw(st.lists(_places(fields), max_size=2))
    indexes = draw(st.lists(_places(fields, whole=False), max_size=2))
    unique = {f"unique_{number}": key for number, key in enumerate(keys) if key and key != primary}
    lines = [_column(field) for field in fields]
    if primary:
        lines.append(f"PRIMARY KEY ({_parts(fields, primary)})")
    lines += [f"UNIQUE KEY {name} ({_parts(fields, key)})" for name, key in unique.items()]
    lines += [f"KEY index_{number} ({_parts(fields, key)})" for number, key in enumerate(indexes) if key]
    table = draw(st.sampled_from(_TABLES))
    body = ",\n".join(f"  {line}" for line in lines)
    return Shape(table, tuple(fields), primary, unique, f"CREATE TABLE {_quoted(table)} (\n{body}\n);\n")


def _places(fields: list[Field], *, nullable: bool = True, whole: bool = True) -> st.SearchStrategy[tuple[int, ...]]:
    """Up to three columns that can be of one key, perhaps none."""
    fit = [
        place
        for place, field in enumerate(fields)
        if (nullable or not field.nullable) and (field.kind.whole or not whole) and field.kind.ordered
    ]
    return st.lists(st.sampled_from(fit), max_size=3, unique=True).map(tuple) if fit else st.just(())


def _parts(fields: list[Field], places: tuple[int, ...]) -> str:
    return ", ".join(_quoted(fields[place].name) + ("" if fields[place].kind.whole else "(7)") for place in places)


def _column(field: Field) -> str:
    null = "NULL" if field.nullable else "NOT NULL"
    return f"{_quoted(field.name)} {field.kind.declared} {null}{' AUTO_INCREMENT' if field.auto else ''}"


# --- calls -----------------------------------------------------------------------------------------------------------

Call = tuple[Any, ...]
"""The name of a call and what it is given; columns by their place, rows as lists of values."""


def conditions(shape: Shape) -> st.SearchStrategy[Call]:
    """Trees of conditions, up to three deep."""
    places = range(len(shape.fields))
    plain = [place for place in places if shape.fields[place].kind.family != "json"]
    ordered = [place for place in plain if shape.fields[place].kind.ordered]
    texts = [place for place in places if shape.fields[place].kind.family == "text"]
    pairs = [
        (one, other)
        for one in ordered
        for other in ordered
        if shape.fields[one].kind.family == shape.fields[other].kind.family
    ]

    def few(place: int) -> st.SearchStrategy[Any]:
        return shape.fields[place].kind.few

    leaves: list[st.SearchStrategy[Call]] = [st.tuples(st.sampled_from(("null", "not null")), st.sampled_from(places))]
    if plain:
        place = st.sampled_from(plain)
        leaves.append(place.flatmap(lambda p: st.tuples(st.sampled_from(("=", "<>")), st.just(p), few(p))))
        leaves.append(
            place.flatmap(
                lambda p: st.tuples(st.sampled_from(("in", "not in")), st.just(p), st.lists(few(p), max_size=5))
            )
        )
    if ordered:
        place = st.sampled_from(ordered)
        compared = st.sampled_from(("<", "<=", ">", ">="))
        leaves.append(place.flatmap(lambda p: st.tuples(compared, st.just(p), few(p))))
        leaves.append(place.flatmap(lambda p: st.tuples(st.just("between"), st.just(p), few(p), few(p))))
        every = st.sampled_from(("=", "<>", "<", "<=", ">", ">="))
        leaves.append(st.tuples(st.just("columns"), every, st.sampled_from(pairs)))
    if texts:
        pattern = st.text(st.sampled_from("aAbé%_\\ '"), max_size=4)
        leaves.append(st.tuples(st.sampled_from(("like", "starts")), st.sampled_from(texts), pattern))
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.tuples(st.sampled_from(("and", "or")), inner, inner) | st.tuples(st.just("not"), inner),
        max_leaves=4,
    )


def rows(shape: Shape) -> st.SearchStrategy[list[Any]]:
    return st.tuples(*(field.values for field in shape.fields)).map(list)


def reads(shape: Shape) -> st.SearchStrategy[Call]:
    places = st.sampled_from(range(len(shape.fields)))
    ordered = [place for place, field in enumerate(shape.fields) if field.kind.ordered]
    hashable = [place for place, field in enumerate(shape.fields) if field.kind.family != "json"]
    numbers = [place for place, field in enumerate(shape.fields) if field.kind.family in _NUMBERS]
    where = st.none() | conditions(shape)
    order = st.lists(st.tuples(st.sampled_from(ordered), st.booleans()), max_size=2) if ordered else st.just([])
    some = st.none() | st.integers(0, 5)
    found = [
        st.tuples(st.just("select"), where, order, some, st.integers(0, 3)),
        st.tuples(st.just("first"), where, order),
        st.tuples(st.just("stream"), where, order),
        st.tuples(st.just("columns"), where, st.lists(places, min_size=1, max_size=3)),
        st.tuples(st.just("count"), where),
        st.tuples(st.just("exists"), where),
        st.tuples(st.just("page"), st.integers(0, 9), st.integers(0, 9), st.integers(-1, 9), st.integers(-1, 9)),
    ]
    if hashable:
        distinct = st.lists(st.sampled_from(hashable), min_size=1, max_size=2)
        found.append(st.tuples(st.just("distinct"), where, distinct))
        groups = st.lists(st.sampled_from(hashable), min_size=1, max_size=2, unique=True)
        found.append(st.tuples(st.just("group"), where, groups, st.just("count"), st.just(0)))
        if ordered:
            function = st.sampled_from(("min", "max"))
            found.append(st.tuples(st.just("group"), where, groups, function, st.sampled_from(ordered)))
        if numbers:
            found.append(st.tuples(st.just("group"), where, groups, st.just("sum"), st.sampled_from(numbers)))
    if ordered:
        found.append(st.tuples(st.just("aggregate"), where, st.sampled_from(("min", "max")), st.sampled_from(ordered)))
    if numbers:
        found.append(st.tuples(st.just("aggregate"), where, st.sampled_from(("sum", "avg")), st.sampled_from(numbers)))
    if shape.primary or shape.unique:
        found.append(st.tuples(st.just("one"), st.integers(0, 2), rows(shape)))
    if shape.primary:
        found.append(st.tuples(st.just("get_many"), st.lists(rows(shape), max_size=6)))
    return st.one_of(found)


def writes(shape: Shape) -> st.SearchStrategy[Call]:
    row = rows(shape)
    where = conditions(shape)
    settable = [place for place, field in enumerate(shape.fields) if not field.auto]
    adding = [place for place in range(len(shape.fields)) if place not in shape.keyed]
    changes = st.fixed_dictionaries({}, optional={place: shape.fields[place].values for place in settable})
    amounts = st.fixed_dictionaries(
        {}, optional={place: adds for place in adding if (adds := shape.fields[place].kind.adds) is not None}
    )
    found = [
        st.tuples(st.just("insert"), row),
        st.tuples(st.just("insert_if_absent"), row),
        st.tuples(st.just("insert_many"), st.lists(row, max_size=12)),
        st.tuples(st.just("update"), st.none() | where, changes, amounts),
        st.tuples(st.just("update"), st.none() | where, changes, amounts),
        st.tuples(st.just("delete"), where),
    ]
    if shape.primary:
        found += [
            st.tuples(st.just("upsert"), row),
            st.tuples(st.just("upsert_many"), st.lists(row, max_size=12)),
            st.tuples(st.just("update_row"), st.integers(0, 9), changes),
            st.tuples(st.just("delete_key"), st.integers(0, 9)),
        ]
    return st.one_of(found)


def calls(shape: Shape) -> st.SearchStrategy[list[Call]]:
    """Calls, some of them in transactions and savepoints: `("block", committed, calls)`."""
    call = writes(shape) | reads(shape)
    inner = st.lists(call, max_size=4)
    block = st.tuples(st.just("block"), st.booleans(), inner)
    nested = st.tuples(st.just("block"), st.booleans(), st.lists(call | block, max_size=5))
    first = st.tuples(st.just("fill"), st.lists(rows(shape), min_size=6, max_size=12))
    return st.tuples(first, st.lists(call | nested, min_size=12, max_size=24)).map(lambda drawn: [drawn[0], *drawn[1]])


cases = shapes().flatmap(lambda shape: st.tuples(st.just(shape), calls(shape)))
"""A table and the calls on it."""
