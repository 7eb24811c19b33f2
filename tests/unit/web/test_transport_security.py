"""Where browsers are bound to HTTPS."""

from __future__ import annotations

import pytest

from terrapod_core.settings import Settings
from terrapod_core.web.dress import transport_security


@pytest.mark.parametrize(
    ("external_url", "sent"),
    [
        ("https://terrapod.example.com", True),
        ("https://terrapod.example.com:8443/below", True),
        ("http://terrapod.example.com", False),
        ("https://localhost:8080", False),
        ("https://terrapod.localhost", False),
        ("https://10.0.0.1", False),
        ("https://[::1]:8080", False),
        (None, False),
    ],
)
def test_only_where_https_is_promised_under_a_name_of_its_own(external_url: str | None, sent: bool) -> None:
    assert ("Strict-Transport-Security" in transport_security(Settings(external_url=external_url))) == sent
