"""Finds things across proto files: what a full name stands for, which module holds it. Writes no text of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generators import ir, proto_names
from generators.artifacts import Target


@dataclass(frozen=True, slots=True)
class Definition:
    """A message or an enum, in its file. `names` lead to it from the outermost message inwards."""

    file: ir.ProtoFile
    names: tuple[str, ...]
    node: ir.Message | ir.Enum


@dataclass(frozen=True, slots=True)
class Module:
    """A Python module, by its package and its name there."""

    package: str
    name: str


class Index:
    """Answers questions of names. Raises KeyError for a name that no file of the schema declares."""

    def __init__(self, schema: ir.Schema, target: Target) -> None:
        self.target = target
        self._definitions: dict[str, Definition] = {}
        for file in (*schema.protos, *schema.imported):
            for names, node in _definitions(file.messages, file.enums, ()):
                self._definitions[node.full_name] = Definition(file, names, node)
        self._limits = {limit.name: file for file in (*schema.protos, *schema.imported) for limit in file.limits}
        self._own = {file.path for file in schema.protos}
        self._checked = self._with_rules()

    def find(self, full_name: str) -> Definition:
        return self._definitions[full_name]

    def message(self, full_name: str) -> ir.Message:
        node = self.find(full_name).node
        if isinstance(node, ir.Message):
            return node
        raise KeyError(full_name)

    def limit_file(self, name: str) -> ir.ProtoFile:
        """The file that declares this limit."""
        return self._limits[name]

    def is_enum(self, kind: ir.Type) -> bool:
        return isinstance(kind, ir.Reference) and isinstance(self.find(kind.full_name).node, ir.Enum)

    def is_message(self, kind: ir.Type) -> bool:
        return isinstance(kind, ir.Reference) and isinstance(self.find(kind.full_name).node, ir.Message)

    def is_checked(self, full_name: str) -> bool:
        """Whether a rule can be broken in this message or in one that it holds."""
        return full_name in self._checked

    def proto_module(self, path: str) -> Module:
        """The module with the messages of a proto file, given by its import name."""
        if path.startswith("google/protobuf/") and path not in self._own:
            return Module(".".join(path.split("/")[:-1]), proto_names.proto_stem(path))
        return Module(
            ".".join((self._package(path), "proto", *proto_names.folders(path))), proto_names.proto_stem(path)
        )

    def rpc_module(self, path: str) -> Module:
        """The module with the services, errors and checks of a proto file."""
        return Module(".".join((self._package(path), "rpc", *proto_names.folders(path))), proto_names.rpc_stem(path))

    def folder(self, module: Module) -> str:
        """The folder of a module of this target, relative to the target's output."""
        return module.package.removeprefix(f"{self.target.package}.").replace(".", "/")

    def _package(self, path: str) -> str:
        return self.target.package if path in self._own else self.target.imported[path]

    def _with_rules(self) -> frozenset[str]:
        messages = [each.node for each in self._definitions.values() if isinstance(each.node, ir.Message)]
        found = {each.full_name for each in messages if any(field.rules is not None for field in each.fields)}
        while True:
            more = {
                each.full_name for each in messages if any(held(field.type) in found for field in each.fields)
            } - found
            if not more:
                return frozenset(found)
            found |= more


def held(kind: ir.Type) -> str | None:
    """The full name of what a field holds, one or many of it; None for a scalar."""
    match kind:
        case ir.Reference(full_name):
            return full_name
        case ir.List(item):
            return held(item)
        case ir.Map(_, value):
            return held(value)
        case _:
            return None


def _definitions(
    messages: Sequence[ir.Message], enums: Sequence[ir.Enum], scope: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], ir.Message | ir.Enum]]:
    for enum in enums:
        yield (*scope, enum.name), enum
    for message in messages:
        yield (*scope, message.name), message
        yield from _definitions(message.messages, message.enums, (*scope, message.name))
