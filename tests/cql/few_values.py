"""Few values of every type of CQL, the odd ones among them, as the Python text that makes them.

Calls are drawn as text, so that what fails reads as code, and can become a test.
"""

from __future__ import annotations

import datetime
import ipaddress
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from runtime.cql import Duration, types

Texts = st.SearchStrategy[str]

_FLOATS = (0.0, -0.0, 1.5, -2.25, float("inf"), float("-inf"), float("nan"), 1e-30)
_TIME_UUIDS = (
    uuid.UUID("00000000-0000-1000-8000-000000000000"),
    uuid.UUID("13814000-1dd2-11b2-8000-000000000000"),
    uuid.UUID("13814001-1dd2-11b2-8000-000000000000"),
    uuid.UUID("13814000-1dd2-11b2-ff7f-80ff00017f80"),
    uuid.UUID("ffffffff-ffff-1fff-bfff-ffffffffffff"),
)
_MOMENTS = (
    datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=datetime.UTC),
    datetime.datetime(2024, 2, 29, 12, 30, 0, 1_000, tzinfo=datetime.UTC),
    datetime.datetime.min.replace(tzinfo=datetime.UTC),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=datetime.UTC),
)
_DURATIONS = (
    Duration(),
    Duration(1, 2, 3),
    Duration(0, 31, 0),
    Duration(-1, -2, -3),
    Duration(0, 0, -1),
    Duration((1 << 31) - 1, (1 << 31) - 1, (1 << 63) - 1),
    Duration(-(1 << 31), -(1 << 31), -(1 << 63)),
)
_FEW: dict[type[types.CqlType[Any]], tuple[Any, ...]] = {
    types.Ascii: ("", "a", "A", "ab", "\0", "\x7f", "~'"),
    types.Text: ("", "a", "A", "b", "ab", "é", "\N{PILE OF POO}", "\uffff", "\0", "it's"),
    types.TinyInt: (-128, -1, 0, 1, 127),
    types.SmallInt: (-(1 << 15), -1, 0, 1, (1 << 15) - 1),
    types.Int: (-(1 << 31), -1, 0, 1, 2, (1 << 31) - 1),
    types.BigInt: (-(1 << 63), -1, 0, 1, 2, (1 << 63) - 1),
    types.Counter: (-(1 << 63), -1, 0, 1, 2, (1 << 63) - 1),
    types.Varint: (0, 1, -1, 127, 128, -128, -129, 1 << 70, -(1 << 70)),
    types.Float: _FLOATS,
    types.Double: (*_FLOATS, 1.7976931348623157e308),
    types.Decimal: tuple(map(Decimal, ("0", "1", "-1.5", "0.10", "1E+3", "1E-30", "123456789012345678901234567890.5"))),
    types.Boolean: (False, True),
    types.Blob: (b"", b"\0", b"a", b"a\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff"),
    types.TimeUuid: _TIME_UUIDS,
    types.Uuid: (
        *_TIME_UUIDS[1:4],
        uuid.UUID(int=0),
        uuid.UUID("9f0c6b2e-0d1f-4f6c-8a53-0e6a2f1b7c11"),
        uuid.UUID("1f0c6b2e-0d1f-4f6c-8a53-0e6a2f1b7c11"),
        uuid.UUID(int=(1 << 128) - 1),
    ),
    types.Inet: tuple(
        map(
            ipaddress.ip_address,
            ("0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "fe80::1"),
        )
    ),
    types.Date: (
        datetime.date(1970, 1, 1),
        datetime.date(1969, 12, 31),
        datetime.date(2024, 2, 29),
        datetime.date.min,
        datetime.date.max,
    ),
    types.Time: (0, 1, 43_200_000_000_000, 86_399_999_999_999),
    types.Timestamp: _MOMENTS,
    types.Duration: _DURATIONS,
}

_MOST_ITEMS = 3

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Few:
    """Values of one type: whole ones, and those that its parts are made of (items; keys and values; fields)."""

    whole: Texts
    parts: tuple[Few, ...] = ()


def few(
    draw: Callable[[Texts | st.SearchStrategy[Any]], Any], type: types.CqlType[Any], *, as_key: bool = False
) -> Few:
    """So few values that two draws are often equal. `as_key` leaves out what can't be a whole partition key."""
    match type:
        case types.List() | types.Vector():
            item = few(draw, type.item)
            least, most = (type.dimensions,) * 2 if isinstance(type, types.Vector) else (0, _MOST_ITEMS)
            items = st.lists(item.whole, min_size=least, max_size=most)
            return Few(items.map(tuple_text if type.is_hashable else list_text), (item,))
        case types.Set():
            item = few(draw, type.item)
            items = st.lists(item.whole, max_size=_MOST_ITEMS, unique=True)
            return Few(items.map(frozenset_text if type.is_hashable else set_text), (item,))
        case types.Map():
            key, value = few(draw, type.key), few(draw, type.value)
            entries = st.lists(
                st.tuples(key.whole, value.whole), max_size=_MOST_ITEMS, unique_by=lambda entry: entry[0]
            )
            return Few(entries.map(frozen_map_text if type.is_hashable else map_text), (key, value))
        case types.Tuple():
            items = tuple(few(draw, item) for item in type.items)
            return Few(st.tuples(*(_perhaps(item) for item in items)).map(tuple_text), items)
        case types.UserDefined():
            fields = tuple(few(draw, field) for _, field in type.fields)
            return Few(_user_values(type, fields), fields)
        case _:
            found = [value for value in _FEW[type.__class__] if type.encode(value) or not as_key]
            chosen = draw(st.lists(st.sampled_from(found), min_size=2, max_size=3, unique_by=repr))
            return Few(st.sampled_from(list(map(text_of, chosen))))


def fewest(draw: Draw, of: Few) -> Few:
    """Some of the whole values, where they are many."""
    return Few(st.sampled_from(draw(st.lists(of.whole, min_size=2, max_size=3))), of.parts)


def directions(dimensions: int) -> Few:
    """Vectors of a length above zero and below infinity, the only ones that an index takes."""
    numbers: st.SearchStrategy[str] = st.sampled_from(("1.5", "-2.25", "0.25"))
    return Few(st.lists(numbers, min_size=dimensions, max_size=dimensions).map(list_text), (Few(numbers),))


def _perhaps(of: Few) -> Texts:
    return of.whole | st.just("None")


def _user_values(type: types.UserDefined[Any], fields: tuple[Few, ...]) -> Texts:
    names = type.made.__struct_fields__
    given = st.fixed_dictionaries({}, optional={name: each.whole for name, each in zip(names, fields, strict=True)})
    return given.map(
        lambda found: f"{type.made.__name__}({', '.join(f'{name}={text}' for name, text in found.items())})"
    )


def text_of(value: Any) -> str:
    """The text of a native value."""
    return repr(value).replace("datetime.timezone.utc", "datetime.UTC")


def list_text(items: Sequence[str]) -> str:
    return f"[{', '.join(items)}]"


def tuple_text(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def set_text(items: list[str]) -> str:
    return f"{{{', '.join(items)}}}" if items else "set()"


def frozenset_text(items: list[str]) -> str:
    return f"frozenset({set_text(items) if items else ''})"


def map_text(entries: list[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in entries)}}}"


def frozen_map_text(entries: list[tuple[str, str]]) -> str:
    return f"FrozenMap({map_text(entries)})"
