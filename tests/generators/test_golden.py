"""What `sun generate` makes of whole schemas, good and bad: a folder of tests/golden each, compared to the letter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

import sun
from generators.writer import INPUTS, MANIFEST

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if (folder / "schema").is_dir())
UPDATE = bool(os.environ.get("SUN_TEST_UPDATE_GOLDEN"))


def tree(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in (INPUTS, MANIFEST))
    return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in files}


def texts(files: Iterable[Path]) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in files}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, tmp_path: Path) -> None:
    source = GOLDEN / case
    shutil.copytree(source / "schema", tmp_path / "schema")
    result = CliRunner().invoke(sun.cli, ["--project", str(tmp_path), "generate"])
    made, locks = tree(tmp_path / "generated"), texts((tmp_path / "schema").glob("*.lock"))
    if UPDATE:
        shutil.rmtree(source / "expected", ignore_errors=True)
        (source / "stderr.txt").unlink(missing_ok=True)
        for lock in source.glob("*.lock"):
            lock.unlink()
        if result.exit_code == 0:
            shutil.copytree(
                tmp_path / "generated", source / "expected", ignore=shutil.ignore_patterns(INPUTS, MANIFEST)
            )
            for name, text in locks.items():
                (source / name).write_text(text, "utf-8")
        else:
            (source / "stderr.txt").write_text(result.stderr, "utf-8")
    if (source / "stderr.txt").exists():
        assert result.stderr == (source / "stderr.txt").read_text("utf-8")
        assert result.exit_code == 2
        assert not made, "a broken schema must leave nothing behind"
    else:
        assert result.exit_code == 0, result.output
        assert made == tree(source / "expected")
        assert locks == texts(source.glob("*.lock"))
