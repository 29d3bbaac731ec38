"""Errors and the ends of streams as the server writes them in the Connect protocol; clients read them elsewhere.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf import any_pb2, json_format

from runtime.rpc.envelopes import encode_binary
from runtime.rpc.errors import Detail, RpcError


def error_to_json(error: RpcError) -> bytes:
    """The Error object of the protocol; details also carry their JSON form under `debug`, for people."""
    return msgspec.json.encode(_error_to_dict(error))


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


def detail_to_any(detail: Detail) -> any_pb2.Any:
    return any_pb2.Any(type_url=f"type.googleapis.com/{detail.type_name}", value=detail.value)


def _error_to_dict(error: RpcError) -> dict[str, Any]:
    found: dict[str, Any] = {"code": error.code.text, "message": error.message}
    if error.details:
        found["details"] = [_detail_to_json(detail) for detail in error.details]
    return found


def _detail_to_json(detail: Detail) -> dict[str, Any]:
    found: dict[str, Any] = {"type": detail.type_name, "value": encode_binary(detail.value)}
    try:
        debug = json_format.MessageToDict(detail_to_any(detail))
    except (TypeError, json_format.Error):
        return found
    debug.pop("@type", None)
    found["debug"] = debug
    return found
