"""The changes that `sun cql create` makes, a small closed set: each adds something, none takes anything away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from runtime.cql import keyspaces
from runtime.cql.text import quoted


@dataclass(frozen=True, slots=True)
class CreateKeyspace:
    """`place` is its name on the cluster, with the prefix of the URL; every other change is made in it."""

    keyspace: str
    place: str
    replication: Mapping[str, str]
    durable_writes: bool = True

    @property
    def what(self) -> str:
        return f"keyspace {self.keyspace}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}: the keyspace is missing"

    @property
    def cql(self) -> str:
        text = f"CREATE KEYSPACE IF NOT EXISTS {quoted(self.place)} WITH replication = {literal(self.replication)}"
        return text if self.durable_writes else f"{text} AND durable_writes = false"


@dataclass(frozen=True, slots=True)
class CreateType:
    keyspace: str
    type: keyspaces.UserType

    @property
    def what(self) -> str:
        return f"type {self.keyspace}.{self.type.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.type.name}: the type is missing"

    @property
    def cql(self) -> str:
        return self.type.cql


@dataclass(frozen=True, slots=True)
class AddField:
    keyspace: str
    type: str
    field: keyspaces.Field

    @property
    def what(self) -> str:
        return f"field {self.keyspace}.{self.type}.{self.field.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.type}.{self.field.name}: the field is missing, {self.field.type}"

    @property
    def cql(self) -> str:
        return f"ALTER TYPE {quoted(self.type)} ADD {quoted(self.field.name)} {self.field.type}"


@dataclass(frozen=True, slots=True)
class CreateTable:
    keyspace: str
    table: keyspaces.Table

    @property
    def what(self) -> str:
        return f"table {self.keyspace}.{self.table.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.table.name}: the table is missing"

    @property
    def cql(self) -> str:
        return self.table.cql


@dataclass(frozen=True, slots=True)
class AddColumn:
    keyspace: str
    table: str
    column: keyspaces.Column

    @property
    def what(self) -> str:
        return f"column {self.keyspace}.{self.table}.{self.column.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.table}.{self.column.name}: the column is missing, {told(self.column)}"

    @property
    def cql(self) -> str:
        static = " STATIC" if self.column.kind == "static" else ""
        return f"ALTER TABLE {quoted(self.table)} ADD {quoted(self.column.name)} {self.column.type}{static}"


@dataclass(frozen=True, slots=True)
class CreateIndex:
    keyspace: str
    index: keyspaces.Index

    @property
    def what(self) -> str:
        return f"index {self.keyspace}.{self.index.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.index.name}: the index of {self.index.table} is missing"

    @property
    def cql(self) -> str:
        return self.index.cql


@dataclass(frozen=True, slots=True)
class CreateView:
    keyspace: str
    view: keyspaces.View

    @property
    def what(self) -> str:
        return f"view {self.keyspace}.{self.view.name}"

    @property
    def missing(self) -> str:
        return f"{self.keyspace}.{self.view.name}: the view of {self.view.base} is missing"

    @property
    def cql(self) -> str:
        return self.view.cql


Change = CreateKeyspace | CreateType | AddField | CreateTable | AddColumn | CreateIndex | CreateView


def done(change: Change) -> str:
    """What to say of a change that was made."""
    return f"{'added' if isinstance(change, AddField | AddColumn) else 'created'} {change.what}"


def told(column: keyspaces.Column) -> str:
    """A column's type, and that it is static."""
    return f"{column.type} static" if column.kind == "static" else column.type


def literal(value: object) -> str:
    """A constant of an option in CQL."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case Mapping():
            items = cast("Mapping[str, object]", value).items()
            return "{" + ", ".join(f"{literal(name)}: {literal(each)}" for name, each in items) + "}"
        case _:
            return "'" + str(value).replace("'", "''") + "'"
