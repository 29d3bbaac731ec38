"""Cuts CQL text into tokens, statements and comments, each with its place. Knows no grammar beyond that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from generators.diagnostics import Diagnostics
from generators.sql_scanner import Note, Source, Token

# After the lexer of Cassandra 5.0: a name begins with a letter, and letters are those of ASCII.
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]++)
  | (?P<line>(?:--|//)[^\r\n]*+)
  | (?P<block>/\*.*?\*/)
  | (?P<string>'(?:[^']|'')*+'|\$\$.*?\$\$)
  | (?P<name>"(?:[^"]|"")*+")
  | (?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w))
  | (?P<blob>0[xX][0-9a-fA-F]*+(?!\w))
  | (?P<number>-?[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?(?!\w))
  | (?P<word>[A-Za-z][A-Za-z0-9_]*+)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_UNCLOSED = {"'": "string", "$$": "string", '"': "name", "/*": "comment"}

# What can name nothing unless it is quoted: the reserved words of Cassandra 5.0, and its constants.
RESERVED = frozenset(
    """
    add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
    false from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not
    null of on or order primary rename revoke schema select set table to token true truncate unlogged update use using
    view where with
    """.split()
)


@dataclass(frozen=True, slots=True)
class CqlToken(Token):
    """`kind` is word, name (in double quotes), string, number, uuid, blob or symbol; `text` is as written."""

    @property
    def value(self) -> str:
        """The name or string meant, without quotes; a name without quotes is lower case."""
        match self.kind:
            case "word":
                return self.text.lower()
            case "name":
                return self.text[1:-1].replace('""', '"')
            case "string" if self.text.startswith("$$"):
                return self.text[2:-2]
            case "string":
                return self.text[1:-1].replace("''", "'")
            case _:
                return self.text


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment. `text` is without its signs, empty for a line that only parts what is around it, None for a
    directive; `alone` when nothing stands before it on its line.
    """

    text: str | None
    start: int
    end: int
    alone: bool


@dataclass(slots=True)
class Statement:
    tokens: list[CqlToken] = field(default_factory=list[CqlToken])
    notes: list[Note] = field(default_factory=list[Note])
    comments: list[Comment] = field(default_factory=list[Comment])


def scan(source: Source, diagnostics: Diagnostics) -> list[Statement]:
    """The statements of a file, without empty ones; the last may hold comments only.

    Text that can't be cut ends the scan, and the statement around it is left out.
    """
    text = source.text
    statements: list[Statement] = []
    current = Statement()
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, start = str(match.lastgroup), position
        position = match.end()
        if kind in ("line", "block"):
            _keep(_owner(current, statements, text, start), text, start, match.group())
        elif kind == "symbol" and (opening := _opening(text, start)):
            diagnostics.error(source.position(start), "syntax", f"this {_UNCLOSED[opening]} is never closed")
            return statements
        elif kind == "symbol" and match.group() == ";":
            if current.tokens:
                statements.append(current)
                current = Statement()
        elif kind != "space":
            current.tokens.append(CqlToken(kind, match.group(), start, position))
    if current.tokens or current.notes:
        statements.append(current)
    return statements


def attached(text: str, comments: Sequence[Comment], start: int) -> str:
    """What the comments right above `start` say; an empty line parts them from what it is not about."""
    found: list[str] = []
    for comment in reversed(comments):
        if comment.start > start:
            continue
        if not comment.alone or comment.text == "" or text.count("\n", comment.end, start) > 1:
            break
        if comment.text is not None:
            found.append(comment.text)
        start = comment.start
    return "\n".join(reversed(found))


def _opening(text: str, start: int) -> str | None:
    return next((opening for opening in _UNCLOSED if text.startswith(opening, start)), None)


def _keep(statement: Statement, text: str, start: int, comment: str) -> None:
    line_start = text.rfind("\n", 0, start) + 1
    alone = not text[line_start:start].strip()
    body = _body(comment)
    is_directive = body.startswith("sun:")
    if is_directive:
        statement.notes.append(Note(body.removeprefix("sun:").strip(), start, alone))
    statement.comments.append(Comment(None if is_directive else body, start, start + len(comment), alone))


def _body(comment: str) -> str:
    if not comment.startswith("/*"):
        body = comment.lstrip(comment[0]).strip()
        return body if re.search(r"\w", body) else ""
    lines = [line.strip().removeprefix("*").strip() for line in comment[2:-2].split("\n")]
    return "\n".join(lines).strip("* \n")


def _owner(current: Statement, statements: list[Statement], text: str, start: int) -> Statement:
    """The statement of a comment: one that ends before it on its line, else the one around or after it."""
    if not current.tokens and statements and "\n" not in text[statements[-1].tokens[-1].end : start]:
        return statements[-1]
    return current
