"""From a schema to a package of clients in some language: what belongs in one; how a language spells it is not here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message

from generators import client_python, ir
from generators.artifacts import Artifact
from generators.client_plan import ClientPackage, ClientPlan, Example
from generators.proto_parser import messages

LANGUAGES: Mapping[str, Callable[[ClientPlan], list[Artifact]]] = {"python": client_python.artifacts}
"""What renders the plan in each language. Another one is a module and a folder of templates, and an entry here."""

_SHARED = "google/protobuf/descriptor.proto"
"""protobuf's own; it comes with every library of protobuf, and describes the others."""


def walk(schema: ir.Schema, framework: ir.Schema, package: ClientPackage, language: str) -> list[Artifact]:
    """Every file of the package, not yet formatted. `framework` is the schema that every server of Sun has beside its
    own: the frames of the WebSocket and the errors that any method may raise.

    Raises SchemaError for what the language can't hold, KeyError for a language that is not in LANGUAGES.
    """
    return LANGUAGES[language](plan(schema, framework, package))


def plan(schema: ir.Schema, framework: ir.Schema, package: ClientPackage) -> ClientPlan:
    """What clients need: every message, service and declared error.

    Tables stay at home, and so do the schema's options: who may call, limits and field rules are the server's affair.
    """
    given = itertools.chain(schema.protos, schema.imported, framework.protos, framework.imported)
    files = {file.path: file for file in given}
    imported = {path for file in files.values() for path in file.imports}
    files = {path: _public(file) for path, file in files.items() if path in imported or not _is_empty(file)}
    shared = [files.pop(_SHARED)] if _SHARED in files else []
    return ClientPlan(package, tuple(files[path] for path in sorted(files)), tuple(shared), _example(schema))


def _is_empty(file: ir.ProtoFile) -> bool:
    """Whether a file holds options at most."""
    return not (file.messages or file.enums or file.services or file.extensions)


def _public(file: ir.ProtoFile) -> ir.ProtoFile:
    """The file with protobuf's own options only."""
    descriptor = FileDescriptorProto.FromString(file.descriptor)
    _clear_extensions(descriptor)
    # An extension that this process has not loaded is an unknown field.
    descriptor.DiscardUnknownFields()
    return replace(file, descriptor=descriptor.SerializeToString(deterministic=True))


def _clear_extensions(message: Message) -> None:
    for field, value in message.ListFields():
        if field.is_extension:
            message.ClearExtension(cast(Any, field))
        elif field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                _clear_extensions(each)


def _example(schema: ir.Schema) -> Example | None:
    """A call that anybody can make and that changes nothing, for the package's own documentation."""
    calls = [
        (file, service, method)
        for file in schema.protos
        for service in file.services
        for method in service.methods
        if method.callers == "anyone" and not method.server_streaming
    ]
    if not calls:
        return None
    file, service, method = min(calls, key=lambda call: (call[2].side_effects, len(call[2].full_name)))
    requests = {
        message.full_name: (declaring, message)
        for declaring in (*schema.protos, *schema.imported)
        for message in messages(declaring.messages)
    }
    request_file, request = requests[method.request]
    texts = tuple(field for field in request.fields if isinstance(field.type, ir.Text) and field.oneof is None)
    return Example(file, service, method, request_file, texts)
