"""From the IR of SQL to Python.

A row class, a DAO and its finders for each table, and the tables' DDL for each engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from generators import ir
from generators.artifacts import Artifact, Target
from generators.diagnostics import Diagnostics
from generators.python_names import DAO_NAMES, column_field, finder, identifier, table_class, table_module
from generators.row_walker import message_view
from generators.sql_ddl import ddl, is_computed
from generators.sql_references import Reference, cascades, order, references
from generators.sql_tables import hidden_column, target_key
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
    hidden: str | None = None  # the DAO's attribute, where the column stands for an expression in a key

    @property
    def attribute(self) -> str:
        """What the body of the DAO calls it."""
        return self.hidden or self.name

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
    many: str | None = None  # the method that finds the rows of many keys

    @property
    def parameters(self) -> str:
        return ", ".join(f"{each.name}: {each.python}" for each in self.fields)

    @property
    def arguments(self) -> str:
        return ", ".join(each.name for each in self.fields)

    @property
    def attributes(self) -> str:
        return ", ".join(each.attribute for each in self.fields)

    @property
    def values(self) -> str:
        """The arguments as a tuple."""
        return f"({self.arguments},)" if self.fields else "()"

    @property
    def key_type(self) -> str:
        return _key_type(self.fields)

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


@dataclass(frozen=True, slots=True)
class OtherView:
    """A table at the other end of a foreign key, as the module of this one names it. Its own `module` is None."""

    module: str | None
    row: str  # the row class's own name
    alias: str  # and what it is called here
    shown: str  # shop.user

    @property
    def dao(self) -> str:
        return f"{self.row}Dao"


@dataclass(frozen=True, slots=True)
class LoaderView:
    """Loads the rows that those of this table point to by a foreign key."""

    name: str
    other: OtherView
    fields: tuple[FieldView, ...]  # of this table
    targets: tuple[FieldView, ...]  # of the other, in the same order
    one: str  # its finder
    many: str
    origin: str

    @property
    def nullable(self) -> tuple[FieldView, ...]:
        return tuple(each for each in self.fields if each.column.nullable)

    @property
    def values(self) -> str:
        return ", ".join(f"row.{each.name}" for each in self.fields)

    @property
    def key(self) -> str:
        return self.values if len(self.fields) == 1 else f"({self.values})"

    @property
    def key_type(self) -> str:
        return _key_type(self.targets)

    @property
    def columns(self) -> str:
        return docstring(", ".join(f"`{each.column.name}`" for each in self.fields))


@dataclass(frozen=True, slots=True)
class PointersView:
    """Loads the rows of another table that point to those of this one by a foreign key."""

    name: str
    other: OtherView
    fields: tuple[FieldView, ...]  # of this table
    pointers: tuple[FieldView, ...]  # of the other, in the same order
    order: tuple[FieldView, ...]  # of the other
    origin: str

    @property
    def nullable(self) -> tuple[FieldView, ...]:
        return tuple(each for each in self.fields if each.column.nullable)

    @property
    def pairs(self) -> tuple[tuple[FieldView, FieldView], ...]:
        return tuple(zip(self.pointers, self.fields, strict=True))

    @property
    def summary(self) -> str:
        columns = ", ".join(f"`{each.column.name}`" for each in self.pointers)
        ways = ", ".join(f"`{each.name}`" for each in self.order)
        ordered = f", descending by {ways}" if ways else ""
        return (
            f"{docstring(f'The rows of `{self.other.shown}` whose {columns} names this one{ordered}.')} {self.origin}"
        )


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
    hidden: tuple[FieldView, ...]
    loaders: tuple[LoaderView, ...]
    pointers: tuple[PointersView, ...]
    cascades: tuple[str, ...] = ()  # tables whose rows may change with those of this one
    modules: tuple[str, ...] = field(default=())  # of the standard library

    @property
    def summary(self) -> str:
        return docstring(self.table.comment) or f"A row of `{self.database}.{self.title}`."

    @property
    def title(self) -> str:
        """The table's name, for docstrings."""
        return docstring(self.table.name)

    @property
    def key_type(self) -> str:
        return _key_type(self.key)

    @property
    def others(self) -> tuple[OtherView, ...]:
        """The tables whose row classes the annotations name, without this one."""
        found = {view.other: None for view in (*self.loaders, *self.pointers) if view.other.module is not None}
        return tuple(sorted(found, key=lambda other: (other.module or "", other.row)))

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
    found = references(schema)
    changed = cascades(schema)
    for database in (database for database in schema.databases if database.tables):
        source = database.file
        views = [
            replace(
                _table_view(database, table, found, target), cascades=changed.get(f"{database.name}.{table.name}", ())
            )
            for table in database.tables
        ]
        package = f"sql/{database.name}"
        exports = {name: view.module for view in views for name in view.names}
        text = render("sql/package.py.jinja", target=target, source=source, database=database, exports=exports)
        artifacts.append(Artifact(f"{package}/__init__.py", text))
        for view in views:
            message = message_view(target, database, view.table)
            text = render("sql/table.py.jinja", source=source, view=view, message=message)
            artifacts.append(Artifact(f"{package}/{view.module}.py", text))
        artifacts += [Artifact(f"ddl/{dialect}/{database.name}.sql", ddl(database, dialect)) for dialect in DIALECTS]
    return artifacts


def check(schema: ir.Schema, diagnostics: Diagnostics) -> None:
    """Collect what would make Python names clash, and references to enums that no proto file declares."""
    enums = declared_enums(schema)
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
    _check_loaders(schema, diagnostics)


def _check_loaders(schema: ir.Schema, diagnostics: Diagnostics) -> None:
    """Refuse foreign keys whose loaders would take the name of something else on their DAO."""
    found = references(schema)
    taken: dict[tuple[str, str], dict[str, str]] = {}
    for database in schema.databases:
        for table in database.tables:
            taken[database.name, table.name] = _names(table, _referred(found, database.name, table))
    for reference in found:
        key = reference.key
        for database, table, name in (
            (reference.database, reference.table.name, reference.forward),
            (reference.database, reference.table.name, f"{reference.forward}_many"),
            (reference.target_database, reference.target.name, reference.backward),
        ):
            what = f"foreign key {key.name} of {reference.table.name}"
            other = taken[database, table].setdefault(name, what)
            if other != what:
                text = f"{what} and {other} both become {table_class(table)}Dao.{name}: rename one"
                diagnostics.error(key.position, "name-clash", text)
                break


def _names(table: ir.Table, referred: frozenset[str]) -> dict[str, str]:
    """What a DAO has besides loaders, by name."""
    fields = {column.name: _field(column) for column in table.columns}
    key = tuple(fields[name] for name in _columns(table.primary_key)) if table.primary_key else ()
    names = {name: f"the DAO's own {name}" for name in DAO_NAMES}
    for view in _finders(table, fields, key, referred):
        names |= {name: view.origin for name in (view.name, view.many) if name is not None}
    return names | {view.name: f"column {column}" for column, view in fields.items()}


def _check_table(table: ir.Table, enums: set[str], diagnostics: Diagnostics) -> None:
    fields: dict[str, str] = {}
    row = table_class(table.name)
    for column in table.columns:
        name = column_field(column.name)
        if name == row:
            text = f"column {column.name} and the row class of {table.name} both become {row} in Python: rename one"
            diagnostics.error(column.position, "name-clash", text)
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
    # What an expression finds can't be told from the rows, so it is not cached.
    paged = {name for name, each, unique in _found(table) if not unique and len(_columns(each)) == len(each.parts)}
    for name in table.cache.lists if table.cache is not None else ():
        if name not in paged:
            known = f"those with lists are {', '.join(sorted(paged))}" if paged else "no key of it gives lists"
            text = f"`cache lists={name}`: {table.name} has no such key whose finder gives a list; {known}"
            diagnostics.error(table.position, "bad-directive", text)


def declared_enums(schema: ir.Schema) -> set[str]:
    """The full names of the enums that a column may hold."""
    return {enum.full_name for file in (*schema.protos, *schema.imported) for enum in _enums(file)}


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
    escaped = text.strip().replace("\\", "\\\\")
    return escaped.replace('"', '\\"') if '"""' in escaped or escaped.endswith('"') else escaped


def _columns(key: ir.Key) -> list[str]:
    return [part.column for part in key.parts if part.column is not None]


def _table_view(database: ir.Database, table: ir.Table, found: list[Reference], target: Target) -> TableView:
    views = [_field(column) for column in table.columns]
    views.sort(key=lambda view: view.default is not None)  # stable: Python wants fields with defaults last
    by_column = {view.column.name: view for view in views}
    key = tuple(by_column[name] for name in _columns(table.primary_key)) if table.primary_key else ()
    finders = _finders(table, by_column, key, _referred(found, database.name, table))
    links = _Links(database.name, table, by_column, target)
    loaders = tuple(
        map(links.loader, (each for each in found if (each.database, each.table) == (database.name, table)))
    )
    pointing = (each for each in found if (each.target_database, each.target) == (database.name, table))
    pointers = tuple(map(links.pointers, pointing))
    hidden = tuple(view for each in finders for view in each.fields if view.hidden is not None)
    annotations = " ".join([*(view.annotation for view in (*views, *hidden)), *(view.key_type for view in loaders)])
    return TableView(
        database=database.name,
        table=table,
        module=table_module(table.name),
        row=table_class(table.name),
        fields=tuple(views),
        finders=tuple(finders),
        key=key,
        unique=tuple(
            (each.name, tuple(_key_fields(each, finder(table.name, each.name, _columns(each)), by_column)))
            for each in table.keys
            if each.unique
        ),
        hidden=hidden,
        loaders=loaders,
        pointers=pointers,
        modules=tuple(module for module in ("datetime", "decimal") if f"{module}." in annotations),
    )


def _referred(found: list[Reference], database: str, table: ir.Table) -> frozenset[str]:
    """The unique keys of a table that foreign keys refer to, by name."""
    pointing = (each for each in found if (each.target_database, each.target) == (database, table))
    keys = (target_key(table, each.key.target_columns) for each in pointing)
    return frozenset(key.name for key in keys if key is not None and key is not table.primary_key)


class _Links:
    """Makes the views of the foreign keys from and to one table."""

    def __init__(self, database: str, table: ir.Table, fields: dict[str, FieldView], target: Target) -> None:
        self.database = database
        self.table = table
        self.fields = fields
        self.package = f"{target.package}.sql"
        row = table_class(table.name)
        own = {row, *(f"{row}{suffix}" for suffix in ("Dao", "Update", "Values", "Amounts", "Message"))}
        self.taken = own | {view.name for view in fields.values()}  # the body of the DAO sees its columns first

    def loader(self, reference: Reference) -> LoaderView:
        key = target_key(reference.target, reference.key.target_columns)
        assert key is not None  # `generators.sql_tables` has seen to it
        one, many = "get", "get_many"
        if key is not reference.target.primary_key:
            one = finder(reference.target.name, key.name, _columns(key))
            many = f"{one}_many"
        return LoaderView(
            name=reference.forward,
            other=self._other(reference.target_database, reference.target),
            fields=self._own(reference.key.columns),
            targets=_fields_of(reference.target, reference.key.target_columns),
            one=one,
            many=many,
            origin=f"Generated from {docstring(reference.shown)}.",
        )

    def pointers(self, reference: Reference) -> PointersView:
        return PointersView(
            name=reference.backward,
            other=self._other(reference.database, reference.table),
            fields=self._own(reference.key.target_columns),
            pointers=_fields_of(reference.table, reference.key.columns),
            order=_fields_of(reference.table, order(reference.table, reference.key.columns)),
            origin=f"Generated from {docstring(reference.shown)}.",
        )

    def _own(self, columns: tuple[str, ...]) -> tuple[FieldView, ...]:
        return tuple(self.fields[name] for name in columns)

    def _other(self, database: str, table: ir.Table) -> OtherView:
        row = table_class(table.name)
        shown = f"{database}.{table.name}"
        if (database, table) == (self.database, self.table):
            return OtherView(None, row, row, shown)
        plain = database == self.database and row not in self.taken
        alias = row if plain else f"{table_class(database)}{row}"
        return OtherView(f"{self.package}.{database}.{table_module(table.name)}", row, alias, shown)


def _fields_of(table: ir.Table, columns: tuple[str, ...]) -> tuple[FieldView, ...]:
    return tuple(_field(table.column(name)) for name in columns)


def _found(table: ir.Table) -> list[tuple[str, ir.Key, bool]]:
    """The keys from which finders follow: the name in the schema, the key, and whether it finds one row."""
    found: list[tuple[str, ir.Key, bool]] = []
    if table.primary_key is not None:
        found.append(("", table.primary_key, True))
    found += [
        (each.name, each, each.unique and all(part.prefix is None for part in each.parts))
        for each in table.keys
        if each.kind == "btree" and is_computed(table, each)
    ]
    # The leading part of a composite primary key is an index too.
    if table.primary_key is not None and len(table.primary_key.parts) > 1:
        found.append(("PRIMARY", table.primary_key, False))
    return found


def _key_fields(key: ir.Key, finder: str, fields: dict[str, FieldView]) -> Iterator[FieldView]:
    """The columns of a key; for an expression the hidden one, whose value a parameter `value` gives."""
    expressions = [place for place, part in enumerate(key.parts) if part.column is None]
    for place, part in enumerate(key.parts):
        if part.column is not None:
            yield fields[part.column]
            continue
        assert part.type is not None
        column = ir.Column(hidden_column(key.name, place), part.type, key.position, nullable=True, generated="")
        name = "value" if len(expressions) == 1 else f"value_{place + 1}"
        while any(fields[other].name == name for other in _columns(key)):
            name += "_"
        yield replace(_field(column), name=name, hidden=f"_{finder}__{place + 1}")


def _finders(
    table: ir.Table, fields: dict[str, FieldView], key: tuple[FieldView, ...], referred: frozenset[str] = frozenset()
) -> list[FinderView]:
    found: list[FinderView] = []
    cached = table.cache.lists if table.cache is not None else ()
    for key_name, each, unique in _found(table):
        origin = docstring(f"{_kind(each)} ({', '.join(part.column or f'({part.expression})' for part in each.parts)})")
        if key_name == "":
            found.append(FinderView("get", key, (), True, key_name, origin))
        elif key_name == "PRIMARY":
            name = identifier("by_" + "_and_".join(each.name for each in key[:-1]), "by")
            if all(name != other.name for other in found) and name not in fields:
                found.append(_page(name, key, key, key_name, origin, cached))
        else:
            name = finder(table.name, each.name, _columns(each))
            columns = tuple(_key_fields(each, name, fields))
            if unique:
                many = f"{name}_many" if each.name in referred else None
                found.append(FinderView(name, columns, (), True, key_name, origin, many=many))
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
        case ir.Text(max_length, max_bytes, fixed):
            bound = f"max_bytes={max_bytes}" if max_bytes is not None and max_bytes < _UNBOUNDED else ""
            return "str", f"types.Text({bound if max_length is None else max_length}{', fixed=True' if fixed else ''})"
        case ir.Bytes(max_length, fixed):
            bounded = max_length is not None and max_length < _UNBOUNDED
            return "bytes", f"types.Bytes({max_length if bounded else ''}{', fixed=True' if fixed else ''})"
        case ir.Date():
            return "datetime.date", "types.Date()"
        case ir.Time(fraction):
            return "datetime.timedelta", f"types.Time({fraction})"
        case ir.DateTime(fraction, instant):
            return "datetime.datetime", f"types.{'Timestamp' if instant else 'DateTime'}({fraction})"
        case ir.Year():
            return "int", "types.Year()"
        case ir.Json():
            return "t.Any", "types.Json()"
        case ir.Bits(width):
            return "int", f"types.Bits({width})"
        case ir.Choice(values):
            return f"t.Literal[{', '.join(map(repr, values))}]", f"types.Choice({values!r})"
        case ir.Choices(values):
            return "frozenset[str]", f"types.Choices({values!r})"
        case _:
            raise AssertionError(f"a SQL column can't be of type {kind}")
