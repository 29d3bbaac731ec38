"""A server that is absent skips its tests with advice, and fails them where servers are required."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

CASES = """
import pytest

def test_passes():
    pass

@pytest.mark.mariadb
def test_needs_mariadb():
    pass

@pytest.mark.cassandra
def test_needs_cassandra(cassandra_address):
    pass

def test_on_every_engine(sql_url):
    pass

@pytest.mark.xfail(strict=True)
def test_known_to_fail():
    assert False
"""


@pytest.fixture
def without_servers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    conftest = Path(__file__).parents[1] / "conftest.py"
    shutil.copy(conftest, pytester.path / "conftest.py")
    pytester.makeini("[pytest]\nmarkers =\n  mariadb\n  cassandra\n")
    pytester.makepyfile(CASES)
    monkeypatch.setenv("SUN_SERVERS_DIR", str(pytester.path / "none"))
    for name in ("SUN_TEST_MARIADB_URL", "SUN_TEST_CASSANDRA", "SUN_REQUIRE_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def test_without_servers_their_tests_are_skipped_with_advice(without_servers: pytest.Pytester) -> None:
    result = without_servers.runpytest("-rs")
    result.assert_outcomes(passed=2, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines(["*mariadb is not running; start it with: make servers"])


def test_where_servers_are_required_a_skip_is_a_failure(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUN_REQUIRE_SERVERS", "1")
    result = without_servers.runpytest()
    result.assert_outcomes(passed=2, errors=3, xfailed=1)
    result.stdout.fnmatch_lines(["*cassandra is not running; start it with: make servers (SUN_REQUIRE_SERVERS=1*"])


def test_a_module_that_skips_itself_is_a_failure_too(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUN_REQUIRE_SERVERS", "1")
    without_servers.makepyfile(test_optional="import pytest\npytest.importorskip('no_such_module')\n")
    without_servers.runpytest("test_optional.py").assert_outcomes(errors=1)


def test_a_server_that_stopped_listening_counts_as_absent(
    without_servers: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUN_TEST_CASSANDRA", "127.0.0.1:1")
    without_servers.runpytest("-k", "cassandra").assert_outcomes(skipped=1, deselected=5)
