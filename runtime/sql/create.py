"""Makes the tables that generated DDL describes where they are missing, and says which are.

Changes no table that exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
    prefix = db.dialect.prefix
    await db.create({database: split_statements(prefixed(text, prefix)) for database, text in ddl.items()})


# The database's name in a foreign key to another one. It stands at a line's start, where no string does.
_NAME = "`(?:[^`]|``)*+`"
_ELSEWHERE = re.compile(
    rf"(^ *CONSTRAINT {_NAME} FOREIGN KEY \({_NAME}(?:, {_NAME})*+\) REFERENCES `)(?=[a-z0-9_]+`\.`)", re.MULTILINE
)


def prefixed(ddl: str, prefix: str) -> str:
    """The DDL of a database whose foreign keys to others name them with the prefix."""
    return _ELSEWHERE.sub(lambda match: match[1] + prefix, ddl) if prefix else ddl


class Missing(NamedTuple):
    """What a store lacks: tables as `database.table`, columns of tables that it has as `database.table.column`."""

    tables: list[str]
    columns: list[str]


async def missing(db: Database, tables: Mapping[str, Sequence[str]]) -> Missing:
    """What the store does not have of these tables, `database.table`, and their columns, in order. Raises SqlError."""
    prefix = db.dialect.prefix
    on_server = db.dialect.name == "mysql"
    databases = tuple(sorted({prefix + name.partition(".")[0] for name in tables})) if on_server else ()
    if not tables:
        return Missing([], [])
    existing = await db.run(Fixed(_existing(len(databases)), databases))
    there = {name: columns for name in tables if (columns := existing.get(prefix + name)) is not None}
    return Missing(
        [name for name in tables if name not in there],
        [f"{name}.{column}" for name, has in there.items() for column in tables[name] if column not in has],
    )


def _existing(databases: int) -> Statement[dict[str, set[str]]]:
    def render(dialect: Dialect) -> str:
        if dialect.name == "sqlite":
            columns = "sqlite_master AS tables JOIN pragma_table_xinfo(tables.name) AS columns"
            return f"SELECT tables.name, columns.name FROM {columns} WHERE tables.type = 'table'"
        holes = ", ".join([dialect.placeholder] * databases)
        names = "CONCAT(table_schema, '.', table_name), column_name"
        return f"SELECT {names} FROM information_schema.columns WHERE table_schema IN ({holes})"

    return Statement("the list of tables", render, _columns)


def _columns(outcome: Outcome, dialect: Dialect) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, column in outcome.rows:
        found.setdefault(table, set()).add(column)
    return found
