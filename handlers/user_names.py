"""The rules for user names: what they are made of, which are kept back, and what a user is found by."""

from __future__ import annotations

import re

from generated.proto.sun.v1.enums_pb2 import (
    USER_NAME_STATUS_AVAILABLE,
    USER_NAME_STATUS_BAD_CHARACTERS,
    USER_NAME_STATUS_RESERVED,
    USER_NAME_STATUS_TOO_LONG,
    USER_NAME_STATUS_TOO_SHORT,
    UserNameStatus,
)
from generated.rpc.sun.v1.errors import UserNameInvalid

SHORTEST, LONGEST = 4, 32

_ALLOWED = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# Names that could pass for the service itself, however they are broken up by underscores.
RESERVED = frozenset(
    """
    abuse account accounts admin administrator admins anonymous backup billing contact deleted developer everybody
    everyone help helpdesk helpcenter hostmaster info legal login logout mail media mention mentions moderator
    moderators news nobody noreply notification notifications null official payment payments police postmaster press
    privacy profile register root security service session settings signin signup staff status suggestion sunadmin
    sunapp sunhelp sunofficial sunsecurity sunstaff sunsupport sunteam superuser support sysadmin system team terms
    test undefined unknown user users webmaster
    """.split()
)


def status_of(user_name: str) -> UserNameStatus:
    """AVAILABLE for a name that keeps the rules, whether somebody has it or not; else the first rule it breaks."""
    if len(user_name) < SHORTEST:
        return USER_NAME_STATUS_TOO_SHORT
    if len(user_name) > LONGEST:
        return USER_NAME_STATUS_TOO_LONG
    if not _ALLOWED.fullmatch(user_name):
        return USER_NAME_STATUS_BAD_CHARACTERS
    if user_name.lower().replace("_", "") in RESERVED:
        return USER_NAME_STATUS_RESERVED
    return USER_NAME_STATUS_AVAILABLE


def check(user_name: str) -> None:
    """Raises UserNameInvalid for a name that breaks a rule."""
    status = status_of(user_name)
    if status != USER_NAME_STATUS_AVAILABLE:
        raise UserNameInvalid(user_name=user_name, status=status)


def key_of(user_name: str) -> str | None:
    """What a user is found by, whatever the case; None for what nobody can be called."""
    # Before lower(), which makes ASCII letters of some others: the Kelvin sign becomes a k.
    if not _ALLOWED.fullmatch(user_name) or len(user_name) > LONGEST:
        return None
    return user_name.lower()
