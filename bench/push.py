"""Pushes: a room of 1,000 sockets, 10,000 idle connections, 5,000 that come back at once; against bare servers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from bench.harness import SERVER_CORE, Goal, Plan, Report, Row, Skipped, interleaved, on_load_core, process
from bench.push_load import Crowd, Member, Received
from bench.push_peers import ROOM
from bench.results import version
from bench.rpc_load import WrongAnswer
from generated.sql.sun import Session, SessionDao, User, UserDao
from handlers.tokens import digest, new_token
from runtime.bundle import create_tables, open_database
from runtime.config import Settings
from runtime.generated.sql.sun_runtime import PushCounter, PushCounterDao
from runtime.project import parts

_ROOT = Path(__file__).parent.parent
_WS = _ROOT / ".bench-node"
_INSTALL = "npm install --prefix .bench-node ws@8"

MISSED = 3
BURST = 20
"""Messages sent one right after the other, to see what a server can deliver."""

_DESCRIPTORS = 11_000
_SETTLE_S = 2.0


class Server:
    """A process that does what it is told on its standard input."""

    def __init__(self, started: subprocess.Popen[str]) -> None:
        self.pid = started.pid
        self._started = started
        self.port = int(self.answer())

    def tell(self, command: str, count: int = 0) -> None:
        assert self._started.stdin is not None
        self._started.stdin.write(f"{command} {count}\n")
        self._started.stdin.flush()

    def answer(self) -> str:
        assert self._started.stdout is not None
        line = self._started.stdout.readline()
        if not line:
            raise WrongAnswer(f"{self._started.args} ended: run it to see why")
        return line

    def ask(self, command: str, count: int = 0) -> str:
        self.tell(command, count)
        return self.answer()

    def rss(self) -> int:
        """Bytes of memory."""
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Heard(NamedTuple):
    """`rate` in messages/s of a burst, at the receivers; `ms` from the call to the last receiver of a single one."""

    rate: float
    ms: float


class Storm(NamedTuple):
    seconds: float
    clients: int
    statements: float  # each

    @property
    def rate(self) -> float:
        return self.clients / self.seconds


def run(plan: Plan) -> Report:
    _allow_descriptors()
    idle, cut = max(plan.rows, ROOM + 1), plan.rows // 2
    with ExitStack() as stack:
        pinned = stack.enter_context(on_load_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sun-bench-")))
        members = asyncio.run(_sign_in(folder, idle))
        with _sun(folder) as sun:
            bytes_each = _idle(sun, members)
        # Anew: thousands of connections that came and went leave memory in pieces, which costs a room a third.
        sun = stack.enter_context(_sun(folder))
        tornado = stack.enter_context(_peer("tornado"))
        rooms, missing = _rooms(sun, tornado, members, plan)
        storms = _storms(sun, tornado, members[:cut], plan.rounds)
    rows = [
        *_room_rows(rooms),
        Row(f"idle connection, signed in, {idle:,} of them", "KB", [bytes_each / 1000], goal=Goal(25, at_most=True)),
        *_storm_rows(storms),
    ]
    versions = {name: version(name) for name in ("tornado", "websockets", "uvloop", "protobuf")}
    if not missing:
        versions |= _node_versions()
    return Report(rows, versions, (f"Servers are on core {SERVER_CORE}, one at work at a time. {pinned}", *missing))


def _allow_descriptors() -> None:
    """For this process, and for the servers that inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS:
        raise Skipped(f"a process may have {hard} files open, and {_DESCRIPTORS} are needed: raise `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, hard))


# A message to a room.


def _rooms(
    sun: Server, tornado: Server, members: Sequence[Member], plan: Plan
) -> tuple[dict[str, list[Heard]], list[str]]:
    """What each side heard, and which peers are missing, and why."""
    missing: list[str] = []
    with ExitStack() as stack:

        def side(server: Server, members: Sequence[Member | None], *commands: str) -> list[Callable[[], Heard]]:
            crowd = Crowd(server.port, members)
            stack.callback(crowd.cut)
            crowd.open()
            return [lambda command=command: _hear(server, crowd, command, plan.seconds / 2) for command in commands]

        tell, send = side(sun, members[:ROOM], "tell", "send")
        sides = {"tell": tell, "send": send}
        [sides["crowded"]] = side(sun, [members[ROOM]] * ROOM, "crowded")
        bare = [None] * ROOM
        [sides["tornado"]] = side(tornado, bare, "tell")
        [sides["websockets"]] = side(stack.enter_context(_peer("websockets")), bare, "tell")
        try:
            [sides["ws"]] = side(stack.enter_context(_node()), bare, "tell")
        except Skipped as reason:
            missing.append(f"Not compared with node's ws: {reason}.")
        return interleaved(sides, plan.rounds), missing


def _hear(server: Server, crowd: Crowd, command: str, seconds: float) -> Heard:
    singles = _receive(server, crowd, command, 1, seconds / 2)
    bursts = _receive(server, crowd, command, BURST, seconds / 2)
    crowd.acknowledge()
    time.sleep(_SETTLE_S / 10)
    rate = statistics.median(each.messages / each.seconds for each in bursts)
    return Heard(rate, statistics.median(each.seconds for each in singles) * 1000)


def _receive(server: Server, crowd: Crowd, command: str, count: int, seconds: float) -> list[Received]:
    numbered = command != "tell"
    found: list[Received] = []
    spent = 0.0
    while spent < seconds:
        found.append(crowd.receive(count, numbered, lambda: server.tell(command, count)))
        spent += found[-1].seconds
    return found[1:] or found  # the first one finds caches cold


def _room_rows(rooms: dict[str, list[Heard]]) -> list[Row]:
    peers = {
        "tornado": ("tornado write_message loop", Goal(2.5)),
        "websockets": ("websockets.broadcast", Goal(1.0)),
        "ws": ("node ws", Goal(0.7)),
    }
    rows: list[Row] = []
    for name, (peer, goal) in peers.items():
        if name in rooms:
            rates, times = [each.rate for each in rooms[name]], [each.ms for each in rooms[name]]
            job = f"a message to {ROOM:,} sockets"
            rows += [
                Row(job, "messages/s", [each.rate for each in rooms["tell"]], peer, rates, goal),
                Row(f"{job}, to the last receiver", "ms", [each.ms for each in rooms["tell"]], peer, times),
            ]
    for name, job in (
        ("crowded", f"the same, numbered and kept, to one user with {ROOM:,} sockets"),
        ("send", f"the same, numbered and kept, to {ROOM:,} users"),
    ):
        theirs = [each.rate for each in rooms["tornado"]]
        rows.append(Row(job, "messages/s", [each.rate for each in rooms[name]], peers["tornado"][0], theirs))
    return rows


# What a connection costs that does nothing.


def _idle(sun: Server, members: Sequence[Member]) -> float:
    """Bytes of the server's memory for each connection."""
    warm = Crowd(sun.port, members[:100])
    warm.open()
    warm.cut()
    before = sun.rss()
    crowd = Crowd(sun.port, members)
    crowd.open()
    time.sleep(_SETTLE_S)
    after = sun.rss()
    crowd.cut()
    return (after - before) / len(crowd)


# Those who come back.


def _storms(sun: Server, tornado: Server, members: Sequence[Member], rounds: int) -> dict[str, list[Storm]]:
    crowd, bare = Crowd(sun.port, members), Crowd(tornado.port, [None] * len(members))
    crowd.open()

    def resume() -> Storm:
        crowd.cut()
        sun.ask("away")
        for _ in range(MISSED):
            sun.ask("missed", len(members))
        before = int(sun.ask("statements"))
        seconds = crowd.open(MISSED)
        return Storm(seconds, len(members), (int(sun.ask("statements")) - before) / len(members))

    def handshakes() -> Storm:
        seconds = bare.open()
        bare.cut()
        return Storm(seconds, len(members), 0)

    try:
        return interleaved({"resumed": resume, "tornado": handshakes}, rounds)
    finally:
        crowd.cut()


def _storm_rows(storms: dict[str, list[Storm]]) -> list[Row]:
    ours, theirs = storms["resumed"], storms["tornado"]
    job = f"{ours[0].clients:,} cut at once, all resumed with {MISSED} pushes that they missed"
    return [
        Row(
            job,
            "clients/s",
            [each.rate for each in ours],
            "tornado WebSocket handshakes",
            [each.rate for each in theirs],
            Goal(0.5),
        ),
        Row(f"{job}, until the last", "s", [each.seconds for each in ours], goal=Goal(6, at_most=True)),
        Row(f"{job}, SQL", "queries each", [each.statements for each in ours], goal=Goal(0.1, at_most=True)),
    ]


# The servers.


async def _sign_in(folder: Path, users: int) -> list[Member]:
    """Accounts with a session each, in the embedded database of this data folder."""
    settings = Settings(project=_ROOT, data_dir=folder, sql_url=SecretStr(""))
    await create_tables(settings, parts(_ROOT))
    db = await open_database(settings)
    now_ms = time.time_ns() // 1_000_000
    members = [Member(new_token()) for _ in range(users)]
    numbers = range(1, users + 1)
    some = random.Random(4)
    await db.run(
        UserDao.insert_many(
            User(
                user_id=number,
                user_name=f"bench{number}",
                user_name_lower=f"bench{number}",
                password_hash="",
                created_ms=now_ms,
            )
            for number in numbers
        )
    )
    await db.run(
        SessionDao.insert_many(
            Session(
                session_id=number,
                user_id=number,
                token_hash=digest(member.token),
                active_ms=now_ms,
                expires_ms=now_ms + 86_400_000,
                created_ms=now_ms,
            )
            for number, member in zip(numbers, members, strict=True)
        )
    )
    # Everybody's pushes have other numbers, all of three bytes on the wire, so that frames are of one size.
    await db.run(
        PushCounterDao.insert_many(
            PushCounter(number, next_counter=some.randrange(1 << 15, 1 << 20), updated_ms=now_ms) for number in numbers
        )
    )
    await db.close()
    return members


@contextmanager
def _sun(folder: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "bench.push_peers", "sun"]
    with process(command, {"SUN_DATA_DIR": str(folder), "SUN_SQL_URL": ""}) as started:
        yield Server(started)


@contextmanager
def _peer(name: str) -> Iterator[Server]:
    with process([sys.executable, "-m", "bench.push_peers", name]) as started:
        yield Server(started)


@contextmanager
def _node() -> Iterator[Server]:
    """Raises Skipped."""
    node = shutil.which("node")
    if node is None:
        raise Skipped("there is no node")
    if not (_WS / "node_modules" / "ws").is_dir():
        raise Skipped(f"it is not installed; `{_INSTALL}` does it")
    with process([node, str(_ROOT / "bench" / "push_ws.cjs"), str(_WS)]) as started:
        yield Server(started)


def _node_versions() -> dict[str, str]:
    found = json.loads((_WS / "node_modules" / "ws" / "package.json").read_text("utf-8"))["version"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"Node": node.removeprefix("v"), "ws": found}
