"""Makes the tables that generated DDL describes where they are missing, and says which are.

Changes no table that exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtime.sql.database import Database
from runtime.sql.dialects import Dialect
from runtime.sql.queries import Fixed
from runtime.sql.statements import Outcome, Statement


def split_statements(ddl: str) -> list[str]:
    """The statements of a generated DDL file: each ends with a line's last `;`; `--` begins a line of comment."""
    statements: list[str] = []
    lines: list[str] = []
    for line in ddl.splitlines():
        if line.lstrip().startswith("--") or not line.strip():
            continue
        lines.append(line)
        if line.endswith(";"):
            statements.append("\n".join(lines)[:-1])
            lines = []
    if lines:
        statements.append("\n".join(lines))
    return statements


async def create(db: Database, ddl: Mapping[str, str]) -> None:
    """Run the DDL text of each logical database, by its name, in the dialect of `db`.

    The DDL says IF NOT EXISTS, so that a second time changes nothing. On SQLite it is one transaction; MariaDB commits
    each statement, and an interrupted run is ended by running it again. Raises SqlError.
    """
    await db.create({database: split_statements(text) for database, text in ddl.items()})


async def missing_tables(db: Database, tables: Iterable[str]) -> list[str]:
    """Those of the tables, named `database.table`, that the store does not have, in the order given.

    Raises SqlError.
    """
    wanted = list(tables)
    prefix = db.dialect.prefix
    databases = (
        tuple(sorted({prefix + name.partition(".")[0] for name in wanted})) if db.dialect.name == "mysql" else ()
    )
    if not wanted:
        return []
    existing = set(await db.run(Fixed(_existing(len(databases)), databases)))
    return [name for name in wanted if prefix + name not in existing]


def _existing(databases: int) -> Statement[list[str]]:
    def render(dialect: Dialect) -> str:
        if dialect.name == "sqlite":
            return "SELECT name FROM sqlite_master WHERE type = 'table'"
        holes = ", ".join([dialect.placeholder] * databases)
        return f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({holes})"

    return Statement("the list of tables", render, _names)


def _names(outcome: Outcome, dialect: Dialect) -> list[str]:
    rows: list[tuple[Any, ...]] = list(outcome.rows)
    return [".".join(row) for row in rows]
