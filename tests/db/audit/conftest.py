from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from terrapod_core.db import Database
from terrapod_core.testing import FakeClock
from tests.support.record import Record


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the record."""
    return FakeClock()


@pytest.fixture
async def log(migrated_url: str, clock: FakeClock) -> AsyncIterator[Record]:
    """An empty record over a database of the test's own."""
    record = Record(Database(migrated_url, clock=clock), clock)
    yield record
    await record.db.close()
