"""What type the value of a MySQL expression has, by those of the columns it reads; None where that is not plain.

For the columns that stand for keys on expressions, and for translating what compares. Not a checker: MySQL converts
freely, and what it makes of it is not told here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from generators import ir
from generators.sql_expressions import BadExpression, parse
from generators.sql_types import CHARSETS, BadType, column_type, portable_collation

if TYPE_CHECKING:
    from sqlglot import exp

Columns = Mapping[str, ir.Type]
"""The types of a table's columns by their names in lower case (`str.casefold`)."""

_TRUTHS = """
    And Or Xor Not EQ NEQ GT GTE LT LTE NullSafeEQ Is Between In Like RegexpLike Boolean
""".split()
_CASTS = {
    **{name: name for name in ("CHAR", "NCHAR", "BINARY", "DECIMAL", "DATE", "DATETIME", "TIME", "DOUBLE", "FLOAT")},
    "BIGINT": "BIGINT",  # SIGNED
    "UBIGINT": "BIGINT",  # UNSIGNED
    "CHARACTER_SET": "CHAR",  # … CHARACTER SET …
}


def value_type(expression: str, columns: Columns) -> ir.Type | None:
    """The type of an expression's value. Raises BadExpression for what is no expression."""
    tree = parse(expression)
    try:
        return type_of(tree, columns)
    except RecursionError as error:
        raise BadExpression("an expression is nested too deep") from error


def without_collation(expression: str) -> str:
    """The expression without a COLLATE that is over all of it, which its type tells."""
    from sqlglot import exp

    tree = parse(expression)
    if not isinstance(tree, exp.Collate):
        return expression
    return expression[: expression.upper().rindex("COLLATE")].rstrip()


def type_of(node: exp.Expr, columns: Columns) -> ir.Type | None:
    """The type of a part of an expression."""
    kind = type(node).__name__
    if kind in _TRUTHS:
        return ir.Bool()
    find = _TYPES.get(kind)
    return find(node, columns) if find is not None else None


def is_literal(node: exp.Expr) -> bool:
    """Whether this is a string as written, which has no collation of its own."""
    return type(node).__name__ == "Introducer" or bool(node.args.get("is_string"))


def count_of(node: exp.Expr) -> int | None:
    """A whole number as written, without a sign; None for anything else."""
    is_number = type(node).__name__ == "Literal" and not is_literal(node)
    return int(node.name) if is_number and node.name.isdecimal() else None


def merged(nodes: Iterable[exp.Expr], columns: Columns) -> ir.Type | None:
    """The type of what is one of these, as of the branches of a CASE. NULLs have none and change none."""
    parts = [(node, type_of(node, columns)) for node in nodes if type(node).__name__ != "Null"]
    types = [found for _, found in parts]
    if not types or None in types:
        return None
    if all(found == types[0] for found in types):
        return types[0]
    if all(isinstance(found, ir.Int | ir.Bool) for found in types):
        return ir.Int(64, signed=any(getattr(found, "signed", True) for found in types))
    exact = {found for found in types if isinstance(found, ir.Date | ir.DateTime | ir.Time | ir.Decimal)}
    if len(exact) == 1:
        (kind,) = exact
        return kind if all(found == kind or _becomes(node, kind) for node, found in parts) else None
    return _text(parts)


def _becomes(node: exp.Expr, kind: ir.Type) -> bool:
    """Whether a constant is written that becomes one of this type."""
    return count_of(node) is not None if isinstance(kind, ir.Decimal) else is_literal(node)


def _text(parts: Iterable[tuple[exp.Expr, ir.Type | None]]) -> ir.Text | None:
    """The longest of texts. Those of different collations have no common one."""
    longest, collations = 0, set[str | None]()
    for node, found in parts:
        if not isinstance(found, ir.Text) or found.max_length is None:
            return None
        longest = max(longest, found.max_length)
        if not is_literal(node):
            collations.add(found.collation)
    return ir.Text(longest, collation=collations.pop() if collations else None) if len(collations) < 2 else None


def _literal(node: exp.Expr, _: Columns) -> ir.Type | None:
    if node.args.get("is_string"):
        return ir.Text(max(1, len(node.name)))
    if node.name.isdecimal():
        return ir.Int(64)
    whole, dot, fraction = node.name.partition(".")
    return ir.Decimal(len(whole + fraction), len(fraction)) if dot and (whole + fraction).isdecimal() else ir.Float(64)


def _number(node: exp.Expr, columns: Columns) -> ir.Type | None:
    """Of arithmetic: whole numbers give BIGINT, others DOUBLE; of decimals the digits are not followed."""
    types = [type_of(node.args[name], columns) for name in ("this", "expression") if node.args.get(name) is not None]
    if len(types) == 1 and isinstance(types[0], ir.Decimal):
        return types[0]
    if all(isinstance(found, ir.Int | ir.Bool | ir.Year) for found in types):
        return _whole(node, columns)
    return ir.Float(64) if all(isinstance(found, ir.Int | ir.Bool | ir.Float) for found in types) else None


def _whole(node: exp.Expr, columns: Columns) -> ir.Int | None:
    """BIGINT, or UNSIGNED. There a result below zero is an error on servers, and none on SQLite."""
    parts = [node.args[name] for name in ("this", "expression") if node.args.get(name) is not None]
    counted = [part for part in parts if count_of(part) is None]
    signs = {getattr(type_of(part, columns), "signed", True) for part in counted} or {True}
    if len(signs) > 1 or (False in signs and type(node).__name__ in ("Sub", "Neg")):
        return None
    return ir.Int(64, signed=True in signs)


def _same_text(node: exp.Expr, columns: Columns) -> ir.Type | None:
    found = type_of(node.args["this"], columns)
    if isinstance(found, ir.Choice):
        return ir.Text(max(map(len, found.values)) or 1)
    return replace(found, fixed=False) if isinstance(found, ir.Text) else None


def _unbounded(found: ir.Type | None) -> ir.Type | None:
    """A text of unknown length."""
    return replace(found, max_length=None) if isinstance(found, ir.Text) else None


def _part(node: exp.Expr, columns: Columns) -> ir.Type | None:
    """Of SUBSTRING and LEFT, whose length must be a number as written."""
    found = _same_text(node, columns)
    length = node.args.get("length") or node.args.get("expression")
    if not isinstance(found, ir.Text) or length is None:
        return found
    most = count_of(length)
    if not most:
        return None
    most = most if found.max_length is None else min(most, found.max_length)
    return ir.Text(most, collation=found.collation)


def _concat(node: exp.Expr, columns: Columns) -> ir.Type | None:
    parts: list[tuple[exp.Expr, ir.Type | None]] = []
    for part in node.expressions:
        found = type_of(part, columns)
        parts.append((part, _digits(found) if isinstance(found, ir.Int) else found))
    common = _text((part, found) for part, found in parts if not isinstance(type_of(part, columns), ir.Int))
    lengths = [found.max_length for _, found in parts if isinstance(found, ir.Text)]
    if common is None or len(lengths) < len(parts) or None in lengths:
        return None
    return replace(common, max_length=sum(cast("list[int]", lengths)))


def _digits(number: ir.Int) -> ir.Text:
    """What a whole number is as a text, its sign included."""
    return ir.Text(len(str(2**number.bits)) + number.signed)


def _cast(node: exp.Expr, columns: Columns) -> ir.Type | None:
    to: Any = node.args["to"]
    name = _CASTS.get(getattr(to.this, "name", ""))
    numbers = [int(part.name) for part in to.expressions if part.name.isdecimal()]
    charset = to.args.get("kind")
    if name is None or len(numbers) < len(to.expressions) or (charset and charset.name.lower() not in CHARSETS):
        return None
    if name in ("CHAR", "NCHAR", "BINARY"):
        if not numbers:
            found = _inner(node, columns) if name != "BINARY" else None
            return _digits(found) if isinstance(found, ir.Int) else found if isinstance(found, ir.Text) else None
        name = "VARBINARY" if name == "BINARY" else "VARCHAR"
    try:
        return column_type(name, numbers, [], unsigned=to.this.name == "UBIGINT")
    except BadType:
        return None


def _collate(node: exp.Expr, columns: Columns) -> ir.Type | None:
    found = type_of(node.args["this"], columns)
    collation = portable_collation(node.args["expression"].name.lower())
    return replace(found, collation=collation) if isinstance(found, ir.Text) and collation is not None else None


def _branches(node: exp.Expr) -> list[exp.Expr]:
    """What a CASE or IF may give."""
    ifs = node.args.get("ifs") or [node]
    otherwise = node.args.get("default") or node.args.get("false")
    return [branch.args["true"] for branch in ifs] + ([otherwise] if otherwise is not None else [])


def _inner(node: exp.Expr, columns: Columns) -> ir.Type | None:
    return type_of(node.args["this"], columns)


_TYPES: dict[str, Callable[[exp.Expr, Columns], ir.Type | None]] = {
    "Column": lambda node, columns: columns.get(node.name.casefold()),
    "Literal": _literal,
    "Introducer": lambda node, columns: type_of(node.args["expression"], columns),
    "HexString": lambda node, columns: ir.Bytes(max(1, len(node.name) // 2)),
    "Paren": _inner,
    "Neg": _number,
    "Add": _number,
    "Sub": _number,
    "Mul": _number,
    "Mod": _number,
    "Abs": _number,
    "BitwiseAnd": lambda node, columns: ir.Int(64, signed=False),
    "BitwiseOr": lambda node, columns: ir.Int(64, signed=False),
    "Lower": _same_text,
    "Upper": _same_text,
    "Trim": _same_text,
    "Substring": _part,
    "Left": _part,
    "Replace": lambda node, columns: _unbounded(_same_text(node, columns)),
    "Concat": _concat,
    "Length": lambda node, columns: ir.Int(32),
    "Year": lambda node, columns: ir.Int(32),
    "Month": lambda node, columns: ir.Int(32),
    "TsOrDsToDate": lambda node, columns: ir.Date(),
    "Coalesce": lambda node, columns: merged([node.args["this"], *node.expressions], columns),
    "Nullif": _inner,
    "Case": lambda node, columns: merged(_branches(node), columns),
    "If": lambda node, columns: merged(_branches(node), columns),
    "Cast": _cast,
    "Collate": _collate,
}
