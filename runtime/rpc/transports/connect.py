"""Errors as a client reads them in the Connect protocol; what it writes is in http.py.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

import json
from typing import Any, cast

from runtime.rpc.envelopes import decode_binary
from runtime.rpc.errors import Code, Detail, RpcError

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


def error_from_json(body: bytes, status: int) -> RpcError:
    """The error in a response that isn't 200; from the HTTP status when the body holds none."""
    try:
        return _error(_object(json.loads(body)))
    except (ValueError, RecursionError):
        return RpcError(_CODE_OF_STATUS.get(status, Code.UNKNOWN), f"HTTP status {status}")


def end_stream_from_json(message: bytes) -> RpcError | None:
    """The error that a stream ended with. Raises ValueError for what is no EndStreamResponse."""
    try:
        end = _object(json.loads(message))
        _object(end.get("metadata", {}))
        return _error(_object(end["error"])) if "error" in end else None
    except (ValueError, RecursionError) as failure:
        raise ValueError("no EndStreamResponse") from failure


def _error(found: dict[str, Any]) -> RpcError:
    code, message, details = found.get("code"), found.get("message", ""), found.get("details", [])
    if not isinstance(code, str) or not isinstance(message, str) or not isinstance(details, list):
        raise ValueError("no error")
    return RpcError(Code.from_text(code), message, [_detail(_object(each)) for each in cast("list[Any]", details)])


def _detail(found: dict[str, Any]) -> Detail:
    name, value = found.get("type"), found.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        raise ValueError("no detail")
    return Detail(name, decode_binary(value))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return cast("dict[str, Any]", value)
