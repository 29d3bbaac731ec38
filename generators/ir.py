"""The one model between schema files and generated files.

Frozen values for SQL, CQL and protobuf, over one lattice of types.

Parsers build it, walkers read it, `sun ir` prints it. It holds what the schema says and nothing of how Python or an
engine spells it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, cast

from generators.diagnostics import Position

# --- types -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bool:
    pass


@dataclass(frozen=True, slots=True)
class Int:
    bits: int  # 8, 16, 24, 32 or 64
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Float:
    bits: int  # 32 or 64


@dataclass(frozen=True, slots=True)
class Decimal:
    precision: int
    scale: int


@dataclass(frozen=True, slots=True)
class Text:
    max_length: int | None = None  # characters; None where only the engine's own bound holds
    max_bytes: int | None = None  # of the TEXT family, whose bound counts bytes
    fixed: bool = False
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class Bytes:
    max_length: int | None = None  # bytes
    fixed: bool = False
    blob: bool = False  # of the BLOB family, of which a key takes a prefix only


@dataclass(frozen=True, slots=True)
class Date:
    pass


@dataclass(frozen=True, slots=True)
class Time:
    fraction: int = 0  # digits of a second


@dataclass(frozen=True, slots=True)
class DateTime:
    fraction: int = 0  # digits of a second
    instant: bool = False  # a TIMESTAMP: a moment in UTC, not a wall clock


@dataclass(frozen=True, slots=True)
class Year:
    pass


@dataclass(frozen=True, slots=True)
class Json:
    pass


@dataclass(frozen=True, slots=True)
class Bits:
    width: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A SQL ENUM: one of these strings."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """A SQL SET: some of these strings."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A message or enum by its full name, without a leading dot: `sun.v1.PostType`."""

    full_name: str


@dataclass(frozen=True, slots=True)
class List:
    item: Type


@dataclass(frozen=True, slots=True)
class Map:
    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class Ascii:
    """A CQL text of the first 128 characters."""


@dataclass(frozen=True, slots=True)
class Varint:
    """An integer without bounds."""


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number without bounds: CQL's `decimal`."""


@dataclass(frozen=True, slots=True)
class Uuid:
    time: bool = False  # a timeuuid: version 1, ordered by its time


@dataclass(frozen=True, slots=True)
class Inet:
    """An address of IPv4 or IPv6."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Months, days and nanoseconds, which can't be compared with each other."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A CQL counter: 64 bits that can only be added to."""


@dataclass(frozen=True, slots=True)
class Set:
    item: Type


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Vector:
    item: Type
    size: int


@dataclass(frozen=True, slots=True)
class UserDefined:
    """A type that its keyspace declares, by its name there."""

    name: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A CQL collection or user-defined type that is written as a whole. It stands around the type of a column or of a
    field only: a tuple, a vector, and whatever is inside another type, can't be otherwise.
    """

    type: Type


Type = (
    Bool
    | Int
    | Float
    | Decimal
    | Text
    | Bytes
    | Date
    | Time
    | DateTime
    | Year
    | Json
    | Bits
    | Choice
    | Choices
    | Reference
    | List
    | Map
    | Ascii
    | Varint
    | Number
    | Uuid
    | Inet
    | Duration
    | Counter
    | Set
    | Tuple
    | Vector
    | UserDefined
    | Frozen
)

# --- SQL -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Default:
    """A column's DEFAULT: a constant (`value`, None for NULL) or an expression the server evaluates (`expression`)."""

    value: bool | int | float | str | bytes | None = None
    expression: str | None = None  # MySQL text: CURRENT_TIMESTAMP(3)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: Type
    position: Position
    nullable: bool = False
    default: Default | None = None
    auto_increment: bool = False
    on_update: str | None = None
    generated: str | None = None  # the expression of a generated column
    stored: bool = False
    enum: str | None = None  # full name of the protobuf enum this integer holds
    renamed_from: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One column of a key. `prefix` is a length in characters; `expression` stands for a functional part."""

    column: str | None
    descending: bool = False
    prefix: int | None = None
    expression: str | None = None
    type: Type | None = None  # of the expression's value


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    parts: tuple[KeyPart, ...]
    position: Position
    unique: bool = False
    kind: str = "btree"  # or fulltext, spatial: no finder follows from those
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint of a table or of one of its columns: what must not be false of any row."""

    name: str
    expression: str  # MySQL text
    position: Position


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    columns: tuple[str, ...]
    target_database: str | None  # None for the database of the table itself
    target_table: str
    target_columns: tuple[str, ...]
    position: Position
    on_delete: str = ""
    on_update: str = ""


@dataclass(frozen=True, slots=True)
class CacheRule:
    """`-- sun: cache ttl=6h max=10000 lists=post_by_user`."""

    ttl_ms: int
    max_rows: int | None = None
    lists: tuple[str, ...] = ()  # names of keys, `PRIMARY` for the leading part of the primary key


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    primary_key: Key | None
    keys: tuple[Key, ...]
    foreign_keys: tuple[ForeignKey, ...]
    position: Position
    checks: tuple[Check, ...] = ()
    comment: str = ""
    cache: CacheRule | None = None
    events: tuple[str, ...] = ()  # of insert, update, delete

    def column(self, name: str) -> Column:
        """The column of this name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Database:
    """One `.sql` file: a logical database."""

    name: str
    file: str
    tables: tuple[Table, ...]


# --- CQL -------------------------------------------------------------------------------------------------------------

ColumnKind = Literal["partition", "clustering", "static", "regular"]

Option = str | int | float | bool | tuple[tuple[str, str], ...]
"""The value of a table's or keyspace's option: a constant, or a map of texts in the order of the schema."""


@dataclass(frozen=True, slots=True)
class CqlColumn:
    """A column of a table or a view. Native types are spelled in the lattice: `timestamp` is DateTime(3, instant=True),
    `time` is Time(9), `date` is Date(), `decimal` is Number(), `text` and `varchar` are Text(), `blob` is Bytes().
    """

    name: str  # as Cassandra has it: lower case unless it was quoted
    type: Type
    kind: ColumnKind
    position: Position
    descending: bool = False  # of a clustering column
    enum: str | None = None  # full name of the protobuf enum this integer holds
    renamed_from: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CqlIndex:
    """A secondary index. `target` is what of a collection it holds, always said; `full` is a frozen one as a whole."""

    name: str
    column: str
    position: Position
    target: Literal["", "keys", "values", "entries", "full"] = ""
    custom: str | None = None  # of CREATE CUSTOM INDEX … USING '…': sai in every spelling of it
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_sai(self) -> bool:
        return self.custom == "sai"


@dataclass(frozen=True, slots=True)
class CqlTable:
    """`columns` in the order of the schema; the keys name columns in their own order."""

    name: str
    columns: tuple[CqlColumn, ...]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    position: Position
    indexes: tuple[CqlIndex, ...] = ()
    options: tuple[tuple[str, Option], ...] = ()  # WITH, without CLUSTERING ORDER BY and comment
    comment: str = ""

    @property
    def is_counter(self) -> bool:
        return any(isinstance(column.type, Counter) for column in self.columns)

    def column(self, name: str) -> CqlColumn:
        """The column of this name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class CqlView:
    """A materialized view. Its columns have their kind in the view; `filters` are its conditions besides IS NOT NULL,
    as (column, operator, literal of CQL).
    """

    name: str
    base: str
    columns: tuple[CqlColumn, ...]
    partition_key: tuple[str, ...]
    clustering: tuple[str, ...]
    not_null: tuple[str, ...]
    position: Position
    filters: tuple[tuple[str, str, str], ...] = ()
    selects_all: bool = False  # SELECT *
    options: tuple[tuple[str, Option], ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class UserField:
    name: str
    type: Type
    position: Position
    comment: str = ""
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True)
class UserType:
    name: str
    fields: tuple[UserField, ...]
    position: Position
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Keyspace:
    """One `.cql` file: a keyspace. `types` stand after those that they are made of."""

    name: str
    file: str
    tables: tuple[CqlTable, ...]
    types: tuple[UserType, ...] = ()
    views: tuple[CqlView, ...] = ()
    replication: tuple[tuple[str, str], ...] = ()  # of CREATE KEYSPACE, where the file has one
    durable_writes: bool = True
    comment: str = ""


# --- protobuf --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnumValue:
    name: str
    number: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Enum:
    name: str
    full_name: str
    values: tuple[EnumValue, ...]
    position: Position
    comment: str = ""


@dataclass(frozen=True, slots=True)
class FieldRules:
    """Checks run before a handler sees the request; names and meaning are protovalidate's standard rules."""

    required: bool = False
    min_len: int | None = None  # characters of a string, bytes of a bytes field
    max_len: int | None = None
    pattern: str | None = None  # searched for; anchor with ^ and $
    gte: int | None = None
    lte: int | None = None
    choices: tuple[str, ...] = ()  # `in`; the spelling of numbers is decimal
    min_items: int | None = None
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    number: int
    type: Type
    position: Position
    presence: bool = False  # HasField may be asked
    oneof: str | None = None  # a real one, not the shadow of `optional`
    rules: FieldRules | None = None
    deprecated: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """`option (sun.error)`: this message is the detail of a declared error. `code` is Connect's: `already_exists`."""

    code: str
    message: str  # a template over the fields: "the user name {user_name} is taken"


@dataclass(frozen=True, slots=True)
class Message:
    name: str
    full_name: str
    fields: tuple[Field, ...]
    messages: tuple[Message, ...]
    enums: tuple[Enum, ...]
    oneofs: tuple[str, ...]
    position: Position
    error: ErrorRule | None = None
    event_key: str | None = None  # `option (sun.event) = {key: "post_id"}`
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    full_name: str  # sun.v1.SocialService/AddPost
    request: str  # full names
    response: str
    position: Position
    callers: str = ""  # anyone, user, owner, admin
    errors: tuple[str, ...] = ()  # full names of error messages it may raise
    limits: tuple[str, ...] = ()  # names of limits that it draws from
    timeout_ms: int = 0  # 0 in this and the next two: the server's own limit alone
    max_timeout_ms: int = 0
    max_request_bytes: int = 0
    side_effects: bool = True  # False for idempotency_level = NO_SIDE_EFFECTS
    idempotent: bool = False  # also true for methods without side effects
    client_streaming: bool = False
    server_streaming: bool = False
    deprecated: bool = False
    deprecated_since: str = ""  # 2026-11-30
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    full_name: str
    methods: tuple[Method, ...]
    position: Position
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """`option (sun.limit)`: buckets of `tokens` that fill from empty to full in `refill_ms`."""

    name: str
    per: tuple[str, ...]  # of user, address, device, caller, key
    tokens: int
    refill_ms: int
    charge: str  # always, failures, successes
    position: Position
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ProtoFile:
    """One `.proto` file.

    `path` is its import name; `descriptor` its serialized FileDescriptorProto, without comments.
    """

    path: str
    package: str
    imports: tuple[str, ...]
    messages: tuple[Message, ...]
    enums: tuple[Enum, ...]
    services: tuple[Service, ...]
    extensions: tuple[str, ...]
    descriptor: bytes
    limits: tuple[Limit, ...] = ()
    comment: str = ""


# --- rows as messages -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowField:
    """What a number in a message of rows, or of a user-defined type, stands for, or once stood for: `reserved`."""

    number: int
    name: str  # protobuf's
    type: str  # as in `schema/wire.lock`: int64, `repeated string`, `enum sun.v1.PostType`, see row_types
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class RowMessage:
    """The numbers of the rows of one table or view, or of one user-defined type. All those of one that is gone are
    reserved.
    """

    full_name: str  # sun.rows.v1.Post
    fields: tuple[RowField, ...]  # by number


# --- the whole -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything a target's walkers see.

    `imported` are proto files of other targets (the framework's), by import name; `rows` is what `schema/wire.lock`
    has to say.
    """

    databases: tuple[Database, ...] = ()
    protos: tuple[ProtoFile, ...] = ()
    imported: tuple[ProtoFile, ...] = ()
    rows: tuple[RowMessage, ...] = ()
    keyspaces: tuple[Keyspace, ...] = ()


def to_json(value: Any) -> Any:
    """The IR as JSON-ready values.

    Dataclasses become objects with their `kind`, and fields at their default are left out.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: (getattr(value, f.name), f.default) for f in dataclasses.fields(value)}
        if isinstance(value, Position):
            return str(value)
        shown = {
            name: to_json(item) for name, (item, default) in fields.items() if item != default and name != "descriptor"
        }
        return {"kind": type(value).__name__} | shown
    if isinstance(value, tuple):
        return [to_json(item) for item in cast("tuple[Any, ...]", value)]
    if isinstance(value, bytes):
        return value.hex()
    return value
