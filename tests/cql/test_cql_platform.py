"""The wide-column store of a process: which one its settings name, what is counted of it, what the doctor says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from runtime import config
from runtime.app import Platform
from runtime.bundle import Parts, open_wide
from runtime.config import ConfigError, Settings, load
from runtime.cql.database import connect
from runtime.cql.errors import MissingTable
from runtime.cql.keyspaces import Keyspace
from runtime.doctor import examine
from runtime.metrics import Metrics
from tests.cql.sample_tables import MessageDao
from tests.cql.stores import create_samples

NONE = Parts({}, (), ())
SOME = Parts({}, (), (), [Keyspace("sun_msg")])


def settings(tmp_path: Path, url: str = "") -> Settings:
    return load(tmp_path, cql_url=url)


def test_the_embedded_store_is_a_file_of_the_data_folder(tmp_path: Path) -> None:
    assert settings(tmp_path).wide_url == f"embedded:{tmp_path}/.sun/cql.db"
    assert settings(tmp_path, "embedded:").wide_url == f"embedded:{tmp_path}/.sun/cql.db"
    assert settings(tmp_path, "embedded::memory:").wide_url == "embedded::memory:"
    assert "secret" not in repr(settings(tmp_path, "cassandra://sun:secret@h/"))


def test_a_password_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sun.toml").write_text('cql_url = "cassandra://sun:secret@h1,h2/"\n')
    with pytest.raises(ConfigError, match=r"cql_url.*SUN_CQL_URL") as caught:
        config.load(tmp_path)
    assert "secret" not in str(caught.value)
    (tmp_path / "sun.toml").write_text('cql_url = "cassandra://h1,h2/"\n')
    assert config.load(tmp_path).wide_url == "cassandra://h1,h2/"


def test_a_project_without_keyspaces_opens_nothing(tmp_path: Path) -> None:
    assert asyncio.run(open_wide(settings(tmp_path), NONE)) is None
    unused = cast(Any, None)
    with pytest.raises(RuntimeError, match="no keyspaces"):
        _ = Platform(unused, unused, unused, unused, unused).cql


def test_a_project_with_keyspaces_has_the_embedded_store(tmp_path: Path) -> None:
    async def main() -> None:
        db = await open_wide(settings(tmp_path), SOME)
        assert db is not None
        await db.ping()
        await db.close()

    asyncio.run(main())
    assert (tmp_path / ".sun" / "cql.db").exists()


def test_the_doctor_names_a_cluster_that_is_away(tmp_path: Path) -> None:
    findings = dict(examine(settings(tmp_path, "cassandra://127.0.0.1:1/")))
    assert "127.0.0.1:1: can't be reached" in str(findings["cql engine"])
    assert "cql engine" not in dict(examine(settings(tmp_path)))
    wrong = dict(examine(settings(tmp_path, "cassandra://sun:secret@h/?nosuch=1")))
    assert "unknown option 'nosuch'" in str(wrong["cql engine"])


@pytest.mark.cassandra
def test_the_doctor_finds_nothing_wrong_with_a_cluster_that_is_there(tmp_path: Path, cassandra_url: str) -> None:
    assert dict(examine(settings(tmp_path, cassandra_url)))["cql engine"] is None


@pytest.mark.cassandra
def test_requests_are_counted(cassandra_url: str) -> None:
    metrics = Metrics()

    async def main() -> None:
        db = await connect(cassandra_url)
        await asyncio.to_thread(create_samples, db, cassandra_url)
        db.observe(metrics.request_finished)
        metrics.watch_requests(db.in_flight)
        await db.run(MessageDao.get(room_key="a", bucket=1, message_id=1))
        metrics.request_finished("sun_msg.message", "select", 0.1, 0, MissingTable("no"))
        await db.close()

    asyncio.run(main())
    value = metrics.registry.get_sample_value
    labels = {"table": "sun_msg.message", "kind": "select"}
    assert value("sun_cql_seconds_count", labels) == 2
    assert value("sun_cql_errors_total", labels | {"error": "MissingTable"}) == 1
    assert value("sun_cql_in_flight") == 0
