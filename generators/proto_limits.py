"""Whether the limits of a schema make sense, and whether those that methods name are there. Draws no tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from generators import ir

MOST_TOKENS = 1_000_000
MOST_REFILL_MS = 31 * 24 * 3_600_000

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MOST_NAME = 64


def check_limit(limit: ir.Limit) -> Iterator[tuple[str, str]]:
    """The field of each value that makes no sense, and why."""
    if not limit.name:
        yield "limit", "the limit has no name: methods name what they draw from"
        return
    if not _NAME.fullmatch(limit.name) or len(limit.name) > _MOST_NAME:
        rule = f"use lower case, digits and single underscores, at most {_MOST_NAME}"
        yield limit.name, f"{limit.name!r} is no name of a limit: {rule}"
    if not 1 <= limit.tokens <= MOST_TOKENS:
        yield "tokens", f"limit {limit.name} has {limit.tokens} tokens: a bucket holds 1 to {MOST_TOKENS}"
    if not 1 <= limit.refill_ms <= MOST_REFILL_MS:
        text = f"a bucket of limit {limit.name} fills in {limit.refill_ms} ms: use 1 to {MOST_REFILL_MS} (31 days)"
        yield "refill_ms", text
    if not limit.per or "unspecified" in limit.per:
        yield "per", f"limit {limit.name} does not say whose calls share a bucket: add `per: PER_USER`"
    for each in sorted(set(limit.per)):
        if limit.per.count(each) > 1:
            yield f"PER_{each.upper()}", f"limit {limit.name} names {each} twice"
    if "caller" in limit.per and {"user", "address"}.intersection(limit.per):
        text = f"limit {limit.name}: the caller is the user or the address already: use PER_CALLER alone, or the others"
        yield "PER_CALLER", text


def check_method(
    method: ir.Method, declared: Mapping[str, ir.Limit], *, complete: bool
) -> Iterator[tuple[str, str, str]]:
    """The name, code and reason of each limit that the method can't draw from.

    Without all files (`complete`) an unknown name proves nothing.
    """
    for name in method.limits:
        limit = declared.get(name)
        if limit is None:
            if complete:
                text = f"no limit {name}: declare it in a file with `option (sun.limit)`{_known(declared)}"
                yield name, "unknown-limit", text
        elif "user" in limit.per and method.callers == "anyone":
            text = f"anyone may call {method.name}, also without a user, and limit {name} is per user: use PER_CALLER"
            yield name, "bad-limit", text


def duplicates(limits: Sequence[ir.Limit]) -> Iterator[tuple[ir.Limit, ir.Limit]]:
    """Each limit whose name another one before it has, with that one."""
    first: dict[str, ir.Limit] = {}
    for limit in limits:
        other = first.setdefault(limit.name, limit)
        if other is not limit:
            yield limit, other


def _known(declared: Mapping[str, ir.Limit]) -> str:
    names = ", ".join(sorted(filter(None, declared)))
    return f"; there are {names}" if names else ""
