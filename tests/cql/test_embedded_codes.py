"""Keys as bytes: they sort as their values do.

Apart from the tests on Cassandra, whose driver draws from Python's random numbers while hypothesis draws examples.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cql import types
from runtime.cql.embedded.keys import clustering_code, order_code
from tests.examples import drawn

NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)
DRAWN: list[tuple[types.CqlType[Any], st.SearchStrategy[Any]]] = [
    (types.Text(), st.text(max_size=4)),
    (types.Blob(), st.binary(max_size=4)),
    (types.Varint(), st.integers() | st.integers(-300, 300)),
    (types.Double(), st.floats()),
    (types.Float(), st.floats(width=32)),
    (types.Decimal(), st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-9, 9, places=1)),
    (types.Uuid(), st.uuids() | st.uuids(version=1)),
    (types.TimeUuid(), st.uuids(version=1)),
    (types.Inet(), st.ip_addresses()),
    (types.Tuple((types.Text(), types.Int())), st.tuples(st.none() | st.text(max_size=2), st.none() | NUMBERS)),
    (types.List(types.Text(), True), st.lists(st.text(max_size=2), max_size=3)),
    (types.Set(types.Int(), True), st.sets(NUMBERS, max_size=3)),
    (types.Map(types.Int(), types.Text(), True), st.dictionaries(st.integers(0, 3), st.text(max_size=1), max_size=3)),
]


@pytest.mark.parametrize(("type", "values"), DRAWN, ids=lambda value: getattr(value, "text", ""))
def test_codes_sort_as_values_and_none_begins_with_another(
    type: types.CqlType[Any], values: st.SearchStrategy[Any]
) -> None:
    up, down = order_code(type), clustering_code(type, descending=True)

    @drawn(200)
    @given(values, values)
    def check(one: Any, other: Any) -> None:
        less = type.order(one) < type.order(other)
        assert (up(one) < up(other)) == less
        assert (down(one) > down(other)) == less
        assert (up(one) == up(other)) == (type.order(one) == type.order(other))
        if up(one) != up(other):
            assert not up(one).startswith(up(other))
            assert not down(one).startswith(down(other))

    check()
