"""What an account is at the moment, in one place: gone, suspended, an administrator's."""

from __future__ import annotations

from generated.proto.sun.v1.enums_pb2 import USER_LEVEL_ADMIN, USER_LEVEL_DELETED_BY_OWNER, USER_LEVEL_SUSPENDED
from generated.sql.sun import User


def is_gone(user: User) -> bool:
    """Deleted: nobody can sign in to it."""
    return user.is_deleted or user.level == USER_LEVEL_DELETED_BY_OWNER


def is_suspended(user: User) -> bool:
    """Closed by an administrator: its owner is told so, others don't see it."""
    return user.is_banned or user.level == USER_LEVEL_SUSPENDED


def is_active(user: User) -> bool:
    """Neither gone nor suspended."""
    return not is_gone(user) and not is_suspended(user)


def is_admin(user: User) -> bool:
    return user.level == USER_LEVEL_ADMIN
