"""What `sun doctor` looks at: each check is a name and, where something is wrong, what to do about it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

from runtime import project
from runtime.bundle import Parts, open_database, open_wide, refusal, tls
from runtime.config import Settings
from runtime.cql.create import check
from runtime.cql.errors import CqlError
from runtime.cql.urls import InvalidUrl as InvalidCqlUrl
from runtime.sql.create import missing
from runtime.sql.errors import SqlError
from runtime.sql.urls import InvalidUrl
from runtime.tls import TlsError

Finding = tuple[str, str | None]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check in turn. Nothing is created or changed, but the data folder of the embedded engine."""
    yield f"configuration of {settings.project.resolve()}", None
    made: Parts | None = None
    try:
        made = project.parts(settings.project)
        yield "generated code", None
    except Exception as error:  # noqa: BLE001 - whatever a project's modules raise is the finding
        yield "generated code", f"{type(error).__name__}: {error}"
    try:
        project.build(settings.project)
        yield "handlers", None
    except Exception as error:  # noqa: BLE001
        yield "handlers", f"{type(error).__name__}: {error}"
    yield "sql engine", asyncio.run(_engine(settings, made))
    if settings.cql_url.get_secret_value() or (made is not None and made.wide):
        yield "cql engine", asyncio.run(_wide(settings, made))
    if settings.tls_certificate is not None:
        yield "certificate", _certificate(settings)
    yield f"port {settings.port}", _port(settings.host, settings.port, "SUN_PORT")
    if settings.admin_port is not None:
        yield f"admin port {settings.admin_port}", _port(settings.admin_host, settings.admin_port, "SUN_ADMIN_PORT")


async def _engine(settings: Settings, parts: Parts | None) -> str | None:
    try:
        db = await open_database(settings)
    except (InvalidUrl, SqlError, OSError) as error:
        return str(error)
    try:
        lacking = await missing(db, parts.tables if parts is not None else {})
    except SqlError as error:
        return str(error)
    finally:
        await db.close()
    return refusal(lacking._replace(tables=[]) if settings.is_embedded else lacking)


async def _wide(settings: Settings, parts: Parts | None) -> str | None:
    try:
        db = await open_wide(settings, parts or Parts({}, (), ()))
        if db is None:
            return None
        try:
            await db.ping()
            return await check(db, parts.wide if parts is not None else ())
        finally:
            await db.close()
    except (InvalidCqlUrl, CqlError, OSError) as error:
        return str(error)


def _certificate(settings: Settings) -> str | None:
    try:
        tls(settings)
    except TlsError as error:
        return str(error)
    return None


def _port(host: str, port: int, variable: str) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"{host} can't be bound ({error.strerror}): stop what listens there or set {variable}"
    return None
