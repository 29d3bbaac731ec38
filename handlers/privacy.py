"""Who sees what: blocks, closed accounts, and the privacy that users choose.

Owners see what is their own. Admins see every open account and its standing posts, archived ones of others not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from generated.proto.sun.v1.enums_pb2 import (
    FOLLOWING_FOLLOWING,
    PRIVACY_ALL,
    PRIVACY_CONTACTS,
    PRIVACY_CONTACTS_AND_FOLLOWED,
    PRIVACY_FOLLOWED,
)
from generated.sql.sun import BlockDao, Post, User, UserRelation, UserRelationDao
from handlers.accounts import is_active
from runtime.rpc.context import Identity
from runtime.sql.database import Runner

_TO_CONTACTS = (PRIVACY_CONTACTS, PRIVACY_CONTACTS_AND_FOLLOWED)
_TO_FOLLOWED = (PRIVACY_FOLLOWED, PRIVACY_CONTACTS_AND_FOLLOWED)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one viewer may see of some users; made by `look` for exactly those. An anonymous viewer has the id 0."""

    viewer_id: int = 0
    is_admin: bool = False
    blocked: frozenset[int] = frozenset()
    relations: Mapping[int, UserRelation] = field(default_factory=dict[int, UserRelation])

    def knows(self, user: User) -> bool:
        """The account exists for the viewer: it is open, and neither has blocked the other."""
        return is_active(user) and (self.is_admin or user.user_id not in self.blocked)

    def sees_profile(self, user: User) -> bool:
        """The user lets the viewer see the profile and the posts."""
        return self.is_admin or self._is_let_in(user.user_id, user.profile_privacy)

    def sees_post(self, post: Post, author: User) -> bool:
        """The post exists for the viewer."""
        if post.user_id == self.viewer_id:
            return True
        if post.is_archived or not self.knows(author) or not self.sees_profile(author):
            return False
        return self.is_admin or self._is_let_in(post.user_id, post.shared_to)

    def _is_let_in(self, owner_id: int, privacy: int) -> bool:
        if privacy == PRIVACY_ALL or owner_id == self.viewer_id:
            return True
        relation = self.relations.get(owner_id)
        if relation is None:
            return False
        if privacy in _TO_CONTACTS and relation.in_contacts:
            return True
        return privacy in _TO_FOLLOWED and relation.following == FOLLOWING_FOLLOWING


async def look(db: Runner, viewer: Identity | None, user_ids: Collection[int]) -> Sight:
    """Read, in three queries at most, what decides on what the viewer sees of these users."""
    if viewer is None:
        return Sight()
    me = viewer.user_id
    others = sorted(set(user_ids) - {me})
    if not others:
        return Sight(me, viewer.is_admin)
    most = len(others)
    by_me = BlockDao.where(BlockDao.user_id == me, BlockDao.blocked_user_id.in_(others)).limit(most)
    of_me = BlockDao.where(BlockDao.user_id.in_(others), BlockDao.blocked_user_id == me).limit(most)
    blocked = {*await db.run(by_me.values(BlockDao.blocked_user_id)), *await db.run(of_me.values(BlockDao.user_id))}
    # From the side of the owner, who decides: the viewer's own row says whom the viewer follows.
    theirs = UserRelationDao.where(UserRelationDao.user_id.in_(others), UserRelationDao.peer_user_id == me)
    relations = {relation.user_id: relation for relation in await db.run(theirs.limit(most))}
    return Sight(me, viewer.is_admin, frozenset(blocked), relations)
