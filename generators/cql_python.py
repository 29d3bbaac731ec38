"""The types of CQL as generated Python spells them: annotations, constructors of `runtime.cql.types`, and CQL's own text.

A collection can stand where Python wants to hash it: as an element of a set, as the key of a map, in a key of a table, and
within a value of a user-defined type, which is hashable itself. There it is a tuple, a frozenset or a `cql.FrozenMap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generators import ir

Classes = Mapping[str, str]
"""The Python classes of a keyspace's user-defined types."""

_PLAIN: dict[type[ir.Type], tuple[str, str, str]] = {
    ir.Ascii: ("str", "Ascii", "ascii"),
    ir.Bool: ("bool", "Boolean", "boolean"),
    ir.Bytes: ("bytes", "Blob", "blob"),
    ir.Counter: ("int", "Counter", "counter"),
    ir.Date: ("datetime.date", "Date", "date"),
    ir.DateTime: ("datetime.datetime", "Timestamp", "timestamp"),
    ir.Duration: ("cql.Duration", "Duration", "duration"),
    ir.Inet: ("ipaddress.IPv4Address | ipaddress.IPv6Address", "Inet", "inet"),
    ir.Number: ("decimal.Decimal", "Decimal", "decimal"),
    ir.Text: ("str", "Text", "text"),
    ir.Time: ("int", "Time", "time"),
    ir.Varint: ("int", "Varint", "varint"),
}
_INTS = {8: ("TinyInt", "tinyint"), 16: ("SmallInt", "smallint"), 32: ("Int", "int"), 64: ("BigInt", "bigint")}
_FLOATS = {32: ("Float", "float"), 64: ("Double", "double")}


def annotation(kind: ir.Type, classes: Classes, *, hashed: bool = False) -> str:
    """The Python type of a value that is there."""

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


def constructor(kind: ir.Type, classes: Classes, *, hashed: bool = False, nested: bool = False) -> str:
    """The Python text that makes the type of a column or a field."""

    def inner(item: ir.Type) -> str:
        return constructor(item, classes, nested=True)

    frozen = nested or isinstance(kind, ir.Frozen)
    arguments = "".join((", frozen=True" if frozen else "", ", hashed=True" if hashed else ""))
    match kind.type if isinstance(kind, ir.Frozen) else kind:
        case ir.List(item):
            return f"types.List({inner(item)}{arguments})"
        case ir.Set(item):
            return f"types.Set({inner(item)}{arguments})"
        case ir.Map(key, value):
            return f"types.Map({inner(key)}, {inner(value)}{arguments})"
        case ir.Vector(item, size):
            return f"types.Vector({inner(item)}, {size}{', hashed=True' if hashed else ''})"
        case ir.Tuple(items):
            return f"types.Tuple({', '.join(map(inner, items))}{', hashed=True' if hashed else ''})"
        case ir.UserDefined(name):
            return f"types.UserDefined({classes[name]}{', frozen=True' if frozen else ''})"
        case plain:
            return f"types.{_plain(plain)[1]}()"


def text(kind: ir.Type, *, nested: bool = False) -> str:
    """The type as Cassandra spells it in `system_schema`: `map<text, frozen<list<int>>>`."""

    def inner(item: ir.Type) -> str:
        return text(item, nested=True)

    match kind.type if isinstance(kind, ir.Frozen) else kind:
        case ir.List(item):
            made = f"list<{inner(item)}>"
        case ir.Set(item):
            made = f"set<{inner(item)}>"
        case ir.Map(key, value):
            made = f"map<{inner(key)}, {inner(value)}>"
        case ir.UserDefined(name):
            made = name
        case ir.Vector(item, size):
            return f"vector<{inner(item)}, {size}>"
        case ir.Tuple(items):
            return f"frozen<tuple<{', '.join(map(inner, items))}>>"
        case plain:
            return _plain(plain)[2]
    return f"frozen<{made}>" if nested or isinstance(kind, ir.Frozen) else made


def user_types(kind: ir.Type) -> Iterator[str]:
    """The names of the user-defined types that a value is made of."""
    match kind:
        case ir.UserDefined(name):
            yield name
        case ir.Frozen(item) | ir.List(item) | ir.Set(item) | ir.Vector(item, _):
            yield from user_types(item)
        case ir.Map(key, value):
            yield from user_types(key)
            yield from user_types(value)
        case ir.Tuple(items):
            for item in items:
                yield from user_types(item)
        case _:
            pass


def _plain(kind: ir.Type) -> tuple[str, str, str]:
    """The annotation, the class and the spelling of a native type."""
    match kind:
        case ir.Int(bits):
            return ("int", *_INTS[bits])
        case ir.Float(bits):
            return ("float", *_FLOATS[bits])
        case ir.Uuid(time):
            return ("uuid.UUID", "TimeUuid", "timeuuid") if time else ("uuid.UUID", "Uuid", "uuid")
        case _:
            return _PLAIN[type(kind)]
