"""Posting an event: what is sent, and what comes back of the answer."""

from __future__ import annotations

import pytest

from core.errors import ForbiddenUrl
from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from core.outbound.post import Answer, post_event
from tests.unit.outbound.fakes import PUBLIC, FakeNetwork, FakeResolver
from tests.web_server import Reply, web_server

CLIENT = OutboundClient(allow=parse_networks(["127.0.0.0/8"]))


def post(url: str, *, client: OutboundClient = CLIENT) -> Answer:
    return post_event(url, b'{"a":1}', headers={"webhook-id": "m1"}, timeout_s=10.0, client=client)


def test_body_and_headers_arrive_as_given() -> None:
    with web_server(lambda _: Reply(status=204)) as server:
        answer = post(server.url("/hook"))

    assert answer == Answer(status=204, retry_after=None)
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("POST", "/hook", b'{"a":1}')
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "m1"


@pytest.mark.parametrize("status", [200, 302, 404, 410, 500])
def test_every_status_is_an_answer(status: int) -> None:
    with web_server(lambda _: Reply(status=status, headers={"Location": "http://127.0.0.1:1/"})) as server:
        assert post(server.url()).status == status


def test_retry_after_is_told() -> None:
    with web_server(lambda _: Reply(status=503, headers={"Retry-After": "120"})) as server:
        assert post(server.url()) == Answer(status=503, retry_after="120")


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 99999999999\r\n\r\n" + b"x" * 1_000_000,  # endless
        b"Content-Length: 100\r\n\r\nx",  # breaks off
    ],
)
def test_answer_counts_whatever_becomes_of_its_body(rest: bytes) -> None:
    network = FakeNetwork(b"HTTP/1.1 200 OK\r\n" + rest, piece_bytes=4096)
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)

    assert post("http://example.com/", client=client).status == 200


def test_private_receiver_is_refused() -> None:
    with web_server(lambda _: Reply()) as server, pytest.raises(ForbiddenUrl):
        post(server.url(), client=OutboundClient())

    assert server.received == []
