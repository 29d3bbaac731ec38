"""The load of the push benchmark: thousands of WebSocket clients that read, cut off and come back, on one selector.

What they are sent is kept while the clock runs, and checked to the last byte when it has stopped.
"""

from __future__ import annotations

import base64
import contextlib
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

from google.protobuf.wrappers_pb2 import StringValue

from bench.push_peers import FILLER, STAMP
from bench.rpc_load import WrongAnswer, masked_frame, server_messages
from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.push_frames import message_frame

_PATIENCE_S = 60.0
_PING = b"\x89\x00"
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection, as when a network is gone."""


class Member(NamedTuple):
    """Who speaks the proto subprotocol: the token of a user's session."""

    token: str


class Received(NamedTuple):
    """`seconds` from the first call on the server to the last message at the last receiver."""

    messages: int
    seconds: float


class Client:
    """One connection. Without a member it is bare: whole once the handshake is done."""

    __slots__ = ("counter", "epoch", "expects", "member", "rest", "socket", "taken", "upgraded")

    def __init__(self, member: Member | None) -> None:
        self.member = member
        self.epoch = 0
        self.counter = 0
        self.socket: socket.socket | None = None

    def connect(self, port: int, expects: int) -> socket.socket:
        """Begins to connect; whole after this many messages."""
        made = self.socket = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.connect_ex(("127.0.0.1", port))
        self.expects = expects
        self.upgraded = False
        self.rest = b""
        self.taken: list[bytes] = []
        return made

    def upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        protocol = "Sec-WebSocket-Protocol: sun.v1+proto\r\n" if self.member is not None else ""
        self.send(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        if self.socket.send(data) != len(data):
            raise WrongAnswer("the server does not read")

    def received(self, data: bytes) -> bool:
        """Whether that made it whole."""
        data = self.rest + data
        if not self.upgraded:
            head, blank, data = data.partition(b"\r\n\r\n")
            if not blank:
                self.rest = head
                return False
            if not head.startswith(b"HTTP/1.1 101 "):
                raise WrongAnswer(repr(head))
            self.upgraded = True
            if self.member is not None:
                self.send(masked_frame(self._hello(self.member)))
        payloads, self.rest = server_messages(data)
        self.taken += payloads
        if len(self.taken) > self.expects:
            raise WrongAnswer(f"{len(self.taken)} messages in place of {self.expects}")
        return len(self.taken) == self.expects

    def _hello(self, member: Member) -> bytes:
        hello = wire_pb2.Hello(token=member.token, device="bench")
        if self.epoch:
            hello.resume.epoch, hello.resume.counter = self.epoch, self.counter
        return wire_pb2.ClientFrame(hello=hello).SerializeToString()

    def check_welcome(self) -> None:
        """The welcome, and after it the pushes that were missed, each with its number."""
        welcome = wire_pb2.ServerFrame.FromString(self.taken[0]).welcome
        if not welcome.user_id or welcome.reload or (self.epoch and welcome.counter != self.counter):
            raise WrongAnswer(f"after {self.epoch}, {self.counter}: {welcome}")
        self.epoch, self.counter = welcome.epoch, welcome.counter
        for payload in self.taken[1:]:
            check_push(payload, self.counter + 1)
            self.counter += 1


def check_push(payload: bytes, counter: int) -> None:
    push = wire_pb2.ServerFrame.FromString(payload).push
    if push.counter != counter:
        raise WrongAnswer(f"push {push.counter} in place of {counter}")
    if push.type != "google.protobuf.StringValue" or StringValue.FromString(push.payload).value[STAMP:] != FILLER:
        raise WrongAnswer(repr(payload))


class Crowd:
    """Clients of one server."""

    def __init__(self, port: int, members: Sequence[Member | None]) -> None:
        self._port = port
        self._clients = [Client(member) for member in members]
        self._selector = selectors.DefaultSelector()

    def __len__(self) -> int:
        return len(self._clients)

    def open(self, missed: int = 0) -> float:
        """Connects all at once; seconds until the last one is signed in and has had the pushes that it missed."""
        begin = time.perf_counter()
        waiting = len(self._clients)
        for client in self._clients:
            made = client.connect(self._port, 0 if client.member is None else 1 + missed)
            self._selector.register(made, selectors.EVENT_WRITE, client)
        for key, events in self._events():
            client = cast(Client, key.data)
            if events & selectors.EVENT_WRITE:
                client.upgrade()
                self._selector.modify(key.fileobj, selectors.EVENT_READ, client)
            elif client.received(_read(key)):
                waiting -= 1
                if not waiting:
                    break
        seconds = time.perf_counter() - begin
        for client in self._clients:
            if client.member is not None:
                client.check_welcome()
        return seconds

    def receive(self, messages: int, numbered: bool, ask: Callable[[], object]) -> Received:
        """What it takes until every client has had this many messages, all of one size, that `ask` asks for."""
        self._drop_pings()
        waiting = len(self._clients)
        whole = 0
        ask()
        for key, _ in self._events():
            client = cast(Client, key.data)
            client.rest += _read(key)
            if not whole:
                first, _ = server_messages(client.rest)
                whole = messages * len(message_frame(True, first[0]))
            waiting -= len(client.rest) == whole
            if not waiting:
                break
        end = time.monotonic_ns()
        stamped = b""
        for client in self._clients:
            payloads, rest = server_messages(client.rest)
            if rest or len(payloads) != messages:
                raise WrongAnswer(f"{len(payloads)} messages in place of {messages}")
            client.rest = b""
            stamped = payloads[0]
            self._check(client, payloads, numbered)
        began = int(stamped[stamped.index(FILLER.encode()) - STAMP :][:STAMP])
        return Received(messages * len(self._clients), (end - began) / 1e9)

    def _check(self, client: Client, payloads: Sequence[bytes], numbered: bool) -> None:
        if client.member is None:
            if not all(payload[STAMP:] == FILLER.encode() for payload in payloads):
                raise WrongAnswer(repr(payloads))
            return
        for payload in payloads:
            client.counter += numbered
            check_push(payload, client.counter if numbered else 0)

    def _drop_pings(self) -> None:
        """Those of a long pause; what is acknowledged next tells the server as much as pongs would."""
        for key, _ in self._selector.select(0):
            if (data := _read(key)).replace(_PING, b""):
                raise WrongAnswer(f"not asked for: {data[:64]!r}")

    def acknowledge(self) -> None:
        """What came so far was dealt with, as members say now and then, and not for each push."""
        for client in self._clients:
            if client.member is not None:
                ack = wire_pb2.PushAck(counter=client.counter)
                client.send(masked_frame(wire_pb2.ClientFrame(push_ack=ack).SerializeToString()))

    def cut(self) -> None:
        """Every connection is reset."""
        for client in self._clients:
            if client.socket is not None:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(client.socket)
                client.socket.close()
                client.socket = None

    def _events(self) -> Iterator[tuple[selectors.SelectorKey, int]]:
        while True:
            found = self._selector.select(_PATIENCE_S)
            if not found:
                raise WrongAnswer(f"nothing came for {_PATIENCE_S:g} s")
            yield from found


def _read(key: selectors.SelectorKey) -> bytes:
    data = cast(socket.socket, key.fileobj).recv(1 << 18)
    if not data:
        raise WrongAnswer("the server closed a connection")
    return data
