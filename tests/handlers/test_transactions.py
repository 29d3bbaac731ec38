"""A transaction that met another one runs anew, a few times."""

from __future__ import annotations

import pytest

from generated.sql.sun import Tag, TagDao
from handlers.transactions import TRIES, transact
from runtime.sql.database import Transaction
from runtime.sql.errors import Conflict
from tests.handlers.people import asynchronous, world


@asynchronous
@pytest.mark.parametrize("conflicts", [0, 1, TRIES - 1, TRIES])
async def test_conflicts_are_tried_again_and_leave_nothing(sql_url: str, conflicts: int) -> None:
    runs = 0

    async def work(tx: Transaction) -> str:
        nonlocal runs
        runs += 1
        await tx.run(TagDao.insert(Tag(tag_id=runs, tag_name=f"tag{runs}", created_ms=1)))
        if runs <= conflicts:
            raise Conflict("met another")
        return "done"

    async with world(sql_url) as people:
        if conflicts < TRIES:
            assert await transact(people.db, work) == "done"
            assert await people.db.run(TagDao.all().values(TagDao.tag_id)) == [conflicts + 1]
        else:
            with pytest.raises(Conflict):
                await transact(people.db, work)
            assert await people.db.run(TagDao.all().count()) == 0
        assert runs == min(conflicts + 1, TRIES)
