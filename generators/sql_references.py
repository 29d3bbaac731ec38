"""What foreign keys come to: the names of their loaders, the order of the rows that point, and what cascades change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generators import ir
from generators.python_names import identifier

_ID = re.compile(r"(?:_(?:id|Id|ID)|(?<=[a-z0-9])(?:Id|ID))\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key with both of its ends.

    `forward` is the loader of the row pointed to, on the DAO of the table that points; `backward` that of the rows that
    point, on the other one.
    """

    database: str
    table: ir.Table
    key: ir.ForeignKey
    target_database: str
    target: ir.Table
    forward: str
    backward: str

    @property
    def shown(self) -> str:
        return f"FOREIGN KEY {self.key.name} ({', '.join(self.key.columns)})"


def references(schema: ir.Schema) -> list[Reference]:
    """The foreign keys of a schema that have loaders, in order: of those that say the same, the first."""
    found: dict[tuple[object, ...], Reference] = {}
    for each in _references(schema):
        ends = (each.database, each.table.name, each.target_database, each.target.name)
        found.setdefault((*ends, each.key.columns, each.key.target_columns), each)
    return list(found.values())


def _references(schema: ir.Schema) -> Iterator[Reference]:
    """Every foreign key in order; those to tables that were refused are left out."""
    tables = {(database.name, table.name): table for database in schema.databases for table in database.tables}
    for (database, _), table in tables.items():
        for key in table.foreign_keys:
            home = key.target_database or database
            target = tables.get((home, key.target_table))
            if target is not None:
                names = _forward(table, key), _backward(database, table, key, home)
                yield Reference(database, table, key, home, target, *names)


def _forward(table: ir.Table, key: ir.ForeignKey) -> str:
    """`author_id` → `author_of`; where columns serve several keys, or say no more than `id`, the target's name."""
    targets = {other.target_table for other in table.foreign_keys if other.columns == key.columns}
    words = [_ID.sub("", column) for column in key.columns]
    if len(targets) > 1 or any(word.lower() in ("", "id") for word in words):
        words = [key.target_table]
    return identifier(f"{'_and_'.join(words)}_of", "c")


def _backward(database: str, table: ir.Table, key: ir.ForeignKey, home: str) -> str:
    """`post` with `author_id` → `post_by_author_id`; a table of another database says so."""
    name = table.name if database == home else f"{database}_{table.name}"
    return identifier(f"{name}_by_{'_and_'.join(key.columns)}", "t")


def serving_key(table: ir.Table, columns: Sequence[str]) -> ir.Key | None:
    """The index by which rows with these values are found: the primary key's, or the first that begins with them."""
    keys = [*([table.primary_key] if table.primary_key else []), *table.keys]
    for key in keys:
        leading = key.parts[: len(columns)]
        whole = all(part.prefix is None for part in leading)
        if key.kind == "btree" and whole and {part.column for part in leading} == set(columns):
            return key
    return None


def order(table: ir.Table, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns by which the rows with these values lie in their index; none where there is one row at most.

    A server makes an index of its own where the schema has none, and appends the primary key to each.
    """
    key = serving_key(table, columns)
    rest = key.parts[len(columns) :] if key is not None else ()
    if key is not None and key.unique and not rest:
        return ()
    primary = table.primary_key.parts if table.primary_key is not None else ()
    found: list[str] = []
    for part in (*rest, *primary):
        if part.column is None or part.prefix is not None:
            break  # from here on the index follows what is no column
        if part.column not in (*columns, *found):
            found.append(part.column)
    return tuple(found)


def cascades(schema: ir.Schema) -> dict[str, tuple[str, ...]]:
    """The tables whose rows a DELETE or UPDATE of a table may change by foreign keys, by the table, all `sun.post`."""
    found = list(_references(schema))
    starts = {(reference.target_database, reference.target.name): reference.target for reference in found}
    changed: dict[str, tuple[str, ...]] = {}
    for (database, name), table in starts.items():
        columns = frozenset(column.name for column in table.columns)
        reached = _reached(found, database, name, columns)
        if reached:
            changed[f"{database}.{name}"] = tuple(sorted(reached))
    return changed


_Change = tuple[str, str, frozenset[str] | None]
"""Database and table of rows that change, and which of their columns; None where the rows go."""


def _reached(found: Sequence[Reference], database: str, name: str, columns: frozenset[str]) -> set[str]:
    pending: list[_Change] = [(database, name, None), (database, name, columns)]
    seen: set[_Change] = set(pending)
    reached: set[str] = set()
    while pending:
        for change in _consequences(found, pending.pop()):
            reached.add(f"{change[0]}.{change[1]}")
            if change not in seen:
                seen.add(change)
                pending.append(change)
    return reached


def _consequences(found: Sequence[Reference], change: _Change) -> Iterator[_Change]:
    database, name, columns = change
    for reference in found:
        if (reference.target_database, reference.target.name) != (database, name):
            continue
        key = reference.key
        if columns is not None and columns.isdisjoint(key.target_columns):
            continue
        action = key.on_delete if columns is None else key.on_update
        if action in ("CASCADE", "SET NULL", "SET DEFAULT"):
            goes = columns is None and action == "CASCADE"
            yield reference.database, reference.table.name, None if goes else frozenset(key.columns)
