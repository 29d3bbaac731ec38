"""Calls a gateway over HTTP in the Connect protocol, on kept-alive connections; what fails is repeated where safe."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from urllib.parse import quote

from google.protobuf.message import DecodeError, Message

from runtime.rpc.client import A, Endpoint, Q, new_key
from runtime.rpc.compression import GZIP, TooLarge, deflate, inflate
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.transports.connect import error_from_json
from runtime.rpc.transports.http_pool import Answer, Pool
from runtime.rpc.transports.http_stream import stream_messages
from runtime.rpc.transports.repeat import DEFAULT_TIMEOUT_MS, Failed, declared, decoded, repeat
from runtime.rpc.transports.retries import Retries, is_repeatable

_MARGIN_S = 1.0
"""The server's own deadline should be the one that is met: its answer says more."""

_MAX_GET_CHARS = 4_096
"""A longer URL would not pass every proxy: such a call is sent as POST."""

_GZIP_MIN_BYTES = 1_024


class HttpTransport:
    """A Transport. `base_url` is `http(s)://host:port`; `token` is sent as a bearer token, `device` as Sun-Device.

    Opens connections as they are needed and keeps up to `max_connections` alive; belongs to one event loop. A call that
    is given up, by a cancellation or its time limit, loses its connection, and so ends on the server.

    A call is repeated within its time limit, as `retries` say, where that is safe: when it has no side effects, is
    declared idempotent or has a key, and whatever it is when the server never began it. With `auto_keys` every call
    with side effects gets a key of its own. With `use_get` calls without side effects are sent as GET, which caches
    between may answer. With `gzip` answers may be compressed and large requests are.
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        device: str = "",
        *,
        retries: Retries | None = None,
        auto_keys: bool = False,
        use_get: bool = False,
        gzip: bool = True,
        max_response_bytes: int = 64 << 20,
        max_connections: int = 100,
        idle_ms: int = 60_000,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Connect-Protocol-Version": "1"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if device:
            self._headers["Sun-Device"] = device
        self._retries = retries or Retries()
        self._auto_keys = auto_keys
        self._use_get = use_get
        self._gzip = gzip
        self._max_response_bytes = max_response_bytes
        self._ssl_context = ssl_context
        self._pool = Pool(
            self._base_url,
            max_connections=max_connections,
            idle_ms=idle_ms,
            max_body_bytes=max_response_bytes,
            ssl_context=ssl_context,
        )

    async def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A:
        """Raises RpcError; the errors that the method declares in their own types."""
        payload = request.SerializeToString()
        if self._auto_keys and not is_repeatable(method, key):
            key = new_key()
        deadline = _deadline(timeout_ms)

        async def attempt() -> bytes:
            target = self._get_target(method, payload)
            if target is not None:
                return await self._exchange("GET", target, "proto", None, "", deadline, timed=timeout_ms is not None)
            target = f"/{method.path}"
            return await self._exchange("POST", target, "proto", payload, key, deadline, timed=timeout_ms is not None)

        repeatable = is_repeatable(method, key)
        return decoded(await repeat(attempt, method, self._retries, deadline, repeatable=repeatable), method)

    async def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """Raises RpcError as `call` does, also between messages. Without `timeout_ms` the server sets the limit.

        A stream is not repeated, and has a connection of its own, which closing the generator closes.
        """
        headers = dict(self._headers)
        limit_s = None
        if timeout_ms is not None:
            headers["Connect-Timeout-Ms"] = str(timeout_ms)
            limit_s = timeout_ms / 1000 + _MARGIN_S
        found = stream_messages(
            f"{self._base_url}/{method.path}",
            headers,
            "proto",
            request.SerializeToString(),
            limit_s,
            self._max_response_bytes,
            self._ssl_context,
        )
        try:
            async with aclosing(found) as messages:
                async for message in messages:
                    yield method.response.FromString(message)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"the answer is no {method.response.DESCRIPTOR.full_name}") from error
        except RpcError as error:
            raise declared(error, method) from error

    async def post(self, path: str, codec: str, payload: bytes, timeout_ms: int | None) -> bytes:
        """One call, sent once, with its messages encoded: `codec` is `proto` or `json`. Raises RpcError."""
        try:
            timed = timeout_ms is not None
            return await self._exchange("POST", f"/{path}", codec, payload, "", _deadline(timeout_ms), timed=timed)
        except Failed as failed:
            raise failed.error from failed

    def close(self) -> None:
        """Calls under way fail with `unavailable`."""
        self._pool.close()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get_target(self, method: Endpoint[Message, Message], payload: bytes) -> str | None:
        """The URL of the call as a GET, where it may be one."""
        if not self._use_get or method.side_effects:
            return None
        message = base64.urlsafe_b64encode(payload).decode().rstrip("=")
        target = f"/{quote(method.path)}?connect=v1&encoding=proto&base64=1&message={message}"
        return target if len(target) <= _MAX_GET_CHARS else None

    async def _exchange(
        self, verb: str, target: str, codec: str, payload: bytes | None, key: str, deadline: float, *, timed: bool
    ) -> bytes:
        headers = self._request_headers(verb, codec, key)
        if timed:
            left_ms = (deadline - asyncio.get_running_loop().time()) * 1000
            headers["Connect-Timeout-Ms"] = str(max(1, round(left_ms)))
        if payload is not None and self._gzip and len(payload) >= _GZIP_MIN_BYTES:
            headers["Content-Encoding"] = GZIP
            payload = deflate(payload)
        try:
            answer = await self._pool.exchange(verb, target, headers, payload, deadline + _MARGIN_S)
            return self._read(answer, codec)
        except RpcError as error:
            raise Failed(error) from error

    def _request_headers(self, verb: str, codec: str, key: str) -> dict[str, str]:
        headers = dict(self._headers)
        if verb == "POST":
            headers["Content-Type"] = f"application/{codec}"
        if self._gzip:
            headers["Accept-Encoding"] = GZIP
        if key:
            headers["Idempotency-Key"] = key
        return headers

    def _read(self, answer: Answer, codec: str) -> bytes:
        body = answer.body
        if answer.headers.get("Content-Encoding", "identity").lower() == GZIP:
            try:
                body = inflate(body, self._max_response_bytes)
            except TooLarge as error:
                text = f"the answer is larger than {self._max_response_bytes} bytes"
                raise RpcError(Code.RESOURCE_EXHAUSTED, text) from error
            except ValueError as error:
                raise RpcError(Code.INTERNAL, f"the answer of {self._base_url} is {error}") from error
        if answer.status != 200:
            hint_ms = _retry_after_ms(answer.headers.get("Retry-After", ""))
            raise Failed(error_from_json(body, answer.status), hint_ms=hint_ms)
        expected = f"application/{codec}"
        if answer.headers.get("Content-Type", "").partition(";")[0] != expected:
            raise RpcError(Code.UNKNOWN, f"{self._base_url} does not answer in {expected}")
        return body


def _deadline(timeout_ms: int | None) -> float:
    return asyncio.get_running_loop().time() + (DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms) / 1000


def _retry_after_ms(value: str) -> float:
    """Seconds as RFC 9110, section 10.2.3, has them; a date is not believed, since clocks differ."""
    return int(value) * 1000.0 if value.isdecimal() and len(value) < 10 else 0.0
