"""The whole server over a real database and a store in memory, with keys that the test adds and takes away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.testing import FakeClock, MemoryKeys, MemoryStorage
from terrapod_core.testing.keys import key_text
from tests.support.whole import Whole

Serve = Callable[[MemoryKeys], Terrapod]


@pytest.fixture
def store() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
async def serve(migrated_url: str, tmp_path: Path, clock: FakeClock, store: MemoryStorage) -> AsyncIterator[Serve]:
    """Makes servers of one installation: one database, one store, and for each a source of keys."""
    whole = Whole(tmp_path, clock)
    yield lambda keys: whole.make(migrated_url, store, keys)
    await whole.close()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys(key_text("k1"))


__all__ = ["Serve", "key_text"]
