"""Room for a test's own keyspaces on the shared Cassandra."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager

from runtime.cql.create import opened
from tests.conftest import require_server


@contextmanager
def own_keyspaces() -> Generator[str]:
    """A URL whose keyspaces begin with a prefix of their own; they are dropped at the end."""
    url = f"cassandra://{require_server('cassandra')}/?prefix=t{secrets.token_hex(3)}_&timeout_ms=60000"
    yield url
    with opened(url) as schema:
        assert schema is not None
        for row in schema.rows()["keyspaces"]:
            if row["keyspace_name"].startswith(schema.prefix):
                schema.run(f'DROP KEYSPACE "{row["keyspace_name"]}"', None)
