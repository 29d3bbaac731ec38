"""What an application gives the framework, and what it is given: the seam between `runtime` and `handlers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.config import Settings
from runtime.cql.database import Database as CqlDatabase
from runtime.ids import IdGenerator
from runtime.jobs import Job
from runtime.push.hub import PushHub
from runtime.rpc.context import Authenticator
from runtime.rpc.service import Service
from runtime.sql.database import Database


class Sessions(Protocol):
    """The connections of the gateway, as handlers may see them."""

    def close_session(self, session_id: int) -> None:
        """Close every connection of a session that was revoked."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """What a running server offers its handlers."""

    db: Database
    ids: IdGenerator
    sessions: Sessions
    settings: Settings
    push: PushHub
    wide: CqlDatabase | None = None

    @property
    def cql(self) -> CqlDatabase:
        """The wide-column store. Raises RuntimeError in a project that has no keyspaces and names no store."""
        if self.wide is None:
            raise RuntimeError("the project has no keyspaces under schema/cql, and cql_url names no store")
        return self.wide


@dataclass(frozen=True, slots=True)
class App:
    """What `handlers.app.build(platform)` returns: an instance for each service, who tokens belong to, what else runs.

    Without an authenticator every caller is anonymous. Jobs run in one process of each server.
    """

    services: Sequence[Service]
    authenticator: Authenticator | None = None
    jobs: Sequence[Job] = ()
