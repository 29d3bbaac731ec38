"""What a type checker says of generated messages, services and clients: nothing, and a word for each misuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.generators.proto_project import REPOSITORY, Project
from tests.generators.test_proto_walker import CALLS, HEAD, MEDIA, RULED, SHAPES

MARK = re.compile(r"# error: (\w+)$")

ODD = (
    HEAD
    + """
import "google/protobuf/descriptor.proto";
message Error { message Error { int32 x = 1; } Error inner = 1; string str = 2; Kind Kind = 3; bytes bytes = 4; }
enum Kind { ZERO = 0; }
message self { int32 self = 1; oneof one { string property = 2; self list = 3; } oneof two { bool bool = 4; } }
extend google.protobuf.FieldOptions { self odd = 51997; repeated string many = 51998; }
message Violation {
  option (sun.error) = {code: CODE_ABORTED, message: "x"};
  string odd_pb2 = 1 [(sun.field).min_len = 1];
  int32 super = 2;
  self self = 3;
}
service Service {
  rpc Abc(Error) returns (Error) { option (sun.method).callers = CALLERS_USER; }
  rpc Call(Error) returns (Violation) { option (sun.method) = {callers: CALLERS_USER, errors: "app.Violation"}; }
}
"""
)

STREAMED = CALLS.replace(
    "service Other {",
    """service Other {
  rpc Watch(PutRequest) returns (stream PutResponse) { option (sun.method).callers = CALLERS_USER; }""",
)

USE = """
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

from google.protobuf.descriptor_pb2 import FieldOptions

from generated.proto.app import shapes_pb2
from generated.proto.app.shapes_pb2 import Kind, Shape
from generated.proto.app.v1.calls_pb2 import NameTaken as NameTakenDetail
from generated.proto.app.v1.calls_pb2 import PutRequest, PutResponse
from generated.rpc.app.v1.calls import NameTaken, OtherClient, Other
from runtime.rpc.client import Transport
from runtime.rpc.context import Context


class Whole(Other):
    async def put(self, request: PutRequest, ctx: Context) -> PutResponse:
        return PutResponse(name=request.name)

    async def watch(self, request: PutRequest, ctx: Context) -> AsyncIterator[PutResponse]:
        ctx.response_headers.set("acme-shard", ctx.request_headers.get("acme-shard") or "0")
        yield PutResponse(name=request.name)


class Nothing(Other):
    pass


class Wrong(Other):
    async def watch(self, request: PutRequest, ctx: Context) -> PutResponse:  # error: reportIncompatibleMethodOverride
        return PutResponse()

    async def put(self, request: PutRequest, ctx: Context) -> PutRequest:  # error: reportIncompatibleMethodOverride
        return request


def messages(shape: Shape) -> None:
    shape.kind = Kind.KIND_ROUND
    shape.kind = shapes_pb2.KIND_ROUND
    shape.kind = Kind.ValueType(1)
    shape.kind = 1  # error: reportAttributeAccessIssue
    shape.kind = Shape.STYLE_BOLD  # error: reportAttributeAccessIssue
    shape.style = Shape.Style.STYLE_BOLD
    Kind(1)  # error: reportArgumentType
    assert_type(Kind.Name(shape.kind), str)
    assert_type(Kind.Value("KIND_ROUND"), Kind)
    assert_type(shape.note, str)
    assert_type(shape.WhichOneof("size"), str)  # error: reportAssertTypeFailure
    shape.edges.append(Shape.Edge(length=1))
    shape.edges.append(Shape())  # error: reportArgumentType
    shape.edges = [Shape.Edge()]  # error: reportAttributeAccessIssue
    shape.side = Shape.Edge()  # error: reportAttributeAccessIssue
    shape.named["x"].length = 3
    shape.labels[1] = "one"
    shape.labels["1"] = "one"  # error: reportArgumentType
    shape.nothing = 1  # error: reportAttributeAccessIssue
    shape.HasField("side")
    shape.HasField("size")
    shape.HasField("kind")  # error: reportArgumentType
    shape.ClearField("from")
    shape.WhichOneof("sizes")  # error: reportArgumentType
    Shape(kind=Kind.KIND_ROUND, edges=[Shape.Edge()], named={"a": Shape.Edge()}, note=None, side=None)
    Shape(kind=None)  # error: reportArgumentType
    Shape(nothing=1)  # error: reportCallIssue
    assert_type(Shape.FromString(b""), Shape)
    assert_type(FieldOptions().Extensions[shapes_pb2.hint], str)


async def calls(transport: Transport) -> None:
    Whole()
    Nothing()  # error: reportAbstractUsage
    client = OtherClient(transport)
    assert_type(await client.put(PutRequest(name="a"), timeout_ms=3), PutResponse)
    client.put(PutResponse())  # error: reportArgumentType
    async for answer in client.watch(PutRequest(name="a")):
        assert_type(answer, PutResponse)
    await client.watch(PutRequest())  # error: reportGeneralTypeIssues
    client.take(PutRequest())  # error: reportAttributeAccessIssue
    error = NameTaken(name="a", from_="b")
    assert_type(error.detail, NameTakenDetail)
    NameTaken("a")  # error: reportCallIssue
    NameTaken(name=1)  # error: reportArgumentType
"""


def pyright(folder: Path) -> list[dict[str, Any]]:
    settings = {
        "include": ["."],
        "exclude": ["**/*_pb2.py"],
        "strict": ["."],
        "extraPaths": [str(REPOSITORY)],
        "venvPath": str(Path(sys.prefix).parent),
        "venv": Path(sys.prefix).name,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(folder)]
    return json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["generalDiagnostics"]


def test_strict_checking(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.add("app/shapes.proto", SHAPES.replace('import "sun/options.proto";\n', ""))
    project.add("app/v1/calls.proto", STREAMED)
    project.add("ruled/app.proto", RULED.replace("package app;", "package ruled;").replace("app/media", "ruled/media"))
    project.add("ruled/media.proto", MEDIA.replace("package app;", "package ruled;"))
    project.add("odd/odd.proto", ODD.replace("package app;", "package odd;").replace("app.", "odd."))
    project.generate()
    (tmp_path / "use.py").write_text(USE)
    expected = {
        (number, match.group(1))
        for number, line in enumerate(USE.splitlines(), 1)
        if (match := MARK.search(line)) is not None
    }
    found = pyright(tmp_path)
    generated = [each for each in found if Path(each["file"]).name != "use.py"]
    assert generated == []
    errors = {(each["range"]["start"]["line"] + 1, each.get("rule", each["message"])) for each in found}
    # A type that is unknown after an error only repeats that error.
    assert {(line, rule) for line, rule in errors if not rule.startswith("reportUnknown")} == expected
