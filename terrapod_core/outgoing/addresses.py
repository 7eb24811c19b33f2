"""Which addresses a user may have the server connect to. No network here.

An IPv6 address may hold an IPv4 one that a gateway or a tunnel unpacks, so what is inside is judged too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address

METADATA: Final = frozenset(
    ip_address(each)
    for each in (
        "169.254.169.254",  # Amazon, Google, Microsoft, DigitalOcean, OpenStack
        "169.254.170.2",  # Amazon ECS
        "fd00:ec2::254",  # Amazon
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Microsoft Azure: a public address, and reachable from inside alone
        "192.0.0.192",  # Oracle
    )
)
"""Where clouds hand out a machine's credentials."""

ELSEWHERE: Final = (
    IPv4Network("192.0.0.0/24"),  # RFC 6890; 192.0.0.9 and 192.0.0.10 are whatever router is next (RFC 7723, RFC 8155)
    IPv6Network("2001::/23"),  # the same for IPv6, and Teredo
    IPv6Network("3fff::/20"),  # RFC 9637: documentation
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated and still routed
)
"""Not public, although Python's tables (they differ from release to release) say so or know nothing of them."""

NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052. Hosts without IPv4 reach all of it this way, so the address is as good as the one inside."""

LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
COMPATIBLE: Final = IPv6Network("::/96")
ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)
"""RFC 5214: what the upper half of an interface's identifier says when the lower half is an IPv4 address."""


def parsed(text: str) -> IPAddress | None:
    """The address, a v4-mapped one as the IPv4 address that it is; `None` for anything else, and for one with a zone."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def problem(address: IPAddress) -> str | None:
    """Why the server does not connect there for a user, as the rest of a sentence; `None` when it does."""
    if isinstance(address, IPv6Address) and address in NAT64:
        return problem(_low(address))
    if address in METADATA:
        return "is the address of a cloud's metadata service"
    if address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global:
        return "is not a public address"
    if any(address in network for network in ELSEWHERE):
        return "is not a public address"
    for inside in embedded(address):
        found = problem(inside)
        if found is not None:
            return f"{found} (it holds {inside})"
    return None


def embedded(address: IPAddress) -> Iterator[IPv4Address]:
    """The IPv4 addresses inside an IPv6 address, by every convention that somebody's router may follow."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in NAT64 or address in COMPATIBLE or (int(address) >> 32 & 0xFFFF_FFFF) in ISATAP:
        yield _low(address)
    if address in LOCAL_NAT64:
        yield _low(address)


def is_own(address: IPAddress) -> bool:
    """Whether this machine has the address itself. Asks the kernel which address it would speak from; nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return parsed(probe.getsockname()[0]) == address
    except OSError:
        return False  # no way there at all


def _low(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)
