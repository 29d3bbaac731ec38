"""Profiles: what users tell of themselves, to whom, and the names they may have."""

from __future__ import annotations

import asyncio

import pytest

from generated.proto.sun.v1.enums_pb2 import (
    FOLLOWING_FOLLOWING,
    FOLLOWING_REQUESTED,
    PRIVACY_ALL,
    PRIVACY_CONTACTS,
    PRIVACY_CONTACTS_AND_FOLLOWED,
    PRIVACY_FOLLOWED,
    PRIVACY_NOBODY,
    USER_LEVEL_ADMIN,
    USER_NAME_STATUS_AVAILABLE,
    USER_NAME_STATUS_RESERVED,
    USER_NAME_STATUS_TAKEN,
    Privacy,
)
from generated.proto.sun.v1.general_pb2 import CheckUserNameRequest
from generated.proto.sun.v1.user_pb2 import (
    ChangePrivacyRequest,
    GetOwnProfileRequest,
    GetProfileRequest,
    UpdateProfileRequest,
    UpdateUserNameRequest,
)
from generated.proto.sun.v1.views_pb2 import ProfileView
from generated.rpc.sun.v1.errors import UserNameInvalid, UserNameTaken, UserNotFound
from generated.sql.sun import Block, BlockDao, UserDao, UserRelation, UserRelationDao
from runtime.generated.rpc.sun.errors import BadRequest
from tests.handlers.people import Caller, Person, World, asynchronous, world


async def seen_by(caller: Caller, person: Person) -> ProfileView:
    return (await caller.user.get_profile(GetProfileRequest(user_id=person.user_id))).profile


async def hides_from_all_but(person: Person, privacy: Privacy) -> None:
    await person.call.user.change_privacy(ChangePrivacyRequest(profile=privacy))


async def blocks(people: World, blocker: Person, blocked: Person) -> None:
    row = Block(
        block_id=people.app.platform.ids.next(),
        user_id=blocker.user_id,
        blocked_user_id=blocked.user_id,
        created_ms=people.clock.now_ms,
    )
    await people.db.run(BlockDao.insert(row))


@asynchronous
async def test_a_profile_is_found_by_id_and_by_name_in_any_case(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("Ada_L")
        by_id = await seen_by(people.caller(), ada)
        by_name = await people.caller().user.get_profile(GetProfileRequest(user_name="aDA_l"))
        assert by_name.profile == by_id
        assert (by_id.user.user_name, by_id.is_private, by_id.created_ms) == ("Ada_L", False, people.clock.now_ms)
        for request in (
            GetProfileRequest(),
            GetProfileRequest(user_id=1),
            GetProfileRequest(user_name="Ada_L "),
            GetProfileRequest(user_name="\u212aada"),
        ):
            with pytest.raises(UserNotFound):
                await people.caller().user.get_profile(request)


@asynchronous
async def test_what_is_not_set_stays_as_it_is(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        change = UpdateProfileRequest(first_name=" \u0130da ", last_name="Love\nlace", about="Wrote  programs.\n")
        await ada.call.user.update_profile(change)
        people.clock.now_ms += 1
        profile = (await ada.call.user.update_profile(UpdateProfileRequest(last_name=""))).profile.profile
        assert (profile.user.first_name, profile.user.last_name, profile.about) == (
            "\u0130da",
            "",
            "Wrote  programs.\n",
        )
        row = await people.db.run(UserDao.get(ada.user_id))
        assert row is not None
        assert (row.first_name_lower, row.last_name_lower, row.version_ms) == ("i\u0307da", "", people.clock.now_ms)
        with pytest.raises(BadRequest):
            await ada.call.user.update_profile(UpdateProfileRequest(first_name="  "))


@asynchronous
async def test_a_user_name_changes_and_the_former_one_is_free(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        changed = await ada.call.user.update_user_name(UpdateUserNameRequest(user_name="Countess"))
        assert changed.profile.profile.user.user_name == "Countess"
        await ada.call.user.update_user_name(UpdateUserNameRequest(user_name="COUNTESS"))
        with pytest.raises(UserNameTaken):
            await bob.call.user.update_user_name(UpdateUserNameRequest(user_name="countess"))
        with pytest.raises(UserNameInvalid) as error:
            await bob.call.user.update_user_name(UpdateUserNameRequest(user_name="Ad_Min"))
        assert error.value.detail.status == USER_NAME_STATUS_RESERVED
        await bob.call.user.update_user_name(UpdateUserNameRequest(user_name="Ada_L"))


@asynchronous
async def test_of_those_who_want_one_name_at_once_one_gets_it(sql_url: str) -> None:
    async with world(sql_url) as people:
        everybody = [await people.person(f"user_{number}") for number in range(6)]
        results = await asyncio.gather(
            *(each.call.user.update_user_name(UpdateUserNameRequest(user_name="wanted")) for each in everybody),
            return_exceptions=True,
        )
        assert [type(each) for each in results if isinstance(each, Exception)] == [UserNameTaken] * 5


@asynchronous
async def test_a_client_can_ask_whether_a_name_is_free(sql_url: str) -> None:
    async with world(sql_url) as people:
        await people.person("Ada_L")
        for name, status in (
            ("ada_L", USER_NAME_STATUS_TAKEN),
            ("ada_l2", USER_NAME_STATUS_AVAILABLE),
            ("Support", USER_NAME_STATUS_RESERVED),
        ):
            reply = await people.caller().general.check_user_name(CheckUserNameRequest(user_name=name))
            assert (reply.available, reply.status) == (status == USER_NAME_STATUS_AVAILABLE, status)


@asynchronous
async def test_privacy_changes_where_it_is_specified(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada = await people.person("ada_l")
        request = ChangePrivacyRequest(online=PRIVACY_NOBODY, seen=PRIVACY_CONTACTS)
        await ada.call.user.change_privacy(request)
        await ada.call.user.change_privacy(ChangePrivacyRequest(call=PRIVACY_FOLLOWED, group=PRIVACY_NOBODY))
        await ada.call.user.change_privacy(ChangePrivacyRequest())
        privacy = (await ada.call.user.get_own_profile(GetOwnProfileRequest())).profile.privacy
        settings = (privacy.profile, privacy.online, privacy.call, privacy.group, privacy.seen)
        assert settings == (PRIVACY_ALL, PRIVACY_NOBODY, PRIVACY_FOLLOWED, PRIVACY_NOBODY, PRIVACY_CONTACTS)


@asynchronous
@pytest.mark.parametrize(
    ("privacy", "let_in"),
    [
        (PRIVACY_ALL, {"anonymous", "stranger", "contact", "followed", "requested", "follower"}),
        (PRIVACY_NOBODY, set[str]()),
        (PRIVACY_CONTACTS, {"contact"}),
        (PRIVACY_FOLLOWED, {"followed"}),
        (PRIVACY_CONTACTS_AND_FOLLOWED, {"contact", "followed"}),
    ],
)
async def test_a_profile_is_shown_to_whom_its_owner_chose(sqlite_url: str, privacy: Privacy, let_in: set[str]) -> None:
    async with world(sqlite_url) as people:
        ada = await people.person("ada_l")
        await ada.call.user.update_profile(UpdateProfileRequest(about="mine"))
        await hides_from_all_but(ada, privacy)
        viewers = {
            name: await people.person(f"the_{name}") for name in ("stranger", "contact", "followed", "requested")
        }
        follower = viewers["follower"] = await people.person("the_follower")
        me, now_ms = ada.user_id, people.clock.now_ms
        theirs = {name: person.user_id for name, person in viewers.items()}
        for row in (
            UserRelation(user_id=me, peer_user_id=theirs["contact"], updated_ms=now_ms, in_contacts=True),
            UserRelation(me, theirs["followed"], now_ms, following=FOLLOWING_FOLLOWING),
            UserRelation(me, theirs["requested"], now_ms, following=FOLLOWING_REQUESTED),
            # What the viewer does gives no right: to follow, and to have the number, are the owner's to answer.
            UserRelation(follower.user_id, me, now_ms, following=FOLLOWING_FOLLOWING, in_contacts=True),
            UserRelation(me, follower.user_id, now_ms, followed=FOLLOWING_FOLLOWING),
        ):
            await people.db.run(UserRelationDao.insert(row))
        callers = {name: person.call for name, person in viewers.items()} | {"anonymous": people.caller()}
        shown: set[str] = set()
        for name, caller in callers.items():
            profile = await seen_by(caller, ada)
            assert profile.user.user_name == "ada_l"
            assert profile.is_private == (profile.about == "") == (profile.created_ms == 0)
            if not profile.is_private:
                shown.add(name)
        assert shown == let_in
        assert (await seen_by(ada.call, ada)).about == "mine"


@asynchronous
async def test_those_who_block_do_not_exist_for_each_other(sql_url: str) -> None:
    async with world(sql_url) as people:
        ada, bob = await people.person("ada_l"), await people.person("bob_b")
        await blocks(people, ada, bob)
        for viewer, viewed in ((ada, bob), (bob, ada)):
            with pytest.raises(UserNotFound):
                await seen_by(viewer.call, viewed)
            assert await seen_by(people.caller(), viewed)


@asynchronous
async def test_a_closed_account_is_not_found_and_an_admin_sees_private_profiles(sqlite_url: str) -> None:
    async with world(sqlite_url) as people:
        ada, bob, root = await people.person("ada_l"), await people.person("bob_b"), await people.person("operator")
        await people.db.run(UserDao.update(UserDao.user_id == root.user_id).set(level=USER_LEVEL_ADMIN))
        admin = people.caller(root.token)
        await hides_from_all_but(ada, PRIVACY_NOBODY)
        assert not (await seen_by(admin, ada)).is_private
        await people.db.run(UserDao.update(UserDao.user_id == bob.user_id).set(is_banned=True))
        for caller in (people.caller(), ada.call, admin):
            with pytest.raises(UserNotFound):
                await seen_by(caller, bob)
