"""The values of every type of CQL, as Python has them where they stand, for the tests that draw them."""

from __future__ import annotations

import datetime
import ipaddress
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from runtime.cql import types
from runtime.cql.values import Duration, FrozenMap

UTC = datetime.UTC
PLAIN: dict[type[types.CqlType[Any]], st.SearchStrategy[Any]] = {
    types.Ascii: st.text(st.characters(codec="ascii"), max_size=5),
    types.Text: st.text(st.characters(codec="utf-8"), max_size=5),
    types.TinyInt: st.integers(-(2**7), 2**7 - 1),
    types.SmallInt: st.integers(-(2**15), 2**15 - 1),
    types.Int: st.integers(-(2**31), 2**31 - 1),
    types.BigInt: st.integers(-(2**63), 2**63 - 1),
    types.Counter: st.integers(-(2**63), 2**63 - 1),
    types.Varint: st.integers() | st.integers(-(2**200), 2**200),
    types.Double: st.floats(allow_nan=False),
    types.Float: st.floats(allow_nan=False, width=32),
    types.Decimal: st.builds(lambda n, e: Decimal(n).scaleb(e), st.integers(-(10**25), 10**25), st.integers(-900, 900)),
    types.Boolean: st.booleans(),
    types.Blob: st.binary(max_size=5),
    types.Uuid: st.uuids(),
    types.TimeUuid: st.uuids(version=1),
    types.Inet: st.ip_addresses().map(lambda address: ipaddress.ip_address(address.packed)),
    types.Date: st.dates(),
    types.Time: st.integers(0, 86_399_999_999_999),
    types.Timestamp: st.datetimes().map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC, fold=0)
    ),
    types.Duration: st.builds(
        lambda sign, months, days, nanoseconds: Duration(sign * months, sign * days, sign * nanoseconds),
        st.sampled_from([1, -1]),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**63 - 1),
    ),
}


def values(kind: types.CqlType[Any]) -> st.SearchStrategy[Any]:
    """Every value of a type, as Python has it in this place."""
    match kind:
        case types.List():
            return st.lists(values(kind.item), max_size=3).map(tuple if kind.is_hashable else list)
        case types.Vector():
            items = st.lists(values(kind.item), min_size=kind.dimensions, max_size=kind.dimensions)
            return items.map(tuple if kind.is_hashable else list)
        case types.Set():
            return st.sets(values(kind.item), max_size=3).map(frozenset if kind.is_hashable else set)
        case types.Map():
            found = st.dictionaries(values(kind.key), values(kind.value), max_size=3)
            return found.map(FrozenMap) if kind.is_hashable else found
        case types.Tuple():
            return st.tuples(*(st.none() | values(item) for item in kind.items))
        case types.UserDefined():
            return st.builds(kind.made, *(st.none() | values(item) for _, item in kind.fields))
        case _:
            return PLAIN[type(kind)]
