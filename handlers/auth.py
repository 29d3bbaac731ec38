"""AuthService: from a phone number to an account, a session, and the end of one."""

from __future__ import annotations

from generated.proto.sun.v1.auth_pb2 import (
    ConfirmCodeRequest,
    ConfirmCodeResponse,
    ListSessionsRequest,
    ListSessionsResponse,
    LogOutRequest,
    LogOutResponse,
    RevokeSessionRequest,
    RevokeSessionResponse,
    SendConfirmCodeRequest,
    SendConfirmCodeResponse,
    SignInRequest,
    SignInResponse,
    SignInWithTicketRequest,
    SignInWithTicketResponse,
    SignUpRequest,
    SignUpResponse,
)
from generated.rpc.sun.v1.auth import AuthService
from generated.rpc.sun.v1.errors import (
    AccountSuspended,
    PhoneInvalid,
    PhoneNotRegistered,
    PhoneTaken,
    SessionNotFound,
    UserNameTaken,
    WrongCredentials,
)
from generated.sql.sun import SessionDao, User, UserDao
from handlers import names, phones, sessions, user_names
from handlers.accounts import is_gone, is_suspended
from handlers.codes import CODE_LIFE_MS, RESEND_MS, TICKET_LIFE_MS, Codes
from handlers.passwords import Passwords
from handlers.sessions import SessionKeeper, Started
from handlers.views import own_profile, session_view
from runtime.ids import Clock, IdGenerator
from runtime.rpc.context import Context
from runtime.sql.database import Database, Transaction
from runtime.sql.errors import UniqueViolation


class AuthHandler(AuthService):
    def __init__(
        self,
        db: Database,
        ids: IdGenerator,
        codes: Codes,
        passwords: Passwords,
        sessions: SessionKeeper,
        clock: Clock,
    ) -> None:
        self._db = db
        self._ids = ids
        self._codes = codes
        self._passwords = passwords
        self._sessions = sessions
        self._clock = clock

    async def send_confirm_code(self, request: SendConfirmCodeRequest, ctx: Context) -> SendConfirmCodeResponse:
        phone = phones.parse(request.phone)
        if phone is None:
            raise PhoneInvalid
        nonce = await self._codes.send(phone, request.device, ctx.address)
        return SendConfirmCodeResponse(nonce=nonce, expires_in_ms=CODE_LIFE_MS, resend_after_ms=RESEND_MS)

    async def confirm_code(self, request: ConfirmCodeRequest, ctx: Context) -> ConfirmCodeResponse:
        confirmed = await self._codes.confirm(request.nonce, request.code, request.device)
        user = await self._db.run(UserDao.by_phone(confirmed.phone))
        return ConfirmCodeResponse(
            ticket=confirmed.ticket,
            expires_in_ms=TICKET_LIFE_MS,
            has_account=user is not None,
        )

    async def sign_up(self, request: SignUpRequest, ctx: Context) -> SignUpResponse:
        device_info = request.device_info
        user_names.check(request.user_name)
        first_name, last_name = names.required("first_name", request.first_name), names.tidy(request.last_name)
        proof = await self._codes.find(request.ticket, device_info.device)
        # Looked at before the costly hash; what decides is the unique key below.
        if await self._db.run(UserDao.by_phone(proof.phone)) is not None:
            raise PhoneTaken
        if await self._db.run(UserDao.by_user_name(request.user_name.lower())) is not None:
            raise UserNameTaken(user_name=request.user_name)
        now_ms = self._clock()
        user = User(
            user_id=self._ids.next(),
            user_name=request.user_name,
            user_name_lower=request.user_name.lower(),
            first_name=first_name,
            first_name_lower=names.searchable(first_name),
            last_name=last_name,
            last_name_lower=names.searchable(last_name),
            phone=proof.phone,
            password_hash=await self._passwords.hash(request.password),
            created_ms=now_ms,
            version_ms=now_ms,
        )

        async def make(tx: Transaction) -> Started:
            await self._codes.spend(tx, proof, on_sign_up=True)
            await tx.run(UserDao.insert(user))
            return await self._sessions.start(tx, user.user_id, device_info, ctx.address)

        try:
            started = await self._db.transact(make)
        except UniqueViolation as violation:
            if violation.key == "user_by_user_name":
                raise UserNameTaken(user_name=request.user_name) from violation
            if violation.key == "user_by_phone":
                raise PhoneTaken from violation
            raise
        session = session_view(started.session, is_current=True)
        return SignUpResponse(token=started.token, session=session, profile=own_profile(user))

    async def sign_in(self, request: SignInRequest, ctx: Context) -> SignInResponse:
        device_info = request.device_info
        name, phone = user_names.key_of(request.login), phones.parse(request.login)
        # Before the password is looked at, so that many tries at once are no more than their tokens.
        await ctx.draw("sign_in_login", phone.number if phone is not None else name or "")
        await ctx.draw("sign_in_device", device_info.device)
        user = await self._user_of(name, phone.number if phone is not None else None)
        password_hash = user.password_hash if user is not None else None
        if not await self._passwords.verify(password_hash, request.password) or user is None:
            raise WrongCredentials
        if is_suspended(user):
            raise AccountSuspended
        new_hash = user.password_hash
        if self._passwords.is_outdated(new_hash):
            new_hash = await self._passwords.hash(request.password)

        async def start(tx: Transaction) -> Started:
            account = await _held(tx, user.user_id)
            # The password was changed, or the account closed, since it was looked at.
            if account is None or account.password_hash != user.password_hash or is_gone(account):
                raise WrongCredentials
            if is_suspended(account):
                raise AccountSuspended
            if new_hash != account.password_hash:
                await tx.run(UserDao.update(UserDao.user_id == user.user_id).set(password_hash=new_hash))
            return await self._sessions.start(tx, user.user_id, device_info, ctx.address)

        started = await self._db.transact(start)
        session = session_view(started.session, is_current=True)
        return SignInResponse(token=started.token, session=session, profile=own_profile(user))

    async def _user_of(self, name: str | None, phone: str | None) -> User | None:
        if phone is not None:
            user = await self._db.run(UserDao.by_phone(phone))
        elif name is not None:
            user = await self._db.run(UserDao.by_user_name(name))
        else:
            return None
        return None if user is None or is_gone(user) else user

    async def sign_in_with_ticket(self, request: SignInWithTicketRequest, ctx: Context) -> SignInWithTicketResponse:
        device_info = request.device_info
        proof = await self._codes.find(request.ticket, device_info.device)
        user = await self._db.run(UserDao.by_phone(proof.phone))
        if user is None:
            raise PhoneNotRegistered
        user_id = user.user_id

        async def start(tx: Transaction) -> tuple[User, Started]:
            await self._codes.spend(tx, proof, on_sign_up=False)
            account = await _held(tx, user_id)
            if account is None or is_gone(account) or account.phone != proof.phone:
                raise PhoneNotRegistered
            if is_suspended(account):
                raise AccountSuspended
            return account, await self._sessions.start(tx, user_id, device_info, ctx.address)

        account, started = await self._db.transact(start)
        session = session_view(started.session, is_current=True)
        return SignInWithTicketResponse(token=started.token, session=session, profile=own_profile(account))

    async def log_out(self, request: LogOutRequest, ctx: Context) -> LogOutResponse:
        session_id = ctx.signed_in.session_id
        await self._db.transact(lambda tx: self._sessions.end(tx, [session_id]))
        return LogOutResponse()

    async def list_sessions(self, request: ListSessionsRequest, ctx: Context) -> ListSessionsResponse:
        now_ms, current = self._clock(), ctx.signed_in.session_id
        rows = await self._db.run(SessionDao.by_user(ctx.user_id, limit=sessions.MOST))
        return ListSessionsResponse(
            sessions=[
                session_view(row, row.session_id == current, ctx.address if row.session_id == current else "")
                for row in rows
                if row.expires_ms > now_ms
            ]
        )

    async def revoke_session(self, request: RevokeSessionRequest, ctx: Context) -> RevokeSessionResponse:
        row = await self._db.run(SessionDao.get(request.session_id))
        if row is None or row.user_id != ctx.user_id:
            raise SessionNotFound(session_id=request.session_id)
        await self._db.transact(lambda tx: self._sessions.end(tx, [row.session_id]))
        return RevokeSessionResponse()


async def _held(tx: Transaction, user_id: int) -> User | None:
    """The account as it is, and stays until the transaction ends."""
    return await tx.run(UserDao.where(UserDao.user_id == user_id).for_update().first())
