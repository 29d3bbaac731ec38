"""How a value of each column type travels: what Python code sees, what it may be, what each driver takes and gives."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")
Convert = Callable[[Any], Any]
Arithmetic = Literal["", "exact", "single", "wide", "bits", "word"]


class SqlType(msgspec.Struct, Generic[T], frozen=True):
    """A column type.

    `encoders` and `decoders` hold a conversion by dialect name where the driver's own value differs. `arithmetic` says
    what needs care in calculations: `exact` for decimals, `single` for floats of 32 bits, `wide` for integers of 64,
    `bits` for BIT, `word` for ENUM and SET.

    A value is judged by `fault`. `fits` and `all_fit` are its quick forms for the usual case: they never pass what
    `fault` refuses, but may leave to it what it passes, such as a subclass of the type.
    """

    _encoders: ClassVar[dict[str, Convert]] = {}
    _decoders: ClassVar[dict[str, Convert]] = {}
    _arithmetic: ClassVar[Arithmetic] = ""

    @property
    def encoders(self) -> dict[str, Convert]:
        return self._encoders

    @property
    def decoders(self) -> dict[str, Convert]:
        return self._decoders

    @property
    def arithmetic(self) -> Arithmetic:
        return self._arithmetic

    def fault(self, value: Any) -> str | None:
        """What keeps this value (not None) out of such a column, in words; None where it fits."""
        return None

    def fits(self) -> Callable[[Any], bool]:
        """A quick test of one value."""
        fault = self.fault
        return lambda value: fault(value) is None

    def all_fit(self, values: Sequence[Any]) -> bool:
        """A quick test of many values, at least one."""
        return all(map(self.fits(), values))

    def plain(self, value: Any) -> Any:
        """A value that fits, as one of the very type that drivers know: an IntEnum's member as an int."""
        return value

    def compared(self) -> SqlType[Any]:
        """The type of what such a column may be compared with.

        A text longer than the column is a fair question, whose answer is no.
        """
        return self

    def added(self) -> SqlType[Any]:
        """The type of what may be added to such a column."""
        return self


class Bool(SqlType[bool], frozen=True):
    _decoders: ClassVar[dict[str, Convert]] = {"mysql": bool, "sqlite": bool}

    def fault(self, value: Any) -> str | None:
        return None if value is True or value is False else "takes a bool"

    def all_fit(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {bool}


class Int(SqlType[int], frozen=True):
    bits: int = 64
    signed: bool = True

    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    def fault(self, value: Any) -> str | None:
        low, high = self.bounds()
        if not isinstance(value, int):
            return "takes an int"
        return None if low <= value <= high else f"takes an int from {low} to {high}"

    def fits(self) -> Callable[[Any], bool]:
        low, high = self.bounds()
        return lambda value: type(value) is int and low <= value <= high

    def all_fit(self, values: Sequence[Any]) -> bool:
        low, high = self.bounds()
        return set(map(type, values)) == {int} and min(values) >= low and max(values) <= high

    def plain(self, value: Any) -> Any:
        return int(value)

    def added(self) -> SqlType[Any]:
        return Int()

    @property
    def arithmetic(self) -> Arithmetic:
        return "wide" if self.bits == 64 else ""


_SINGLE = struct.Struct("f")


def single(value: float) -> float:
    """The nearest float of 32 bits. What is out of their range stays, for the column to refuse."""
    try:
        return _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return value


class Float(SqlType[float], frozen=True):
    """One of 32 bits holds the nearest number that they write, so 0.1 comes back as 0.10000000149011612."""

    bits: int = 64

    @property
    def encoders(self) -> dict[str, Convert]:
        return {"sqlite": single} if self.bits == 32 else {}

    @property
    def arithmetic(self) -> Arithmetic:
        return "single" if self.bits == 32 else ""

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (float, int)):
            return "takes a float"
        if isinstance(value, float) and not math.isfinite(value):
            return "takes a finite float"
        most = 3.4028234663852886e38 if self.bits == 32 else 1.7976931348623157e308
        return None if abs(value) <= most else f"takes a float of {self.bits} bits"

    def plain(self, value: Any) -> Any:
        return float(value)

    def compared(self) -> SqlType[Any]:
        return Float()

    def added(self) -> SqlType[Any]:
        return Float()


class Decimal(SqlType[decimal.Decimal], frozen=True):
    """SQLite stores the decimal text with all digits of the scale, since its REAL would round it."""

    precision: int
    scale: int
    _arithmetic: ClassVar[Arithmetic] = "exact"
    _decoders: ClassVar[dict[str, Convert]] = {"sqlite": decimal.Decimal}

    @property
    def encoders(self) -> dict[str, Convert]:
        return {"sqlite": f"{{:z.{self.scale}f}}".format}  # z: there is one zero only

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, decimal.Decimal) or not value.is_finite():
            return "takes a finite Decimal"
        _, digits, exponent = value.as_tuple()
        point = int(exponent)  # an "n" or "F" here is not finite
        while point < -self.scale and digits[-1] == 0 and len(digits) > 1:
            digits, point = digits[:-1], point + 1
        whole = 0 if not value else len(digits) + point
        if (value and point < -self.scale) or whole > self.precision - self.scale:
            return f"takes {self.precision - self.scale} digits before the point and {self.scale} behind it"
        return None

    def compared(self) -> SqlType[Any]:
        return Decimal(65, 30)  # the most that MySQL knows

    def added(self) -> SqlType[Any]:
        return Decimal(self.precision + 1, self.scale)


class Text(SqlType[str], frozen=True):
    max_length: int | None = None  # characters
    max_bytes: int | None = None  # of UTF-8, for the TEXT family
    fixed: bool = False  # CHAR, of which MariaDB cuts the blanks at the end

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, str):
            return "takes a str"
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            return f"takes text that UTF-8 can write, which the surrogate at {error.start} is not"
        if self.max_length is not None and len(value) > self.max_length:
            return f"takes at most {self.max_length} characters"
        if self.max_bytes is not None and size > self.max_bytes:
            return f"takes at most {self.max_bytes} bytes of UTF-8"
        if self.fixed and value.endswith(" "):
            return "takes no blanks at the end, which CHAR would cut off"
        return None

    def fits(self) -> Callable[[Any], bool]:
        # Only text beyond ASCII can hold a surrogate, or more bytes than characters.
        most, fault = self._most(), self.fault
        if self.fixed:
            return lambda value: type(value) is str and fault(value) is None
        return lambda value: type(value) is str and len(value) <= most and (value.isascii() or fault(value) is None)

    def all_fit(self, values: Sequence[Any]) -> bool:
        if self.fixed:
            return all(map(self.fits(), values))
        if set(map(type, values)) != {str}:
            return False
        longest = max(map(len, values))
        if longest > self._most():
            return False
        if all(map(str.isascii, values)):
            return True
        if self.max_bytes is not None and longest * 4 > self.max_bytes:
            return False
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            return False
        return True

    def _most(self) -> float:
        return min(each for each in (self.max_length, self.max_bytes, math.inf) if each is not None)

    def plain(self, value: Any) -> Any:
        return str.__str__(value)

    def compared(self) -> SqlType[Any]:
        return TEXT


TEXT = Text()


class Bytes(SqlType[bytes], frozen=True):
    max_length: int | None = None  # bytes
    fixed: bool = False  # BINARY, which MariaDB fills up with zeros

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, (bytes, bytearray)):
            return "takes bytes"
        if self.fixed:
            return None if len(value) == self.max_length else f"takes {self.max_length} bytes, no fewer and no more"
        fits = self.max_length is None or len(value) <= self.max_length
        return None if fits else f"takes at most {self.max_length} bytes"

    def fits(self) -> Callable[[Any], bool]:
        most = math.inf if self.max_length is None else self.max_length
        if self.fixed:
            return lambda value: type(value) is bytes and len(value) == most
        return lambda value: type(value) is bytes and len(value) <= most

    def plain(self, value: Any) -> Any:
        return bytes(value)

    def compared(self) -> SqlType[Any]:
        return Bytes()


class Date(SqlType[datetime.date], frozen=True):
    _encoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.date.isoformat}
    _decoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.date.fromisoformat}

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
        return None if fits else "takes a date"


def _microseconds(value: datetime.timedelta) -> int:
    return value // datetime.timedelta(microseconds=1)


def _timedelta(microseconds: int) -> datetime.timedelta:
    return datetime.timedelta(microseconds=microseconds)


def _finer(microseconds: int, fraction: int) -> str | None:
    """What is wrong with a time of more digits than its column has. MariaDB would cut them, MySQL round them."""
    if microseconds % 10 ** (6 - fraction) == 0:
        return None
    return f"takes {fraction} digits of a second" if fraction else "takes whole seconds"


_LONGEST = datetime.timedelta(hours=838, minutes=59, seconds=59, microseconds=999_999)


class Time(SqlType[datetime.timedelta], frozen=True):
    """MySQL's TIME is a span of up to 838 hours, so it is a timedelta. SQLite stores microseconds, which sort right."""

    fraction: int = 6  # digits of a second
    _encoders: ClassVar[dict[str, Convert]] = {"sqlite": _microseconds}
    _decoders: ClassVar[dict[str, Convert]] = {"sqlite": _timedelta}

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, datetime.timedelta):
            return "takes a timedelta"
        if abs(value) > _LONGEST:
            return "takes a timedelta of less than 839 hours"
        return _finer(value.microseconds, self.fraction)

    def compared(self) -> SqlType[Any]:
        return Time()


def _iso(value: datetime.datetime) -> str:
    return value.isoformat(" ", "microseconds")


class DateTime(SqlType[datetime.datetime], frozen=True):
    """A wall clock without a zone."""

    fraction: int = 6  # digits of a second
    _encoders: ClassVar[dict[str, Convert]] = {"sqlite": _iso}
    _decoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.datetime.fromisoformat}

    def fault(self, value: Any) -> str | None:
        if not isinstance(value, datetime.datetime) or value.tzinfo is not None:
            return "takes a datetime without a time zone"
        return _finer(value.microsecond, self.fraction)

    def compared(self) -> SqlType[Any]:
        return DateTime()


def _to_utc(value: datetime.datetime) -> datetime.datetime:
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def _as_utc(value: datetime.datetime) -> datetime.datetime:
    return value.replace(tzinfo=datetime.UTC)


class Moment(SqlType[datetime.datetime], frozen=True):
    """Aware datetimes in Python, UTC in the store."""

    _encoders: ClassVar[dict[str, Convert]] = {"mysql": _to_utc, "sqlite": lambda value: _iso(_to_utc(value))}
    _decoders: ClassVar[dict[str, Convert]] = {
        "mysql": _as_utc,
        "sqlite": lambda text: _as_utc(datetime.datetime.fromisoformat(text)),
    }

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, datetime.datetime) and value.utcoffset() is not None
        return None if fits else "takes a datetime with a time zone"


_FIRST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.UTC)


class Timestamp(Moment, frozen=True):
    """TIMESTAMP: a moment that 31 bits of seconds can count (https://mariadb.com/kb/en/timestamp/)."""

    fraction: int = 6  # digits of a second

    def fault(self, value: Any) -> str | None:
        if fault := super().fault(value):
            return fault
        if not _FIRST < value < _LAST:
            return "takes a moment after 1970-01-01 00:00:00 and before 2038-01-19 03:14:08"
        return _finer(value.microsecond, self.fraction)

    def compared(self) -> SqlType[Any]:
        return Moment()


class Year(SqlType[int], frozen=True):
    """YEAR. MariaDB would take 5 for 2005."""

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, int) and (value == 0 or 1901 <= value <= 2155)
        return None if fits else "takes 0 or a year from 1901 to 2155"

    def plain(self, value: Any) -> Any:
        return int(value)


def _dump(value: Any) -> str:
    """Raises TypeError and ValueError for what JSON can't say."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Json(SqlType[Any], frozen=True):
    """Whatever `json` takes; what it does not take, its encoder refuses. None is NULL, not JSON's null."""

    _encoders: ClassVar[dict[str, Convert]] = {"mysql": _dump, "sqlite": _dump}
    _decoders: ClassVar[dict[str, Convert]] = {"mysql": json.loads, "sqlite": json.loads}

    def fault(self, value: Any) -> str | None:
        return "takes no NULL" if value is None else None


class Bits(SqlType[int], frozen=True):
    """BIT(width) as an unsigned integer."""

    width: int = 1
    _arithmetic: ClassVar[Arithmetic] = "bits"
    _decoders: ClassVar[dict[str, Convert]] = {"mysql": lambda raw: int.from_bytes(raw, "big")}

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, int) and 0 <= value < 1 << self.width
        return None if fits else f"takes an int of {self.width} bits"

    def plain(self, value: Any) -> Any:
        return int(value)


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) if text else frozenset()


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values[:20])) + (", …" if len(values) > 20 else "")


class Choice(SqlType[T], frozen=True):
    """ENUM: one of these strings."""

    values: tuple[T, ...]
    _arithmetic: ClassVar[Arithmetic] = "word"

    def fault(self, value: Any) -> str | None:
        return None if isinstance(value, str) and value in self.values else f"takes one of {_listed(self.values)}"

    def plain(self, value: Any) -> Any:
        return str.__str__(value)


class Choices(SqlType[frozenset[str]], frozen=True):
    """SET: some of these strings. As MariaDB joins them, in the order of the schema, equal sets are equal texts."""

    values: tuple[str, ...]
    _arithmetic: ClassVar[Arithmetic] = "word"
    _decoders: ClassVar[dict[str, Convert]] = {"mysql": _split, "sqlite": _split}

    @property
    def encoders(self) -> dict[str, Convert]:
        return {"mysql": self._join, "sqlite": self._join}

    def _join(self, chosen: frozenset[str]) -> str:
        return ",".join(sorted(chosen, key=self.values.index))

    def fault(self, value: Any) -> str | None:
        fits = isinstance(value, (frozenset, set)) and set(self.values).issuperset(value)  # pyright: ignore[reportUnknownArgumentType]
        return None if fits else f"takes a frozenset of some of {_listed(self.values)}"
