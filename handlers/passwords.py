"""Passwords as argon2id (RFC 9106), on threads: a hash takes some 50 ms and 64 MiB, too much for the event loop."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runtime.rpc.errors import Code, RpcError

T = TypeVar("T")

THREADS = 2
WAITING = 64


class Passwords:
    """Hashes and verifies. At most `threads` at once; beyond `waiting` more, callers are told to come back."""

    def __init__(self, hasher: PasswordHasher | None = None, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._places = threading.BoundedSemaphore(threads + waiting)
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """The encoded hash to store. Raises RpcError (unavailable) when too many wait."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether this is the password. None stands for a user who does not exist, and takes as long as one who does.

        Raises RpcError (unavailable) when too many wait.
        """
        matches = await self._run(lambda: self._matches(password_hash or self._nobody, _normal(password)))
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise RpcError(Code.UNAVAILABLE, "the server is busy; try again")
        future = self._pool.submit(work)
        # Not when the caller gives up: the thread goes on.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)


def _normal(password: str) -> str:
    """The same text from every keyboard (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)
