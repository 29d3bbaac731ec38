"""Pushes: numbered for each user, kept, resumed whole or told as lost, whichever process the user comes back to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from runtime.generated.sql.sun_runtime import PushCounterDao, PushEntryDao
from runtime.push.hub import MAX_RESUME, RECENT_PUSHES, PushHub
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.push_frames import PushMessage
from runtime.rpc.wire import (
    JSON_WIRE,
    PROTO_WIRE,
    Call,
    Hello,
    Push,
    PushAck,
    Reply,
    Resume,
    ServerFrame,
    Welcome,
    Wire,
)
from runtime.sql.database import Database
from runtime.sql.errors import UniqueViolation
from tests.rpc.gateways import ECHO, Closed, RawSocket, Served, asynchronous, serving
from tests.rpc.stores import store

ALICE, BOB = 7, 8
TYPE = "google.protobuf.StringValue"

both = pytest.mark.parametrize("wire", [PROTO_WIRE, JSON_WIRE], ids=["proto", "json"])


@dataclass
class Process:
    db: Database
    hub: PushHub
    sun: Served

    async def say(self, *texts: str, to: Sequence[int] = (ALICE,)) -> None:
        for text in texts:
            await self.hub.send(to, StringValue(value=text))

    async def socket(
        self, resume: Resume | None = None, wire: Wire = PROTO_WIRE, token: str = "alice"
    ) -> tuple[RawSocket, Welcome]:
        socket = await self.sun.socket(wire, token=None)
        socket.send(Hello(token, "phone", "test", resume))
        welcome = await socket.frame()
        assert isinstance(welcome, Welcome)
        return socket, welcome


@asynccontextmanager
async def process(url: str, poll_ms: int = 0, **settings: Any) -> AsyncIterator[Process]:
    """One process of Sun on a database that others may share."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(store(url))
        hub = PushHub(db, poll_ms=poll_ms)
        watch = asyncio.create_task(hub.watch())
        try:
            sun = await stack.enter_async_context(serving(hub=hub, **settings))
            yield Process(db, hub, sun)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


def texts(wire: Wire, frames: Sequence[ServerFrame]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for frame in frames:
        assert isinstance(frame, Push)
        assert frame.type == TYPE
        found.append((frame.counter, wire.codec.decode(StringValue, frame.payload).value))
    return found


async def pushes(socket: RawSocket, count: int) -> list[tuple[int, str]]:
    return texts(socket.wire, [await socket.frame() for _ in range(count)])


async def closed(socket: RawSocket) -> int | None:
    try:
        while True:
            await socket.frame()
    except Closed as end:
        return end.code


async def quiet(socket: RawSocket) -> None:
    """What was pushed has come, since what is asked now is answered after it."""
    socket.call("quiet", ECHO, "x")
    assert await socket.value() == ("quiet", "x")


@both
@asynchronous
async def test_every_connection_of_a_user_gets_the_pushes_in_order(wire: Wire, sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        one, welcome = await sun.socket(wire=wire)
        two, _ = await sun.socket(wire=wire)
        bob, _ = await sun.socket(wire=wire, token="bob")
        assert (welcome.epoch, welcome.counter, welcome.reload) == (1, 0, False)
        await sun.say("a", "b")
        await sun.say("c", to=[BOB, ALICE, BOB])
        assert await pushes(one, 3) == [(1, "a"), (2, "b"), (3, "c")]
        assert await pushes(two, 3) == [(1, "a"), (2, "b"), (3, "c")]
        assert await pushes(bob, 1) == [(1, "c")]
        await quiet(bob)


@asynchronous
async def test_a_push_reads_as_protobuf_writes_json(sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        socket, _ = await sun.socket(wire=JSON_WIRE)
        await sun.say("hä")
        assert json.loads((await socket.message())[1]) == {"push": {"counter": "1", "type": TYPE, "payload": "hä"}}
        sun.hub.tell([ALICE], StringValue(value="typing"))
        assert json.loads((await socket.message())[1]) == {"push": {"type": TYPE, "payload": "typing"}}


@both
@asynchronous
async def test_who_comes_back_gets_what_was_missed(wire: Wire, sql_url: str) -> None:
    async with process(sql_url) as sun:
        socket, _ = await sun.socket(wire=wire)
        await sun.say("a", "b")
        assert await pushes(socket, 2) == [(1, "a"), (2, "b")]
        await socket.close()
        await sun.say("c", "d")
        socket, welcome = await sun.socket(Resume(1, 2), wire)
        assert (welcome.epoch, welcome.counter, welcome.reload) == (1, 2, False)
        assert await pushes(socket, 2) == [(3, "c"), (4, "d")]
        await sun.say("e")
        assert await pushes(socket, 1) == [(5, "e")]
        again, welcome = await sun.socket(Resume(1, 5), wire)
        assert (welcome.counter, welcome.reload) == (5, False)
        new, welcome = await sun.socket(None, wire)
        assert (welcome.counter, welcome.reload) == (5, False)
        await sun.say("f")
        for each in (socket, again, new):
            assert await pushes(each, 1) == [(6, "f")]


@asynchronous
async def test_another_process_resumes_and_hears_of_it(sql_url: str) -> None:
    async with process(sql_url, poll_ms=5) as one, process(sql_url, poll_ms=5) as other:
        here, _ = await one.socket()
        there, _ = await other.socket()
        await one.say("a")
        await other.say("b")
        assert await pushes(here, 2) == [(1, "a"), (2, "b")]
        assert await pushes(there, 2) == [(1, "a"), (2, "b")]
        await here.close()
        await one.say("c")
        back, welcome = await other.socket(Resume(1, 2))
        assert not welcome.reload
        assert await pushes(back, 1) == [(3, "c")]


class Reader:
    """A connection of the hub that reads at once."""

    def __init__(self) -> None:
        self.got: list[tuple[int, str]] = []
        self.more = asyncio.Event()

    def push(self, message: PushMessage, counter: int) -> None:
        self.got.append((counter, StringValue.FromString(message.payload).value))
        self.more.set()

    async def room(self, message: PushMessage, counter: int) -> None:
        pass

    def lost(self) -> None:
        raise AssertionError("lost")

    async def has(self, count: int) -> list[tuple[int, str]]:
        while len(self.got) < count:
            self.more.clear()
            await self.more.wait()
        return self.got


@asynchronous
async def test_those_who_come_back_at_once_share_queries(sql_url: str) -> None:
    users, gone = range(100, 110), 110
    async with process(sql_url) as sun:
        await sun.say("a", "b", "c", to=[*users, gone])
        await sun.say(*map(str, range(RECENT_PUSHES)), to=[users[0]])
        await sun.db.run(PushEntryDao.delete(PushEntryDao.user_id == gone, PushEntryDao.counter <= 2))
    async with process(sql_url) as fresh:
        statements: list[str] = []
        fresh.db.observe(lambda table, kind, *_: statements.append(table))
        readers = {user: Reader() for user in (*users, gone)}
        attached = await asyncio.gather(*(fresh.hub.attach(readers[user], user, Resume(1, 1)) for user in readers))
        assert {feed.user_id for feed, welcomed in attached if welcomed.reload} == {gone}
        assert statements == ["sun_runtime.push_counter", "sun_runtime.push_entry"]
        for feed, _ in attached:
            feed.open()
        for user in users[1:]:
            assert await readers[user].has(2) == [(2, "b"), (3, "c")]
        many = await readers[users[0]].has(2 + RECENT_PUSHES)
        assert [counter for counter, _ in many] == list(range(2, 4 + RECENT_PUSHES))
        await fresh.say("d", to=[gone])
        assert await readers[gone].has(1) == [(4, "d")]
        for feed, _ in attached:
            feed.close()


@asynchronous
async def test_what_is_not_kept_any_more_is_said_at_once(sql_url: str) -> None:
    async with process(sql_url) as sun:
        await sun.say(*"abcd")
        await sun.db.run(PushEntryDao.delete(PushEntryDao.counter <= 2))
        for resume, reload in ((Resume(1, 0), True), (Resume(1, 1), True), (Resume(1, 2), False)):
            async with process(sql_url) as fresh:
                socket, welcome = await fresh.socket(resume)
                assert (welcome.counter, welcome.reload) == ((4, True) if reload else (2, False))
                if not reload:
                    assert await pushes(socket, 2) == [(3, "c"), (4, "d")]
        for resume in (Resume(1, 5), Resume(2, 4), Resume(1, -1), Resume(0, 0)):
            socket, welcome = await sun.socket(resume)
            assert (welcome.counter, welcome.reload) == (4, True)
        await sun.say("e")
        assert await pushes(socket, 1) == [(5, "e")]


@asynchronous
async def test_who_is_too_far_behind_fetches_anew(sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        await sun.say("a")
        await sun.db.run(PushCounterDao.update(PushCounterDao.user_id == ALICE).increment(next_counter=MAX_RESUME))
        async with process(sqlite_url) as fresh:
            _, welcome = await fresh.socket(Resume(1, 0))
            assert (welcome.counter, welcome.reload) == (MAX_RESUME + 1, True)


@asynchronous
async def test_pushes_that_are_gone_under_an_open_connection_close_it(sql_url: str) -> None:
    async with process(sql_url, poll_ms=5) as sun, process(sql_url) as other:
        socket, _ = await sun.socket()

        async def work(tx: Any) -> None:
            await other.hub.append(tx, [ALICE], StringValue(value="a"))
            await tx.run(PushEntryDao.delete(PushEntryDao.user_id == ALICE))

        await other.db.transact(work)
        assert await closed(socket) == CloseCode.PUSHES_LOST
        socket, welcome = await sun.socket(Resume(1, 0))
        assert (welcome.counter, welcome.reload) == (1, True)


@asynchronous
async def test_counting_anew_is_another_epoch(sql_url: str) -> None:
    async with process(sql_url, poll_ms=5) as sun:
        socket, _ = await sun.socket()
        await sun.say("a")
        assert await pushes(socket, 1) == [(1, "a")]
        await sun.db.run(PushCounterDao.update(PushCounterDao.user_id == ALICE).set(epoch=2, next_counter=1))
        assert await closed(socket) == CloseCode.PUSHES_LOST
        socket, welcome = await sun.socket(Resume(1, 1))
        assert (welcome.epoch, welcome.counter, welcome.reload) == (2, 0, True)


@asynchronous
async def test_a_push_goes_with_its_transaction(sql_url: str) -> None:
    async with process(sql_url) as sun:
        socket, _ = await sun.socket()
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is undone
            async with sun.db.begin() as tx:
                await sun.hub.append(tx, [ALICE, BOB], StringValue(value="undone"))
                raise ZeroDivisionError
        async with sun.db.begin() as tx:
            await sun.hub.append(tx, [ALICE], StringValue(value="a"))
            await sun.hub.append(tx, [BOB, ALICE], StringValue(value="b"))
        assert await pushes(socket, 2) == [(1, "a"), (2, "b")]
        await quiet(socket)


@asynchronous
async def test_many_senders_number_without_a_gap(sql_url: str) -> None:
    async with process(sql_url, poll_ms=5) as one, process(sql_url, poll_ms=5) as other:
        alice, _ = await one.socket()
        bob, _ = await other.socket(token="bob")
        senders = [one.say(*(f"{n}.{i}" for i in range(5)), to=[ALICE, BOB]) for n in range(5)]
        senders += [other.say(*(f"{n}.{i}" for i in range(5)), to=[BOB, ALICE]) for n in range(5, 10)]
        await asyncio.gather(*senders)
        for socket in (alice, bob):
            got = await pushes(socket, 50)
            assert [counter for counter, _ in got] == list(range(1, 51))
            for n in range(10):
                assert [text for _, text in got if text.startswith(f"{n}.")] == [f"{n}.{i}" for i in range(5)]


@asynchronous
async def test_a_push_that_comes_with_the_hello_is_not_missed(sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        for _ in range(20):
            said = asyncio.create_task(sun.say("x"))
            socket, welcome = await sun.socket()
            await said
            await sun.say("y")
            got = await pushes(socket, 1)
            while got[-1][1] != "y":
                got += await pushes(socket, 1)
            assert [counter for counter, _ in got] == list(range(welcome.counter + 1, got[-1][0] + 1))
            await socket.close()


@asynchronous
async def test_a_slow_reader_is_closed_and_resumes_without_a_loss(sqlite_url: str) -> None:
    async with process(sqlite_url, send_buffer_bytes=64 << 10) as sun:
        slow, _ = await sun.socket()
        slow.writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
        text = "x" * 50_000
        sent = 0
        while sun.sun.dispatcher.metrics.closes.labels("SLOW_READER")._value.get() == 0:
            await sun.say(text)
            sent += 1
        slow.writer.transport.resume_reading()  # pyright: ignore[reportAttributeAccessIssue]
        got: list[tuple[int, str]] = []
        with contextlib.suppress(Closed):
            while True:
                got += await pushes(slow, 1)
        back, welcome = await sun.socket(Resume(1, got[-1][0] if got else 0))
        assert not welcome.reload
        while len(got) < sent:
            got += await pushes(back, 1)
        assert got == [(n, text) for n in range(1, sent + 1)]


@asynchronous
async def test_who_acknowledges_nothing_is_taken_for_gone(sqlite_url: str) -> None:
    async with process(sqlite_url, push_ack_timeout_ms=100) as sun:
        socket, _ = await sun.socket()
        await sun.say("a", "b")
        assert len(await pushes(socket, 2)) == 2
        socket.send(PushAck(2))
        mute, _ = await sun.socket()
        await sun.say("c")
        assert await pushes(socket, 1) == [(3, "c")]
        socket.send(PushAck(3))
        assert await closed(mute) == CloseCode.NO_PUSH_ACK
        await quiet(socket)


@asynchronous
async def test_an_acknowledgement_of_what_was_never_sent_is_no_frame(sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        socket, _ = await sun.socket()
        socket.send(PushAck(1))
        assert await closed(socket) == CloseCode.BAD_FRAME
        anonymous, welcome = await sun.socket(token="")
        assert (welcome.epoch, welcome.counter) == (0, 0)
        anonymous.send(PushAck(0))
        assert await closed(anonymous) == CloseCode.BAD_FRAME
        early = await sun.sun.socket(token=None)
        early.send(PushAck(0))
        assert await closed(early) == CloseCode.HELLO_EXPECTED


@asynchronous
async def test_a_push_without_a_number_reaches_those_who_are_there(sqlite_url: str) -> None:
    async with process(sqlite_url) as sun:
        one, _ = await sun.socket()
        two, _ = await sun.socket(token="bob")
        sun.hub.tell([ALICE, BOB, 99], StringValue(value="typing"))
        assert await pushes(one, 1) == [(0, "typing")]
        assert await pushes(two, 1) == [(0, "typing")]
        assert sun.hub.connected(ALICE)
        await one.close()
        await sun.say("a", to=[BOB])
        assert await pushes(two, 1) == [(1, "a")]
        assert not sun.hub.connected(99)


@asynchronous
async def test_old_pushes_are_deleted_and_numbers_go_on(sql_url: str) -> None:
    async with process(sql_url) as sun:
        await sun.say("a", "b", to=[ALICE, BOB])
        assert await sun.hub.journal.cut(before_ms=0) == 0
        assert await sun.hub.journal.cut(before_ms=1 << 50) == 4
        await sun.say("c")
        async with process(sql_url) as fresh:
            socket, welcome = await fresh.socket(Resume(1, 2))
            assert not welcome.reload
            assert await pushes(socket, 1) == [(3, "c")]
            with pytest.raises(UniqueViolation):
                await sun.db.run(PushEntryDao.insert((await sun.hub.journal.read(ALICE, 2, 1))[0]))


@both
@asynchronous
async def test_a_server_that_compresses_says_the_same(wire: Wire, sqlite_url: str) -> None:
    async with process(sqlite_url, compress_sockets=True) as sun:
        request = HTTPRequest(f"ws://127.0.0.1:{sun.sun.port}/ws")
        socket = await websocket_connect(request, subprotocols=[wire.subprotocol], compression_options={})
        assert socket.headers is not None
        assert "permessage-deflate" in socket.headers["Sec-WebSocket-Extensions"]

        async def frame() -> ServerFrame:
            message = await socket.read_message()
            assert message is not None
            return wire.from_server(message)

        await socket.write_message(wire.to_server(Hello("alice", "phone", "test")), binary=wire.binary)
        assert isinstance(await frame(), Welcome)
        await sun.say("a" * 10_000, "b")
        assert texts(wire, [await frame(), await frame()]) == [(1, "a" * 10_000), (2, "b")]
        call = Call("1", ECHO.path, wire.codec.encode(StringValue(value="hi")), 0)
        await socket.write_message(wire.to_server(call), binary=wire.binary)
        reply = await frame()
        assert isinstance(reply, Reply)
        assert reply.error is None
        socket.close()
