"""What walkers make: files as values. The writer alone touches the disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Where a schema's output belongs.

    `package` is its import name; `source` the schema's folder as printed in headers.

    `imported` maps the path of each proto file of other targets to the package that holds its messages. `library` is
    the package of what generated clients stand on. `pool` holds the module and the name of the descriptor pool of the
    messages, where that is not protobuf's own.
    """

    package: str
    source: str
    imported: dict[str, str]
    library: str = "runtime.rpc"
    pool: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file to be. `path` is relative to the output folder, with `/`."""

    path: str
    text: str
