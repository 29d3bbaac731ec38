"""A live cluster's keyspaces as files: they generate the code of the schema that made them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generators import cql_introspect, cql_walker, ir
from generators.artifacts import Target
from generators.cql_parser import parse_keyspace
from generators.diagnostics import Diagnostics
from runtime.cql.create import Schema, create, opened, planned
from tests.cql.clusters import own_keyspaces
from tests.cql.declared import keyspace

pytestmark = pytest.mark.cassandra

ROOT = Path(__file__).parents[2]
ODD = textwrap.dedent("""
    CREATE KEYSPACE "OddShop" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
      AND durable_writes = false;
    CREATE TYPE "select" (a INT, "B ""b" TEXT);
    CREATE TYPE "zuletzt" (first FROZEN<"select">);
    CREATE TYPE after (last FROZEN<zuletzt>, words LIST<TEXT>);
    CREATE TABLE "CamelCase" (
      "Key" INT, "key" INT, "order" TEXT, "two words" FROZEN<after>, "it's" MAP<INT, FROZEN<"select">>,
      "S" INT STATIC, v VECTOR<FROZEN<TUPLE<INT, TEXT>>, 2>,
      PRIMARY KEY (("Key", "key"), "order")
    ) WITH CLUSTERING ORDER BY ("order" DESC) AND comment = 'It''s a
    comment' AND compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 20}
      AND compression = {'enabled': 'false'} AND caching = {'keys': 'NONE', 'rows_per_partition': '10'}
      AND bloom_filter_fp_chance = 0.1 AND speculative_retry = '50ms' AND read_repair = 'NONE' AND cdc = false
      AND memtable = 'default' AND min_index_interval = 64;
    CREATE INDEX "Odd" ON "CamelCase" ("it's");
    CREATE INDEX ON "CamelCase" (KEYS("it's"));
    CREATE INDEX ON "CamelCase" ("order");
    CREATE MATERIALIZED VIEW "ByKey" AS SELECT "Key", "key", "order", "two words" FROM "CamelCase"
      WHERE "Key" IN (1, 2) AND "key" IS NOT NULL AND "order" > 'x AND "y"' PRIMARY KEY ("key", "Key", "order");
""")


def golden(name: str) -> str:
    (file,) = (ROOT / "tests" / "golden" / name / "schema" / "cql").glob("*.cql")
    return file.read_text("utf-8")


SCHEMAS = {
    "odd names": ODD,
    "types": golden("cql_types"),
    "keys": golden("cql_keys"),
    "indexes": golden("cql_indexes"),
    "tables": golden("cql_tables"),
    "names": golden("cql_names"),
    "messages": (ROOT / "schema" / "cql" / "sun_msg.cql").read_text("utf-8"),
}


@pytest.fixture(scope="module")
def schema() -> Iterator[Schema]:
    with own_keyspaces() as url, opened(url) as found:
        assert found is not None
        yield found


def introspected(schema: Schema, name: str) -> str:
    return cql_introspect.keyspace_files(schema.rows([schema.prefix + name]), schema.prefix)[name]


def parsed(text: str, name: str) -> ir.Keyspace:
    diagnostics = Diagnostics()
    found = parse_keyspace(text.encode(), name, f"{name}.cql", diagnostics)
    diagnostics.raise_if_any()
    return found


def without_what_is_lost(keyspace: ir.Keyspace) -> ir.Keyspace:
    """The keyspace as a cluster keeps it: without comments and enums, all in the order of introspection."""

    def order(table: ir.CqlTable | ir.CqlView) -> tuple[ir.CqlColumn, ...]:
        key = (*table.partition_key, *table.clustering)
        others = sorted((each for each in table.columns if each.name not in key), key=lambda each: each.name)
        static = [each for each in others if each.kind == "static"]
        regular = [each for each in others if each.kind == "regular"]
        of_key = [each for name in key for each in table.columns if each.name == name]
        return tuple(replace(each, comment="", enum=None) for each in (*of_key, *static, *regular))

    tables = [
        replace(
            table,
            columns=order(table),
            indexes=tuple(sorted(table.indexes, key=lambda index: index.name)),
            options=tuple(sorted(table.options)),
        )
        for table in keyspace.tables
    ]
    types = [
        replace(made, comment="", fields=tuple(replace(field, comment="") for field in made.fields))
        for made in keyspace.types
    ]
    return replace(
        keyspace,
        file="",
        comment="",
        types=tuple(sorted(types, key=lambda made: made.name)),
        tables=tuple(sorted(tables, key=lambda table: table.name)),
        views=tuple(replace(view, columns=order(view)) for view in keyspace.views),
    )


def generated(keyspace: ir.Keyspace) -> dict[str, str]:
    """The modules of types, tables and views."""
    made = cql_walker.walk(ir.Schema((), (), (), keyspaces=(keyspace,)), Target("generated", "schema", {}))
    return {each.path: each.text for each in made if not each.path.endswith(("/_schema.py", "__init__.py"))}


@pytest.mark.parametrize("text", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_the_file_generates_the_same_code_and_the_cluster_is_what_it_says(schema: Schema, text: str) -> None:
    first = parsed(text, "k" + str(list(SCHEMAS.values()).index(text)))
    create(schema, [keyspace(text, first.name)], made=lambda change: None)
    found = introspected(schema, first.name)
    second = parsed(found, first.name)
    assert generated(without_what_is_lost(second)) == generated(without_what_is_lost(first))
    assert planned(schema, [keyspace(found, first.name)]).lines == []
    # A cluster that is made of the file gives the file.
    assert introspected(schema, first.name) == found


def test_the_file_reads_as_one_that_a_person_has_written(schema: Schema) -> None:
    text = """
        CREATE TYPE place (street TEXT, lines FROZEN<LIST<TEXT>>);
        CREATE TABLE post (
          user_id BIGINT, post_id BIGINT, shown TEXT, at FROZEN<place>, name TEXT STATIC, PRIMARY KEY (user_id, post_id)
        ) WITH CLUSTERING ORDER BY (post_id DESC) AND comment = 'It''s a post.' AND gc_grace_seconds = 60;
        CREATE INDEX ON post (shown);
    """
    create(schema, [keyspace(text, "written")], made=lambda change: None)
    (centre,) = schema.centres()
    assert introspected(schema, "written") == (
        "-- Keyspace written as a cluster had it, which keeps no order of columns outside of the key.\n"
        "\n"
        "CREATE KEYSPACE written\n"
        f"  WITH replication = {{'class': 'NetworkTopologyStrategy', '{centre}': '1'}};\n"
        "\n"
        "CREATE TYPE place (\n"
        "  street TEXT,\n"
        "  lines  FROZEN<LIST<TEXT>>\n"
        ");\n"
        "\n"
        "CREATE TABLE post (\n"
        "  user_id BIGINT,\n"
        "  post_id BIGINT,\n"
        "  name    TEXT STATIC,\n"
        "  at      FROZEN<place>,\n"
        "  shown   TEXT,\n"
        "  PRIMARY KEY (user_id, post_id)\n"
        ") WITH CLUSTERING ORDER BY (post_id DESC)\n"
        "  AND comment = 'It''s a post.'\n"
        "  AND gc_grace_seconds = 60;\n"
        "\n"
        "CREATE INDEX post_shown_idx ON post (shown);\n"
    )


def test_what_sun_does_not_read_is_written_and_named(schema: Schema) -> None:
    create(schema, [keyspace("CREATE TABLE one (a INT PRIMARY KEY, b TEXT);", "foreign")], made=lambda change: None)
    schema.run(
        "ALTER TABLE one ADD c 'org.apache.cassandra.db.marshal.DynamicCompositeType(a=>Int32Type)'",
        schema.prefix + "foreign",
    )
    text = introspected(schema, "foreign")
    diagnostics = Diagnostics()
    cql_introspect.check(text, "foreign", "schema/cql/foreign.cql", diagnostics)
    assert [(str(each.position), each.code) for each in diagnostics.found] == [
        ("schema/cql/foreign.cql:9:5", "unsupported")
    ]
