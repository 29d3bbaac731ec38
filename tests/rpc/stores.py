"""The framework's own tables in a database, for the tests of what the gateway keeps there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.sql.create import create, missing
from runtime.sql.database import Database, connect

_DDL = Path(__file__).parents[2] / "runtime" / "generated" / "ddl"


@asynccontextmanager
async def store(url: str) -> AsyncIterator[Database]:
    """A database with the framework's tables, which the first to open it makes."""
    db = await connect(url)
    try:
        from runtime.generated.sql import TABLES

        if (await missing(db, TABLES)).tables:
            await create(db, {"sun_runtime": (_DDL / db.dialect.name / "sun_runtime.sql").read_text("utf-8")})
        yield db
    finally:
        await db.close()
