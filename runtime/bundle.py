"""One process of Sun from settings to a clean exit.

Connect, create or check the tables, lease a node number, serve, drain.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from runtime import worker
from runtime.app import App, Platform
from runtime.config import Settings
from runtime.cql.create import check as check_cluster
from runtime.cql.database import Database as CqlDatabase
from runtime.cql.database import connect as connect_cql
from runtime.cql.keyspaces import Keyspace
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
from runtime.stopping import Stop
from runtime.tls import TlsError, server_context
from runtime.watchdog import Watchdog
from runtime.worker import Place


@dataclass(frozen=True, slots=True)
class Parts:
    """What generation made of the schemas, the framework's and the project's.

    `tables` names the columns of each `database.table`; `ddl` are the folders that hold a folder of DDL for each
    dialect; `services` are the bases that need a handler; `wide` is what a cluster must have of each keyspace.
    """

    tables: Mapping[str, Sequence[str]]
    ddl: Sequence[Path]
    services: Sequence[type[Service]]
    wide: Sequence[Keyspace] = ()

    def scripts(self, dialect: str) -> dict[str, str]:
        """The DDL of each logical database."""
        files = (file for folder in self.ddl for file in sorted((folder / dialect).glob("*.sql")))
        return {file.stem: file.read_text("utf-8") for file in files}


_DESCRIPTORS = 65_536
_HOUSEKEEPING_MS = 600_000
_GIVE_UP_S = 0.2
_PUSH_POLL_MS = 100
_SHARED_CACHE_MS = 2_000
"""How long a worker may hold rows that another one changes."""

_log = structlog.get_logger()

Build = Callable[[Platform], App]
Announce = Callable[[str], None]


class NotCreated(Exception):
    """The database or the cluster lacks what the schema has."""


class Anonymous:
    """The authenticator of an application without accounts: no token belongs to anybody."""

    async def authenticate(self, token: str) -> Identity | None:
        return None


async def open_database(settings: Settings) -> Database:
    """Connect to the configured engine; the embedded one gets its folder. Raises InvalidUrl and Unavailable.

    What a process keeps of rows in its memory is bounded here where `settings.workers` says that there are others.
    """
    if not settings.sql_url.get_secret_value():
        settings.state.mkdir(parents=True, exist_ok=True)
    return await connect(
        settings.database_url,
        pool_size=settings.pool_size,
        connect_timeout_ms=settings.connect_timeout_ms,
        cache_ms=_SHARED_CACHE_MS if settings.workers > 1 else None,
    )


async def open_wide(settings: Settings, parts: Parts) -> CqlDatabase | None:
    """Connect to the configured wide-column store; the embedded one gets its folder. None for a project that has no
    keyspaces, unless the settings name a store.

    Raises InvalidUrl (of `runtime.cql.urls`) and CqlError.
    """
    if not settings.cql_url.get_secret_value():
        if not parts.wide:
            return None
        settings.state.mkdir(parents=True, exist_ok=True)
    return await connect_cql(settings.wide_url, connect_timeout_ms=settings.connect_timeout_ms)


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
        admin_host=settings.admin_host,
        admin_port=settings.admin_port,
        trusted_proxies=settings.trusted_proxies,
        explorer=settings.shows_explorer,
        forwarded_header=settings.forwarded_header,
        max_connections=settings.max_connections,
        compress_sockets=settings.compress_sockets,
        max_calls=settings.max_calls,
        shed_target_ms=settings.shed_target_ms,
        log_requests=settings.log_requests,
        max_message_bytes=settings.max_message_bytes,
        default_timeout_ms=min(GatewaySettings.default_timeout_ms, settings.max_timeout_ms),
        max_timeout_ms=settings.max_timeout_ms,
        drain_delay_ms=settings.drain_delay_ms,
        drain_timeout_ms=settings.drain_timeout_ms,
    )


def tls(settings: Settings) -> ssl.SSLContext | None:
    """The certificate of the settings, None where they name none. Raises TlsError."""
    certificate = settings.file(settings.tls_certificate)
    if certificate is None:
        return None
    return server_context(certificate, settings.file(settings.tls_key), settings.file(settings.tls_client_ca))


def run(settings: Settings, parts: Parts, build: Build, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, then drain. Blocks; `announce` is told the URL once it is listening.

    SIGHUP reads the certificate again; without one it stops, too. A process that a supervisor has started serves on the
    sockets that it was given, and tells the supervisor instead.

    Returns the exit code: 0, or 128 and the number of a second signal, which cut the drain short. Raises InvalidUrl,
    SqlError, CqlError, NotCreated, ConfigError, BindingError, MissingMethods, TlsError, NoTraces and OSError before
    anything is served.
    """
    import uvloop

    place = worker.place()
    configure_logging(settings.log_format, settings.log_level, worker=None if place is None else place.slot)
    _allow_descriptors()
    return uvloop.run(_Process(settings, parts, build, announce, place).run())


def _allow_descriptors() -> None:
    """A connection is a file descriptor, and the soft limit is often a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Process:
    """From the first connection to the exit code. `place` is None for a process that serves alone."""

    def __init__(self, settings: Settings, parts: Parts, build: Build, announce: Announce, place: Place | None) -> None:
        self._settings = settings
        self._parts = parts
        self._build = build
        self._announce = announce
        self._place = place
        self._stop = Stop()
        self._gateway: Gateway | None = None
        self._replaced = False

    async def run(self) -> int:
        stop = self._stop
        asked = asyncio.create_task(stop.asked.wait())
        async with AsyncExitStack() as stack:
            stack.enter_context(stop.listening(self._hang_up))
            starting = asyncio.create_task(self._start(stack))
            # Whatever the start waits for, such as a database that does not answer, a signal need not wait for it.
            await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                # More than once: a driver may take a cancellation for the end of what it waited for, and go on.
                while not starting.done():
                    starting.cancel()
                    await asyncio.wait((starting,), timeout=_GIVE_UP_S)
                with suppress(asyncio.CancelledError):
                    await starting
                return stop.exit_code
            await starting
            await asked
        return stop.exit_code

    async def _start(self, stack: AsyncExitStack) -> None:
        """Makes everything and serves; what the stack has been given ends it in the right order."""
        settings, place = self._settings, self._place
        announce = self._announce
        if place is not None:
            announce = await stack.enter_async_context(worker.channel(place, self._stop.asked.set))
        certificate = tls(settings)
        metrics = Metrics()
        db = await open_database(settings)
        stack.push_async_callback(db.close)
        db.observe(metrics.statement_finished)
        await _prepare(db, settings, self._parts)
        wide = await open_wide(settings, self._parts)
        if wide is not None:
            stack.push_async_callback(wide.close)
            wide.observe(metrics.request_finished)
            metrics.watch_requests(wide.in_flight)
            if (problem := await check_cluster(wide, self._parts.wide)) is not None:
                raise NotCreated(problem)
        tracer = None
        if settings.traces:
            from runtime.telemetry import exporting

            tracer = exporting(settings.traces)
            stack.push_async_callback(asyncio.to_thread, tracer.close)
            db.observe(tracer.statement_finished)
            if wide is not None:
                wide.observe(tracer.statement_finished)
        ids = await stack.enter_async_context(leased_ids(db))
        connections = Connections()
        limits = gateway_settings(settings)
        hub = PushHub(db, poll_ms=_poll_ms(settings))
        attempts = Attempts(db)
        app = self._build(Platform(db, ids, connections, settings, hub, wide))
        metrics.watch_cache(db.cache)
        buckets = token_buckets(settings, db)
        dispatcher = Dispatcher(
            app.services,
            app.authenticator or Anonymous(),
            required=self._parts.services,
            settings=limits,
            metrics=metrics,
            attempts=attempts,
            limiter=limiter(settings, app.services, buckets, observe=metrics.limit_drawn),
            tracer=tracer,
            queued=db.waited,
        )
        render = None
        if place is not None:
            render = await stack.enter_async_context(worker.shared_metrics(place, metrics.render))
        gateway = Gateway(
            dispatcher,
            limits,
            checks={"sql": db.ping} if wide is None else {"sql": db.ping, "cql": wide.ping},
            connections=connections,
            hub=hub,
            tls=certificate,
            render=render,
        )
        if place is None:
            address = await gateway.start()
        else:
            address = await gateway.start(worker.sockets(place.listening), worker.sockets(place.admin))
        self._gateway = gateway
        # What was made so far lives as long as the process: the collector need not look at it at every turn, nor turn
        # at every 700 objects, of which one call makes dozens.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        if settings.blocked_loop_ms:
            watchdog = Watchdog(settings.blocked_loop_ms, dispatcher.running, metrics)
            watchdog.start()
            stack.callback(watchdog.stop)
        if place is None or place.runs_jobs:
            jobs = [*app.jobs, *_housekeeping(settings, hub, attempts)]
            if isinstance(buckets, SqlTokenBuckets):
                jobs.append(buckets.job)
            await stack.enter_async_context(running(jobs))
        await stack.enter_async_context(_watching(hub))
        stack.push_async_callback(self._drain, gateway)
        announce(address.url)

    async def _drain(self, gateway: Gateway) -> None:
        async def insist() -> None:
            await self._stop.insisted.wait()
            gateway.hurry()

        insisting = asyncio.create_task(insist())
        await gateway.drain(replaced=self._replaced)
        insisting.cancel()

    def _hang_up(self) -> None:
        """SIGHUP. To a process that serves alone it says: the certificate is new. To a worker: another replaces you.

        Without a certificate it says what it always did: the terminal is gone.
        """
        self._replaced = self._place is not None
        if self._replaced or self._settings.tls_certificate is None:
            self._stop.asked.set()
            return
        try:
            certificate = tls(self._settings)
        except TlsError as error:
            _log.error("the certificate stays the old one", error=str(error))
            return
        if certificate is not None and self._gateway is not None:
            self._gateway.use_tls(certificate)
            _log.info("the certificate was read again")


def _poll_ms(settings: Settings) -> int:
    """How often to look for pushes of other processes, which a single one on an embedded database has none of."""
    if settings.push_poll_ms is None:
        return 0 if settings.is_embedded and settings.workers == 1 else _PUSH_POLL_MS
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
