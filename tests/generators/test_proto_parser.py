"""What is read from proto files, and the exact words and places of what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import ir
from generators.diagnostics import Diagnostics
from generators.proto_parser import parse_protos
from tests.generators.proto_project import FRAMEWORK, HEAD, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def message(project: Project, name: str) -> ir.Message:
    schema, diagnostics = project.parse()
    assert diagnostics.found == []
    return next(each for file in schema.protos for each in file.messages if each.name == name)


def test_types_of_fields(project: Project) -> None:
    project.add(
        "a.proto",
        HEAD.replace('import "sun/options.proto";\n', "")
        + """
        enum Kind { KIND_UNSPECIFIED = 0; }
        message M {
          int64 a = 1; uint32 b = 2; sfixed64 c = 3; double d = 4; float e = 5; bool f = 6; string g = 7; bytes h = 8;
          Kind i = 9; M j = 10; repeated string k = 11; map<int32, M> l = 12;
        }
        """,
    )
    assert [field.type for field in message(project, "M").fields] == [
        ir.Int(64),
        ir.Int(32, signed=False),
        ir.Int(64),
        ir.Float(64),
        ir.Float(32),
        ir.Bool(),
        ir.Text(),
        ir.Bytes(),
        ir.Reference("app.Kind"),
        ir.Reference("app.M"),
        ir.List(ir.Text()),
        ir.Map(ir.Int(32), ir.Reference("app.M")),
    ]
    assert message(project, "M").messages == ()


def test_presence_and_oneofs(project: Project) -> None:
    project.add(
        "a.proto",
        """\
        syntax = "proto3";
        message M {
          string plain = 1;
          optional string maybe = 2;
          M nested = 3;
          repeated M many = 4;
          oneof choice { string left = 5; int32 right = 6; }
        }
        """,
    )
    found = message(project, "M")
    assert [field.presence for field in found.fields] == [False, True, True, False, True, True]
    assert [field.oneof for field in found.fields] == [None, None, None, None, "choice", "choice"]
    assert found.oneofs == ("choice",)


def test_proto2_and_editions_know_their_presence(project: Project) -> None:
    project.add("two.proto", 'syntax = "proto2"; message Two { optional int32 a = 1; required int32 b = 2; }')
    project.add("edition.proto", 'edition = "2023"; message Edition { int32 a = 1; }')
    assert [field.presence for field in message(project, "Two").fields] == [True, True]
    assert [field.presence for field in message(project, "Edition").fields] == [True]


def test_comments_and_positions(project: Project) -> None:
    project.add(
        "dir/a.proto",
        """\
        // What this file is for.
        syntax = "proto3";

        // One thing.
        //
        //   indented
        // buf:lint:ignore SOMETHING
        message Thing {
          int32 size = 1; // In bytes.
        }
        """,
    )
    schema, _ = project.parse()
    (file,) = schema.protos
    (thing,) = file.messages
    assert file.comment == "What this file is for."
    assert thing.comment == "One thing.\n\n  indented"
    assert str(thing.position) == "schema/proto/dir/a.proto:8:9"
    assert thing.fields[0].comment == "In bytes."
    assert str(thing.fields[0].position) == "schema/proto/dir/a.proto:9:9"


def test_options(project: Project) -> None:
    project.add(
        "a.proto",
        HEAD
        + """
        message Lost {
          option (sun.error) = {code: CODE_NOT_FOUND, message: "{name} is lost {{really}}"};
          string name = 1;
        }
        message Happened {
          option (sun.event).key = "id";
          int64 id = 1 [(sun.field).gte = 0];
        }
        service S {
          rpc Get(Lost) returns (Happened) {
            option idempotency_level = NO_SIDE_EFFECTS;
            option (sun.method) = {callers: CALLERS_OWNER, errors: ["app.Lost"]};
          }
        }
        """,
    )
    schema, diagnostics = project.parse()
    assert diagnostics.found == []
    (file,) = schema.protos
    lost, happened = file.messages
    assert lost.error == ir.ErrorRule("not_found", "{name} is lost {{really}}")
    assert happened.event_key == "id"
    assert happened.fields[0].rules == ir.FieldRules(gte=0)
    (method,) = file.services[0].methods
    assert (method.full_name, method.callers, method.errors) == ("app.S/Get", "owner", ("app.Lost",))
    assert (method.side_effects, method.idempotent) == (False, True)


def test_the_descriptor_has_no_places_and_is_the_same_each_time(project: Project) -> None:
    project.add("a.proto", HEAD + "// A comment.\nmessage M { string a = 1 [(sun.field).min_len = 1]; }")
    first, second = project.parse()[0], project.parse()[0]
    assert first == second
    assert b"A comment" not in first.protos[0].descriptor


def test_the_frameworks_own_folder() -> None:
    diagnostics = Diagnostics()
    own, imported = parse_protos(FRAMEWORK, [], "runtime/schema/proto", diagnostics)
    assert diagnostics.found == []
    assert "sun/options.proto" in [file.path for file in own]
    assert [file.extensions for file in own if file.path == "sun/options.proto"] == [
        ("sun.limit", "sun.method", "sun.field", "sun.error", "sun.event")
    ]
    assert all(file.path.startswith("google/protobuf/") for file in imported)


def test_a_folder_without_protos(project: Project) -> None:
    assert project.parse() == (ir.Schema(), Diagnostics())


def test_protocs_errors_of_all_files_are_found_and_what_only_follows_is_not_said(project: Project) -> None:
    project.add("a.proto", 'syntax = "proto3";\nmessage A { int32 a = ; }\n')
    project.add("b.proto", 'syntax = "proto3";\nimport "a.proto";\nmessage B { A a = 1; }\n')
    project.add("c.proto", 'syntax = "proto3";\nimport "none.proto";\nmessage C { Nothing a = 1; }\n')
    project.add("d.proto", 'syntax = "proto3";\nmessage D { Missing a = 1;\n  Gone b = 2; }\n')
    project.add(
        "e.proto",
        HEAD + "service E { rpc Do(M) returns (M); }\nmessage M { string a = 1 [(sun.field).min_len = 1]; }\n",
    )
    errors = project.errors()
    assert errors == [
        "a.proto:2:23: protoc: Expected field number.",
        'c.proto:2:1: protoc: Import "none.proto" was not found or had errors.',
        'd.proto:2:13: protoc: "Missing" is not defined.',
        'd.proto:3:3: protoc: "Gone" is not defined.',
        (
            "e.proto:4:17: missing-callers: method Do does not say who may call it: "
            "add `option (sun.method).callers = CALLERS_USER`"
        ),
    ]


def test_warnings_are_errors(project: Project) -> None:
    project.add("a.proto", 'syntax = "proto3";\nimport "sun/options.proto";\nmessage A {}\n')
    project.add("b.proto", "message B {}\n")
    assert project.errors() == [
        "a.proto:2:1: protoc-warning: Import sun/options.proto is unused.",
        'b.proto:1:1: protoc-warning: no syntax is declared: begin the file with `syntax = "proto3";`',
    ]


METHODS = (
    HEAD
    + """\
message Empty {}
message Plain {}
service S {
  rpc Open(Empty) returns (Empty);
  rpc Wrong(Empty) returns (Empty) {
    option (sun.method) = {
      callers: CALLERS_USER
      errors: [
        "app.Plain",
        "Plain",
        "app.Nothing"
      ]
    };
  }
  rpc GetX(Empty) returns (Empty) { option (sun.method).callers = CALLERS_USER; }
  rpc getX(Empty) returns (Empty) { option (sun.method).callers = CALLERS_USER; }
  rpc Methods(Empty) returns (Empty) { option (sun.method).callers = CALLERS_USER; }
  rpc Upload(stream Empty) returns (Empty) { option (sun.method).callers = CALLERS_USER; }
}
"""
)


def test_errors_of_methods(project: Project) -> None:
    project.add("a.proto", METHODS)
    assert project.errors() == [
        (
            "a.proto:7:7: missing-callers: method Open does not say who may call it: "
            "add `option (sun.method).callers = CALLERS_USER`"
        ),
        "a.proto:12:10: unknown-error: app.Plain is no error: give the message `option (sun.error)`",
        "a.proto:13:10: unknown-error: no error Plain: write its full name, app.Plain",
        "a.proto:14:10: unknown-error: no error app.Nothing: an error is the full name of a message marked (sun.error)",
        "a.proto:19:7: name-clash: methods GetX and getX are both get_x in Python: rename one",
        "a.proto:20:7: name-clash: method Methods is methods in Python, a name the service base needs: rename it",
        (
            "a.proto:21:7: unsupported: method Upload takes a stream: only unary methods and server streaming "
            "exist on the wire"
        ),
    ]


ERRORS_AND_EVENTS = (
    HEAD
    + """\
message NoCode { option (sun.error) = {message: "lost"}; }
message NoText { option (sun.error).code = CODE_NOT_FOUND; }
message BadText {
  option (sun.error) = {
    code: CODE_NOT_FOUND
    message: "{nobody} and {data} and {name:>9} and {}"
  };
  string name = 1;
  bytes data = 2;
}
message Unclosed { option (sun.error) = {code: CODE_ABORTED, message: "{name"}; }
message NoKey { option (sun.event) = {}; int64 id = 1; }
message BadKey {
  option (sun.event) = {
    key: "nothing"
  };
}
message ListKey { option (sun.event).key = "ids"; repeated int64 ids = 1; }
"""
)


def test_errors_of_errors_and_events(project: Project) -> None:
    project.add("a.proto", ERRORS_AND_EVENTS)
    assert project.errors() == [
        "a.proto:4:18: missing-code: error NoCode has no code: add one, such as `code: CODE_NOT_FOUND`",
        "a.proto:5:18: missing-message: error NoText has no message: add a text for people",
        "a.proto:9:5: bad-template: the message names {}, which is no field: the fields are data, name",
        "a.proto:9:16: bad-template: the message names {nobody}, which is no field: the fields are data, name",
        "a.proto:9:29: bad-template: {data} can't be shown to people: only strings, numbers and bools are filled in",
        "a.proto:9:40: bad-template: {name} can't be formatted: only plain names of fields are filled in",
        (
            "a.proto:14:62: bad-template: the message is no template: expected '}' before end of string; "
            "a brace for people is written twice"
        ),
        "a.proto:15:17: unknown-field: event NoKey names no key: the key is the field whose value orders the events",
        (
            "a.proto:18:11: unknown-field: event BadKey has no field nothing: the key is the field whose value "
            "orders the events"
        ),
        "a.proto:21:45: bad-key: ids can't be the key of event ListKey: a key is one integer or string",
    ]


RULES = (
    HEAD
    + """\
enum Kind { KIND_UNSPECIFIED = 0; KIND_ONE = 1; }
message M {
  int32 number = 1 [(sun.field).min_len = 1];
  string text = 2 [(sun.field).gte = 1];
  string pattern = 3 [(sun.field) = {
    pattern: "(["
  }];
  string bounds = 4 [(sun.field) = {min_len: 3, max_len: 2}];
  int32 choice = 5 [(sun.field) = {in: ["1", "two", "3000000000"]}];
  Kind kind = 6 [(sun.field) = {in: ["KIND_ONE"]}];
  M message = 7 [(sun.field).max_items = 1];
  repeated int32 list = 8 [(sun.field) = {min_items: 2, max_items: 1, pattern: "x"}];
  map<string, string> map = 9 [(sun.field).max_len = 1];
  bool flag = 10 [(sun.field) = {required: true, in: "1"}];
  double ratio = 11 [(sun.field) = {gte: 1, lte: 0}];
}
"""
)


def test_rules_that_do_not_fit(project: Project) -> None:
    project.add("a.proto", RULES)
    assert project.errors() == [
        "a.proto:6:21: bad-rule: min_len does not fit field number, which is an integer",
        "a.proto:7:20: bad-rule: gte does not fit field text, which is a string",
        (
            "a.proto:9:5: bad-rule: the pattern of field pattern does not compile: "
            "unterminated character set at position 1"
        ),
        "a.proto:11:37: bad-rule: no value fits field bounds: min_len 3 is more than max_len 2",
        "a.proto:12:36: bad-rule: 'two' is no value of field choice, which is an integer: write it in decimal",
        "a.proto:12:36: bad-rule: 3000000000 is out of the range of field choice",
        (
            "a.proto:13:33: bad-rule: 'KIND_ONE' is no value of field kind, which is the enum app.Kind: write it "
            "in decimal"
        ),
        "a.proto:14:18: bad-rule: max_items does not fit field message, which is the message app.M",
        "a.proto:15:43: bad-rule: no value fits field list: min_items 2 is more than max_items 1",
        "a.proto:15:71: bad-rule: pattern does not fit field list, which repeats what is an integer",
        "a.proto:16:32: bad-rule: max_len does not fit field map, which is a map",
        "a.proto:17:50: bad-rule: in does not fit field flag, which is a bool",
        "a.proto:18:37: bad-rule: no value fits field ratio: gte 1 is more than lte 0",
    ]


def test_rules_that_fit(project: Project) -> None:
    project.add(
        "a.proto",
        HEAD
        + """
        enum Kind { KIND_UNSPECIFIED = 0; KIND_ONE = 1; }
        message M {
          string text = 1 [(sun.field) = {min_len: 1, max_len: 2, pattern: "^a", in: ["a", "ab"]}];
          bytes data = 2 [(sun.field) = {min_len: 1, max_len: 2}];
          sint64 number = 3 [(sun.field) = {gte: -1, lte: 1, in: ["-1", "0"]}];
          repeated string tags = 4 [(sun.field) = {min_items: 1, max_items: 2, max_len: 3, required: true}];
          map<string, M> map = 5 [(sun.field) = {max_items: 2}];
          Kind kind = 6 [(sun.field).in = "1"];
          M message = 7 [(sun.field).required = true];
        }
        """,
    )
    assert project.errors() == []


def test_groups_and_rules_of_extensions_are_refused(project: Project) -> None:
    project.add(
        "a.proto",
        """\
        syntax = "proto2";
        package app;
        import "sun/options.proto";
        message M {
          optional group Old = 1 { optional int32 a = 2; }
          extensions 100 to 200;
        }
        extend M { optional string extra = 100 [(sun.field).max_len = 3]; }
        """,
    )
    assert project.errors() == [
        "a.proto:5:18: unsupported: old is a group: use a message field",
        "a.proto:8:28: unsupported: extra is an extension, and rules of extensions are not checked",
    ]


def test_conflicts_between_files_that_do_not_import_each_other(project: Project) -> None:
    extension = (
        'import "google/protobuf/descriptor.proto";\nextend google.protobuf.FieldOptions { string hint = 51999; }\n'
    )
    for name in ("a", "b"):
        project.add(f"{name}.proto", f'syntax = "proto3";\npackage {name};\n{extension}')
    assert project.errors() == [
        "b.proto:1:1: conflict: the file conflicts with another one of the schema: duplicate extension entry",
        (
            "b.proto:4:53: protoc-warning: Extension number 51999 has already been used in "
            '"google.protobuf.FieldOptions" '
            'by extension "a.hint" defined in a.proto.'
        ),
    ]
