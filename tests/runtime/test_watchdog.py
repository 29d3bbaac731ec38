"""A handler that holds the event loop is named while it does, with the place in its code."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from runtime.logs import configure_logging
from runtime.metrics import Metrics
from runtime.rpc.codecs import PROTO
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.watchdog import Watchdog
from tests.rpc.gateways import ECHO, Handler, Tokens, asynchronous


class Log(StringIO):
    """A log that tells when a line with these words was written."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.written = threading.Event()

    def write(self, text: str) -> int:
        done = super().write(text)
        if self._words in text:
            self.written.set()
        return done

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


class Holding(Handler):
    """Its echo holds the loop until the log says so."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    async def echo(self, request: StringValue, ctx: Context) -> StringValue:
        secret = request.value
        self._hold_the_loop()
        return StringValue(value=secret)

    def _hold_the_loop(self) -> None:
        assert self._log.written.wait(20)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a thread makes it true
        await asyncio.sleep(0.001)


@asynchronous
async def test_the_handler_and_its_code_are_named_while_it_holds_the_loop() -> None:
    log = Log("the event loop is held")
    configure_logging("json", "warning", log)
    metrics = Metrics()
    dispatcher = Dispatcher([Holding(log)], Tokens(), metrics=metrics)
    watchdog = Watchdog(20, dispatcher.running, metrics)
    watchdog.start()
    payload = StringValue(value="s3cr3t").SerializeToString()
    await dispatcher.call(ECHO.path, PROTO, payload, Caller("test", "", token="alice"))
    await until(lambda: "turns again" in log.getvalue())
    watchdog.stop()
    held, again = log.lines[:2]
    assert held["method"] == again["method"] == ECHO.path
    assert "in _hold_the_loop" in held["stack"]
    assert "in echo" in held["stack"]
    assert again["held_ms"] >= 20
    assert "s3cr3t" not in log.getvalue()
    assert f'sun_loop_held_total{{method="{ECHO.path}"}} 1.0' in metrics.render().decode()


@asynchronous
async def test_what_is_no_call_is_held_by_nobody() -> None:
    log = Log("the event loop is held")
    configure_logging("json", "warning", log)
    watchdog = Watchdog(20, lambda task: None, Metrics())
    watchdog.start()
    assert log.written.wait(20)
    watchdog.stop()
    assert log.lines[0]["method"] is None


@asynchronous
async def test_a_loop_that_turns_is_measured_and_not_warned_of() -> None:
    log = Log("the event loop is held")
    configure_logging("json", "warning", log)
    metrics = Metrics()
    watchdog = Watchdog(2_000, lambda task: None, metrics)
    watchdog.start()
    await until(lambda: "sun_loop_lag_seconds_count 1.0" in metrics.render().decode())
    watchdog.stop()
    assert log.getvalue() == ""


def test_a_call_within_a_call_gives_its_task_back() -> None:
    async def run() -> None:
        seen: list[str | None] = []

        class Outer(Handler):
            async def echo(self, request: StringValue, ctx: Context) -> StringValue:
                task = asyncio.current_task()
                seen.append(dispatcher.running(task))
                if request.value == "outer":
                    inner = StringValue(value="inner").SerializeToString()
                    await dispatcher.call(ECHO.path, PROTO, inner, Caller("test", "", token="alice"))
                    seen.append(dispatcher.running(task))
                return request

        dispatcher = Dispatcher([Outer()], Tokens())
        outer = StringValue(value="outer").SerializeToString()
        await dispatcher.call(ECHO.path, PROTO, outer, Caller("test", "", token="alice"))
        assert seen == [ECHO.path] * 3
        assert dispatcher.running(asyncio.current_task()) is None

    asyncio.run(run())
