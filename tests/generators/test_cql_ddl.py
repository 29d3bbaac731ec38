"""CQL printed from the IR: the text of each object, the way back, and what a real Cassandra makes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.cluster import Cluster
from hypothesis import given
from hypothesis import strategies as st

from generators import cql_ddl, ir
from generators.cql_indexes import Target
from generators.cql_parser import parse_keyspace
from generators.cql_types import NATIVE, is_type_name
from generators.diagnostics import Diagnostics, Position
from tests.conftest import require_server
from tests.examples import drawn


def read(text: str, name: str = "shop") -> ir.Keyspace:
    """The keyspace of a sound schema."""
    diagnostics = Diagnostics()
    keyspace = parse_keyspace(text.encode(), name, "shop.cql", diagnostics)
    diagnostics.raise_if_any()
    return keyspace


def written(keyspace: ir.Keyspace) -> str:
    return "".join(f"{statement};\n" for statement in cql_ddl.statements(keyspace))


def placeless(value: Any) -> Any:
    """The value without what statements don't say: positions, and the comments of types and columns."""
    if isinstance(value, tuple):
        return tuple(placeless(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    left_out = {"position", "enum", "renamed_from"}
    if not isinstance(value, ir.CqlTable | ir.CqlView):
        left_out.add("comment")
    fields = [field.name for field in dataclasses.fields(value)]
    return (type(value).__name__, *((name, placeless(getattr(value, name))) for name in fields if name not in left_out))


# --- what is printed -------------------------------------------------------------------------------------------------

SCHEMA = """
CREATE TYPE "Point" (x double, tags frozen<list<text>>, "select" tuple<int, text>);
CREATE TABLE "Shop".orders (
  id uuid, "Key" int, at timeuuid, note text STATIC, "a""b" list<frozen<"Point">>, v vector<float, 2>, "token" int,
  PRIMARY KEY ((id, "Key"), at, "token")
) WITH CLUSTERING ORDER BY (at DESC) AND gc_grace_seconds = 5 AND cdc = false AND bloom_filter_fp_chance = 0.01
  AND compaction = {'class': 'LeveledCompactionStrategy', 'enabled': true} AND compression = {} AND comment = 'it''s';
CREATE TABLE plain (k int PRIMARY KEY, m map<text, int>);
CREATE INDEX ON plain (m); CREATE INDEX "Mine" ON plain (entries(m)); CREATE INDEX ON orders ("Key");
CREATE CUSTOM INDEX near ON orders (v) USING 'StorageAttachedIndex' WITH OPTIONS = {'optimize_for': 'recall'};
CREATE MATERIALIZED VIEW by_at AS SELECT at, id, "Key", "token", v FROM orders
  WHERE at IS NOT NULL AND id IS NOT NULL AND "Key" > 5 AND "token" IN (1, 2) PRIMARY KEY (at, id, "Key", "token");
"""


def test_every_object_has_one_text() -> None:
    assert written(read(SCHEMA)) == (
        """\
CREATE TYPE IF NOT EXISTS "Shop"."Point" (
  x double,
  tags frozen<list<text>>,
  "select" frozen<tuple<int, text>>
);
CREATE TABLE IF NOT EXISTS "Shop".orders (
  id uuid,
  "Key" int,
  at timeuuid,
  note text STATIC,
  "a""b" list<frozen<"Point">>,
  v vector<float, 2>,
  "token" int,
  PRIMARY KEY ((id, "Key"), at, "token")
) WITH CLUSTERING ORDER BY (at DESC, "token" ASC)
  AND gc_grace_seconds = 5
  AND cdc = false
  AND bloom_filter_fp_chance = 0.01
  AND compaction = {'class': 'LeveledCompactionStrategy', 'enabled': 'true'}
  AND compression = {}
  AND comment = 'it''s';
CREATE INDEX IF NOT EXISTS "orders_Key_idx" ON "Shop".orders ("Key");
CREATE CUSTOM INDEX IF NOT EXISTS near ON "Shop".orders (v) USING 'sai' WITH OPTIONS = {'optimize_for': 'recall'};
CREATE TABLE IF NOT EXISTS "Shop".plain (
  k int,
  m map<text, int>,
  PRIMARY KEY (k)
);
CREATE INDEX IF NOT EXISTS plain_m_idx ON "Shop".plain (values(m));
CREATE INDEX IF NOT EXISTS "Mine" ON "Shop".plain (entries(m));
CREATE MATERIALIZED VIEW IF NOT EXISTS "Shop".by_at AS
  SELECT at, id, "Key", "token", v
  FROM "Shop".orders
  WHERE at IS NOT NULL AND id IS NOT NULL AND "Key" > 5 AND "token" IN (1, 2)
  PRIMARY KEY (at, id, "Key", "token") WITH CLUSTERING ORDER BY (id ASC, "Key" ASC, "token" ASC);
"""
    )


def test_a_keyspace_is_replicated_as_its_caller_says() -> None:
    made = cql_ddl.create_keyspace("shop", {"class": "NetworkTopologyStrategy", "dc1": "3"})
    replication = "{'class': 'NetworkTopologyStrategy', 'dc1': '3'}"
    assert made == f"CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {replication}"
    assert cql_ddl.create_keyspace("In", {"class": "x"}, durable_writes=False) == (
        "CREATE KEYSPACE IF NOT EXISTS \"In\" WITH replication = {'class': 'x'} AND durable_writes = false"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_1", "a_1"),
        ("A", '"A"'),
        ("1a", '"1a"'),
        ("_a", '"_a"'),
        ('a"b', '"a""b"'),
        ("select", '"select"'),
        ("true", '"true"'),
        ("count", '"count"'),
        ("key", "key"),
        ("é", '"é"'),
    ],
)
def test_a_name_is_quoted_where_it_must_be(name: str, expected: str) -> None:
    assert cql_ddl.quoted(name) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ir.Map(ir.Text(), ir.List(ir.Int(32))), "map<text, frozen<list<int>>>"),
        (ir.Frozen(ir.Map(ir.Text(), ir.List(ir.Int(32)))), "frozen<map<text, frozen<list<int>>>>"),
        (ir.Tuple((ir.Int(32), ir.UserDefined("u"))), "frozen<tuple<int, frozen<u>>>"),
        (ir.Set(ir.Tuple((ir.DateTime(3, instant=True),))), "set<frozen<tuple<timestamp>>>"),
        (ir.UserDefined("Upper"), '"Upper"'),
        (ir.Frozen(ir.UserDefined("ttl")), 'frozen<"ttl">'),
        (ir.Vector(ir.Vector(ir.Float(32), 2), 3), "vector<vector<float, 2>, 3>"),
    ],
)
def test_a_type_is_spelled_as_cassandra_spells_it(found: ir.Type, expected: str) -> None:
    assert cql_ddl.type_text(found) == expected


def test_what_only_comments_say_is_not_printed() -> None:
    text = "-- one\nCREATE TABLE t (k int PRIMARY KEY, -- two\n -- sun: enum=a.B renamed_from=w\n v int)"
    assert cql_ddl.create_table("shop", read(text).tables[0]) == (
        "CREATE TABLE IF NOT EXISTS shop.t (\n  k int,\n  v int,\n  PRIMARY KEY (k)\n) WITH comment = 'one'"
    )


# --- there and back --------------------------------------------------------------------------------------------------

_HERE = Position("shop.cql", 1, 1)
_WORDS = ["key", "select", "count", "static", "int", "list", "a b", 'q"', "é", "A", "ttl", "value", "as", "true"]
_NAMES = st.one_of(st.sampled_from(_WORDS), st.text("abcXYZ012_ .'\"-;$/", min_size=1, max_size=8))
_PLAIN_NAMES = st.text("abcdXYZ012_", min_size=1, max_size=10)
_KEYABLE = [each for each in NATIVE.values() if not isinstance(each, ir.Counter | ir.Duration)]
_NATIVE = st.sampled_from([each for each in NATIVE.values() if not isinstance(each, ir.Counter)])


def _inner(users: list[str], depth: int = 2, *, keyable: bool = False) -> st.SearchStrategy[ir.Type]:
    """A type that stands within another one, where it is written as a whole; a `keyable` one holds no duration."""
    leaves = st.sampled_from(_KEYABLE) if keyable else _NATIVE
    if users and not keyable:
        leaves |= st.sampled_from([ir.UserDefined(name) for name in users])
    if depth == 0:
        return leaves
    sortable, inner = st.sampled_from(_KEYABLE), _inner(users, depth - 1, keyable=keyable)
    return st.one_of(
        leaves,
        st.builds(ir.List, inner),
        st.builds(ir.Set, sortable),
        st.builds(ir.Map, sortable, inner),
        st.builds(lambda items: ir.Tuple(tuple(items)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(ir.Vector, inner, st.integers(1, 8)),
    )


@st.composite
def _type(draw: st.DrawFn, users: list[str], *, whole: bool = False, keyable: bool = False) -> ir.Type:
    """The type of a column or a field; frozen where it can be, if it is to be written as a `whole`."""
    found = draw(_inner(users, keyable=keyable))
    can_be = isinstance(found, ir.List | ir.Set | ir.Map | ir.UserDefined)
    return ir.Frozen(found) if can_be and (whole or draw(st.booleans())) else found


@st.composite
def _user_types(draw: st.DrawFn) -> tuple[ir.UserType, ...]:
    made: list[ir.UserType] = []
    for name in draw(st.lists(_NAMES.filter(is_type_name), max_size=3, unique=True)):
        fields = draw(st.lists(_NAMES, min_size=1, max_size=3, unique=True))
        users = [each.name for each in made]
        types = [draw(_type(users, whole=True)) for _ in fields]
        pairs = zip(fields, types, strict=True)
        made.append(ir.UserType(name, tuple(ir.UserField(field, found, _HERE) for field, found in pairs), _HERE))
    return tuple(made)


_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "gc_grace_seconds": st.integers(1, 2**31 - 1),
        "bloom_filter_fp_chance": st.floats(0.001, 1),
        "cdc": st.booleans(),
        "speculative_retry": st.sampled_from(["99p", "ALWAYS", "5ms"]),
        "compaction": st.just((("class", "LeveledCompactionStrategy"), ("enabled", "true"))),
        "compression": st.just(()),
    },
)
_COMMENTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@st.composite
def _table(draw: st.DrawFn, name: str, users: list[str]) -> ir.CqlTable:
    names = draw(st.lists(_NAMES, min_size=1, max_size=7, unique=True))
    partition = draw(st.integers(1, min(3, len(names))))
    clustering = draw(st.integers(0, len(names) - partition))
    counters = draw(st.booleans()) and len(names) > partition + clustering
    columns: list[ir.CqlColumn] = []
    for place, column in enumerate(names):
        in_key = place < partition + clustering
        found = ir.Counter() if counters and not in_key else draw(_type(users, whole=in_key, keyable=in_key))
        kind: ir.ColumnKind = "partition" if place < partition else "clustering" if in_key else "regular"
        if kind == "regular" and clustering and draw(st.booleans()):
            kind = "static"
        descending = kind == "clustering" and draw(st.booleans())
        columns.append(ir.CqlColumn(column, found, kind, _HERE, descending=descending))
    return ir.CqlTable(
        name,
        tuple(draw(st.permutations(columns))),
        tuple(names[:partition]),
        tuple(names[partition : partition + clustering]),
        _HERE,
        options=tuple(draw(_OPTIONS).items()),
        comment=draw(_COMMENTS),
    )


_NO_TARGET: st.SearchStrategy[Target] = st.just("")
_TARGETS: st.SearchStrategy[Target] = st.sampled_from(["keys", "values", "entries"])


def _indexable(table: ir.CqlTable, column: ir.CqlColumn) -> bool:
    plain = isinstance(column.type, ir.Int | ir.Text | ir.Ascii | ir.Uuid | ir.Map)
    durations = isinstance(column.type, ir.Map) and column.type.value not in _KEYABLE
    return plain and not durations and not table.is_counter and table.partition_key != (column.name,)


@st.composite
def keyspaces(draw: st.DrawFn) -> ir.Keyspace:
    types = draw(_user_types())
    users = [each.name for each in types]
    tables: list[ir.CqlTable] = []
    number = 0
    for name in draw(st.lists(_PLAIN_NAMES, max_size=3, unique=True)):
        table = draw(_table(name, users))
        indexes: list[ir.CqlIndex] = []
        for column in table.columns:
            if _indexable(table, column) and draw(st.booleans()):
                number += 1
                targets = _TARGETS if isinstance(column.type, ir.Map) else _NO_TARGET
                custom = draw(st.sampled_from([None, "sai"]))
                indexes.append(ir.CqlIndex(f"I_{number}", column.name, _HERE, draw(targets), custom))
        tables.append(dataclasses.replace(table, indexes=tuple(indexes)))
    return ir.Keyspace(draw(_PLAIN_NAMES), "shop.cql", tuple(tables), types)


@drawn(150)
@given(keyspaces())
def test_what_is_printed_is_read_as_it_was(keyspace: ir.Keyspace) -> None:
    text = f"USE {cql_ddl.quoted(keyspace.name)};\n{written(keyspace)}"
    again = read(text)
    assert placeless(again) == placeless(keyspace)
    assert written(again) == written(keyspace)


def test_a_view_is_read_as_it_was() -> None:
    first = read(SCHEMA)
    assert placeless(read(written(first))) == placeless(first)


# --- on a server -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """A session whose `keyspace` is its own, and dropped when it ends."""
    host, port = address.rsplit(":", maxsplit=1)
    cluster = Cluster(
        [host], port=int(port), protocol_version=5, schema_metadata_enabled=False, token_metadata_enabled=False
    )
    session = cluster.connect()
    session.default_timeout = 60
    name = f"ddl_{secrets.token_hex(4)}"
    try:
        session.execute(cql_ddl.create_keyspace(name, {"class": "SimpleStrategy", "replication_factor": "1"}))
        session.set_keyspace(name)
        yield session
    finally:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}")
        cluster.shutdown()


@pytest.fixture
def session(cassandra_address: str) -> Iterator[Any]:
    with connected(cassandra_address) as session:
        yield session


def create(session: Any, keyspace: ir.Keyspace) -> None:
    for statement in cql_ddl.statements(dataclasses.replace(keyspace, name=session.keyspace)):
        session.execute(statement)


def kept_types(session: Any) -> dict[tuple[str, str], str]:
    rows = session.execute(
        "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = %s", (session.keyspace,)
    )
    return {(row.table_name, row.column_name): row.type for row in rows}


@pytest.mark.cassandra
def test_cassandra_makes_every_object_and_spells_its_types_so(session: Any) -> None:
    keyspace = read(SCHEMA.partition("CREATE MATERIALIZED VIEW")[0])
    create(session, keyspace)
    expected = {
        (table.name, column.name): cql_ddl.type_text(column.type)
        for table in keyspace.tables
        for column in table.columns
    }
    assert kept_types(session) == expected
    rows = session.execute("SELECT index_name FROM system_schema.indexes WHERE keyspace_name = %s", (session.keyspace,))
    assert {row.index_name for row in rows} == {"Mine", "plain_m_idx", "orders_Key_idx", "near"}


@pytest.mark.cassandra
@drawn(8)
@given(keyspaces())
def test_cassandra_makes_whatever_the_parser_takes(keyspace: ir.Keyspace) -> None:
    with connected(require_server("cassandra")) as session:
        create(session, keyspace)
        found = kept_types(session)
        types = written(dataclasses.replace(keyspace, name="shop", tables=()))
        for table in keyspace.tables:
            for column in table.columns:
                again = read(f"{types}CREATE TABLE t (k int PRIMARY KEY, v {found[table.name, column.name]})").tables[0]
                assert again.columns[1].type == column.type


@pytest.mark.cassandra
def test_cassandra_makes_a_view(session: Any) -> None:
    try:
        create(session, read(SCHEMA))
    except InvalidRequest as error:
        if "Materialized views are disabled" in str(error):
            pytest.skip("this server has materialized views switched off")
        raise
    made = {key: found for key, found in kept_types(session).items() if key[0] == "by_at"}
    assert made == {
        ("by_at", "at"): "timeuuid",
        ("by_at", "id"): "uuid",
        ("by_at", "Key"): "int",
        ("by_at", "token"): "int",
        ("by_at", "v"): "vector<float, 2>",
    }


@pytest.mark.cassandra
@pytest.mark.parametrize(
    "word", ["as", "cast", "count", "distinct", "enum", "filtering", "json", "key", "select", "static", "ttl"]
)
def test_cassandra_takes_a_word_as_any_name(session: Any, word: str) -> None:
    name = cql_ddl.quoted(word)
    text = f'CREATE TYPE "{word}" ({name} int); CREATE TABLE {name} ({name} int PRIMARY KEY, v "{word}", w text)'
    keyspace = read(f"{text}; CREATE INDEX {name} ON {name} (w)")
    create(session, keyspace)
    assert placeless(keyspace.types[0].fields) == placeless(read(written(keyspace)).types[0].fields)
    assert set(kept_types(session)) == {(word, word), (word, "v"), (word, "w")}
