"""The whole of accounts and its pages over a database, and another site to sign in at."""

from __future__ import annotations

import pytest

from terrapod_core.testing import FakeClock, FakeRedirectProvider
from tests.support.people import People, people

__all__ = ["people"]


@pytest.fixture
def clock(people: People) -> FakeClock:
    """The clock that accounts go by."""
    return people.clock


@pytest.fixture
def okta(people: People) -> FakeRedirectProvider:
    """Another site, whose answers come by a redirect."""
    provider = FakeRedirectProvider("okta", "Okta")
    people.services.sign_in.providers["okta"] = provider
    return provider
