"""What `sun db diff` says: the same store against changed DDL, on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from generators import ir
from generators.diagnostics import Diagnostics
from generators.sql_ddl import ddl
from generators.sql_parser import parse_database
from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.diff import SCRATCH, differences
from runtime.sql.errors import SqlError
from tests.sql.test_engines_mysql import raw

SCHEMA = """
CREATE TABLE post (
  post_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  text    VARCHAR(100) NOT NULL DEFAULT 'x',
  likes   INT DEFAULT NULL COMMENT 'How many.',
  made    TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (post_id),
  UNIQUE KEY post_by_text (text),
  KEY post_by_user (user_id, post_id)
) COMMENT='A post.';
CREATE TABLE tag (tag_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL);
"""


def database(text: str) -> ir.Database:
    diagnostics = Diagnostics()
    found = parse_database(text.encode(), "app", "app.sql", diagnostics)
    diagnostics.raise_if_any()
    return found


@pytest.fixture
def difference(sql_url: str) -> Callable[[str, str], list[str]]:
    """The lines for a store made of one schema, held against another."""

    def lines(live: str, wanted: str) -> list[str]:
        async def main() -> list[str]:
            db = await connect(sql_url)
            dialect = "sqlite" if db.dialect.name == "sqlite" else "mysql"
            try:
                await create(db, {"app": ddl(database(live), dialect)})
                return await differences(db, sql_url, {"app": ddl(database(wanted), dialect)})
            finally:
                await db.close()

        return asyncio.run(main())

    return lines


Difference = Callable[[str, str], list[str]]


def test_what_was_created_does_not_differ(difference: Difference) -> None:
    assert difference(SCHEMA, SCHEMA) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  likes   INT DEFAULT NULL COMMENT 'How many.',\n", "", "app.post: column likes is not in the schema: int"),
        ("text    VARCHAR", "mood INT NOT NULL DEFAULT 3,\n text VARCHAR", "app.post: column mood is missing: int"),
        ("INT DEFAULT NULL", "BIGINT UNSIGNED DEFAULT NULL", "app.post: "),
        ("INT DEFAULT NULL", "INT NOT NULL DEFAULT 0", "app.post: column likes is int"),
        ("DEFAULT 'x'", "DEFAULT 'y'", "app.post: column text is "),
        ("VARCHAR(100)", "VARCHAR(101)", "app.post: "),
        ("UNIQUE KEY post_by_text", "KEY post_by_text", "post_by_text is UNIQUE "),
        ("  UNIQUE KEY post_by_text (text),\n", "", "post_by_text is not in the schema: UNIQUE "),
        ("KEY post_by_user (user_id, post_id)", "KEY post_by_user (user_id, likes, post_id)", "post_by_user is "),
        ("CREATE TABLE tag", "CREATE TABLE label", "app.label: the table is missing"),
    ],
)
def test_each_difference_is_named(difference: Difference, old: str, new: str, words: str) -> None:
    assert old in SCHEMA
    lines = difference(SCHEMA, SCHEMA.replace(old, new))
    assert any(words.lower() in line.lower() for line in lines), lines


def test_a_table_that_the_schema_does_not_have_is_named(difference: Difference) -> None:
    without = SCHEMA[: SCHEMA.index("CREATE TABLE tag")]
    assert difference(SCHEMA, without) == ["app.tag: the table is not in the schema"]


def test_columns_in_another_order_are_named(difference: Difference) -> None:
    moved = SCHEMA.replace("  user_id BIGINT NOT NULL,\n", "").replace("  made ", "  user_id BIGINT NOT NULL,\n  made ")
    (line,) = difference(SCHEMA, moved)
    assert line == "app.post: the columns are in another order: post_id, user_id, text, likes, made"


@pytest.mark.mariadb
def test_the_scratch_databases_are_gone_afterwards_even_after_a_failure(mariadb_url: str) -> None:
    async def main() -> None:
        db: Database = await connect(mariadb_url)
        try:
            with pytest.raises(SqlError):
                await differences(db, mariadb_url, {"app": "CREATE TABLE broken (;\n"})
            left = f"SELECT COUNT(*) FROM information_schema.schemata WHERE LEFT(schema_name, 9) = '{SCRATCH}'"
            assert await db.run(raw(left)) == 0
        finally:
            await db.close()

    asyncio.run(main())


def test_the_applications_own_schema_does_not_differ_from_itself(sql_url: str) -> None:
    folder = Path(__file__).parents[2] / "generated" / "ddl"

    async def main() -> list[str]:
        db = await connect(sql_url)
        try:
            scripts = {file.stem: file.read_text("utf-8") for file in (folder / db.dialect.name).glob("*.sql")}
            await create(db, scripts)
            return await differences(db, sql_url, scripts)
        finally:
            await db.close()

    assert asyncio.run(main()) == []
