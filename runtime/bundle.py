"""One process of Sun from settings to a clean exit.

Connect, create or check the tables, lease a node number, serve, drain.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.app import App, Platform
from runtime.config import Settings
from runtime.ids import wall_clock_ms
from runtime.jobs import Job, running
from runtime.leases import leased_ids
from runtime.limits import limiter, token_buckets
from runtime.logs import configure_logging
from runtime.metrics import Metrics
from runtime.push.hub import PushHub
from runtime.rpc.attempts import Attempts
from runtime.rpc.context import Identity
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.server import Gateway
from runtime.rpc.service import Service
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.sql_token_buckets import SqlTokenBuckets
from runtime.rpc.websocket import Connections
from runtime.sql.create import Missing, create, missing
from runtime.sql.database import Database, connect
from runtime.sql.diff import differences


@dataclass(frozen=True, slots=True)
class Parts:
    """What generation made of the schemas, the framework's and the project's.

    `tables` names the columns of each `database.table`; `ddl` are the folders that hold a folder of DDL for each
    dialect; `services` are the bases that need a handler.
    """

    tables: Mapping[str, Sequence[str]]
    ddl: Sequence[Path]
    services: Sequence[type[Service]]

    def scripts(self, dialect: str) -> dict[str, str]:
        """The DDL of each logical database."""
        files = (file for folder in self.ddl for file in sorted((folder / dialect).glob("*.sql")))
        return {file.stem: file.read_text("utf-8") for file in files}


_DESCRIPTORS = 65_536
_HOUSEKEEPING_MS = 600_000
_PUSH_POLL_MS = 100

Build = Callable[[Platform], App]
Announce = Callable[[str], None]


class NotCreated(Exception):
    """The database lacks tables or columns of the schema."""


class Anonymous:
    """The authenticator of an application without accounts: no token belongs to anybody."""

    async def authenticate(self, token: str) -> Identity | None:
        return None


async def open_database(settings: Settings) -> Database:
    """Connect to the configured engine; the embedded one gets its folder. Raises InvalidUrl and Unavailable."""
    if not settings.sql_url.get_secret_value():
        settings.state.mkdir(parents=True, exist_ok=True)
    return await connect(
        settings.database_url, pool_size=settings.pool_size, connect_timeout_ms=settings.connect_timeout_ms
    )


async def create_tables(settings: Settings, parts: Parts) -> list[str]:
    """Create the tables that the engine lacks and name them. Raises SqlError."""
    async with AsyncExitStack() as stack:
        db = await open_database(settings)
        stack.push_async_callback(db.close)
        return await _create(db, parts)


async def diff_tables(settings: Settings, parts: Parts) -> list[str]:
    """How the store differs from the schema, a line each. Raises SqlError."""
    db = await open_database(settings)
    try:
        return await differences(db, settings.database_url, parts.scripts(db.dialect.name))
    finally:
        await db.close()


async def _create(db: Database, parts: Parts) -> list[str]:
    lacking = await missing(db, parts.tables)
    if lacking.tables:
        await create(db, parts.scripts(db.dialect.name))
    return lacking.tables


def refusal(lacking: Missing) -> str | None:
    """Why a store can't be used, in one line; None where it can."""
    if lacking.tables:
        return f"the database lacks {_some(lacking.tables)}: run `sun db create`"
    if lacking.columns:
        return f"the database is older than the schema: it lacks {_some(lacking.columns)}; add it there, or start anew"
    return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def gateway_settings(settings: Settings) -> GatewaySettings:
    """The part of the configuration that the gateway needs."""
    return GatewaySettings(
        host=settings.host,
        port=settings.port,
        allowed_origins=settings.origins,
        trusted_proxies=settings.trusted_proxies,
        explorer=settings.shows_explorer,
        max_message_bytes=settings.max_message_bytes,
        default_timeout_ms=min(GatewaySettings.default_timeout_ms, settings.max_timeout_ms),
        max_timeout_ms=settings.max_timeout_ms,
        drain_timeout_ms=settings.drain_timeout_ms,
    )


def run(settings: Settings, parts: Parts, build: Build, announce: Announce) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Blocks; `announce` is told the URL once it is listening.

    Raises InvalidUrl, SqlError, NotCreated, ConfigError, BindingError, MissingMethods and OSError before anything is
    served.
    """
    import uvloop

    configure_logging(settings.log_format, settings.log_level)
    _allow_descriptors()
    uvloop.run(_serve(settings, parts, build, announce))


def _allow_descriptors() -> None:
    """A connection is a file descriptor, and the soft limit is often a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings, parts: Parts, build: Build, announce: Announce) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    async with AsyncExitStack() as stack:
        db = await open_database(settings)
        stack.push_async_callback(db.close)
        await _prepare(db, settings, parts)
        ids = await stack.enter_async_context(leased_ids(db))
        connections = Connections()
        limits = gateway_settings(settings)
        hub = PushHub(db, poll_ms=_poll_ms(settings))
        attempts = Attempts(db)
        app = build(Platform(db, ids, connections, settings, hub))
        authenticator = app.authenticator or Anonymous()
        metrics = Metrics()
        db.observe(metrics.statement_finished)
        metrics.watch_cache(db.cache)
        buckets = token_buckets(settings, db)
        dispatcher = Dispatcher(
            app.services,
            authenticator,
            required=parts.services,
            settings=limits,
            metrics=metrics,
            attempts=attempts,
            limiter=limiter(settings, app.services, buckets, observe=metrics.limit_drawn),
        )
        gateway = Gateway(dispatcher, limits, checks={"sql": db.ping}, connections=connections, hub=hub)
        address = await gateway.start()
        # What was made so far lives as long as the process: the collector need not look at it at every turn, nor turn
        # at every 700 objects, of which one call makes dozens.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        jobs = [*app.jobs, *_housekeeping(settings, hub, attempts)]
        if isinstance(buckets, SqlTokenBuckets):
            jobs.append(buckets.job)
        await stack.enter_async_context(running(jobs))
        await stack.enter_async_context(_watching(hub))
        stack.push_async_callback(gateway.drain)
        announce(address.url)
        await stop.wait()


def _poll_ms(settings: Settings) -> int:
    """How often to look for pushes of other processes, which an embedded database has none of."""
    if settings.push_poll_ms is None:
        return 0 if settings.is_embedded else _PUSH_POLL_MS
    return settings.push_poll_ms


def _housekeeping(settings: Settings, hub: PushHub, attempts: Attempts) -> list[Job]:
    async def cut_pushes() -> None:
        await hub.journal.cut(wall_clock_ms() - settings.push_keep_ms)

    return [Job("cut pushes", _HOUSEKEEPING_MS, cut_pushes), Job("cut call results", _HOUSEKEEPING_MS, attempts.cut)]


@asynccontextmanager
async def _watching(hub: PushHub) -> AsyncGenerator[None]:
    watch = asyncio.create_task(hub.watch(), name="push watch")
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _prepare(db: Database, settings: Settings, parts: Parts) -> None:
    """The embedded engine gets the tables that it lacks; a server's are its operator's, who is told."""
    if settings.is_embedded:
        await _create(db, parts)
    if (problem := refusal(await missing(db, parts.tables))) is not None:
        raise NotCreated(problem)
