"""Hand-written SQL with typed rows, for what the DAOs don't say. One text serves every engine; it is never built up.

Outside strings and comments, `?` stands for a parameter, `{sun.post}` for a table as the engine names it, and
backticks quote a name. What the engines read in different ways, such as double quotes, is refused.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, LiteralString, TypeVar, get_type_hints

import msgspec

from runtime.sql import types
from runtime.sql.changes import Change
from runtime.sql.dialects import Dialect
from runtime.sql.errors import ResultMismatch
from runtime.sql.queries import Fixed, Query, changed
from runtime.sql.statements import Outcome, Param, Rows, Statement
from runtime.sql.types import SqlType

S = TypeVar("S", bound=msgspec.Struct)

_TOKEN = re.compile(
    r"""
      (?P<string> '(?:[^'\\]|'')*' )
    | (?P<name> `(?:[^`]|``)+` )
    | (?P<comment> --[ \t\n][^\n]* | /\*.*?\*/ )
    | \{(?P<database>[^{}.]+)\.(?P<table>[^{}.]+)\}
    | (?P<parameter> \? )
    | (?P<wrong> ['"`{}\#] | -- | /\* )
    """,
    re.VERBOSE | re.DOTALL,
)

_TYPES: dict[type, SqlType[Any]] = {
    bool: types.Bool(),
    float: types.Float(),
    decimal.Decimal: types.Decimal(65, 30),
    str: types.TEXT,
    bytes: types.Bytes(),
    datetime.date: types.Date(),
    datetime.timedelta: types.Time(),
    type(None): types.TEXT,
}
_NAIVE, _AWARE = types.DateTime(), types.Moment()
_SIGNED, _UNSIGNED = types.Int(), types.Int(signed=False)


def raw(text: LiteralString, *params: object, into: type[S]) -> Query[list[S]]:
    """The rows of a SELECT, each as a struct whose fields stand in the order of what is selected.

    A moment is compared as an aware datetime, but read as it is stored: naive, in UTC. Raises ValueError for a text
    that not every engine reads alike, or with another number of `?` than `params`; TypeError for a parameter that is
    no SQL value. Running it raises ResultMismatch for rows that are not such structs.
    """
    _counted(text, params)
    return Fixed(_reading(text, tuple(map(_type, params)), into), params)


def raw_write(text: LiteralString, *params: object) -> Query[int]:
    """An INSERT, UPDATE or DELETE; the result is how many rows it changed. Raises what `raw` raises."""
    _counted(text, params)
    return _Write(_writing(text, tuple(map(_type, params))), params, text)


class _Write(Fixed[int]):
    """A write of which only the tables are known that its text names."""

    __slots__ = ("_text",)

    told = True

    def __init__(self, statement: Statement[int], params: tuple[Any, ...], text: str) -> None:
        super().__init__(statement, params)
        self._text = text

    def changes(self, outcome: Outcome | None) -> list[Change]:
        return [Change(name, None, "raw") for name in _tables(self._text)]


def _type(value: object) -> SqlType[Any]:
    if isinstance(value, datetime.datetime):
        return _NAIVE if value.tzinfo is None else _AWARE
    if isinstance(value, int) and not isinstance(value, bool):
        return _UNSIGNED if value > _SIGNED.bounds()[1] else _SIGNED
    found = _TYPES.get(type(value)) or next((kind for base, kind in _TYPES.items() if isinstance(value, base)), None)
    if found is None:
        raise TypeError(f"a parameter of raw SQL can't be a {type(value).__name__}")
    return found


@lru_cache(maxsize=1_024)
def _parameters(text: str) -> int:
    count = 0
    for token in _TOKEN.finditer(text):
        if token["wrong"]:
            place = f"{text[: token.start()]}>>>{text[token.start() :]}"
            raise ValueError(
                f"raw SQL: {token['wrong']} is not read alike by every engine, or has no end; pass texts as"
                f" parameters, quote names with backticks: {place}"
            )
        count += token["parameter"] is not None
    return count


def _counted(text: str, params: tuple[object, ...]) -> None:
    if (count := _parameters(text)) != len(params):
        raise ValueError(f"raw SQL has {count} placeholders and {len(params)} parameters: {text}")


def _renderer(text: str) -> Callable[[Dialect], str]:
    def render(dialect: Dialect) -> str:
        def replaced(token: re.Match[str]) -> str:
            if token["parameter"]:
                return dialect.placeholder
            if token["table"]:
                return dialect.table(token["database"], token["table"])
            if token["name"]:
                return dialect.identifier(token["name"][1:-1].replace("``", "`"))
            return token[0].replace("%", dialect.percent)

        parts: list[str] = []
        end = 0
        for token in _TOKEN.finditer(text):
            parts += text[end : token.start()].replace("%", dialect.percent), replaced(token)
            end = token.end()
        return "".join(parts) + text[end:].replace("%", dialect.percent)

    return render


def _subject(text: str) -> str:
    """The first table named, for errors and logs."""
    return next(iter(_tables(text)), "raw SQL")


@lru_cache(maxsize=1_024)
def _tables(text: str) -> tuple[str, ...]:
    """The tables that a text names, each once."""
    named = (f"{token['database']}.{token['table']}" for token in _TOKEN.finditer(text) if token["table"])
    return tuple(dict.fromkeys(named))


def _takes(kinds: tuple[SqlType[Any], ...]) -> tuple[Param, ...]:
    return tuple(Param(f"parameter {place}", kind, nullable=True) for place, kind in enumerate(kinds, 1))


@lru_cache(maxsize=1_024)
def _writing(text: str, kinds: tuple[SqlType[Any], ...]) -> Statement[int]:
    return Statement(_subject(text), _renderer(text), changed, takes=_takes(kinds), writes=True)


@lru_cache(maxsize=1_024)
def _reading(text: str, kinds: tuple[SqlType[Any], ...], into: type[Any]) -> Statement[list[Any]]:
    fields: tuple[str, ...] = into.__struct_fields__
    hints = get_type_hints(into)
    shape: Any = list[tuple[tuple(hints[name] for name in fields)]]  # pyright: ignore[reportInvalidTypeArguments, reportInvalidTypeForm]

    def read(outcome: Outcome, dialect: Dialect) -> list[Any]:
        if outcome.rows and len(outcome.rows[0]) != len(fields):
            raise ResultMismatch(f"{into.__name__} has {len(fields)} fields, the rows {len(outcome.rows[0])} columns")
        try:
            try:
                rows = msgspec.convert(outcome.rows, shape, strict=False)
            except msgspec.ValidationError:
                rows = msgspec.convert(_without_decimals(outcome.rows), shape, strict=False)
        except msgspec.ValidationError as error:
            raise ResultMismatch(f"{into.__name__} ({', '.join(fields)}): {error}") from error
        return [into(*row) for row in rows]

    return Statement(_subject(text), _renderer(text), read, takes=_takes(kinds))


def _without_decimals(rows: Rows) -> Rows:
    """Decimals as texts, which convert to any number: MariaDB's sum of integers is a decimal."""
    return [tuple(str(value) if isinstance(value, decimal.Decimal) else value for value in row) for row in rows]
