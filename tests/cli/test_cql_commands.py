"""`sun cql create`, `sun cql diff` and `sun introspect` as an operator runs them, and `sun serve` before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cql.clusters import own_keyspaces

SHOP = """\
CREATE TABLE post (
  post_id BIGINT PRIMARY KEY,
  shown   TEXT
);
"""


@pytest.fixture
def shop(project: Path, run: Run) -> Path:
    """The schema file of a keyspace of the project, generated."""
    file = project / "schema" / "cql" / "shop.cql"
    file.parent.mkdir()
    file.write_text(SHOP)
    assert run("generate").returncode == 0
    return file


@pytest.fixture
def cluster() -> Iterator[str]:
    with own_keyspaces() as url:
        yield url


def test_the_embedded_store_needs_nothing(shop: Path, run: Run) -> None:
    for command in ("create", "diff"):
        done = run("cql", command)
        assert (done.returncode, done.stdout) == (0, "the embedded store makes its tables when they are first used\n")


def test_a_cluster_that_is_not_there_is_one_line(shop: Path, run: Run) -> None:
    done = run("cql", "create", SUN_CQL_URL="cassandra://127.0.0.1:1/?connect_timeout_ms=500")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sun: 127.0.0.1:1: can't be reached")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("copies", ["3", "dc1=0", "dc1=three", "=3"])
def test_copies_that_make_no_sense_are_one_line(shop: Path, run: Run, copies: str) -> None:
    done = run("cql", "create", SUN_CQL_REPLICATION=copies)
    assert done.returncode == 2
    assert done.stderr.startswith("sun: cql_replication")
    assert done.stderr.count("\n") == 1


@pytest.mark.cassandra
def test_from_nothing_to_a_wider_schema(shop: Path, run: Run, cluster: str) -> None:
    served = run("serve", "--port", "0", SUN_CQL_URL=cluster)
    assert served.returncode == 2
    assert served.stderr.endswith("sun: the cluster lacks keyspace shop, table shop.post: run `sun cql create`\n")
    differs = run("cql", "diff", SUN_CQL_URL=cluster)
    assert (differs.returncode, differs.stdout) == (
        1,
        "shop: the keyspace is missing\nshop.post: the table is missing\n",
    )
    shown = run("cql", "create", "--dry-run", SUN_CQL_URL=cluster, SUN_CQL_REPLICATION="datacenter1=1")
    assert shown.returncode == 0
    assert "CREATE TABLE IF NOT EXISTS post (" in shown.stdout
    made = run("cql", "create", SUN_CQL_URL=cluster)
    assert (made.returncode, made.stdout) == (0, "created keyspace shop\ncreated table shop.post\n2 changes made\n")
    again = run("cql", "create", SUN_CQL_URL=cluster)
    assert (again.returncode, again.stdout) == (0, "every keyspace has what the schema says already\n")
    same = run("cql", "diff", SUN_CQL_URL=cluster)
    assert (same.returncode, same.stdout) == (0, "the cluster is what the schema says\n")

    shop.write_text(SHOP.replace("shown ", "seen INT,\n  shown "))
    assert run("generate").returncode == 0
    served = run("serve", "--port", "0", SUN_CQL_URL=cluster)
    assert served.stderr.endswith("sun: the cluster lacks column shop.post.seen: run `sun cql create`\n")
    assert "MEND  cql engine: the cluster lacks column shop.post.seen" in run("doctor", SUN_CQL_URL=cluster).stdout
    made = run("cql", "create", SUN_CQL_URL=cluster)
    assert (made.returncode, made.stdout) == (0, "added column shop.post.seen\n1 change made\n")

    shop.write_text(SHOP.replace("TEXT", "INT"))
    assert run("generate").returncode == 0
    refused = run("cql", "create", SUN_CQL_URL=cluster)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "shop.post.shown: the cluster has text, the schema int: the type of a column can't be changed;"
        " add a column of another name\n"
        "sun: nothing was created: what stands above can't be changed on a cluster\n"
    )


@pytest.mark.cassandra
def test_what_is_introspected_is_a_schema(shop: Path, run: Run, cluster: str) -> None:
    assert run("cql", "create", SUN_CQL_URL=cluster).returncode == 0
    printed = run("introspect", cluster, "shop")
    assert printed.returncode == 0
    assert "CREATE TABLE post (\n  post_id BIGINT,\n  shown   TEXT,\n  PRIMARY KEY (post_id)\n);\n" in printed.stdout
    refused = run("introspect", cluster, "--out", str(shop.parent))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"sun: {shop} is there already; nothing was written")
    shop.unlink()
    written = run("introspect", cluster, "--out", str(shop.parent))
    assert (written.returncode, written.stdout) == (0, f"wrote {shop}\n")
    assert shop.read_text() == printed.stdout
    assert run("generate").returncode == 0
    assert run("cql", "diff", SUN_CQL_URL=cluster).returncode == 0


@pytest.mark.cassandra
def test_a_keyspace_that_is_not_there_is_one_line(run: Run, cluster: str) -> None:
    done = run("introspect", cluster, "shop", "fair")
    assert (done.returncode, done.stderr) == (2, "sun: the cluster has no keyspace fair, shop\n")


def test_other_engines_are_not_introspected_and_their_passwords_not_shown(run: Run) -> None:
    done = run("introspect", "mysql://root:secret@127.0.0.1/")
    assert done.returncode == 2
    assert done.stderr == "sun: introspect reads cassandra://…: of other engines it knows no schema\n"
