"""Where a partition lies on the ring: its token, and ranges of them for work on whole tables."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

LEAST_TOKEN: Final = -(1 << 63)
"""Below every other token. The partition of a view whose key is empty has it, which no range of tokens holds."""
GREATEST_TOKEN: Final = (1 << 63) - 1

_MASK = (1 << 64) - 1
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class TokenRange:
    """The partitions whose token is above `low` and at most `high`."""

    low: int = LEAST_TOKEN
    high: int = GREATEST_TOKEN

    def __post_init__(self) -> None:
        if not LEAST_TOKEN <= self.low <= self.high <= GREATEST_TOKEN:
            raise ValueError(f"tokens from {self.low} to {self.high}: a range goes upwards, within 64 bits")


def token_ranges(count: int) -> list[TokenRange]:
    """The ring in so many ranges of one length, which together hold every partition once. Raises ValueError below 1."""
    if count < 1:
        raise ValueError(f"the ring can't be cut into {count} ranges")
    cuts = [LEAST_TOKEN + (GREATEST_TOKEN - LEAST_TOKEN) * part // count for part in range(count + 1)]
    return [TokenRange(low, high) for low, high in pairwise(cuts)]


def partition_key_bytes(parts: Sequence[bytes]) -> bytes:
    """A partition key of these encoded columns, as Cassandra stores it: one alone as it is, of more each with its
    length before it and a zero behind it.
    """
    if len(parts) == 1:
        return parts[0]
    return b"".join(_LENGTH.pack(len(part)) + part + b"\0" for part in parts)


def token(key: bytes) -> int:
    """The token of a partition key, as Cassandra's Murmur3Partitioner gives it."""
    if not key:  # which only views have
        return LEAST_TOKEN
    found = murmur3()(key)
    return GREATEST_TOKEN if found == LEAST_TOKEN else found


_found: list[Callable[[bytes], int]] = []


def murmur3() -> Callable[[bytes], int]:
    """The fastest function there is: the driver's in C, 30 times faster, where the driver is installed."""
    if not _found:
        try:
            from cassandra.cmurmur3 import murmur3  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
        except ImportError:
            murmur3 = murmur3_in_python
        _found.append(cast("Callable[[bytes], int]", murmur3))
    return _found[0]


def murmur3_in_python(key: bytes) -> int:
    """The upper half, signed, of MurmurHash3 x64 128 with a seed of zero, whose last bytes Cassandra takes as signed
    (https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp; Cassandra's utils/MurmurHash.java).
    """
    first = second = 0
    whole = len(key) // 16 * 16
    for low, high in _blocks(key[:whole]):
        first ^= _rotated(low * _C1 & _MASK, 31) * _C2 & _MASK
        first = ((_rotated(first, 27) + second) * 5 + 0x52DCE729) & _MASK
        second ^= _rotated(high * _C2 & _MASK, 33) * _C1 & _MASK
        second = ((_rotated(second, 31) + first) * 5 + 0x38495AB5) & _MASK
    tail = key[whole:]
    second ^= _rotated(_signed_tail(tail[8:]) * _C2 & _MASK, 33) * _C1 & _MASK
    first ^= _rotated(_signed_tail(tail[:8]) * _C1 & _MASK, 31) * _C2 & _MASK
    first ^= len(key)
    second ^= len(key)
    first = (first + second) & _MASK
    second = (second + first) & _MASK
    sum = (_mixed(first) + _mixed(second)) & _MASK
    return sum - (1 << 64) if sum >> 63 else sum


def _blocks(data: bytes) -> Iterator[tuple[int, int]]:
    return struct.iter_unpack("<QQ", data)


def _signed_tail(tail: bytes) -> int:
    value = 0
    for place, byte in enumerate(tail):
        value ^= (byte - 256 if byte > 127 else byte) << 8 * place
    return value & _MASK


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


def _mixed(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33
