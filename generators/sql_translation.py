"""How SQLite spells MySQL's expressions and constants. What is not known to mean the same on both is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from generators import ir
from generators.sql_expression_types import Columns, count_of, is_literal, type_of
from generators.sql_expressions import BadExpression, given, parse, shown, sqlite_string
from generators.sql_types import BadConstant, constant, microseconds

if TYPE_CHECKING:
    from sqlglot import exp

_EXACT_DIGITS = 15  # of a decimal, which a double tells from every other one

_ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Mod": "%"}
_BITS = {"BitwiseAnd": "&", "BitwiseOr": "|"}
_LOGIC = {"And": "AND", "Or": "OR"}
_EQUAL = {"EQ": "=", "NEQ": "<>", "NullSafeEQ": "IS"}
_ORDER = {"GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}
_BINARY = _ARITHMETIC | _BITS | _LOGIC | _EQUAL | _ORDER
# SQLite's LOWER and UPPER change ASCII letters only; the rest is the same function under the same arguments.
_FUNCTIONS = {"Lower": "LOWER", "Upper": "UPPER", "Abs": "ABS", "Nullif": "NULLIF", "Replace": "REPLACE"}
_COMPOUND = frozenset([*_BINARY, "Is", "Between", "In", "Like", "Not", "Neg"])
_MOMENTS = ir.Date | ir.DateTime | ir.Time


def to_sqlite(expression: str, columns: Columns | None = None) -> str:
    """The same expression for SQLite. Raises BadExpression for what SQLite lacks or means otherwise.

    With the types of `columns` values are looked at as well: SQLite stores decimals and moments as texts, and compares
    a text and a number, say, by other rules.
    """
    try:
        return (_Translator() if columns is None else _TypedTranslator(columns)).render(parse(expression))
    except RecursionError as error:
        raise BadExpression(f"`{shown(expression)}` is nested too deep") from error


def sqlite_constant(column: ir.Type, value: bool | int | float | str | bytes | None) -> str:
    """A constant of `generators.sql_types` as `runtime.sql.types` stores it."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(column, ir.Time):
        return str(microseconds(str(value)))
    if isinstance(column, ir.DateTime):
        date, _, time = str(value).partition(" ")
        clock, _, fraction = time.partition(".")
        return sqlite_string(f"{date} {clock}.{fraction:0<6}")
    if isinstance(column, ir.Choices):
        return sqlite_string(str(value))  # in the order of the schema, as `runtime.sql.types` joins them
    if isinstance(value, str):
        return sqlite_string(value)
    return str(int(value)) if isinstance(value, bool) else repr(value)


def _refuse(node: exp.Expr) -> BadExpression:
    return BadExpression(f"`{shown(node.sql(dialect='mysql'))}` has no equal on SQLite")


def _only(node: exp.Expr, *names: str) -> None:
    """Refuse a node that says more than what is rendered."""
    if set(given(node)) - set(names):
        raise _refuse(node)


def _kind(node: exp.Expr) -> str:
    return type(node).__name__


class _Translator:
    """Spells what has the same syntax and meaning, whatever the types."""

    def __init__(self) -> None:
        self.special: dict[str, Callable[[exp.Expr], str]] = {
            "Column": self.column,
            "Literal": lambda node: sqlite_string(node.name) if node.args["is_string"] else node.name,
            "Null": lambda _: "NULL",
            "Boolean": lambda node: "TRUE" if node.args["this"] else "FALSE",
            "HexString": lambda node: f"X'{node.name}'",
            "Paren": lambda node: f"({self.render(node.args['this'])})",
            "Neg": lambda node: f"-{self.operand(node.args['this'])}",
            "Not": lambda node: f"NOT ({self.render(node.args['this'])})",
            "Is": self.is_,
            "Between": self.between,
            "In": self.in_,
            "Case": self.case,
            "If": self.if_,
            "Coalesce": self.coalesce,
            "Concat": self.concat,
            "Length": self.length,
            "Substring": self.substring,
        }

    def render(self, node: exp.Expr) -> str:
        kind = _kind(node)
        if kind in _BINARY:
            _only(node, "this", "expression", "operator")
            left, right = self.compared(node, node.args["this"], node.args["expression"])
            return f"{left} {_BINARY[kind]} {right}"
        if kind in _FUNCTIONS:
            _only(node, "this", "expression", "replacement")
            return f"{_FUNCTIONS[kind]}({', '.join(self.arguments(node))})"
        special = self.special.get(kind)
        if special is None:
            raise _refuse(node)
        return special(node)

    def operand(self, node: exp.Expr) -> str:
        """In parentheses where it is compound, because the two engines bind operators in different orders."""
        return f"({self.render(node)})" if _kind(node) in _COMPOUND else self.render(node)

    def compared(self, node: exp.Expr, *parts: exp.Expr) -> list[str]:
        """The operands of `node`, which compares or combines them."""
        return [self.operand(part) for part in parts]

    def branch(self, node: exp.Expr, part: exp.Expr) -> str:
        """One of those that `node` chooses its value from."""
        return self.render(part)

    def arguments(self, node: exp.Expr) -> Iterator[str]:
        for name in ("this", "expression", "replacement"):
            if node.args.get(name) is not None:
                yield self.render(node.args[name])

    def column(self, node: exp.Expr) -> str:
        _only(node, "this")
        return '"' + node.name.replace('"', '""') + '"'

    def is_(self, node: exp.Expr) -> str:
        _only(node, "this", "expression")
        return f"{self.operand(node.args['this'])} IS {self.render(node.args['expression'])}"

    def between(self, node: exp.Expr) -> str:
        _only(node, "this", "low", "high")
        value, low, high = self.compared(node, *(node.args[name] for name in ("this", "low", "high")))
        return f"{value} BETWEEN {low} AND {high}"

    def in_(self, node: exp.Expr) -> str:
        _only(node, "this", "expressions")
        value, *choices = self.compared(node, node.args["this"], *node.expressions)
        return f"{value} IN ({', '.join(choices)})"

    def case(self, node: exp.Expr) -> str:
        _only(node, "this", "ifs", "default")
        subject, branches = node.args.get("this"), node.args["ifs"]
        tests = [branch.args["this"] for branch in branches]
        if subject is None:
            text, conditions = "CASE", [self.render(test) for test in tests]
        else:
            value, *conditions = self.compared(node, subject, *tests)
            text = f"CASE {value}"
        for condition, branch in zip(conditions, branches, strict=True):
            text += f" WHEN {condition} THEN {self.branch(node, branch.args['true'])}"
        default = node.args.get("default")
        return text + (f" ELSE {self.branch(node, default)}" if default is not None else "") + " END"

    def if_(self, node: exp.Expr) -> str:
        _only(node, "this", "true", "false")
        false = node.args.get("false")
        otherwise = "NULL" if false is None else self.branch(node, false)
        chosen = self.branch(node, node.args["true"])
        return f"CASE WHEN {self.render(node.args['this'])} THEN {chosen} ELSE {otherwise} END"

    def coalesce(self, node: exp.Expr) -> str:
        _only(node, "this", "expressions")
        parts = [self.branch(node, part) for part in (node.args["this"], *node.expressions)]
        return f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0]

    def concat(self, node: exp.Expr) -> str:
        _only(node, "expressions", "safe")
        return "(" + " || ".join(self.operand(part) for part in node.expressions) + ")"

    def length(self, node: exp.Expr) -> str:
        _only(node, "this", "binary")
        inner = self.render(node.args["this"])
        return f"LENGTH(CAST({inner} AS BLOB))" if node.args.get("binary") else f"LENGTH({inner})"

    def substring(self, node: exp.Expr) -> str:
        _only(node, "this", "start", "length")
        parts = [node.args[name] for name in ("this", "start", "length") if node.args.get(name) is not None]
        return f"SUBSTR({', '.join(self.render(part) for part in parts)})"


class _TypedTranslator(_Translator):
    """Also looks at the types of values, and so spells more and refuses more."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.columns = columns
        self.special |= {
            "Introducer": lambda node: self.render(node.args["expression"]),
            "Neg": self.negative,
            "Not": self.negation,
            "Trim": self.trim,
            "Left": self.left,
            "Like": lambda node: self.like(node, "\\"),
            "Escape": self.escape,
            "Cast": self.cast,
            "TsOrDsToDate": self.date,
            "Year": lambda node: self.field(node, 1, 4),
            "Month": lambda node: self.field(node, 6, 2),
        }
        self.demands: dict[str, Callable[[exp.Expr], bool]] = {
            **dict.fromkeys(("Lower", "Upper", "Replace", "Substring"), self.is_text),
            **dict.fromkeys((*_ARITHMETIC, "Abs"), self.is_arithmetic),
            **dict.fromkeys(("Coalesce", "Case", "If"), lambda node: self.type(node) is not None),
            "Nullif": self.is_nullif,
            "Length": lambda node: isinstance(self.type(node.args["this"]), ir.Text | ir.Bytes),
            "Concat": lambda node: isinstance(self.type(node), ir.Text),
        }

    def type(self, node: exp.Expr) -> ir.Type | None:
        return type_of(node, self.columns)

    def render(self, node: exp.Expr) -> str:
        demand = self.demands.get(_kind(node))
        if demand is not None and not demand(node):
            raise _refuse(node)
        return super().render(node)

    # what operands must be

    def is_text(self, node: exp.Expr) -> bool:
        start = node.args.get("start")
        counted = start is None or count_of(start)
        return isinstance(self.type(node.args["this"]), ir.Text | ir.Choice) and bool(counted)

    def is_arithmetic(self, node: exp.Expr) -> bool:
        found = self.type(node)
        return isinstance(found, ir.Int) or (isinstance(found, ir.Float) and _kind(node) != "Mod")

    def is_nullif(self, node: exp.Expr) -> bool:
        parts = [node.args["this"], node.args["expression"]]
        plain = not any(is_literal(part) and isinstance(self.type(parts[0]), _MOMENTS) for part in parts)
        return plain and self.are_comparable(parts, ordered=False)

    def is_number(self, node: exp.Expr) -> bool:
        return _family(self.type(node)) == "number" or _kind(node) == "Null"

    def never_negative(self, node: exp.Expr) -> bool:
        found = self.type(node)
        unsigned = isinstance(found, ir.Int) and not found.signed
        return unsigned or count_of(node) is not None

    # operands

    def compared(self, node: exp.Expr, *parts: exp.Expr) -> list[str]:
        kind = _kind(node)
        if kind in _ARITHMETIC:
            return super().compared(node, *parts)
        if kind in _BITS:
            # MySQL counts in 64 bits without a sign, SQLite with one.
            sound = (any if kind == "BitwiseAnd" else all)(map(self.never_negative, parts))
        elif kind in _LOGIC:
            sound = all(map(self.is_number, parts))
        else:
            sound = self.are_comparable(parts, ordered=kind in _ORDER or kind == "Between")
        if not sound:
            raise _refuse(node)
        moment = next((found for part in parts if isinstance(found := self.type(part), _MOMENTS)), None)
        return [self.operand(part) if moment is None else self.moment(part, moment) for part in parts]

    def are_comparable(self, parts: Sequence[exp.Expr], *, ordered: bool) -> bool:
        typed = [(part, self.type(part)) for part in parts if _kind(part) != "Null"]
        moments = {found for _, found in typed if isinstance(found, _MOMENTS)}
        if moments:
            moments = {_without_fraction(found) for found in moments}
            return len(moments) == 1 and all(isinstance(found, _MOMENTS) or is_literal(part) for part, found in typed)
        families = {_family(found) for _, found in typed}
        if None in families or len(families) > 1:
            return False
        if ordered and any(isinstance(found, ir.Choice) for _, found in typed):
            return False  # MySQL orders an ENUM by the place of its value
        # What SQLite computes from a column no longer has the column's collation.
        folded = any(_is_folding(found) and _kind(part) != "Column" for part, found in typed)
        texts = [found for part, found in typed if isinstance(found, ir.Text) and not is_literal(part)]
        return not folded and len({found.collation or "utf8mb4_bin" for found in texts}) < 2

    def moment(self, node: exp.Expr, kind: ir.Type) -> str:
        """A moment, also one written as a string, as it is stored."""
        if not is_literal(node):
            return self.operand(node)
        text = node.args["expression"].name if _kind(node) == "Introducer" else node.name
        try:
            return sqlite_constant(kind, constant(kind, text))
        except BadConstant as error:
            raise _refuse(node) from error

    def branch(self, node: exp.Expr, part: exp.Expr) -> str:
        kind = self.type(node)
        return self.moment(part, kind) if isinstance(kind, _MOMENTS) else self.render(part)

    # parts

    def column(self, node: exp.Expr) -> str:
        text = super().column(node)
        found = self.type(node)
        if isinstance(found, ir.Decimal):
            if found.precision > _EXACT_DIGITS:
                raise _refuse(node)
            return f"CAST({text} AS REAL)"
        if found is None:
            raise _refuse(node)
        return text

    def negative(self, node: exp.Expr) -> str:
        if not isinstance(self.type(node), ir.Int | ir.Float | ir.Decimal):
            raise _refuse(node)
        return f"-{self.operand(node.args['this'])}"

    def negation(self, node: exp.Expr) -> str:
        if not self.is_number(node.args["this"]):
            raise _refuse(node)
        return f"NOT ({self.render(node.args['this'])})"

    def is_(self, node: exp.Expr) -> str:
        other = node.args["expression"]
        if _kind(other) != "Null" and not (_kind(other) == "Boolean" and self.is_number(node.args["this"])):
            raise _refuse(node)
        return super().is_(node)

    def trim(self, node: exp.Expr) -> str:
        _only(node, "this")
        if not self.is_text(node):
            raise _refuse(node)
        return f"TRIM({self.render(node.args['this'])})"

    def left(self, node: exp.Expr) -> str:
        if not isinstance(self.type(node), ir.Text):
            raise _refuse(node)
        return f"SUBSTR({self.render(node.args['this'])}, 1, {node.args['expression'].name})"

    def like(self, node: exp.Expr, escape: str) -> str:
        # The engine of `runtime.sql` has SQLite's LIKE tell letters by case.
        _only(node, "this", "expression", "negate")
        value, pattern = node.args["this"], node.args["expression"]
        found = self.type(value)
        if not isinstance(found, ir.Text) or _is_folding(found) or not is_literal(pattern):
            raise _refuse(node)
        negate = "NOT " if node.args.get("negate") else ""
        return f"{self.operand(value)} {negate}LIKE {self.render(pattern)} ESCAPE {sqlite_string(escape)}"

    def escape(self, node: exp.Expr) -> str:
        inner, sign = node.args["this"], node.args["expression"]
        if _kind(inner) != "Like" or not is_literal(sign) or len(sign.name) != 1:
            raise _refuse(node)
        return self.like(inner, sign.name)

    def cast(self, node: exp.Expr) -> str:
        _only(node, "this", "to", "_type")
        value, charset = node.args["this"], node.args["to"].args.get("kind")
        if charset is not None and not charset.name.lower().startswith("utf8"):
            raise _refuse(node)
        was, becomes = self.type(value), self.type(node)
        match was, becomes:
            case _, ir.Date() | ir.DateTime() | ir.Time() if is_literal(value):
                return self.moment(value, becomes)
            case ir.Text(), ir.Text():
                fits = was.max_length is not None and was.max_length <= (becomes.max_length or 0)
                inner = self.render(value)
                return inner if fits or becomes == was else f"SUBSTR({inner}, 1, {becomes.max_length})"
            case ir.Int(), ir.Text() if (becomes.max_length or 0) >= len(str(2**was.bits)) + was.signed:
                return f"CAST({self.render(value)} AS TEXT)"
            case ir.Int(), ir.Int() if becomes.signed or not was.signed:
                return self.render(value)
            case ir.DateTime(), ir.Date():
                return f"SUBSTR({self.render(value)}, 1, 10)"
            case _ if was == becomes and was is not None:
                return self.render(value)
            case _:
                raise _refuse(node)

    def date(self, node: exp.Expr) -> str:
        found = self.type(node.args["this"])
        if not isinstance(found, ir.Date | ir.DateTime):
            raise _refuse(node)
        return f"SUBSTR({self.render(node.args['this'])}, 1, 10)"

    def field(self, node: exp.Expr, start: int, digits: int) -> str:
        """The digits of a year or month, which stand at a fixed place."""
        return f"CAST(SUBSTR({self.render(node.args['this'])}, {start}, {digits}) AS INTEGER)"


def _family(found: ir.Type | None) -> str | None:
    """What compares alike on both engines."""
    if isinstance(found, ir.Int | ir.Bool | ir.Float | ir.Decimal | ir.Year | ir.Bits):
        return "number"
    if isinstance(found, ir.Text | ir.Choice):
        return "text"
    return "bytes" if isinstance(found, ir.Bytes) else None


def _without_fraction(found: ir.Type) -> ir.Type:
    if isinstance(found, ir.DateTime):
        return ir.DateTime(instant=found.instant)
    return ir.Time() if isinstance(found, ir.Time) else found


def _is_folding(found: ir.Type | None) -> bool:
    """Whether the collation takes letters of other case as the same."""
    return isinstance(found, ir.Text) and (found.collation or "").endswith("_ci")
