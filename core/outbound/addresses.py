"""Which internet addresses Limpid may connect to when somebody else names the server.

Public unicast is allowed; what reaches this machine, its networks or its cloud's metadata service is not, in any
notation. The IANA special-purpose registries (RFC 6890) say what is public; `ipaddress` has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google Cloud and most others
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
        "169.254.170.2",  # AWS, credentials of a container
        "169.254.170.23",  # AWS, credentials of a pod
        "fd00:ec2::23",  # AWS, credentials of a pod
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "168.63.129.16",  # Azure's host: publicly routable by its number, and yet not public
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached

# Special purpose in the registries, or reaching an IPv4 address of the sender's choice; older Pythons call some global.
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "::/96",  # IPv4-compatible (RFC 4291, deprecated)
        "64:ff9b:1::/48",  # local-use NAT64 (RFC 8215)
        "100::/64",  # discard-only
        "2001::/23",  # Teredo, ORCHID and other IETF protocol assignments
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fec0::/10",  # site-local (deprecated)
    )
)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation, or single addresses; ValueError for anything else, host bits set included."""
    return tuple(ip_network(text.strip()) for text in texts if text.strip())


def is_allowed(address: Address, *, allow: Sequence[Network] = ()) -> bool:
    """True for a public address, and for any in a network of `allow`, except cloud metadata services: never those.

    An IPv6 address that stands for an IPv4 address (IPv4-mapped, NAT64, 6to4) is judged as that one.
    """
    reached = _reached(address)
    if address in _METADATA or reached in _METADATA:
        return False
    return _is_public(reached) or any(reached in network or address in network for network in allow)


def _reached(address: Address) -> Address:
    """The address that a packet to `address` ends at: the IPv4 address in an IPv6 address that embeds one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    is_unicast = not (address.is_multicast or address.is_reserved or address.is_unspecified)
    return address.is_global and is_unicast and not any(address in network for network in _REFUSED)
