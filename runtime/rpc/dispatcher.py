"""From a method's path and a request's bytes to the answers' bytes or a coded error, the same for every transport."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import structlog
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

from runtime.metrics import Metrics
from runtime.rpc.bad_request import bad_request
from runtime.rpc.codecs import Codec
from runtime.rpc.context import Authenticator, Context, Identity
from runtime.rpc.deadline import Deadline
from runtime.rpc.errors import Code, DeclaredError, RpcError
from runtime.rpc.framework_errors import FRAMEWORK_ERRORS
from runtime.rpc.metadata import CallMetadata
from runtime.rpc.overload import Shedder, overloaded
from runtime.rpc.redaction import secrets_in, shown, without
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.tracing import Tracer
from runtime.sql.errors import Conflict, Unavailable

UNKNOWN_METHOD = "unknown"
"""What logs and metrics call every method that does not exist, whatever the client called it."""


class BindingError(Exception):
    """The services can't be served; the message has one line for each reason."""


@dataclass(slots=True, eq=False)
class Caller:
    """Who is at the other end of a transport: one for each HTTP request, one for the life of a socket.

    `identity` is what the Authenticator said of `token` at `checked_at` (event loop's clock, seconds). `transport` is a
    word for logs and metrics.
    """

    transport: str
    address: str
    device: str = ""
    token: str = ""
    identity: Identity | None = None
    checked_at: float = float("-inf")

    @property
    def refused(self) -> bool:
        """The Authenticator was asked, and does not know the token (any more)."""
        return bool(self.token) and self.identity is None and self.checked_at > float("-inf")


Send = Callable[[bytes], Awaitable[None]]
"""Sends one message of a stream, and returns when there is room for the next. Raises RpcError when nobody is there."""


class _Bound(NamedTuple):
    method: Method[Any, Any]
    handler: Callable[[Any, Context], Any]


class _Call(NamedTuple):
    path: str
    codec: Codec
    payload: bytes
    caller: Caller
    timeout_ms: int
    call_id: str
    metadata: CallMetadata
    arrived: float | None


def _no_wait() -> float:
    return 0.0


class Dispatcher:
    """Runs calls against service instances.

    `required` are the service bases of the schema; one without an instance is refused, as are two instances of one
    service and a handler that is no coroutine function. Raises BindingError with all of it. Without an authenticator no
    token is known.

    `queued` says for how long (seconds) the first has waited in a line that calls will stand in, such as the one for a
    database's connections. `clock` (seconds) is what arrivals are told in.
    """

    def __init__(
        self,
        services: Sequence[Service],
        authenticator: Authenticator | None,
        *,
        required: Iterable[type[Service]] = (),
        settings: GatewaySettings | None = None,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
        queued: Callable[[], float] = _no_wait,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        limits = settings or GatewaySettings()
        self.metrics = metrics or Metrics()
        self._bound = _bind(services, required)
        self._authenticator = authenticator
        self._default_timeout_ms = limits.default_timeout_ms
        self._max_timeout_ms = limits.max_timeout_ms
        self._max_stream_ms = limits.max_stream_ms
        self._max_calls = limits.max_calls
        self._identity_max_age_s = limits.identity_max_age_ms / 1000
        self._shedder = Shedder(limits.shed_target_ms)
        self._queued = queued
        self._clock = clock
        self._tracer = tracer
        self._log_requests = limits.log_requests
        self._in_flight = 0
        self._running: dict[asyncio.Task[object], str] = {}
        # Bound once: the line of every call is the hottest log line of the process.
        self._log: FilteringBoundLogger = structlog.get_logger().bind()

    @property
    def methods(self) -> Mapping[str, Method[Any, Any]]:
        """Every method served, by path."""
        return {path: bound.method for path, bound in self._bound.items()}

    def method(self, path: str) -> Method[Any, Any] | None:
        """The method at this path, None when none is served there."""
        bound = self._bound.get(path)
        return bound.method if bound is not None else None

    def running(self, task: asyncio.Task[Any] | None) -> str | None:
        """The method that this task runs, None for a task that runs none. Any thread may ask."""
        return None if task is None else self._running.get(task)

    async def identify(self, caller: Caller) -> Identity | None:
        """Who the caller's token belongs to, asked again when the last answer is older than `identity_max_age_ms`.

        Raises RpcError (unavailable, internal) when the Authenticator fails.
        """
        try:
            return await self._identity(caller)
        except Exception as failure:
            raise self._coded(failure, "authenticate", None, lambda: iter((caller.token,))) from failure

    async def call(
        self,
        path: str,
        codec: Codec,
        payload: bytes,
        caller: Caller,
        timeout_ms: int = 0,
        call_id: str = "",
        metadata: CallMetadata | None = None,
        arrived: float | None = None,
    ) -> bytes:
        """The encoded answer. `timeout_ms` 0 stands for the server's default; longer ones than its maximum are cut.

        `arrived` is when the request was there (the dispatcher's clock, by default time.perf_counter): what it has
        waited since then counts.

        Raises RpcError for everything that goes wrong; asyncio.CancelledError only when the calling task is cancelled.
        """
        return await self._run(
            _Call(path, codec, payload, caller, timeout_ms, call_id, metadata or CallMetadata(), arrived), None
        )

    async def stream(
        self,
        path: str,
        codec: Codec,
        payload: bytes,
        caller: Caller,
        send: Send,
        timeout_ms: int = 0,
        call_id: str = "",
        metadata: CallMetadata | None = None,
        arrived: float | None = None,
    ) -> None:
        """Sends the encoded messages one by one; the handler goes on when `send` returns.

        However it ends, the handler's generator is closed. Raises as `call` does, also after messages were sent.
        """
        await self._run(
            _Call(path, codec, payload, caller, timeout_ms, call_id, metadata or CallMetadata(), arrived), send
        )

    async def _run(self, call: _Call, send: Send | None) -> bytes:
        """The encoded answer; none when the messages go to `send`."""
        path, caller = call.path, call.caller
        loop = asyncio.get_running_loop()
        # Not the loop's clock, which stands still for a turn of the loop and tells milliseconds only on uvloop.
        began = self._clock()
        arrived = began if call.arrived is None else call.arrived
        bound = self._bound.get(path)
        name = path if bound is not None else UNKNOWN_METHOD
        result = "ok"
        task = cast("asyncio.Task[object]", asyncio.current_task())
        outer = self._running.get(task)
        self._running[task] = name
        self._in_flight += 1
        span = None if self._tracer is None else self._tracer.begin(name, caller.transport, call.metadata)
        try:
            if bound is None:
                raise RpcError(Code.UNIMPLEMENTED, "this server has no such method")
            if bound.method.server_streaming and send is None:
                raise RpcError(Code.UNIMPLEMENTED, "the method answers with a stream: call it over HTTP")
            if send is not None and not bound.method.server_streaming:
                raise RpcError(Code.UNIMPLEMENTED, "the method answers with one message, not with a stream")
            waited = began - arrived
            if self._in_flight > self._max_calls or self._shedder.refuses(max(waited, self._queued()), began):
                self.metrics.refused.inc()
                raise overloaded()
            remaining = self._limit_ms(call.timeout_ms, send is not None) / 1000 - waited
            if remaining <= 0:
                raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call was over before it began")
            deadline = loop.time() + remaining
            watch = Deadline(loop, task, deadline)
            try:
                if send is None:
                    return await self._answer(bound, call, deadline)
                await self._send_all(bound, call, deadline, send)
                return b""
            except asyncio.CancelledError as failure:
                if watch.close():
                    raise RpcError(Code.DEADLINE_EXCEEDED, "the time limit of the call is over") from failure
                if task.cancelling():
                    raise
                # Nobody gave this call up: the handler awaited something that was cancelled elsewhere.
                raise RpcError(Code.CANCELED, "the call was canceled") from failure
            finally:
                watch.close()
        except asyncio.CancelledError:
            result = Code.CANCELED.text
            raise
        except Exception as failure:
            error = self._coded(failure, name, bound, lambda: _secrets(bound, call))
            result = error.code.text
            if error is failure:
                raise
            raise error from failure
        finally:
            self._in_flight -= 1
            if outer is None:
                del self._running[task]
            else:
                self._running[task] = outer
            seconds = self._clock() - arrived
            identity = caller.identity
            self.metrics.call_finished(name, result, caller.transport, seconds)
            self._log.info(
                "rpc",
                method=name,
                result=result,
                ms=round(seconds * 1000, 2),
                user_id=identity.user_id if identity is not None else None,
                transport=caller.transport,
                call_id=call.call_id,
            )
            if span is not None:
                span.end(result)

    def _limit_ms(self, asked_ms: int, streams: bool) -> int:
        if streams:
            return min(asked_ms or self._max_stream_ms, self._max_stream_ms)
        return min(asked_ms or self._default_timeout_ms, self._max_timeout_ms)

    async def _answer(self, bound: _Bound, call: _Call, deadline: float) -> bytes:
        request, context = await self._admit(bound.method, call, deadline)
        return _encoded(bound.method, call.codec, await bound.handler(request, context))

    async def _send_all(self, bound: _Bound, call: _Call, deadline: float, send: Send) -> None:
        request, context = await self._admit(bound.method, call, deadline)
        async with aclosing(bound.handler(request, context)) as messages:
            async for message in messages:
                await send(_encoded(bound.method, call.codec, message))

    async def _admit(self, method: Method[Any, Any], call: _Call, deadline: float) -> tuple[Message, Context]:
        """The request and its context, once the caller may call and the request keeps its rules."""
        caller = call.caller
        identity = await self._identity(caller) if caller.token else None
        if method.callers is not Callers.ANYONE:
            if identity is None:
                reason = "the session is unknown or has ended; sign in again" if caller.token else "sign in first"
                raise RpcError(Code.UNAUTHENTICATED, reason)
            if method.callers is Callers.ADMIN and not identity.is_admin:
                raise RpcError(Code.PERMISSION_DENIED, "only for administrators")
        request = call.codec.decode(method.request, call.payload)
        if self._log_requests:
            self._log.debug("request", method=method.path, call_id=call.call_id, fields=shown(request))
        if method.check is not None:
            violations = method.check(request)
            if violations:
                raise bad_request(violations)
        context = Context(method.path, identity, caller.address, caller.device, deadline, call.call_id, call.metadata)
        return request, context

    async def _identity(self, caller: Caller) -> Identity | None:
        now = asyncio.get_running_loop().time()
        if caller.token and now - caller.checked_at >= self._identity_max_age_s:
            if self._authenticator is not None:
                caller.identity = await self._authenticator.authenticate(caller.token)
            caller.checked_at = now
        return caller.identity

    def _coded(
        self, failure: Exception, name: str, bound: _Bound | None, known: Callable[[], Iterator[str]]
    ) -> RpcError:
        """What the caller is told of a failure; what he must not see goes to the log, but for the call's secrets."""
        if isinstance(failure, RpcError):
            if bound is not None and isinstance(failure, DeclaredError):
                declared = (*bound.method.errors, *FRAMEWORK_ERRORS)
                if type(failure) not in declared:
                    self._log.warning("undeclared error", method=name, error=failure.type_name)
            return failure
        if isinstance(failure, Unavailable):
            self._log.warning("database unavailable", method=name, error=str(failure))
            return RpcError(Code.UNAVAILABLE, "the database can't do this now; try again")
        if isinstance(failure, Conflict):
            self._log.warning("transaction conflict", method=name, error=str(failure))
            return RpcError(Code.ABORTED, "the transaction met another one; try again")
        error_id = secrets.token_hex(6)
        text = without("".join(traceback.format_exception(failure)), known()).rstrip()
        self._log.error("call failed", method=name, error_id=error_id, exception=text)
        return RpcError(Code.INTERNAL, f"internal error {error_id}")


def _secrets(bound: _Bound | None, call: _Call) -> Iterator[str]:
    """What no log may repeat of a call."""
    yield call.caller.token
    if bound is not None:
        try:
            request = call.codec.decode(bound.method.request, call.payload)
        except RpcError:
            return  # what can't be read was not given to a handler
        yield from secrets_in(request)


def _encoded(method: Method[Any, Any], codec: Codec, answer: object) -> bytes:
    if not isinstance(answer, method.response):
        raise TypeError(f"{method.path}: the handler gave {type(answer).__name__}, not {method.response.__name__}")
    return codec.encode(cast(Message, answer))


def _bind(services: Sequence[Service], required: Iterable[type[Service]]) -> dict[str, _Bound]:
    problems: list[str] = []
    bound: dict[str, _Bound] = {}
    by_name: dict[str, Service] = {}
    for service in services:
        first = by_name.setdefault(service.service_name, service)
        if first is not service:
            problems.append(
                f"{service.service_name}: two handlers, {type(first).__qualname__} and {type(service).__qualname__}"
            )
            continue
        for method in service.methods:
            handler = getattr(service, method.attribute)
            name = f"{type(service).__qualname__}.{method.attribute}"
            if method.server_streaming and not inspect.isasyncgenfunction(handler):
                problems.append(f"{name}: must be an async generator: an async method that yields")
            if not method.server_streaming and not inspect.iscoroutinefunction(handler):
                problems.append(f"{name}: must be an async method")
            bound[method.path] = _Bound(method, handler)
    problems.extend(f"{base.service_name}: no handler" for base in required if base.service_name not in by_name)
    if problems:
        raise BindingError("\n".join(problems))
    return bound
