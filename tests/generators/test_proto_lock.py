"""What was promised on the wire is kept: a change that breaks it is refused, with its place, unless it is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sun
from generators import proto_lock
from generators.diagnostics import Diagnostics

SCHEMA = """
syntax = "proto3";
package shop.v1;
import "sun/options.proto";
service ShopService {
  rpc Get(GetRequest) returns (GetResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (sun.method) = {callers: CALLERS_ANYONE};
  }
  rpc Put(PutRequest) returns (PutResponse) {
    option idempotency_level = IDEMPOTENT;
    option (sun.method) = {callers: CALLERS_USER};
  }
  rpc Watch(GetRequest) returns (stream GetResponse) { option (sun.method) = {callers: CALLERS_USER}; }
}
message GetRequest { int64 item_id = 1; }
message GetResponse { Item item = 1; }
message PutRequest { Item item = 1; }
message PutResponse {}
enum Kind { KIND_UNSPECIFIED = 0; KIND_OLD = 1; KIND_NEW = 2; reserved 7; }
message Item {
  string name = 1;
  optional string note = 2;
  repeated string tags = 3;
  map<string, int32> stock = 4;
  oneof price { int64 cents = 5; string on_request = 6; }
  Kind kind = 7;
  int32 count = 8 [json_name = "howMany"];
  bytes picture_data = 9;
  Size size = 10;
  message Size { double width = 1; Unit unit = 2; enum Unit { UNIT_UNSPECIFIED = 0; UNIT_MM = 1; } }
  reserved 20, 30 to 35;
  reserved "former";
}
"""


class Shop:
    """A project whose first schema has been generated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "schema" / "proto" / "shop" / "v1" / "shop.proto"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(SCHEMA, "utf-8")
        assert self.generate().exit_code == 0

    @property
    def lock(self) -> Path:
        return self.folder / "schema" / "proto.lock"

    def generate(self, *options: str) -> Result:
        return CliRunner().invoke(sun.cli, ["--project", str(self.folder), "generate", *options])

    def change(self, *pairs: tuple[str, str]) -> None:
        text = self.file.read_text("utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text, "utf-8")

    def refusals(self, *pairs: tuple[str, str]) -> list[str]:
        """What is said of a change: the code of each break, and the name that would allow it."""
        self.change(*pairs)
        result = self.generate()
        lines = result.stderr.splitlines()[:-1]
        assert result.exit_code == (2 if lines else 0), result.output
        return [f"{line.split(': ')[1]} {line.split()[-1].rstrip('`')}" for line in lines]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


ADDITIONS = [
    ("string name = 1;", "string name = 1; string more = 11;"),
    ("message PutResponse {}", "message PutResponse { int64 n = 1; } message Other {}"),
    ("KIND_NEW = 2;", "KIND_NEW = 2; KIND_NEWER = 3;"),
    ("string on_request = 6;", "string on_request = 6; string later = 12;"),
    ("oneof price", "oneof cost"),
    ("string name = 1;", "optional string name = 1;"),
    ("reserved 30 to 35;", "reserved 29 to 32, 33 to 36;"),
    ("option idempotency_level = IDEMPOTENT;", "option idempotency_level = NO_SIDE_EFFECTS;"),
    ("string name = 1;", "string name = 1 [deprecated = true];"),
    ("KIND_OLD = 1;", 'reserved 1; reserved "KIND_OLD";'),
    ("bytes picture_data = 9;", 'reserved 9; reserved "picture_data";'),
    ("callers: CALLERS_USER", "callers: CALLERS_ADMIN"),
]


@pytest.mark.parametrize("pair", ADDITIONS)
def test_what_is_new_or_was_reserved_breaks_nothing(shop: Shop, pair: tuple[str, str]) -> None:
    if pair[0] not in SCHEMA:
        pair = ("reserved 20, 30 to 35;", "reserved 20; " + pair[1])
    assert shop.refusals(pair) == []
    assert shop.generate("--check").exit_code == 0


BREAKS = [
    ([("string name = 1;", "")], ["field-removed shop.v1.Item.name"]),
    ([("string name = 1;", "reserved 1;")], ["field-removed shop.v1.Item.name"]),
    ([("string name = 1;", "string name = 11;")], ["field-renumbered shop.v1.Item.name"]),
    ([("string name = 1;", "string title = 1;")], ["field-renamed shop.v1.Item.name"]),
    ([("string name = 1;", "int32 size_mm = 1;")], ["field-renamed shop.v1.Item.name"]),
    ([("string name = 1;", "bytes name = 1;")], ["field-type shop.v1.Item.name"]),
    ([("int32 count", "sint32 count")], ["field-type shop.v1.Item.count"]),
    ([("map<string, int32>", "map<string, int64>")], ["field-type shop.v1.Item.stock"]),
    ([("Kind kind = 7;", "int32 kind = 7;")], ["field-type shop.v1.Item.kind"]),
    ([("string name = 1;", "repeated string name = 1;")], ["field-label shop.v1.Item.name"]),
    ([("repeated string tags", "string tags")], ["field-label shop.v1.Item.tags"]),
    ([("optional string note", "string note")], ["field-label shop.v1.Item.note"]),
    ([(' [json_name = "howMany"]', "")], ["field-json-name shop.v1.Item.count"]),
    ([("oneof price { int64 cents = 5;", "int64 cents = 5; oneof price {")], ["field-oneof shop.v1.Item.cents"]),
    (
        [("Kind kind = 7;", ""), ("int64 cents = 5;", "int64 cents = 5; Kind kind = 7;")],
        ["field-oneof shop.v1.Item.kind"],
    ),
    (
        [("string on_request = 6; }", "} oneof other { string on_request = 6; }")],
        ["field-oneof shop.v1.Item.on_request"],
    ),
    ([("KIND_OLD = 1; ", "")], ["value-removed shop.v1.Kind.KIND_OLD"]),
    ([("KIND_OLD = 1;", "KIND_FIRST = 1;")], ["value-renamed shop.v1.Kind.KIND_OLD"]),
    ([("KIND_OLD = 1;", "KIND_OLD = 3;")], ["value-renumbered shop.v1.Kind.KIND_OLD"]),
    ([("reserved 7;", "")], ["reserved-removed shop.v1.Kind"]),
    ([("reserved 20, 30 to 35;", "reserved 20, 31 to 35;")], ["reserved-removed shop.v1.Item"]),
    ([('reserved "former";', "")], ["reserved-removed shop.v1.Item"]),
    ([("reserved 20, 30", "string later = 20; reserved 30")], ["number-reused shop.v1.Item.later"]),
    (
        [("message PutResponse {}", "message PutAnswer {}"), ("(PutResponse)", "(PutAnswer)")],
        ["message-removed shop.v1.PutResponse", "method-response shop.v1.ShopService/Put"],
    ),
    ([("rpc Put(PutRequest)", "rpc Put(GetRequest)")], ["method-request shop.v1.ShopService/Put"]),
    ([("returns (stream GetResponse)", "returns (GetResponse)")], ["method-response shop.v1.ShopService/Watch"]),
    ([("rpc Put(", "rpc Set(")], ["method-removed shop.v1.ShopService/Put"]),
    ([("option idempotency_level = NO_SIDE_EFFECTS;", "")], ["method-effects shop.v1.ShopService/Get"]),
    ([("option idempotency_level = IDEMPOTENT;", "")], ["method-effects shop.v1.ShopService/Put"]),
    ([("service ShopService", "service StoreService")], ["service-removed shop.v1.ShopService"]),
    ([("Kind kind = 7;", 'reserved 7; reserved "kind";'), ("enum Kind", "enum Sort")], ["enum-removed shop.v1.Kind"]),
    (
        [("Size size = 10;", 'reserved 10; reserved "size";'), ("message Size {", "message Extent {")],
        ["message-removed shop.v1.Item.Size"],
    ),
    ([("package shop.v1;", "package shop.v2;")], ["package-removed shop.v1"]),
]


@pytest.mark.parametrize(("pairs", "said"), BREAKS, ids=[" and ".join(said) for _, said in BREAKS])
def test_what_breaks_clients_is_refused(shop: Shop, pairs: list[tuple[str, str]], said: list[str]) -> None:
    before = shop.lock.read_bytes()
    assert shop.refusals(*pairs) == said
    assert shop.lock.read_bytes() == before
    assert shop.generate("--check").exit_code == 2


def test_the_place_is_in_the_schema_where_it_is_and_in_the_lock_where_it_was(shop: Shop) -> None:
    shop.change(("string name = 1;", "bytes name = 1;"), ("repeated string tags = 3;", ""), ("rpc Put(", "rpc Set("))
    shop.change(("enum Kind", "enum Sort"), ("Kind kind = 7;", ""))
    lines = shop.generate().stderr.splitlines()
    at = next(
        number for number, line in enumerate(shop.lock.read_text().splitlines(), 1) if line == "enum shop.v1.Kind"
    )
    assert [line.split(": ")[:2] for line in lines[:-1]] == [
        [f"schema/proto.lock:{at}:1", "enum-removed"],
        ["schema/proto/shop/v1/shop.proto:5:9", "method-removed"],
        ["schema/proto/shop/v1/shop.proto:21:9", "field-removed"],
        ["schema/proto/shop/v1/shop.proto:21:9", "field-removed"],
        ["schema/proto/shop/v1/shop.proto:22:9", "field-type"],
    ]


def test_a_change_is_allowed_by_the_name_of_what_changes_or_of_what_holds_it(shop: Shop) -> None:
    shop.change(("string name = 1;", "bytes name = 1;"), ("int64 item_id = 1;", "string item_id = 1;"))
    refused = shop.generate("--allow-breaking", "shop.v1.Item.name")
    assert refused.exit_code == 2
    assert refused.stderr.count("field-type") == 1
    assert "`sun generate --allow-breaking shop.v1.GetRequest.item_id`" in refused.stderr
    done = shop.generate("--allow-breaking", "shop.v1.Item", "--allow-breaking", "shop.v1.GetRequest.item_id")
    assert done.exit_code == 0
    assert done.output.count("allowed: field shop.v1.") == 2
    assert "wrote schema/proto.lock" in done.output
    assert shop.generate("--check").exit_code == 0


@pytest.mark.parametrize("name", ["all", "shop.v1"])
def test_everything_may_be_allowed_at_once(shop: Shop, name: str) -> None:
    shop.change(("string name = 1;", "bytes name = 1;"), ("rpc Put(", "rpc Set("))
    assert shop.generate("--allow-breaking", "shop.v2").exit_code == 2
    assert shop.generate("--allow-breaking", name).exit_code == 0


def test_a_name_that_only_begins_alike_allows_nothing(shop: Shop) -> None:
    shop.change(("string name = 1;", "bytes name = 1;"))
    assert shop.generate("--allow-breaking", "shop.v1.Ite").exit_code == 2


def test_check_says_when_the_lock_is_behind_or_missing(shop: Shop) -> None:
    shop.change(("string name = 1;", "string name = 1; string more = 11;"))
    result = shop.generate("--check")
    assert result.exit_code == 1
    assert "changed: schema/proto.lock" in result.output
    assert "+field shop.v1.Item 11 string more" in result.output
    assert shop.generate().exit_code == 0
    shop.lock.unlink()
    result = shop.generate("--check")
    assert result.exit_code == 1
    assert "missing: schema/proto.lock" in result.output


def test_check_and_allow_breaking_do_not_go_together(shop: Shop) -> None:
    assert shop.generate("--check", "--allow-breaking", "all").exit_code == 2


def test_the_lock_reads_back_as_it_was_written_in_any_order(shop: Shop) -> None:
    text = shop.lock.read_text("utf-8")
    diagnostics = Diagnostics()
    assert proto_lock.render(proto_lock.read(text.encode(), "proto.lock", diagnostics)) == text
    shuffled = "\r\n".join(reversed(text.splitlines())).encode()
    found = proto_lock.render(proto_lock.read(shuffled, "proto.lock", diagnostics))
    assert found == text
    assert diagnostics.found == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "proto.lock:3:1: merge-conflict: a conflict of a merge: keep the lines of both sides"),
        ("field shop.v1.Item x string name", "proto.lock:3:1: bad-lock: `field shop.v1.Item x string name` is not"),
        ("\udcff", "proto.lock:3:1: bad-encoding: byte 0xff is not UTF-8"),
    ],
)
def test_a_lock_that_can_not_be_read_is_refused(shop: Shop, line: str, said: str) -> None:
    first, second, *rest = shop.lock.read_text("utf-8").split("\n")
    shop.lock.write_bytes("\n".join([first, second, line, *rest]).encode("utf-8", "surrogateescape"))
    result = shop.generate()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"schema/{said}")


def test_two_lines_for_one_number_are_refused(shop: Shop) -> None:
    with shop.lock.open("a", encoding="utf-8") as file:
        file.write("field shop.v1.Item 1 string title\n")
    assert "bad-lock: number 1 of shop.v1.Item is here twice: delete the line" in shop.generate().stderr


def test_a_project_without_protos_has_no_lock(tmp_path: Path) -> None:
    (tmp_path / "schema" / "sql").mkdir(parents=True)
    (tmp_path / "schema" / "sql" / "a.sql").write_text("CREATE TABLE t (id BIGINT NOT NULL, PRIMARY KEY (id));\n")
    assert CliRunner().invoke(sun.cli, ["--project", str(tmp_path), "generate"]).exit_code == 0
    assert not (tmp_path / "schema" / "proto.lock").exists()
