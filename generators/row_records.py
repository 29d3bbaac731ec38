"""What has a message: tables of SQL, tables, views and user-defined types of CQL, seen alike as records of fields.

The protobuf type of each column is decided here; its number is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from generators import ir, row_names, row_types
from generators.diagnostics import Position
from generators.python_names import column_field, cql_column, user_field
from generators.row_types import Helper, Many, Message, Scalar, Single, Type


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a field of a user-defined type. `optional` says that it may be NULL, whether or not protobuf needs
    the label to tell so; `attribute` is its name in Python.
    """

    schema_name: str
    attribute: str
    type: Type
    optional: bool
    position: Position
    renamed_from: str | None = None
    comment: str = ""

    @property
    def name(self) -> str:
        """In protobuf."""
        return row_names.field(self.schema_name)

    @property
    def former_name(self) -> str | None:
        """In protobuf, of the column that it was."""
        return None if self.renamed_from is None else row_names.field(self.renamed_from)

    @property
    def enum(self) -> str | None:
        """The full name of its enum."""
        return self.type.full_name if isinstance(self.type, row_types.Enum) else None


@dataclass(frozen=True, slots=True)
class Record:
    """A table, view or type, which `kind` says for people. `group` is its database or keyspace, as `group_kind` says;
    `file` is the schema file that declares it.
    """

    kind: str
    group_kind: str
    group: str
    file: str
    schema_name: str
    package: str
    fields: tuple[Field, ...]
    position: Position
    comment: str

    @property
    def name(self) -> str:
        return row_names.message(self.schema_name)

    @property
    def full_name(self) -> str:
        return f"{self.package}.{self.name}"

    @property
    def path(self) -> str:
        return row_names.path(self.package, self.schema_name)

    @property
    def messages(self) -> set[str]:
        """The full names of the messages, other than its own helpers, that it is made of."""
        parts = (part for field in self.fields for part in row_types.parts(field.type))
        return {part.full_name for part in parts if isinstance(part, Message)}

    @property
    def renamed(self) -> dict[str, str]:
        """The fields whose names in the message are not those in Python: those by these."""
        return {field.attribute: field.name for field in self.fields if field.attribute != field.name}


def records(schema: ir.Schema) -> Iterator[Record]:
    """Every record of a schema; types stand after those that they are made of, and before tables."""
    for database in schema.databases:
        for table in database.tables:
            yield sql_table(database, table)
    for keyspace in schema.keyspaces:
        for kind in keyspace.types:
            yield user_type(keyspace, kind)
        for table in keyspace.tables:
            yield cql_table(keyspace, table)
        for view in keyspace.views:
            yield cql_table(keyspace, view)


# --- SQL -------------------------------------------------------------------------------------------------------------


def sql_table(database: ir.Database, table: ir.Table) -> Record:
    """The record of a table's rows."""
    return Record(
        kind="table",
        group_kind="database",
        group=database.name,
        file=database.file,
        schema_name=table.name,
        package=row_names.package(database.name),
        fields=tuple(
            Field(
                schema_name=column.name,
                attribute=column_field(column.name),
                type=_sql_type(column),
                optional=column.nullable,
                position=column.position,
                renamed_from=column.renamed_from,
                comment=column.comment,
            )
            for column in table.columns
        ),
        position=table.position,
        comment=table.comment,
    )


def _sql_type(column: ir.Column) -> Type:
    if column.enum is not None:
        return row_types.Enum(column.enum)
    match column.type:
        case ir.Bool():
            return row_types.BOOL
        case ir.Int(bits, signed):
            return Scalar(f"{'' if signed else 'u'}int{64 if bits == 64 else 32}")
        case ir.Float():
            return row_types.DOUBLE  # a FLOAT too, since a row holds it as Python's float of 64 bits
        case ir.Bytes():
            return row_types.BYTES
        case ir.DateTime(instant=True):
            return row_types.TIMESTAMP
        case ir.Time():
            return row_types.DURATION
        case ir.Year():
            return row_types.INT32
        case ir.Bits():
            return row_types.UINT64
        case ir.Choices():
            # A repeated field can't tell NULL from the empty set.
            return row_types.STRING_SET if column.nullable else Many(row_types.STRING)
        case ir.Decimal() | ir.Text() | ir.Date() | ir.DateTime() | ir.Json() | ir.Choice():
            return row_types.STRING
        case _:
            raise AssertionError(f"a SQL column can't be of type {column.type}")


# --- CQL -------------------------------------------------------------------------------------------------------------


def cql_table(keyspace: ir.Keyspace, table: ir.CqlTable | ir.CqlView) -> Record:
    """The record of the rows of a table or a materialized view."""
    return Record(
        kind="table" if isinstance(table, ir.CqlTable) else "view",
        group_kind="keyspace",
        group=keyspace.name,
        file=keyspace.file,
        schema_name=table.name,
        package=row_names.package(keyspace.name),
        fields=tuple(_cql_field(keyspace.name, column) for column in table.columns),
        position=table.position,
        comment=table.comment,
    )


def _cql_field(keyspace: str, column: ir.CqlColumn) -> Field:
    # Cassandra has no empty collections but frozen ones: a column of the others is never NULL, it is empty.
    grows = isinstance(column.type, (ir.List, ir.Set, ir.Map))
    optional = column.kind not in ("partition", "clustering") and not grows
    return Field(
        schema_name=column.name,
        attribute=cql_column(column.name),
        type=row_types.Enum(column.enum) if column.enum else _cql_type(keyspace, column.type, optional=optional),
        optional=optional,
        position=column.position,
        renamed_from=column.renamed_from,
        comment=column.comment,
    )


def user_type(keyspace: ir.Keyspace, kind: ir.UserType) -> Record:
    """The record of the values of a user-defined type."""
    return Record(
        kind="type",
        group_kind="keyspace",
        group=keyspace.name,
        file=keyspace.file,
        schema_name=kind.name,
        package=row_names.type_package(keyspace.name),
        fields=tuple(
            Field(
                schema_name=field.name,
                attribute=user_field(field.name),
                type=_cql_type(keyspace.name, field.type, optional=True),
                optional=True,
                position=field.position,
                renamed_from=field.renamed_from,
                comment=field.comment,
            )
            for field in kind.fields
        ),
        position=kind.position,
        comment=kind.comment,
    )


def _cql_type(keyspace: str, kind: ir.Type, *, optional: bool) -> Type:
    """The type of a field: collections are repeated fields and maps, unless being empty must differ from being NULL."""
    match kind:
        case ir.Frozen(frozen):
            return _cql_type(keyspace, frozen, optional=optional)
        case ir.Vector(item):
            return Many(_single(keyspace, item))  # that is never empty
        case ir.List(item) | ir.Set(item) if not optional:
            return Many(_single(keyspace, item))
        case ir.Map(key, value) if not optional:
            return row_types.entries(_single(keyspace, key), _single(keyspace, value))
        case _:
            return _single(keyspace, kind)


def _single(keyspace: str, kind: ir.Type) -> Single:
    """The type of one value, which may be an element of another."""
    match kind:
        case ir.Frozen(frozen):
            return _single(keyspace, frozen)
        case ir.List(item) | ir.Vector(item):
            return Helper("List", (_single(keyspace, item),))
        case ir.Set(item):
            return Helper("Set", (_single(keyspace, item),))
        case ir.Map(key, value):
            return Helper("Map", (_single(keyspace, key), _single(keyspace, value)))
        case ir.Tuple(items):
            return Helper("Tuple", tuple(_single(keyspace, item) for item in items))
        case ir.UserDefined(name):
            return Message(f"{row_names.type_package(keyspace)}.{row_names.message(name)}")
        case _:
            return _native(kind)


def _native(kind: ir.Type) -> Single:
    match kind:
        case ir.Bool():
            return row_types.BOOL
        case ir.Int(bits):
            return row_types.INT64 if bits == 64 else row_types.INT32
        case ir.Counter() | ir.Time():
            return row_types.INT64
        case ir.Float(bits):
            # Unlike in SQL, not a double for both: vectors, which are long, are made of floats.
            return row_types.FLOAT if bits == 32 else row_types.DOUBLE
        case ir.Bytes():
            return row_types.BYTES
        case ir.DateTime():
            return row_types.TIMESTAMP
        case ir.Duration():
            return row_types.CQL_DURATION
        case ir.Text() | ir.Ascii() | ir.Uuid() | ir.Inet() | ir.Date() | ir.Number() | ir.Varint():
            return row_types.STRING
        case _:
            raise AssertionError(f"a CQL column can't be of type {kind}")
