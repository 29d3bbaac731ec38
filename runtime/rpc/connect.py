"""Facts of the Connect protocol that its server and its client share: error JSON, and the codes of bare statuses.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from google.protobuf import any_pb2, json_format

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


class _Detail(msgspec.Struct):
    type: str
    value: str


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    details: list[_Detail] = []


_decoder = msgspec.json.Decoder(_Error)


def error_to_json(error: RpcError) -> bytes:
    """The Error object of the protocol; details also carry their JSON form under `debug`, for people."""
    found: dict[str, Any] = {"code": error.code.text, "message": error.message}
    if error.details:
        found["details"] = [_detail_to_json(detail) for detail in error.details]
    return msgspec.json.encode(found)


def error_from_json(body: bytes, status: int) -> RpcError:
    """The error in a response that isn't 200; from the HTTP status when the body holds none."""
    try:
        found = _decoder.decode(body)
        details = [Detail(detail.type, _unpadded(detail.value)) for detail in found.details]
    except (msgspec.DecodeError, RecursionError, binascii.Error):
        return RpcError(_CODE_OF_STATUS.get(status, Code.UNKNOWN), f"HTTP status {status}")
    return RpcError(Code.from_text(found.code), found.message, details)


def detail_to_any(detail: Detail) -> any_pb2.Any:
    return any_pb2.Any(type_url=f"type.googleapis.com/{detail.type_name}", value=detail.value)


def _detail_to_json(detail: Detail) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": detail.type_name,
        "value": base64.b64encode(detail.value).decode().rstrip("="),
    }
    try:
        debug = json_format.MessageToDict(detail_to_any(detail))
    except (TypeError, json_format.Error):
        return found
    debug.pop("@type", None)
    found["debug"] = debug
    return found


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
