"""UserService: profiles, and what a user may change of their own account."""

from __future__ import annotations

from generated.proto.sun.v1.user_pb2 import (
    ChangePasswordRequest,
    ChangePasswordResponse,
    ChangePrivacyRequest,
    ChangePrivacyResponse,
    GetOwnProfileRequest,
    GetOwnProfileResponse,
    GetProfileRequest,
    GetProfileResponse,
    UpdateProfileRequest,
    UpdateProfileResponse,
    UpdateUserNameRequest,
    UpdateUserNameResponse,
)
from generated.proto.sun.v1.views_pb2 import OwnProfile
from generated.rpc.sun.v1.errors import UserNameTaken, UserNotFound, WrongPassword
from generated.rpc.sun.v1.user import UserService
from generated.sql.sun import SessionDao, User, UserDao
from generated.sql.sun.user import UserUpdate
from handlers import names, user_names
from handlers.passwords import Passwords
from handlers.privacy import look
from handlers.sessions import SessionKeeper
from handlers.views import own_profile, profile_view
from runtime.ids import Clock
from runtime.rpc.context import Context
from runtime.rpc.errors import Code, RpcError
from runtime.sql.database import Database, Transaction
from runtime.sql.errors import UniqueViolation


class UserHandler(UserService):
    def __init__(self, db: Database, passwords: Passwords, sessions: SessionKeeper, clock: Clock) -> None:
        self._db = db
        self._passwords = passwords
        self._sessions = sessions
        self._clock = clock

    async def get_profile(self, request: GetProfileRequest, ctx: Context) -> GetProfileResponse:
        user = await self._named(request)
        if user is None:
            raise UserNotFound
        sight = await look(self._db, ctx.identity, [user.user_id])
        if not sight.knows(user):
            raise UserNotFound
        return GetProfileResponse(profile=profile_view(user, sight.sees_profile(user)))

    async def _named(self, request: GetProfileRequest) -> User | None:
        match request.WhichOneof("who"):
            case "user_id":
                return await self._db.run(UserDao.get(request.user_id))
            case "user_name":
                key = user_names.key_of(request.user_name)
                return None if key is None else await self._db.run(UserDao.by_user_name(key))
            case None:
                return None

    async def get_own_profile(self, request: GetOwnProfileRequest, ctx: Context) -> GetOwnProfileResponse:
        return GetOwnProfileResponse(profile=own_profile(await self._caller(ctx)))

    async def update_profile(self, request: UpdateProfileRequest, ctx: Context) -> UpdateProfileResponse:
        change = UserDao.update(UserDao.user_id == ctx.user_id).set(version_ms=self._clock())
        if request.HasField("first_name"):
            name = names.required("first_name", request.first_name)
            change = change.set(first_name=name, first_name_lower=names.searchable(name))
        if request.HasField("last_name"):
            name = names.tidy(request.last_name)
            change = change.set(last_name=name, last_name_lower=names.searchable(name))
        if request.HasField("about"):
            change = change.set(about=request.about)
        return UpdateProfileResponse(profile=await self._changed(change, ctx))

    async def update_user_name(self, request: UpdateUserNameRequest, ctx: Context) -> UpdateUserNameResponse:
        name = request.user_name
        user_names.check(name)
        change = UserDao.update(UserDao.user_id == ctx.user_id).set(
            user_name=name, user_name_lower=name.lower(), version_ms=self._clock()
        )
        try:
            return UpdateUserNameResponse(profile=await self._changed(change, ctx))
        except UniqueViolation as violation:
            raise UserNameTaken(user_name=name) from violation

    async def change_privacy(self, request: ChangePrivacyRequest, ctx: Context) -> ChangePrivacyResponse:
        change = UserDao.update(UserDao.user_id == ctx.user_id).set(version_ms=self._clock())
        if request.profile:
            change = change.set(profile_privacy=request.profile)
        if request.online:
            change = change.set(online_privacy=request.online)
        if request.call:
            change = change.set(call_privacy=request.call)
        if request.group:
            change = change.set(group_privacy=request.group)
        if request.seen:
            change = change.set(seen_privacy=request.seen)
        return ChangePrivacyResponse(profile=await self._changed(change, ctx))

    async def change_password(self, request: ChangePasswordRequest, ctx: Context) -> ChangePasswordResponse:
        user = await self._caller(ctx)
        if not await self._passwords.verify(user.password_hash, request.current_password):
            raise WrongPassword
        new_hash = await self._passwords.hash(request.new_password)

        async def change(tx: Transaction) -> None:
            # Still the password that was looked at. From here on the row is held, so no sign-in slips in between.
            same = (UserDao.user_id == user.user_id, UserDao.password_hash == user.password_hash)
            if await tx.run(UserDao.update(*same).set(password_hash=new_hash)) == 0:
                raise WrongPassword
            mine = SessionDao.where(SessionDao.user_id == user.user_id)
            others = mine.where(SessionDao.session_id != ctx.signed_in.session_id)
            await self._sessions.end(tx, await tx.run(others.values(SessionDao.session_id)))

        await self._db.transact(change)
        return ChangePasswordResponse()

    async def _caller(self, ctx: Context) -> User:
        user = await self._db.run(UserDao.get(ctx.user_id))
        if user is None:
            raise RpcError(Code.UNAUTHENTICATED, "this account is gone; sign in again")
        return user

    async def _changed(self, change: UserUpdate, ctx: Context) -> OwnProfile:
        await self._db.run(change)
        return own_profile(await self._caller(ctx))
