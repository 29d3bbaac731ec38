"""From a method's path and a request's bytes to the answers' bytes or a coded error, the same for every transport."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import structlog
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

from runtime.metrics import Metrics
from runtime.rpc.attempts import Attempts, attempt
from runtime.rpc.bad_request import bad_request
from runtime.rpc.codecs import Codec
from runtime.rpc.context import Authenticator, Context, Identity
from runtime.rpc.deadline import Deadline
from runtime.rpc.errors import Code, DeclaredError, RpcError
from runtime.rpc.framework_errors import FRAMEWORK_ERRORS
from runtime.rpc.limits import NO_DRAWS, Draws, Limiter, Origin
from runtime.rpc.metadata import CallMetadata
from runtime.rpc.overload import Shedder, overloaded
from runtime.rpc.redaction import secrets_in, shown, without
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from runtime.rpc.token_buckets import MemoryTokenBuckets
from runtime.rpc.tracing import Tracer
from runtime.sql.errors import Conflict, SqlError, Unavailable
from runtime.sql.waiting import uninterrupted

UNKNOWN_METHOD = "unknown"
"""What logs and metrics call every method that does not exist, whatever the client called it."""

_MOST_WARNINGS = 1_000
"""Pairs of deprecated method and client program: clients may call themselves anything."""
_MOST_CLIENT_CHARS = 100


class BindingError(Exception):
    """The services can't be served; the message has one line for each reason."""


@dataclass(slots=True, eq=False)
class Caller:
    """Who is at the other end of a transport: one for each HTTP request, one for the life of a socket.

    `identity` is what the Authenticator said of `token` at `checked_at` (event loop's clock, seconds). `transport` is a
    word for logs and metrics, `client` what the client program calls itself.
    """

    transport: str
    address: str
    device: str = ""
    token: str = ""
    client: str = ""
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

    def limit_ms(self, asked_ms: int, default_ms: int, most_ms: int) -> int:
        """The time limit of a call, of what its client, its method and the server (`default_ms`, `most_ms`) say."""
        method = self.method
        asked = asked_ms or method.timeout_ms or default_ms
        return min(asked, method.max_timeout_ms or most_ms, most_ms)


class _Call(NamedTuple):
    path: str
    codec: Codec
    payload: bytes
    caller: Caller
    timeout_ms: int
    call_id: str
    metadata: CallMetadata
    arrived: float | None = None
    key: str = ""
    received: Callable[[], object] | None = None


def _no_wait() -> float:
    return 0.0


class Dispatcher:
    """Runs calls against service instances.

    `required` are the service bases of the schema; one without an instance is refused, as are two instances of one
    service and a handler that is no coroutine function. Raises BindingError with all of it. Without an authenticator no
    token is known; without `attempts`, keys of calls mean nothing; without a limiter, the rate limits of the schema
    hold in this process's memory.

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
        attempts: Attempts | None = None,
        limiter: Limiter | None = None,
        tracer: Tracer | None = None,
        queued: Callable[[], float] = _no_wait,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        limits = settings or GatewaySettings()
        self.metrics = metrics or Metrics()
        self._limiter = limiter or Limiter(MemoryTokenBuckets(), observe=self.metrics.limit_drawn)
        self._warned: set[tuple[str, str]] = set()
        self._bound = _bind(services, required)
        self._authenticator = authenticator
        self._attempts = attempts
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
        key: str = "",
        received: Callable[[], object] | None = None,
    ) -> bytes:
        """The encoded answer. `timeout_ms` 0 stands for the server's default; longer ones than its maximum are cut.

        `arrived` is when the request was there (the dispatcher's clock, by default time.perf_counter): what it has
        waited since then counts. A `key` makes a call with side effects safe to repeat (see `attempts`); `received` is
        called once its first attempt is noted.

        Raises RpcError for everything that goes wrong; asyncio.CancelledError only when the calling task is cancelled.
        """
        known = metadata or CallMetadata()
        return await self._run(
            _Call(path, codec, payload, caller, timeout_ms, call_id, known, arrived, key, received), None
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
            remaining = self._limit_ms(bound, call.timeout_ms) / 1000 - waited
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

    def _limit_ms(self, bound: _Bound, asked_ms: int) -> int:
        if bound.method.server_streaming:
            return bound.limit_ms(asked_ms, self._max_stream_ms, self._max_stream_ms)
        return bound.limit_ms(asked_ms, self._default_timeout_ms, self._max_timeout_ms)

    async def _answer(self, bound: _Bound, call: _Call, deadline: float) -> bytes:
        identity = await self._let_in(bound.method, call)
        if call.key and self._attempts is not None and bound.method.side_effects and not bound.method.idempotent:
            return await self._attempt(self._attempts, bound, call, identity, deadline)
        if not bound.method.limits:
            request, context = self._prepare(bound.method, call, identity, NO_DRAWS, deadline)
            return _encoded(bound.method, call.codec, await bound.handler(request, context))
        async with self._draws(bound.method, call.caller, identity) as draws:
            request, context = self._prepare(bound.method, call, identity, draws, deadline)
            return _encoded(bound.method, call.codec, await bound.handler(request, context))

    async def _attempt(
        self, attempts: Attempts, bound: _Bound, call: _Call, identity: Identity | None, deadline: float
    ) -> bytes:
        """The answer of this attempt, or of the one that was first. What is only asked for again costs no token."""
        method = bound.method
        try:
            request, context = self._prepare(method, call, identity, NO_DRAWS, deadline)
            scope = identity.user_id if identity is not None else 0
            this = attempt(scope, call.key, method.path, request)
        except RpcError:
            async with self._draws(method, call.caller, identity):
                raise
        remaining_s = deadline - asyncio.get_running_loop().time()
        first = await attempts.begin(this, max(0, round(remaining_s * 1000)))
        if first is not None:
            return call.codec.encode(method.response.FromString(first))
        if call.received is not None:
            call.received()
        try:
            async with self._draws(method, call.caller, identity) as draws:
                answer = await bound.handler(request, replace(context, draws=draws))
                encoded = _encoded(method, call.codec, answer)
        except BaseException as failure:
            undone = RpcError(Code.ABORTED, "") if isinstance(failure, Conflict) else None
            error = failure if isinstance(failure, RpcError) else undone
            await self._noted(attempts.fail(this, error), method)
            raise
        await self._noted(attempts.succeed(this, cast(Message, answer).SerializeToString()), method)
        return encoded

    async def _noted(self, noting: Coroutine[Any, Any, None], method: Method[Any, Any]) -> None:
        """Notes how an attempt ended, also when its caller is gone. A failure concerns later attempts, not this one."""
        try:
            await uninterrupted(noting)
        except SqlError as error:
            self._log.warning("the end of an attempt can't be noted", method=method.path, error=str(error))

    async def _send_all(self, bound: _Bound, call: _Call, deadline: float, send: Send) -> None:
        identity = await self._let_in(bound.method, call)
        async with self._draws(bound.method, call.caller, identity) as draws:
            request, context = self._prepare(bound.method, call, identity, draws, deadline)
            async with aclosing(bound.handler(request, context)) as messages:
                async for message in messages:
                    # A session that has ended ends what it listens to, though the call began before.
                    if context.identity is not None and await self._identity(call.caller) is None:
                        raise RpcError(Code.UNAUTHENTICATED, "the session has ended")
                    await send(_encoded(bound.method, call.codec, message))

    async def _let_in(self, method: Method[Any, Any], call: _Call) -> Identity | None:
        """Who calls, once it is settled that the method is for them."""
        caller = call.caller
        if method.deprecated:
            self._warn(method, call)
        identity = await self._identity(caller) if caller.token else None
        if method.callers is not Callers.ANYONE:
            if identity is None:
                reason = "the session is unknown or has ended; sign in again" if caller.token else "sign in first"
                raise RpcError(Code.UNAUTHENTICATED, reason)
            if method.callers is Callers.ADMIN and not identity.is_admin:
                raise RpcError(Code.PERMISSION_DENIED, "only for administrators")
        return identity

    def _prepare(
        self, method: Method[Any, Any], call: _Call, identity: Identity | None, draws: Draws, deadline: float
    ) -> tuple[Message, Context]:
        """The request, which keeps its rules, and its context."""
        most = method.max_request_bytes
        if most and len(call.payload) > most:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"the request is larger than {most} bytes")
        request = call.codec.decode(method.request, call.payload)
        if self._log_requests:
            self._log.debug("request", method=method.path, call_id=call.call_id, fields=shown(request))
        if method.check is not None:
            violations = method.check(request)
            if violations:
                raise bad_request(violations)
        caller = call.caller
        context = Context(
            method.path, identity, caller.address, caller.device, deadline, call.call_id, call.metadata, draws
        )
        return request, context

    def _draws(self, method: Method[Any, Any], caller: Caller, identity: Identity | None) -> Draws:
        if not method.limits:
            return NO_DRAWS
        user_id = identity.user_id if identity is not None else None
        return self._limiter.draws(method.limits, Origin(user_id, caller.address, caller.device))

    def _warn(self, method: Method[Any, Any], call: _Call) -> None:
        """Says that a method is deprecated: to its client by RFC 9745, to the log once for each client program."""
        if method.deprecated_since_s:
            call.metadata.headers.set("deprecation", f"@{method.deprecated_since_s}")
        # Whatever it calls itself, it stays on its line of the log.
        client = call.caller.client[:_MOST_CLIENT_CHARS].encode("unicode_escape").decode()
        if (method.path, client) not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add((method.path, client))
            self._log.warning("deprecated method", method=method.path, client=client)

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
            declared = () if bound is None else (*bound.method.errors, *FRAMEWORK_ERRORS)
            if bound is not None and isinstance(failure, DeclaredError) and type(failure) not in declared:
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
