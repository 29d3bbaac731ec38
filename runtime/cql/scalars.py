"""The native types of CQL: what Python code sees, what it may be, and the bytes that Cassandra stores.

The bytes are those of the native protocol, versions 4 and 5
(https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec, section 6), and the orders those of
Cassandra's comparators. Types that are made of others are in `composites`.
"""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import math
import struct
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec

from runtime.cql import values
from runtime.cql.errors import UnreadableValue

T = TypeVar("T")

MOST_BYTES = (1 << 31) - 1  # of any value: its length is an int of the protocol


class CqlType(msgspec.Struct, Generic[T], frozen=True):
    """A type of CQL.

    A value is judged by `fault`. `fits` and `all_fit` are its quick forms for the usual case: they never pass what
    `fault` refuses, but may leave to it what it passes, such as a subclass of the type.

    `size` is the number of bytes of every value, None where values differ. In a vector the values of a type without it
    have their length before them; such is also `TINYINT`, whose `vector_size` is None
    (https://issues.apache.org/jira/browse/CASSANDRA-18613).
    """

    size: ClassVar[int | None] = None

    @property
    def text(self) -> str:
        """The type in CQL, as system_schema spells it."""
        raise NotImplementedError

    @property
    def vector_size(self) -> int | None:
        """Bytes of a value in a vector; None where its length is written."""
        return self.size

    @property
    def is_multi_cell(self) -> bool:
        """Whether a column of this type is stored in parts, each with a timestamp: a collection that is not frozen."""
        return False

    @property
    def has_duration(self) -> bool:
        """Whether a duration is part of a value, so that there is no order."""
        return False

    def fault(self, value: Any) -> str | None:
        """What keeps this value (not None) out of such a column, in words; None where it fits."""
        raise NotImplementedError

    def fits(self) -> Callable[[Any], bool]:
        """A quick test of one value."""
        fault = self.fault
        return lambda value: fault(value) is None

    def all_fit(self, values: Sequence[Any]) -> bool:
        """A quick test of many values."""
        return all(map(self.fits(), values))

    def plain(self, value: Any) -> Any:
        """A value that fits, as one of the very type that reading gives: an IntEnum's member as an int."""
        return value

    def encode(self, value: T) -> bytes:
        """The bytes of a value that fits."""
        raise NotImplementedError

    def decode(self, data: bytes) -> T:
        """The value of such bytes. Raises UnreadableValue for one that Python can't tell."""
        raise NotImplementedError

    def order(self, value: T) -> Any:
        """What sorts values as Cassandra does: `sorted(values, key=type.order)`."""
        return value

    def hashable(self) -> CqlType[Any]:
        """The type as an element of a set, the key of a map, or part of either, where Python needs a hash."""
        return self

    def as_frozen(self) -> Self:
        """The type as `frozen<…>`; most are frozen anyway."""
        return self


class Text(CqlType[str], frozen=True):
    @property
    def text(self) -> str:
        return "text"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return "takes a str"
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            return f"takes text that UTF-8 can write, which the surrogate at {error.start} is not"
        return None if size <= MOST_BYTES else f"takes at most {MOST_BYTES} bytes of UTF-8"

    def fits(self) -> Callable[[Any], bool]:
        # Only text beyond ASCII can hold a surrogate.
        fault, most = self.fault, MOST_BYTES
        return lambda value: type(value) is str and (len(value) <= most if value.isascii() else fault(value) is None)

    def all_fit(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) != {str}:
            return not values
        return (all(map(str.isascii, values)) and max(map(len, values)) <= MOST_BYTES) or all(map(self.fits(), values))

    def plain(self, value: Any) -> Any:
        return str.__str__(value)

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, data: bytes) -> str:
        return str(data, "utf-8")


class Ascii(Text, frozen=True):
    @property
    def text(self) -> str:
        return "ascii"

    def fault(self, value: Any) -> str | None:
        if fault := super().fault(value):
            return fault
        return None if value.isascii() else "takes ASCII text"

    def fits(self) -> Callable[[Any], bool]:
        most = MOST_BYTES
        return lambda value: type(value) is str and value.isascii() and len(value) <= most


class Whole(CqlType[int], frozen=True):
    """An integer of a number of bytes."""

    _packed: ClassVar[struct.Struct]
    _name: ClassVar[str]

    @property
    def text(self) -> str:
        return self._name

    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value."""
        bits = self._packed.size * 8
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def fault(self, value: Any) -> str | None:
        low, high = self.bounds()
        if not isinstance(value, int):
            return "takes an int"
        return None if low <= value <= high else f"takes an int from {low} to {high}"

    def fits(self) -> Callable[[Any], bool]:
        low, high = self.bounds()
        return lambda value: type(value) is int and low <= value <= high

    def all_fit(self, values: Sequence[Any]) -> bool:
        if set(map(type, values)) != {int}:
            return not values
        low, high = self.bounds()
        return min(values) >= low and max(values) <= high

    def plain(self, value: Any) -> Any:
        return int(value)

    def encode(self, value: int) -> bytes:
        return self._packed.pack(value)

    def decode(self, data: bytes) -> int:
        return self._packed.unpack(data)[0]


_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")


class TinyInt(Whole, frozen=True):
    _packed: ClassVar[struct.Struct] = struct.Struct(">b")
    _name: ClassVar[str] = "tinyint"
    size: ClassVar[int | None] = 1

    @property
    def vector_size(self) -> int | None:
        return None


class SmallInt(Whole, frozen=True):
    _packed: ClassVar[struct.Struct] = struct.Struct(">h")
    _name: ClassVar[str] = "smallint"
    size: ClassVar[int | None] = 2

    @property
    def vector_size(self) -> int | None:
        return None


class Int(Whole, frozen=True):
    _packed: ClassVar[struct.Struct] = _INT32
    _name: ClassVar[str] = "int"
    size: ClassVar[int | None] = 4


class BigInt(Whole, frozen=True):
    _packed: ClassVar[struct.Struct] = _INT64
    _name: ClassVar[str] = "bigint"
    size: ClassVar[int | None] = 8


class Counter(BigInt, frozen=True):
    """A number that can only be added to."""

    _name: ClassVar[str] = "counter"


def varint_bytes(value: int) -> bytes:
    """Two's complement in as few bytes as hold it, the highest first."""
    return value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "big", signed=True)


class Varint(CqlType[int], frozen=True):
    @property
    def text(self) -> str:
        return "varint"

    def fault(self, value: Any) -> str | None:
        return None if isinstance(value, int) else "takes an int"

    def fits(self) -> Callable[[Any], bool]:
        return lambda value: type(value) is int

    def plain(self, value: Any) -> Any:
        return int(value)

    def encode(self, value: int) -> bytes:
        return varint_bytes(value)

    def decode(self, data: bytes) -> int:
        return int.from_bytes(data, "big", signed=True)


class Double(CqlType[float], frozen=True):
    """Cassandra takes NaN and the infinities too."""

    _packed: ClassVar[struct.Struct] = struct.Struct(">d")
    _most: ClassVar[float] = 1.7976931348623157e308
    size: ClassVar[int | None] = 8

    @property
    def text(self) -> str:
        return "double"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (float, int)):
            return "takes a float"
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return None if abs(value) <= self._most else f"takes a float of {self._packed.size * 8} bits"

    def fits(self) -> Callable[[Any], bool]:
        most = self._most
        return lambda value: type(value) is float and -most <= value <= most

    def plain(self, value: Any) -> Any:
        return float(value)

    def encode(self, value: float) -> bytes:
        return self._packed.pack(value)

    def decode(self, data: bytes) -> float:
        return self._packed.unpack(data)[0]

    def order(self, value: float) -> Any:
        # As Java's Double.compare: -0.0 below 0.0, and NaN above all.
        return (value != value, 0.0 if value != value else value, math.copysign(1.0, value) if value == 0 else 0.0)


class Float(Double, frozen=True):
    """Holds the nearest number that 32 bits write, so 0.1 comes back as 0.10000000149011612."""

    _packed: ClassVar[struct.Struct] = struct.Struct(">f")
    _most: ClassVar[float] = 3.4028234663852886e38
    size: ClassVar[int | None] = 4

    @property
    def text(self) -> str:
        return "float"

    def order(self, value: float) -> Any:
        return super().order(self.decode(self.encode(value)))


class Decimal(CqlType[decimal.Decimal], frozen=True):
    """A number of any digits, with the scale it was written with: 1.0 and 1.00 are equal but not the same bytes."""

    @property
    def text(self) -> str:
        return "decimal"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, decimal.Decimal) or not value.is_finite():
            return "takes a finite Decimal"
        exponent = int(value.as_tuple().exponent)  # an "n" or "F" here is not finite
        return None if -(1 << 31) < -exponent < 1 << 31 else "takes a Decimal whose exponent has 32 bits"

    def encode(self, value: decimal.Decimal) -> bytes:
        sign, digits, exponent = value.as_tuple()
        whole = int(decimal.Decimal((sign, digits, 0)))
        return _INT32.pack(-int(exponent)) + varint_bytes(whole)

    def decode(self, data: bytes) -> decimal.Decimal:
        whole = decimal.Decimal(int.from_bytes(data[4:], "big", signed=True)).as_tuple()
        return decimal.Decimal((whole.sign, whole.digits, -_INT32.unpack_from(data)[0]))


class Boolean(CqlType[bool], frozen=True):
    size: ClassVar[int | None] = 1

    @property
    def text(self) -> str:
        return "boolean"

    def fault(self, value: Any) -> str | None:
        return None if value is True or value is False else "takes a bool"

    def fits(self) -> Callable[[Any], bool]:
        return lambda value: value is True or value is False

    def encode(self, value: bool) -> bytes:
        return b"\1" if value else b"\0"

    def decode(self, data: bytes) -> bool:
        return data != b"\0"


class Blob(CqlType[bytes], frozen=True):
    @property
    def text(self) -> str:
        return "blob"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (bytes, bytearray)):
            return "takes bytes"
        return None if len(value) <= MOST_BYTES else f"takes at most {MOST_BYTES} bytes"

    def fits(self) -> Callable[[Any], bool]:
        most = MOST_BYTES
        return lambda value: type(value) is bytes and len(value) <= most

    def plain(self, value: Any) -> Any:
        return bytes(value)

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return bytes(data)


def _by_time(high: int) -> int:
    """The upper half of a version 1 UUID with the parts of its time in their order."""
    return (high & 0xFFFF) << 48 | (high >> 16 & 0xFFFF) << 32 | high >> 32


_HALF = (1 << 64) - 1


class Uuid(CqlType[uuid.UUID], frozen=True):
    size: ClassVar[int | None] = 16

    @property
    def text(self) -> str:
        return "uuid"

    def fault(self, value: Any) -> str | None:
        return None if isinstance(value, uuid.UUID) else "takes a UUID"

    def encode(self, value: uuid.UUID) -> bytes:
        return value.bytes

    def decode(self, data: bytes) -> uuid.UUID:
        return uuid.UUID(bytes=bytes(data))

    def order(self, value: uuid.UUID) -> Any:
        """By version; then version 1 by time, the others by their bytes."""
        high, low = value.int >> 64, value.int & _HALF
        version = high >> 12 & 15
        return (version, _by_time(high) if version == 1 else high, low)


class TimeUuid(Uuid, frozen=True):
    @property
    def text(self) -> str:
        return "timeuuid"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, uuid.UUID):
            return "takes a UUID"
        return None if value.int >> 76 & 15 == 1 else "takes a UUID of version 1"

    def order(self, value: uuid.UUID) -> Any:
        """By time; then the lower bytes, which Cassandra compares with their sign."""
        return (_by_time(value.int >> 64), value.int & _HALF ^ 0x8080808080808080)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Inet(CqlType[Address], frozen=True):
    @property
    def text(self) -> str:
        return "inet"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
            return "takes an IPv4Address or IPv6Address"
        if isinstance(value, ipaddress.IPv6Address) and value.scope_id is not None:
            return "takes an address without a zone"
        return None

    def encode(self, value: Address) -> bytes:
        return value.packed

    def decode(self, data: bytes) -> Address:
        return ipaddress.ip_address(bytes(data))

    def order(self, value: Address) -> Any:
        return value.packed


_DAY_ZERO = datetime.date(1970, 1, 1).toordinal()
_UINT32 = struct.Struct(">I")


def _date(days: int) -> datetime.date:
    try:
        return datetime.date.fromordinal(_DAY_ZERO + days)
    except (OverflowError, ValueError):
        raise UnreadableValue(f"a date {days} days from 1970-01-01, which is beyond Python's years") from None


class Date(CqlType[datetime.date], frozen=True):
    """Days from -2^31 to 2^31-1 around 1970, of which Python knows the years 1 to 9999."""

    size: ClassVar[int | None] = 4

    @property
    def text(self) -> str:
        return "date"

    @property
    def vector_size(self) -> int | None:
        return None

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
        return None if fits else "takes a date"

    def fits(self) -> Callable[[Any], bool]:
        return lambda value: type(value) is datetime.date

    def encode(self, value: datetime.date) -> bytes:
        return _UINT32.pack(value.toordinal() - _DAY_ZERO + (1 << 31))

    def decode(self, data: bytes) -> datetime.date:
        return _date(_UINT32.unpack(data)[0] - (1 << 31))


_DAY_NANOSECONDS = 86_400_000_000_000


class Time(CqlType[int], frozen=True):
    """Nanoseconds since midnight: a `datetime.time` would lose three digits."""

    size: ClassVar[int | None] = 8

    @property
    def text(self) -> str:
        return "time"

    @property
    def vector_size(self) -> int | None:
        return None

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, int) and 0 <= value < _DAY_NANOSECONDS
        return None if fits else f"takes the nanoseconds of a day, an int from 0 to {_DAY_NANOSECONDS - 1}"

    def plain(self, value: Any) -> Any:
        return int(value)

    def encode(self, value: int) -> bytes:
        return _INT64.pack(value)

    def decode(self, data: bytes) -> int:
        return _INT64.unpack(data)[0]


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


class Timestamp(CqlType[datetime.datetime], frozen=True):
    """A moment in milliseconds."""

    size: ClassVar[int | None] = 8

    @property
    def text(self) -> str:
        return "timestamp"

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, datetime.datetime) or value.utcoffset() is None:
            return "takes a datetime with a time zone"
        if value.microsecond % 1_000 or (value - _EPOCH) % _MILLISECOND:
            return "takes whole milliseconds"
        return None if _FIRST <= value <= _LAST else "takes a moment that is in the years 1 to 9999 in UTC"

    def fits(self) -> Callable[[Any], bool]:
        utc = datetime.UTC
        return lambda value: type(value) is datetime.datetime and value.tzinfo is utc and value.microsecond % 1_000 == 0

    def plain(self, value: Any) -> Any:
        return value.astimezone(datetime.UTC)

    def encode(self, value: datetime.datetime) -> bytes:
        return _INT64.pack((value - _EPOCH) // _MILLISECOND)

    def decode(self, data: bytes) -> datetime.datetime:
        milliseconds: int = _INT64.unpack(data)[0]
        try:
            return _EPOCH + datetime.timedelta(milliseconds=milliseconds)
        except OverflowError:
            text = f"a timestamp of {milliseconds} ms since 1970, which is beyond Python's years"
            raise UnreadableValue(text) from None


def uvint_bytes(value: int) -> bytes:
    """An unsigned integer of up to 64 bits: the ones that the first byte begins with count the bytes behind it."""
    behind = max(0, (value.bit_length() - 1) // 7)
    if behind >= 8:
        return b"\xff" + value.to_bytes(8, "big")
    return (value | (0xFF00 >> behind & 0xFF) << 8 * behind).to_bytes(behind + 1, "big")


def read_uvint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned integer at this place, and the place behind it."""
    first = data[at]
    behind = 8 - (first ^ 0xFF).bit_length()
    end = at + 1 + behind
    return int.from_bytes(data[at:end], "big") & ((1 << (8 * behind + max(0, 7 - behind))) - 1), end


def _zigzag(value: int) -> bytes:
    return uvint_bytes(value << 1 if value >= 0 else ~(value << 1))


class Duration(CqlType[values.Duration], frozen=True):
    @property
    def text(self) -> str:
        return "duration"

    @property
    def has_duration(self) -> bool:
        return True

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, values.Duration):
            return "takes a Duration"
        parts: tuple[Any, ...] = (value.months, value.days, value.nanoseconds)
        for name, part, bits in zip(("months", "days", "nanoseconds"), parts, (32, 32, 64), strict=True):
            if not isinstance(part, int) or not -(1 << (bits - 1)) <= part < 1 << (bits - 1):
                return f"takes a Duration whose {name} are an int of {bits} bits"
        if min(parts) < 0 < max(parts):
            return "takes a Duration whose parts are of one sign"
        return None

    def encode(self, value: values.Duration) -> bytes:
        return _zigzag(value.months) + _zigzag(value.days) + _zigzag(value.nanoseconds)

    def decode(self, data: bytes) -> values.Duration:
        parts: list[int] = []
        at = 0
        for _ in range(3):
            part, at = read_uvint(data, at)
            parts.append(part >> 1 ^ -(part & 1))
        return values.Duration(*parts)
