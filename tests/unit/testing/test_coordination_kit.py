"""The kit of coordination backends on the simplest ones that there are."""

from __future__ import annotations

import pytest

from terrapod_core.coordination import Alone
from terrapod_core.testing import FakeCoordination, FakeCoordinationService
from terrapod_core.testing.coordination import CoordinationBackendKit, Make


class TestTheFake(CoordinationBackendKit):
    @pytest.fixture
    def make(self) -> Make:
        service = FakeCoordinationService()
        return lambda: FakeCoordination(service)


class TestAProcessAlone(CoordinationBackendKit):
    connects = False

    @pytest.fixture
    def make(self) -> Make:
        return Alone
