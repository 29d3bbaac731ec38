"""An engine of a primary and its read-only replicas: which of them a statement goes to. Opens no connection itself."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from time import monotonic
from typing import Any, Generic, TypeVar

from runtime.sql.database import DEFAULT, Engine, How, Part, Session
from runtime.sql.errors import SqlError, Unavailable
from runtime.sql.statements import Outcome, Rows, Statement
from runtime.sql.sync import SyncEngine, SyncSession

log = logging.getLogger("sun.sql")

REST_S = 5.0
"""Seconds for which a replica that failed is asked nothing."""

E = TypeVar("E")


class Choice(Generic[E]):
    """Which replica the next read goes to, if any.

    Read-your-writes: for `own_writes_ms` after a write, the task or thread that made it, and the tasks it starts, read
    from the primary. Another one may see the state before the write for as long as the replica lags.
    """

    def __init__(self, replicas: Sequence[E], own_writes_ms: int, clock: Callable[[], float] = monotonic) -> None:
        self._replicas = replicas
        self._window = own_writes_ms / 1000
        self._clock = clock
        self._down: dict[int, float] = {}  # the index of a replica and when it is asked again
        self._turn = itertools.count()
        # Of this Database alone: a write to another store says nothing of this one.
        self._wrote: ContextVar[float] = ContextVar("wrote", default=float("-inf"))

    def next(self) -> tuple[int, E] | None:
        """A replica's index and the replica; None stands for the primary."""
        now = self._clock()
        if now - self._wrote.get() < self._window:
            return None
        for _ in self._replicas:
            index = next(self._turn) % len(self._replicas)
            if self._down.get(index, 0.0) <= now:
                return index, self._replicas[index]
        return None

    def wrote(self) -> None:
        """This context has written, or may have."""
        self._wrote.set(self._clock())

    def failed(self, index: int, error: SqlError) -> None:
        self._down[index] = self._clock() + REST_S
        log.warning("a replica is not asked for %g s: %s", REST_S, error)


class ReplicatedEngine:
    """Reads outside transactions go to the replicas in turn, everything else to the primary."""

    def __init__(self, primary: Engine, replicas: Sequence[Engine], choice: Choice[Engine]) -> None:
        self._primary = primary
        self._replicas = replicas
        self._choice = choice
        self.dialect = primary.dialect

    async def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        if statement.writes:
            try:
                return await self._primary.execute(statement, params)
            finally:
                self._choice.wrote()
        if not statement.current and (chosen := self._choice.next()) is not None:
            index, replica = chosen
            try:
                return await replica.execute(statement, params)
            except Unavailable as error:
                self._choice.failed(index, error)
        return await self._primary.execute(statement, params)

    async def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        try:
            return await self._primary.execute_all(parts)
        finally:
            self._choice.wrote()

    async def begin(self, how: How = DEFAULT) -> Session:
        return await self._primary.begin(how)

    async def stream(
        self, statement: Statement[Any], params: tuple[Any, ...], batch: int
    ) -> AsyncGenerator[Rows, None]:
        if (chosen := self._choice.next()) is not None:
            index, replica = chosen
            begun = False
            batches = replica.stream(statement, params, batch)
            try:
                async for rows in batches:
                    begun = True
                    yield rows
                return
            except Unavailable as error:
                self._choice.failed(index, error)
                if begun:  # the primary would give the first rows again
                    raise
            finally:
                await batches.aclose()
        batches = self._primary.stream(statement, params, batch)
        try:
            async for rows in batches:
                yield rows
        finally:
            await batches.aclose()

    def wrote(self) -> None:
        self._choice.wrote()

    async def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        try:
            await self._primary.create(scripts)
        finally:
            self._choice.wrote()

    def waited(self) -> float:
        return self._primary.waited()

    async def ping(self) -> None:
        await self._primary.ping()

    async def close(self) -> None:
        for engine in (*self._replicas, self._primary):
            await engine.close()


class ReplicatedSyncEngine:
    """`ReplicatedEngine` without an event loop."""

    def __init__(self, primary: SyncEngine, replicas: Sequence[SyncEngine], choice: Choice[SyncEngine]) -> None:
        self._primary = primary
        self._replicas = replicas
        self._choice = choice
        self.dialect = primary.dialect

    def execute(self, statement: Statement[Any], params: tuple[Any, ...]) -> Outcome | None:
        if statement.writes:
            try:
                return self._primary.execute(statement, params)
            finally:
                self._choice.wrote()
        if not statement.current and (chosen := self._choice.next()) is not None:
            index, replica = chosen
            try:
                return replica.execute(statement, params)
            except Unavailable as error:
                self._choice.failed(index, error)
        return self._primary.execute(statement, params)

    def execute_all(self, parts: Sequence[Part]) -> list[Outcome | None]:
        try:
            return self._primary.execute_all(parts)
        finally:
            self._choice.wrote()

    def begin(self, how: How = DEFAULT) -> SyncSession:
        return self._primary.begin(how)

    def stream(self, statement: Statement[Any], params: tuple[Any, ...], batch: int) -> Generator[Rows, None, None]:
        if (chosen := self._choice.next()) is not None:
            index, replica = chosen
            begun = False
            batches = replica.stream(statement, params, batch)
            try:
                for rows in batches:
                    begun = True
                    yield rows
                return
            except Unavailable as error:
                self._choice.failed(index, error)
                if begun:  # the primary would give the first rows again
                    raise
            finally:
                batches.close()
        yield from self._primary.stream(statement, params, batch)

    def wrote(self) -> None:
        self._choice.wrote()

    def create(self, scripts: Mapping[str, Sequence[str]]) -> None:
        try:
            self._primary.create(scripts)
        finally:
            self._choice.wrote()

    def ping(self) -> None:
        self._primary.ping()

    def close(self) -> None:
        for engine in (*self._replicas, self._primary):
            engine.close()
