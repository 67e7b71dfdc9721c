"""Server-side request forgery against real servers: one that may be reached, and one inside that must never be.

Both listen on the same port, the first at 127.0.0.2, which stands for the internet and is allowed, the other at
127.0.0.1, which stands for our own network.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from core.errors import FetchFailed, ForbiddenUrl
from core.outbound.client import OutboundClient
from core.outbound.fetch import fetch_to
from core.outbound.post import post_event
from tests.unit.outbound.fakes import FakeResolver
from tests.web_server import Received, Reply, WebServer, web_server

OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
HOST = "files.example.org"


@dataclass(kw_only=True)
class Net:
    """The two servers, and what the one outside answers."""

    outside: WebServer
    inside: WebServer

    def client(self, *answers: list[str]) -> OutboundClient:
        """A client whose name server gives `answers`, one after the other."""
        return OutboundClient(allow=[ip_network(OUTSIDE)], resolve=FakeResolver(*answers))

    def url(self, host: str = HOST) -> str:
        return f"http://{host}:{self.outside.port}/talk.wav"


@pytest.fixture
def net() -> Iterator[Net]:
    with (
        web_server(lambda _: Reply(body=b"from outside"), address=OUTSIDE) as outside,
        web_server(lambda _: Reply(body=b"secret"), address=INSIDE, port=outside.port) as inside,
    ):
        yield Net(outside=outside, inside=inside)


def fetch(client: OutboundClient, url: str) -> bytes:
    data = bytearray()
    fetch_to(url, data.extend, max_bytes=1_000, timeout_s=10.0, client=client)
    return bytes(data)


def test_server_outside_is_reached(net: Net) -> None:
    assert fetch(net.client([OUTSIDE]), net.url()) == b"from outside"
    assert [request.headers["host"] for request in net.outside.received] == [f"{HOST}:{net.outside.port}"]


def test_name_that_is_rebound_after_the_check_still_leads_outside(net: Net) -> None:
    client = net.client([OUTSIDE], [INSIDE])

    assert fetch(client, net.url()) == b"from outside"

    assert net.inside.received == []


def test_name_that_is_rebound_between_submit_and_request_is_refused(net: Net) -> None:
    client = net.client([OUTSIDE], [INSIDE])
    client.check_url(net.url())

    with pytest.raises(ForbiddenUrl):
        fetch(client, net.url())

    assert net.inside.received == net.outside.received == []


@pytest.mark.parametrize("position", [0, 1, 49])
def test_name_with_one_address_inside_among_many_is_refused(net: Net, position: int) -> None:
    answers = [OUTSIDE] * 50
    answers[position] = INSIDE

    with pytest.raises(ForbiddenUrl):
        fetch(net.client(answers), net.url())

    assert net.inside.received == net.outside.received == []


def test_addresses_that_refuse_are_passed_over_and_none_inside_is_tried(net: Net) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.3", net.outside.port))  # taken, and nobody listens
        client = OutboundClient(
            allow=[ip_network("127.0.0.2/31")], resolve=FakeResolver(["127.0.0.3", "127.0.0.3", OUTSIDE])
        )

        assert fetch(client, net.url()) == b"from outside"

    assert net.inside.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_inside_is_followed_by_neither_fetch_nor_webhook(net: Net, status: int) -> None:
    def redirect(_: Received) -> Reply:
        return Reply(status=status, headers={"Location": f"http://{INSIDE}:{net.outside.port}/secret"})

    net.outside.answer = redirect
    client = net.client([OUTSIDE])

    with pytest.raises(FetchFailed) as refusal:
        fetch(client, net.url())
    answer = post_event(net.url(), b"{}", headers={}, timeout_s=10.0, client=client)

    assert answer.status == status
    assert INSIDE not in str(refusal.value)
    assert net.inside.received == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "[::ffff:127.0.0.1]"]
)
def test_address_inside_is_refused_however_it_is_written(net: Net, host: str) -> None:
    client = OutboundClient(allow=[ip_network(OUTSIDE)])

    with pytest.raises(ForbiddenUrl):
        fetch(client, net.url(host))

    assert net.inside.received == []


def test_header_that_names_another_host_does_not_lead_there(net: Net) -> None:
    net.outside.answer = lambda _: Reply(
        headers={"Alt-Svc": f'http="{INSIDE}:{net.outside.port}"', "Refresh": f"0; url=http://{INSIDE}/"}, body=b"ok"
    )
    client = net.client([OUTSIDE])

    assert [fetch(client, net.url()) for _ in range(2)] == [b"ok", b"ok"]

    assert net.inside.received == []
