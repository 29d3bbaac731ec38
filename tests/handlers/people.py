"""The application in one process for tests: a clock that stands, a box where codes arrive, and people who call it."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec

from argon2 import PasswordHasher

from generated.proto.sun.v1.auth_pb2 import (
    ConfirmCodeRequest,
    DeviceInfo,
    SendConfirmCodeRequest,
    SignInRequest,
    SignInWithTicketRequest,
    SignUpRequest,
)
from generated.proto.sun.v1.social_pb2 import AddPostRequest
from generated.proto.sun.v1.views_pb2 import PostView
from generated.rpc.sun.v1.auth import AuthClient
from generated.rpc.sun.v1.general import GeneralClient
from generated.rpc.sun.v1.social import SocialClient
from generated.rpc.sun.v1.user import UserClient
from handlers.app import build
from handlers.passwords import Passwords
from runtime.app import App, Platform
from runtime.sql.database import Database
from runtime.testing import Application, application

P = ParamSpec("P")

PROJECT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "correct horse"
START_MS = 1_900_000_000_000
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def asynchronous(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an async test on a loop of its own; one that hangs fails."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@dataclass
class StandingClock:
    """Milliseconds since 1970; moves when it is told to."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Outbox:
    """A CodeSender that keeps what it is given; with a `failure` it raises that instead."""

    codes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    failure: Exception | None = None

    async def send(self, phone: str, code: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.codes.append((phone, code))

    @property
    def last(self) -> str:
        return self.codes[-1][1]


class Caller:
    """The four clients of one device, with a token or without."""

    def __init__(self, app: Application, token: str = "", address: str = "192.0.2.1") -> None:
        transport = app.transport(token, address=address)
        self.auth = AuthClient(transport)
        self.general = GeneralClient(transport)
        self.user = UserClient(transport)
        self.social = SocialClient(transport)


@dataclass
class Person:
    """Someone signed in, with what a test needs to know of them."""

    user_id: int
    user_name: str
    phone: str
    token: str
    session_id: int
    call: Caller

    async def posts(self, text: str) -> PostView:
        return (await self.call.social.add_post(AddPostRequest(text=text))).post


class World:
    """The application and everybody in it."""

    def __init__(self, app: Application, clock: StandingClock, outbox: Outbox) -> None:
        self.app = app
        self.clock = clock
        self.outbox = outbox
        self._numbers = itertools.count(1)

    @property
    def db(self) -> Database:
        return self.app.platform.db

    def new_phone(self) -> str:
        return f"+3161{next(self._numbers):07}"

    def caller(self, token: str = "", address: str = "192.0.2.1") -> Caller:
        return Caller(self.app, token, address)

    async def nonce(self, phone: str, device: str, address: str = "192.0.2.1") -> str:
        """Asks for a code."""
        request = SendConfirmCodeRequest(phone=phone, device=device)
        return (await self.caller(address=address).auth.send_confirm_code(request)).nonce

    async def ticket(self, phone: str, device: str) -> str:
        """Confirms a number, from an address of its own."""
        nonce = await self.nonce(phone, device, f"198.51.{next(self._numbers) // 250}.{next(self._numbers) % 250}")
        request = ConfirmCodeRequest(nonce=nonce, code=self.outbox.last, device=device)
        return (await self.caller().auth.confirm_code(request)).ticket

    def sign_up_request(self, ticket: str, user_name: str, device: str) -> SignUpRequest:
        return SignUpRequest(
            ticket=ticket,
            user_name=user_name,
            first_name=user_name.title(),
            password=PASSWORD,
            device_info=DeviceInfo(device=device, device_name="Phone", app_version="test 1"),
        )

    async def person(self, user_name: str) -> Person:
        """Somebody new, signed up on the device `<name>-phone`."""
        phone, device = self.new_phone(), f"{user_name}-phone"
        ticket = await self.ticket(phone, device)
        reply = await self.caller().auth.sign_up(self.sign_up_request(ticket, user_name, device))
        return self._person(reply, phone)

    async def signs_in(self, person: Person, device: str, password: str = PASSWORD) -> Person:
        """The same person on another device, or again on the same."""
        device_info = DeviceInfo(device=device, device_name="Other")
        request = SignInRequest(login=person.user_name, password=password, device_info=device_info)
        return self._person(await self.caller().auth.sign_in(request), person.phone)

    async def signs_in_with_ticket(self, ticket: str, device: str, phone: str) -> Person:
        request = SignInWithTicketRequest(ticket=ticket, device_info=DeviceInfo(device=device))
        return self._person(await self.caller().auth.sign_in_with_ticket(request), phone)

    def _person(self, reply: Any, phone: str) -> Person:
        user = reply.profile.profile.user
        caller = self.caller(reply.token)
        return Person(user.user_id, user.user_name, phone, reply.token, reply.session.session_id, caller)


@asynccontextmanager
async def world(url: str) -> AsyncIterator[World]:
    """The application on a database of its own."""
    clock, outbox = StandingClock(), Outbox()

    def make(platform: Platform) -> App:
        return build(platform, sender=outbox, passwords=Passwords(CHEAP), clock=clock)

    async with application(PROJECT, make, url, clock=clock) as app:
        yield World(app, clock, outbox)
