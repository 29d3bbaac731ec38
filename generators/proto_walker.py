"""From the proto files of a schema to messages, services, clients and errors. Pure: nothing is read or written."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from generators import ir, proto_names, proto_rpc, proto_stubs, templates
from generators.artifacts import Artifact, Target
from generators.diagnostics import Diagnostics, Position
from generators.proto_index import Index
from generators.proto_parser import messages


def walk(schema: ir.Schema, target: Target) -> list[Artifact]:
    """Every artifact that follows from the target's own proto files. Raises SchemaError for what Python can't hold."""
    index = Index(schema, target)
    diagnostics = Diagnostics()
    _check(schema, diagnostics)
    rpc_files = [file for file in schema.protos if proto_rpc.has_module(file, index)]
    names = {file.path: proto_rpc.claim_names(file, index, diagnostics) for file in rpc_files}
    _check_modules(schema.protos, rpc_files, index, diagnostics)
    diagnostics.raise_if_any()
    made = [artifact for file in schema.protos for artifact in proto_stubs.artifacts(file, index)]
    made += [proto_rpc.artifact(file, index, names[file.path]) for file in rpc_files]
    made.append(proto_rpc.services(schema.protos, index))
    if any(file.services for file in schema.protos):
        made.append(proto_rpc.permissions(schema.protos, index))
    return sorted((*made, *_packages(made, target)), key=lambda artifact: artifact.path)


def _check(schema: ir.Schema, diagnostics: Diagnostics) -> None:
    for file in schema.protos:
        found = list(messages(file.messages))
        enums = [*file.enums, *(enum for message in found for enum in message.enums)]
        for each in (*found, *enums, *file.services):
            if keyword.iskeyword(each.name):
                text = f"{each.name} is a keyword of Python, which can't be the name of a class: rename it"
                diagnostics.error(each.position, "bad-name", text)
        for field in (field for message in found for field in message.fields):
            if proto_names.is_method(field.name):
                text = f"field {field.name} hides the method of protobuf's messages of that name: rename it"
                diagnostics.error(field.position, "bad-name", text)


def _check_modules(
    files: Sequence[ir.ProtoFile], rpc_files: Sequence[ir.ProtoFile], index: Index, diagnostics: Diagnostics
) -> None:
    """No two files may become one module, nor a file become the module of what is also a folder."""
    claimed = [(index.proto_module(file.path), file) for file in files]
    claimed += [(index.rpc_module(file.path), file) for file in rpc_files]
    packages = {module.package for module, _ in claimed}
    owners: dict[str, str] = {}
    for module, file in claimed:
        name = f"{module.package}.{module.name}"
        position = Position(f"{index.target.source}/proto/{file.path}", 1, 1)
        other = owners.setdefault(name, file.path)
        if other != file.path:
            text = f"{other} and {file.path} are both the module {name} in Python: rename one"
            diagnostics.error(position, "name-clash", text)
        elif name in packages:
            text = f"{file.path} is the module {name} in Python, which is also the package of a folder: rename one"
            diagnostics.error(position, "name-clash", text)


def _packages(made: Sequence[Artifact], target: Target) -> Iterator[Artifact]:
    """The `__init__.py` that make every folder below the target's own a regular package."""
    present = {artifact.path for artifact in made}
    folders = {folder for artifact in made for folder in PurePosixPath(artifact.path).parents if folder.name}
    for folder in sorted(folders, key=str):
        path = f"{folder}/__init__.py"
        if path not in present:
            room = "Messages" if folder.parts[0] == "proto" else "Services, clients, errors and checks"
            below = "/".join(folder.parts[1:])
            summary = f"{room} of the proto files in {below}." if below else f"{room} of the proto files."
            text = templates.render("proto/package.py.jinja", source=f"{target.source}/proto", summary=summary)
            yield Artifact(path, text)
