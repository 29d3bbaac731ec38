"""Reads a key or constraint of a CREATE TABLE. Whether its columns exist is `generators.sql_tables`'s question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generators import ir
from generators.sql_reader import Reader
from generators.sql_scanner import Refused, Source, Token

_FOREIGN_ACTIONS = ("RESTRICT", "CASCADE", "SET NULL", "NO ACTION")


@dataclass(frozen=True, slots=True)
class KeyElement:
    """A key as written; `key.name` is not set yet. `name` is PRIMARY for the primary key, None where MySQL chooses."""

    key: ir.Key
    name: str | None
    place: int
    places: tuple[int, ...]  # of the parts

    @property
    def primary(self) -> bool:
        return self.name == "PRIMARY"


@dataclass(frozen=True, slots=True)
class ForeignKeyElement:
    foreign_key: ir.ForeignKey
    name: str | None
    place: int


@dataclass(frozen=True, slots=True)
class CheckElement:
    """A CHECK as written; `check.name` is not set yet. One that is `NOT ENFORCED` holds nothing to anything."""

    check: ir.Check
    name: str | None
    place: int
    enforced: bool = True


def read_key(source: Source, tokens: Sequence[Token]) -> KeyElement | ForeignKeyElement | CheckElement:
    """A key, a foreign key or a CHECK. Raises Refused."""
    reader = Reader(source, tokens)
    place = reader.here
    constraint: str | None = None
    if reader.accept("CONSTRAINT") and not reader.sees("PRIMARY|UNIQUE|FOREIGN|CHECK"):
        constraint = reader.name("a constraint").value
    if reader.accept("CHECK"):
        element = read_check(reader, place, constraint)
        if reader.peek() is not None:
            raise reader.unexpected("`,` or the end of the CHECK")
        return element
    if reader.accept("FOREIGN", "KEY"):
        return _foreign_key(reader, place, constraint)
    kind, unique, primary = "btree", False, False
    if reader.accept("PRIMARY", "KEY"):
        unique = primary = True
    elif reader.accept("UNIQUE"):
        unique = True
        reader.accept("KEY|INDEX")
    elif reader.accept("SPATIAL"):
        raise Refused(place, "unsupported", "SPATIAL keys need spatial types, which are not supported: leave it out")
    elif reader.accept("FULLTEXT"):
        kind = "fulltext"
        reader.accept("KEY|INDEX")
    elif constraint is not None or not reader.accept("KEY|INDEX"):
        raise reader.unexpected("PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK")
    name = constraint
    if not reader.sees("USING") and (token := reader.peek()) is not None and token.kind in ("word", "name"):
        name = reader.name("a key").value
        if name.upper() == "PRIMARY" and not primary:
            raise Refused(token.start, "bad-name", "only the primary key may be named PRIMARY: choose another name")
    _using(reader)
    parts, places = _key_parts(reader)
    comment = _key_options(reader)
    key = ir.Key("", parts, source.position(place), unique, kind, comment)
    return KeyElement(key, "PRIMARY" if primary else name, place, places)


def _using(reader: Reader) -> bool:
    if not reader.accept("USING"):
        return False
    reader.expect("BTREE|HASH")
    return True


def _key_parts(reader: Reader) -> tuple[tuple[ir.KeyPart, ...], tuple[int, ...]]:
    parts: list[ir.KeyPart] = []
    places: list[int] = []
    reader.expect_symbol("(")
    while True:
        places.append(reader.here)
        token = reader.peek()
        if token is not None and token.is_symbol("("):
            part = ir.KeyPart(None, expression=reader.expression(lasting=True))
        else:
            column = reader.name("a column").value
            prefix: int | None = None
            if reader.accept_symbol("("):
                prefix = reader.number("a prefix length")
                if prefix == 0:
                    raise Refused(
                        places[-1], "bad-key", f"a prefix of 0 characters of `{column}`: give a length or none"
                    )
                reader.expect_symbol(")")
            part = ir.KeyPart(column, prefix=prefix)
        if reader.accept("DESC"):
            part = replace(part, descending=True)
        else:
            reader.accept("ASC")
        parts.append(part)
        if reader.accept_symbol(")"):
            return tuple(parts), tuple(places)
        if not reader.accept_symbol(","):
            raise reader.unexpected("`,` or `)`")


def _key_options(reader: Reader) -> str:
    """What follows a key's columns: its comment; how it is stored is dropped, since it changes no result."""
    comment = ""
    while reader.peek() is not None:
        if reader.accept("COMMENT"):
            comment = reader.string("the comment as a string")
        elif reader.accept("KEY_BLOCK_SIZE"):
            reader.accept_symbol("=")
            reader.number("a number")
        elif reader.sees("INVISIBLE") or reader.sees("IGNORED"):
            token = reader.peek()
            assert token is not None
            text = f"{token.text.upper()} has no equal on every engine: leave the key out, or the word"
            raise Refused(token.start, "unsupported", text)
        elif reader.accept("WITH", "PARSER"):
            reader.name("a parser")
        elif not _using(reader) and not reader.accept("VISIBLE"):
            raise reader.unexpected("`,` or the end of the key")
    return comment


def _foreign_key(reader: Reader, place: int, constraint: str | None) -> ForeignKeyElement:
    name = constraint
    token = reader.peek()
    if token is not None and token.kind in ("word", "name"):
        own = reader.name("a foreign key").value
        name = name or own
    columns = _names(reader)
    reader.expect("REFERENCES")
    element = read_reference(reader, place, name, columns)
    if reader.peek() is not None:
        raise reader.unexpected("ON, `,` or the end of the foreign key")
    return element


def read_reference(reader: Reader, place: int, name: str | None, columns: tuple[str, ...]) -> ForeignKeyElement:
    """What follows REFERENCES, also in a column. Raises Refused."""
    table_place = reader.here
    database: str | None = None
    table = reader.name("a table").value
    if reader.accept_symbol("."):
        database, table = table, reader.name("a table").value
    targets = _names(reader)
    if len(targets) != len(columns):
        text = f"{len(columns)} columns refer to {len(targets)}: the numbers must be equal"
        raise Refused(table_place, "bad-reference", text)
    actions = {"DELETE": "", "UPDATE": ""}
    while reader.accept("ON"):
        event = next((event for event in actions if reader.accept(event)), None)
        if event is None:
            raise reader.unexpected("DELETE or UPDATE")
        action = next((action for action in _FOREIGN_ACTIONS if reader.accept(*action.split())), None)
        if action is None:
            raise reader.unexpected("RESTRICT, CASCADE, SET NULL or NO ACTION")
        actions[event] = action
    foreign_key = ir.ForeignKey(
        name=name or "",
        columns=columns,
        target_database=database,
        target_table=table,
        target_columns=targets,
        position=reader.source.position(place),
        on_delete=actions["DELETE"],
        on_update=actions["UPDATE"],
    )
    return ForeignKeyElement(foreign_key, name, place)


def read_check(reader: Reader, place: int, name: str | None) -> CheckElement:
    """What follows CHECK, also in a column. Raises Refused."""
    expression = reader.expression(lasting=True)
    enforced = not reader.accept("NOT", "ENFORCED")
    if enforced:
        reader.accept("ENFORCED")
    return CheckElement(ir.Check("", expression, reader.source.position(place)), name, place, enforced)


def _names(reader: Reader) -> tuple[str, ...]:
    reader.expect_symbol("(")
    names = [reader.name("a column").value]
    while reader.accept_symbol(","):
        names.append(reader.name("a column").value)
    reader.expect_symbol(")")
    return tuple(names)
