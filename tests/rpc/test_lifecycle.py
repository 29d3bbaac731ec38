"""The gateway's life and what it is built from: binding, draining under load, services that can't be served."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from io import StringIO

import pytest
import structlog
from google.protobuf.wrappers_pb2 import StringValue

from runtime.logs import REDACTED, configure_logging
from runtime.rpc.codecs import PROTO
from runtime.rpc.dispatcher import BindingError, Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.server import Gateway
from runtime.rpc.service import Service
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.transports.websocket import WebSocketTransport
from tests.rpc.gateways import ECHO, FAIL, WAIT, WHO, Handler, Tokens, asynchronous, request, serving


class Missing(Service):
    service_name = "test.v1.MissingService"
    methods = ()


class NotAsync(Handler):
    def echo(self, request: StringValue, ctx: object) -> StringValue:  # type: ignore[override]
        return request


def test_services_that_cant_be_served_are_all_named() -> None:
    with pytest.raises(BindingError) as refused:
        Dispatcher([NotAsync(), Handler()], Tokens(), required=[Handler, Missing])
    lines = str(refused.value).splitlines()
    assert lines == [
        "NotAsync.echo: must be an async method",
        "test.v1.TestService: two handlers, NotAsync and Handler",
        "test.v1.MissingService: no handler",
    ]


@asynchronous
async def test_without_an_authenticator_no_token_is_known() -> None:
    dispatcher = Dispatcher([Handler()], None)
    with pytest.raises(RpcError) as refused:
        await dispatcher.call(ECHO.path, PROTO, b"", Caller("test", "", token="alice"))
    assert refused.value.code is Code.UNAUTHENTICATED
    assert await dispatcher.call(WHO.path, PROTO, b"", Caller("test", "", token="alice"))


# tornado's bind_sockets leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@asynchronous
async def test_a_port_that_is_taken_is_an_os_error() -> None:
    async with serving() as sun:
        second = Gateway(sun.dispatcher, GatewaySettings(port=sun.port))
        with pytest.raises(OSError, match="in use"):
            await second.start()
        gc.collect()


@asynchronous
async def test_calls_in_flight_survive_the_drain() -> None:
    async with serving(drain_timeout_ms=20_000, drain_grace_ms=50) as sun:
        http = asyncio.create_task(sun.post(WAIT.path, b'"http"'))
        socket = await sun.socket()
        socket.call("1", WAIT, "ws")
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        keep = await asyncio.open_connection("127.0.0.1", sun.port)
        keep[1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await keep[0].readuntil(b"ok\n")

        draining = asyncio.create_task(sun.gateway.drain())
        await socket.frame()
        with pytest.raises(OSError, match=r"refused|failed"):
            await request(sun.port, "GET", "/readyz")
        keep[1].write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"503" in await keep[0].readuntil(b"\r\n")
        socket.call("2", ECHO, "sent before the goodbye was read")
        assert (await socket.value())[0] == "2"

        sun.handler.release.set()
        assert await socket.value() == ("1", "ws")
        response = await http
        assert (response.status, response.body) == (200, b'"http"')
        assert response.headers["connection"] == "close"
        await socket.closed()
        await socket.close()
        await draining
        keep[1].close()
        await keep[1].wait_closed()


@asynchronous
async def test_calls_that_take_too_long_end_with_unavailable() -> None:
    async with serving(drain_timeout_ms=30) as sun:
        http = asyncio.create_task(sun.post(WAIT.path, b'"http"'))
        socket = await sun.socket()
        socket.call("1", WAIT, "ws")
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        draining = asyncio.create_task(sun.gateway.drain())
        await socket.frame()
        assert await socket.error() == ("1", Code.UNAVAILABLE)
        assert (await http).status == 503
        await socket.closed()
        await socket.close()
        await draining
        assert sun.handler.cancelled == 2


@asynchronous
async def test_draining_under_load_fails_no_call() -> None:
    async with serving(drain_timeout_ms=10_000, drain_grace_ms=100) as sun:
        failures: list[object] = []
        answered = 0
        enough = asyncio.Event()

        async def over_socket() -> None:
            nonlocal answered
            async with WebSocketTransport(f"ws://127.0.0.1:{sun.port}/ws", "alice") as transport:
                await transport.connect()
                while not transport.leaving:
                    try:
                        await transport.call(ECHO, StringValue(value="x"), 5000)
                        answered += 1
                        if answered > 200:
                            enough.set()
                    except RpcError as error:
                        failures.append(error)

        async def over_http() -> None:
            nonlocal answered
            body = b'"x"'
            head = (
                f"POST /{WHO.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n"
            )
            reader, writer = await asyncio.open_connection("127.0.0.1", sun.port)
            while True:
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                if not answer.startswith(b"HTTP/1.1 200"):
                    failures.append(answer)
                size = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(size)
                answered += 1
                if b"connection: close" in answer.lower():
                    break
            writer.close()
            await writer.wait_closed()

        load = [asyncio.create_task(client()) for client in [over_socket, over_http] * 10]
        await enough.wait()
        await sun.gateway.drain()
        await asyncio.gather(*load)
        assert not failures


@asynchronous
async def test_an_undeclared_error_is_sent_and_warned_of() -> None:
    async with serving() as sun:
        assert (await sun.post(FAIL.path, b'"undeclared"')).status == 404
        warnings = [line for line in map(json.loads, sun.log.getvalue().splitlines()) if line["level"] == "warning"]
        assert [line["error"] for line in warnings] == ["google.protobuf.Int64Value"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_are_redacted(style: str) -> None:
    out = StringIO()
    configure_logging("json" if style == "json" else "console", "info", out)
    log = structlog.get_logger()
    log.info("sent", token="t0ken", code="c0d3", headers={"Authorization": "Bearer t0ken"}, list=[{"password": "pa55"}])
    log.info("dialing mysql://sun:pa55@db/sun with bearer t0ken", user_password="pa55", url="mysql://sun:pa55@db/sun")
    log.debug("too fine for this level")
    try:
        raise RuntimeError("Authorization: Bearer t0ken")
    except RuntimeError:
        log.exception("failed")
    logging.getLogger("library").warning("Bearer %s", "t0ken")
    text = out.getvalue()
    for secret in ("t0ken", "c0d3", "pa55", "too fine"):
        assert secret not in text
    assert text.count(REDACTED) >= 8
    assert "RuntimeError" in text
    assert "library" in text or "Bearer" in text


def test_an_unknown_log_level_is_named() -> None:
    with pytest.raises(ValueError, match="loud"):
        configure_logging(level="loud")
