"""Reads CREATE MATERIALIZED VIEW and makes the view from its base table, checked as Cassandra 5.0 checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from generators import ir
from generators.cql_options import Options, read_table_options
from generators.cql_reader import CqlReader
from generators.cql_tables import KeyClause, descending_columns
from generators.cql_types import holds_duration, is_multi_cell
from generators.sql_scanner import Refused, Source, Token

_OPERATORS = ("<=", ">=", "!=", "=", "<", ">")


@dataclass(frozen=True, slots=True)
class ViewDraft:
    """A view as its statement has it; no `columns` for SELECT *."""

    name: Token
    base: Token
    columns: tuple[Token, ...]
    not_null: tuple[Token, ...]
    filters: tuple[tuple[Token, str, str], ...]
    key: KeyClause
    options: Options
    comment: str = ""


def read_view(
    reader: CqlReader, table_name: Callable[[], Token], note: Callable[[int, str], None], comment: str
) -> ViewDraft:
    """What follows CREATE MATERIALIZED VIEW; `table_name` takes a name, with or without its keyspace.

    Raises Refused.
    """
    reader.accept("IF", "NOT", "EXISTS")
    name = table_name()
    reader.expect("AS")
    reader.expect("SELECT")
    columns = _selected(reader)
    reader.expect("FROM")
    base = table_name()
    not_null: list[Token] = []
    filters: list[tuple[Token, str, str]] = []
    reader.expect("WHERE")
    _condition(reader, not_null, filters)
    while reader.accept("AND"):
        _condition(reader, not_null, filters)
    if not reader.sees("PRIMARY", "KEY"):
        raise reader.unexpected("PRIMARY KEY")
    key = read_key(reader)
    options = read_table_options(reader, note)
    return ViewDraft(name, base, columns, tuple(not_null), tuple(filters), key, options, comment)


def read_key(reader: CqlReader) -> KeyClause:
    """`PRIMARY KEY ((a, b), c)`. Raises Refused."""
    start = reader.here
    reader.expect("PRIMARY", "KEY")
    reader.expect_symbol("(")
    token = reader.peek()
    several = token is not None and token.is_symbol("(")
    partition = reader.names("a column") if several else [reader.name("a column")]
    clustering: list[Token] = []
    while reader.accept_symbol(","):
        clustering.append(reader.name("a column"))
    reader.expect_symbol(")")
    return KeyClause(start, tuple(partition), tuple(clustering))


def _selected(reader: CqlReader) -> tuple[Token, ...]:
    if reader.accept_symbol("*"):
        return ()
    found = [_column(reader)]
    while reader.accept_symbol(","):
        found.append(_column(reader))
    return tuple(found)


def _column(reader: CqlReader) -> Token:
    name = reader.name("a column")
    if reader.sees("AS") or not (reader.sees("FROM") or _is_comma(reader.peek())):
        raise Refused(name.start, "bad-view", "a view selects columns by their names, without AS and functions")
    return name


def _is_comma(token: Token | None) -> bool:
    return token is not None and token.is_symbol(",")


def _condition(reader: CqlReader, not_null: list[Token], filters: list[tuple[Token, str, str]]) -> None:
    token = reader.peek()
    if reader.sees("TOKEN") or token is None or token.is_symbol("("):
        raise Refused(reader.here, "unsupported", "a condition on several columns: write one for each column")
    name = reader.name("a column")
    if reader.accept("IS", "NOT", "NULL"):
        not_null.append(name)
        return
    if reader.accept("IN"):
        filters.append((name, "IN", _list(reader)))
        return
    operator = _operator(reader)
    filters.append((name, operator, _literal(reader)))


def _operator(reader: CqlReader) -> str:
    signs = "".join(token.text for token in (reader.peek(), reader.peek(1)) if token is not None)
    operator = next((each for each in _OPERATORS if signs.startswith(each)), None)
    if operator is None or operator == "!=":
        raise reader.unexpected("IS NOT NULL, IN or one of = < > <= >=")
    reader.at += len(operator)
    return operator


def _list(reader: CqlReader) -> str:
    reader.expect_symbol("(")
    found = [_literal(reader)]
    while reader.accept_symbol(","):
        found.append(_literal(reader))
    reader.expect_symbol(")")
    return f"({', '.join(found)})"


def _literal(reader: CqlReader) -> str:
    """A constant, in the one spelling that the IR keeps."""
    token = reader.constant("a constant")
    if token.kind != "string":
        return token.text.lower()
    if "'" in token.value:
        text = f"{token.shown} in a view: Cassandra keeps the quote unescaped: use a text without one"
        raise Refused(token.start, "bad-view", text)
    return f"'{token.value}'"


def make_view(
    draft: ViewDraft, base: ir.CqlTable, types: Mapping[str, ir.UserType], source: Source, broken: set[str]
) -> ir.CqlView | None:
    """The view of a draft, or None where it stands on a `broken` column. Raises Refused."""
    named = (*draft.columns, *draft.key.partition, *draft.key.clustering, *draft.not_null)
    if any(token.value in broken for token in (*named, *(token for token, _, _ in draft.filters))):
        return None
    return _ViewMaker(draft, base, types, source).make()


class _ViewMaker:
    def __init__(self, draft: ViewDraft, base: ir.CqlTable, types: Mapping[str, ir.UserType], source: Source) -> None:
        self.draft = draft
        self.base = base
        self.types = types
        self.source = source
        self.name = draft.name.value
        self.selected = [token.value for token in draft.columns] or [column.name for column in base.columns]
        self.partition = tuple(token.value for token in draft.key.partition)
        self.clustering = tuple(token.value for token in draft.key.clustering)

    def make(self) -> ir.CqlView:
        self._check_base()
        self._check_selected()
        for token in (*self.draft.key.partition, *self.draft.key.clustering):
            self._check_key_column(token)
        self._check_key()
        self._check_conditions()
        descending = self._descending()
        options = self.draft.options
        if "default_time_to_live" in options.values:
            place = options.places["default_time_to_live"]
            text = "rows of a view expire with those of its base: leave default_time_to_live out"
            raise Refused(place, "bad-option", text)
        return ir.CqlView(
            name=self.name,
            base=self.base.name,
            columns=tuple(self._column(name, descending) for name in self.selected),
            partition_key=self.partition,
            clustering=self.clustering,
            not_null=tuple(token.value for token in self.draft.not_null),
            position=self.source.position(self.draft.name.start),
            filters=tuple((token.value, operator, literal) for token, operator, literal in self.draft.filters),
            selects_all=not self.draft.columns,
            options=options.kept,
            comment=options.comment or self.draft.comment,
        )

    def _check_base(self) -> None:
        base, start = self.base, self.draft.base.start
        if base.is_counter:
            text = f"`{base.name}` holds counters, and a table of counters can't have a view"
            raise Refused(start, "bad-view", text)
        if dict(base.options).get("gc_grace_seconds") == 0:
            text = f"`{base.name}` has gc_grace_seconds = 0, with which a view loses updates: raise it"
            raise Refused(start, "bad-view", text)

    def _check_selected(self) -> None:
        for place, token in enumerate(self.draft.columns):
            self._base_column(token)
            if token.value in self.selected[:place]:
                raise Refused(token.start, "duplicate-column", f"view `{self.name}` selects `{token.value}` twice")
        for column in self.base.columns:
            if column.kind == "static" and column.name in self.selected:
                text = (
                    f"`{column.name}` of `{self.base.name}` is static, which no view holds: select the others by name"
                )
                raise Refused(self._place(column.name), "bad-view", text)

    def _place(self, column: str) -> int:
        """Where the view names a column; SELECT * names them all at once."""
        places = (token.start for token in self.draft.columns if token.value == column)
        return next(places, self.draft.name.start)

    def _base_column(self, token: Token) -> ir.CqlColumn:
        try:
            return self.base.column(token.value)
        except KeyError:
            text = f"`{self.base.name}` has no column `{token.value}`, which view `{self.name}` names"
            raise Refused(token.start, "unknown-column", text) from None

    def _check_key_column(self, token: Token) -> None:
        column = self._base_column(token)
        name = column.name
        if name not in self.selected:
            text = f"view `{self.name}` has `{name}` in its key, so it must select it"
            raise Refused(token.start, "bad-view", text)
        if (self.partition + self.clustering).count(name) > 1:
            raise Refused(token.start, "bad-key", f"the primary key has column `{name}` twice: keep one")
        if is_multi_cell(column.type):
            text = f"`{name}` is part of the view's key, so its type must be frozen"
            raise Refused(token.start, "bad-key", text)
        if holds_duration(column.type, self.types):
            text = f"`{name}` holds a duration, which has no order, so it can't be part of the view's key"
            raise Refused(token.start, "bad-key", text)

    def _check_key(self) -> None:
        start = self.draft.key.start
        own, of_base = self.partition + self.clustering, self.base.partition_key + self.base.clustering
        missing = next((name for name in of_base if name not in own), None)
        if missing is not None:
            text = f"`{missing}` of the key of `{self.base.name}` must be in the key of view `{self.name}` too"
            raise Refused(start, "bad-view", text)
        others = [name for name in own if name not in of_base]
        if len(others) > 1:
            text = f"view `{self.name}` adds `{others[0]}` and `{others[1]}` to the key of its base: one is the most"
            raise Refused(start, "bad-view", text)

    def _check_conditions(self) -> None:
        filtered = [token for token, _, _ in self.draft.filters]
        for token in (*self.draft.not_null, *filtered):
            self._base_column(token)
        of_base = self.base.partition_key + self.base.clustering
        for token in filtered:
            if token.value not in of_base:
                text = f"`{token.value}` is not in the key of `{self.base.name}`, so it can only be IS NOT NULL"
                raise Refused(token.start, "bad-view", text)
        key = self.partition + self.clustering
        known = {token.value for token in (*self.draft.not_null, *filtered)}
        for name in key:
            if name not in known:
                text = f"view `{self.name}` has `{name}` in its key: write {name} IS NOT NULL"
                raise Refused(self.draft.key.start, "bad-view", text)

    def _descending(self) -> set[str]:
        """Which clustering columns are turned around: those of the base where the view has no order of its own."""
        order = self.draft.options.order
        if not order:
            return {name for name in self.clustering if self.base.column(name).descending}
        found: list[Refused] = []
        descending = descending_columns(order, self.clustering, set(), found.append)
        if found:
            raise found[0]
        if len(order) < len(self.clustering):
            text = f"CLUSTERING ORDER of a view names all its clustering columns: add `{self.clustering[len(order)]}`"
            raise Refused(order[-1][0].start, "bad-key", text)
        return descending

    def _column(self, name: str, descending: set[str]) -> ir.CqlColumn:
        column = self.base.column(name)
        kind: ir.ColumnKind = "regular"
        if name in self.partition:
            kind = "partition"
        elif name in self.clustering:
            kind = "clustering"
        return replace(
            column,
            kind=kind,
            position=self.source.position(self._place(name)),
            descending=name in descending,
            renamed_from=None,
        )
