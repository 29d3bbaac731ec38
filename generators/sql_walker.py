"""From the IR of SQL to Python.

A row class, a DAO and its finders for each table, and the tables' DDL for each engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from generators import ir
from generators.artifacts import Artifact, Target
from generators.diagnostics import Diagnostics
from generators.python_names import column_field, finder, identifier, table_class, table_module
from generators.sql_ddl import ddl
from generators.templates import render

DIALECTS = ("mysql", "sqlite")

_UNBOUNDED = 2**32 - 1  # bytes of LONGTEXT and LONGBLOB, more than a packet carries


@dataclass(frozen=True, slots=True)
class FieldView:
    """A column as the template prints it."""

    column: ir.Column
    name: str  # Python's
    python: str  # type without None
    annotation: str  # type of the row's field
    constructor: str  # the column's SqlType
    arguments: str  # further arguments of sql.Column
    default: str | None  # Python text of the field's default

    @property
    def comment(self) -> str:
        return docstring(self.column.comment)

    @property
    def kind(self) -> str:
        """Which class of column it is."""
        return "NullableColumn" if self.column.nullable else "Column"

    @property
    def numeric(self) -> bool:
        return isinstance(self.column.type, (ir.Int, ir.Float, ir.Decimal)) and self.column.enum is None

    @property
    def writable(self) -> bool:
        return self.column.generated is None


@dataclass(frozen=True, slots=True)
class FinderView:
    """One finder: a unique one has no `order`."""

    name: str
    fields: tuple[FieldView, ...]
    order: tuple[FieldView, ...]
    unique: bool
    key: str  # the key's name in the schema, PRIMARY for the primary key
    origin: str  # KEY post_by_user (user_id, post_id)
    cached: bool = False  # its pages are kept in the row cache

    @property
    def parameters(self) -> str:
        return ", ".join(f"{each.name}: {each.python}" for each in self.fields)

    @property
    def arguments(self) -> str:
        return ", ".join(each.name for each in self.fields)

    @property
    def values(self) -> str:
        """The arguments as a tuple."""
        return f"({self.arguments},)" if self.fields else "()"

    @property
    def cursor(self) -> str:
        """The type of `before` and `after`."""
        return _key_type(self.order)

    @property
    def summary(self) -> str:
        if self.unique:
            return f"The row of this key. Generated from {self.origin}."
        ways = ", ".join(f"`{each.name}`" for each in self.order)
        kept = " Kept in the row cache." if self.cached else ""
        return f"A page ordered by {ways}: see `sql.Finder.page`. Generated from {self.origin}.{kept}"


def _key_type(fields: tuple[FieldView, ...]) -> str:
    """The Python type of a value of one column, or of a tuple of several."""
    types = [each.python for each in fields]
    return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"


@dataclass(frozen=True, slots=True)
class TableView:
    """A table as the templates print it."""

    database: str
    table: ir.Table
    module: str
    row: str
    fields: tuple[FieldView, ...]  # in the order of the row class: those without a default first
    finders: tuple[FinderView, ...]
    key: tuple[FieldView, ...]  # the primary key
    unique: tuple[tuple[str, tuple[FieldView, ...]], ...]
    modules: tuple[str, ...] = field(default=())  # of the standard library

    @property
    def summary(self) -> str:
        return docstring(self.table.comment) or f"A row of `{self.database}.{self.table.name}`."

    @property
    def key_type(self) -> str:
        return _key_type(self.key)

    @property
    def cache(self) -> str | None:
        """The arguments of the rule of the row cache."""
        rule = self.table.cache
        if rule is None:
            return None
        return f"ttl_ms={rule.ttl_ms}" + (f", max_rows={rule.max_rows}" if rule.max_rows is not None else "")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.row, f"{self.row}Dao", f"{self.row}Update")


def walk(schema: ir.Schema, target: Target) -> list[Artifact]:
    """The files of every database. The schema must have passed `check`."""
    if not schema.databases:
        return []
    artifacts: list[Artifact] = []
    tables = {
        f"{database.name}.{table.name}": [column.name for column in table.columns]
        for database in schema.databases
        for table in database.tables
    }
    artifacts.append(Artifact("sql/__init__.py", render("sql/databases.py.jinja", target=target, tables=tables)))
    for database in (database for database in schema.databases if database.tables):
        source = database.file
        views = [_table_view(database, table) for table in database.tables]
        package = f"sql/{database.name}"
        exports = {name: view.module for view in views for name in view.names}
        text = render("sql/package.py.jinja", target=target, source=source, database=database, exports=exports)
        artifacts.append(Artifact(f"{package}/__init__.py", text))
        for view in views:
            text = render("sql/table.py.jinja", source=source, view=view)
            artifacts.append(Artifact(f"{package}/{view.module}.py", text))
        artifacts += [Artifact(f"ddl/{dialect}/{database.name}.sql", ddl(database, dialect)) for dialect in DIALECTS]
    return artifacts


def check(schema: ir.Schema, diagnostics: Diagnostics) -> None:
    """Collect what would make Python names clash, and references to enums that no proto file declares."""
    enums = {enum.full_name for file in (*schema.protos, *schema.imported) for enum in _enums(file)}
    for database in schema.databases:
        taken: dict[str, str] = {}
        for table in database.tables:
            row = table_class(table.name)
            for name in (table_module(table.name), row, f"{row}Dao", f"{row}Update"):
                other = taken.setdefault(name, table.name)
                if other != table.name:
                    text = f"tables {other} and {table.name} both become the Python name {name}: rename one"
                    diagnostics.error(table.position, "name-clash", text)
                    break
            _check_table(table, enums, diagnostics)


def _check_table(table: ir.Table, enums: set[str], diagnostics: Diagnostics) -> None:
    fields: dict[str, str] = {}
    for column in table.columns:
        name = column_field(column.name)
        other = fields.setdefault(name, column.name)
        if other != column.name:
            text = f"columns {other} and {column.name} of {table.name} both become the Python name {name}: rename one"
            diagnostics.error(column.position, "name-clash", text)
        if column.enum is not None and column.enum not in enums:
            text = f"column {table.name}.{column.name} names the enum {column.enum}, which no .proto file declares"
            diagnostics.error(column.position, "unknown-enum", text)
    finders: dict[str, str] = {}
    for key in table.keys:
        name = finder(table.name, key.name, _columns(key))
        other = finders.setdefault(name, key.name)
        if other != key.name or name in fields:
            rival = f"key {other}" if other != key.name else f"column {fields[name]}"
            text = f"key {key.name} of {table.name} and {rival} both become the Python name {name}: rename one"
            diagnostics.error(key.position, "name-clash", text)
    paged = {name for name, _, unique in _found(table) if not unique}
    for name in table.cache.lists if table.cache is not None else ():
        if name not in paged:
            known = f"those with lists are {', '.join(sorted(paged))}" if paged else "no key of it gives lists"
            text = f"`cache lists={name}`: {table.name} has no such key whose finder gives a list; {known}"
            diagnostics.error(table.position, "bad-directive", text)


def _enums(file: ir.ProtoFile) -> list[ir.Enum]:
    found = list(file.enums)
    pending = list(file.messages)
    while pending:
        message = pending.pop()
        found += message.enums
        pending += message.messages
    return found


def docstring(text: str) -> str:
    """`text` as it can stand between triple quotes."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').strip()
    return f'{escaped[:-1]}\\"' if escaped.endswith('"') else escaped


def _columns(key: ir.Key) -> list[str]:
    return [part.column for part in key.parts if part.column is not None]


def _table_view(database: ir.Database, table: ir.Table) -> TableView:
    views = [_field(column) for column in table.columns]
    views.sort(key=lambda view: view.default is not None)  # stable: Python wants fields with defaults last
    by_column = {view.column.name: view for view in views}
    key = tuple(by_column[name] for name in _columns(table.primary_key)) if table.primary_key else ()
    annotations = " ".join(view.annotation for view in views)
    return TableView(
        database=database.name,
        table=table,
        module=table_module(table.name),
        row=table_class(table.name),
        fields=tuple(views),
        finders=tuple(_finders(table, by_column, key)),
        key=key,
        unique=tuple(
            (each.name, tuple(by_column[name] for name in _columns(each)))
            for each in table.keys
            if each.unique and _plain(each)
        ),
        modules=tuple(module for module in ("datetime", "decimal") if f"{module}." in annotations),
    )


def _plain(key: ir.Key) -> bool:
    return key.kind == "btree" and all(part.column is not None for part in key.parts)


def _found(table: ir.Table) -> list[tuple[str, ir.Key, bool]]:
    """The keys from which finders follow: the name in the schema, the key, and whether it finds one row."""
    found: list[tuple[str, ir.Key, bool]] = []
    if table.primary_key is not None:
        found.append(("", table.primary_key, True))
    found += [
        (each.name, each, each.unique and all(part.prefix is None for part in each.parts))
        for each in table.keys
        if _plain(each)
    ]
    # The leading part of a composite primary key is an index too.
    if table.primary_key is not None and len(table.primary_key.parts) > 1:
        found.append(("PRIMARY", table.primary_key, False))
    return found


def _finders(table: ir.Table, fields: dict[str, FieldView], key: tuple[FieldView, ...]) -> list[FinderView]:
    found: list[FinderView] = []
    cached = table.cache.lists if table.cache is not None else ()
    for key_name, each, unique in _found(table):
        columns = tuple(fields[name] for name in _columns(each))
        origin = f"{_kind(each)} ({', '.join(_columns(each))})"
        if key_name == "":
            found.append(FinderView("get", key, (), True, key_name, origin))
        elif key_name == "PRIMARY":
            name = identifier("by_" + "_and_".join(each.name for each in key[:-1]), "by")
            if all(name != other.name for other in found) and name not in fields:
                found.append(_page(name, key, key, key_name, origin, cached))
        else:
            name = finder(table.name, each.name, _columns(each))
            if unique:
                found.append(FinderView(name, columns, (), True, key_name, origin))
            else:
                found.append(_page(name, columns, key, key_name, origin, cached))
    return found


def _kind(key: ir.Key) -> str:
    if key.name == "PRIMARY":
        return "PRIMARY KEY"
    return f"{'UNIQUE KEY' if key.unique else 'KEY'} {key.name}"


def _page(
    name: str,
    columns: tuple[FieldView, ...],
    key: tuple[FieldView, ...],
    key_name: str,
    origin: str,
    cached: tuple[str, ...],
) -> FinderView:
    """The last column orders the page and the primary key settles ties.

    A single or nullable column is compared instead.
    """
    last = columns[-1]
    if len(columns) == 1 or last.column.nullable:
        equal, order = columns, ()
    else:
        equal, order = columns[:-1], (last,)
    order += tuple(each for each in key if each not in columns)
    return FinderView(name, equal, order, False, key_name, origin, cached=key_name in cached)


def _field(column: ir.Column) -> FieldView:
    python, constructor = _types(column.type)
    options = {
        "auto": column.auto_increment,
        "writable=False": column.generated is not None,
    }
    arguments = "".join(f", {name if '=' in name else f'{name}=True'}" for name, given in options.items() if given)
    return FieldView(
        column=column,
        name=column_field(column.name),
        python=python,
        annotation=f"{python} | None" if column.nullable else python,
        constructor=constructor,
        arguments=arguments,
        default=_default(column),
    )


def _default(column: ir.Column) -> str | None:
    """What the row class gives a field that its maker leaves out; None where the maker must say."""
    if column.auto_increment:
        return "0"
    if column.default is not None and column.default.expression is None:
        value = column.default.value
        if value is None or isinstance(column.type, (ir.Bool, ir.Int, ir.Float, ir.Text, ir.Bytes, ir.Choice, ir.Year)):
            return repr(value)
        if isinstance(column.type, ir.Decimal):
            return f"decimal.Decimal({str(value)!r})"
    if column.nullable:
        return "None"
    return None


def _types(kind: ir.Type) -> tuple[str, str]:
    """The Python type of a value, and the constructor of its `runtime.sql.types` class."""
    match kind:
        case ir.Bool():
            return "bool", "types.Bool()"
        case ir.Int(bits, signed):
            return "int", f"types.Int({bits})" if signed else f"types.Int({bits}, signed=False)"
        case ir.Float(bits):
            return "float", f"types.Float({bits})"
        case ir.Decimal(precision, scale):
            return "decimal.Decimal", f"types.Decimal({precision}, {scale})"
        case ir.Text(max_length, max_bytes):
            bound = f"max_bytes={max_bytes}" if max_bytes is not None and max_bytes < _UNBOUNDED else ""
            return "str", f"types.Text({bound if max_length is None else max_length})"
        case ir.Bytes(max_length):
            bounded = max_length is not None and max_length < _UNBOUNDED
            return "bytes", f"types.Bytes({max_length if bounded else ''})"
        case ir.Date():
            return "datetime.date", "types.Date()"
        case ir.Time():
            return "datetime.timedelta", "types.Time()"
        case ir.DateTime(instant=instant):
            return "datetime.datetime", "types.Timestamp()" if instant else "types.DateTime()"
        case ir.Year():
            return "int", "types.Int(16)"
        case ir.Json():
            return "t.Any", "types.Json()"
        case ir.Bits(width):
            return "int", f"types.Bits({width})"
        case ir.Choice(values):
            return f"t.Literal[{', '.join(map(repr, values))}]", f"types.Choice({values!r})"
        case ir.Choices(values):
            return "frozenset[str]", f"types.Choices({values!r})"
        case ir.Reference() | ir.List() | ir.Map():
            raise AssertionError(f"a SQL column can't be of type {kind}")
