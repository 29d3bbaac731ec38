"""What is generated for tables type-checks in strict mode, with names of columns and tables of every kind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


def test_the_golden_tables_type_check(tmp_path: Path) -> None:
    cases = sorted(folder.parent.name for folder in GOLDEN.glob("*ql_*/expected"))
    for case in cases:
        shutil.copytree(GOLDEN / case / "expected", tmp_path / case / "generated")
        (tmp_path / case / "runtime").symlink_to(ROOT / "runtime")
    settings = {
        "include": [f"{case}/generated" for case in cases],
        "exclude": ["**/*_pb2.py"],  # protoc's own style
        "strict": ["**/generated"],
        "pythonVersion": "3.11",
        "venvPath": str(ROOT),
        "venv": ".venv",
        "executionEnvironments": [{"root": case} for case in cases],
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(tmp_path)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert report["summary"]["filesAnalyzed"] > len(cases)
    assert [f"{each['file']}: {each['message']}" for each in report["generalDiagnostics"]] == []
