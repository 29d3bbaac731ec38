"""Makes a table of its elements: columns by their place in the key, checked as Cassandra 5.0 checks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from generators import ir
from generators.cql_options import Options
from generators.cql_reader import Refuse
from generators.cql_types import TypeUse, holds_duration, is_multi_cell
from generators.sql_directives import ColumnRules
from generators.sql_scanner import Refused, Source, Token


@dataclass(frozen=True, slots=True)
class KeyClause:
    start: int
    partition: tuple[Token, ...]
    clustering: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class ColumnDraft:
    """`uses` are the user-defined types that its type names."""

    name: Token
    type: ir.Type
    type_start: int
    uses: tuple[TypeUse, ...]
    static: int | None = None  # where it says so
    primary: int | None = None
    rules: ColumnRules = field(default_factory=ColumnRules)
    comment: str = ""


@dataclass(slots=True)
class TableDraft:
    """A table as its statement has it. `broken` names refused columns: keys on them are not refused as well."""

    name: Token
    columns: list[ColumnDraft] = field(default_factory=list[ColumnDraft])
    keys: list[KeyClause] = field(default_factory=list[KeyClause])
    options: Options = field(default_factory=Options)
    broken: set[str] = field(default_factory=set[str])
    is_broken: bool = False
    comment: str = ""


def make_table(
    draft: TableDraft, types: Mapping[str, ir.UserType], source: Source, refuse: Refuse
) -> ir.CqlTable | None:
    """The table of a draft, without its indexes; what is wrong with it goes to `refuse`, and None is given where that
    leaves no table.
    """
    return _TableMaker(draft, types, source, refuse).make()


class _TableMaker:
    def __init__(self, draft: TableDraft, types: Mapping[str, ir.UserType], source: Source, refuse: Refuse) -> None:
        self.draft = draft
        self.name = draft.name.value
        self.types = types
        self.source = source
        self.refuse = refuse
        self.columns = {column.name.value: column for column in draft.columns}

    def make(self) -> ir.CqlTable | None:
        for column in self.draft.columns:
            self._check_type(column)
        key = self._key()
        if key is None:
            return None
        partition, clustering = _values(key.partition), _values(key.clustering)
        descending = descending_columns(self.draft.options.order, clustering, self.draft.broken, self.refuse)
        self._check_counters(partition + clustering)
        self._check_static(clustering)
        self._check_former_names()
        columns = tuple(
            ir.CqlColumn(
                name=column.name.value,
                type=column.type,
                kind=_kind(column, partition, clustering),
                position=self.source.position(column.name.start),
                descending=column.name.value in descending,
                enum=column.rules.enum,
                renamed_from=column.rules.renamed_from,
                comment=column.comment,
            )
            for column in self.draft.columns
        )
        options = self.draft.options
        place = self.source.position(self.draft.name.start)
        comment = options.comment or self.draft.comment
        return ir.CqlTable(self.name, columns, partition, clustering, place, options=options.kept, comment=comment)

    def _check_type(self, column: ColumnDraft) -> None:
        found = column.type
        if not isinstance(found, ir.UserDefined) or found.name not in self.types:
            return
        for each in self.types[found.name].fields:
            if is_multi_cell(each.type):
                text = (
                    f"`{column.name.value}` must be frozen, for field `{each.name}` of its type is a collection that "
                    f"is not: write frozen<{column.uses[0].name.text}>"
                )
                self.refuse(Refused(column.type_start, "bad-type", text))
                return

    # the key

    def _key(self) -> KeyClause | None:
        """The primary key, or None where it is refused."""
        inline = [
            KeyClause(column.primary, (column.name,), ()) for column in self.draft.columns if column.primary is not None
        ]
        clauses = [*inline, *self.draft.keys]
        if not clauses:
            if not self.draft.is_broken:
                text = f"`{self.name}` has no primary key: write PRIMARY KEY (…)"
                self.refuse(Refused(self.draft.name.start, "bad-key", text))
            return None
        for clause in clauses[1:]:
            text = f"`{self.name}` has a primary key already: keep one"
            self.refuse(Refused(clause.start, "multiple-primary-keys", text))
        clause = clauses[0]
        seen: set[str] = set()
        sound = True
        for token in (*clause.partition, *clause.clustering):
            refused = self._key_fault(token, seen)
            if refused is not None:
                self.refuse(refused)
            sound = sound and refused is None and token.value not in self.draft.broken
            seen.add(token.value)
        return clause if sound else None

    def _key_fault(self, token: Token, seen: set[str]) -> Refused | None:
        name = token.value
        if name in self.draft.broken:
            return None
        column = self.columns.get(name)
        if column is None:
            return Refused(token.start, "unknown-column", f"`{self.name}` has no column `{name}`, which its key names")
        if name in seen:
            return Refused(token.start, "bad-key", f"the primary key has column `{name}` twice: keep one")
        if column.static is not None:
            return Refused(column.static, "bad-key", f"`{name}` is part of the primary key, so it can't be static")
        if is_multi_cell(column.type):
            text = f"`{name}` is part of the primary key, so its type must be frozen: write frozen<…>"
            return Refused(token.start, "bad-key", text)
        if isinstance(column.type, ir.Counter):
            return Refused(token.start, "bad-key", f"`{name}` is a counter, which can't be part of the primary key")
        if holds_duration(column.type, self.types):
            text = f"`{name}` holds a duration, which has no order, so it can't be part of the primary key"
            return Refused(token.start, "bad-key", text)
        return None

    # columns

    def _check_counters(self, key: Sequence[str]) -> None:
        others = [column for column in self.draft.columns if column.name.value not in key]
        counters = [column for column in others if isinstance(column.type, ir.Counter)]
        if not counters:
            return
        for column in others:
            if column not in counters:
                text = (
                    f"`{column.name.value}` stands beside counter `{counters[0].name.value}`: a table of counters has "
                    f"nothing else outside its key"
                )
                self.refuse(Refused(column.name.start, "bad-column", text))
        if self.draft.options.values.get("default_time_to_live"):
            place = self.draft.options.places["default_time_to_live"]
            self.refuse(Refused(place, "bad-option", "counters don't expire: leave default_time_to_live out"))

    def _check_static(self, clustering: Sequence[str]) -> None:
        for column in self.draft.columns:
            if column.static is not None and not clustering:
                text = f"`{column.name.value}` can't be static, for `{self.name}` has no clustering column"
                self.refuse(Refused(column.static, "bad-column", text))

    def _check_former_names(self) -> None:
        seen: set[str] = set()
        for column in self.draft.columns:
            old = column.rules.renamed_from
            if old is None:
                continue
            if old in self.columns or old in seen:
                text = f"`{column.name.value}` can't be renamed from `{old}`, which is another column's name"
                self.refuse(Refused(column.name.start, "bad-directive", text))
            seen.add(old)


def _values(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.value for token in tokens)


def _kind(column: ColumnDraft, partition: Sequence[str], clustering: Sequence[str]) -> ir.ColumnKind:
    if column.name.value in partition:
        return "partition"
    if column.name.value in clustering:
        return "clustering"
    return "static" if column.static is not None else "regular"


def descending_columns(
    order: Sequence[tuple[Token, bool]], clustering: Sequence[str], broken: set[str], refuse: Refuse
) -> set[str]:
    """The clustering columns that CLUSTERING ORDER BY turns around; the order names them from the first, in order."""
    for place, (token, _) in enumerate(order):
        name = token.value
        if name in broken:
            return set()
        if name not in clustering:
            text = f"CLUSTERING ORDER names `{name}`, which is no clustering column"
        elif any(name == other.value for other, _ in order[:place]):
            text = f"CLUSTERING ORDER names `{name}` twice: keep one"
        elif name != clustering[place]:
            text = f"CLUSTERING ORDER names `{name}` where `{clustering[place]}` comes first: keep the key's order"
        else:
            continue
        refuse(Refused(token.start, "bad-key", text))
        return set()
    return {token.value for token, down in order if down}
