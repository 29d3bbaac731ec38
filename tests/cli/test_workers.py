"""`sun serve` with several workers, and how it ends: as an operator and its clients meet it, with real processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import SUN, Run, Served, environment, serving
from tests.rpc.certificates import certificate

ADD = "/notes.v1.NoteService/AddNote"
NOTE = b'{"author": "ada", "text": "hi"}'
JSON = {"content-type": "application/json"}
LONG_MS = "60000"

both = pytest.mark.parametrize("workers", ["1", "3"])


HELD = "the event loop is held: no other call goes on; run blocking code with asyncio.to_thread"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def get(url: str, path: str, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url + path, timeout=10, context=context) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def add(url: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(url + ADD, NOTE, JSON), timeout=10) as reply:
        return reply.status


def log(server: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def events(server: Served, *names: str) -> list[dict[str, Any]]:
    return [line for line in log(server) if line["event"] in names]


def process_ids(server: Served) -> dict[int, int]:
    """Of the workers, by number."""
    return {line["worker"]: line["pid"] for line in events(server, "a worker serves")}


@contextmanager
def several(project: Path, **variables: str) -> Iterator[Served]:
    with serving(project, **{"SUN_WORKERS": "3", "SUN_LOG_FORMAT": "json"} | variables) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database(request: pytest.FixtureRequest, run: Run) -> dict[str, str]:
    """The variables that choose the engine; its tables are made."""
    if request.param == "sqlite":
        return {}
    variables = {"SUN_SQL_URL": request.getfixturevalue("mariadb_url")}
    assert run("db", "create", **variables).returncode == 0
    return variables


def test_workers_share_a_port_a_store_a_log_and_metrics(project: Path, database: dict[str, str]) -> None:
    with several(project, **database) as server:
        assert len(set(process_ids(server).values())) == 3
        served: set[int] = set()
        while len(served) < 3:
            assert add(server.url) == 200
            served = {line["worker"] for line in events(server, "rpc")}
        page = get(server.url, "/metrics")[1]
        counted = [line for line in page.splitlines() if line.startswith("sun_rpc_calls_total{")]
        assert sum(float(line.split()[-1]) for line in counted) == len(events(server, "rpc"))
        assert server.stop() == 0


def test_a_worker_that_dies_is_replaced(project: Path) -> None:
    with several(project) as server:
        before = process_ids(server)
        os.kill(before[1], signal.SIGKILL)
        until(lambda: process_ids(server)[1] != before[1])
        assert [(line["worker"], line["reason"]) for line in events(server, "a worker died")] == [(1, "SIGKILL")]
        assert server.stop() == 0


def test_jobs_run_in_one_worker(project: Path) -> None:
    ran = project / "ran"
    edit(project / "handlers/app.py", "from handlers", "import os\n\nfrom runtime.jobs import Job\nfrom handlers")
    edit(project / "handlers/app.py", "platform.ids)])", "platform.ids)], jobs=[Job('mark', 20, mark)])")
    with (project / "handlers/app.py").open("a") as file:
        file.write(
            f"\n\nasync def mark():\n    with open({str(ran)!r}, 'a') as ran:\n        print(os.getpid(), file=ran)\n"
        )
    with several(project) as server:
        until(lambda: ran.exists() and len(ran.read_text().split()) >= 10)
        assert set(ran.read_text().split()) == {str(process_ids(server)[0])}


# Clients that go on and on, and count what fails.


class Load:
    """Calls over HTTP: some on connections that are kept, some each on a connection of its own.

    Whoever is told to leave its connection comes back on another, unless it is not to do so.
    """

    def __init__(self, url: str, kept: int, anew: int, comes_back: bool = True) -> None:
        self.comes_back = comes_back
        self.address = urlsplit(url).hostname or "", urlsplit(url).port
        self.failures: list[object] = []
        self.answered = 0
        self.ended = False
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in [True] * kept + [False] * anew]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.ended = True
        for thread in self._threads:
            thread.join()

    def more(self, calls: int) -> None:
        """Waits for so many more answers."""
        goal = self.answered + calls
        until(lambda: self.answered >= goal or bool(self.failures))

    def _run(self, kept: bool) -> None:
        while not self.ended:
            try:
                connection = socket.create_connection(self.address, timeout=20)
            except ConnectionRefusedError:
                return  # the server is gone, and says so
            with connection, contextlib.closing(http.client.HTTPConnection(*self.address)) as client:
                client.sock = connection
                try:
                    self._call(client, kept)
                    if not self.comes_back:
                        return
                except Exception as failure:  # noqa: BLE001 - whatever it is, it is a call that failed
                    self.failures.append(failure)
                    return

    def _call(self, client: http.client.HTTPConnection, kept: bool) -> None:
        while not self.ended:
            client.request("POST", ADD, NOTE, JSON if kept else JSON | {"connection": "close"})
            reply = client.getresponse()
            body = reply.read()
            if reply.status != 200:
                self.failures.append((reply.status, body))
            self.answered += 1
            if reply.will_close:
                return


def test_a_restart_one_by_one_fails_no_call(project: Path) -> None:
    with several(project) as server, Load(server.url, kept=4, anew=2) as load:
        load.more(50)
        before = process_ids(server)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: bool(events(server, "every worker was restarted")))
        load.more(50)
        after = process_ids(server)
        load.ended = True
        assert not load.failures
        assert set(before) == set(after) == {0, 1, 2}
        assert not set(before.values()) & set(after.values())
        assert server.stop() == 0


@both
def test_sigterm_under_load_fails_no_call_in_flight(project: Path, workers: str) -> None:
    # On connections that the server has taken: one that it has not when it closes its socket is reset, but has not
    # begun either.
    with several(project, SUN_WORKERS=workers) as server, Load(server.url, kept=8, anew=0, comes_back=False) as load:
        load.more(100)
        assert server.stop() == 0
    assert not load.failures


def test_a_restart_that_would_fail_leaves_the_workers_as_they_are(project: Path) -> None:
    with several(project) as server:
        before = process_ids(server)
        (project / "sun.toml").write_text("log_level = 'loud'\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the restart was given up" in server.log.read_text())
        assert process_ids(server) == before
        assert add(server.url) == 200
        assert server.stop() == 0


def test_workers_end_when_their_supervisor_is_gone(project: Path) -> None:
    with several(project) as server:
        server.process.kill()
        until(lambda: not reachable(server.url))


def reachable(url: str) -> bool:
    try:
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=5).close()
    except OSError:
        return False
    return True


# How it starts and ends.


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SUN_SQL_URL": "mysql://sun@127.0.0.1:1/"}, "127.0.0.1:1"),
        ({"SUN_TLS_CERTIFICATE": "none.pem"}, "none.pem: No such file or directory"),
        ({"SUN_TRACES": "carrier_pigeon"}, "no exporter 'carrier_pigeon' is installed"),
    ],
)
@both
def test_what_an_operator_must_mend_is_one_line(run: Run, workers: str, variables: dict[str, str], words: str) -> None:
    done = run("serve", "--port", "0", "--workers", workers, **variables)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("sun: ")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line_for_workers_too(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--workers", "2", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@both
def test_sigterm_is_obeyed_while_the_database_does_not_answer(project: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables = {
            "SUN_SQL_URL": f"mysql://sun@127.0.0.1:{silent.getsockname()[1]}/",
            "SUN_CONNECT_TIMEOUT_MS": LONG_MS,
        }
        command = [SUN, "--project", project, "serve", "--port", "0", "--workers", workers]
        with subprocess.Popen(command, env=environment() | variables, stderr=subprocess.PIPE, text=True) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                process.terminate()
                _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")


def test_a_closed_terminal_ends_a_single_process(project: Path) -> None:
    with serving(project) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(30) == 0


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_insists(project: Path, workers: str, number: signal.Signals) -> None:
    with several(project, SUN_WORKERS=workers, SUN_DRAIN_DELAY_MS=LONG_MS) as server:
        server.process.send_signal(number)
        until(lambda: get(server.url, "/readyz")[0] == 503)
        assert server.process.poll() is None
        server.process.send_signal(number)
        assert server.process.wait(30) == 128 + number


@both
def test_the_second_signal_ends_a_process_whose_loop_is_held(project: Path, workers: str) -> None:
    edit(project / "handlers/notes.py", "        now_ms =", "        time.sleep(60)\n        now_ms =")
    with several(project, SUN_WORKERS=workers) as server:
        calling = threading.Thread(target=call_in_vain, args=(server.url,))
        calling.start()
        until(lambda: bool(events(server, HELD)))
        (line,) = events(server, HELD)
        assert line["method"] == ADD[1:]
        assert "handlers/notes.py" in line["stack"]
        server.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.5)
        server.process.terminate()
        assert server.process.wait(30) == 128 + signal.SIGTERM
        calling.join()


def call_in_vain(url: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        add(url)


def test_sighup_reads_the_certificate_again(project: Path) -> None:
    first, second = certificate(project, "first"), certificate(project, "second")
    served = project / "served.pem", project / "served.key"

    def serve(files: tuple[Path, Path]) -> None:
        for file, to in zip(files, served, strict=True):
            to.write_bytes(file.read_bytes())

    serve(first)
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(second[0])
    # Relative to the project's folder.
    variables = {"SUN_TLS_CERTIFICATE": "served.pem", "SUN_TLS_KEY": "served.key", "SUN_LOG_FORMAT": "json"}
    with serving(project, **variables) as server:
        assert server.url.startswith("https://")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            get(server.url, "/healthz", trusted)
        served[1].write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: bool(events(server, "the certificate stays the old one")))
        serve(second)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: bool(events(server, "the certificate was read again")))
        assert get(server.url, "/healthz", trusted) == (200, "ok\n")
        assert server.stop() == 0


@both
def test_admin_pages_have_a_port_of_their_own(project: Path, workers: str) -> None:
    with several(project, SUN_WORKERS=workers, SUN_ADMIN_PORT="0") as server:
        (admin,) = {line["url"] for line in events(server, "admin pages")}
        assert get(admin, "/readyz") == (200, "ready\n")
        assert "sun_rpc_calls" in get(admin, "/metrics")[1]
        assert [get(server.url, path)[0] for path in ("/readyz", "/metrics", "/healthz")] == [404, 404, 200]
        assert server.stop() == 0
