"""The row cache of one Database: what its finders found, until it is too old or a write may have changed it.

Holds results by finder and key, with one load at a time for each. It runs no query itself, and knows nothing of
transactions: whoever commits tells it what was written.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from runtime.sql.changes import Change, Key, found_exactly, stored_exactly

if TYPE_CHECKING:
    from runtime.sql.expressions import AnyColumn
    from runtime.sql.queries import Query
    from runtime.sql.tables import Table

MAX_ROWS = 10_000
"""Rows of a table that are kept where the schema names no `max`."""

DOUBT_S = 60.0
"""Seconds for which a table is not cached after a write of which nobody knows whether, or when, it will happen.

InnoDB waits 50 s for a lock before it gives up a statement whose client is gone.
"""


class CacheRule(NamedTuple):
    """What the schema says of a table: `-- sun: cache ttl=… max=…`."""

    ttl_ms: int
    max_rows: int = MAX_ROWS


class Place:
    """A finder as the cache sees it: the columns it compares, and those that order its pages.

    `name` is the same in every process. `primary` finds by the primary key. Without `paged` a result is one row.
    """

    __slots__ = ("absent", "columns", "found_exactly", "name", "paged", "primary", "stored_exactly", "table", "watched")

    def __init__(
        self, table: Table[Any], columns: Sequence[AnyColumn[Any, Any]], order: Sequence[AnyColumn[Any, Any]] | None
    ) -> None:
        self.table = table
        self.columns = tuple(column.name for column in columns)
        self.paged = order is not None
        self.primary = not self.paged and self.columns == table.primary_key
        ordering = tuple(column.name for column in order or ())
        self.name = ", ".join(self.columns) + (f" by {', '.join(ordering)}" if self.paged else "")
        self.watched = frozenset((*self.columns, *ordering))
        self.found_exactly = all(found_exactly(column.type) for column in columns)
        self.stored_exactly = all(
            stored_exactly(column.type) and column.writable and not column.auto for column in columns
        )
        self.absent = (self, None)  # the tag of keys without a row

    def plain_key(self, row: Any) -> Any:
        """The key of a row as `get_many` gives it: a value, or a tuple of several."""
        key = self.table.values_of(row, self.columns)
        return key[0] if len(key) == 1 else key

    def changed_by(self, names: Iterable[str]) -> bool:
        """Whether a write to these columns may move rows into or out of results."""
        return not self.watched.isdisjoint(names) or not self.watched.isdisjoint(self.table.moved_by_engine)


class Entry:
    """A result. `expires` is in seconds of the cache's clock; `hits` counts since it was last passed over."""

    __slots__ = ("expires", "hits", "share", "tags", "value", "weight")

    def __init__(self, value: Any, share: Callable[[Any], Any] | None, tags: tuple[Any, ...], weight: int) -> None:
        self.value = value
        self.share = share  # makes of the value what a caller may have; None where it is immutable
        self.tags = tags
        self.weight = weight
        self.expires = 0.0
        self.hits = 0

    def give(self) -> Any:
        return self.value if self.share is None else self.share(self.value)


class Load:
    """A query under way on behalf of all who ask for its result. Ends with an entry, an error, or neither."""

    __slots__ = ("entry", "error", "key", "place", "stale", "waiting")

    def __init__(self, place: Place, key: Key) -> None:
        self.place = place
        self.key = key
        self.stale = False  # a write was committed since it began: its result is for those who wait, not for keeping
        self.entry: Entry | None = None
        self.error: Exception | None = None
        self.waiting: list[Callable[[], object]] = []


class Invalidation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What results of a table a committed write may have changed. A plain value, which can be told to other processes.

    `rows` are primary keys: of the rows, and of all results that hold them. `keys` are results by a finder's name and
    the values it compares; `absent` the finders of which all keys without a row are meant; `places` those of which all
    results are.
    """

    table: str
    everything: bool = False
    rows: tuple[Key, ...] = ()
    keys: tuple[tuple[str, Key], ...] = ()
    absent: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


class CacheStats(NamedTuple):
    """Of one table: rows kept now, and results given from the cache and loaded since the start."""

    rows: int
    hits: int
    misses: int


class _Table:
    """The results of one table."""

    def __init__(self, rule: CacheRule, ttl_s: float) -> None:
        self.rule = rule
        self.ttl_s = ttl_s
        self.places: dict[Place, OrderedDict[Key, Entry]] = {}
        self.tags: dict[Any, set[tuple[Place, Key]]] = {}
        self.loads: dict[tuple[Place, Key], Load] = {}
        self.weight = 0
        self.hits = 0
        self.misses = 0
        self.doubt_until = float("-inf")

    def keep(self, place: Place, key: Key, entry: Entry) -> None:
        entries = self.places[place]
        if key in entries:
            self.drop(place, key)
        entries[key] = entry
        self.weight += entry.weight
        for tag in entry.tags:
            self.tags.setdefault(tag, set()).add((place, key))
        while self.weight > self.rule.max_rows:
            self._evict()

    def _evict(self) -> None:
        """First in, first out, but one that was used since it was last looked at goes to the end of the line.

        As good as least-recently-used for such loads, and a hit moves nothing ("second chance"; Yang et al., "FIFO
        queues are all you need for cache eviction", SOSP 2023, section 2).
        """
        place = max(self.places, key=lambda place: len(self.places[place]))
        entries = self.places[place]
        key, entry = next(iter(entries.items()))
        if entry.hits:
            self.hits += entry.hits
            entry.hits = 0
            entries.move_to_end(key)
        else:
            self.drop(place, key)

    def drop(self, place: Place, key: Key) -> None:
        entry = self.places[place].pop(key, None)
        if entry is None:
            return
        self.weight -= entry.weight
        self.hits += entry.hits
        for tag in entry.tags:
            holders = self.tags[tag]
            holders.discard((place, key))
            if not holders:
                del self.tags[tag]

    def drop_tagged(self, tag: Any) -> None:
        for place, key in tuple(self.tags.get(tag, ())):
            self.drop(place, key)

    def drop_place(self, place: Place) -> None:
        for key in tuple(self.places[place]):
            self.drop(place, key)

    def apply(self, told: Invalidation) -> None:
        if told.everything:
            for place in self.places:
                self.drop_place(place)
        primary = next((place for place in self.places if place.primary), None)
        for key in told.rows:
            if primary is not None:
                self.drop(primary, key)
            self.drop_tagged(key)
        for name, key in told.keys:
            for place in self._named(name):
                self.drop(place, key)
                self.drop_tagged((place, key))
        for name in told.absent:
            for place in self._named(name):
                self.drop_tagged(place.absent)
        for name in told.places:
            for place in self._named(name):
                self.drop_place(place)
        self._spoil(told)

    def _named(self, name: str) -> list[Place]:
        """Two keys on the same columns make two places of one name."""
        return [place for place in self.places if place.name == name]

    def _spoil(self, told: Invalidation) -> None:
        """Loads that began before the write must not be kept, and whoever asks from now on must not wait for them."""
        keys = set(told.keys)
        for at, load in list(self.loads.items()):
            place, key = at
            safe = place.primary and not told.everything and key not in told.rows and (place.name, key) not in keys
            if not safe or place.name in told.absent:
                load.stale = True
                del self.loads[at]


class RowCache:
    """Results of the finders of tables that the schema caches. Threads may share it.

    `most_ms` bounds how long a result is kept, whatever the schema says; 0 keeps none. `publish` is called with what
    each commit of this process invalidates, after it was applied here; `apply` does the same for what another says.
    """

    def __init__(
        self,
        most_ms: int | None = None,
        *,
        publish: Callable[[Sequence[Invalidation]], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.places: dict[Place, OrderedDict[Key, Entry]] = {}  # read without the lock: every change is one step
        self.publish = publish
        self.clock = clock
        self._most_ms = most_ms
        self._tables: dict[str, _Table] = {}
        self._lock = threading.Lock()

    @property
    def off(self) -> bool:
        return self._most_ms == 0

    def find(self, place: Place, key: Key) -> Entry | None:
        """The result that is kept. Raises TypeError for a key that can't be one."""
        entries = self.places.get(place)
        if entries is None:
            return None
        entry = entries.get(key)
        if entry is None or entry.expires <= self.clock():
            return None
        entry.hits += 1
        return entry

    def enter(self, place: Place, key: Key, wake: Callable[[], object]) -> tuple[Load, bool]:
        """The load of this result, and whether the caller is to do it; if not, `wake` is called when it has ended."""
        with self._lock:
            table = self._table(place)
            load = table.loads.get((place, key))
            if load is not None:
                load.waiting.append(wake)
                return load, False
            table.misses += 1
            load = table.loads[place, key] = Load(place, key)
            return load, True

    def enter_many(self, place: Place, keys: Iterable[Key]) -> tuple[dict[Any, Any], list[Load], list[Key]]:
        """Of these keys: the rows that are kept, the loads that the caller is to do, and what others are loading."""
        found: dict[Any, Any] = {}
        loads: list[Load] = []
        others: list[Key] = []
        for key in keys:
            entry = self.find(place, key)
            if entry is None:
                load, leads = self.enter(place, key, _nothing)
                if leads:
                    loads.append(load)
                else:
                    others.append(key)
            elif entry.value is not None:
                found[place.plain_key(entry.value)] = entry.give()
        return found, loads, others

    def finish_many(self, loads: Iterable[Load], rows: dict[Any, Any]) -> dict[Any, Any]:
        """One query for all of these gave these rows."""
        for load in loads:
            key = load.key[0] if len(load.key) == 1 else load.key
            if key in rows:
                rows[key] = self.finish(load, rows[key]).give()
            elif load.place.found_exactly:
                self.finish(load, None)
            else:  # a text may have found a row that spells it otherwise
                self.abandon(load)
        return rows

    def peek(self, query: Query[Any], default: Any) -> Any:
        """What is kept of a query; see `Database.cached`."""
        if query.place is not None:
            entry = self.find(query.place, query.key)
            return default if entry is None else entry.give()
        within: Place | None = getattr(query, "within", None)
        if within is None:
            raise TypeError(
                f"{query!r}: the row cache keeps results of unique keys, and of pages where the schema says"
            )
        entries = [entry for key in getattr(query, "keys", ()) if (entry := self.find(within, key)) is not None]
        return {within.plain_key(entry.value): entry.give() for entry in entries if entry.value is not None}

    def finish(self, load: Load, value: Any) -> Entry:
        """The query gave this: keep it, unless something was written meanwhile, and wake those who wait."""
        entry = load.entry = _entry(load.place, load.key, value)
        with self._lock:
            table = self._leave(load)
            now = self.clock()
            if not load.stale and table.doubt_until <= now and entry.weight <= table.rule.max_rows:
                entry.expires = now + table.ttl_s
                table.keep(load.place, load.key, entry)
        _wake(load)
        return entry

    def abandon(self, load: Load, error: Exception | None = None) -> None:
        """The query failed with this error, or did not run to its end: then those who wait try for themselves."""
        load.error = error
        with self._lock:
            self._leave(load)
        _wake(load)

    def _leave(self, load: Load) -> _Table:
        table = self._table(load.place)
        if table.loads.get((load.place, load.key)) is load:
            del table.loads[load.place, load.key]
        return table

    def committed(self, changes: Iterable[Change]) -> None:
        """These writes are committed: forget what they may have changed, and publish it."""
        publish = self.publish
        told = [each for change in changes if publish or self._concerns(change) for each in invalidations(change)]
        if told:
            self.apply(told)
            if publish is not None:
                publish(told)

    def _concerns(self, change: Change) -> bool:
        """Whether anything is kept, or on its way, that this write may have changed."""
        tables = self._tables
        return change.name in tables or (
            change.table is not None and not tables.keys().isdisjoint(change.table.cascades)
        )

    def doubtful(self, changes: Iterable[Change]) -> None:
        """These writes may have happened, or may happen yet: keep nothing of their tables for DOUBT_S."""
        told = [each for change in changes for each in invalidations(change)]
        with self._lock:
            for each in told:
                if (table := self._tables.get(each.table)) is not None:
                    table.apply(Invalidation(each.table, everything=True))
                    table.doubt_until = self.clock() + DOUBT_S
        if told and self.publish is not None:
            self.publish([Invalidation(each.table, everything=True) for each in told])

    def apply(self, invalidations: Iterable[Invalidation]) -> None:
        """Forget what writes may have changed, of this process or another."""
        with self._lock:
            for each in invalidations:
                if (table := self._tables.get(each.table)) is not None:
                    table.apply(each)

    def clear(self) -> None:
        """Forget everything."""
        self.apply([Invalidation(name, everything=True) for name in tuple(self._tables)])

    def stats(self) -> dict[str, CacheStats]:
        """By the table's name, `sun.post`."""
        with self._lock:
            return {
                name: CacheStats(
                    table.weight,
                    table.hits + sum(entry.hits for entries in table.places.values() for entry in entries.values()),
                    table.misses,
                )
                for name, table in self._tables.items()
            }

    def _table(self, place: Place) -> _Table:
        table = self._tables.get(place.table.name)
        if table is None:
            rule = place.table.cache
            assert rule is not None, f"{place.table.name} is not cached"
            most_ms = rule.ttl_ms if self._most_ms is None else min(rule.ttl_ms, self._most_ms)
            table = self._tables[place.table.name] = _Table(rule, most_ms / 1000)
        if place not in table.places:
            table.places[place] = self.places[place] = OrderedDict()
        return table


def _nothing() -> None:
    pass


def _wake(load: Load) -> None:
    for wake in load.waiting:
        wake()


def _entry(place: Place, key: Key, value: Any) -> Entry:
    """A result as it is kept. What it is found by when rows change are its tags."""
    table = place.table
    own = table.own_copy
    if place.paged:
        rows = tuple(value)
        tags = ((place, key[0]), *map(table.key_of, rows))  # see Finder.page for the key
        share = list[Any] if own is None else partial(_own_rows, own)
        return Entry(rows, share, tags, max(1, len(rows)))
    if value is None:
        return Entry(None, None, (place.absent,), 1)
    return Entry(value, own, () if place.primary else (table.key_of(value),), 1)


def _own_rows(own: Callable[[Any], Any], rows: Sequence[Any]) -> list[Any]:
    return [own(row) for row in rows]


def invalidations(change: Change) -> list[Invalidation]:
    """What a write may have changed in its own table, and in those to which foreign keys carry it on."""
    table = change.table
    if table is None:
        return [Invalidation(change.name, everything=True)]
    told = [] if table.cache is None else [_invalidation(change, table)]
    if table.cascades and _carried_on(change, table):
        told += [Invalidation(name, everything=True) for name in table.cascades]
    return told


def _carried_on(change: Change, table: Table[Any]) -> bool:
    """Whether ON DELETE or ON UPDATE may follow: only keys are referred to."""
    if change.kind == "update":
        keys = {*table.primary_key, *(name for columns in table.unique.values() for name in columns)}
        return not keys.isdisjoint((*change.values, *change.amounts))
    return change.kind == "delete" or (change.kind == "upsert" and bool(table.unique))


def _invalidation(change: Change, table: Table[Any]) -> Invalidation:
    name, places = table.name, table.places
    if change.kind == "delete":
        return Invalidation(name, everything=True) if change.keys is None else Invalidation(name, rows=change.keys)
    if change.kind == "update":
        names = (*change.values, *change.amounts)
        if change.keys is None or not {*names}.isdisjoint(table.primary_key):
            return Invalidation(name, everything=True)
        moved = tuple(place.name for place in places if not place.primary and place.changed_by(names))
        return Invalidation(name, rows=change.keys, places=moved)
    rows: list[Key] = []
    if change.kind == "upsert":
        if not all(found_exactly(table.column(part).type) for part in table.primary_key):
            return Invalidation(name, everything=True)
        rows = [table.key_of(row) for row in change.rows]
    exact = [place for place in places if place.stored_exactly or (place.primary and _numbered(change, table))]
    return Invalidation(
        name,
        rows=tuple(rows),
        keys=tuple((place.name, table.values_of(row, place.columns)) for place in exact for row in change.rows),
        absent=tuple(place.name for place in places if place not in exact and not place.paged),
        places=tuple(place.name for place in places if place not in exact and place.paged),
    )


def _numbered(change: Change, table: Table[Any]) -> bool:
    """Whether the rows have the ids that the engine gave them."""
    return table.primary_key == (table.auto,) and all(table.key_of(row) != (0,) for row in change.rows)
