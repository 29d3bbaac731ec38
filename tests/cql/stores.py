"""Keyspaces of their own for tests on Cassandra."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.cql.cassandra.engine import CassandraEngine
from runtime.cql.database import Database, SyncDatabase
from runtime.cql.urls import CassandraUrl, parse_url
from tests.cql.sample_tables import DDL


def cassandra(db: Database | SyncDatabase) -> CassandraEngine:
    assert isinstance(db.engine, CassandraEngine)
    return db.engine


def prefix(url: str) -> str:
    parsed = parse_url(url)
    assert isinstance(parsed, CassandraUrl)
    return parsed.prefix


def create(db: Database | SyncDatabase, statements: Sequence[str]) -> None:
    with cassandra(db).schema() as schema:
        for statement in statements:
            schema.run(statement, None)


def create_samples(db: Database | SyncDatabase, url: str) -> None:
    """The sample tables, without the view, which a server must be told to allow. Does nothing where they are."""
    statements = [each.strip() for each in DDL.split(";") if each.strip() and "MATERIALIZED VIEW" not in each]
    create(db, [_if_lacking(each.replace("sun_msg", f"{prefix(url)}sun_msg")) for each in statements])


def _if_lacking(statement: str) -> str:
    for kind in ("KEYSPACE", "TYPE", "TABLE", "CUSTOM INDEX", "INDEX"):
        if statement.startswith(f"CREATE {kind} "):
            return statement.replace(f"CREATE {kind} ", f"CREATE {kind} IF NOT EXISTS ", 1)
    raise ValueError(statement)
