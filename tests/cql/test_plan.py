"""What is planned for a cluster, by what it has and what the schema says, without one."""

from __future__ import annotations

import pytest

from runtime.cql.create import refusal, script
from runtime.cql.plan import Plan, plan
from runtime.cql.spellings import conditions, same, same_replication, same_type
from tests.cql.create_cases import ADDITIONS, NOTES, REFUSALS, Case
from tests.cql.declared import cluster, keyspace

CASES = [case for case in (*ADDITIONS, *REFUSALS, *NOTES) if not case.meanwhile]
ONE = "CREATE TABLE one (a INT PRIMARY KEY);"


def lines(made: Plan) -> tuple[tuple[str, ...], ...]:
    return tuple(change.what for change in made.changes), tuple(made.refusals), tuple(made.notes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_differs_is_added_refused_or_told(case: Case) -> None:
    made = plan([keyspace(case.new)], cluster(keyspace(case.old)))
    told = [tuple(line.replace("{at}", "shop") for line in kind) for kind in (case.made, case.refused, case.noted)]
    assert lines(made) == tuple(told)


def test_a_new_keyspace_is_made_with_all_that_is_in_it_each_after_what_it_is_made_of() -> None:
    wanted = keyspace(
        "CREATE TABLE one (a INT PRIMARY KEY, b FROZEN<p>); CREATE TYPE p (x INT); CREATE INDEX ON one (b);"
    )
    made = plan([wanted], cluster(), prefix="test_")
    assert [change.what for change in made.changes] == [
        "keyspace shop",
        "type shop.p",
        "table shop.one",
        "index shop.one_b_idx",
    ]
    assert script(made, "test_").splitlines() == [
        (
            'CREATE KEYSPACE IF NOT EXISTS "test_shop" WITH replication = '
            "{'class': 'NetworkTopologyStrategy', 'dc1': '1'};"
        ),
        'USE "test_shop";',
        "CREATE TYPE IF NOT EXISTS p (",
        "  x int",
        ");",
        "CREATE TABLE IF NOT EXISTS one (",
        "  a int,",
        "  b frozen<p>,",
        "  PRIMARY KEY (a)",
        ");",
        "CREATE INDEX IF NOT EXISTS one_b_idx ON one (b);",
    ]


def test_the_configuration_says_the_copies_before_the_schema_does() -> None:
    stated = "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2};"
    centres = {"dc1": 3, "dc2": 3}
    by_schema = plan([keyspace(stated)], cluster(centres=centres))
    assert "'SimpleStrategy', 'replication_factor': '2'" in by_schema.changes[0].cql
    configured = plan([keyspace(stated)], cluster(centres=centres), replication={"dc1": 3, "dc2": 2})
    assert "{'class': 'NetworkTopologyStrategy', 'dc1': '3', 'dc2': '2'}" in configured.changes[0].cql
    assert configured.refusals == configured.notes == []


def test_several_nodes_must_be_told_how_many_copies_they_keep() -> None:
    made = plan([keyspace(ONE)], cluster(centres={"dc1": 5, "dc2": 1}))
    assert made.refusals == [
        (
            "shop: nothing says how many copies the 5 nodes of dc1, the 1 node of dc2 keep:"
            " set SUN_CQL_REPLICATION=dc1=3,dc2=1"
        )
    ]


def test_copies_in_a_data_centre_that_is_not_there_are_refused_and_more_than_nodes_told() -> None:
    made = plan([keyspace(ONE)], cluster(), replication={"dc1": 3, "dc9": 1})
    assert made.refusals == ["shop: its replication names dc9: the cluster has no such data centre, but dc1"]
    assert made.notes == ["shop: its replication asks for 3 copies in dc1, which has 1: quorums may not be had"]


def test_other_copies_of_a_keyspace_that_is_there_are_told() -> None:
    made = plan([keyspace(ONE)], cluster(keyspace(ONE)), replication={"dc1": 3})
    assert made.notes == [
        (
            "shop: its replication is {'class': 'NetworkTopologyStrategy', 'dc1': '1'}, the configuration says"
            " {'class': 'NetworkTopologyStrategy', 'dc1': '3'}: ALTER KEYSPACE \"shop\" WITH replication ="
            " {'class': 'NetworkTopologyStrategy', 'dc1': '3'}, and then repair it"
        )
    ]


def test_durable_writes_that_differ_are_told() -> None:
    of = "CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1} AND durable_writes = "
    made = plan([keyspace(f"{of}false;")], cluster(keyspace(f"{of}true;")))
    assert made.notes == [
        'shop: durable_writes is true, the schema says false: ALTER KEYSPACE "shop" WITH durable_writes = false'
    ]


def test_a_name_that_is_too_long_with_its_prefix_is_refused() -> None:
    name = "k" * 45
    made = plan([keyspace(ONE, name)], cluster(), prefix="test_")
    assert made.refusals == [f"{name}: with its prefix, test_{name} has 50 letters: 48 are the most"]


def test_what_a_server_that_starts_is_told() -> None:
    assert refusal(plan([keyspace(ONE)], cluster(keyspace(ONE)))) is None
    lacking = plan([keyspace(ONE.replace(")", ", b INT)"))], cluster(keyspace(ONE)))
    assert refusal(lacking) == "the cluster lacks column shop.one.b: run `sun cql create`"
    other = plan([keyspace(ONE.replace("INT", "TEXT"))], cluster(keyspace(ONE)))
    assert refusal(other) == (
        "the cluster is not what the schema says: shop.one.a: the cluster has int, the schema text: the type of a key"
        " can't be changed; make a table of another name and copy the rows; `sun cql diff` tells all"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vector<frozen<place>, 2>", "vector<place, 2>"),
        ("frozen<tuple<int, frozen<list<text>>>>", "tuple<int, list<text>>"),
        ('map<text, frozen<"Odd <x>">>', 'map<text, "Odd <x>">'),
        ('frozen<"plain">', "frozen<plain>"),
    ],
)
def test_types_are_the_same_however_frozen_is_said(one: str, other: str) -> None:
    assert same_type(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("frozen<list<int>>", "list<int>"), ("set<int>", "list<int>"), ("vector<int, 2>", "vector<int, 3>")],
)
def test_types_that_differ_are_not_the_same(one: str, other: str) -> None:
    assert not same_type(one, other)


@pytest.mark.parametrize(
    ("name", "stated", "has", "alike"),
    [
        ("speculative_retry", "99PERCENTILE", "99p", True),
        ("speculative_retry", "99.0percentile", "95p", False),
        ("speculative_retry", "50ms", "50.00ms", True),
        ("speculative_retry", "NONE", "NEVER", True),
        ("additional_write_policy", "none", "99p", False),
        ("additional_write_policy", "none", "NEVER", True),
        ("read_repair", "none", "NONE", True),
        ("cdc", False, None, True),
        ("cdc", True, None, False),
        ("bloom_filter_fp_chance", 0.1, 0.1, True),
        ("comment", "a.B", "b", False),
        ("caching", {"keys": "all"}, {"keys": "ALL", "rows_per_partition": "NONE"}, True),
        (
            "compaction",
            {"class": "LeveledCompactionStrategy"},
            {"class": "org.apache.cassandra.db.compaction.LeveledCompactionStrategy", "max_threshold": "32"},
            True,
        ),
        ("compaction", {"class": "X", "max_threshold": "4"}, {"class": "X", "max_threshold": "32"}, False),
        ("compression", {"chunk_length_kb": "4"}, {"chunk_length_in_kb": "4", "class": "Z"}, True),
    ],
)
def test_options_are_the_same_in_every_spelling(name: str, stated: bool, has: object, alike: bool) -> None:
    assert same(name, stated, has) is alike


def test_a_factor_for_all_data_centres_is_the_copies_of_each() -> None:
    stated = {"class": "NetworkTopologyStrategy", "replication_factor": "2", "dc2": "1"}
    has = {"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "2", "dc2": "1"}
    assert same_replication(stated, has, {"dc1": 3, "dc2": 3})


def test_conditions_are_the_same_in_any_order_and_spelling() -> None:
    one = """"a" IS NOT NULL AND "B" IN ('x AND y', 'It''s') AND c >= 5"""
    assert conditions(one) == conditions("c >= 5 AND \"B\" in ('x AND y','It''s') and a is not null")
    assert conditions("a = 'X'") != conditions("a = 'x'")
