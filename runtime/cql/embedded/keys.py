"""Keys as bytes that SQLite sorts as Cassandra does: partitions by token, rows by their clustering columns.

A row's key is its partition's key and behind it one code for each clustering column. No code is the beginning of
another, so what begins with the codes of some columns is one range of keys. A partition's static columns have the
partition's key itself, which sorts before its rows.
"""

from __future__ import annotations

import decimal
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from runtime.cql.tokens import GREATEST_TOKEN, LEAST_TOKEN, murmur3
from runtime.cql.types import (
    BigInt,
    Boolean,
    CqlType,
    Date,
    Decimal,
    Double,
    Float,
    Int,
    List,
    Map,
    Set,
    SmallInt,
    Text,
    Time,
    Timestamp,
    TimeUuid,
    TinyInt,
    Tuple,
    UserDefined,
    Uuid,
    Varint,
    Vector,
)

Code = Callable[[Any], bytes]

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_LENGTH = struct.Struct(">H")
_END = b"\0\0"
_COMPLEMENT = bytes(range(255, -1, -1))
_SIGNS = 0x8080808080808080


def partition_code(types: Sequence[CqlType[Any]]) -> Code:
    """What makes a partition's key of the values of its columns: its token, then the bytes of which that was made."""
    raw_of = _raw(types[0]) if len(types) == 1 else _composite(types)
    single = len(types) == 1
    hash, pack, first = murmur3(), _U64.pack, -LEAST_TOKEN

    def code(values: Sequence[Any]) -> bytes:
        raw = raw_of(values[0] if single else values)
        token = hash(raw)
        if token == LEAST_TOKEN:  # which is below every token
            token = GREATEST_TOKEN
        elif not raw:  # but for that of an empty key, as a view may have
            token = LEAST_TOKEN
        return pack(token + first) + raw.replace(b"\0", b"\0\xff") + _END

    return code


def _raw(type: CqlType[Any]) -> Code:
    """`type.encode`, without a frame of Python where C does the same."""
    match type:
        case Text():
            return str.encode
        case BigInt():
            return struct.Struct(">q").pack
        case Int():
            return struct.Struct(">i").pack
        case _:
            return type.encode


def _composite(types: Sequence[CqlType[Any]]) -> Code:
    """The bytes of several columns, as `runtime.cql.tokens.partition_key_bytes` puts them together."""
    codes = tuple(map(_part, types))
    return lambda values: b"".join([code(value) for code, value in zip(codes, values, strict=True)])


def _part(type: CqlType[Any]) -> Code:
    if isinstance(type, (BigInt, Int)):
        size = 8 if isinstance(type, BigInt) else 4
        pack = struct.Struct(">Hqx" if size == 8 else ">Hix").pack
        return lambda value: pack(size, value)
    encode, length = _raw(type), _LENGTH.pack

    def code(value: Any) -> bytes:
        part = encode(value)
        return length(len(part)) + part + b"\0"

    return code


def partition_end(key: bytes) -> int:
    """Where in a row's key its partition's key ends."""
    return key.index(_END, 8) + 2


def is_row_key(key: bytes) -> bool:
    """Whether these bytes could be a row's key, which only what comes from outside is asked."""
    return key.find(_END, 8) >= 0


def partition_values(key: bytes, types: Sequence[CqlType[Any]]) -> tuple[Any, ...]:
    """The values of the partition key's columns of a partition's key. Raises UnreadableValue."""
    raw = key[8:-2].replace(b"\0\xff", b"\0")
    if len(types) == 1:
        return (types[0].decode(raw),)
    values: list[Any] = []
    at = 0
    for type in types:
        end = at + 2 + _LENGTH.unpack_from(raw, at)[0]
        values.append(type.decode(raw[at + 2 : end]))
        at = end + 1
    return tuple(values)


def token_bounds(after: int, last: int) -> tuple[bytes, bytes | None]:
    """The range of keys of the tokens behind `after`, up to and with `last`; None is the end of the ring."""
    high = None if last >= GREATEST_TOKEN else _U64.pack(last + 1 - LEAST_TOKEN)
    if after >= GREATEST_TOKEN:
        return b"\xff" * 9, b""
    return (b"" if after < LEAST_TOKEN else _U64.pack(after + 1 - LEAST_TOKEN)), high


def behind(prefix: bytes) -> bytes:
    """The least bytes that sort behind all that begins with this prefix, which has a byte below 255: a partition's key
    and whatever begins with one have.
    """
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))


def clustering_code(type: CqlType[Any], *, descending: bool = False) -> Code:
    """What makes the code of a clustering column's value."""
    code = order_code(type)
    if not descending:
        return code
    if isinstance(type, BigInt):
        pack, last = _U64.pack, (1 << 63) - 1
        return lambda value: pack(last - value)
    return lambda value: code(value).translate(_COMPLEMENT)


def order_code(type: CqlType[Any]) -> Code:
    """Bytes that sort as the type's values do, of which none begins with another."""
    match type:
        case TinyInt() | SmallInt() | Int() | BigInt():
            return _whole(cast("int", type.size))
        case Boolean() | Date() | Time():
            return type.encode
        case Timestamp():
            return _reversed_sign(type.encode)
        case Float() | Double():
            return _float(type)
        case TimeUuid():
            return _timeuuid
        case Uuid():
            return _uuid
        case Varint():
            return _varint
        case Decimal():
            return _decimal
        case Tuple() | UserDefined():
            return _fields(type)
        case List():
            return _items(order_code(type.item), list)
        case Set():
            return _items(order_code(type.item), lambda values: sorted(values, key=type.item.order))
        case Map():
            return _entries(type)
        case Vector():
            item = order_code(type.item)
            return lambda values: b"".join(map(item, values))
        case _:  # text, blob, inet: by their bytes
            encode = type.encode
            return lambda value: encode(value).replace(b"\0", b"\0\xff") + _END


def is_exact(type: CqlType[Any]) -> bool:
    """Whether values of one code are the same: decimals of one number may differ in their digits."""
    match type:
        case Decimal():
            return False
        case Tuple():
            return all(map(is_exact, type.items))
        case UserDefined():
            return all(is_exact(kind) for _, kind in type.fields)
        case List() | Set() | Vector():
            return is_exact(type.item)
        case Map():
            return is_exact(type.key) and is_exact(type.value)
        case _:
            return True


def _whole(size: int) -> Code:
    if size == 8:
        pack, first = _U64.pack, 1 << 63
        return lambda value: pack(value + first)
    if size == 4:
        short, middle = _U32.pack, 1 << 31
        return lambda value: short(value + middle)
    least = 1 << (size * 8 - 1)
    return lambda value: (value + least).to_bytes(size, "big")


def _reversed_sign(encode: Code) -> Code:
    def code(value: Any) -> bytes:
        data = encode(value)
        return bytes((data[0] ^ 0x80,)) + data[1:]

    return code


def _float(type: CqlType[Any]) -> Code:
    """By value, -0.0 below 0.0, all NaN above all numbers (Java's Double.compare)."""
    encode = type.encode

    def code(value: float) -> bytes:
        data = encode(math.nan if math.isnan(value) else value)
        if data[0] & 0x80 and not math.isnan(value):
            return data.translate(_COMPLEMENT)
        return bytes((data[0] | 0x80,)) + data[1:]

    return code


def _time_first(data: bytes) -> bytes:
    """The upper half of a version 1 UUID with the parts of its time in their order (RFC 9562, section 5.1)."""
    return data[6:8] + data[4:6] + data[:4]


def _uuid(value: Any) -> bytes:
    data: bytes = value.bytes
    version = data[6] >> 4
    return bytes((version,)) + (_time_first(data) if version == 1 else data[:8]) + data[8:]


def _timeuuid(value: Any) -> bytes:
    data: bytes = value.bytes
    return _time_first(data) + _U64.pack(_U64.unpack_from(data, 8)[0] ^ _SIGNS)


def _varint(value: int) -> bytes:
    data = abs(value).to_bytes((value.bit_length() + 7) // 8, "big")
    code = b"\x80" + _U32.pack(len(data)) + data
    return b"\x7f" + code[1:].translate(_COMPLEMENT) if value < 0 else code


def _decimal(value: decimal.Decimal) -> bytes:
    """By value, whatever the scale: the sign, the power of ten, the digits."""
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return b"\x80"
    power = len(text) + int(exponent)
    code = _U64.pack(power + (1 << 63)) + text.rstrip("0").encode() + b"\0"
    return b"\x7f" + code.translate(_COMPLEMENT) if sign else b"\x81" + code


def _fields(type: Tuple | UserDefined[Any]) -> Code:
    """Null is below every value."""
    kinds = type.items if isinstance(type, Tuple) else tuple(kind for _, kind in type.fields)
    codes = tuple(map(order_code, kinds))
    of_items = isinstance(type, Tuple)

    def code(value: Any) -> bytes:
        parts: Sequence[Any] = value if of_items else msgspec.structs.astuple(value)
        return b"".join(b"\0" if part is None else b"\1" + one(part) for one, part in zip(codes, parts, strict=True))

    return code


def _items(item: Code, ordered: Callable[[Any], list[Any]]) -> Code:
    """A collection is below those that begin with it."""
    return lambda values: b"".join(b"\1" + item(value) for value in ordered(values)) + b"\0"


def _entries(type: Map) -> Code:
    key, each, order = order_code(type.key), order_code(type.value), type.key.order
    return lambda values: b"".join(b"\1" + key(one) + each(values[one]) for one in sorted(values, key=order)) + b"\0"
