"""Which addresses count as public, and what an allow-list changes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from core.outbound.addresses import is_allowed, parse_networks


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "93.184.216.34",
        "2606:2800:220:1::1",
        "2a00:1450:4001:81b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",  # NAT64 of 8.8.8.8
    ],
)
def test_public_address_is_allowed(text: str) -> None:
    assert is_allowed(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",  # carrier-grade NAT
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.2.1",  # documentation
        "192.88.99.1",  # 6to4 relays
        "192.168.1.1",
        "198.18.0.1",  # benchmarking
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",  # IPv4-compatible
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
        "64:ff9b::a9fe:a9fe",  # NAT64 of 169.254.169.254
        "64:ff9b:1::a00:1",  # local-use NAT64
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "2002:a00:1::1",  # 6to4 of 10.0.0.1
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_public_is_refused(text: str) -> None:
    assert not is_allowed(ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "168.63.129.16"],
)
def test_metadata_service_is_refused_even_when_its_network_is_allowed(text: str) -> None:
    everything = parse_networks(["0.0.0.0/0", "::/0"])

    assert not is_allowed(ip_address(text), allow=everything)


def test_allow_list_lets_its_networks_through_and_no_others() -> None:
    allow = parse_networks(["10.1.0.0/16", "fd12::/16"])

    assert is_allowed(ip_address("10.1.2.3"), allow=allow)
    assert is_allowed(ip_address("::ffff:10.1.2.3"), allow=allow)
    assert is_allowed(ip_address("fd12::5"), allow=allow)
    assert not is_allowed(ip_address("10.2.0.1"), allow=allow)
    assert not is_allowed(ip_address("127.0.0.1"), allow=allow)
    assert not is_allowed(ip_address("fd13::5"), allow=allow)


def test_networks_are_read_as_cidr_or_single_addresses() -> None:
    networks = parse_networks([" 10.0.0.0/8", "", "192.168.1.7", "fd00::/8 "])

    assert [str(network) for network in networks] == ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"]


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.org", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        parse_networks([text])
