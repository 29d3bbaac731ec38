"""The types of CQL as generated Python spells them: annotations, and constructors of `runtime.cql.types`.

A collection may stand where Python needs a hash: as an element of a set, as the key of a map, in a key of a table, and
within a value of a user-defined type. There it is a tuple, a frozenset or a `cql.FrozenMap`.
"""

from __future__ import annotations

from collections.abc import Mapping

from generators import ir
from generators.proto_text import row

Names = Mapping[str, str]
"""What Python calls something of each user-defined type of a keyspace, by the type's name there."""

_PLAIN: dict[type[ir.Type], tuple[str, str]] = {
    ir.Ascii: ("str", "Ascii"),
    ir.Bool: ("bool", "Boolean"),
    ir.Bytes: ("bytes", "Blob"),
    ir.Counter: ("int", "Counter"),
    ir.Date: ("datetime.date", "Date"),
    ir.DateTime: ("datetime.datetime", "Timestamp"),
    ir.Duration: ("cql.Duration", "Duration"),
    ir.Inet: ("ipaddress.IPv4Address | ipaddress.IPv6Address", "Inet"),
    ir.Number: ("decimal.Decimal", "Decimal"),
    ir.Text: ("str", "Text"),
    ir.Time: ("int", "Time"),
    ir.Varint: ("int", "Varint"),
}
_INTS = {8: "TinyInt", 16: "SmallInt", 32: "Int", 64: "BigInt"}
_FLOATS = {32: "Float", 64: "Double"}


def annotation(kind: ir.Type, classes: Names, *, hashed: bool = False) -> str:
    """The Python type of a value that is there; `hashed` where Python needs a hash of it."""

    def inner(item: ir.Type, *, hash: bool = hashed) -> str:
        return annotation(item, classes, hashed=hash)

    match kind:
        case ir.Frozen(item):
            return inner(item)
        case ir.List(item) | ir.Vector(item, _):
            return f"tuple[{inner(item)}, ...]" if hashed else f"list[{inner(item)}]"
        case ir.Set(item):
            return f"{'frozenset' if hashed else 'set'}[{inner(item, hash=True)}]"
        case ir.Map(key, value):
            return f"{'cql.FrozenMap' if hashed else 'dict'}[{inner(key, hash=True)}, {inner(value)}]"
        case ir.Tuple(items):
            return f"tuple[{', '.join(f'{inner(item)} | None' for item in items)}]"
        case ir.UserDefined(name):
            return classes[name]
        case _:
            return _plain(kind)[0]


def constructor(kind: ir.Type, constants: Names) -> str:
    """The Python text that makes the CqlType of a column or a field."""
    return _made(kind, constants, frozen=False)


def _made(kind: ir.Type, constants: Names, *, frozen: bool) -> str:
    def inner(item: ir.Type) -> str:
        return _made(item, constants, frozen=True)

    flag = ", frozen=True" if frozen else ""
    match kind:
        case ir.Frozen(item):
            return _made(item, constants, frozen=True)
        case ir.List(item):
            return f"types.List({inner(item)}{flag})"
        case ir.Set(item):
            return f"types.Set({inner(item)}{flag})"
        case ir.Map(key, value):
            return f"types.Map({inner(key)}, {inner(value)}{flag})"
        case ir.Vector(item, size):
            return f"types.Vector({inner(item)}, {size})"
        case ir.Tuple(items):
            return f"types.Tuple({row([inner(item) for item in items])})"
        case ir.UserDefined(name):
            return f"{constants[name]}{'.as_frozen()' if frozen else ''}"
        case _:
            return f"types.{_plain(kind)[1]}()"


def _plain(kind: ir.Type) -> tuple[str, str]:
    """The annotation and the class of a native type."""
    match kind:
        case ir.Int(bits):
            return "int", _INTS[bits]
        case ir.Float(bits):
            return "float", _FLOATS[bits]
        case ir.Uuid(time):
            return ("uuid.UUID", "TimeUuid") if time else ("uuid.UUID", "Uuid")
        case _:
            return _PLAIN[type(kind)]
