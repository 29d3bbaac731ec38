"""A node of a test's own: what it acknowledged outlives its process, and it comes back at the same address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import RoundRobinPolicy

from tests.servers import PrivateCassandra, ServerError

KEYSPACE = "CREATE KEYSPACE house WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
VIEW = (
    "CREATE MATERIALIZED VIEW house.room_by_owner AS SELECT * FROM house.room"
    " WHERE owner IS NOT NULL AND id IS NOT NULL PRIMARY KEY (owner, id)"
)


@contextmanager
def session(address: str) -> Iterator[Session]:
    host, port = address.split(":")
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy())
    cluster = Cluster(
        [host],
        port=int(port),
        protocol_version=4,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=1,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


@pytest.mark.cassandra
def test_what_a_killed_node_has_acknowledged_is_there_after_its_start(tmp_path: Path) -> None:
    with PrivateCassandra(tmp_path) as node:
        with session(node.address) as before:
            before.execute(KEYSPACE)
            before.execute("CREATE TABLE house.room (id int PRIMARY KEY, owner text)")
            before.execute(VIEW)
            insert = before.prepare("INSERT INTO house.room (id, owner) VALUES (?, 'ann')")
            for number in range(100):
                before.execute(insert, (number,))
            node.kill()
        with pytest.raises(NoHostAvailable), session(node.address):
            pass
        node.start()
        with session(node.address) as after:
            written = set(range(100))
            assert {row.id for row in after.execute("SELECT id FROM house.room")} == written
            assert {
                row.id for row in after.execute("SELECT id FROM house.room_by_owner WHERE owner = 'ann'")
            } == written
            node.freeze()
            with pytest.raises(OperationTimedOut):
                after.execute("SELECT id FROM house.room", timeout=0.5)
            node.thaw()
            assert len(after.execute("SELECT id FROM house.room").all()) == 100
        node.kill()
        with pytest.raises(ServerError, match="not running"):
            node.freeze()
