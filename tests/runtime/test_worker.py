"""What workers of one server tell each other: metrics of all from any of them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from runtime.metrics import Metrics
from runtime.worker import READY, Place, channel, merged, shared_metrics
from tests.rpc.gateways import asynchronous

PAGE = b"""\
# HELP calls_total Calls with a "{" in the help.
# TYPE calls_total counter
calls_total{method="a"} 1.0
calls_total{method="b {"} 2.0
# HELP open Open.
# TYPE open gauge
open 3.0
"""


def place(slot: int, folder: Path, descriptor: int = -1) -> Place:
    return Place(slot, 3, (), (), descriptor, str(folder))


def test_pages_become_one() -> None:
    assert merged({"0": PAGE, "1": PAGE}).decode().splitlines() == [
        '# HELP calls_total Calls with a "{" in the help.',
        "# TYPE calls_total counter",
        'calls_total{worker="0",method="a"} 1.0',
        'calls_total{worker="0",method="b {"} 2.0',
        'calls_total{worker="1",method="a"} 1.0',
        'calls_total{worker="1",method="b {"} 2.0',
        "# HELP open Open.",
        "# TYPE open gauge",
        'open{worker="0"} 3.0',
        'open{worker="1"} 3.0',
    ]


def test_what_prometheus_reads_of_several_is_what_each_has_counted() -> None:
    one, other = Metrics(), Metrics()
    one.call_finished("s/A", "ok", "http", 0.1)
    other.call_finished("s/A", "ok", "ws", 0.1)
    other.call_finished("s/B", "internal", "ws", 0.1)
    families = text_string_to_metric_families(merged({"0": one.render(), "1": other.render()}).decode())
    calls = next(family for family in families if family.name == "sun_rpc_calls")
    found = {(each.labels["worker"], each.labels["method"], each.labels["transport"]) for each in calls.samples}
    assert found == {("0", "s/A", "http"), ("1", "s/A", "ws"), ("1", "s/B", "ws")}


@asynchronous
async def test_any_worker_renders_those_of_all_and_leaves_out_who_does_not_answer(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        renders = [
            await stack.enter_async_context(
                shared_metrics(place(slot, tmp_path), lambda n=slot: b"# TYPE x gauge\nx %d\n" % n)
            )
            for slot in (0, 10, 2)
        ]
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "3.sock"))
        for render in renders:
            assert (await render()).decode().splitlines()[1:] == [
                'x{worker="0"} 0',
                'x{worker="2"} 2',
                'x{worker="10"} 10',
            ]


@asynchronous
async def test_a_successor_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        render = await stack.enter_async_context(shared_metrics(place(0, tmp_path), lambda: b"# TYPE x gauge\nx 0\n"))
        async with shared_metrics(place(1, tmp_path), lambda: b"# TYPE x gauge\nx 1\n"):
            await stack.enter_async_context(shared_metrics(place(1, tmp_path), lambda: b"# TYPE x gauge\nx 2\n"))
            assert b'x{worker="1"} 2' in await render()
        assert b'x{worker="1"} 2' in await render(), "also when that one is gone"


@asynchronous
async def test_a_worker_says_when_it_serves_and_hears_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    supervisor, theirs = socket.socketpair()
    supervisor.setblocking(False)
    gone = asyncio.Event()
    async with channel(place(0, tmp_path, theirs.detach()), gone.set) as ready:
        reader, writer = await asyncio.open_connection(sock=supervisor)
        ready("http://127.0.0.1:8650")
        assert await reader.readline() == READY
        assert not gone.is_set()
        writer.close()
        await writer.wait_closed()
        await gone.wait()
