"""A project made by `sun init`, and the `sun` command as a person runs it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUN = Path(sys.executable).with_name("sun")
Run = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SUN_")}


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as `sun init` leaves it; not to be changed."""
    folder = tmp_path_factory.mktemp("init") / "notes"
    subprocess.run([SUN, "init", folder], check=True, capture_output=True, env=environment())
    return folder


@pytest.fixture
def project(pristine: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    return Path(shutil.copytree(pristine, tmp_path / "notes"))


@pytest.fixture
def run(project: Path) -> Run:
    """Runs `sun --project …` with these arguments and waits for it."""

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [SUN, "--project", project, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment() | variables, check=False
        )

    return call


class Served:
    """A running `sun serve`; `log` is where its log goes."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def serving(project: Path, **variables: str) -> Iterator[Served]:
    log = project / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [SUN, "--project", project, "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=environment() | {"PYTHONUNBUFFERED": "1"} | variables,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.match(r"listening on (https?://\S+)$", line)
        assert found, line + log.read_text()
        yield Served(process, found[1], log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
