"""What becomes of each column's value in a protobuf message, and back. Loaded with the first message, not before."""

from __future__ import annotations

import datetime
import decimal
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NoReturn

from runtime.sql import types
from runtime.sql.expressions import AnyColumn
from runtime.sql.tables import Table
from runtime.sql.types import Convert

# What makes the row's value of the message and its field's. Raises LookupError for what is missing, ValueError and
# OverflowError for what does not fit.
Decode = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one table are converted; all sequences are in the order of the row's fields."""

    message: Any  # the class
    names: tuple[str, ...]  # the message's fields
    read: Callable[[Any], tuple[Any, ...]]
    tests: tuple[Callable[[Any], bool], ...]
    encoders: tuple[tuple[int, Convert], ...]
    decoders: tuple[tuple[int, Decode], ...]


def plan(table: Table[Any], message: Any, names: tuple[str, ...]) -> Plan:
    """How the rows of this table and messages of this class are converted; `names` are the fields of the columns."""
    columns = list(zip(names, table.columns, strict=True))
    get: Callable[[Any], Any] = attrgetter(*names)
    encoders = [_encoder(column, message.DESCRIPTOR.fields_by_name[name]) for name, column in columns]
    decoders = [_decoder(column, name) for name, column in columns]
    return Plan(
        message,
        names,
        get if len(names) > 1 else lambda message: (get(message),),
        tuple(_fits(column) for column in table.columns),
        tuple((place, encode) for place, encode in enumerate(encoders) if encode is not None),
        tuple((place, decode) for place, decode in enumerate(decoders) if decode is not None),
    )


def _fits(column: AnyColumn[Any, Any]) -> Callable[[Any], bool]:
    fits = column.type.fits()
    return (lambda value: value is None or fits(value)) if column.nullable else fits


# --- from a row's value to the message's ----------------------------------------------------------------------------

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
# google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


def _encoder(column: AnyColumn[Any, Any], field: Any) -> Convert | None:
    """The conversion of a value that its column can hold, None where the message takes it as it is."""
    encode = _plain_encoder(column, field)
    if encode is None or not column.nullable:
        return encode
    return lambda value: None if value is None else encode(value)


def _plain_encoder(column: AnyColumn[Any, Any], field: Any) -> Convert | None:
    kind = column.type
    if isinstance(kind, types.Choices):
        order = kind.values

        def listed(value: Any) -> Any:
            return [each for each in order if each in value]

        return (lambda value: {"values": listed(value)}) if column.nullable else listed
    if isinstance(kind, types.Int) and field.enum_type is not None and kind.bits - (not kind.signed) >= 32:
        return _enum_number
    return next((encode for each, encode in _ENCODERS.items() if isinstance(kind, each)), None)


def _enum_number(value: int) -> int:
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError("the numbers of an enum have 32 bits")
    return value


def _timestamp(value: datetime.datetime) -> dict[str, int]:
    since = value - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise ValueError("in UTC it is not within the years 1 to 9999")
    return {"seconds": seconds, "nanos": since.microseconds * 1_000}


def _duration(value: datetime.timedelta) -> dict[str, int]:
    # google.protobuf.Duration: seconds and nanos have the same sign.
    seconds, rest = divmod(abs(value), _SECOND)
    sign = -1 if value.days < 0 else 1
    return {"seconds": sign * seconds, "nanos": sign * rest.microseconds * 1_000}


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text.encode()  # refuses lone surrogates, as protobuf would
    return text


_ENCODERS: dict[type[types.SqlType[Any]], Convert] = {
    types.Decimal: "{:f}".format,
    types.Date: datetime.date.isoformat,
    types.DateTime: datetime.datetime.isoformat,
    types.Timestamp: _timestamp,
    types.Time: _duration,
    types.Json: _json,
}


# --- and back --------------------------------------------------------------------------------------------------------

_DECIMAL = re.compile(r"-?[0-9]{1,65}(\.[0-9]{1,30})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")


def _decoder(column: AnyColumn[Any, Any], name: str) -> Decode | None:
    """The way back, None where the row takes the message's value as it is."""
    decode = _plain_decoder(column)
    if isinstance(column.type, types.Timestamp | types.Time) or (
        column.nullable and isinstance(column.type, types.Choices)
    ):
        return _of_message(decode, name, nullable=column.nullable)
    if column.nullable:
        return _of_optional(decode, name)
    return None if decode is None else lambda message, value: decode(value)


def _of_message(decode: Convert | None, name: str, *, nullable: bool) -> Decode:
    assert decode is not None

    def read(message: Any, value: Any) -> Any:
        if message.HasField(name):
            return decode(value)
        if nullable:
            return None
        raise LookupError("is missing")

    return read


def _of_optional(decode: Convert | None, name: str) -> Decode:
    def read(message: Any, value: Any) -> Any:
        # An absent field reads as its zero value, so any other is there.
        if not value and not message.HasField(name):
            return None
        return value if decode is None else decode(value)

    return read


def _plain_decoder(column: AnyColumn[Any, Any]) -> Convert | None:
    if isinstance(column.type, types.Choices):
        return (lambda value: frozenset(value.values)) if column.nullable else frozenset
    return next((decode for each, decode in _DECODERS.items() if isinstance(column.type, each)), None)


def _read_decimal(text: str) -> decimal.Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError("takes a decimal like -12.50")
    return decimal.Decimal(text)


def _read_date(text: str) -> datetime.date:
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("takes a date like 2020-01-31")


def _read_datetime(text: str) -> datetime.datetime:
    try:
        if _DATETIME.fullmatch(text):
            return datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("takes a date and time like 2020-01-31T10:00:00.000001")


def _read_timestamp(value: Any) -> datetime.datetime:
    seconds, nanos = value.seconds, value.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000):
        raise ValueError("takes a Timestamp within the years 1 to 9999")
    if nanos % 1_000:
        raise ValueError("takes whole microseconds")
    return _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanos // 1_000)


def _read_duration(value: Any) -> datetime.timedelta:
    seconds, nanos = value.seconds, value.nanos
    if abs(nanos) >= 1_000_000_000 or seconds * nanos < 0:
        raise ValueError("takes a Duration whose seconds and nanos agree")
    if nanos % 1_000:
        raise ValueError("takes whole microseconds")
    return datetime.timedelta(seconds=seconds, microseconds=nanos // 1_000)


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise ValueError("takes JSON") from None


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_DECODERS: dict[type[types.SqlType[Any]], Convert] = {
    types.Decimal: _read_decimal,
    types.Date: _read_date,
    types.DateTime: _read_datetime,
    types.Timestamp: _read_timestamp,
    types.Time: _read_duration,
    types.Json: _read_json,
}
