from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from terrapod_core.db import Database
from tests.support.databases import Databases
from tests.support.rooms import House, database_of


@pytest.fixture
def url(databases: Databases) -> str:
    return database_of(databases)


@pytest.fixture
async def house(databases: Databases, url: str) -> AsyncIterator[House]:
    """The rooms over a database of the test's own, with the default project."""
    house = House(Database(url))
    await house.projects.ensure_default()
    yield house
    await house.db.close()
    databases.drop(url)
