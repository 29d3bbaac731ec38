"""Keyspaces from CQL text, as their generated modules declare them, and clusters that have them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from generators import cql_walker, ir
from generators.artifacts import Target
from generators.cql_parser import parse_keyspace
from generators.diagnostics import Diagnostics
from runtime.cql import described
from runtime.cql.keyspaces import Keyspace, Table, View


def keyspace(text: str, name: str = "shop") -> Keyspace:
    """The KEYSPACE of the generated module of a file with this text."""
    diagnostics = Diagnostics()
    parsed = parse_keyspace(textwrap.dedent(text).encode(), name, f"{name}.cql", diagnostics)
    diagnostics.raise_if_any()
    made = cql_walker.walk(ir.Schema((), (), (), keyspaces=(parsed,)), Target("generated", "schema", {}))
    module: dict[str, Any] = {}
    source = next(each.text for each in made if each.path.endswith("/_schema.py"))
    exec(source, module)  # noqa: S102 - a generated module, which needs no place on a disk
    return module["KEYSPACE"]


def cluster(*keyspaces: Keyspace, centres: Mapping[str, int] | None = None, prefix: str = "") -> described.Cluster:
    """A cluster that has these keyspaces, with copies as the first data centre's one."""
    centres = {"dc1": 1} if centres is None else centres
    copies = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", next(iter(centres)): "1"}
    return described.Cluster({prefix + each.name: _there(each, copies) for each in keyspaces}, centres)


def _there(keyspace: Keyspace, copies: Mapping[str, str]) -> described.Keyspace:
    return described.Keyspace(
        replication=keyspace.replication or copies,
        durable_writes=keyspace.durable_writes,
        types={each.name: each.fields for each in keyspace.types},
        tables={each.name: _table(each) for each in keyspace.tables},
        indexes={
            each.name: described.Index(each.table, each.column, each.target, each.custom, each.options)
            for each in keyspace.indexes
        },
        views={each.name: _view(each) for each in keyspace.views},
    )


def _table(table: Table) -> described.Table:
    columns = {each.name: each for each in table.columns}
    holds = any(each.type == "counter" for each in table.columns)
    options = {"comment": "", "gc_grace_seconds": 864_000, "default_time_to_live": 0} | table.options
    return described.Table(columns, table.partition_key, table.clustering, options, is_counter=holds)


def _view(view: View) -> described.View:
    columns = {each.name: each for each in view.columns}
    selects_all = "SELECT *" in view.cql
    return described.View(
        view.base,
        columns,
        view.partition_key,
        view.clustering,
        view.where,
        selects_all,
        {"comment": "", **view.options},
    )
