"""Metadata of a call as handlers see it: the headers of its request, the headers and trailers of its answer.

Which transport carries them, and how, is not here. Rules of names and values: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runtime.rpc.envelopes import decode_binary, encode_binary
from runtime.rpc.errors import Code, RpcError

_NAME = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[ -~]*")

# What the transport itself says of an answer; a handler's word on it would break the framing or the rules of origins.
_RESERVED = frozenset(
    "accept-encoding accept-post allow connection content-encoding content-length content-type date host keep-alive "
    "proxy-connection te trailer transfer-encoding upgrade vary".split()
)
_RESERVED_PREFIXES = ("connect-", "access-control-", "trailer-", "sec-")


class Metadata:
    """Names are not case-sensitive. The values of a name that ends in `-bin` are bytes, in base64 on the wire."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = [(name.lower(), value) for name, value in items]

    def get(self, name: str) -> str | None:
        """The first value, as it is on the wire."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        """Every value, in the order of the wire."""
        wanted = name.lower()
        return [value for each, value in self._items if each == wanted]

    def get_bytes(self, name: str) -> bytes | None:
        """The first value of a `-bin` name. Raises RpcError (invalid_argument) when it is no base64."""
        return next(iter(self.get_all_bytes(name)), None)

    def get_all_bytes(self, name: str) -> list[bytes]:
        """Every value of a `-bin` name, also those that a proxy has joined with commas.

        Raises RpcError (invalid_argument) when one is no base64.
        """
        _must_be_binary(name)
        try:
            return [decode_binary(part.strip()) for value in self.get_all(name) for part in value.split(",")]
        except ValueError as error:
            raise RpcError(Code.INVALID_ARGUMENT, f"the value of {name.lower()} is no base64") from error

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names in lower case and values, as they are on the wire."""
        return iter(self._items)

    def __bool__(self) -> bool:
        return bool(self._items)


class ResponseMetadata(Metadata):
    """Metadata that a handler writes. It goes out with the answer, also with an error.

    `set` and `add` raise ValueError for a name that is reserved or no name, for text that is not printable ASCII, and
    for bytes where the name does not end in `-bin` or text where it does.
    """

    __slots__ = ()

    def set(self, name: str, value: str | bytes) -> None:
        """The only value of this name."""
        item = _item(name, value)
        self._items = [other for other in self._items if other[0] != item[0]]
        self._items.append(item)

    def add(self, name: str, value: str | bytes) -> None:
        """One more value of this name."""
        self._items.append(_item(name, value))


class CallMetadata:
    """The metadata of one call. A transport makes it of the request's headers and sends what the handler has set."""

    __slots__ = ("_headers", "_items", "_request", "_trailers")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        # Most handlers look at none of it, so nothing is made before it is asked for.
        self._items = items
        self._request: Metadata | None = None
        self._headers: ResponseMetadata | None = None
        self._trailers: ResponseMetadata | None = None

    @property
    def request(self) -> Metadata:
        if self._request is None:
            self._request = Metadata(self._items)
        return self._request

    @property
    def headers(self) -> ResponseMetadata:
        if self._headers is None:
            self._headers = ResponseMetadata()
        return self._headers

    @property
    def trailers(self) -> ResponseMetadata:
        if self._trailers is None:
            self._trailers = ResponseMetadata()
        return self._trailers

    @property
    def sent_headers(self) -> Iterable[tuple[str, str]]:
        """What the transport sends before the answer."""
        return self._headers or ()

    @property
    def sent_trailers(self) -> Iterable[tuple[str, str]]:
        """What the transport sends after the answer."""
        return self._trailers or ()


def _item(name: str, value: str | bytes) -> tuple[str, str]:
    name = name.lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of metadata: letters, digits, _ . and - only")
    if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
        raise ValueError(f"{name} is reserved for the protocol")
    if isinstance(value, bytes):
        _must_be_binary(name)
        return name, encode_binary(value)
    if name.endswith("-bin"):
        raise ValueError(f"the value of {name} must be bytes: its name ends in -bin")
    if _TEXT.fullmatch(value) is None:
        raise ValueError(f"the value of {name} is not printable ASCII: use bytes and a name that ends in -bin")
    return name, value


def _must_be_binary(name: str) -> None:
    if not name.lower().endswith("-bin"):
        raise ValueError(f"{name} holds no bytes: its name must end in -bin")
