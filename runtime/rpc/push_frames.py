"""A push as the bytes that go to sockets, made once for all of them. What is pushed to whom is not here."""

from __future__ import annotations

import struct

import msgspec
from google.protobuf import symbol_database
from google.protobuf.message import Message

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.codecs import JSON
from runtime.rpc.wire import Wire

_TEXT = 0x81
_BINARY = 0x82
"""First byte of a whole message (RFC 6455, section 5.2): FIN and the opcode."""

_PUSH = wire_pb2.ServerFrame.PUSH_FIELD_NUMBER << 3 | 2
_COUNTER = wire_pb2.Push.COUNTER_FIELD_NUMBER << 3
"""Tags of the fields (https://protobuf.dev/programming-guides/encoding/)."""


def message_frame(binary: bool, payload: bytes) -> bytes:
    """A whole unmasked message as a server sends it (RFC 6455, section 5.2)."""
    size = len(payload)
    first_byte = _BINARY if binary else _TEXT
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first_byte, 126, size) + payload
    return struct.pack("!BBQ", first_byte, 127, size) + payload


class PushMessage:
    """One message on its way to any number of sockets. `type` is its full name, `payload` its bytes as protobuf."""

    __slots__ = ("_frames", "_json", "_proto", "payload", "type")

    def __init__(self, message_type: str, payload: bytes) -> None:
        self.type = message_type
        self.payload = payload
        self._proto = b""
        self._json = b""
        self._frames: dict[tuple[bool, int], bytes] = {}

    @classmethod
    def of(cls, message: Message) -> PushMessage:
        return cls(message.DESCRIPTOR.full_name, message.SerializeToString())

    def frame(self, wire: Wire, counter: int) -> bytes:
        """The WebSocket message with this counter; sockets that share both share the bytes."""
        key = (wire.binary, counter)
        frame = self._frames.get(key)
        if frame is None:
            # A push to many users has many counters: the last few serve the sockets of one user.
            if len(self._frames) >= 8:
                self._frames.clear()
            frame = self._frames[key] = message_frame(wire.binary, self.body(wire, counter))
        return frame

    def body(self, wire: Wire, counter: int) -> bytes:
        """The serialized `sun.ServerFrame`."""
        return self._binary(counter) if wire.binary else self._text(counter)

    def _binary(self, counter: int) -> bytes:
        if not self._proto:
            self._proto = wire_pb2.Push(type=self.type, payload=self.payload).SerializeToString()
        number = bytes((_COUNTER,)) + _varint(counter) if counter else b""
        return bytes((_PUSH,)) + _varint(len(number) + len(self._proto)) + number + self._proto

    def _text(self, counter: int) -> bytes:
        if not self._json:
            # Every type that is pushed by this process is linked in; one of another version may not be.
            try:
                kind = symbol_database.Default().GetSymbol(self.type)
            except KeyError:
                body = b"null"
            else:
                body = JSON.encode(kind.FromString(self.payload))
            self._json = b'"type":%b,"payload":%b}}' % (msgspec.json.encode(self.type), body)
        number = b'"counter":"%d",' % counter if counter else b""
        return b'{"push":{' + number + self._json


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
