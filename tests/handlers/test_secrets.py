"""What people keep to themselves is in no log, at any level, whatever they call and however it ends."""

from __future__ import annotations

import contextlib
import json
import logging
from io import StringIO

import pytest

from generated.proto.sun.v1.auth_pb2 import (
    ConfirmCodeRequest,
    DeviceInfo,
    LogOutRequest,
    SendConfirmCodeRequest,
    SignInRequest,
    SignInWithTicketRequest,
)
from generated.proto.sun.v1.user_pb2 import ChangePasswordRequest
from handlers.passwords import Passwords
from runtime.logs import configure_logging
from runtime.rpc.errors import RpcError
from tests.handlers.people import PASSWORD, asynchronous, world

NEW_PASSWORD = "battery staple 9"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_whole_session_leaves_no_secret_in_the_log(style: str, sql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUN_LOG_REQUESTS", "true")
    log = StringIO()
    configure_logging("json" if style == "json" else "console", "debug", log)
    secrets = {PASSWORD, NEW_PASSWORD}

    @asynchronous
    async def session() -> None:
        async with world(sql_url) as all_:
            phone, device = all_.new_phone(), "ada-phone"
            auth = all_.caller().auth
            nonce = (await auth.send_confirm_code(SendConfirmCodeRequest(phone=phone, device=device))).nonce
            code = all_.outbox.last
            secrets.update((phone, nonce, code))
            with pytest.raises(RpcError):
                await auth.confirm_code(ConfirmCodeRequest(nonce=nonce, code="999999", device=device))
            confirm = ConfirmCodeRequest(nonce=nonce, code=code, device=device)
            ticket = (await auth.confirm_code(confirm)).ticket
            signed_up = await auth.sign_up(all_.sign_up_request(ticket, "ada_l", device))
            secrets.update((ticket, signed_up.token))
            ada = all_.caller(signed_up.token)
            change = ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD)
            await ada.user.change_password(change)
            for login in ("ada_l", phone):
                request = SignInRequest(login=login, password=NEW_PASSWORD, device_info=DeviceInfo(device="laptop"))
                secrets.add((await auth.sign_in(request)).token)
            with pytest.raises(RpcError):
                await auth.sign_in(SignInRequest(login=phone, password=PASSWORD, device_info=DeviceInfo(device="x")))
            all_.clock.now_ms += 60_000
            again = await all_.ticket(phone, device)
            secrets.update((again, all_.outbox.last))
            with pytest.raises(RpcError):
                await auth.sign_up(all_.sign_up_request(again, "eve_l", device))
            request = SignInWithTicketRequest(ticket=again, device_info=DeviceInfo(device=device))
            secrets.add((await auth.sign_in_with_ticket(request)).token)
            await ada.auth.log_out(LogOutRequest())
            with contextlib.suppress(RpcError):
                await ada.user.change_password(change)

            # A fault of the server, whose text repeats what it was given.
            def broken(self: Passwords, *given: object) -> None:
                raise RuntimeError(f"no memory to check {given!r}")

            monkeypatch.setattr(Passwords, "verify", broken)
            with pytest.raises(RpcError, match="internal error"):
                await auth.sign_in(
                    SignInRequest(login=phone, password=NEW_PASSWORD, device_info=DeviceInfo(device="laptop"))
                )

    session()
    logging.getLogger().handlers[0].flush()
    text = log.getvalue()
    assert text.count("AuthService/SignIn") >= 6
    assert "no memory to check" in text
    assert "request" in text
    assert len(secrets) >= 10
    found = [secret for secret in secrets if secret in text or json.dumps(secret)[1:-1] in text]
    assert not found
