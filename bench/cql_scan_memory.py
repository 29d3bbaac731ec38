"""Scans every row of sun_msg.message in a process of its own, and prints rows a second and the growth of its memory in
MiB.

`python -m bench.cql_scan_memory URL ROWS`; LookupError where the table has not ROWS rows. Run by `bench.cql`.
"""

from __future__ import annotations

import sys
import time
from contextlib import aclosing

import uvloop

from bench.stream_memory import peak_mib
from generated.cql.sun_msg import MessageDao
from runtime.cql.database import Database, connect

_FIRST = 10_000
"""Rows of several pages: what these load is no growth."""


async def run(url: str, wanted: int) -> tuple[float, float]:
    db = await connect(url)
    try:
        await _read(db, _FIRST)
        before, began = peak_mib(), time.perf_counter()
        count = await _read(db, None)
        spent = time.perf_counter() - began
        if count != wanted:
            raise LookupError(f"{count} rows came, not {wanted}")
        return count / spent, peak_mib() - before
    finally:
        await db.close()


async def _read(db: Database, most: int | None) -> int:
    count = 0
    async with aclosing(aiter(db.stream(MessageDao.scan()))) as rows:
        async for _ in rows:
            count += 1
            if count == most:
                break
    return count


if __name__ == "__main__":
    print(*uvloop.run(run(sys.argv[1], int(sys.argv[2]))))
