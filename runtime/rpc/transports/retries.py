"""When a call that failed is tried again, and after how long. Pure: nothing is sent and nobody waits here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from runtime.rpc.client import Endpoint
from runtime.rpc.errors import Code, DeclaredError, NotCalled, RpcError, retry_after_ms

_NOT_BEGUN = frozenset({"sun.Overloaded", "sun.RateLimited"})
"""Errors of the server that say the call was refused before it began; they carry `retry_after_ms`."""


@dataclass(frozen=True)
class Backoff:
    """Full jitter: anything from nothing to a bound that doubles with every failure, up to `max_ms`.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. `choose` gives numbers from 0 to
    1; tests pass their own.
    """

    base_ms: float
    max_ms: float
    choose: Callable[[], float] = random.random

    def delay_ms(self, failures: int) -> float:
        """How long to wait after this many failures in a row, the first of which is 0."""
        # The exponent is bounded: a float has no 2**1024.
        return self.choose() * min(self.max_ms, self.base_ms * 2 ** min(failures, 63))


@dataclass(frozen=True)
class Retries:
    """How often a call is tried, the first time included, and the pauses between."""

    attempts: int = 5
    backoff: Backoff = Backoff(100, 5_000)

    def wait_ms(
        self, error: RpcError, failures: int, left_ms: float, *, repeatable: bool, hint_ms: float = 0
    ) -> float | None:
        """How long to wait before the next attempt, after `failures` of them; None when `error` is the end.

        Only what the server never began is repeated whatever the call is; `repeatable` says that the call may run
        twice, or that its key keeps it from it. `hint_ms` is what the server asked for. A pause that would outlast
        `left_ms`, the rest of the call's time limit, is no use to anybody.
        """
        begun = not isinstance(error, NotCalled) and not _refused(error)
        if error.code is not Code.UNAVAILABLE and not _refused(error):
            return None
        if failures >= self.attempts or (begun and not repeatable):
            return None
        wait_ms = max(self.backoff.delay_ms(failures - 1), hint_ms, retry_after_ms(error))
        return wait_ms if wait_ms < left_ms else None


def is_repeatable(method: Endpoint[Message, Message], key: str) -> bool:
    """Whether running the method twice does no more than running it once."""
    return bool(key) or method.idempotent or not method.side_effects


def _refused(error: RpcError) -> bool:
    return isinstance(error, DeclaredError) and error.type_name in _NOT_BEGUN
