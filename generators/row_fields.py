"""The numbers of fields in row messages, from the lock and on; and what keeps a record from having a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from google.protobuf.descriptor_pb2 import FeatureSet, FileDescriptorProto

from generators import ir, row_names, row_types
from generators.diagnostics import Diagnostics, Position
from generators.row_records import Field, Record, records
from generators.wire_lock import Line, free_numbers

# --- numbers ---------------------------------------------------------------------------------------------------------


def number(found: Iterable[Record], lines: Sequence[Line], diagnostics: Diagnostics) -> tuple[ir.RowMessage, ...]:
    """The messages of all records, and of those that are gone, by name. `lines` must be free of clashes.

    A field keeps its number as long as its name, or the one it is renamed from, and its type stay. What loses its
    number leaves it reserved, and only a field of that name and type gets it back. New fields are numbered on.
    """
    known: dict[str, list[Line]] = {}
    for line in lines:
        known.setdefault(line.message, []).append(line)
    messages: list[ir.RowMessage] = []
    for record in found:
        fields = _Numbering(record.full_name, known.pop(record.full_name, []), diagnostics).fields(record.fields)
        messages.append(ir.RowMessage(record.full_name, fields))
    for name, left in known.items():
        if any(not line.field.reserved for line in left):
            diagnostics.note(left[0].position, f"what had the message {name} is gone: its numbers stay reserved")
        fields = (replace(line.field, reserved=True) for line in left)
        messages.append(ir.RowMessage(name, _by_number(fields)))
    return tuple(sorted(messages, key=lambda message: message.full_name))


class _Numbering:
    """Gives the fields of one record their numbers."""

    def __init__(self, message: str, lines: Sequence[Line], diagnostics: Diagnostics) -> None:
        self._message = message
        self._live = {line.field.name: line for line in lines if not line.field.reserved}
        self._gone = [line.field for line in lines if line.field.reserved]
        self._free = iter(free_numbers(line.field.number for line in lines))
        self._diagnostics = diagnostics

    def fields(self, fields: Sequence[Field]) -> tuple[ir.RowField, ...]:
        former = {field.name: self._live.pop(field.name, None) for field in fields}
        for field in fields:
            if former[field.name] is None and field.former_name is not None:
                former[field.name] = self._live.pop(field.former_name, None)
        numbered = [self._field(field, former[field.name]) for field in fields]
        for line in self._live.values():
            self._retire(line, "is gone (if it has another name now, undo this and say renamed_from=)")
        return _by_number((*numbered, *self._gone))

    def _field(self, field: Field, former: Line | None) -> ir.RowField:
        name, kind = field.name, str(field.type)
        if former is not None and _reads_as(former.field, field):
            return ir.RowField(former.field.number, name, kind)
        if former is not None:
            self._retire(former, f"becomes {kind}, as which it can't be read")
        again = [gone for gone in self._gone if gone.name == name and _reads_as(gone, field)]
        if again:
            best = max(again, key=lambda gone: (gone.type == kind, gone.number))
            self._gone.remove(best)
            return ir.RowField(best.number, name, kind)
        return ir.RowField(next(self._free), name, kind)

    def _retire(self, line: Line, why: str) -> None:
        field = line.field
        text = f"{self._message}: {field.name} ({field.type}) {why}; its number {field.number} stays reserved"
        self._diagnostics.note(line.position, text)
        self._gone.append(replace(field, reserved=True))


def _reads_as(old: ir.RowField, new: Field) -> bool:
    return row_types.reads_as(row_types.parse(old.type), new.type)


def _by_number(fields: Iterable[ir.RowField]) -> tuple[ir.RowField, ...]:
    return tuple(sorted(fields, key=lambda field: field.number))


# --- what is refused -------------------------------------------------------------------------------------------------


def check(schema: ir.Schema, source: str, diagnostics: Diagnostics) -> None:
    """Collect names that clash in protobuf, and what messages can't hold. `source` is the schema's folder."""
    found = list(records(schema))
    _check_packages(found, schema, source, diagnostics)
    _check_owners(found, diagnostics)
    closed = set(chain.from_iterable(map(_closed_enums, (*schema.protos, *schema.imported))))
    depths: dict[str, int] = {}
    for record in found:
        _check_fields(record, closed, diagnostics)
        _check_helpers(record, diagnostics)
        _check_depth(record, depths, diagnostics)


def _check_packages(found: Sequence[Record], schema: ir.Schema, source: str, diagnostics: Diagnostics) -> None:
    """Refuse proto files of the schema's own where messages of records go."""
    for package in dict.fromkeys(record.package for record in found):
        inside = [record for record in found if record.package == package]
        whose = f"the {_HELD[inside[0].kind]} messages of {inside[0].group_kind} `{inside[0].group}`"
        own = {record.path for record in inside}
        scopes = {package.rsplit(".", cut)[0] for cut in range(3)}
        for file in schema.protos:
            if file.package == package or file.path in own:
                text = f"{package} is where {whose} go: choose another package"
                diagnostics.error(Position(f"{source}/proto/{file.path}", 1, 1), "name-clash", text)
            for each in (*file.messages, *file.enums, *file.services):
                if each.full_name in scopes:
                    text = f"{each.full_name} is also the package of {whose}: rename it"
                    diagnostics.error(each.position, "name-clash", text)


_HELD = {"table": "row", "view": "row", "type": "type"}


def _check_owners(found: Sequence[Record], diagnostics: Diagnostics) -> None:
    """Refuse a table of a keyspace and one of the database of the same name that would have one message. Within one of
    them, the names in Python are as much the same, and are refused where those are made.
    """
    owners: dict[str, Record] = {}
    for record in found:
        for name in (record.full_name, record.path):
            other = owners.setdefault(name, record)
            if other.file != record.file:
                text = (
                    f"{record.kind} {record.schema_name} and {other.kind} {other.schema_name} of {other.file} both "
                    f"become {name}: rename one"
                )
                diagnostics.error(record.position, "name-clash", text)
                break


def _check_fields(record: Record, closed: set[str], diagnostics: Diagnostics) -> None:
    names: dict[str, Field] = {}
    for field in record.fields:
        json = row_names.json_name(field.name)
        # protoc refuses two fields of one JSON name; two that differ in it differ in their names too.
        other = names.setdefault(json, field)
        if other.attribute != field.attribute:  # else it has been said
            shown = f"protobuf name {field.name}" if other.name == field.name else f"JSON name {json}"
            text = (
                f"{_FIELDS[record.kind]} {other.schema_name} and {field.schema_name} of {record.schema_name} both get "
                f"the {shown}: rename one"
            )
            diagnostics.error(field.position, "name-clash", text)
        if field.enum in closed:
            text = f"the enum {field.enum} is closed, so a row message can't hold it: declare it in a proto3 file"
            diagnostics.error(field.position, "closed-enum", text)


_FIELDS = {"table": "columns", "view": "columns", "type": "fields"}


def _check_helpers(record: Record, diagnostics: Diagnostics) -> None:
    """Refuse types whose names make two helper messages of one name, as a type called `string` may."""
    helpers: dict[str, row_types.Helper] = {}
    for field in record.fields:
        for helper in row_types.helpers(field.type):
            other = helpers.setdefault(helper.name, helper)
            if other != helper:
                text = (
                    f"{field.schema_name} of {record.schema_name} needs a message {helper.name} for {helper}, and "
                    f"{other} has that name: rename the type"
                )
                diagnostics.error(field.position, "name-clash", text)


def _check_depth(record: Record, depths: dict[str, int], diagnostics: Diagnostics) -> None:
    """Refuse messages deeper in each other than parsers go. `depths` are those of the records before, by full name."""
    depths[record.full_name] = 1
    for field in record.fields:
        depth = 1 + row_types.depth(field.type, depths)
        depths[record.full_name] = max(depths[record.full_name], depth)
        if depth > row_types.MOST_DEEP:
            text = (
                f"{field.schema_name} of {record.schema_name} is {depth} messages deep, and parsers of protobuf go no "
                f"deeper than 100: at most {row_types.MOST_DEEP} are taken"
            )
            diagnostics.error(field.position, "too-deep", text)


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
