from __future__ import annotations

import pytest

from terrapod_core.testing import FakeClock
from tests.support.people import People, people

__all__ = ["people"]


@pytest.fixture
def clock(people: People) -> FakeClock:
    """The clock that accounts go by."""
    return people.clock
