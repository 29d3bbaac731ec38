"""Plans the modules of one proto file's messages and their stubs. What messages are checked for is not here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from generators import ir, proto_names, templates
from generators.artifacts import Artifact
from generators.proto_imports import Imports
from generators.proto_index import Index
from generators.proto_text import docstring, literal
from generators.proto_types import plain_type

_BUILTINS = ("bool", "bytes", "classmethod", "float", "int", "list", "property", "staticmethod", "str", "tuple")
_WITH_METHODS = frozenset({"Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp"})
"""Messages of google.protobuf that the library gives methods of their own."""
_WIDTH = 100  # characters of a descriptor's literal on one line


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class _Enum:
    name: str
    type: str  # as other parts of the stub must write it
    values: tuple[_Value, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class _Number:
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class _Extension:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Attribute:
    """A field as its message shows it. `settable`: a value, not a message or container that is changed in place."""

    name: str
    type: str
    settable: bool
    doc: str


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """What WhichOneof takes and returns, as types."""

    name: str
    members: str


@dataclass(frozen=True, slots=True)
class _Message:
    name: str
    receiver: str
    bases: str
    enums: tuple[_Enum, ...]
    messages: tuple[_Message, ...]
    numbers: tuple[_Number, ...]
    extensions: tuple[_Extension, ...]
    attributes: tuple[_Attribute, ...]
    parameters: tuple[_Parameter, ...]
    present: str  # the type of what HasField takes
    clearable: str
    choices: tuple[_Choice, ...]
    doc: str


def artifacts(file: ir.ProtoFile, index: Index, source: str | None = None) -> Iterator[Artifact]:
    """The `_pb2.py` of a file and its stub. `source` is what they are made from, where that is not the file itself."""
    module = index.proto_module(file.path)
    folder = index.folder(module)
    source = source or f"{index.target.source}/proto/{file.path}"
    yield Artifact(f"{folder}/{module.name}.py", _module(file, index, source))
    yield Artifact(f"{folder}/{module.name}.pyi", _Stub(file, index).render(source))


def _module(file: ir.ProtoFile, index: Index, source: str) -> str:
    descriptor = FileDescriptorProto.FromString(file.descriptor)
    modules = [index.proto_module(path) for path in file.imports]
    imports = Imports(_top_level(file, descriptor))
    for module in modules:
        imports.name(module.package, module.name, local=f"_{module.name}")
    own_pool = index.target.pool
    wanted = [("pool", *(own_pool or ("google.protobuf", "descriptor_pool")))]
    if file.messages:
        wanted.append(("factory", "google.protobuf", "message_factory"))
        if own_pool is None:
            wanted.append(("symbols", "google.protobuf", "symbol_database"))
    if file.enums:
        wanted.append(("enum_type", "google.protobuf.internal.enum_type_wrapper", "EnumTypeWrapper"))
    names = {key: imports.name(package, name, local=f"_{name}") for key, package, name in wanted}
    if own_pool is None:
        names["pool"] += ".Default()"
    return templates.render(
        "proto/messages.py.jinja",
        source=source,
        path=file.path,
        imports=imports.lines(),
        names=names,
        chunks=list(_chunks(file.descriptor)),
        enums=[
            (enum.name, [(value.name, value.number) for value in enum.values if proto_names.is_writable(value.name)])
            for enum in file.enums
        ],
        messages=[message.name for message in file.messages],
        classes=[".".join(names) for names in _classes(file.messages, ())],
        prefix=f"{file.package}." if file.package else "",
        extensions=[(extension.name, extension.number) for extension in descriptor.extension],
    )


def _chunks(data: bytes) -> Iterator[str]:
    """Literals that make up `data`, none much wider than a line."""
    start, width = 0, 0
    for at, byte in enumerate(data):
        width += len(repr(bytes((byte,)))) - len("b''")
        if width >= _WIDTH:
            yield repr(data[start : at + 1])
            start, width = at + 1, 0
    if start < len(data) or not data:
        yield repr(data[start:])


def _classes(messages: Sequence[ir.Message], scope: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for message in messages:
        yield (*scope, message.name)
        yield from _classes(message.messages, (*scope, message.name))


def _top_level(file: ir.ProtoFile, descriptor: FileDescriptorProto) -> set[str]:
    names = {each.name for each in (*file.messages, *file.enums, *descriptor.extension)}
    numbers = {f"{extension.name.upper()}_FIELD_NUMBER" for extension in descriptor.extension}
    return names | numbers | {value.name for enum in file.enums for value in enum.values} | {"DESCRIPTOR"}


def _inner_names(messages: Sequence[ir.Message], enums: Sequence[ir.Enum]) -> set[str]:
    """Every name that a class of the stub declares, and that therefore hides a global name inside it."""
    found = {value.name for enum in enums for value in enum.values}
    for message in messages:
        found |= {each.name for each in (*message.fields, *message.messages, *message.enums)}
        found |= _inner_names(message.messages, message.enums)
    return found


class _Stub:
    """One stub under way. Names that fields or nested types would hide are reached through private aliases."""

    def __init__(self, file: ir.ProtoFile, index: Index) -> None:
        self._file = file
        self._index = index
        self._descriptor = FileDescriptorProto.FromString(file.descriptor)
        top = _top_level(file, self._descriptor)
        self._hidden = _inner_names(file.messages, file.enums)
        self._imports = Imports(top | self._hidden)
        self._aliases: dict[str, str] = {}
        clash = any(name in top | self._hidden for name in _BUILTINS)
        self._builtins = f"{self._imports.name('', 'builtins', local='_builtins')}." if clash else ""

    def render(self, source: str) -> str:
        file = self._file
        enums = tuple(self._enum(enum) for enum in file.enums)
        messages = tuple(
            self._message(message, descriptor)
            for message, descriptor in zip(file.messages, self._descriptor.message_type, strict=True)
        )
        extensions = self._extensions(self._descriptor.extension)
        numbers = _numbers(self._descriptor.extension)
        names = {"descriptor": self._google("google.protobuf", "descriptor")}
        if aliases := sorted((alias, target) for target, alias in self._aliases.items()):
            names["alias"] = self._typing("TypeAlias")
        if messages or numbers:
            names["final"] = self._typing("Final")
        if messages:
            names["final_class"] = self._typing("final")
        every = list(_flat(messages))
        has_enums = bool(enums) or any(message.enums for message in every)
        if has_enums:
            names["enum_type"] = self._google("google.protobuf.internal.enum_type_wrapper", "EnumTypeWrapper")
        if has_enums or any(message.extensions for message in every):
            names["class_var"] = self._typing("ClassVar")
        if has_enums or any(not message.choices for message in every):
            names["never"] = self._typing("Never")
        if any(len(message.choices) > 1 for message in every):
            names["overload"] = self._typing("overload")
        return templates.render(
            "proto/messages.pyi.jinja",
            source=source,
            doc=docstring(file.comment),
            imports=self._imports.lines(),
            names=names,
            builtins=self._builtins,
            aliases=aliases,
            enums=enums,
            messages=messages,
            extensions=extensions,
            numbers=numbers,
        )

    # The names that annotations use.

    def _typing(self, name: str) -> str:
        return self._imports.name("typing", name, local=f"_{name}")

    def _google(self, package: str, name: str) -> str:
        return self._imports.name(package, name, local=f"_{name}")

    def _containers(self) -> str:
        return self._google("google.protobuf.internal", "containers")

    def _collection(self, name: str) -> str:
        return self._imports.name("collections.abc", name, local=f"_{name}")

    def _reference(self, full_name: str) -> str:
        definition = self._index.find(full_name)
        dotted = ".".join(definition.names)
        if definition.file.path != self._file.path:
            module = self._index.proto_module(definition.file.path)
            return f"{self._imports.name(module.package, module.name, local=f'_{module.name}')}.{dotted}"
        first = definition.names[0]
        if first not in self._hidden:
            return dotted
        if first not in self._aliases:
            self._aliases[first] = self._imports.fresh(f"_{first}")
        return ".".join((self._aliases[first], *definition.names[1:]))

    def _one(self, kind: ir.Type) -> str:
        """The type of one value."""
        match kind:
            case ir.Bool():
                return f"{self._builtins}bool"
            case ir.Int():
                return f"{self._builtins}int"
            case ir.Float():
                return f"{self._builtins}float"
            case ir.Text():
                return f"{self._builtins}str"
            case ir.Bytes():
                return f"{self._builtins}bytes"
            case ir.Reference(full_name):
                return self._reference(full_name)
            case _:
                raise TypeError(f"no protobuf type: {kind}")

    def _held(self, kind: ir.Type) -> str:
        """The type of a field as it is read."""
        match kind:
            case ir.List(item):
                name = (
                    "RepeatedCompositeFieldContainer"
                    if self._index.is_message(item)
                    else "RepeatedScalarFieldContainer"
                )
                return f"{self._containers()}.{name}[{self._one(item)}]"
            case ir.Map(key, value):
                name = "MessageMap" if self._index.is_message(value) else "ScalarMap"
                return f"{self._containers()}.{name}[{self._one(key)}, {self._one(value)}]"
            case _:
                return self._one(kind)

    def _given(self, field: ir.Field) -> str:
        """The type of a field as the constructor takes it. None leaves a field unset, where being unset is a state."""
        match field.type:
            case ir.List(item):
                return f"{self._collection('Iterable')}[{self._one(item)}] | None"
            case ir.Map(key, value):
                return f"{self._collection('Mapping')}[{self._one(key)}, {self._one(value)}] | None"
            case _:
                return f"{self._one(field.type)} | None" if field.presence else self._one(field.type)

    def _literals(self, names: Sequence[str]) -> str:
        if not names:
            return self._typing("Never")
        return f"{self._typing('Literal')}[{', '.join(literal(name) for name in names)}]"

    # The parts of the stub.

    def _enum(self, enum: ir.Enum) -> _Enum:
        values = tuple(
            _Value(value.name, docstring(value.comment)) for value in enum.values if proto_names.is_writable(value.name)
        )
        return _Enum(enum.name, self._reference(enum.full_name), values, docstring(enum.comment))

    def _message(self, message: ir.Message, descriptor: DescriptorProto) -> _Message:
        nested = {each.name: each for each in descriptor.nested_type}
        fields = message.fields
        named = [field for field in fields if proto_names.is_writable(field.name)]
        taken = {field.name for field in fields}
        receiver = "self"
        while receiver in taken:
            receiver = f"_{receiver}"
        return _Message(
            name=message.name,
            receiver=receiver,
            bases=", ".join(self._bases(message.full_name)),
            enums=tuple(self._enum(enum) for enum in message.enums),
            messages=tuple(self._message(each, nested[each.name]) for each in message.messages),
            numbers=(*_numbers(descriptor.field), *_numbers(descriptor.extension)),
            extensions=self._extensions(descriptor.extension),
            attributes=tuple(
                _Attribute(field.name, self._held(field.type), self._is_settable(field.type), docstring(field.comment))
                for field in named
            ),
            parameters=tuple(
                _Parameter(field.name, self._given(field)) for field in fields if proto_names.is_writable(field.name)
            ),
            present=self._literals([*(field.name for field in fields if field.presence), *message.oneofs]),
            clearable=self._literals([*(field.name for field in fields), *message.oneofs]),
            choices=tuple(
                _Choice(
                    self._literals([oneof]), self._literals([field.name for field in fields if field.oneof == oneof])
                )
                for oneof in message.oneofs
            ),
            doc=docstring(message.comment),
        )

    def _bases(self, full_name: str) -> Iterator[str]:
        name = full_name.removeprefix("google.protobuf.")
        if full_name != name and name in _WITH_METHODS:
            known = self._google("google.protobuf.internal", "well_known_types")
            yield f"{known}.{name}"
        yield f"{self._google('google.protobuf', 'message')}.Message"

    def _is_settable(self, kind: ir.Type) -> bool:
        return not isinstance(kind, (ir.List, ir.Map)) and not self._index.is_message(kind)

    def _extensions(self, extensions: Sequence[FieldDescriptorProto]) -> tuple[_Extension, ...]:
        found: list[_Extension] = []
        for extension in extensions:
            kind = plain_type(extension)
            if extension.label == FieldDescriptorProto.LABEL_REPEATED:
                kind = ir.List(kind)
            # The stubs of protobuf have no public name for it.
            package, private = "google.protobuf.internal.extension_dict", "_ExtensionFieldDescriptor"
            handle = self._imports.name(package, private, local="_Extension")
            extended = self._reference(extension.extendee.removeprefix("."))
            found.append(_Extension(extension.name, f"{handle}[{extended}, {self._held(kind)}]"))
        return tuple(found)


def _flat(messages: Sequence[_Message]) -> Iterator[_Message]:
    for message in messages:
        yield message
        yield from _flat(message.messages)


def _numbers(fields: Sequence[FieldDescriptorProto]) -> tuple[_Number, ...]:
    return tuple(_Number(f"{field.name.upper()}_FIELD_NUMBER", field.number) for field in fields)
