"""What the driver sends and receives, as far as it is not left as it is: rows stay bytes until their reader asks.

The driver's own decoding of a value closes the connection where it fails, as for a timestamp of the year 12000, and so
does an error of the kind that a wrong page state brings. Either would fail every other request under way.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from runtime.cql.cassandra.driver import UNSET_VALUE, ExecuteMessage, ProtocolException, ProtocolHandler, ResultMessage


class Rows(NamedTuple):
    """One page as it came: the names of its columns, the number of rows and their values, each behind its length, and
    the state that goes on.
    """

    names: tuple[str, ...]
    content: bytes
    state: bytes | None


class RefusedRequest(Exception):
    """The cluster could not make sense of a request, as of a page state that it never gave."""


class _Result(ResultMessage):
    """A RESULT message (https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec, 4.2.5)."""

    def recv_results_rows(self, f: Any, protocol_version: int, user_type_map: Any, *others: Any) -> None:
        self.recv_results_metadata(f, user_type_map)
        names = tuple(column[2] for column in self.column_metadata or ())
        self.column_names = names
        self.parsed_rows = Rows(names, f.read(), self.paging_state)


_HEAD = struct.Struct(">BBhBiH")
_PARAMS = struct.Struct(">HBH")
_LENGTH = struct.Struct(">i").pack
_LEVEL = struct.Struct(">H").pack
_LONG = struct.Struct(">q").pack
_VALUES, _SKIP_METADATA, _PAGE_SIZE, _STATE, _SERIAL, _TIMESTAMP = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NULL, _UNSET = _LENGTH(-1), _LENGTH(-2)


def _execute(msg: Any, stream: int, version: int) -> bytes:
    """An EXECUTE message (4.1.6), with one flag that the driver knows and never sets: a SELECT's answer need not say
    of each column what it is. The driver spends most of an answer's time on that.
    """
    flags, tail = _VALUES, b""
    if msg.skip_meta:
        flags |= _SKIP_METADATA
    if msg.fetch_size:
        flags |= _PAGE_SIZE
        tail += _LENGTH(msg.fetch_size)
    if msg.paging_state:
        flags |= _STATE
        tail += _LENGTH(len(msg.paging_state)) + msg.paging_state
    if msg.serial_consistency_level:
        flags |= _SERIAL
        tail += _LEVEL(msg.serial_consistency_level)
    if msg.timestamp is not None:
        flags |= _TIMESTAMP
        tail += _LONG(msg.timestamp)
    values = msg.query_params
    parts = [msg.query_id, _PARAMS.pack(msg.consistency_level, flags, len(values))]
    for value in values:
        if value is None:
            parts.append(_NULL)
        elif value is UNSET_VALUE:
            parts.append(_UNSET)
        else:
            parts.append(_LENGTH(len(value)))
            parts.append(value)
    parts.append(tail)
    body = b"".join(parts)
    return _HEAD.pack(version, 0, stream, msg.opcode, len(body) + 2, len(msg.query_id)) + body


class Handler(ProtocolHandler):
    """For `Session.client_protocol_handler`, the driver's door for decoding of one's own."""

    message_types_by_opcode = ProtocolHandler.message_types_by_opcode | {ResultMessage.opcode: _Result}

    @classmethod
    def encode_message(
        cls, msg: Any, stream_id: int, protocol_version: int, compressor: Any = None, **others: Any
    ) -> bytes:
        if type(msg) is not ExecuteMessage or compressor is not None or msg.custom_payload or msg.tracing:
            parent: Any = super()
            return parent.encode_message(msg, stream_id, protocol_version, compressor=compressor, **others)
        return _execute(msg, stream_id, protocol_version)

    @classmethod
    def decode_message(cls, *arguments: Any) -> Any:
        parent: Any = super()
        message = parent.decode_message(*arguments)
        if isinstance(message, ProtocolException):
            return RefusedRequest(message.message)  # of a class that does not make the driver close the connection
        return message
