"""What a file says of itself: its format, its tables with their keys, types and the numbers of their columns.

A table is entered when it is first used. Its columns may grow; its key and its types may not change.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec

from runtime.cql.columns import AnyColumn
from runtime.cql.embedded.derived import Derived, Index, ViewRows
from runtime.cql.embedded.keys import partition_end
from runtime.cql.embedded.layout import Layout
from runtime.cql.embedded.records import Row, decode
from runtime.cql.errors import ChangedTable, Unavailable
from runtime.cql.tables import Row as TableRow
from runtime.cql.tables import Table, View
from runtime.cql.types import CqlType, List, Map, Set, Tuple, UserDefined, Vector

FORMAT = 1
APPLICATION = 0x53756E43  # "SunC", as PRAGMA application_id

_TABLES = (
    "CREATE TABLE sun_table (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, about TEXT NOT NULL)",
    "CREATE TABLE sun_type (name TEXT PRIMARY KEY, fields TEXT NOT NULL)",
    "CREATE TABLE sun_version (version INTEGER NOT NULL)",
    "INSERT INTO sun_version VALUES (1)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the catalog of a new file, inside a transaction. Raises Unavailable for a file of another kind or format."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION and version == FORMAT:
        return
    if application == APPLICATION:
        raise Unavailable(f"{path}: the file is of format {version}, which this version does not know")
    if application or connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        raise Unavailable(f"{path}: this SQLite file is not an embedded store")
    for text in _TABLES:
        connection.execute(text)


def version_of(connection: sqlite3.Connection) -> int:
    """A number that grows whenever a table, a column, an index or a view is entered."""
    return connection.execute("SELECT version FROM sun_version").fetchone()[0]


def enter(connection: sqlite3.Connection, table: Table[Any]) -> Layout:
    """How a table lies in the file, inside a transaction that writes. Raises ChangedTable."""
    if table.view is not None:
        enter(connection, table.view.base)
    for type in _user_types(column.type for column in table.columns):
        _enter_type(connection, table, type)
    found = connection.execute("SELECT number, about FROM sun_table WHERE name = ?", (table.name,)).fetchone()
    about = _about(table)
    if found is None:
        number: int = connection.execute(
            "INSERT INTO sun_table (name, about) VALUES (?, ?) RETURNING number", (table.name, json.dumps(about))
        ).fetchone()[0]
        for text in _made(number):
            connection.execute(text)
        known: dict[str, Any] = about | {"indexes": {}}
    else:
        number, known = found[0], json.loads(found[1])
        _compare(table, known, about)
    columns: dict[str, Any] = {**known["columns"], **about["columns"]}
    layout = Layout(table, number, {name: place for place, name in enumerate(columns)})
    indexes: dict[str, Any] = dict(known["indexes"])
    for name, (column, target) in about["indexes"].items():
        if indexes.get(name) != [column, target]:
            _build_index(connection, layout, name, column, target)
            indexes[name] = [column, target]
    entered = known | {"columns": columns, "indexes": indexes}
    if found is None or entered != known:
        connection.execute("UPDATE sun_table SET about = ? WHERE number = ?", (json.dumps(entered), number))
        connection.execute("UPDATE sun_version SET version = version + 1")
    if found is None and table.view is not None:
        _build_view(connection, enter(connection, table.view.base), layout)
    layout.derived = derived_of(connection, layout)
    return layout


def refresh(connection: sqlite3.Connection, layout: Layout) -> None:
    """What has been entered of a table since its layout was made."""
    found = connection.execute("SELECT about FROM sun_table WHERE number = ?", (layout.number,)).fetchone()
    if found is not None:
        layout.grow(len(json.loads(found[0])["columns"]))
        layout.derived = derived_of(connection, layout)


def derived_of(connection: sqlite3.Connection, layout: Layout) -> Sequence[Derived]:
    """The indexes and views of a table, whoever entered them."""
    derived: list[Derived] = []
    for number, name, text in connection.execute("SELECT number, name, about FROM sun_table").fetchall():
        about = json.loads(text)
        if number == layout.number:
            for index, (column, target) in about["indexes"].items():
                if column in layout.places:
                    derived.append(Index(layout, index_rows(number, index), column, target))
        elif about["view"] and about["view"]["base"] == layout.name:
            derived.append(ViewRows(layout, _view_layout(layout, number, name, about)))
    return derived


def index_rows(number: int, name: str) -> str:
    return '"' + f"index_{number}_{name}".replace('"', '""') + '"'


def _made(number: int) -> Iterator[str]:
    # Rows stand apart from their keys: they may be large, and new keys come in no order.
    yield f"CREATE TABLE rows_{number} (k BLOB PRIMARY KEY NOT NULL, t INTEGER NOT NULL, x INTEGER, v BLOB NOT NULL)"
    yield f"CREATE INDEX ends_{number} ON rows_{number} (x) WHERE x IS NOT NULL"
    yield (
        f"CREATE TABLE deleted_{number} (s BLOB PRIMARY KEY NOT NULL, e BLOB NOT NULL, t INTEGER NOT NULL,"
        " at INTEGER NOT NULL) WITHOUT ROWID"
    )
    yield f"CREATE INDEX deleted_at_{number} ON deleted_{number} (at)"


def _about(table: Table[Any]) -> dict[str, Any]:
    return {
        "partition_key": {column.name: column.type.text for column in table.partition_key},
        "clustering": {column.name: _ordered(column) for column in table.clustering},
        "columns": {column.name: [column.type.text, column.kind] for column in table.columns if not column.is_key},
        "indexes": {index.name: [index.column.name, index.target] for index in table.indexes},
        "view": None
        if table.view is None
        else {
            "base": table.view.base.name,
            "not_null": list(table.view.not_null),
            "filters": [
                [name, operator, table.view.base.column(name).type.encode(value).hex()]
                for name, operator, value in table.view.filters
            ],
        },
    }


def _ordered(column: AnyColumn[Any, Any]) -> str:
    return f"{column.type.text} desc" if column.descending else column.type.text


def _compare(table: Table[Any], known: dict[str, Any], about: dict[str, Any]) -> None:
    for part in ("partition_key", "clustering"):
        if list(known[part].items()) != list(about[part].items()):
            raise ChangedTable(
                f"{table.name}: the file has it with the {part.replace('_', ' ')} {_listed(known[part])},"
                f" not {_listed(about[part])}"
            )
    for name, (type, kind) in about["columns"].items():
        was = known["columns"].get(name)
        if was is not None and was != [type, kind]:
            raise ChangedTable(f"{table.name}.{name}: the file has it as {_told(*was)}, not {_told(type, kind)}")
    if known["view"] != about["view"]:
        raise ChangedTable(f"{table.name}: the file has it as another view, or not as a view")


def _told(type: str, kind: str) -> str:
    return f"{type} static" if kind == "static" else type


def _listed(columns: dict[str, str]) -> str:
    return f"({', '.join(f'{name} {type}' for name, type in columns.items())})"


def _user_types(types: Iterable[CqlType[Any]]) -> Iterator[UserDefined[Any]]:
    for type in types:
        match type:
            case UserDefined():
                yield type
                yield from _user_types(field for _, field in type.fields)
            case List() | Set() | Vector():
                yield from _user_types((type.item,))
            case Map():
                yield from _user_types((type.key, type.value))
            case Tuple():
                yield from _user_types(type.items)
            case _:
                pass


def _enter_type(connection: sqlite3.Connection, table: Table[Any], type: UserDefined[Any]) -> None:
    name = f"{type.keyspace}.{type.name}"
    fields = [[field, kind.text] for field, kind in type.fields]
    found = connection.execute("SELECT fields FROM sun_type WHERE name = ?", (name,)).fetchone()
    known: list[list[str]] = json.loads(found[0]) if found else []
    if fields[: len(known)] != known:
        if known[: len(fields)] == fields:
            return  # of an older schema
        raise ChangedTable(f"{table.name}: the file has the type {name} with other fields: {known}, not {fields}")
    if len(fields) > len(known):
        connection.execute("INSERT OR REPLACE INTO sun_type (name, fields) VALUES (?, ?)", (name, json.dumps(fields)))


def _build_index(connection: sqlite3.Connection, layout: Layout, name: str, column: str, target: str) -> None:
    rows = index_rows(layout.number, name)
    connection.execute(f"DROP TABLE IF EXISTS {rows}")
    connection.execute(f"CREATE TABLE {rows} (v BLOB NOT NULL, k BLOB NOT NULL, PRIMARY KEY (v, k)) WITHOUT ROWID")
    _fill(connection, layout, Index(layout, rows, column, target).change)


def _build_view(connection: sqlite3.Connection, base: Layout, view: Layout) -> None:
    _fill(connection, base, ViewRows(base, view).change)


def _fill(
    connection: sqlite3.Connection,
    layout: Layout,
    change: Callable[[sqlite3.Connection, bytes, Row | None, Row | None], None],
) -> None:
    for key, time, record in connection.execute(f"SELECT k, t, v FROM {layout.rows}"):
        is_static = layout.depth > 0 and partition_end(key) == len(key)
        change(connection, key, None, Row.read(time, decode(record), 0 if is_static else layout.depth))


def _view_layout(base: Layout, number: int, name: str, about: dict[str, Any]) -> Layout:
    """A view as the file tells it, since this process need not have its class."""
    keyspace, _, table = name.partition(".")
    made = about["view"]

    def column(name: str, kind: str, type: str) -> AnyColumn[Any, Any]:
        return AnyColumn(name, base.table.column(name).type, cast("Any", kind), descending=type.endswith(" desc"))

    partition = [column(name, "partition", "") for name in about["partition_key"]]
    clustering = [column(name, "clustering", type) for name, type in about["clustering"].items()]
    others = [column(name, "regular", "") for name in about["columns"] if name in base.places]
    filters = tuple(
        (name, operator, base.table.column(name).type.decode(bytes.fromhex(value)))
        for name, operator, value in made["filters"]
    )
    fields = [f"field_{place}" for place in range(len(partition) + len(clustering) + len(others))]
    row = cast("type[TableRow]", msgspec.defstruct("ViewRow", fields))
    view = Table(
        keyspace,
        table,
        row,
        [*partition, *clustering, *others],
        partition_key=partition,
        clustering=clustering,
        view=View(base.table, tuple(made["not_null"]), filters),
    )
    return Layout(view, number, {name: place for place, name in enumerate(about["columns"])})
