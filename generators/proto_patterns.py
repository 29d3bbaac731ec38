"""Whether a pattern of a field can be searched in bearable time, whatever the input. Says nothing of what it matches.

Python's `re` tries one way after the other. A pattern is dangerous where one text can be matched in many ways: a loop
with two ways through it for the same text costs exponential time, loops in a row that share texts polynomial time. Both
are read off the pattern's automaton (Weber and Seidl, On the degree of ambiguity of finite automata, 1991). What RE2
does not have, and protovalidate's patterns therefore neither, is refused.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 5_000_000
"""What one search may cost at worst, in characters looked at: some tenths of a second."""

_MOST_POSITIONS = 300
_MOST_STATES = 200_000
_MOST_COPIES = 8

_NOT_IN_RE2 = {
    "ASSERT": "a lookahead or lookbehind",
    "ASSERT_NOT": "a lookahead or lookbehind",
    "GROUPREF": "a reference to a group",
    "GROUPREF_EXISTS": "a condition on a group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repeat",
}
_CATEGORIES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}
# One character of each kind that categories tell apart.
_KINDS = "aZ0_ \n-\x00\u00e9\u0663\u2003\u2603"


def check_pattern(pattern: str, max_len: int | None) -> str | None:
    """What is wrong with a pattern for strings of at most `max_len` characters; None for nothing."""
    try:
        re.compile(pattern)
        # The parser's own tree is no public interface, and reading patterns twice would be worse.
        tree: Any = importlib.import_module("re._parser").parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"does not compile: {error}"
    try:
        automaton = _Automaton(tree)
        if automaton.is_exponential():
            return "can take exponential time: inside a repeat, the same text must not match in two ways"
        degree = automaton.degree()
    except _Refused as refused:
        return str(refused)
    if degree >= 2 and (max_len is None or max_len**degree > MOST_STEPS):
        most = int(MOST_STEPS ** (1 / degree))
        text = f"can take about n^{degree} steps for n characters: give the field a max_len of at most {most}"
        return f"{text}, or begin the pattern with ^ and keep apart what its repeats match"
    return None


class _Refused(Exception):
    """The pattern can't be shown to be safe; the message says why."""


@dataclass(slots=True)
class _Part:
    """A part of the pattern: in how many ways (2 for more) it is empty, begins and ends with each position."""

    empty: int = 1
    first: dict[int, int] = field(default_factory=dict[int, int])
    last: dict[int, int] = field(default_factory=dict[int, int])


class _Automaton:
    """Glushkov's automaton: one state for each character of the pattern, `follow` with the ways from one to another."""

    def __init__(self, tree: Any) -> None:
        self._ignores_case = bool(tree.state.flags & re.IGNORECASE) or _has_scoped_case(tree)
        self._candidates = sorted({*_KINDS, *_characters(tree)})
        self._sets: list[frozenset[str]] = []
        self._follow: list[dict[int, int]] = []
        items = list(tree)
        starts = bool(items) and _name(items[0]) == "AT" and str(items[0][1]) in _BEGINNINGS
        # In a text of many lines, ^ is the beginning of each.
        self._is_anchored = starts and not tree.state.flags & re.MULTILINE
        self._row(items)
        self._reach = [self._reached(state) for state in range(len(self._sets))]
        self._looping = [state for state, reached in enumerate(self._reach) if state in reached]

    def is_exponential(self) -> bool:
        """Whether two ways lead from a state back to it over the same text."""
        for state in self._looping:
            for after, ways in self._follow[state].items():
                if ways > 1 and (after == state or state in self._reach[after]):
                    return True
        backwards: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        starts = [(state, state) for state in self._looping]
        seen = self._walk(starts, _anywhere, backwards)
        apart = {pair for pair in seen if pair[0] != pair[1]}
        return any(not apart.isdisjoint(self._around((state, state), backwards)) for state in self._looping)

    def degree(self) -> int:
        """The power of the input's length that a search may cost."""
        if not self._looping:
            return 0 if self._is_anchored else 1
        longest: dict[int, int] = {}
        # Later positions first: a loop comes after those that lead to it.
        for state in reversed(self._looping):
            after = (longest[other] for other in self._looping if other in longest and self._joins(state, other))
            longest[state] = 1 + max(after, default=0)
        return max(longest.values()) + (0 if self._is_anchored else 1)

    def _joins(self, one: int, other: int) -> bool:
        """Whether some text leads from `one` to itself, from `one` to `other`, and from `other` to itself."""
        if one == other or other not in self._reach[one] or one in self._reach[other]:
            return False

        def is_near(state: tuple[int, ...]) -> bool:
            x, y, z = state
            return one in self._reach[x] and (y == other or other in self._reach[y]) and other in self._reach[z]

        return (one, other, other) in self._walk([(one, one, other)], is_near)

    def _walk(
        self,
        starts: Iterable[tuple[int, ...]],
        is_near: Callable[[tuple[int, ...]], bool],
        backwards: dict[tuple[int, ...], set[tuple[int, ...]]] | None = None,
    ) -> set[tuple[int, ...]]:
        """What several walkers reach that read the same text. Raises _Refused where that is too much."""
        seen: set[tuple[int, ...]] = set()
        waiting = list(starts)
        while waiting:
            state = waiting.pop()
            for after in self._together(state):
                if not is_near(after):
                    continue
                if backwards is not None:
                    backwards.setdefault(after, set()).add(state)
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
            if len(seen) > _MOST_STATES:
                raise _Refused("is too complicated to be shown safe: make it simpler")
        return seen

    def _together(self, state: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Where walkers in these states can be after one more character."""
        found: list[tuple[tuple[int, ...], frozenset[str]]] = [((), frozenset(self._candidates))]
        for each in state:
            found = [
                ((*before, after), common)
                for before, characters in found
                for after in self._follow[each]
                if (common := characters & self._sets[after])
            ]
        return (after for after, _ in found)

    def _around(
        self, start: tuple[int, ...], backwards: dict[tuple[int, ...], set[tuple[int, ...]]]
    ) -> set[tuple[int, ...]]:
        """What lies on a way from this pair back to it."""
        ahead = self._walk([start], _anywhere)
        if start not in ahead:
            return set()
        behind, waiting = {start}, [start]
        while waiting:
            for before in backwards.get(waiting.pop(), ()):
                if before not in behind:
                    behind.add(before)
                    waiting.append(before)
        return ahead & behind

    def _reached(self, state: int) -> set[int]:
        seen: set[int] = set()
        waiting = [state]
        while waiting:
            for after in self._follow[waiting.pop()]:
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    # From the parser's tree to states.

    def _row(self, items: Iterable[Any]) -> _Part:
        whole = _Part()
        for item in items:
            whole = self._joined(whole, self._item(item))
        return whole

    def _item(self, item: Any) -> _Part:
        name, value = _name(item), item[1]
        if name in _NOT_IN_RE2:
            raise _Refused(f"has {_NOT_IN_RE2[name]}, which RE2 does not know")
        match name:
            case "AT":
                return _Part()
            case "SUBPATTERN":
                return self._row(value[3])
            case "BRANCH":
                return functools.reduce(_either, (self._row(branch) for branch in value[1]))
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(value[0], value[1], value[2])
            case _:
                return self._character(item)

    def _character(self, item: Any) -> _Part:
        found = frozenset(each for each in self._candidates if self._fits(item, each))
        state = len(self._sets)
        if state >= _MOST_POSITIONS:
            raise _Refused("is too long to be shown safe: make it simpler")
        self._sets.append(found)
        self._follow.append({})
        return _Part(0, {state: 1}, {state: 1})

    def _fits(self, item: Any, character: str) -> bool:
        if self._ignores_case:
            return any(
                _fits(item, each) for each in {character, character.lower(), character.upper()} if len(each) == 1
            )
        return _fits(item, character)

    def _repeat(self, least: int, most: Any, inner: Any) -> _Part:
        most = int(most)
        if most <= 1:
            part = self._row(inner) if most else _Part()
            return _either(part, _Part()) if least == 0 and most else part
        if least == most <= _MOST_COPIES:
            return functools.reduce(self._joined, (self._row(inner) for _ in range(most)))
        # Any other number of times counts as any number: that has at least the same ways.
        part = self._row(inner)
        self._lead(part.last, part.first)
        if part.empty:
            # One more turn that is empty is another way to match the same.
            return _Part(2, part.first, dict.fromkeys(part.last, 2))
        return part if least else _Part(1, part.first, part.last)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._lead(one.last, other.first)
        return _Part(
            min(2, one.empty * other.empty),
            _sum(one.first, other.first, one.empty),
            _sum(other.last, one.last, other.empty),
        )

    def _lead(self, last: dict[int, int], first: dict[int, int]) -> None:
        for before, ways in last.items():
            for after, more in first.items():
                self._follow[before][after] = min(2, self._follow[before].get(after, 0) + ways * more)


def _anywhere(state: tuple[int, ...]) -> bool:
    return True


_BEGINNINGS = {"AT_BEGINNING", "AT_BEGINNING_STRING"}


def _either(one: _Part, other: _Part) -> _Part:
    return _Part(min(2, one.empty + other.empty), _sum(one.first, other.first), _sum(one.last, other.last))


def _sum(ways: dict[int, int], more: dict[int, int], times: int = 1) -> dict[int, int]:
    found = dict(ways)
    if times:
        for state, number in more.items():
            found[state] = min(2, found.get(state, 0) + number * times)
    return found


def _name(item: Any) -> str:
    return str(item[0])


def _fits(item: Any, character: str) -> bool:
    name, value = _name(item), item[1]
    match name:
        case "LITERAL":
            return ord(character) == value
        case "NOT_LITERAL":
            return ord(character) != value
        case "RANGE":
            return value[0] <= ord(character) <= value[1]
        case "CATEGORY":
            return re.match(_CATEGORIES[str(value).removeprefix("CATEGORY_")], character) is not None
        case "IN":
            negated = _name(value[0]) == "NEGATE"
            return any(_fits(each, character) for each in value[negated:]) != negated
        case _:
            return True  # any character


def _characters(items: Iterable[Any]) -> Iterator[str]:
    """The characters at the edges of what the pattern's sets hold, and those beside them."""
    for item in items:
        name, value = _name(item), item[1]
        match name:
            case "LITERAL" | "NOT_LITERAL":
                yield from _beside(value)
            case "RANGE":
                yield from (*_beside(value[0]), *_beside(value[1]))
            case "IN":
                yield from _characters(value)
            case "SUBPATTERN":
                yield from _characters(value[3])
            case "BRANCH":
                yield from (each for branch in value[1] for each in _characters(branch))
            case "MAX_REPEAT" | "MIN_REPEAT":
                yield from _characters(value[2])
            case _:
                pass


def _beside(code: int) -> Iterator[str]:
    for each in (code - 1, code, code + 1):
        if 0 <= each <= 0x10FFFF:
            yield chr(each)
            yield from (other for other in (chr(each).lower(), chr(each).upper()) if len(other) == 1)


def _has_scoped_case(items: Iterable[Any]) -> bool:
    """Whether a part ignores case, as in `(?i:…)`; then all of it counts as if it did."""
    for item in items:
        name, value = _name(item), item[1]
        match name:
            case "SUBPATTERN":
                if value[1] & re.IGNORECASE or _has_scoped_case(value[3]):
                    return True
            case "BRANCH":
                if any(_has_scoped_case(branch) for branch in value[1]):
                    return True
            case "MAX_REPEAT" | "MIN_REPEAT":
                if _has_scoped_case(value[2]):
                    return True
            case _:
                pass
    return False
