"""Archives are stored as they are, whole or not at all; what the store fails with is told to the operator only."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest
from structlog.testing import capture_logs

from terrapod_core.errors import NotFound, TooLarge, Unavailable
from terrapod_core.plugin import CannotSign, ObjectInfo, StorageBackend, StoreFailed
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.storage import ArchiveKind, Archives, ObjectKind, Objects
from terrapod_core.testing import MemoryStorage

DATA = os.urandom(3_500_000)


class Failing(MemoryStorage):
    """A store that can be told to fail, which signs links."""

    failure: Exception | None = None

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        found = await super().write(key, chunks)
        self._fail()
        return found

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self._fail()
        async for chunk in super().read(key, start, end):
            yield chunk

    async def info(self, key: str) -> ObjectInfo:
        self._fail()
        return await super().info(key)

    async def delete(self, key: str) -> None:
        if self.failure is not None and not isinstance(self.failure, StoreFailed):
            raise self.failure
        await super().delete(key)

    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        self._fail()
        return f"https://store.example.com/{key}?method={method}&seconds={expires.total_seconds():.0f}"

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Unsigned:
    """A store that knows no links, as far as anybody can see."""

    name = "unsigned"

    def __init__(self) -> None:
        memory = MemoryStorage()
        self.write, self.read, self.info, self.delete, self.list = memory.write, memory.read, memory.info, memory.delete, memory.list


@pytest.fixture
def backend() -> Failing:
    return Failing()


@pytest.fixture
def archives(backend: StorageBackend) -> Archives:
    return Archives(backend, links=True)


async def chunked(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(archives: Archives, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in archives.read(key, start, end)])


@pytest.mark.parametrize("size", [1, 4096, 1_048_576, 9_000_000])
async def test_what_was_put_lies_there_as_it_is(archives: Archives, backend: Failing, size: int) -> None:
    stored = await archives.put(ArchiveKind.MODULE, "modver-1", chunked(DATA, size), limit=len(DATA))
    assert stored.key.startswith("archives/modules/modver-1.")
    assert backend.objects == {stored.key: DATA}
    assert (stored.size, stored.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert stored.md5 == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert await archives.size(stored.key) == len(DATA)
    assert await read(archives, stored.key, 5, 1_500_000) == DATA[5:1_500_000]
    await archives.delete(stored.key)
    await archives.delete(stored.key)
    assert backend.objects == {}


async def test_an_empty_archive_is_one(archives: Archives) -> None:
    stored = await archives.put(ArchiveKind.MIRRORED, "tool-1", chunked(b""), limit=0)
    assert (stored.size, await read(archives, stored.key)) == (0, b"")


@pytest.mark.parametrize("archive_id", ["", "../up", "a/b", ".hidden", "x" * 129, "prv-1\n"])
async def test_what_is_no_id_names_no_archive(archives: Archives, archive_id: str) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        await archives.put(ArchiveKind.MODULE, archive_id, chunked(b"x"), limit=None)


async def test_an_archive_over_its_limit_leaves_nothing(archives: Archives, backend: Failing) -> None:
    with pytest.raises(TooLarge):
        await archives.put(ArchiveKind.PROVIDER, "prv-1", chunked(DATA), limit=len(DATA) - 1)
    assert backend.objects == {}


async def test_a_stream_that_breaks_or_is_cancelled_leaves_nothing(archives: Archives, backend: Failing) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield DATA
        raise ConnectionResetError("the client left")

    with pytest.raises(ConnectionResetError):
        await archives.put(ArchiveKind.PROVIDER, "prv-1", broken(), limit=None)
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield DATA
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(archives.put(ArchiveKind.PROVIDER, "prv-1", endless(), limit=None))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert backend.objects == {}


async def test_an_archive_that_is_gone_is_not_found(archives: Archives) -> None:
    with pytest.raises(NotFound):
        await read(archives, "archives/modules/modver-1.0")
    with pytest.raises(NotFound):
        await archives.size("archives/modules/modver-1.0")


async def test_a_link_is_of_the_store_and_lives_as_long_as_asked(archives: Archives) -> None:
    link = await archives.link("archives/modules/modver-1.0", timedelta(minutes=2))
    assert link == "https://store.example.com/archives/modules/modver-1.0?method=GET&seconds=120"


async def test_there_is_no_link_where_none_can_be_or_may_be(backend: Failing) -> None:
    assert await Archives(backend, links=False).link("archives/modules/modver-1.0", timedelta(minutes=2)) is None
    assert await Archives(Unsigned(), links=True).link("archives/modules/modver-1.0", timedelta(minutes=2)) is None
    backend.failure = CannotSign("there is no key")
    assert await Archives(backend, links=True).link("archives/modules/modver-1.0", timedelta(minutes=2)) is None


SECRET = "https://store.example.com/x?X-Amz-Signature=secret"
FAILURES = {
    "the bucket is away; check it": StoreFailed("the bucket is away; check it"),
    "OSError: No space left on device": OSError(28, "No space left on device"),
    "RuntimeError": RuntimeError(SECRET),
    "TimeoutError": TimeoutError(),
}


@pytest.mark.parametrize("cause", FAILURES)
async def test_a_store_that_fails_is_unavailable_and_the_log_says_why_once(backend: Failing, archives: Archives, cause: str) -> None:
    objects = Objects(backend, Keyring(new_key()))
    stored = await archives.put(ArchiveKind.MODULE, "modver-1", chunked(DATA), limit=None)
    backend.failure = FAILURES[cause]
    acts = [
        archives.put(ArchiveKind.MODULE, "modver-1", chunked(DATA), limit=None),
        read(archives, stored.key),
        archives.size(stored.key),
        archives.link(stored.key, timedelta(minutes=1)),
        objects.exists(stored.key),
        objects.put(ObjectKind.STATE, "sv-1", chunked(DATA), limit=None),
        objects.key_id(stored.key),
    ]
    for act in acts:
        with capture_logs() as logs, pytest.raises(Unavailable) as refused:
            await act
        assert [(line["log_level"], line["event"], line["storage"], line["cause"]) for line in logs] == [
            ("warning", "the storage failed", "memory", cause)
        ]
        assert SECRET not in refused.value.detail


async def test_removing_from_a_store_that_fails_is_unavailable(backend: Failing, archives: Archives) -> None:
    backend.failure = RuntimeError()
    for act in (archives.delete("archives/modules/modver-1.0"), Objects(backend, Keyring(new_key())).delete("logs/plan-1/log.0")):
        with pytest.raises(Unavailable):
            await act
