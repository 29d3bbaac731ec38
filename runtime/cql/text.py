"""The CQL text of a statement's shape, with a `?` for each parameter in the order of `runtime.cql.statements`.

Knows no values. Every name is quoted, so that no list of reserved words is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from runtime.cql.statements import Change, Delete, Insert, Relation, Select, Statement, Term, Update
from runtime.cql.tables import Table


def text(statement: Statement, prefix: str = "") -> str:
    """The statement in CQL 3; `prefix` comes before the keyspace's name."""
    match statement:
        case Select():
            return _select(statement, prefix)
        case Insert():
            return _insert(statement, prefix)
        case Update():
            return _update(statement, prefix)
        case Delete():
            return _delete(statement, prefix)
    assert_never(statement)


def quoted(name: str) -> str:
    """An identifier, its case kept."""
    return '"' + name.replace('"', '""') + '"'


def _select(statement: Select, prefix: str) -> str:
    table = statement.table
    what = ", ".join(map(_term, statement.terms))
    parts = [f"SELECT {'DISTINCT ' if statement.distinct else ''}{what} FROM {_name(table, prefix)}"]
    where = [_relation(relation) for relation in statement.where]
    if statement.tokens:
        token = f"token({', '.join(quoted(column.name) for column in table.partition_key)})"
        where += [f"{token} > ?", f"{token} <= ?"]
    if where:
        parts.append("WHERE " + " AND ".join(where))
    if statement.nearest:
        parts.append(f"ORDER BY {quoted(statement.nearest)} ANN OF ?")
    elif statement.reversed:
        turned = (f"{quoted(column.name)} {'ASC' if column.descending else 'DESC'}" for column in table.clustering)
        parts.append("ORDER BY " + ", ".join(turned))
    if statement.per_partition:
        parts.append("PER PARTITION LIMIT ?")
    if statement.limit:
        parts.append("LIMIT ?")
    if statement.filtering:
        parts.append("ALLOW FILTERING")
    return " ".join(parts)


def _insert(statement: Insert, prefix: str) -> str:
    columns = ", ".join(map(quoted, statement.columns))
    marks = ", ".join("?" for _ in statement.columns)
    unless = " IF NOT EXISTS" if statement.if_not_exists else ""
    using = _using(ttl=statement.ttl, timestamp=statement.timestamp)
    return f"INSERT INTO {_name(statement.table, prefix)} ({columns}) VALUES ({marks}){unless}{using}"


def _update(statement: Update, prefix: str) -> str:
    using = _using(ttl=statement.ttl, timestamp=statement.timestamp)
    changes = ", ".join(map(_change, statement.changes))
    condition = _condition(statement)
    where = _conjunction(statement.where)
    return f"UPDATE {_name(statement.table, prefix)}{using} SET {changes} WHERE {where}{condition}"


def _delete(statement: Delete, prefix: str) -> str:
    using = _using(timestamp=statement.timestamp)
    where = _conjunction(statement.where)
    return f"DELETE FROM {_name(statement.table, prefix)}{using} WHERE {where}{_condition(statement)}"


def _name(table: Table[Any], prefix: str) -> str:
    keyspace, name = table.path
    return f"{quoted(prefix + keyspace)}.{quoted(name)}"


def _term(term: Term) -> str:
    match term.kind:
        case "column":
            return quoted(term.column)
        case "count":
            return "count(*)"
        case "writetime" | "ttl":
            return f"{term.kind}({quoted(term.column)})"


def _conjunction(relations: Sequence[Relation]) -> str:
    return " AND ".join(map(_relation, relations))


def _relation(relation: Relation) -> str:
    column = quoted(relation.columns[0])
    match relation.operator:
        case "in":
            return f"{column} IN ?"
        case "contains":
            return f"{column} CONTAINS ?"
        case "contains key":
            return f"{column} CONTAINS KEY ?"
        case "entry":
            return f"{column}[?] = ?"
        case operator if len(relation.columns) > 1:
            columns = ", ".join(map(quoted, relation.columns))
            marks = ", ".join("?" for _ in relation.columns)
            return f"({columns}) {operator} ({marks})"
        case operator:
            return f"{column} {operator} ?"


def _change(change: Change) -> str:
    column = quoted(change.column)
    match change.operation:
        case "set":
            return f"{column} = ?"
        case "append" | "add" | "increment":
            return f"{column} = {column} + ?"
        case "discard":
            return f"{column} = {column} - ?"
        case "prepend":
            return f"{column} = ? + {column}"
        case "entry" | "item":
            return f"{column}[?] = ?"
        case "field":
            return f"{column}.{quoted(change.field)} = ?"


def _using(*, ttl: bool = False, timestamp: bool = False) -> str:
    said = ["TTL ?"] * ttl + ["TIMESTAMP ?"] * timestamp
    return f" USING {' AND '.join(said)}" if said else ""


def _condition(statement: Update | Delete) -> str:
    if statement.if_exists:
        return " IF EXISTS"
    return f" IF {_conjunction(statement.conditions)}" if statement.conditions else ""
