"""Which addresses are public, in all the clothes an IPv4 address may wear."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest
from hypothesis import given, strategies as st

from terrapod_core.outgoing.addresses import METADATA, is_own, parsed, problem

PRIVATE = [
    IPv4Network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8")
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808"]

private = st.sampled_from(PRIVATE).flatmap(lambda network: st.integers(int(network[0]), int(network[-1]))).map(IPv4Address)


def clothed(inside: IPv4Address) -> dict[str, IPv6Address]:
    low = int(inside)
    return {
        "mapped": IPv6Address((0xFFFF << 32) | low),
        "compatible": IPv6Address(low),
        "NAT64": IPv6Address((0x64_FF9B << 96) | low),
        "local NAT64": IPv6Address((0x64_FF9B_0001 << 80) | low),
        "6to4": IPv6Address((0x2002 << 112) | (low << 80) | 1),
        "Teredo's client": IPv6Address((0x2001_0000 << 96) | (int(IPv4Address("8.8.8.8")) << 64) | (low ^ 0xFFFF_FFFF)),
        "Teredo's server": IPv6Address((0x2001_0000 << 96) | (low << 64) | (int(IPv4Address("8.8.8.8")) ^ 0xFFFF_FFFF)),
        "ISATAP": IPv6Address((0x2606_2800_0220_0001 << 64) | (0x0000_5EFE << 32) | low),
    }


@given(private)
def test_a_private_address_is_refused_in_every_form(inside: IPv4Address) -> None:
    assert problem(inside) is not None
    for name, address in clothed(inside).items():
        seen = parsed(str(address))
        assert seen is not None
        assert problem(seen) is not None, f"{name}: {address}"


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_fine(text: str) -> None:
    assert problem(ip_address(text)) is None


@pytest.mark.parametrize("address", sorted(METADATA, key=str), ids=str)
def test_metadata_services_are_refused_also_where_their_address_is_public(address: IPv4Address) -> None:
    assert "metadata" in (problem(address) or "")


@pytest.mark.parametrize(
    "text",
    [
        *("224.0.0.251", "ff0e::1", "255.255.255.255", "240.0.0.1", "192.0.0.9", "192.0.0.10"),
        *("::", "::1", "fe80::1", "fec0::1", "feff::1", "fc00::1", "2001:1::1", "2001:db8::1", "3fff::1"),
    ],
)
def test_what_is_no_single_public_machine_is_refused(text: str) -> None:
    assert problem(ip_address(text)) is not None


def test_an_address_with_a_zone_is_none() -> None:
    assert parsed("fe80::1%eth0") is None


def test_the_machine_knows_its_own_addresses() -> None:
    assert is_own(IPv4Address("127.0.0.1"))
    assert not is_own(IPv4Address("93.184.216.34"))
