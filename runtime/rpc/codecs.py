"""Protobuf messages to and from bytes, binary and JSON, with every failure as a coded error that repeats no value."""

from __future__ import annotations

import json
import re
from typing import Protocol, TypeVar, cast

import msgspec
from google.protobuf import json_format
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
    """Canonical JSON (https://protobuf.dev/programming-guides/json/); unknown fields are ignored, as in Connect."""

    name = "json"

    def decode(self, kind: type[M], payload: bytes) -> M:
        message = kind()
        try:
            json_format.Parse(payload, message, ignore_unknown_fields=True, max_recursion_depth=_MAX_DEPTH)
        except (json_format.ParseError, ValueError, RecursionError) as error:
            raise RpcError(Code.INVALID_ARGUMENT, _why(error, kind.DESCRIPTOR.full_name)) from error
        return message

    def encode(self, message: Message) -> bytes:
        return msgspec.json.encode(json_format.MessageToDict(message))


def _why(error: Exception, type_name: str) -> str:
    if isinstance(error, RecursionError):
        return "the request is nested too deeply"
    cause = error.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return f"the request is no JSON: line {cause.lineno}, column {cause.colno}"
    path = _PATH.search(str(error))
    where = f": the value of {path[1]} does not fit" if path else ""
    return f"the request is no {type_name} in JSON{where}"


PROTO: Codec = cast(Codec, _Proto())
JSON: Codec = cast(Codec, _Json())
