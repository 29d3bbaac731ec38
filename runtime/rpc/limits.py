"""Rate limits at work: whose tokens a call draws, and what becomes of them when it has ended.

Where tokens are kept is settled in token_buckets.py.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from runtime.generated.rpc.sun.errors import RateLimited
from runtime.ids import Clock, wall_clock_ms
from runtime.rpc.errors import Code, RpcError
from runtime.rpc.service import Charge, Limit, Per
from runtime.rpc.token_buckets import Bucket, TokenBuckets

_MOST_KEY_CHARS = 64


class Rate(NamedTuple):
    """What configuration says of a limit instead of its schema; None leaves the schema's number."""

    tokens: int | None = None
    refill_ms: int | None = None


class Origin(NamedTuple):
    """Where a call comes from: its user, None for an anonymous one, its address, and what it says its device is."""

    user_id: int | None
    address: str
    device: str


Observe = Callable[[str, bool], None]
"""Is told of each draw: the limit's name, and whether it was refused."""


class Limiter:
    """Draws the tokens of calls. Without buckets nothing is limited.

    `rates` replaces numbers of the schema by the limit's name. `clock` is the time since 1970 in ms.
    """

    def __init__(
        self,
        buckets: TokenBuckets | None,
        *,
        rates: Mapping[str, Rate] | None = None,
        clock: Clock = wall_clock_ms,
        observe: Observe | None = None,
    ) -> None:
        self._buckets = buckets
        self._rates = rates or {}
        self._clock = clock
        self._observe = observe

    def draws(self, limits: Sequence[Limit], origin: Origin) -> Draws:
        """What one call draws, as a context: the tokens are taken on entry, and settled by how the call ends."""
        return Draws(self, limits, origin) if limits and self._buckets is not None else NO_DRAWS

    async def take(self, limits: Sequence[Limit], origin: Origin, key: str | None) -> list[Bucket]:
        """A token of each limit; which buckets they came from. Raises RateLimited, when nothing was taken."""
        if self._buckets is None or not limits:
            return []
        buckets = [self._bucket(limit, origin, key) for limit in limits]
        refusal = await self._buckets.take(buckets, self._clock())
        if refusal is not None:
            self._tell(refusal.limit, True)
            raise RateLimited(limit=refusal.limit, retry_after_ms=refusal.retry_after_ms)
        for limit in limits:
            self._tell(limit.name, False)
        return buckets

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        """A call turned out to cost nothing."""
        if self._buckets is not None and buckets:
            await self._buckets.give_back(buckets)

    def _tell(self, limit: str, refused: bool) -> None:
        if self._observe is not None:
            self._observe(limit, refused)

    def _bucket(self, limit: Limit, origin: Origin, key: str | None) -> Bucket:
        rate = self._rates.get(limit.name, Rate())
        return Bucket(
            limit.name,
            "\0".join(_part(per, origin, key) for per in limit.per),
            rate.tokens or limit.tokens,
            rate.refill_ms or limit.refill_ms,
        )


class Draws:
    """What one call has drawn. On leaving, it gives back what the call turned out not to cost."""

    __slots__ = ("_limiter", "_limits", "_origin", "_taken")

    def __init__(self, limiter: Limiter | None, limits: Sequence[Limit], origin: Origin) -> None:
        self._limiter = limiter
        self._limits = limits
        self._origin = origin
        self._taken: list[tuple[Limit, Bucket]] = []

    async def __aenter__(self) -> Self:
        """Raises RateLimited."""
        if self._limiter is not None:
            await self._take(self._limiter, [limit for limit in self._limits if Per.KEY not in limit.per], None)
        return self

    async def draw(self, name: str, key: str) -> None:
        """Take a token for `key` from a limit that the method names. Raises RateLimited, and LookupError for others."""
        if self._limiter is None:
            return
        limit = next((limit for limit in self._limits if limit.name == name), None)
        if limit is None or Per.KEY not in limit.per:
            raise LookupError(f"the method draws from no limit {name} per key: name it in the schema")
        await self._take(self._limiter, [limit], key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._limiter is not None and self._taken:
            free = [bucket for limit, bucket in self._taken if _costs_nothing(limit.charge, error)]
            await self._limiter.give_back(free)

    async def _take(self, limiter: Limiter, limits: Sequence[Limit], key: str | None) -> None:
        try:
            self._taken += zip(limits, await limiter.take(limits, self._origin, key), strict=True)
        except RateLimited:
            # A call that is refused costs nothing, of the limits before it neither.
            await limiter.give_back([bucket for _, bucket in self._taken])
            self._taken.clear()
            raise


NO_DRAWS = Draws(None, (), Origin(None, "", ""))
"""Of a call that nothing limits."""


def _costs_nothing(charge: Charge, error: BaseException | None) -> bool:
    match charge:
        case Charge.ALWAYS:
            return False
        case Charge.FAILURES:
            return error is None
        case Charge.SUCCESSES:
            # Refused by a rule or by the handler. One that was cut off, or crashed, may have done its work before.
            cut_off = (Code.CANCELED, Code.DEADLINE_EXCEEDED)
            return isinstance(error, RpcError) and error.code not in cut_off


def _part(per: Per, origin: Origin, key: str | None) -> str:
    """The part of a bucket's key; the letter keeps a device from being called like an address."""
    match per:
        case Per.KEY:
            return f"k{_bounded(key or '')}"
        case Per.USER | Per.CALLER if origin.user_id is not None:
            return f"u{origin.user_id}"
        case Per.DEVICE if origin.device:
            return f"d{_bounded(origin.device)}"
        case _:
            return f"a{network_of(origin.address)}"


def _bounded(text: str) -> str:
    if len(text) <= _MOST_KEY_CHARS and "\0" not in text:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What limits take for one address: an IPv4 address, or the /64 of an IPv6 subscriber (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))
