"""The committed file that remembers what proto files promise to those who speak by them: from descriptors, and text.

A line is one promise; lines stand alone and are sorted, so that a difference of the file reads by itself:

    field sun.v1.Post 5 string text
    method sun.v1.SocialService/AddPost sun.v1.AddPostRequest sun.v1.AddPostResponse

What may not change is settled in proto_breaking.py; numbers of row messages are kept in another file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)

from generators import ir
from generators.diagnostics import Diagnostics, Position

NAME = "proto.lock"

_HEAD = (
    "# What the proto files promise to clients and to what is stored. `sun generate` refuses to break it.\n"
    "# `sun generate` writes this file; commit it.\n"
)
_RESTORE = "restore the file from version control and run `sun generate`"
_CONFLICT = re.compile(r"<{7}|={7}|>{7}|\|{7}")

_ID = r"[A-Za-z_]\w*"
_FULL = rf"{_ID}(?:\.{_ID})*"
_NUMBER = r"-?\d{1,10}"
_LINE = re.compile(
    rf"package (?P<package>{_FULL})"
    rf"|message (?P<message>{_FULL})"
    rf"|field (?P<holder>{_FULL}) (?P<number>{_NUMBER}) (?P<label>(?:optional |repeated |required )?)"
    rf"(?P<type>map<{_FULL}, {_FULL}>|{_FULL}) (?P<name>{_ID})"
    rf"(?: oneof (?P<oneof>{_ID}))?(?: json (?P<json>\S{{1,200}}))?"
    rf"|reserved (?P<keeper>{_FULL}) (?:(?P<first>{_NUMBER})(?:-(?P<last>{_NUMBER}))?|(?P<kept>{_ID}))"
    rf"|enum (?P<enum>{_FULL})"
    rf"|value (?P<of>{_FULL}) (?P<at>{_NUMBER}) (?P<value>{_ID})"
    rf"|method (?P<method>{_FULL}/{_ID}) (?P<request>{_FULL}) (?P<response>(?:stream )?{_FULL})"
    r"(?: (?P<effects>no_side_effects|idempotent))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Field:
    """`label` is optional, repeated, required or empty; `type` is protobuf's word or a full name."""

    number: int
    name: str
    type: str
    label: str
    oneof: str
    json: str


@dataclass(slots=True)
class Reserved:
    """Numbers, from the first to the last of each range, and names that nothing may have again."""

    ranges: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    names: set[str] = field(default_factory=set[str])

    def has(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Method:
    """`effects` is no_side_effects, idempotent or empty."""

    request: str
    response: str
    streams: bool
    effects: str


@dataclass(slots=True)
class Promises:
    """What a schema promises, by full names: fields by number, values of enums by name, what both have reserved.

    `places` says where the file that they were read from has each.
    """

    packages: set[str] = field(default_factory=set[str])
    messages: dict[str, dict[int, Field]] = field(default_factory=dict[str, dict[int, Field]])
    enums: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    reserved: dict[str, Reserved] = field(default_factory=dict[str, Reserved])
    methods: dict[str, Method] = field(default_factory=dict[str, Method])
    places: dict[str, Position] = field(default_factory=dict[str, Position])


# From the schema.


def of(files: Sequence[ir.ProtoFile]) -> Promises:
    """What these files promise."""
    made = Promises()
    for each in files:
        file = FileDescriptorProto.FromString(each.descriptor)
        if file.package:
            made.packages.add(file.package)
        scope = f"{file.package}." if file.package else ""
        for message in file.message_type:
            _add_message(made, message, scope)
        for enum in file.enum_type:
            _add_enum(made, enum, scope)
        for service in file.service:
            for method in service.method:
                made.methods[f"{scope}{service.name}/{method.name}"] = _method(method)
    return made


def _add_message(made: Promises, message: DescriptorProto, scope: str) -> None:
    name = f"{scope}{message.name}"
    entries = {f".{name}.{entry.name}": entry for entry in message.nested_type if entry.options.map_entry}
    made.messages[name] = {each.number: _field(each, message, entries) for each in message.field}
    # Of a message, the end of a range is the first number after it; of an enum, the last one in it.
    ranges = [(each.start, each.end - 1) for each in message.reserved_range]
    made.reserved[name] = Reserved(ranges, set(message.reserved_name))
    for nested in message.nested_type:
        if not nested.options.map_entry:
            _add_message(made, nested, f"{name}.")
    for enum in message.enum_type:
        _add_enum(made, enum, f"{name}.")


def _field(field: FieldDescriptorProto, message: DescriptorProto, entries: Mapping[str, DescriptorProto]) -> Field:
    label = {FieldDescriptorProto.LABEL_REPEATED: "repeated", FieldDescriptorProto.LABEL_REQUIRED: "required"}
    kind, shown = _type(field), label.get(field.label, "")
    if field.type_name in entries:
        kind, shown = f"map<{', '.join(_type(each) for each in entries[field.type_name].field)}>", ""
    is_member = field.HasField("oneof_index") and not field.proto3_optional
    return Field(
        number=field.number,
        name=field.name,
        type=kind,
        label="optional" if field.proto3_optional else shown,
        oneof=message.oneof_decl[field.oneof_index].name if is_member else "",
        json=field.json_name or json_name(field.name),
    )


def _type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.removeprefix(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _add_enum(made: Promises, enum: EnumDescriptorProto, scope: str) -> None:
    name = f"{scope}{enum.name}"
    made.enums[name] = {value.name: value.number for value in enum.value}
    made.reserved[name] = Reserved([(each.start, each.end) for each in enum.reserved_range], set(enum.reserved_name))


def _method(method: MethodDescriptorProto) -> Method:
    effects = {MethodOptions.NO_SIDE_EFFECTS: "no_side_effects", MethodOptions.IDEMPOTENT: "idempotent"}
    return Method(
        request=method.input_type.removeprefix("."),
        response=method.output_type.removeprefix("."),
        streams=method.server_streaming,
        effects=effects.get(method.options.idempotency_level, ""),
    )


def json_name(name: str) -> str:
    """The name of a field in JSON where the schema gives no other (https://protobuf.dev/programming-guides/json/)."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


# To and from text.


def render(promises: Promises) -> str:
    """The text of the file; empty where nothing is promised."""
    lines = sorted(_lines(promises))
    return _HEAD + "".join(f"{line}\n" for *_, line in lines) if lines else ""


def _lines(promises: Promises) -> Iterator[tuple[str, int, int, str]]:
    """Each line after what it is sorted by: its owner, what kind of line, the number."""
    for name in promises.packages:
        yield name, 0, 0, f"package {name}"
    for name, message in promises.messages.items():
        yield name, 1, 0, f"message {name}"
        for each in message.values():
            label = f"{each.label} " if each.label else ""
            oneof = f" oneof {each.oneof}" if each.oneof else ""
            json = f" json {each.json}" if each.json != json_name(each.name) else ""
            yield name, 2, each.number, f"field {name} {each.number} {label}{each.type} {each.name}{oneof}{json}"
    for name, enum in promises.enums.items():
        yield name, 1, 0, f"enum {name}"
        for value, number in enum.items():
            yield name, 2, number, f"value {name} {number} {value}"
    for name, reserved in promises.reserved.items():
        yield from _reserved_lines(name, reserved)
    for path, method in promises.methods.items():
        stream = "stream " if method.streams else ""
        effects = f" {method.effects}" if method.effects else ""
        yield path, 0, 0, f"method {path} {method.request} {stream}{method.response}{effects}"


def _reserved_lines(name: str, reserved: Reserved) -> Iterator[tuple[str, int, int, str]]:
    for first, last in reserved.ranges:
        yield name, 3, first, f"reserved {name} {first}" + (f"-{last}" if last != first else "")
    for kept in reserved.names:
        yield name, 4, 0, f"reserved {name} {kept}"


def read(data: bytes, shown: str, diagnostics: Diagnostics) -> Promises:
    """What the file holds, `shown` in positions. What is wrong with it goes to `diagnostics`."""
    found = Promises()
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        place = Position(shown, data.count(b"\n", 0, error.start) + 1, 1)
        diagnostics.error(place, "bad-encoding", f"byte 0x{data[error.start]:02x} is not UTF-8: {_RESTORE}")
        return found
    for number, line in enumerate(text.split("\n"), 1):
        if not (line := line.rstrip()) or line.startswith("#"):
            continue
        place = Position(shown, number, 1)
        if _CONFLICT.match(line):
            text = "a conflict of a merge: keep the lines of both sides, and run `sun generate`"
            diagnostics.error(place, "merge-conflict", text)
        elif match := _LINE.fullmatch(line):
            if (clash := _add(found, match.groupdict(), place)) is not None:
                text = f"{clash} is here twice: delete the line of what the schema no longer has"
                diagnostics.error(place, "bad-lock", text)
        else:
            diagnostics.error(place, "bad-lock", f"`{line[:100]}` is not understood: {_RESTORE}")
    return found


def _add(found: Promises, line: Mapping[str, str | None], place: Position) -> str | None:
    """Take a line in. Returns the name of what another line says otherwise."""
    given = {key: value for key, value in line.items() if value is not None}
    match given:
        case {"package": name}:
            found.packages.add(name)
        case {"message": name}:
            found.messages.setdefault(name, {})
        case {"enum": name}:
            found.enums.setdefault(name, {})
        case {"holder": holder, "number": number, "type": kind, "name": field_name}:
            name = f"{holder}.{field_name}"
            made = Field(
                number=int(number),
                name=field_name,
                type=kind,
                label=given.get("label", "").rstrip(),
                oneof=given.get("oneof", ""),
                json=given.get("json", json_name(field_name)),
            )
            if found.messages.setdefault(holder, {}).setdefault(made.number, made) != made:
                return f"number {number} of {holder}"
        case {"of": owner, "at": number, "value": value}:
            name = f"{owner}.{value}"
            if found.enums.setdefault(owner, {}).setdefault(value, int(number)) != int(number):
                return name
        case {"method": name, "request": request, "response": response}:
            made = Method(
                request, response.removeprefix("stream "), response.startswith("stream "), given.get("effects", "")
            )
            if found.methods.setdefault(name, made) != made:
                return name
        case {"keeper": name}:
            reserved = found.reserved.setdefault(name, Reserved())
            if "kept" in given:
                reserved.names.add(given["kept"])
            else:
                first = int(given["first"])
                reserved.ranges.append((first, int(given.get("last", first))))
            return None
        case _:
            return None
    found.places[name] = place
    return None
