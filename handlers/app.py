"""Puts the handlers together: what `sun serve` calls once at start."""

from __future__ import annotations

from handlers.auth import AuthHandler
from handlers.codes import Codes, CodeSender, LogCodeSender
from handlers.general import GeneralHandler
from handlers.passwords import Passwords
from handlers.sessions import SessionAuthenticator, SessionKeeper
from handlers.social import SocialHandler
from handlers.sweeper import Sweeper
from handlers.user import UserHandler
from runtime.app import App, Platform
from runtime.ids import Clock, wall_clock_ms


def build(
    platform: Platform,
    *,
    sender: CodeSender | None = None,
    passwords: Passwords | None = None,
    clock: Clock = wall_clock_ms,
) -> App:
    """The application on a platform.

    Codes go to the log unless there is a sender; tests bring their own clock and cheap hashes.
    """
    db, ids = platform.db, platform.ids
    codes = Codes(db, ids, sender or LogCodeSender(), clock)
    keeper = SessionKeeper(ids, platform.sessions, clock)
    hashes = passwords or Passwords()
    return App(
        services=[
            AuthHandler(db, ids, codes, hashes, keeper, clock),
            GeneralHandler(db),
            UserHandler(db, hashes, keeper, clock),
            SocialHandler(db, ids, clock),
        ],
        authenticator=SessionAuthenticator(db, clock),
        jobs=[Sweeper(db, clock).job],
    )
