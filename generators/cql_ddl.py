"""Prints the IR as CQL, one text for each object; what a schema file says beside that, its comments, is not part of it.

Reading is `generators.cql_parser`'s. Where a keyspace may be None, the text is for the one that is in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from generators import ir
from generators.cql_scanner import RESERVED
from generators.cql_types import NATIVE, is_plain_type_name

_NATIVE_NAMES = {found: name for name, found in NATIVE.items()}
# Not reserved, but a SELECT reads them as the start of something else.
_READ_OTHERWISE = frozenset(["cast", "count", "distinct", "json", "maxwritetime", "ttl", "writetime"])


def quoted(name: str) -> str:
    """A name as CQL needs it: in double quotes unless it is a plain one."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in RESERVED | _READ_OTHERWISE:
        return name
    return _in_quotes(name)


def literal(value: ir.Option) -> str:
    """A constant, or a map of texts."""
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value) + "}"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def type_text(found: ir.Type) -> str:
    """A type as `system_schema.columns.type` spells it, but for two things that are always here: what a vector holds is
    frozen, which it is there only if it was written so; and a name that CREATE TYPE needs in quotes has them.
    """
    if isinstance(found, ir.Frozen):
        return f"frozen<{_bare(found.type)}>"
    return f"frozen<{_bare(found)}>" if isinstance(found, ir.Tuple) else _bare(found)


def _bare(found: ir.Type) -> str:
    match found:
        case ir.List(item):
            return f"list<{_inside(item)}>"
        case ir.Set(item):
            return f"set<{_inside(item)}>"
        case ir.Map(key, value):
            return f"map<{_inside(key)}, {_inside(value)}>"
        case ir.Tuple(items):
            return f"tuple<{', '.join(_inside(item) for item in items)}>"
        case ir.Vector(item, size):
            return f"vector<{_inside(item)}, {size}>"
        case ir.UserDefined(name):
            return quoted(name) if is_plain_type_name(name) else _in_quotes(name)
        case _:
            return _NATIVE_NAMES[found]


def _inside(found: ir.Type) -> str:
    whole = isinstance(found, ir.List | ir.Set | ir.Map | ir.Tuple | ir.UserDefined)
    return f"frozen<{_bare(found)}>" if whole else _bare(found)


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def create_keyspace(name: str, replication: Mapping[str, str], *, durable_writes: bool = True) -> str:
    """`replication` is the caller's: `{"class": "NetworkTopologyStrategy", "dc1": "3"}`."""
    text = f"CREATE KEYSPACE IF NOT EXISTS {quoted(name)} WITH replication = {literal(tuple(replication.items()))}"
    return text if durable_writes else f"{text} AND durable_writes = false"


def create_type(keyspace: str | None, made: ir.UserType) -> str:
    lines = [f"{quoted(field.name)} {type_text(field.type)}" for field in made.fields]
    name = _bare(ir.UserDefined(made.name))
    if keyspace is not None:
        name = f"{quoted(keyspace)}.{name}"
    return f"CREATE TYPE IF NOT EXISTS {name} {_body(lines)}"


def create_table(keyspace: str | None, table: ir.CqlTable) -> str:
    """The table without its indexes."""
    lines = [_column(column) for column in table.columns]
    lines.append(_key(table.partition_key, table.clustering))
    text = f"CREATE TABLE IF NOT EXISTS {_qualified(keyspace, table.name)} {_body(lines)}"
    return text + _with(table.columns, table.clustering, table.options, table.comment)


def create_index(keyspace: str | None, table: str, index: ir.CqlIndex) -> str:
    column = quoted(index.column)
    target = f"{index.target}({column})" if index.target else column
    custom = "CUSTOM " if index.custom is not None else ""
    text = f"CREATE {custom}INDEX IF NOT EXISTS {quoted(index.name)} ON {_qualified(keyspace, table)} ({target})"
    if index.custom is not None:
        text += f" USING {literal(index.custom)}"
    return f"{text} WITH OPTIONS = {literal(index.options)}" if index.options else text


def create_view(keyspace: str | None, view: ir.CqlView) -> str:
    selected = "*" if view.selects_all else ", ".join(quoted(column.name) for column in view.columns)
    lines = [
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {_qualified(keyspace, view.name)} AS",
        f"  SELECT {selected}",
        f"  FROM {_qualified(keyspace, view.base)}",
        f"  WHERE {where(view)}",
        f"  {_key(view.partition_key, view.clustering)}",
    ]
    return "\n".join(lines) + _with(view.columns, view.clustering, view.options, view.comment, always=True)


def where(view: ir.CqlView) -> str:
    """The conditions of a view."""
    conditions = [f"{quoted(name)} IS NOT NULL" for name in view.not_null]
    conditions += [f"{quoted(name)} {operator} {value}" for name, operator, value in view.filters]
    return " AND ".join(conditions)


def stated(options: Iterable[tuple[str, ir.Option]], comment: str = "") -> dict[str, ir.Option | dict[str, str]]:
    """The options that a schema states, and the comment among them, with dicts for maps."""
    found: dict[str, ir.Option | dict[str, str]] = {
        name: dict(value) if isinstance(value, tuple) else value for name, value in options
    }
    return found | {"comment": comment} if comment else found


def statements(keyspace: ir.Keyspace) -> Iterator[str]:
    """Everything in a keyspace but itself, each after what it is made of."""
    for made in keyspace.types:
        yield create_type(keyspace.name, made)
    for table in keyspace.tables:
        yield create_table(keyspace.name, table)
        for index in table.indexes:
            yield create_index(keyspace.name, table.name, index)
    for view in keyspace.views:
        yield create_view(keyspace.name, view)


def _qualified(keyspace: str | None, name: str) -> str:
    return quoted(name) if keyspace is None else f"{quoted(keyspace)}.{quoted(name)}"


def _body(lines: Iterable[str]) -> str:
    text = ",\n".join(f"  {line}" for line in lines)
    return f"(\n{text}\n)"


def _column(column: ir.CqlColumn) -> str:
    text = f"{quoted(column.name)} {type_text(column.type)}"
    return f"{text} STATIC" if column.kind == "static" else text


def _key(partition: Sequence[str], clustering: Sequence[str]) -> str:
    first = ", ".join(quoted(name) for name in partition)
    parts = [f"({first})" if len(partition) > 1 else first, *(quoted(name) for name in clustering)]
    return f"PRIMARY KEY ({', '.join(parts)})"


def _with(
    columns: Iterable[ir.CqlColumn],
    clustering: Sequence[str],
    options: Iterable[tuple[str, ir.Option]],
    comment: str,
    *,
    always: bool = False,
) -> str:
    """The options. A view's order is `always` said, for it would be that of its base."""
    descending = {column.name for column in columns if column.descending}
    parts: list[str] = []
    if descending or (always and clustering):
        order = (f"{quoted(name)} {'DESC' if name in descending else 'ASC'}" for name in clustering)
        parts.append(f"CLUSTERING ORDER BY ({', '.join(order)})")
    parts += [f"{name} = {literal(value)}" for name, value in options]
    if comment:
        parts.append(f"comment = {literal(comment)}")
    return " WITH " + "\n  AND ".join(parts) if parts else ""
