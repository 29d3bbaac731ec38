"""Streams every row of a table in a process of its own, and prints rows a second and the growth of its memory in MiB.

`python -m bench.stream_memory URL ROWS` on a database whose `sun.post` has rows; they are given out as often as ROWS
asks. Run by `bench.sql`.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
import uvloop

from runtime import sql
from runtime.sql.database import connect


class Line(msgspec.Struct, frozen=True, gc=False):
    post_id: int
    user_id: int
    created_ms: int
    likes: int
    text: str


_EVERY = sql.raw(
    "SELECT post.post_id, post.user_id, post.created_ms, post.likes, post.text FROM {sun.post} AS post"
    " CROSS JOIN (SELECT post_id FROM {sun.post} ORDER BY post_id LIMIT 100) AS times",
    into=Line,
)


async def run(url: str, wanted: int) -> tuple[float, float]:
    db = await connect(url)
    try:
        await _read(db.stream(_EVERY), 1_000)  # what the first rows load is no growth
        before, began = peak_mib(), time.perf_counter()
        count = await _read(db.stream(_EVERY), wanted)
        spent = time.perf_counter() - began
        if count < wanted:
            raise LookupError(f"{count} rows came, not {wanted}")
        return count / spent, peak_mib() - before
    finally:
        await db.close()


async def _read(rows: AsyncGenerator[Line, None], wanted: int) -> int:
    count = 0
    async with aclosing(rows):
        async for _ in rows:
            count += 1
            if count >= wanted:
                break
    return count


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    print(*uvloop.run(run(sys.argv[1], int(sys.argv[2]))))
