"""What values of every engine have in common as parts of messages. Loaded with the first message, not before."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

Convert = Callable[[Any], Any]

# What makes the row's value of the message and its field's. Raises LookupError for what is missing, ValueError and
# OverflowError for what does not fit.
Decode = Callable[[Any, Any], Any]


class Misfit(ValueError):
    """What a message holds and a column can't; `value` is it, which may be deep inside."""

    def __init__(self, text: str, value: object) -> None:
        super().__init__(text)
        self.value = value


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the values of one column are converted. None stands for values that are the same on both sides.

    `encode` is given no None. `take_none` says that None fits, `nullable` also that it is an absent field.
    """

    fits: Callable[[Any], bool]
    nullable: bool
    take_none: bool
    encode: Convert | None
    decode: Decode | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of one table are converted; all sequences are in the order of the row's fields."""

    message: Any  # the class
    names: tuple[str, ...]  # the message's fields
    read: Callable[[Any], tuple[Any, ...]]
    tests: tuple[Callable[[Any], bool], ...]
    take_none: tuple[bool, ...]
    encoders: tuple[tuple[int, Convert], ...]
    decoders: tuple[tuple[int, Decode], ...]


def plan(message: Any, names: tuple[str, ...], columns: Sequence[Conversion]) -> Plan:
    """How rows with such columns and messages of this class are converted; `names` are the fields of the columns."""
    get: Callable[[Any], Any] = attrgetter(*names)
    encoders = [_unless_none(column) for column in columns]
    return Plan(
        message,
        names,
        get if len(names) > 1 else lambda message: (get(message),),
        tuple(_fits(column) for column in columns),
        tuple(column.take_none for column in columns),
        tuple((place, encode) for place, encode in enumerate(encoders) if encode is not None),
        tuple((place, column.decode) for place, column in enumerate(columns) if column.decode is not None),
    )


def _fits(column: Conversion) -> Callable[[Any], bool]:
    fits = column.fits
    return (lambda value: value is None or fits(value)) if column.nullable else fits


def _unless_none(column: Conversion) -> Convert | None:
    encode = column.encode
    if encode is None or not column.nullable:
        return encode
    return lambda value: None if value is None else encode(value)


# --- presence --------------------------------------------------------------------------------------------------------


def of_message(decode: Convert, name: str, *, nullable: bool) -> Decode:
    """Reads a field that is a message, which tells when it is absent."""

    def read(message: Any, value: Any) -> Any:
        if message.HasField(name):
            return decode(value)
        if nullable:
            return None
        raise LookupError("is missing")

    return read


def of_optional(decode: Convert | None, name: str) -> Decode:
    """Reads a field with the label `optional`."""

    def read(message: Any, value: Any) -> Any:
        # An absent field reads as its zero value, so any other is there.
        if not value and not message.HasField(name):
            return None
        return value if decode is None else decode(value)

    return read


# --- values ----------------------------------------------------------------------------------------------------------

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def enum_number(value: int) -> int:
    """The number, if an enum can have it. Raises ValueError."""
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError("the numbers of an enum have 32 bits")
    return value


def timestamp(value: datetime.datetime) -> dict[str, int]:
    """An aware datetime as a google.protobuf.Timestamp. Raises ValueError for a moment beyond that."""
    since = value - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise ValueError("in UTC it is not within the years 1 to 9999")
    return {"seconds": seconds, "nanos": since.microseconds * 1_000}


def read_timestamp(value: Any) -> datetime.datetime:
    """The way back. Raises Misfit."""
    seconds, nanos = value.seconds, value.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000):
        raise Misfit("takes a Timestamp within the years 1 to 9999", value)
    if nanos % 1_000:
        raise Misfit("takes whole microseconds", value)
    return _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanos // 1_000)


def read_date(text: str) -> datetime.date:
    """The date of an ISO 8601 text. Raises Misfit."""
    try:
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise Misfit("takes a date like 2020-01-31", text)
