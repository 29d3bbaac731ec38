"""Confirm codes and the tickets they are exchanged for: made, sent, limited, checked and spent.

What is stored tells a thief nothing: nonce and ticket are 256 random bits under SHA-256, and the six digits are hashed
under the nonce, which only the client has. So the key of each code's hash is a secret that the server does not keep.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from typing import NamedTuple, Protocol

import structlog

from generated.rpc.sun.v1.errors import (
    ConfirmCodeExpired,
    ConfirmCodeNotSent,
    ConfirmCodeWrong,
    PhoneNotConfirmed,
    TooManyCodes,
)
from generated.sql.sun import Sms, SmsDao
from handlers.limits import DAY_MS, HOUR_MS, MINUTE_MS, Window, window_wait_ms
from handlers.phones import Phone
from handlers.tokens import digest, new_token
from runtime.ids import Clock, IdGenerator
from runtime.rpc.limits import network_of
from runtime.sql.database import Database, Transaction

DIGITS = 6
CODE_LIFE_MS = 5 * MINUTE_MS
TICKET_LIFE_MS = 15 * MINUTE_MS
MOST_ATTEMPTS = 5
RESEND_MS = MINUTE_MS
SEND_TIMEOUT_S = 10

PHONE_WINDOWS = (Window(1, RESEND_MS), Window(5, HOUR_MS), Window(10, DAY_MS))
DEVICE_WINDOWS = (Window(10, HOUR_MS), Window(20, DAY_MS))
ADDRESS_WINDOWS = (Window(30, HOUR_MS), Window(100, DAY_MS))

_log = structlog.get_logger()


class CodeSender(Protocol):
    """How a code reaches its phone: a carrier's client, in an application that has one."""

    async def send(self, phone: str, code: str) -> None:
        """Hand the code over, to a number in E.164 form. Raises anything when the carrier does not take it."""
        ...


class LogCodeSender:
    """Prints codes to the server's log instead: for development, and for whoever has no carrier yet."""

    async def send(self, phone: str, code: str) -> None:
        # In the event's text, since the log hides every value that is called a code.
        _log.info(f"confirm code {code}", phone=f"…{phone[-4:]}")


class Confirmed(NamedTuple):
    """The right code came: the ticket, and the number in E.164 form that it stands for."""

    ticket: str
    phone: str


class Codes:
    """Confirm codes over `sun.sms`.

    The limits count its rows; a refused request leaves none. One process counts and adds under a lock, so it never goes
    over; several processes on one MariaDB may each let one request through in the same instant.
    """

    def __init__(self, db: Database, ids: IdGenerator, sender: CodeSender, clock: Clock) -> None:
        self._db = db
        self._ids = ids
        self._sender = sender
        self._clock = clock
        self._admission = asyncio.Lock()

    async def send(self, phone: Phone, device: str, address: str) -> str:
        """Send a new code, which ends an older one of this number and device. Returns the nonce to show it with.

        Raises TooManyCodes and ConfirmCodeNotSent; a code that was not sent is counted all the same.
        """
        nonce, code, now_ms = new_token(), f"{secrets.randbelow(10**DIGITS):0{DIGITS}}", self._clock()
        row = Sms(
            sms_id=self._ids.next(),
            nonce_hash=digest(nonce),
            phone=phone.number,
            country=phone.country,
            carrier=phone.carrier,
            device=device,
            address=network_of(address),
            code_hash=_code_hash(nonce, code),
            created_ms=now_ms,
            expires_ms=now_ms + CODE_LIFE_MS,
        )
        async with self._admission:
            await self._db.transact(lambda tx: _admit(tx, row))
        this = SmsDao.sms_id == row.sms_id
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._sender.send(phone.number, code)
        except Exception as failure:  # noqa: BLE001 - whatever a carrier's client raises, the code has not gone
            # Not its text, which may repeat the number and the code.
            _log.warning("a confirm code could not be sent", error=type(failure).__name__)
            await self._db.run(SmsDao.update(this).set(expires_ms=now_ms))
            raise ConfirmCodeNotSent from None
        await self._db.run(SmsDao.update(this).set(sent_ms=self._clock()))
        return nonce

    async def confirm(self, nonce: str, code: str, device: str) -> Confirmed:
        """Exchange the code for a ticket. Raises ConfirmCodeWrong and ConfirmCodeExpired."""
        row = await self._db.run(SmsDao.by_nonce_hash(digest(nonce)))
        if row is None or row.device != device:
            raise ConfirmCodeExpired
        sms_id, shown, ticket, now_ms = row.sms_id, _code_hash(nonce, code.strip()), new_token(), self._clock()

        async def attempt(tx: Transaction) -> Sms | None:
            # Counted before it is compared, by the condition: however many come at once, so many are compared.
            open_ones = (
                SmsDao.sms_id == sms_id,
                SmsDao.attempts < MOST_ATTEMPTS,
                SmsDao.expires_ms > now_ms,
                SmsDao.confirmed_ms == 0,
            )
            if await tx.run(SmsDao.update(*open_ones).increment(attempts=1)) == 0:
                return None
            tried = await tx.run(SmsDao.get(sms_id))
            if tried is not None and hmac.compare_digest(tried.code_hash, shown):
                confirmed = SmsDao.update(SmsDao.sms_id == sms_id).set(confirmed_ms=now_ms)
                expires_ms = now_ms + TICKET_LIFE_MS
                await tx.run(confirmed.set(ticket_hash=digest(ticket), ticket_expires_ms=expires_ms))
            return tried

        # Not raised within the transaction, which would undo the count.
        tried = await self._db.transact(attempt)
        if tried is None:
            raise ConfirmCodeExpired
        if not hmac.compare_digest(tried.code_hash, shown):
            raise ConfirmCodeWrong(attempts_left=MOST_ATTEMPTS - tried.attempts)
        return Confirmed(ticket, tried.phone)

    async def find(self, ticket: str, device: str) -> Sms:
        """What this device's ticket stands for. Raises PhoneNotConfirmed."""
        row = await self._db.run(SmsDao.by_ticket_hash(digest(ticket)))
        if row is None or row.device != device or not self._is_live(row):
            raise PhoneNotConfirmed
        return row

    def _is_live(self, row: Sms) -> bool:
        return row.signed_in_ms == 0 and row.signed_up_ms == 0 and row.ticket_expires_ms > self._clock()

    async def spend(self, tx: Transaction, row: Sms, *, on_sign_up: bool) -> None:
        """Spend a ticket together with what else the transaction does. Raises PhoneNotConfirmed if it is spent."""
        now_ms = self._clock()
        unspent = (
            SmsDao.sms_id == row.sms_id,
            SmsDao.signed_in_ms == 0,
            SmsDao.signed_up_ms == 0,
            SmsDao.ticket_expires_ms > now_ms,
        )
        change = SmsDao.update(*unspent)
        change = change.set(signed_up_ms=now_ms) if on_sign_up else change.set(signed_in_ms=now_ms)
        if await tx.run(change) == 0:
            raise PhoneNotConfirmed


def _code_hash(nonce: str, code: str) -> bytes:
    return hmac.digest(nonce.encode(), code.encode(), hashlib.sha256)


async def _admit(tx: Transaction, row: Sms) -> None:
    """Add the row unless a limit is reached. Raises TooManyCodes."""
    limits = (
        (SmsDao.phone == row.phone, PHONE_WINDOWS),
        (SmsDao.device == row.device, DEVICE_WINDOWS),
        (SmsDao.address == row.address, ADDRESS_WINDOWS),
    )
    wait_ms = 0
    for mine, windows in limits:
        longest = row.created_ms - max(window.span_ms for window in windows)
        newest = SmsDao.where(mine, SmsDao.created_ms > longest).order_by(SmsDao.created_ms.desc())
        times_ms = await tx.run(newest.limit(max(window.most for window in windows)).values(SmsDao.created_ms))
        wait_ms = max(wait_ms, window_wait_ms(windows, times_ms, row.created_ms))
    if wait_ms > 0:
        raise TooManyCodes(retry_after_ms=wait_ms)
    older = (
        SmsDao.phone == row.phone,
        SmsDao.device == row.device,
        SmsDao.confirmed_ms == 0,
        SmsDao.expires_ms > row.created_ms,
    )
    await tx.run(SmsDao.update(*older).set(expires_ms=row.created_ms))
    await tx.run(SmsDao.insert(row))
