"""Nodes that misbehave: one behind a proxy that holds everything back, and one that only says who it lets in."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self

from tests.sql.cut_proxy import CutProxy, Way


class StallProxy(CutProxy):
    """A CutProxy that can hold back what passes: `stall` and `flow`. Connections stay open all the while."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        super().__init__(host, int(port))
        self._flowing = threading.Event()
        self._flowing.set()

    def stall(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def __exit__(self, *exception: object) -> None:
        self.flow()
        super().__exit__(*exception)

    def _allowed(self, way: Way, count: int) -> int:
        self._flowing.wait()
        return super()._allowed(way, count)


class StrictNode:
    """Answers OPTIONS, and every STARTUP with a demand for credentials, none of which it takes. Version 4 only."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                while head := client.recv(9, socket.MSG_WAITALL):
                    _, _, stream, opcode, size = struct.unpack(">BBhBi", head)
                    client.recv(size, socket.MSG_WAITALL) if size else b""
                    code, body = self._answer(opcode)
                    client.sendall(struct.pack(">BBhBi", 0x84, 0, stream, code, len(body)) + body)

    def _answer(self, opcode: int) -> tuple[int, bytes]:
        if opcode == 5:  # OPTIONS: SUPPORTED
            options = {"CQL_VERSION": ["3.4.7"], "COMPRESSION": []}
            body = struct.pack(">H", len(options))
            for name, values in options.items():
                body += _string(name) + struct.pack(">H", len(values)) + b"".join(map(_string, values))
            return 6, body
        if opcode == 1:  # STARTUP: AUTHENTICATE
            return 3, _string("org.apache.cassandra.auth.PasswordAuthenticator")
        return 0, struct.pack(">i", 0x0100) + _string("Provided username and/or password are incorrect")


def _string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
