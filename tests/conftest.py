"""What every test may ask for: the SQL engines by URL, and the marks of tests that need a server."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pymysql
import pytest
import structlog

ROOT = Path(__file__).resolve().parent.parent
SERVERS = {"mariadb": "SUN_TEST_MARIADB_URL", "cassandra": "SUN_TEST_CASSANDRA"}


@cache
def server_address(name: str) -> str | None:
    """Where `make servers` has started this server; None when it doesn't listen.

    The environment goes before the env file.
    """
    env_file = Path(os.environ.get("SUN_SERVERS_DIR") or ROOT / ".sun-servers") / "env"
    lines = env_file.read_text().splitlines() if env_file.exists() else []
    address = {**dict(line.split("=", 1) for line in lines), **os.environ}.get(SERVERS[name])
    if not address:
        return None
    place = urlsplit(address if "//" in address else f"//{address}")
    try:
        socket.create_connection((place.hostname or "", place.port or 0), timeout=5).close()
    except OSError:
        return None
    return address


def require_server(name: str) -> str:
    """The server's address; the test that asks is skipped when there is none."""
    address = server_address(name)
    if address is None:
        pytest.skip(f"{name} is not running; start it with: make servers")
    return address


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in SERVERS:
        if item.get_closest_marker(name):
            require_server(name)


# A skipped test is not a passed one: where the servers are required (in CI), every skip is a failure.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("SUN_REQUIRE_SERVERS") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (SUN_REQUIRE_SERVERS=1: a skip is a failure)"


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """What a test configured of the process's logs ends with it."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    structlog.reset_defaults()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """A URL whose logical databases are this test's own; they are dropped when it ends."""
    address = require_server("mariadb")
    prefix = f"t{secrets.token_hex(4)}_"
    yield f"{address}?prefix={prefix}"
    place = urlsplit(address)
    connection = pymysql.connect(
        host=place.hostname,
        port=place.port or 3306,
        user=place.username,
        password=unquote(place.password or ""),
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, %s) = %s",
            (len(prefix), prefix),
        )
        databases = cursor.fetchall()
        cursor.execute("SET foreign_key_checks = 0")  # tables of one may refer to those of another
        for (name,) in databases:
            cursor.execute(f"DROP DATABASE `{name}`")


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def sql_url(request: pytest.FixtureRequest) -> str:
    """The same test on every SQL engine."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def cassandra_address() -> str:
    """`host:port`."""
    return require_server("cassandra")


@pytest.fixture(scope="session")
def cassandra_url() -> Iterator[str]:
    """A URL whose keyspaces are this run's own; they are dropped when it ends."""
    from cassandra.cluster import Cluster

    address = require_server("cassandra")
    host, _, port = address.rpartition(":")
    prefix = f"t{secrets.token_hex(4)}_"
    yield f"cassandra://{address}/?prefix={prefix}&timeout_ms=30000&connect_timeout_ms=20000"
    cluster = Cluster([host], port=int(port), protocol_version=4)
    try:
        session = cluster.connect()
        for (name,) in session.execute("SELECT keyspace_name FROM system_schema.keyspaces"):
            if name.startswith(prefix):
                session.execute(f'DROP KEYSPACE "{name}"', timeout=60)
    finally:
        cluster.shutdown()
