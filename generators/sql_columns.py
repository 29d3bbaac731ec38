"""Reads a column of a CREATE TABLE: its type, attributes and default. Keys and directives are read elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generators import ir
from generators.sql_expressions import now_fraction
from generators.sql_keys import CheckElement, ForeignKeyElement, read_check, read_reference
from generators.sql_reader import Reader
from generators.sql_scanner import Refused, Source, Token
from generators.sql_types import (
    CHARSETS,
    KNOWN,
    BadConstant,
    BadType,
    Constant,
    column_type,
    constant,
    portable_collation,
    unknown_type,
)

_NOT_PORTABLE = frozenset(
    ["INVISIBLE", "COLUMN_FORMAT", "STORAGE", "SRID", "ENGINE_ATTRIBUTE", "COMPRESSED", "WITHOUT"]
)


@dataclass(frozen=True, slots=True)
class ColumnElement:
    """A column with what it says about keys and constraints.

    `place` is its offset in the file; `null` is True for an explicit NULL.

    `passed_over` says, with its place, what was left out of the column knowingly.
    """

    column: ir.Column
    place: int
    null: bool = False
    primary: bool = False
    unique: bool = False
    passed_over: tuple[tuple[int, str], ...] = ()
    checks: tuple[CheckElement, ...] = ()
    reference: ForeignKeyElement | None = None


def read_column(source: Source, tokens: Sequence[Token]) -> ColumnElement:
    """A column as written, without its directives. Raises Refused."""
    reader = Reader(source, tokens)
    return _ColumnReader(reader, reader.name("a column")).read()


class _ColumnReader:
    """Reads what follows a column's name: the type, then attributes in any order, each at most once."""

    def __init__(self, reader: Reader, name: Token) -> None:
        self.reader = reader
        self.name = name
        self.seen: set[str] = set()
        self.charset: str | None = None
        self.collation: str | None = None
        self.null: bool | None = None
        self.default: tuple[int, Token | None, str | None] | None = None  # place, constant with sign, expression
        self.default_sign = ""
        self.auto_increment = False
        self.on_update: tuple[int, str] | None = None
        self.generated: str | None = None
        self.stored = False
        self.primary = False
        self.unique = False
        self.comment = ""
        self.json = False
        self.passed_over: list[tuple[int, str]] = []
        self.checks: list[CheckElement] = []
        self.reference: ForeignKeyElement | None = None

    def read(self) -> ColumnElement:
        type_place = self.reader.here
        serial = self.reader.sees("SERIAL")
        sql_type = self._type()
        while self.reader.peek() is not None:
            self._attribute()
        sql_type = self._collate(sql_type, type_place)
        if self.json:
            sql_type = ir.Json()
        if serial:
            self.auto_increment = self.unique = True
            self.null = False
        default = self._default(sql_type)
        self._check(sql_type, default)
        column = ir.Column(
            name=self.name.value,
            type=sql_type,
            position=self.reader.source.position(self.name.start),
            nullable=self.null is not False,
            default=default,
            auto_increment=self.auto_increment,
            on_update=self._on_update(sql_type),
            generated=self.generated,
            stored=self.stored,
            comment=self.comment,
        )
        return ColumnElement(
            column,
            self.name.start,
            self.null is True,
            self.primary,
            self.unique,
            tuple(self.passed_over),
            tuple(self.checks),
            self.reference,
        )

    # the type

    def _type(self) -> ir.Type:
        reader = self.reader
        token = reader.peek()
        if token is None:
            raise Refused(reader.here, "syntax", f"column `{self.name.value}` has no type")
        if token.kind != "word":
            raise reader.unexpected(f"the type of `{self.name.value}`")
        word = token.text.upper()
        if word == "NATIONAL" and reader.peek(1) is not None:
            reader.at += 1
            word = self.reader.tokens[reader.at].text.upper()
        if word not in KNOWN:
            raise Refused(token.start, "unknown-type", unknown_type(token.shown))
        reader.at += 1
        if word in ("CHAR", "CHARACTER", "NCHAR") and reader.accept("VARYING"):
            word = "VARCHAR"
        if word == "DOUBLE":
            reader.accept("PRECISION")
        numbers, values = self._type_arguments(word)
        unsigned = False
        while (sign := reader.peek()) is not None and sign.is_word("UNSIGNED", "SIGNED", "ZEROFILL"):
            unsigned = unsigned or not sign.is_word("SIGNED")
            reader.at += 1
        try:
            return column_type(word, numbers, values, unsigned=unsigned)
        except BadType as error:
            raise Refused(token.start, "bad-type", str(error)) from error

    def _type_arguments(self, word: str) -> tuple[list[int], list[str]]:
        numbers: list[int] = []
        values: list[str] = []
        if not self.reader.accept_symbol("("):
            return numbers, values
        while True:
            if word in ("ENUM", "SET"):
                values.append(self.reader.string("a string"))
            else:
                numbers.append(self.reader.number("a number"))
            if self.reader.accept_symbol(")"):
                return numbers, values
            self.reader.expect_symbol(",")

    # attributes

    def _attribute(self) -> None:
        reader = self.reader
        place = reader.here
        if reader.accept("NOT", "NULL"):
            self._once("NULL", place)
            self.null = False
        elif reader.accept("NULL"):
            self._once("NULL", place)
            self.null = True
        elif reader.accept("DEFAULT"):
            self._once("DEFAULT", place)
            self._read_default()
        elif reader.accept("AUTO_INCREMENT"):
            self._once("AUTO_INCREMENT", place)
            self.auto_increment = True
        elif reader.accept("ON", "UPDATE"):
            self._once("ON UPDATE", place)
            self.on_update = (place, self._function())
        elif reader.sees("GENERATED", "ALWAYS", "AS") or reader.sees("AS"):
            self._once("GENERATED", place)
            reader.at += 1 if reader.sees("AS") else 3
            self.generated = reader.expression()
            self.stored = reader.accept("STORED|PERSISTENT")
            if not self.stored:
                reader.accept("VIRTUAL")
        elif reader.accept("PRIMARY", "KEY") or reader.accept("KEY"):
            self._once("PRIMARY KEY", place)
            self.primary = True
        elif reader.accept("UNIQUE"):
            reader.accept("KEY")
            self._once("UNIQUE", place)
            self.unique = True
        elif reader.accept("COMMENT"):
            self._once("COMMENT", place)
            self.comment = reader.string("the comment as a string")
        elif reader.accept("CHARACTER", "SET") or reader.accept("CHARSET"):
            self._once("CHARACTER SET", place)
            self.charset = self._option()
        elif reader.accept("COLLATE"):
            self._once("COLLATE", place)
            self.collation = self._option()
        elif reader.accept("BINARY"):  # an old way to ask for comparison byte by byte
            self._once("COLLATE", place)
            self.collation = "utf8mb4_bin"
        elif reader.accept("CHECK"):
            self._check_constraint(place, None)
        elif reader.accept("CONSTRAINT"):
            name = None if reader.sees("CHECK") else reader.name("a constraint").value
            reader.expect("CHECK")
            self._check_constraint(place, name)
        elif reader.accept("REFERENCES"):
            self._once("REFERENCES", place)
            self.reference = read_reference(reader, place, None, (self.name.value,))
        else:
            raise self._unknown_attribute()

    def _once(self, attribute: str, place: int) -> None:
        if attribute in self.seen:
            text = f"`{self.name.value}` has {attribute} twice: keep one"
            raise Refused(place, "syntax", text)
        self.seen.add(attribute)

    def _option(self) -> str:
        token = self.reader.peek()
        if token is None or token.kind not in ("word", "string", "name"):
            raise self.reader.unexpected("a name")
        self.reader.at += 1
        return token.value.lower()

    def _unknown_attribute(self) -> Refused:
        token = self.reader.peek()
        assert token is not None
        if token.is_word(*_NOT_PORTABLE):
            text = f"{token.text.upper()} has no equal on every engine: leave it out of `{self.name.value}`"
            return Refused(token.start, "unsupported", text)
        text = f"`{token.shown}` is not understood after the type of `{self.name.value}`"
        return Refused(token.start, "syntax", text)

    def _check_constraint(self, place: int, name: str | None) -> None:
        # MariaDB's dumps write a JSON column as LONGTEXT … CHECK (json_valid(`column`)).
        start = self.reader.at
        inner = [token for token in self.reader.parenthesis() if token.kind in ("word", "name")]
        if len(inner) == 2 and inner[0].is_word("JSON_VALID") and inner[1].value == self.name.value:
            self.json = True
            return
        self.reader.at = start
        self.checks.append(read_check(self.reader, place, name))

    # collation

    def _collate(self, sql_type: ir.Type, place: int) -> ir.Type:
        if self.charset is None and self.collation is None:
            return sql_type
        if not isinstance(sql_type, ir.Text | ir.Choice | ir.Choices):
            text = f"`{self.name.value}` is no text, so it has no character set or collation"
            raise Refused(place, "bad-type", text)
        if isinstance(sql_type, ir.Text) and "binary" in (self.charset, self.collation):
            size = sql_type.max_length or sql_type.max_bytes
            return ir.Bytes(size, sql_type.fixed, blob=sql_type.max_bytes is not None)
        if self.charset is not None and self.charset not in CHARSETS:
            text = f"character set `{self.charset}` is not supported: everything is stored in utf8mb4"
            raise Refused(place, "unsupported", text)
        if self.collation is None or not isinstance(sql_type, ir.Text):
            return sql_type
        collation = portable_collation(self.collation)
        if collation is None:
            text = f"collation `{self.collation}` is not supported: use utf8mb4_bin or utf8mb4_general_ci"
            raise Refused(place, "unsupported", text)
        return replace(sql_type, collation=collation)

    # defaults

    def _read_default(self) -> None:
        reader = self.reader
        place = reader.here
        token = reader.peek()
        if token is None:
            raise reader.unexpected("a value")
        if token.is_symbol("("):
            self.default = (place, None, reader.expression())
            return
        if token.is_symbol("-") or token.is_symbol("+"):
            self.default_sign = token.text
            reader.at += 1
            self.default = (place, reader.take("number", "a number"), None)
            return
        if token.kind == "word" and token.text.startswith("_"):  # an introducer: _utf8mb4'text'
            reader.at += 1
            token = reader.take("string", "a string")
        elif token.kind in ("string", "number", "hex", "bits") or token.is_word("NULL", "TRUE", "FALSE"):
            reader.at += 1
        else:
            self.default = (place, None, self._function())
            return
        following = reader.peek()
        if token.kind == "string" and following is not None and following.kind == "string":
            raise Refused(place, "bad-default", "a default of two strings side by side: write them as one")
        self.default = (place, token, None)

    def _function(self) -> str:
        """A function's call without parentheses around it: CURRENT_TIMESTAMP(3), uuid()."""
        reader = self.reader
        token = reader.take("word", "a value")
        text = token.text
        following = reader.peek()
        if following is not None and following.is_symbol("("):
            text += f"({reader.source.slice(reader.parenthesis())})"
        elif now_fraction(text) is None:
            raise Refused(token.start, "syntax", f"`{token.shown}` stands where a value was expected")
        reader.check_expression(text, token.start)
        return text

    def _default(self, sql_type: ir.Type) -> ir.Default | None:
        if self.default is None:
            return None
        place, token, expression = self.default
        if expression is not None:
            fraction = now_fraction(expression)
            if fraction is not None and isinstance(sql_type, ir.DateTime):
                return ir.Default(expression=self._now(place, fraction, sql_type))
            return ir.Default(expression=expression)
        assert token is not None
        if token.is_word("NULL"):
            if self.null is False or self.primary or self.auto_increment:
                raise Refused(place, "bad-default", f"`{self.name.value}` is NOT NULL, so its default can't be NULL")
            return ir.Default()
        if isinstance(sql_type, ir.Date | ir.DateTime) and token.value.startswith("0000-00-00"):
            # What MySQL took for "no date" before its strict mode, which Sun asks for, refused it.
            text = f"the default of `{self.name.value}`, {token.shown}, is no day and is passed over: rows give a value"
            self.passed_over.append((place, text))
            return None
        try:
            return ir.Default(constant(sql_type, _constant(token, self.default_sign)))
        except BadConstant as error:
            raise Refused(place, "bad-default", f"the default of `{self.name.value}`: {error}") from error

    def _now(self, place: int, fraction: int, sql_type: ir.DateTime) -> str:
        text = f"CURRENT_TIMESTAMP({fraction})" if fraction else "CURRENT_TIMESTAMP"
        if fraction != sql_type.fraction:
            digits = f"{sql_type.fraction} digits of a second"
            message = f"`{self.name.value}` holds {digits}, but {text} gives {fraction}: make them equal"
            raise Refused(place, "bad-default", message)
        return text

    def _on_update(self, sql_type: ir.Type) -> str | None:
        if self.on_update is None:
            return None
        place, expression = self.on_update
        fraction = now_fraction(expression)
        if fraction is None or not isinstance(sql_type, ir.DateTime):
            text = (
                f"ON UPDATE takes CURRENT_TIMESTAMP, on a DATETIME or TIMESTAMP column: `{self.name.value}` has other"
            )
            raise Refused(place, "bad-default", text)
        return self._now(place, fraction, sql_type)

    def _check(self, sql_type: ir.Type, default: ir.Default | None) -> None:
        place, name = self.name.start, self.name.value
        if self.auto_increment and not isinstance(sql_type, ir.Int):
            raise Refused(place, "bad-type", f"`{name}` is AUTO_INCREMENT, so it must be an integer")
        if self.auto_increment and default is not None:
            raise Refused(place, "bad-default", f"`{name}` is AUTO_INCREMENT, so it can't have a default")
        if self.generated is not None and (default is not None or self.auto_increment or self.on_update is not None):
            text = f"`{name}` is generated, so it can't have DEFAULT, AUTO_INCREMENT or ON UPDATE"
            raise Refused(place, "bad-default", text)
        if self.generated is not None and self.null is False:
            text = f"`{name}` is generated, and MariaDB takes no NOT NULL there: leave it out"
            raise Refused(place, "unsupported", text)


def _constant(token: Token, sign: str) -> Constant:
    if token.kind == "hex":
        digits = token.text[2:].strip("'")
        if "'" in token.text and len(digits) % 2:
            raise BadConstant(f"{token.shown} has an odd number of digits")
        return bytes.fromhex("0" * (len(digits) % 2) + digits)
    if token.kind == "bits":
        digits = token.text[2:].strip("'")
        return int(digits or "0", 2).to_bytes(max(1, (len(digits) + 7) // 8), "big")
    if token.kind == "word":
        return token.is_word("TRUE")
    return sign + token.value
