"""Keyspaces made on a real cluster: what is added, what is refused before anything is done, what happens half-way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from runtime.cql.changes import Change
from runtime.cql.create import Refused, Schema, Stopped, create, opened, planned, script
from runtime.cql.errors import CqlError
from runtime.cql.keyspaces import Keyspace
from runtime.cql.plan import plan
from tests.cql.clusters import own_keyspaces
from tests.cql.create_cases import ADDITIONS, COUNT, NOTES, PLACE, POST, REFUSALS, Case
from tests.cql.declared import cluster, keyspace

pytestmark = pytest.mark.cassandra

_numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with own_keyspaces() as found:
        yield found


@pytest.fixture(scope="module")
def schema(url: str) -> Iterator[Schema]:
    with opened(url) as found:
        assert found is not None
        yield found


@pytest.fixture
def name() -> str:
    """Of a keyspace that is this test's own."""
    return f"k{next(_numbers)}"


def made(schema: Schema, *keyspaces: Keyspace) -> list[str]:
    """What `create` makes."""
    changes: list[Change] = []
    create(schema, keyspaces, made=changes.append)
    return [change.what for change in changes]


def prepare(schema: Schema, case: Case, name: str) -> Callable[[tuple[str, ...]], list[str]]:
    """Make what the case's cluster has; what comes back names this keyspace in the case's lines."""
    try:
        made(schema, keyspace(case.old, name))
    except Stopped as error:
        if case.has_view and "disabled" in str(error):
            pytest.skip("this Cassandra makes no materialized views")
        raise
    for statement in case.meanwhile:
        schema.run(statement, schema.prefix + name)
    at = schema.prefix + name
    return lambda lines: [line.replace("shop", name).replace("{at}", at) for line in lines]


@pytest.mark.parametrize("case", [*ADDITIONS, *NOTES], ids=lambda case: case.name)
def test_what_is_missing_is_added_and_what_else_differs_told(schema: Schema, name: str, case: Case) -> None:
    told = prepare(schema, case, name)
    wanted = keyspace(case.new, name)
    changes: list[Change] = []
    notes = create(schema, [wanted], made=changes.append)
    assert [change.what for change in changes] == told(case.made)
    assert notes == told(case.noted)
    assert planned(schema, [wanted]).lines == told(case.noted)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_what_cannot_be_changed_is_refused_before_anything_is_done(schema: Schema, name: str, case: Case) -> None:
    told = prepare(schema, case, name)
    wanted = keyspace(case.new + "CREATE TABLE other (a INT PRIMARY KEY);", name)
    with pytest.raises(Refused) as refused:
        made(schema, wanted)
    assert refused.value.lines == told(case.refused)
    assert "other" not in {row["table_name"] for row in schema.rows([schema.prefix + name])["tables"]}


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("a type", "ALTER TABLE post ALTER text TYPE int"),
        ("a column that was dropped with another type", "ALTER TABLE post ADD text text"),
        ("a column that was dropped static", "ALTER TABLE post ADD name text"),
        ("a counter that was dropped", "ALTER TABLE count ADD views counter"),
        ("counters where there were none", "ALTER TABLE count ADD likes counter"),
        ("a field", "ALTER TYPE place ALTER number TYPE text"),
        ("a field of a type in a partition key", "ALTER TYPE place ADD floor int"),
    ],
)
def test_what_is_refused_cassandra_would_not_take_either(schema: Schema, name: str, what: str, statement: str) -> None:
    (case,) = [case for case in REFUSALS if case.name == what]
    prepare(schema, case, name)
    with pytest.raises(CqlError):
        schema.run(statement, schema.prefix + name)


def test_the_script_of_a_plan_makes_the_same(schema: Schema, name: str) -> None:
    wanted = keyspace(PLACE + POST + "CREATE INDEX ON post (text);", name)
    lines = script(planned(schema, [wanted]), schema.prefix)
    used: str | None = None
    for statement in lines.split(";\n"):
        if statement.startswith("USE "):
            used = statement.removeprefix('USE "').removesuffix('"')
        else:
            schema.run(statement.removesuffix(";"), used)
    assert planned(schema, [wanted]).lines == []


def test_several_who_make_the_same_at_once_all_end_well(url: str, schema: Schema, name: str) -> None:
    wanted = keyspace(PLACE + POST + COUNT + "CREATE INDEX ON post (text);", name)
    wider = keyspace(
        PLACE.replace(");", ", floor INT);") + POST.replace("tags ", "a INT, b INT, c INT, tags ") + COUNT, name
    )
    for keyspaces in ([wanted], [wider]):
        failures: list[CqlError] = []
        together = threading.Barrier(3)

        def work(
            keyspaces: list[Keyspace] = keyspaces,
            together: threading.Barrier = together,
            failures: list[CqlError] = failures,
        ) -> None:
            try:
                with opened(url) as own:
                    assert own is not None
                    together.wait(30)
                    made(own, *keyspaces)
            except CqlError as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert planned(schema, keyspaces).changes == []


class Interrupted:
    """A schema that fails after some statements."""

    def __init__(self, schema: Schema, statements: int) -> None:
        self._schema = schema
        self._left = statements
        self.prefix, self.rows, self.centres, self.agree = schema.prefix, schema.rows, schema.centres, schema.agree

    def run(self, statement: str, keyspace: str | None) -> None:
        if self._left == 0:
            raise CqlError("the node went away")
        self._left -= 1
        self._schema.run(statement, keyspace)


def test_what_was_done_before_an_error_stays_and_the_rest_is_made_next_time(schema: Schema, name: str) -> None:
    wanted = keyspace(POST + COUNT, name)
    with pytest.raises(Stopped) as stopped:
        made(Interrupted(schema, 2), wanted)
    assert str(stopped.value) == (
        f"table {name}.count could not be made: the node went away; what was made before it stays: 2 changes"
    )
    assert made(schema, wanted) == [f"table {name}.count"]


def test_the_copies_that_a_keyspace_has_are_told_where_they_differ(schema: Schema, name: str) -> None:
    (centre,) = schema.centres()
    create(schema, [keyspace("", name)], {centre: 1}, made=lambda change: None)
    notes = create(schema, [keyspace("", name)], {centre: 2}, made=lambda change: None)
    assert len(notes) == 1
    assert notes[0].startswith(
        f"{name}: its replication is {{'class': 'NetworkTopologyStrategy', '{centre}': '1'}}, the"
    )
    simple = "CREATE KEYSPACE {} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}};"
    other = keyspace(simple.format(f"{name}b"), f"{name}b")
    assert made(schema, other) == [f"keyspace {name}b"]
    assert planned(schema, [other]).lines == []


def test_a_cluster_that_was_planned_without_a_server_is_as_the_server_has_it(schema: Schema, name: str) -> None:
    """So that the tests of planning stand on what clusters say."""
    text = PLACE + POST + COUNT + "CREATE INDEX ON post (text); CREATE CUSTOM INDEX tagged ON post (tags) USING 'sai';"
    made(schema, keyspace(text, name))
    assert plan([keyspace(text, name)], cluster(keyspace(text, name))).lines == []
    assert planned(schema, [keyspace(text, name)]).lines == []
