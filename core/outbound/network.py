"""The network as requests to other people's servers see it: checked addresses only, and one deadline for everything.

The check sits where the connection is made: the name is resolved once, there, and the socket goes to one of the
addresses that were checked. What the name resolves to later (DNS rebinding) plays no part, and Host header, SNI and the
certificate's check stay with the name.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from core.outbound.addresses import Network
from core.outbound.destination import Resolver, permitted_addresses

MAX_ADDRESSES = 4  # that are tried, one after another, before the host counts as unreachable

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Deadline:
    """A point in time that every step of a request shares."""

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at_s = clock() + timeout_s

    def remaining_s(self, wanted_s: float | None = None) -> float:
        """Seconds left, or `wanted_s` where that is less; httpcore.ReadTimeout when none is left."""
        left_s = self._ends_at_s - self._clock()
        if left_s <= 0:
            raise httpcore.ReadTimeout("The time for the request is used up.")
        return left_s if wanted_s is None else min(left_s, wanted_s)


class GuardedNetwork(httpcore.NetworkBackend):
    """A network backend for one request of httpcore, on top of `inner` (by default sockets)."""

    def __init__(
        self, *, deadline: Deadline, resolve: Resolver, allow: Sequence[Network], inner: httpcore.NetworkBackend
    ) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._allow = allow
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a permitted address of `host`; ForbiddenUrl, OutboundError or httpcore's errors."""
        addresses = permitted_addresses(
            host, port, resolve=self._resolve, allow=self._allow, timeout_s=self._deadline.remaining_s()
        )[:MAX_ADDRESSES]
        for position, address in enumerate(addresses):
            share_s = self._deadline.remaining_s(timeout) / (len(addresses) - position)
            try:
                stream = self._inner.connect_tcp(str(address), port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if position == len(addresses) - 1:
                    raise
            else:
                return _DeadlineStream(stream, self._deadline)
        raise httpcore.ConnectError(f"No address of {host!r} was tried.")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("Only TCP leaves this machine.")

    def sleep(self, seconds: float) -> None:
        raise httpcore.UnsupportedProtocol("Connections are not retried here.")


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every operation ends at the deadline, so that a peer that trickles bytes cannot hold us."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.remaining_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.remaining_s(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._deadline.remaining_s(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own signature
        return self._inner.get_extra_info(info)
