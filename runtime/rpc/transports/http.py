"""Calls a gateway over HTTP in the Connect protocol, one connection a call; retries and keep-alive are not here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient

from runtime.rpc.connect import error_from_json
from runtime.rpc.errors import Code, NotCalled, RpcError, typed
from runtime.rpc.framework_errors import FRAMEWORK_ERRORS
from runtime.rpc.service import Method
from runtime.rpc.settings import MIB
from runtime.rpc.transports.http_stream import stream_messages

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_DEFAULT_TIMEOUT_MS = 30_000
_MARGIN_S = 1.0
"""The server's own deadline should be the one that is met: its answer says more."""


class HttpTransport:
    """A Transport. `base_url` is `http://host:port`; `token` is sent as a bearer token, `device` as Sun-Device."""

    def __init__(
        self,
        base_url: str,
        token: str = "",
        device: str = "",
        *,
        max_response_bytes: int = 64 * MIB,
        max_connections: int = 100,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Connect-Protocol-Version": "1"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if device:
            self._headers["Sun-Device"] = device
        self._max_response_bytes = max_response_bytes
        self._client = SimpleAsyncHTTPClient(
            force_instance=True,
            max_clients=max_connections,
            max_body_size=max_response_bytes,
            max_buffer_size=max_response_bytes,
        )

    async def call(self, method: Method[Q, A], request: Q, timeout_ms: int | None) -> A:
        """Raises RpcError; the errors that the method declares in their own types."""
        try:
            body = await self.post(method.path, "proto", request.SerializeToString(), timeout_ms)
        except RpcError as error:
            raise typed(error, (*method.errors, *FRAMEWORK_ERRORS)) from error
        try:
            return method.response.FromString(body)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"the answer is no {method.response.DESCRIPTOR.full_name}") from error

    async def stream(self, method: Method[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """Raises RpcError as `call` does, also between messages. Without `timeout_ms` the server sets the limit."""
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
        )
        try:
            async with aclosing(found) as messages:
                async for message in messages:
                    yield method.response.FromString(message)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"the answer is no {method.response.DESCRIPTOR.full_name}") from error
        except RpcError as error:
            raise typed(error, (*method.errors, *FRAMEWORK_ERRORS)) from error

    async def post(self, path: str, codec: str, payload: bytes, timeout_ms: int | None) -> bytes:
        """One call with its messages encoded: `codec` is `proto` or `json`. Raises RpcError."""
        headers = {**self._headers, "Content-Type": f"application/{codec}"}
        if timeout_ms is not None:
            headers["Connect-Timeout-Ms"] = str(timeout_ms)
        limit_s = (timeout_ms or _DEFAULT_TIMEOUT_MS) / 1000 + _MARGIN_S
        try:
            response = await self._client.fetch(
                HTTPRequest(
                    f"{self._base_url}/{path}",
                    "POST",
                    headers,
                    payload,
                    connect_timeout=limit_s,
                    request_timeout=limit_s,
                    follow_redirects=False,
                ),
                raise_error=False,
            )
        except HTTPTimeoutError as error:
            raise RpcError(Code.DEADLINE_EXCEEDED, f"{self._base_url} did not answer in {limit_s:g} s") from error
        except (OSError, HTTPStreamClosedError, HTTPClientError) as error:
            raise NotCalled(Code.UNAVAILABLE, f"{self._base_url} can't be reached: {one_line(error)}") from error
        except ValueError as error:
            raise RpcError(Code.INVALID_ARGUMENT, f"{self._base_url}: {one_line(error)}") from error
        if response.code == 599:
            raise NotCalled(Code.UNAVAILABLE, f"{self._base_url} can't be reached: {one_line(response.error)}")
        if response.code != 200:
            raise error_from_json(response.body, response.code)
        expected = f"application/{codec}"
        if response.headers.get("Content-Type", "").partition(";")[0] != expected:
            raise RpcError(Code.UNKNOWN, f"{self._base_url} does not answer in {expected}")
        return response.body

    def close(self) -> None:
        self._client.close()

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def one_line(error: BaseException | None) -> str:
    """An error of the network as one line for people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
