"""Rows of CQL as protobuf messages and back, for other languages. What a table's message looks like is generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runtime import messages
from runtime.cql.errors import InvalidValue
from runtime.cql.tables import Table

if TYPE_CHECKING:
    from runtime.message_values import Plan

R = TypeVar("R")


class RowMessage(messages.RowMessage[R]):
    """The message of one table's rows: `name` in the Python module `module`.

    `renamed` holds the fields of the row whose name in the message is another, and `types` the same of user-defined
    types, by their names in the schema.
    """

    __slots__ = ("_columns", "_types")

    _invalid: ClassVar[Callable[..., Exception]] = InvalidValue

    def __init__(
        self,
        table: Table[R],
        module: str,
        name: str,
        renamed: Mapping[str, str] | None = None,
        types: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(table, module, name, renamed)
        self._columns = table.columns
        self._types = types or {}

    def _planned(self, message: Any, names: tuple[str, ...]) -> Plan:
        from runtime.cql.message_values import plan

        return plan(self._columns, message, names, self._types)
