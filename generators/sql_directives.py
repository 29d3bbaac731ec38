"""Reads `-- sun:` comments: the row cache and row events of a table, the enum and the former name of a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from generators.ir import CacheRule
from generators.sql_scanner import Note, Refused

_WORD = re.compile(r"""(?:`[^`]*`|[^\s`])+""")
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FULL_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_EVENTS = ("insert", "update", "delete")
_TABLE = ("cache", "events")
_COLUMN = ("enum", "renamed_from")


@dataclass(frozen=True, slots=True)
class TableRules:
    cache: CacheRule | None = None
    events: tuple[str, ...] = ()
    cache_note: Note | None = None


@dataclass(frozen=True, slots=True)
class ColumnRules:
    enum: str | None = None
    renamed_from: str | None = None
    note: Note | None = None


def misplaced(note: Note, place: str) -> Refused:
    """The refusal of a directive that concerns nothing. `place` says what stands there."""
    name = _name(note)
    if name in _TABLE:
        return Refused(
            note.start, "bad-directive", f"`{name}` concerns a table, but {place}: put it above CREATE TABLE"
        )
    if name in _COLUMN:
        text = f"`{name}` concerns a column, but {place}: put it above the column or at its line's end"
        return Refused(note.start, "bad-directive", text)
    return unknown(note)


def unknown(note: Note) -> Refused:
    known = "tables have cache and events, columns have enum and renamed_from"
    return Refused(note.start, "unknown-directive", f"`{_name(note)}` is no directive: {known}")


def table_rules(notes: Sequence[Note]) -> TableRules:
    """The rules above a CREATE TABLE. Raises Refused."""
    cache: CacheRule | None = None
    cache_note: Note | None = None
    events: tuple[str, ...] = ()
    for note in notes:
        name = _name(note)
        if name == "cache":
            if cache is not None:
                raise Refused(note.start, "bad-directive", "`cache` is given twice: keep one")
            cache, cache_note = _cache(note), note
        elif name == "events":
            if events:
                raise Refused(note.start, "bad-directive", "`events` is given twice: name all of them in one")
            events = _events(note)
        else:
            raise misplaced(note, "a table stands here")
    return TableRules(cache, events, cache_note)


def column_rules(notes: Sequence[Note]) -> ColumnRules:
    """The rules of a column. Raises Refused."""
    found: dict[str, str] = {}
    for note in notes:
        if _name(note) not in _COLUMN:
            raise misplaced(note, "a column stands here")
        for name, value in _pairs(note, _COLUMN).items():
            if name in found:
                raise Refused(note.start, "bad-directive", f"`{name}` is given twice: keep one")
            if name == "enum" and not _FULL_NAME.fullmatch(value):
                text = f"`{value}` is no full name of an enum: write enum=package.v1.Name"
                raise Refused(note.start, "bad-directive", text)
            found[name] = value
    return ColumnRules(found.get("enum"), found.get("renamed_from"), notes[-1] if notes else None)


def _name(note: Note) -> str:
    return re.split(r"[\s=]", note.text, maxsplit=1)[0]


def _pairs(note: Note, known: Sequence[str], skip: int = 0) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in _WORD.findall(note.text)[skip:]:
        name, equals, value = word.partition("=")
        if name not in known:
            raise Refused(note.start, "bad-directive", f"`{word}` is not understood: write {_example(known)}")
        value = value.strip("`")
        if not equals or not value:
            raise Refused(note.start, "bad-directive", f"`{name}` needs a value: write {_example((name,))}")
        if name in pairs:
            raise Refused(note.start, "bad-directive", f"`{name}` is given twice: keep one")
        pairs[name] = value
    return pairs


def _example(names: Sequence[str]) -> str:
    values = {
        "ttl": "ttl=6h",
        "max": "max=10000",
        "lists": "lists=key_name",
        "enum": "enum=package.v1.Name",
        "renamed_from": "renamed_from=old_name",
    }
    return " or ".join(values[name] for name in names)


def _cache(note: Note) -> CacheRule:
    pairs = _pairs(note, ("ttl", "max", "lists"), skip=1)
    if "ttl" not in pairs:
        raise Refused(note.start, "bad-directive", "`cache` needs a time to live: write cache ttl=6h")
    duration = _DURATION.fullmatch(pairs["ttl"])
    ttl_ms = int(duration[1]) * _UNITS_MS[duration[2]] if duration else 0
    if not ttl_ms:
        text = f"ttl=`{pairs['ttl']}` is no duration: write a positive number and ms, s, m, h or d, like 6h"
        raise Refused(note.start, "bad-directive", text)
    most = pairs.get("max")
    if most is not None and not re.fullmatch(r"[1-9][0-9]{0,11}", most):
        raise Refused(note.start, "bad-directive", f"max=`{most}` is no number of rows: write a positive integer")
    lists = tuple(pairs["lists"].split(",")) if "lists" in pairs else ()
    for name in lists:
        if not name or lists.count(name) > 1:
            fault = "names a key twice" if name else "has an empty name"
            raise Refused(note.start, "bad-directive", f"lists=`{pairs['lists']}` {fault}: write lists=key_name,other")
    return CacheRule(ttl_ms, int(most) if most is not None else None, lists)


def _events(note: Note) -> tuple[str, ...]:
    names = [name for name in re.split(r"[\s,]+", note.text)[1:] if name]
    if not names:
        raise Refused(note.start, "bad-directive", "`events` names none: write events insert,update,delete")
    for name in names:
        if name not in _EVENTS:
            text = f"`{name}` is no row event: choose of insert, update, delete"
            raise Refused(note.start, "bad-directive", text)
        if names.count(name) > 1:
            raise Refused(note.start, "bad-directive", f"`{name}` is given twice: keep one")
    return tuple(name for name in _EVENTS if name in names)
