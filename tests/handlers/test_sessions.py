"""Sessions: several to a user and to a device, listed, revoked, used and left to expire."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from generated.proto.sun.v1.auth_pb2 import ListSessionsRequest, LogOutRequest, RevokeSessionRequest
from generated.proto.sun.v1.enums_pb2 import USER_LEVEL_ADMIN, USER_LEVEL_SUSPENDED
from generated.proto.sun.v1.user_pb2 import ChangePasswordRequest, GetOwnProfileRequest
from generated.proto.sun.v1.views_pb2 import SessionView
from generated.rpc.sun.v1.auth import AuthClient
from generated.rpc.sun.v1.errors import SessionNotFound, WrongCredentials, WrongPassword
from generated.sql.sun import SessionDao, UserDao
from generated.sql.sun.user import UserUpdate
from handlers.limits import MINUTE_MS
from handlers.sessions import LIFE_MS, MOST, TOUCH_MS, SessionAuthenticator
from runtime.generated.rpc.sun.errors import RateLimited
from runtime.rpc.context import Identity
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.transports.websocket import WebSocketTransport
from runtime.rpc.websocket import Connections
from runtime.sql.database import connect
from tests.handlers.people import PASSWORD, Person, World, asynchronous, world


async def works(people: World, person: Person) -> bool:
    """Whether a connection made now is let in with the person's token."""
    try:
        await people.caller(person.token).user.get_own_profile(GetOwnProfileRequest())
    except RpcError as error:
        return error.code is not Code.UNAUTHENTICATED
    return True


async def sessions_of(person: Person) -> list[SessionView]:
    return [*(await person.call.auth.list_sessions(ListSessionsRequest())).sessions]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sessions whose connections were closed, in order."""
    ids: list[int] = []
    monkeypatch.setattr(Connections, "close_session", lambda _, session_id: ids.append(session_id))
    return ids


@asynchronous
async def test_a_user_has_a_session_on_each_device_newest_first(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone = await people.person("ada_l")
        people.clock.now_ms += MINUTE_MS
        tablet = await people.signs_in(phone, "tablet")
        assert await works(people, phone)
        listed = await sessions_of(tablet)
        assert [(each.session_id, each.is_current) for each in listed] == [
            (tablet.session_id, True),
            (phone.session_id, False),
        ]
        assert (listed[1].device_name, listed[1].app_version, listed[1].last_ip) == ("Phone", "test 1", "192.0.2.1")
        assert listed[1].created_ms == people.clock.now_ms - MINUTE_MS
        assert [each.is_current for each in await sessions_of(phone)] == [False, True]


@asynchronous
async def test_signing_in_again_on_a_device_takes_the_place_of_the_session_there(
    sql_url: str, closed: list[int]
) -> None:
    async with world(sql_url) as people:
        first = await people.person("ada_l")
        again = await people.signs_in(first, "ada_l-phone")
        assert not await works(people, first)
        assert [each.session_id for each in await sessions_of(again)] == [again.session_id]
        assert closed == [first.session_id]


@asynchronous
async def test_sign_ins_at_once_on_a_device_leave_one_session(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        await asyncio.gather(*(people.signs_in(ada, "tablet") for _ in range(8)))
        assert await people.db.run(SessionDao.where(SessionDao.device == "tablet").count()) == 1


@asynchronous
async def test_several_users_share_a_device(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        ada, bob = await people.signs_in(ada, "family tablet"), await people.signs_in(bob, "family tablet")
        assert await works(people, ada)
        assert await works(people, bob)


@asynchronous
async def test_the_oldest_session_goes_when_there_would_be_too_many(sqlite_url: str, closed: list[int]) -> None:
    async with world(sqlite_url) as people:
        first = await people.person("ada_l")
        others = [await people.signs_in(first, f"device-{number}") for number in range(MOST)]
        assert closed == [first.session_id]
        assert len(await sessions_of(others[-1])) == MOST


@asynchronous
async def test_a_revoked_session_is_worth_nothing_and_its_connections_close(sql_url: str, closed: list[int]) -> None:
    async with world(sql_url) as people:
        phone = await people.person("ada_l")
        tablet = await people.signs_in(phone, "tablet")
        await tablet.call.auth.revoke_session(RevokeSessionRequest(session_id=phone.session_id))
        assert not await works(people, phone)
        assert await works(people, tablet)
        assert closed == [phone.session_id]
        with pytest.raises(SessionNotFound):
            await tablet.call.auth.revoke_session(RevokeSessionRequest(session_id=phone.session_id))


@asynchronous
async def test_the_session_of_another_user_does_not_exist(sql_url: str, closed: list[int]) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        with pytest.raises(SessionNotFound) as error:
            await bob.call.auth.revoke_session(RevokeSessionRequest(session_id=ada.session_id))
        assert error.value.detail.session_id == ada.session_id
        assert await works(people, ada)
        assert closed == []


@asynchronous
async def test_logging_out_ends_this_session_alone(sql_url: str, closed: list[int]) -> None:
    async with world(sql_url) as people:
        phone = await people.person("ada_l")
        tablet = await people.signs_in(phone, "tablet")
        await phone.call.auth.log_out(LogOutRequest())
        assert not await works(people, phone)
        assert await works(people, tablet)
        assert closed == [phone.session_id]


@asynchronous
async def test_over_a_websocket_logging_out_is_answered_and_then_every_connection_of_the_session_closes(
    sql_url: str,
) -> None:
    async with world(sql_url) as people:
        phone = await people.person("ada_l")
        tablet = await people.signs_in(phone, "tablet")
        settings = GatewaySettings(port=0, drain_grace_ms=0)
        connections = cast(Connections, people.app.platform.sessions)
        gateway = Gateway(people.app.dispatcher, settings, connections=connections)
        url = f"ws://127.0.0.1:{(await gateway.start()).port}/ws"
        try:
            async with (
                WebSocketTransport(url, phone.token) as one,
                WebSocketTransport(url, phone.token) as two,
                WebSocketTransport(url, tablet.token) as other,
            ):
                await AuthClient(one).log_out(LogOutRequest())
                async with asyncio.timeout(10):
                    while connections.count > 1:  # noqa: ASYNC110 - a connection tells nobody of its end
                        await asyncio.sleep(0.001)
                for closed_one in (one, two):
                    with pytest.raises(RpcError) as error:
                        await AuthClient(closed_one).list_sessions(ListSessionsRequest())
                    assert error.value.code is Code.UNAUTHENTICATED
                listed = await AuthClient(other).list_sessions(ListSessionsRequest())
                assert [each.session_id for each in listed.sessions] == [tablet.session_id]
        finally:
            await gateway.drain()


@asynchronous
async def test_a_session_ends_ninety_days_after_its_last_use(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        people.clock.now_ms += LIFE_MS - 1
        assert await works(people, ada)
        await used_at(people, ada, people.clock.now_ms)
        people.clock.now_ms += LIFE_MS
        assert not await works(people, ada)
        back = await people.signs_in(ada, "tablet")
        assert [each.session_id for each in await sessions_of(back)] == [back.session_id]


async def used_at(people: World, person: Person, active_ms: int) -> None:
    """Waits until that use has been written down, which no call waits for."""
    this = SessionDao.where(SessionDao.session_id == person.session_id, SessionDao.active_ms == active_ms)
    async with asyncio.timeout(10):
        while not await people.db.run(this.count()):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.001)


@asynchronous
async def test_a_use_is_written_down_once_a_minute(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        start_ms = people.clock.now_ms
        people.clock.now_ms += TOUCH_MS - 1
        assert await works(people, ada)
        await used_at(people, ada, start_ms)
        people.clock.now_ms += 1
        await asyncio.gather(*(works(people, ada) for _ in range(5)))
        await used_at(people, ada, start_ms + TOUCH_MS)


@asynchronous
@pytest.mark.parametrize(
    "close",
    [
        lambda user: user.set(is_banned=True),
        lambda user: user.set(is_deleted=True),
        lambda user: user.set(level=USER_LEVEL_SUSPENDED),
    ],
)
async def test_the_sessions_of_a_closed_account_are_worth_nothing(sqlite_url: str, close: type[UserUpdate]) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        await people.db.run(close(UserDao.update(UserDao.user_id == ada.user_id)))  # type: ignore[call-arg]
        assert not await works(people, ada)


@asynchronous
async def test_the_authenticator_says_who_and_whether_an_admin(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        authenticator = SessionAuthenticator(people.db, people.clock)
        assert await authenticator.authenticate(ada.token) == Identity(ada.user_id, ada.session_id)
        await people.db.run(UserDao.update(UserDao.user_id == ada.user_id).set(level=USER_LEVEL_ADMIN))
        assert await authenticator.authenticate(ada.token) == Identity(ada.user_id, ada.session_id, is_admin=True)
        for token in ("", "x", ada.token[:-1], ada.token + "x", "\udcff"):
            assert await authenticator.authenticate(token) is None


@asynchronous
async def test_all_who_come_at_once_are_known_by_few_queries(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        tablet = await people.signs_in(ada, "tablet")
        await people.db.run(UserDao.update(UserDao.user_id == bob.user_id).set(is_banned=True))
        people.clock.now_ms += TOUCH_MS
        authenticator = SessionAuthenticator(people.db, people.clock)
        statements: list[str] = []
        people.db.observe(lambda table, kind, *_: statements.append(f"{kind} {table}"))
        tokens = [ada.token, tablet.token, bob.token, "x", ada.token]
        found = await asyncio.gather(*map(authenticator.authenticate, tokens))
        first = Identity(ada.user_id, ada.session_id)
        assert found == [first, Identity(ada.user_id, tablet.session_id), None, None, first]
        for person in (ada, tablet):
            await used_at(people, person, people.clock.now_ms)
        await asyncio.gather(*authenticator._touching)  # others see the write before the one who made it is told
        assert [each for each in statements if "select" not in each] == ["update sun.session"]
        assert len([each for each in statements if each == "select sun.user"]) <= 1


@asynchronous
async def test_a_session_that_another_process_has_ended_is_unknown_at_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        authenticator = SessionAuthenticator(people.db, people.clock)
        tokens = [ada.token, bob.token]
        assert None not in await asyncio.gather(*map(authenticator.authenticate, tokens))
        other = await connect(sql_url)
        try:
            await other.run(SessionDao.delete(session_id=ada.session_id))
        finally:
            await other.close()
        found = await asyncio.gather(*map(authenticator.authenticate, tokens))
        assert found == [None, Identity(bob.user_id, bob.session_id)]


@asynchronous
async def test_a_new_password_ends_all_other_sessions_and_the_old_password(sql_url: str, closed: list[int]) -> None:
    async with world(sql_url) as people:
        phone = await people.person("ada_l")
        bob = await people.person("bob_b")
        tablet = await people.signs_in(phone, "tablet")
        change = ChangePasswordRequest(current_password=PASSWORD, new_password="battery staple")
        await tablet.call.user.change_password(change)
        assert not await works(people, phone)
        assert await works(people, tablet)
        assert await works(people, bob)
        assert closed == [phone.session_id]
        with pytest.raises(WrongCredentials):
            await people.signs_in(phone, "laptop")
        await people.signs_in(phone, "laptop", "battery staple")


@asynchronous
async def test_the_current_password_can_be_guessed_five_times(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        guess = ChangePasswordRequest(current_password="wrong", new_password="battery staple")
        for _ in range(5):
            with pytest.raises(WrongPassword):
                await ada.call.user.change_password(guess)
        right = ChangePasswordRequest(current_password=PASSWORD, new_password="battery staple")
        with pytest.raises(RateLimited) as error:
            await ada.call.user.change_password(right)
        people.clock.now_ms += error.value.detail.retry_after_ms
        await ada.call.user.change_password(right)


@asynchronous
async def test_of_password_changes_at_once_one_wins(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        results = await asyncio.gather(
            *(
                ada.call.user.change_password(
                    ChangePasswordRequest(current_password=PASSWORD, new_password=f"new password {n}")
                )
                for n in range(4)
            ),
            return_exceptions=True,
        )
        assert [type(each) for each in results if isinstance(each, Exception)] == [WrongPassword] * 3
