"""Two servers over one database, and a forge of paper."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from terrapod_core.testing import FakeClock
from tests.support.paper_forge import Servers, open_servers
from tests.support.rooms import house, tables_url

__all__ = ["house", "tables_url"]


@pytest.fixture
async def servers(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Servers]:
    servers = await open_servers(migrated_url, tmp_path, clock)
    yield servers
    for each in servers.made:
        await each.people.authentication.settle()
        await each.db.close()
