"""How the Connect protocol frames the messages of a stream, and writes bytes as text, on both sides.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

import base64
import binascii
import struct

COMPRESSED = 0b01
END_STREAM = 0b10
"""Flags of an envelope: the message in it is compressed, is the EndStreamResponse."""

ENVELOPE = struct.Struct("!BI")
"""What stands before each message of a stream: flags, and the message's length in bytes."""


def envelope(flags: int, message: bytes) -> bytes:
    return ENVELOPE.pack(flags, len(message)) + message


def decode_binary(text: str) -> bytes:
    """Base64 with or without its padding. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def encode_binary(value: bytes) -> str:
    """Base64 without padding, as the protocol wants it."""
    return base64.b64encode(value).decode().rstrip("=")
