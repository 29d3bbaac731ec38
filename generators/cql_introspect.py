"""Writes a keyspace as a `.cql` file from what a cluster says of it in `system_schema`; asks no cluster itself.

What Sun does not read is written all the same, as the cluster has it: the parser then names it and its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from generators.cql_ddl import literal, quoted
from generators.cql_parser import parse_keyspace
from generators.cql_types import is_type_name
from generators.diagnostics import Diagnostics

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""The rows of each table of `system_schema`, as `SELECT JSON` tells them."""

_WORD = re.compile(r'"(?:[^"]|"")*"|\w+')
_TARGET = re.compile(r"(keys|values|entries|full)\((.*)\)", re.DOTALL)
_KINDS = ("partition_key", "clustering", "static", "regular")
# What Cassandra 5.0 gives a table where nothing is said; None is what it keeps of what was never said.
_DEFAULTS: dict[str, Any] = {
    "additional_write_policy": "99p",
    "allow_auto_snapshot": None,
    "bloom_filter_fp_chance": 0.01,
    "caching": {"keys": "ALL", "rows_per_partition": "NONE"},
    "cdc": None,
    "compaction": {"class": "SizeTieredCompactionStrategy"},
    "compression": {"chunk_length_in_kb": "16", "class": "LZ4Compressor"},
    "crc_check_chance": 1.0,
    "default_time_to_live": 0,
    "extensions": {},
    "gc_grace_seconds": 864_000,
    "incremental_backups": None,
    "max_index_interval": 2048,
    "memtable": None,
    "memtable_flush_period_in_ms": 0,
    "min_index_interval": 128,
    "read_repair": "BLOCKING",
    "speculative_retry": "99p",
}
_THRESHOLDS = {"max_threshold": "32", "min_threshold": "4"}
_OWN_CLASSES = re.compile(r"org\.apache\.cassandra\.(?:db\.compaction|io\.compress|locator)\.")


def keyspace_files(rows: Rows, prefix: str = "") -> dict[str, str]:
    """The text of the file of each keyspace whose name begins with the prefix, by its name without that."""
    names = sorted(row["keyspace_name"] for row in rows["keyspaces"])
    shown = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix) and name != prefix}
    return {short: "\n".join(_Writer(name, rows, short).parts()) for name, short in shown.items()}


def check(text: str, name: str, file: str, diagnostics: Diagnostics) -> None:
    """Collect what of a file Sun does not read; `file` is its name in positions."""
    parse_keyspace(text.encode(), name, file, diagnostics)


class _Writer:
    def __init__(self, name: str, rows: Rows, shown: str) -> None:
        self.shown = shown
        self.rows = {table: [row for row in of if row["keyspace_name"] == name] for table, of in rows.items()}
        self.columns: dict[str, list[Row]] = {}
        for row in self.rows["columns"]:
            self.columns.setdefault(row["table_name"], []).append(row)
        for of_table in self.columns.values():
            of_table.sort(key=lambda row: (_KINDS.index(row["kind"]), row["position"], row["column_name"]))

    def parts(self) -> Iterator[str]:
        """Each statement, or comment, with its end of line."""
        yield f"-- Keyspace {self.shown} as a cluster had it, which keeps no order of columns outside of the key."
        yield ""
        yield self._keyspace()
        for row in self._types():
            yield self._type(row)
        for row in sorted(self.rows["tables"], key=lambda row: row["table_name"]):
            yield self._table(row)
            for index in sorted(self.rows["indexes"], key=lambda row: row["index_name"]):
                if index["table_name"] == row["table_name"]:
                    yield self._index(index)
        for row in sorted(self.rows["views"], key=lambda row: row["view_name"]):
            yield self._view(row)

    def _keyspace(self) -> str:
        row = self.rows["keyspaces"][0]
        text = f"CREATE KEYSPACE {quoted(self.shown)}\n  WITH replication = {literal(_pairs(row['replication'], {}))}"
        return text + (";\n" if row["durable_writes"] else "\n  AND durable_writes = false;\n")

    def _types(self) -> list[Row]:
        """The types, each behind those that it is made of."""
        rows = {row["type_name"]: row for row in self.rows["types"]}
        found: dict[str, Row] = {}

        def visit(name: str) -> None:
            for type in rows[name]["field_types"] or ():
                for inner in sorted(_names(type) & rows.keys() - {name}):
                    if inner not in found:
                        visit(inner)
            found.setdefault(name, rows[name])

        for name in sorted(rows):
            visit(name)
        return list(found.values())

    def _type(self, row: Row) -> str:
        fields = zip(row["field_names"] or (), row["field_types"] or (), strict=True)
        body = _aligned((quoted(name), _type(type)) for name, type in fields)
        name = row["type_name"]
        # A word that can be no type's name without quotes is none with them in a type's place either.
        shown = quoted(name) if is_type_name(name) else literal(name).replace("'", '"')
        return f"CREATE TYPE {shown} (\n{body}\n);\n"

    def _table(self, row: Row) -> str:
        columns = self.columns.get(row["table_name"], [])
        body = _aligned((quoted(each["column_name"]), _column(each)) for each in columns)
        options = [*_order(columns, always=False), *_options(row)]
        storage = [] if "compound" in (row["flags"] or ()) else ["COMPACT STORAGE"]
        head = f"CREATE TABLE {quoted(row['table_name'])} (\n{body},\n  {_key(columns)}\n)"
        return head + _with(" ", [*storage, *options])

    def _index(self, row: Row) -> str:
        options: dict[str, str] = row["options"]
        target, column = _target(options["target"])
        held = f"{target}({quoted(column)})" if target else quoted(column)
        where = f"ON {quoted(row['table_name'])} ({held})"
        if row["kind"] != "CUSTOM":
            return f"CREATE INDEX {quoted(row['index_name'])} {where};\n"
        text = f"CREATE CUSTOM INDEX {quoted(row['index_name'])} {where}\n  USING {literal(options['class_name'])}"
        others = tuple((name, value) for name, value in options.items() if name not in ("target", "class_name"))
        return f"{text} WITH OPTIONS = {literal(others)};\n" if others else f"{text};\n"

    def _view(self, row: Row) -> str:
        columns = self.columns.get(row["view_name"], [])
        names = ", ".join(quoted(each["column_name"]) for each in columns)
        lines = [
            f"CREATE MATERIALIZED VIEW {quoted(row['view_name'])} AS",
            f"  SELECT {'*' if row['include_all_columns'] else names}",
            f"  FROM {quoted(row['base_table_name'])}",
            f"  WHERE {row['where_clause']}",
            f"  {_key(columns)}",
        ]
        return "\n".join(lines) + _with("\n  ", [*_order(columns, always=True), *_options(row)])


def _names(type: str) -> set[str]:
    return {word[1:-1].replace('""', '"') if word[0] == '"' else word for word in _WORD.findall(type)}


def _type(text: str) -> str:
    """A type with the words of CQL in capitals, as files under schema/ have them."""
    if text.startswith("'"):
        return text  # a class of Java
    return _WORD.sub(lambda word: word[0] if word[0][0] == '"' or is_type_name(word[0]) else word[0].upper(), text)


def _column(row: Row) -> str:
    return _type(row["type"]) + (" STATIC" if row["kind"] == "static" else "")


def _aligned(pairs: Iterable[tuple[str, str]]) -> str:
    found = list(pairs)
    width = max((len(name) for name, _ in found), default=0)
    return ",\n".join(f"  {name:<{width}} {text}" for name, text in found)


def _key(columns: Sequence[Row]) -> str:
    partition, clustering = (
        [quoted(row["column_name"]) for row in columns if row["kind"] == kind] for kind in _KINDS[:2]
    )
    first = f"({', '.join(partition)})" if len(partition) > 1 else ", ".join(partition)
    return f"PRIMARY KEY ({', '.join([first, *clustering])})"


def _order(columns: Sequence[Row], *, always: bool) -> list[str]:
    clustering = [row for row in columns if row["kind"] == "clustering"]
    if not clustering or not (always or any(row["clustering_order"] == "desc" for row in clustering)):
        return []
    order = ", ".join(f"{quoted(row['column_name'])} {row['clustering_order'].upper()}" for row in clustering)
    return [f"CLUSTERING ORDER BY ({order})"]


def _options(row: Row) -> Iterator[str]:
    """The comment, and what is not as Cassandra has it by itself."""
    if row["comment"]:
        yield f"comment = {literal(row['comment'])}"
    for name, default in _DEFAULTS.items():
        value = row.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            pairs = _pairs(cast("dict[str, Any]", value), _THRESHOLDS if name == "compaction" else {})
            if dict(pairs) != default:
                yield f"{name} = {literal(pairs)}"
        elif value != default:
            yield f"{name} = {literal(value)}"


def _pairs(value: Mapping[str, Any], without: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A map of an option, its class first and without the package where that is Cassandra's own."""
    found = {name: _OWN_CLASSES.sub("", str(each)) for name, each in value.items() if without.get(name) != each}
    return tuple(sorted(found.items(), key=lambda pair: (pair[0] != "class", pair[0])))


def _target(text: str) -> tuple[str, str]:
    """What of a column is indexed, and the column, which Cassandra quotes where it is not plain."""
    found = _TARGET.fullmatch(text)
    target, name = (found[1], found[2]) if found is not None else ("", text)
    return target, name[1:-1].replace('""', '"') if name.startswith('"') else name


def _with(before: str, options: Sequence[str]) -> str:
    return f"{before}WITH " + "\n  AND ".join(options) + ";\n" if options else ";\n"
