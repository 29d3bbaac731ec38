"""NoteService: leave a note, read an author's."""

from __future__ import annotations

import time

from generated.proto.notes.v1.notes_pb2 import (
    AddNoteRequest,
    AddNoteResponse,
    ListNotesRequest,
    ListNotesResponse,
)
from generated.proto.notes.v1.notes_pb2 import Note as NoteView
from generated.rpc.notes.v1.notes import AuthorUnknown, NoteService
from generated.sql.notes import Note, NoteDao
from runtime.ids import IdGenerator
from runtime.rpc.context import Context
from runtime.sql.database import Database


def view(row: Note) -> NoteView:
    return NoteView(note_id=row.note_id, author=row.author, text=row.text, created_ms=row.created_ms)


class NoteHandler(NoteService):
    def __init__(self, db: Database, ids: IdGenerator) -> None:
        self.db = db
        self.ids = ids

    async def add_note(self, request: AddNoteRequest, ctx: Context) -> AddNoteResponse:
        now_ms = time.time_ns() // 1_000_000
        row = Note(note_id=self.ids.next(), author=request.author, text=request.text, created_ms=now_ms)
        await self.db.run(NoteDao.insert(row))
        return AddNoteResponse(note=view(row))

    async def list_notes(self, request: ListNotesRequest, ctx: Context) -> ListNotesResponse:
        before = request.before_note_id or None
        rows = await self.db.run(NoteDao.by_author(request.author, before=before, limit=request.limit or 20))
        if not rows and before is None:
            raise AuthorUnknown(author=request.author)
        return ListNotesResponse(notes=[view(row) for row in rows])
