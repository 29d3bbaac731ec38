"""Runs a call until it is answered, its time is over, or trying again would not be safe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from google.protobuf.message import DecodeError, Message

from runtime.rpc.client import A, Endpoint
from runtime.rpc.errors import Code, RpcError, typed
from runtime.rpc.framework_errors import FRAMEWORK_ERRORS
from runtime.rpc.transports.retries import Retries

DEFAULT_TIMEOUT_MS = 30_000
"""The time limit of a call whose caller sets none."""


class Failed(Exception):
    """One attempt failed. `hint_ms` is when the answer said to come back, `at_once` that nothing is won by waiting."""

    def __init__(self, error: RpcError, *, hint_ms: float = 0, at_once: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.hint_ms = hint_ms
        self.at_once = at_once


async def repeat(
    attempt: Callable[[], Awaitable[bytes]],
    method: Endpoint[Message, Message],
    retries: Retries,
    deadline: float,
    *,
    repeatable: bool,
) -> bytes:
    """What the first attempt gives that does not fail. An attempt raises Failed; this raises its RpcError, typed.

    What else an attempt raises ends the call at once.

    `deadline` is on the event loop's clock (seconds).
    """
    clock = asyncio.get_running_loop().time
    failures = 0
    while True:
        try:
            return await attempt()
        except Failed as failed:
            error, hint_ms, at_once = declared(failed.error, method), failed.hint_ms, failed.at_once
        failures += 1
        left_ms = (deadline - clock()) * 1000
        wait_ms = retries.wait_ms(error, failures, left_ms, repeatable=repeatable, hint_ms=hint_ms)
        if wait_ms is None:
            raise error
        if not at_once:
            await asyncio.sleep(wait_ms / 1000)


def declared(error: RpcError, method: Endpoint[Message, Message]) -> RpcError:
    """The error in its own type, where the method or the framework declares one."""
    known: Iterable[type] = (*method.errors, *FRAMEWORK_ERRORS)
    try:
        return typed(error, known)
    except DecodeError:
        return RpcError(error.code, error.message)


def decoded(payload: bytes, method: Endpoint[Message, A]) -> A:
    """The answer. Raises RpcError (internal) for bytes that are none."""
    try:
        return method.response.FromString(payload)
    except DecodeError as error:
        raise RpcError(Code.INTERNAL, f"the answer is no {method.response.DESCRIPTOR.full_name}") from error
