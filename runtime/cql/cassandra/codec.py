"""How a statement's parameters become bytes of the protocol, and how rows of bytes become tuples of values."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from runtime.cql.cassandra.driver import UNSET_VALUE
from runtime.cql.cassandra.protocol import Rows
from runtime.cql.errors import UnreadableValue
from runtime.cql.scalars import CqlType
from runtime.cql.statements import NULL, UNSET, Change, Delete, Insert, Relation, Select, Statement, Term, Update
from runtime.cql.tables import Table
from runtime.cql.types import BigInt, Counter, Int, List, Map, Set, SmallInt, TinyInt, UserDefined

Encode = Callable[[Any], bytes]
Decoder = tuple[Callable[[bytes, int], tuple[Any, ...]], int, Callable[[bytes], Any]]
"""How to read a column: what unpacks the length before a value, and with it the value where that is an integer of so
many bytes (0: it is none), and what decodes any other.
"""

_INT = Int()
_BIGINT = BigInt()
_LENGTH = struct.Struct(">i")
_NUMBERS: dict[type, tuple[Callable[[bytes, int], tuple[Any, ...]], int]] = {
    kind: (struct.Struct(f">i{code}").unpack_from, struct.calcsize(f">{code}"))
    for kind, code in ((TinyInt, "b"), (SmallInt, "h"), (Int, "i"), (BigInt, "q"), (Counter, "q"))
}
"""Length and value at once: the most common columns, for half of the time."""
_NEGATIVE = 0x80
"""What the first byte of a negative length is at least."""


def encoders(statement: Statement) -> tuple[Encode, ...]:
    """One for each parameter, in the order that the statement's class names."""
    return tuple(type.encode for type in _types(statement))


def encoded(encode: Sequence[Encode], params: Sequence[Any]) -> list[Any]:
    """The values of a bound statement: bytes, None for null, and the driver's mark of what is not set."""
    return [
        make(value) if value is not None and value is not UNSET and value is not NULL else _absent(value)
        for make, value in zip(encode, params, strict=True)
    ]


def _absent(value: object) -> object:
    return UNSET_VALUE if value is UNSET else None


def _types(statement: Statement) -> Iterator[CqlType[Any]]:
    table = statement.table
    match statement:
        case Select():
            yield from _of_relations(table, statement.where)
            if statement.tokens:
                yield from (_BIGINT, _BIGINT)
            if statement.nearest:
                yield table.column(statement.nearest).type
            yield from [_INT] * (statement.per_partition + statement.limit)
        case Insert():
            yield from (table.column(name).type for name in statement.columns)
            yield from [_INT] * statement.ttl + [_BIGINT] * statement.timestamp
        case Update():
            yield from [_INT] * statement.ttl + [_BIGINT] * statement.timestamp
            for change in statement.changes:
                yield from _of_change(table.column(change.column).type, change)
            yield from _of_relations(table, statement.where)
            yield from _of_relations(table, statement.conditions)
        case Delete():
            yield from [_BIGINT] * statement.timestamp
            yield from _of_relations(table, statement.where)
            yield from _of_relations(table, statement.conditions)


def _of_relations(table: Table[Any], relations: Sequence[Relation]) -> Iterator[CqlType[Any]]:
    for relation in relations:
        type: CqlType[Any] = table.column(relation.columns[0]).type
        match relation.operator:
            case "in":
                yield List(type, True)
            case "contains":
                yield type.value if isinstance(type, Map) else cast("List", type).item
            case "contains key":
                yield cast("Map", type).key
            case "entry":
                yield from _entry(type)
            case _:
                yield from (table.column(name).type for name in relation.columns)


def _of_change(type: CqlType[Any], change: Change) -> Iterator[CqlType[Any]]:
    match change.operation:
        case "set" | "append" | "prepend" | "add":
            yield type
        case "discard":
            yield Set(type.key) if isinstance(type, Map) else type
        case "entry":
            yield from _entry(type)
        case "item":
            yield from (_INT, cast("List", type).item)
        case "field":
            yield dict(cast("UserDefined[Any]", type).fields)[change.field]
        case "increment":
            yield _BIGINT


def _entry(type: CqlType[Any]) -> tuple[CqlType[Any], CqlType[Any]]:
    of = cast("Map", type)
    return of.key, of.value


def term_types(table: Table[Any], terms: Sequence[Term]) -> tuple[CqlType[Any], ...]:
    """The types of what a SELECT gives."""
    return tuple(
        table.column(term.column).type if term.kind == "column" else _INT if term.kind == "ttl" else _BIGINT
        for term in terms
    )


def decoders(types: Sequence[CqlType[Any]]) -> tuple[Decoder, ...]:
    """How to read rows of these types."""
    return tuple(
        (*_NUMBERS[kind], each.decode) if (kind := type(each)) in _NUMBERS else (_LENGTH.unpack_from, 0, each.decode)
        for each in types
    )


def read(rows: Rows, names: Sequence[str], decoders: Sequence[Decoder], table: str) -> list[tuple[Any, ...]]:
    """The values of a page. Raises UnreadableValue, which names the column."""
    try:
        return _read(rows.content, decoders)
    except Exception as error:
        raise _unreadable(rows.content, names, decoders, table, error) from error


def _read(content: bytes, decoders: Sequence[Decoder]) -> list[tuple[Any, ...]]:
    # Rows are <count> and then <length><bytes> of each value; a negative length is null.
    (count,) = _LENGTH.unpack_from(content)
    at = 4
    out: list[tuple[Any, ...]] = []
    for _ in range(count):
        row: list[Any] = []
        for unpack, whole, decode in decoders:
            if content[at] >= _NEGATIVE:
                row.append(None)
                at += 4
                continue
            if whole:
                size, number = unpack(content, at)
                if size == whole:
                    row.append(number)
                    at += 4 + size
                    continue
            else:
                (size,) = unpack(content, at)
            end = at + 4 + size
            row.append(decode(content[at + 4 : end]))
            at = end
        out.append(tuple(row))
    return out


def _unreadable(
    content: bytes, names: Sequence[str], decoders: Sequence[Decoder], table: str, error: Exception
) -> UnreadableValue:
    """Which column it was: found by reading again, value by value."""
    (count,) = _LENGTH.unpack_from(content)
    at = 4
    for _ in range(count):
        for name, (_, _, decode) in zip(names, decoders, strict=True):
            (size,) = _LENGTH.unpack_from(content, at)
            data, at = content[at + 4 : at + 4 + max(size, 0)], at + 4 + max(size, 0)
            try:
                if size >= 0:
                    decode(data)
            except UnreadableValue as found:
                return UnreadableValue(f"{table}: {name}: {found}")
            except Exception as found:  # noqa: BLE001 - bytes that no value of the type has may raise anything
                return UnreadableValue(f"{table}: {name}: {len(data)} bytes are no value of its type: {found}")
    return UnreadableValue(f"{table}: {error}")
