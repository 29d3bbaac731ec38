"""A TCP proxy in front of a server, which cuts its connections after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

Way = Literal["up", "down"]


class CutProxy:
    """Listens on `port` of loopback while it is entered, and forwards to the server.

    `cut(way, count)` arms it: once `count` more bytes have gone that way, to the server (up) or from it (down), every
    connection is reset. New ones are served as before.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._way: Way | None = None
        self._left = 0
        self.passed: dict[Way, int] = {"up": 0, "down": 0}

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        # `close` alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for thread in self._threads:
            thread.join(10)

    def cut(self, way: Way, count: int) -> None:
        with self._lock:
            self._way, self._left = way, count

    def spare(self) -> None:
        """Cut nothing after all."""
        with self._lock:
            self._way = None

    def reset(self) -> None:
        """End every connection."""
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            # No waiting for what is still to be sent: a reset, as of a machine that fell.
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, work: object, *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            done = threading.Semaphore(0)
            self._start(self._pump, client, server, "up", done)
            self._start(self._pump, server, client, "down", done)
            self._start(self._bury, (client, server), done)

    def _pump(self, source: socket.socket, target: socket.socket, way: Way, done: threading.Semaphore) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                allowed = self._allowed(way, len(data))
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self.reset()
                    break
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        done.release()

    def _bury(self, pair: tuple[socket.socket, socket.socket], done: threading.Semaphore) -> None:
        done.acquire()
        done.acquire()
        with self._lock:
            self._open -= set(pair)
        for each in pair:
            each.close()

    def _allowed(self, way: Way, count: int) -> int:
        with self._lock:
            self.passed[way] += count
            if way != self._way:
                return count
            allowed = min(count, self._left)
            self._left -= allowed
            if allowed < count:
                self._way = None
            return allowed
