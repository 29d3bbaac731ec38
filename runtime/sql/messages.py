"""Rows of SQL as protobuf messages and back, for other languages. What a table's message looks like is generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runtime import messages
from runtime.sql.errors import InvalidValue

if TYPE_CHECKING:
    from runtime.message_values import Plan

R = TypeVar("R")


class RowMessage(messages.RowMessage[R]):
    """The message of one table's rows."""

    __slots__ = ()

    _invalid: ClassVar[Callable[..., Exception]] = InvalidValue

    def _planned(self, message: Any, names: tuple[str, ...]) -> Plan:
        from runtime.sql.message_values import plan

        return plan(self._table, message, names)
