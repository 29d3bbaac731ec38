"""From records and their field numbers to messages: a `.proto` file, a Python module and a stub for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from generators import ir, proto_stubs, row_names, row_types
from generators.artifacts import Artifact, Target
from generators.diagnostics import Position
from generators.proto_index import Index
from generators.proto_names import proto_stem
from generators.row_records import Record, cql_table, records, sql_table, user_type
from generators.row_types import Entries, Enum, Helper, Many, Message, Scalar, Single, Type
from generators.templates import render

_KINDS = FieldDescriptorProto.Type
_SCALARS: dict[str, tuple[FieldDescriptorProto.Type.ValueType, ir.Type]] = {
    "bool": (_KINDS.TYPE_BOOL, ir.Bool()),
    "bytes": (_KINDS.TYPE_BYTES, ir.Bytes()),
    "double": (_KINDS.TYPE_DOUBLE, ir.Float(64)),
    "float": (_KINDS.TYPE_FLOAT, ir.Float(32)),
    "int32": (_KINDS.TYPE_INT32, ir.Int(32)),
    "int64": (_KINDS.TYPE_INT64, ir.Int(64)),
    "string": (_KINDS.TYPE_STRING, ir.Text()),
    "uint32": (_KINDS.TYPE_UINT32, ir.Int(32, signed=False)),
    "uint64": (_KINDS.TYPE_UINT64, ir.Int(64, signed=False)),
}
_GOOGLE = {
    row_types.TIMESTAMP.full_name: "google/protobuf/timestamp.proto",
    row_types.DURATION.full_name: "google/protobuf/duration.proto",
}
_HELPERS = {
    "List": "A list as one value, since a repeated field can't be absent or repeated.",
    "Set": "A set as one value, since a repeated field can't be absent or repeated.",
    "Map": "A map as one value, since a map field can't be absent or repeated.",
    "Pair": "An entry of a map whose keys protobuf's own maps don't take.",
    "Tuple": "A tuple; what it lacks is absent.",
    "CqlDuration": "Months, days and nanoseconds, none of which is a number of the others.",
}


@dataclass(frozen=True, slots=True)
class MessageView:
    """Where the DAO of a table finds its message, for the template of the table."""

    library: str  # what of the runtime has `RowMessage`
    module: str  # of Python
    name: str
    alias: str  # under which the table's module names it
    renamed: dict[str, str]  # fields of the row that have another name in the message
    types: dict[str, dict[str, str]]  # the same of user-defined types in the row, by their names


def message_view(target: Target, database: ir.Database, table: ir.Table) -> MessageView:
    """The message of a table as its DAO needs to know it."""
    return _view(target, "sql", sql_table(database, table), {})


def cql_message_view(target: Target, keyspace: ir.Keyspace, table: ir.CqlTable | ir.CqlView) -> MessageView:
    """The same of a table or a view of a keyspace."""
    record = cql_table(keyspace, table)
    kinds = {found.full_name: found for found in (user_type(keyspace, each) for each in keyspace.types)}
    types: dict[str, dict[str, str]] = {}
    pending, seen = [record], {record.full_name}
    while pending:
        for name in pending.pop().messages - seen:
            seen.add(name)
            if name in kinds:
                pending.append(kinds[name])
                types[kinds[name].schema_name] = kinds[name].renamed
    return _view(target, "cql", record, {name: renamed for name, renamed in sorted(types.items()) if renamed})


def _view(target: Target, library: str, record: Record, types: dict[str, dict[str, str]]) -> MessageView:
    return MessageView(
        library=library,
        module=f"{target.package}.proto.{record.package}.{proto_stem(record.path)}",
        name=record.name,
        alias=f"{record.name}Message",
        renamed=record.renamed,
        types=types,
    )


def walk(schema: ir.Schema, target: Target) -> list[Artifact]:
    """The files of every record. The schema must be numbered, and have passed `row_fields.check`."""
    files = list(_files(schema))
    rows = [file.proto_file() for file in files]
    present = {file.path for file in schema.imported}
    google = (_google_file(name) for name, path in _GOOGLE.items() if path not in present)
    index = Index(ir.Schema((), (*schema.protos, *rows), (*schema.imported, *google)), target)
    artifacts: list[Artifact] = []
    for file, row in zip(files, rows, strict=True):
        artifacts.append(Artifact(f"proto/{row.path}", file.text()))
        artifacts += proto_stubs.artifacts(row, index, file.source)
    return artifacts


def proto_files(schema: ir.Schema) -> list[ir.ProtoFile]:
    """The files of every record as the walkers of protobuf see them, as if they had been parsed."""
    return [file.proto_file() for file in _files(schema)]


def _files(schema: ir.Schema) -> Iterator[_File]:
    numbers = {message.full_name: message.fields for message in schema.rows}
    found = list(records(schema))
    paths = {name: file.path for file in (*schema.protos, *schema.imported) for name in _enums(file)}
    paths |= _GOOGLE | {record.full_name: record.path for record in found}
    for record in found:
        yield _File(record, numbers[record.full_name], paths)


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


def _written(kind: Type) -> str:
    """A type as a `.proto` file has it."""
    match kind:
        case Many(item):
            return f"repeated {_written(item)}"
        case Entries(key, value):
            return f"map<{key}, {_written(value)}>"
        case Helper():
            return kind.name
        case Message(full_name) if full_name in _GOOGLE:
            return full_name
        case Message(full_name) | Enum(full_name):
            # From the root: a name that is looked up from inside the package might mean something else there.
            return f".{full_name}"
        case Scalar(name):
            return name


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a message. `scope` is the full name of the message that has the helpers."""

    number: int
    name: str
    type: Type
    nullable: bool
    scope: str
    position: Position
    schema_comment: str = ""

    @property
    def written(self) -> str:
        return f"{'optional ' if self.optional else ''}{_written(self.type)}"

    @property
    def optional(self) -> bool:
        """Whether it needs the label to tell that it is absent; a message can always tell."""
        return self.nullable and isinstance(self.type, (Scalar, Enum))

    @property
    def comment(self) -> list[str]:
        return comment_lines(self.schema_comment)

    def model(self) -> ir.Field:
        """The field in the IR's terms."""
        return ir.Field(
            name=self.name,
            number=self.number,
            type=self._model(self.type),
            position=self.position,
            presence=self.optional or isinstance(self.type, (Message, Helper)),
            comment=self.schema_comment,
        )

    def _model(self, kind: Type) -> ir.Type:
        match kind:
            case Many(item):
                return ir.List(self._model(item))
            case Entries(key, value):
                return ir.Map(self._model(key), self._model(value))
            case Scalar(name):
                return _SCALARS[name][1]
            case _:
                return ir.Reference(self._reference(kind))

    def _reference(self, kind: Enum | Message | Helper) -> str:
        return f"{self.scope}.{kind.name}" if isinstance(kind, Helper) else kind.full_name

    def describe(self, into: DescriptorProto, message: str) -> None:
        """Add the field to the descriptor of this message, just as protoc would."""
        field = self._add(into, self.name, self.number)
        match self.type:
            case Many(item):
                field.label = field.LABEL_REPEATED
                self._describe_one(field, item)
            case Entries(key, value):
                entry = into.nested_type.add(name=f"{_camel(self.name)}Entry")
                entry.options.map_entry = True
                self._describe_one(self._add(entry, "key", 1), key)
                self._describe_one(self._add(entry, "value", 2), value)
                field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
                field.type_name = f".{message}.{entry.name}"
            case _:
                self._describe_one(field, self.type)
        if self.optional:
            field.proto3_optional = True
            field.oneof_index = len(into.oneof_decl)
            into.oneof_decl.add(name=f"_{self.name}")

    @staticmethod
    def _add(into: DescriptorProto, name: str, number: int) -> FieldDescriptorProto:
        label = FieldDescriptorProto.LABEL_OPTIONAL
        return into.field.add(name=name, number=number, json_name=row_names.json_name(name), label=label)

    def _describe_one(self, field: FieldDescriptorProto, kind: Single) -> None:
        if isinstance(kind, Scalar):
            field.type = _SCALARS[kind.name][0]
        else:
            field.type = field.TYPE_ENUM if isinstance(kind, Enum) else field.TYPE_MESSAGE
            field.type_name = f".{self._reference(kind)}"


def _camel(name: str) -> str:
    json = row_names.json_name(name)
    return json[0].upper() + json[1:]


@dataclass(frozen=True, slots=True)
class _Helper:
    """A message inside the one that needs it."""

    name: str
    full_name: str
    comment: str
    fields: tuple[_Field, ...]
    position: Position

    def model(self) -> ir.Message:
        fields = tuple(field.model() for field in self.fields)
        return ir.Message(self.name, self.full_name, fields, (), (), (), self.position)


class _File:
    """The file of one record."""

    def __init__(self, record: Record, numbers: Sequence[ir.RowField], paths: Mapping[str, str]) -> None:
        self.source = record.file
        self._record = record
        fields = {field.name: field for field in record.fields}
        self._fields = [
            _Field(
                number=each.number,
                name=each.name,
                type=fields[each.name].type,
                nullable=fields[each.name].optional,
                scope=record.full_name,
                position=fields[each.name].position,
                schema_comment=fields[each.name].comment,
            )
            for each in numbers
            if not each.reserved
        ]
        gone = [each for each in numbers if each.reserved]
        self._reserved = [each.number for each in gone]
        # A name that is in use again, with another type, can't be reserved as well.
        self._reserved_names = sorted({each.name for each in gone} - fields.keys())
        used = {part for field in self._fields for part in row_types.parts(field.type)}
        self._imports = sorted({paths[part.full_name] for part in used if isinstance(part, (Enum, Message))})
        needed = sorted((part for part in used if isinstance(part, Helper)), key=lambda helper: helper.name)
        self._helpers = [self._helper(helper) for helper in needed]

    def _helper(self, helper: Helper) -> _Helper:
        scope, place = self._record.full_name, self._record.position
        fields = (
            _Field(number, name, kind, helper.optional, scope, place)
            for number, (name, kind) in enumerate(helper.fields, 1)
        )
        return _Helper(helper.name, f"{scope}.{helper.name}", _HELPERS[helper.kind], tuple(fields), place)

    def text(self) -> str:
        """The `.proto` file."""
        record = self._record
        default = f"A {_VALUES[record.kind]} of `{record.group}.{record.schema_name}`."
        return render(
            "rows/row.proto.jinja",
            source=record.file,
            title=self._title,
            package=record.package,
            imports=self._imports,
            comment=comment_lines(record.comment) or [default],
            name=record.name,
            reserved=self._reserved,
            reserved_names=self._reserved_names,
            helpers=self._helpers,
            fields=self._fields,
        )

    @property
    def _title(self) -> str:
        record = self._record
        return f"The message of {_VALUES[record.kind]}s of {record.kind} `{record.schema_name}` of `{record.group}`."

    def proto_file(self) -> ir.ProtoFile:
        """The file as the walkers of protobuf see it."""
        record = self._record
        message = ir.Message(
            name=record.name,
            full_name=record.full_name,
            fields=tuple(field.model() for field in self._fields),
            messages=tuple(helper.model() for helper in self._helpers),
            enums=(),
            oneofs=(),
            position=record.position,
            comment=record.comment,
        )
        return ir.ProtoFile(
            path=record.path,
            package=record.package,
            imports=tuple(self._imports),
            messages=(message,),
            enums=(),
            services=(),
            extensions=(),
            descriptor=self._descriptor().SerializeToString(deterministic=True),
            comment=self._title,
        )

    def _descriptor(self) -> FileDescriptorProto:
        record = self._record
        file = FileDescriptorProto(name=record.path, package=record.package, dependency=self._imports, syntax="proto3")
        message = file.message_type.add(name=record.name)
        for helper in self._helpers:
            nested = message.nested_type.add(name=helper.name)
            for field in helper.fields:
                field.describe(nested, helper.full_name)
        for field in self._fields:
            field.describe(message, record.full_name)
        for number in self._reserved:
            message.reserved_range.add(start=number, end=number + 1)
        message.reserved_name.extend(self._reserved_names)
        return file


_VALUES = {"table": "row", "view": "row", "type": "value"}


def comment_lines(text: str) -> list[str]:
    """A comment of the schema as lines of a `.proto` file, which ends a comment at a line's end only."""
    lines = ["".join(each if each.isprintable() else " " for each in line).strip() for line in text.splitlines()]
    return lines if any(lines) else []
