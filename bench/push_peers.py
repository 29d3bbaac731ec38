"""The servers of the push benchmark as processes: `python -m bench.push_peers sun|tornado|websockets`.

Each prints its port and then does what its standard input says, a line each: see SERVERS.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import websockets
from google.protobuf.wrappers_pb2 import StringValue
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler
from websockets.asyncio.server import ServerConnection

from bench.harness import runner
from generated.sql.sun import SessionDao
from handlers.app import build
from handlers.sessions import TOUCH_MS
from runtime import bundle
from runtime.app import App, Platform
from runtime.config import Settings
from runtime.project import parts

ROOM = 1_000
"""The first users, who are a room."""

CROWDED = ROOM + 1
"""The user who has many connections."""

BACKLOG = 4_096
FILLER = "x" * 100
STAMP = 20
"""Digits of the time at the beginning of every message: nanoseconds of the system's monotonic clock."""

_ROOT = Path(__file__).parent.parent


def text() -> str:
    return f"{time.monotonic_ns():0{STAMP}d}{FILLER}"


async def commands() -> AsyncIterator[list[str]]:
    """The words of each line of standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().split()


def answer(value: object) -> None:
    print(value, flush=True)


class Room:
    """Ours, driven from within the process that `sun serve` would be."""

    def __init__(self) -> None:
        self._statements = 0
        self._driving: asyncio.Task[None] | None = None

    def build(self, platform: Platform) -> App:
        platform.db.observe(self._count)
        self._driving = asyncio.create_task(self._drive(platform))
        return build(platform)

    def _count(self, *_: object) -> None:
        self._statements += 1

    async def _drive(self, platform: Platform) -> None:
        hub, db = platform.push, platform.db
        room = range(1, ROOM + 1)
        async for command, number in commands():
            count = int(number)
            if command == "tell":
                for _ in range(count):
                    hub.tell(room, StringValue(value=text()))
                    await asyncio.sleep(0)
            elif command == "send":
                for _ in range(count):
                    await hub.send(room, StringValue(value=text()))
            elif command == "crowded":
                for _ in range(count):
                    await hub.send([CROWDED], StringValue(value=text()))
            elif command == "away":
                # As after hours: nothing of the accounts is in the row cache, and each session's use is news.
                db.cache.clear()
                long_ago = time.time_ns() // 1_000_000 - 2 * TOUCH_MS
                await db.run(SessionDao.update().everywhere().set(active_ms=long_ago))
                answer("done")
            elif command == "missed":
                await hub.send(range(1, count + 1), StringValue(value=text()))
                answer("done")
            elif command == "statements":
                answer(self._statements)


def serve_sun() -> None:
    room = Room()
    settings = Settings(project=_ROOT, port=0)
    bundle.run(settings, parts(_ROOT), room.build, lambda url: answer(url.rpartition(":")[2]))


async def serve_tornado() -> None:
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    clients: set[WebSocketHandler] = set()

    class Member(WebSocketHandler):
        def open(self, *args: str, **kwargs: str) -> None:
            self.set_nodelay(True)
            clients.add(self)

        def on_close(self) -> None:
            clients.discard(self)

        def on_message(self, message: str | bytes) -> None:
            pass

    server = HTTPServer(Application([("/ws", Member)]))
    sockets = bind_sockets(0, "127.0.0.1", backlog=BACKLOG)
    server.add_sockets(sockets)
    answer(sockets[0].getsockname()[1])
    async for _, count in commands():
        for _ in range(int(count)):
            message = text().encode()
            for client in clients:
                client.write_message(message, binary=True)
            await asyncio.sleep(0)


async def serve_websockets() -> None:
    clients: set[ServerConnection] = set()

    async def member(connection: ServerConnection) -> None:
        clients.add(connection)
        try:
            await connection.wait_closed()
        finally:
            clients.discard(connection)

    async with websockets.serve(
        member, "127.0.0.1", 0, backlog=BACKLOG, compression=None, ping_interval=None
    ) as server:
        answer(next(iter(server.sockets)).getsockname()[1])
        async for _, count in commands():
            for _ in range(int(count)):
                websockets.broadcast(clients, text().encode())
                await asyncio.sleep(0)


SERVERS: dict[str, Callable[[], Awaitable[None]]] = {"tornado": serve_tornado, "websockets": serve_websockets}

if __name__ == "__main__":
    if sys.argv[1] == "sun":
        serve_sun()
    else:
        with runner() as loop:
            loop.run(SERVERS[sys.argv[1]]())  # pyright: ignore[reportArgumentType]
