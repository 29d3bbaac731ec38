"""What a cluster has and the making of more: its `system_schema` and DDL, in sessions that only this needs.

Blocks. All goes through one node, the same for everybody in a data centre: nodes of Cassandra 5 and older that make the
same table at the same moment make two of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from runtime.cql.cassandra import driver
from runtime.cql.cassandra.failures import failure
from runtime.cql.changes import literal
from runtime.cql.described import TABLES, Rows
from runtime.cql.errors import CqlError, Timeout
from runtime.cql.text import quoted
from runtime.cql.urls import CassandraUrl

_DDL_S = 60.0
"""Seconds that a statement may take: the node writes its own schema, and the driver waits for the others to follow."""
_READS = 10
"""Attempts to read a schema that nobody changes meanwhile."""


class ClusterSchema:
    """The schema of one cluster. Made by `schema_of`."""

    def __init__(self, cluster: Any, session: Any, url: CassandraUrl) -> None:
        self.prefix = url.prefix
        self._cluster = cluster
        self._session = session
        self._place = url.place
        self._seconds = url.timeout_ms / 1000
        self._node = min(session.hosts, key=lambda host: str(host.host_id), default=None)

    def rows(self, keyspaces: Collection[str] | None = None) -> Rows:
        """What `system_schema` says of keyspaces, those of the server's own left out where none are named.

        Raises CqlError.
        """
        last: Rows | None = None
        for _ in range(_READS):
            before = self._version()
            rows = {table: self._read(table, keyspaces) for table in TABLES}
            if self._version() == before or rows == last:  # what others change elsewhere does not matter
                return rows
            last = rows
        raise CqlError(f"{self._place}: the schema was changed again and again while it was read; try again")

    def centres(self) -> Mapping[str, int]:
        """The data centres and how many nodes each has."""
        found: dict[str, int] = {}
        for host in self._cluster.metadata.all_hosts():
            found[host.datacenter] = found.get(host.datacenter, 0) + 1
        return found

    def run(self, statement: str, keyspace: str | None) -> None:
        """Run a statement of DDL in a keyspace. Raises CqlError, of which a Timeout may have been done all the same."""
        if keyspace is not None and self._session.keyspace != keyspace:
            self._execute(f"USE {quoted(keyspace)}", _DDL_S)
        self._execute(statement, max(self._seconds, _DDL_S))

    def agree(self) -> None:
        """Wait until all nodes that are up have the same schema. Raises Timeout."""
        if not self._cluster.control_connection.wait_for_schema_agreement(wait_time=_DDL_S):
            raise Timeout(f"{self._place}: the nodes do not agree on the schema after {_DDL_S:g} s: look at their logs")

    def _version(self) -> Any:
        return self._execute("SELECT schema_version FROM system.local WHERE key = 'local'", self._seconds)

    def _read(self, table: str, keyspaces: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
        text = f"SELECT JSON * FROM system_schema.{table}"
        if keyspaces is not None:
            text += f" WHERE keyspace_name IN ({', '.join(map(literal, sorted(keyspaces)))})"
        rows: list[dict[str, Any]] = [json.loads(row) for (row,) in self._execute(text, self._seconds)]
        return rows if keyspaces is not None else [row for row in rows if not is_own(row["keyspace_name"])]

    def _execute(self, text: str, seconds: float) -> list[tuple[Any, ...]]:
        statement = driver.SimpleStatement(text, fetch_size=None, consistency_level=driver.ConsistencyLevel.ONE)
        try:
            return list(self._session.execute(statement, timeout=seconds, host=self._node))
        except Exception as error:
            raise failure(error, self._place, writes=not text.startswith("SELECT")) from error


def is_own(keyspace: str) -> bool:
    """Whether a keyspace is the server's own."""
    return keyspace == "system" or keyspace.startswith("system_")


@contextmanager
def schema_of(cluster: Any, url: CassandraUrl) -> Generator[ClusterSchema]:
    """The schema of a cluster that the driver is connected to. Raises CqlError."""
    try:
        session = cluster.connect()
    except Exception as error:
        raise failure(error, url.place, writes=False) from error
    try:
        yield ClusterSchema(cluster, session, url)
    finally:
        session.shutdown()
