"""The gateway's pages for operators and newcomers: /healthz, /readyz, /metrics and a list of the services at /."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog
from tornado.web import RequestHandler

from runtime.metrics import CONTENT_TYPE, Metrics
from runtime.rpc.proxies import client_scheme
from runtime.rpc.service import Callers, Method
from runtime.rpc.settings import GatewaySettings

Check = Callable[[], Awaitable[object]]
"""Returns when the thing it checks is well, raises when it is not."""

_CHECK_TIMEOUT_S = 2.0

_log = structlog.get_logger()


class _Page(RequestHandler):
    def text(self, body: str | bytes, content_type: str = "text/plain; charset=utf-8", status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        cast(Any, self).finish(body)


class Health(_Page):
    """The process is alive."""

    def get(self) -> None:
        self.text("ok\n")


class Readiness(_Page):
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


class MetricsPage(_Page):
    """What Prometheus scrapes: of this process, or whatever `render` gives."""

    def initialize(self, metrics: Metrics, render: Callable[[], Awaitable[bytes]] | None) -> None:
        self._metrics = metrics
        self._render = render

    async def get(self) -> None:
        self.text(self._metrics.render() if self._render is None else await self._render(), CONTENT_TYPE)


class Index(_Page):
    """The services, and how to call them."""

    def initialize(self, methods: Mapping[str, Method[Any, Any]], settings: GatewaySettings) -> None:
        self._methods = methods
        self._settings = settings

    def get(self) -> None:
        request = self.request
        peer: str = cast(Any, request.connection).context.remote_ip
        scheme = client_scheme(peer, request.protocol, request.headers, self._settings.trusted_proxies)
        self.text(index_text(self._methods, f"{scheme}://{request.host}"))


def index_text(methods: Mapping[str, Method[Any, Any]], url: str) -> str:
    """The text of the page at /."""
    lines = ["A Sun gateway. Calls speak the Connect protocol:", ""]
    # One that works without a token, where there is one.
    example = min(
        methods, key=lambda path: (methods[path].callers is not Callers.ANYONE, path), default="Service/Method"
    )
    lines += [f"  curl -H 'Content-Type: application/json' -d '{{}}' {url}/{example}", ""]
    lines += ["and the WebSocket at /ws the same methods in the subprotocols sun.v1+proto and sun.v1+json.", ""]
    service = ""
    for path in sorted(methods):
        method = methods[path]
        name, _, short = path.partition("/")
        if name != service:
            service = name
            lines.append(service)
        request = method.request.DESCRIPTOR.name
        response = method.response.DESCRIPTOR.name
        lines.append(f"  {short}({request}) -> {response}  [{method.callers.value}]")
    return "\n".join(lines) + "\n"


async def _failed(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except Exception as failure:  # noqa: BLE001 - a check fails with whatever its engine raises
        _log.warning("not ready", check=name, error=f"{type(failure).__name__}: {failure}")
        return name
    return None
