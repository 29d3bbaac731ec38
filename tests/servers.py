"""Starts and stops the MariaDB and the Cassandra that tests and benchmarks use; `make servers` and `make servers-stop`
call it.

    python tests/servers.py start|stop|env [mariadb] [cassandra]

Both listen on loopback at free ports, run as the caller, and keep everything under `.sun-servers/` (or
`$SUN_SERVERS_DIR`). The addresses stand in `.sun-servers/env` as `NAME=value` lines; `env` prints them. Data lives from
one start to the next start, not longer. Standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOST = "127.0.0.1"
HOME = Path(os.environ.get("SUN_SERVERS_DIR") or Path(__file__).resolve().parent.parent / ".sun-servers").resolve()
ENV_FILE = HOME / "env"

START_SECONDS = 180
STOP_SECONDS = 60
INSTALL_SECONDS = 900

# The 5.0 line runs on Java 11 and 17 (https://cassandra.apache.org/doc/5.0/cassandra/installing/installing.html).
CASSANDRA_VERSION = "5.0.6"
JAVA_VERSIONS = (17, 11)
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

# Where distributions and Homebrew keep daemons that are not on the PATH.
DAEMON_FOLDERS = ("/usr/sbin", "/usr/libexec", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin")


class ServerError(Exception):
    """A server can't be had. The message is one line that says what to do, or where the log is."""


def say(line: str) -> None:
    print(line, flush=True)


def find(*names: str) -> str | None:
    """The path of the first of these programs that exists."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *DAEMON_FOLDERS])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def lasting_port() -> int:
    """A free port that stays free while nobody listens there.

    It is below the ports that systems give to clients (from 32768 on Linux, 49152 elsewhere): a client that tries again
    and again to reach a dead server on one of those can be given the same port, and then is connected to itself.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise ServerError("no free port between 20000 and 32000")


def exchange(port: int, request: bytes, length: int) -> bytes:
    """Sends `request` and returns the first `length` bytes of the answer, or fewer when the server hangs up."""
    answer = b""
    with socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(request)
        while len(answer) < length and (piece := connection.recv(length - len(answer))):
            answer += piece
    return answer


def run(command: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Runs a preparing step. Its output is shown only when it fails, which is a `ServerError`."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"{command[0]} did not end within {INSTALL_SECONDS} s") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise ServerError("\n".join([f"{' '.join(command[:3])} … failed (exit {done.returncode}):", *lines[-15:]]))


class Server:
    """One daemon in a folder of its own: `pid` and `port` name the running one, `log` is its output."""

    name: str

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or HOME / self.name
        self.data = self.folder / "data"
        self.log = self.folder / "log"

    def packages(self) -> list[str]:
        """Debian packages that are missing here; empty when the server can be prepared."""
        raise NotImplementedError

    def advice(self) -> str:
        """What to install where there is no apt."""
        raise NotImplementedError

    def prepare(self, port: int) -> list[str]:
        """Makes a fresh data folder, and returns the command that serves it on `port`."""
        raise NotImplementedError

    def answers(self, port: int) -> bool:
        raise NotImplementedError

    def address(self, port: int) -> str:
        """The `NAME=value` line of the env file."""
        raise NotImplementedError

    def running(self) -> tuple[int, int] | None:
        """Pid and port of the live server. A pid that another program has taken since doesn't count."""
        try:
            pid, port = int((self.folder / "pid").read_text()), int((self.folder / "port").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return (pid, port) if str(self.folder) in command_line(pid) else None

    def start(self) -> None:
        began = time.monotonic()
        if live := self.running():
            pid, port = live
            self.wait(pid, port, lambda: bool(self.running()))
            say(f"{self.name}: already running on {HOST}:{port} (pid {pid})")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        port = free_port()
        process = self.launch(port)
        (self.folder / "port").write_text(f"{port}\n")
        (self.folder / "pid").write_text(f"{process.pid}\n")
        self.wait(process.pid, port, lambda: process.poll() is None)
        say(f"{self.name}: ready on {HOST}:{port} (pid {process.pid}) after {time.monotonic() - began:.0f} s")

    def launch(self, port: int) -> subprocess.Popen[bytes]:
        command = self.prepare(port)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, pid: int, port: int, alive: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not alive():
                raise ServerError("\n".join([f"it stopped while starting; the end of {self.log}:", *self.log_tail()]))
            with contextlib.suppress(OSError):
                if self.answers(port):
                    return
            time.sleep(0.1)
        raise ServerError(f"pid {pid} does not answer on port {port} after {START_SECONDS} s; see {self.log}")

    def log_tail(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-15:]

    def stop(self) -> None:
        live = self.running()
        if live is None:
            say(f"{self.name}: not running")
        else:
            pid, _ = live
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                deadline = time.monotonic() + STOP_SECONDS
                while (gone := self.running() is None) is False and time.monotonic() < deadline:
                    time.sleep(0.1)
                if gone:
                    break
            else:
                raise ServerError(f"pid {pid} does not end")
            say(f"{self.name}: stopped")
        for name in ("pid", "port"):
            (self.folder / name).unlink(missing_ok=True)


def command_line(pid: int) -> str:
    """The command of a live process; empty when it is gone or a zombie that nobody has reaped."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout


class MariaDB(Server):
    name = "mariadb"

    def packages(self) -> list[str]:
        return [] if find("mariadbd") and find("mariadb-install-db") else ["mariadb-server"]

    def advice(self) -> str:
        return "MariaDB is missing: brew install mariadb, or your system's mariadb-server package"

    def prepare(self, port: int) -> list[str]:
        daemon, installer = find("mariadbd"), find("mariadb-install-db")
        if daemon is None or installer is None:
            raise ServerError(self.advice())
        user = ["--user=root"] if os.geteuid() == 0 else []
        run(
            [
                installer,
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *user,
            ]
        )
        return [
            daemon,
            "--no-defaults",
            f"--datadir={self.data}",
            *user,
            f"--bind-address={HOST}",
            f"--port={port}",
            # relative to the data folder: an absolute path may pass the 107 bytes of a socket's name
            "--socket=mariadb.sock",
            "--skip-name-resolve",
            "--max-connections=500",
            "--max-allowed-packet=16M",
            "--innodb-buffer-pool-size=256M",
            "--innodb-flush-log-at-trx-commit=1",
        ]

    def answers(self, port: int) -> bool:
        # The first packet: three bytes of length, a sequence number, then the protocol version (10), or 255 for an
        # error. https://mariadb.com/kb/en/connection/#initial-handshake-packet
        return exchange(port, b"", 5)[4:] == b"\x0a"

    def address(self, port: int) -> str:
        return f"SUN_TEST_MARIADB_URL=mysql://root@{HOST}:{port}/"


class Cassandra(Server):
    name = "cassandra"

    def __init__(self, folder: Path | None = None, heap_mib: int = 1024) -> None:
        super().__init__(folder)
        self.heap_mib = heap_mib
        self.lib = HOME / self.name / "lib"  # one copy serves every node

    def packages(self) -> list[str]:
        missing = [] if find_java() else ["default-jre-headless"]
        return missing if self.has_jars() or find("mvn") else [*missing, "maven"]

    def advice(self) -> str:
        return f"Cassandra {CASSANDRA_VERSION} needs Maven and Java 17: brew install maven openjdk@17, or your packages"

    def has_jars(self) -> bool:
        return (self.lib / f"cassandra-all-{CASSANDRA_VERSION}.jar").exists()

    def prepare(self, port: int) -> list[str]:
        java = find_java()
        if java is None:
            raise ServerError(self.advice())
        if not self.has_jars():
            self.copy_jars()
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "cassandra.yaml").write_text(json.dumps(self.configuration(port), indent=2) + "\n")  # JSON is YAML
        (conf / "logback.xml").write_text(LOGBACK)
        agent = next(self.lib.glob("jamm-*.jar"))
        return [
            java,
            f"-Xms{self.heap_mib // 2}M",
            f"-Xmx{self.heap_mib}M",
            "-XX:+UseSerialGC",  # one node beside its clients on few cores
            "-XX:+ExitOnOutOfMemoryError",
            f"-javaagent:{agent}",
            *(f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTED),
            *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENED),
            "-Djdk.attach.allowAttachSelf=true",
            "-Djava.net.preferIPv4Stack=true",
            "-Djava.security.manager=allow",  # from Java 18 on, Cassandra's own manager is refused without
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dcassandra-foreground=yes",
            f"-Dcassandra.config={(conf / 'cassandra.yaml').as_uri()}",
            f"-Dcassandra.storagedir={self.data}",
            # One node has nobody to wait for.
            "-Dcassandra.ring_delay_ms=0",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-cp",
            f"{conf}{os.pathsep}{self.lib}{os.sep}*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def copy_jars(self) -> None:
        maven = find("mvn")
        if maven is None:
            raise ServerError(self.advice())
        say(f"{self.name}: fetching cassandra-all {CASSANDRA_VERSION} and what it needs with Maven")
        shutil.rmtree(self.lib, ignore_errors=True)
        fetched = self.lib.with_name("fetched")
        shutil.rmtree(fetched, ignore_errors=True)
        (self.folder / "pom.xml").write_text(POM)
        run(
            [maven, "-B", "-q", MAVEN_COPY, "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"],
            cwd=self.folder,
        )
        fetched.rename(self.lib)  # whole or not at all

    def configuration(self, port: int) -> dict[str, object]:
        storage_port = free_port()
        return {
            "cluster_name": "sun",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [{"seeds": f"{HOST}:{storage_port}"}],
                }
            ],
            "listen_address": HOST,
            "storage_port": storage_port,
            "rpc_address": HOST,
            "native_transport_port": port,
            "commitlog_sync": "batch",  # acknowledged means flushed
            "auto_snapshot": False,  # dropping a test's keyspace would keep its files
            "materialized_views_enabled": True,
            "memtable_heap_space": f"{self.heap_mib // 8}MiB",
            "memtable_offheap_space": f"{self.heap_mib // 8}MiB",
            "file_cache_size": "64MiB",
            "key_cache_size": "16MiB",
            # Two cores shared with a test run: slow is not failed.
            "read_request_timeout": "20s",
            "range_request_timeout": "20s",
            "write_request_timeout": "20s",
            "request_timeout": "20s",
        }

    def answers(self, port: int) -> bool:
        # An OPTIONS frame of the native protocol, version 4; the answer's opcode is SUPPORTED (6).
        # https://cassandra.apache.org/doc/latest/cassandra/reference/native-protocol.html
        return exchange(port, b"\x04\0\0\0\x05\0\0\0\0", 5)[4:] == b"\x06"

    def address(self, port: int) -> str:
        return f"SUN_TEST_CASSANDRA={HOST}:{port}"


class PrivateCassandra:
    """A small node of one test's own, that may be killed and started again: `with PrivateCassandra(tmp_path) as node`.

    `address` (`host:port`) and the data stay from one start to the next. The jars are those of `make servers`.
    """

    def __init__(self, folder: Path) -> None:
        self._server = Cassandra(folder, heap_mib=512)
        self._port = lasting_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{HOST}:{self._port}"

    def __enter__(self) -> PrivateCassandra:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when the node answers; raises `ServerError` with the end of its log when it doesn't come up."""
        self._server.folder.mkdir(parents=True, exist_ok=True)
        self._process = process = self._server.launch(self._port)
        try:
            self._server.wait(process.pid, self._port, lambda: process.poll() is None)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the process at once, with nothing flushed or said. A node that isn't there stays so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops the process without ending it: connections stay open and nothing answers, until `thaw` or `kill`."""
        process = self._signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # its threads stop one after the other, and might answer until then

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError("the node is not running")
        self._process.send_signal(number)
        return self._process


def find_java() -> str | None:
    """A `java` of a supported version; any newer one when there is no such, which may or may not do."""
    homes = [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    homes += [Path(f"/opt/homebrew/opt/openjdk@{version}") for version in JAVA_VERSIONS]
    homes += [Path(f"/usr/local/opt/openjdk@{version}") for version in JAVA_VERSIONS]
    homes += [home for version in JAVA_VERSIONS for home in sorted(Path("/usr/lib/jvm").glob(f"*{version}*"))]
    found = [str(java) for home in homes if (java := home / "bin" / "java").exists()]
    if on_path := find("java"):
        found.append(on_path)
    newer: str | None = None
    for java in found:
        version = java_version(java)
        if version in JAVA_VERSIONS:
            return java
        if version > max(JAVA_VERSIONS):
            newer = newer or java
    return newer


def java_version(java: str) -> int:
    """The feature release, 17 for 17.0.15; 0 when this `java` doesn't run (macOS has a stub that only advises)."""
    told = subprocess.run([java, "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found.group(1)) if told.returncode == 0 and found else 0


POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sun</groupId>
  <artifactId>servers</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId>
      <artifactId>cassandra-all</artifactId>
      <version>{CASSANDRA_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

LOGBACK = """\
<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5level [%thread] %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="STDOUT"/></root>
</configuration>
"""

# What Cassandra needs of the JDK's inside: conf/jvm17-server.options of its distribution.
EXPORTED = (
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
)
OPENED = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)


@contextlib.contextmanager
def services_kept_down() -> Iterator[None]:
    """Keeps apt from starting the packaged MariaDB:

    only an instance of our own, on a free port, is wanted (policy-rc.d, invoke-rc.d(8)).
    """
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def install_missing(servers: Sequence[Server]) -> None:
    """Installs the missing packages where that is possible without asking: as root on Debian and its kin.

    Elsewhere `prepare` says what is missing.
    """
    packages = [package for server in servers if not server.running() for package in server.packages()]
    apt = find("apt-get")
    if not packages or apt is None or os.geteuid() != 0:
        return
    say(f"installing {' '.join(packages)} with apt-get")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_down():
        run([apt, "-q", "update"], env=env)
        run([apt, "-q", "install", "-y", "--no-install-recommends", *packages], env=env)


def in_parallel(servers: Sequence[Server], act: Callable[[Server], None]) -> bool:
    """Whether `act` did it for every server; each failure is told in a line."""

    def attempt(server: Server) -> bool:
        try:
            act(server)
        except (ServerError, OSError) as error:
            say(f"{server.name}: {error}")
            return False
        return True

    with ThreadPoolExecutor(len(servers)) as pool:
        return all(list(pool.map(attempt, servers)))


def write_env(servers: Sequence[Server]) -> None:
    lines = [server.address(live[1]) for server in servers if (live := server.running())]
    if lines:
        ENV_FILE.write_text("".join(f"{line}\n" for line in lines))
    else:
        ENV_FILE.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> int:
    every: list[Server] = [MariaDB(), Cassandra()]
    action, names = (arguments[0], set(arguments[1:])) if arguments else ("", set[str]())
    if action not in ("start", "stop", "env") or names - {server.name for server in every}:
        print("usage: python tests/servers.py start|stop|env [mariadb] [cassandra]", file=sys.stderr)
        return 2
    if action == "env":
        if not ENV_FILE.exists():
            print("no server is running; start them with: make servers", file=sys.stderr)
            return 1
        print(ENV_FILE.read_text(), end="")
        return 0
    chosen = [server for server in every if not names or server.name in names]
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make servers` at once: the second finds what the first started
        if action == "start":
            try:
                install_missing(chosen)
            except ServerError as error:
                say(str(error))
            done = in_parallel(chosen, lambda server: server.start())
        else:
            done = in_parallel(chosen, lambda server: server.stop())
        write_env(every)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
