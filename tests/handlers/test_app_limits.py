"""The application's own limits: posting, and what configuration makes of it."""

from __future__ import annotations

import pytest

from generated.proto.sun.v1.social_pb2 import AddPostRequest, EditPostRequest
from generated.rpc import METHODS
from generated.rpc.sun.v1.errors import PostNotFound
from runtime.generated.rpc.sun.errors import RateLimited
from tests.handlers.people import asynchronous, world


@asynchronous
async def test_sixty_posts_go_at_once_and_then_one_a_minute(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        for number in range(60):
            await ada.posts(f"post {number}")
        with pytest.raises(RateLimited) as error:
            await ada.call.social.add_post(AddPostRequest(text="one more"))
        assert (error.value.detail.limit, error.value.detail.retry_after_ms) == ("post", 60_000)
        await bob.posts("of somebody else")
        people.clock.now_ms += 60_000
        await ada.posts("after a minute")


@asynchronous
async def test_changes_are_limited_whether_they_succeed_or_not(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        for _ in range(120):
            with pytest.raises(PostNotFound):
                await ada.call.social.edit_post(EditPostRequest(post_id=1, text="new"))
        with pytest.raises(RateLimited):
            await ada.call.social.edit_post(EditPostRequest(post_id=1, text="new"))


@asynchronous
@pytest.mark.parametrize("store", ["off", "sql"])
async def test_limits_are_where_the_configuration_has_them(
    sqlite_url: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUN_LIMIT_STORE", store)
    monkeypatch.setenv("SUN_LIMITS", '{"post": {"tokens": 2}}')
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        await ada.posts("one")
        await ada.posts("two")
        if store == "off":
            await ada.posts("three")
            return
        with pytest.raises(RateLimited) as error:
            await ada.posts("three")
        assert error.value.detail.retry_after_ms == 1_800_000


def test_whatever_writes_for_a_user_is_limited() -> None:
    unlimited = {"sun.v1.AuthService/LogOut", "sun.v1.AuthService/SendConfirmCode"}
    assert {path for path, method in METHODS.items() if method.side_effects and not method.limits} == unlimited
