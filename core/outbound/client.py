"""HTTP to servers that clients name: webhooks and inputs by URL. Nothing inside our networks can be reached by it.

Built on httpcore, which does one request and no more: no redirects, no proxies or passwords from the environment, no
cookies, no decompression. What a server sends back never becomes part of an error message.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import NoReturn

import httpcore
import httpx

from core.errors import OutboundError
from core.outbound.addresses import Network
from core.outbound.destination import Destination, Resolver, parse_url, permitted_addresses, resolve_name
from core.outbound.network import Deadline, GuardedNetwork

USER_AGENT = f"Limpid/{version('limpid')}"

CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
"""A server that sends or takes nothing for this long is given up, whatever time is left."""

CHECK_TIMEOUT_S = 3.0
"""Somebody waits for the answer to a submit; the look-up for it gets no longer than this."""

_TIMEOUTS = {"connect": CONNECT_TIMEOUT_S, "read": IDLE_TIMEOUT_S, "write": IDLE_TIMEOUT_S}


@dataclass(frozen=True, kw_only=True)
class OutboundResponse:
    """The head of an answer, and its body as it comes: `blocks` raises OutboundError when it breaks off."""

    status: int
    headers: Mapping[str, str]  # names in lower case; of several of one name, the first
    blocks: Iterator[bytes]


class OutboundClient:
    """Sends requests to other people's servers. One per process will do; it holds no connection.

    `allow` are networks that may be reached although they are not public. `resolve`, `network` and `ssl_context` are
    for tests; by default the system's resolver, sockets, and the certificate authorities that httpx trusts.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        resolve: Resolver = resolve_name,
        network: httpcore.NetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve
        self._network = network or httpcore.SyncBackend()
        self._ssl_context = ssl_context

    def check_url(self, url: str) -> None:
        """ForbiddenUrl when a request to `url` would be refused.

        A name without an address just now, or whose name server is slow, is let through: the request checks again.
        """
        destination = parse_url(url)
        try:
            permitted_addresses(
                destination.host,
                destination.port,
                resolve=self._resolve,
                allow=self._allow,
                timeout_s=CHECK_TIMEOUT_S,
            )
        except OutboundError:
            return

    @contextmanager
    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float
    ) -> Iterator[OutboundResponse]:
        """The answer to one request; the connection is closed at the end of the block.

        `timeout_s` is for everything, from the look-up of the name to the last byte that is read. ForbiddenUrl when the
        destination may not be reached, OutboundError when it does not answer in time or as HTTP.
        """
        destination = parse_url(url)
        network = GuardedNetwork(
            deadline=Deadline(timeout_s), resolve=self._resolve, allow=self._allow, inner=self._network
        )
        # A context per request, since httpcore writes to it, and connections are never shared.
        ssl_context = (self._ssl_context or httpx.create_ssl_context()) if destination.scheme == "https" else None
        with (
            httpcore.ConnectionPool(ssl_context=ssl_context, max_connections=1, network_backend=network) as pool,
            _answered(destination),
            pool.stream(
                method,
                _url_of(destination),
                headers=[("Host", destination.authority), ("User-Agent", USER_AGENT), *headers.items()],
                content=body,
                extensions={"timeout": _TIMEOUTS},
            ) as response,
        ):
            fields: dict[str, str] = {}
            for name, value in response.headers:
                fields.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
            yield OutboundResponse(
                status=response.status, headers=fields, blocks=_blocks(response.iter_stream(), destination)
            )


def _url_of(destination: Destination) -> httpcore.URL:
    return httpcore.URL(
        scheme=destination.scheme, host=destination.host, port=destination.port, target=destination.target
    )


def _blocks(stream: Iterator[bytes], destination: Destination) -> Iterator[bytes]:
    with _answered(destination):
        yield from stream


@contextmanager
def _answered(destination: Destination) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        _fail(f"{destination.host!r} did not answer in time.", error)
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        reason = "breaks off or speaks no HTTP" if isinstance(error, httpcore.ProtocolError) else "cannot be reached"
        _fail(f"{destination.host!r} {reason}.", error)


def _fail(message: str, cause: Exception) -> NoReturn:
    raise OutboundError(message) from cause
