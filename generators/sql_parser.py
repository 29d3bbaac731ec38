"""Reads a folder of MySQL DDL into the IR, one logical database a file. Printing is `generators.sql_ddl`'s."""

from __future__ import annotations

import codecs
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from generators import ir
from generators.diagnostics import Diagnostics, Position
from generators.sql_columns import read_column
from generators.sql_directives import ColumnRules, TableRules, column_rules, misplaced, table_rules
from generators.sql_keys import CheckElement, ForeignKeyElement, read_key
from generators.sql_reader import Reader, is_column, split
from generators.sql_scanner import Note, Refused, Source, Statement, Token, scan
from generators.sql_tables import TableDraft, Tables, make_table, resolve_reference

# What dumps hold besides tables: settings, data, rights, commands of the client, the removal of what is made anew. None
# of it is schema.
_IGNORED = frozenset(
    """
    ANALYZE BEGIN CALL COMMIT DELETE DROP FLUSH GRANT INSERT LOAD LOCK OPTIMIZE REPLACE REVOKE SELECT SET SHOW SOURCE
    START TRUNCATE UNLOCK UPDATE USE
    """.split()
)
_OBJECTS = ("VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE")
_OPTIONS = frozenset(
    """
    ENGINE AUTO_INCREMENT AVG_ROW_LENGTH CHARSET CHECKSUM COLLATE COMMENT COMPRESSION DELAY_KEY_WRITE ENCRYPTION
    KEY_BLOCK_SIZE MAX_ROWS MIN_ROWS PACK_KEYS PAGE_CHECKSUM PAGE_COMPRESSED ROW_FORMAT STATS_AUTO_RECALC
    STATS_PERSISTENT STATS_SAMPLE_PAGES TABLESPACE TRANSACTIONAL
    """.split()
)
_RESERVED = (
    "mysql",
    "sys",
    "information_schema",
    "performance_schema",
)  # the engines' own; as is sqlite_…


def parse_databases(folder: Path, shown: str, diagnostics: Diagnostics) -> tuple[ir.Database, ...]:
    """Every `*.sql` file of the folder, in the order of their names; each stem names a logical database.

    `shown` is the folder's name in positions (`schema/sql`). Every error of every file goes to `diagnostics`; with
    errors there, the result is incomplete. A folder that does not exist has no databases.
    """
    readers: list[_DatabaseReader] = []
    for path in sorted(folder.glob("*.sql")):
        if path.name.startswith(".") or not path.is_file():
            continue  # an editor's, or a folder
        file = f"{shown}/{path.name}"
        if not _is_database_name(path.stem):
            text = f"`{path.stem}` can't name a database: use lower-case letters, digits and _, and no Python keyword"
            diagnostics.error(Position(file, 1, 1), "bad-name", text)
        readers.append(_read(path.read_bytes(), path.stem, file, diagnostics))
    return _finish(readers)


def parse_database(data: bytes, name: str, file: str, diagnostics: Diagnostics) -> ir.Database:
    """One file's bytes, which refer to no other file's tables. `file` is its name in positions."""
    (database,) = _finish([_read(data, name, file, diagnostics)])
    return database


def _read(data: bytes, name: str, file: str, diagnostics: Diagnostics) -> _DatabaseReader:
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        place = Source(file, before).position(len(before))
        diagnostics.error(place, "bad-encoding", f"byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8")
        text = ""
    reader = _DatabaseReader(Source(file, text), name, diagnostics)
    for statement in scan(reader.source, diagnostics):
        reader.read(statement)
    return reader


def _finish(readers: Sequence[_DatabaseReader]) -> tuple[ir.Database, ...]:
    """The databases, after what only all files together can show was checked."""
    tables = {reader.name: reader.tables() for reader in readers}
    return tuple(ir.Database(reader.name, reader.source.file, reader.resolved(tables)) for reader in readers)


def _is_database_name(stem: str) -> bool:
    sound = re.fullmatch(r"[a-z][a-z0-9_]*", stem) is not None and len(stem) <= 64
    return sound and not keyword.iskeyword(stem) and stem not in _RESERVED and not stem.startswith("sqlite_")


class _DatabaseReader:
    def __init__(self, source: Source, name: str, diagnostics: Diagnostics) -> None:
        self.source = source
        self.name = name
        self.diagnostics = diagnostics
        self.drafts: dict[str, TableDraft] = {}
        self.constraints: dict[str, str] = {}  # the tables of foreign keys by their names

    def read(self, statement: Statement) -> None:
        """One statement; what is refused goes to the diagnostics."""
        if not statement.tokens:
            self._refuse_notes(statement.notes, "the file ends here")
            return
        try:
            self._statement(statement)
        except Refused as refused:
            self.refuse(refused)

    def refuse(self, refused: Refused) -> None:
        self.diagnostics.error(self.source.position(refused.offset), refused.code, refused.message)

    def _refuse_notes(self, notes: Sequence[Note], place: str) -> None:
        for note in notes:
            self.refuse(misplaced(note, place))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Refused as refused:
            self.refuse(refused)

    # statements

    def _statement(self, statement: Statement) -> None:
        reader = Reader(self.source, statement.tokens)
        if reader.sees("CREATE"):
            if _skips(reader, "CREATE", "DATABASE|SCHEMA"):
                self._refuse_notes(statement.notes, "no table follows")
                return
            self._create(reader, statement.notes)
            return
        self._refuse_notes(statement.notes, "no table follows")
        if reader.sees("ALTER"):
            if not _skips(reader, "ALTER", "DATABASE|SCHEMA"):
                self._alter(reader)
        elif not reader.sees("|".join(_IGNORED)):
            token = statement.tokens[0]
            text = f"`{token.shown}` opens no statement that a schema holds: declare tables with CREATE TABLE"
            raise Refused(token.start, "syntax" if token.kind != "word" else "unsupported", text)

    def _create(self, reader: Reader, notes: Sequence[Note]) -> None:
        start = reader.here
        head = [token.text.upper() for token in reader.tokens[:20] if token.kind == "word"]
        reader.expect("CREATE")
        reader.accept("OR", "REPLACE")
        if not reader.accept("TABLE"):
            self._refuse_notes(notes, "no table follows")
            kind = next((word for word in head if word in _OBJECTS), None)
            if kind is not None:
                text = f"a {kind} is passed over: Sun neither creates nor calls it; its logic belongs in a handler"
                self.diagnostics.note(self.source.position(start), text)
                return
            if "INDEX" in head[:3]:
                self._create_index(reader)
                return
            if "TEMPORARY" in head[:2]:
                raise Refused(start, "unsupported", "a TEMPORARY table is not part of a schema: leave it out")
            raise reader.unexpected("TABLE")
        reader.accept("IF", "NOT", "EXISTS")
        draft = TableDraft(self._table_name(reader))
        if reader.sees("LIKE|AS|SELECT"):
            raise Refused(reader.here, "unsupported", "a table made from another one: write its columns out")
        opening = reader.peek()
        body = reader.parenthesis()
        assert opening is not None
        self._declare(draft)
        closing = reader.tokens[reader.at - 1]
        self._elements(draft, split(body), notes, opening, closing)
        self._try(lambda: self._options(draft, reader))

    def _create_index(self, reader: Reader) -> None:
        """`CREATE [UNIQUE] INDEX name ON table (…)` says what `ALTER TABLE table ADD [UNIQUE] INDEX name (…)` says."""
        tokens = reader.tokens[reader.at :]
        on = next((place for place, token in enumerate(tokens) if token.is_word("ON")), None)
        if on is None:
            raise Refused(tokens[0].start, "syntax", "CREATE INDEX needs ON and the name of its table")
        target = Reader(self.source, tokens[on + 1 :])
        draft = self._declared(target)
        self._key(draft, [*tokens[:on], *target.tokens[target.at :]])

    def _declared(self, reader: Reader) -> TableDraft:
        name = self._table_name(reader)
        draft = self.drafts.get(name.value.casefold())
        if draft is None:
            text = f"table `{name.value}` is not declared above: put its CREATE TABLE first"
            raise Refused(name.start, "unknown-table", text)
        return draft

    def _declare(self, draft: TableDraft) -> None:
        """Names that differ in case only are one name to SQLite, and to MySQL on some systems."""
        first = self.drafts.get(draft.name.value.casefold())
        if first is not None:
            place = self.source.position(first.name.start)
            text = f"table `{draft.name.value}` is declared already, at {place}: names in other case are the same"
            self.refuse(Refused(draft.name.start, "duplicate-table", text))
            return
        self.drafts[draft.name.value.casefold()] = draft

    def _table_name(self, reader: Reader) -> Token:
        name = reader.name("a table")
        if reader.accept_symbol("."):
            if name.value != self.name:
                text = f"database `{name.value}` in the file of `{self.name}`: a file holds the tables of one database"
                raise Refused(name.start, "unsupported", text)
            name = reader.name("a table")
        if "." in name.value or "/" in name.value or "\\" in name.value:
            raise Refused(name.start, "bad-name", f"table `{name.value}` has a dot or slash in its name: leave it out")
        return name

    # what stands between the parentheses

    def _elements(
        self, draft: TableDraft, elements: list[list[Token]], notes: Sequence[Note], opening: Token, closing: Token
    ) -> None:
        owned, table_notes = self._owners(elements, notes, opening, closing)
        draft.rules = self._table_rules(table_notes)
        for index, tokens in enumerate(elements):
            if not tokens:
                following = next((tokens[0] for tokens in elements[index:] if tokens), closing)
                text = f"a column or key is missing before `{following.shown}`"
                self.refuse(Refused(following.start, "syntax", text))
            elif is_column(tokens):
                self._column(draft, tokens, owned[index])
            else:
                self._refuse_notes(owned[index], "a key stands here")
                self._try(lambda tokens=tokens: self._key(draft, tokens))

    def _table_rules(self, notes: Sequence[Note]) -> TableRules:
        try:
            return table_rules(notes)
        except Refused as refused:
            self.refuse(refused)
            return TableRules()

    def _owners(
        self, elements: list[list[Token]], notes: Sequence[Note], opening: Token, closing: Token
    ) -> tuple[list[list[Note]], list[Note]]:
        """The notes of each element, and the table's. Alone on its line, a note concerns what follows it."""
        owned: list[list[Note]] = [[] for _ in elements]
        of_table: list[Note] = []
        for note in notes:
            if note.start < opening.start or (note.start > closing.start and not note.alone):
                of_table.append(note)
                continue
            if note.start > closing.start:
                self._refuse_notes([note], "no column or table follows")
                continue
            before = [index for index, tokens in enumerate(elements) if tokens and tokens[0].start < note.start]
            after = [index for index, tokens in enumerate(elements) if tokens and tokens[0].start > note.start]
            if not note.alone and not before:
                of_table.append(note)  # behind the opening parenthesis
            elif not note.alone:
                owned[before[-1]].append(note)
            elif before and elements[before[-1]][-1].end > note.start:
                owned[before[-1]].append(note)  # within an element of several lines
            elif after:
                owned[after[0]].append(note)
            else:
                self._refuse_notes([note], "no column or table follows")
        return owned, of_table

    def _column(self, draft: TableDraft, tokens: Sequence[Token], notes: Sequence[Note]) -> None:
        rules = self._column_rules(notes)
        try:
            element = read_column(self.source, tokens)
        except Refused as refused:
            self.refuse(refused)
            draft.broken.add(tokens[0].value.casefold())
            return
        for place, text in element.passed_over:
            self.diagnostics.note(self.source.position(place), text)
        for check in element.checks:
            self._tell_of(check)
        name = element.column.name
        if any(other.column.name.casefold() == name.casefold() for other in draft.columns):
            text = f"`{draft.name.value}` has a column `{name}` already: names in other case are the same"
            self.refuse(Refused(tokens[0].start, "duplicate-column", text))
            return
        if rules.enum is not None and rules.note is not None and not isinstance(element.column.type, ir.Int):
            text = f"enum={rules.enum} needs an integer column, and `{name}` is none"
            self.refuse(Refused(rules.note.start, "bad-directive", text))
        column = replace(element.column, enum=rules.enum, renamed_from=rules.renamed_from)
        draft.columns.append(replace(element, column=column))

    def _column_rules(self, notes: Sequence[Note]) -> ColumnRules:
        try:
            return column_rules(notes)
        except Refused as refused:
            self.refuse(refused)
            return ColumnRules()

    def _key(self, draft: TableDraft, tokens: Sequence[Token]) -> None:
        element = read_key(self.source, tokens)
        if isinstance(element, ForeignKeyElement):
            draft.foreign_keys.append(element)
        elif isinstance(element, CheckElement):
            draft.checks.append(element)
            self._tell_of(element)
        else:
            draft.keys.append(element)

    def _tell_of(self, check: CheckElement) -> None:
        if not check.enforced:
            text = "a CHECK that is NOT ENFORCED holds nothing to it and is passed over"
            self.diagnostics.note(self.source.position(check.place), text)

    # what follows them

    def _options(self, draft: TableDraft, reader: Reader) -> None:
        while (token := reader.peek()) is not None:
            if token.is_word("PARTITION"):
                return  # how rows are laid out on disk changes no result
            reader.accept_symbol(",")
            reader.accept("DEFAULT")
            if reader.accept("CHARACTER", "SET"):
                option = "CHARSET"
            elif reader.accept("DATA|INDEX", "DIRECTORY"):
                option = "DIRECTORY"
            else:
                word = reader.take("word", "a table option")
                option = word.text.upper()
                if option not in _OPTIONS:
                    text = f"table option `{word.shown}` is not supported: leave it out"
                    raise Refused(word.start, "unsupported", text)
            reader.accept_symbol("=")
            if option == "COMMENT":
                draft.comment = reader.string("the comment as a string")
                continue
            value = reader.peek()
            if value is None or value.kind == "symbol":
                raise reader.unexpected(f"the value of {option}")
            reader.at += 1

    # ALTER TABLE as phpMyAdmin's dumps use it

    def _alter(self, reader: Reader) -> None:
        start = reader.here
        reader.expect("ALTER")
        if not reader.accept("TABLE"):
            text = "only ALTER TABLE … ADD key and MODIFY column are read: declare tables whole"
            raise Refused(start, "unsupported", text)
        draft = self._declared(reader)
        for tokens in split(reader.tokens[reader.at :]):
            self._try(lambda tokens=tokens: self._change(draft, tokens))

    def _change(self, draft: TableDraft, tokens: Sequence[Token]) -> None:
        reader = Reader(self.source, tokens)
        start = reader.here
        if reader.accept("DISABLE|ENABLE", "KEYS"):
            return
        if reader.sees("|".join((*_OPTIONS, "DEFAULT", "CHARACTER", "PARTITION"))):
            self._options(draft, reader)
            return
        if reader.accept("ADD") and reader.peek() is not None and not is_column(tokens[1:]):
            self._key(draft, tokens[1:])
            return
        if reader.accept("MODIFY"):
            reader.accept("COLUMN")
            element = read_column(self.source, tokens[reader.at :])
            for index, old in enumerate(draft.columns):
                if old.column.name == element.column.name:
                    column = replace(element.column, enum=old.column.enum, renamed_from=old.column.renamed_from)
                    primary, unique = element.primary or old.primary, element.unique or old.unique
                    checks, reference = element.checks or old.checks, element.reference or old.reference
                    draft.columns[index] = replace(
                        element, column=column, primary=primary, unique=unique, checks=checks, reference=reference
                    )
                    return
            if element.column.name.casefold() not in draft.broken:
                text = f"`{draft.name.value}` has no column `{element.column.name}`"
                raise Refused(tokens[reader.at].start, "unknown-column", text)
            return
        text = "only ADD of a key and MODIFY of a column are read: write this into the CREATE TABLE"
        raise Refused(start, "unsupported", text)

    # the whole

    def tables(self) -> Tables:
        """The tables, after what only all statements together can show was checked."""
        return Tables([make_table(draft, self.source, self.refuse) for draft in self.drafts.values()], self.drafts)

    def resolved(self, databases: Mapping[str, Tables]) -> tuple[ir.Table, ...]:
        """The tables, after their foreign keys were checked against all tables."""
        return tuple(self._resolved(databases, table) for table in databases[self.name].tables)

    def _resolved(self, databases: Mapping[str, Tables], table: ir.Table) -> ir.Table:
        keys: list[ir.ForeignKey] = []
        elements = self.drafts[table.name.casefold()].references()
        for key, element in zip(table.foreign_keys, elements, strict=True):
            other = self.constraints.setdefault(key.name.casefold(), table.name)
            try:
                if any(key.name.casefold() == found.name.casefold() for found in keys) or other != table.name:
                    text = f"`{other}` has a foreign key `{key.name}` already: a database has each name once"
                    raise Refused(element.place, "duplicate-constraint", text)
                keys.append(resolve_reference(databases, self.name, table, key, element.place))
            except Refused as refused:
                self.refuse(refused)
        return replace(table, foreign_keys=tuple(keys))


def _skips(reader: Reader, verb: str, objects: str) -> bool:
    return reader.sees(verb, objects) or reader.sees(verb, "OR", "REPLACE", objects)
