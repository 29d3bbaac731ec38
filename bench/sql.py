"""SQL: generated DAOs against the bare drivers beneath them and SQLAlchemy's ORM, on one table of 21 columns."""

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
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pymysql

from bench.harness import Goal, Plan, Report, Row, Skipped, interleaved, on_load_core, runner
from bench.results import version
from bench.sql_peers import COLUMNS, BareAsyncmy, SqlAlchemy
from generated.sql.sun import Post, PostDao
from runtime.sql.create import split_statements
from runtime.sql.database import Database, connect
from runtime.sql.sync import connect_sync
from runtime.sql.urls import MysqlUrl, configured

_ROOT = Path(__file__).parent.parent

CONCURRENT = 16
PAGE = 20
POSTS_OF_USER = 100
SLICE = 100
"""Reads between two looks at the clock, where one read costs little more than a look."""


def run(plan: Plan) -> Report:
    address = _mariadb()
    posts = _posts(plan.rows)
    versions = {name: version(name) for name in ("asyncmy", "PyMySQL", "SQLAlchemy", "uvloop", "msgspec")}
    with on_load_core() as pinned, _database(address) as (url, server):
        rows = [*_writes(url, posts, plan), *_reads(url, posts, plan), *_stream(address, url.prefix, plan)]
        rows += _sqlite_reads(posts, plan)
    versions |= {"MariaDB": server, "SQLite": sqlite3.sqlite_version}
    return Report(rows, versions, (f"{pinned} MariaDB is not: it runs where the system puts it.",))


def _posts(count: int) -> list[Post]:
    words, rng = ("sun", "moon", "étoile", "light", "sky", "#dawn"), random.Random(2)
    return [
        Post(
            post_id=1 << 40 | number,
            user_id=number % (count // POSTS_OF_USER),
            post_key=f"k{number:08x}",
            post_type=1,
            text=" ".join(rng.choices(words, k=20)),
            created_ms=1_700_000_000_000 + number,
            via="bench",
            seq=number,
            likes=rng.randrange(1_000),
        )
        for number in range(count)
    ]


# The server.


def _mariadb() -> str:
    """The URL of the server that `make servers` started. Raises Skipped."""
    env = Path(os.environ.get("SUN_SERVERS_DIR") or _ROOT / ".sun-servers") / "env"
    lines = env.read_text().splitlines() if env.exists() else []
    address = {**dict(line.split("=", 1) for line in lines), **os.environ}.get("SUN_TEST_MARIADB_URL")
    if address:
        url = configured(address)
        assert isinstance(url, MysqlUrl)
        try:
            socket.create_connection((url.host, url.port), timeout=5).close()
        except OSError:
            address = None
    if not address:
        raise Skipped("MariaDB is not running; start it with: make servers")
    return address


@contextmanager
def _database(address: str) -> Iterator[tuple[MysqlUrl, str]]:
    """The application's tables in a logical database that is this run's alone; and the server's version."""
    prefix = f"bench_{secrets.token_hex(3)}_"
    url = configured(f"{address}?prefix={prefix}", pool_size=CONCURRENT)
    assert isinstance(url, MysqlUrl)
    with connect_sync(url) as db:
        db.create({"sun": split_statements(_ddl("mysql"))})
    with closing(_pymysql(url)) as connection, connection.cursor() as cursor:
        try:
            yield url, connection.get_server_info().removeprefix("5.5.5-")  # said to old replicas
        finally:
            cursor.execute(f"DROP DATABASE `{prefix}sun`")


def _ddl(dialect: str) -> str:
    return (_ROOT / "generated" / "ddl" / dialect / "sun.sql").read_text("utf-8")


def _pymysql(url: MysqlUrl) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=url.host, port=url.port, user=url.user, password=url.password, database=f"{url.prefix}sun"
    )


# Writes: each sample fills the empty table, so that the last one leaves what is read afterwards.


def _writes(url: MysqlUrl, posts: Sequence[Post], plan: Plan) -> list[Row]:
    tuples = [msgspec.structs.astuple(post) for post in posts]
    insert = f"INSERT INTO post ({COLUMNS}) VALUES ({', '.join(['%s'] * len(tuples[0]))})"
    with runner() as loop, connect_sync(url) as sync, closing(_pymysql(url)) as bare:
        db = loop.run(connect(url))

        def executemany() -> None:
            with bare.cursor() as cursor:
                cursor.executemany(insert, tuples)
            bare.commit()

        def filling(fill: Callable[[], object]) -> Callable[[], float]:
            def sample() -> float:
                with bare.cursor() as cursor:
                    cursor.execute("TRUNCATE TABLE post")
                began = time.perf_counter()
                fill()
                return len(posts) / (time.perf_counter() - began)

            return sample

        sides = {
            "asyncio": filling(lambda: loop.run(db.run(PostDao.insert_many(posts)))),
            "synchronous": filling(lambda: sync.run(PostDao.insert_many(posts))),
            "peer": filling(executemany),
        }
        found = interleaved(sides, plan.rounds)
        loop.run(db.close())
    return [
        Row(
            f"insert_many of {len(posts):,} rows, MariaDB, {side}",
            "rows/s",
            found[side],
            "PyMySQL executemany",
            found["peer"],
            Goal(1.0),
        )
        for side in ("asyncio", "synchronous")
    ]


# Reads.


def _reads(url: MysqlUrl, posts: Sequence[Post], plan: Plan) -> list[Row]:
    rng = random.Random(3)
    ids = [post.post_id for post in rng.sample(posts, len(posts))]
    users = [post.user_id for post in rng.sample(posts, len(posts))]
    with runner() as loop:
        db = loop.run(connect(replace(url, cache_ms=0)))
        caching = loop.run(connect(url))
        loop.run(caching.preload(PostDao.get_many(ids)))
        bare = loop.run(BareAsyncmy.open(url, CONCURRENT))
        prepared = loop.run(BareAsyncmy.open(url, CONCURRENT, statements=256))
        orm = SqlAlchemy(url, CONCURRENT)

        def reading(read: Callable[[int], Awaitable[object]], keys: Sequence[int]) -> Callable[[], float]:
            loop.run(_rate(read, keys, 0.1))  # connections are opened, statements compiled
            return lambda: loop.run(_rate(read, keys, plan.seconds))

        sides = {
            "ours": reading(lambda post_id: db.run(PostDao.get(post_id)), ids),
            "cached": lambda: loop.run(_cached_rate(caching, ids, plan.seconds)),
            "bare": reading(bare.get, ids),
            "prepared": reading(prepared.get, ids),
            "orm": reading(orm.get, ids),
            "our page": reading(lambda user_id: db.run(PostDao.by_user(user_id, False, limit=PAGE)), users),
            "orm page": reading(lambda user_id: orm.page(user_id, PAGE), users),
        }
        found = interleaved(sides, plan.rounds)
        for each in (db, caching, bare, prepared, orm):
            loop.run(each.close())
    cached = "primary-key read, from the row cache"
    get, page = f"primary-key read, MariaDB, {CONCURRENT} concurrent", f"page of {PAGE} rows by index, MariaDB"
    return [
        Row(get, "reads/s", found["ours"], "asyncmy pool", found["bare"], Goal(0.85)),
        Row(get, "reads/s", found["ours"], "asyncmy pool, prepared statements", found["prepared"]),
        Row(get, "reads/s", found["ours"], "SQLAlchemy asyncio ORM", found["orm"], Goal(6)),
        Row(cached, "reads/s", found["cached"], "primary-key read past it", found["ours"], Goal(30)),
        Row(page, "pages/s", found["our page"], "SQLAlchemy asyncio ORM", found["orm page"], Goal(4)),
    ]


async def _rate(read: Callable[[int], Awaitable[object]], keys: Sequence[int], seconds: float) -> float:
    """Reads a second, by CONCURRENT tasks that read one key after the other."""
    clock = asyncio.get_running_loop().time
    began = clock()
    end = began + seconds
    count = 0

    async def work(offset: int) -> None:
        nonlocal count
        while clock() < end:
            if not await read(keys[offset % len(keys)]):
                raise LookupError(f"nothing was found by {keys[offset % len(keys)]}")
            offset += CONCURRENT
            count += 1

    await asyncio.gather(*(work(offset) for offset in range(CONCURRENT)))
    return count / (clock() - began)


async def _cached_rate(db: Database, keys: Sequence[int], seconds: float) -> float:
    """Reads a second of one task; there is nothing to wait for. Raises LookupError where the cache has not all rows."""
    began, count, missed = time.perf_counter(), 0, db.cache.stats()["sun.post"].misses
    while (spent := time.perf_counter() - began) < seconds:
        start = count % (len(keys) - SLICE)
        for post_id in keys[start : start + SLICE]:
            await db.run(PostDao.get(post_id))
        count += SLICE
    if db.cache.stats()["sun.post"].misses > missed:
        raise LookupError("rows were not in the cache")
    return count / spent


def _stream(address: str, prefix: str, plan: Plan) -> list[Row]:
    """A large result, a hundred times the table, and what it costs in memory."""
    count = plan.rows * 100
    command = [sys.executable, "-m", "bench.stream_memory", f"{address}?prefix={prefix}", str(count)]
    found: list[tuple[float, float]] = []
    for _ in range(min(plan.rounds, 3)):
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
        speed, growth = map(float, done.stdout.split())
        found.append((speed, growth))
    job = f"stream of {count:,} rows, MariaDB, asyncio"
    return [
        Row(job, "rows/s", [speed for speed, _ in found]),
        Row(f"{job}, growth of memory", "MiB", [growth for _, growth in found]),
    ]


def _sqlite_reads(posts: Sequence[Post], plan: Plan) -> list[Row]:
    ids = [post.post_id for post in random.Random(3).sample(posts, len(posts))]
    with tempfile.TemporaryDirectory(prefix="sun-bench-") as folder:
        path = f"{folder}/sun.db"
        with connect_sync(f"sqlite:///{path}?cache_ms=0") as db, closing(sqlite3.connect(path)) as bare:
            db.create({"sun": split_statements(_ddl("sqlite"))})
            db.run(PostDao.insert_many(posts))
            select = f'SELECT {COLUMNS} FROM "sun.post" WHERE post_id = ?'

            def reading(read: Callable[[int], object]) -> Callable[[], float]:
                def sample() -> float:
                    began, count = time.perf_counter(), 0
                    while (spent := time.perf_counter() - began) < plan.seconds:
                        start = count % (len(ids) - SLICE)
                        for post_id in ids[start : start + SLICE]:
                            read(post_id)
                        count += SLICE
                    return count / spent

                return sample

            sides = {
                "ours": reading(lambda post_id: db.run(PostDao.get(post_id))),
                "bare": reading(lambda post_id: bare.execute(select, (post_id,)).fetchone()),
            }
            found = interleaved(sides, plan.rounds)
    return [Row("primary-key read, SQLite, synchronous", "reads/s", found["ours"], "sqlite3", found["bare"], Goal(0.6))]
