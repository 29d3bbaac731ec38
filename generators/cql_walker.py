"""From the IR of CQL to Python.

A row class and a DAO for each table and materialized view, a class for each user-defined type, and what a cluster must
have of each keyspace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generators import cql_ddl, ir
from generators.artifacts import Artifact, Target
from generators.cql_constants import python_constant
from generators.cql_dao import TableView, TableViews, finder_name
from generators.diagnostics import Diagnostics, Position
from generators.python_names import cql_column, keyspace_package, user_field
from generators.row_walker import cql_message_view
from generators.sql_walker import declared_enums
from generators.templates import render

KEYSPACE = "KEYSPACE"
"""What the package of a keyspace calls what a cluster must have of it."""


def walk(schema: ir.Schema, target: Target) -> list[Artifact]:
    """The files of every keyspace. The schema must have passed `check`."""
    if not schema.keyspaces:
        return []
    tables = {
        f"{keyspace.name}.{table.name}": [column.name for column in table.columns]
        for keyspace in schema.keyspaces
        for table in (*keyspace.tables, *keyspace.views)
    }
    packages = {keyspace.name: keyspace_package(keyspace.name) for keyspace in schema.keyspaces}
    text = render("cql/keyspaces.py.jinja", target=target, tables=tables, packages=packages)
    made = [Artifact("cql/__init__.py", text)]
    for keyspace in schema.keyspaces:
        made += _keyspace(keyspace, target)
    return made


def _keyspace(keyspace: ir.Keyspace, target: Target) -> Iterator[Artifact]:
    package = keyspace_package(keyspace.name)
    views = TableViews(keyspace)
    types = [views.user_type(made) for made in keyspace.types]
    tables = [*map(views.table, keyspace.tables), *map(views.view, keyspace.views)]
    exports = {view.made: "_types" for view in types}
    exports |= {name: view.module for view in tables for name in view.names}
    exports[KEYSPACE] = "_schema"
    shown = {"keyspace": keyspace, "source": keyspace.file, "package": f"{target.package}.cql.{package}"}
    yield Artifact(f"cql/{package}/__init__.py", render("cql/package.py.jinja", **shown, exports=exports))
    if types:
        modules = sorted({module for view in types for module in view.modules})
        text = render("cql/types.py.jinja", **shown, types=types, modules=modules)
        yield Artifact(f"cql/{package}/_types.py", text)
    for view, table in zip(tables, (*keyspace.tables, *keyspace.views), strict=True):
        text = render("cql/table.py.jinja", **shown, view=view, message=cql_message_view(target, keyspace, table))
        yield Artifact(f"cql/{package}/{view.module}.py", text)
    indexes = [(table, index) for table in keyspace.tables for index in table.indexes]
    text = render("cql/schema.py.jinja", **shown, indexes=indexes, ddl=cql_ddl)
    yield Artifact(f"cql/{package}/_schema.py", text)


def check(schema: ir.Schema, diagnostics: Diagnostics) -> None:
    """Collect what would make Python names clash, enums that no proto file declares, and conditions of views that have
    no value in Python.
    """
    enums = declared_enums(schema)
    packages: dict[str, str] = {}
    for keyspace in schema.keyspaces:
        package = keyspace_package(keyspace.name)
        other = packages.setdefault(package, keyspace.name)
        if other != keyspace.name:
            text = f"keyspaces {other} and {keyspace.name} both become the Python name {package}: rename one"
            diagnostics.error(Position(keyspace.file, 1, 1), "name-clash", text)
        _Checker(keyspace, enums, diagnostics).check()


class _Checker:
    def __init__(self, keyspace: ir.Keyspace, enums: set[str], diagnostics: Diagnostics) -> None:
        self.keyspace = keyspace
        self.enums = enums
        self.diagnostics = diagnostics
        self.views = TableViews(keyspace)
        self.taken: dict[str, str] = {KEYSPACE: f"what the package says of keyspace {keyspace.name}"}
        self.modules: dict[str, str] = {}

    def check(self) -> None:
        in_types: dict[str, str] = {}
        for made in self.keyspace.types:
            view = self.views.user_type(made)
            what = f"type {made.name}"
            if self._take(self.taken, what, [view.made], made.position):
                self._take(in_types, what, view.classes, made.position)
            self._check_fields(made)
        for table in self.keyspace.tables:
            self._check_table(f"table {table.name}", self.views.table(table))
            self._check_finders(table)
        for view in self.keyspace.views:
            if self._check_filters(view):
                self._check_table(f"view {view.name}", self.views.view(view))

    def _check_table(self, what: str, view: TableView) -> None:
        position = view.table.position
        if self._take(self.modules, what, [view.module], position) and self._take(
            self.taken, what, view.names, position
        ):
            imported = dict.fromkeys(view.imported, "what its module imports")
            self._take(imported, what, view.made, position)
        self._check_columns(view)

    def _take(self, taken: dict[str, str], what: str, names: Sequence[str], position: Position) -> bool:
        """Give names to `what`, unless something else has one of them."""
        for name in names:
            other = taken.setdefault(name, what)
            if other != what:
                text = f"{other} and {what} both become the Python name {name}: rename one"
                self.diagnostics.error(position, "name-clash", text)
                return False
        return True

    def _check_fields(self, made: ir.UserType) -> None:
        fields: dict[str, str] = {}
        classes = set(self.views.classes.values())
        for field in made.fields:
            name = user_field(field.name)
            if name in classes:
                text = f"field {field.name} of type {made.name} and a class of types both become {name}: rename one"
                self.diagnostics.error(field.position, "name-clash", text)
            other = fields.setdefault(name, field.name)
            if other != field.name:
                text = f"fields {other} and {field.name} of type {made.name} both become the Python name {name}"
                self.diagnostics.error(field.position, "name-clash", f"{text}: rename one")

    def _check_columns(self, view: TableView) -> None:
        table = view.table
        fields: dict[str, str] = {}
        classes = {*view.made, *view.imported}
        for column in table.columns:
            name = cql_column(column.name)
            if name in classes:
                text = f"column {column.name} of {table.name} and a class in its module both become {name}: rename one"
                self.diagnostics.error(column.position, "name-clash", text)
            other = fields.setdefault(name, column.name)
            if other != column.name:
                text = f"columns {other} and {column.name} of {table.name} both become the Python name {name}"
                self.diagnostics.error(column.position, "name-clash", f"{text}: rename one")
            if column.enum is not None and column.enum not in self.enums:
                text = f"column {table.name}.{column.name} names the enum {column.enum}, which no .proto file declares"
                self.diagnostics.error(column.position, "unknown-enum", text)

    def _check_finders(self, table: ir.CqlTable) -> None:
        taken = {cql_column(column.name): f"column {column.name}" for column in table.columns}
        for index in table.indexes:
            name = finder_name(table, index)
            other = taken.setdefault(name, what := f"index {index.name}")
            if other != what:
                text = f"{what} of {table.name} and {other} both become the Python name {name}: rename one"
                self.diagnostics.error(index.position, "name-clash", text)

    def _check_filters(self, view: ir.CqlView) -> bool:
        """Whether every condition has a value in Python."""
        base = next(table for table in self.keyspace.tables if table.name == view.base)
        sound = True
        for name, operator, literal in view.filters:
            try:
                python_constant(base.column(name).type, operator, literal)
            except (ValueError, ArithmeticError) as error:
                kind = cql_ddl.type_text(base.column(name).type)
                text = f"view {view.name} compares `{name}` with {literal}, which is no {kind} here: {error}"
                self.diagnostics.error(view.position, "bad-view", text)
                sound = False
        return sound
