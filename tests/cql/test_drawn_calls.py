"""Random keyspaces and calls of their DAOs, on Cassandra and on the embedded store, which must agree on every result
and on the final state.

Each keyspace goes through the whole generator. `SUN_TEST_EXAMPLES=1000` draws that many sequences of calls, on new
keyspaces; `SUN_TEST_KEYSPACES=7` repeats those of a run that said 7.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.cql.called_keyspaces import Accessed, Compiled, compiled
from tests.cql.drawn_calls import Call, sequences
from tests.cql.drawn_keyspaces import keyspace
from tests.cql.two_stores import Both
from tests.examples import drawn, wanted

pytestmark = [
    pytest.mark.cassandra,
    # The driver's own threads use it while values are drawn.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]

_EXAMPLES = 80
_TABLES = 10  # of a keyspace: a server takes a third of a second to make one
_SEQUENCES = 250  # of a keyspace
_GOLDEN = ("cql_indexes", "cql_keys", "cql_tables", "cql_types")


def _seed() -> int:
    """Of the first keyspace."""
    given = os.environ.get("SUN_TEST_KEYSPACES")
    if given:
        return int(given)
    return random.randrange(1 << 32) if os.environ.get("SUN_TEST_EXAMPLES") else 1


def test_the_embedded_store_agrees_with_cassandra(cassandra_url: str, tmp_path: Path) -> None:
    left, seed = wanted(_EXAMPLES), _seed()
    while left > 0:
        made = compiled(keyspace(seed, _TABLES), f"drawn_{seed}", tmp_path)
        _agree(cassandra_url, made, min(left, _SEQUENCES), f"SUN_TEST_KEYSPACES={seed}")
        left, seed = left - _SEQUENCES, seed + 1


@pytest.mark.parametrize("case", _GOLDEN)
def test_it_agrees_on_the_schemas_of_golden_cases(cassandra_url: str, tmp_path: Path, case: str) -> None:
    (schema,) = (Path(__file__).parents[1] / "golden" / case / "schema" / "cql").glob("*.cql")
    text = schema.read_text("utf-8").replace("-- sun: enum=", "-- ")  # whose .proto files are not here
    made = compiled(text, schema.stem, tmp_path)
    _agree(cassandra_url, made, max(wanted(_EXAMPLES) // 10, 5), case)


def _agree(url: str, made: Compiled, examples: int, name: str) -> None:
    both = Both(url, made)

    @drawn(examples)
    @given(sequences(made.tables, made.views), st.booleans())
    def check(case: tuple[list[Accessed], list[Call]], synchronous: bool) -> None:
        tables, calls = case
        note(name)
        note("\n".join([made.types_text(), *map(made.table_text, tables)]))
        note("\n".join(map(repr, calls)))
        both.play(tables, calls, synchronous=synchronous)

    try:
        check()
    finally:
        both.close()
    assert both.broken <= 1 + both.plays // 20
