"""The committed file that remembers field numbers: its text to values and back. Who gets a number is decided elsewhere.

A line says what one number of one message stands for, or stood for:

    sun.rows.v1.Post 5 text string
    sun.rows.v1.Post 6 via string reserved

Lines stand alone and are sorted, so that a difference of the file reads by itself and branches merge.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from generators import ir, row_types
from generators.diagnostics import Diagnostics, Position

NAME = "wire.lock"
MOST = 536_870_911  # the greatest field number (https://protobuf.dev/programming-guides/proto3/#assigning)
KEPT_BACK = range(19_000, 20_000)  # numbers that protobuf keeps for itself

_HEAD = (
    "# The field numbers of generated messages. What is stored or under way was written with them: they never change.\n"
    "# `sun generate` writes this file; commit it.\n"
)
_RESERVED = " reserved"
_NAME = r"[A-Za-z_]\w*"
_LINE = re.compile(rf"({_NAME}(?:\.{_NAME})*) (\d{{1,10}}) ({_NAME}) (.+)", re.ASCII)
_CONFLICT = re.compile(r"<{7}|={7}|>{7}|\|{7}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a field of a message by its full name, and where that is written."""

    message: str
    field: ir.RowField
    position: Position


def read(data: bytes, shown: str, diagnostics: Diagnostics) -> tuple[Line, ...]:
    """The lines of the file, `shown` in positions. What is wrong with them goes to `diagnostics` and is left out."""
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        place = Position(shown, data.count(b"\n", 0, error.start) + 1, 1)
        diagnostics.error(place, "bad-encoding", f"byte 0x{data[error.start]:02x} is not UTF-8: {_RESTORE}")
        return ()
    found: list[Line] = []
    for number, line in enumerate(text.split("\n"), 1):
        if (line := line.rstrip()) and not line.startswith("#"):
            place = Position(shown, number, 1)
            if _CONFLICT.match(line):
                text = "a conflict of a merge: keep the lines of both sides, and run `sun generate`"
                diagnostics.error(place, "merge-conflict", text)
            elif made := _line(line, place):
                found.append(made)
            else:
                text = f"`{line[:100]}` is not understood: lines read `package.Message 1 field type`; {_RESTORE}"
                diagnostics.error(place, "bad-lock", text)
    _check_numbers(found, diagnostics)
    return tuple(found)


def _line(text: str, place: Position) -> Line | None:
    """What a line says; None where it says nothing."""
    if (match := _LINE.fullmatch(text)) is None:
        return None
    message, number, name, kind = match.groups()
    # First as a whole: an enum without a package may be called `reserved`.
    for spelled in dict.fromkeys((kind, kind.removesuffix(_RESERVED))):
        try:
            row_types.parse(spelled)
        except ValueError:
            continue
        return Line(message, ir.RowField(int(number), name, spelled, spelled != kind), place)
    return None


_RESTORE = "restore the file from version control and run `sun generate`"


def _check_numbers(lines: Sequence[Line], diagnostics: Diagnostics) -> None:
    numbers: dict[tuple[str, int], Line] = {}
    names: dict[tuple[str, str], Line] = {}
    for line in lines:
        message, field = line.message, line.field
        if not 1 <= field.number <= MOST or field.number in KEPT_BACK:
            text = f"{field.number} is no field number: they go from 1 to {MOST} without 19000 to 19999; {_RESTORE}"
            diagnostics.error(line.position, "bad-lock", text)
        other = numbers.setdefault((message, field.number), line)
        if other is not line:
            text = (
                f"{message}: {other.field.name}, at line {other.position.line}, and {field.name} both have the number "
                f"{field.number}: delete the line of the one that nothing was written with yet, and run "
                "`sun generate`, which gives it another"
            )
            diagnostics.error(line.position, "number-clash", text)
        elif not field.reserved and (other := names.setdefault((message, field.name), line)) is not line:
            text = (
                f"{message}: {field.name} has two numbers, {other.field.number} at line {other.position.line} and "
                f"{field.number}: put `reserved` at the end of the line of the one that is less in use"
            )
            diagnostics.error(line.position, "number-clash", text)


def render(messages: Iterable[ir.RowMessage]) -> str:
    """The text of the file; empty where there is nothing to remember."""
    ordered = sorted(messages, key=attrgetter("full_name"))
    lines = [
        f"{message.full_name} {field.number} {field.name} {field.type}{_RESERVED if field.reserved else ''}\n"
        for message in ordered
        for field in sorted(message.fields, key=attrgetter("number"))
    ]
    return _HEAD + "".join(lines) if lines else ""


def free_numbers(taken: Iterable[int]) -> Iterable[int]:
    """Numbers above all that were ever given, without end."""
    return (number for number in itertools.count(max(taken, default=0) + 1) if number not in KEPT_BACK)
