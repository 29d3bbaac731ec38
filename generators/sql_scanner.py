"""Cuts MySQL text into tokens, statements and `-- sun:` comments, each with its place. Knows no grammar beyond that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from generators.diagnostics import Diagnostics, Position
from generators.sql_expressions import mysql_string

# `--` opens a comment only before white space (https://dev.mysql.com/doc/refman/8.4/en/comments.html). A line of
# nothing but dashes, with which some dumps part their tables, is one too: no statement has such a line.
_TOKEN = re.compile(
    r"""
    (?P<space>\s++)
  | (?P<line>(?:--(?=-*[\s\x00-\x1f]|-*\Z)|\#)[^\n]*+)
  | (?P<open>/\*M?!(?!999999)(?:[0-9]{5,6}(?![0-9]))?)  # MariaDB marks what no server should run with 999999
  | (?P<block>/\*(?!M?!(?!999999)).*?\*/)
  | (?P<close>\*/)
  | (?P<hex>[xX]'[0-9a-fA-F]*+'|0x[0-9a-fA-F]++\b)
  | (?P<bits>[bB]'[01]*+'|0b[01]++\b)
  | (?P<string>[nN]?'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+")
  | (?P<name>`(?:[^`]|``)*+`)
  | (?P<number>(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?(?![\w$]))
  | (?P<word>[\w$]++)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# https://dev.mysql.com/doc/refman/8.4/en/string-literals.html, table 11.1
_ESCAPED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_UNCLOSED = {"'": "string", '"': "string", "`": "name", "/": "comment"}


class Refused(Exception):
    """A piece of a schema is not understood. `offset` counts characters from the start of the file."""

    def __init__(self, offset: int, code: str, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is word, name (in backticks), string, number, hex, bits or symbol; `text` is as written."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words

    def is_symbol(self, symbol: str) -> bool:
        return self.kind == "symbol" and self.text == symbol

    @property
    def value(self) -> str:
        """The name or string meant, without quotes and escapes."""
        if self.kind == "name":
            return self.text[1:-1].replace("``", "`")
        if self.kind == "string":
            quote = self.text[-1]
            body = self.text[self.text.index(quote) + 1 : -1]
            parts = _ESCAPE.split(body)  # plain, escaped, plain, …
            plain = [part.replace(quote * 2, quote) for part in parts[::2]]
            escaped = [_ESCAPED.get(part, part) for part in parts[1::2]]
            return "".join(p + e for p, e in zip(plain, [*escaped, ""], strict=True))
        return self.text

    @property
    def shown(self) -> str:
        """The token as a message quotes it."""
        return self.text if len(self.text) <= 40 else self.text[:40] + "…"


@dataclass(frozen=True, slots=True)
class Note:
    """A comment that opens with `sun:`. `text` is what follows; `alone` when nothing stands before it on its line."""

    text: str
    start: int
    alone: bool


@dataclass(slots=True)
class Statement:
    tokens: list[Token] = field(default_factory=list[Token])
    notes: list[Note] = field(default_factory=list[Note])


@dataclass(frozen=True, slots=True)
class Source:
    """A schema file's text. `file` is its name as positions show it."""

    file: str
    text: str

    def position(self, offset: int) -> Position:
        line_start = self.text.rfind("\n", 0, offset) + 1
        return Position(self.file, self.text.count("\n", 0, offset) + 1, offset - line_start + 1)

    def slice(self, tokens: Sequence[Token]) -> str:
        """The text of these tokens on one line, without comments."""
        text = ""
        end = tokens[0].start if tokens else 0
        for token in tokens:
            one_line = mysql_string(token.value) if token.kind == "string" and "\n" in token.text else token.text
            text += (" " if token.start > end else "") + one_line
            end = token.end
        return text


def scan(source: Source, diagnostics: Diagnostics) -> list[Statement]:
    """The statements of a file, without empty ones; the last may hold notes only.

    A conditional comment (`/*!40101 … */`) counts as its content, as a MySQL server reads it. `DELIMITER` lines are
    obeyed. Text that can't be cut ends the scan, and the statement around it is left out.
    """
    text = source.text
    statements: list[Statement] = []
    current = Statement()
    delimiter = ";"
    opened: int | None = None
    position = 0
    while position < len(text):
        if text.startswith(delimiter, position):
            position += len(delimiter)
            if current.tokens:
                statements.append(current)
                current = Statement()
            continue
        match = _TOKEN.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, start = str(match.lastgroup), position
        position = match.end()
        if kind in ("line", "block"):
            note = _note(text, start, match.group())
            if note is not None:
                _owner(current, statements, text, start).notes.append(note)
        elif kind == "open":
            opened = start
        elif kind == "close" and opened is not None:
            opened = None
        elif kind == "close":
            diagnostics.error(source.position(start), "syntax", "`*/` closes a comment that was never opened")
            return statements
        elif kind == "symbol" and (match.group() in "'\"`" or text.startswith("/*", start)):
            what = _UNCLOSED[match.group()]
            diagnostics.error(source.position(start), "syntax", f"this {what} is never closed")
            return statements
        elif kind == "word" and not current.tokens and match.group().upper() == "DELIMITER":
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            delimiter = text[position:end].strip() or ";"
            position = end
        elif kind != "space":
            current.tokens.append(Token(kind, match.group(), start, position))
    if opened is not None:
        diagnostics.error(source.position(opened), "syntax", "this comment is never closed")
    if current.tokens or current.notes:
        statements.append(current)
    return statements


def _note(text: str, start: int, comment: str) -> Note | None:
    body = comment[2:-2] if comment.startswith("/*") else comment.lstrip("#") if comment[0] == "#" else comment[2:]
    body = body.strip()
    if not body.startswith("sun:"):
        return None
    line_start = text.rfind("\n", 0, start) + 1
    return Note(body.removeprefix("sun:").strip(), start, not text[line_start:start].strip())


def _owner(current: Statement, statements: list[Statement], text: str, start: int) -> Statement:
    """The statement of a note: one that ends before it on its line, else the one around or after it."""
    if not current.tokens and statements and "\n" not in text[statements[-1].tokens[-1].end : start]:
        return statements[-1]
    return current
