"""Gzip of messages: what a peer accepts, and inflation that costs no more memory than the message may have."""

from __future__ import annotations

import gzip
import zlib

GZIP = "gzip"
SUPPORTED = "gzip, identity"
"""The encodings, as an error lists them."""

_LEVEL = 1


class TooLarge(Exception):
    """What comes out is larger than it may be."""


def inflate(data: bytes, limit: int) -> bytes:
    """The message in `data`, one whole gzip member (RFC 1952). Takes at most `limit` bytes and one more of memory.

    Raises TooLarge, and ValueError for what is no gzip, truncated, or followed by something else.
    """
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError("no gzip") from error
    if len(inflated) > limit:
        raise TooLarge
    if not inflater.eof or inflater.unused_data:
        raise ValueError("no single gzip member")
    return inflated


def deflate(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=_LEVEL, mtime=0)


def prefers_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding puts gzip before identity: by quality (RFC 9110, section 12.5.3), then by order."""
    best, best_quality = "identity", 0.0
    for entry in accepted.split(","):
        coding, _, parameters = entry.partition(";")
        name = coding.strip().lower()
        quality = _quality(parameters)
        if name in (GZIP, "identity", "*") and quality > best_quality:
            best, best_quality = name, quality
    return best in (GZIP, "*") and not _refuses_gzip(accepted)


def _refuses_gzip(accepted: str) -> bool:
    entries = (entry.partition(";") for entry in accepted.split(","))
    return any(coding.strip().lower() == GZIP and _quality(parameters) == 0 for coding, _, parameters in entries)


def _quality(parameters: str) -> float:
    name, _, value = parameters.replace(" ", "").partition("=")
    if not name:
        return 1.0
    try:
        return max(0.0, min(1.0, float(value))) if name.lower() == "q" else 1.0
    except ValueError:
        return 0.0
