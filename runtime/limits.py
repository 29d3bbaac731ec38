"""From the configuration to the rate limits of one process; what they do with a call is in runtime/rpc/limits.py."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.config import ConfigError, Settings
from runtime.ids import Clock, wall_clock_ms
from runtime.rpc.limits import Limiter, Observe, Rate
from runtime.rpc.service import Service
from runtime.rpc.sql_token_buckets import SqlTokenBuckets
from runtime.rpc.token_buckets import MemoryTokenBuckets, TokenBuckets
from runtime.sql.database import Runner


def token_buckets(settings: Settings, db: Runner, clock: Clock = wall_clock_ms) -> TokenBuckets | None:
    """Where the tokens of rate limits are kept; None where nothing is limited."""
    match settings.limit_store:
        case "memory":
            return MemoryTokenBuckets()
        case "sql":
            return SqlTokenBuckets(db, clock)
        case "off":
            return None


def limiter(
    settings: Settings,
    services: Sequence[Service],
    buckets: TokenBuckets | None,
    clock: Clock = wall_clock_ms,
    observe: Observe | None = None,
) -> Limiter:
    """The rate limits of these services, with the configured numbers.

    Raises ConfigError for numbers of a limit that no method has.
    """
    known = {limit.name for service in services for method in service.methods for limit in method.limits}
    for name in settings.limits:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"limits.{name} (sun.toml, or SUN_LIMITS): no method has this limit; there are {there}")
    rates = {name: Rate(numbers.tokens, numbers.refill_ms) for name, numbers in settings.limits.items()}
    return Limiter(buckets, rates=rates, clock=clock, observe=observe)
