"""A small project of proto files in a temporary folder: parsed, generated, and used in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from generators import ir, proto_walker, writer
from generators.artifacts import Target
from generators.diagnostics import Diagnostics
from generators.proto_parser import parse_protos

REPOSITORY = Path(__file__).parents[2]
FRAMEWORK = REPOSITORY / "runtime" / "schema" / "proto"
HEAD = 'syntax = "proto3";\npackage app;\nimport "sun/options.proto";\n'


@dataclass
class Project:
    """`folder` holds `schema/proto` and, after `generate`, `generated`."""

    folder: Path

    def add(self, path: str, text: str) -> None:
        file = self.folder / "schema" / "proto" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")

    def parse(self) -> tuple[ir.Schema, Diagnostics]:
        diagnostics = Diagnostics()
        own, imported = parse_protos(self.folder / "schema" / "proto", [FRAMEWORK], "schema/proto", diagnostics)
        return ir.Schema((), own, imported), diagnostics

    def errors(self) -> list[str]:
        """Every diagnostic, sorted by place, as `file:line:col: code: message` without the folder."""
        _, diagnostics = self.parse()
        return [str(each).removeprefix("schema/proto/") for each in sorted(diagnostics.found)]

    def walk(self) -> dict[str, str]:
        schema, diagnostics = self.parse()
        assert diagnostics.found == []
        imported = {file.path: "runtime.generated" for file in schema.imported if not file.path.startswith("google/")}
        made = proto_walker.walk(schema, Target("generated", "schema", imported))
        return {each.path: each.text for each in writer.formatted(made)}

    def generate(self) -> Path:
        """Write the artifacts below `generated`, and return that folder."""
        output = self.folder / "generated"
        for path, text in {"__init__.py": "", **self.walk()}.items():
            file = output / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return output

    def run(self, code: str) -> str:
        """What this code prints in a fresh interpreter, where the project's `generated` is found. It must not fail."""
        paths = os.pathsep.join((str(self.folder), str(REPOSITORY)))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            env={**os.environ, "PYTHONPATH": paths},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
