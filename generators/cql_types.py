"""Reads the types of CQL into the lattice of the IR, and answers what keys and columns ask of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from generators import ir
from generators.cql_reader import CqlReader
from generators.cql_scanner import RESERVED
from generators.sql_scanner import Refused, Token

NATIVE: dict[str, ir.Type] = {
    "ascii": ir.Ascii(),
    "bigint": ir.Int(64),
    "blob": ir.Bytes(),
    "boolean": ir.Bool(),
    "counter": ir.Counter(),
    "date": ir.Date(),
    "decimal": ir.Number(),
    "double": ir.Float(64),
    "duration": ir.Duration(),
    "float": ir.Float(32),
    "inet": ir.Inet(),
    "int": ir.Int(32),
    "smallint": ir.Int(16),
    "text": ir.Text(),
    "time": ir.Time(9),
    "timestamp": ir.DateTime(3, instant=True),
    "timeuuid": ir.Uuid(time=True),
    "tinyint": ir.Int(8),
    "uuid": ir.Uuid(),
    "varint": ir.Varint(),
}
_SYNONYMS = {"varchar": "text"}
_MADE = frozenset(["frozen", "list", "map", "set", "tuple", "vector"])
# What a type can be called in quotes only (checked on 5.0.6). Cassandra's own metadata spells these without.
_QUOTED_ONLY = frozenset(
    "bitstring byte cast complex count distinct enum interval json macaddr maxwritetime ttl writetime".split()
)
MAX_DEPTH = 32


def is_type_name(name: str) -> bool:
    """Whether a user-defined type may have this name. Cassandra takes that of one of its own in quotes, but has none in
    its metadata, so that nobody could tell the two apart.
    """
    return name not in NATIVE and name not in _SYNONYMS and name not in _MADE


def is_plain_type_name(name: str) -> bool:
    """Whether the name of a user-defined type needs no quotes for being a word of CQL."""
    return name not in _QUOTED_ONLY | RESERVED


@dataclass(frozen=True, slots=True)
class TypeUse:
    """A user-defined type that a type names; only the whole file can know it. `bare` is what it stands in without
    being frozen where it must be.
    """

    name: Token
    bare: str = ""

    def fault(self, known: Container[str], broken: Container[str]) -> Refused | None:
        """Why it can't be used so, when these types are known; the `broken` ones were refused before."""
        token = self.name
        if token.value in broken:
            return None
        if token.value not in known:
            text = f"there is no type `{token.value}`: use one of CQL's or declare it with CREATE TYPE"
            return Refused(token.start, "unknown-type", text)
        return _not_frozen(self.bare, token.text, token.start) if self.bare else None


class TypeReader:
    """Reads one type. `uses` are the user-defined types that it names; `claim` hears of each keyspace named, and
    refuses another one than the file's.
    """

    def __init__(self, reader: CqlReader, claim: Callable[[Token], None]) -> None:
        self.reader = reader
        self.claim = claim
        self.uses: list[TypeUse] = []

    def read(self) -> ir.Type:
        """The type of a column or a field. Raises Refused."""
        return self._type(0, whole=False)

    def _type(self, depth: int, *, whole: bool) -> ir.Type:
        """A type that stands `depth` brackets deep; a `whole` one stands where every type is frozen anyway."""
        token = self.reader.peek()
        if token is None or token.kind not in ("word", "name", "string"):
            raise self.reader.unexpected("a type")
        if depth > MAX_DEPTH:
            raise Refused(token.start, "bad-type", f"types can't stand more than {MAX_DEPTH} deep in each other")
        if token.kind == "string":
            text = f"{token.shown} is a class of Java, which has no form in Python here: use a type of CQL"
            raise Refused(token.start, "unsupported", text)
        bracket = self.reader.peek(1)
        if token.kind == "word" and token.value in _MADE and bracket is not None and bracket.is_symbol("<"):
            self.reader.at += 2
            made = self._made(token, depth, whole=whole)
            self.reader.expect_symbol(">")
            return made
        native = NATIVE.get(_SYNONYMS.get(token.value, token.value)) if token.kind == "word" else None
        if native is not None:
            self.reader.at += 1
            return native
        return self._user_defined(token)

    def _made(self, token: Token, depth: int, *, whole: bool) -> ir.Type:
        match token.value:
            case "frozen":
                return self._frozen(depth)
            case "list":
                return ir.List(self._item(depth, "list", whole=whole))
            case "set":
                start = self.reader.here
                item = self._item(depth, "set", whole=whole)
                _refuse_duration(item, start, "in a set")
                return ir.Set(item)
            case "map":
                start = self.reader.here
                key = self._item(depth, "map", whole=whole)
                _refuse_duration(key, start, "as the key of a map")
                self.reader.expect_symbol(",")
                return ir.Map(key, self._item(depth, "map", whole=whole))
            case "tuple":
                items = [self._inside(depth, "tuple", whole=True)]
                while self.reader.accept_symbol(","):
                    items.append(self._inside(depth, "tuple", whole=True))
                return ir.Tuple(tuple(items))
            case _:
                item = self._inside(depth, "vector", whole=whole)
                self.reader.expect_symbol(",")
                return ir.Vector(item, self._size())

    def _frozen(self, depth: int) -> ir.Type:
        start = self.reader.here
        frozen = self._type(depth + 1, whole=True)
        if isinstance(frozen, ir.Frozen | ir.Tuple | ir.Vector):
            return frozen
        if not isinstance(frozen, ir.List | ir.Set | ir.Map | ir.UserDefined):
            text = "only a collection, a tuple or a user-defined type can be frozen: write the type alone"
            raise Refused(start, "bad-type", text)
        return ir.Frozen(frozen)

    def _item(self, depth: int, what: str, *, whole: bool) -> ir.Type:
        """What a collection holds: written as a whole, so it says so unless it is within what is frozen anyway."""
        first, start = self.reader.at, self.reader.here
        found = self._inside(depth, what, whole=whole, strip=False)
        if isinstance(found, ir.Frozen):
            return found.type
        if not whole and isinstance(found, ir.UserDefined):
            self.uses[-1] = replace(self.uses[-1], bare=what)
        elif not whole and is_multi_cell(found):
            raise _not_frozen(what, self.reader.source.slice(self.reader.tokens[first : self.reader.at]), start)
        return found

    def _inside(self, depth: int, what: str, *, whole: bool, strip: bool = True) -> ir.Type:
        start = self.reader.here
        found = self._type(depth + 1, whole=whole)
        if isinstance(found, ir.Counter):
            raise Refused(start, "bad-type", f"a counter can't be in a {what}: it is a column of its own")
        return found.type if strip and isinstance(found, ir.Frozen) else found

    def _size(self) -> int:
        start = self.reader.here
        size = self.reader.number("the size of the vector")
        if not 1 <= size <= 2**31 - 1:
            raise Refused(start, "bad-type", f"a vector of {size}: its size must be 1 to {2**31 - 1}")
        return size

    def _user_defined(self, token: Token) -> ir.Type:
        self.reader.at += 1
        if self.reader.accept_symbol("."):
            self.claim(token)
            token = self.reader.name("a type")
        bracket = self.reader.peek()
        if bracket is not None and bracket.is_symbol("<"):
            raise Refused(token.start, "unknown-type", f"there is no type `{token.shown}<…>`")
        if token.kind == "word" and token.value in _MADE:
            text = f"`{token.shown}` needs what it is made of: write {token.value}<…>"
            raise Refused(token.start, "bad-type", text)
        self.uses.append(TypeUse(token))
        return ir.UserDefined(token.value)


def _not_frozen(what: str, written: str, start: int) -> Refused:
    return Refused(start, "bad-type", f"what a {what} holds must be frozen: write frozen<{written}>")


def _refuse_duration(found: ir.Type, start: int, where: str) -> None:
    if isinstance(found, ir.Duration):
        raise Refused(start, "bad-type", f"a duration can't stand {where}: durations have no order")


def inner(found: ir.Type) -> tuple[ir.Type, ...]:
    """What a type is made of."""
    match found:
        case ir.Frozen(item) | ir.List(item) | ir.Set(item) | ir.Vector(item, _):
            return (item,)
        case ir.Map(key, value):
            return (key, value)
        case ir.Tuple(items):
            return items
        case _:
            return ()


def user_defined(found: ir.Type) -> Iterator[str]:
    """The names of the user-defined types in a type."""
    if isinstance(found, ir.UserDefined):
        yield found.name
    for item in inner(found):
        yield from user_defined(item)


def holds_duration(found: ir.Type, types: Mapping[str, ir.UserType]) -> bool:
    """Whether Cassandra refuses this type in a key for a duration in it. A vector hides what it holds from that."""
    if isinstance(found, ir.Duration):
        return True
    if isinstance(found, ir.Vector):
        return False
    if isinstance(found, ir.UserDefined) and found.name in types:
        return any(holds_duration(field.type, types) for field in types[found.name].fields)
    return any(holds_duration(item, types) for item in inner(found))


def is_multi_cell(found: ir.Type) -> bool:
    """Whether the parts of a value are written apart: a collection or user-defined type that is not frozen."""
    return isinstance(found, ir.List | ir.Set | ir.Map | ir.UserDefined)
