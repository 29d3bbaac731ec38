"""Whether the rules of a field fit its type. How the rules are checked on a request is for the walker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generators import ir
from generators.proto_patterns import check_pattern

_COUNTS = ("min_items", "max_items")


def check_rules(name: str, kind: ir.Type, rules: ir.FieldRules, is_enum: bool) -> Iterator[tuple[str, str]]:
    """The name of each rule that can't hold for the field `name`, and why. `is_enum`: its reference is to an enum.

    On a repeated field, the rules of one value hold for each of its items; on a map, only its size has rules.
    """
    allowed = _allowed(kind, is_enum)
    for rule, value in _given(rules):
        if rule not in allowed:
            yield rule, f"{rule} does not fit field {name}, which {_described(kind, is_enum)}"
        elif rule == "pattern" and (fault := check_pattern(str(value), rules.max_len)) is not None:
            yield rule, f"the pattern of field {name} {fault}"
    for low, high in (("min_len", "max_len"), ("gte", "lte"), ("min_items", "max_items")):
        least, most = getattr(rules, low), getattr(rules, high)
        if least is not None and most is not None and least > most:
            yield low, f"no value fits field {name}: {low} {least} is more than {high} {most}"
    item = kind.item if isinstance(kind, ir.List) else kind
    if isinstance(item, ir.Int):
        for rule, bound in (("gte", rules.gte), ("lte", rules.lte)):
            if bound is not None and not _in_range(bound, item):
                yield rule, f"{bound} is out of the range of field {name}"
    if "in" in allowed and not isinstance(item, ir.Text):
        for choice in rules.choices:
            if not _is_decimal(choice):
                yield (
                    "in",
                    f"{choice!r} is no value of field {name}, which {_described(kind, is_enum)}: write it in decimal",
                )
            elif isinstance(item, ir.Int) and not _in_range(int(choice), item):
                yield "in", f"{choice} is out of the range of field {name}"


def _given(rules: ir.FieldRules) -> Iterator[tuple[str, object]]:
    for rule in ("min_len", "max_len", "pattern", "gte", "lte", *_COUNTS):
        if (value := getattr(rules, rule)) is not None:
            yield rule, value
    if rules.choices:
        yield "in", rules.choices


def _allowed(kind: ir.Type, is_enum: bool) -> frozenset[str]:
    match kind:
        case ir.List(item):
            return _allowed(item, is_enum).union(_COUNTS)
        case ir.Map():
            return frozenset(_COUNTS)
        case ir.Text():
            return frozenset({"min_len", "max_len", "pattern", "in"})
        case ir.Bytes():
            return frozenset({"min_len", "max_len"})
        case ir.Int():
            return frozenset({"gte", "lte", "in"})
        case ir.Float():
            return frozenset({"gte", "lte"})
        case ir.Reference() if is_enum:
            return frozenset({"in"})
        case _:
            return frozenset()


def _described(kind: ir.Type, is_enum: bool) -> str:
    match kind:
        case ir.List(item):
            return f"repeats what {_described(item, is_enum)}"
        case ir.Map():
            return "is a map"
        case ir.Text():
            return "is a string"
        case ir.Bytes():
            return "is bytes"
        case ir.Int():
            return "is an integer"
        case ir.Float():
            return "is a float"
        case ir.Bool():
            return "is a bool"
        case ir.Reference(full_name):
            return f"is the {'enum' if is_enum else 'message'} {full_name}"
        case _:
            return "has another type"


def _is_decimal(text: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9][0-9]*)", text) is not None


def _in_range(value: int, kind: ir.Int) -> bool:
    bits = kind.bits - 1 if kind.signed else kind.bits
    return (-(1 << bits) if kind.signed else 0) <= value < 1 << bits
