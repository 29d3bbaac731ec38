"""What generated messages, errors, checks, services and clients do, in an interpreter that loads nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import proto_walker
from generators.artifacts import Target
from generators.diagnostics import SchemaError
from tests.generators.proto_project import FRAMEWORK, HEAD, Project

SHAPES = (
    HEAD
    + """
import "google/protobuf/timestamp.proto";
import "google/protobuf/descriptor.proto";

// What kind a shape is.
enum Kind { KIND_UNSPECIFIED = 0; KIND_ROUND = 1; None = 2; }

// A shape.
message Shape {
  // Its edge, with a quote: "x".
  message Edge { int32 length = 1; message Mark { string text = 1; } Mark mark = 2; }
  enum Style { STYLE_UNSPECIFIED = 0; STYLE_BOLD = 1; }
  Kind kind = 1;
  Style style = 2;
  repeated Edge edges = 3;
  map<string, Edge> named = 4;
  map<int32, string> labels = 5;
  oneof size { int32 area = 6; Edge side = 7; }
  optional string note = 8;
  string from = 9;
  repeated string tags = 10;
  google.protobuf.Timestamp at = 11;
}

extend google.protobuf.FieldOptions { string hint = 51999; }
"""
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def shapes(project: Project) -> Project:
    project.add("app/shapes.proto", SHAPES.replace('import "sun/options.proto";\n', ""))
    project.generate()
    return project


def test_messages_round_trip(shapes: Project) -> None:
    shapes.run(
        """
        from generated.proto.app.shapes_pb2 import KIND_ROUND, Kind, Shape
        shape = Shape(kind=KIND_ROUND, style=Shape.STYLE_BOLD, edges=[Shape.Edge(length=3)], tags=["a", "b"])
        shape.named["left"].length = 4
        shape.labels[7] = "seven"
        shape.side.mark.text = "here"
        shape.at.FromJsonString("2020-01-01T00:00:00Z")
        again = Shape.FromString(shape.SerializeToString())
        assert again == shape and again.named["left"].length == 4 and again.labels == {7: "seven"}
        assert again.WhichOneof("size") == "side" and again.HasField("side") and not again.HasField("note")
        again.area = 5
        assert again.WhichOneof("size") == "area" and not again.HasField("side")
        assert Kind.Name(again.kind) == "KIND_ROUND" and Kind.Value("KIND_ROUND") == 1 and Kind.ValueType(1) == 1
        assert Shape.Style.Name(1) == "STYLE_BOLD" and Shape.Style.STYLE_BOLD == 1 and Shape.EDGES_FIELD_NUMBER == 3
        assert getattr(Shape(**{"from": "here"}), "from") == "here"
        """
    )


def test_messages_are_copied_and_pickled(shapes: Project) -> None:
    shapes.run(
        """
        import copy, pickle
        from generated.proto.app.shapes_pb2 import Shape
        shape = Shape(edges=[Shape.Edge(length=3)])
        assert copy.copy(shape) == copy.deepcopy(shape) == pickle.loads(pickle.dumps(shape)) == shape
        assert pickle.loads(pickle.dumps(shape.edges[0])) == shape.edges[0]
        assert pickle.loads(pickle.dumps(Shape.Edge.Mark(text="x"))).text == "x"
        assert (Shape.__module__, Shape.Edge.__qualname__) == ("generated.proto.app.shapes_pb2", "Shape.Edge")
        """
    )


def test_a_pool_that_has_the_file_already(shapes: Project) -> None:
    shapes.run(
        """
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
        import sys
        from generated.proto.app.shapes_pb2 import DESCRIPTOR
        del sys.modules["generated.proto.app.shapes_pb2"]
        from generated.proto.app.shapes_pb2 import Shape
        assert descriptor_pool.Default().AddSerializedFile(DESCRIPTOR.serialized_pb) is Shape.DESCRIPTOR.file
        """
    )


def test_extensions_are_attributes(shapes: Project) -> None:
    shapes.run(
        """
        from google.protobuf.descriptor_pb2 import FieldOptions
        from generated.proto.app import shapes_pb2
        options = FieldOptions()
        options.Extensions[shapes_pb2.hint] = "x"
        assert FieldOptions.FromString(options.SerializeToString()).Extensions[shapes_pb2.hint] == "x"
        assert shapes_pb2.HINT_FIELD_NUMBER == 51999
        """
    )


def test_the_frameworks_own_protos_are_generated(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for file in sorted(FRAMEWORK.rglob("*.proto")):
        project.add(file.relative_to(FRAMEWORK).as_posix(), file.read_text("utf-8"))
    schema, _ = project.parse()
    made = {
        each.path: each.text for each in proto_walker.walk(schema, Target("runtime.generated", "runtime/schema", {}))
    }
    assert "from runtime.generated.proto.sun import options_pb2" in made["proto/sun/wire_pb2.py"]
    assert "class BadRequest(DeclaredError):" in made["rpc/sun/errors.py"]
    assert "permissions.md" not in made
    assert "SERVICES: tuple[type[Service], ...] = ()" in made["rpc/__init__.py"]


def test_every_folder_is_a_package_with_a_docstring(shapes: Project) -> None:
    packages = {path: text for path, text in shapes.walk().items() if path.endswith("__init__.py")}
    assert sorted(packages) == ["proto/__init__.py", "proto/app/__init__.py", "rpc/__init__.py"]
    for text in packages.values():
        header, docstring = text.splitlines()[:2]
        assert header == "# Generated by sun generate from schema/proto. Do not edit."
        assert docstring.startswith('"""')
        assert docstring.endswith('."""')


RULED = (
    HEAD
    + """
import "app/media.proto";
enum Kind { KIND_UNSPECIFIED = 0; KIND_ONE = 1; KIND_TWO = 2; }
message Request {
  string text = 1 [(sun.field) = {min_len: 2, max_len: 4, pattern: "^[a-z\\\\d]+$"}];
  bytes data = 2 [(sun.field).max_len = 1];
  int32 number = 3 [(sun.field) = {gte: -1, lte: 5}];
  double ratio = 4 [(sun.field) = {gte: 0, lte: 1}];
  Kind kind = 5 [(sun.field) = {in: ["0", "1"]}];
  string color = 6 [(sun.field) = {in: ["", "red"]}];
  optional string nick = 7 [(sun.field) = {min_len: 2}];
  repeated string tags = 8 [(sun.field) = {max_items: 200, max_len: 2}];
  repeated Media media = 9;
  map<string, Media> named = 10 [(sun.field).max_items = 1];
  Media cover = 11 [(sun.field).required = true];
  string from = 12 [(sun.field).max_len = 1];
  Request inner = 13;
  string title = 14 [(sun.field) = {required: true, min_len: 2}];
}
message Free { string text = 1; }
"""
)
MEDIA = HEAD + "message Media { int32 width = 1 [(sun.field).gte = 0]; }"


def test_checks_name_every_broken_rule_and_its_place(project: Project) -> None:
    project.add("app/ruled.proto", RULED)
    project.add("app/media.proto", MEDIA)
    project.generate()
    project.run(
        """
        from generated.proto.app.media_pb2 import Media
        from generated.proto.app.ruled_pb2 import Request
        from generated.rpc.app.ruled import check_request

        good = dict(text="ab1", cover=Media(), title="xy")
        assert check_request(Request(**good)) == []

        def broken(**values):
            return [tuple(each) for each in check_request(Request(**{**good, **values}))]

        assert broken(text="a") == [("text", "min_len", "must have at least 2 characters")]
        assert broken(text="ábé") == [("text", "pattern", r"must match ^[a-z\\d]+$")]
        assert broken(text="ab\\n") == [("text", "pattern", r"must match ^[a-z\\d]+$")]
        # What is too long is not searched.
        assert broken(text="A----") == [("text", "max_len", "must have at most 4 characters")]
        assert broken(data=b"xx") == [("data", "max_len", "must have at most 1 byte")]
        assert broken(number=-2) == [("number", "gte", "must be at least -1")]
        assert broken(number=6) == [("number", "lte", "must be at most 5")]
        assert [each[1] for each in broken(ratio=float("nan"))] == ["gte", "lte"]
        assert broken(kind=2) == [("kind", "in", "must be one of KIND_UNSPECIFIED, KIND_ONE")]
        assert broken(color="blue") == [("color", "in", "must be one of , red")]
        assert broken(nick="") == [("nick", "min_len", "must have at least 2 characters")]
        assert broken(tags=["ok", "long"]) == [("tags[1]", "max_len", "must have at most 2 characters")]
        assert broken(tags=["x"] * 201) == [("tags", "max_items", "must have at most 200 items")]
        assert broken(media=[Media(), Media(width=-1)]) == [("media[1].width", "gte", "must be at least 0")]
        assert broken(named={'a"b': Media(width=-1)}) == [(r'named["a\\"b"].width', "gte", "must be at least 0")]
        assert broken(cover=None) == [("cover", "required", "is required")]
        assert broken(cover=Media(width=-1)) == [("cover.width", "gte", "must be at least 0")]
        assert broken(**{"from": "xx"}) == [("from", "max_len", "must have at most 1 character")]
        assert broken(title="") == [("title", "required", "is required")]
        assert broken(title="x") == [("title", "min_len", "must have at least 2 characters")]
        assert broken(inner=Request(**{**good, "number": 9})) == [("inner.number", "lte", "must be at most 5")]
        # A large request gets no answer that is larger still.
        assert len(broken(tags=["long"] * 100_000)) <= 101
        """
    )


def test_rules_hold_in_oneofs_optional_fields_maps_and_at_any_depth(project: Project) -> None:
    project.add(
        "app/deep.proto",
        HEAD
        + """
message Node {
  oneof which {
    string name = 1 [(sun.field) = {min_len: 2, pattern: "^[a-z]*$"}];
    int64 number = 2 [(sun.field) = {gte: 1}];
    Leaf leaf = 3;
  }
  optional string note = 4 [(sun.field) = {min_len: 1}];
  optional int32 must = 5 [(sun.field) = {required: true, lte: 9}];
  map<int64, Node> by_id = 6 [(sun.field) = {min_items: 0, max_items: 2}];
  repeated Node below = 7;
  Node next = 8;
}
message Leaf { bytes data = 1 [(sun.field) = {max_len: 1}]; }
""",
    )
    project.generate()
    project.run(
        """
        from google.protobuf.message import DecodeError
        from generated.proto.app.deep_pb2 import Leaf, Node
        from generated.rpc.app.deep import check_node

        def broken(**values):
            return [each[:2] for each in check_node(Node(**{"must": 1, **values}))]

        assert broken() == broken(name="ab") == broken(number=1) == broken(leaf=Leaf()) == broken(note="x") == []
        assert broken(name="") == [("name", "min_len")]
        assert broken(name="AB") == [("name", "pattern")]
        assert broken(number=0) == [("number", "gte")]
        assert broken(leaf=Leaf(data=b"xx")) == [("leaf.data", "max_len")]
        assert broken(note="") == [("note", "min_len")]
        assert broken(must=0) == []
        assert broken(must=10) == [("must", "lte")]
        assert [each[:2] for each in check_node(Node())] == [("must", "required")]
        assert broken(by_id={7: Node(must=1, number=-1)}) == [("by_id[7].number", "gte")]
        assert broken(by_id={key: Node(must=1) for key in range(3)}) == [("by_id", "max_items")]

        node = Node(must=10)
        for _ in range(100):
            node = Node(must=1, next=node)
        deepest = Node.FromString(node.SerializeToString())
        assert [each[:2] for each in check_node(deepest)] == [("next." * 100 + "must", "lte")]
        try:
            Node.FromString(Node(must=1, next=node).SerializeToString())
        except DecodeError:
            pass
        else:
            raise AssertionError("what nests deeper is no message: checks go no deeper than this")

        wide = Node(must=1, below=[Node(must=1, below=[Node(must=10) for _ in range(300)]) for _ in range(300)])
        assert len(check_node(wide)) <= 300
        """
    )


def test_only_messages_with_rules_have_checks(project: Project) -> None:
    project.add("app/ruled.proto", RULED)
    project.add("app/media.proto", MEDIA)
    made = project.walk()
    assert "def check_free" not in made["rpc/app/ruled.py"]
    assert "def check_media" in made["rpc/app/media.py"]


CALLS = (
    HEAD
    + """
import "google/protobuf/empty.proto";
// The name is taken.
message NameTaken {
  option (sun.error) = {code: CODE_ALREADY_EXISTS, message: "the name {name} is taken, \\"really\\""};
  string name = 1;
  string from = 2;
  string self = 3;
  repeated int32 ids = 4;
  map<string, int32> counts = 5;
  NameTaken cause = 6;
  Level level = 7;
  message Inner { option (sun.error) = {code: CODE_ABORTED, message: "inner"}; }
  enum Level { LEVEL_UNSPECIFIED = 0; LEVEL_HIGH = 1; }
}
message PutRequest { string name = 1 [(sun.field).min_len = 1]; }
message PutResponse { string name = 1; }
// Puts things.
service ThingService {
  // Puts one thing.
  rpc Put(PutRequest) returns (PutResponse) {
    option (sun.method) = {callers: CALLERS_OWNER, errors: ["app.NameTaken", "app.NameTaken.Inner"]};
  }
  rpc GetHTTPInfo(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (sun.method).callers = CALLERS_ANYONE;
  }
  rpc Import(PutRequest) returns (PutResponse) {
    option idempotency_level = IDEMPOTENT;
    option (sun.method).callers = CALLERS_ADMIN;
  }
}
service Other {
  rpc Put(PutRequest) returns (PutResponse) { option (sun.method).callers = CALLERS_USER; }
}
"""
)


@pytest.fixture
def calls(project: Project) -> Project:
    project.add("app/v1/calls.proto", CALLS)
    project.generate()
    return project


def test_exceptions_carry_their_detail_and_are_recognized(calls: Project) -> None:
    calls.run(
        """
        from generated.proto.app.v1 import calls_pb2
        from generated.rpc.app.v1.calls import NameTaken, NameTaken_Inner
        from runtime.rpc.errors import Code, DeclaredError, RpcError, typed

        error = NameTaken(name="ann", from_="here", self_="me", ids=[1], counts={"a": 2}, cause=calls_pb2.NameTaken())
        assert error.code is Code.ALREADY_EXISTS and error.message == 'the name ann is taken, "really"'
        assert error.detail.name == "ann" and getattr(error.detail, "from") == "here" and error.detail.self == "me"
        assert error.detail.HasField("cause") and not NameTaken().detail.HasField("cause")
        assert NameTaken().detail == calls_pb2.NameTaken()

        received = typed(RpcError(error.code, error.message, error.details), [NameTaken_Inner, NameTaken])
        assert type(received) is NameTaken and received.detail == error.detail and received.message == error.message
        unknown = RpcError(Code.ABORTED, "x", NameTaken_Inner().details)
        assert typed(unknown, [NameTaken]) is unknown
        """
    )


def test_methods_services_and_clients(calls: Project) -> None:
    calls.run(
        """
        import asyncio
        from google.protobuf.empty_pb2 import Empty
        from generated.proto.app.v1.calls_pb2 import PutRequest, PutResponse
        from generated.rpc import METHODS, SERVICES
        from generated.rpc.app.v1 import calls
        from runtime.rpc.service import Callers

        assert [service.service_name for service in SERVICES] == ["app.ThingService", "app.Other"]
        assert sorted(METHODS) == [
            "app.Other/Put", "app.ThingService/GetHTTPInfo", "app.ThingService/Import", "app.ThingService/Put"
        ]
        put = METHODS["app.ThingService/Put"]
        assert put is calls.THING_SERVICE_PUT and put.attribute == "put" and put.request is PutRequest
        assert (put.callers, put.side_effects, put.idempotent) == (Callers.OWNER, True, False)
        assert put.errors == (calls.NameTaken, calls.NameTaken_Inner) and put.check is calls.check_put_request
        info = METHODS["app.ThingService/GetHTTPInfo"]
        assert info.attribute == "get_http_info" and info.request is Empty and info.check is None
        assert (info.callers, info.side_effects, info.idempotent) == (Callers.ANYONE, False, True)
        imported = METHODS["app.ThingService/Import"]
        assert (imported.attribute, imported.side_effects, imported.idempotent) == ("import_", True, True)

        class Half(calls.ThingService):
            async def put(self, request, ctx): ...

        try:
            Half()
        except TypeError as error:
            assert "get_http_info" in str(error) and "import_" in str(error)
        else:
            raise AssertionError("a method is left out")

        class Echo:
            async def call(self, method, request, timeout_ms, key):
                return PutResponse(name=f"{method.path} {request.name} {timeout_ms}")

        async def use():
            call = calls.ThingClient(Echo()).put(PutRequest(name="a"), timeout_ms=5)
            assert (await call).name == "app.ThingService/Put a 5"
            assert (await calls.OtherClient(Echo()).put(PutRequest(name="b"))).name == "app.Other/Put b None"

        asyncio.run(use())
        """
    )


def test_deprecated_methods_warn_their_caller_and_nobody_else(project: Project) -> None:
    project.add(
        "app/old.proto",
        HEAD
        + """
message Empty {}
service OldService {
  rpc Find(Empty) returns (Empty) {
    option deprecated = true;
    option (sun.method) = {callers: CALLERS_USER, deprecated_since: "2026-11-30"};
  }
  rpc Seek(Empty) returns (Empty) { option (sun.method) = {callers: CALLERS_USER}; }
}
""",
    )
    project.generate()
    project.run(
        """
        import warnings
        from generated.proto.app.old_pb2 import Empty
        from generated.rpc.app.old import OLD_SERVICE_FIND, OldClient, OldService

        assert OLD_SERVICE_FIND.deprecated and OLD_SERVICE_FIND.deprecated_since_s == 1795996800

        class Handler(OldService):
            async def find(self, request, ctx): return request
            async def seek(self, request, ctx): return request

        Handler().find(Empty(), None).close()
        client = OldClient(None)
        client.seek(Empty())
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            client.find(Empty())
        assert [(each.category, str(each.message)) for each in found] == [
            (DeprecationWarning, "app.OldService/Find is deprecated since 2026-11-30")
        ]
        """
    )


def test_files_may_draw_from_each_others_limits(project: Project) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        project.add(
            f"app/{name}.proto",
            HEAD
            + f"""
option (sun.limit) = {{name: "{name}" per: PER_USER tokens: 5 refill_ms: 1000}};
message {name.title()} {{ option (sun.error) = {{code: CODE_ABORTED, message: "no"}}; }}
service {name.title()}Service {{
  rpc Go({name.title()}) returns ({name.title()}) {{
    option (sun.method) = {{callers: CALLERS_USER, limits: ["{other}", "{name}"], errors: ["app.{other.title()}"]}};
  }}
}}
""",
        )
    project.generate()
    project.run(
        """
        from generated.rpc.app.one import ONE_SERVICE_GO
        from generated.rpc.app.two import TWO_SERVICE_GO

        assert [limit.name for limit in ONE_SERVICE_GO.limits] == ["two", "one"]
        assert ONE_SERVICE_GO.limits == TWO_SERVICE_GO.limits[::-1]
        """
    )


def test_permissions(calls: Project) -> None:
    rows = [line for line in calls.walk()["permissions.md"].splitlines() if line.startswith("| `")]
    assert rows == [
        "| `app.Other/Put` | user | yes | - | - |",
        "| `app.ThingService/GetHTTPInfo` | anyone | no | - | - |",
        "| `app.ThingService/Import` | admin | yes, idempotent | - | - |",
        "| `app.ThingService/Put` | owner | yes | - | app.NameTaken (already_exists), app.NameTaken.Inner (aborted) |",
    ]


@pytest.mark.parametrize("first", ["a", "b", "c"])
def test_files_may_name_each_others_errors(project: Project, first: str) -> None:
    """a imports b imports c as protos, and each raises the errors of the next one round."""
    head, link = HEAD, 'import "{}.proto";\n'
    body = """
    message {0}Lost {{ option (sun.error) = {{code: CODE_NOT_FOUND, message: "lost"}}; }}
    message {0}Thing {{ int32 size = 1 [(sun.field).gte = 0]; {1} }}
    service {0}Service {{
      rpc Do({2}Thing) returns ({0}Thing) {{
        option (sun.method) = {{callers: CALLERS_USER, errors: ["app.{3}Lost"]}};
      }}
    }}
    """
    project.add("a.proto", head + link.format("b") + body.format("A", "BThing b = 2;", "B", "B"))
    project.add("b.proto", head + link.format("c") + body.format("B", "CThing c = 2;", "C", "C"))
    project.add("c.proto", head + body.format("C", "", "C", "A"))
    output = project.generate()
    # The package lists every service; without it, each module is the first in turn.
    (output / "rpc" / "__init__.py").write_text("")
    project.run(
        f"""
        import generated.rpc.{first}
        from generated.proto import a_pb2, b_pb2, c_pb2
        from generated.rpc import a, b, c
        assert c.C_SERVICE_DO.errors == (a.ALost,) and a.A_SERVICE_DO.errors == (b.BLost,)
        deep = a_pb2.AThing(b=b_pb2.BThing(c=c_pb2.CThing(size=-1)))
        assert [each.field for each in a.check_a_thing(deep)] == ["b.c.size"]
        assert [each.field for each in a.A_SERVICE_DO.check(deep.b)] == ["c.size"]
        """
    )


def test_names_that_python_finds_hard(project: Project) -> None:
    project.add(
        "class/odd-name.proto",
        HEAD
        + """
        message Error {
          message Error { int32 x = 1; }
          Error inner = 1; string str = 2; Kind Kind = 3; bytes bytes = 4;
        }
        enum Kind { ZERO = 0; }
        message Violation {
          option (sun.error) = {code: CODE_ABORTED, message: "{odd_name_pb2}"};
          string odd_name_pb2 = 1 [(sun.field).min_len = 1];
          int32 super = 2;
        }
        service Service {
          rpc Abc(Error) returns (Error) { option (sun.method).callers = CALLERS_USER; }
          rpc Call(Error) returns (Violation) {
            option (sun.method) = {callers: CALLERS_USER, errors: "app.Violation"};
          }
        }
        """,
    )
    project.generate()
    project.run(
        """
        from generated.proto.class_ import odd_name_pb2 as messages
        from generated.rpc import METHODS
        from generated.rpc.class_ import odd_name
        assert odd_name.Violation(odd_name_pb2="x", super_=2).message == "x"
        assert [each.rule for each in odd_name.check_violation(messages.Violation())] == ["min_len"]
        assert METHODS["app.Service/Call"].errors == (odd_name.Violation,)
        assert messages.Error(inner=messages.Error.Error(x=1)).inner.x == 1
        """
    )


def refused(project: Project) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        project.walk()
    return [str(each) for each in caught.value.diagnostics]


def test_what_python_can_not_hold_is_refused_all_at_once(project: Project) -> None:
    project.add("a-b.proto", 'syntax = "proto3"; package one; message A {}')
    project.add("a_b.proto", 'syntax = "proto3"; package two; message A {}')
    project.add("v.proto", HEAD + "message V { string a = 1 [(sun.field).min_len = 1]; }")
    project.add("v/w.proto", HEAD + "message W { string a = 1 [(sun.field).min_len = 1]; }")
    project.add(
        "c.proto",
        HEAD
        + """\
message None {}
message Clear { int32 Clear = 1; }
message SocialClient { option (sun.error) = {code: CODE_ABORTED, message: "x"}; }
service SocialService {}
""",
    )
    assert refused(project) == [
        (
            "schema/proto/a_b.proto:1:1: name-clash: a-b.proto and a_b.proto are both the module "
            "generated.proto.a_b_pb2 in Python: rename one"
        ),
        (
            "schema/proto/c.proto:4:9: bad-name: None is a keyword of Python, which can't be the name of a "
            "class: rename it"
        ),
        (
            "schema/proto/c.proto:5:23: bad-name: field Clear hides the method of protobuf's messages of that "
            "name: rename it"
        ),
        (
            "schema/proto/c.proto:7:9: name-clash: error app.SocialClient and the client of app.SocialService are both "
            "SocialClient in Python: rename one"
        ),
        (
            "schema/proto/v.proto:1:1: name-clash: v.proto is the module generated.rpc.v in Python, which is also the "
            "package of a folder: rename one"
        ),
    ]
