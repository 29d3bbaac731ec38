"""Walks the tokens of one element of a statement; the grammar of columns and keys stands on it.

sqlglot is not asked for them: its version 30 refuses `PRIMARY KEY (a DESC)`, reads INT8 as TINYINT and REAL as FLOAT,
and stops at the first error. It parses the expressions, in `generators.sql_expressions`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from generators.sql_expressions import BadExpression, changing_part, columns_of, mysql_string
from generators.sql_scanner import Refused, Source, Token

MAX_NAME = 64  # characters, https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html
_KEY_WORDS = frozenset(["PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK"])


class Reader:
    """Walks the tokens of one element. Every refusal is raised as Refused at the token concerned."""

    def __init__(self, source: Source, tokens: Sequence[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.at = 0

    @property
    def here(self) -> int:
        """The offset of the next token, or the end of the last one."""
        return self.tokens[self.at].start if self.at < len(self.tokens) else self.tokens[-1].end if self.tokens else 0

    def peek(self, ahead: int = 0) -> Token | None:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def sees(self, *words: str) -> bool:
        """Whether the next tokens are these words; each may name alternatives: `KEY|INDEX`."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if token is None or not token.is_word(*word.split("|")):
                return False
        return True

    def accept(self, *words: str) -> bool:
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def accept_symbol(self, symbol: str) -> bool:
        token = self.peek()
        if token is None or not token.is_symbol(symbol):
            return False
        self.at += 1
        return True

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.unexpected(" ".join(words).replace("|", " or "))

    def expect_symbol(self, symbol: str) -> None:
        if not self.accept_symbol(symbol):
            raise self.unexpected(f"`{symbol}`")

    def unexpected(self, wanted: str) -> Refused:
        token = self.peek()
        if token is None:
            return Refused(self.here, "syntax", f"{wanted} is missing here")
        return Refused(token.start, "syntax", f"`{token.shown}` stands where {wanted} was expected")

    def take(self, kind: str, wanted: str) -> Token:
        token = self.peek()
        if token is None or token.kind != kind:
            raise self.unexpected(wanted)
        self.at += 1
        return token

    def name(self, what: str) -> Token:
        """A column's, key's or table's name. Raises Refused for one that no engine takes."""
        token = self.peek()
        if token is None or token.kind not in ("word", "name"):
            raise self.unexpected(f"the name of {what}")
        self.at += 1
        check_name(token, what)
        return token

    def string(self, wanted: str) -> str:
        return self.take("string", wanted).value

    def number(self, wanted: str) -> int:
        token = self.take("number", wanted)
        if not token.text.isdecimal() or len(token.text) > 12:
            raise Refused(token.start, "syntax", f"`{token.shown}` stands where {wanted} was expected")
        return int(token.text)

    def parenthesis(self) -> list[Token]:
        """The tokens within the parentheses that open here."""
        start = self.here
        self.expect_symbol("(")
        first, depth = self.at, 1
        while (token := self.peek()) is not None:
            self.at += 1
            depth += token.is_symbol("(") - token.is_symbol(")")
            if depth == 0:
                return list(self.tokens[first : self.at - 1])
        raise Refused(start, "syntax", "this `(` is never closed")

    def expression(self, *, lasting: bool = False) -> str:
        """An expression in parentheses, without them; a `lasting` one always gives the same for the same row.

        Raises Refused.
        """
        start = self.here
        text = self.source.slice(_without_arrows(self.parenthesis()))
        self.check_expression(text, start)
        changing = changing_part(text) if lasting else None
        if changing is not None:
            what = f"`{changing}` is another at another time, so no engine takes it here: leave it out"
            raise Refused(start, "bad-expression", what)
        return text

    def check_expression(self, text: str, start: int) -> list[str]:
        try:
            return columns_of(text)
        except BadExpression as error:
            raise Refused(start, "bad-expression", str(error)) from error


def check_name(token: Token, what: str) -> None:
    """Refuse a name that an engine or a file system would not keep as it is."""
    name = token.value
    if not name or name != name.strip() or len(name) > MAX_NAME:
        text = f"`{token.shown}` can't name {what}: use 1 to {MAX_NAME} characters without blanks at the ends"
        raise Refused(token.start, "bad-name", text)
    if not name.isprintable():
        raise Refused(token.start, "bad-name", f"the name of {what} holds a control character: leave it out")
    if max(name) > "\uffff":
        text = f"`{token.shown}` can't name {what}: MySQL's names have no characters beyond U+FFFF"
        raise Refused(token.start, "bad-name", text)


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens between commas that stand outside parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_symbol("(") - token.is_symbol(")")
        if depth == 0 and token.is_symbol(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def is_column(tokens: Sequence[Token]) -> bool:
    """Whether an element declares a column, and not a key or a constraint."""
    return not tokens[0].is_word(*_KEY_WORDS)


def _without_arrows(tokens: Sequence[Token]) -> list[Token]:
    """`column->'$.path'` and `column->>'$.path'` as calls, since MariaDB has no such operators."""
    made: list[Token] = []
    at = 0
    while at < len(tokens):
        arrow = _arrow(tokens[at + 1 : at + 4])
        path = tokens[at + 1 + arrow] if arrow and at + 1 + arrow < len(tokens) else None
        if tokens[at].kind not in ("word", "name") or path is None or path.kind != "string":
            made.append(tokens[at])
            at += 1
            continue
        call = f"JSON_EXTRACT({tokens[at].text}, {mysql_string(path.value)})"
        made.append(Token("word", call if arrow == 2 else f"JSON_UNQUOTE({call})", tokens[at].start, path.end))
        at += 2 + arrow
    return made


def _arrow(tokens: Sequence[Token]) -> int:
    """How many tokens make an arrow here: 2 for `->`, 3 for `->>`, 0 for none."""
    for arrow in ("->>", "->"):
        signs = tokens[: len(arrow)]
        touch = all(sign.end == following.start for sign, following in itertools.pairwise(signs))
        if touch and [sign.text for sign in signs if sign.kind == "symbol"] == list(arrow):
            return len(arrow)
    return 0
