"""Page states: where a query's next page begins, as bytes that only the same query with the same parameters takes.

A state holds no secret but the key of the last row, and no right: whatever it says, the query's own ranges bound what
is read.
"""

from __future__ import annotations

import hashlib

import msgspec

from runtime.cql.errors import InvalidState

_DIGEST = 12


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Behind the row of this key; how many rows the limits leave, None without a limit."""

    key: bytes
    left: int | None = None
    left_of_partition: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Place).decode


def written(place: Place, query: bytes) -> bytes:
    """The state; `query` are bytes that say which query this is."""
    body = _encode(place)
    return _digest(body, query) + body


def read(state: bytes, query: bytes) -> Place:
    """Raises InvalidState."""
    body = state[_DIGEST:]
    if state[:_DIGEST] != _digest(body, query):
        raise InvalidState("not a page state of this query with these parameters")
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidState("not a page state") from error


def _digest(body: bytes, query: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, key=hashlib.blake2b(query, digest_size=32).digest()).digest()
