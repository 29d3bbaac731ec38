"""Rows as protobuf messages and back, for other languages: what the messages of every engine's rows have in common.

A table's message, and with it protobuf, is imported when its first row is converted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from operator import call
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar, cast

import msgspec

from runtime.described import described

if TYPE_CHECKING:
    from runtime.message_values import Plan

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_test = cast("Callable[[Callable[[Any], bool], Any], bool]", call)  # typeshed's `call` does not fit `map`


class Column(Protocol):
    """What a conversion needs to know of a column."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> Any: ...


class Table(Protocol[R_co]):
    """What a conversion needs to know of a table."""

    @property
    def name(self) -> str: ...

    @property
    def row(self) -> type[R_co]: ...

    @property
    def columns(self) -> Sequence[Column]: ...


class RowMessage(Generic[R]):
    """The message of one table's rows: `name` in the Python module `module`.

    `renamed` holds the fields of the row whose name in the message is another.
    """

    __slots__ = ("_module", "_name", "_plan", "_renamed", "_table")

    _invalid: ClassVar[Callable[..., Exception]]  # the engine's InvalidValue

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
                    self._refuse(place, getattr(error, "value", values[place]), str(error))
            values = decoded
        return self._table.row(*self._checked(plan, values))

    def _checked(self, plan: Plan, values: Sequence[Any]) -> Sequence[Any]:
        """The values, if their columns can hold them, each of the very type that its column has."""
        if all(map(_test, plan.tests, values)):
            return values
        return [self._settled(plan, place, value) for place, value in enumerate(values)]

    def _settled(self, plan: Plan, place: int, value: Any) -> Any:
        kind = self._table.columns[place].type
        if value is None and plan.take_none[place]:
            return None
        if fault := "takes no NULL" if value is None else kind.fault(value):
            self._refuse(place, value, fault)
        return kind.plain(value)

    def _refuse(self, place: int, value: Any, fault: str) -> NoReturn:
        name, given = self._table.columns[place].name, described(value)
        message = f"{self._table.name}.{name} {fault}{'' if value is None else f', not {given}'}"
        raise self._invalid(message, table=self._table.name, column=name, value=given) from None

    def _load(self) -> Plan:
        message = getattr(importlib.import_module(self._module), self._name)
        fields = cast("type[msgspec.Struct]", self._table.row).__struct_fields__
        self._plan = made = self._planned(message, tuple(self._renamed.get(field, field) for field in fields))
        return made

    def _planned(self, message: Any, names: tuple[str, ...]) -> Plan:
        """How rows are converted; `names` are the message's fields in the order of the columns."""
        raise NotImplementedError
