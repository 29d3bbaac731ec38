"""What follows from statements in this process: the row cache forgets, and hooks are called. Runs no statement."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from runtime.sql.cache import RowCache
from runtime.sql.changes import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.sql.queries import Query
    from runtime.sql.statements import Statement

R = TypeVar("R")

log = logging.getLogger("sun.sql")


class Updated:
    """An update. `keys` are primary keys as `get_many` takes them, outside of which no row changed; None for any.

    `values` and `amounts` are what it set and added, by the columns' names in the schema; `count` the rows it matched.
    """

    __slots__ = ("amounts", "count", "keys", "values")

    def __init__(
        self, keys: Sequence[Any] | None, count: int, values: Mapping[str, Any], amounts: Mapping[str, Any]
    ) -> None:
        self.keys = keys
        self.count = count
        self.values = values
        self.amounts = amounts


class Deleted:
    """A delete of `count` rows. `keys` are primary keys as `get_many` takes them, None for any."""

    __slots__ = ("count", "keys")

    def __init__(self, keys: Sequence[Any] | None, count: int) -> None:
        self.keys = keys
        self.count = count


class Hooks(Generic[R]):
    """What to do after rows of a table were written or read: override what concerns you, and give it to `db.hook`.

    Called after the commit, once for each query, in the order of the queries; never for what was undone. Called on the
    event loop, or in a SyncDatabase's thread, so it must not block. What it raises is logged and harms nobody.
    """

    def inserted(self, rows: Sequence[R]) -> None:
        """These rows were added. One added by itself has the id that the engine gave it; of several they are 0."""

    def upserted(self, rows: Sequence[R]) -> None:
        """These rows were added, or took the place of others with their primary keys."""

    def updated(self, update: Updated) -> None:
        """Rows were changed."""

    def deleted(self, delete: Deleted) -> None:
        """Rows were deleted by a query on this table; those that a foreign key takes along are not told."""

    def rewritten(self) -> None:
        """Hand-written SQL that names this table may have written to it."""

    def loaded(self, rows: Sequence[R]) -> None:
        """Whole rows were read from the engine; not those that the cache gave, and not those of a stream."""


class Effects:
    """Of one Database: its cache, and the hooks on its tables."""

    def __init__(self, cache: RowCache) -> None:
        self.cache = cache
        self.hooked = False
        self._hooks: dict[str, tuple[Hooks[Any], ...]] = {}

    def hook(self, table: str, hooks: Hooks[Any]) -> None:
        self._hooks[table] = (*self._hooks.get(table, ()), hooks)
        self.hooked = True

    def concern(self, query: Query[Any]) -> bool:
        """Whether anybody must hear of this write."""
        return query.told or self.hooked

    def committed(self, changes: Sequence[Change]) -> None:
        """These writes are committed, in this order."""
        self.cache.committed(changes)
        if self.hooked:
            for change in changes:
                self._call(change.name, change)

    def doubtful(self, changes: Iterable[Change]) -> None:
        """Nobody knows whether these writes happened, or when they will."""
        self.cache.doubtful(changes)

    def loaded(self, statement: Statement[Any], result: object) -> None:
        """A statement gave this result; for those that give whole rows."""
        hooks = self._hooks.get(statement.table)
        if hooks is None or not statement.rows or not result:
            return
        rows = list(cast("dict[Any, Any]", result).values()) if isinstance(result, dict) else result
        for each in hooks:
            _safely(each.loaded, cast("list[Any]", rows) if isinstance(rows, list) else [rows])

    def _call(self, table: str, change: Change) -> None:
        for hooks in self._hooks.get(table, ()):
            match change.kind:
                case "insert":
                    _safely(hooks.inserted, change.rows)
                case "upsert":
                    _safely(hooks.upserted, change.rows)
                case "update":
                    _safely(hooks.updated, Updated(_plain(change), change.count, change.values, change.amounts))
                case "delete":
                    _safely(hooks.deleted, Deleted(_plain(change), change.count))
                case "raw":
                    _safely(hooks.rewritten)


def _plain(change: Change) -> list[Any] | None:
    """The keys as `get_many` takes them: the value of a single column, or a tuple of several."""
    if change.keys is None:
        return None
    return [key[0] if len(key) == 1 else key for key in change.keys]


def _safely(call: Any, *args: object) -> None:
    try:
        call(*args)
    except Exception:
        log.exception("a hook failed")
