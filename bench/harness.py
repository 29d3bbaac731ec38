"""What every benchmark uses: interleaved rounds, rows that compare medians, pinning to cores. Knows no area."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

S = TypeVar("S")

SERVER_CORE, LOAD_CORE = 0, 1

_CAN_PIN = hasattr(os, "sched_setaffinity") and {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0)


class Skipped(Exception):
    """A benchmark can't run here; the message is the line that says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `rounds` of every side, `seconds` for each timed sample, `rows` of data."""

    rounds: int = 5
    seconds: float = 2.0
    rows: int = 10_000


QUICK = Plan(rounds=2, seconds=0.2, rows=1_000)
"""Shows that everything runs; its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound of the project's goals, on the ratio where there is a peer and on our own figure where there is none."""

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One job: our figure of each round, and those of `peer` in the same rounds where there is one."""

    job: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    theirs: Sequence[float] = ()
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """What the goal judges: our median divided by the peer's, or our median itself."""
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.theirs) if self.theirs else ours

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of the same in single rounds."""
        values = [our / their for our, their in zip(self.ours, self.theirs, strict=True)] if self.theirs else self.ours
        return min(values), max(values)


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark found. `versions` are of us and the peers; `notes` say what the rows can't."""

    rows: Sequence[Row]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: Sequence[str] = ()


def interleaved(sides: Mapping[str, Callable[[], S]], rounds: int) -> dict[str, list[S]]:
    """Measures every side once in each round, each time beginning with another one, so that drift meets all alike."""
    names = list(sides)
    samples: dict[str, list[S]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(sides[name]())
    return samples


def runner() -> asyncio.Runner:
    """The event loop that every asyncio side runs on, ours and the peers': uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def pin(pid: int, core: int) -> None:
    """Keeps a process, 0 for this one, on one core, where the platform can and there are two."""
    if _CAN_PIN:
        os.sched_setaffinity(pid, {core})


@contextmanager
def on_load_core() -> Iterator[str]:
    """Keeps this process on the load's core meanwhile. Gives the note that says so, or that it can't be."""
    if not _CAN_PIN:
        yield "Nothing is pinned: this platform can't, or has one core."
        return
    before = os.sched_getaffinity(0)
    pin(0, LOAD_CORE)
    try:
        yield f"The load is pinned to core {LOAD_CORE}."
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def process(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A server of its own on the server's core, its log thrown away, ended afterwards; some obey their input."""
    with subprocess.Popen(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as started:
        pin(started.pid, SERVER_CORE)
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used; None where /proc doesn't tell."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
