"""Runs protoc over a schema folder, and turns its words into diagnostics. What descriptors mean is read elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from generators.diagnostics import Diagnostic, Diagnostics, Position

_PLACED = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<warning>warning: )?(?P<message>.*)")
_OF_FILE = re.compile(r"(?P<file>\S+\.proto): (?P<warning>warning: )?(?P<message>.*)")
_NO_SYNTAX = re.compile(r"W\d+ .*\] No edition or syntax specified for the proto file: (?P<file>.+?\.proto)\.")
_FAILED_IMPORT = re.compile(r'Import "(?P<file>.+)" was not found or had errors\.')
_FOLLOWS = re.compile(r"is not defined\.|seems to be defined in")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Descriptors with source info, each file after those it imports. `own` are the folder's files among them.

    `complete` is False when protoc refused a file, which is then missing here.
    """

    files: tuple[FileDescriptorProto, ...]
    own: frozenset[str]
    complete: bool


def compile_protos(folder: Path, includes: Sequence[Path], shown: str, diagnostics: Diagnostics) -> Compiled:
    """Every `.proto` below `folder`. Errors and warnings of protoc become diagnostics, placed under `shown`."""
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.proto") if file.is_file())
    if not names:
        return Compiled((), frozenset(), True)
    roots = [folder, *includes]
    files, words = _run(names, roots)
    if files is None:
        # protoc stops at the first file it refuses; one run a file finds the errors of all.
        runs = [_run([name], roots) for name in names]
        compiled = [file for found, _ in runs for file in found or ()]
        said = [line for _, lines in runs for line in lines]
    else:
        compiled, said = files, words
    unique = {file.name: file for file in compiled}
    for each in dict.fromkeys(_causes(_read(said, roots, set(names), shown), set(names))):
        diagnostics.error(each.position, each.code, each.message)
    own = frozenset(unique).intersection(names)
    return Compiled(tuple(unique.values()), own, len(own) == len(names))


def _run(names: Sequence[str], roots: Sequence[Path]) -> tuple[list[FileDescriptorProto] | None, list[str]]:
    """The descriptors, None when protoc refuses, and the lines it wrote."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "descriptors"
        # grpc_tools.protoc adds the folder of google/protobuf/*.proto to the include path by itself.
        command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{root.resolve()}" for root in roots)]
        command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={output}", *names]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
        lines = done.stderr.splitlines()
        if done.returncode != 0:
            return None, lines or [f"protoc ended with status {done.returncode} and said nothing"]
        return list(FileDescriptorSet.FromString(output.read_bytes()).file), lines


def _read(lines: Sequence[str], roots: Sequence[Path], own: set[str], shown: str) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for line in lines:
        if placed := _PLACED.fullmatch(line):
            file, at = placed["file"], (int(placed["line"]), int(placed["column"]))
            code = "protoc-warning" if placed["warning"] else "protoc"
            message = placed["message"]
        elif no_syntax := _NO_SYNTAX.match(line):
            file, at, code = no_syntax["file"], (1, 1), "protoc-warning"
            message = 'no syntax is declared: begin the file with `syntax = "proto3";`'
        elif of_file := _OF_FILE.fullmatch(line):
            file, at, code = of_file["file"], (1, 1), "protoc-warning" if of_file["warning"] else "protoc"
            message = of_file["message"]
            if message == "File not found." and file not in own:
                continue  # said again where it is imported
        elif line.startswith("WARNING: All log messages before absl"):
            continue
        else:
            found.append(Diagnostic(Position(shown, 1, 1), "protoc", line))
            continue
        for root in roots:
            file = file.removeprefix(f"{root.resolve().as_posix()}/")
        path = f"{shown}/{file}" if file in own else file
        found.append(Diagnostic(Position(path, *at), code, message))
    return found


def _causes(found: Sequence[Diagnostic], own: set[str]) -> list[Diagnostic]:
    """The diagnostics without those that only follow from a failed import."""
    failed: dict[str, set[str]] = {}
    for each in found:
        if match := _FAILED_IMPORT.fullmatch(each.message):
            failed.setdefault(each.position.file, set()).add(match["file"])
    kept: list[Diagnostic] = []
    for each in found:
        match = _FAILED_IMPORT.fullmatch(each.message)
        follows = each.position.file in failed and _FOLLOWS.search(each.message)
        if not follows and not (match and match["file"] in own):
            kept.append(each)
    return kept
