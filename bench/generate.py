"""Generation: `sun generate`, the import of what it writes, and the type checker over it, against absolute bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.harness import Goal, Plan, Report, Row, Skipped, interleaved
from bench.results import version

_ROOT = Path(__file__).parent.parent

_IMPORT = """
import time
began = time.perf_counter()
{}
print(time.perf_counter() - began)
"""
TABLES = [".".join(file.relative_to(_ROOT).with_suffix("").parts) for file in _ROOT.glob("generated/sql/*/[a-z]*.py")]
ALL_TABLES = f"import {', '.join(sorted(TABLES))}"
ONE_TABLE = "import generated.sql.sun.post"
RUNTIME = "import runtime.sql"


def run(plan: Plan) -> Report:
    with tempfile.TemporaryDirectory(prefix="sun-bench-") as folder:
        project = Path(folder)
        shutil.copytree(_ROOT / "schema", project / "schema")
        output = project / "generated"
        # Bytecode is kept, as it is for whoever uses it, but not among the sources.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-m", "sun", "--project", str(project), "generate"]

        def cold() -> float:
            shutil.rmtree(output, ignore_errors=True)
            return _seconds(command, environment)

        def unchanged() -> float:
            if not output.exists():
                cold()
            return _seconds(command, environment)

        def importing(statement: str, first: str = "") -> Callable[[], float]:
            _import_ms(f"{first}\n{statement}", "", environment)
            return lambda: _import_ms(statement, first, environment)

        cold()
        sides: dict[str, Callable[[], float]] = {
            "cold": cold,
            "unchanged": unchanged,
            "all tables": importing(ALL_TABLES),
            "one table": importing(ONE_TABLE),
            "one more table": importing(ONE_TABLE, RUNTIME),
            "msgspec": importing("import msgspec"),
        }
        found = interleaved(sides, plan.rounds)
    pyright = [_pyright() for _ in range(min(plan.rounds, 3))]
    sources = (file for suffix in ("py", "pyi") for file in (_ROOT / "generated").rglob(f"*.{suffix}"))
    lines = sum(len(file.read_bytes().splitlines()) for file in sources)
    every = f"import of all {len(TABLES)} tables, with runtime.sql"
    rows = [
        Row("sun generate, cold", "s", found["cold"], goal=Goal(2, at_most=True)),
        Row("sun generate, nothing changed", "s", found["unchanged"], goal=Goal(0.3, at_most=True)),
        Row(every, "ms", found["all tables"], goal=Goal(50, at_most=True)),
        Row("import of one table's module, with runtime.sql", "ms", found["one table"], goal=Goal(10, at_most=True)),
        Row("import of one table's module, runtime.sql being there", "ms", found["one more table"]),
        Row("import of msgspec alone", "ms", found["msgspec"]),
        Row("pyright strict over generated, 0 errors", "s", pyright, goal=Goal(30, at_most=True)),
        Row("lines of Python in generated", "lines", [lines]),
    ]
    versions = {name: version(name) for name in ("sqlglot", "grpcio-tools", "Jinja2", "ruff", "protobuf", "msgspec")}
    return Report(rows, versions | {"pyright": version("pyright")}, ("Each sample is a process of its own.",))


def _seconds(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Wall time of a command that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)
    spent = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return spent


def _import_ms(statement: str, first: str, environment: Mapping[str, str]) -> float:
    """Milliseconds of an import in a fresh interpreter, after those of `first`."""
    code = f"{first}\n{_IMPORT.format(statement)}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1000


def _pyright() -> float:
    pyright = Path(sys.executable).with_name("pyright")
    if not pyright.exists():
        raise Skipped("pyright is not installed; make setup")
    return _seconds([os.fspath(pyright), "generated"])
