"""Calls a gateway over a WebSocket that comes back after a loss, and takes the pushes of the user."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, TypeVar, overload

from google.protobuf.message import DecodeError, Message

from runtime.generated.proto.sun import wire_pb2
from runtime.rpc.client import A, Endpoint, Q, new_key
from runtime.rpc.close_codes import CloseCode
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.link import Final, Link, Lost
from runtime.rpc.transports.pushes import Inbox, Position, Push, RawPush, Reload
from runtime.rpc.transports.repeat import DEFAULT_TIMEOUT_MS, Failed, decoded, repeat
from runtime.rpc.transports.retries import Backoff, Retries, is_repeatable

M = TypeVar("M", bound=Message)

_SETTLED_S = 10.0
"""A connection that lasted this long was a good one: the back-off begins anew after it, as after one that was left."""

_ACKNOWLEDGE_S = 0.05
"""Acknowledgements of pushes are gathered for this long."""

_CLOSE_S = 1.0


class WebSocketTransport:
    """A Transport. `url` is `ws(s)://host:port/ws`. Connects at first use; belongs to one event loop.

    A connection that is lost comes back, as `backoff` and the close code say. Calls that are not yet sent wait for it,
    at most `max_waiting` of them, each within its own time limit. One that was sent is repeated where that is safe:
    when it has no side effects, is declared idempotent or has a key; any other fails with `unavailable`, and may have
    happened. With `auto_keys` every call with side effects gets a key of its own. After the server's goodbye new calls
    go to a new connection, and those under way are answered on the old one.

    `resume` is where an earlier program left the pushes off, as its `position` said. Up to `max_pushes` of them, and
    8 MiB, are kept for the loop that takes them; what is beyond stays with the server until there is room.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        device: str = "",
        *,
        client: str = "sun-python",
        resume: Position | None = None,
        retries: Retries | None = None,
        backoff: Backoff | None = None,
        auto_keys: bool = False,
        connect_timeout_ms: int = 10_000,
        max_waiting: int = 1_000,
        max_pushes: int = 1_000,
        max_response_bytes: int = 64 << 20,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._device = device
        self._client = client
        self._retries = retries or Retries()
        self._backoff = backoff or Backoff(500, 30_000)
        self._auto_keys = auto_keys
        self._connect_timeout_s = connect_timeout_ms / 1000
        self._max_waiting = max_waiting
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context
        self._inbox = Inbox(max_pushes, 8 << 20, resume)
        self._ids = itertools.count(1)
        self._link: Link | None = None
        self._leaving: set[Link] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._arrived = asyncio.Event()
        self._waiting = 0
        self._failure: RpcError | None = None  # why there is no connection now
        self._end: RpcError | None = None  # why there will be none any more
        self._closed = False
        self._consumer: object = None
        self._acknowledging: asyncio.TimerHandle | None = None

    @property
    def position(self) -> Position | None:
        """The last push that was dealt with; None before the first connection."""
        return self._inbox.dealt

    @property
    def welcome(self) -> wire_pb2.Welcome | None:
        """What the server said of the connection in use; None while there is none."""
        link = self._current
        return link.welcome if link is not None else None

    @property
    def leaving(self) -> bool:
        """There is no connection that takes new calls: it was lost, or is being replaced."""
        return self._current is None

    async def connect(self) -> wire_pb2.Welcome:
        """Connects, if that was not done. Raises RpcError: unavailable, or unauthenticated for a token that is refused.

        What can't be reached now is tried again all the same, until `close`.
        """
        self._begin()
        while (link := self._current) is None:
            if self._end is not None:
                raise _again(self._end)
            if self._failure is not None:
                raise _again(self._failure)
            await self._changed.wait()
        return link.welcome

    async def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A:
        """Raises RpcError; the errors that the method declares in their own types."""
        payload = request.SerializeToString()
        if self._auto_keys and not is_repeatable(method, key):
            key = new_key()
        loop = asyncio.get_running_loop()
        limit_ms = DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms
        deadline = loop.time() + limit_ms / 1000
        call = wire_pb2.Call(id=f"{next(self._ids):x}", method=method.path, request=payload, key=key)

        async def attempt() -> bytes:
            link: Link | None = None
            try:
                async with asyncio.timeout_at(deadline):
                    link = await self._usable()
                    if timeout_ms is not None:
                        call.timeout_ms = max(1, round((deadline - loop.time()) * 1000))
                    return await _send(link, call)
            except TimeoutError as error:
                if link is not None:
                    raise Failed(RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over")) from error
                why = self._failure.message if self._failure is not None else f"{self._url} did not answer"
                text = f"there was no connection within {limit_ms} ms: {why}"
                raise Failed(NotCalled(Code.UNAVAILABLE, text)) from error
            except RpcError as error:
                if self._end is not None:
                    raise
                # The next attempt waits for a connection anyway.
                raise Failed(error, at_once=isinstance(error, Lost)) from error

        self._begin()
        repeatable = is_repeatable(method, key)
        return decoded(await repeat(attempt, method, self._retries, deadline, repeatable=repeatable), method)

    async def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """Raises RpcError (unimplemented): the frames carry no streams."""
        raise RpcError(Code.UNIMPLEMENTED, f"{method.path} answers with a stream: call it over HTTP")
        yield method.response()

    @overload
    def pushes(self) -> AsyncGenerator[RawPush | Reload, None]: ...

    @overload
    def pushes(self, kind: type[M], /, *kinds: type[M]) -> AsyncGenerator[Push[M] | Reload, None]: ...

    def pushes(self, *types: type[M]) -> AsyncGenerator[RawPush | Push[M] | Reload, None]:
        """The pushes of these types from this call on, until the transport is closed; those of others are passed over.

        Without types they all come, not decoded. A push is acknowledged when the loop comes back for the next one. The
        one that a loop is left with is not, and comes again. After a loss they go on where they were left off, and what
        the server no longer has is told by a Reload. One loop at a time takes them: a new one ends the one before.

        Raises RpcError when there will be no connection any more, and (internal) for a push that is no message of its
        type, which counts as dealt with.
        """
        self._consumer = mine = object()
        self._inbox.subscribe()
        self._begin()
        self._arrived.set()  # the loop before this one sees that it is over
        return self._take(mine, types)

    async def _take(self, mine: object, types: tuple[type[M], ...]) -> AsyncGenerator[RawPush | Push[M] | Reload, None]:
        by_name = {kind.DESCRIPTOR.full_name: kind for kind in types}
        try:
            while (item := await self._next(mine)) is not None:
                if isinstance(item, Reload) or not types:
                    yield item
                elif item.type in by_name:
                    yield Push(self._decoded(item, by_name[item.type]), item.counter)
                if self._consumer is not mine:
                    return
                self._inbox.done()
                self._acknowledge_soon()
        finally:
            if self._consumer is mine:
                self._consumer = None

    def close(self) -> None:
        """Closes the connection for good: calls under way fail, loops over pushes end."""
        self._closed = True
        self._acknowledge()
        self._finish(RpcError(Code.UNAVAILABLE, "the transport is closed"))
        if self._keeper is not None:
            self._keeper.cancel()

    async def aclose(self) -> None:
        """As `close`, and waits until the server has closed its side, for a second at most."""
        links = [*self._leaving, *([self._link] if self._link is not None else [])]
        self.close()
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(link.gone.wait()) for link in links]
        if self._keeper is not None:
            waiting.append(asyncio.ensure_future(asyncio.gather(self._keeper, return_exceptions=True)))
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=_CLOSE_S)
            for each in late:
                each.cancel()
        for link in links:
            link.abort()

    async def __aenter__(self) -> WebSocketTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # Connections.

    @property
    def _current(self) -> Link | None:
        """The connection that takes new calls."""
        return self._link if self._link is not None and not self._link.over.is_set() else None

    def _begin(self) -> None:
        self._wanted.set()
        if self._keeper is None and self._end is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
            self._keeper.add_done_callback(self._kept)

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        # Without anybody who connects, whoever waits for a connection would wait for nothing.
        if not keeper.cancelled() and (failure := keeper.exception()) is not None:
            self._finish(RpcError(Code.INTERNAL, f"the transport failed: {failure!r}"))

    async def _keep(self) -> None:
        """Sees to it that there is a connection, until `close` or an end that coming back would not change."""
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            try:
                link = await self._open()
            except NotCalled as error:
                self._failure = error
                self._tell()
                await asyncio.sleep(self._backoff.delay_ms(failures) / 1000)
                failures += 1
                continue
            except RpcError as error:
                self._finish(error)
                return
            began = clock()
            await link.over.wait()
            self._link = None
            if isinstance(link.ended, Final):
                self._finish(link.ended)
                return
            self._leaving.add(link)
            self._leaving = {each for each in self._leaving if each.ended is None}
            if link.ended is None or clock() - began >= _SETTLED_S:
                failures = 0
            if link.close_code == CloseCode.IDLE and not self._waiting and self._consumer is None:
                self._wanted.clear()
                await self._wanted.wait()
            await asyncio.sleep(self._backoff.delay_ms(failures) / 1000)
            failures += 1

    async def _open(self) -> Link:
        hello = wire_pb2.Hello(token=self._token, device=self._device, client=self._client)
        dealt = self._inbox.dealt
        if dealt is not None and dealt.epoch:
            hello.resume.epoch, hello.resume.counter = dealt
        return await Link.open(
            self._url,
            hello,
            self._use,
            self._pushed,
            timeout_s=self._connect_timeout_s,
            max_message_bytes=self._max_response_bytes,
            ssl_context=self._ssl_context,
        )

    def _use(self, link: Link) -> None:
        self._failure = None
        self._inbox.welcome(link.position, reload=link.welcome.reload)
        self._link = link
        for old in self._leaving:
            old.finish()
        self._leaving.clear()
        self._tell()
        self._arrived.set()

    def _finish(self, error: RpcError) -> None:
        if self._end is None:
            self._end = error
        for link in (*self._leaving, *([self._link] if self._link is not None else [])):
            link.close()
        self._link = None
        self._leaving.clear()
        self._tell()
        self._arrived.set()

    def _tell(self) -> None:
        """Wakes everybody who waits for a connection, or for word that there is none."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _usable(self) -> Link:
        """The connection for a new call, as soon as there is one."""
        link = self._current
        if link is None and self._waiting >= self._max_waiting:
            text = f"{self._max_waiting} calls are waiting for a connection already"
            raise NotCalled(Code.RESOURCE_EXHAUSTED, text)
        self._waiting += 1
        try:
            while (link := self._current) is None:
                if self._end is not None:
                    raise _again(self._end)
                await self._changed.wait()
        finally:
            self._waiting -= 1
        return link

    # Pushes.

    def _pushed(self, link: Link, push: RawPush) -> None:
        # An old connection is heard until there is another; then they come again on that one.
        if self._link is not None and link is not self._link:
            return
        if self._inbox.add(push):
            self._arrived.set()
        else:
            self._acknowledge_soon()

    async def _next(self, consumer: object) -> RawPush | Reload | None:
        """The next push to deal with; None when the transport was closed, or another loop has taken over."""
        while not self._closed and self._consumer is consumer:
            item = self._inbox.next()
            if item is not None:
                return item
            if self._end is not None:
                raise _again(self._end)
            if self._inbox.is_behind and self._link is not None:
                self._link.leave()
            self._arrived.clear()
            await self._arrived.wait()
        return None

    def _decoded(self, push: RawPush, kind: type[M]) -> M:
        try:
            return kind.FromString(push.payload)
        except DecodeError as error:
            self._inbox.done()
            raise RpcError(Code.INTERNAL, f"a push is no {push.type}") from error

    def _acknowledge_soon(self) -> None:
        if self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(_ACKNOWLEDGE_S, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._acknowledging is not None:
            self._acknowledging.cancel()
            self._acknowledging = None
        if self._link is not None and self._inbox.dealt is not None:
            self._link.acknowledge(self._inbox.dealt)


async def _send(link: Link, call: wire_pb2.Call) -> bytes:
    limit = link.welcome.max_message_bytes
    if limit and len(call.request) > limit:
        raise NotCalled(Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes")
    return await link.call(call)


def _again(error: RpcError) -> RpcError:
    """The same error once more: one that was raised holds the frames of whoever caught it."""
    return type(error)(error.code, error.message)
