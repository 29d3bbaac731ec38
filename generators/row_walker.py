"""From tables and their field numbers to row messages: a `.proto` file, a Python module and a stub for each table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from generators import ir, proto_stubs, row_names
from generators.artifacts import Artifact, Target
from generators.diagnostics import Position
from generators.proto_index import Index
from generators.proto_names import proto_stem
from generators.python_names import column_field, table_class
from generators.row_fields import DURATION, STRING_SET, TIMESTAMP
from generators.templates import render

_KINDS = FieldDescriptorProto.Type
_SCALARS: dict[str, tuple[FieldDescriptorProto.Type.ValueType, ir.Type]] = {
    "bool": (_KINDS.TYPE_BOOL, ir.Bool()),
    "bytes": (_KINDS.TYPE_BYTES, ir.Bytes()),
    "double": (_KINDS.TYPE_DOUBLE, ir.Float(64)),
    "int32": (_KINDS.TYPE_INT32, ir.Int(32)),
    "int64": (_KINDS.TYPE_INT64, ir.Int(64)),
    "string": (_KINDS.TYPE_STRING, ir.Text()),
    "uint32": (_KINDS.TYPE_UINT32, ir.Int(32, signed=False)),
    "uint64": (_KINDS.TYPE_UINT64, ir.Int(64, signed=False)),
}
_GOOGLE = {TIMESTAMP: "google/protobuf/timestamp.proto", DURATION: "google/protobuf/duration.proto"}


@dataclass(frozen=True, slots=True)
class MessageView:
    """Where the DAO of a table finds its message, for the template of the table."""

    module: str  # of Python
    name: str
    alias: str  # under which the table's module names it
    renamed: dict[str, str]  # fields of the row that have another name in the message


def message_view(target: Target, database: ir.Database, table: ir.Table) -> MessageView:
    """The message of a table as its DAO needs to know it."""
    stem = proto_stem(row_names.path(database.name, table.name))
    fields = {column_field(column.name): row_names.field(column.name) for column in table.columns}
    return MessageView(
        module=f"{target.package}.proto.{row_names.package(database.name)}.{stem}",
        name=row_names.message(table.name),
        alias=f"{table_class(table.name)}Message",
        renamed={row: field for row, field in fields.items() if row != field},
    )


def walk(schema: ir.Schema, target: Target) -> list[Artifact]:
    """The files of every table. The schema must be numbered, and have passed `row_fields.check`."""
    tables = list(_tables(schema))
    rows = [table.proto_file() for table in tables]
    present = {file.path for file in schema.imported}
    google = (_google_file(name) for name, path in _GOOGLE.items() if path not in present)
    index = Index(ir.Schema((), (*schema.protos, *rows), (*schema.imported, *google)), target)
    artifacts: list[Artifact] = []
    for table, file in zip(tables, rows, strict=True):
        artifacts.append(Artifact(f"proto/{file.path}", table.text()))
        artifacts += proto_stubs.artifacts(file, index, table.source)
    return artifacts


def proto_files(schema: ir.Schema) -> list[ir.ProtoFile]:
    """The files of every table as the walkers of protobuf see them, as if they had been parsed."""
    return [table.proto_file() for table in _tables(schema)]


def _tables(schema: ir.Schema) -> Iterator[_Table]:
    numbers = {message.full_name: message.fields for message in schema.rows}
    paths = {name: file.path for file in (*schema.protos, *schema.imported) for name in _enums(file)}
    for database in schema.databases:
        for table in database.tables:
            yield _Table(database, table, numbers[row_names.full_name(database.name, table.name)], paths)


def _enums(file: ir.ProtoFile) -> Iterator[str]:
    yield from (enum.full_name for enum in file.enums)
    pending = list(file.messages)
    while pending:
        message = pending.pop()
        yield from (enum.full_name for enum in message.enums)
        pending += message.messages


def _google_file(name: str) -> ir.ProtoFile:
    """As much of a file of protobuf's own as tells where its message is."""
    package, _, message = name.rpartition(".")
    place = Position(_GOOGLE[name], 1, 1)
    declared = ir.Message(message, name, (), (), (), (), place)
    return ir.ProtoFile(_GOOGLE[name], package, (), (declared,), (), (), (), b"")


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a message. `written` is its type as a `.proto` file has it, without the label."""

    column: ir.Column
    number: int
    name: str
    type: str

    @property
    def written(self) -> str:
        # From the root: a name that is looked up from inside the package might mean something else there.
        return f".{self.type.removeprefix('enum ')}" if self.type.startswith("enum ") else self.type

    @property
    def optional(self) -> bool:
        """Whether it needs the label to tell that it is absent; a message can always tell."""
        return self.column.nullable and self.type not in (*_GOOGLE, STRING_SET)

    @property
    def comment(self) -> list[str]:
        return comment_lines(self.column.comment)

    def model(self, message: str) -> ir.Field:
        """The field in the IR's terms."""
        return ir.Field(
            name=self.name,
            number=self.number,
            type=self._kind(message),
            position=self.column.position,
            presence=self.optional or self.type in (*_GOOGLE, STRING_SET),
            comment=self.column.comment,
        )

    def _kind(self, message: str) -> ir.Type:
        if self.type == "repeated string":
            return ir.List(ir.Text())
        if self.type in _SCALARS:
            return _SCALARS[self.type][1]
        return ir.Reference(self._reference(message))

    def _reference(self, message: str) -> str:
        return f"{message}.{STRING_SET}" if self.type == STRING_SET else self.type.removeprefix("enum ")

    def describe(self, into: DescriptorProto, message: str) -> None:
        """Add the field to a descriptor, just as protoc would."""
        field = into.field.add(name=self.name, number=self.number, json_name=row_names.json_name(self.name))
        field.label = field.LABEL_OPTIONAL
        if self.type == "repeated string":
            field.label, field.type = field.LABEL_REPEATED, field.TYPE_STRING
        elif self.type in _SCALARS:
            field.type = _SCALARS[self.type][0]
        else:
            field.type = field.TYPE_ENUM if self.type.startswith("enum ") else field.TYPE_MESSAGE
            field.type_name = f".{self._reference(message)}"
        if self.optional:
            field.proto3_optional = True
            field.oneof_index = len(into.oneof_decl)
            into.oneof_decl.add(name=f"_{self.name}")


class _Table:
    """The message of one table's rows."""

    def __init__(
        self, database: ir.Database, table: ir.Table, numbers: Sequence[ir.RowField], paths: dict[str, str]
    ) -> None:
        self.source = database.file
        self._database = database
        self._table = table
        self._name = row_names.full_name(database.name, table.name)
        self._path = row_names.path(database.name, table.name)
        columns = {row_names.field(column.name): column for column in table.columns}
        live = [each for each in numbers if not each.reserved]
        self._fields = [_Field(columns[each.name], each.number, each.name, each.type) for each in live]
        gone = [each for each in numbers if each.reserved]
        self._reserved = [each.number for each in gone]
        # A name that is in use again, with another type, can't be reserved as well.
        self._reserved_names = sorted({each.name for each in gone} - columns.keys())
        types = {each.type for each in live}
        imported = {paths[kind.removeprefix("enum ")] for kind in types if kind.startswith("enum ")}
        self._imports = sorted(imported | {_GOOGLE[kind] for kind in types if kind in _GOOGLE})
        self._needs_set = STRING_SET in types

    def text(self) -> str:
        """The `.proto` file."""
        return render(
            "sql/row.proto.jinja",
            source=self.source,
            database=self._database.name,
            table=self._table.name,
            package=row_names.package(self._database.name),
            imports=self._imports,
            comment=comment_lines(self._table.comment) or [f"A row of `{self._database.name}.{self._table.name}`."],
            name=row_names.message(self._table.name),
            reserved=self._reserved,
            reserved_names=self._reserved_names,
            string_set=STRING_SET if self._needs_set else None,
            fields=self._fields,
        )

    def proto_file(self) -> ir.ProtoFile:
        """The file as the walkers of protobuf see it."""
        name = row_names.message(self._table.name)
        place = self._table.position
        nested: tuple[ir.Message, ...] = ()
        if self._needs_set:
            values = ir.Field("values", 1, ir.List(ir.Text()), place)
            nested = (ir.Message(STRING_SET, f"{self._name}.{STRING_SET}", (values,), (), (), (), place),)
        message = ir.Message(
            name=name,
            full_name=self._name,
            fields=tuple(field.model(self._name) for field in self._fields),
            messages=nested,
            enums=(),
            oneofs=(),
            position=place,
            comment=self._table.comment,
        )
        return ir.ProtoFile(
            path=self._path,
            package=row_names.package(self._database.name),
            imports=tuple(self._imports),
            messages=(message,),
            enums=(),
            services=(),
            extensions=(),
            descriptor=self._descriptor(name).SerializeToString(deterministic=True),
            comment=f"The message of rows of table `{self._table.name}` of `{self._database.name}`.",
        )

    def _descriptor(self, name: str) -> FileDescriptorProto:
        package = row_names.package(self._database.name)
        file = FileDescriptorProto(name=self._path, package=package, dependency=self._imports, syntax="proto3")
        message = file.message_type.add(name=name)
        if self._needs_set:
            message.nested_type.add(name=STRING_SET).field.add(
                name="values",
                number=1,
                label=FieldDescriptorProto.LABEL_REPEATED,
                type=FieldDescriptorProto.TYPE_STRING,
                json_name="values",
            )
        for field in self._fields:
            field.describe(message, self._name)
        for number in self._reserved:
            message.reserved_range.add(start=number, end=number + 1)
        message.reserved_name.extend(self._reserved_names)
        return file


def comment_lines(text: str) -> list[str]:
    """A comment of the schema as lines of a `.proto` file, which ends a comment at a line's end only."""
    lines = ["".join(each if each.isprintable() else " " for each in line).strip() for line in text.splitlines()]
    return lines if any(lines) else []
