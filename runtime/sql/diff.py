"""How a live store differs from the schema, which is made in a scratch store of the same engine to compare both.

So the engine itself says what a type, a default or a collation comes to, as Skeema does
(https://www.skeema.io/docs/); nothing here knows how an engine spells them. The live store is only read.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.dialects import Dialect
from runtime.sql.queries import Fixed
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.urls import MysqlUrl, SqliteUrl, SqlUrl, parse_url

SCRATCH = "sun_diff_"
"""Names of scratch databases begin with this and eight random characters; a crash may leave them behind."""


class TableShape(NamedTuple):
    """A table as the engine describes it: each column, key and constraint by name, in words of the engine."""

    columns: dict[str, str]
    keys: dict[str, str]
    constraints: dict[str, str]  # foreign keys and CHECKs; on SQLite they are part of the rest
    rest: str  # what none of these say: the comment


Shape = dict[str, TableShape]
"""Tables by `database.table`."""


async def differences(db: Database, url: str, scripts: Mapping[str, str]) -> list[str]:
    """One line for each thing that differs, sorted; none where the store is what the DDL in `scripts` would make.

    `url` is that of `db`. On a server its user must be allowed to create databases. Raises SqlError.
    """
    live = await _shape(db, list(scripts))
    scratch = await connect(_scratch_url(parse_url(url)))
    try:
        try:
            await create(scratch, scripts)
            wanted = await _shape(scratch, list(scripts))
        finally:
            if scratch.dialect.name == "mysql":
                await scratch.create({name: _drop(scratch.dialect, name) for name in scripts})
    finally:
        await scratch.close()
    return compare(live, wanted)


def _scratch_url(place: SqlUrl) -> SqlUrl:
    if isinstance(place, MysqlUrl):
        return replace(place, prefix=f"{SCRATCH}{secrets.token_hex(4)}_", replicas=())
    return SqliteUrl(None)


def _drop(dialect: Dialect, database: str) -> list[str]:
    """The statements that drop a database, also one whose tables those of others refer to."""
    return ["SET foreign_key_checks = 0", f"DROP DATABASE {dialect.identifier(dialect.prefix + database)}"]


def compare(live: Shape, wanted: Shape) -> list[str]:
    """The lines of `differences` for two shapes."""
    found: list[str] = []
    for name in sorted(live.keys() | wanted.keys()):
        has, wants = live.get(name), wanted.get(name)
        if has is None:
            found.append(f"{name}: the table is missing")
        elif wants is None:
            found.append(f"{name}: the table is not in the schema")
        else:
            found += [f"{name}: {line}" for line in _table(has, wants)]
    return found


def _table(has: TableShape, wants: TableShape) -> list[str]:
    found = _named("column", has.columns, wants.columns) + _named("key", has.keys, wants.keys)
    found += _named("constraint", has.constraints, wants.constraints)
    if not found and list(has.columns) != list(wants.columns):
        found.append(f"the columns are in another order: {', '.join(has.columns)}")
    if not found and has.rest != wants.rest:
        found.append(f"is {has.rest!r}, the schema says {wants.rest!r}")
    return found


def _named(kind: str, has: Mapping[str, str], wants: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for name in sorted(has.keys() | wants.keys()):
        if name not in has:
            found.append(f"{kind} {name} is missing: {wants[name]}")
        elif name not in wants:
            found.append(f"{kind} {name} is not in the schema: {has[name]}")
        elif has[name] != wants[name]:
            found.append(f"{kind} {name} is {has[name]}, the schema says {wants[name]}")
    return found


async def _shape(db: Database, databases: Sequence[str]) -> Shape:
    tables, columns, keys, *constraints = _SQLITE if db.dialect.name == "sqlite" else _MYSQL
    prefixed = tuple(db.dialect.prefix + name for name in databases) if db.dialect.name == "mysql" else ()
    shape: Shape = {}
    cut = len(db.dialect.prefix)
    for name, rest in await db.run(Fixed(_statement(tables, len(prefixed)), prefixed)):
        shape[name[cut:]] = TableShape({}, {}, {}, " ".join(str(rest).split()))
    for name, column, words in await db.run(Fixed(_statement(columns, len(prefixed)), prefixed)):
        shape[name[cut:]].columns[column] = " ".join(words.split())
    for name, key, words in await db.run(Fixed(_statement(keys, len(prefixed)), prefixed)):
        shape[name[cut:]].keys[key] = words
    for text in constraints:
        for name, constraint, words in await db.run(Fixed(_statement(text, len(prefixed)), prefixed)):
            plain = words.replace(f" REFERENCES {db.dialect.prefix}", " REFERENCES ", 1)
            shape[name[cut:]].constraints[constraint] = plain
    return {name: table for name, table in shape.items() if name.partition(".")[0] in databases}


def _statement(text: str, databases: int) -> Statement[Rows]:
    def render(dialect: Dialect) -> str:
        return text.replace("{databases}", ", ".join([dialect.placeholder] * databases))

    return Statement("the description of tables", render, _rows)


def _rows(outcome: Outcome, dialect: Dialect) -> Rows:
    return outcome.rows


_MYSQL = (
    """
    SELECT CONCAT(table_schema, '.', table_name), CONCAT(engine, ' ', table_collation, ' ', table_comment)
    FROM information_schema.tables WHERE table_schema IN ({databases}) AND table_type = 'BASE TABLE'
    """,
    """
    SELECT CONCAT(table_schema, '.', table_name), column_name, CONCAT_WS(' ', column_type,
      CONCAT('COLLATE ', collation_name), IF(is_nullable = 'NO', 'NOT NULL', 'NULL'),
      CONCAT('DEFAULT ', column_default), extra, CONCAT('AS ', generation_expression),
      IF(column_comment = '', NULL, CONCAT('COMMENT ', QUOTE(column_comment))))
    FROM information_schema.columns WHERE table_schema IN ({databases})
    ORDER BY table_schema, table_name, ordinal_position
    """,
    """
    SELECT CONCAT(table_schema, '.', table_name), index_name,
      CONCAT(IF(non_unique = 0, 'UNIQUE ', ''), index_type, ' (',
      GROUP_CONCAT(CONCAT(column_name, IFNULL(CONCAT('(', sub_part, ')'), ''), IF(collation = 'D', ' DESC', ''))
      ORDER BY seq_in_index SEPARATOR ', '), ')')
    FROM information_schema.statistics WHERE table_schema IN ({databases})
    GROUP BY table_schema, table_name, index_name, non_unique, index_type
    """,
    """
    SELECT CONCAT(k.table_schema, '.', k.table_name), k.constraint_name, CONCAT('FOREIGN KEY (',
      GROUP_CONCAT(k.column_name ORDER BY k.ordinal_position SEPARATOR ', '), ') REFERENCES ',
      k.referenced_table_schema, '.', k.referenced_table_name, ' (',
      GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position SEPARATOR ', '), ') ON DELETE ',
      r.delete_rule, ' ON UPDATE ', r.update_rule)
    FROM information_schema.key_column_usage AS k JOIN information_schema.referential_constraints AS r
      ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
      AND r.table_name = k.table_name
    WHERE k.table_schema IN ({databases}) AND k.referenced_table_name IS NOT NULL
    GROUP BY k.table_schema, k.table_name, k.constraint_name, k.referenced_table_schema, k.referenced_table_name,
      r.delete_rule, r.update_rule
    """,
    # MySQL does not say whose a CHECK is, since a database has each name once. MariaDB's tables may share a name: each
    # is then described by all of them.
    """
    SELECT CONCAT(t.table_schema, '.', t.table_name), t.constraint_name, CONCAT('CHECK ',
      GROUP_CONCAT(DISTINCT c.check_clause ORDER BY c.check_clause SEPARATOR ' or '))
    FROM information_schema.table_constraints AS t JOIN information_schema.check_constraints AS c
      ON c.constraint_schema = t.constraint_schema AND c.constraint_name = t.constraint_name
    WHERE t.table_schema IN ({databases}) AND t.constraint_type = 'CHECK'
    GROUP BY t.table_schema, t.table_name, t.constraint_name
    """,
)

# What has no columns of its own, sqlite_sequence and such, is left out by its name having no database.
_SQLITE = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'table'",
    """
    SELECT t.name, c.name, c.type || CASE WHEN c."notnull" THEN ' NOT NULL' ELSE ' NULL' END
      || coalesce(' DEFAULT ' || c.dflt_value, '') || CASE WHEN c.hidden > 1 THEN ' GENERATED' ELSE '' END
    FROM sqlite_master AS t JOIN pragma_table_xinfo(t.name) AS c WHERE t.type = 'table' ORDER BY t.name, c.cid
    """,
    """
    SELECT t.name, i.name, CASE WHEN i."unique" THEN 'UNIQUE ' ELSE '' END || '('
      || (SELECT group_concat(coalesce(p.name, 'expression') || CASE WHEN p."desc" THEN ' DESC' ELSE '' END, ', ')
          FROM pragma_index_xinfo(i.name) AS p WHERE p.key) || ')'
    FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS i WHERE t.type = 'table'
    """,
)
