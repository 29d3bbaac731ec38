"""What of a message may be written down: everything but the fields that the schema marks with `debug_redact`.

The mark is protobuf's own: https://protobuf.dev/reference/protobuf/google.protobuf/#field-options
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from runtime.logs import REDACTED

_CHARS = 200
"""Characters of a text that are shown."""

_ITEMS = 20
"""Items of a list or a map that are shown."""

_SHORTEST = 4
"""Shorter secrets are not looked for in other texts: every text has them somewhere."""


def shown(message: Message) -> dict[str, Any]:
    """The fields that are set, by name, for a log. Marked ones are replaced, long ones cut, bytes only counted."""
    return {field.name: _shown(field, value) for field, value in message.ListFields()}


def secrets_in(message: Message) -> Iterator[str]:
    """The values of every marked field that are texts, or numbers in decimal."""
    for field, value in message.ListFields():
        if _redacted(field):
            yield from _leaves(value)
        else:
            for item in _items(field, value):
                if isinstance(item, Message):
                    yield from secrets_in(item)


def without(text: str, secrets: Iterator[str]) -> str:
    """The text with these values replaced."""
    # The longest first: one may be part of another.
    for secret in sorted({each for each in secrets if len(each) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, REDACTED).replace(repr(secret)[1:-1], REDACTED)
    return text


@lru_cache(maxsize=4096)
def _redacted(field: FieldDescriptor) -> bool:
    return field.GetOptions().debug_redact


def _shown(field: FieldDescriptor, value: Any) -> Any:
    if _redacted(field):
        return REDACTED
    if not field.is_repeated:
        return _one(value)
    if _is_map(field):
        entries = cast("Mapping[Any, Any]", value)
        of_values = cast(Any, field.message_type).fields_by_name["value"]
        return {str(key)[:_CHARS]: _shown(of_values, entries[key]) for key in list(entries)[:_ITEMS]}
    return [_one(item) for item in value[:_ITEMS]]


def _one(value: Any) -> Any:
    if isinstance(value, Message):
        return shown(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str) and len(value) > _CHARS:
        return value[:_CHARS] + "…"
    return value


def _items(field: FieldDescriptor, value: Any) -> list[Any]:
    if not field.is_repeated:
        return [value]
    return [value[key] for key in value] if _is_map(field) else list(value)


def _leaves(value: Any) -> Iterator[str]:
    """Every text and number in the value of a marked field."""
    if isinstance(value, Message):
        for field, inner in value.ListFields():
            for item in _items(field, inner):
                yield from _leaves(item)
    elif isinstance(value, bytes):
        yield from (value.decode("utf-8", "replace"), value.hex())
    elif isinstance(value, (str, int, float)):
        yield str(value)
    else:
        for item in value.values() if hasattr(value, "values") else value:
            yield from _leaves(item)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
