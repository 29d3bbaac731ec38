"""The example service against the whole application: a generated package, its own process, a server that goes away."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

import sun
from generated.proto.sun.v1.social_pb2 import ListNewestPostsRequest
from generated.proto.sun.v1.views_pb2 import PostView
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.websocket import Connections
from tests.handlers.people import PASSWORD, PROJECT, World, asynchronous, world

PROGRAM = PROJECT / "examples" / "greeter" / "greeter.py"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where `sun_client` is found."""
    out = tmp_path_factory.mktemp("client")
    done = CliRunner().invoke(sun.cli, ["--project", str(PROJECT), "generate", "--client", "python", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@asynccontextmanager
async def serving(people: World, port: int = 0) -> AsyncIterator[int]:
    connections = cast(Connections, people.app.platform.sessions)
    settings = GatewaySettings(port=port, drain_grace_ms=0)
    gateway = Gateway(people.app.dispatcher, settings, connections=connections, hub=people.app.platform.push)
    address = await gateway.start()
    try:
        yield address.port
    finally:
        await gateway.drain()


class Greeter:
    """The program in its own process; `line` is the next that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip()

    async def until(self, *words: str) -> list[str]:
        """The lines until each of these words was in one."""
        lines: list[str] = []
        while not all(any(each in line for line in lines) for each in words):
            lines.append(await self.line())
            assert lines[-1], lines
        return lines


@asynccontextmanager
async def greeting(package: Path, folder: Path, port: int, password: str = PASSWORD) -> AsyncIterator[Greeter]:
    arguments = [
        "greeter_bot",
        "--server",
        f"127.0.0.1:{port}",
        "--state",
        str(folder / "state.json"),
        "--every",
        "0.05",
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        *arguments,
        env={**os.environ, "PYTHONPATH": str(package), "GREETER_PASSWORD": password},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Greeter(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def posts(people: World) -> list[str]:
    reply = await people.caller().social.list_newest_posts(ListNewestPostsRequest(limit=100))
    return [post.text for post in reply.posts]


@asynchronous
async def test_it_greets_once_and_follows_pushes_through_restarts_of_both(
    package: Path, sqlite_url: str, tmp_path: Path
) -> None:
    async with world(sqlite_url) as people:
        ada, bot = await people.person("ada_l"), await people.person("greeter_bot")
        async with serving(people) as port, greeting(package, tmp_path, port) as greeter:
            assert await greeter.line() == "signed in as greeter_bot"
            await ada.posts("#hello all")
            await ada.posts("nothing of the kind")
            assert await greeter.until("greeted") == ["greeted ada_l"]
            for text in ("1", "2"):
                await people.app.platform.push.send([bot.user_id], PostView(text=text))
            assert await greeter.until("push 2") == [f"push {n}: sun.v1.PostView, 3 bytes" for n in (1, 2)]
        async with greeting(package, tmp_path, port) as greeter:
            assert (await greeter.line()).endswith("can't be reached: Connection refused")
        async with serving(people, port), greeting(package, tmp_path, port) as greeter:
            assert await greeter.line() == "signed in as greeter_bot"
            await people.app.platform.push.send([bot.user_id], PostView(text="3"))
            await ada.posts("#hello again")
            lines = await greeter.until("greeted", "push 3")
            # The second was on its way to be dealt with when the program was killed.
            assert [line.partition(":")[0] for line in lines if "push" in line] == ["push 2", "push 3"]
            assert lines.count("greeted ada_l") == 1
        assert (await posts(people)).count("Hello, Ada_L!") == 2


@asynchronous
async def test_a_wrong_password_is_one_line(package: Path, sqlite_url: str, tmp_path: Path) -> None:
    async with world(sqlite_url) as people, serving(people) as port:
        await people.person("greeter_bot")
        async with greeting(package, tmp_path, port, "wrong") as greeter:
            said, _ = await greeter.process.communicate()
            assert greeter.process.returncode == 1
            assert said.decode().startswith("greeter: unauthenticated: ")
            assert said.count(b"\n") == 1


def test_strict_checking(package: Path, tmp_path: Path) -> None:
    (tmp_path / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    settings = {
        "strict": ["."],
        "extraPaths": [str(package)],
        "venvPath": str(Path(sys.prefix).parent),
        "venv": Path(sys.prefix).name,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["generalDiagnostics"] == []
