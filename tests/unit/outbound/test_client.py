"""Requests to other people's servers: where they go, what they carry, when they end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import ForbiddenUrl, OutboundError
from core.outbound import client as client_module
from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from tests.unit.outbound.fakes import OTHER_PUBLIC, PUBLIC, FakeNetwork, FakeResolver
from tests.web_server import HOST_NAME, Received, Reply, self_signed_contexts, web_server

LOOPBACK = parse_networks(["127.0.0.0/8"])


def get(client: OutboundClient, url: str, *, timeout_s: float = 10.0) -> tuple[int, bytes]:
    with client.request("GET", url, headers={}, timeout_s=timeout_s) as response:
        return response.status, b"".join(response.blocks)


def greet(_: Received) -> Reply:
    return Reply(body=b"hello")


def test_connection_goes_to_the_checked_address_and_the_name_stays_in_the_request() -> None:
    network = FakeNetwork()
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)

    status, body = get(client, "http://example.com:8080/a?b=c")

    assert (status, body) == (200, b"hi")
    assert network.connected == [(PUBLIC, 8080)]
    head = network.stream.sent.decode().lower()
    assert head.startswith("get /a?b=c http/1.1\r\nhost: example.com:8080\r\nuser-agent: limpid/")


def test_name_that_turns_private_after_the_check_is_never_looked_up_again() -> None:
    resolver = FakeResolver([PUBLIC], ["127.0.0.1"])
    network = FakeNetwork()
    client = OutboundClient(resolve=resolver, network=network)

    get(client, "http://rebinding.example/")

    assert network.connected == [(PUBLIC, 80)]
    assert resolver.asked == [("rebinding.example", 80)]


def test_name_that_turned_private_since_the_submit_is_refused() -> None:
    network = FakeNetwork()
    client = OutboundClient(resolve=FakeResolver([PUBLIC], ["127.0.0.1"]), network=network)
    client.check_url("http://rebinding.example/")

    with pytest.raises(ForbiddenUrl):
        get(client, "http://rebinding.example/")

    assert network.connected == []


def test_mixed_answers_connect_to_nothing() -> None:
    network = FakeNetwork()
    client = OutboundClient(resolve=FakeResolver([PUBLIC, "10.0.0.1"]), network=network)

    with pytest.raises(ForbiddenUrl):
        get(client, "http://example.com/")

    assert network.connected == []


def test_next_address_is_tried_when_the_first_cannot_be_reached() -> None:
    network = FakeNetwork(unreachable=[OTHER_PUBLIC])
    client = OutboundClient(resolve=FakeResolver([OTHER_PUBLIC, PUBLIC]), network=network)

    assert get(client, "http://example.com/")[0] == 200
    assert network.connected == [(OTHER_PUBLIC, 80), (PUBLIC, 80)]


def test_host_with_no_reachable_address_is_a_passing_fault() -> None:
    network = FakeNetwork(unreachable=[OTHER_PUBLIC, PUBLIC])
    client = OutboundClient(resolve=FakeResolver([OTHER_PUBLIC, PUBLIC]), network=network)

    with pytest.raises(OutboundError, match="cannot be reached"):
        get(client, "http://example.com/")


def test_tls_is_for_the_name_and_not_for_the_address() -> None:
    network = FakeNetwork()
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)

    get(client, "https://example.com/")

    assert network.connected == [(PUBLIC, 443)]
    assert network.stream.server_hostname == "example.com"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/", "http://localhost:8080/", "http://[::1]:8080/"])
def test_check_refuses_what_a_request_would(url: str) -> None:
    client = OutboundClient()

    with pytest.raises(ForbiddenUrl):
        client.check_url(url)


def test_check_lets_a_name_through_that_has_no_address_just_now() -> None:
    OutboundClient(resolve=FakeResolver([])).check_url("https://example.com/")


def test_check_does_not_wait_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over, has_answered = threading.Event(), threading.Event()
    monkeypatch.setattr(client_module, "CHECK_TIMEOUT_S", 0.1)

    def resolve(host: str, port: int) -> Sequence[str]:
        is_over.wait(30)
        has_answered.set()
        return [PUBLIC]

    OutboundClient(resolve=resolve).check_url("https://example.com/")

    assert not has_answered.is_set()
    is_over.set()


def test_what_speaks_no_http_is_a_passing_fault_that_shows_nothing_of_it() -> None:
    network = FakeNetwork(b"-ERR secret of the inside\r\n")
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)

    with pytest.raises(OutboundError) as fault:
        get(client, "http://example.com/")

    assert "secret" not in fault.value.detail


def test_endless_header_ends() -> None:
    network = FakeNetwork(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000_000)
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)

    with pytest.raises(OutboundError):
        get(client, "http://example.com/")


def test_local_server_is_reached_only_when_its_network_is_allowed() -> None:
    with web_server(greet) as server:
        assert get(OutboundClient(allow=LOOPBACK), server.url()) == (200, b"hello")
        with pytest.raises(ForbiddenUrl):
            get(OutboundClient(), server.url())

    assert len(server.received) == 1


def test_certificate_is_checked_for_the_name(tmp_path: Path) -> None:
    server_tls, client_tls = self_signed_contexts(tmp_path)
    client = OutboundClient(allow=LOOPBACK, resolve=FakeResolver(["127.0.0.1"]), ssl_context=client_tls)

    with web_server(greet, ssl_context=server_tls) as server:
        assert get(client, server.url(host=HOST_NAME)) == (200, b"hello")
        with pytest.raises(OutboundError, match="cannot be reached"):
            get(client, server.url(host="other.example.org"))

    assert [request.headers["host"] for request in server.received] == [f"{HOST_NAME}:{server.port}"]


def test_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    server_tls, _ = self_signed_contexts(tmp_path)
    client = OutboundClient(allow=LOOPBACK, resolve=FakeResolver(["127.0.0.1"]))

    with web_server(greet, ssl_context=server_tls) as server, pytest.raises(OutboundError):
        get(client, server.url(host=HOST_NAME))

    assert server.received == []


def test_redirect_is_an_answer_and_is_not_followed() -> None:
    with web_server(lambda _: Reply(status=200)) as inside:
        target = inside.url("/secret")
        with web_server(lambda _: Reply(status=302, headers={"Location": target})) as outside:
            assert get(OutboundClient(allow=LOOPBACK), outside.url())[0] == 302

    assert inside.received == []


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(greet) as proxy, web_server(greet) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())

        get(OutboundClient(allow=LOOPBACK), server.url())

    assert (len(proxy.received), len(server.received)) == (0, 1)


def test_slow_name_server_is_given_up_at_the_deadline() -> None:
    is_over = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        is_over.wait(30)
        return [PUBLIC]

    begun_s = time.monotonic()
    with pytest.raises(OutboundError, match="in time"):
        get(OutboundClient(resolve=resolve, network=FakeNetwork()), "http://example.com/", timeout_s=0.2)
    is_over.set()

    assert time.monotonic() - begun_s < 5


@pytest.mark.parametrize(
    ("opening", "what"),
    [
        (b"", "nothing at all"),
        (b"HTTP/1.1 200 OK\r\n", "its header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "its body"),
    ],
)
def test_server_that_trickles_is_given_up_at_the_deadline(opening: bytes, what: str) -> None:
    with trickling_server(opening) as port:
        begun_s = time.monotonic()
        with pytest.raises(OutboundError, match="in time"):
            get(OutboundClient(allow=LOOPBACK), f"http://127.0.0.1:{port}/", timeout_s=0.5)

    assert 0.4 < time.monotonic() - begun_s < 5, f"trickled {what}"


@contextmanager
def trickling_server(opening: bytes) -> Iterator[int]:
    """A server that sends `opening`, then a byte every 50 ms: each read succeeds long before it could time out."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(opening)
                    while opening and not is_over.wait(0.05):
                        connection.sendall(b"x")
                    is_over.wait()
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            thread.join(5)
