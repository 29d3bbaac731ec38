"""What generated clients stand on: calls as values, their synchronous twins, and the transports that run them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Generator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from runtime.rpc.errors import DeclaredError

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
Q_co = TypeVar("Q_co", bound=Message, covariant=True)
A_co = TypeVar("A_co", bound=Message, covariant=True)


class Endpoint(Protocol[Q_co, A_co]):
    """What a transport has to know of a method."""

    @property
    def path(self) -> str: ...
    @property
    def request(self) -> type[Q_co]: ...
    @property
    def response(self) -> type[A_co]: ...
    @property
    def errors(self) -> tuple[type[DeclaredError], ...]: ...
    @property
    def side_effects(self) -> bool: ...
    @property
    def idempotent(self) -> bool: ...


class Transport(Protocol):
    """Runs calls. Raises RpcError, and its declared subclasses for the errors that the method declares.

    `timeout_ms` None stands for the transport's own limit. With a `key` (see `new_key`) the call may be repeated.
    """

    async def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A: ...

    def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """The messages of a method that returns a stream. Closing the generator ends the call on the server."""
        ...


class SyncTransport(Protocol):
    """A Transport for code without an event loop: `call` blocks until the answer is there."""

    def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A: ...

    def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> Generator[A, None, None]: ...


class Call(Generic[A]):
    """One call that has not run yet: `await` it to run it, each time anew."""

    __slots__ = ("_key", "_method", "_request", "_timeout_ms", "_transport")

    def __init__(
        self, transport: Transport, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = ""
    ) -> None:
        self._transport = transport
        self._method: Endpoint[Any, A] = method
        self._request: Message = request
        self._timeout_ms = timeout_ms
        self._key = key

    def __await__(self) -> Generator[Any, None, A]:
        return self._transport.call(self._method, self._request, self._timeout_ms, self._key).__await__()


class Stream(Generic[A]):
    """A call that answers with a stream and has not run yet: `async for` runs it, each time anew.

    What is left before its end is closed by the event loop some time later; `async with aclosing(aiter(stream))` closes
    it at once.
    """

    __slots__ = ("_method", "_request", "_timeout_ms", "_transport")

    def __init__(self, transport: Transport, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> None:
        self._transport = transport
        self._method: Endpoint[Any, A] = method
        self._request: Message = request
        self._timeout_ms = timeout_ms

    def __aiter__(self) -> AsyncGenerator[A, None]:
        return self._transport.stream(self._method, self._request, self._timeout_ms)


class Client:
    """Base of the generated clients for asyncio."""

    service_name: ClassVar[str]

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class SyncClient:
    """Base of the generated synchronous clients. Threads may share one, when they may share its transport."""

    service_name: ClassVar[str]

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport


def new_key() -> str:
    """A key for one call with side effects, which makes it safe to repeat: the server runs it once.

    The caller who gives up and tries again later passes the same key again, and gets the result of the first run.
    """
    return secrets.token_urlsafe(24)
