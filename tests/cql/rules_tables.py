"""Tables for tests of the wide-column store, and how Cassandra makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import msgspec

from runtime import cql
from runtime.cql import types
from runtime.cql.cassandra.engine import CassandraEngine
from runtime.cql.columns import AnyColumn
from runtime.cql.database import SyncDatabase
from runtime.cql.queries import Point, Rows
from runtime.cql.urls import CassandraUrl, parse_url

KEYSPACE = "rules"


class Change(cql.Update[Any]):
    """What generated subclasses offer by kinds of columns, for any of them."""

    __slots__ = ()

    def set(self, **values: Any) -> Self:
        return self._set(values)

    def append(self, **lists: Any) -> Self:
        return self._append(lists)

    def prepend(self, **lists: Any) -> Self:
        return self._prepend(lists)

    def put_at(self, **items: Any) -> Self:
        return self._put_at(items)

    def add(self, **sets: Any) -> Self:
        return self._add(sets)

    def put(self, **maps: Any) -> Self:
        return self._put(maps)

    def discard(self, **parts: Any) -> Self:
        return self._discard(parts)

    def set_fields(self, field: str, values: Mapping[str, Any]) -> Self:
        return self._set_fields(field, values)


class Space:
    """A table and short ways to its queries; rows are plain tuples."""

    def __init__(self, table: cql.Table[Any]) -> None:
        self.table = table
        self.key: cql.Key[Any] = cql.Key(table)
        self.point: Point[Any] = Point(table)
        self.columns: dict[str, AnyColumn[Any, Any]] = {column.name: column for column in table.columns}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name]
        except KeyError:
            raise AttributeError(name) from None

    def row(self, *values: Any, **named: Any) -> Any:
        return self.table.row(*values, **named)

    def insert(self, *values: Any, ttl: int | None = None, timestamp: int | None = None, **named: Any) -> Any:
        return cql.Insert(self.table, self.row(*values, **named), ttl, timestamp)

    def update(self, *key: Any) -> Change:
        return Change(self.key.row, key)

    def update_static(self, *key: Any) -> Change:
        return Change(self.key.partition, key)

    def get(self, *key: Any) -> Any:
        return self.key.get(*key)

    def slice(self, *values: Any, **bounds: Any) -> cql.Slice[Any]:
        return self.key.slice(values, **bounds)

    def scan(self, tokens: cql.TokenRange | None = None) -> cql.Scan[Any]:
        return cql.Scan(self.table, tokens=tokens)

    def delete(self, *key: Any) -> cql.Delete[Any]:
        return self.key.delete(*key)

    def delete_slice(self, *values: Any, **bounds: Any) -> cql.RangeDelete[Any]:
        return self.key.delete_slice(values, **bounds)

    def delete_partition(self, *values: Any) -> cql.RangeDelete[Any]:
        return self.key.delete_partition(*values)

    def by(self, column: str) -> cql.Lookup[Any]:
        return cql.Lookup(self.table, self.columns[column])


def space(
    name: str,
    partition: Mapping[str, types.CqlType[Any]],
    clustering: Mapping[str, types.CqlType[Any]] | None = None,
    others: Mapping[str, types.CqlType[Any]] | None = None,
    *,
    statics: Mapping[str, types.CqlType[Any]] | None = None,
    descending: tuple[str, ...] = (),
    indexes: Mapping[str, str] | None = None,
    view: cql.View | None = None,
    keyspace: str = KEYSPACE,
    **options: int,
) -> Space:
    """A table; `indexes` are columns with what of them is indexed, `sai` for a storage-attached one."""
    columns: list[AnyColumn[Any, Any]] = []
    for kind, part in (("partition", partition), ("clustering", clustering or {})):
        for column, type in part.items():
            columns.append(cql.KeyColumn(column, type, kind, descending=column in descending))  # pyright: ignore[reportArgumentType]
    for kind, part in (("static", statics or {}), ("regular", others or {})):
        for column, type in part.items():
            made = cql.CollectionColumn if type.is_multi_cell and not _is_user(type) else cql.Column
            columns.append(made(column, type, kind))  # pyright: ignore[reportArgumentType]
    fields: list[Any] = [column.name for column in columns if column.is_key]
    for column in columns[len(fields) :]:
        if isinstance(column, cql.CollectionColumn):
            fields.append((column.name, Any, msgspec.field(default_factory=cast("Any", column.empty))))
        else:
            fields.append((column.name, Any, None))
    row: Any = msgspec.defstruct(name.title(), fields, bases=(cql.Row,), frozen=True)
    by_name = {column.name: column for column in columns}
    made_indexes = [
        cql.Index(
            f"{name}_{column}_{target}",
            by_name[column],
            "" if target == "sai" else target,  # pyright: ignore[reportArgumentType]
            sai=target == "sai",
        )
        for column, target in (indexes or {}).items()
    ]
    table: cql.Table[Any] = cql.Table(
        keyspace,
        name,
        row,
        columns,
        partition_key=[column for column in columns if column.kind == "partition"],
        clustering=[column for column in columns if column.kind == "clustering"],
        indexes=made_indexes,
        view=view,
        **options,
    )
    return Space(table)


def _is_user(type: types.CqlType[Any]) -> bool:
    return isinstance(type, types.UserDefined)


def create(db: SyncDatabase, url: str, *spaces: Space) -> None:
    """Make the tables on Cassandra; the embedded store makes them at their first use."""
    if not isinstance(db.engine, CassandraEngine):
        return
    parsed = parse_url(url)
    assert isinstance(parsed, CassandraUrl)
    keyspace = f"{parsed.prefix}{KEYSPACE}"
    options = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    statements = [f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {options}"]
    for each in spaces:
        statements += _ddl(keyspace, each.table)
    with db.engine.schema() as schema:
        for statement in statements:
            schema.run(statement, None)


def _ddl(keyspace: str, table: cql.Table[Any]) -> list[str]:
    name = f"{keyspace}.{table.path[1]}"
    statements: list[str] = []
    for column in table.columns:
        if isinstance(column.type, types.UserDefined):
            fields = ", ".join(f"{field} {type.text}" for field, type in column.type.fields)
            statements.append(f"CREATE TYPE IF NOT EXISTS {keyspace}.{column.type.name} ({fields})")
    key = f"PRIMARY KEY (({', '.join(column.name for column in table.partition_key)})"
    key += "".join(f", {column.name}" for column in table.clustering) + ")"
    order = ", ".join(f"{column.name} {'DESC' if column.descending else 'ASC'}" for column in table.clustering)
    options = [f"default_time_to_live = {table.default_time_to_live}", f"gc_grace_seconds = {table.gc_grace_seconds}"]
    options += [f"CLUSTERING ORDER BY ({order})"] * bool(order)
    if table.view is not None:
        base = table.view.base
        where = [f"{column} IS NOT NULL" for column in table.view.not_null]
        where += [f"{column} {operator} {value!r}" for column, operator, value in table.view.filters]
        statements.append(
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} AS SELECT {', '.join(table.names)}"
            f" FROM {keyspace}.{base.path[1]} WHERE {' AND '.join(where)} {key} WITH CLUSTERING ORDER BY ({order})"
        )
        return statements
    columns = ", ".join(
        f"{column.name} {column.type.text}{' static' if column.kind == 'static' else ''}" for column in table.columns
    )
    statements.append(f"CREATE TABLE IF NOT EXISTS {name} ({columns}, {key}) WITH {' AND '.join(options)}")
    for index in table.indexes:
        on = f"{index.target}({index.column.name})" if index.target else index.column.name
        custom, using = ("CUSTOM ", " USING 'StorageAttachedIndex'") if index.sai else ("", "")
        statements.append(f"CREATE {custom}INDEX IF NOT EXISTS {index.name} ON {name} ({on}){using}")
    return statements


def nearest(space: Space, column: str, vector: list[float], limit: int) -> Rows[Any]:
    return space.by(column).nearest(vector, limit)
