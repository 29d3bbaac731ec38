"""The protobuf field of each SQL column: its type, its number, and what keeps a table from having messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from google.protobuf.descriptor_pb2 import FeatureSet, FileDescriptorProto

from generators import ir, row_names
from generators.diagnostics import Diagnostics, Position
from generators.python_names import column_field
from generators.wire_lock import Line, free_numbers

TIMESTAMP = "google.protobuf.Timestamp"
DURATION = "google.protobuf.Duration"
STRING_SET = "StringSet"

# Types whose every value reads the same as one of those (https://protobuf.dev/programming-guides/proto3/#updating).
# An enum is read like any integer; a value that is too large for one was none of its numbers.
_WIDER = {
    "bool": {"int32", "uint32", "int64", "uint64", "enum"},
    "int32": {"int64", "enum"},
    "uint32": {"int64", "uint64", "enum"},
    "int64": {"enum"},
    "uint64": {"enum"},
    "enum": {"int32", "uint32", "int64", "uint64", "enum"},
    "string": {"bytes"},
}


def type_name(column: ir.Column) -> str:
    """The protobuf type, as the lock spells it."""
    if column.enum is not None:
        return f"enum {column.enum}"
    match column.type:
        case ir.Bool():
            return "bool"
        case ir.Int(bits, signed):
            return f"{'' if signed else 'u'}int{64 if bits == 64 else 32}"
        case ir.Float():
            return "double"  # a FLOAT too, since a row holds it as Python's float of 64 bits
        case ir.Bytes():
            return "bytes"
        case ir.DateTime(instant=True):
            return TIMESTAMP
        case ir.Time():
            return DURATION
        case ir.Year():
            return "int32"
        case ir.Bits():
            return "uint64"
        case ir.Choices():
            # A repeated field can't tell NULL from the empty set.
            return STRING_SET if column.nullable else "repeated string"
        case ir.Decimal() | ir.Text() | ir.Date() | ir.DateTime() | ir.Json() | ir.Choice():
            return "string"
        case _:
            raise AssertionError(f"a SQL column can't be of type {column.type}")


def reads_as(old: str, new: str) -> bool:
    """Whether what was written with the type `old` reads right with `new`."""
    return old == new or new.partition(" ")[0] in _WIDER.get(old.partition(" ")[0], ())


# --- numbers ---------------------------------------------------------------------------------------------------------


def number(
    databases: Sequence[ir.Database], lines: Sequence[Line], diagnostics: Diagnostics
) -> tuple[ir.RowMessage, ...]:
    """The messages of all tables, and of those that are gone, by name. `lines` must be free of clashes.

    A column keeps its number as long as its name, or the one it is renamed from, and its type stay. What loses its
    number leaves it reserved, and only a column of that name and type gets it back. New columns are numbered on.
    """
    known: dict[str, list[Line]] = {}
    for line in lines:
        known.setdefault(line.message, []).append(line)
    messages: list[ir.RowMessage] = []
    for database in databases:
        for table in database.tables:
            name = row_names.full_name(database.name, table.name)
            fields = _Numbering(name, known.pop(name, []), diagnostics).fields(table.columns)
            messages.append(ir.RowMessage(name, fields))
    for name, left in known.items():
        if any(not line.field.reserved for line in left):
            diagnostics.note(left[0].position, f"the table of {name} is gone: its numbers stay reserved")
        fields = (replace(line.field, reserved=True) for line in left)
        messages.append(ir.RowMessage(name, _by_number(fields)))
    return tuple(sorted(messages, key=lambda message: message.full_name))


class _Numbering:
    """Gives the columns of one table their numbers."""

    def __init__(self, message: str, lines: Sequence[Line], diagnostics: Diagnostics) -> None:
        self._message = message
        self._live = {line.field.name: line for line in lines if not line.field.reserved}
        self._gone = [line.field for line in lines if line.field.reserved]
        self._free = iter(free_numbers(line.field.number for line in lines))
        self._diagnostics = diagnostics

    def fields(self, columns: Sequence[ir.Column]) -> tuple[ir.RowField, ...]:
        former = {column.name: self._live.pop(row_names.field(column.name), None) for column in columns}
        for column in columns:
            if former[column.name] is None and column.renamed_from is not None:
                former[column.name] = self._live.pop(row_names.field(column.renamed_from), None)
        fields = [self._field(column, former[column.name]) for column in columns]
        for line in self._live.values():
            self._retire(line, "is gone (if it has another name now, undo this and say renamed_from=)")
        return _by_number((*fields, *self._gone))

    def _field(self, column: ir.Column, former: Line | None) -> ir.RowField:
        name, kind = row_names.field(column.name), type_name(column)
        if former is not None and reads_as(former.field.type, kind):
            return ir.RowField(former.field.number, name, kind)
        if former is not None:
            self._retire(former, f"becomes {kind}, as which it can't be read")
        again = [field for field in self._gone if field.name == name and reads_as(field.type, kind)]
        if again:
            best = max(again, key=lambda field: (field.type == kind, field.number))
            self._gone.remove(best)
            return ir.RowField(best.number, name, kind)
        return ir.RowField(next(self._free), name, kind)

    def _retire(self, line: Line, why: str) -> None:
        field = line.field
        text = f"{self._message}: {field.name} ({field.type}) {why}; its number {field.number} stays reserved"
        self._diagnostics.note(line.position, text)
        self._gone.append(replace(field, reserved=True))


def _by_number(fields: Iterable[ir.RowField]) -> tuple[ir.RowField, ...]:
    return tuple(sorted(fields, key=lambda field: field.number))


# --- what is refused -------------------------------------------------------------------------------------------------


def check(schema: ir.Schema, source: str, diagnostics: Diagnostics) -> None:
    """Collect names that clash in protobuf, and enums that messages can't hold. `source` is the schema's folder."""
    closed = set(chain.from_iterable(map(_closed_enums, (*schema.protos, *schema.imported))))
    for database in schema.databases:
        if database.tables:
            _check_package(database, schema, source, diagnostics)
        for table in database.tables:
            _check_columns(table, closed, diagnostics)


def _check_package(database: ir.Database, schema: ir.Schema, source: str, diagnostics: Diagnostics) -> None:
    package = row_names.package(database.name)
    own = {row_names.path(database.name, table.name) for table in database.tables}
    scopes = {database.name, f"{database.name}.rows", package}
    for file in schema.protos:
        place = Position(f"{source}/proto/{file.path}", 1, 1)
        if file.package == package or file.path in own:
            text = f"{package} is where the row messages of database `{database.name}` go: choose another package"
            diagnostics.error(place, "name-clash", text)
        for each in (*file.messages, *file.enums, *file.services):
            if each.full_name in scopes:
                text = (
                    f"{each.full_name} is also the package of the row messages of database `{database.name}`: rename it"
                )
                diagnostics.error(each.position, "name-clash", text)


def _check_columns(table: ir.Table, closed: set[str], diagnostics: Diagnostics) -> None:
    names: dict[str, str] = {}
    for column in table.columns:
        name = row_names.field(column.name)
        json = row_names.json_name(name)
        # protoc refuses two fields of one JSON name; two that differ in it differ in their names too.
        other = names.setdefault(json, column.name)
        if column_field(other) != column_field(column.name):  # else it has been said
            shown = f"protobuf name {name}" if row_names.field(other) == name else f"JSON name {json}"
            text = f"columns {other} and {column.name} of {table.name} both get the {shown}: rename one"
            diagnostics.error(column.position, "name-clash", text)
        if column.enum in closed:
            text = f"the enum {column.enum} is closed, so a row message can't hold it: declare it in a proto3 file"
            diagnostics.error(column.position, "closed-enum", text)


def _closed_enums(file: ir.ProtoFile) -> Iterator[str]:
    """The full names of enums that have no unknown numbers (https://protobuf.dev/programming-guides/enum/)."""
    descriptor = FileDescriptorProto.FromString(file.descriptor)
    of_file = descriptor.options.features.enum_type == FeatureSet.CLOSED or descriptor.syntax in ("", "proto2")
    pending = [(file.package, descriptor.enum_type, descriptor.message_type)]
    while pending:
        scope, enums, messages = pending.pop()
        prefix = f"{scope}." if scope else ""
        for enum in enums:
            chosen = enum.options.features.enum_type
            if chosen == FeatureSet.CLOSED or (of_file and chosen != FeatureSet.OPEN):
                yield f"{prefix}{enum.name}"
        pending += [(f"{prefix}{each.name}", each.enum_type, each.nested_type) for each in messages]
