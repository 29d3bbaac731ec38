"""Every method of the schema by every kind of caller. A method without a row in the table fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from google.protobuf.message import Message

from generated.proto.sun.v1 import auth_pb2 as auth
from generated.proto.sun.v1 import general_pb2 as general
from generated.proto.sun.v1 import social_pb2 as social
from generated.proto.sun.v1 import user_pb2 as user
from generated.proto.sun.v1.enums_pb2 import PRIVACY_NOBODY
from generated.rpc import METHODS
from generated.sql.sun import SessionDao
from runtime.rpc.errors import RpcError
from runtime.rpc.service import Callers
from tests.handlers.people import PASSWORD, Person, World, asynchronous, world

KINDS = ("anonymous", "unknown", "expired", "other", "owner")
"""Without a token; with one of nobody; with one whose time is over; signed in as another; signed in as the owner."""


class Scene(NamedTuple):
    """A world, the user whom the request is about, and the number of that user's post."""

    people: World
    owner: Person
    post_id: int


Request = Callable[[Scene], Awaitable[Message]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A request that succeeds for its owner; what those without a session and other users get."""

    request: Request
    without: str
    other: str


def says(make: Callable[[Scene], Message]) -> Request:
    async def request(scene: Scene) -> Message:
        return make(scene)

    return request


def anyone(request: Request) -> Row:
    return Row(request, without="ok", other="ok")


def every_user(request: Request) -> Row:
    """What it does it does to the caller, so it works for others as for the owner."""
    return Row(request, without="unauthenticated", other="ok")


def owner_only(request: Request, other: str) -> Row:
    return Row(request, without="unauthenticated", other=other)


async def _confirm_code(scene: Scene) -> Message:
    nonce = await scene.people.nonce(scene.people.new_phone(), "new")
    return auth.ConfirmCodeRequest(nonce=nonce, code=scene.people.outbox.last, device="new")


async def _sign_up(scene: Scene) -> Message:
    ticket = await scene.people.ticket(scene.people.new_phone(), "new")
    return scene.people.sign_up_request(ticket, "new_user", "new")


async def _sign_in_with_ticket(scene: Scene) -> Message:
    scene.people.clock.now_ms += 60_000
    ticket = await scene.people.ticket(scene.owner.phone, "new")
    return auth.SignInWithTicketRequest(ticket=ticket, device_info=auth.DeviceInfo(device="new"))


DEVICE = auth.DeviceInfo(device="new")

TABLE = {
    "sun.v1.AuthService/SendConfirmCode": anyone(
        says(lambda scene: auth.SendConfirmCodeRequest(phone=scene.people.new_phone(), device="new"))
    ),
    "sun.v1.AuthService/ConfirmCode": anyone(_confirm_code),
    "sun.v1.AuthService/SignUp": anyone(_sign_up),
    "sun.v1.AuthService/SignIn": anyone(
        says(lambda scene: auth.SignInRequest(login=scene.owner.user_name, password=PASSWORD, device_info=DEVICE))
    ),
    "sun.v1.AuthService/SignInWithTicket": anyone(_sign_in_with_ticket),
    "sun.v1.AuthService/LogOut": every_user(says(lambda _: auth.LogOutRequest())),
    "sun.v1.AuthService/ListSessions": every_user(says(lambda _: auth.ListSessionsRequest())),
    "sun.v1.AuthService/RevokeSession": owner_only(
        says(lambda scene: auth.RevokeSessionRequest(session_id=scene.owner.session_id)), other="not_found"
    ),
    "sun.v1.GeneralService/Echo": anyone(says(lambda _: general.EchoRequest(text="hi"))),
    "sun.v1.GeneralService/CheckUserName": anyone(says(lambda _: general.CheckUserNameRequest(user_name="free_name"))),
    "sun.v1.UserService/GetProfile": anyone(says(lambda scene: user.GetProfileRequest(user_id=scene.owner.user_id))),
    "sun.v1.UserService/GetOwnProfile": every_user(says(lambda _: user.GetOwnProfileRequest())),
    "sun.v1.UserService/UpdateProfile": every_user(says(lambda _: user.UpdateProfileRequest(about="hi"))),
    "sun.v1.UserService/UpdateUserName": every_user(says(lambda _: user.UpdateUserNameRequest(user_name="new_name"))),
    "sun.v1.UserService/ChangePrivacy": every_user(says(lambda _: user.ChangePrivacyRequest(call=PRIVACY_NOBODY))),
    "sun.v1.UserService/ChangePassword": every_user(
        says(lambda _: user.ChangePasswordRequest(current_password=PASSWORD, new_password="battery staple"))
    ),
    "sun.v1.SocialService/AddPost": every_user(says(lambda _: social.AddPostRequest(text="hi"))),
    "sun.v1.SocialService/EditPost": owner_only(
        says(lambda scene: social.EditPostRequest(post_id=scene.post_id, text="new")), other="permission_denied"
    ),
    "sun.v1.SocialService/DeletePost": owner_only(
        says(lambda scene: social.DeletePostRequest(post_id=scene.post_id)), other="permission_denied"
    ),
    "sun.v1.SocialService/ArchivePost": owner_only(
        says(lambda scene: social.ArchivePostRequest(post_id=scene.post_id, archived=True)), other="permission_denied"
    ),
    "sun.v1.SocialService/GetPost": anyone(says(lambda scene: social.GetPostRequest(post_id=scene.post_id))),
    "sun.v1.SocialService/ListUserPosts": anyone(
        says(lambda scene: social.ListUserPostsRequest(user_id=scene.owner.user_id))
    ),
    "sun.v1.SocialService/ListNewestPosts": anyone(says(lambda _: social.ListNewestPostsRequest())),
}


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    assert sorted(TABLE) == sorted(METHODS)


@pytest.mark.parametrize("path", sorted(METHODS))
def test_the_row_says_what_the_schema_says(path: str) -> None:
    row, callers = TABLE[path], METHODS[path].callers
    assert (row.without == "ok") == (callers is Callers.ANYONE)
    assert (row.other == "ok") == (callers in (Callers.ANYONE, Callers.USER))


@asynchronous
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", sorted(METHODS))
async def test_a_caller_gets_what_the_table_says(sqlite_url: str, path: str, kind: str) -> None:
    row = TABLE[path]
    async with world(sqlite_url) as people:
        owner, other = await people.person("owner_o"), await people.person("other_o")
        scene = Scene(people, owner, (await owner.posts("a post")).post_id)
        request = await row.request(scene)
        tokens = {"owner": owner.token, "other": other.token, "anonymous": "", "unknown": owner.token[::-1]}
        if kind == "expired":
            over = SessionDao.update(SessionDao.session_id == owner.session_id).set(expires_ms=people.clock.now_ms)
            await people.db.run(over)
            tokens["expired"] = owner.token
        expected = {"owner": "ok", "other": row.other}.get(kind, row.without)
        try:
            await people.app.transport(tokens[kind]).call(METHODS[path], request, None)
        except RpcError as error:
            got = error.code.text
        else:
            got = "ok"
        assert got == expected
