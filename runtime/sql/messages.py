"""Rows as protobuf messages and back, for other languages. What a table's message looks like is generated.

A table's message, and with it protobuf, is imported when its first row is converted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from operator import call
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

import msgspec

from runtime.described import described
from runtime.sql.errors import InvalidValue
from runtime.sql.tables import Table
from runtime.sql.types import Json

if TYPE_CHECKING:
    from runtime.sql.message_values import Plan

R = TypeVar("R")

_test = cast("Callable[[Callable[[Any], bool], Any], bool]", call)  # typeshed's `call` does not fit `map`


class RowMessage(Generic[R]):
    """The message of one table's rows: `name` in the Python module `module`.

    `renamed` holds the fields of the row whose name in the message is another.
    """

    __slots__ = ("_module", "_name", "_plan", "_renamed", "_table")

    def __init__(self, table: Table[R], module: str, name: str, renamed: Mapping[str, str] | None = None) -> None:
        self._table = table
        self._module = module
        self._name = name
        self._renamed = renamed or {}
        self._plan: Plan | None = None

    def of(self, row: R) -> Any:
        """The message of a row. Raises InvalidValue for a value that its column can't hold."""
        plan = self._plan or self._load()
        if type(row) is not self._table.row:
            raise TypeError(f"{self._table.name} takes rows of {self._table.row.__name__}, not {type(row).__name__}")
        values = self._checked(plan, msgspec.structs.astuple(cast("msgspec.Struct", row)))
        if plan.encoders:
            encoded = list(values)
            for place, encode in plan.encoders:
                try:
                    encoded[place] = encode(encoded[place])
                except (TypeError, ValueError, OverflowError, RecursionError) as error:
                    self._refuse(place, values[place], f"can't hold it: {error}")
            values = encoded
        return plan.message(**dict(zip(plan.names, values, strict=True)))

    def row(self, message: Any) -> R:
        """The row of a message. Raises InvalidValue for what is missing or does not fit its column."""
        plan = self._plan or self._load()
        kind = cast("Any", type(message))
        if kind is not plan.message:
            other = kind.DESCRIPTOR.full_name if hasattr(kind, "DESCRIPTOR") else kind.__name__
            raise TypeError(f"{self._table.name} takes messages of {plan.message.DESCRIPTOR.full_name}, not {other}")
        values = plan.read(message)
        if plan.decoders:
            decoded = list(values)
            for place, decode in plan.decoders:
                try:
                    decoded[place] = decode(message, decoded[place])
                except LookupError as error:
                    self._refuse(place, None, str(error))
                except (ValueError, OverflowError) as error:
                    self._refuse(place, values[place], str(error))
            values = decoded
        return self._table.row(*self._checked(plan, values))

    def _checked(self, plan: Plan, values: Sequence[Any]) -> Sequence[Any]:
        """The values, if their columns can hold them, each of the very type that its column has."""
        if all(map(_test, plan.tests, values)):
            return values
        return [self._settled(place, value) for place, value in enumerate(values)]

    def _settled(self, place: int, value: Any) -> Any:
        column = self._table.columns[place]
        if value is None and (column.nullable or isinstance(column.type, Json)):
            return None
        if fault := "takes no NULL" if value is None else column.type.fault(value):
            self._refuse(place, value, fault)
        return column.type.plain(value)

    def _refuse(self, place: int, value: Any, fault: str) -> NoReturn:
        name, given = self._table.columns[place].name, described(value)
        message = f"{self._table.name}.{name} {fault}{'' if value is None else f', not {given}'}"
        raise InvalidValue(message, table=self._table.name, column=name, value=given) from None

    def _load(self) -> Plan:
        from runtime.sql.message_values import plan

        message = getattr(importlib.import_module(self._module), self._name)
        names = tuple(self._renamed.get(field, field) for field in self._table.fields)
        self._plan = made = plan(self._table, message, names)
        return made
