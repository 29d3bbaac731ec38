"""MySQL expressions in a schema: their syntax, which sqlglot reads, and the strings of both engines.

How SQLite spells them is `generators.sql_translation`'s, what type they have `generators.sql_expression_types`'s.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

_NOW = re.compile(r"(?:CURRENT_TIMESTAMP|NOW|LOCALTIME|LOCALTIMESTAMP)\s*(?:\(\s*([0-6]?)\s*\))?", re.IGNORECASE)
# What gives another value at another time or in another session, by sqlglot's names.
_CHANGING = frozenset(
    """
    benchmark connectionid curdate currentdate currenttime currenttimestamp currentuser currentrole currentdatabase
    currentschema curtime database foundrows getlock isfreelock lastinsertid loadfile localtime localtimestamp now rand
    rowcount schema sessionuser sleep sysdate systemuser user utcdate utctime utctimestamp uuid uuidshort
    version
    """.split()
)


class BadExpression(Exception):
    """An expression is not understood; the text says which part."""


def now_fraction(expression: str) -> int | None:
    """The digits of a second of CURRENT_TIMESTAMP and its synonyms; None for any other expression."""
    match = _NOW.fullmatch(expression.strip())
    bare = expression.strip().upper() == "NOW"  # without parentheses it would be a column
    return int(match[1] or 0) if match is not None and not bare else None


def columns_of(expression: str) -> list[str]:
    """The columns an expression reads, in order. Raises BadExpression for what is no single expression of MySQL."""
    from sqlglot import exp

    tree = parse(expression)
    if tree.find(exp.Query) is not None:
        raise BadExpression(f"`{shown(expression)}` holds a query, which no engine allows here")
    if tree.find(exp.Placeholder, exp.Parameter) is not None:
        raise BadExpression(f"`{shown(expression)}` holds a variable, which no engine allows here")
    return [column.name for column in tree.find_all(exp.Column)]


def changing_part(expression: str) -> str | None:
    """What of an expression may be another for the same row at another time or in another session; None for nothing.

    Raises BadExpression.
    """
    from sqlglot import exp

    for node in parse(expression).find_all(exp.Func):
        name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__
        if name.lower().replace("_", "") in _CHANGING:
            return f"{node.name if isinstance(node, exp.Anonymous) else node.sql_name()}()"
    return None


_ESCAPES = {"\\": "\\\\", "'": "''", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}


def mysql_string(text: str) -> str:
    """A string for MySQL on one line, under any SQL mode but NO_BACKSLASH_ESCAPES."""
    return "'" + "".join(_ESCAPES.get(character, character) for character in text) + "'"


def sqlite_string(text: str) -> str:
    """A string for SQLite in printable characters, so that a line of DDL never ends within a string."""
    parts = re.split(r"([\x00-\x1f\x7f]+)", text)
    spelt = [
        f"char({', '.join(str(ord(c)) for c in part)})" if index % 2 else "'" + part.replace("'", "''") + "'"
        for index, part in enumerate(parts)
        if part
    ]
    return "''" if not spelt else spelt[0] if len(spelt) == 1 else f"({' || '.join(spelt)})"


def parse(expression: str) -> exp.Expr:
    """The tree of a single expression of MySQL. Raises BadExpression for anything else."""
    import sqlglot
    from sqlglot import errors, exp

    # It warns of JSON paths that it can't follow, which are none of its business here.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        trees = sqlglot.parse(f"SELECT ({expression})", dialect="mysql")
    except (errors.SqlglotError, RecursionError) as error:
        raise BadExpression(f"`{shown(expression)}` is no expression of MySQL") from error
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or set(given(tree)) != {"expressions"}:
        raise BadExpression(f"`{shown(expression)}` is no single expression of MySQL")
    paren = tree.expressions[0]
    found = paren.args.get("this") if isinstance(paren, exp.Paren) else None
    if not isinstance(found, exp.Expr) or found.find(exp.Command, exp.Star, exp.Alias) is not None:
        raise BadExpression(f"`{shown(expression)}` is no single expression of MySQL")
    return found


def shown(text: str) -> str:
    """An expression as a message quotes it."""
    return text if len(text) <= 60 else f"{text[:60]}…"


def given(node: exp.Expr) -> dict[str, Any]:
    """A node's arguments that are there; a parser leaves None, False or an empty list for the others."""
    return {name: value for name, value in node.args.items() if value not in (None, False, [])}
