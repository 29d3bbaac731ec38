"""Reads a folder of CQL DDL into the IR, one keyspace a file. Printing is `generators.cql_ddl`'s."""

from __future__ import annotations

import codecs
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from generators import ir
from generators.cql_indexes import IndexDraft, Indexes, read_index
from generators.cql_options import read_keyspace_options, read_table_options
from generators.cql_reader import MAX_KEYSPACE_NAME, CqlReader, split
from generators.cql_scanner import Comment, Statement, attached, scan
from generators.cql_tables import ColumnDraft, TableDraft, make_table
from generators.cql_types import MAX_DEPTH, TypeReader, TypeUse, is_plain_type_name, is_type_name, user_defined
from generators.cql_views import ViewDraft, make_view, read_key, read_view
from generators.diagnostics import Diagnostics, Position
from generators.sql_directives import ColumnRules, column_rules, misplaced
from generators.sql_scanner import Note, Refused, Source, Token

_OWN_KEYSPACES = ("system", "dse_system", "solr_admin")  # and system_…: the server's


def parse_keyspaces(folder: Path, shown: str, diagnostics: Diagnostics) -> tuple[ir.Keyspace, ...]:
    """Every `*.cql` file of the folder, in the order of their names; each holds one keyspace.

    `shown` is the folder's name in positions (`schema/cql`). Every error of every file goes to `diagnostics`; with
    errors there, the result is incomplete. A folder that does not exist has no keyspaces.
    """
    keyspaces: list[ir.Keyspace] = []
    files: dict[str, str] = {}
    for path in sorted(folder.glob("*.cql")):
        if path.name.startswith(".") or not path.is_file():
            continue  # an editor's, or a folder
        file = f"{shown}/{path.name}"
        keyspace = parse_keyspace(path.read_bytes(), path.stem, file, diagnostics)
        first = files.setdefault(keyspace.name, file)
        if first != file:
            text = f"keyspace `{keyspace.name}` is declared in {first} already: a keyspace is one file"
            diagnostics.error(Position(file, 1, 1), "duplicate-keyspace", text)
        keyspaces.append(keyspace)
    return tuple(keyspaces)


def parse_keyspace(data: bytes, stem: str, file: str, diagnostics: Diagnostics) -> ir.Keyspace:
    """One file's bytes; `stem` names the keyspace where nothing in the file does. `file` is its name in positions."""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        place = Source(file, before).position(len(before))
        diagnostics.error(place, "bad-encoding", f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8")
        text = ""
    reader = _KeyspaceReader(Source(file, text), diagnostics)
    for statement in scan(reader.source, diagnostics):
        reader.read(statement)
    return reader.keyspace(stem)


def _is_keyspace_name(stem: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]{0,47}", stem) is not None and not keyword.iskeyword(stem)


def _is_servers_own(name: str) -> bool:
    return name in _OWN_KEYSPACES or name.startswith("system_")


@dataclass(frozen=True, slots=True)
class _FieldDraft:
    name: Token
    type: ir.Type
    uses: tuple[TypeUse, ...]
    rules: ColumnRules
    comment: str


@dataclass(slots=True)
class _TypeDraft:
    name: Token
    fields: list[_FieldDraft] = field(default_factory=list[_FieldDraft])
    comment: str = ""


@dataclass(slots=True)
class _Body:
    """What stands between the parentheses of a statement: its elements, each with its directives and comments."""

    elements: list[list[Token]]
    notes: list[list[Note]]
    comments: list[str]
    comment: str  # of the whole: what stands behind the opening parenthesis


class _KeyspaceReader:
    def __init__(self, source: Source, diagnostics: Diagnostics) -> None:
        self.source = source
        self.diagnostics = diagnostics
        self.name: Token | None = None  # where the file names its keyspace first
        self.declared: int | None = None
        self.replication: tuple[tuple[str, str], ...] = ()
        self.durable_writes = True
        self.comment = ""
        self.types: dict[str, _TypeDraft] = {}
        self.tables: dict[str, TableDraft] = {}
        self.views: dict[str, ViewDraft] = {}
        self.indexes: list[IndexDraft] = []
        self.broken: set[str] = set()  # tables, views and types that were refused before they had a draft

    def read(self, statement: Statement) -> None:
        """One statement; what is refused goes to the diagnostics."""
        if not statement.tokens:
            self._refuse_notes(statement.notes, "the file ends here")
            return
        self._try(lambda: self._statement(statement))

    def refuse(self, refused: Refused) -> None:
        self.diagnostics.error(self.source.position(refused.offset), refused.code, refused.message)

    def note(self, offset: int, text: str) -> None:
        self.diagnostics.note(self.source.position(offset), text)

    def _refuse_notes(self, notes: Sequence[Note], place: str) -> None:
        for note in notes:
            self.refuse(_of_sql(note) or misplaced(note, place))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Refused as refused:
            self.refuse(refused)

    # statements

    def _statement(self, statement: Statement) -> None:
        reader = CqlReader(self.source, statement.tokens)
        comment = attached(self.source.text, statement.comments, reader.here)
        if reader.sees("CREATE", "TABLE|COLUMNFAMILY"):
            reader.at += 2
            self._create_table(reader, statement, comment)
            return
        if reader.accept("CREATE", "TYPE"):
            self._create_type(reader, statement, comment)
            return
        self._refuse_notes(statement.notes, "no table follows")
        if reader.accept("CREATE", "KEYSPACE|SCHEMA"):
            self._create_keyspace(reader, comment)
        elif reader.accept("USE"):
            self._claim(reader.plain_name("a keyspace", MAX_KEYSPACE_NAME))
            reader.done("USE")
        elif reader.sees("CREATE", "INDEX") or reader.sees("CREATE", "CUSTOM", "INDEX"):
            reader.at += 1
            self.indexes.append(read_index(reader, lambda: self._object_name(reader, "a table")))
        elif reader.accept("CREATE", "MATERIALIZED", "VIEW"):
            self._create_view(reader, comment)
        else:
            raise self._unsupported(reader)

    def _unsupported(self, reader: CqlReader) -> Refused:
        first = reader.tokens[0]
        if first.kind != "word":
            return Refused(first.start, "syntax", f"`{first.shown}` stands where a statement was expected")
        known = reader.sees("ALTER|CREATE|DROP")
        length = 4 if reader.sees("CREATE", "OR", "REPLACE") else 2 if known else 1
        opening = " ".join(token.shown.upper() for token in reader.tokens[:length])
        text = f"{opening} is not read: a file declares keyspaces, types, tables, indexes and views"
        return Refused(first.start, "unsupported", text)

    def _claim(self, name: Token) -> None:
        """Hold a keyspace's name to be the file's own. Raises Refused where the file has another."""
        if self.name is None:
            if _is_servers_own(name.value):
                text = f"keyspace `{name.value}` is the server's own: give yours another name"
                raise Refused(name.start, "bad-name", text)
            self.name = name
        elif name.value != self.name.value:
            text = f"keyspace `{name.value}` in the file of `{self.name.value}`: a file holds one keyspace"
            raise Refused(name.start, "unsupported", text)

    def _object_name(self, reader: CqlReader, what: str) -> Token:
        """The name of a table or view, with or without its keyspace."""
        return self._qualified(reader, what, lambda: reader.plain_name(what))

    def _qualified(self, reader: CqlReader, what: str, name: Callable[[], Token]) -> Token:
        following = reader.peek(1)
        if following is not None and following.is_symbol("."):
            self._claim(reader.plain_name("a keyspace", MAX_KEYSPACE_NAME))
            reader.expect_symbol(".")
        return name()

    def _create_keyspace(self, reader: CqlReader, comment: str) -> None:
        start = reader.here
        reader.accept("IF", "NOT", "EXISTS")
        name = reader.plain_name("a keyspace", MAX_KEYSPACE_NAME)
        self._claim(name)
        if self.declared is not None:
            text = f"keyspace `{name.value}` is declared already, at {self.source.position(self.declared)}"
            raise Refused(name.start, "duplicate-keyspace", text)
        self.declared = start
        self.comment = comment
        self.replication, self.durable_writes = read_keyspace_options(reader)

    def _create_table(self, reader: CqlReader, statement: Statement, comment: str) -> None:
        notes = list(statement.notes)
        reader.accept("IF", "NOT", "EXISTS")
        draft = TableDraft(self._object_name(reader, "a table"))
        self.broken.add(draft.name.value)
        if reader.sees("LIKE"):
            raise Refused(reader.here, "unsupported", "a table made from another one: write its columns out")
        body = self._body(reader, statement.comments, notes, "column")
        draft.comment = "\n".join(text for text in (comment, body.comment) if text)
        self._declare(draft)
        for tokens, of_element, text in zip(body.elements, body.notes, body.comments, strict=True):
            self._try(lambda t=tokens, n=of_element, c=text: self._element(draft, t, n, c))
        try:
            draft.options = read_table_options(reader, self.note)
        except Refused as refused:
            self.refuse(refused)

    def _declare(self, draft: TableDraft) -> None:
        self._check_free(draft.name, "table")
        self.tables[draft.name.value] = draft
        self.broken.discard(draft.name.value)

    def _check_free(self, name: Token, what: str) -> None:
        """Tables and views share their names."""
        first = self.tables.get(name.value) or self.views.get(name.value)
        if first is not None:
            place = self.source.position(first.name.start)
            raise Refused(name.start, "duplicate-table", f"{what} `{name.value}` is declared already, at {place}")

    def _element(self, draft: TableDraft, tokens: list[Token], notes: Sequence[Note], comment: str) -> None:
        reader = CqlReader(self.source, tokens)
        if reader.sees("PRIMARY", "KEY"):
            self._refuse_notes(notes, "a key stands here")
            try:
                draft.keys.append(read_key(reader))
            except Refused:
                draft.is_broken = True
                raise
            reader.done("the key")
            return
        try:
            self._column(draft, reader, notes, comment)
        except Refused:
            draft.broken.add(tokens[0].value)
            draft.is_broken = True
            raise

    def _column(self, draft: TableDraft, reader: CqlReader, notes: Sequence[Note], comment: str) -> None:
        rules = self._column_rules(notes)
        name = reader.name("a column")
        type_start = reader.here
        types = TypeReader(reader, self._claim)
        found = types.read()
        static, primary = self._static(reader), None
        if reader.sees("PRIMARY"):
            primary = reader.here
            reader.expect("PRIMARY", "KEY")
        if reader.sees("MASKED|CHECK"):
            what = "a mask" if reader.sees("MASKED") else "a CHECK"
            raise Refused(reader.here, "unsupported", f"{what} of a column is not supported: leave it out")
        reader.done("the column")
        if any(name.value == other.name.value for other in draft.columns):
            text = f"`{draft.name.value}` has a column `{name.value}` already"
            raise Refused(name.start, "duplicate-column", text)
        if rules.enum is not None and rules.note is not None and not isinstance(found, ir.Int):
            text = f"enum={rules.enum} needs an integer column, and `{name.value}` is none"
            self.refuse(Refused(rules.note.start, "bad-directive", text))
        uses = tuple(types.uses)
        draft.columns.append(ColumnDraft(name, found, type_start, uses, static, primary, rules, comment))

    def _static(self, reader: CqlReader) -> int | None:
        start = reader.here
        return start if reader.accept("STATIC") else None

    def _column_rules(self, notes: Sequence[Note]) -> ColumnRules:
        try:
            for note in notes:
                if (refused := _of_sql(note)) is not None:
                    raise refused
            return column_rules(notes)
        except Refused as refused:
            self.refuse(refused)
            return ColumnRules()

    def _create_type(self, reader: CqlReader, statement: Statement, comment: str) -> None:
        reader.accept("IF", "NOT", "EXISTS")
        name = self._qualified(reader, "a type", lambda: reader.name("a type"))
        self.broken.add(name.value)
        if not is_type_name(name.value):
            text = f"`{name.shown}` is a type of CQL, so no other can have that name"
            raise Refused(name.start, "bad-name", text)
        if name.kind == "word" and not is_plain_type_name(name.value):
            text = f'`{name.shown}` is a word that can\'t name a type without quotes: write "{name.value}"'
            raise Refused(name.start, "bad-name", text)
        draft = _TypeDraft(name)
        body = self._body(reader, statement.comments, statement.notes, "field")
        reader.done("`)`")
        draft.comment = "\n".join(text for text in (comment, body.comment) if text)
        if name.value in self.types:
            place = self.source.position(self.types[name.value].name.start)
            raise Refused(name.start, "duplicate-type", f"type `{name.value}` is declared already, at {place}")
        self.types[name.value] = draft
        self.broken.discard(name.value)
        for tokens, notes, text in zip(body.elements, body.notes, body.comments, strict=True):
            self._try(lambda t=tokens, n=notes, c=text: self._field(draft, t, n, c))
        self._check_former_names(draft)

    def _check_former_names(self, draft: _TypeDraft) -> None:
        seen = {each.name.value for each in draft.fields}
        for each in draft.fields:
            old = each.rules.renamed_from
            if old is None:
                continue
            if old in seen:
                text = f"`{each.name.value}` can't be renamed from `{old}`, which is another field's name"
                self.refuse(Refused(each.name.start, "bad-directive", text))
            seen.add(old)

    def _field(self, draft: _TypeDraft, tokens: list[Token], notes: Sequence[Note], comment: str) -> None:
        rules = self._column_rules(notes)
        if rules.enum is not None and rules.note is not None:
            text = f"enum={rules.enum} is for columns: a field of a type holds numbers"
            self.refuse(Refused(rules.note.start, "bad-directive", text))
        reader = CqlReader(self.source, tokens)
        name = reader.name("a field")
        start = reader.here
        types = TypeReader(reader, self._claim)
        found = types.read()
        reader.done("the field")
        if isinstance(found, ir.Counter):
            raise Refused(start, "bad-type", "a counter can't be in a type: it is a column of its own")
        if isinstance(found, ir.UserDefined):
            types.uses[-1] = replace(types.uses[-1], bare="type")
        if any(name.value == other.name.value for other in draft.fields):
            text = f"type `{draft.name.value}` has a field `{name.value}` already"
            raise Refused(name.start, "duplicate-field", text)
        draft.fields.append(_FieldDraft(name, found, tuple(types.uses), rules, comment))

    def _create_view(self, reader: CqlReader, comment: str) -> None:
        draft = read_view(reader, lambda: self._object_name(reader, "a table or view"), self.note, comment)
        self._check_free(draft.name, "view")
        self.views[draft.name.value] = draft

    # what stands between parentheses

    def _body(self, reader: CqlReader, comments: Sequence[Comment], notes: Sequence[Note], what: str) -> _Body:
        opening = reader.peek()
        tokens = reader.parenthesis()
        assert opening is not None
        closing = reader.tokens[reader.at - 1]
        elements = split(tokens)
        if not elements[0]:
            raise Refused((tokens or [closing])[0].start, "syntax", f"a {what} is missing here")
        elements = [element for element in elements if element]  # Cassandra takes a comma too many behind the first
        owned: list[list[Note]] = [[] for _ in elements]
        for note in notes:
            owner = _owner(note.start, elements, opening, closing, alone=note.alone)
            if owner is None:
                self._refuse_notes([note], f"no {what} follows")
            else:
                owned[owner].append(note)
        behind: list[list[str]] = [[] for _ in elements]
        of_whole: list[str] = []
        for comment in comments:
            if comment.alone or not comment.text or not opening.start < comment.start < closing.end:
                continue
            owner = _owner(comment.start, elements, opening, closing, alone=False)
            (of_whole if owner is None else behind[owner]).append(comment.text)
        texts: list[str] = []
        end = opening.end
        for element, trailing in zip(elements, behind, strict=True):
            between = [comment for comment in comments if comment.start >= end]
            above = attached(self.source.text, between, element[0].start)
            texts.append("\n".join(text for text in (above, *trailing) if text))
            end = element[-1].end
        return _Body(elements, owned, texts, "\n".join(of_whole))

    # the whole

    def keyspace(self, stem: str) -> ir.Keyspace:
        """The keyspace, after what only all statements together can show was checked."""
        name = stem if self.name is None else self.name.value
        file = self.source.file
        if self.name is None and (not _is_keyspace_name(stem) or _is_servers_own(stem)):
            text = (
                f"`{stem}` can't name a keyspace: use up to 48 lower-case letters, digits and _, and no Python "
                f"keyword, or name the keyspace in the file"
            )
            self.diagnostics.error(Position(file, 1, 1), "bad-name", text)
        types = self._types()
        tables = self._tables(types)
        views = self._views(types, tables)
        return ir.Keyspace(
            name=name,
            file=file,
            tables=tuple(tables.values()),
            types=tuple(types.values()),
            views=views,
            replication=self.replication,
            durable_writes=self.durable_writes,
            comment=self.comment,
        )

    def _are_sound(self, uses: Sequence[TypeUse]) -> bool:
        """Whether the file declares these types, and they may stand where they do. What is wrong is refused."""
        faults = [fault for use in uses if (fault := use.fault(self.types, self.broken)) is not None]
        for fault in faults:
            self.refuse(fault)
        return not faults

    def _types(self) -> dict[str, ir.UserType]:
        """The types, each after those that it is made of; a field that is refused is left out."""
        made: dict[str, ir.UserType] = {}
        depths: dict[str, int] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            draft = self.types[name]
            depths[name] = 1
            fields: list[ir.UserField] = []
            for each in draft.fields:
                if not self._are_sound(each.uses):
                    continue
                try:
                    for inner in user_defined(each.type):
                        if inner in self.types:
                            follow(inner, (*path, name), each)
                            depths[name] = max(depths[name], depths[inner] + 1)
                except Refused as refused:
                    self.refuse(refused)
                    continue
                place = self.source.position(each.name.start)
                fields.append(ir.UserField(each.name.value, each.type, place, each.comment, each.rules.renamed_from))
            made[name] = ir.UserType(name, tuple(fields), self.source.position(draft.name.start), draft.comment)

        def follow(inner: str, path: tuple[str, ...], of: _FieldDraft) -> None:
            if inner in path:
                text = f"type `{inner}` is made of itself, through `{of.name.value}` of `{path[-1]}`"
                raise Refused(of.name.start, "bad-type", text)
            if inner not in made and len(path) < MAX_DEPTH:
                visit(inner, path)
            if depths.get(inner, MAX_DEPTH) >= MAX_DEPTH:
                text = f"types can't stand more than {MAX_DEPTH} deep in each other"
                raise Refused(of.name.start, "bad-type", text)

        for name in self.types:
            if name not in made:
                visit(name, ())
        return made

    def _tables(self, types: dict[str, ir.UserType]) -> dict[str, ir.CqlTable]:
        tables: dict[str, ir.CqlTable] = {}
        for draft in self.tables.values():
            for column in draft.columns:
                if not self._are_sound(column.uses):
                    draft.broken.add(column.name.value)
            table = make_table(draft, types, self.source, self.refuse)
            if table is not None:
                tables[table.name] = table
        indexes = Indexes(types, self.source, self.refuse)
        for index in self.indexes:
            name = index.table.value
            if name in tables:
                tables[name] = indexes.add(tables[name], index, self.tables[name].broken)
            elif name in self.views:
                self.refuse(Refused(index.table.start, "bad-index", f"`{name}` is a view, which can't have an index"))
            else:
                self._refuse_unknown(index.table)
        return tables

    def _views(self, types: dict[str, ir.UserType], tables: dict[str, ir.CqlTable]) -> tuple[ir.CqlView, ...]:
        views: list[ir.CqlView] = []
        for draft in self.views.values():
            base = draft.base.value
            if base not in tables:
                if base in self.views:
                    text = f"`{base}` is a view: a view is made of a table"
                    self.refuse(Refused(draft.base.start, "bad-view", text))
                else:
                    self._refuse_unknown(draft.base)
                continue
            try:
                view = make_view(draft, tables[base], types, self.source, self.tables[base].broken)
            except Refused as refused:
                self.refuse(refused)
                continue
            if view is not None:
                views.append(view)
        return tuple(views)

    def _refuse_unknown(self, table: Token) -> None:
        if table.value not in self.tables and table.value not in self.broken:
            text = f"the file declares no table `{table.value}`"
            self.refuse(Refused(table.start, "unknown-table", text))


def _owner(start: int, elements: Sequence[list[Token]], opening: Token, closing: Token, *, alone: bool) -> int | None:
    """The element of a comment. Alone on its line, it concerns the one around it or what follows it."""
    if not opening.start < start < closing.start:
        return None
    before = [index for index, tokens in enumerate(elements) if tokens[0].start < start]
    if before and (not alone or elements[before[-1]][-1].end > start):
        return before[-1]
    after = [index for index, tokens in enumerate(elements) if tokens[0].start > start]
    return after[0] if alone and after else None


def _of_sql(note: Note) -> Refused | None:
    """The refusal of a directive that only tables of SQL have."""
    name = note.text.split(maxsplit=1)[0] if note.text else ""
    if name not in ("cache", "events"):
        return None
    return Refused(note.start, "bad-directive", f"`{name}` is for tables of SQL: leave it out")
