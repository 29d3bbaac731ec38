"""The types of fields in row messages: how the lock spells them, what helper messages they need, which read others.

Which column has which type is decided elsewhere.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

SCALARS = ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64")
KEYS = frozenset({"bool", "int32", "int64", "string", "uint32", "uint64"})
"""What protobuf's maps take as keys (https://protobuf.dev/programming-guides/proto3/#maps)."""

MOST_DEEP = 64
"""Messages within each other. Parsers of protobuf stop at 100, and a row may be deep in another message itself."""

HelperKind = Literal["List", "Set", "Map", "Pair", "Tuple", "CqlDuration"]


@dataclass(frozen=True, slots=True)
class Scalar:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Enum:
    full_name: str

    def __str__(self) -> str:
        return f"enum {self.full_name}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message that has a file of its own, or that protobuf has."""

    full_name: str

    def __str__(self) -> str:
        return self.full_name


@dataclass(frozen=True, slots=True)
class Helper:
    """A message that each row message which needs it has inside. Its name and its fields follow from its parts alone,
    so that one name never stands for two things, whatever becomes of the columns.
    """

    kind: HelperKind
    parts: tuple[Single, ...] = ()

    def __str__(self) -> str:
        if self.kind == "CqlDuration" or self == STRING_SET:
            return self.name
        return f"{self.kind}<{', '.join(map(str, self.parts))}>"

    @property
    def name(self) -> str:
        """`StringList`, `Int64StringListMap`: what it is made of, then its kind, which tells how many those are."""
        count = str(len(self.parts)) if self.kind == "Tuple" else ""
        return "".join(map(_word, self.parts)) + self.kind + count

    @property
    def fields(self) -> tuple[tuple[str, Type], ...]:
        """Names and types of its fields, numbered from 1."""
        match self.kind:
            case "List" | "Set":
                return (("values", Many(self.parts[0])),)
            case "Map":
                return (("entries", entries(*self.parts)),)
            case "Pair":
                return (("key", self.parts[0]), ("value", self.parts[1]))
            case "Tuple":
                return tuple((f"item_{place}", part) for place, part in enumerate(self.parts, 1))
            case "CqlDuration":
                return (("months", INT32), ("days", INT32), ("nanoseconds", INT64))

    @property
    def optional(self) -> bool:
        """Whether each of its fields may be absent."""
        return self.kind == "Tuple"


Single = Scalar | Enum | Message | Helper


@dataclass(frozen=True, slots=True)
class Many:
    """A repeated field."""

    item: Single

    def __str__(self) -> str:
        return f"repeated {self.item}"


@dataclass(frozen=True, slots=True)
class Entries:
    """A map of protobuf's."""

    key: Scalar
    value: Single

    def __str__(self) -> str:
        return f"map<{self.key}, {self.value}>"


Type = Single | Many | Entries

BOOL, BYTES, DOUBLE, FLOAT = Scalar("bool"), Scalar("bytes"), Scalar("double"), Scalar("float")
INT32, INT64, STRING, UINT64 = Scalar("int32"), Scalar("int64"), Scalar("string"), Scalar("uint64")
TIMESTAMP = Message("google.protobuf.Timestamp")
DURATION = Message("google.protobuf.Duration")
CQL_DURATION = Helper("CqlDuration")
STRING_SET = Helper("Set", (STRING,))  # spelled `StringSet`, as it was before there were other helpers


def entries(key: Single, value: Single) -> Many | Entries:
    """A map, as protobuf's own where it takes such keys."""
    if isinstance(key, Scalar) and key.name in KEYS:
        return Entries(key, value)
    return Many(Helper("Pair", (key, value)))


def _word(part: Single) -> str:
    name = part.name if isinstance(part, (Scalar, Helper)) else part.full_name.rpartition(".")[2]
    return name[0].upper() + name[1:]


def inside(kind: Type) -> tuple[Type, ...]:
    """What a type is made of, one step down."""
    match kind:
        case Many(item):
            return (item,)
        case Entries(key, value):
            return (key, value)
        case Helper():
            return tuple(each for _, each in kind.fields)
        case _:
            return ()


def parts(kind: Type) -> Iterator[Type]:
    """The type and everything that it is made of, down to where other files begin."""
    yield kind
    for each in inside(kind):
        yield from parts(each)


def helpers(kind: Type) -> Iterator[Helper]:
    """The helper messages that a field of this type needs, each as often as it is there."""
    return (each for each in parts(kind) if isinstance(each, Helper))


def depth(kind: Type, depths: Mapping[str, int]) -> int:
    """How many messages stand within each other in such a field, at the most. `depths` are those of messages that have
    files of their own; of others it is 1.
    """
    deepest = max((depth(each, depths) for each in inside(kind)), default=0)
    match kind:
        case Helper() | Entries():
            return 1 + deepest
        case Message(full_name):
            return depths.get(full_name, 1)
        case _:
            return deepest


# --- which reads what -------------------------------------------------------------------------------------------------

# Types whose every value reads the same as one of those (https://protobuf.dev/programming-guides/proto3/#updating).
# An enum is read like any integer; a value that is too large for one was none of its numbers.
_WIDER = {
    "bool": {"int32", "uint32", "int64", "uint64", "enum"},
    "int32": {"int64", "enum"},
    "uint32": {"int64", "uint64", "enum"},
    "int64": {"enum"},
    "uint64": {"enum"},
    "enum": {"int32", "uint32", "int64", "uint64", "enum"},
    "string": {"bytes"},
}


def reads_as(old: Type, new: Type) -> bool:
    """Whether what was written with the type `old` reads right with `new`."""
    match old, new:
        case ((Scalar() | Enum()), (Scalar() | Enum())):
            return old == new or _leaf(new) in _WIDER.get(_leaf(old), ())
        case (Many(), Many()) | (Entries(), Entries()):
            return all(map(reads_as, inside(old), inside(new)))
        case Helper("Tuple", before), Helper("Tuple", after):
            return len(before) <= len(after) and all(map(reads_as, before, after))
        case Helper("List" | "Set"), Helper("List" | "Set"):
            return reads_as(old.parts[0], new.parts[0])
        case Helper("Map" | "Pair"), Helper("Map" | "Pair"):
            return old.kind == new.kind and all(map(reads_as, inside(old), inside(new)))
        case _:
            return old == new


def _leaf(kind: Scalar | Enum) -> str:
    return kind.name if isinstance(kind, Scalar) else "enum"


# --- from the lock ----------------------------------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_TOKEN = re.compile(rf"{_NAME.pattern}|[<>]|, | ", re.ASCII)
_ARITY = {"List": (1, 1), "Set": (1, 1), "Map": (2, 2), "Pair": (2, 2), "Tuple": (1, 1 << 15)}


@functools.cache
def parse(text: str) -> Type:
    """The type that a lock spells so. Raises ValueError."""
    try:
        kind = _Reader(text).type()
    except IndexError:
        raise ValueError(text) from None
    if str(kind) != text:
        raise ValueError(text)
    return kind


class _Reader:
    """Reads one type. Goes past the end with IndexError."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def type(self) -> Type:
        # What is left over, or was no token, shows when the type is spelled again.
        match self._tokens[:2]:
            case ["enum", " "] if _NAME.fullmatch(self._tokens[2]):
                return Enum(self._tokens[2])
            case ["repeated", " "]:
                self._at = 2
                return Many(self._single(0))
            case ["map", "<"]:
                self._at = 2
                key = self._next()
                if key not in KEYS or self._next() != ", ":
                    raise ValueError(key)
                return Entries(Scalar(key), self._single(0))
            case _:
                return self._single(0)

    def _single(self, deep: int) -> Single:
        name = self._next()
        if name in SCALARS:
            return Scalar(name)
        if name == "StringSet":
            return STRING_SET
        if name == "CqlDuration":
            return CQL_DURATION
        if name not in _ARITY:
            if "." not in name:
                raise ValueError(name)
            return Message(name)
        if deep == MOST_DEEP or self._next() != "<":
            raise ValueError(name)
        found = [self._single(deep + 1)]
        while (token := self._next()) == ", ":
            found.append(self._single(deep + 1))
        least, most = _ARITY[name]
        if token != ">" or not least <= len(found) <= most:
            raise ValueError(name)
        return Helper(name, tuple(found))  # pyright: ignore[reportArgumentType]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]
