"""How a gateway ends beside others: seen by balancers, on sockets that others share, and in a hurry."""

from __future__ import annotations

import asyncio

import pytest

from runtime.rpc.listening import address_of, listen
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from tests.rpc.gateways import ECHO, WAIT, asynchronous, read_response, request, serving


async def until_draining(port: int) -> None:
    while (await request(port, "GET", "/readyz")).status != 503:
        pass


@asynchronous
async def test_it_is_not_ready_before_it_stops_to_take_connections() -> None:
    async with serving(drain_delay_ms=60_000) as sun:
        draining = asyncio.create_task(sun.gateway.drain())
        await until_draining(sun.port)
        headers = {"Authorization": "Bearer alice"}
        assert (await sun.post(ECHO.path, b'"still"', headers)).status == 200
        sun.gateway.hurry()
        await draining
        with pytest.raises(OSError, match=r"refused|failed"):
            await request(sun.port, "GET", "/readyz")


@asynchronous
async def test_who_hurries_waits_for_no_call() -> None:
    async with serving(drain_timeout_ms=60_000, drain_grace_ms=60_000) as sun:
        waiting = asyncio.create_task(sun.post(WAIT.path, b'"x"'))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        draining = asyncio.create_task(sun.gateway.drain())
        sun.gateway.hurry()
        await draining
        assert (await waiting).status == 503


@asynchronous
async def test_connections_that_the_system_has_ready_are_still_served() -> None:
    async with serving(drain_timeout_ms=10_000, drain_grace_ms=10_000) as sun:
        loop = asyncio.get_running_loop()
        # Without a turn of the loop in between, the gateway has not taken it when it drains.
        reader_writer = asyncio.create_task(asyncio.open_connection("127.0.0.1", sun.port))
        draining = loop.create_task(sun.gateway.drain())
        reader, writer = await reader_writer
        body = b'"x"'
        head = f"POST /{ECHO.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        response = await read_response(reader)
        assert (response.status, response.headers["connection"]) == (200, "close")
        writer.close()
        await writer.wait_closed()
        sun.gateway.hurry()
        await draining


@asynchronous
async def test_one_that_was_replaced_leaves_the_admin_pages_to_its_successor() -> None:
    async with serving() as sun:
        settings = GatewaySettings(port=0, admin_port=0, drain_timeout_ms=10_000, drain_grace_ms=0)
        admin = listen("127.0.0.1", 0)
        port = address_of(admin).port
        old, new = Gateway(sun.dispatcher, settings), Gateway(sun.dispatcher, settings)
        await old.start(admin_sockets=[each.dup() for each in admin])
        await new.start(admin_sockets=admin)
        await old.drain(replaced=True)
        for _ in range(20):
            assert (await request(port, "GET", "/readyz")).status == 200
        await new.drain()


@asynchronous
async def test_the_admin_pages_say_so_until_the_drain_ends() -> None:
    async with serving() as sun:
        admin = listen("127.0.0.1", 0)
        settings = GatewaySettings(port=0, admin_port=0, drain_timeout_ms=60_000, drain_grace_ms=60_000)
        gateway = Gateway(sun.dispatcher, settings)
        address = await gateway.start(admin_sockets=admin)
        port = address_of(admin).port
        assert (await request(port, "GET", "/metrics")).status == 200
        for path, status in (("/healthz", 200), ("/readyz", 404), ("/metrics", 404)):
            assert (await request(address.port, "GET", path)).status == status
        draining = asyncio.create_task(gateway.drain())
        await until_draining(port)
        gateway.hurry()
        await draining
        with pytest.raises(OSError, match=r"refused|failed"):
            await request(port, "GET", "/readyz")
