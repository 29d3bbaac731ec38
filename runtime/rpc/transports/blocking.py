"""Any asyncio transport for code without an event loop: a thread of its own runs one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast, overload

from google.protobuf.message import Message

from runtime.rpc.client import A, Endpoint, Q, Transport
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.pushes import Push, RawPush, Reload
from runtime.rpc.transports.websocket import WebSocketTransport

T = TypeVar("T")
M = TypeVar("M", bound=Message)


_CLOSE_S = 1.0


class _Closing(Transport, Protocol):
    async def aclose(self) -> None: ...


class BlockingTransport:
    """A SyncTransport over `inner`, an HttpTransport or a WebSocketTransport that nothing else uses.

    Threads may share it: their calls run at once, on the connections that `inner` has. The thread of the event loop
    starts with the first call and ends with `close`; it keeps no program from ending. What interrupts a thread that
    waits, such as KeyboardInterrupt, gives its call up. Calls made after `close` raise NotCalled (unavailable).
    """

    def __init__(self, inner: _Closing) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A:
        """Blocks until the answer is there. Raises what the inner transport does."""
        return self._run(self._inner.call(method, request, timeout_ms, key))

    def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> Generator[A, None, None]:
        """The messages one by one. Closing the generator, or leaving its loop, ends the call on the server."""
        return self._iterate(self._inner.stream(method, request, timeout_ms))

    @overload
    def pushes(self) -> Generator[RawPush | Reload, None, None]: ...

    @overload
    def pushes(self, kind: type[M], /, *kinds: type[M]) -> Generator[Push[M] | Reload, None, None]: ...

    def pushes(self, *kinds: type[M]) -> Generator[RawPush | Push[M] | Reload, None, None]:
        """The pushes of the user, as the WebSocketTransport gives them. Raises TypeError over another transport."""
        inner = self._inner
        if not isinstance(inner, WebSocketTransport):
            raise TypeError(f"{type(inner).__name__} carries no pushes")

        async def begin() -> AsyncGenerator[RawPush | Push[M] | Reload, None]:
            return inner.pushes(*kinds)

        return self._iterate(self._run(begin()))

    def close(self) -> None:
        """Calls under way fail with `unavailable`."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is None or self._thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()

    def __enter__(self) -> BlockingTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _iterate(self, found: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        try:
            while True:
                try:
                    item = self._run(anext(found))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._closed:
                self._run(found.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            loop = self._started()
            if loop is None:
                work.close()
                raise NotCalled(Code.UNAVAILABLE, "the transport is closed")
            future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except CancelledError as error:
            raise RpcError(Code.UNAVAILABLE, "the transport was closed: the call may have happened") from error
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop | None:
        if self._loop is None and not self._closed:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop, self._inner), name="sun client", daemon=True
            )
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop, inner: _Closing) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_wind_up(inner))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _wind_up(inner: _Closing) -> None:
    """Closes the transport, and lets what still runs hear of it."""
    await inner.aclose()
    left = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
    if left:
        _, late = await asyncio.wait(left, timeout=_CLOSE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
