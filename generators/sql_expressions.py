"""MySQL expressions in a schema: which columns they read, and how SQLite spells them.

sqlglot parses them. What is not known to mean the same on both engines is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

_NOW = re.compile(r"(?:CURRENT_TIMESTAMP|NOW|LOCALTIME|LOCALTIMESTAMP)\s*(?:\(\s*([0-6]?)\s*\))?", re.IGNORECASE)
_BINARY = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Mod": "%",
    "BitwiseAnd": "&",
    "BitwiseOr": "|",
    "And": "AND",
    "Or": "OR",
}
_BINARY.update({"EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<=", "NullSafeEQ": "IS"})
# SQLite's LOWER and UPPER change ASCII letters only; the rest is the same function under the same arguments.
_FUNCTIONS = {"Lower": "LOWER", "Upper": "UPPER", "Abs": "ABS", "Nullif": "NULLIF", "Replace": "REPLACE"}


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

    tree = _parse(expression)
    if tree.find(exp.Query) is not None:
        raise BadExpression(f"`{_shown(expression)}` holds a query, which no engine allows here")
    if tree.find(exp.Placeholder, exp.Parameter) is not None:
        raise BadExpression(f"`{_shown(expression)}` holds a variable, which no engine allows here")
    return [column.name for column in tree.find_all(exp.Column)]


def to_sqlite(expression: str) -> str:
    """The same expression for SQLite. Raises BadExpression for what SQLite lacks or means otherwise."""
    try:
        return _render(_parse(expression))
    except RecursionError as error:
        raise BadExpression(f"`{_shown(expression)}` is nested too deep") from error


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


def _parse(expression: str) -> exp.Expr:
    import sqlglot
    from sqlglot import errors, exp

    try:
        trees = sqlglot.parse(f"SELECT ({expression})", dialect="mysql")
    except (errors.SqlglotError, RecursionError) as error:
        raise BadExpression(f"`{_shown(expression)}` is no expression of MySQL") from error
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or set(_given(tree)) != {"expressions"}:
        raise BadExpression(f"`{_shown(expression)}` is no single expression of MySQL")
    paren = tree.expressions[0]
    found = paren.args.get("this") if isinstance(paren, exp.Paren) else None
    if not isinstance(found, exp.Expr) or found.find(exp.Command, exp.Star, exp.Alias) is not None:
        raise BadExpression(f"`{_shown(expression)}` is no single expression of MySQL")
    return found


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _given(node: exp.Expr) -> dict[str, Any]:
    """A node's arguments that are there; a parser leaves None, False or an empty list for the others."""
    return {name: value for name, value in node.args.items() if value not in (None, False, [])}


def _refuse(node: exp.Expr) -> BadExpression:
    return BadExpression(f"`{_shown(node.sql(dialect='mysql'))}` has no equal on SQLite")


def _only(node: exp.Expr, *names: str) -> None:
    """Refuse a node that says more than what is rendered."""
    if set(_given(node)) - set(names):
        raise _refuse(node)


def _render(node: exp.Expr) -> str:
    kind = type(node).__name__
    if kind in _BINARY:
        _only(node, "this", "expression", "operator")
        return f"{_operand(node.args['this'])} {_BINARY[kind]} {_operand(node.args['expression'])}"
    if kind in _FUNCTIONS:
        _only(node, "this", "expression", "replacement")
        return f"{_FUNCTIONS[kind]}({', '.join(_arguments(node))})"
    special = _SPECIAL.get(kind)
    if special is None:
        raise _refuse(node)
    return special(node)


def _operand(node: exp.Expr) -> str:
    """In parentheses where it is compound, because the two engines bind operators in different orders."""
    kind = type(node).__name__
    compound = kind in _BINARY or kind in ("Is", "Between", "In", "Not", "Neg")
    return f"({_render(node)})" if compound else _render(node)


def _arguments(node: exp.Expr) -> Iterator[str]:
    for name in ("this", "expression", "replacement"):
        if node.args.get(name) is not None:
            yield _render(node.args[name])


def _all(nodes: Sequence[exp.Expr]) -> list[str]:
    return [_render(node) for node in nodes]


def _column(node: exp.Expr) -> str:
    _only(node, "this")
    return '"' + node.name.replace('"', '""') + '"'


def _literal(node: exp.Expr) -> str:
    return sqlite_string(node.name) if node.args["is_string"] else node.name


def _not(node: exp.Expr) -> str:
    return f"NOT ({_render(node.args['this'])})"


def _is(node: exp.Expr) -> str:
    _only(node, "this", "expression")
    return f"{_operand(node.args['this'])} IS {_render(node.args['expression'])}"


def _between(node: exp.Expr) -> str:
    _only(node, "this", "low", "high")
    low, high = _operand(node.args["low"]), _operand(node.args["high"])
    return f"{_operand(node.args['this'])} BETWEEN {low} AND {high}"


def _in(node: exp.Expr) -> str:
    _only(node, "this", "expressions")
    return f"{_operand(node.args['this'])} IN ({', '.join(_all(node.expressions))})"


def _case(node: exp.Expr) -> str:
    _only(node, "this", "ifs", "default")
    subject = node.args.get("this")
    text = "CASE" + (f" {_render(subject)}" if subject is not None else "")
    for branch in node.args["ifs"]:
        text += f" WHEN {_render(branch.args['this'])} THEN {_render(branch.args['true'])}"
    default = node.args.get("default")
    return text + (f" ELSE {_render(default)}" if default is not None else "") + " END"


def _if(node: exp.Expr) -> str:
    _only(node, "this", "true", "false")
    parts = [node.args["this"], node.args["true"]]
    otherwise = node.args.get("false")
    return (
        f"CASE WHEN {_render(parts[0])} THEN {_render(parts[1])} ELSE {_render(otherwise) if otherwise else 'NULL'} END"
    )


def _coalesce(node: exp.Expr) -> str:
    _only(node, "this", "expressions")
    parts = [_render(node.args["this"]), *_all(node.expressions)]
    return f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0]


def _concat(node: exp.Expr) -> str:
    _only(node, "expressions", "safe")
    return "(" + " || ".join(_operand(part) for part in node.expressions) + ")"


def _length(node: exp.Expr) -> str:
    _only(node, "this", "binary")
    inner = _render(node.args["this"])
    return f"LENGTH(CAST({inner} AS BLOB))" if node.args.get("binary") else f"LENGTH({inner})"


def _substring(node: exp.Expr) -> str:
    _only(node, "this", "start", "length")
    parts = [node.args[name] for name in ("this", "start", "length") if node.args.get(name) is not None]
    return f"SUBSTR({', '.join(_all(parts))})"


def _truth(node: exp.Expr) -> str:
    return "TRUE" if node.args["this"] else "FALSE"


def _hex(node: exp.Expr) -> str:
    return f"X'{node.name}'"


_SPECIAL: dict[str, Callable[[exp.Expr], str]] = {
    "Column": _column,
    "Literal": _literal,
    "Null": lambda _: "NULL",
    "Boolean": _truth,
    "HexString": _hex,
    "Paren": lambda node: f"({_render(node.args['this'])})",
    "Neg": lambda node: f"-{_operand(node.args['this'])}",
    "Not": _not,
    "Is": _is,
    "Between": _between,
    "In": _in,
    "Case": _case,
    "If": _if,
    "Coalesce": _coalesce,
    "Concat": _concat,
    "Length": _length,
    "Substring": _substring,
}
