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

from tests.cql.called_keyspaces import Accessed, compiled
from tests.cql.drawn_calls import Call, sequences
from tests.cql.drawn_keyspaces import keyspace
from tests.cql.two_stores import Both
from tests.examples import drawn, wanted

pytestmark = pytest.mark.cassandra

_EXAMPLES = 120
_TABLES = 10  # of a keyspace: a server takes a third of a second to make one
_SEQUENCES = 250  # of a keyspace


def _seed() -> int:
    """Of the first keyspace."""
    given = os.environ.get("SUN_TEST_KEYSPACES")
    if given:
        return int(given)
    return random.randrange(1 << 32) if os.environ.get("SUN_TEST_EXAMPLES") else 1


def test_the_embedded_store_agrees_with_cassandra(cassandra_url: str, tmp_path: Path) -> None:
    left, seed = wanted(_EXAMPLES), _seed()
    while left > 0:
        _agree(cassandra_url, tmp_path, seed, min(left, _SEQUENCES))
        left, seed = left - _SEQUENCES, seed + 1


def _agree(url: str, folder: Path, seed: int, examples: int) -> None:
    made = compiled(keyspace(seed, _TABLES), f"drawn_{seed}", folder)
    both = Both(url, made)

    @drawn(examples)
    @given(sequences(made.tables, made.views), st.booleans())
    def check(case: tuple[list[Accessed], list[Call]], synchronous: bool) -> None:
        tables, calls = case
        note(f"SUN_TEST_KEYSPACES={seed}")
        note("\n".join([made.types_text(), *map(made.table_text, tables)]))
        note("\n".join(map(repr, calls)))
        both.play(tables, calls, synchronous=synchronous)

    try:
        check()
    finally:
        both.close()
