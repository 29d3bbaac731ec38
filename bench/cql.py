"""CQL: generated DAOs on Cassandra against the bare driver and cqlengine, and on the embedded store against sqlite3."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bench.cql_peers import PAGE, BareDriver, BareSqlite, CqlEngine, Key, cluster, whole
from bench.harness import Goal, Plan, Report, Row, Skipped, interleaved, on_load_core, runner
from bench.results import version
from generated.cql.sun_msg import Message, MessageDao
from generated.cql.sun_msg._schema import KEYSPACE
from runtime import cql
from runtime.cql.database import Database, connect, connect_sync

T = TypeVar("T")

_ROOT = Path(__file__).parent.parent

IN_FLIGHT = (1, 32, 256)
THREADS = 32
"""Of cqlengine, which knows no asyncio."""
GROUP = 256
"""Writes to the embedded store at once."""
ROOM = 100
"""Messages of a room, which are a partition."""
SLICE = 20
"""Calls between two looks at the clock, where one call costs little more than a look."""

OURS, DRIVER, TUNED = "ours", "cassandra-driver", "cassandra-driver, tuned"
MAPPER = f"cqlengine, {THREADS} threads"


def run(plan: Plan) -> Report:
    host, port = _cassandra()
    versions = {name: version(name) for name in ("cassandra-driver", "uvloop", "msgspec")}
    messages = list(_messages(plan.rows))
    with on_load_core() as pinned, tempfile.TemporaryDirectory(prefix="sun-bench-") as folder:
        with _keyspace(host, port) as cassandra:
            rows = [*_side_by_side(cassandra, messages, plan), *_one_by_one(cassandra, messages, plan)]
            rows += _scan("Cassandra", cassandra.url, plan)
        rows += _embedded(f"{folder}/some", messages, plan)
        rows += _scan("embedded", f"embedded:{folder}/many.db?slow_ms=0", plan)
    versions |= {"Cassandra": cassandra.version, "SQLite": sqlite3.sqlite_version}
    return Report(rows, versions, (f"{pinned} Cassandra is not: it runs where the system puts it.",))


def _messages(number: int) -> Iterator[Message]:
    words, rng = ("sun", "moon", "étoile", "light", "sky", "#dawn"), random.Random(2)
    for each in range(number):
        yield Message(
            room_key=f"d{each // ROOM}_{each // ROOM + 1}",
            bucket=1,
            message_id=1 << 46 | each,
            user_id=each // ROOM,
            message_type=1,
            text=" ".join(rng.choices(words, k=20)),
            seq=each % ROOM + 1,
            delivery_status=3,
            created_ms=1_700_000_000_000 + each,
            is_hidden=False,
        )


def _keys(messages: Sequence[Message]) -> list[Key]:
    """The messages' keys, shuffled."""
    shuffled = random.Random(3).sample(messages, len(messages))
    return [(message.room_key, message.bucket, message.message_id) for message in shuffled]


def _get(key: Key) -> cql.Query[Message | None]:
    return MessageDao.get(room_key=key[0], bucket=key[1], message_id=key[2])


def _page(key: Key) -> cql.Query[list[Message]]:
    return MessageDao.slice(room_key=key[0], bucket=key[1], limit=PAGE)


# The server.


@dataclass(frozen=True, slots=True)
class _Place:
    """A keyspace that is this run's alone, with the application's tables of messages: where each side finds it."""

    url: str
    peer: tuple[str, int, str]
    version: str


def _cassandra() -> tuple[str, int]:
    """Where the server listens that `make servers` started. Raises Skipped."""
    env = Path(os.environ.get("SUN_SERVERS_DIR") or _ROOT / ".sun-servers") / "env"
    lines = env.read_text().splitlines() if env.exists() else []
    address = {**dict(line.split("=", 1) for line in lines), **os.environ}.get("SUN_TEST_CASSANDRA", "")
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        raise Skipped("Cassandra is not running; start it with: make servers") from None
    return host, int(port)


@contextmanager
def _keyspace(host: str, port: int) -> Iterator[_Place]:
    prefix = f"bench_{secrets.token_hex(3)}_"
    keyspace = f"{prefix}{KEYSPACE.name}"
    with cluster(host, port) as driver:
        session: Any = driver.connect()
        one = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {one}", timeout=60)
        try:
            session.set_keyspace(keyspace)
            for made in (*KEYSPACE.types, *KEYSPACE.tables):
                session.execute(made.cql, timeout=60)
            server = session.execute("SELECT release_version FROM system.local").one()[0]
            url = f"cassandra://{host}:{port}/?prefix={prefix}&timeout_ms=60000&connect_timeout_ms=20000&slow_ms=0"
            yield _Place(url, (host, port, keyspace), server)
        finally:
            session.execute(f"DROP KEYSPACE {keyspace}", timeout=60)


# Side by side: tasks of which each does one thing after the other.

Ask = Callable[[], Awaitable[Any]]


class _Side(Protocol):
    def get(self, key: Key) -> Awaitable[Any]: ...

    def page(self, key: Key) -> Awaitable[Any]: ...

    def insert(self, row: Message) -> Awaitable[Any]: ...


class _Ours:
    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: Key) -> Awaitable[Message | None]:
        return self._db.run(_get(key))

    def page(self, key: Key) -> Awaitable[list[Message]]:
        return self._db.run(_page(key))

    def insert(self, row: Message) -> Awaitable[None]:
        return self._db.run(MessageDao.insert(row))


def _side_by_side(place: _Place, messages: Sequence[Message], plan: Plan) -> list[Row]:
    keys = _keys(messages)
    with (
        runner() as loop,
        closing(BareDriver(*place.peer)) as usual,
        closing(BareDriver(*place.peer, tuned=True)) as tuned,
        closing(CqlEngine(*place.peer, THREADS)) as mapper,
    ):
        db = loop.run(connect(place.url))
        loop.run(db.run(MessageDao.insert_many(messages)))
        sides: dict[str, _Side] = {OURS: _Ours(db), DRIVER: usual, TUNED: tuned}
        reads = {name: _each(keys, side.get) for name, side in sides.items()} | {MAPPER: _each(keys, mapper.get)}
        pages = {name: _each(keys, side.page) for name, side in sides.items()}
        inserts = {name: _each(messages, side.insert) for name, side in sides.items()}
        for name, ask in reads.items():
            _check(name, loop.run(_awaited(ask)), messages, keys[0])

        def measured(job: str, unit: str, asks: Mapping[str, Ask], in_flight: int, **goals: float) -> list[Row]:
            def sample(ask: Ask) -> Callable[[], float]:
                loop.run(_rate(ask, in_flight, 0.1))  # threads are started, code is warm
                return lambda: loop.run(_rate(ask, in_flight, plan.seconds))

            found = interleaved({name: sample(ask) for name, ask in asks.items()}, plan.rounds)
            return _rows(f"{job}, Cassandra, {in_flight} in flight", unit, found, goals)

        rows: list[Row] = []
        for in_flight in IN_FLIGHT:
            asks = reads if in_flight == THREADS else {name: reads[name] for name in sides}
            rows += measured("primary-key read", "reads/s", asks, in_flight, **{DRIVER: 0.9, MAPPER: 3})
        for in_flight in IN_FLIGHT:
            rows += measured(f"page of {PAGE} rows", "pages/s", pages, in_flight)
        for in_flight in IN_FLIGHT:
            rows += measured("insert", "rows/s", inserts, in_flight)
        loop.run(db.close())
    return rows


def _each(items: Sequence[T], ask: Callable[[T], Awaitable[Any]]) -> Ask:
    """Asks for the next of the items at each call, and again from the first."""
    again = cycle(items)
    return lambda: ask(next(again))


async def _awaited(ask: Ask) -> Any:
    return await ask()


async def _rate(ask: Ask, in_flight: int, seconds: float) -> float:
    """Answers a second, by so many tasks that ask for one after the other."""
    clock = asyncio.get_running_loop().time
    began = clock()
    end = began + seconds
    count = 0

    async def work() -> None:
        nonlocal count
        while clock() < end:
            await ask()
            count += 1

    await asyncio.gather(*(work() for _ in range(in_flight)))
    return count / (clock() - began)


def _check(name: str, row: Any, messages: Sequence[Message], key: Key) -> None:
    """Raises LookupError where a side has not read the whole row of this key."""
    (wanted,) = (message for message in messages if message.message_id == key[2])
    if whole(row[0] if isinstance(row, list) else row) != whole(wanted):
        raise LookupError(f"{name} read {row!r}, not {wanted!r}")


def _rows(job: str, unit: str, found: Mapping[str, Sequence[float]], goals: Mapping[str, float]) -> list[Row]:
    """One for each peer."""
    return [
        Row(job, unit, found[OURS], peer, theirs, Goal(goals[peer]) if peer in goals else None)
        for peer, theirs in found.items()
        if peer != OURS
    ]


# One after the other, in a thread.


def _one_by_one(place: _Place, messages: Sequence[Message], plan: Plan) -> list[Row]:
    keys = _keys(messages)
    with (
        connect_sync(place.url) as db,
        closing(BareDriver(*place.peer)) as bare,
        closing(CqlEngine(*place.peer, 1)) as mapper,
    ):
        sides: dict[str, Callable[[Key], object]] = {
            OURS: lambda key: db.run(_get(key)),
            f"{DRIVER}, session.execute": bare.get_now,
            "cqlengine": mapper.get_now,
        }
        for name, read in sides.items():
            _check(name, read(keys[0]), messages, keys[0])
        found = interleaved({name: _calls(read, keys, plan) for name, read in sides.items()}, plan.rounds)
    return _rows("primary-key read, Cassandra, synchronous", "reads/s", found, {})


def _calls(call: Callable[[T], object], items: Sequence[T], plan: Plan) -> Callable[[], float]:
    """Calls a second."""
    again = cycle(items)

    def sample() -> float:
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < plan.seconds:
            for item in islice(again, SLICE):
                call(item)
            count += SLICE
        return count / spent

    return sample


# The embedded store.


def _embedded(folder: str, messages: Sequence[Message], plan: Plan) -> list[Row]:
    keys = _keys(messages)
    groups = [messages[at : at + GROUP] for at in range(0, len(messages) - GROUP, GROUP)]
    url = f"embedded:{folder}/cql.db?slow_ms=0"
    with runner() as loop, connect_sync(url) as sync, closing(BareSqlite(f"{folder}/bare.db")) as bare:
        db = loop.run(connect(url))
        sync.run(MessageDao.insert_many(messages))
        bare.insert(*messages)
        _check(OURS, sync.run(_get(keys[0])), messages, keys[0])
        _check("sqlite3", bare.get(keys[0]), messages, keys[0])

        def all_at_once(group: Sequence[Message]) -> object:
            return loop.run(db.run_all([MessageDao.insert(each) for each in group], at_once=GROUP))

        async def reading() -> float:
            return await _rate(_each(keys, lambda key: db.run(_get(key))), 1, plan.seconds)

        def compare(job: str, unit: str, ours: Callable[[], float], theirs: Callable[[], float]) -> list[Row]:
            found = interleaved({OURS: ours, "sqlite3": theirs}, plan.rounds)
            return _rows(f"{job}, embedded", unit, found, {})

        def calls(call: Callable[[Any], object], items: Sequence[Any], each: int = 1) -> Callable[[], float]:
            sample = _calls(call, items, plan)
            return lambda: sample() * each

        bare_get = calls(bare.get, keys)
        rows = [
            *compare("primary-key read", "reads/s", calls(lambda key: sync.run(_get(key)), keys), bare_get),
            *compare("primary-key read, asyncio", "reads/s", lambda: loop.run(reading()), bare_get),
            *compare(
                f"page of {PAGE} rows", "pages/s", calls(lambda key: sync.run(_page(key)), keys), calls(bare.page, keys)
            ),
            *compare(
                "insert in a transaction of its own",
                "rows/s",
                calls(lambda row: sync.run(MessageDao.insert(row)), messages),
                calls(bare.insert, messages),
            ),
            *compare(
                f"{GROUP} inserts at once",
                "rows/s",
                calls(all_at_once, groups, GROUP),
                calls(lambda group: bare.insert(*group), groups, GROUP),
            ),
        ]
        loop.run(db.close())
    return rows


# A scan of everything, and what it costs in memory.


def _scan(store: str, url: str, plan: Plan) -> list[Row]:
    number = plan.rows * 100
    with runner() as loop:
        loop.run(_fill(url, number))
    command = [sys.executable, "-m", "bench.cql_scan_memory", url, str(number)]
    found: list[tuple[float, float]] = []
    for _ in range(min(plan.rounds, 3)):
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
        speed, growth = map(float, done.stdout.split())
        found.append((speed, growth))
    job = f"scan of {number:,} rows, {store}, asyncio"
    return [
        Row(job, "rows/s", [speed for speed, _ in found]),
        Row(f"{job}, growth of memory", "MiB", [growth for _, growth in found]),
    ]


async def _fill(url: str, number: int) -> None:
    db = await connect(url)
    messages = _messages(number)
    rooms = iter(lambda: list(islice(messages, ROOM)), [])
    await db.run_all(cql.unlogged_batch([MessageDao.insert(each) for each in room]) for room in rooms)
    await db.close()
