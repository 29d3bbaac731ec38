"""What the parameters of a statement may be, and the check of them before an engine is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import call
from typing import Any, Literal, cast

from runtime.cql.errors import InvalidValue
from runtime.cql.statements import NULL, UNSET
from runtime.cql.types import Blob, CqlType, Inet, Text
from runtime.described import described

KEY_BYTES = 65_535
"""The most that a partition key takes, and the clustering columns of a row together."""

Part = Literal["", "partition", "clustering"]
Test = Callable[[Any], bool]

_APPLY: Any = call  # calls a test with a value, without a frame of Python


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter for a column.

    Those of one `part` of the key may take KEY_BYTES together; one that `is_whole` is the whole partition key, which
    can't be empty. `may_be_null` says that NULL and UNSET are taken, `may_be_none` that None is, `is_list` that the
    parameter is a list of values.
    """

    column: str
    type: CqlType[Any]
    part: Part = ""
    is_whole: bool = False
    may_be_null: bool = False
    may_be_none: bool = False
    is_list: bool = False

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value, in words."""
        if value is NULL or value is UNSET:
            return None if self.may_be_null else "is never null" if self.part else "can't be compared with NULL"
        if value is None:
            return None if self.may_be_none else "takes no None"
        if self.is_list:
            for each in value:
                if fault := self._fault(each):
                    return fault
            return None
        return self._fault(value)

    def _fault(self, value: Any) -> str | None:
        if value is None:
            return "takes no None"
        if fault := self.type.fault(value):
            return fault
        if self.part and (size := len(self.type.encode(value))) > KEY_BYTES:
            return f"takes at most {KEY_BYTES} bytes, as a part of the key; these are {size}"
        if self.is_whole and not self.type.encode(value):
            return "takes no empty value, as the whole partition key"
        return None

    def plain(self, value: Any) -> Any:
        """A value without fault as one of the very type that engines know."""
        if value is None or value is NULL or value is UNSET:
            return value
        return list(map(self.type.plain, value)) if self.is_list else self.type.plain(value)

    def size(self, value: Any) -> int:
        """The bytes that a value without fault takes in its key; of a list, those of its largest."""
        sizes = [len(self.type.encode(each)) for each in (value if self.is_list else (value,))]
        around = 3 if self.part == "partition" and not self.is_whole else 0  # see tokens.partition_key_bytes
        return max(sizes, default=0) + around

    def test(self, among: int) -> Test:
        """A quick test, as one of so many parts of the key: it never passes what `fault` refuses."""
        test = self._small(KEY_BYTES // max(among, 1)) if self.part else self.type.fits()
        if self.is_list:
            return lambda value: type(value) is list and all(map(test, cast("list[Any]", value)))
        return test

    def _small(self, most: int) -> Test:
        fits, encode = self.type.fits(), self.type.encode
        if self.type.size is not None or isinstance(self.type, Inet):
            return fits
        if isinstance(self.type, Text):
            return lambda value: fits(value) and 0 < len(value) * 4 <= most
        if isinstance(self.type, Blob):
            return lambda value: fits(value) and 0 < len(value) <= most
        return lambda value: fits(value) and len(encode(value)) <= most


class Params:
    """What a run of parameters may be."""

    __slots__ = ("_params", "_table", "_tests")

    def __init__(self, table: str, params: Sequence[Param]) -> None:
        self._table = table
        self._params = tuple(params)
        # Half of what each could take: a composite partition key has three bytes more for each part.
        self._tests = tuple(param.test(2 * sum(param.part == other.part for other in params)) for param in params)

    def checked(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values as engines take them. Raises InvalidValue, naming the column, for one that can't be."""
        return values if all(map(_APPLY, self._tests, values)) else self._settled(values)

    def checked_present(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The same where most values that are not there are UNSET."""
        for test, value in zip(self._tests, values, strict=True):
            if value is not UNSET and not test(value):
                return self._settled(values)
        return values

    def _settled(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        sizes = {"partition": 0, "clustering": 0}
        for param, value in zip(self._params, values, strict=True):
            if fault := param.fault(value):
                raise self._invalid(param, value, fault)
            if param.part:
                sizes[param.part] += param.size(value)
                if sizes[param.part] > KEY_BYTES:
                    text = f"and the other {param.part} columns take at most {KEY_BYTES} bytes together"
                    raise self._invalid(param, value, text)
        return tuple(param.plain(value) for param, value in zip(self._params, values, strict=True))

    def _invalid(self, param: Param, value: object, fault: str) -> InvalidValue:
        given = "NULL" if value is NULL else described(value)
        message = f"{self._table}.{param.column} {fault}{'' if value is None or value is NULL else f', not {given}'}"
        return InvalidValue(message, table=self._table, column=param.column, value=given)
