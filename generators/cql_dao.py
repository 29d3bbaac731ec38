"""What a table or view of a keyspace becomes in Python: its row's fields, and the methods that its key makes legal.

Made from the IR for the templates, which print it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from generators import ir, proto_text
from generators.cql_constants import python_constant
from generators.cql_python import Names, annotation, constructor
from generators.cql_types import user_defined
from generators.python_names import cql_column, finder, identifier, table_class, table_module, user_field
from generators.sql_walker import docstring

# Of which 'sai' finds equal values alone (Cassandra 5.0: IndexTermType.EQ_ONLY_TYPES and what it calls literals).
_SAI_EQUAL_ONLY = (ir.Ascii, ir.Text, ir.Bool, ir.Tuple, ir.Frozen)

_BOUNDS = ("after", "before", "at_least", "at_most")
_MODULES = ("datetime", "decimal", "ipaddress", "uuid")


@dataclass(frozen=True, slots=True)
class FieldView:
    """A column as the templates print it."""

    column: ir.CqlColumn
    name: str  # Python's
    python: str  # type of a value that is there
    constructor: str  # of its CqlType
    item: str = ""  # type of the items of a list, the elements of a set, the keys of a map

    @property
    def is_key(self) -> bool:
        return self.column.kind in ("partition", "clustering")

    @property
    def is_collection(self) -> bool:
        """Whether it is empty rather than None."""
        return isinstance(self.column.type, ir.List | ir.Set | ir.Map)

    @property
    def annotation(self) -> str:
        return self.python if self.is_key or self.is_collection else f"{self.python} | None"

    @property
    def default(self) -> str | None:
        """Python text of the field's default."""
        if self.is_key:
            return None
        if self.is_collection:
            return f"msgspec.field(default_factory={self.python})"
        return "None"

    @property
    def comment(self) -> str:
        return indented(self.column.comment)

    @property
    def kind(self) -> str:
        """Which class of column it is."""
        return "KeyColumn" if self.is_key else "CollectionColumn" if self.is_collection else "Column"

    @property
    def arguments(self) -> str:
        """Further arguments of its class."""
        kind = "" if self.column.kind == "regular" else f", {self.column.kind!r}"
        return f"{kind}, descending=True" if self.column.descending else kind


Fields = tuple[FieldView, ...]


def indented(text: str) -> str:
    """A comment as it can stand between triple quotes in the body of a class."""
    return docstring(text).replace("\n", "\n    ")


def parameters(fields: Fields) -> str:
    return ", ".join(f"{each.name}: {each.python}" for each in fields)


def values(fields: Fields) -> str:
    """The parameters as a tuple."""
    return proto_text.row(each.name for each in fields)


def key_type(fields: Fields) -> str:
    """The Python type of a value of one column, or of a tuple of several."""
    types = [each.python for each in fields]
    return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"


@dataclass(frozen=True, slots=True)
class RangeView:
    """A legal way to cut a slice out of a partition: equal in the first clustering columns, a range in the next."""

    prefix: Fields  # the partition key and those clustering columns
    rest: Fields

    @property
    def parameters(self) -> str:
        return parameters(self.prefix)

    @property
    def values(self) -> str:
        return values(self.prefix)

    @property
    def bound(self) -> str:
        """The type of a bound: a value of the first column of the rest, or a tuple of the first few."""
        first = self.rest[0].python
        if len(self.rest) == 1:
            return f"{first} | None"
        # Where a value is a tuple itself, only tuples of columns tell what is meant.
        alone = f"tuple[{first}]" if first.startswith("tuple[") else first
        tuples = [key_type(self.rest[:many]) for many in range(2, len(self.rest) + 1)]
        return " | ".join([alone, *tuples, "None"])


@dataclass(frozen=True, slots=True)
class AnyRangeView:
    """All ranges of a table with several clustering columns, behind the overloads."""

    partition: Fields
    clustering: Fields
    bound: str = "t.Any"

    @property
    def parameters(self) -> str:
        given = (f"{each.name}: {each.python} | None = None" for each in self.clustering[:-1])
        return ", ".join((parameters(self.partition), *given))

    @property
    def values(self) -> str:
        return values((*self.partition, *self.clustering[:-1]))


@dataclass(frozen=True, slots=True)
class AmongView:
    """A legal IN: equal in the first columns, one of several values in the last."""

    prefix: Fields
    last: FieldView

    @property
    def parameters(self) -> str:
        last = f"{self.last.name}: t.Iterable[{self.last.python}]"
        return f"{parameters(self.prefix)}, {last}" if self.prefix else last

    @property
    def values(self) -> str:
        return values(self.prefix)


_Way = Literal["equal", "range", "contains", "contains key", "entry", "nearest"]


@dataclass(frozen=True, slots=True)
class FinderView:
    """A finder of a secondary index."""

    name: str
    field: FieldView
    way: _Way
    types: tuple[str, ...]  # of what is compared: of a key and a value where `way` is entry
    index: ir.CqlIndex
    origin: str  # INDEX item_by_tag (values(tags))

    @property
    def arguments(self) -> str:
        """Of the runtime's Index."""
        target = f", {self.index.target!r}" if self.index.target else ""
        return f"{self.index.name!r}, {self.field.name}{target}{', sai=True' if self.index.is_sai else ''}"

    @property
    def result(self) -> str:
        """The class of the query."""
        return "Rows" if self.way == "nearest" else "Found"

    @property
    def parameters(self) -> str:
        type, name = self.types[0], self.field.name
        match self.way:
            case "equal":
                return f"{name}: {type}"
            case "range":
                bounds = ", ".join(f"{bound}: {type} | None = None" for bound in _BOUNDS)
                return f"{name}: {type} | None = None, *, {bounds}"
            case "contains":
                return f"value: {type}"
            case "contains key":
                return f"key: {type}"
            case "entry":
                return f"key: {type}, value: {self.types[1]}"
            case "nearest":
                return f"{name}: {type}, limit: int"

    @property
    def call(self) -> str:
        """The runtime's method that finds the rows, and what it is given."""
        name = self.field.name
        match self.way:
            case "equal":
                return f"equal({name})"
            case "range":
                return f"between({name}, {', '.join(_BOUNDS)})"
            case "contains":
                return "containing(value)"
            case "contains key":
                return "containing_key(key)"
            case "entry":
                return "containing_entry(key, value)"
            case "nearest":
                return f"nearest({name}, limit)"

    @property
    def summary(self) -> str:
        name = self.field.name
        match self.way:
            case "equal":
                return f"The rows whose `{name}` is this."
            case "range":
                return f"The rows whose `{name}` is this, or is between bounds: see `cql.Lookup.between`."
            case "contains":
                return f"The rows whose `{name}` holds this{' value' if self._is_map else ''}."
            case "contains key":
                return f"The rows whose `{name}` has this key."
            case "entry":
                return f"The rows whose `{name}` has this value at this key."
            case "nearest":
                return f"The rows whose `{name}` is nearest to this one, the nearest first: see `cql.Lookup.nearest`."

    @property
    def _is_map(self) -> bool:
        return isinstance(self.field.column.type, ir.Map)


@dataclass(frozen=True, slots=True)
class PartsView:
    """A method of an update that changes parts of columns, and the TypedDict of what it takes."""

    name: str  # append
    takes: str  # lists
    dict: str  # MessageLists
    summary: str


@dataclass(frozen=True, slots=True)
class DictView:
    """A TypedDict of columns."""

    name: str
    summary: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StructView:
    """A column of a user-defined type that is not frozen: an update sets its fields one by one."""

    field: FieldView
    dict: str  # the TypedDict of the fields, whose home is the module of the types


@dataclass(frozen=True, slots=True)
class UpdateView:
    """A class of updates: of the columns of rows, or of the static ones of partitions."""

    name: str  # MessageUpdate
    summary: str
    dicts: tuple[DictView, ...]  # first of them what `set` takes
    parts: tuple[PartsView, ...]
    structs: tuple[StructView, ...]

    @property
    def values(self) -> str:
        return self.dicts[0].name


@dataclass(frozen=True, slots=True)
class TableView:
    """A table or materialized view as the templates print it."""

    keyspace: str
    table: ir.CqlTable | ir.CqlView
    module: str
    row: str
    fields: Fields  # in the order of the row class: the key first
    partition: Fields
    clustering: Fields
    origin: str  # PRIMARY KEY ((room_key, bucket), message_id)
    finders: tuple[FinderView, ...]
    update: UpdateView | None
    static_update: UpdateView | None
    amounts: DictView | None  # what `increment` takes
    static_amounts: DictView | None
    base: BaseView | None
    classes: tuple[str, ...]  # of user-defined types, whose modules it needs
    modules: tuple[str, ...]  # of Python's own, as they are imported
    options: tuple[tuple[str, int], ...]

    @property
    def key(self) -> Fields:
        return self.partition + self.clustering

    @property
    def key_parameters(self) -> str:
        return parameters(self.key)

    @property
    def key_arguments(self) -> str:
        return ", ".join(each.name for each in self.key)

    @property
    def key_values(self) -> str:
        return values(self.key)

    @property
    def key_type(self) -> str:
        return key_type(self.key)

    @property
    def partition_parameters(self) -> str:
        return parameters(self.partition)

    @property
    def partition_arguments(self) -> str:
        return ", ".join(each.name for each in self.partition)

    @property
    def partition_values(self) -> str:
        return values(self.partition)

    @property
    def partition_type(self) -> str:
        return key_type(self.partition)

    @property
    def overloads(self) -> tuple[RangeView, ...]:
        """The ways to cut a slice, where there are several."""
        ways = (RangeView(self.key[:many], self.key[many:]) for many in range(len(self.partition), len(self.key)))
        return tuple(ways) if len(self.clustering) > 1 else ()

    @property
    def whole(self) -> RangeView | AnyRangeView:
        """The way, or all of them."""
        if len(self.clustering) > 1:
            return AnyRangeView(self.partition, self.clustering)
        return RangeView(self.partition, self.clustering)

    @property
    def order(self) -> str:
        ways = (f"`{each.name}`{' descending' if each.column.descending else ''}" for each in self.clustering)
        return f"in the order of {', '.join(ways)}"

    @property
    def in_row(self) -> AmongView:
        return AmongView(self.key[:-1], self.key[-1])

    @property
    def in_partition(self) -> AmongView:
        return AmongView(self.partition[:-1], self.partition[-1])

    @property
    def has_collections(self) -> bool:
        return any(each.is_collection for each in self.fields)

    @property
    def is_view(self) -> bool:
        return self.base is not None

    @property
    def dao_base(self) -> str:
        """The class that its DAO extends."""
        is_counter = isinstance(self.table, ir.CqlTable) and self.table.is_counter
        return "cql.Dao" if self.is_view or is_counter else "cql.WritableDao"

    @property
    def what(self) -> str:
        return "Materialized view" if self.is_view else "Table"

    @property
    def title(self) -> str:
        """The table's name, for docstrings."""
        return docstring(self.table.name)

    @property
    def summary(self) -> str:
        return indented(self.table.comment) or f"A row of `{self.keyspace}.{self.title}`."

    @property
    def updates(self) -> tuple[UpdateView, ...]:
        return tuple(each for each in (self.update, self.static_update) if each is not None)

    @property
    def dicts(self) -> tuple[DictView, ...]:
        amounts = (each for each in (self.amounts, self.static_amounts) if each is not None)
        return (*(each for update in self.updates for each in update.dicts), *amounts)

    @property
    def field_dicts(self) -> tuple[str, ...]:
        """The TypedDicts of the fields of user-defined types."""
        return tuple(sorted({struct.dict for update in self.updates for struct in update.structs}))

    @property
    def made(self) -> tuple[str, ...]:
        """The classes of its module."""
        return (*self.names, *(each.name for each in self.dicts))

    @property
    def imported(self) -> tuple[str, ...]:
        """The classes of the keyspace that its module imports."""
        return (*self.classes, *self.field_dicts, *(() if self.base is None else (self.base.dao,)))

    @property
    def names(self) -> tuple[str, ...]:
        """What the package exports of it."""
        return (self.row, f"{self.row}Dao", *(update.name for update in self.updates))


@dataclass(frozen=True, slots=True)
class BaseView:
    """What a materialized view is a view of."""

    module: str
    dao: str
    not_null: tuple[str, ...]
    filters: tuple[tuple[str, str, str], ...]  # column, operator of `runtime.cql`, Python text of the value


@dataclass(frozen=True, slots=True)
class UserFieldView:
    """A field of a user-defined type."""

    field: ir.UserField
    name: str  # Python's
    python: str  # type of a value that is there
    constructor: str

    @property
    def comment(self) -> str:
        return indented(self.field.comment)


@dataclass(frozen=True, slots=True)
class UserTypeView:
    """A user-defined type as the templates print it."""

    type: ir.UserType
    made: str  # the class
    constant: str  # its CqlType
    fields: tuple[UserFieldView, ...]
    is_open: bool  # of a column that is not frozen, so that its fields can be written one by one
    modules: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """What the module of the types has of it."""
        return (self.made, self.fields_dict) if self.is_open else (self.made,)

    @property
    def fields_dict(self) -> str:
        """The TypedDict of its fields."""
        return _fields_dict(self.made)

    @property
    def summary(self) -> str:
        return indented(self.type.comment) or f"A value of type `{docstring(self.type.name)}`."


class TableViews:
    """Makes the views of the tables of one keyspace."""

    def __init__(self, keyspace: ir.Keyspace) -> None:
        self.keyspace = keyspace
        rows = {table_class(table.name) for table in (*keyspace.tables, *keyspace.views)}
        self.classes: Names = {made.name: _user_type_class(made.name, rows) for made in keyspace.types}
        self.constants: Names = {made.name: _user_type_constant(made.name) for made in keyspace.types}
        self.open = {
            column.type.name
            for table in keyspace.tables
            for column in table.columns
            if isinstance(column.type, ir.UserDefined)
        }

    def user_type(self, made: ir.UserType) -> UserTypeView:
        fields = tuple(
            UserFieldView(
                field,
                user_field(field.name),
                self._python(field.type, hashed=True),
                constructor(field.type, self.constants),
            )
            for field in made.fields
        )
        is_open = made.name in self.open
        modules = _modules((each.python for each in fields), typing=is_open)
        return UserTypeView(made, self.classes[made.name], self.constants[made.name], fields, is_open, modules)

    def table(self, table: ir.CqlTable) -> TableView:
        row = table_class(table.name)
        fields = self.fields(table)
        regular, static = (_of_kind(fields, kind) for kind in ("regular", "static"))
        counters = table.is_counter
        return self._view(
            table,
            fields,
            finders=tuple(self.finders(table)),
            update=None if counters or not regular else _update(row, "", regular),
            static_update=None if counters or not static else _update(row, "Static", static),
            amounts=_amounts(row, "", regular) if counters and regular else None,
            static_amounts=_amounts(row, "Static", static) if counters and static else None,
            options=tuple(
                (name, value)
                for name, value in table.options
                if name in ("default_time_to_live", "gc_grace_seconds") and isinstance(value, int)
            ),
        )

    def view(self, view: ir.CqlView) -> TableView:
        """The view of a materialized view, which can only be read."""
        fields = self.fields(view)
        base = next(table for table in self.keyspace.tables if table.name == view.base)
        filters = tuple(
            (name, "in" if operator == "IN" else operator, python_constant(base.column(name).type, operator, literal))
            for name, operator, literal in view.filters
        )
        dao = f"{table_class(base.name)}Dao"
        return self._view(view, fields, base=BaseView(table_module(base.name), dao, view.not_null, filters))

    def fields(self, table: ir.CqlTable | ir.CqlView) -> Fields:
        """The fields of the row class: the key in its own order, the others in that of the schema."""
        by_name = {column.name: column for column in table.columns}
        key = (*table.partition_key, *table.clustering)
        names = (*key, *(name for name in by_name if name not in key))
        return tuple(self._field(by_name[name]) for name in names)

    def finders(self, table: ir.CqlTable) -> Iterator[FinderView]:
        """The finders of the indexes, in their order."""
        for index in table.indexes:
            column = table.column(index.column)
            held = f"{index.target}({index.column})" if index.target else index.column
            way, types = self._way(index, column)
            yield FinderView(
                name=finder_name(table, index),
                field=self._field(column),
                way=way,
                types=types,
                index=index,
                origin=docstring(f"{'CUSTOM ' if index.custom else ''}INDEX {index.name} ({held})"),
            )

    def _way(self, index: ir.CqlIndex, column: ir.CqlColumn) -> tuple[_Way, tuple[str, ...]]:
        """How a finder compares, and the types of what it compares with."""
        kind = column.type
        match index.target, kind:
            case "keys", ir.Map(key, _):
                return "contains key", (self._python(key, hashed=True),)
            case "entries", ir.Map(key, value):
                return "entry", (self._python(key, hashed=True), self._python(value))
            case "values", ir.Set(item):
                return "contains", (self._python(item, hashed=True),)
            case "values", ir.List(item) | ir.Map(_, item):
                return "contains", (self._python(item),)
            case _ if index.is_sai and isinstance(kind, ir.Vector):
                return "nearest", (self._python(kind),)
            case _:
                is_range = index.is_sai and not _is_equal_only(kind)
                return "range" if is_range else "equal", (self._field(column).python,)

    def _field(self, column: ir.CqlColumn) -> FieldView:
        made = constructor(column.type, {name: f"_types.{constant}" for name, constant in self.constants.items()})
        python = self._python(column.type)
        if column.kind in ("partition", "clustering"):
            hashed = self._python(column.type, hashed=True)
            if hashed != python:
                python, made = hashed, f"{made}.hashable()"
        return FieldView(column, cql_column(column.name), python, made, self._item(column.type))

    def _item(self, kind: ir.Type) -> str:
        match kind:
            case ir.List(item):
                return self._python(item)
            case ir.Set(item) | ir.Map(item, _):
                return self._python(item, hashed=True)
            case _:
                return ""

    def _python(self, kind: ir.Type, *, hashed: bool = False) -> str:
        return annotation(kind, self.classes, hashed=hashed)

    def _view(
        self,
        table: ir.CqlTable | ir.CqlView,
        fields: Fields,
        *,
        finders: tuple[FinderView, ...] = (),
        update: UpdateView | None = None,
        static_update: UpdateView | None = None,
        amounts: DictView | None = None,
        static_amounts: DictView | None = None,
        base: BaseView | None = None,
        options: tuple[tuple[str, int], ...] = (),
    ) -> TableView:
        by_name = {each.column.name: each for each in fields}
        partition = tuple(by_name[name] for name in table.partition_key)
        clustering = tuple(by_name[name] for name in table.clustering)
        constants = (text for _, _, text in base.filters) if base is not None else ()
        used = {name for each in table.columns for name in user_defined(each.type)}
        return TableView(
            keyspace=self.keyspace.name,
            table=table,
            module=table_module(table.name),
            row=table_class(table.name),
            fields=fields,
            partition=partition,
            clustering=clustering,
            origin=docstring(f"PRIMARY KEY {_key_text(table)}"),
            finders=finders,
            update=update,
            static_update=static_update,
            amounts=amounts,
            static_amounts=static_amounts,
            base=base,
            classes=tuple(sorted(self.classes[name] for name in used)),
            modules=_modules((*(each.python for each in fields), *constants), typing=True),
            options=options,
        )


def _is_equal_only(kind: ir.Type) -> bool:
    """Whether an index of 'sai' finds only what equals a value of this type."""
    return isinstance(kind, _SAI_EQUAL_ONLY) or kind == ir.Uuid()


def finder_name(table: ir.CqlTable, index: ir.CqlIndex) -> str:
    """`by_…` after the index; `nearest_…` after a column of vectors, which are only ever near."""
    if index.is_sai and isinstance(table.column(index.column).type, ir.Vector):
        return identifier(f"nearest_{index.column}", "nearest")
    if index.name == f"{table.name}_{re.sub(r'[^A-Za-z0-9_]', '', index.column)}_idx":  # the name that Cassandra gives
        return identifier(f"by_{index.column}", "by")
    return finder(table.name, index.name, [cql_column(index.column)])


def _modules(texts: Iterable[str], *, typing: bool) -> tuple[str, ...]:
    """The modules of Python's own that annotations name, and `typing` where that is needed anyway, as imported."""
    words = " ".join(texts)
    found = [module for module in _MODULES if f"{module}." in words]
    return tuple(sorted([*found, "typing as t"] if typing else found))


def _user_type_class(name: str, rows: Container[str]) -> str:
    made = table_class(name)
    return f"{made}Type" if made in rows else made


def _user_type_constant(name: str) -> str:
    return f"{identifier(name, 'u')}_type"


def _fields_dict(made: str) -> str:
    return f"{made}Fields"


def _of_kind(fields: Fields, kind: ir.ColumnKind) -> Fields:
    return tuple(each for each in fields if each.column.kind == kind)


def _of_type(fields: Fields, *kinds: type[ir.Type]) -> Fields:
    return tuple(each for each in fields if isinstance(each.column.type, kinds))


def _key_text(table: ir.CqlTable | ir.CqlView) -> str:
    first = ", ".join(table.partition_key)
    parts = (f"({first})" if len(table.partition_key) > 1 else first, *table.clustering)
    return f"({', '.join(parts)})"


def _amounts(row: str, of: str, fields: Fields) -> DictView:
    method = f"{row}Dao.increment{'_static' if of else ''}"
    items = tuple((each.name, "int") for each in fields)
    return DictView(f"{row}{of}Amounts", f"What `{method}` takes.", items)


def _update(row: str, of: str, fields: Fields) -> UpdateView:
    name = f"{row}{of}Update"
    lists, sets, maps = (_of_type(fields, kind) for kind in (ir.List, ir.Set, ir.Map))
    dicts = [_dict(row, of, "Values", f"What `{name}.set` takes.", [(each, each.python) for each in fields])]
    parts: list[PartsView] = []

    def add(suffix: str, items: list[tuple[FieldView, str]], **methods: str) -> None:
        if items:
            ways = " and ".join(f"`{name}.{method}`" for method in methods)
            made = _dict(row, of, suffix, f"What {ways} {'take' if len(methods) > 1 else 'takes'}.", items)
            dicts.append(made)
            parts.extend(PartsView(method, suffix.lower(), made.name, text) for method, text in methods.items())

    add(
        "Lists",
        [(each, each.python) for each in lists],
        append="Add items behind those of lists.",
        prepend="Add items before those of lists, in their order.",
    )
    add("Sets", [(each, each.python) for each in sets], add="Add elements to sets.")
    add("Maps", [(each, each.python) for each in maps], put="Put entries into maps; `cql.NULL` deletes one.")
    add(
        "Items",
        [(each, f"dict[int, {each.item}]") for each in lists],
        put_at="Replace items of lists by their index, from 0; `cql.NULL` takes one out.",
    )
    removed = (
        (lists, "items from lists wherever they are"),
        (sets, "elements from sets"),
        (maps, "entries from maps by their keys"),
    )
    discarded = [(each, each.python) for each in (*lists, *sets)]
    discarded += [(each, f"set[{each.item}]") for each in maps]
    add(
        "Parts",
        discarded,
        discard=f"Remove {', '.join(text for each, text in removed if each)}.",
    )
    what = "static columns of a partition" if of else "a row, which it makes where there is none"
    structs = tuple(StructView(each, _fields_dict(each.python)) for each in _of_type(fields, ir.UserDefined))
    return UpdateView(name, f"A change of {what}.", tuple(dicts), tuple(parts), structs)


def _dict(row: str, of: str, suffix: str, summary: str, items: Sequence[tuple[FieldView, str]]) -> DictView:
    return DictView(f"{row}{of}{suffix}", summary, tuple((each.name, python) for each, python in items))
