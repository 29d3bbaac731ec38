"""Facts of the Connect protocol that its server and its client share: error JSON, envelopes, codes of bare statuses.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf import any_pb2, json_format

from runtime.rpc.errors import Code, Detail, RpcError
from runtime.rpc.metadata import decode_binary, encode_binary

COMPRESSED = 0b01
END_STREAM = 0b10
"""Flags of an envelope: the message in it is compressed, is the EndStreamResponse."""

ENVELOPE = struct.Struct("!BI")
"""What stands before each message of a stream: flags, and the message's length in bytes."""

_CODE_OF_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}


class _Detail(msgspec.Struct):
    type: str
    value: str


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    details: list[_Detail] = []


class _EndStream(msgspec.Struct):
    error: _Error | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, list[str]] = {}


_error_decoder = msgspec.json.Decoder(_Error)
_end_decoder = msgspec.json.Decoder(_EndStream)


def error_to_json(error: RpcError) -> bytes:
    """The Error object of the protocol; details also carry their JSON form under `debug`, for people."""
    return msgspec.json.encode(_error_to_dict(error))


def error_from_json(body: bytes, status: int) -> RpcError:
    """The error in a response that isn't 200; from the HTTP status when the body holds none."""
    try:
        return _error(_error_decoder.decode(body))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return RpcError(_CODE_OF_STATUS.get(status, Code.UNKNOWN), f"HTTP status {status}")


def envelope(flags: int, message: bytes) -> bytes:
    return ENVELOPE.pack(flags, len(message)) + message


def end_stream_to_json(error: RpcError | None, trailers: Iterable[tuple[str, str]]) -> bytes:
    """The EndStreamResponse: how the stream ended, and its trailing metadata."""
    found: dict[str, Any] = {}
    if error is not None:
        found["error"] = _error_to_dict(error)
    metadata: dict[str, list[str]] = {}
    for name, value in trailers:
        metadata.setdefault(name, []).append(value)
    if metadata:
        found["metadata"] = metadata
    return msgspec.json.encode(found)


def end_stream_from_json(message: bytes) -> RpcError | None:
    """The error that a stream ended with. Raises ValueError for what is no EndStreamResponse."""
    try:
        error = _end_decoder.decode(message).error
    except (msgspec.DecodeError, RecursionError) as failure:
        raise ValueError("no EndStreamResponse") from failure
    return None if error is msgspec.UNSET else _error(error)


def detail_to_any(detail: Detail) -> any_pb2.Any:
    return any_pb2.Any(type_url=f"type.googleapis.com/{detail.type_name}", value=detail.value)


def _error_to_dict(error: RpcError) -> dict[str, Any]:
    found: dict[str, Any] = {"code": error.code.text, "message": error.message}
    if error.details:
        found["details"] = [_detail_to_json(detail) for detail in error.details]
    return found


def _error(found: _Error) -> RpcError:
    details = [Detail(detail.type, decode_binary(detail.value)) for detail in found.details]
    return RpcError(Code.from_text(found.code), found.message, details)


def _detail_to_json(detail: Detail) -> dict[str, Any]:
    found: dict[str, Any] = {"type": detail.type_name, "value": encode_binary(detail.value)}
    try:
        debug = json_format.MessageToDict(detail_to_any(detail))
    except (TypeError, json_format.Error):
        return found
    debug.pop("@type", None)
    found["debug"] = debug
    return found
