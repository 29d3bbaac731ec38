"""Rows as protobuf messages and back, for other languages. What a table's message looks like is generated.

Nothing here imports protobuf: a table's message is imported when its first row is converted.
"""

from __future__ import annotations

import datetime
import decimal
import importlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, call
from typing import Any, Generic, NoReturn, TypeVar, cast

import msgspec

from runtime.sql import types
from runtime.sql.errors import InvalidValue
from runtime.sql.expressions import AnyColumn
from runtime.sql.tables import Table
from runtime.sql.types import Convert, described

R = TypeVar("R")

_test = cast("Callable[[Callable[[Any], bool], Any], bool]", call)  # typeshed's `call` does not fit `map`


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the rows of one table are converted; all sequences are in the order of the row's fields."""

    message: Any  # the class
    names: tuple[str, ...]  # the message's fields
    read: Callable[[Any], tuple[Any, ...]]
    tests: tuple[Callable[[Any], bool], ...]
    encoders: tuple[tuple[int, Convert], ...]
    decoders: tuple[tuple[int, Callable[[Any, Any], Any]], ...]  # of the message and the field's value


class RowMessage(Generic[R]):
    """The message of one table's rows: `name` in the Python module `module`.

    `renamed` holds the fields of the row whose name in the message is another.
    """

    __slots__ = ("_module", "_name", "_plan", "_renamed", "_table")

    def __init__(self, table: Table[R], module: str, name: str, renamed: Mapping[str, str] | None = None) -> None:
        self._table = table
        self._module = module
        self._name = name
        self._renamed = renamed or {}
        self._plan: _Plan | None = None

    def of(self, row: R) -> Any:
        """The message of a row. Raises InvalidValue for a value that its column can't hold."""
        plan = self._plan or self._load()
        if type(row) is not self._table.row:
            raise TypeError(f"{self._table.name} takes rows of {self._table.row.__name__}, not {type(row).__name__}")
        values = self._checked(plan, msgspec.structs.astuple(cast("msgspec.Struct", row)))
        if plan.encoders:
            encoded = list(values)
            for place, encode in plan.encoders:
                try:
                    encoded[place] = encode(encoded[place])
                except (TypeError, ValueError, OverflowError, RecursionError) as error:
                    self._refuse(place, values[place], f"can't hold it: {error}")
            values = encoded
        return plan.message(**dict(zip(plan.names, values, strict=True)))

    def row(self, message: Any) -> R:
        """The row of a message. Raises InvalidValue for what is missing or does not fit its column."""
        plan = self._plan or self._load()
        if type(message) is not plan.message:
            raise TypeError(f"{self._table.name} takes messages of {plan.message.DESCRIPTOR.full_name}")
        values = plan.read(message)
        if plan.decoders:
            decoded = list(values)
            for place, decode in plan.decoders:
                try:
                    decoded[place] = decode(message, decoded[place])
                except (ValueError, OverflowError) as error:
                    self._refuse(place, None if isinstance(error, _Missing) else values[place], str(error))
            values = decoded
        return self._table.row(*self._checked(plan, values))

    def _checked(self, plan: _Plan, values: Sequence[Any]) -> Sequence[Any]:
        """The values, if their columns can hold them, each of the very type that its column has."""
        if all(map(_test, plan.tests, values)):
            return values
        return [self._settled(place, value) for place, value in enumerate(values)]

    def _settled(self, place: int, value: Any) -> Any:
        column = self._table.columns[place]
        if value is None and (column.nullable or isinstance(column.type, types.Json)):
            return None
        if fault := "takes no NULL" if value is None else column.type.fault(value):
            self._refuse(place, value, fault)
        return column.type.plain(value)

    def _refuse(self, place: int, value: Any, fault: str) -> NoReturn:
        name, given = self._table.columns[place].name, described(value)
        message = f"{self._table.name}.{name} {fault}{'' if value is None else f', not {given}'}"
        raise InvalidValue(message, table=self._table.name, column=name, value=given) from None

    def _load(self) -> _Plan:
        message = getattr(importlib.import_module(self._module), self._name)
        table = self._table
        names = tuple(self._renamed.get(field, field) for field in table.fields)
        fields = message.DESCRIPTOR.fields_by_name
        encoders = [_encoder(column, fields[name]) for name, column in zip(names, table.columns, strict=True)]
        decoders = [_decoder(column, name) for name, column in zip(names, table.columns, strict=True)]
        get: Callable[[Any], Any] = attrgetter(*names)
        self._plan = plan = _Plan(
            message,
            names,
            get if len(names) > 1 else lambda message: (get(message),),
            tuple(_fits(column) for column in table.columns),
            tuple((place, encode) for place, encode in enumerate(encoders) if encode is not None),
            tuple((place, decode) for place, decode in enumerate(decoders) if decode is not None),
        )
        return plan


def _fits(column: AnyColumn[Any, Any]) -> Callable[[Any], bool]:
    fits = column.type.fits()
    return (lambda value: value is None or fits(value)) if column.nullable else fits


# --- from a row's value to the message's ----------------------------------------------------------------------------

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
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


class _Missing(ValueError):
    """A message lacks what a column must have."""


_DECIMAL = re.compile(r"-?[0-9]{1,65}(\.[0-9]{1,30})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")


def _decoder(column: AnyColumn[Any, Any], name: str) -> Callable[[Any, Any], Any] | None:
    """What makes the row's value of the message and its field's, None where they are the same."""
    decode = _plain_decoder(column)
    if isinstance(column.type, types.Timestamp | types.Time) or (
        column.nullable and isinstance(column.type, types.Choices)
    ):
        return _of_message(decode, name, nullable=column.nullable)
    if column.nullable:
        return _of_optional(decode, name)
    return None if decode is None else lambda message, value: decode(value)


def _of_message(decode: Convert | None, name: str, *, nullable: bool) -> Callable[[Any, Any], Any]:
    assert decode is not None

    def read(message: Any, value: Any) -> Any:
        if message.HasField(name):
            return decode(value)
        if nullable:
            return None
        raise _Missing("is missing")

    return read


def _of_optional(decode: Convert | None, name: str) -> Callable[[Any, Any], Any]:
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
