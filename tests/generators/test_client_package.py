"""`sun generate --client python`: the package installs without a network, calls a running Sun, and needs none of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sun

REPOSITORY = Path(__file__).parents[2]
SITE = sysconfig.get_paths()["purelib"]
ALLOWED = {"google", "tornado"}

# -I and -S leave the environment, the current folder and what is installed for development out of the path.
ALONE = f"""
import runpy, sys
sys.path += [sys.argv[2], {SITE!r}]
runpy.run_path(sys.argv[1], run_name="__main__")
foreign = {{
    name for name, module in sys.modules.items()
    if "." not in name and (getattr(module, "__file__", None) or "").startswith(({SITE!r}, {str(REPOSITORY)!r}))
}}
assert foreign <= {ALLOWED!r}, foreign
"""

PROGRAM = """
import asyncio

from notes_client import BadRequest, BlockingTransport, Code, HttpTransport, RpcError, WebSocketTransport, new_key
from notes_client.proto.notes.v1.notes_pb2 import AddNoteRequest, ListNotesRequest
from notes_client.rpc.notes.v1.notes import AuthorUnknown, NoteClient, SyncNoteClient


async def main(port: int) -> None:
    server = f"127.0.0.1:{port}"
    async with WebSocketTransport(f"ws://{server}/ws") as socket, HttpTransport(f"http://{server}") as http:
        added = await NoteClient(socket).add_note(AddNoteRequest(author="ada", text="hi"), key=new_key())
        listed = await NoteClient(http).list_notes(ListNotesRequest(author="ada"), timeout_ms=5000)
        print([note.note_id for note in listed.notes] == [added.note.note_id])
        for transport in (socket, http):
            try:
                await NoteClient(transport).list_notes(ListNotesRequest(author="nobody"))
            except AuthorUnknown as error:
                print(error.code is Code.NOT_FOUND, error.detail.author)
            try:
                await NoteClient(transport).add_note(AddNoteRequest())
            except BadRequest as error:
                print([violation.field for violation in error.detail.violations])


def sync(port: int) -> None:
    with BlockingTransport(HttpTransport(f"http://127.0.0.1:{port}")) as transport:
        print(SyncNoteClient(transport).list_notes(ListNotesRequest(author="ada")).notes[0].text)


asyncio.run(main(PORT))
sync(PORT)
"""


def generate(project: Path, out: Path, *options: str) -> Result:
    arguments = ["--project", str(project), "generate", "--client", "python", "--out", str(out), *options]
    return CliRunner().invoke(sun.cli, arguments, catch_exceptions=False)


@dataclass
class Installed:
    """`site` is where the package was installed to, `source` where it was written."""

    project: Path
    source: Path
    site: Path

    def run(self, program: str) -> str:
        """What the program prints in an interpreter that finds nothing but the package and what that needs."""
        file = self.source.parent / "program.py"
        file.write_text(textwrap.dedent(program))
        command = [sys.executable, "-I", "-S", "-W", "error", "-c", ALONE, file, self.site]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("package")
    project, source, site = folder / "notes", folder / "source", folder / "site"
    assert CliRunner().invoke(sun.cli, ["init", str(project)]).exit_code == 0
    assert generate(project, source).exit_code == 0
    copy = shutil.copytree(source, folder / "copy")  # building leaves things behind
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", site, copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(project, source, site)


@contextmanager
def serving(project: Path) -> Iterator[int]:
    """The port of `sun serve`, run from this tree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUN_")}
    with (project / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sun", "--project", project, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            cwd=REPOSITORY,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"listening on http://127.0.0.1:(\d+)$", line)
        assert found, line + (project / "server.log").read_text()
        yield int(found[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_installed_package_calls_a_running_sun(installed: Installed) -> None:
    with serving(installed.project) as port:
        said = installed.run(PROGRAM.replace("PORT)", f"{port})"))
        assert said.splitlines() == ["True", *["True nobody", "['author', 'text']"] * 2, "hi"]
        # The programs of the package's own README.
        readme = (installed.source / "README.md").read_text()
        programs = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        assert len(programs) == 2
        for program in programs:
            assert "text" in installed.run(program.replace(":8650", f":{port}").replace('"hi"', '"ada"'))


def test_messages_are_whole(installed: Installed) -> None:
    said = installed.run(
        """
        import copy, pickle
        from google.protobuf import json_format
        from notes_client.proto.notes.v1 import notes_pb2

        note = notes_pb2.Note(note_id=5, author="ada", text="hi")
        print(pickle.loads(pickle.dumps(note)) == copy.deepcopy(note) == note)
        print(json_format.MessageToDict(note)["noteId"], type(note).__module__)
        """
    )
    assert said == "True\n5 notes_client.proto.notes.v1.notes_pb2\n"


def test_rules_of_the_schema_stay_at_home(installed: Installed, tmp_path: Path) -> None:
    project = Path(shutil.copytree(installed.project / "schema", tmp_path / "limited" / "schema")).parent
    limits = (
        'syntax = "proto3";\npackage notes.v1;\nimport "sun/options.proto";\n'
        'option (sun.limit) = {name: "notes_quota" per: PER_ADDRESS tokens: 9 refill_ms: 1000};\n'
    )
    (project / "schema/proto/notes/v1/limits.proto").write_text(limits)
    assert generate(project, tmp_path / "out").exit_code == 0
    written = "".join(file.read_text() for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert "notes_quota" not in written
    said = installed.run(
        """
        from notes_client.proto.notes.v1.notes_pb2 import DESCRIPTOR, AddNoteRequest
        from notes_client.proto.sun.options_pb2 import field, method

        print([each.GetOptions().ByteSize() for each in AddNoteRequest.DESCRIPTOR.fields])
        print([each.GetOptions().ByteSize() for each in DESCRIPTOR.services_by_name["NoteService"].methods])
        """
    )
    assert said == "[0, 0]\n[0, 3]\n", "of protobuf's own there is one: NO_SIDE_EFFECTS"


def test_packages_and_the_servers_own_modules_live_in_one_process(installed: Installed, tmp_path: Path) -> None:
    """One descriptor pool can't hold two versions of a file, so each package has its own."""
    later = Path(shutil.copytree(installed.project / "schema", tmp_path / "later" / "schema")).parent
    proto = later / "schema/proto/notes/v1/notes.proto"
    proto.write_text(proto.read_text().replace("string author = 1", "string author = 9"))
    assert generate(later, tmp_path / "out", "--name", "later_client").exit_code == 0
    program = """
        from generated.proto.notes.v1.notes_pb2 import AddNoteRequest as Server
        from later_client.proto.notes.v1.notes_pb2 import AddNoteRequest as Later
        from notes_client.proto.notes.v1.notes_pb2 import AddNoteRequest as Now
        import later_client, notes_client, generated.rpc.notes.v1.notes
        from later_client.rpc.notes.v1.notes import AuthorUnknown

        print(len({Server, Now, Later}), Server(author="a").SerializeToString() == Now(author="a").SerializeToString())
        print(Now.DESCRIPTOR.fields_by_name["author"].number, Later.DESCRIPTOR.fields_by_name["author"].number)
        print(AuthorUnknown(author="ada").message)
        """
    paths = os.pathsep.join(map(str, (installed.site, tmp_path / "out", installed.project, REPOSITORY)))
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.stderr == ""
    assert done.stdout == "3 True\n1 9\nnobody called ada has left a note\n"


USER = """
from __future__ import annotations

from typing import assert_type

from notes_client import BlockingTransport, HttpTransport, Push, Reload, WebSocketTransport
from notes_client.proto.google.protobuf.timestamp_pb2 import Timestamp
from notes_client.proto.notes.v1.notes_pb2 import AddNoteRequest, AddNoteResponse, ListNotesRequest, Note
from notes_client.proto.notes.v1.times_pb2 import Appointment, TickRequest, TickResponse
from notes_client.rpc.notes.v1.notes import AuthorUnknown, NoteClient, SyncNoteClient
from notes_client.rpc.notes.v1.times import SyncTimeClient, TimeClient


async def program() -> None:
    async with WebSocketTransport("ws://x/ws") as transport:
        client = NoteClient(transport)
        assert_type(await client.add_note(AddNoteRequest(author="a"), timeout_ms=3, key="k"), AddNoteResponse)
        client.add_note(ListNotesRequest())  # error: reportArgumentType
        client.list_notes(ListNotesRequest(), key="k")  # error: reportCallIssue
        async for push in transport.pushes(Note, Appointment):
            match push:
                case Push(message):
                    assert_type(message, Note | Appointment)
                case Reload(position):
                    print(position.counter)
        async for tick in TimeClient(HttpTransport("http://x")).tick(TickRequest()):
            assert_type(tick, TickResponse)


def program_without_a_loop() -> None:
    with BlockingTransport(HttpTransport("http://x")) as transport:
        assert_type(SyncNoteClient(transport).add_note(AddNoteRequest(author="a"), key="k"), AddNoteResponse)
        SyncNoteClient(HttpTransport("http://x"))  # error: reportArgumentType
        NoteClient(transport)  # error: reportArgumentType
        for tick in SyncTimeClient(transport).tick(TickRequest()):
            assert_type(tick, TickResponse)
        SyncTimeClient(transport).once(TickRequest())  # error: reportDeprecated


def messages(error: AuthorUnknown) -> str:
    at = Timestamp()
    at.FromMilliseconds(5)
    Appointment(at=at).at.ToMilliseconds()
    return error.detail.author
"""

TIMES = """
syntax = "proto3";
package notes.v1;
import "google/protobuf/timestamp.proto";
import "sun/options.proto";
// When something is.
message Appointment { google.protobuf.Timestamp at = 1; }
message TickRequest {}
message TickResponse { google.protobuf.Timestamp at = 1; }
// The time.
service TimeService {
  // The time, again and again.
  rpc Tick(TickRequest) returns (stream TickResponse) { option (sun.method).callers = CALLERS_ANYONE; }
  // The time, once.
  rpc Once(TickRequest) returns (TickResponse) {
    option deprecated = true;
    option (sun.method).callers = CALLERS_ANYONE;
  }
}
"""


def test_strict_checking_of_a_program_that_uses_it(installed: Installed, tmp_path: Path) -> None:
    project = Path(shutil.copytree(installed.project / "schema", tmp_path / "timed" / "schema")).parent
    (project / "schema/proto/notes/v1/times.proto").write_text(TIMES)
    assert generate(project, tmp_path / "out").exit_code == 0
    assert '"typing-extensions' in (tmp_path / "out/pyproject.toml").read_text(), "what marks deprecated methods"
    assert "typing-extensions" not in (installed.source / "pyproject.toml").read_text()
    user = tmp_path / "user"
    user.mkdir()
    (user / "use.py").write_text(USER)
    settings = {
        "include": ["."],
        "strict": ["."],
        "extraPaths": [str(tmp_path / "out")],
        "venvPath": str(Path(sys.prefix).parent),
        "venv": Path(sys.prefix).name,
    }
    (user / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", user]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    errors = {(each["range"]["start"]["line"] + 1, each.get("rule", "")) for each in found["generalDiagnostics"]}
    lines = USER.splitlines()
    expected = {(n, line.partition("# error: ")[2]) for n, line in enumerate(lines, 1) if "# error: " in line}
    # A type that is unknown after an error only repeats that error.
    assert {each for each in errors if not each[1].startswith("reportUnknown")} == expected
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += [{str(tmp_path / 'out')!r}, {SITE!r}]\n" + WKT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stderr, run.stdout) == ("", "5 True\n")


WKT = """
from notes_client.proto.google.protobuf.timestamp_pb2 import Timestamp
from notes_client.proto.notes.v1.times_pb2 import Appointment
at = Timestamp()
at.FromMilliseconds(5)
meeting = Appointment(at=at)
print(meeting.at.ToMilliseconds(), Appointment.FromString(meeting.SerializeToString()) == meeting)
"""


def test_it_is_the_same_from_run_to_run_and_checked(installed: Installed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generate(installed.project, out).exit_code == 0
    for file in out.rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (installed.source / file.relative_to(out)).read_bytes(), file
    assert generate(installed.project, out, "--check").output == f"{out}: up to date\n"
    again = generate(installed.project, out, "--release", "2.0.0")
    assert again.output.splitlines()[0] == f"wrote {out}/pyproject.toml"
    assert 'version = "2.0.0"' in (out / "pyproject.toml").read_text()
    (out / "notes_client/errors.py").write_text("mine = 1\n")
    assert generate(installed.project, out, "--check").exit_code == 1
    refused = generate(installed.project, out)
    assert refused.exit_code == 2
    assert f"{out}/notes_client/errors.py was edited by hand" in refused.stderr
    assert generate(installed.project, out, "--force").exit_code == 0


@pytest.mark.parametrize("name", ["1st", "class", "google", "tornado", "asyncio", "a-b", "a.b", ""])
def test_names_that_no_package_can_have(installed: Installed, tmp_path: Path, name: str) -> None:
    done = generate(installed.project, tmp_path / "out", "--name", name)
    if name == "":
        assert (tmp_path / "out/notes_client").is_dir()
        return
    assert done.exit_code == 2
    assert done.stderr.startswith(f"sun: {name!r} can't be the name of a package")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--client", "python"], ["--out", "x"], ["--name", "x"], ["--client", "cobol"]])
def test_options_that_do_not_go_together(installed: Installed, options: list[str]) -> None:
    done = CliRunner().invoke(sun.cli, ["--project", str(installed.project), "generate", *options])
    assert done.exit_code == 2


def test_what_is_copied_is_all_that_is_imported(installed: Installed) -> None:
    """Every module of the package imports, and nothing in it speaks of the framework's packages."""
    modules = [
        ".".join(file.relative_to(installed.source).with_suffix("").parts).removesuffix(".__init__")
        for file in sorted((installed.source / "notes_client").rglob("*.py"))
    ]
    installed.run("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules))
    for file in (installed.source / "notes_client").rglob("*.py*"):
        imports = [
            line for line in file.read_text().splitlines() if re.match(r"\s*(from|import) (runtime|generated)", line)
        ]
        assert imports == [], file
