from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

import pytest

from terrapod_core.errors import Unavailable
from terrapod_core.plugin import ObjectInfo, StoreFailed
from terrapod_core.testing import MemoryStorage
from terrapod_core.web import service
from terrapod_core.web.service import StorageCheck


class Moody(MemoryStorage):
    """A store that waits, and fails, as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.refuses: str | None = None
        self.writes = 0

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        self.writes += 1
        await self.open.wait()
        if self.refuses is not None:
            raise StoreFailed(self.refuses)
        return await super().write(key, chunks)


@pytest.fixture
def storage() -> Moody:
    return Moody()


@pytest.fixture
def check(storage: Moody, monkeypatch: pytest.MonkeyPatch) -> StorageCheck:
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.01)
    return StorageCheck(storage)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_store_that_works_is_asked_once_in_a_while(storage: Moody, check: StorageCheck) -> None:
    for _ in range(3):
        assert await check() is None
    assert storage.writes == 1


async def test_what_the_store_says_is_told_and_it_is_asked_again_each_time(storage: Moody, check: StorageCheck) -> None:
    storage.refuses = "the bucket b at s does not exist; make it"
    for _ in range(2):
        with pytest.raises(Unavailable, match="the storage memory does not work: the bucket b at s does not exist; make it"):
            await check()
    assert storage.writes == 2
    storage.refuses = None
    assert await check() is None


async def test_a_store_that_is_silent_is_asked_once_and_its_late_answer_is_told(storage: Moody, check: StorageCheck) -> None:
    storage.open.clear()
    for _ in range(3):
        with pytest.raises(Unavailable, match="the storage memory does not answer"):
            await check()
    assert storage.writes == 1
    storage.refuses = "the bucket b at s cannot be reached"
    storage.open.set()
    await settled()
    with pytest.raises(Unavailable, match="the bucket b at s cannot be reached"):
        await check()
    storage.open.clear()
    with pytest.raises(Unavailable, match="the bucket b at s cannot be reached"):
        await check()
    storage.refuses = None
    storage.open.set()
    await settled()
    assert await check() is None
