"""What a type checker refuses is part of the interface: each marked line gets the error it names, no other line any."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(file.name for file in HERE.glob("rejected_*.py"))
MARK = re.compile(r"# error: (\w+)$")


@cache
def found() -> dict[str, set[tuple[int, str]]]:
    """Pyright's errors in strict mode, by file: line and rule."""
    settings = ROOT / ".pyright-typing.json"
    settings.write_text(
        json.dumps(
            {
                "include": [str(HERE.relative_to(ROOT) / name) for name in FILES],
                "strict": ["**"],
                "venvPath": ".",
                "venv": ".venv",
            }
        )
    )
    try:
        command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(settings)]
        report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout)
    finally:
        settings.unlink()
    errors: dict[str, set[tuple[int, str]]] = {name: set() for name in FILES}
    for each in report["generalDiagnostics"]:
        rule: str = each.get("rule", each["message"])
        # A type that is unknown after an error, and an expression that would have been a call, only repeat that error.
        if not rule.startswith("reportUnknown") and rule != "reportUnusedExpression":
            errors[Path(each["file"]).name].add((each["range"]["start"]["line"] + 1, rule))
    return errors


@pytest.mark.parametrize("name", FILES)
def test_pyright_refuses_exactly_the_marked_lines(name: str) -> None:
    lines = (HERE / name).read_text("utf-8").splitlines()
    expected = {
        (number, match.group(1)) for number, line in enumerate(lines, 1) if (match := MARK.search(line)) is not None
    }
    assert found()[name] == expected
