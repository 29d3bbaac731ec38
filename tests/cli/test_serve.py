"""`sun serve` and its fellows as an operator meets them: start, calls, refusals, stop."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Run, environment, serving

ADD = "notes.v1.NoteService/AddNote"
LIST = "notes.v1.NoteService/ListNotes"


def test_a_note_goes_in_over_the_websocket_and_out_over_http(run: Run, project: Path) -> None:
    with serving(project) as server:
        added = run("call", ADD, '{"author": "ada", "text": "hi"}', "--url", server.url.replace("http", "ws") + "/ws")
        assert json.loads(added.stdout)["note"]["text"] == "hi"
        request = urllib.request.Request(
            f"{server.url}/{LIST}", b'{"author": "ada"}', {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert [note["text"] for note in json.load(reply)["notes"]] == ["hi"]
        assert server.stop() == 0
    with serving(project) as server:
        listed = run("call", LIST, '{"author": "ada"}', "--url", server.url)
        assert len(json.loads(listed.stdout)["notes"]) == 1, "the data outlives the process"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/"])
def test_the_pages_answer(project: Path, path: str) -> None:
    with serving(project) as server, urllib.request.urlopen(server.url + path, timeout=10) as reply:
        assert reply.status == 200


def test_an_error_has_its_code_its_detail_and_exit_code_1(run: Run, project: Path) -> None:
    with serving(project) as server:
        done = run("call", LIST, '{"author": "nobody"}', "--url", server.url)
    assert done.returncode == 1
    assert done.stderr.startswith("sun: not_found: nobody called nobody has left a note\n")
    assert '"notes.v1.AuthorUnknown"' in done.stderr
    assert done.stdout == ""


def test_a_server_that_is_not_there_is_one_line(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws"):
            done = run("call", LIST, "{}", "--url", url)
            assert done.returncode == 2
            assert done.stderr.startswith("sun: unavailable: ")
            assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "no scheme"),
        ("postgres://x/", "unknown scheme"),
        ("mysql://sun:secret@host:99999/", "the port"),
        ("mysql://sun:secret@127.0.0.1:1/?connect_timeout_ms=2000", "127.0.0.1:1"),
        ("sqlite:////proc/nowhere/sun.db", "nowhere"),
    ],
)
@pytest.mark.parametrize("command", [["serve"], ["db", "create"]])
def test_a_bad_database_is_one_line_and_exit_code_2(run: Run, command: list[str], url: str, words: str) -> None:
    done = run(*command, SUN_SQL_URL=url)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("sun: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr + done.stdout


def test_a_cluster_that_is_not_there_is_one_line_and_exit_code_2(run: Run) -> None:
    done = run("serve", SUN_CQL_URL="cassandra://sun:secret@127.0.0.1:1/?connect_timeout_ms=20000")
    assert done.returncode == 2
    assert done.stderr.startswith("sun: 127.0.0.1:1: can't be reached")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr + done.stdout


def test_a_port_in_use_is_one_line(run: Run, project: Path) -> None:
    with serving(project) as server:
        done = run("serve", "--port", server.url.rpartition(":")[2], SUN_DATA_DIR=str(project / "other"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_method_without_a_handler_stops_the_start_until_it_is_written(run: Run, project: Path) -> None:
    proto = project / "schema/proto/notes/v1/notes.proto"
    text = proto.read_text("utf-8")
    method = (
        "  rpc CountNotes(CountNotesRequest) returns (CountNotesResponse) {\n"
        "    option (sun.method) = {callers: CALLERS_ANYONE};\n  }\n"
    )
    messages = "message CountNotesRequest {}\n\nmessage CountNotesResponse {\n  int64 notes = 1;\n}\n"
    proto.write_text(text.replace("service NoteService {\n", f"service NoteService {{\n{method}") + messages, "utf-8")
    assert run("generate").returncode == 0
    done = run("serve", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "sun: handlers.notes.NoteHandler lacks count_notes (notes.v1.NoteService/CountNotes)"
    )
    handler = project / "handlers/notes.py"
    handler.write_text(
        handler.read_text("utf-8")
        + "\n    async def count_notes(self, request: object, ctx: Context) -> CountNotesResponse:\n"
        + "        return CountNotesResponse(notes=await self.db.run(NoteDao.all().count()))\n"
        + "\n\nfrom generated.proto.notes.v1.notes_pb2 import CountNotesResponse  # noqa: E402\n",
        "utf-8",
    )
    with serving(project) as server:
        counted = run("call", "notes.v1.NoteService/CountNotes", "--url", server.url)
    assert json.loads(counted.stdout) == {}, "zero is proto3's default and not printed"


def test_a_database_older_than_the_schema_is_one_line(run: Run, project: Path) -> None:
    with serving(project) as server:
        assert server.stop() == 0
    table = project / "schema/sql/notes.sql"
    table.write_text(table.read_text("utf-8").replace("  PRIMARY KEY", "  mood INT NOT NULL DEFAULT 0,\n  PRIMARY KEY"))
    assert run("generate").returncode == 0
    for command in (["serve", "--port", "0"], ["doctor"]):
        done = run(*command)
        assert done.returncode != 0
        assert "the database is older than the schema: it lacks notes.note.mood" in done.stdout + done.stderr


def test_a_project_without_handlers_is_told_so(run: Run, project: Path) -> None:
    (project / "handlers/app.py").unlink()
    done = run("serve", "--port", "0")
    assert done.returncode == 2
    assert "handlers/app.py is missing" in done.stderr


def test_doctor_finds_a_healthy_project_and_a_sick_one(run: Run, project: Path) -> None:
    well = run("doctor", SUN_PORT="0")
    assert well.returncode == 0
    assert "MEND" not in well.stdout
    (project / "handlers/notes.py").write_text("import nothing_like_this\n")
    sick = run("doctor", SUN_PORT="0", SUN_SQL_URL="mysql://sun@127.0.0.1:1/")
    assert sick.returncode == 1
    assert "MEND  handlers: ModuleNotFoundError: No module named 'nothing_like_this'" in sick.stdout
    assert "MEND  sql engine: " in sick.stdout


def test_the_tests_of_a_new_project_pass(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.mariadb
def test_a_server_database_is_created_by_command_only(run: Run, mariadb_url: str) -> None:
    refused = run("serve", "--port", "0", SUN_SQL_URL=mariadb_url)
    assert refused.returncode == 2
    assert "run `sun db create`" in refused.stderr
    assert run("db", "create", SUN_SQL_URL=mariadb_url).stdout.endswith("10 tables created\n")
    assert run("db", "create", SUN_SQL_URL=mariadb_url).stdout == "every table is there already\n"
