"""A value as an error may show it: never what may be secret."""

from __future__ import annotations

import decimal


def described(value: object) -> str:
    """Numbers as they are, of texts and bytes, which may be secret, the size only."""
    kind = type(value).__name__
    if isinstance(value, (str, bytes, bytearray)):
        return f"{kind} of {'length' if isinstance(value, str) else 'size'} {len(value)}"
    if isinstance(value, (bool, int, float, decimal.Decimal)):
        # The text of a huge integer is costly, and refused by Python from 4,300 digits on.
        if isinstance(value, int) and value.bit_length() > 128:
            return f"{kind} of {value.bit_length()} bits"
        return f"{kind} {str(value)[:50]}"
    return "None" if value is None else kind
