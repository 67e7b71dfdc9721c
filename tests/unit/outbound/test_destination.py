"""URLs of other people: what is read from them, and which are refused."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from core.errors import ForbiddenUrl, OutboundError
from core.outbound.destination import parse_url, permitted_addresses, resolve_name
from tests.unit.outbound.fakes import OTHER_PUBLIC, PUBLIC, FakeResolver


def test_url_is_taken_apart() -> None:
    destination = parse_url("HTTPS://Exämple.com:8443/a b?q=é#part")

    assert (destination.scheme, destination.host, destination.port) == ("https", "xn--exmple-cua.com", 8443)
    assert destination.authority == "xn--exmple-cua.com:8443"
    assert destination.target == "/a%20b?q=%C3%A9"


@pytest.mark.parametrize(("url", "port"), [("http://example.com", 80), ("https://example.com/", 443)])
def test_port_is_the_schemes_unless_it_is_given(url: str, port: int) -> None:
    assert parse_url(url).port == port


def test_ipv6_address_keeps_its_brackets_in_the_host_header_only() -> None:
    destination = parse_url("http://[2606:2800:220:1::1]:8080/x")

    assert destination.host == "2606:2800:220:1::1"
    assert destination.authority == "[2606:2800:220:1::1]:8080"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/file.wav",
        "//example.com/file.wav",
        "ftp://example.com/file.wav",
        "file:///etc/passwd",
        "gopher://example.com:6379/_x",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://127.0.0.1\\@example.com/",
        "http://exam ple.com/",
        "http://example.com%00.org/",
        "http://a..b/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://example.com:22/",
        "http://example.com:25/",
        "http://example.com:0/",
        "http://example.com:70000/",
        "http://example.com\r\nX-Injected: 1/",
        "http://\u2488.com/",
        "http://example.com/" + "a" * 2048,
    ],
)
def test_url_that_is_not_plain_http_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrl):
        parse_url(url)


def test_every_address_of_a_public_name_is_permitted() -> None:
    addresses = permitted_addresses(
        "example.com", 443, resolve=FakeResolver([PUBLIC, OTHER_PUBLIC]), allow=(), timeout_s=10.0
    )

    assert [str(address) for address in addresses] == [PUBLIC, OTHER_PUBLIC]


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1%2"])
def test_one_private_answer_among_public_ones_refuses_the_name(private: str) -> None:
    resolve = FakeResolver([PUBLIC, private, OTHER_PUBLIC])

    with pytest.raises(ForbiddenUrl) as refusal:
        permitted_addresses("example.com", 443, resolve=resolve, allow=(), timeout_s=10.0)

    assert private not in refusal.value.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "::ffff:7f00:1"])
def test_loopback_is_refused_in_every_notation_that_the_system_reads(host: str) -> None:
    with pytest.raises(ForbiddenUrl, match="private"):
        permitted_addresses(host, 80, resolve=resolve_name, allow=(), timeout_s=10.0)


def test_name_without_an_address_is_a_passing_fault() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(OutboundError, match="no address"):
        permitted_addresses("nowhere.example", 80, resolve=resolve, allow=(), timeout_s=10.0)
    with pytest.raises(OutboundError, match="no address"):
        permitted_addresses("nowhere.example", 80, resolve=FakeResolver([]), allow=(), timeout_s=10.0)
