"""Reads a folder of `.proto` files into the IR, and refuses options that can't be meant. Renders nothing."""

from __future__ import annotations

import datetime
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from google.protobuf.descriptor_pb2 import DESCRIPTOR as DESCRIPTOR_PROTO
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from generators import ir, proto_names
from generators.diagnostics import Diagnostics, Position
from generators.proto_compiler import compile_protos
from generators.proto_limits import check_limit, check_method, duplicates
from generators.proto_rules import check_rules
from generators.proto_source import EDITION, PACKAGE, SYNTAX, Path_, Source
from generators.proto_types import plain_type

# Attributes of the runtime's Service and Client, and names in their annotations, which such a method would hide.
_TAKEN = frozenset({"methods", "service_name", "int", "str", "tuple"})


def parse_protos(
    folder: Path, includes: Sequence[Path], shown: str, diagnostics: Diagnostics
) -> tuple[tuple[ir.ProtoFile, ...], tuple[ir.ProtoFile, ...]]:
    """The files below `folder`, and those of `includes` and of protobuf that they import, each sorted by path.

    `shown` is the folder's name in positions: `schema/proto`. Files that protoc refuses are left out; every error found
    is in `diagnostics`.
    """
    compiled = compile_protos(folder, includes, shown, diagnostics)
    options = _Options(compiled.files)
    own: list[_File] = []
    imported: list[ir.ProtoFile] = []
    for descriptor in compiled.files:
        if descriptor.name in options.refused:
            if reason := options.refused[descriptor.name]:
                # protoc does not see every conflict between files that do not import each other.
                where = shown if descriptor.name in compiled.own else ""
                position = Source(descriptor, f"{where}/{descriptor.name}".lstrip("/"), None).position()
                text = f"the file conflicts with another one of the schema: {reason}"
                diagnostics.error(position, "conflict", text)
        elif descriptor.name in compiled.own:
            source = Source(descriptor, f"{shown}/{descriptor.name}", folder / descriptor.name)
            own.append(_File(descriptor, source, options, diagnostics))
        else:
            imported.append(_File(descriptor, Source(descriptor, descriptor.name, None), options, Diagnostics()).read())
    files = [file.read() for file in own]
    declared = {each.full_name: each for file in (*files, *imported) for each in messages(file.messages)}
    complete = compiled.complete and not options.refused
    limits = [limit for file in (*files, *imported) for limit in file.limits]
    for limit, other in duplicates(limits):
        text = f"limit {limit.name} is declared already, at {other.position}: methods name limits by their bare names"
        diagnostics.error(limit.position, "duplicate-limit", text)
    for file in own:
        file.check_errors(declared, complete=complete)
        file.check_limits({limit.name: limit for limit in limits}, complete=complete)
    return _sorted(files), _sorted(imported)


def messages(found: Sequence[ir.Message]) -> Iterator[ir.Message]:
    """These messages, each followed by the ones inside it."""
    for message in found:
        yield message
        yield from messages(message.messages)


def places(files: Sequence[ir.ProtoFile]) -> dict[str, Position]:
    """Where each message, field, enum, service and method is declared, by full name."""
    found: dict[str, Position] = {}
    for file in files:
        for message in messages(file.messages):
            found[message.full_name] = message.position
            found |= {f"{message.full_name}.{field.name}": field.position for field in message.fields}
            found |= {enum.full_name: enum.position for enum in message.enums}
        found |= {enum.full_name: enum.position for enum in file.enums}
        for service in file.services:
            found[service.full_name] = service.position
            found |= {method.full_name: method.position for method in service.methods}
    return found


def _sorted(files: Sequence[ir.ProtoFile]) -> tuple[ir.ProtoFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


class _Options:
    """Reads the framework's options by the declarations that the schema itself imports, without generated code."""

    def __init__(self, files: Sequence[FileDescriptorProto]) -> None:
        self.pool = DescriptorPool()
        if all(file.name != DESCRIPTOR_PROTO.name for file in files):
            self.pool.AddSerializedFile(DESCRIPTOR_PROTO.serialized_pb)
        self.refused: dict[str, str] = {}
        for file in files:
            if not self.refused.keys().isdisjoint(file.dependency):
                self.refused[file.name] = ""  # only follows from what was said
                continue
            try:
                self.pool.AddSerializedFile(_stripped(file))
            except TypeError as error:
                self.refused[file.name] = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")

    def read(self, options: Message, extension: str) -> Any:
        """The message that this option holds, None where it is not set. Any: its class exists in this pool only."""
        found = self._extension(options, extension)
        if found is None:
            return None
        known, field = found
        return known.Extensions[field] if known.HasExtension(field) else None

    def read_all(self, options: Message, extension: str) -> Sequence[Any]:
        """The messages that this repeated option holds."""
        found = self._extension(options, extension)
        return () if found is None else found[0].Extensions[found[1]]

    def _extension(self, options: Message, extension: str) -> tuple[Any, Any] | None:
        """The options with their extensions, and the descriptor of this one."""
        if not options.ByteSize():
            return None
        try:
            field = self.pool.FindExtensionByName(extension)
        except KeyError:
            return None  # no file imports sun/options.proto
        name = options.DESCRIPTOR.full_name
        known = cast("Any", GetMessageClass(self.pool.FindMessageTypeByName(name)))
        return known.FromString(options.SerializeToString()), field

    def number(self, extension: str) -> int:
        """The field number of an extension that `read` has found."""
        return self.pool.FindExtensionByName(extension).number

    def presence(self, field: str) -> bool:
        return self.pool.FindFieldByName(field).has_presence


def _stripped(file: FileDescriptorProto) -> bytes:
    """The file without places and comments, in one byte order: what generated code carries."""
    bare = FileDescriptorProto()
    bare.CopyFrom(file)
    bare.ClearField("source_code_info")
    return bare.SerializeToString(deterministic=True)


@dataclass(frozen=True, slots=True)
class _Declared:
    """One `errors` entry of a method, checked once every message is known."""

    name: str
    paths: tuple[Path_, ...]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A method that draws from limits, checked once every limit is known."""

    method: ir.Method
    paths: tuple[Path_, ...]


class _File:
    """One file on its way into the IR."""

    def __init__(
        self, descriptor: FileDescriptorProto, source: Source, options: _Options, diagnostics: Diagnostics
    ) -> None:
        self._descriptor = descriptor
        self._source = source
        self._options = options
        self._diagnostics = diagnostics
        self._declared: list[_Declared] = []
        self._drawing: list[_Drawing] = []

    def read(self) -> ir.ProtoFile:
        file = self._descriptor
        package = file.package
        kinds = FileDescriptorProto
        self._refuse_extension_rules(file.extension, (kinds.EXTENSION_FIELD_NUMBER,))
        return ir.ProtoFile(
            path=file.name,
            package=package,
            imports=tuple(file.dependency),
            messages=self._messages(file.message_type, (kinds.MESSAGE_TYPE_FIELD_NUMBER,), package),
            enums=self._enums(file.enum_type, (kinds.ENUM_TYPE_FIELD_NUMBER,), package),
            services=tuple(
                self._service(service, (kinds.SERVICE_FIELD_NUMBER, index), package)
                for index, service in enumerate(file.service)
            ),
            extensions=tuple(_join(package, extension.name) for extension in file.extension),
            descriptor=_stripped(file),
            limits=self._limits(file),
            comment=self._source.comment(SYNTAX, EDITION, PACKAGE),
        )

    def check_errors(self, declared: Mapping[str, ir.Message], *, complete: bool) -> None:
        """Names that methods give in `errors`. Without all files (`complete`), an unknown name proves nothing."""
        for each in self._declared:
            message = declared.get(each.name)
            if message is None and not complete:
                continue
            if message is not None and message.error is not None:
                continue
            if message is not None:
                text = f"{each.name} is no error: give the message `option (sun.error)`"
            elif _join(self._descriptor.package, each.name) in declared:
                text = f"no error {each.name}: write its full name, {_join(self._descriptor.package, each.name)}"
            else:
                text = f"no error {each.name}: an error is the full name of a message marked (sun.error)"
            self._diagnostics.error(self._source.word(each.name, *each.paths), "unknown-error", text)

    def check_limits(self, declared: Mapping[str, ir.Limit], *, complete: bool) -> None:
        """Names that methods give in `limits`. Without all files (`complete`), an unknown name proves nothing."""
        for each in self._drawing:
            for name, code, text in check_method(each.method, declared, complete=complete):
                self._diagnostics.error(self._source.word(name, *each.paths), code, text)

    def _limits(self, file: FileDescriptorProto) -> tuple[ir.Limit, ...]:
        limits: list[ir.Limit] = []
        for index, found in enumerate(self._options.read_all(file.options, "sun.limit")):
            path = (FileDescriptorProto.OPTIONS_FIELD_NUMBER, self._options.number("sun.limit"), index)
            limit = ir.Limit(
                name=found.name,
                per=tuple(_word_of(found, "per", each) for each in found.per),
                tokens=found.tokens,
                refill_ms=found.refill_ms,
                charge=_word_of(found, "charge", found.charge).replace("unspecified", "always"),
                position=self._source.position(path),
                comment=self._source.comment(path),
            )
            limits.append(limit)
            for word, text in check_limit(limit):
                self._diagnostics.error(self._source.word(word, path), "bad-limit", text)
        return tuple(limits)

    def _messages(self, found: Sequence[DescriptorProto], path: Path_, scope: str) -> tuple[ir.Message, ...]:
        return tuple(
            self._message(message, (*path, index), scope)
            for index, message in enumerate(found)
            if not message.options.map_entry
        )

    def _message(self, message: DescriptorProto, path: Path_, scope: str) -> ir.Message:
        kinds = DescriptorProto
        full_name = _join(scope, message.name)
        entries = {
            _join(full_name, entry.name): ir.Map(*(plain_type(field) for field in entry.field))
            for entry in message.nested_type
            if entry.options.map_entry
        }
        fields = tuple(
            self._field(field, (*path, kinds.FIELD_FIELD_NUMBER, index), message, full_name, entries)
            for index, field in enumerate(message.field)
        )
        real = {field.oneof_index for field in message.field if _in_oneof(field)}
        self._refuse_extension_rules(message.extension, (*path, kinds.EXTENSION_FIELD_NUMBER))
        return ir.Message(
            name=message.name,
            full_name=full_name,
            fields=fields,
            messages=self._messages(message.nested_type, (*path, kinds.NESTED_TYPE_FIELD_NUMBER), full_name),
            enums=self._enums(message.enum_type, (*path, kinds.ENUM_TYPE_FIELD_NUMBER), full_name),
            oneofs=tuple(oneof.name for index, oneof in enumerate(message.oneof_decl) if index in real),
            position=self._name(path),
            error=self._error(message, path, fields),
            event_key=self._event(message, path, fields),
            comment=self._source.comment(path),
        )

    def _field(
        self,
        field: FieldDescriptorProto,
        path: Path_,
        message: DescriptorProto,
        scope: str,
        entries: Mapping[str, ir.Map],
    ) -> ir.Field:
        if field.type == FieldDescriptorProto.TYPE_GROUP:
            text = f"{field.name.lower()} is a group: use a message field"
            self._diagnostics.error(self._name(path), "unsupported", text)
        kind = entries.get(field.type_name.removeprefix(".")) or plain_type(field)
        if field.label == FieldDescriptorProto.LABEL_REPEATED and not isinstance(kind, ir.Map):
            kind = ir.List(kind)
        return ir.Field(
            name=field.name,
            number=field.number,
            type=kind,
            position=self._name(path),
            presence=self._options.presence(_join(scope, field.name)),
            oneof=message.oneof_decl[field.oneof_index].name if _in_oneof(field) else None,
            rules=self._rules(field, path, kind),
            deprecated=field.options.deprecated,
            comment=self._source.comment(path),
        )

    def _rules(self, field: FieldDescriptorProto, path: Path_, kind: ir.Type) -> ir.FieldRules | None:
        found = self._options.read(field.options, "sun.field")
        if found is None:
            return None
        option = (*path, FieldDescriptorProto.OPTIONS_FIELD_NUMBER, self._options.number("sun.field"))

        def given(name: str) -> Any:
            return getattr(found, name) if found.HasField(name) else None

        rules = ir.FieldRules(
            required=found.required,
            min_len=given("min_len"),
            max_len=given("max_len"),
            pattern=given("pattern"),
            gte=given("gte"),
            lte=given("lte"),
            choices=tuple(getattr(found, "in")),
            min_items=given("min_items"),
            max_items=given("max_items"),
        )
        for rule, text in check_rules(field.name, kind, rules, self._is_enum(field)):
            number = found.DESCRIPTOR.fields_by_name[rule].number
            at = self._source.word(rule, (*option, number), (*option, number, 0), option)
            self._diagnostics.error(at, "bad-rule", text)
        return rules

    def _refuse_extension_rules(self, extensions: Sequence[FieldDescriptorProto], path: Path_) -> None:
        for index, extension in enumerate(extensions):
            if self._options.read(extension.options, "sun.field") is not None:
                text = f"{extension.name} is an extension, and rules of extensions are not checked"
                self._diagnostics.error(self._name((*path, index)), "unsupported", text)

    def _is_enum(self, field: FieldDescriptorProto) -> bool:
        return field.type == FieldDescriptorProto.TYPE_ENUM

    def _error(self, message: DescriptorProto, path: Path_, fields: Sequence[ir.Field]) -> ir.ErrorRule | None:
        found = self._options.read(message.options, "sun.error")
        if found is None:
            return None
        option = (*path, DescriptorProto.OPTIONS_FIELD_NUMBER, self._options.number("sun.error"))
        code_name = cast("str", found.DESCRIPTOR.fields_by_name["code"].enum_type.values_by_number[found.code].name)
        if found.code == 0:
            text = f"error {message.name} has no code: add one, such as `code: CODE_NOT_FOUND`"
            self._diagnostics.error(self._source.position(option), "missing-code", text)
        if not found.message:
            text = f"error {message.name} has no message: add a text for people"
            self._diagnostics.error(self._source.position(option), "missing-message", text)
        shown = {field.name for field in fields if self._can_be_shown(field)}
        paths = ((*option, 2), option)
        for name, text in _template_errors(found.message, shown, {field.name for field in fields}):
            self._diagnostics.error(self._source.word(name, *paths), "bad-template", text)
        return ir.ErrorRule(code_name.removeprefix("CODE_").lower(), found.message)

    def _can_be_shown(self, field: ir.Field) -> bool:
        return isinstance(field.type, (ir.Bool, ir.Int, ir.Float, ir.Text))

    def _event(self, message: DescriptorProto, path: Path_, fields: Sequence[ir.Field]) -> str | None:
        found = self._options.read(message.options, "sun.event")
        if found is None:
            return None
        option = (*path, DescriptorProto.OPTIONS_FIELD_NUMBER, self._options.number("sun.event"))
        key = cast("str", found.key)
        field = next((field for field in fields if field.name == key), None)
        paths = ((*option, 1), option)
        if field is None:
            text = f"event {message.name} has no field {key}" if key else f"event {message.name} names no key"
            text += ": the key is the field whose value orders the events"
            self._diagnostics.error(self._source.word(key or "event", *paths), "unknown-field", text)
        elif not isinstance(field.type, (ir.Int, ir.Text)):
            text = f"{key} can't be the key of event {message.name}: a key is one integer or string"
            self._diagnostics.error(self._source.word(key, *paths), "bad-key", text)
        return key

    def _enums(self, found: Sequence[EnumDescriptorProto], path: Path_, scope: str) -> tuple[ir.Enum, ...]:
        return tuple(
            ir.Enum(
                name=enum.name,
                full_name=_join(scope, enum.name),
                values=tuple(
                    self._enum_value(value, (*path, index, EnumDescriptorProto.VALUE_FIELD_NUMBER, number))
                    for number, value in enumerate(enum.value)
                ),
                position=self._name((*path, index)),
                comment=self._source.comment((*path, index)),
            )
            for index, enum in enumerate(found)
        )

    def _enum_value(self, value: EnumValueDescriptorProto, path: Path_) -> ir.EnumValue:
        return ir.EnumValue(value.name, value.number, self._source.comment(path))

    def _service(self, service: ServiceDescriptorProto, path: Path_, scope: str) -> ir.Service:
        full_name = _join(scope, service.name)
        methods: list[ir.Method] = []
        attributes: dict[str, str] = {}
        for index, each in enumerate(service.method):
            method = self._method(each, (*path, ServiceDescriptorProto.METHOD_FIELD_NUMBER, index), full_name)
            methods.append(method)
            attribute = proto_names.method(each.name)
            other = attributes.setdefault(attribute, each.name)
            if other != each.name:
                text = f"methods {other} and {each.name} are both {attribute} in Python: rename one"
                self._diagnostics.error(method.position, "name-clash", text)
            elif attribute in _TAKEN or attribute.startswith("_"):
                text = f"method {each.name} is {attribute} in Python, a name the service base needs: rename it"
                self._diagnostics.error(method.position, "name-clash", text)
        return ir.Service(service.name, full_name, tuple(methods), self._name(path), self._source.comment(path))

    def _method(self, method: MethodDescriptorProto, path: Path_, service: str) -> ir.Method:
        position = self._name(path)
        rules = self._options.read(method.options, "sun.method")
        callers = ""
        if rules is not None and rules.callers:
            callers = _word_of(rules, "callers", rules.callers)
        else:
            text = (
                f"method {method.name} does not say who may call it: add `option (sun.method).callers = CALLERS_USER`"
            )
            self._diagnostics.error(position, "missing-callers", text)
        if method.client_streaming:
            text = f"method {method.name} takes a stream: only unary methods and server streaming exist on the wire"
            self._diagnostics.error(position, "unsupported", text)
        level = method.options.idempotency_level
        pure = level == method.options.NO_SIDE_EFFECTS
        made = ir.Method(
            name=method.name,
            full_name=f"{service}/{method.name}",
            request=method.input_type.removeprefix("."),
            response=method.output_type.removeprefix("."),
            position=position,
            callers=callers,
            side_effects=not pure,
            idempotent=pure or level == method.options.IDEMPOTENT,
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
            deprecated=method.options.deprecated,
            comment=self._source.comment(path),
        )
        return made if rules is None else self._ruled(made, rules, path)

    def _ruled(self, method: ir.Method, rules: Any, path: Path_) -> ir.Method:
        """The method with what else its rules say."""
        option = (*path, MethodDescriptorProto.OPTIONS_FIELD_NUMBER, self._options.number("sun.method"))
        for index, name in enumerate(rules.errors):
            self._declared.append(_Declared(name, ((*option, 2, index), (*option, 2), option)))
        ruled = replace(
            method,
            errors=tuple(dict.fromkeys(cast("Sequence[str]", rules.errors))),
            limits=tuple(dict.fromkeys(cast("Sequence[str]", rules.limits))),
            timeout_ms=rules.timeout_ms,
            max_timeout_ms=rules.max_timeout_ms,
            max_request_bytes=rules.max_request_bytes,
            deprecated_since=rules.deprecated_since,
        )
        if ruled.limits:
            self._drawing.append(_Drawing(ruled, ((*option, 3), option)))
        for word, number, text in _method_errors(ruled):
            self._diagnostics.error(self._source.word(word, (*option, number), option), "bad-rule", text)
        return ruled

    def _name(self, path: Path_) -> Position:
        """Where a message, field, enum, service or method is named; `name` is field 1 of each of their descriptors."""
        return self._source.position((*path, 1), path)


def _method_errors(method: ir.Method) -> Iterator[tuple[str, int, str]]:
    """The rule of a method that can't be meant, its number in MethodRules, and why."""
    longest = method.max_timeout_ms
    if longest and method.timeout_ms > longest:
        text = f"timeout_ms {method.timeout_ms} of method {method.name} is more than its max_timeout_ms {longest}"
        yield "timeout_ms", 4, text
    if method.deprecated_since and not method.deprecated:
        text = f"method {method.name} has deprecated_since, and is not deprecated: add `option deprecated = true`"
        yield "deprecated_since", 7, text
    elif method.deprecated_since and not _is_date(method.deprecated_since):
        text = f"deprecated_since of method {method.name} is {method.deprecated_since!r}: write a date, as 2026-11-30"
        yield "deprecated_since", 7, text


def _is_date(text: str) -> bool:
    try:
        # Not every form that fromisoformat takes: one is enough.
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _word_of(rules: Any, field: str, number: int) -> str:
    """The value of an enum without its prefix: `PER_USER` of the field `per` is `user`."""
    value = rules.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return cast("str", value.name).removeprefix(f"{field.upper()}_").lower() if value is not None else "unspecified"


def _template_errors(template: str, shown: set[str], fields: set[str]) -> Iterator[tuple[str, str]]:
    """The word of the template that is wrong, and why."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        yield "message", f"the message is no template: {error}; a brace for people is written twice"
        return
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion:
            yield name, f"{{{name}}} can't be formatted: only plain names of fields are filled in"
        elif name not in fields:
            yield name or "message", f"the message names {{{name}}}, which is no field: {_listed(fields)}"
        elif name not in shown:
            yield name, f"{{{name}}} can't be shown to people: only strings, numbers and bools are filled in"


def _listed(names: set[str]) -> str:
    return f"the fields are {', '.join(sorted(names))}" if names else "there are no fields"


def _in_oneof(field: FieldDescriptorProto) -> bool:
    """Whether it belongs to a oneof that the text has; `optional` makes a shadow of one."""
    return field.HasField("oneof_index") and not field.proto3_optional


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
