"""Plans the checks of a message's rules as plain Python. That the rules fit the fields was settled before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from generators import ir, proto_names
from generators.proto_imports import Imports
from generators.proto_index import Index, held
from generators.proto_text import count, literal, row

# A loop over items ends once this many violations are known: a large request must not cost its multiple in memory.
ENOUGH = 100

# An escaped character, a class of characters, where `$` is itself, or any other character.
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)

_NO_RULES = ir.FieldRules()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, compiled once when the module is loaded."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """`if condition:` and what follows from it. An empty condition always holds."""

    condition: str
    violation: str = ""  # arguments of the Violation to add
    call: str = ""  # a check whose violations are added


@dataclass(frozen=True, slots=True)
class Part:
    """The steps of one field: on its value, or, under `loop`, on each of its items."""

    loop: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """The check of one message."""

    name: str
    message: str
    full_name: str
    parts: tuple[Part, ...]


def written(full_name: str, index: Index, imports: Imports) -> str:
    """A message or an enum as a module with these imports writes it: `social_pb2.Post`."""
    definition = index.find(full_name)
    module = index.proto_module(definition.file.path)
    return ".".join((imports.name(module.package, module.name), *definition.names))


class Planner:
    """Plans the checks of one file, and gathers their patterns. `other` names the rpc module of another file."""

    def __init__(self, file: ir.ProtoFile, index: Index, imports: Imports, other: Callable[[str], str]) -> None:
        self._file = file
        self._index = index
        self._imports = imports
        self._other = other
        self._patterns: dict[str, Pattern] = {}

    @property
    def patterns(self) -> list[Pattern]:
        return list(self._patterns.values())

    def check(self, message: ir.Message) -> Check:
        """The check of a message that has rules, or holds messages that have."""
        return Check(
            name=proto_names.check(self._index.find(message.full_name).names),
            message=written(message.full_name, self._index, self._imports),
            full_name=message.full_name,
            parts=tuple(part for field in message.fields for part in self._parts(field)),
        )

    def _parts(self, field: ir.Field) -> Iterator[Part]:
        rules = field.rules or _NO_RULES
        path = f'f"{{path}}{field.name}"'
        value = f"message.{field.name}"
        if not proto_names.is_writable(field.name):
            value = f"getattr(message, {literal(field.name)})"
        has = f"message.HasField({literal(field.name)})" if field.presence else ""
        steps: list[Step] = []
        if rules.required:
            steps.append(_violation(f"not {has or value}", path, "required", "is required"))
        # What is not there breaks no other rule.
        guard = has or (value if rules.required else "")
        match field.type:
            case ir.List(item):
                steps += _sizes(value, path, rules)
                found = [*self._values(item, "item", f'f"{{path}}{field.name}[{{index}}]"', rules)]
                found += self._nested(item, "item", f'f"{{path}}{field.name}[{{index}}]."')
                loop = f"for index, item in enumerate({value}):"
            case ir.Map(_, item):
                steps += _sizes(value, path, rules)
                key = f"{{{self._imports.module('json')}.dumps(key)}}" if held(item) and self._is_checked(item) else ""
                found = self._nested(item, "item", f'f"{{path}}{field.name}[{key}]."')
                loop = f"for key, item in {value}.items():"
            case kind:
                steps += self._values(kind, value, path, rules)
                steps += self._nested(kind, value, f'f"{{path}}{field.name}."')
                found, loop = [], ""
        if steps:
            yield Part("", tuple(_guarded(step, guard) for step in steps))
        if found:
            yield Part(loop, tuple(found))

    def _is_checked(self, kind: ir.Type) -> bool:
        return self._index.is_message(kind) and self._index.is_checked(held(kind) or "")

    def _nested(self, kind: ir.Type, value: str, path: str) -> list[Step]:
        if not isinstance(kind, ir.Reference) or not self._is_checked(kind):
            return []
        definition = self._index.find(kind.full_name)
        name = proto_names.check(definition.names)
        if definition.file.path != self._file.path:
            name = f"{self._other(definition.file.path)}.{name}"
        return [Step("", call=f"{name}({value}, {path})")]

    def _values(self, kind: ir.Type, value: str, path: str, rules: ir.FieldRules) -> Iterator[Step]:
        """The rules of one value."""
        unit = "byte" if isinstance(kind, ir.Bytes) else "character"
        if rules.min_len:
            text = f"must have at least {count(rules.min_len, unit)}"
            yield _violation(f"len({value}) < {rules.min_len}", path, "min_len", text)
        if rules.max_len is not None:
            text = f"must have at most {count(rules.max_len, unit)}"
            yield _violation(f"len({value}) > {rules.max_len}", path, "max_len", text)
        if rules.pattern is not None:
            pattern = self._pattern(path, rules.pattern)
            # What is too long is not searched: the work of a pattern is bounded by the length of its text.
            short = f"len({value}) <= {rules.max_len} and " if rules.max_len is not None else ""
            yield _violation(f"{short}not {pattern}.search({value})", path, "pattern", f"must match {rules.pattern}")
        # NaN is neither less nor more than any bound, and fits none.
        is_float = isinstance(kind, ir.Float)
        if rules.gte is not None:
            condition = f"not {value} >= {rules.gte}" if is_float else f"{value} < {rules.gte}"
            yield _violation(condition, path, "gte", f"must be at least {rules.gte}")
        if rules.lte is not None:
            condition = f"not {value} <= {rules.lte}" if is_float else f"{value} > {rules.lte}"
            yield _violation(condition, path, "lte", f"must be at most {rules.lte}")
        if rules.choices:
            choices = [literal(choice) for choice in rules.choices] if isinstance(kind, ir.Text) else rules.choices
            text = f"must be one of {', '.join(self._choices(kind, rules.choices))}"
            yield _violation(f"{value} not in {row(choices)}", path, "in", text)

    def _choices(self, kind: ir.Type, choices: Sequence[str]) -> list[str]:
        """The allowed values for people: those of an enum by name."""
        node = self._index.find(kind.full_name).node if isinstance(kind, ir.Reference) else None
        names = {str(each.number): each.name for each in node.values} if isinstance(node, ir.Enum) else {}
        return [names.get(choice, choice) for choice in choices]

    def _pattern(self, path: str, text: str) -> str:
        if text not in self._patterns:
            field = path.removeprefix('f"{path}').split("[")[0].rstrip('"')
            self._patterns[text] = Pattern(self._imports.fresh(f"_{field.upper()}"), literal(end_of_text(text)))
        return self._patterns[text].name


def end_of_text(pattern: str) -> str:
    r"""The pattern with `\Z` for `$`: protovalidate's `$` is the end, Python's lets a newline pass before it.

    With the flag `m`, where `$` means the end of a line in both, the pattern stays as it is.
    """
    if re.search(r"\(\?[a-z]*m", pattern):
        return pattern
    return _TOKEN.sub(lambda token: r"\Z" if token[0] == "$" else token[0], pattern)


def _sizes(value: str, path: str, rules: ir.FieldRules) -> Iterator[Step]:
    if rules.min_items:
        text = f"must have at least {count(rules.min_items, 'item')}"
        yield _violation(f"len({value}) < {rules.min_items}", path, "min_items", text)
    if rules.max_items is not None:
        text = f"must have at most {count(rules.max_items, 'item')}"
        yield _violation(f"len({value}) > {rules.max_items}", path, "max_items", text)


def _violation(condition: str, path: str, rule: str, text: str) -> Step:
    return Step(condition, violation=f"{path}, {literal(rule)}, {literal(text)}")


def _guarded(step: Step, guard: str) -> Step:
    if not guard or step.condition == f"not {guard}":
        return step
    return replace(step, condition=f"{guard} and {step.condition}" if step.condition else guard)
