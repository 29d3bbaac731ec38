"""Secrets that the server hands to a client and knows again by their hash: session tokens, nonces, tickets."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits as 43 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """The 32 bytes that are stored. One round of SHA-256 does: no speed of tries is enough for 256 random bits."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
