"""Protobuf messages to and from bytes, binary and JSON, with every failure as a coded error that repeats no value."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol, TypeVar, cast

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from runtime.rpc.errors import Code, RpcError

M = TypeVar("M", bound=Message)

_MAX_DEPTH = 100
"""Nesting of a JSON message, as upb's limit for the binary form."""

_PATH = re.compile(r" at \"?([A-Za-z0-9_.\[\]]{1,200}?)\"?\.?$")


class Codec(Protocol):
    """`name` is what follows `application/` in the content type."""

    @property
    def name(self) -> str: ...

    def decode(self, kind: type[M], payload: bytes) -> M:
        """Raises RpcError (invalid_argument) for bytes that are no such message."""
        ...

    def encode(self, message: Message) -> bytes: ...


class _Proto:
    name = "proto"

    def decode(self, kind: type[M], payload: bytes) -> M:
        try:
            return kind.FromString(payload)
        except DecodeError as error:
            raise RpcError(Code.INVALID_ARGUMENT, f"the request is no {kind.DESCRIPTOR.full_name}") from error

    def encode(self, message: Message) -> bytes:
        return message.SerializeToString()


class _Json:
    """Canonical JSON (https://protobuf.dev/programming-guides/json/); unknown fields are ignored, as in Connect.

    What stands where a message belongs must be an object, and an enum's name must be one of its names: the library that
    ignores unknown fields would take anything else there for nothing at all.
    """

    name = "json"

    def decode(self, kind: type[M], payload: bytes) -> M:
        message = kind()
        try:
            value = json.loads(payload, object_pairs_hook=_object)
            misfit = _misfit(cast("Descriptor", kind.DESCRIPTOR), value, "")
            if misfit is None:
                json_format.ParseDict(value, message, ignore_unknown_fields=True, max_recursion_depth=_MAX_DEPTH)
        except (json_format.ParseError, TypeError, ValueError, RecursionError) as error:
            raise RpcError(Code.INVALID_ARGUMENT, _why(error, kind.DESCRIPTOR.full_name)) from error
        if misfit is not None:
            where = f": the value of {misfit} does not fit" if misfit else ": it must be an object"
            raise RpcError(Code.INVALID_ARGUMENT, f"the request is no {kind.DESCRIPTOR.full_name} in JSON{where}")
        return message

    def encode(self, message: Message) -> bytes:
        return msgspec.json.encode(json_format.MessageToDict(message))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return made


def _misfit(kind: Descriptor, value: Any, path: str) -> str | None:
    """The path of the first value that is no object where a message belongs, or no name of its enum; "" for all."""
    if kind.full_name.startswith("google.protobuf."):
        return None  # these have forms of their own, which the library checks
    if not isinstance(value, dict):
        return path
    given = cast("dict[str, Any]", value)
    for field in kind.fields:
        item = given.get(field.json_name, given.get(field.name))
        if item is None or (field.message_type is None and field.enum_type is None):
            continue
        where = f"{path}.{field.json_name}" if path else field.json_name
        found = _misfits(field, item, where)
        if found is not None:
            return found
    return None


def _misfits(field: FieldDescriptor, item: Any, where: str) -> str | None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of_values = field.message_type.fields_by_name["value"]
        values = list(cast("dict[str, Any]", item).values()) if isinstance(item, dict) else []
        return next((bad for each in values if (bad := _misfits(of_values, each, where)) is not None), None)
    many = cast("list[Any]", item) if field.is_repeated and isinstance(item, list) else [item]
    for each in many:
        if field.message_type is not None:
            bad = _misfit(field.message_type, each, where)
            if bad is not None:
                return bad
        elif field.enum_type is not None and isinstance(each, str) and each not in field.enum_type.values_by_name:
            return where
    return None


def _why(error: Exception, type_name: str) -> str:
    if isinstance(error, RecursionError):
        return "the request is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"the request is no JSON: line {error.lineno}, column {error.colno}"
    path = _PATH.search(str(error))
    where = f": the value of {path[1]} does not fit" if path else ""
    return f"the request is no {type_name} in JSON{where}"


PROTO: Codec = cast(Codec, _Proto())
JSON: Codec = cast(Codec, _Json())
