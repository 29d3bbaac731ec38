"""What a cluster has, read from the rows of its `system_schema`. Compares nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from runtime.cql.keyspaces import Column, ColumnKind, Field

TABLES = ("keyspaces", "types", "tables", "columns", "dropped_columns", "indexes", "views")
"""The tables of `system_schema` that are read."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each of `TABLES`, as `SELECT JSON` tells them."""

_TARGET = re.compile(r"(keys|values|entries|full)\((.*)\)", re.DOTALL)
_SAI = ("sai", "storageattachedindex", "org.apache.cassandra.index.sai.storageattachedindex")
_NO_OPTIONS = frozenset(["keyspace_name", "table_name", "view_name", "id", "flags"])
_NO_INDEX_OPTIONS = frozenset(["target", "class_name"])


@dataclass(frozen=True, slots=True)
class Table:
    """`options` are columns of `system_schema.tables`; `dropped` are columns that it once had."""

    columns: Mapping[str, Column]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    options: Mapping[str, Any]
    is_counter: bool = False
    dropped: Mapping[str, Column] = field(default_factory=dict[str, Column])


@dataclass(frozen=True, slots=True)
class View:
    """A materialized view; one that `selects_all` gets the columns that its base gets."""

    base: str
    columns: Mapping[str, Column]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    where: str
    selects_all: bool
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Index:
    """As `runtime.cql.keyspaces.Index` has it; `custom` of another kind than 'sai' is its class."""

    table: str
    column: str
    target: str
    custom: str | None
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Keyspace:
    replication: Mapping[str, str]
    durable_writes: bool
    types: Mapping[str, tuple[Field, ...]]
    tables: Mapping[str, Table]
    indexes: Mapping[str, Index]
    views: Mapping[str, View]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Keyspaces by their names there; `centres` counts the nodes of each data centre."""

    keyspaces: Mapping[str, Keyspace]
    centres: Mapping[str, int]


def described(rows: Rows, centres: Mapping[str, int]) -> Cluster:
    """What the rows say."""
    names = [row["keyspace_name"] for row in rows["keyspaces"]]
    return Cluster({name: _keyspace(name, rows) for name in names}, centres)


def _keyspace(name: str, rows: Rows) -> Keyspace:
    own = {table: [row for row in rows[table] if row["keyspace_name"] == name] for table in TABLES}
    of_table: dict[str, list[Mapping[str, Any]]] = {}
    for row in own["columns"]:
        of_table.setdefault(row["table_name"], []).append(row)
    dropped: dict[str, list[Mapping[str, Any]]] = {}
    for row in own["dropped_columns"]:
        dropped.setdefault(row["table_name"], []).append(row)
    itself = own["keyspaces"][0]
    return Keyspace(
        replication=itself["replication"],
        durable_writes=itself["durable_writes"],
        types={
            row["type_name"]: tuple(map(Field, row["field_names"] or (), row["field_types"] or ()))
            for row in own["types"]
        },
        tables={
            row["table_name"]: _table(row, of_table.get(row["table_name"], []), dropped.get(row["table_name"], []))
            for row in own["tables"]
        },
        indexes={row["index_name"]: _index(row) for row in own["indexes"]},
        views={row["view_name"]: _view(row, of_table.get(row["view_name"], [])) for row in own["views"]},
    )


def _table(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], dropped: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        columns={each["column_name"]: _column(each) for each in columns},
        partition_key=_of_kind(columns, "partition_key"),
        clustering=_of_kind(columns, "clustering"),
        options=_options(row),
        is_counter="counter" in (row["flags"] or ()),
        dropped={each["column_name"]: _column(each) for each in dropped},
    )


def _view(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> View:
    return View(
        base=row["base_table_name"],
        columns={each["column_name"]: _column(each) for each in columns},
        partition_key=_of_kind(columns, "partition_key"),
        clustering=_of_kind(columns, "clustering"),
        where=row["where_clause"],
        selects_all=row["include_all_columns"],
        options=_options(row),
    )


def _index(row: Mapping[str, Any]) -> Index:
    options: dict[str, str] = row["options"]
    column, target = index_target(options["target"])
    return Index(
        table=row["table_name"],
        column=column,
        target=target,
        custom=_custom(options.get("class_name")) if row["kind"] == "CUSTOM" else None,
        options={name: value for name, value in options.items() if name not in _NO_INDEX_OPTIONS},
    )


def index_target(text: str) -> tuple[str, str]:
    """The column and the target of `values("Tags")`: Cassandra quotes names that are not plain."""
    found = _TARGET.fullmatch(text)
    target, name = (found[1], found[2]) if found is not None else ("", text)
    return (name[1:-1].replace('""', '"') if name.startswith('"') else name), target


def _custom(name: str | None) -> str:
    return "sai" if name is None or name.lower() in _SAI else name


def _column(row: Mapping[str, Any]) -> Column:
    kind = cast("ColumnKind | Literal['partition_key']", row.get("kind") or "regular")
    return Column(
        row["column_name"],
        row["type"],
        "partition" if kind == "partition_key" else kind,
        descending=row.get("clustering_order") == "desc",
    )


def _of_kind(columns: Iterable[Mapping[str, Any]], kind: str) -> tuple[str, ...]:
    own = sorted((row["position"], row["column_name"]) for row in columns if row["kind"] == kind)
    return tuple(name for _, name in own)


def _options(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NO_OPTIONS}
