"""Makes a table of its elements: names keys as MySQL does, and checks keys and constraints against the columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from generators import ir
from generators.sql_columns import ColumnElement
from generators.sql_directives import TableRules
from generators.sql_expression_types import value_type, without_collation
from generators.sql_expressions import BadExpression, columns_of, shown
from generators.sql_keys import CheckElement, ForeignKeyElement, KeyElement
from generators.sql_reader import MAX_NAME
from generators.sql_scanner import Refused, Source, Token

MAX_KEY_BYTES = 3_072  # of an InnoDB key in the DYNAMIC row format
MAX_KEY_PARTS = 16

Refuse = Callable[[Refused], None]


@dataclass(slots=True)
class TableDraft:
    """A table while its statements are read. `broken` names refused columns: keys on them are not refused as well."""

    name: Token
    columns: list[ColumnElement] = field(default_factory=list[ColumnElement])
    keys: list[KeyElement] = field(default_factory=list[KeyElement])
    foreign_keys: list[ForeignKeyElement] = field(default_factory=list[ForeignKeyElement])
    checks: list[CheckElement] = field(default_factory=list[CheckElement])
    broken: set[str] = field(default_factory=set[str])
    rules: TableRules = field(default_factory=TableRules)
    comment: str = ""

    def references(self) -> list[ForeignKeyElement]:
        """Every foreign key, first those that columns declare, as MariaDB numbers them."""
        inline = [element.reference for element in self.columns if element.reference is not None]
        return [*inline, *self.foreign_keys]


def hidden_column(key: str, part: int) -> str:
    """The name of the column that stands for an expression in a key: its `part`-th, counted from 0."""
    return f"{key[: MAX_NAME - 4]}#{part + 1}"


def make_table(draft: TableDraft, source: Source, refuse: Refuse) -> ir.Table:
    """The table of a draft; what is wrong with it goes to `refuse` and is left out."""
    return _TableMaker(draft, source, refuse).make()


class _OnBrokenColumn(Exception):
    """A key stands on a column that was refused already."""


class _TableMaker:
    def __init__(self, draft: TableDraft, source: Source, refuse: Refuse) -> None:
        self.draft = draft
        self.source = source
        self.refuse = refuse
        self.columns = {element.column.name.casefold(): element.column for element in draft.columns}

    def make(self) -> ir.Table:
        draft = self.draft
        if not draft.columns and not draft.broken:
            self.refuse(Refused(draft.name.start, "syntax", f"table `{draft.name.value}` has no columns"))
        # MySQL numbers unnamed keys in this order: those that columns declare, then the others.
        inline = [key for element in draft.columns for key in _inline_keys(element)]
        keys = self._keys([*inline, *draft.keys])
        primary_key = next((key for key in keys if key.name == "PRIMARY"), None)
        columns = tuple(self._column(element, primary_key) for element in draft.columns)
        self._check_auto_increment(keys)
        self._check_former_names()
        rules = draft.rules
        if rules.cache_note is not None and primary_key is None and not draft.broken:
            text = f"`cache` keeps rows by primary key, and `{draft.name.value}` has none: add one"
            self.refuse(Refused(rules.cache_note.start, "bad-directive", text))
        foreign_keys = [
            replace(element.foreign_key, name=element.name or f"{draft.name.value}_ibfk_{number}")
            for number, element in enumerate(draft.references(), 1)
        ]
        return ir.Table(
            name=draft.name.value,
            columns=columns,
            primary_key=primary_key,
            keys=tuple(key for key in keys if key.name != "PRIMARY"),
            foreign_keys=tuple(foreign_keys),
            position=self.source.position(draft.name.start),
            checks=tuple(self._checks(foreign_keys)),
            comment=draft.comment,
            cache=rules.cache,
            events=rules.events,
        )

    # keys

    def _keys(self, elements: Sequence[KeyElement]) -> list[ir.Key]:
        """The sound keys with their names."""
        taken = {element.name.casefold() for element in elements if element.name is not None} | {"primary"}
        given: set[str] = set()
        keys: list[ir.Key] = []
        for element in elements:
            name = element.name
            if name is None:
                name = _free_name(element.key.parts[0].column or "functional_index", taken)
            elif name.casefold() in given:
                self.refuse(self._second(element, name))
                continue
            taken.add(name.casefold())
            given.add(name.casefold())
            parts = self._parts(element, name)
            if parts is not None:
                keys.append(replace(element.key, name=name, parts=parts))
        return keys

    def _second(self, element: KeyElement, name: str) -> Refused:
        table = self.draft.name.value
        if element.primary:
            return Refused(element.place, "multiple-primary-keys", f"`{table}` has a primary key already: keep one")
        return Refused(element.place, "duplicate-key", f"`{table}` has a key `{name}` already: choose another name")

    def _parts(self, element: KeyElement, name: str) -> tuple[ir.KeyPart, ...] | None:
        """A key's parts with the columns' own spelling, or None when one is refused."""
        parts: list[ir.KeyPart] = []
        for part, place in zip(element.key.parts, element.places, strict=True):
            try:
                parts.append(self._part(element, name, part, place))
            except Refused as refused:
                self.refuse(refused)
            except _OnBrokenColumn:
                pass
        if len(parts) < len(element.places):
            return None
        try:
            self._check_key(element, name, parts)
        except Refused as refused:
            self.refuse(refused)
            return None
        return tuple(parts)

    def _part(self, element: KeyElement, name: str, part: ir.KeyPart, place: int) -> ir.KeyPart:
        if part.expression is not None:
            return self._expression_part(element, name, part.expression, place)
        assert part.column is not None
        column = self.columns.get(part.column.casefold())
        if column is None and part.column.casefold() in self.draft.broken:
            raise _OnBrokenColumn
        if column is None:
            text = f"`{self.draft.name.value}` has no column `{part.column}`, which key `{name}` names"
            raise Refused(place, "unknown-column", text)
        if isinstance(column.type, ir.Json):
            raise Refused(place, "bad-key", f"key `{name}`: `{column.name}` is JSON, which has no order to keep")
        if element.key.kind == "fulltext":
            if not isinstance(column.type, ir.Text):
                raise Refused(place, "bad-key", f"FULLTEXT key `{name}`: `{column.name}` is no text")
            return ir.KeyPart(column.name)
        return replace(part, column=column.name, prefix=_prefix(name, column, part.prefix, place))

    def _expression_part(self, element: KeyElement, name: str, expression: str, place: int) -> ir.KeyPart:
        if element.primary:
            raise Refused(place, "bad-key", "a primary key can't hold an expression: name its columns")
        if element.key.kind == "fulltext":
            raise Refused(place, "bad-key", f"FULLTEXT key `{name}` can't hold an expression: name its columns")
        self._check_expression(expression, place)
        if any(column.casefold() in self.draft.broken for column in columns_of(expression)):
            raise _OnBrokenColumn
        own = next(part for part, other in enumerate(element.places) if other == place)
        if hidden_column(name, own).casefold() in self.columns:
            text = (
                f"key `{name}` needs a column `{hidden_column(name, own)}` of its own, which the table has: rename it"
            )
            raise Refused(place, "bad-key", text)
        found = self._value_type(expression, place)
        written = shown(expression)
        if found is None or isinstance(found, ir.Json | ir.Choices):
            text = (
                f"key `{name}`: the type of `{written}` is not plain, and a key needs one: write CAST({written} AS …)"
            )
            raise Refused(place, "bad-key", text)
        if _is_long(found):
            text = f"key `{name}`: `{written}` may be as long as a TEXT or BLOB: write LEFT({written}, 100)"
            raise Refused(place, "missing-key-length", text)
        descending = element.key.parts[own].descending
        return ir.KeyPart(None, descending, expression=without_collation(expression), type=found)

    def _value_type(self, expression: str, place: int) -> ir.Type | None:
        try:
            return value_type(expression, {name: column.type for name, column in self.columns.items()})
        except BadExpression as error:
            raise Refused(place, "bad-expression", str(error)) from error

    def _check_key(self, element: KeyElement, name: str, parts: Sequence[ir.KeyPart]) -> None:
        names = [part.column for part in parts if part.column is not None]
        twice = next((column for column in names if names.count(column) > 1), None)
        if twice is not None:
            raise Refused(element.place, "bad-key", f"key `{name}` has column `{twice}` twice: keep one")
        if len(parts) > MAX_KEY_PARTS:
            text = f"key `{name}` has {len(parts)} columns, but {MAX_KEY_PARTS} is the most"
            raise Refused(element.place, "bad-key", text)
        size = sum(self._size(part) for part in parts)
        if element.key.kind == "btree" and size > MAX_KEY_BYTES:
            text = f"key `{name}` takes up to {size} bytes, but {MAX_KEY_BYTES} is the most: give prefix lengths"
            raise Refused(element.place, "key-too-long", text)

    def _size(self, part: ir.KeyPart) -> int:
        """The most bytes that a key part takes; 8 stands for what is short anyway."""
        column = self.columns.get((part.column or "").casefold())
        kind = part.type if column is None else column.type
        if not isinstance(kind, ir.Text | ir.Bytes):
            return 8
        length = part.prefix or kind.max_length or 0
        return length * 4 if isinstance(kind, ir.Text) else length

    def _check_expression(self, expression: str, place: int) -> None:
        for name in columns_of(expression):
            if name.casefold() not in self.columns and name.casefold() not in self.draft.broken:
                text = f"`{self.draft.name.value}` has no column `{name}`, which an expression reads"
                raise Refused(place, "unknown-column", text)

    # constraints

    def _checks(self, foreign_keys: Sequence[ir.ForeignKey]) -> list[ir.Check]:
        """The sound CHECKs with their names: those that columns declare, then the others."""
        elements = [check for element in self.draft.columns for check in element.checks] + self.draft.checks
        taken = {key.name.casefold() for key in foreign_keys}
        taken |= {element.name.casefold() for element in elements if element.name is not None}
        given = {key.name.casefold() for key in foreign_keys}
        checks: list[ir.Check] = []
        for element in elements:
            name = element.name or _numbered(f"{self.draft.name.value[: MAX_NAME - 8]}_chk", taken)
            try:
                self._check_check(element, name, given, foreign_keys)
            except Refused as refused:
                self.refuse(refused)
                continue
            taken.add(name.casefold())
            given.add(name.casefold())
            if element.enforced:
                checks.append(replace(element.check, name=name))
        return checks

    def _check_check(
        self, element: CheckElement, name: str, given: set[str], foreign_keys: Sequence[ir.ForeignKey]
    ) -> None:
        if name.casefold() in given:
            text = f"`{self.draft.name.value}` has a constraint `{name}` already: choose another name"
            raise Refused(element.place, "duplicate-constraint", text)
        self._check_expression(element.check.expression, element.place)
        read = {column.casefold() for column in columns_of(element.check.expression)}
        for column in self.draft.columns:
            if column.column.auto_increment and column.column.name.casefold() in read:
                text = f"CHECK `{name}` reads `{column.column.name}`, which is AUTO_INCREMENT: no engine takes that"
                raise Refused(element.place, "bad-check", text)
        for key in foreign_keys:
            changed = next((column for column in key.columns if column.casefold() in read), None)
            if changed is not None and ("SET NULL" in (key.on_delete, key.on_update) or key.on_update == "CASCADE"):
                text = f"CHECK `{name}` reads `{changed}`, which foreign key `{key.name}` changes: no engine takes both"
                raise Refused(element.place, "bad-check", text)

    # columns

    def _column(self, element: ColumnElement, primary_key: ir.Key | None) -> ir.Column:
        """The column as its keys make it: those of the primary key, and the counted one, are NOT NULL."""
        column = element.column
        if column.generated is not None:
            try:
                self._check_expression(column.generated, element.place)
            except Refused as refused:
                self.refuse(refused)
        in_primary_key = primary_key is not None and any(part.column == column.name for part in primary_key.parts)
        if in_primary_key and (element.null or column.default == ir.Default()):
            text = f"`{column.name}` is part of the primary key, so it can't be NULL"
            self.refuse(Refused(element.place, "bad-key", text))
        return replace(column, nullable=False) if in_primary_key or column.auto_increment else column

    def _check_auto_increment(self, keys: Sequence[ir.Key]) -> None:
        auto = [element for element in self.draft.columns if element.column.auto_increment]
        for element in auto[1:]:
            text = f"`{element.column.name}` is the second AUTO_INCREMENT of `{self.draft.name.value}`: one is the most"
            self.refuse(Refused(element.place, "bad-key", text))
        leading = {key.parts[0].column for key in keys if key.kind == "btree"}
        if auto and auto[0].column.name not in leading:
            text = f"`{auto[0].column.name}` is AUTO_INCREMENT, so it must be the first column of a key"
            self.refuse(Refused(auto[0].place, "bad-key", text))

    def _check_former_names(self) -> None:
        seen: set[str] = set()
        for element in self.draft.columns:
            old = element.column.renamed_from
            if old is None:
                continue
            if old.casefold() in self.columns or old.casefold() in seen:
                text = f"`{element.column.name}` can't be renamed from `{old}`, which is another column's name"
                self.refuse(Refused(element.place, "bad-directive", text))
            seen.add(old.casefold())


def _inline_keys(element: ColumnElement) -> list[KeyElement]:
    key = ir.Key("", (ir.KeyPart(element.column.name),), element.column.position, unique=True)
    names = (["PRIMARY"] if element.primary else []) + ([None] if element.unique else [])
    return [KeyElement(key, name, element.place, (element.place,)) for name in names]


def _numbered(base: str, taken: set[str]) -> str:
    """MySQL's name for an unnamed CHECK: `post_chk_1`."""
    number = 1
    while f"{base}_{number}".casefold() in taken:
        number += 1
    return f"{base}_{number}"


def _free_name(base: str, taken: set[str]) -> str:
    """MySQL's name for an unnamed key: its first column's, or that with _2, _3, …"""
    name, number = base, 1
    while name.casefold() in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _prefix(key: str, column: ir.Column, prefix: int | None, place: int) -> int | None:
    """The prefix of a key's column, None where it is the whole column. Raises Refused."""
    if not isinstance(column.type, ir.Text | ir.Bytes):
        if prefix is not None:
            text = f"key `{key}`: a prefix of `{column.name}`, which is no text or binary column"
            raise Refused(place, "bad-key", text)
        return None
    long = _is_long(column.type)
    length = column.type.max_length
    if prefix is None and long:
        text = f"key `{key}`: `{column.name}` is a TEXT or BLOB, so give a prefix length like {column.name}(100)"
        raise Refused(place, "missing-key-length", text)
    if prefix is not None and length is not None and prefix > length:
        text = f"key `{key}`: a prefix of {prefix} is longer than `{column.name}` itself"
        raise Refused(place, "bad-key", text)
    return None if prefix == length and not long else prefix


def _is_long(kind: ir.Type) -> bool:
    """Whether a key takes a prefix of such values only."""
    if isinstance(kind, ir.Text):
        return kind.max_length is None
    return isinstance(kind, ir.Bytes) and kind.blob


# --- foreign keys ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one database, and the drafts they were made of by name in lower case."""

    tables: Sequence[ir.Table]
    drafts: Mapping[str, TableDraft]

    def find(self, name: str) -> ir.Table | None:
        return next((table for table in self.tables if table.name == name), None)


def resolve_reference(
    databases: Mapping[str, Tables], database: str, table: ir.Table, key: ir.ForeignKey, place: int
) -> ir.ForeignKey:
    """A foreign key of `database.table` with the columns' own spelling. Raises Refused for one that no engine takes."""
    home = key.target_database or database
    if home not in databases:
        text = f"a foreign key refers to database `{home}`, which no file declares"
        raise Refused(place, "unknown-table", text)
    target = databases[home].find(key.target_table)
    if target is None:
        where = f"file {home}.sql" if home != database else "this file"
        text = f"a foreign key refers to `{key.target_table}`, which is not declared in {where}"
        raise Refused(place, "unknown-table", text)
    ours, theirs = databases[database].drafts[table.name.casefold()], databases[home].drafts[target.name.casefold()]
    if _on_broken(ours, key.columns) or _on_broken(theirs, key.target_columns):
        return key
    found = replace(
        key,
        target_database=None if home == database else home,
        columns=tuple(_spelling(table, name, place) for name in key.columns),
        target_columns=tuple(_spelling(target, name, place) for name in key.target_columns),
    )
    _check_reference(table, target, found, place)
    return found


def _spelling(table: ir.Table, name: str, place: int) -> str:
    for column in table.columns:
        if column.name.casefold() == name.casefold():
            return column.name
    raise Refused(place, "unknown-column", f"`{table.name}` has no column `{name}`, which a foreign key names")


def _check_reference(table: ir.Table, target: ir.Table, key: ir.ForeignKey, place: int) -> None:
    for name, other in zip(key.columns, key.target_columns, strict=True):
        ours, theirs = table.column(name), target.column(other)
        if not _comparable(ours.type, theirs.type):
            text = f"`{name}` and `{target.name}.{other}` differ in type: a foreign key needs them equal"
            raise Refused(place, "bad-reference", text)
        if "SET NULL" in (key.on_delete, key.on_update) and not ours.nullable:
            text = f"SET NULL on `{name}`, which is NOT NULL: let it be NULL or choose another action"
            raise Refused(place, "bad-reference", text)
    if target_key(target, key.target_columns) is None:
        names = ", ".join(key.target_columns)
        text = f"`{target.name}` has no primary or unique key of just ({names}), which a foreign key needs"
        raise Refused(place, "bad-reference", text)


def target_key(target: ir.Table, columns: Sequence[str]) -> ir.Key | None:
    """The key that a foreign key refers to by these columns; the primary key before others."""
    keys = [*([target.primary_key] if target.primary_key else []), *target.keys]
    return next((key for key in keys if _is_unique_on(key, columns)), None)


def _on_broken(draft: TableDraft, names: Sequence[str]) -> bool:
    return any(name.casefold() in draft.broken for name in names)


def _comparable(ours: ir.Type, theirs: ir.Type) -> bool:
    if isinstance(ours, ir.Text) and isinstance(theirs, ir.Text):
        return ours.collation == theirs.collation
    if isinstance(ours, ir.Bytes) and isinstance(theirs, ir.Bytes):
        return True
    return ours == theirs


def _is_unique_on(key: ir.Key, columns: Sequence[str]) -> bool:
    whole = all(part.prefix is None for part in key.parts)
    return key.unique and whole and tuple(part.column for part in key.parts) == tuple(columns)
