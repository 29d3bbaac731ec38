"""The `.proto` text of row messages, for other languages: it says what Python's descriptors say, in good style."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from generators import pipeline
from generators.row_walker import proto_files

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"
BUF = Path(sys.executable).with_name("buf")


def source(case: str) -> pipeline.Source:
    if case == "sun":
        return pipeline.sources(ROOT)[-1]
    includes = (ROOT / "runtime/schema/proto",)
    return pipeline.Source(GOLDEN / case, "schema", "generated", "generated", includes)


@pytest.mark.parametrize("case", ["sun", "rows", "sql_names", "sql_types", "cql_types", "cql_keys"])
def test_protoc_reads_the_text_as_python_reads_the_descriptor(case: str, tmp_path: Path) -> None:
    made = source(case)
    schema = pipeline.load(made)
    texts = {each.path.removeprefix("proto/"): each.text for each in pipeline.artifacts(made, schema)}
    files = {file.path: file for file in proto_files(schema)}
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(texts[path])
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}", *(f"-I{each}" for each in made.includes)]
    command += [f"-I{made.schema / 'proto'}"] if (made.schema / "proto").exists() else []
    subprocess.run([*command, f"--descriptor_set_out={tmp_path / 'set'}", *files], check=True)
    compiled = {each.name: each for each in FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file}
    assert compiled.keys() == files.keys()
    for path, file in files.items():
        assert FileDescriptorProto.FromString(file.descriptor) == compiled[path]


def test_the_text_passes_bufs_standard_rules(tmp_path: Path) -> None:
    (tmp_path / "buf.yaml").write_text("version: v2\nlint:\n  use:\n    - STANDARD\n")
    for case in ("rows", "sql_names", "sql_types", "cql_types", "cql_keys"):
        for file in (GOLDEN / case / "expected/proto").rglob("*.proto"):
            copy = tmp_path / file.relative_to(GOLDEN / case / "expected/proto")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text())
    colour = "shop/v1/colour.proto"
    (tmp_path / colour).parent.mkdir(parents=True)
    (tmp_path / colour).write_text((GOLDEN / "rows/schema/proto" / colour).read_text())
    done = subprocess.run([BUF, "lint", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
