"""The import rules between the rooms: kept by the tree, and noticed when broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("generated", "generators", "handlers", "media", "runtime")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Empty rooms under the project's rules."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    return tmp_path


def test_the_tree_keeps_the_rules() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_imports_that_are_meant_are_allowed(house: Path) -> None:
    (house / "generated" / "rows.py").write_text("import runtime\n")
    (house / "media" / "store.py").write_text("import generated.rows\nimport runtime\n")
    (house / "handlers" / "social.py").write_text("import generated.rows\nimport media.store\nimport runtime\n")
    checked = lint_imports(house)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("generators", ["generated", "handlers", "media", "runtime", "sun"]),
        ("runtime", ["generated", "generators", "handlers", "media", "sun"]),
        ("generated", ["generators", "handlers", "media", "sun"]),
        ("media", ["generators", "handlers", "sun"]),
        ("handlers", ["generators", "sun"]),
    ],
)
def test_each_forbidden_import_is_named(house: Path, room: str, forbidden: list[str]) -> None:
    for other in forbidden:
        (house / room / f"to_{other}.py").write_text(f"def later():\n    import {other}\n")
    checked = lint_imports(house)
    assert checked.returncode == 1
    missed = [other for other in forbidden if f"{room}.to_{other} -> {other}" not in checked.stdout]
    assert not missed, checked.stdout
