"""How a value of each column type travels: what Python code sees, and what each driver takes and gives."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

T = TypeVar("T")
Convert = Callable[[Any], Any]


class SqlType(msgspec.Struct, Generic[T], frozen=True):
    """A column type.

    `encoders` and `decoders` hold a conversion by dialect name where the driver's own value differs.
    """

    encoders: ClassVar[dict[str, Convert]] = {}
    decoders: ClassVar[dict[str, Convert]] = {}


class Bool(SqlType[bool], frozen=True):
    decoders: ClassVar[dict[str, Convert]] = {"mysql": bool, "sqlite": bool}


class Int(SqlType[int], frozen=True):
    bits: int = 64
    signed: bool = True


class Float(SqlType[float], frozen=True):
    bits: int = 64


class Decimal(SqlType[decimal.Decimal], frozen=True):
    """SQLite stores the decimal text, since its REAL would round it."""

    precision: int
    scale: int
    encoders: ClassVar[dict[str, Convert]] = {"sqlite": "{:f}".format}
    decoders: ClassVar[dict[str, Convert]] = {"sqlite": decimal.Decimal}


class Text(SqlType[str], frozen=True):
    max_length: int | None = None  # characters


class Bytes(SqlType[bytes], frozen=True):
    max_length: int | None = None  # bytes


class Date(SqlType[datetime.date], frozen=True):
    encoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.date.isoformat}
    decoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.date.fromisoformat}


def _microseconds(value: datetime.timedelta) -> int:
    return value // datetime.timedelta(microseconds=1)


def _timedelta(microseconds: int) -> datetime.timedelta:
    return datetime.timedelta(microseconds=microseconds)


class Time(SqlType[datetime.timedelta], frozen=True):
    """MySQL's TIME is a span of up to 838 hours, so it is a timedelta. SQLite stores microseconds, which sort right."""

    encoders: ClassVar[dict[str, Convert]] = {"sqlite": _microseconds}
    decoders: ClassVar[dict[str, Convert]] = {"sqlite": _timedelta}


def _iso(value: datetime.datetime) -> str:
    return value.isoformat(" ", "microseconds")


class DateTime(SqlType[datetime.datetime], frozen=True):
    """A wall clock without a zone."""

    encoders: ClassVar[dict[str, Convert]] = {"sqlite": _iso}
    decoders: ClassVar[dict[str, Convert]] = {"sqlite": datetime.datetime.fromisoformat}


def _to_utc(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        raise ValueError(f"a moment needs a time zone: {value!r}")
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def _as_utc(value: datetime.datetime) -> datetime.datetime:
    return value.replace(tzinfo=datetime.UTC)


class Timestamp(SqlType[datetime.datetime], frozen=True):
    """A moment: aware datetimes in Python, UTC in the store."""

    encoders: ClassVar[dict[str, Convert]] = {"mysql": _to_utc, "sqlite": lambda value: _iso(_to_utc(value))}
    decoders: ClassVar[dict[str, Convert]] = {
        "mysql": _as_utc,
        "sqlite": lambda text: _as_utc(datetime.datetime.fromisoformat(text)),
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Json(SqlType[Any], frozen=True):
    encoders: ClassVar[dict[str, Convert]] = {"mysql": _dump, "sqlite": _dump}
    decoders: ClassVar[dict[str, Convert]] = {"mysql": json.loads, "sqlite": json.loads}


class Bits(SqlType[int], frozen=True):
    """BIT(width) as an unsigned integer."""

    width: int = 1
    decoders: ClassVar[dict[str, Convert]] = {"mysql": lambda raw: int.from_bytes(raw, "big")}


def _join(values: frozenset[str]) -> str:
    return ",".join(sorted(values))


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) if text else frozenset()


class Choice(SqlType[T], frozen=True):
    """ENUM: one of these strings."""

    values: tuple[T, ...]


class Choices(SqlType[frozenset[str]], frozen=True):
    """SET: some of these strings."""

    values: tuple[str, ...]
    encoders: ClassVar[dict[str, Convert]] = {"mysql": _join, "sqlite": _join}
    decoders: ClassVar[dict[str, Convert]] = {"mysql": _split, "sqlite": _split}
