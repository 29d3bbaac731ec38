"""What a package of clients is to hold, as values that every language's renderer reads."""

from __future__ import annotations

from dataclasses import dataclass

from generators import ir


@dataclass(frozen=True, slots=True)
class ClientPackage:
    """`name` is what programs import, `version` what package managers see; `source` the schema's folder, as shown."""

    name: str
    version: str
    source: str


@dataclass(frozen=True, slots=True)
class Example:
    """One call to show. `request_file` declares its request; `texts` are the fields of that which take text."""

    file: ir.ProtoFile
    service: ir.Service
    method: ir.Method
    request_file: ir.ProtoFile
    texts: tuple[ir.Field, ...]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """`files` are those that the package holds, by path, the framework's among them; `shared` come with protobuf."""

    package: ClientPackage
    files: tuple[ir.ProtoFile, ...]
    shared: tuple[ir.ProtoFile, ...]
    example: Example | None
