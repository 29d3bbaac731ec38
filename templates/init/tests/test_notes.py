"""The service as a client sees it, on a database in memory.."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from generated.proto.notes.v1.notes_pb2 import AddNoteRequest, ListNotesRequest
from generated.rpc.notes.v1.notes import AuthorUnknown, NoteClient
from runtime.testing import application

PROJECT = Path(__file__).parent.parent


def run(test: Callable[[NoteClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with application(PROJECT) as app:
            await test(NoteClient(app.transport()))

    asyncio.run(main())


def test_a_note_is_read_back_newest_first() -> None:
    async def test(notes: NoteClient) -> None:
        for text in ("one", "two"):
            await notes.add_note(AddNoteRequest(author="ada", text=text))
        page = await notes.list_notes(ListNotesRequest(author="ada"))
        assert [note.text for note in page.notes] == ["two", "one"]

    run(test)


def test_an_author_without_notes_is_an_error_that_names_them() -> None:
    async def test(notes: NoteClient) -> None:
        with pytest.raises(AuthorUnknown) as error:
            await notes.list_notes(ListNotesRequest(author="nobody"))
        assert error.value.detail.author == "nobody"

    run(test)
