"""What a request of the Connect protocol asks for, read from its headers, query and body; answering is not here.

Rules are from https://connectrpc.com/docs/protocol. Everything raises RpcError for what the protocol answers with a
code, and Refused for what it answers with a bare status.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from runtime.rpc.codecs import JSON, PROTO, Codec
from runtime.rpc.compression import GZIP, SUPPORTED, TooLarge, inflate
from runtime.rpc.envelopes import COMPRESSED, ENVELOPE
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.service import Method

MAX_QUERY_FIELDS = 100

UNARY: Mapping[str, Codec] = {"application/json": JSON, "application/proto": PROTO}
STREAMING: Mapping[str, Codec] = {"application/connect+json": JSON, "application/connect+proto": PROTO}

_TIMEOUT = re.compile(r"[0-9]{1,10}")
_BASE64_URL = re.compile(rb"[A-Za-z0-9_-]*={0,2}")


class Refused(Exception):
    """The request is no call that this server can answer: `status` with `headers`, and `error` as the body."""

    def __init__(self, status: int, error: RpcError, headers: dict[str, str] | None = None) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers or {}


class Incoming(NamedTuple):
    """A request as the dispatcher wants it. `compression` is what its client used, and so accepts."""

    codec: Codec
    payload: bytes
    compression: str


def content_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def allowed_verbs(method: Method[Any, Any]) -> str:
    """What stands in Allow: a method without side effects can also be fetched."""
    return "POST" if method.side_effects or method.server_streaming else "GET, POST"


def read_post(headers: Mapping[str, str], body: bytes, limit: int) -> Incoming:
    """A unary call by POST. `limit` is the most bytes that its message may have."""
    codec = UNARY.get(content_type(headers))
    if codec is None:
        raise _unsupported_type(UNARY)
    _check_version(headers.get("Connect-Protocol-Version"), "Connect-Protocol-Version", "1")
    compression = headers.get("Content-Encoding", "identity").strip().lower()
    return Incoming(codec, _message(body, compression, "Content-Encoding", limit), compression)


def read_get(query: str, limit: int) -> Incoming:
    """A unary call by GET: everything is in the query. Of a parameter that stands there twice, the first counts."""
    try:
        # Latin-1 keeps every octet as it is: the message need not be text.
        pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise RpcError(Code.INVALID_ARGUMENT, f"the query has more than {MAX_QUERY_FIELDS} parameters") from error
    fields = dict(reversed(pairs))
    codec = UNARY.get(f"application/{fields.get('encoding', '')}")
    if codec is None:
        raise _unsupported_type(UNARY)
    _check_version(fields.get("connect"), "the query's connect", "v1")
    if "message" not in fields:
        raise RpcError(Code.INVALID_ARGUMENT, "the query has no message")
    message = fields["message"].encode("latin-1")
    if fields.get("base64") == "1":
        message = _base64(message)
    compression = fields.get("compression", "identity").lower() or "identity"
    return Incoming(codec, _message(message, compression, "the query's compression", limit), compression)


def read_stream(headers: Mapping[str, str], body: bytes, limit: int) -> Incoming:
    """A call that is answered with a stream: exactly one message, in an envelope."""
    codec = STREAMING.get(content_type(headers))
    if codec is None:
        raise _unsupported_type(STREAMING)
    _check_version(headers.get("Connect-Protocol-Version"), "Connect-Protocol-Version", "1")
    compression = headers.get("Connect-Content-Encoding", "identity").strip().lower()
    if compression not in (GZIP, "identity"):
        raise _unknown_compression("Connect-Content-Encoding")
    if not body:
        raise RpcError(Code.UNIMPLEMENTED, "the request has no message: this method takes exactly one")
    if len(body) < ENVELOPE.size:
        raise RpcError(Code.INVALID_ARGUMENT, "the request ends within the prefix of a message")
    flags, length = ENVELOPE.unpack_from(body)
    if length > len(body) - ENVELOPE.size:
        raise RpcError(Code.INVALID_ARGUMENT, "the request ends within a message")
    if length < len(body) - ENVELOPE.size:
        raise RpcError(Code.UNIMPLEMENTED, "the request has more than one message: this method takes exactly one")
    if flags & ~COMPRESSED:
        raise RpcError(Code.INVALID_ARGUMENT, "the message has flags that no request has")
    if flags and compression == "identity":
        raise RpcError(Code.INTERNAL, "the message is compressed, and Connect-Content-Encoding does not say how")
    message = body[ENVELOPE.size :]
    return Incoming(codec, _message(message, compression if flags else "identity", "", limit), compression)


def timeout_ms(headers: Mapping[str, str]) -> int:
    """The time limit that the client sets, 0 when it sets none."""
    text = headers.get("Connect-Timeout-Ms")
    if text is None:
        return 0
    if _TIMEOUT.fullmatch(text) is None or int(text) == 0:
        raise RpcError(Code.INVALID_ARGUMENT, "Connect-Timeout-Ms must be a positive integer of at most 10 digits")
    return int(text)


def oversized(limit: int) -> RpcError:
    return RpcError(Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes")


def _message(data: bytes, compression: str, where: str, limit: int) -> bytes:
    """The message in these bytes; nothing at all is never compressed."""
    if compression not in (GZIP, "identity"):
        raise _unknown_compression(where)
    if compression == "identity" or not data:
        if len(data) > limit:
            raise oversized(limit)
        return data
    try:
        return inflate(data, limit)
    except TooLarge as error:
        raise oversized(limit) from error
    except ValueError as error:
        raise RpcError(Code.INVALID_ARGUMENT, f"the message is {error}") from error


def _base64(text: bytes) -> bytes:
    """Base64 in the alphabet of URLs (RFC 4648, section 5), with or without padding."""
    bare = text.rstrip(b"=")
    try:
        if _BASE64_URL.fullmatch(text) is None:
            raise ValueError("another alphabet")
        return base64.urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))
    except (binascii.Error, ValueError) as error:
        raise RpcError(Code.INVALID_ARGUMENT, "the query's message is no base64 in the alphabet of URLs") from error


def _check_version(given: str | None, where: str, expected: str) -> None:
    if given is not None and given != expected:
        raise RpcError(Code.INVALID_ARGUMENT, f"{where} must be {expected}")


def _unsupported_type(known: Mapping[str, Codec]) -> Refused:
    accepted = ", ".join(known)
    error = RpcError(Code.UNKNOWN, f"the content type must be one of {accepted}")
    return Refused(415, error, {"Accept-Post": accepted})


def _unknown_compression(where: str) -> RpcError:
    return RpcError(Code.UNIMPLEMENTED, f"{where} must be one of {SUPPORTED}")
