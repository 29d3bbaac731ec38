"""`make conformance`: fetches the Connect conformance runner as a Go module, and runs it against server.py.

Needs Go and its module proxy. Nothing of the suite is kept here: the runner and its .proto files come with the module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_MODULE = "connectrpc.com/conformance"
_VERSION = "v1.0.7"
_HERE = Path(__file__).parent


def main() -> int:
    go = shutil.which("go")
    if go is None:
        print(
            f"make conformance: Go is not here. It is needed to fetch and build the runner, {_MODULE}@{_VERSION}: "
            "install Go 1.24 or newer (https://go.dev/dl/) and put `go` on the PATH.",
            file=sys.stderr,
        )
        return 2
    found = _output(go, "mod", "download", "-json", f"{_MODULE}@{_VERSION}")
    environment = {**os.environ, "SUN_TEST_CONFORMANCE_PROTO": str(Path(json.loads(found)["Dir"], "proto"))}
    with tempfile.TemporaryDirectory(prefix="sun-conformance-") as folder:
        package = f"{_MODULE}/cmd/connectconformance@{_VERSION}"
        subprocess.run([go, "install", package], env={**os.environ, "GOBIN": folder}, check=True)
        print(f"{_MODULE} {_VERSION}, {_output(go, 'version').strip()}, Python {sys.version.split()[0]}", flush=True)
        options = ["--mode=server", f"--conf={_HERE / 'server.yaml'}"]
        server = [sys.executable, "-m", "tests.conformance.server"]
        command = [Path(folder, "connectconformance"), *options, "--", *server]
        return subprocess.run(command, env=environment, cwd=_HERE.parent.parent).returncode


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
