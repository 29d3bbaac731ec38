"""What a keyspace must have, as values: what `sun cql create` compares with a cluster and makes there.

Types are in CQL's own text, as a cluster tells them in `system_schema`. Each `cql` is the statement that makes the
thing in the keyspace that is in use, if there is none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ColumnKind = Literal["partition", "clustering", "static", "regular"]

Option = str | int | float | bool | dict[str, str]
"""The value of a table's option."""


class Column(msgspec.Struct, frozen=True):
    name: str
    type: str  # map<text, frozen<list<int>>>
    kind: ColumnKind = "regular"
    descending: bool = False  # of a clustering column


class Field(msgspec.Struct, frozen=True):
    name: str
    type: str


class UserType(msgspec.Struct, frozen=True):
    name: str
    fields: tuple[Field, ...]
    cql: str


class Table(msgspec.Struct, frozen=True):
    """`columns` in the order of the schema; the keys name them in their own. `options` are those that the schema says,
    the comment among them.
    """

    name: str
    columns: tuple[Column, ...]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    cql: str
    options: dict[str, Option] = {}


class Index(msgspec.Struct, frozen=True):
    """`target` is what of a collection is indexed: keys, values, entries or full; empty where that is not said."""

    name: str
    table: str
    column: str
    target: str
    custom: str | None  # of CREATE CUSTOM INDEX … USING
    cql: str
    options: dict[str, str] = {}


class View(msgspec.Struct, frozen=True):
    """A materialized view of the table `base`. `where` are its conditions in CQL."""

    name: str
    base: str
    columns: tuple[Column, ...]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    cql: str
    where: str
    options: dict[str, Option] = {}


class Keyspace(msgspec.Struct, frozen=True):
    """Everything stands after what it is made of: types after those in them, then tables, indexes and views.

    `replication` is what the schema says of it, None where that is left to the configuration.
    """

    name: str
    types: tuple[UserType, ...] = ()
    tables: tuple[Table, ...] = ()
    indexes: tuple[Index, ...] = ()
    views: tuple[View, ...] = ()
    replication: dict[str, str] | None = None
    durable_writes: bool = True
