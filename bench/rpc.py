"""RPC: the unary call through `sun serve` against bare tornado echoes and grpc.aio, 50 calls in flight."""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from bench.harness import SERVER_CORE, Goal, Plan, Report, Row, cpu_seconds, interleaved, on_load_core, process, runner
from bench.results import version
from bench.rpc_load import HttpClient, Sample, WebSocketClient, drive, drive_grpc
from bench.rpc_peers import ECHO
from generated.proto.sun.v1.general_pb2 import EchoRequest, EchoResponse
from generated.sql.sun import Session, SessionDao, User, UserDao
from handlers.tokens import digest, new_token
from runtime.bundle import create_tables, open_database
from runtime.config import Settings
from runtime.generated.proto.sun import wire_pb2
from runtime.project import parts

_ROOT = Path(__file__).parent.parent

CALLS = 50
_LISTENING = re.compile(r"listening on http://.*:(\d+)")
TEXT = "the quick brown fox jumps over the lazy dog, then has a rest"


class Server(NamedTuple):
    pid: int
    port: int


class Measured(NamedTuple):
    sample: Sample
    busy: float | None  # the share of its core that the server used


def run(plan: Plan) -> Report:
    token = new_token()
    with ExitStack() as stack:
        pinned = stack.enter_context(on_load_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sun-bench-")))
        asyncio.run(_sign_in(folder, token))
        sun = stack.enter_context(_sun(folder))
        tornado, grpc = (stack.enter_context(_peer(name)) for name in ("tornado", "grpc"))
        loop = stack.enter_context(runner())

        def side(server: Server, load: Callable[[], Coroutine[None, None, Sample]]) -> Callable[[], Measured]:
            def sample() -> Measured:
                before, began = cpu_seconds(server.pid), time.perf_counter()
                found = loop.run(load())
                after, spent = cpu_seconds(server.pid), time.perf_counter() - began
                return Measured(found, None if before is None or after is None else (after - before) / spent)

            return sample

        seconds = plan.seconds
        message, answer = _echo()
        headers = {"Content-Type": "application/proto", "Authorization": f"Bearer {token}"}

        def http() -> HttpClient:
            return HttpClient(ECHO, headers, message, answer)

        def sun_socket(calls: int) -> WebSocketClient:
            hello = wire_pb2.ClientFrame(hello=wire_pb2.Hello(token=token, device="bench"))
            frames = [_call(str(number), message) for number in range(calls)]
            replies = [_reply(str(number), answer) for number in range(calls)]
            return WebSocketClient("sun.v1+proto", hello.SerializeToString(), frames, replies)

        def tornado_socket(calls: int) -> WebSocketClient:
            # The same bytes as ours: told apart by the call's id.
            frames = [_call(str(number), message) for number in range(calls)]
            return WebSocketClient("", b"", frames, frames)

        sides = {
            "http": side(sun, lambda: drive(sun.port, CALLS, http, seconds)),
            "tornado http": side(tornado, lambda: drive(tornado.port, CALLS, http, seconds)),
            "sockets": side(sun, lambda: drive(sun.port, CALLS, lambda: sun_socket(1), seconds)),
            "tornado sockets": side(tornado, lambda: drive(tornado.port, CALLS, lambda: tornado_socket(1), seconds)),
            "socket": side(sun, lambda: drive(sun.port, 1, lambda: sun_socket(CALLS), seconds)),
            "tornado socket": side(tornado, lambda: drive(tornado.port, 1, lambda: tornado_socket(CALLS), seconds)),
            "grpc": side(grpc, lambda: drive_grpc(grpc.port, ECHO, CALLS, message, answer, seconds)),
        }
        found = interleaved(sides, plan.rounds)
    versions = {name: version(name) for name in ("tornado", "uvloop", "protobuf", "grpcio")}
    busy = ", ".join(f"{name} {_share(found[name])}" for name in found)
    notes = (
        f"Servers are on core {SERVER_CORE}, one under load at a time. {pinned}",
        f"Of its core each server used: {busy}. Where that is far from 100 %, the load was what limited it.",
    )
    return Report(_rows(found), versions, notes)


def _rows(found: dict[str, list[Measured]]) -> list[Row]:
    def rate(job: str, ours: str, peer: str, theirs: str, goal: Goal) -> Row:
        return Row(job, "calls/s", _rates(found[ours]), peer, _rates(found[theirs]), goal)

    def p99(job: str, ours: str, peer: str, theirs: str, goal: Goal | None = None) -> Row:
        return Row(f"{job}, p99", "ms", _p99s(found[ours]), peer, _p99s(found[theirs]), goal)

    http, sockets, socket = (
        f"call over HTTP, {CALLS} connections",
        f"call over the WebSocket, {CALLS} sockets",
        f"call over the WebSocket, one socket, {CALLS} calls",
    )
    echo, grpc = "tornado WebSocket echo", "grpc.aio unary"
    rows = [
        rate(http, "http", "tornado HTTP echo", "tornado http", Goal(0.6)),
        p99(http, "http", "tornado HTTP echo", "tornado http"),
    ]
    for job, side in ((sockets, "sockets"), (socket, "socket")):
        rows += [
            rate(job, side, echo, f"tornado {side}", Goal(0.6)),
            p99(job, side, echo, f"tornado {side}"),
            rate(job, side, grpc, "grpc", Goal(2.5)),
            p99(job, side, grpc, "grpc", Goal(0.5, at_most=True)),
        ]
    return rows


def _rates(measured: list[Measured]) -> list[float]:
    return [each.sample.rate for each in measured]


def _p99s(measured: list[Measured]) -> list[float]:
    return [each.sample.p99_ms for each in measured]


def _share(measured: list[Measured]) -> str:
    shares = [each.busy for each in measured if each.busy is not None]
    return f"{statistics.median(shares):.0%}" if shares else "unknown"


# The servers.


async def _sign_in(folder: Path, token: str) -> None:
    """An account with a session in the embedded database of this data folder."""
    settings = Settings(project=_ROOT, data_dir=folder, sql_url=SecretStr(""))
    await create_tables(settings, parts(_ROOT))
    db = await open_database(settings)
    now_ms = time.time_ns() // 1_000_000
    user = User(user_id=1, user_name="bench", user_name_lower="bench", password_hash="", created_ms=now_ms)
    session = Session(
        session_id=1,
        user_id=user.user_id,
        token_hash=digest(token),
        active_ms=now_ms,
        expires_ms=now_ms + 86_400_000,
        created_ms=now_ms,
    )
    await db.run(UserDao.insert(user))
    await db.run(SessionDao.insert(session))
    await db.close()


@contextmanager
def _sun(folder: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "sun", "--project", str(_ROOT), "serve", "--port", "0"]
    with process(command, {"SUN_DATA_DIR": str(folder), "SUN_SQL_URL": ""}) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if found := _LISTENING.match(line):
                yield Server(started.pid, int(found[1]))
                return
        raise RuntimeError("`sun serve` ended at once: run it to see why")


@contextmanager
def _peer(name: str) -> Iterator[Server]:
    with process([sys.executable, "-m", "bench.rpc_peers", name]) as started:
        assert started.stdout is not None
        yield Server(started.pid, int(started.stdout.readline()))


# What is sent and what must come back.


def _echo() -> tuple[bytes, bytes]:
    return EchoRequest(text=TEXT).SerializeToString(), EchoResponse(text=TEXT).SerializeToString()


def _call(call_id: str, message: bytes) -> bytes:
    call = wire_pb2.Call(id=call_id, method=ECHO, request=message)
    return wire_pb2.ClientFrame(call=call).SerializeToString()


def _reply(call_id: str, answer: bytes) -> bytes:
    return wire_pb2.ServerFrame(reply=wire_pb2.Reply(id=call_id, response=answer)).SerializeToString()
