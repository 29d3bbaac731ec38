"""What a table or view of a keyspace becomes in Python: its row's fields, and the methods that its key makes legal.

Made from the IR for the templates, which print it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generators import ir
from generators.cql_constants import python_constant
from generators.cql_python import Classes, annotation, constructor, user_types
from generators.python_names import cql_column, finder, identifier, table_class, table_module
from generators.sql_walker import docstring

# Of which 'sai' finds equal values alone (Cassandra 5.0: IndexTermType.EQ_ONLY_TYPES and what it calls literals).
_SAI_EQUAL_ONLY = (ir.Ascii, ir.Text, ir.Bool, ir.Tuple, ir.Frozen, ir.Vector)

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
            return f"msgspec.field(default_factory={self.python.partition('[')[0]})"
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
    return f"({', '.join(each.name for each in fields)},)"


def key_type(fields: Fields) -> str:
    return f"tuple[{', '.join(each.python for each in fields)}]"


@dataclass(frozen=True, slots=True)
class RangeView:
    """One legal way to cut a slice out of a partition: equal in the first clustering columns, a range in the rest."""

    partition: Fields
    prefix: Fields
    rest: Fields

    @property
    def parameters(self) -> str:
        return parameters(self.partition + self.prefix)

    @property
    def bound(self) -> str:
        """The type of a bound: a value of the first column of the rest, or a tuple of the first few."""
        first = self.rest[0].python
        if len(self.rest) == 1:
            return first
        # A tuple may be the value itself: then only tuples of columns tell what is meant.
        ways = [] if first.startswith("tuple[") else [first]
        ways += [key_type(self.rest[:count]) for count in range(1, len(self.rest) + 1)]
        return " | ".join(ways)


@dataclass(frozen=True, slots=True)
class FinderView:
    """A finder of a secondary index. `way` says what is compared: the runtime's name for it."""

    name: str
    field: FieldView
    way: str  # equal, range, contains, key, entry, nearest
    parameters: tuple[tuple[str, str], ...]  # name and type
    index: str
    origin: str  # INDEX item_by_tag ON item (values(tags))


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
    """A user-defined type that is not frozen, whose fields an update sets one by one."""

    field: FieldView
    made: str  # the class


@dataclass(frozen=True, slots=True)
class UpdateView:
    """A class of updates: of the columns of rows, or of the static ones of partitions."""

    name: str  # MessageUpdate
    summary: str
    fields: Fields
    dicts: tuple[DictView, ...]
    parts: tuple[PartsView, ...]
    structs: tuple[StructView, ...]


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
    ranges: tuple[RangeView, ...]
    finders: tuple[FinderView, ...]
    update: UpdateView | None
    static_update: UpdateView | None
    amounts: DictView | None  # what `increment` takes
    static_amounts: DictView | None
    base: BaseView | None
    classes: tuple[str, ...]  # of user-defined types, whose modules it needs
    modules: tuple[str, ...]  # of Python's own
    options: tuple[tuple[str, int], ...]

    @property
    def key(self) -> Fields:
        return self.partition + self.clustering

    @property
    def is_view(self) -> bool:
        return self.base is not None

    @property
    def is_counter(self) -> bool:
        return isinstance(self.table, ir.CqlTable) and self.table.is_counter

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
    def indexes(self) -> tuple[ir.CqlIndex, ...]:
        return self.table.indexes if isinstance(self.table, ir.CqlTable) else ()

    @property
    def updates(self) -> tuple[UpdateView, ...]:
        return tuple(each for each in (self.update, self.static_update) if each is not None)

    @property
    def dicts(self) -> tuple[DictView, ...]:
        amounts = (each for each in (self.amounts, self.static_amounts) if each is not None)
        return (*(each for update in self.updates for each in update.dicts), *amounts)

    @property
    def field_dicts(self) -> tuple[str, ...]:
        """The TypedDicts of the fields of user-defined types, whose home is the module of the types."""
        made = {struct.made for update in self.updates for struct in update.structs}
        return tuple(f"{each}Fields" for each in sorted(made))

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


class TableViews:
    """Makes the views of the tables of one keyspace."""

    def __init__(self, keyspace: ir.Keyspace) -> None:
        self.keyspace = keyspace
        self.classes: Classes = {made.name: table_class(made.name) for made in keyspace.types}

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
            way, parameters = self._way(index, column)
            yield FinderView(
                name=finder_name(table, index, way),
                field=self._field(column),
                way=way,
                parameters=tuple(parameters),
                index=index.name,
                origin=docstring(f"{'CUSTOM ' if index.custom else ''}INDEX {index.name} ON {table.name} ({held})"),
            )

    def _way(self, index: ir.CqlIndex, column: ir.CqlColumn) -> tuple[str, list[tuple[str, str]]]:
        """What a finder compares, and the parameters that say with what."""
        name, kind = cql_column(column.name), column.type
        match index.target, kind:
            case "keys", ir.Map(key, _):
                return "contains key", [("key", self._python(key, hashed=True))]
            case "entries", ir.Map(key, value):
                return "entry", [("key", self._python(key, hashed=True)), ("value", self._python(value))]
            case "values", ir.List(item) | ir.Map(_, item):
                return "contains", [("value", self._python(item))]
            case "values", ir.Set(item):
                return "contains", [("value", self._python(item, hashed=True))]
            case _ if index.is_sai and isinstance(kind, ir.Vector):
                return "nearest", [(name, self._python(kind))]
            case _ if index.is_sai and not is_equal_only(kind):
                return "range", [(name, self._field(column).python)]
            case _:
                return "equal", [(name, self._field(column).python)]

    def _field(self, column: ir.CqlColumn) -> FieldView:
        made = constructor(column.type, self.classes)
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
        words = " ".join((*(each.python for each in fields), *constants))
        used = {name for each in table.columns for name in user_types(each.type)}
        return TableView(
            keyspace=self.keyspace.name,
            table=table,
            module=table_module(table.name),
            row=table_class(table.name),
            fields=fields,
            partition=partition,
            clustering=clustering,
            origin=docstring(f"PRIMARY KEY {_key_text(table)}"),
            ranges=tuple(
                RangeView(partition, clustering[:count], clustering[count:]) for count in range(len(clustering))
            ),
            finders=finders,
            update=update,
            static_update=static_update,
            amounts=amounts,
            static_amounts=static_amounts,
            base=base,
            classes=tuple(sorted(self.classes[name] for name in used)),
            modules=tuple(module for module in _MODULES if f"{module}." in words),
            options=options,
        )


def is_equal_only(kind: ir.Type) -> bool:
    """Whether an index of 'sai' finds only what equals a value of this type."""
    return isinstance(kind, _SAI_EQUAL_ONLY) or kind == ir.Uuid()


def finder_name(table: ir.CqlTable, index: ir.CqlIndex, way: str) -> str:
    """`by_…` after the index, `nearest_…` after the column of vectors."""
    if way == "nearest":
        return identifier(f"nearest_{index.column}", "nearest")
    return finder(table.name, index.name, [cql_column(index.column)])


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
        prepend="Add items before those of lists, in the order given.",
    )
    add("Sets", [(each, each.python) for each in sets], add="Add elements to sets.")
    add("Maps", [(each, each.python) for each in maps], put="Write entries of maps.")
    add(
        "Items",
        [(each, f"dict[int, {each.item}]") for each in lists],
        put_at="Write items of lists by their index, from 0. Cassandra reads the list first.",
    )
    discarded = [(each, each.python) for each in (*lists, *sets)]
    discarded += [(each, f"set[{each.item}]") for each in maps]
    add(
        "Discards",
        discarded,
        discard="Remove items from lists wherever they are, elements from sets, entries from maps by their keys.",
    )
    what = "static columns of a partition" if of else "a row, which it makes where there is none"
    structs = tuple(StructView(each, each.python) for each in _of_type(fields, ir.UserDefined))
    return UpdateView(name, f"A change of {what}.", fields, tuple(dicts), tuple(parts), structs)


def _dict(row: str, of: str, suffix: str, summary: str, items: Sequence[tuple[FieldView, str]]) -> DictView:
    return DictView(f"{row}{of}{suffix}", summary, tuple((each.name, python) for each, python in items))
