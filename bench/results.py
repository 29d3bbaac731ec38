"""Benchmark reports as text: the table on the terminal, and the marked parts of RESULTS.md. Measures nothing."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import statistics
from pathlib import Path

from bench.harness import Report, Row

RESULTS = Path(__file__).parent / "RESULTS.md"

_HEAD = ("job", "ours", "peer", "ratio", "rounds", "goal", "met?")


class NoPlace(Exception):
    """RESULTS.md lacks the markers of a benchmark."""


def version(package: str) -> str:
    return importlib.metadata.version(package)


def table(report: Report) -> str:
    """The rows as a Markdown table whose columns are aligned for terminals too, and the notes below it."""
    lines = [_HEAD, *(_cells(row) for row in report.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]

    def text(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    body = [text(lines[0]), rule, *map(text, lines[1:])]
    return "\n".join([*body, *(f"\n{note}" for note in report.notes)])


def facts(report: Report, command: str) -> str:
    """Where and with what the figures came to be."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    machine = f"{_processor()}, {os.cpu_count()} cores, {memory:.1f} GiB, {_system()}"
    versions = [f"Python {platform.python_version()}", *(f"{name} {found}" for name, found in report.versions.items())]
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, `{command}`. {machine}. {', '.join(versions)}."


def save(name: str, report: Report, command: str) -> None:
    """Replaces what stands between the benchmark's markers in RESULTS.md, and nothing else. Raises NoPlace."""
    text = RESULTS.read_text("utf-8")
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise NoPlace(f"{RESULTS.name} has no place for {name}: write the lines {begin} and {end} where it belongs")
    block = f"{begin}\n{facts(report, command)}\n\n{table(report)}\n{end}"
    RESULTS.write_text(before + block + after, "utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    low, high = (_short(value) for value in row.spread)
    met = "" if row.goal is None else "yes" if row.goal.met(row.value) else "**no**"
    ours = f"{_short(statistics.median(row.ours))} {row.unit}"
    peer = f"{row.peer}: {_short(statistics.median(row.theirs))}" if row.theirs else "-"
    ratio = _short(row.value) if row.theirs else "-"
    return row.job, ours, peer, ratio, f"{low} … {high}", str(row.goal or "-"), met


def _short(value: float) -> str:
    """Three digits that mean something, thousands grouped."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def _system() -> str:
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except OSError:
        return kernel
