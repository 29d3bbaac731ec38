"""Calls that are safe to repeat: the first attempt under a key runs, the others get its result, in whatever process.

The result is stored after the handler's own transaction. When the process dies in between, nobody knows whether the
call happened, and later attempts are told so. The header on HTTP:
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from typing import NamedTuple, cast

from google.protobuf.message import Message

from runtime.generated.proto.sun import wire_pb2
from runtime.generated.sql.sun_runtime import CallResult, CallResultDao
from runtime.ids import Clock, wall_clock_ms
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.wire import error_from_proto, error_to_proto
from runtime.sql.database import Database
from runtime.sql.errors import SqlError
from runtime.sql.waiting import uninterrupted

MIN_KEY_CHARS = 16
MAX_KEY_CHARS = 64

KEEP_MS = 24 * 3_600_000
"""How long a result is kept for later attempts."""

MAX_RESULT_BYTES = 1 << 20
"""A larger result is not kept."""

_GRACE_MS = 10_000  # beyond its time limit, within which a call has ended or its process is gone
_CUT_ROWS = 1_000
_RUNNING, _ENDED, _UNKNOWN = 0, 1, 2

_LOOK_FIRST_S, _LOOK_LAST_S = 0.01, 0.25
"""An attempt that waits for another looks after this long, then ever more seldom."""

UNDONE = frozenset({Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.CANCELED})
"""Codes with which a handler says that nothing has happened: the next attempt runs."""

UNKNOWN = frozenset({Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNAVAILABLE})
"""Codes after which nobody knows whether it has."""


class Attempt(NamedTuple):
    """One attempt of a call. `scope` is the user's id, 0 for anonymous callers."""

    scope: int
    key: str
    method: str
    digest: bytes


def attempt(scope: int, key: str, method: str, request: Message) -> Attempt:
    """Raises RpcError (invalid_argument) for a key that is none."""
    if not MIN_KEY_CHARS <= len(key) <= MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise RpcError(
            Code.INVALID_ARGUMENT, f"a call's key has {MIN_KEY_CHARS} to {MAX_KEY_CHARS} printable ASCII characters"
        )
    body = request.SerializeToString(deterministic=True)
    return Attempt(scope, key, method, hashlib.blake2b(body, digest_size=16, person=b"sun call").digest())


class Attempts:
    """How calls with a key ended. Raises SqlError wherever it asks the database."""

    def __init__(self, db: Database, clock: Clock = wall_clock_ms) -> None:
        self._db = db
        self._clock = clock

    async def begin(self, attempt: Attempt, remaining_ms: int) -> bytes | None:
        """None when this attempt is to run the call, which then takes at most `remaining_ms`; else the response.

        Waits for another attempt that runs it. Raises RpcError: what the first attempt ended with; aborted when nobody
        knows how it ended; invalid_argument when the key stands for another request; asyncio.TimeoutError never: the
        caller's own time limit ends the wait.
        """
        pause = _LOOK_FIRST_S
        while True:
            now = self._clock()
            claim = CallResult(
                user_id=attempt.scope,
                call_key=attempt.key,
                method=attempt.method,
                digest=attempt.digest,
                state=_RUNNING,
                expires_ms=now + remaining_ms + _GRACE_MS,
                created_ms=now,
            )
            if await self._claim(attempt, claim):
                return None
            row = await self._db.run(CallResultDao.get(attempt.scope, attempt.key).fresh())
            if row is None:  # that attempt was undone a moment ago
                continue
            if (row.method, row.digest) != (attempt.method, attempt.digest):
                raise RpcError(Code.INVALID_ARGUMENT, "the key was used for another call")
            if row.state == _ENDED:
                return _result(row)
            if row.state == _UNKNOWN or row.expires_ms < now:
                raise RpcError(Code.ABORTED, "nobody knows whether the first attempt of this call took effect")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LOOK_LAST_S)

    async def _claim(self, attempt: Attempt, claim: CallResult) -> bool:
        """Whether this attempt is the first. One that is given up meanwhile leaves no claim that nobody answers for."""
        claiming = asyncio.ensure_future(self._db.run(CallResultDao.insert_if_absent(claim)))
        try:
            return bool(await asyncio.shield(claiming))
        except asyncio.CancelledError:
            await uninterrupted(self._withdraw(attempt, claiming))
            raise

    async def _withdraw(self, attempt: Attempt, claiming: asyncio.Future[int]) -> None:
        with contextlib.suppress(SqlError):
            if await claiming:
                await self.fail(attempt, RpcError(Code.CANCELED, "given up before it began"))

    async def succeed(self, attempt: Attempt, response: bytes) -> None:
        """This attempt ended with this response."""
        if len(response) <= MAX_RESULT_BYTES:
            await self._end(attempt, _ENDED, 0, response)
        else:
            await self._end(attempt, _UNKNOWN, 0, None)

    async def fail(self, attempt: Attempt, error: RpcError | None) -> None:
        """This attempt ended with this error; None for one that was stopped, nobody knows where."""
        if error is not None and error.code in UNDONE:
            await self._db.run(CallResultDao.delete(user_id=attempt.scope, call_key=attempt.key))
        elif error is None or error.code in UNKNOWN:
            await self._end(attempt, _UNKNOWN, 0, None)
        else:
            await self._end(attempt, _ENDED, error.code.number, error_to_proto(error).SerializeToString())

    async def _end(self, attempt: Attempt, state: int, code: int, result: bytes | None) -> None:
        mine = (CallResultDao.user_id == attempt.scope, CallResultDao.call_key == attempt.key)
        await self._db.run(CallResultDao.update(*mine).set(state=state, code=code, result=result))

    async def cut(self) -> int:
        """Delete results that were kept long enough; how many they were."""
        total = 0
        while True:
            old = CallResultDao.where(CallResultDao.created_ms < self._clock() - KEEP_MS).limit(_CUT_ROWS)
            keys = await self._db.run(old.select(CallResultDao.user_id, CallResultDao.call_key))
            for user_id, call_key in keys:
                total += await self._db.run(CallResultDao.delete(user_id=user_id, call_key=call_key))
            if len(keys) < _CUT_ROWS:
                return total


def _result(row: CallResult) -> bytes:
    if row.code:
        raise error_from_proto(wire_pb2.Error.FromString(cast(bytes, row.result)))
    return row.result or b""
