"""For tests of a project.

Its services in this process, on a database of their own, called through generated clients.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime import config, project
from runtime.app import Platform
from runtime.bundle import Anonymous, Build, gateway_settings, open_wide
from runtime.ids import Clock, wall_clock_ms
from runtime.leases import leased_ids
from runtime.limits import limiter, token_buckets
from runtime.push.hub import PushHub
from runtime.rpc.attempts import Attempts
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.websocket import Connections
from runtime.sql.create import create
from runtime.sql.database import connect

MEMORY = "sqlite:///:memory:"
WIDE = "embedded::memory:"


@dataclass(frozen=True)
class Application:
    """A project's services under test. `platform` is what its handlers were given."""

    platform: Platform
    dispatcher: Dispatcher = field(repr=False)

    def transport(self, token: str = "", device: str = "", address: str = "127.0.0.1") -> InProcessTransport:
        """What a generated client runs on, as this caller."""
        return InProcessTransport(self.dispatcher, token, device=device, address=address)


@asynccontextmanager
async def application(
    folder: Path, build: Build | None = None, url: str = MEMORY, *, clock: Clock = wall_clock_ms, **given: Any
) -> AsyncGenerator[Application]:
    """The project of a folder, with tables made in the database of `url`, until the block ends.

    Its rate limits go by `clock`. `given` are settings, such as `limit_store="off"`, and go before the project's own.
    """
    parts = project.parts(folder)
    make = build or project.build(folder)
    settings = config.load(folder, **{"sql_url": url, "cql_url": WIDE if parts.wide else None, **given})
    db = await connect(url)
    wide = None
    try:
        wide = await open_wide(settings, parts)
        await create(db, parts.scripts(db.dialect.name))
        async with leased_ids(db) as ids:
            platform = Platform(db, ids, Connections(), settings, PushHub(db), wide)
            app = make(platform)
            limits = gateway_settings(settings)
            dispatcher = Dispatcher(
                app.services,
                app.authenticator or Anonymous(),
                required=parts.services,
                settings=limits,
                attempts=Attempts(db),
                limiter=limiter(settings, app.services, token_buckets(settings, db, clock), clock),
            )
            yield Application(platform, dispatcher)
    finally:
        if wide is not None:
            await wide.close()
        await db.close()
