"""Random tables and calls on both engines, compared call by call with a plain-Python model.

Each table goes through the whole generator. What the engines are known to do differently is left out of the values
(`column_kinds.Kind.few`) and said in docs/data-access.md.
"""

from __future__ import annotations

import asyncio
import decimal
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from runtime.sql.create import create
from runtime.sql.dao import Finder
from runtime.sql.database import Database, Transaction, connect
from runtime.sql.errors import ConstraintViolation, InvalidValue, UniqueViolation
from runtime.sql.queries import Query
from runtime.sql.sync import SyncDatabase, SyncTransaction, connect_sync
from tests.examples import drawn
from tests.sql.compiled import DATABASE, compiled
from tests.sql.drawn_tables import Call, Shape, cases
from tests.sql.model import EXACT, Model, Refused, Row, folded, sort_key


class Undo(Exception):
    """Leaves a block, which is rolled back."""


class Door(Protocol):
    """A database or a transaction, asyncio's or not."""

    def run(self, query: Query[Any]) -> Any: ...

    def block(self, work: Callable[[Door], None]) -> None:
        """Run `work` in a transaction, or in a savepoint where this is one."""
        ...

    def stream(self, query: Query[Any]) -> list[Any]: ...


class AsyncDoor:
    def __init__(self, loop: asyncio.Runner, inner: Database | Transaction) -> None:
        self._loop = loop
        self._inner = inner

    def run(self, query: Query[Any]) -> Any:
        return self._loop.run(self._inner.run(query))

    def block(self, work: Callable[[Door], None]) -> None:
        tx = self._inner.begin()
        self._loop.run(tx.__aenter__())
        try:
            work(AsyncDoor(self._loop, tx))
        except BaseException as error:
            self._loop.run(tx.__aexit__(type(error), error, None))
            raise
        self._loop.run(tx.__aexit__(None, None, None))

    def stream(self, query: Query[Any]) -> list[Any]:
        async def rows() -> list[Any]:
            assert isinstance(self._inner, Database)
            return [row async for row in self._inner.stream(query, batch=3)]

        return self._loop.run(rows()) if isinstance(self._inner, Database) else self.run(query)


class SyncDoor:
    def __init__(self, inner: SyncDatabase | SyncTransaction) -> None:
        self._inner = inner

    def run(self, query: Query[Any]) -> Any:
        return self._inner.run(query)

    def block(self, work: Callable[[Door], None]) -> None:
        with self._inner.begin() as tx:
            work(SyncDoor(tx))

    def stream(self, query: Query[Any]) -> list[Any]:
        return list(self._inner.stream(query, batch=3)) if isinstance(self._inner, SyncDatabase) else self.run(query)


class Play:
    """Plays calls on a table and on its model, and compares."""

    def __init__(self, shape: Shape, dao: Any, door: Door) -> None:
        self.shape = shape
        self.dao = dao
        self.table = dao.table
        self.door = door
        self.model = Model(shape)
        # A row class has the fields without a default first.
        self.order = [self.table.names.index(field.name) for field in shape.fields]
        self.columns = [self.table.columns[place] for place in self.order]
        self.names = [self.table.fields[place] for place in self.order]

    # rows of the table as lists in the order of the shape, and back

    def values(self, row: Any) -> Row:
        return [getattr(row, name) for name in self.names]

    def row(self, values: Row) -> Any:
        return self.table.row(**dict(zip(self.names, values, strict=True)))

    def condition(self, call: Call) -> Any:
        name, *rest = call
        if name in ("and", "or"):
            one, other = map(self.condition, rest)
            return one & other if name == "and" else one | other
        if name == "not":
            return ~self.condition(rest[0])
        if name == "columns":
            operator, (one, other) = rest
            return _compare(operator, self.columns[one], self.columns[other])
        column, given = self.columns[rest[0]], rest[1:]
        methods: dict[str, Callable[..., Any]] = {
            "null": column.is_null,
            "not null": column.is_not_null,
            "in": column.in_,
            "not in": column.not_in,
            "between": column.between,
            "like": column.like,
            "starts": column.starts_with,
        }
        return methods[name](*given) if name in methods else _compare(name, column, *given)

    def select(self, where: Call | None) -> Any:
        return self.dao.all() if where is None else self.dao.where(self.condition(where))

    def same_rows(self, found: list[Any], expected: list[Row], order: list[tuple[int, bool]] | None = None) -> None:
        rows = [self.values(row) for row in found]
        if order:
            assert [self.sort_key(row, order) for row in rows] == [self.sort_key(row, order) for row in expected]
        assert _counted(rows) == _counted(expected)

    def sort_key(self, row: Row, order: list[tuple[int, bool]]) -> list[Any]:
        return [sort_key(self.model.kinds[place], row[place]) for place, _ in order]

    def ordered(self, select: Any, order: list[tuple[int, bool]]) -> Any:
        terms = [self.columns[place].asc() if up else self.columns[place].desc() for place, up in order]
        return select.order_by(*terms) if terms else select

    # playing

    def play(self, calls: list[Call]) -> None:
        for call in calls:
            note(f"{call!r}")
            getattr(self, f"call_{call[0]}")(*call[1:])

    def finish(self) -> None:
        self.same_rows(self.door.run(self.dao.all()), self.model.rows)

    def call_block(self, committed: bool, calls: list[Call]) -> None:
        outside, before = self.door, [list(row) for row in self.model.rows]

        def work(door: Door) -> None:
            self.door = door
            self.play(calls)
            self.finish()
            if not committed:
                raise Undo

        try:
            outside.block(work)
        except Undo:
            self.model.rows = before
        finally:
            self.door = outside
        self.finish()

    def write(self, query: Query[Any], after: list[Row] | Refused) -> Any:
        """Run a write, whose rows become the model's, or which must fail as it says."""
        if isinstance(after, Refused):
            with pytest.raises(after.errors) as caught:
                self.door.run(query)
            if isinstance(caught.value, UniqueViolation) and after.keys:
                assert caught.value.table == f"{DATABASE}.{self.shape.name}"
                assert caught.value.key in after.keys
            return None
        result = self.door.run(query)
        self.model.rows = after
        self.adopt()
        return result

    def adopt(self) -> None:
        """Take over the ids that the engine gave: new ones, and nothing else of the rows is new."""
        auto = self.shape.auto
        if auto is None or all(row[auto] for row in self.model.rows):
            return
        found = [self.values(row) for row in self.door.run(self.dao.all())]
        known = [row for row in self.model.rows if row[auto]]
        ids = {row[auto] for row in known}
        new = [row for row in found if row[auto] not in ids]
        assert all(row[auto] > 0 for row in new)
        without = [[*row[:auto], 0, *row[auto + 1 :]] for row in new]
        assert _counted(without) == _counted([row for row in self.model.rows if not row[auto]])
        self.model.rows = known + new

    # writes

    def call_insert(self, row: Row) -> None:
        after = self.model.inserted([row]) if not self.asks_for_id(row) else self.without_id([row])
        before = len(self.model.rows)
        result = self.write(self.dao.insert(self.row(row)), after)
        if isinstance(after, list):
            assert len(self.model.rows) == before + 1
            auto = self.shape.auto
            assert result == (1 if auto is None else row[auto] or result)
            if auto is not None:
                assert result in [each[auto] for each in self.model.rows]

    def asks_for_id(self, row: Row) -> bool:
        return self.shape.auto is not None and not row[self.shape.auto]

    def without_id(self, rows: list[Row]) -> list[Row] | Refused:
        """The model gives rows that ask for an id one that is free, to judge their other keys by, and then takes it
        back."""
        auto = self.shape.auto
        if auto is None:
            return self.model.inserted(rows)
        numbered = [[*row[:auto], row[auto] or -1 - place, *row[auto + 1 :]] for place, row in enumerate(rows)]
        after = self.model.inserted(numbered)
        if isinstance(after, list):
            for row in after:
                row[auto] = max(row[auto], 0)
        return after

    def call_insert_if_absent(self, row: Row) -> None:
        after = self.without_id([row])
        absent = isinstance(after, list)
        result = self.write(self.dao.insert_if_absent(self.row(row)), after if absent else self.model.rows)
        assert result == int(absent)

    def call_insert_many(self, rows: list[Row]) -> None:
        # An id that is given may be one that the engine has just given to a row before it.
        auto = self.shape.auto
        rows = rows if auto is None else [row for row in rows if not row[auto]] or rows
        after = self.without_id(rows)
        result = self.write(self.dao.insert_many([self.row(row) for row in rows]), after)
        if isinstance(after, list):
            assert result == len(rows)

    def call_fill(self, rows: list[Row]) -> None:
        """A row at a time, since most lists of rows hold two of one key."""
        for row in rows:
            self.call_insert_if_absent(row)

    def call_upsert(self, row: Row) -> None:
        self.call_upsert_many([row], one=True)

    def call_upsert_many(self, rows: list[Row], *, one: bool = False) -> None:
        auto = self.shape.auto
        if auto is not None:  # as in insert_many
            rows = [row for row in rows if row[auto]] or rows
        if auto is not None and rows and not rows[0][auto]:
            after = self.without_id(rows)
            after = Refused((ConstraintViolation, InvalidValue)) if isinstance(after, Refused) else after
        else:
            after = self.model.upserted(rows)
        made = [self.row(row) for row in rows]
        result = self.write(self.dao.upsert(*made) if one else self.dao.upsert_many(made), after)
        if isinstance(after, list):
            assert result == len(rows)

    def call_update(self, where: Call | None, changes: dict[int, Any], amounts: dict[int, Any]) -> None:
        amounts = {place: amount for place, amount in amounts.items() if place not in changes}
        if not changes and not amounts:
            return
        rows = self.model.found(where)
        update = self.dao.update().everywhere() if where is None else self.dao.update(self.condition(where))
        if changes:
            update = update.set(**{self.names[place]: value for place, value in changes.items()})
        if amounts:
            update = update.increment(**{self.names[place]: amount for place, amount in amounts.items()})
        after = self.model.updated(rows, changes, amounts)
        result = self.write(update, after)
        if isinstance(after, list):
            assert result == len(rows)

    def call_update_row(self, number: int, changes: dict[int, Any]) -> None:
        if not self.model.rows:
            return
        old = self.model.rows[number % len(self.model.rows)]
        changes = {place: value for place, value in changes.items() if place not in self.shape.primary}
        new = [changes.get(place, value) for place, value in enumerate(old)]
        after = self.model.updated([old], changes, {}) if new != old else self.model.rows
        result = self.write(self.dao.update_row(self.row(old), self.row(new)), after)
        if isinstance(after, list):
            assert result == int(new != old)

    def call_delete(self, where: Call) -> None:
        gone = self.model.found(where)
        assert self.door.run(self.dao.delete(self.condition(where))) == len(gone)
        self.model.rows = [row for row in self.model.rows if not any(row is each for each in gone)]

    def call_delete_key(self, number: int) -> None:
        if not self.model.rows:
            return
        row = self.model.rows[number % len(self.model.rows)]
        key = {self.names[place]: row[place] for place in self.shape.primary}
        assert self.door.run(self.dao.delete(**key)) == 1
        self.model.rows = [each for each in self.model.rows if each is not row]

    # reads

    def total(self, order: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
        """The order with the primary key to settle ties."""
        return [*order, *((place, True) for place in self.shape.primary)]

    def call_select(self, where: Call | None, order: list[tuple[int, bool]], limit: int | None, offset: int) -> None:
        order = self.total(order)
        expected = self.model.ordered(self.model.found(where), order)
        select = self.ordered(self.select(where), order)
        if limit is not None and self.shape.primary:
            select = select.limit(limit).offset(offset)
            expected = expected[offset : offset + limit]
        self.same_rows(self.door.run(select), expected, order)

    def call_first(self, where: Call | None, order: list[tuple[int, bool]]) -> None:
        order = self.total(order)
        expected = self.model.ordered(self.model.found(where), order)[:1]
        row = self.door.run(self.ordered(self.select(where), order).first())
        assert (row is None) == (not expected)
        if row is not None:
            assert self.sort_key(self.values(row), order) == self.sort_key(expected[0], order)
            assert self.values(row) in self.model.rows

    def call_stream(self, where: Call | None, order: list[tuple[int, bool]]) -> None:
        expected = self.model.ordered(self.model.found(where), order)
        self.same_rows(self.door.stream(self.ordered(self.select(where), order)), expected, order)

    def call_columns(self, where: Call | None, places: list[int]) -> None:
        found = self.door.run(self.select(where).select(*(self.columns[place] for place in places)))
        expected = [[row[place] for place in places] for row in self.model.found(where)]
        assert _counted(map(list, found)) == _counted(expected)
        values = self.door.run(self.select(where).values(self.columns[places[0]]))
        assert _counted(values) == _counted(row[0] for row in expected)

    def call_distinct(self, where: Call | None, places: list[int]) -> None:
        found = self.door.run(self.select(where).distinct().select(*(self.columns[place] for place in places)))
        kinds = [self.model.kinds[place] for place in places]
        rows = [tuple(folded(kind, value) for kind, value in zip(kinds, row, strict=True)) for row in found]
        assert Counter(rows) == Counter(self.model.groups(where, places).keys())

    def call_count(self, where: Call | None) -> None:
        assert self.door.run(self.select(where).count()) == len(self.model.found(where))

    def call_exists(self, where: Call | None) -> None:
        assert self.door.run(self.select(where).exists()) == bool(self.model.found(where))

    def call_aggregate(self, where: Call | None, function: str, place: int) -> None:
        expected = self.model.aggregate(self.model.found(where), function, place)
        self.same_value(
            self.door.run(getattr(self.select(where), function)(self.columns[place])), expected, function, place
        )

    def same_value(self, value: Any, expected: Any, function: str, place: int) -> None:
        kind = self.model.kinds[place]
        if expected is None:
            assert value is None
        elif function == "avg" or (function == "sum" and kind.family == "float"):
            numbers = [abs(row[place]) for row in self.model.rows if row[place] is not None]
            assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=float(max(numbers)) * 1e-9)
        else:
            assert type(value) is (int if function == "sum" and kind.family == "bool" else type(expected))
            assert folded(kind, value) == folded(kind, expected)

    def call_group(self, where: Call | None, places: list[int], function: str, place: int) -> None:
        groups = self.select(where).group_by(*(self.columns[each] for each in places))
        found = self.door.run(groups.count() if function == "count" else getattr(groups, function)(self.columns[place]))
        expected = self.model.groups(where, places)
        kinds = [self.model.kinds[each] for each in places]
        keys = {
            tuple(folded(kind, part) for kind, part in zip(kinds, key if len(places) > 1 else (key,), strict=True)): key
            for key in found
        }
        assert keys.keys() == expected.keys()
        for key, rows in expected.items():
            if function == "count":
                assert found[keys[key]] == len(rows)
            else:
                self.same_value(found[keys[key]], self.model.aggregate(rows, function, place), function, place)

    def call_one(self, number: int, row: Row) -> None:
        """A row by a unique key, that of a row that is there or perhaps is not."""
        keys = [self.shape.primary] if self.shape.primary else []
        keys += self.shape.unique.values()
        places = keys[number % len(keys)]
        for wanted in (row, *self.model.rows[:2]):
            if any(wanted[place] is None for place in places):
                continue
            finder = self.finder(places)
            expected = self.model.by_key(wanted, places)
            found = self.door.run(finder.one(*(wanted[place] for place in places)))
            assert (None if found is None else self.values(found)) == expected

    def finder(self, places: tuple[int, ...]) -> Finder[Any]:
        return Finder(self.table, [self.columns[place] for place in places])

    def call_get_many(self, rows: list[Row]) -> None:
        primary = self.shape.primary
        wanted = [*rows, *self.model.rows[:3]]
        keys = [tuple(row[place] for place in primary) for row in wanted]
        found = self.door.run(self.dao.get_many(keys if len(primary) > 1 else [key[0] for key in keys]))
        expected = [row for row in (self.model.by_key(row, primary) for row in wanted) if row is not None]
        distinct = list({id(row): row for row in expected}.values())
        self.same_rows(list(found.values()), distinct)
        for key, row in found.items():
            values = self.values(row)
            assert ([*key] if len(primary) > 1 else [key]) == [values[place] for place in primary]

    def call_page(self, number: int, row: int, before: int, after: int) -> None:
        """A page of a finder, between the places of two rows or of one, or from the end."""
        pages = {name: each for name, each in vars(self.dao).items() if isinstance(each, Finder) and each._order}
        if not pages or not self.model.rows:
            return
        name = sorted(pages)[number % len(pages)]
        equal, order = (
            [[each.name for each in self.columns].index(column.name) for column in columns]
            for columns in (pages[name]._columns, pages[name]._order)
        )
        given = self.model.rows[row % len(self.model.rows)]
        if any(given[place] is None for place in equal):
            return
        cursors: dict[str, Any] = {}
        bounds: dict[str, Any] = {}
        for word, place in (("before", before), ("after", after)):
            if place >= 0:
                edge = self.model.rows[place % len(self.model.rows)]
                bounds[word] = self.sort_key(edge, [(each, True) for each in order])
                cursor = tuple(edge[each] for each in order)
                cursors[word] = cursor if len(order) > 1 else cursor[0]
        wanted = self.model.key(given, tuple(equal))
        rows = [each for each in self.model.rows if self.model.key(each, tuple(equal)) == wanted]
        key = [(each, True) for each in order]
        if "before" in bounds:
            rows = [each for each in rows if self.sort_key(each, key) < bounds["before"]]
        if "after" in bounds:
            rows = [each for each in rows if self.sort_key(each, key) > bounds["after"]]
        upwards = "after" in bounds and "before" not in bounds
        rows = self.model.ordered(rows, [(each, upwards) for each in order])
        limit = 3 if self.shape.primary else 100
        method = getattr(self.dao, name.removeprefix("_"))
        found = self.door.run(method(*(given[place] for place in equal), **cursors, limit=limit))
        self.same_rows(found, rows[:limit], key)


def _compare(operator: str, column: Any, other: Any) -> Any:
    names = {"=": "__eq__", "<>": "__ne__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
    return getattr(column, names[operator])(other)


def _counted(values: Any) -> Counter[str]:
    """What is there how often, of values that may have no hash."""
    return Counter(_text(value) for value in values)


def _text(value: Any) -> str:
    """The same for equal values of one type."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict | frozenset):
        return f"{{{', '.join(sorted(map(_text, value.items() if isinstance(value, dict) else value)))}}}"
    return repr(value.normalize(EXACT) if isinstance(value, decimal.Decimal) else value)


class Stage:
    """A store on which tables come and go."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.Runner()
        self._db = self._loop.run(connect(url))
        self._sync = connect_sync(url)

    def play(self, shape: Shape, calls: list[Call], folder: Any, *, synchronous: bool) -> None:
        schema = compiled(shape.text, folder)
        (dao,) = schema.daos.values()
        dialect = self._db.dialect
        self._loop.run(create(self._db, schema.ddl[dialect.name]))
        try:
            play = Play(shape, dao, SyncDoor(self._sync) if synchronous else AsyncDoor(self._loop, self._db))
            play.play(calls)
            play.finish()
            play.door = AsyncDoor(self._loop, self._db) if synchronous else SyncDoor(self._sync)
            play.finish()
        finally:
            drop = f"DROP TABLE {dialect.table(DATABASE, shape.name)}".replace("%%", "%")
            self._loop.run(self._db.create({DATABASE: [drop]}))

    def close(self) -> None:
        self._sync.close()
        self._loop.run(self._db.close())
        self._loop.close()


@pytest.fixture
def stage(sql_url: str) -> Iterator[Stage]:
    made = Stage(sql_url)
    yield made
    made.close()


def test_calls_do_what_a_plain_list_of_rows_does(stage: Stage, tmp_path: Any) -> None:
    @drawn(90)
    @given(cases, st.booleans())
    def check(case: tuple[Shape, list[Call]], synchronous: bool) -> None:
        shape, calls = case
        note(shape.text)
        stage.play(shape, calls, tmp_path, synchronous=synchronous)

    check()
