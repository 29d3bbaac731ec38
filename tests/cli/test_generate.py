"""`sun generate`, `sun ir` and `sun init` as commands: what they print and how they exit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import SUN, Run, environment

TABLE = Path("schema/sql/notes.sql")
PROTO = Path("schema/proto/notes/v1/notes.proto")
ROW = Path("generated/sql/notes/note.py")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def test_a_new_project_is_up_to_date(run: Run) -> None:
    done = run("generate", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "generated: up to date\n", "")
    assert "unchanged" in run("generate").stdout


def test_check_names_and_shows_what_changed_and_is_missing(run: Run, project: Path) -> None:
    edit(project / TABLE, "text       TEXT", "  body       TEXT")
    (project / "generated/ddl/sqlite/notes.sql").unlink()
    done = run("generate", "--check")
    assert done.returncode == 1
    assert f"changed: {ROW}" in done.stdout
    assert "missing: generated/ddl/sqlite/notes.sql" in done.stdout
    assert f"--- {ROW}\n+++ {ROW}\n" in done.stdout
    assert "\n-    text: str\n+    body: str\n" in done.stdout
    assert "text: str" in (project / ROW).read_text(), "a check writes nothing"


def test_check_names_stale_files(run: Run, project: Path) -> None:
    (project / TABLE).unlink()
    done = run("generate", "--check")
    assert done.returncode == 1
    assert f"stale: {ROW}" in done.stdout
    assert f"removed {ROW}" in run("generate").stdout
    assert not (project / ROW).exists()
    assert not (project / "generated/sql").exists()


def test_an_edited_file_is_refused_until_forced(run: Run, project: Path) -> None:
    (project / ROW).write_text("mine = 1\n")
    check = run("generate", "--check")
    assert check.returncode == 1
    assert f"edited: {ROW}" in check.stdout
    done = run("generate")
    assert done.returncode == 2
    assert f"{ROW} was edited by hand" in done.stderr
    assert (project / ROW).read_text() == "mine = 1\n"
    assert run("generate", "--force").returncode == 0
    assert "class Note(" in (project / ROW).read_text()


def test_a_broken_schema_exits_with_2_and_writes_nothing(run: Run, project: Path) -> None:
    edit(project / TABLE, "BIGINT       NOT NULL,\n  author", "BIGGISH      NOT NULL,\n  author")
    edit(project / PROTO, "errors: [", 'errors: ["notes.v1.Nope", ')
    before = (project / ROW).read_text()
    for arguments in (["generate"], ["generate", "--check"], ["ir"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "schema/sql/notes.sql:4:14: unknown-type:" in done.stderr
        assert "schema/proto/notes/v1/notes.proto:19:17: unknown-error:" in done.stderr
        assert "2 errors in the schema; nothing was written" in done.stderr
        assert "Traceback" not in done.stderr
    assert (project / ROW).read_text() == before


def test_check_goes_with_nothing_that_writes(run: Run) -> None:
    assert run("generate", "--check", "--force").returncode == 2


def test_a_folder_without_a_schema_is_one_line(run: Run, project: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("--project", str(empty), "generate")
    assert done.returncode == 2
    assert done.stderr == f"sun: {empty} has no schema/ folder; `sun init DIR` makes a project\n"


def test_ir_is_json_with_places(run: Run) -> None:
    schema = json.loads(run("ir").stdout)
    (database,) = schema["databases"]
    assert database["tables"][0]["position"] == "schema/sql/notes.sql:3:14"
    (proto,) = schema["protos"]
    assert [method["callers"] for method in proto["services"][0]["methods"]] == ["anyone", "anyone"]


def test_init_refuses_a_folder_that_is_not_empty(run: Run, project: Path) -> None:
    done = run("init", str(project))
    assert done.returncode == 2
    assert "not empty" in done.stderr


def test_watch_generates_after_each_change_and_survives_a_broken_schema(project: Path) -> None:
    command = [SUN, "--project", project, "generate", "--watch"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None

        def read_until(words: str) -> None:
            assert process.stdout is not None
            while words not in (line := process.stdout.readline()):
                assert line, f"ended before it said {words!r}"

        read_until("watching for changes")
        edit(project / TABLE, "text       TEXT", "body       TEXT")
        read_until(f"wrote {ROW}")
        edit(project / TABLE, "body       TEXT", "body       TXET")
        read_until("1 error in the schema")
        edit(project / TABLE, "body       TXET", "text       TEXT")
        read_until(f"wrote {ROW}")
        process.terminate()
    assert "text: str" in (project / ROW).read_text()


def test_an_editors_lock_and_a_folder_among_the_schemas_are_no_schemas(run: Run, project: Path) -> None:
    (project / "schema/sql/.#notes.sql").symlink_to("ada@host.1234:5678")
    (project / "schema/sql/folder.sql").mkdir()
    assert run("generate", "--check").returncode == 0


def test_what_can_not_be_written_is_one_line_and_exit_code_2(run: Run, project: Path) -> None:
    edit(project / TABLE, "text       TEXT", "body       TEXT")
    (project / "generated").rename(project / "elsewhere")
    (project / "generated").write_text("a file")
    done = run("generate")
    assert done.returncode == 2
    assert done.stderr.startswith("sun: ")
    assert done.stderr.count("\n") == 1


def test_the_frameworks_own_database_can_not_be_taken(run: Run, project: Path) -> None:
    (project / TABLE).rename(project / "schema/sql/sun_runtime.sql")
    done = run("generate")
    assert done.returncode == 2
    assert "schema/sql/sun_runtime.sql:1:1: bad-name: `sun_runtime` is the framework's own database" in done.stderr
