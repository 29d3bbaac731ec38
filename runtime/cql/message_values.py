"""What becomes of the values of CQL columns in protobuf messages, and back. Loaded with the first message.

The shape of a message is read from its descriptor: which maps are protobuf's own, what may be absent.
"""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from runtime import message_values
from runtime.cql import types, values
from runtime.cql.columns import AnyColumn
from runtime.message_values import Conversion, Decode, Misfit, Plan, enum_number, of_message, of_optional

Convert = Callable[[Any], Any]
Kind = types.CqlType[Any]


class Both(NamedTuple):
    """Both ways of a value that is there; None where it is the same on both sides."""

    encode: Convert | None
    decode: Convert | None


_SAME = Both(None, None)


def plan(
    columns: Sequence[AnyColumn[Any, Any]],
    message: Any,
    names: tuple[str, ...],
    renamed: Mapping[str, Mapping[str, str]],
) -> Plan:
    """How rows of these columns and messages of this class are converted. `names` are the fields of the columns,
    `renamed` those of user-defined types that have other names than in Python.
    """
    fields, made = message.DESCRIPTOR.fields_by_name, _Types(renamed)
    conversions = [_conversion(column, fields[name], made) for name, column in zip(names, columns, strict=True)]
    return message_values.plan(message, names, conversions)


def _conversion(column: AnyColumn[Any, Any], field: Any, made: _Types) -> Conversion:
    encode, decode = made.field(column.type, field)
    nullable = not column.is_key
    return Conversion(column.type.fits(), nullable, nullable, encode, _read(column, field, decode))


def _read(column: AnyColumn[Any, Any], field: Any, decode: Convert | None) -> Decode | None:
    """The way from a message's field to a row, where it may be absent."""
    if field.message_type is not None and field.has_presence:
        return of_message(decode or _same, field.name, nullable=not column.is_key)
    if field.has_presence:
        return of_optional(decode, field.name)
    if decode is None:
        return None
    if field.is_repeated and not column.is_key and not column.type.is_multi_cell:
        return lambda message, value: decode(value) if value else None  # a vector is never empty
    return lambda message, value: decode(value)


def _same(value: Any) -> Any:
    return value


class _Types:
    """Finds the conversions of types, of which user-defined ones may be needed many times."""

    def __init__(self, renamed: Mapping[str, Mapping[str, str]]) -> None:
        self._renamed = renamed
        self._records: dict[str, Both] = {}

    def field(self, kind: Kind, field: Any) -> Both:
        """The conversion of a field: repeated ones and maps are collections, others single values."""
        if not field.is_repeated:
            return self.one(kind, field)
        return self._map(kind, field) if isinstance(kind, types.Map) else self._items(kind, field)

    def one(self, kind: Kind, field: Any) -> Both:
        """The conversion of a single value, or of one item of a repeated field."""
        if _is_collection(kind):
            (inner,) = field.message_type.fields
            return self._held(kind, inner)
        match kind:
            case types.Tuple(items):
                return self._tuple(items, field.message_type)
            case types.UserDefined():
                key = field.message_type.full_name
                if key not in self._records:
                    self._records[key] = self._user_defined(kind, field.message_type)
                return self._records[key]
            case types.BigInt() if field.enum_type is not None:
                return Both(enum_number, None)
            case _:
                return _native(kind)

    def _held(self, kind: Kind, inner: Any) -> Both:
        """A collection in a message of its own."""
        name: str = inner.name
        encode, decode = self.field(kind, inner)
        to, back = encode or _same, decode or _same

        def encode_held(value: Any) -> dict[str, Any]:
            return {name: to(value)}

        def decode_held(message: Any) -> Any:
            return back(getattr(message, name))

        return Both(encode_held, decode_held)

    def _items(self, kind: Any, field: Any) -> Both:
        item = self.one(kind.item, field)
        return Both(_all(kind, item.encode), _made(_class(kind), item.decode))

    def _map(self, kind: Any, field: Any) -> Both:
        inner = field.message_type.fields_by_name
        key, value = self.one(kind.key, inner["key"]), self.one(kind.value, inner["value"])
        to_key, to_value = key.encode or _same, value.encode or _same
        of_key, of_value = key.decode or _same, value.decode or _same
        make, order, is_map = _class(kind), kind.key.order, field.message_type.GetOptions().map_entry
        needed = [part.name for part in inner.values() if part.has_presence]

        def to_map(entries: Mapping[Any, Any]) -> dict[Any, Any]:
            return {to_key(each): to_value(its) for each, its in entries.items()}

        def to_pairs(entries: Mapping[Any, Any]) -> list[dict[str, Any]]:
            return [{"key": to_key(each), "value": to_value(entries[each])} for each in sorted(entries, key=order)]

        def split(entry: Any) -> tuple[Any, Any]:
            for name in needed:
                if not entry.HasField(name):
                    raise LookupError(f"has an entry without its {name}")
            return entry.key, entry.value

        def read(entries: Any) -> Any:
            pairs: Iterable[tuple[Any, Any]] = entries.items() if is_map else map(split, entries)
            found = make((of_key(each), of_value(its)) for each, its in pairs)
            if len(found) != len(entries):
                raise Misfit("takes each key once, but two of these are equal", found)
            return found

        return Both(to_map if is_map else to_pairs, read)

    def _tuple(self, items: Sequence[Kind], message: Any) -> Both:
        names = [f"item_{place}" for place in range(1, len(items) + 1)]
        return self._parts(names, items, message, tuple, tuple)

    def _user_defined(self, kind: types.UserDefined[Any], message: Any) -> Both:
        renamed = self._renamed.get(kind.name, {})
        names = [renamed.get(name, name) for name in kind.made.__struct_fields__]
        items = [item for _, item in kind.fields]
        return self._parts(names, items, message, msgspec.structs.astuple, lambda found: kind.made(*found))

    def _parts(self, names: Sequence[str], items: Sequence[Kind], message: Any, split: Convert, join: Convert) -> Both:
        """Values of several parts, each of which may be None."""
        fields = [message.fields_by_name[name] for name in names]
        both = [self.field(item, field) for item, field in zip(items, fields, strict=True)]
        encoders = [(name, each.encode) for name, each in zip(names, both, strict=True)]
        decoders = [
            (name, field.has_presence, each.decode) for name, field, each in zip(names, fields, both, strict=True)
        ]

        def encode(value: Any) -> dict[str, Any]:
            return {
                name: part if to is None else to(part)
                for (name, to), part in zip(encoders, split(value), strict=True)
                if part is not None
            }

        def decode(message: Any) -> Any:
            found: list[Any] = []
            for name, presence, back in decoders:
                part = getattr(message, name)
                is_there = message.HasField(name) if presence else part  # a vector is never empty
                found.append(None if not is_there else part if back is None else back(part))
            return join(found)

        return Both(encode, decode)


def _is_collection(kind: Kind) -> bool:
    return isinstance(kind, (types.List, types.Set, types.Map, types.Vector))


def _all(kind: Any, encode: Convert | None) -> Convert | None:
    """Makes what a repeated field takes of a collection; None where it takes the collection."""
    if isinstance(kind, types.Set):
        order: Convert = kind.item.order

        def to_items(found: Any) -> list[Any]:
            ordered = sorted(found, key=order)  # so that equal sets are equal messages
            return ordered if encode is None else list(map(encode, ordered))

        return to_items
    return None if encode is None else lambda found: list(map(encode, found))


def _made(make: Convert, decode: Convert | None) -> Convert:
    return make if decode is None else lambda found: make(map(decode, found))


def _class(kind: Kind) -> Convert:
    """What a collection is in Python, where it stands."""
    match kind:
        case types.Set():
            return frozenset if kind.is_hashable else set
        case types.Map():
            return values.FrozenMap if kind.is_hashable else dict
        case types.List() | types.Vector():
            return tuple if kind.is_hashable else list
        case _:
            raise AssertionError(f"{kind.text} is no collection")


# --- native types ----------------------------------------------------------------------------------------------------

_DIGITS = 4_300
"""The most that a number's text has: to read it costs the square of them, so Python draws this line too
(https://docs.python.org/3/library/stdtypes.html#int-max-str-digits).
"""
_TOO_LONG = f"numbers in messages have at most {_DIGITS} digits"
_SIGNS = 24  # characters of a decimal besides its digits: signs, a point, zeros before it and behind, an exponent
_VARINT = re.compile(rf"-?[0-9]{{1,{_DIGITS}}}")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([Ee][+-]?[0-9]{1,10})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def _native(kind: Kind) -> Both:
    return next((both for each, both in _NATIVE.items() if isinstance(kind, each)), _SAME)


def _varint(value: int) -> str:
    try:
        return str(value)
    except ValueError:
        raise ValueError(_TOO_LONG) from None


def _decimal(value: decimal.Decimal) -> str:
    if len(value.as_tuple().digits) > _DIGITS:
        raise ValueError(_TOO_LONG)
    return str(value)


def _read_decimal(text: str) -> decimal.Decimal:
    if len(text) > _DIGITS + _SIGNS or not _DECIMAL.fullmatch(text):
        raise Misfit("takes a decimal like -12.50 or 1E+30", text)
    value = decimal.Decimal(text)
    if len(value.as_tuple().digits) > _DIGITS:
        raise Misfit(f"takes at most {_DIGITS} digits", text)
    return value


def _read_varint(text: str) -> int:
    if not _VARINT.fullmatch(text):
        raise Misfit("takes an integer like -1250", text)
    return int(text)


def _read_uuid(text: str) -> uuid.UUID:
    if not _UUID.fullmatch(text):
        raise Misfit("takes a UUID like 123e4567-e89b-12d3-a456-426614174000", text)
    return uuid.UUID(text)


def _read_inet(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Misfit("takes an address like 192.0.2.1 or 2001:db8::1", text) from None


def _read_timestamp(value: Any) -> Any:
    if value.nanos % 1_000_000:
        raise Misfit("takes whole milliseconds", value)
    return message_values.read_timestamp(value)


def _duration(value: values.Duration) -> dict[str, int]:
    return {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}


def _read_duration(value: Any) -> values.Duration:
    return values.Duration(value.months, value.days, value.nanoseconds)


_NATIVE: dict[type[Kind], Both] = {
    types.Varint: Both(_varint, _read_varint),
    types.Decimal: Both(_decimal, _read_decimal),
    types.Uuid: Both(str, _read_uuid),
    types.Inet: Both(str, _read_inet),
    types.Date: Both(datetime.date.isoformat, message_values.read_date),
    types.Timestamp: Both(message_values.timestamp, _read_timestamp),
    types.Duration: Both(_duration, _read_duration),
}
