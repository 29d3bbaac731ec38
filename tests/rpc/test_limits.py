"""Rate limits: buckets in memory and in SQL, whose tokens a call draws, what it costs, and what its caller is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

import runtime.generated
from runtime.generated.proto.sun import errors_pb2
from runtime.generated.rpc.sun.errors import RateLimited
from runtime.rpc.codecs import PROTO
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.limits import Limiter, Origin, Rate, network_of
from runtime.rpc.server import Address, Gateway
from runtime.rpc.service import Callers, Charge, Limit, Method, Per, Service, Violation
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.sql_token_buckets import SqlTokenBuckets
from runtime.rpc.token_buckets import Bucket, MemoryTokenBuckets, TokenBuckets
from runtime.rpc.transports.http import HttpTransport
from runtime.rpc.transports.in_process import InProcessTransport
from runtime.rpc.transports.websocket import WebSocketTransport
from runtime.sql.create import create
from runtime.sql.database import Database, connect
from tests.rpc.gateways import Tokens, asynchronous, request

DDL = Path(str(runtime.generated.__file__)).parent / "ddl"
NOW_MS = 1_900_000_000_000
NAME = "limits.v1.LimitsService"


class StandingClock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@contextlib.asynccontextmanager
async def database(url: str) -> AsyncIterator[Database]:
    db = await connect(url)
    try:
        scripts = {file.stem: file.read_text("utf-8") for file in (DDL / db.dialect.name).glob("*.sql")}
        await create(db, scripts)
        yield db
    finally:
        await db.close()


@pytest.fixture(params=["memory", "sqlite", "mariadb"])
def store(request: pytest.FixtureRequest) -> str:
    """`memory`, or the URL of a SQL engine."""
    return request.param if request.param == "memory" else request.getfixturevalue(f"{request.param}_url")


@contextlib.asynccontextmanager
async def buckets_of(store: str, clock: StandingClock | None = None) -> AsyncIterator[TokenBuckets]:
    if store == "memory":
        yield MemoryTokenBuckets()
        return
    async with database(store) as db:
        yield SqlTokenBuckets(db, clock or StandingClock())


async def waits(buckets: TokenBuckets, now_ms: int, *wanted: Bucket) -> int:
    """0 where a token was taken."""
    refusal = await buckets.take(wanted, now_ms)
    return 0 if refusal is None else refusal.retry_after_ms


# Buckets.


@asynchronous
async def test_a_bucket_is_a_burst_and_then_one_at_a_time(store: str) -> None:
    ada, bob = Bucket("post", "ada", 3, 300), Bucket("post", "bob", 3, 300)
    async with buckets_of(store) as buckets:
        assert [await waits(buckets, NOW_MS, ada) for _ in range(4)] == [0, 0, 0, 100]
        assert await waits(buckets, NOW_MS, bob) == 0
        assert await waits(buckets, NOW_MS, ada._replace(limit="other")) == 0
        assert await waits(buckets, NOW_MS + 99, ada) == 1
        assert [await waits(buckets, NOW_MS + 100, ada) for _ in range(2)] == [0, 100]
        await buckets.give_back([ada])
        assert [await waits(buckets, NOW_MS + 100, ada) for _ in range(2)] == [0, 100]
        assert [await waits(buckets, NOW_MS + 10_000, ada) for _ in range(4)] == [0, 0, 0, 100]


@asynchronous
async def test_a_token_comes_from_every_bucket_or_from_none(store: str) -> None:
    narrow, wide = Bucket("narrow", "a", 1, 100), Bucket("wide", "a", 10, 1_000)
    async with buckets_of(store) as buckets:
        assert await waits(buckets, NOW_MS, wide, narrow) == 0
        for _ in range(20):
            refusal = await buckets.take([wide, narrow], NOW_MS)
            assert refusal == ("narrow", 100)
        assert [await waits(buckets, NOW_MS, wide) for _ in range(10)] == [0] * 9 + [100]


@asynchronous
async def test_the_longest_wait_is_told(store: str) -> None:
    short, long = Bucket("short", "a", 1, 100), Bucket("long", "a", 1, 900)
    async with buckets_of(store) as buckets:
        assert await waits(buckets, NOW_MS, short, long) == 0
        assert await buckets.take([short, long], NOW_MS) == ("long", 900)


@asynchronous
async def test_calls_at_once_are_no_more_than_their_tokens(store: str) -> None:
    bucket = Bucket("post", "ada", 5, 5_000)
    async with buckets_of(store) as buckets:
        found = await asyncio.gather(*(waits(buckets, NOW_MS, bucket) for _ in range(25)))
        assert found.count(0) == 5


@asynchronous
async def test_a_clock_that_is_set_back_locks_nobody_out(store: str) -> None:
    bucket, hour = Bucket("post", "ada", 2, 2_000), 3_600_000
    async with buckets_of(store) as buckets:
        assert [await waits(buckets, NOW_MS, bucket) for _ in range(2)] == [0, 0]
        assert 0 < await waits(buckets, NOW_MS - hour, bucket) <= 1_000
        assert await waits(buckets, NOW_MS - hour + 1_000, bucket) == 0


@asynchronous
async def test_two_processes_share_the_buckets_of_a_database(sql_url: str) -> None:
    bucket = Bucket("post", "ada", 4, 4_000)
    async with database(sql_url) as one, database(sql_url) as other:
        stores = [SqlTokenBuckets(one), SqlTokenBuckets(other)] * 5
        found = await asyncio.gather(*(waits(each, NOW_MS, bucket) for each in stores))
        assert found.count(0) == 4


@asynchronous
async def test_rows_of_full_buckets_are_swept(sql_url: str) -> None:
    clock = StandingClock()
    async with database(sql_url) as db:
        buckets = SqlTokenBuckets(db, clock)
        await buckets.take([Bucket("post", "ada", 1, 100), Bucket("post", "bob", 1, 5_000)], NOW_MS)
        assert await buckets.sweep() == 0
        clock.now_ms += 100
        assert await buckets.sweep() == 1
        assert await waits(buckets, clock.now_ms, Bucket("post", "bob", 1, 5_000)) == 4_900


@asynchronous
async def test_memory_is_bounded_for_each_limit_and_falls_again() -> None:
    buckets = MemoryTokenBuckets(most=100)
    user = Bucket("post", "ada", 1, 10**9)
    assert await waits(buckets, NOW_MS, user) == 0
    for number in range(1_000):
        await buckets.take([Bucket("address", str(number), 1, 60_000)], NOW_MS)
    assert len(buckets) == 101
    # A flood of addresses pushes out addresses, and nobody's posts.
    assert await waits(buckets, NOW_MS, user) > 0
    for number in range(60):
        await buckets.take([Bucket("address", f"later {number}", 1, 60_000)], NOW_MS + 120_000 + number)
    assert len(buckets) == 61


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 7),
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=60),
)
def test_no_more_calls_pass_than_tokens_and_what_came_in_the_time(
    tokens: int, refill_ms: int, steps: list[tuple[int, bool]]
) -> None:
    async def run() -> None:
        buckets, bucket = MemoryTokenBuckets(), Bucket("any", "a", tokens, refill_ms)
        now_ms, passed = NOW_MS, 0
        for later_ms, gives_back in steps:
            now_ms += later_ms
            if await buckets.take([bucket], now_ms) is None:
                passed += 1
                if gives_back:
                    await buckets.give_back([bucket])
                    passed -= 1
            assert passed <= tokens + (now_ms - NOW_MS) * tokens / refill_ms

    asyncio.run(run())


# Whose bucket it is.


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"),
        ("", ""),
        ("unix:" + "x" * 60, "unix:" + "x" * 40),
    ],
)
def test_limits_count_a_subscriber_not_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


ADA = Origin(7, "192.0.2.1", "phone")


@asynchronous
@pytest.mark.parametrize(
    ("per", "others", "same"),
    [
        ((Per.USER,), [Origin(8, *ADA[1:])], [Origin(7, "192.0.2.2", "tablet")]),
        ((Per.ADDRESS,), [ADA._replace(address="192.0.2.2")], [Origin(8, "::ffff:192.0.2.1", "")]),
        ((Per.DEVICE,), [ADA._replace(device="tablet")], [Origin(None, "192.0.2.9", "phone")]),
        ((Per.DEVICE,), [ADA._replace(device="192.0.2.1"), ADA._replace(device="")], []),
        ((Per.CALLER,), [ADA._replace(user_id=None)], [Origin(7, "192.0.2.2", "")]),
        ((Per.USER, Per.DEVICE), [ADA._replace(device="tablet"), ADA._replace(user_id=8)], [ADA]),
        ((Per.DEVICE,), [ADA._replace(device="p\0hone"), ADA._replace(device="x" * 65)], []),
    ],
)
async def test_whose_calls_share_a_bucket(per: tuple[Per, ...], others: list[Origin], same: list[Origin]) -> None:
    limit = Limit("any", per, 1, 1_000)
    limiter = Limiter(MemoryTokenBuckets(), clock=StandingClock())
    await limiter.take([limit], ADA, None)
    for origin in others:
        await limiter.take([limit], origin, None)
    for origin in same:
        with pytest.raises(RateLimited):
            await limiter.take([limit], origin, None)


@asynchronous
async def test_configured_numbers_go_before_those_of_the_schema() -> None:
    limit = Limit("any", (Per.USER,), 1, 1_000)
    limiter = Limiter(MemoryTokenBuckets(), rates={"any": Rate(tokens=3)}, clock=StandingClock())
    for _ in range(3):
        await limiter.take([limit], ADA, None)
    with pytest.raises(RateLimited) as error:
        await limiter.take([limit], ADA, None)
    assert error.value.detail.retry_after_ms == 334


@asynchronous
async def test_without_buckets_nothing_is_limited() -> None:
    limiter = Limiter(None)
    for _ in range(50):
        async with limiter.draws([Limit("any", (Per.USER, Per.KEY), 1, 1_000)], ADA) as draws:
            await draws.draw("any", "key")


# Through a gateway.

EVERY = Limit("every", (Per.CALLER,), 2, 3_000)
WRONG = Limit("wrong", (Per.ADDRESS,), 2, 20_000, Charge.FAILURES)
RIGHT = Limit("right", (Per.USER,), 2, 20_000, Charge.SUCCESSES)
LOGIN = Limit("login", (Per.KEY,), 2, 20_000, Charge.FAILURES)


def method(name: str, callers: Callers = Callers.ANYONE, **more: Any) -> Method[StringValue, StringValue]:
    return Method(f"{NAME}/{name}", name.lower(), StringValue, StringValue, callers, **more)


def not_empty(asked: StringValue) -> list[Violation]:
    return [] if asked.value else [Violation("value", "required", "is required")]


READ = method("Read", limits=(EVERY,), side_effects=False)
GUESS = method("Guess", limits=(WRONG, LOGIN))
ADD = method("Add", Callers.USER, limits=(RIGHT,), check=not_empty)
COUNT = method("Count", limits=(EVERY,), server_streaming=True)


class Handler(Service):
    service_name = NAME
    methods = (READ, GUESS, ADD, COUNT)

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.began = asyncio.Event()

    async def read(self, asked: StringValue, ctx: Context) -> StringValue:
        return asked

    async def guess(self, asked: StringValue, ctx: Context) -> StringValue:
        login, _, word = asked.value.partition(" ")
        await ctx.draw("login", login)
        if word == "undeclared":
            await ctx.draw("every", login)
        if word != "right":
            raise RpcError(Code.UNAUTHENTICATED, "wrong")
        return asked

    async def add(self, asked: StringValue, ctx: Context) -> StringValue:
        match asked.value:
            case "refuse":
                raise RpcError(Code.FAILED_PRECONDITION, "no")
            case "crash":
                raise RuntimeError("after the row was written")
            case "wait":
                self.began.set()
                await self.release.wait()
        return asked

    async def count(self, asked: StringValue, ctx: Context) -> AsyncIterator[StringValue]:
        yield asked


class Served:
    def __init__(self, dispatcher: Dispatcher, address: Address, clock: StandingClock, handler: Handler) -> None:
        self.dispatcher = dispatcher
        self.address = address
        self.clock = clock
        self.handler = handler

    def transport(self, kind: str, token: str = "") -> Any:
        """A client's transport, as an async context."""
        match kind:
            case "http":
                return HttpTransport(self.address.url, token)
            case "ws":
                return WebSocketTransport(f"{self.address.url.replace('http', 'ws')}/ws", token)
            case _:
                return contextlib.nullcontext(InProcessTransport(self.dispatcher, token))

    async def says(self, asked: Method[Any, Any], value: str = "", token: str = "alice", address: str = "") -> str:
        """`ok`, or the code of the error."""
        payload = StringValue(value=value).SerializeToString()
        try:
            await self.dispatcher.call(asked.path, PROTO, payload, Caller("test", address, token=token))
        except RpcError as error:
            return error.code.text
        return "ok"


@contextlib.asynccontextmanager
async def serving(buckets: TokenBuckets | None = None) -> AsyncIterator[Served]:
    clock, handler = StandingClock(), Handler()
    limits = GatewaySettings(port=0, drain_timeout_ms=0, drain_grace_ms=0)
    dispatcher = Dispatcher([handler], Tokens(), settings=limits)
    limiter = Limiter(buckets or MemoryTokenBuckets(), clock=clock, observe=dispatcher.metrics.limit_drawn)
    dispatcher = Dispatcher([handler], Tokens(), settings=limits, metrics=dispatcher.metrics, limiter=limiter)
    gateway = Gateway(dispatcher, limits)
    try:
        yield Served(dispatcher, await gateway.start(), clock, handler)
    finally:
        await gateway.drain()


@asynchronous
@pytest.mark.parametrize("kind", ["http", "ws", "in process"])
async def test_a_client_gets_the_typed_error_on_every_transport(kind: str) -> None:
    async with serving() as served, served.transport(kind) as transport:
        for _ in range(2):
            await transport.call(READ, StringValue(value="hi"), None)
        with pytest.raises(RateLimited) as error:
            await transport.call(READ, StringValue(value="hi"), None)
        assert error.value.code is Code.RESOURCE_EXHAUSTED
        assert (error.value.detail.limit, error.value.detail.retry_after_ms) == ("every", 1_500)
        served.clock.now_ms += 1_500
        assert await transport.call(READ, StringValue(value="hi"), None) == StringValue(value="hi")


@asynchronous
async def test_http_says_when_to_come_back_in_whole_seconds() -> None:
    async with serving() as served:
        headers = {"Content-Type": "application/json"}
        for _ in range(2):
            await request(served.address.port, "POST", f"/{READ.path}", headers, b'"hi"')
        answer = await request(served.address.port, "POST", f"/{READ.path}", headers, b'"hi"')
        assert (answer.status, answer.headers["retry-after"]) == (429, "2")
        error = json.loads(answer.body)
        assert error["code"] == "resource_exhausted"
        detail = error["details"][0]
        assert detail["type"] == "sun.RateLimited"
        found = errors_pb2.RateLimited.FromString(base64.b64decode(detail["value"] + "=="))
        assert found.limit == "every"
        path = f"/{READ.path}?connect=v1&encoding=json&message=%22hi%22"
        assert (await request(served.address.port, "GET", path)).headers["retry-after"] == "2"


@asynchronous
async def test_streams_draw_from_the_same_buckets() -> None:
    async with serving() as served, served.transport("http") as transport:
        await transport.call(READ, StringValue(value="hi"), None)
        assert [each.value async for each in transport.stream(COUNT, StringValue(value="hi"), None)] == ["hi"]
        with pytest.raises(RateLimited):
            assert [each async for each in transport.stream(COUNT, StringValue(value="hi"), None)]


@asynchronous
async def test_a_limit_on_failures_counts_failures_only(store: str) -> None:
    async with buckets_of(store) as buckets, serving(buckets) as served:
        for _ in range(5):
            assert await served.says(GUESS, "ada right") == "ok"
        for address in ("192.0.2.1", "192.0.2.2"):
            assert await served.says(GUESS, "ada wrong", address=address) == "unauthenticated"
        # Of this login, from wherever; and then of this address, for whomever.
        assert await served.says(GUESS, "ada right", address="192.0.2.3") == "resource_exhausted"
        assert await served.says(GUESS, "bob wrong", address="192.0.2.1") == "unauthenticated"
        assert await served.says(GUESS, "eve right", address="192.0.2.1") == "resource_exhausted"
        served.clock.now_ms += 10_000
        assert await served.says(GUESS, "ada right", address="192.0.2.3") == "ok"


@asynchronous
async def test_a_call_that_one_limit_refuses_costs_nothing_of_the_others(store: str) -> None:
    async with buckets_of(store) as buckets, serving(buckets) as served:
        for number in range(2):
            assert await served.says(GUESS, "ada wrong", address=f"192.0.2.{number}") == "unauthenticated"
        for _ in range(5):
            assert await served.says(GUESS, "ada wrong", address="192.0.2.9") == "resource_exhausted"
        assert await served.says(GUESS, "bob wrong", address="192.0.2.9") == "unauthenticated"


@asynchronous
async def test_a_limit_on_successes_counts_what_was_done_or_may_have_been() -> None:
    async with serving() as served:
        for _ in range(5):
            assert await served.says(ADD, "refuse") == "failed_precondition"
            assert await served.says(ADD, "") == "invalid_argument"
        assert await served.says(ADD, "crash") == "internal"
        cut = asyncio.create_task(served.says(ADD, "wait"))
        await served.handler.began.wait()
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        assert await served.says(ADD, "more") == "resource_exhausted"
        assert await served.says(ADD, "more", token="bob") == "ok"


@asynchronous
async def test_tokens_are_taken_before_the_handler_runs() -> None:
    async with serving() as served:
        waiting = [asyncio.create_task(served.says(ADD, "wait")) for _ in range(2)]
        await served.handler.began.wait()
        await asyncio.sleep(0)
        assert await served.says(ADD, "refuse") == "resource_exhausted"
        served.handler.release.set()
        assert await asyncio.gather(*waiting) == ["ok", "ok"]


@asynchronous
async def test_who_may_not_call_draws_nothing() -> None:
    async with serving() as served:
        for _ in range(5):
            assert await served.says(ADD, "more", token="") == "unauthenticated"
            assert await served.says(ADD, "more", token="nobody") == "unauthenticated"
        assert [await served.says(ADD, "more") for _ in range(3)] == ["ok", "ok", "resource_exhausted"]


@asynchronous
async def test_a_handler_draws_only_from_limits_of_its_method() -> None:
    async with serving() as served:
        assert await served.says(GUESS, "ada undeclared") == "internal"


@asynchronous
async def test_draws_are_counted_by_name() -> None:
    async with serving() as served:
        for _ in range(3):
            await served.says(READ)
        text = served.dispatcher.metrics.render().decode()
        assert 'sun_limit_draws_total{limit="every",result="drawn"} 2.0' in text
        assert 'sun_limit_draws_total{limit="every",result="refused"} 1.0' in text
