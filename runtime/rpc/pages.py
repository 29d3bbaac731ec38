"""The gateway's pages for operators: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog
from tornado.web import RequestHandler

from runtime.metrics import CONTENT_TYPE, Metrics

Check = Callable[[], Awaitable[object]]
"""Returns when the thing it checks is well, raises when it is not."""

_CHECK_TIMEOUT_S = 2.0

_log = structlog.get_logger()


class Page(RequestHandler):
    """A page that is made anew for each request."""

    def text(self, body: str | bytes, content_type: str = "text/plain; charset=utf-8", status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        cast(Any, self).finish(body)


class Health(Page):
    """The process is alive."""

    def get(self) -> None:
        self.text("ok\n")


class Readiness(Page):
    """Traffic may be sent here: the gateway doesn't drain, and every check passes. Names the checks that don't."""

    def initialize(self, checks: Mapping[str, Check], draining: Callable[[], bool]) -> None:
        self._checks = checks
        self._draining = draining

    async def get(self) -> None:
        if self._draining():
            problems = ["draining"]
        else:
            results = await asyncio.gather(*(_failed(name, check) for name, check in self._checks.items()))
            problems = [name for name in results if name is not None]
        if problems:
            self.text(f"not ready: {', '.join(problems)}\n", status=503)
        else:
            self.text("ready\n")


class MetricsPage(Page):
    """What Prometheus scrapes: of this process, or whatever `render` gives."""

    def initialize(self, metrics: Metrics, render: Callable[[], Awaitable[bytes]] | None) -> None:
        self._metrics = metrics
        self._render = render

    async def get(self) -> None:
        self.text(self._metrics.render() if self._render is None else await self._render(), CONTENT_TYPE)


async def _failed(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except Exception as failure:  # noqa: BLE001 - a check fails with whatever its engine raises
        _log.warning("not ready", check=name, error=f"{type(failure).__name__}: {failure}")
        return name
    return None
