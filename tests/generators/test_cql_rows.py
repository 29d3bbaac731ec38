"""Messages of keyspaces: which types they have, what keeps their numbers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import sun
from generators import row_types
from generators.cql_parser import parse_keyspace
from generators.diagnostics import Diagnostics
from generators.ir import Schema
from generators.row_records import records
from generators.row_types import Entries, Enum, Helper, Many, Message, Scalar, reads_as


class Project:
    """A project of one keyspace, `shop`, and of whatever else a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "schema/wire.lock"

    def write(self, file: str, text: str) -> None:
        path = self.folder / "schema" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def generate(self, text: str) -> str:
        """What it says of a keyspace of this text. It must succeed."""
        self.write("cql/shop.cql", text)
        result = CliRunner().invoke(sun.cli, ["--project", str(self.folder), "generate"])
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, text: str) -> list[str]:
        """The errors."""
        self.write("cql/shop.cql", text)
        result = CliRunner().invoke(sun.cli, ["--project", str(self.folder), "generate"])
        assert result.exit_code == 2, result.output
        assert not self.lock.exists()
        return result.stderr.splitlines()[:-1]

    def lines(self) -> list[str]:
        return [line.removeprefix("shop.") for line in self.lock.read_text().splitlines() if not line.startswith("#")]

    def proto(self, name: str) -> str:
        return (self.folder / "generated/proto/shop" / name).read_text()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("declared", "field", "locked"),
    [
        ("tinyint", "optional int32", "int32"),
        ("bigint", "optional int64", "int64"),
        ("float", "optional float", "float"),
        ("double", "optional double", "double"),
        ("uuid", "optional string", "string"),
        ("decimal", "optional string", "string"),
        ("time", "optional int64", "int64"),
        ("timestamp", "google.protobuf.Timestamp", "google.protobuf.Timestamp"),
        ("duration", "CqlDuration", "CqlDuration"),
        ("list<int>", "repeated int32", "repeated int32"),
        ("frozen<list<int>>", "Int32List", "List<int32>"),
        ("frozen<set<text>>", "StringSet", "StringSet"),
        ("map<uuid, int>", "map<string, int32>", "map<string, int32>"),
        ("map<blob, int>", "repeated BytesInt32Pair", "repeated Pair<bytes, int32>"),
        ("frozen<map<blob, int>>", "BytesInt32Map", "Map<bytes, int32>"),
        ("map<text, frozen<set<int>>>", "map<string, Int32Set>", "map<string, Set<int32>>"),
        ("vector<float, 3>", "repeated float", "repeated float"),
        ("list<frozen<vector<float, 3>>>", "repeated FloatList", "repeated List<float>"),
        ("tuple<int, timestamp>", "Int32TimestampTuple2", "Tuple<int32, google.protobuf.Timestamp>"),
        ("address", ".shop.types.v1.Address", "shop.types.v1.Address"),
        ("list<frozen<address>>", "repeated .shop.types.v1.Address", "repeated shop.types.v1.Address"),
    ],
)
def test_the_field_of_a_type(project: Project, declared: str, field: str, locked: str) -> None:
    project.generate(f"CREATE TYPE address (street text); CREATE TABLE item (id int PRIMARY KEY, more {declared});")
    assert f"  {field} more = 2;\n" in project.proto("rows/v1/item.proto")
    assert f"rows.v1.Item 2 more {locked}" in project.lines()


def test_what_of_the_key_is_never_null_needs_no_presence(project: Project) -> None:
    project.generate("CREATE TABLE item (a frozen<list<int>>, b int, c int static, PRIMARY KEY (a, b));")
    text = project.proto("rows/v1/item.proto")
    assert "  repeated int32 a = 1;\n  int32 b = 2;\n  optional int32 c = 3;\n" in text


def test_a_type_and_a_table_of_one_name_have_two_messages() -> None:
    text = b"CREATE TYPE item (name text); CREATE TABLE item (id int PRIMARY KEY, more frozen<item>);"
    keyspace = parse_keyspace(text, "shop", "shop.cql", Diagnostics())
    found = [record.full_name for record in records(Schema(keyspaces=(keyspace,)))]
    assert found == ["shop.types.v1.Item", "shop.rows.v1.Item"]


def test_a_keyspace_whose_name_protobuf_can_not_have(project: Project) -> None:
    project.generate(
        "CREATE KEYSPACE \"2Import\" WITH replication = {'class': 'SimpleStrategy', "
        "'replication_factor': 1}; CREATE TYPE t (a int); CREATE TABLE item (id int PRIMARY KEY, t t);"
    )
    assert [line.split()[0] for line in project.lines()] == [
        "k_2import.rows.v1.Item", "k_2import.rows.v1.Item", "k_2import.types.v1.T",
    ]  # fmt: skip
    assert (project.folder / "generated/proto/k_2import/rows/v1/item_pb2.py").exists()


TYPE = "CREATE TYPE address ({}); CREATE TABLE item (id int PRIMARY KEY, more frozen<address>);"


def test_fields_of_a_type_keep_their_numbers(project: Project) -> None:
    project.generate(TYPE.format("street text, city text"))
    assert "note" not in project.generate(TYPE.format("street text, city text, zip text"))
    said = project.generate(TYPE.format("street text, town text, zip text, door int"))
    assert "shop.types.v1.Address: city (string) is gone" in said
    assert project.lines()[2:] == [
        "types.v1.Address 1 street string",
        "types.v1.Address 2 city string reserved",
        "types.v1.Address 3 zip string",
        "types.v1.Address 4 town string",
        "types.v1.Address 5 door int32",
    ]
    assert '  reserved 2;\n  reserved "city";\n' in project.proto("types/v1/address.proto")


def test_a_renamed_field_of_a_type_keeps_its_number(project: Project) -> None:
    project.generate(TYPE.format("street text, city text"))
    said = project.generate(TYPE.format("street text,\n-- sun: renamed_from=city\n  town text\n"))
    assert "note" not in said
    assert project.lines()[2:] == ["types.v1.Address 1 street string", "types.v1.Address 2 town string"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("a int,\n-- sun: renamed_from=a\nb int", "`b` can't be renamed from `a`, which is another field's name"),
        (
            "a int,\n-- sun: enum=shop.v1.Kind\nb int",
            "enum=shop.v1.Kind is for columns: a field of a type holds numbers",
        ),
    ],
)
def test_directives_of_fields_that_are_refused(project: Project, fields: str, error: str) -> None:
    (found,) = project.refused(TYPE.format(fields))
    assert found.endswith(f"bad-directive: {error}")


def test_a_dropped_type_leaves_its_numbers(project: Project) -> None:
    project.generate(TYPE.format("street text"))
    said = project.generate("CREATE TABLE item (id int PRIMARY KEY);")
    assert "note: what had the message shop.types.v1.Address is gone: its numbers stay reserved" in said
    assert "types.v1.Address 1 street string reserved" in project.lines()
    assert "rows.v1.Item 2 more shop.types.v1.Address reserved" in project.lines()


@pytest.mark.parametrize(
    ("was", "becomes", "kept"),
    [
        ("tuple<int, text>", "tuple<int, text, text>", True),
        ("tuple<int, text, text>", "tuple<int, text>", False),
        ("list<int>", "list<bigint>", True),
        ("list<int>", "set<int>", True),
        ("list<int>", "frozen<list<int>>", False),
        ("map<text, int>", "map<text, bigint>", True),
        ("map<text, int>", "map<blob, int>", False),
        ("map<text, frozen<list<text>>>", "map<text, frozen<list<blob>>>", True),
        ("float", "double", False),
        ("timeuuid", "uuid", True),
        ("time", "bigint", True),
    ],
)
def test_a_changed_type_keeps_its_number_where_old_messages_read_right(
    project: Project, was: str, becomes: str, kept: bool
) -> None:
    project.generate(f"CREATE TABLE item (id int PRIMARY KEY, more {was});")
    project.generate(f"CREATE TABLE item (id int PRIMARY KEY, more {becomes});")
    numbers = [line.split()[1] for line in project.lines() if line.split()[2] == "more"]
    assert numbers == (["2"] if kept else ["2", "3"])


def test_a_table_of_sql_and_one_of_cql_that_have_one_message_are_refused(project: Project) -> None:
    project.write("sql/shop.sql", "CREATE TABLE Item (id INT PRIMARY KEY);\nCREATE TABLE other (id INT PRIMARY KEY);\n")
    (error,) = project.refused("CREATE TABLE item (id int PRIMARY KEY);")
    assert error == (
        "schema/cql/shop.cql:1:14: name-clash: table item and table Item of schema/sql/shop.sql both become "
        "shop.rows.v1.Item: rename one"
    )
    project.generate("CREATE TABLE thing (id int PRIMARY KEY);")
    assert [line.split()[0] for line in project.lines()] == ["rows.v1.Item", "rows.v1.Other", "rows.v1.Thing"]


def test_names_that_become_one_are_refused(project: Project) -> None:
    assert project.refused('CREATE TYPE t ("A" int, a int); CREATE TABLE item (id int PRIMARY KEY, "ID" int);') == [
        "schema/cql/shop.cql:1:25: name-clash: fields A and a of t both get the protobuf name a: rename one",
        "schema/cql/shop.cql:1:72: name-clash: columns id and ID of item both get the protobuf name id: rename one",
    ]


def test_helpers_of_one_name_are_refused(project: Project) -> None:
    text = (
        'CREATE TYPE "string" (a int);\n'
        'CREATE TABLE item (id int PRIMARY KEY, a frozen<list<text>>, b frozen<list<frozen<"string">>>);'
    )
    (error,) = project.refused(text)
    assert error == (
        "schema/cql/shop.cql:2:62: name-clash: b of item needs a message StringList for List<shop.types.v1.String>, "
        "and List<string> has that name: rename the type"
    )


def test_a_proto_file_where_messages_of_types_go_is_refused(project: Project) -> None:
    project.write("proto/shop/types/v1/own.proto", 'syntax = "proto3";\npackage shop.types.v1;\nmessage Own {}\n')
    (error,) = project.refused(TYPE.format("street text"))
    assert error == (
        "schema/proto/shop/types/v1/own.proto:1:1: name-clash: shop.types.v1 is where the type messages of keyspace "
        "`shop` go: choose another package"
    )


def test_what_is_deeper_than_parsers_go_is_refused(project: Project) -> None:
    levels = 28
    deep = "tuple<" * levels + "int" + ">" * levels
    types = [f"CREATE TYPE t0 (a {deep});"]
    types += [f"CREATE TYPE t{n} (a {deep.replace('int', f'frozen<t{n - 1}>')});" for n in (1, 2)]
    errors = project.refused("\n".join([*types, "CREATE TABLE item (id int PRIMARY KEY, a frozen<t2>);"]))
    error = (
        "schema/cql/shop.cql:{}: too-deep: a of {} is {} messages deep, and parsers of protobuf go no deeper than 100: "
        "at most 64 are taken"
    )
    assert errors == [error.format("3:17", "t2", 87), error.format("4:40", "item", 88)]


SINGLES = st.recursive(
    st.sampled_from([Scalar(name) for name in row_types.SCALARS])
    | st.sampled_from([Message("shop.types.v1.Address"), row_types.TIMESTAMP, row_types.CQL_DURATION]),
    lambda inner: st.one_of(
        st.builds(lambda part: Helper("List", (part,)), inner),
        st.builds(lambda part: Helper("Set", (part,)), inner),
        st.builds(lambda key, value: Helper("Map", (key, value)), inner, inner),
        st.builds(lambda key, value: Helper("Pair", (key, value)), inner, inner),
        st.builds(lambda parts: Helper("Tuple", tuple(parts)), st.lists(inner, min_size=1, max_size=4)),
    ),
    max_leaves=8,
)
TYPES = st.one_of(
    SINGLES,
    st.builds(Many, SINGLES),
    st.builds(Entries, st.sampled_from([Scalar(name) for name in sorted(row_types.KEYS)]), SINGLES),
    st.just(Enum("shop.v1.Kind")),
)


@given(TYPES)
def test_the_lock_spells_each_type_so_that_it_can_be_read(kind: row_types.Type) -> None:
    assert row_types.parse(str(kind)) == kind
    assert reads_as(kind, kind)


@given(SINGLES, SINGLES)
def test_helpers_of_different_types_have_different_names(one: row_types.Single, other: row_types.Single) -> None:
    if isinstance(one, Helper) and isinstance(other, Helper):
        assert (one == other) == (one.name == other.name)


@pytest.mark.parametrize(
    "text",
    [
        "", "int8", "repeated", "repeated ", "repeated repeated int32", "repeated map<string, int32>", "List<int32",
        "List<int32>>", "List<int32, int32>", "List<>", "Map<int32>", "map<float, int32>", "map<string,int32>",
        "Set<string>", "Tuple<>", "enum ", "enum <", "Address", "List<int32> ", " int32", "List<enum shop.v1.Kind>",
        "List<" * 100 + "int32" + ">" * 100,
    ],
)  # fmt: skip
def test_a_type_that_no_lock_has(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        row_types.parse(text or " ")
