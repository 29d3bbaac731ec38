"""Statements of CQL as shapes without values, what goes with them to an engine, and what comes back.

A shape is hashable: an engine prepares each once. Its parameters travel beside it, in the order that each class names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, final

if TYPE_CHECKING:
    from runtime.cql.tables import Table

T = TypeVar("T")

Consistency = Literal[
    "ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"
]
"""How many replicas must answer (https://cassandra.apache.org/doc/latest/cassandra/architecture/dynamo.html)."""

SerialConsistency = Literal["SERIAL", "LOCAL_SERIAL"]
"""Among whom a write with a condition is agreed on: all replicas, or those of the local data centre."""

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "contains key", "entry"]
TermKind = Literal["column", "writetime", "ttl", "count"]
Operation = Literal["set", "append", "prepend", "add", "discard", "entry", "item", "field", "increment"]


@final
class Unset:
    """The one value that says: leave this column as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


@final
class Null:
    """The one value that says: delete what this column holds."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL"


UNSET: Final = Unset()
NULL: Any = Null()
"""Writes a tombstone, where `None` in a row leaves the column alone. Of type Any, so that every field takes it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A condition of WHERE or IF. Its parameters:

    - `=`, `!=`, `<`, `<=`, `>`, `>=`: one value for each of `columns`, more than one of which is a bound of several
      clustering columns, `(day, id) > (?, ?)`;
    - `in`: one list of values of the one column, which may be empty;
    - `contains`, `contains key`: an element or key of a collection;
    - `entry`: a key and the value that a map has there.

    In an IF, `=` and `!=` may be given None.
    """

    columns: tuple[str, ...]
    operator: Operator


@dataclass(frozen=True, slots=True)
class Term:
    """What a SELECT gives of each row: a column, when it was written (µs since 1970, or None), the seconds it has
    left to live (or None), or the number of rows.
    """

    kind: TermKind
    column: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What an UPDATE does to one column. Its parameters: the value, and before it for `entry` the key of a map, for
    `item` the index in a list. NULL deletes the column, the entry, the item or the field.

    - `set`: the value instead of what there is;
    - `append`, `prepend`: a list of items to a list;
    - `add`: a set of elements to a set, a map of entries to a map;
    - `discard`: a set of elements from a set, a set of keys from a map, a list of items wherever they are in a list;
    - `field`: the field of a user-defined type that is not frozen, by its name in the schema;
    - `increment`: a number to a counter.
    """

    column: str
    operation: Operation
    field: str = ""


@dataclass(frozen=True, slots=True)
class Select:
    """Parameters: those of `where`, the lowest and the highest token where `tokens` (the first left out, the last
    taken in), the vector of `nearest`, `per_partition`, `limit`.
    """

    table: Table[Any]
    terms: tuple[Term, ...]
    where: tuple[Relation, ...] = ()
    tokens: bool = False
    nearest: str = ""  # the column whose vectors are ordered by how near they are
    reversed: bool = False  # against the clustering order
    per_partition: bool = False
    limit: bool = False
    distinct: bool = False  # each partition once; the terms are columns of the partition key, or static
    filtering: bool = False  # ALLOW FILTERING


@dataclass(frozen=True, slots=True)
class Insert:
    """Parameters: a value, UNSET or NULL for each of `columns`, the TTL in seconds, the timestamp in µs."""

    table: Table[Any]
    columns: tuple[str, ...]
    if_not_exists: bool = False
    ttl: bool = False
    timestamp: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Parameters: the TTL in seconds, the timestamp in µs, those of `changes`, of `where` and of `conditions`."""

    table: Table[Any]
    changes: tuple[Change, ...]
    where: tuple[Relation, ...]
    if_exists: bool = False
    conditions: tuple[Relation, ...] = ()
    ttl: bool = False
    timestamp: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes whole rows, ranges of rows or partitions. Parameters: the timestamp in µs, those of `where` and of
    `conditions`.
    """

    table: Table[Any]
    where: tuple[Relation, ...]
    if_exists: bool = False
    conditions: tuple[Relation, ...] = ()
    timestamp: bool = False


Write = Insert | Update | Delete
Statement = Select | Write


@dataclass(frozen=True, slots=True)
class Options:
    """How a statement is run; None is what the database's URL says.

    `idempotent` says that running it twice is running it once, so that it may be tried again.
    """

    consistency: Consistency | None = None
    serial_consistency: SerialConsistency | None = None  # of IF
    timeout_ms: int | None = None
    page_size: int | None = None  # rows that an engine sends at once
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement with its parameters: values of Python that their columns can hold, UNSET and NULL."""

    statement: Statement
    params: tuple[Any, ...]
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that an engine takes as one. A `logged` one is done wholly or not at all, sooner or later; one within a
    partition is seen as one. The timestamp (µs) is that of every part.
    """

    kind: Literal["logged", "unlogged", "counter"]
    parts: tuple[Bound, ...]
    timestamp: int | None = None
    options: Options = Options()


Request = Bound | Batch


@dataclass(slots=True)
class Outcome:
    """What came back: rows as tuples of Python values in the order of the terms, the state that goes on behind them.

    Of a write with a condition: whether it was `applied`, and if not, `names` and the one row of `rows` are what the
    engine told of the row that is there; no rows where there is none.
    """

    rows: Sequence[tuple[Any, ...]] = ()
    state: bytes | None = None  # None where no more rows follow
    applied: bool | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A request and how to read what comes back."""

    request: Request
    read: Callable[[Outcome], T] = field(compare=False)
