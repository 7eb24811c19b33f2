"""Whose address counts, whatever a client writes into its headers."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.web.visitors import Proxies, neighbourhood, plain

PROXY, CLIENT, SPOOFED = "10.0.0.1", "203.0.113.7", "198.51.100.1"


@pytest.mark.parametrize(
    ("depth", "forwarded", "found"),
    [
        (0, [CLIENT], PROXY),
        (0, [], PROXY),
        (1, [], PROXY),
        (1, [CLIENT], CLIENT),
        (1, [f"{SPOOFED}, {CLIENT}"], CLIENT),
        (1, [SPOOFED, CLIENT], CLIENT),
        (1, [f"{SPOOFED}, {SPOOFED}, {CLIENT}"], CLIENT),
        (2, [f"{CLIENT}, 10.0.0.2"], CLIENT),
        (2, [f"{SPOOFED}, {CLIENT}, 10.0.0.2"], CLIENT),
        (2, [f"{SPOOFED}, {CLIENT}", "10.0.0.2"], CLIENT),
        (2, [CLIENT], CLIENT),
        (1, [f"{CLIENT}:51234"], CLIENT),
        (1, ["[2001:db8::7]:51234"], "2001:db8::7"),
        (1, ["[2001:db8::7]"], "2001:db8::7"),
        (1, ["2001:DB8:0::7"], "2001:db8::7"),
        (1, ["::ffff:203.0.113.7"], CLIENT),
        (1, ['"[2001:db8::7]:1"'], "2001:db8::7"),
        (1, ["unknown"], PROXY),
        (1, [""], PROXY),
        (1, [f"{CLIENT}, "], PROXY),
        (1, [f"{CLIENT}, <script>"], PROXY),
        (1, ["fe80::1%eth0"], PROXY),
        (1, ["1" * 100_000], PROXY),
        (1, ["," * 100_000 + CLIENT], CLIENT),
        (2, [f"{SPOOFED}, _hidden, 10.0.0.2"], "10.0.0.2"),
    ],
)
def test_only_what_our_proxies_wrote_is_believed(depth: int, forwarded: list[str], found: str) -> None:
    assert Proxies(depth).client(PROXY, forwarded) == found


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        (PROXY, [CLIENT], CLIENT),
        (CLIENT, [SPOOFED], CLIENT),
        (PROXY, [f"{SPOOFED}, {CLIENT}"], CLIENT),
        (PROXY, [f"{SPOOFED}, {CLIENT}, 10.9.9.9"], CLIENT),
        (PROXY, [f"10.1.1.1, {CLIENT}"], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
    ],
)
def test_with_their_addresses_known_nobody_else_is_taken_for_a_proxy(peer: str, forwarded: list[str], found: str) -> None:
    assert Proxies(2, ["10.0.0.0/8", "fd00::/8"]).client(peer, forwarded) == found


def test_behind_a_socket_file_the_proxy_has_no_address() -> None:
    assert Proxies(1).client(None, [CLIENT]) == CLIENT
    assert Proxies(0).client("<local>", [CLIENT]) == "<local>"


@given(st.lists(st.text(max_size=40), max_size=5), st.integers(1, 3))
def test_a_client_cannot_choose_its_address(prefix: list[str], depth: int) -> None:
    """Whatever it sends itself stands to the left of what proxies wrote."""
    written = [CLIENT, *(f"10.0.0.{number}" for number in range(2, depth + 1))]
    assert Proxies(depth).client(PROXY, [*prefix, ", ".join(written)]) == CLIENT


@given(st.text(max_size=80))
def test_no_entry_is_too_odd_to_be_read(text: str) -> None:
    found = plain(text)
    assert found is None or plain(found) == found


@pytest.mark.parametrize(
    ("address", "near"),
    [(CLIENT, CLIENT), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::ffff:203.0.113.7", CLIENT), (None, "-"), ("<local>", "<local>")],
)
def test_a_subscriber_of_ipv6_counts_once(address: str | None, near: str) -> None:
    assert neighbourhood(address) == near
