"""A URL that somebody else gave, taken apart and checked before any connection."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty, SimpleQueue

import httpx

from core.errors import ForbiddenUrl, OutboundError
from core.outbound.addresses import Address, Network, is_allowed

MAX_URL_CHARS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
FIRST_UNPRIVILEGED_PORT = 1024
"""Below it only the two ports of the web are reached: no mail, shell or file server is spoken to."""

Resolver = Callable[[str, int], Sequence[str]]
"""The IP addresses of (host, port), as text; OSError when there are none."""

_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a request goes. `host` is ASCII (IDNA) or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    authority: str  # of the Host header
    target: str  # path and query, percent-encoded


def resolve_name(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver knows; also reads an address in any notation, such as 0x7f.1."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def parse_url(text: str) -> Destination:
    """The destination that `text` names; ForbiddenUrl says what is wrong with it.

    Only http and https, a host, no user or password, port 80, 443 or from 1024 on.
    """
    if len(text) > MAX_URL_CHARS:
        raise ForbiddenUrl(f"The URL is longer than {MAX_URL_CHARS} characters.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ForbiddenUrl(f"Not a URL: {error}.") from None
    if url.scheme not in DEFAULT_PORTS:
        raise ForbiddenUrl(f"The URL's scheme is {url.scheme[:20]!r}; use http or https.")
    if url.userinfo:
        raise ForbiddenUrl("The URL holds a user name or password, which would be stored; leave them out.")
    host = url.raw_host.decode("ascii")
    if not _is_host(host):
        raise ForbiddenUrl(f"The URL's host is not valid: {host[:100]!r}.")
    port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    if port not in DEFAULT_PORTS.values() and not FIRST_UNPRIVILEGED_PORT <= port <= 65535:
        raise ForbiddenUrl(f"The URL's port is {port}; use 80, 443, or one from {FIRST_UNPRIVILEGED_PORT} to 65535.")
    return Destination(
        scheme=url.scheme,
        host=host,
        port=port,
        authority=url.netloc.decode("ascii"),
        target=url.raw_path.decode("ascii"),
    )


def permitted_addresses(
    host: str, port: int, *, resolve: Resolver, allow: Sequence[Network], timeout_s: float
) -> list[Address]:
    """The addresses of `host`, in the resolver's order, when every one of them may be connected to.

    ForbiddenUrl when any may not: a name with mixed answers is an attack or a mistake. OutboundError when the name has
    no address now, or none is found in `timeout_s`.
    """
    answers: SimpleQueue[list[Address] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(_look_up(host, port, resolve=resolve, allow=allow))
        except Exception as error:
            answers.put(error)  # raised by the thread that waits

    # getaddrinfo cannot be interrupted: when it takes too long, its thread is left behind.
    threading.Thread(target=look_up, name="outbound-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except Empty:
        raise OutboundError(f"The address of {host!r} was not found in time.") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _look_up(host: str, port: int, *, resolve: Resolver, allow: Sequence[Network]) -> list[Address]:
    try:
        addresses = [ip_address(text) for text in resolve(host, port)]
    except OSError as error:
        raise OutboundError(f"The host {host!r} has no address.") from error
    except ValueError as error:  # UnicodeError too: a label that the resolver's codec refuses
        raise ForbiddenUrl(f"The host {host!r} cannot be looked up.") from error
    if not addresses:
        raise OutboundError(f"The host {host!r} has no address.")
    if not all(is_allowed(address, allow=allow) for address in addresses):
        # The address is not named: what a private name resolves to is nobody's business outside.
        raise ForbiddenUrl(
            f"The host {host!r} is in a private, local or reserved network. The operator allows such networks with "
            "LIMPID_WEBHOOK_ALLOW."
        )
    return addresses


def _is_host(host: str) -> bool:
    try:
        return not getattr(ip_address(host), "scope_id", None)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
