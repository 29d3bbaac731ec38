"""Walks the tokens of a piece of CQL: names, constants and maps; the grammar of statements stands on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from generators.cql_scanner import RESERVED
from generators.sql_reader import Reader
from generators.sql_scanner import Refused, Token

# Cassandra 5.0.6 makes a folder `<table>-<32 digits>` of each table, whose name a file system bounds by 255 bytes; of
# keyspaces it says 48 itself.
MAX_KEYSPACE_NAME = 48
MAX_TABLE_NAME = 222
# Characters of any other name. Cassandra has no bound but the 65,535 bytes of its format, near which 5.0.6 runs out of
# memory.
MAX_NAME = 1_000
_CLOSING = {"(": ")", "<": ">", "{": "}", "[": "]"}

Refuse = Callable[[Refused], None]


class CqlReader(Reader):
    """Every refusal is raised as Refused at the token concerned."""

    at: int

    def name(self, what: str) -> Token:
        """A column's, type's or field's name, which may hold any characters in quotes."""
        token = self.peek()
        if token is None or token.kind not in ("word", "name"):
            raise self.unexpected(f"the name of {what}")
        if token.kind == "word" and token.value in RESERVED:
            text = f'`{token.shown}` is a reserved word, so {what} needs quotes for that name: "{token.value}"'
            raise Refused(token.start, "bad-name", text)
        if not 1 <= len(token.value) <= MAX_NAME:
            text = f"`{token.shown}` can't name {what}: use 1 to {MAX_NAME} characters"
            raise Refused(token.start, "bad-name", text)
        if not token.value.isprintable():
            raise Refused(token.start, "bad-name", f"the name of {what} holds a control character: leave it out")
        self.at += 1
        return token

    def plain_name(self, what: str, most: int = MAX_TABLE_NAME) -> Token:
        """A keyspace's, table's, view's or index's name, which becomes the name of a folder."""
        token = self.name(what)
        if not is_plain_name(token.value, most):
            text = f"`{token.shown}` can't name {what}: use 1 to {most} letters, digits and _, also in quotes"
            raise Refused(token.start, "bad-name", text)
        return token

    def constant(self, what: str) -> Token:
        """A string, a number, a boolean, a UUID or a blob."""
        token = self.peek()
        if token is not None and token.is_word("TRUE", "FALSE", "NAN", "INFINITY"):
            self.at += 1
            return token
        if token is None or token.kind not in ("string", "number", "uuid", "blob"):
            raise self.unexpected(what)
        self.at += 1
        return token

    def map(self) -> tuple[tuple[str, str], ...]:
        """`{'a': 'b', 'c': 1}` as texts, which is how Cassandra keeps it."""
        self.expect_symbol("{")
        found: dict[str, str] = {}
        if self.accept_symbol("}"):
            return ()
        while True:
            key = self.constant("a key of the map as a string")
            self.expect_symbol(":")
            if (token := self.peek()) is not None and token.is_symbol("{"):
                raise Refused(token.start, "bad-option", f"`{key.value}` can't be a map within a map")
            if key.value in found:
                raise Refused(key.start, "bad-option", f"`{key.value}` is given twice in a map: keep one")
            found[key.value] = text_of(self.constant("the value as a string, a number or a boolean"))
            if not self.accept_symbol(","):
                break
        self.expect_symbol("}")
        return tuple(found.items())

    def names(self, what: str) -> list[Token]:
        """Names between parentheses, at least one."""
        self.expect_symbol("(")
        found = [self.name(what)]
        while self.accept_symbol(","):
            found.append(self.name(what))
        self.expect_symbol(")")
        return found

    def done(self, after: str) -> None:
        token = self.peek()
        if token is not None:
            raise Refused(token.start, "syntax", f"`{token.shown}` is not understood after {after}")


def is_plain_name(name: str, most: int) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_]+", name) is not None and len(name) <= most


def text_of(token: Token) -> str:
    """A constant as Cassandra keeps it in a map of options."""
    return token.value.lower() if token.is_word("TRUE", "FALSE") else token.value


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens between commas that stand outside brackets of every kind."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "symbol":
            depth += token.text in _CLOSING
            depth = max(0, depth - (token.text in _CLOSING.values()))
        if depth == 0 and token.is_symbol(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
