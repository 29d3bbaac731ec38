"""Random calls of a generated DAO, as the Python text that a user would write.

Left out is what Cassandra itself does not say what becomes of it: counters that are counted again after they were
deleted, and what depends on the moment of the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from runtime.cql import types
from runtime.cql.columns import AnyColumn
from runtime.cql.tables import Index
from tests.cql.called_keyspaces import Accessed
from tests.cql.few_values import Draw, Few, Texts, few, fewest, list_text, map_text, set_text, tuple_text

TTLS = (20_000, 3_000_000)
"""Seconds: long beside what a test takes."""
TIMESTAMPS = (1, 2, 3, 1_000_000, 4_102_444_800_000_000)
"""µs: long ago, with many ties, and in the year 2100, which shadows everything that follows."""

_BOUNDS = (("after", "at_least"), ("before", "at_most"))
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Call:
    """A query as text. `page_size` is that of its pages where it is read in pages."""

    text: str
    page_size: int | None = None

    def __repr__(self) -> str:
        return self.text if self.page_size is None else f"{self.text}  # in pages of {self.page_size}"


def _optional(name: str, values: st.SearchStrategy[Any]) -> Texts:
    """An argument behind others, perhaps."""
    return st.just("") | values.map(lambda value: f", {name}={value}")


def _chained(name: str, values: st.SearchStrategy[Any]) -> Texts:
    """A call of a method on what there is, perhaps."""
    return st.just("") | values.map(lambda value: f".{name}({value})")


def _arguments(given: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in given)


class Calls:
    """The calls of one DAO, with few values for each column; those of a view are the `base`'s."""

    def __init__(self, draw: Draw, accessed: Accessed, base: Calls | None = None) -> None:
        self.draw = draw
        self.accessed = accessed
        self.dao, self.row = accessed.dao_name, accessed.row_name
        table = accessed.dao.table
        self.table = table
        self.names: dict[AnyColumn[Any, Any], str] = dict(zip(table.columns, table.fields, strict=True))
        alone = len(table.partition_key) == 1
        known = {} if base is None else {column.name: values for column, values in base.few.items()}
        self.few = {
            each: known.get(each.name) or few(draw, each.type, as_key=alone and each.kind == "partition")
            for each in table.columns
        }
        for column in table.columns:
            if not column.type.is_multi_cell:
                self.few[column] = fewest(draw, self.few[column])
        # Few partitions and few rows in each, so that most calls meet rows that are there.
        keys = st.tuples(*(self.few[column].whole for column in table.partition_key))
        self.partition_keys = draw(st.lists(keys, min_size=1, max_size=2, unique=True))
        rows = st.tuples(*(self.few[column].whole for column in table.clustering))
        self.clustering_keys = draw(st.lists(rows, min_size=2, max_size=4))
        self.others = [column for column in table.columns if not column.is_key]
        self.regular = [column for column in self.others if column.kind == "regular"]

    # keys

    @property
    def partition(self) -> st.SearchStrategy[tuple[str, ...]]:
        return st.sampled_from(self.partition_keys)

    def named_partition(self) -> Texts:
        names = [self.names[column] for column in self.table.partition_key]
        return self.partition.map(lambda values: _arguments(zip(names, values, strict=True)))

    @property
    def clustering(self) -> st.SearchStrategy[tuple[str, ...]]:
        return st.sampled_from(self.clustering_keys)

    @property
    def key(self) -> st.SearchStrategy[tuple[str, ...]]:
        return st.tuples(self.partition, self.clustering).map(lambda parts: (*parts[0], *parts[1]))

    def named_key(self) -> Texts:
        names = [self.names[column] for column in self.table.primary_key]
        return self.key.map(lambda values: _arguments(zip(names, values, strict=True)))

    # writes

    def values(self, columns: Sequence[AnyColumn[Any, Any]], *, null: bool = True) -> st.SearchStrategy[dict[str, str]]:
        """Some columns by their Python names, with values or, more seldom, NULL."""
        return st.fixed_dictionaries(
            {}, optional={self.names[column]: self._value(column, null=null) for column in columns}
        )

    def _value(self, column: AnyColumn[Any, Any], *, null: bool = True) -> Texts:
        whole = self.few[column].whole
        return st.one_of(whole, whole, whole, st.just("NULL")) if null else whole

    @property
    def row_text(self) -> Texts:
        return st.tuples(self.named_key(), self.values(self.others)).map(
            lambda parts: f"{self.row}({parts[0]}{''.join(f', {name}={value}' for name, value in parts[1].items())})"
        )

    @property
    def times(self) -> Texts:
        """`, ttl=…, timestamp=…` of an insert."""
        ttl = _optional("ttl", st.sampled_from((0, *TTLS)))
        return st.tuples(ttl | st.just(""), _optional("timestamp", st.sampled_from(TIMESTAMPS))).map("".join)

    @property
    def insert(self) -> Texts:
        return st.tuples(self.row_text, self.times).map(lambda parts: f"{self.dao}.insert({''.join(parts)})")

    @property
    def insert_if_not_exists(self) -> Texts:
        ttl = _optional("ttl", st.sampled_from(TTLS))
        return st.tuples(self.row_text, ttl).map(
            lambda parts: f"{self.dao}.insert({''.join(parts)}, if_not_exists=True)"
        )

    @property
    def row_begun(self) -> Texts:
        """An update of some columns, with neither times nor conditions."""
        return st.tuples(self.named_key(), self.changes(self.regular)).map(
            lambda parts: f"{self.dao}.update({parts[0]}){parts[1]}"
        )

    @property
    def static_begun(self) -> Texts:
        return st.tuples(self.named_partition(), self.changes(list(self.table.statics))).map(
            lambda parts: f"{self.dao}.update_static({parts[0]}){parts[1]}"
        )

    @property
    def updates_begun(self) -> Texts:
        begun = [self.row_begun] * bool(self.regular)
        return st.one_of(begun + [self.static_begun] * bool(self.table.statics))

    def changes(self, columns: Sequence[AnyColumn[Any, Any]]) -> Texts:
        one = st.sampled_from(list(columns))
        some = st.lists(one, min_size=1, max_size=3, unique_by=id)
        return some.flatmap(lambda found: st.tuples(*map(self._change, found)).map("".join))

    def _change(self, column: AnyColumn[Any, Any]) -> Texts:
        name, found, kind = self.names[column], self.few[column], column.type
        set_ = self._value(column).map(lambda value: f".set({name}={value})")
        if not kind.is_multi_cell:
            return set_
        return set_ | st.one_of(self._part_changes(name, found, kind))

    def _part_changes(self, name: str, found: Few, kind: types.CqlType[Any]) -> list[Texts]:
        def called(method: str, values: Texts) -> Texts:
            return values.map(lambda value: f".{method}({name}={value})")

        if isinstance(kind, types.UserDefined):
            names = kind.made.__struct_fields__
            fields = {field: each.whole | st.just("NULL") for field, each in zip(names, found.parts, strict=True)}
            given = st.fixed_dictionaries({}, optional=fields).filter(bool)
            return [given.map(lambda each: f".set_{name}({_arguments(each.items())})")]
        items = found.parts[0].whole
        some = st.lists(items, min_size=1, max_size=2)
        elements = st.lists(items, min_size=1, max_size=2, unique=True).map(set_text)
        match kind:
            case types.List():
                places = st.dictionaries(st.integers(0, 3).map(str), items | st.just("NULL"), min_size=1, max_size=2)
                put = called("put_at", places.map(lambda each: map_text(list(each.items()))))
                lists = some.map(list_text)
                return [called("append", lists), called("prepend", lists), called("discard", lists), put]
            case types.Set():
                return [called("add", elements), called("discard", elements)]
            case _:
                values = found.parts[1].whole | st.just("NULL")
                entries = st.dictionaries(items, values, min_size=1, max_size=2).map(lambda each: list(each.items()))
                return [called("put", entries.map(map_text)), called("discard", elements)]

    @property
    def update_times(self) -> Texts:
        return st.tuples(
            _chained("ttl", st.sampled_from((0, *TTLS))), _chained("timestamp", st.sampled_from(TIMESTAMPS))
        ).map("".join)

    @property
    def update(self) -> Texts:
        return st.tuples(self.updates_begun, self.update_times).map("".join)

    @property
    def delete(self) -> Texts:
        timestamp = _chained("timestamp", st.sampled_from(TIMESTAMPS))
        rows = self.named_key().map(lambda key: f"{self.dao}.delete({key})")
        found = [rows, rows]
        if self.table.clustering:
            found.append(self.named_partition().map(lambda key: f"{self.dao}.delete_partition({key})"))
            found.append(self.ranged("delete_slice", bounded=True))
        return st.tuples(st.one_of(found), timestamp).map("".join)

    @property
    def conditional(self) -> Texts:
        """A write with a condition on a row or a partition."""
        ttl = _chained("ttl", st.sampled_from(TTLS))
        deletes = self.named_key().map(lambda key: f"{self.dao}.delete({key})")
        rows = [st.tuples(self.row_begun, ttl).map("".join)] * 2 if self.regular else []
        found = [
            st.tuples(st.one_of([*rows, deletes]), self._guard(self.others)).map("".join),
            self.insert_if_not_exists,
        ]
        if self.table.statics:
            statics = st.tuples(self.static_begun, ttl, self._guard(list(self.table.statics))).map("".join)
            found.append(statics)
        return st.one_of(found)

    def _guard(self, columns: Sequence[AnyColumn[Any, Any]]) -> Texts:
        exists = st.just(".if_exists()")
        if not columns:
            return exists
        condition = st.sampled_from(list(columns)).flatmap(lambda column: self.condition(column, none=True))
        met = st.lists(condition, min_size=1, max_size=2).map(lambda found: f".if_({', '.join(found)})")
        return exists | met

    def condition(self, column: AnyColumn[Any, Any], *, none: bool, unequal: bool = True) -> Texts:
        """A condition on one column; `none` says that it may be None that it is compared with."""
        name, found = f"{self.dao}.{self.names[column]}", self.few[column]
        operators = _COMPARED if unequal else [each for each in _COMPARED if each != "!="]
        compared = st.tuples(st.sampled_from(operators), found.whole).map(lambda parts: f"{name} {' '.join(parts)}")
        one_of = st.lists(found.whole, max_size=3).map(lambda values: f"{name}.in_({list_text(values)})")
        conditions = [compared, compared, one_of]
        if none:
            conditions.append(st.sampled_from(("==", "!=")).map(lambda operator: f"{name} {operator} None"))
        return st.one_of([*conditions, *self._contained(column)])

    def _contained(self, column: AnyColumn[Any, Any]) -> list[Texts]:
        name, found = f"{self.dao}.{self.names[column]}", self.few[column]
        match column.type:
            case types.List() | types.Set():
                return [found.parts[0].whole.map(lambda item: f"{name}.contains({item})")] * 2
            case types.Map():
                keys, values = found.parts[0].whole, found.parts[1].whole
                return [
                    values.map(lambda value: f"{name}.contains({value})"),
                    keys.map(lambda key: f"{name}.contains_key({key})"),
                    st.tuples(keys, values).map(lambda entry: f"{name}.entry({entry[0]}) == {entry[1]}"),
                ]
            case _:
                return []

    @property
    def increment(self) -> Texts:
        static = [column for column in self.others if column.kind == "static"]
        rows = st.tuples(self.named_key(), self._amounts(self.regular)).map(
            lambda parts: f"{self.dao}.increment({parts[0]}, {parts[1]})"
        )
        if not static:
            return rows
        return rows | st.tuples(self.named_partition(), self._amounts(static)).map(
            lambda parts: f"{self.dao}.increment_static({parts[0]}, {parts[1]})"
        )

    def _amounts(self, columns: Sequence[AnyColumn[Any, Any]]) -> Texts:
        amounts = st.sampled_from(("-1", "0", "1", "5", str((1 << 63) - 1)))
        given = st.fixed_dictionaries({}, optional={self.names[column]: amounts for column in columns})
        return given.filter(bool).map(lambda found: _arguments(found.items()))

    @property
    def plain_write(self) -> Texts:
        """One without a condition, which any batch can hold."""
        if self.table.is_counter:
            return self.increment
        return st.one_of([self.insert] * 3 + [self.update] * 4 * bool(self.others) + [self.delete])

    @property
    def write(self) -> Texts:
        if self.table.is_counter:
            return self.increment
        rows = st.lists(self.row_text, max_size=3).map(list_text)
        many = st.tuples(rows, st.sampled_from(TIMESTAMPS)).map(
            lambda parts: f"{self.dao}.insert_many({parts[0]}, timestamp={parts[1]})"
        )
        return st.one_of([self.plain_write] * 6 + [self.conditional] * 3 + [many, self.guarded_batch])

    @property
    def guarded_batch(self) -> Texts:
        """Writes of one partition, some of them with conditions."""
        held = self.partition_keys
        kept = self.draw(st.sampled_from(held))
        self.partition_keys = [kept]
        try:
            plain = st.one_of(
                [self.row_text.map(lambda row: f"{self.dao}.insert({row})")] + [self.updates_begun] * bool(self.others)
            )
            parts = st.tuples(self.conditional, st.lists(self.conditional | plain, max_size=2))
        finally:
            self.partition_keys = held
        kind = st.sampled_from(("batch", "unlogged_batch"))
        return st.tuples(kind, parts).map(lambda found: f"{found[0]}({list_text([found[1][0], *found[1][1]])})")

    # reads

    def ranged(self, method: str, *, bounded: bool = False) -> Texts:
        """`slice` or `delete_slice` by a prefix of the clustering key and bounds; `bounded` wants one of either."""
        clustering = self.table.clustering

        def of(prefix: int) -> Texts:
            given = [self.few[column].whole for column in clustering[:prefix]]
            names = [self.names[column] for column in clustering[:prefix]]
            start = st.tuples(self.named_partition(), *given).map(
                lambda parts: "".join(
                    [parts[0], *(f", {name}={text}" for name, text in zip(names, parts[1:], strict=True))]
                )
            )
            bounds = st.tuples(*(self._bound(clustering[prefix:], words) for words in _BOUNDS)).map("".join)
            if bounded and not prefix:
                bounds = bounds.filter(bool)
            return st.tuples(start, bounds).map(lambda parts: f"{self.dao}.{method}({''.join(parts)})")

        return st.integers(0, len(clustering) - 1).flatmap(of)

    def _bound(self, columns: Sequence[AnyColumn[Any, Any]], words: tuple[str, str]) -> Texts:
        """`, after=…` or nothing."""

        def of(length: int) -> Texts:
            values = st.tuples(*(self.few[column].whole for column in columns[:length]))
            tuples = isinstance(columns[0].type, (types.Tuple, types.List, types.Vector))
            bare = length == 1 and not (len(columns) > 1 and tuples)
            return values.map(lambda parts: parts[0] if bare else tuple_text(parts))

        bound = st.integers(1, len(columns)).flatmap(of)
        return (
            st.just("")
            | st.just("")
            | st.tuples(st.sampled_from(words), bound).map(lambda parts: f", {parts[0]}={parts[1]}")
        )

    @property
    def slice(self) -> Texts:
        reads = st.tuples(self.ranged("slice"), st.sampled_from(("", "", ".reversed()"))).map("".join)
        return reads | self.get_in

    @property
    def get_in(self) -> Texts:
        last = self.table.clustering[-1]
        given = [self.few[column].whole for column in self.table.clustering[:-1]]
        names = [self.names[column] for column in self.table.clustering[:-1]]
        values = st.lists(self.few[last].whole, max_size=3).map(list_text)
        return st.tuples(self.named_partition(), values, *given).map(
            lambda parts: "".join(
                [f"{self.dao}.get_in({parts[0]}"]
                + [f", {name}={text}" for name, text in zip(names, parts[2:], strict=True)]
                + [f", {self.names[last]}={parts[1]})"]
            )
        )

    @property
    def slice_in(self) -> Texts:
        names = [self.names[column] for column in self.table.partition_key]

        def text(parts: tuple[tuple[str, ...], list[tuple[str, ...]]]) -> str:
            key, others = parts
            last = list_text([other[-1] for other in others])
            return f"{self.dao}.slice_in({_arguments(zip(names, (*key[:-1], last), strict=True))})"

        return st.tuples(self.partition, st.lists(self.partition, max_size=3)).map(text)

    @property
    def scan(self) -> Texts:
        return self._tokens.map(lambda tokens: f"{self.dao}.scan({tokens})")

    @property
    def _tokens(self) -> Texts:
        return st.just("") | st.integers(0, 2).map(lambda place: f"token_ranges(3)[{place}]")

    @property
    def found(self) -> Texts:
        """What the indexes find."""
        table = self.table
        calls: list[Texts] = []
        for index, method in zip(table.indexes, self.accessed.finders, strict=True):
            calls += self._finders(index, method)
        return st.one_of(calls)

    def _finders(self, index: Index, method: str) -> list[Texts]:
        few = self.few[index.column]
        start = f"{self.dao}.{method}("
        match index.target:
            case "values":
                return [few.parts[-1].whole.map(lambda value: f"{start}{value})")]
            case "keys":
                return [few.parts[0].whole.map(lambda key: f"{start}{key})")]
            case "entries":
                whole = st.tuples(few.parts[0].whole, few.parts[1].whole)
                return [whole.map(lambda entry: f"{start}{', '.join(entry)})")]
            case _:
                found = [few.whole.map(lambda value: f"{start}{value})")]
                if "at_least" in inspect.signature(getattr(self.accessed.dao, method)).parameters:
                    bounds = st.tuples(*(self._bound([index.column], words) for words in _BOUNDS)).map("".join)
                    found.append(bounds.filter(bool).map(lambda each: f"{start}{each.removeprefix(', ')})"))
                return found

    @property
    def rows(self) -> Texts:
        """Queries that give rows, and can be filtered, limited, counted, chosen from and paged."""
        found = [self.scan, self.slice_in]
        if self.table.clustering:
            found += [self.slice] * 5
        if self.table.indexes:
            found += [self.found] * 3
        return st.tuples(st.one_of(found), self._filter, self._limits).map("".join)

    @property
    def _filter(self) -> Texts:
        filtered = st.sampled_from(list(self.table.columns)).flatmap(
            lambda column: self.condition(column, none=False, unequal=False)
        )
        some = st.lists(filtered, min_size=1, max_size=2).map(lambda found: f".allow_filtering({', '.join(found)})")
        return st.one_of(st.just(""), st.just(""), some)

    @property
    def _limits(self) -> Texts:
        limits = st.tuples(_chained("per_partition", st.integers(1, 2)), _chained("limit", st.integers(1, 4)))
        return st.just("") | limits.map("".join)

    @property
    def selectables(self) -> Texts:
        columns = st.sampled_from(list(self.table.columns)).map(lambda column: f"{self.dao}.{self.names[column]}")
        told = [column for column in self.others if not column.type.is_multi_cell and not self.table.is_counter]
        if not told:
            return columns
        times = st.tuples(st.sampled_from(told), st.sampled_from(("writetime", "ttl"))).map(
            lambda parts: f"{self.dao}.{self.names[parts[0]]}.{parts[1]}()"
        )
        return columns | times

    @property
    def _chosen(self) -> Texts:
        """What is made of rows: whole ones, or some of their columns."""
        chosen = st.lists(self.selectables, min_size=1, max_size=3).map(lambda found: f".select({', '.join(found)})")
        return st.one_of(st.just(""), st.just(""), chosen, self.selectables.map(lambda one: f".values({one})"))

    @property
    def get(self) -> Texts:
        chosen = st.lists(self.selectables, min_size=1, max_size=3).map(lambda found: f".select({', '.join(found)})")
        value = self.selectables.map(lambda one: f".value({one})")
        end = st.one_of(st.just(""), st.just(""), chosen, value)
        return st.tuples(self.named_key(), end).map(lambda parts: f"{self.dao}.get({parts[0]}){parts[1]}")

    @property
    def get_many(self) -> Texts:
        several = len(self.table.primary_key) > 1
        key = self.key.map(lambda parts: tuple_text(parts) if several else parts[0])
        return st.lists(key, max_size=4).map(lambda keys: f"{self.dao}.get_many({list_text(keys)})")

    @property
    def read(self) -> st.SearchStrategy[Call]:
        chosen = st.tuples(self.rows, self._chosen).map("".join)
        paged = st.builds(Call, chosen, st.integers(1, 4))
        whole = [self.get] * 3 + [self.get_many, self._partitions] + [chosen] * 4
        whole += [st.tuples(self.rows, st.sampled_from((".first()", ".count()"))).map("".join)]
        return st.one_of([*(each.map(Call) for each in whole), paged, paged])

    @property
    def _partitions(self) -> Texts:
        return self._tokens.map(lambda tokens: f"{self.dao}.partitions({tokens})")


def batches(tables: Sequence[Calls]) -> st.SearchStrategy[Call]:
    """Batches over tables that all count or all don't."""
    writes = st.lists(st.one_of([each.plain_write for each in tables]), min_size=1, max_size=4)
    if tables[0].table.is_counter:
        return writes.map(lambda found: Call(f"counter_batch({list_text(found)})"))
    kind = st.sampled_from(("batch", "unlogged_batch"))
    plain = st.tuples(kind, writes).map(lambda parts: Call(f"{parts[0]}({list_text(parts[1])})"))
    untimed = writes.filter(lambda found: not any("timestamp" in each for each in found))
    stamped = st.tuples(kind, untimed, st.sampled_from(TIMESTAMPS)).map(
        lambda parts: Call(f"{parts[0]}({list_text(parts[1])}, timestamp={parts[2]})")
    )
    return plain | stamped


@st.composite
def sequences(
    draw: st.DrawFn, tables: Sequence[Accessed], views: Sequence[Accessed]
) -> tuple[list[Accessed], list[Call]]:
    """One table, or two for batches, with their views, and calls on them."""
    first = draw(st.sampled_from(list(tables)))
    alike = [each for each in tables if each.dao.table.is_counter == first.dao.table.is_counter]
    second = draw(st.sampled_from(alike)) if draw(st.integers(0, 3)) == 3 else first
    chosen = [first] if second is first else [first, second]
    calls = [Calls(draw, each) for each in chosen]
    writes = st.one_of([each.write for each in calls]).map(Call)
    seen = [Calls(draw, view, base) for view in views for base in calls if view.dao.table.view.base is base.table]
    reads = st.one_of([each.read for each in (*calls, *seen)])
    one = st.one_of(st.none(), writes, writes, writes, writes, reads, reads, reads, batches(calls))
    drawn = draw(st.lists(one, min_size=12, max_size=24))
    chosen += [each.accessed for each in seen]
    return chosen, [call for call in drawn if call is not None]  # so that shrinking can take out each
