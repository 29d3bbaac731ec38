"""Puts the handlers together: what `sun serve` calls once at start."""

from __future__ import annotations

from handlers.notes import NoteHandler
from runtime.app import App, Platform


def build(platform: Platform) -> App:
    return App(services=[NoteHandler(platform.db, platform.ids)])
