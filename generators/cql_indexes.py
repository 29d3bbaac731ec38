"""Reads CREATE INDEX and gives each table its indexes, named and checked as Cassandra 5.0 does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from generators import ir
from generators.cql_reader import MAX_TABLE_NAME, CqlReader, Refuse
from generators.cql_types import holds_duration, is_multi_cell
from generators.sql_scanner import Refused, Source, Token

Target = Literal["", "keys", "values", "entries", "full"]
_TARGETS: dict[str, Target] = {"keys": "keys", "values": "values", "entries": "entries", "full": "full"}
_SAI = "sai"
_SAI_CLASSES = ("sai", "storageattachedindex", "org.apache.cassandra.index.sai.storageattachedindex")
_TEXT_OPTIONS = ("ascii", "case_sensitive", "normalize")
_VECTOR_OPTIONS = ("construction_beam_width", "maximum_node_connections", "optimize_for", "similarity_function")
_SIMILARITIES = ("cosine", "dot_product", "euclidean")


@dataclass(frozen=True, slots=True)
class IndexDraft:
    """An index as its statement has it."""

    start: int
    name: Token | None
    table: Token
    column: Token
    target: Target
    custom: str | None
    options: tuple[tuple[str, str], ...]


def read_index(reader: CqlReader, table_name: Callable[[], Token]) -> IndexDraft:
    """What follows CREATE; `table_name` takes a table's name, with or without its keyspace. Raises Refused."""
    start = reader.here
    is_custom = reader.accept("CUSTOM")
    reader.expect("INDEX")
    reader.accept("IF", "NOT", "EXISTS")
    name = None if reader.sees("ON") else reader.plain_name("an index")
    reader.expect("ON")
    table = table_name()
    reader.expect_symbol("(")
    column, target = _target(reader)
    if reader.accept_symbol(","):
        raise Refused(reader.here, "unsupported", "an index of several columns: make one for each column")
    reader.expect_symbol(")")
    custom = _custom(reader, is_custom=is_custom)
    options = _options(reader, custom) if reader.accept("WITH") else ()
    reader.done("the index")
    return IndexDraft(start, name, table, column, target, custom, options)


def _target(reader: CqlReader) -> tuple[Token, Target]:
    token, bracket = reader.peek(), reader.peek(1)
    if token is None or token.kind != "word" or bracket is None or not bracket.is_symbol("("):
        return reader.name("a column"), ""
    target = _TARGETS.get(token.value)
    if target is None:
        raise reader.unexpected("a column, or keys, values, entries or full of one")
    reader.at += 2
    column = reader.name("a column")
    reader.expect_symbol(")")
    return column, target


def _custom(reader: CqlReader, *, is_custom: bool) -> str | None:
    if not reader.accept("USING"):
        if is_custom:
            raise reader.unexpected("USING and the kind of the index")
        return None
    token = reader.take("string", "the kind of the index as a string")
    if token.value.lower() in _SAI_CLASSES:
        return _SAI
    if token.value.lower() == "legacy_local_table" and not is_custom:
        return None
    raise Refused(token.start, "unsupported", f"an index of {token.shown}: Sun knows 'sai' and the built-in kind")


def _options(reader: CqlReader, custom: str | None) -> tuple[tuple[str, str], ...]:
    name = reader.name("an option")
    if name.value != "options":
        raise Refused(name.start, "unknown-option", f"`{name.shown}` is no option of an index: there is OPTIONS")
    reader.expect_symbol("=")
    start = reader.here
    options = reader.map()
    if options and custom is None:
        raise Refused(start, "bad-option", "only an index of USING 'sai' has options: leave them out")
    for key, _ in options:
        if key not in _TEXT_OPTIONS + _VECTOR_OPTIONS:
            raise Refused(start, "unknown-option", f"`{key}` is no option of an index of 'sai'")
    return options


class Indexes:
    """The indexes of a keyspace, in the order of their statements: a name is theirs but once."""

    def __init__(self, types: Mapping[str, ir.UserType], source: Source, refuse: Refuse) -> None:
        self.types = types
        self.source = source
        self.refuse = refuse
        self.places: dict[str, int] = {}

    def add(self, table: ir.CqlTable, draft: IndexDraft, broken: set[str]) -> ir.CqlTable:
        """The table with this index, or as it was where the index is refused or stands on a `broken` column."""
        if draft.column.value in broken:
            return table
        try:
            index = self._index(table, draft)
        except Refused as refused:
            self.refuse(refused)
            return table
        self.places[index.name] = draft.start
        return replace(table, indexes=(*table.indexes, index))

    def _index(self, table: ir.CqlTable, draft: IndexDraft) -> ir.CqlIndex:
        column = self._column(table, draft)
        target = _checked_target(draft, column.type, self.types)
        if draft.custom == _SAI:
            _check_sai(draft, column, target)
        for other in table.indexes:
            if (other.column, other.target, other.custom) == (column.name, target, draft.custom):
                text = f"index `{other.name}` of `{table.name}` holds `{column.name}` already: keep one"
                raise Refused(draft.start, "duplicate-index", text)
        name = self._name(table.name, draft)
        place = self.source.position(draft.start if draft.name is None else draft.name.start)
        return ir.CqlIndex(name, column.name, place, target, draft.custom, draft.options)

    def _column(self, table: ir.CqlTable, draft: IndexDraft) -> ir.CqlColumn:
        name = draft.column.value
        try:
            column = table.column(name)
        except KeyError:
            text = f"`{table.name}` has no column `{name}`, which an index names"
            raise Refused(draft.column.start, "unknown-column", text) from None
        if table.is_counter:
            text = f"`{table.name}` holds counters, and a table of counters can't have an index"
            raise Refused(draft.column.start, "bad-index", text)
        if table.partition_key == (name,):
            text = f"`{name}` is the whole partition key of `{table.name}`: rows are found by it without an index"
            raise Refused(draft.column.start, "bad-index", text)
        return column

    def _name(self, table: str, draft: IndexDraft) -> str:
        if draft.name is None:
            return self._free_name(table, draft)
        name = draft.name.value
        if name in self.places:
            text = f"index `{name}` is declared already, at {self.source.position(self.places[name])}"
            raise Refused(draft.name.start, "duplicate-index", text)
        return name

    def _free_name(self, table: str, draft: IndexDraft) -> str:
        """The name that Cassandra gives: of the letters, digits and _ in the names of the table and the column."""
        base = f"{table}_{re.sub(r'[^A-Za-z0-9_]', '', draft.column.value)}_idx"
        name, number = base, 0
        while name in self.places:
            number += 1
            name = f"{base}_{number}"
        if len(name) > MAX_TABLE_NAME:
            text = f"the index would be called `{name[:40]}…`, which is too long: give it a name"
            raise Refused(draft.start, "bad-name", text)
        return name


def _checked_target(draft: IndexDraft, found: ir.Type, types: Mapping[str, ir.UserType]) -> Target:
    """What the index holds of the column; of a collection that is not frozen it is the values, unless it says else."""
    name, start, target = draft.column.value, draft.column.start, draft.target
    if holds_duration(found, types):
        raise Refused(start, "bad-index", f"`{name}` holds a duration, which has no order to keep in an index")
    if isinstance(found, ir.UserDefined):
        raise Refused(start, "bad-index", f"`{name}` is no frozen type, and an index holds values as a whole")
    if isinstance(found, ir.Frozen) and not isinstance(found.type, ir.UserDefined):
        if target != "full":
            raise Refused(start, "bad-index", f"`{name}` is frozen, so its index holds all of it: write full({name})")
        return target
    if is_multi_cell(found):
        known: tuple[Target, ...] = ("values", "keys", "entries") if isinstance(found, ir.Map) else ("values",)
        target = target or "values"
        if target not in known:
            written = " or ".join(f"{each}({name})" for each in known)
            raise Refused(start, "bad-index", f"{target}({name}) can't be in an index: write {written}")
        return target
    if target:
        raise Refused(start, "bad-index", f"`{name}` is no collection, so its index takes the column alone")
    return target


def _check_sai(draft: IndexDraft, column: ir.CqlColumn, target: Target) -> None:
    name, start = column.name, draft.column.start
    held = _held(column.type, target)
    if any(isinstance(each, ir.Bytes) for each in held):
        raise Refused(start, "bad-index", f"`{name}` holds a blob, of which 'sai' makes no index")
    vector = column.type if isinstance(column.type, ir.Vector) else None
    if vector is not None and vector.item != ir.Float(32):
        raise Refused(start, "bad-index", f"`{name}` is no vector of float, the only one of which 'sai' makes an index")
    is_key = column.kind in ("partition", "clustering")
    is_text = not is_key and len(held) == 1 and isinstance(held[0], ir.Text | ir.Ascii)
    for option, value in draft.options:
        if option in _TEXT_OPTIONS and not is_text:
            text = f"`{option}` is for an index of text outside the primary key, and `{name}` is none"
            raise Refused(start, "bad-option", text)
        if option in _TEXT_OPTIONS and value.lower() not in ("true", "false"):
            raise Refused(start, "bad-option", f"`{option}` is true or false, not `{value}`")
        if option in _VECTOR_OPTIONS and vector is None:
            raise Refused(start, "bad-option", f"`{option}` is for an index of a vector, and `{name}` is none")
    if vector is not None:
        _check_similarity(draft, vector)


def _check_similarity(draft: IndexDraft, vector: ir.Vector) -> None:
    similarity = dict(draft.options).get("similarity_function", "cosine")
    if similarity.lower() not in _SIMILARITIES:
        text = f"`{similarity}` is no similarity: there are {', '.join(_SIMILARITIES)}"
        raise Refused(draft.column.start, "bad-option", text)
    if similarity.lower() == "cosine" and vector.size == 1:
        text = "vectors of one number have no cosine: write OPTIONS = {'similarity_function': 'euclidean'}"
        raise Refused(draft.column.start, "bad-option", text)


def _held(found: ir.Type, target: Target) -> tuple[ir.Type, ...]:
    """What one entry of the index is made of; a whole collection stands for itself."""
    match found:
        case ir.List(item) | ir.Set(item):
            return (item,)
        case ir.Map(key, value):
            return {"keys": (key,), "values": (value,)}.get(target, (key, value))
        case _:
            return (found,)
