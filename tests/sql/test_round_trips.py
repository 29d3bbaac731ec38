"""What is written to a column is what is read from it: every type, engine, driver and way of reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.queries import Query
from runtime.sql.sync import SyncDatabase, connect_sync
from tests.examples import drawn
from tests.sql.column_kinds import KINDS, Kind
from tests.sql.compiled import Compiled, compiled


class Both:
    """One store through both drivers."""

    def __init__(self, loop: asyncio.Runner, db: Database, sync: SyncDatabase) -> None:
        self._loop = loop
        self._db = db
        self._sync = sync

    def create(self, schema: Compiled) -> None:
        self._loop.run(create(self._db, schema.ddl[self._db.dialect.name]))

    def writers(self) -> list[Callable[[Query[Any]], Any]]:
        return [lambda query: self._loop.run(self._db.run(query)), self._sync.run]

    def reads(self, select: Any, column: Any) -> list[list[Any]]:
        """The values of a column, in each way of reading it."""
        found = [[row.v for row in run(select)] for run in self.writers()]
        found += [run(select.values(column)) for run in self.writers()]
        found.append([row.v for row in self._sync.stream(select)])
        found.append(self._loop.run(self._streamed(select)))
        return found

    async def _streamed(self, select: Any) -> list[Any]:
        return [row.v async for row in self._db.stream(select)]


@pytest.fixture
def both(sql_url: str) -> Iterator[Both]:
    with asyncio.Runner() as loop:
        db = loop.run(connect(sql_url))
        with connect_sync(sql_url) as sync:
            yield Both(loop, db, sync)
        loop.run(db.close())


@pytest.mark.parametrize("kind", KINDS, ids=[kind.declared for kind in KINDS])
def test_a_value_comes_back_as_it_was_written(both: Both, tmp_path: Path, kind: Kind) -> None:
    schema = compiled(f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v {kind.declared} NULL);", tmp_path)
    both.create(schema)
    dao = schema.daos["t"]

    @drawn(3)
    @given(st.lists(st.none() | kind.anything | kind.few, min_size=10, max_size=90))
    def check(values: list[Any]) -> None:
        rows = [dao.table.row(number, value) for number, value in enumerate(values)]
        ordered = dao.all().order_by(dao.id.asc())
        for write in both.writers():
            write(dao.delete().everywhere())
            write(dao.insert_many(rows[3:]))
            for row in rows[:3]:
                write(dao.insert(row))
            for found in both.reads(ordered, dao.v):
                assert found == values
            for row in rows[:3]:
                write(dao.update(dao.id == row.id).set(v=row.v))
            for found in both.reads(ordered, dao.v):
                assert found == values

    check()
