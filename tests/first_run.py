"""Does what a newcomer does with a fresh copy: `make serve`, one call, stop. CI runs it in the folder it is called
from.

It needs nothing but the standard library, and ends with exit code 1 and one line when something is not as the README
says.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

START_SECONDS = 600  # the environment is made first
STOP_SECONDS = 30
URL = re.compile(r"listening on (http://\S+)")


class Failed(Exception):
    pass


def server_of(make: int) -> int:
    """The process that make runs. Signals go to it alone, since make's own exit code tells the server's."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == make:
            return int(stat.parent.name)
    raise Failed("make serve runs no server")


def echo(url: str, text: str) -> str:
    request = urllib.request.Request(
        f"{url}/sun.v1.GeneralService/Echo",
        data=json.dumps({"text": text}).encode(),
        headers={"Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as reply:
        return json.load(reply)["text"]


def main() -> None:
    make = subprocess.Popen(
        ["make", "serve"],
        env={**os.environ, "SUN_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert make.stdout is not None
    watchdog = threading.Timer(START_SECONDS, os.killpg, (make.pid, signal.SIGKILL))
    watchdog.start()
    try:
        url = None
        for line in make.stdout:
            print(line, end="", flush=True)
            if found := URL.search(line):
                url = found.group(1).rstrip("/")
                break
        if url is None:
            raise Failed("make serve ended without «listening on http://…»")
        threading.Thread(target=make.stdout.read, daemon=True).start()  # a full pipe would block the server
        if (text := echo(url, "hello")) != "hello":
            raise Failed(f"Echo answered {text!r}")
        os.kill(server_of(make.pid), signal.SIGTERM)
        code = make.wait(STOP_SECONDS)
        if code != 0:
            raise Failed(f"after SIGTERM make serve ended with exit code {code}")
    finally:
        watchdog.cancel()
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGKILL)
    print("first run: served, answered and stopped")


if __name__ == "__main__":
    try:
        main()
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"first run: {error}")
