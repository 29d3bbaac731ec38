"""When a call is tried again: the rules, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.generated.rpc.sun.errors import Overloaded, RateLimited
from runtime.rpc.errors import Code, NotCalled, RpcError
from runtime.rpc.transports.retries import Backoff, Retries, is_repeatable
from tests.rpc.gateways import ECHO, LOOK, method

POLICY = Retries(attempts=3, backoff=Backoff(100, 1_000, choose=lambda: 1.0))


def test_full_jitter_is_anything_up_to_a_bound_that_doubles() -> None:
    highest = Backoff(100, 1_000, choose=lambda: 1.0)
    assert [highest.delay_ms(failures) for failures in range(6)] == [100, 200, 400, 800, 1_000, 1_000]
    assert highest.delay_ms(10**6) == 1_000
    assert Backoff(100, 1_000, choose=lambda: 0.0).delay_ms(5) == 0
    assert Backoff(100, 1_000, choose=lambda: 0.25).delay_ms(2) == 100


@pytest.mark.parametrize(
    ("error", "repeatable", "expected"),
    [
        (RpcError(Code.UNAVAILABLE, ""), True, 100),
        (RpcError(Code.UNAVAILABLE, ""), False, None),
        (NotCalled(Code.UNAVAILABLE, ""), False, 100),
        (NotCalled(Code.INVALID_ARGUMENT, ""), True, None),
        (RpcError(Code.INTERNAL, ""), True, None),
        (RpcError(Code.DEADLINE_EXCEEDED, ""), True, None),
        (RpcError(Code.ABORTED, ""), True, None),
        (Overloaded(retry_after_ms=700), False, 700),
        (Overloaded(retry_after_ms=7), True, 100),
        (RateLimited(limit="posts", retry_after_ms=300), False, 300),
        (RateLimited(limit="posts", retry_after_ms=60_000), True, None),
    ],
)
def test_what_is_tried_again_and_when(error: RpcError, repeatable: bool, expected: float | None) -> None:
    assert POLICY.wait_ms(error, 1, 30_000, repeatable=repeatable) == expected


def test_a_pause_is_no_shorter_than_asked_and_no_longer_than_the_call() -> None:
    lost = RpcError(Code.UNAVAILABLE, "")
    assert POLICY.wait_ms(lost, 1, 30_000, repeatable=True, hint_ms=2_000) == 2_000
    assert POLICY.wait_ms(lost, 1, 1_999, repeatable=True, hint_ms=2_000) is None
    assert POLICY.wait_ms(lost, 2, 30_000, repeatable=True) == 200
    assert POLICY.wait_ms(lost, 3, 30_000, repeatable=True) is None


@given(
    st.sampled_from(Code),
    st.booleans(),
    st.integers(1, 10),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.booleans(),
    st.floats(0, 1),
)
def test_what_may_have_run_is_never_run_again_unless_that_is_safe(
    code: Code, called: bool, failures: int, left_ms: float, hint_ms: float, repeatable: bool, chosen: float
) -> None:
    error = RpcError(code, "") if called else NotCalled(code, "")
    policy = Retries(attempts=4, backoff=Backoff(100, 1_000, choose=lambda: chosen))
    wait_ms = policy.wait_ms(error, failures, left_ms, repeatable=repeatable, hint_ms=hint_ms)
    if wait_ms is not None:
        assert repeatable or not called
        assert failures < 4
        assert hint_ms <= wait_ms < left_ms


def test_what_is_repeatable() -> None:
    assert is_repeatable(LOOK, "")
    assert is_repeatable(method("Put", idempotent=True), "")
    assert is_repeatable(ECHO, "0123456789abcdef")
    assert not is_repeatable(ECHO, "")
