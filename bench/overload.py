"""Goodput of an overloaded server, with the shedding of calls and without; run by hand: `python -m bench.overload`.

A server on one core, an open load on the other: calls come at their rate whatever becomes of those before them. Good is
an answer within a second. One kind of call holds the loop for 2 ms; the other waits for one of 10 connections of a
pool, each busy for 20 ms a call.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from google.protobuf.wrappers_pb2 import StringValue

from bench.harness import on_load_core, process, runner
from bench.rpc_load import masked_frame, server_messages
from runtime.generated.proto.sun import wire_pb2
from runtime.logs import configure_logging
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.server import Gateway
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from runtime.sql.pool import Pool

WORK_S = 0.002
QUERY_S = 0.020
CONNECTIONS = 10
GOOD_S = 1.0
SOCKETS = 40
SECONDS = 8.0
WARM_UP_S = 3.0

NAME = "bench.v1.OverloadService"
CPU = Method(f"{NAME}/Cpu", "cpu", StringValue, StringValue, Callers.ANYONE)
QUERY = Method(f"{NAME}/Query", "query", StringValue, StringValue, Callers.ANYONE)


class _Connection:
    idle_since = 0.0

    def broken(self) -> bool:
        return False

    async def alive(self) -> bool:
        return True

    def kill(self) -> None: ...

    async def quit(self) -> None: ...


class Overload(Service):
    service_name = NAME
    methods = (CPU, QUERY)

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool

    async def cpu(self, request: StringValue, ctx: Context) -> StringValue:
        end = time.thread_time() + WORK_S
        while time.thread_time() < end:
            pass
        return request

    async def query(self, request: StringValue, ctx: Context) -> StringValue:
        link = await self._pool.acquire()
        try:
            await asyncio.sleep(QUERY_S)
        finally:
            self._pool.release(link)
        return request


async def serve(target_ms: int) -> None:
    configure_logging(level="error")

    async def link() -> _Connection:
        return _Connection()

    pool: Pool[Any] = Pool(link, size=CONNECTIONS, timeout=10, place="bench")
    settings = GatewaySettings(port=0, shed_target_ms=target_ms)
    gateway = Gateway(Dispatcher([Overload(pool)], None, settings=settings, queued=pool.waited), settings)
    address = await gateway.start()
    print(address.port, flush=True)
    await asyncio.Event().wait()


class Found(NamedTuple):
    """A second: answers in time, answers too late or none, refusals; and the 99th percentile of the good ones in ms."""

    good: float
    late: float
    refused: float
    p99_ms: float


class _Socket(asyncio.Protocol):
    """One of the sockets that calls are sent on; `sent` is when, by id."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._open = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: sun.v1+proto\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            _, blank, rest = self._buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            self._open, self._buffer = True, rest
            hello = wire_pb2.ClientFrame(hello=wire_pb2.Hello(device="bench"))
            self.transport.write(masked_frame(hello.SerializeToString()))
        payloads, self._buffer = server_messages(self._buffer)
        for payload in payloads:
            if not self.ready.done():
                self.ready.set_result(None)
            else:
                self._load.answered(wire_pb2.ServerFrame.FromString(payload).reply)


class Load:
    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.good: list[float] = []
        self.refused = 0
        self.counted = 0
        self.begin = float("inf")

    def answered(self, reply: wire_pb2.Reply) -> None:
        sent = self.sent.pop(reply.id)
        if sent < self.begin:
            return
        seconds = time.perf_counter() - sent
        if reply.WhichOneof("result") == "error":
            self.refused += 1
        elif seconds <= GOOD_S:
            self.good.append(seconds)

    async def run(self, port: int, method: str, rate: float) -> Found:
        """Calls at this rate a second, for WARM_UP_S and then SECONDS that are counted."""
        loop = asyncio.get_running_loop()
        sockets = [(await loop.create_connection(lambda: _Socket(self), "127.0.0.1", port))[1] for _ in range(SOCKETS)]
        await asyncio.gather(*(each.ready for each in sockets))
        began = time.perf_counter()
        self.begin = began + WARM_UP_S
        number = 0
        while (now := time.perf_counter()) < self.begin + SECONDS:
            while number < (now - began) * rate:
                call = wire_pb2.Call(id=str(number), method=method, request=b"")
                self.sent[call.id] = now
                self.counted += now >= self.begin
                frame = masked_frame(wire_pb2.ClientFrame(call=call).SerializeToString())
                sockets[number % SOCKETS].transport.write(frame)
                number += 1
            await asyncio.sleep(0.002)
        await asyncio.sleep(GOOD_S)
        for each in sockets:
            each.transport.abort()
        good = len(self.good)
        p99 = statistics.quantiles(self.good, n=100)[98] * 1000 if good > 1 else float("nan")
        late = self.counted - good - self.refused
        return Found(good / SECONDS, late / SECONDS, self.refused / SECONDS, p99)


def main() -> None:
    capacity = {CPU.path: 1 / WORK_S, QUERY.path: CONNECTIONS / QUERY_S}
    print(f"{'call':34}{'load':>6}{'shedding':>10}{'good/s':>9}{'late/s':>9}{'refused/s':>11}{'p99 ms':>9}")
    with ExitStack() as stack:
        stack.enter_context(on_load_core())
        loop = stack.enter_context(runner())
        for path, most in capacity.items():
            for times in (0.5, 1, 2, 5):
                for target_ms in (100, 0):
                    command = [sys.executable, "-m", "bench.overload", str(target_ms)]
                    with process(command) as server:
                        assert server.stdout is not None
                        found = loop.run(Load().run(int(server.stdout.readline()), path, most * times))
                        server.kill()
                    shown = "on" if target_ms else "off"
                    print(
                        f"{path:34}{times:>5g}x{shown:>10}{found.good:>9.0f}{found.late:>9.0f}"
                        f"{found.refused:>11.0f}{found.p99_ms:>9.0f}",
                        flush=True,
                    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with runner() as loop:
            loop.run(serve(int(sys.argv[1])))
    else:
        main()
