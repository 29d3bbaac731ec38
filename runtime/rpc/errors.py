"""Coded errors: what a call fails with, on every transport.

How each transport spells them is the transport's affair.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, ClassVar

from google.protobuf.message import Message


class Code(enum.Enum):
    """The codes of the Connect protocol (https://connectrpc.com/docs/protocol#error-codes).

    Name on the wire, gRPC number, HTTP status.
    """

    CANCELED = ("canceled", 1, 499)
    UNKNOWN = ("unknown", 2, 500)
    INVALID_ARGUMENT = ("invalid_argument", 3, 400)
    DEADLINE_EXCEEDED = ("deadline_exceeded", 4, 504)
    NOT_FOUND = ("not_found", 5, 404)
    ALREADY_EXISTS = ("already_exists", 6, 409)
    PERMISSION_DENIED = ("permission_denied", 7, 403)
    RESOURCE_EXHAUSTED = ("resource_exhausted", 8, 429)
    FAILED_PRECONDITION = ("failed_precondition", 9, 400)
    ABORTED = ("aborted", 10, 409)
    OUT_OF_RANGE = ("out_of_range", 11, 400)
    UNIMPLEMENTED = ("unimplemented", 12, 501)
    INTERNAL = ("internal", 13, 500)
    UNAVAILABLE = ("unavailable", 14, 503)
    DATA_LOSS = ("data_loss", 15, 500)
    UNAUTHENTICATED = ("unauthenticated", 16, 401)

    def __init__(self, text: str, number: int, http_status: int) -> None:
        self.text = text
        self.number = number
        self.http_status = http_status

    @classmethod
    def from_text(cls, text: str) -> Code:
        """The code of this name; UNKNOWN for one that the protocol does not have."""
        return _BY_TEXT.get(text, cls.UNKNOWN)

    @classmethod
    def from_number(cls, number: int) -> Code:
        """The code of this gRPC number; UNKNOWN for one that the protocol does not have."""
        return _BY_NUMBER.get(number, cls.UNKNOWN)


_BY_TEXT = {code.text: code for code in Code}
_BY_NUMBER = {code.number: code for code in Code}


class Detail:
    """One error detail as it travels: the full name of its message type, and its bytes."""

    __slots__ = ("type_name", "value")

    def __init__(self, type_name: str, value: bytes) -> None:
        self.type_name = type_name
        self.value = value


class RpcError(Exception):
    """A call failed with a code.

    `message` is for people and reaches the caller: it holds no secret and nothing of the inside.
    """

    def __init__(self, code: Code, message: str, details: Iterable[Detail] = ()) -> None:
        super().__init__(f"{code.text}: {message}")
        self.code = code
        self.message = message
        self.details = tuple(details)


class NotCalled(RpcError):
    """No server was asked: nothing answers at the address, or what was to be sent can't be."""


class DeclaredError(RpcError):
    """Base of the errors that a schema declares with `option (sun.error)`.

    Generated subclasses fill in the class variables.

    `detail` is the declared message with its values, on the server as raised and on the client as received.
    """

    declared_code: ClassVar[Code]
    declared_message: ClassVar[str]
    type_name: ClassVar[str]
    detail_type: ClassVar[type[Message]]

    detail: Any

    def __init__(self, detail: Message, message: str | None = None) -> None:
        fields = {field.name: getattr(detail, field.name) for field in detail.DESCRIPTOR.fields}
        text = self.declared_message.format_map(fields) if message is None else message
        super().__init__(self.declared_code, text, [Detail(self.type_name, detail.SerializeToString())])
        self.detail = detail


def retry_after_ms(error: RpcError) -> int:
    """When to come back, as a declared error says in a field of this name (ms from now); 0 where none does."""
    if not isinstance(error, DeclaredError):
        return 0
    found: int = getattr(error.detail, "retry_after_ms", 0)
    return found


def typed(error: RpcError, declared: Iterable[type[DeclaredError]]) -> RpcError:
    """The declared exception that this error carries as its first known detail, or the error itself."""
    by_name = {kind.type_name: kind for kind in declared}
    for detail in error.details:
        kind = by_name.get(detail.type_name)
        if kind is not None:
            received = kind.__new__(kind)
            DeclaredError.__init__(received, kind.detail_type.FromString(detail.value), error.message)
            return received
    return error
