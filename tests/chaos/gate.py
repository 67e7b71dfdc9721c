"""A TCP relay in front of a server, which can refuse, stall, or answer for it: outages that leave the server alone."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

BLOCK_BYTES = 65_536
POLL_S = 0.2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: the peer sees a reset
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: 46\r\n"
    b"Connection: close\r\n\r\n<Error><Code>ServiceUnavailable</Code></Error>"
)


class Mode(StrEnum):
    """What the gate does with connections, those that are open included."""

    OPEN = "open"
    REFUSING = "refusing"  # closes them, old and new, with a reset
    STALLING = "stalling"  # takes bytes and passes none on
    UNAVAILABLE = "unavailable"  # answers each HTTP request with status 503


class Gate:
    """Relays connections to `port` of 127.0.0.1 from a port of its own, as its `mode` says."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(POLL_S)
        self.port: int = self._listener.getsockname()[1]
        self._mode = Mode.OPEN
        self._is_passing = threading.Event()
        self._is_passing.set()
        self._has_ended = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name=f"gate-{self.port}", daemon=True)
        self._acceptor.start()

    def set(self, mode: Mode) -> None:
        """Change what happens from now on."""
        self._mode = mode
        if mode in (Mode.REFUSING, Mode.UNAVAILABLE):
            self._cut()
        if mode is Mode.STALLING:
            self._is_passing.clear()
        else:
            self._is_passing.set()

    def close(self) -> None:
        """End every connection and stop listening."""
        self._has_ended.set()
        self._is_passing.set()
        self._acceptor.join()
        self._listener.close()
        self._cut()

    def _accept(self) -> None:
        while not self._has_ended.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._mode is Mode.REFUSING:
            _reset(client)
            return
        if self._mode is Mode.UNAVAILABLE:
            _answer_unavailable(client)
            return
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._connections |= {client, server}
        forth = threading.Thread(target=self._pump, args=(client, server), daemon=True)
        forth.start()
        self._pump(server, client)
        forth.join()
        with self._lock:
            self._connections -= {client, server}
        for end in (client, server):
            end.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut, or one of the two has gone
            while data := source.recv(BLOCK_BYTES):
                self._is_passing.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(target_port: int) -> Iterator[Gate]:
    """A gate that stands as long as the block."""
    opened = Gate(target_port)
    try:
        yield opened
    finally:
        opened.close()


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    client.close()


def _answer_unavailable(client: socket.socket) -> None:
    client.settimeout(1.0)
    with client, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(BLOCK_BYTES)):
            head += data
        client.sendall(_UNAVAILABLE)
