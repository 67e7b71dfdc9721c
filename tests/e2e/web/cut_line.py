"""A network between browser and server that can be cut: a TCP relay on 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

BLOCK_BYTES = 64 * 1024
POLL_S = 0.1


class Line:
    """A relay to `target_port`. While it is cut, what is connected breaks off, and new connections do so at once."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._is_cut = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_S)
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """Break every connection off, and every new one."""
        with self._lock:
            self._is_cut = True
            ended, self._sockets = self._sockets, set()
        for one in ended:
            _close(one)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_cut = False

    def serve(self, stop: threading.Event) -> None:
        """Relay until `stop` is set."""
        while not stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Close everything."""
        self.cut()
        self._listener.close()

    def _relay(self, client: socket.socket) -> None:
        with self._lock:
            is_cut = self._is_cut
        if is_cut:
            _close(client)
            return
        server = socket.create_connection(("127.0.0.1", self._target_port))
        with self._lock:
            self._sockets |= {client, server}
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()
        with self._lock:
            self._sockets -= {client, server}


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line to the server at `port` of 127.0.0.1."""
    line = Line(port)
    stop = threading.Event()
    thread = threading.Thread(target=line.serve, args=(stop,), daemon=True)
    thread.start()
    try:
        yield line
    finally:
        stop.set()
        thread.join()
        line.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side went away, or the line was cut: both end the connection
        while block := source.recv(BLOCK_BYTES):
            sink.sendall(block)
    _close(source)
    _close(sink)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        one.shutdown(socket.SHUT_RDWR)
    one.close()
