"""What only the embedded store has: a clock of its own, a file, threads, processes that die."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runtime import cql
from runtime.cql import types
from runtime.cql.database import Database, SyncDatabase
from runtime.cql.embedded import EmbeddedEngine
from runtime.cql.embedded import reading as reading_module
from runtime.cql.errors import ChangedTable, CqlError, Timeout, Unavailable, UnsafeStatement
from runtime.cql.statements import Batch
from tests.cql.rules_tables import Space, space

ROOT = Path(__file__).resolve().parents[2]

TABLE = space(
    "kept",
    {"p": types.Int()},
    {"c": types.Int()},
    {"v": types.Int(), "w": types.Text(), "s": types.Set(types.Int())},
    statics={"t": types.Int()},
)
PLAIN = space("plain", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int()})
BRIEF = space("brief", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int()}, gc_grace_seconds=60)
TALLY = space("tally", {"p": types.Int()}, {}, {"n": types.Counter()})
BASE = space("base", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int(), "w": types.Text()}, gc_grace_seconds=60)
BY_V = space(
    "base_by_v",
    {"v": types.Int()},
    {"p": types.Int(), "c": types.Int()},
    {"w": types.Text()},
    view=cql.View(BASE.table, ("v", "p", "c")),
)


class Clock:
    """Seconds and a fraction, that stand until a test moves them."""

    def __init__(self) -> None:
        self.ns = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.ns

    def forward(self, seconds: float) -> None:
        self.ns += int(seconds * 1_000_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cql.db"


@pytest.fixture
def db(path: Path, clock: Clock) -> Iterator[SyncDatabase]:
    with SyncDatabase(EmbeddedEngine(str(path), now_ns=clock)) as database:
        yield database


def opened(path: Path) -> SyncDatabase:
    return SyncDatabase(EmbeddedEngine(str(path)))


def stored_rows(path: Path) -> int:
    """How many rows of all tables the file holds, dead ones too."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'rows%' AND type = 'table'")
        count = sum(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in names.fetchall())
    connection.close()
    return count


# --- time


def test_a_cell_ends_with_its_ttl_without_a_sweep(db: SyncDatabase, clock: Clock) -> None:
    db.run(TABLE.insert(1, 1, v=1, ttl=10))
    db.run(TABLE.update(1, 1).set(w="w").ttl(20))
    clock.forward(9)
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, v=1, w="w")
    assert db.run(TABLE.get(1, 1).select(TABLE.v.ttl(), TABLE.w.ttl())) == (1, 11)
    clock.forward(1)
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, w="w")
    clock.forward(10)
    assert db.run(TABLE.get(1, 1)) is None
    assert db.run(TABLE.slice(1)) == []
    assert db.run(TABLE.scan().count()) == 0


def test_elements_and_static_columns_end_by_themselves(db: SyncDatabase, clock: Clock) -> None:
    db.run(TABLE.insert(1, 1, s={1}))
    db.run(TABLE.update(1, 1).add(s={2}).ttl(5))
    db.run(TABLE.update_static(1).set(t=3).ttl(7))
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, s={1, 2}, t=3)
    clock.forward(5)
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, s={1}, t=3)
    clock.forward(2)
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, s={1})


def test_what_has_ended_still_hides_what_was_before(db: SyncDatabase, clock: Clock) -> None:
    db.run(TABLE.insert(1, 1, v=1))
    db.run(TABLE.update(1, 1).set(v=2).ttl(5))
    clock.forward(5)
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1)
    db.run(TABLE.update(1, 1).set(v=3).timestamp(1))
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1)


def test_a_condition_sees_what_lives_now(db: SyncDatabase, clock: Clock) -> None:
    db.run(TABLE.insert(1, 1, v=1, ttl=5))
    assert not db.run(TABLE.insert(1, 1, v=2).if_not_exists()).applied
    clock.forward(5)
    assert db.run(TABLE.insert(1, 1, v=2).if_not_exists()).applied
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, v=2)


def test_rows_and_deletions_that_are_over_leave_the_file(db: SyncDatabase, clock: Clock, path: Path) -> None:
    for c in range(300):
        db.run(BRIEF.insert(1, c, v=c, ttl=10))
    db.run(BRIEF.insert(2, 0, v=1))
    db.run(BRIEF.delete_partition(3))
    clock.forward(10 + 59)
    db.run(BRIEF.insert(2, 1))
    assert stored_rows(path) == 302
    db.run(BRIEF.insert(3, 1, timestamp=1))
    assert db.run(BRIEF.get(3, 1)) is None
    for _ in range(4):
        clock.forward(11)
        db.run(BRIEF.insert(2, 1))
    assert stored_rows(path) == 2
    db.run(BRIEF.delete(9, 9))  # a new deletion takes old ones with it
    db.run(BRIEF.insert(3, 1, timestamp=1))
    assert db.run(BRIEF.get(3, 1)) == BRIEF.row(3, 1)


def test_a_clock_that_steps_back_leaves_writes_in_order(db: SyncDatabase, clock: Clock) -> None:
    db.run(TABLE.insert(1, 1, v=1))
    clock.forward(-1_000)
    db.run(TABLE.insert(1, 1, v=2))
    assert db.run(TABLE.update(1, 1).set(v=3).if_(TABLE.v == 2)).applied
    assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, v=3)


def test_a_view_row_ends_with_the_column_of_its_key(db: SyncDatabase, clock: Clock, path: Path) -> None:
    db.run(BY_V.scan())
    db.run(BASE.insert(1, 1, w="w"))
    db.run(BASE.update(1, 1).set(v=7).ttl(10))
    assert db.run(BY_V.slice(7)) == [BY_V.row(7, 1, 1, w="w")]
    clock.forward(10)
    assert db.run(BY_V.slice(7)) == []
    assert db.run(BY_V.get(7, 1, 1)) is None
    assert db.run(BASE.get(1, 1)) == BASE.row(1, 1, w="w")
    clock.forward(61)
    db.run(BASE.insert(9, 9))
    assert stored_rows(path) == 2


# --- counters


def test_a_counter_of_a_deleted_row_goes_on_from_where_it_was(db: SyncDatabase) -> None:
    """As Cassandra does while its counter cache holds the row; what it does later is not defined."""
    add = TALLY.key.increment
    db.run(add((1,), {"n": 5}))
    db.run(TALLY.delete(1))
    assert db.run(TALLY.get(1)) is None
    db.run(add((1,), {"n": 3}))
    assert db.run(TALLY.get(1)) == TALLY.row(1, 8)


# --- views and indexes that come later


def test_a_view_and_an_index_of_rows_that_are_there(db: SyncDatabase, path: Path) -> None:
    for c in range(5):
        db.run(BASE.insert(1, c, v=c % 2, w="w"))
    assert [row.c for row in db.run(BY_V.slice(1))] == [1, 3]
    indexed = space(
        "base", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Int(), "w": types.Text()}, indexes={"v": ""}
    )
    with opened(path) as other:
        assert [row.c for row in other.run(indexed.by("v").equal(0))] == [0, 2, 4]
        db.run(BASE.update(1, 1).set(v=0))  # by a process that was opened before there was an index
        assert [row.c for row in other.run(indexed.by("v").equal(0))] == [0, 1, 2, 4]
        other.run(indexed.update(1, 3).set(v=5))  # and by one that does not know the view
    assert [row.c for row in db.run(BY_V.slice(1))] == []
    assert [row.c for row in db.run(BY_V.slice(5))] == [3]


# --- the file


def test_a_file_keeps_everything(path: Path) -> None:
    with opened(path) as db:
        db.run(TABLE.insert(1, 1, v=1, w="ä", s={3}, t=9))
        state = db.page(TABLE.slice(1), size=1).state
    with opened(path) as db:
        assert db.run(TABLE.get(1, 1)) == TABLE.row(1, 1, v=1, w="ä", s={3}, t=9)
        assert db.page(TABLE.slice(1), size=1, state=state).rows == []


def test_without_a_path_a_store_is_private_and_gone_at_close() -> None:
    with SyncDatabase(EmbeddedEngine()) as one, SyncDatabase(EmbeddedEngine()) as other:
        one.run(TABLE.insert(1, 1))
        assert other.run(TABLE.get(1, 1)) is None


def test_new_columns_are_there(path: Path) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(1, 1, v=1))
    wider = space("plain", {"p": types.Int()}, {"c": types.Int()}, {"first": types.Text(), "v": types.Int()})
    with opened(path) as db:
        assert db.run(wider.get(1, 1)) == wider.row(1, 1, v=1)
        db.run(wider.insert(1, 2, first="x", v=2))
        with opened(path) as older:  # a process of the schema before
            assert older.run(PLAIN.get(1, 2)) == PLAIN.row(1, 2, v=2)
            assert older.run(PLAIN.slice(1)) == [PLAIN.row(1, 1, v=1), PLAIN.row(1, 2, v=2)]
            older.run(PLAIN.insert(1, 2, v=3))
        assert db.run(wider.get(1, 2)) == wider.row(1, 2, first="x", v=3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (space("plain", {"p": types.BigInt()}, {"c": types.Int()}), "rules.plain: .*partition key.*int.*bigint"),
        (space("plain", {"p": types.Int()}, {"c": types.Int()}, descending=("c",)), "rules.plain: .*clustering"),
        (space("plain", {"p": types.Int()}, {"c": types.Int()}, {"v": types.Text()}), "rules.plain.v: .*int.*text"),
        (space("plain", {"p": types.Int()}, {"c": types.Int()}, statics={"v": types.Int()}), "rules.plain.v: .*static"),
    ],
)
def test_another_key_or_type_is_refused(path: Path, changed: Space, said: str) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(1, 1, v=1))
    with opened(path) as db:
        for _ in range(2):
            with pytest.raises(ChangedTable, match=said):
                db.run(changed.scan())
        assert db.run(PLAIN.get(1, 1)) == PLAIN.row(1, 1, v=1)


class Point(cql.UserType, frozen=True):
    x: int | None = None


class Place(cql.UserType, frozen=True):
    x: int | None = None
    y: int | None = None


def test_a_user_type_may_grow_but_not_change(path: Path) -> None:
    def table(made: Any, *fields: tuple[str, types.CqlType[Any]]) -> Space:
        kind: Any = types.UserDefined("rules", "point", made, fields)
        return space("points", {"p": types.Int()}, {}, {"u": kind, "f": kind.as_frozen()})

    small = table(Point, ("x", types.Int()))
    large = table(Place, ("x", types.Int()), ("y", types.Int()))
    with opened(path) as db:
        db.run(small.insert(1, u=Point(1), f=Point(2)))
    with opened(path) as db:
        assert db.run(large.get(1)) == large.row(1, u=Place(1), f=Place(2))
        db.run(large.update(1).set_fields("u", {"y": 5}))
    with opened(path) as db:
        assert db.run(small.get(1)).u == Point(1)
        with pytest.raises(ChangedTable, match="point"):
            db.run(table(Place, ("x", types.Int()), ("y", types.Text())).get(1))


def test_a_file_of_another_kind_or_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    text, other, newer = tmp_path / "text", tmp_path / "other.db", tmp_path / "newer.db"
    text.write_text("not a database at all, but long enough to be read as one\n" * 20)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    opened(newer).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path, said in ((text, "not a database"), (other, "not an embedded store"), (newer, "format 99")):
        with pytest.raises(Unavailable, match=said):
            EmbeddedEngine(str(path))


def test_a_closed_store_says_so(path: Path) -> None:
    db = opened(path)
    db.run(PLAIN.insert(1, 1))
    db.close()
    db.close()
    for query in (PLAIN.get(1, 1), PLAIN.insert(1, 1), PLAIN.scan()):
        with pytest.raises(Unavailable, match="closed"):
            db.run(query)


def test_a_full_disk_is_an_error_and_nothing_is_half_written(path: Path) -> None:
    engine = EmbeddedEngine(str(path))
    with SyncDatabase(engine) as db:
        db.run(PLAIN.insert(1, 1, v=1))
        connection = engine._writer._connection  # pyright: ignore[reportPrivateUsage]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        batch = cql.batch([PLAIN.insert(1, c, v=c) for c in range(2, 500)])
        with pytest.raises(Unavailable, match="full"):
            db.run(batch)
        assert db.run(PLAIN.slice(1)) == [PLAIN.row(1, 1, v=1)]
        connection.execute("PRAGMA max_page_count = 1000000")
        db.run(batch)
        assert db.run(PLAIN.slice(1).count()) == 499


# --- writes that share a transaction


def test_a_write_that_fails_leaves_those_beside_it(path: Path) -> None:
    async def main() -> None:
        db = Database(EmbeddedEngine(str(path)))
        lists = space("lists", {"p": types.Int()}, {}, {"l": types.List(types.Int()), "v": types.Int()})
        await db.run(lists.insert(0, v=0))
        writes = [lists.insert(p, v=p) if p % 2 else lists.update(p).put_at(l={0: 1}) for p in range(1, 41)]
        done = await asyncio.gather(*(db.run(write) for write in writes), return_exceptions=True)
        assert [isinstance(each, CqlError) for each in done] == [p % 2 == 0 for p in range(1, 41)]
        assert await db.run(lists.scan().count()) == 21
        await db.close()

    asyncio.run(main())


def test_a_batch_that_fails_does_nothing(db: SyncDatabase) -> None:
    lists = space("lists", {"p": types.Int()}, {}, {"l": types.List(types.Int()), "v": types.Int()})
    with pytest.raises(CqlError, match="empty"):
        db.run(cql.batch([lists.insert(1, v=1), lists.update(2).put_at(l={0: 1})]))
    assert db.run(lists.scan()) == []


def test_counters_and_other_writes_are_not_in_one_batch(db: SyncDatabase) -> None:
    parts = (PLAIN.insert(1, 1).bound(), TALLY.key.increment((1,), {"n": 1}).bound())
    for kind in ("logged", "counter"):
        with pytest.raises(UnsafeStatement):
            db.engine.execute_now(Batch(kind, parts))


def test_tasks_and_threads_increment_without_loss(path: Path) -> None:
    engine = EmbeddedEngine(str(path))
    sync = SyncDatabase(engine)

    def work() -> None:
        for _ in range(50):
            sync.run(TALLY.key.increment((1,), {"n": 1}))

    async def main() -> None:
        db = Database(engine)
        await asyncio.gather(*(db.run(TALLY.key.increment((1,), {"n": 1})) for _ in range(200)))

    with ThreadPoolExecutor(5) as threads:
        jobs = [threads.submit(work) for _ in range(4)] + [threads.submit(asyncio.run, main())]
        for job in jobs:
            job.result()
    assert sync.run(TALLY.get(1)).n == 400
    sync.close()


def test_only_one_of_many_inserts_if_not_exists_is_done(path: Path) -> None:
    async def main() -> list[bool]:
        db = Database(EmbeddedEngine(str(path)))
        done = await asyncio.gather(*(db.run(PLAIN.insert(1, 1, v=v).if_not_exists()) for v in range(50)))
        row = await db.run(PLAIN.get(1, 1))
        assert done[row.v].applied
        await db.close()
        return [each.applied for each in done]

    assert sum(asyncio.run(main())) == 1


def test_a_write_that_waits_too_long_says_so(path: Path) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(1, 1))
        lock = db.engine._writer._lock  # pyright: ignore[reportAttributeAccessIssue]

        async def late() -> None:
            with pytest.raises(Timeout):
                await Database(db.engine).run(PLAIN.insert(1, 2).options(timeout_ms=10))

        with lock:
            with pytest.raises(Timeout):
                db.run(PLAIN.insert(1, 2).options(timeout_ms=10))
            asyncio.run(late())
        assert db.run(PLAIN.slice(1).count()) == 1


def test_a_read_ends_at_its_time_limit(path: Path) -> None:
    with opened(path) as db:
        db.run(cql.batch([PLAIN.insert(1, c, v=c) for c in range(30_000)]))
        slow = PLAIN.scan().allow_filtering(PLAIN.v < 0).options(timeout_ms=1)
        with pytest.raises(Timeout):
            db.run(slow)
        with pytest.raises(Timeout):
            asyncio.run(Database(db.engine).run(slow))
        assert db.run(PLAIN.scan().count()) == 30_000


def test_an_interrupted_thread_undoes_its_write_and_goes_out_of_the_way(path: Path) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(1, 1))

        def interrupted(_: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            db.engine._writer.run(interrupted)  # pyright: ignore[reportAttributeAccessIssue]
        db.run(PLAIN.insert(1, 2))
        assert db.run(PLAIN.slice(1).count()) == 2


def test_a_cancelled_write_stands_in_nobody_s_way(path: Path) -> None:
    async def main() -> None:
        db = Database(EmbeddedEngine(str(path)))
        tasks = [asyncio.ensure_future(db.run(PLAIN.insert(1, c))) for c in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        there = {row.c for row in await db.run(PLAIN.slice(1))}
        assert there >= set(range(1, 100, 2))
        await db.close()

    asyncio.run(main())


# --- pages and size


def test_pages_of_20_000_rows_from_a_loop_and_from_threads(path: Path) -> None:
    with opened(path) as db:
        for first in range(0, 20_000, 1_000):
            db.run(cql.unlogged_batch([PLAIN.insert(1, c, v=c) for c in range(first, first + 1_000)]))
        assert [row.c for row in db.stream(PLAIN.slice(1), page_size=700)] == list(range(20_000))
        assert [row.c for row in db.run(PLAIN.slice(1).reversed())] == list(range(20_000))[::-1]

        async def main() -> list[int]:
            return [row.c async for row in Database(db.engine).stream(PLAIN.scan(), page_size=150)]

        assert asyncio.run(main()) == list(range(20_000))


def test_a_short_slice_of_a_long_partition_reads_no_more_than_it_gives(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = itertools.count()
    decode = reading_module.decode
    monkeypatch.setattr(reading_module, "decode", lambda data: (next(decoded), decode(data))[1])
    with opened(path) as db:
        db.run(cql.batch([PLAIN.insert(1, c, v=c) for c in range(5_000)]))
        assert len(db.run(PLAIN.slice(1, after=2_500, limit=50))) == 50
        assert len(db.run(PLAIN.slice(1, before=2_500, limit=50).reversed())) == 50
        assert len(db.page(PLAIN.slice(1, after=1_000), size=50).rows) == 50
    assert next(decoded) == 150


# --- processes

WRITER = """
import sys
sys.path.insert(0, {root!r})
from tests.cql.test_embedded_store import PLAIN, opened
from pathlib import Path
db = opened(Path({path!r}))
for c in range({first}, {last}):
    db.run(PLAIN.insert({p}, c, v=c))
    print(c, flush=True)
"""


def writer(path: Path, p: int, first: int, last: int) -> subprocess.Popen[str]:
    code = WRITER.format(root=str(ROOT), path=str(path), p=p, first=first, last=last)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_what_was_acknowledged_is_there_after_kill_9(path: Path) -> None:
    told = -1
    for _ in range(3):
        process = writer(path, 1, told + 1, 1_000_000)
        assert process.stdout is not None
        for line in itertools.islice(process.stdout, 40):
            told = int(line)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        told = int(rest[-1]) if rest and rest[-1] else told
        with opened(path) as db:
            there = [row.c for row in db.run(PLAIN.slice(1))]
        assert there[: told + 1] == list(range(told + 1))
        assert len(there) <= told + 2  # one may have been written and not told
        told = there[-1]


def test_processes_share_a_file(path: Path) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(0, 0))
        others = [writer(path, p, 0, 60) for p in (1, 2)]
        for c in range(60):
            db.run(PLAIN.insert(3, c, v=c))
        for process in others:
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert len(out.splitlines()) == 60
        assert db.run(PLAIN.scan().count()) == 181


def test_a_file_that_another_holds_too_long_is_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as db:
        db.run(PLAIN.insert(1, 1, v=1))
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        db.engine._writer._connection.execute("PRAGMA busy_timeout = 20")  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(Unavailable, match="another process holds"):
            db.run(PLAIN.insert(1, 2))
        assert db.run(PLAIN.get(1, 1)) == PLAIN.row(1, 1, v=1)
        holder.execute("ROLLBACK")
        holder.close()
        db.run(PLAIN.insert(1, 2))


def test_readers_in_threads_see_whole_batches(path: Path) -> None:
    with opened(path) as db:
        db.run(cql.batch([PLAIN.insert(1, c, v=0) for c in range(10)]))
        stop = threading.Event()

        def write() -> None:
            for v in itertools.count(1):
                if stop.is_set():
                    return
                db.run(cql.batch([PLAIN.insert(1, c, v=v) for c in range(10)]))

        with ThreadPoolExecutor(1) as threads:
            job = threads.submit(write)
            try:
                for _ in range(300):
                    assert len({row.v for row in db.run(PLAIN.slice(1))}) == 1
            finally:
                stop.set()
            job.result()


def test_odd_names_are_kept_apart(path: Path) -> None:
    made = [
        space(name, {"p": types.Uuid()}, {}, {column: types.Int()}, indexes={column: ""})
        for name, column in (("Rows", "Select"), ("rows", "select"), ("sun_table", "k"), ("deleted_1", "ORDER"))
    ]
    key = uuid.uuid4()
    with opened(path) as db:
        for place, each in enumerate(made):
            db.run(each.update(key).setting({each.table.fields[1]: place}))
        for place, each in enumerate(made):
            assert list(db.run(each.scan())) == [each.row(key, place)]
            column = each.table.columns[1].name
            assert len(db.run(each.by(column).equal(place))) == 1
