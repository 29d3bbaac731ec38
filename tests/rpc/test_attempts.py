"""Calls with a key: the first attempt runs, every other one gets its result, on any transport and in any process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from runtime.generated.sql.sun_runtime import CallResultDao
from runtime.rpc.attempts import KEEP_MS, MAX_RESULT_BYTES, Attempts, attempt
from runtime.rpc.errors import Code
from runtime.rpc.wire import JSON_WIRE, PROTO_WIRE, Received, Reply, Wire
from runtime.sql.database import Database
from tests.rpc.gateways import BIG, CHECKED, ECHO, FAIL, LOOK, WAIT, RawSocket, Served, asynchronous, serving
from tests.rpc.stores import store

KEY = "0123456789abcdef"

both = pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE], ids=["proto", "json"])


@asynccontextmanager
async def process(url: str, **settings: Any) -> AsyncIterator[tuple[Served, Database]]:
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(store(url))
        yield await stack.enter_async_context(serving(attempts=Attempts(db), **settings)), db


async def answer(socket: RawSocket) -> Reply:
    """The reply; what says that the call was received comes before it."""
    frame = await socket.frame()
    if isinstance(frame, Received):
        frame = await socket.frame()
    assert isinstance(frame, Reply)
    return frame


async def post(sun: Served, path: str, value: str, key: str = KEY, token: str = "alice") -> tuple[int, Any]:
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {token}"}
    response = await sun.post(path, json.dumps(value).encode(), headers)
    return response.status, json.loads(response.body)


@both
@asynchronous
async def test_an_attempt_after_the_first_gets_its_result(wire: Wire, sql_url: str) -> None:
    async with process(sql_url) as (sun, _), process(sql_url) as (other, _):
        sun.handler.release.set()
        other.handler.release.set()
        socket = await sun.socket(wire)
        socket.call("1", WAIT, "once", key=KEY)
        assert await socket.frame() == Received("1")
        assert (await answer(socket)).error is None
        other.handler.release.clear()  # whatever ran there would not end
        again = await other.socket(wire)
        again.call("x", WAIT, "once", key=KEY)
        assert wire.codec.decode(WAIT.response, (await answer(again)).response).value == "once"
        assert await post(other, WAIT.path, "once") == (200, "once")
        assert await post(other, WAIT.path, "once", f'"{KEY}"') == (200, "once")


@asynchronous
async def test_an_attempt_waits_for_the_one_under_way(sql_url: str) -> None:
    async with process(sql_url) as (sun, _), process(sql_url) as (other, _):
        socket = await sun.socket()
        socket.call("1", WAIT, "slow", key=KEY)
        assert await socket.frame() == Received("1")
        waiting = [asyncio.create_task(post(each, WAIT.path, "slow")) for each in (sun, other, other)]
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        sun.handler.release.set()
        assert await asyncio.gather(*waiting) == [(200, "slow")] * 3
        assert other.handler.waiting == other.handler.cancelled == 0


@asynchronous
async def test_a_lost_connection_does_not_stop_a_call_with_a_key(sql_url: str) -> None:
    async with process(sql_url, drain_timeout_ms=10_000) as (sun, _):
        socket = await sun.socket()
        socket.call("1", WAIT, "kept", key=KEY)
        socket.call("2", WAIT, "dropped")
        assert await socket.frame() == Received("1")
        await sun.handler.until(lambda: sun.handler.waiting == 2)
        await socket.close()
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        assert sun.gateway.connections.calls == 1
        again = asyncio.create_task(post(sun, WAIT.path, "kept"))
        sun.handler.release.set()
        assert await again == (200, "kept")


@asynchronous
async def test_a_lost_http_connection_does_not_stop_a_call_with_a_key(sql_url: str) -> None:
    async with process(sql_url, drain_timeout_ms=10_000) as (sun, _):
        first = asyncio.create_task(post(sun, WAIT.path, "kept"))
        await sun.handler.until(lambda: sun.handler.waiting == 1)
        first.cancel()
        await asyncio.wait([first])
        again = asyncio.create_task(post(sun, WAIT.path, "kept"))
        sun.handler.release.set()
        assert await again == (200, "kept")
        assert sun.handler.cancelled == 0


@asynchronous
async def test_an_attempt_that_is_given_up_before_it_began_leaves_no_claim(sqlite_url: str) -> None:
    async with store(sqlite_url) as db:
        attempts, this = Attempts(db), attempt(7, KEY, ECHO.path, StringValue(value="x"))
        for turns in range(20):  # wherever the cancellation comes
            beginning = asyncio.create_task(attempts.begin(this, 60_000))
            for _ in range(turns):
                await asyncio.sleep(0)
            beginning.cancel()
            await asyncio.wait([beginning])
            assert beginning.cancelled()
            assert await db.run(CallResultDao.count()) == 0
        assert await attempts.begin(this, 60_000) is None


@asynchronous
async def test_errors_that_are_final_are_results_too(sql_url: str) -> None:
    async with process(sql_url) as (sun, _):
        first = await post(sun, FAIL.path, "taken")
        assert first[0] == 409
        assert first[1]["message"] == "the name ann is taken"
        socket = await sun.socket()
        socket.call("1", FAIL, "taken", key=KEY)
        error = (await answer(socket)).error
        assert error is not None
        assert (error.code, error.message) == (Code.ALREADY_EXISTS, "the name ann is taken")
        assert [detail.type_name for detail in error.details] == ["google.protobuf.StringValue"]
        assert await post(sun, FAIL.path, "taken") == first


@asynchronous
async def test_what_was_undone_runs_again_and_what_nobody_knows_does_not(sql_url: str) -> None:
    async with process(sql_url) as (sun, db):
        assert (await post(sun, FAIL.path, "conflict"))[1]["code"] == "aborted"
        assert await db.run(CallResultDao.count()) == 0
        status, error = await post(sun, FAIL.path, "crash", "k" * 16)
        assert (status, error["code"]) == (500, "internal")
        status, error = await post(sun, FAIL.path, "crash", "k" * 16)
        assert (status, error["code"]) == (409, "aborted")
        assert "nobody knows" in error["message"]
        socket = await sun.socket()
        socket.call("1", WAIT, "given up", key="c" * 16)
        assert await socket.frame() == Received("1")
        socket.cancel("1")
        assert await socket.error() == ("1", Code.CANCELED)
        await sun.handler.until(lambda: sun.handler.cancelled == 1)
        socket.call("2", WAIT, "given up", key="c" * 16)
        assert await socket.error() == ("2", Code.ABORTED)
        socket.call("3", WAIT, "late", timeout_ms=50, key="d" * 16)
        assert await socket.frame() == Received("3")
        assert await socket.error() == ("3", Code.DEADLINE_EXCEEDED)


@asynchronous
async def test_a_process_that_died_leaves_nothing_to_wait_for(sql_url: str) -> None:
    async with process(sql_url) as (sun, db):
        socket = await sun.socket()
        socket.call("1", WAIT, "x", key=KEY)
        assert await socket.frame() == Received("1")
        await db.run(CallResultDao.update(CallResultDao.user_id == 7).set(expires_ms=1))
        status, error = await post(sun, WAIT.path, "x")
        assert (status, error["code"]) == (409, "aborted")


@asynchronous
async def test_a_key_belongs_to_one_user_and_one_request(sql_url: str) -> None:
    async with process(sql_url) as (sun, _):
        assert await post(sun, ECHO.path, "mine") == (200, "mine")
        assert (await post(sun, ECHO.path, "other"))[1]["message"] == "the key was used for another call"
        assert (await post(sun, CHECKED.path, "mine"))[1]["code"] == "invalid_argument"
        assert await post(sun, ECHO.path, "theirs", token="bob") == (200, "theirs")
        for key in ("short", "x" * 65, "ключ-ключ-ключ-ключ".encode().decode("latin-1")):
            status, error = await post(sun, ECHO.path, "x", key)
            assert (status, error["message"]) == (400, "a call's key has 16 to 64 printable ASCII characters")


@asynchronous
async def test_what_changes_nothing_needs_no_key(sql_url: str) -> None:
    async with process(sql_url) as (sun, db):
        assert await post(sun, LOOK.path, "x", "short") == (200, "x")
        assert await post(sun, ECHO.path, "x", "") == (200, "x")
        assert (await post(sun, CHECKED.path, "1"))[0] == 400
        assert await db.run(CallResultDao.count()) == 0


@asynchronous
async def test_a_result_too_large_to_keep_is_said(sqlite_url: str) -> None:
    async with process(sqlite_url) as (sun, _):
        size = str(MAX_RESULT_BYTES)
        assert (await post(sun, BIG.path, size))[0] == 200
        assert (await post(sun, BIG.path, size))[1]["code"] == "aborted"


@asynchronous
async def test_results_are_kept_for_a_day(sql_url: str) -> None:
    async with process(sql_url) as (sun, db):
        assert await post(sun, ECHO.path, "a") == (200, "a")
        assert await Attempts(db).cut() == 0
        await db.run(CallResultDao.update(CallResultDao.user_id == 7).increment(created_ms=-KEEP_MS - 1))
        assert await Attempts(db).cut() == 1
        assert await post(sun, ECHO.path, "b") == (200, "b")
