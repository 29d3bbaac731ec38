"""From a phone number to an account and back into it, as clients see it, on every engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable
from typing import Literal, TypeVar

import pytest
import structlog
from argon2 import PasswordHasher

from generated.proto.sun.v1.auth_pb2 import (
    ConfirmCodeRequest,
    DeviceInfo,
    LogOutRequest,
    SendConfirmCodeRequest,
    SignInRequest,
    SignInWithTicketRequest,
)
from generated.proto.sun.v1.enums_pb2 import USER_LEVEL_DELETED_BY_OWNER, USER_LEVEL_SUSPENDED
from generated.proto.sun.v1.user_pb2 import GetOwnProfileRequest
from generated.rpc.sun.v1.errors import (
    AccountSuspended,
    ConfirmCodeExpired,
    ConfirmCodeNotSent,
    ConfirmCodeWrong,
    PhoneInvalid,
    PhoneNotConfirmed,
    PhoneNotRegistered,
    PhoneTaken,
    TooManyCodes,
    UserNameTaken,
    WrongCredentials,
)
from generated.sql.sun import SessionDao, Sms, SmsDao, User, UserDao
from handlers.codes import CODE_LIFE_MS, MOST_ATTEMPTS, RESEND_MS, TICKET_LIFE_MS, LogCodeSender
from handlers.limits import DAY_MS, HOUR_MS
from handlers.passwords import Passwords
from runtime.generated.rpc.sun.errors import BadRequest, RateLimited
from runtime.logs import redact
from runtime.rpc.errors import Code, RpcError
from tests.handlers.people import CHEAP, PASSWORD, World, asynchronous, world

T = TypeVar("T")


async def all_at_once(calls: Iterable[Awaitable[T]]) -> tuple[list[T], list[BaseException]]:
    """What succeeded, and what failed."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [each for each in results if isinstance(each, BaseException)]
    return [each for each in results if not isinstance(each, BaseException)], failed


def kinds(failures: Iterable[BaseException]) -> set[type[BaseException]]:
    return {type(each) for each in failures}


async def only_sms(people: World, nonce_count: int = 1) -> Sms:
    rows = await people.db.run(SmsDao.all())
    assert len(rows) == nonce_count
    return rows[-1]


async def confirm(people: World, nonce: str, code: str, device: str = "phone") -> str:
    request = ConfirmCodeRequest(nonce=nonce, code=code, device=device)
    return (await people.caller().auth.confirm_code(request)).ticket


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


# The way in


@asynchronous
async def test_a_number_becomes_an_account_that_can_be_left_and_entered_again(sql_url: str) -> None:
    async with world(sql_url) as people:
        auth = people.caller().auth
        sent = await auth.send_confirm_code(SendConfirmCodeRequest(phone="+31 (0)6 1234 5678", device="phone"))
        assert (sent.expires_in_ms, sent.resend_after_ms) == (5 * 60_000, 60_000)
        [(phone, code)] = people.outbox.codes
        assert phone == "+31612345678"
        assert len(code) == 6

        confirmed = await auth.confirm_code(ConfirmCodeRequest(nonce=sent.nonce, code=code, device="phone"))
        assert not confirmed.has_account

        made = await auth.sign_up(people.sign_up_request(confirmed.ticket, "Ada_Lovelace", "phone"))
        assert made.profile.phone == phone
        assert made.profile.profile.user.user_name == "Ada_Lovelace"
        assert made.session.is_current
        me = people.caller(made.token)
        own = await me.user.get_own_profile(GetOwnProfileRequest())
        assert own.profile == made.profile

        await me.auth.log_out(LogOutRequest())
        with pytest.raises(RpcError) as error:
            await people.caller(made.token).user.get_own_profile(GetOwnProfileRequest())
        assert error.value.code is Code.UNAUTHENTICATED

        for login in ("ada_lovelace", "ADA_LOVELACE", phone, "+31 6 12345678"):
            request = SignInRequest(login=login, password=PASSWORD, device_info=DeviceInfo(device="phone"))
            entered = await auth.sign_in(request)
            assert entered.profile.profile.user == made.profile.profile.user

        people.clock.now_ms += RESEND_MS
        nonce = await people.nonce(phone, "tablet")
        again = await auth.confirm_code(ConfirmCodeRequest(nonce=nonce, code=people.outbox.last, device="tablet"))
        assert again.has_account
        entered_by_code = await people.signs_in_with_ticket(again.ticket, "tablet", phone)
        assert entered_by_code.user_id == made.profile.profile.user.user_id


@asynchronous
async def test_what_is_stored_holds_no_secret(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        [sms] = await people.db.run(SmsDao.all())
        [session] = await people.db.run(SessionDao.all())
        user = await people.db.run(UserDao.get(ada.user_id))
        stored = f"{sms} {session} {user}"
        assert all(secret not in stored for secret in (people.outbox.last, ada.token, PASSWORD))
        assert user is not None
        assert user.password_hash.startswith("$argon2id$")
        assert (sms.country, sms.confirmed_ms, sms.signed_up_ms, sms.signed_in_ms) == (
            "NL",
            people.clock.now_ms,
            people.clock.now_ms,
            0,
        )


@asynchronous
async def test_text_that_is_no_phone_number_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        for text in ("hello", "0612345678", "+316123", "+999123456789", "+31 900 1234567"):
            with pytest.raises(PhoneInvalid):
                await people.nonce(text, "phone")
        assert people.outbox.codes == []


@asynchronous
async def test_a_taken_user_name_and_a_taken_number_are_told_apart_and_leave_the_ticket_unspent(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        auth = people.caller().auth
        ticket = await people.ticket(people.new_phone(), "phone")
        with pytest.raises(UserNameTaken) as error:
            await auth.sign_up(people.sign_up_request(ticket, "ADA_L", "phone"))
        assert error.value.detail.user_name == "ADA_L"
        await auth.sign_up(people.sign_up_request(ticket, "bob_b", "phone"))

        people.clock.now_ms += RESEND_MS
        ticket = await people.ticket(ada.phone, "phone")
        with pytest.raises(PhoneTaken):
            await auth.sign_up(people.sign_up_request(ticket, "ada_two", "phone"))
        await people.signs_in_with_ticket(ticket, "phone", ada.phone)


@asynchronous
async def test_a_confirmed_number_without_an_account_is_told_to_sign_up(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ticket = await people.ticket(people.new_phone(), "phone")
        with pytest.raises(PhoneNotRegistered):
            await people.signs_in_with_ticket(ticket, "phone", "")
        await people.caller().auth.sign_up(people.sign_up_request(ticket, "ada_l", "phone"))


@asynchronous
async def test_a_first_name_needs_something_to_see_and_is_kept_tidy(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        request = people.sign_up_request(await people.ticket(people.new_phone(), "phone"), "ada_l", "phone")
        request.first_name = " \n\t"
        with pytest.raises(BadRequest) as error:
            await people.caller().auth.sign_up(request)
        assert error.value.detail.violations[0].field == "first_name"
        request.first_name = "  " + "\u0130" * 58 + "\nL "
        reply = await people.caller().auth.sign_up(request)
        assert reply.profile.profile.user.first_name == "\u0130" * 58 + " L"


# Codes


@asynchronous
async def test_a_code_can_be_guessed_five_times(sql_url: str) -> None:
    async with world(sql_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        code = people.outbox.last
        for left in range(MOST_ATTEMPTS - 1, -1, -1):
            with pytest.raises(ConfirmCodeWrong) as error:
                await confirm(people, nonce, wrong(code))
            assert error.value.detail.attempts_left == left
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, nonce, code)
        assert (await only_sms(people)).attempts == MOST_ATTEMPTS


@asynchronous
async def test_the_last_of_five_tries_may_be_right(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        code = people.outbox.last
        for _ in range(MOST_ATTEMPTS - 1):
            with pytest.raises(ConfirmCodeWrong):
                await confirm(people, nonce, wrong(code))
        assert await confirm(people, nonce, code)


@asynchronous
async def test_tries_at_once_are_never_more_than_five(sql_url: str) -> None:
    async with world(sql_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        code = people.outbox.last
        _, failed = await all_at_once(confirm(people, nonce, wrong(code)) for _ in range(20))
        left = sorted(each.detail.attempts_left for each in failed if isinstance(each, ConfirmCodeWrong))
        assert left == [0, 1, 2, 3, 4]
        assert kinds(failed) == {ConfirmCodeWrong, ConfirmCodeExpired}
        assert (await only_sms(people)).attempts == MOST_ATTEMPTS


@asynchronous
async def test_a_code_is_exchanged_once_even_when_it_comes_twice_at_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        code = people.outbox.last
        tickets, failed = await all_at_once(confirm(people, nonce, code) for _ in range(8))
        assert len(tickets) == 1
        assert kinds(failed) == {ConfirmCodeExpired}
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, nonce, code)


@asynchronous
async def test_a_code_ends_after_five_minutes(sql_url: str) -> None:
    async with world(sql_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        people.clock.now_ms += CODE_LIFE_MS
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, nonce, people.outbox.last)


@asynchronous
async def test_a_code_is_good_for_the_device_that_asked_and_its_nonce_alone(sql_url: str) -> None:
    async with world(sql_url) as people:
        nonce = await people.nonce(people.new_phone(), "phone")
        code = people.outbox.last
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, nonce, code, device="other")
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, nonce[::-1], code)
        assert (await only_sms(people)).attempts == 0
        assert await confirm(people, nonce, code)


@asynchronous
async def test_a_new_code_ends_the_one_before(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone = people.new_phone()
        first, first_code = await people.nonce(phone, "phone"), people.outbox.last
        people.clock.now_ms += RESEND_MS
        second = await people.nonce(phone, "phone")
        with pytest.raises(ConfirmCodeExpired):
            await confirm(people, first, first_code)
        assert await confirm(people, second, people.outbox.last)


@asynchronous
async def test_a_code_that_could_not_be_sent_is_worthless_but_counts(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone = people.new_phone()
        people.outbox.failure = RuntimeError("the carrier says no to +31610000001")
        with structlog.testing.capture_logs() as logs, pytest.raises(ConfirmCodeNotSent):
            await people.nonce(phone, "phone")
        assert not any("carrier says" in str(entry) for entry in logs)
        row = await only_sms(people)
        assert (row.sent_ms, row.expires_ms) == (0, people.clock.now_ms)
        people.outbox.failure = None
        with pytest.raises(TooManyCodes) as error:
            await people.nonce(phone, "phone")
        assert error.value.detail.retry_after_ms == RESEND_MS


@asynchronous
async def test_the_default_sender_prints_the_code_and_no_more_of_the_number_than_its_end() -> None:
    with structlog.testing.capture_logs() as logs:
        await LogCodeSender().send("+31612345678", "042137")
    [entry] = [redact(None, "info", entry) for entry in logs]
    assert "042137" in entry["event"]
    assert entry["phone"] == "…5678"
    assert "+316123" not in str(entry)


# Limits on codes


async def refused_for(people: World, phone: str, device: str, address: str) -> int:
    with pytest.raises(TooManyCodes) as error:
        await people.nonce(phone, device, address)
    return error.value.detail.retry_after_ms


@asynchronous
async def test_a_number_gets_one_code_a_minute_five_an_hour_ten_a_day(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone, clock = people.new_phone(), people.clock
        start_ms = clock.now_ms

        async def ask(number: int) -> None:  # a device and an address of its own, so that only the number counts
            await people.nonce(phone, f"device-{number}", f"203.0.113.{number}")

        async def wait() -> int:
            return await refused_for(people, phone, "another", "203.0.113.250")

        await ask(0)
        assert await wait() == RESEND_MS
        for number in range(1, 5):
            clock.now_ms += RESEND_MS
            await ask(number)
        clock.now_ms += RESEND_MS
        assert await wait() == start_ms + HOUR_MS - clock.now_ms
        clock.now_ms = start_ms + HOUR_MS + 5 * RESEND_MS
        for number in range(5, 10):
            await ask(number)
            clock.now_ms += RESEND_MS
        clock.now_ms += HOUR_MS
        assert await wait() == start_ms + DAY_MS - clock.now_ms
        clock.now_ms = start_ms + DAY_MS
        await ask(10)


@asynchronous
async def test_a_device_gets_ten_codes_an_hour_twenty_a_day(sql_url: str) -> None:
    async with world(sql_url) as people:
        for hour in range(2):
            for number in range(10):
                await people.nonce(people.new_phone(), "phone", f"203.0.113.{hour * 10 + number}")
            if hour == 0:
                assert await refused_for(people, people.new_phone(), "phone", "203.0.113.99") == HOUR_MS
            people.clock.now_ms += HOUR_MS
        assert await refused_for(people, people.new_phone(), "phone", "203.0.113.99") == DAY_MS - 2 * HOUR_MS
        await people.nonce(people.new_phone(), "tablet", "203.0.113.99")


@asynchronous
async def test_an_address_gets_thirty_codes_an_hour_and_its_64_bit_network_counts_as_one(sql_url: str) -> None:
    async with world(sql_url) as people:
        for number in range(30):
            await people.nonce(people.new_phone(), f"device-{number}", f"2001:db8:0:1::{number:x}")
        assert await refused_for(people, people.new_phone(), "new", "2001:db8:0:1:ffff::1") == HOUR_MS
        await people.nonce(people.new_phone(), "new", "2001:db8:0:2::1")


@asynchronous
async def test_requests_at_once_get_one_code(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone = people.new_phone()
        sent, failed = await all_at_once(people.nonce(phone, f"device-{number}") for number in range(10))
        assert len(sent) == len(people.outbox.codes) == 1
        assert kinds(failed) == {TooManyCodes}


# Tickets


@asynchronous
async def test_a_ticket_is_spent_once(sql_url: str) -> None:
    async with world(sql_url) as people:
        auth = people.caller().auth
        phone = people.new_phone()
        ticket = await people.ticket(phone, "phone")
        await auth.sign_up(people.sign_up_request(ticket, "ada_l", "phone"))
        with pytest.raises(PhoneNotConfirmed):
            await auth.sign_up(people.sign_up_request(ticket, "ada_two", "phone"))
        with pytest.raises(PhoneNotConfirmed):
            await people.signs_in_with_ticket(ticket, "phone", phone)

        people.clock.now_ms += RESEND_MS
        ticket = await people.ticket(phone, "phone")
        await people.signs_in_with_ticket(ticket, "phone", phone)
        with pytest.raises(PhoneNotConfirmed):
            await people.signs_in_with_ticket(ticket, "phone", phone)


@asynchronous
async def test_a_ticket_is_good_for_its_device_and_a_quarter_of_an_hour(sql_url: str) -> None:
    async with world(sql_url) as people:
        auth = people.caller().auth
        ticket = await people.ticket(people.new_phone(), "phone")
        for bad in (
            people.sign_up_request(ticket, "ada_l", "other"),
            people.sign_up_request(ticket[::-1], "ada_l", "phone"),
        ):
            with pytest.raises(PhoneNotConfirmed):
                await auth.sign_up(bad)
        with pytest.raises(PhoneNotConfirmed):
            await auth.sign_in_with_ticket(
                SignInWithTicketRequest(ticket=ticket, device_info=DeviceInfo(device="other"))
            )
        people.clock.now_ms += TICKET_LIFE_MS
        with pytest.raises(PhoneNotConfirmed):
            await auth.sign_up(people.sign_up_request(ticket, "ada_l", "phone"))
        assert await people.db.run(UserDao.all().count()) == 0


@asynchronous
async def test_a_race_on_one_user_name_makes_one_account(sql_url: str) -> None:
    async with world(sql_url) as people:
        tickets = [await people.ticket(people.new_phone(), f"device-{number}") for number in range(20)]
        made, failed = await all_at_once(
            people.caller().auth.sign_up(
                people.sign_up_request(ticket, "Ada_L" if number % 2 else "ada_l", f"device-{number}")
            )
            for number, ticket in enumerate(tickets)
        )
        assert len(made) == 1
        assert kinds(failed) == {UserNameTaken}
        assert await people.db.run(UserDao.all().count()) == 1
        assert await people.db.run(SessionDao.all().count()) == 1
        assert await people.db.run(SmsDao.where(SmsDao.signed_up_ms > 0).count()) == 1


@asynchronous
async def test_a_race_on_one_ticket_makes_one_account(sql_url: str) -> None:
    async with world(sql_url) as people:
        ticket = await people.ticket(people.new_phone(), "phone")
        made, failed = await all_at_once(
            people.caller().auth.sign_up(people.sign_up_request(ticket, f"ada_{number:03}", "phone"))
            for number in range(10)
        )
        assert len(made) == 1
        assert kinds(failed) <= {PhoneNotConfirmed, PhoneTaken}
        assert await people.db.run(UserDao.all().count()) == 1
        assert await people.db.run(SessionDao.all().count()) == 1


@asynchronous
async def test_sign_ins_at_once_with_one_ticket_make_one_session(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        people.clock.now_ms += RESEND_MS
        ticket = await people.ticket(ada.phone, "tablet")
        made, failed = await all_at_once(people.signs_in_with_ticket(ticket, "tablet", ada.phone) for _ in range(8))
        assert len(made) == 1
        assert kinds(failed) == {PhoneNotConfirmed}


@asynchronous
async def test_a_race_of_two_devices_with_one_number_makes_one_account(sql_url: str) -> None:
    async with world(sql_url) as people:
        phone = people.new_phone()
        devices = ("phone", "tablet", "laptop")
        tickets: list[str] = []
        for device in devices:
            tickets.append(await people.ticket(phone, device))
            people.clock.now_ms += RESEND_MS
        made, failed = await all_at_once(
            people.caller().auth.sign_up(people.sign_up_request(ticket, f"ada_{device}", device))
            for ticket, device in zip(tickets, devices, strict=True)
        )
        assert len(made) == 1
        assert kinds(failed) == {PhoneTaken}
        assert await people.db.run(UserDao.all().count()) == 1


# Passwords


def sign_in(login: str, password: str = PASSWORD, device: str = "phone") -> SignInRequest:
    return SignInRequest(login=login, password=password, device_info=DeviceInfo(device=device))


@asynchronous
async def test_a_wrong_password_an_unknown_name_and_a_deleted_account_get_one_answer(sql_url: str) -> None:
    async with world(sql_url) as people:
        await people.person("ada_l")
        bob = await people.person("bob_b")
        change = UserDao.update(UserDao.user_id == bob.user_id)
        await people.db.run(change.set(is_deleted=True, level=USER_LEVEL_DELETED_BY_OWNER))
        answers: set[tuple[Code, str, tuple[str, ...]]] = set()
        for request in (
            sign_in("ada_l", "wrong"),
            sign_in("nobody_here"),
            sign_in("+31699999999"),
            sign_in("?!"),
            sign_in("\u212aada_l"),
            sign_in("bob_b"),
        ):
            with pytest.raises(WrongCredentials) as error:
                await people.caller().auth.sign_in(request)
            answers.add((error.value.code, error.value.message, tuple(d.type_name for d in error.value.details)))
        assert len(answers) == 1


@asynchronous
async def test_only_who_has_the_right_password_learns_that_the_account_is_suspended(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        await people.db.run(UserDao.update(UserDao.user_id == ada.user_id).set(is_banned=True))
        await people.db.run(UserDao.update(UserDao.user_id == bob.user_id).set(level=USER_LEVEL_SUSPENDED))
        for person in (ada, bob):
            with pytest.raises(WrongCredentials):
                await people.caller().auth.sign_in(sign_in(person.user_name, "wrong"))
            with pytest.raises(AccountSuspended):
                await people.caller().auth.sign_in(sign_in(person.user_name))
        people.clock.now_ms += RESEND_MS
        ticket = await people.ticket(ada.phone, "phone")
        with pytest.raises(AccountSuspended):
            await people.signs_in_with_ticket(ticket, "phone", ada.phone)


@asynchronous
async def test_wrong_passwords_are_limited_by_login_also_when_they_come_at_once(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        await people.person("ada_l")
        _, failed = await all_at_once(
            people.caller(address=f"203.0.113.{number}").auth.sign_in(sign_in("Ada_L", "wrong", f"device-{number}"))
            for number in range(30)
        )
        assert sum(isinstance(each, WrongCredentials) for each in failed) == 10
        with pytest.raises(RateLimited) as error:  # the right one too
            await people.caller(address="203.0.113.99").auth.sign_in(sign_in("ada_l", device="new"))
        assert error.value.detail.retry_after_ms == 90_000
        people.clock.now_ms += 90_000
        await people.caller().auth.sign_in(sign_in("ada_l"))


@asynchronous
@pytest.mark.parametrize(("most", "device", "address"), [(20, "phone", None), (100, None, "192.0.2.7")])
async def test_wrong_passwords_are_limited_by_device_and_by_address(
    sqlite_url: str, most: int, device: str | None, address: str | None
) -> None:
    async with world(sqlite_url) as people:

        async def attempt(number: int) -> None:
            caller = people.caller(address=address or f"203.0.113.{number}")
            await caller.auth.sign_in(sign_in(f"user_{number}", "wrong", device or f"device-{number}"))

        for number in range(most):
            with pytest.raises(WrongCredentials):
                await attempt(number)
        with pytest.raises(RateLimited):
            await attempt(most)


@asynchronous
async def test_right_passwords_are_not_limited(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        await people.person("ada_l")
        for _ in range(30):
            await people.caller().auth.sign_in(sign_in("ada_l"))


@asynchronous
async def test_a_hash_of_former_parameters_is_renewed_at_the_next_sign_in(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
        await people.db.run(UserDao.update(UserDao.user_id == ada.user_id).set(password_hash=old))
        await people.signs_in(ada, "tablet")
        user = await people.db.run(UserDao.get(ada.user_id))
        assert isinstance(user, User)
        assert not CHEAP.check_needs_rehash(user.password_hash)
        await people.signs_in(ada, "tablet")


@asynchronous
async def test_a_password_that_is_changed_while_it_is_looked_at_opens_nothing(
    sql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        verify = Passwords.verify

        async def late(passwords: Passwords, password_hash: str | None, password: str) -> bool:
            right = await verify(passwords, password_hash, password)
            change = UserDao.update(UserDao.user_id == ada.user_id)
            await people.db.run(change.set(password_hash=CHEAP.hash("another one")))
            return right

        monkeypatch.setattr(Passwords, "verify", late)
        with pytest.raises(WrongCredentials):
            await people.signs_in(ada, "tablet")
        assert await people.db.run(SessionDao.all().count()) == 1


@asynchronous
async def test_an_unknown_user_costs_as_much_work_as_a_wrong_password() -> None:
    class Counting(PasswordHasher):
        seen = 0

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            self.seen += 1
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    assert not await passwords.verify(None, "the password of nobody")
    assert hasher.seen == 1
    assert not await passwords.verify(CHEAP.hash("right"), "wrong")
    assert hasher.seen == 2


@asynchronous
async def test_beyond_the_queue_password_work_is_refused_and_then_taken_again() -> None:
    go_on = threading.Event()
    go_on.set()

    class Waiting(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            assert go_on.wait(30)
            return super().hash(password, salt=salt)

    passwords = Passwords(Waiting(time_cost=1, memory_cost=8, parallelism=1), threads=1, waiting=2)
    go_on.clear()
    taken = [asyncio.create_task(passwords.hash("a password")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RpcError) as error:
        await passwords.hash("a password")
    assert error.value.code is Code.UNAVAILABLE
    go_on.set()
    await asyncio.gather(*taken)
    assert await passwords.verify(await passwords.hash("caf\u00e9"), "cafe\u0301")
