"""Statements prepared by the cluster, each shape once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, assert_never

from runtime.cql.cassandra.codec import Decoder, Encode, decoders, encoders, term_types
from runtime.cql.statements import Delete, Insert, Select, Statement, Update
from runtime.cql.text import text

KEPT = 2_000
"""Shapes that are kept. Those of generated code are fewer; where conditions and updates are put together at run time,
the one that was prepared first goes first, and is prepared again when it comes again.
"""

_THREADS = 2


class Prepared:
    """A shape, what the driver has of it, and how its values travel."""

    __slots__ = ("conditional", "decoders", "encode", "names", "reads", "shape", "statement", "table", "text")

    def __init__(self, shape: Statement, cql: str, statement: Any) -> None:
        self.shape = shape
        self.text = cql
        self.statement = statement
        self.table = shape.table
        self.encode: tuple[Encode, ...] = encoders(shape)
        self.reads = isinstance(shape, Select)
        self.names: tuple[str, ...] = ()
        self.decoders: tuple[Decoder, ...] = ()
        if isinstance(shape, Select):
            self.names = tuple(term.column or term.kind for term in shape.terms)
            self.decoders = decoders(term_types(shape.table, shape.terms))
        self.conditional = is_conditional(shape)


def is_conditional(shape: Statement) -> bool:
    """Whether it is a write with IF."""
    match shape:
        case Select():
            return False
        case Insert():
            return shape.if_not_exists
        case Update() | Delete():
            return shape.if_exists or bool(shape.conditions)
    assert_never(shape)


class Shapes:
    """Prepares at most once at a time, and keeps what came of it. Threads may share it."""

    def __init__(self, prepare: Callable[[str], Any], prefix: str) -> None:
        """`prepare` asks the cluster for a text, and blocks."""
        self._ask = prepare
        self._prefix = prefix
        self._lock = Lock()
        self._kept: dict[Statement, Prepared] = {}
        self._near: dict[int, Prepared] = {}  # by the identity of the shape, which `Prepared` keeps alive
        self._coming: dict[Statement, Future[Prepared]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "cql-prepare")

    def get(self, shape: Statement) -> Prepared | None:
        """What there is of a shape."""
        # A shape is hashed part by part. Generated code gives the very same object, which needs no hash.
        found = self._near.get(id(shape))
        return found if found is not None else self._kept.get(shape)

    def prepare(self, shape: Statement) -> Future[Prepared]:
        """What comes of a shape that `get` knows nothing of: one attempt for all who ask while it is under way."""
        with self._lock:
            coming: Future[Prepared] | None = self._coming.get(shape)
            if coming is None and (kept := self._kept.get(shape)) is not None:
                coming = Future[Prepared]()
                coming.set_result(kept)
            elif coming is None:
                coming = self._coming[shape] = self._threads.submit(self._prepare, shape)
            return coming

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, shape: Statement) -> Prepared:
        try:
            cql = text(shape, self._prefix)
            prepared = Prepared(shape, cql, self._ask(cql))
            with self._lock:
                self._keep(prepared)
            return prepared
        finally:
            with self._lock:
                self._coming.pop(shape, None)

    def _keep(self, prepared: Prepared) -> None:
        while len(self._kept) >= KEPT:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._near.pop(id(oldest.shape), None)
        self._kept[prepared.shape] = prepared
        self._near[id(prepared.shape)] = prepared
