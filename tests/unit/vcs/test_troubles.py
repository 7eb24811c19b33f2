"""What goes wrong with a forge, in our words."""

from __future__ import annotations

import math

import pytest

from terrapod_core.plugin import VCSFailed
from terrapod_core.vcs.opening import trouble_of


@pytest.mark.parametrize(("asked", "left_alone"), [(0.0, 1.0), (60.0, 60.0), (1e12, 3600.0), (math.inf, 3600.0), (None, None)])
def test_a_forge_is_left_alone_as_long_as_it_asks_for_and_no_longer_than_an_hour(asked: float | None, left_alone: float | None) -> None:
    trouble = trouble_of(VCSFailed("forge.example.com: has had enough", retry_after=asked))
    assert trouble is not None
    assert trouble.retry_after == left_alone
