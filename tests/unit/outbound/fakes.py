"""A name server and a network in memory."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore

PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "2606:2800:220:1::1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class FakeResolver:
    """Answers each look-up with the next of `answers`, the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class FakeStream(httpcore.NetworkStream):
    """A connection that answers with `answer`, in pieces of `piece_bytes`, and keeps what was sent."""

    def __init__(self, answer: bytes, *, piece_bytes: int = 65536) -> None:
        self._answer = answer
        self._piece_bytes = piece_bytes
        self.sent = b""
        self.timeouts: list[float | None] = []
        self.server_hostname: str | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.timeouts.append(timeout)
        size = min(max_bytes, self._piece_bytes)
        piece, self._answer = self._answer[:size], self._answer[size:]
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sent += buffer

    def close(self) -> None:
        self._answer = b""

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self.server_hostname = server_hostname
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own signature
        return None


class FakeNetwork(httpcore.NetworkBackend):
    """Connects to anything but `unreachable`, and remembers to what."""

    def __init__(self, answer: bytes = OK, *, piece_bytes: int = 65536, unreachable: Sequence[str] = ()) -> None:
        self.stream = FakeStream(answer, piece_bytes=piece_bytes)
        self.connected: list[tuple[str, int]] = []
        self._unreachable = unreachable

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self._unreachable:
            raise httpcore.ConnectError("No route to host")
        return self.stream
