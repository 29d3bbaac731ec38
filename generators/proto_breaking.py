"""Which changes of proto files break those who speak by them, or what is stored. What was promised is in proto_lock.py.

Both encodings count, since clients choose: binary goes by numbers and types, JSON by names. The kinds of change are
those that buf calls WIRE_JSON, and of its FILE those that a client of this server can notice
(https://buf.build/docs/breaking/rules). What is new breaks nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from generators.diagnostics import Position
from generators.proto_lock import Field, Method, Promises, Reserved

ALL = "all"
"""Allows every change."""


class Break(NamedTuple):
    """One change that breaks something: the full name of what changed, the kind of change, and what to do."""

    name: str
    code: str
    text: str
    position: Position

    @property
    def message(self) -> str:
        return f"{self.text}, or allow it: `sun generate --allow-breaking {self.name}`"

    def is_allowed(self, names: Collection[str]) -> bool:
        """Whether a name is `all`, its own, or that of what it belongs to: its message, enum, service or package."""
        return any(name == ALL or self.name == name or self.name.startswith((f"{name}.", f"{name}/")) for name in names)


def breaks(old: Promises, new: Promises, places: Mapping[str, Position]) -> list[Break]:
    """Every change from `old` to `new` that breaks something. `places` says where the schema has what is in `new`."""
    comparison = _Comparison(old, new, places)
    return sorted({*comparison.run()}, key=lambda each: (each.position, each.code, each.name))


class _Comparison:
    def __init__(self, old: Promises, new: Promises, places: Mapping[str, Position]) -> None:
        self._old = old
        self._new = new
        self._places = places
        self._gone = [f"{name}." for name in old.packages - new.packages]

    def run(self) -> Iterator[Break]:
        for name in self._old.packages - self._new.packages:
            text = f"package {name} is gone: everything in it would have another name; keep the package"
            yield self._break(name, "package-removed", text)
        yield from self._whole("message", self._old.messages, self._new.messages)
        yield from self._whole("enum", self._old.enums, self._new.enums)
        for name, message in self._old.messages.items():
            if name in self._new.messages:
                yield from self._message(name, message, self._new.messages[name])
        for name, enum in self._old.enums.items():
            if name in self._new.enums:
                yield from self._enum(name, enum, self._new.enums[name])
        yield from self._methods()

    def _whole(self, kind: str, old: Collection[str], new: Collection[str]) -> Iterator[Break]:
        for name in old:
            holder = name.rpartition(".")[0]
            # What goes with its message or its package is said of that.
            goes_along = holder in self._old.messages and holder not in self._new.messages
            if name not in new and not goes_along and not name.startswith(tuple(self._gone)):
                yield self._break(name, f"{kind}-removed", f"{kind} {name} is gone: bring it back")

    def _message(self, name: str, old: Mapping[int, Field], new: Mapping[int, Field]) -> Iterator[Break]:
        numbers = {field.name: field.number for field in new.values()}
        for number, field in old.items():
            full_name = f"{name}.{field.name}"
            if number in new:
                yield from self._field(full_name, name, field, new[number])
            elif field.name in numbers:
                text = f"field {full_name} had number {number}, and has {numbers[field.name]}: give it the former again"
                yield self._break(full_name, "field-renumbered", text)
            elif (lacking := _lacking(self._reserved_in(name), number, field.name)) is not None:
                text = f"field {number} of {name}, {field.name}, is gone: add `{lacking}` to the message"
                yield self._break(full_name, "field-removed", text, name)
        for field in _moved(old, new):
            now = new[field.number]
            was, there = (f"oneof {each.oneof}" if each.oneof else "no oneof" for each in (field, now))
            text = f"field {name}.{field.name} was in {was}, and is in {there}: setting a field of a oneof clears the "
            yield self._break(
                f"{name}.{field.name}", "field-oneof", f"{text}others; add a new field instead", f"{name}.{now.name}"
            )
        yield from self._reserved(name, {field.number: field.name for field in new.values()})

    def _field(self, full_name: str, message: str, old: Field, new: Field) -> Iterator[Break]:
        at = f"{message}.{new.name}"
        if old.name != new.name:
            text = f"number {old.number} of {message} was {old.name}, and is {new.name}: "
            text += "give the new field a new number" if old.type != new.type else "JSON goes by names; keep the name"
            yield self._break(full_name, "field-renamed", text, at)
            if old.type != new.type:
                return  # another field on the same number: the rest follows from that
        elif old.json != new.json:
            text = f"field {full_name} was {old.json} in JSON, and is {new.json}: keep its json_name"
            yield self._break(full_name, "field-json-name", text, at)
        if old.type != new.type:
            text = f"field {full_name} was of type {old.type}, and is of {new.type}: add a new field instead"
            yield self._break(full_name, "field-type", text, at)
        elif old.label != new.label and (old.label or new.label != "optional"):
            was, now = old.label or "one value", new.label or "one value"
            text = f"field {full_name} was {was}, and is {now}: add a new field instead"
            yield self._break(full_name, "field-label", text, at)

    def _enum(self, name: str, old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Break]:
        names = {number: value for value, number in new.items()}
        for value, number in old.items():
            full_name = f"{name}.{value}"
            if value in new:
                if new[value] != number:
                    text = f"value {full_name} had number {number}, and has {new[value]}: give it the former again"
                    yield self._break(full_name, "value-renumbered", text, name)
            elif number in names:
                text = f"number {number} of {name} was {value}, and is {names[number]}"
                text = f"{text}: JSON goes by names; keep the name"
                yield self._break(full_name, "value-renamed", text, name)
            elif (lacking := _lacking(self._reserved_in(name), number, value)) is not None:
                text = f"value {number} of {name}, {value}, is gone: add `{lacking}` to the enum"
                yield self._break(full_name, "value-removed", text, name)
        yield from self._reserved(name, names)

    def _reserved_in(self, name: str) -> Reserved:
        return self._new.reserved.get(name, Reserved())

    def _reserved(self, name: str, taken: Mapping[int, str]) -> Iterator[Break]:
        """What was reserved and is no longer; `taken` are the numbers in use, with their names."""
        old, new = self._old.reserved.get(name, Reserved()), self._reserved_in(name)
        for first, last in old.ranges:
            again = next((each for number, each in taken.items() if first <= number <= last), None)
            numbers = str(first) if first == last else f"{first} to {last}"
            if again is not None:
                text = f"{again} has a number of {name} that was reserved, since something else had it: take another"
                yield self._break(f"{name}.{again}", "number-reused", text, f"{name}.{again}", name)
            elif not _covers(new, first, last):
                text = f"{name} no longer has `reserved {numbers};`: bring it back"
                yield self._break(name, "reserved-removed", text)
        for kept in sorted(old.names - new.names):
            text = f'{name} no longer has `reserved "{kept}";`: bring it back, and use another name'
            yield self._break(name, "reserved-removed", text, f"{name}.{kept}", name)

    def _methods(self) -> Iterator[Break]:
        gone: dict[str, str] = {}
        for path, old in self._old.methods.items():
            service = path.partition("/")[0]
            new = self._new.methods.get(path)
            if path.startswith(tuple(self._gone)):
                continue
            if new is not None:
                yield from self._method(path, old, new)
            elif service in self._places:
                text = f"method {path} is gone: bring it back, with `option deprecated = true` until no client calls it"
                yield self._break(path, "method-removed", text, service)
            else:
                gone.setdefault(service, path)
        for service, path in gone.items():
            yield self._break(service, "service-removed", f"service {service} is gone: bring it back", path)

    def _method(self, path: str, old: Method, new: Method) -> Iterator[Break]:
        if old.request != new.request:
            text = f"method {path} took {old.request}, and takes {new.request}: add a new method instead"
            yield self._break(path, "method-request", text)
        if (old.response, old.streams) != (new.response, new.streams):
            was, now = (f"{'a stream of ' if each.streams else ''}{each.response}" for each in (old, new))
            text = f"method {path} answered with {was}, and answers with {now}: add a new method instead"
            yield self._break(path, "method-response", text)
        if old.effects and new.effects not in (old.effects, "no_side_effects"):
            text = f"method {path} was {old.effects.upper()}: clients call it by GET, or again after a failure"
            yield self._break(path, "method-effects", f"{text}; bring the option back")

    def _break(self, name: str, code: str, text: str, *at: str) -> Break:
        """At the first of these names that the schema has, or else where the lock has the name."""
        for each in (*at, name):
            if each in self._places:
                return Break(name, code, text, self._places[each])
        place = next((self._old.places[each] for each in (name, *at) if each in self._old.places), Position("", 1, 1))
        return Break(name, code, text, place)


def _moved(old: Mapping[int, Field], new: Mapping[int, Field]) -> Iterator[Field]:
    """The fields that came into a oneof or left one. A oneof's own name is not on the wire, and may change."""
    kept = [field for number, field in old.items() if number in new]
    names = {field.oneof: field.oneof for field in kept if field.oneof and new[field.number].oneof == field.oneof}
    for field in kept:
        now = new[field.number].oneof
        if field.oneof and now and now not in names.values():
            names.setdefault(field.oneof, now)
    return (field for field in kept if new[field.number].oneof != names.get(field.oneof, ""))


def _lacking(reserved: Reserved, number: int, name: str) -> str | None:
    """What must be reserved before the number and the name may go; None where both are."""
    lacking = [] if reserved.has(number) else [f"reserved {number};"]
    lacking += [] if name in reserved.names else [f'reserved "{name}";']
    return " ".join(lacking) or None


def _covers(reserved: Reserved, first: int, last: int) -> bool:
    """Whether every number from the first to the last is reserved, in whatever ranges."""
    for start, end in sorted(reserved.ranges):
        if start <= first <= end:
            first = end + 1
    return first > last
