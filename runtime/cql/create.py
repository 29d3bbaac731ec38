"""Makes on a cluster what keyspaces of the schema need and it lacks, and says what it lacks or has otherwise.

It adds; nothing that exists is changed or dropped. Its functions block, but for `check`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from runtime.cql.changes import Change, CreateKeyspace
from runtime.cql.database import Database, connect_sync
from runtime.cql.described import Rows, described
from runtime.cql.errors import CqlError
from runtime.cql.keyspaces import Keyspace
from runtime.cql.plan import Plan, plan
from runtime.cql.text import quoted
from runtime.cql.urls import EmbeddedUrl, configured

_ROUNDS = 5
"""Times that the cluster is looked at until it is as the schema says, while others make the same."""


class Schema(Protocol):
    """What an engine tells of a cluster's schema and takes for it; see `runtime.cql.cassandra.schema`."""

    prefix: str

    def rows(self, keyspaces: Collection[str] | None = None) -> Rows: ...

    def centres(self) -> Mapping[str, int]: ...

    def run(self, statement: str, keyspace: str | None) -> None: ...

    def agree(self) -> None: ...


@runtime_checkable
class _Told(Protocol):
    """An engine whose tables somebody must make."""

    def schema(self) -> AbstractContextManager[Schema]: ...


class Refused(CqlError):
    """The cluster has something otherwise than the schema, and it can't be changed. Nothing was done."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Stopped(CqlError):
    """A change failed. Those before it were made and stay; to run it again makes the rest."""


@contextmanager
def opened(url: str, *, connect_timeout_ms: int | None = None) -> Generator[Schema | None]:
    """The schema of the cluster at a URL; None for the embedded store, which makes its tables at their first use.

    Raises InvalidUrl and CqlError.
    """
    place = configured(url, connect_timeout_ms=connect_timeout_ms)
    if isinstance(place, EmbeddedUrl):
        yield None
        return
    with connect_sync(place) as db:
        assert isinstance(db.engine, _Told)
        with db.engine.schema() as schema:
            yield schema


def planned(schema: Schema, keyspaces: Sequence[Keyspace], replication: Mapping[str, int] | None = None) -> Plan:
    """What the cluster needs to have these keyspaces; see `runtime.cql.plan.plan`. Raises CqlError."""
    rows = schema.rows([schema.prefix + keyspace.name for keyspace in keyspaces])
    cluster = described(rows, schema.centres())
    return plan(keyspaces, cluster, prefix=schema.prefix, replication=replication)


def accepted(schema: Schema, keyspaces: Sequence[Keyspace], replication: Mapping[str, int] | None = None) -> Plan:
    """The same, where every change can be made. Raises Refused and CqlError."""
    todo = planned(schema, keyspaces, replication)
    if todo.refusals:
        raise Refused(todo.refusals)
    return todo


def create(
    schema: Schema,
    keyspaces: Sequence[Keyspace],
    replication: Mapping[str, int] | None = None,
    *,
    made: Callable[[Change], None],
) -> list[str]:
    """Make what the cluster lacks; `made` hears of each change. Gives the notes on what else differs.

    Others may do the same at the same time. Raises Refused before anything is done; Stopped where a change fails, and
    CqlError.
    """
    done = 0
    for _ in range(_ROUNDS):
        todo = accepted(schema, keyspaces, replication)
        if not todo.changes:
            schema.agree()
            return todo.notes
        for change in todo.changes:
            try:
                schema.run(change.cql, _place(change, schema))
            except CqlError as error:
                if _is_needed(change, schema, keyspaces, replication):
                    kept = f"; what was made before it stays: {done} change{'' if done == 1 else 's'}" if done else ""
                    raise Stopped(f"{change.what} could not be made: {error}{kept}") from error
                break  # somebody else made it: look again
            done += 1
            made(change)
    raise Stopped("the keyspaces are not what the schema says after each change was made: does somebody drop things?")


def _place(change: Change, schema: Schema) -> str | None:
    """The keyspace in which a change is made."""
    return None if isinstance(change, CreateKeyspace) else schema.prefix + change.keyspace


def _is_needed(
    change: Change, schema: Schema, keyspaces: Sequence[Keyspace], replication: Mapping[str, int] | None
) -> bool:
    """Whether a change that failed was not made, by this statement or by somebody else."""
    try:
        todo = planned(schema, keyspaces, replication)
    except CqlError:
        return True
    return change in todo.changes


def script(todo: Plan, prefix: str) -> str:
    """The CQL of a plan's changes, as `cqlsh` takes it."""
    lines: list[str] = []
    used: str | None = None
    for change in todo.changes:
        if not isinstance(change, CreateKeyspace) and change.keyspace != used:
            used = change.keyspace
            lines.append(f"USE {quoted(prefix + used)};")
        lines.append(f"{change.cql};")
    return "\n".join(lines)


def refusal(todo: Plan) -> str | None:
    """Why a cluster can't be used, in one line; None where it can."""
    if todo.changes:
        return f"the cluster lacks {_some([change.what for change in todo.changes], ', ')}: run `sun cql create`"
    if todo.refusals:
        return f"the cluster is not what the schema says: {_some(todo.refusals, '; ')}; `sun cql diff` tells all"
    return None


def _some(texts: Sequence[str], between: str) -> str:
    return between.join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


async def check(db: Database, keyspaces: Sequence[Keyspace]) -> str | None:
    """Why the store of `db` can't be used, in one line; None where it can. Raises CqlError."""
    engine = db.engine
    if not keyspaces or not isinstance(engine, _Told):
        return None

    def look() -> str | None:
        with engine.schema() as schema:
            return refusal(planned(schema, keyspaces))

    return await asyncio.to_thread(look)
