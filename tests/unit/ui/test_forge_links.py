"""Addresses that a forge tells."""

from __future__ import annotations

import pytest

from terrapod_core.ui.forge_links import leads


@pytest.mark.parametrize("address", ["https://git.example.com/acme/net", "http://localhost:8929/acme/net/-/commit/1f2e"])
def test_a_page_leads_to_addresses_of_the_web(address: str) -> None:
    assert leads(address) == address


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JavaScript://git.example.com/%0aalert(1)", "data:text/html,x", "https:", "//git", "https://[", "", None, 7],
)
def test_a_page_leads_to_nothing_else(address: object) -> None:
    assert leads(address) is None
