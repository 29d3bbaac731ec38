"""What becomes of the values of SQL columns in protobuf messages, and back. Loaded with the first message."""

from __future__ import annotations

import datetime
import decimal
import json
import re
from typing import Any, NoReturn

from runtime import message_values
from runtime.message_values import Conversion, Decode, Plan, enum_number, of_message, of_optional
from runtime.messages import Table
from runtime.sql import types
from runtime.sql.expressions import AnyColumn
from runtime.sql.types import Convert


def plan(table: Table[Any], message: Any, names: tuple[str, ...]) -> Plan:
    """How the rows of this table and messages of this class are converted; `names` are the fields of the columns."""
    fields = message.DESCRIPTOR.fields_by_name
    columns: list[Any] = list(table.columns)
    return message_values.plan(
        message, names, [_conversion(column, fields[name]) for name, column in zip(names, columns, strict=True)]
    )


def _conversion(column: AnyColumn[Any, Any], field: Any) -> Conversion:
    return Conversion(
        fits=column.type.fits(),
        nullable=column.nullable,
        take_none=column.nullable or isinstance(column.type, types.Json),
        encode=_encoder(column, field),
        decode=_decoder(column, field.name),
    )


# --- from a row's value to the message's ----------------------------------------------------------------------------

_SECOND = datetime.timedelta(seconds=1)


def _encoder(column: AnyColumn[Any, Any], field: Any) -> Convert | None:
    """The conversion of a value that its column can hold, None where the message takes it as it is."""
    kind = column.type
    if isinstance(kind, types.Choices):
        order = kind.values

        def listed(value: Any) -> Any:
            return [each for each in order if each in value]

        return (lambda value: {"values": listed(value)}) if column.nullable else listed
    if isinstance(kind, types.Int) and field.enum_type is not None and kind.bits - (not kind.signed) >= 32:
        return enum_number
    return next((encode for each, encode in _ENCODERS.items() if isinstance(kind, each)), None)


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
    types.Timestamp: message_values.timestamp,
    types.Time: _duration,
    types.Json: _json,
}


# --- and back --------------------------------------------------------------------------------------------------------

_DECIMAL = re.compile(r"-?[0-9]{1,65}(\.[0-9]{1,30})?")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")


def _decoder(column: AnyColumn[Any, Any], name: str) -> Decode | None:
    """The way back, None where the row takes the message's value as it is."""
    decode = _plain_decoder(column)
    is_message = isinstance(column.type, types.Timestamp | types.Time)
    if decode is not None and (is_message or (column.nullable and isinstance(column.type, types.Choices))):
        return of_message(decode, name, nullable=column.nullable)
    if column.nullable:
        return of_optional(decode, name)
    return None if decode is None else lambda message, value: decode(value)


def _plain_decoder(column: AnyColumn[Any, Any]) -> Convert | None:
    if isinstance(column.type, types.Choices):
        return (lambda value: frozenset(value.values)) if column.nullable else frozenset
    return next((decode for each, decode in _DECODERS.items() if isinstance(column.type, each)), None)


def _read_decimal(text: str) -> decimal.Decimal:
    if not _DECIMAL.fullmatch(text):
        raise ValueError("takes a decimal like -12.50")
    return decimal.Decimal(text)


def _read_datetime(text: str) -> datetime.datetime:
    try:
        if _DATETIME.fullmatch(text):
            return datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("takes a date and time like 2020-01-31T10:00:00.000001")


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
    types.Date: message_values.read_date,
    types.DateTime: _read_datetime,
    types.Timestamp: message_values.read_timestamp,
    types.Time: _read_duration,
    types.Json: _read_json,
}
