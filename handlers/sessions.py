"""Sessions: begun at a sign-in, known by the hash of their token, moved on by use, ended by their owner or by time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from generated.proto.sun.v1.auth_pb2 import DeviceInfo
from generated.sql.sun import Session, SessionDao, User, UserDao
from handlers.accounts import is_active, is_admin
from handlers.limits import DAY_MS, MINUTE_MS
from handlers.tokens import digest, new_token
from runtime.app import Sessions
from runtime.ids import Clock, IdGenerator
from runtime.rpc.context import Identity
from runtime.sql.database import Database, Transaction
from runtime.sql.errors import SqlError
from runtime.together import Together

LIFE_MS = 90 * DAY_MS
"""A session ends this long after its last use."""

TOUCH_MS = MINUTE_MS
"""A use is written down when the last one written is older than this."""

_TOUCH_GATHER_S = 0.5
"""Uses of sessions are written down together: after a reconnect storm every session was used."""

MOST = 20
"""Sessions of one user; the oldest goes when there would be more."""

_log = structlog.get_logger()


class Started(NamedTuple):
    """A new session, and its token, which is nowhere else."""

    token: str
    session: Session


class _Account(NamedTuple):
    session: Session
    user: User


class SessionKeeper:
    """Begins and ends sessions in its callers' transactions; after the commit, connections of ended ones close."""

    def __init__(self, ids: IdGenerator, connections: Sessions, clock: Clock) -> None:
        self._ids = ids
        self._connections = connections
        self._clock = clock

    async def start(self, tx: Transaction, user_id: int, device_info: DeviceInfo, address: str) -> Started:
        """A session of this user on this device, in place of a former one there. The caller holds the user's row."""
        now_ms = self._clock()
        former = await tx.run(SessionDao.by_user(user_id, limit=MOST))
        ended = [
            session.session_id
            for place, session in enumerate(former, 2)
            if place > MOST or session.device == device_info.device or session.expires_ms <= now_ms
        ]
        await self.end(tx, ended)
        token = new_token()
        session = Session(
            session_id=self._ids.next(),
            user_id=user_id,
            token_hash=digest(token),
            device=device_info.device,
            device_name=device_info.device_name,
            app_version=device_info.app_version,
            last_ip=address[:45],
            active_ms=now_ms,
            expires_ms=now_ms + LIFE_MS,
            created_ms=now_ms,
        )
        await tx.run(SessionDao.insert(session))
        return Started(token, session)

    async def end(self, tx: Transaction, session_ids: Sequence[int]) -> None:
        """End these sessions."""
        if session_ids:
            await tx.run(SessionDao.delete(SessionDao.session_id.in_(session_ids)))
            tx.after_commit(lambda: self._close(session_ids))

    def _close(self, session_ids: Sequence[int]) -> None:
        for session_id in session_ids:
            self._connections.close_session(session_id)


class SessionAuthenticator:
    """Who a token belongs to: two reads by key, shared by those who ask at once, and now and then a write.

    No call waits for the write. It does not learn the caller's address, so `last_ip` stays that of the sign-in.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._accounts = Together(self._load)
        self._used: set[int] = set()
        self._touching: set[asyncio.Task[None]] = set()

    async def authenticate(self, token: str) -> Identity | None:
        """None for a token that is unknown, expired or revoked, or of a closed account. Raises SqlError."""
        found = await self._accounts.get(digest(token))
        now_ms = self._clock()
        if found is None or found.session.expires_ms <= now_ms or not is_active(found.user):
            return None
        session, user = found
        if now_ms - session.active_ms >= TOUCH_MS:
            if not self._used:
                task = asyncio.create_task(self._touch(), name="touch sessions")
                self._touching.add(task)
                task.add_done_callback(self._touching.discard)
            self._used.add(session.session_id)
        return Identity(user.user_id, session.session_id, is_admin(user))

    async def _load(self, hashes: Sequence[bytes]) -> dict[bytes, _Account]:
        # Not from a cache: what another process has ended is worth nothing at the next connection or HTTP call.
        if len(hashes) == 1:
            session = await self._db.run(SessionDao.by_token_hash(hashes[0]))
            user = await self._db.run(UserDao.get(session.user_id)) if session is not None else None
            return {} if session is None or user is None else {session.token_hash: _Account(session, user)}
        sessions = await self._db.run(SessionDao.where(SessionDao.token_hash.in_(hashes)))
        users = await self._db.run(UserDao.get_many({session.user_id for session in sessions}))
        return {
            session.token_hash: _Account(session, users[session.user_id])
            for session in sessions
            if session.user_id in users
        }

    async def _touch(self) -> None:
        await asyncio.sleep(_TOUCH_GATHER_S)
        used, self._used = self._used, set()
        now_ms = self._clock()
        # Only forwards: of several processes that saw the session, the last one may be late.
        older = (SessionDao.session_id.in_(used), SessionDao.active_ms < now_ms)
        try:
            await self._db.run(SessionDao.update(*older).set(active_ms=now_ms, expires_ms=now_ms + LIFE_MS))
        except SqlError as error:
            _log.warning("the use of sessions was not written down", sessions=len(used), error=str(error))
