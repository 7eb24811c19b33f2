"""Whether a storage backend keeps its contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from terrapod_core.plugin import ObjectMissing, StorageBackend, SupportsSignedURLs

LARGE = bytes(range(256)) * 4096 * 3
"""3 MiB, more than any backend hands over in one chunk."""


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """What a client sends, piece by piece."""
    for part in parts:
        yield part


async def torn(*parts: bytes) -> AsyncIterator[bytes]:
    """A client that vanishes after some pieces."""
    for part in parts:
        yield part
    raise ConnectionResetError("the client is gone")


async def content(backend: StorageBackend, key: str, start: int = 0, end: int | None = None) -> bytes:
    """An object, or a part of it, in one piece."""
    return b"".join([chunk async for chunk in backend.read(key, start, end)])


async def keys(backend: StorageBackend, prefix: str = "") -> set[str]:
    """The keys that are there."""
    return {info.key async for info in backend.list(prefix)}


@pytest.mark.asyncio
class StorageBackendKit:
    """Extend it in a test module, and fill the fixture `backend` with an empty store."""

    @pytest.fixture
    def backend(self) -> StorageBackend:
        """The backend under test, empty."""
        pytest.fail("give the kit a storage backend: override the fixture `backend`")

    async def test_it_is_a_storage_backend_with_a_name(self, backend: StorageBackend) -> None:
        assert isinstance(backend, StorageBackend)
        assert backend.name

    async def test_what_was_written_is_read_back(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(b"one ", b"", b"two"))
        assert await content(backend, "states/sv-1") == b"one two"

    async def test_an_object_may_be_large(self, backend: StorageBackend) -> None:
        half = len(LARGE) // 2
        await backend.write("configurations/cv-1", chunks(LARGE[:half], LARGE[half:]))
        assert await content(backend, "configurations/cv-1") == LARGE

    async def test_an_object_may_be_empty(self, backend: StorageBackend) -> None:
        info = await backend.write("logs/plan-1", chunks())
        assert info.size == 0
        assert await content(backend, "logs/plan-1") == b""
        assert await keys(backend) == {"logs/plan-1"}

    async def test_an_object_has_a_size_and_an_age(self, backend: StorageBackend) -> None:
        written = await backend.write("logs/plan-1", chunks(b"abc", b"de"))
        assert written == await backend.info("logs/plan-1")
        assert (written.key, written.size) == ("logs/plan-1", 5)
        assert written.modified.tzinfo is not None
        assert written.modified <= datetime.now(UTC) + timedelta(minutes=5)

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [(0, 3, b"012"), (4, None, b"456789"), (3, 5, b"34"), (8, 99, b"89"), (10, None, b""), (50, 60, b""), (5, 5, b"")],
    )
    async def test_a_range_is_read_without_its_end(self, backend: StorageBackend, start: int, end: int | None, expected: bytes) -> None:
        await backend.write("logs/plan-1", chunks(b"01234", b"56789"))
        assert await content(backend, "logs/plan-1", start, end) == expected

    async def test_a_range_of_a_large_object_is_exact(self, backend: StorageBackend) -> None:
        await backend.write("logs/plan-1", chunks(LARGE))
        start, end = (1 << 16) - 3, (1 << 21) + 7
        assert await content(backend, "logs/plan-1", start, end) == LARGE[start:end]

    async def test_what_is_not_there_is_missing(self, backend: StorageBackend) -> None:
        with pytest.raises(ObjectMissing):
            await content(backend, "states/none")
        with pytest.raises(ObjectMissing):
            await backend.info("states/none")

    async def test_a_part_of_a_key_is_not_an_object(self, backend: StorageBackend) -> None:
        await backend.write("states/ws-1/sv-1", chunks(b"x"))
        for key in ("states", "states/ws-1"):
            with pytest.raises(ObjectMissing):
                await backend.info(key)
            with pytest.raises(ObjectMissing):
                await content(backend, key)

    async def test_a_second_write_takes_the_place_of_the_first(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(b"a long first version"))
        await backend.write("states/sv-1", chunks(b"short"))
        assert await content(backend, "states/sv-1") == b"short"
        assert (await backend.info("states/sv-1")).size == 5

    async def test_a_reader_sees_one_version_to_its_end(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(LARGE))
        reader = backend.read("states/sv-1")
        seen = [await anext(reader)]
        await backend.write("states/sv-1", chunks(b"the next version"))
        seen += [chunk async for chunk in reader]
        assert b"".join(seen) == LARGE

    async def test_a_torn_write_leaves_nothing(self, backend: StorageBackend) -> None:
        with pytest.raises(ConnectionResetError):
            await backend.write("states/sv-1", torn(b"half", LARGE))
        with pytest.raises(ObjectMissing):
            await backend.info("states/sv-1")
        assert await keys(backend) == set()

    async def test_a_torn_write_leaves_the_former_object(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(b"whole"))
        with pytest.raises(ConnectionResetError):
            await backend.write("states/sv-1", torn(b"half"))
        assert await content(backend, "states/sv-1") == b"whole"

    async def test_a_cancelled_write_leaves_nothing(self, backend: StorageBackend) -> None:
        began = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"half"
            began.set()
            await asyncio.Event().wait()

        writing = asyncio.create_task(_write(backend, "states/sv-1", endless()))
        await began.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await keys(backend) == set()

    async def test_an_object_is_not_seen_before_it_is_whole(self, backend: StorageBackend) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"first "
            began.set()
            await go_on.wait()
            yield b"second"

        writing = asyncio.create_task(_write(backend, "states/sv-1", slow()))
        await began.wait()
        with pytest.raises(ObjectMissing):
            await backend.info("states/sv-1")
        assert await keys(backend) == set()
        go_on.set()
        await writing
        assert await content(backend, "states/sv-1") == b"first second"

    async def test_of_many_writers_one_wins_whole(self, backend: StorageBackend) -> None:
        versions = [bytes([number]) * 200_000 for number in range(5)]
        await asyncio.gather(*(backend.write("states/sv-1", chunks(each[:1000], each[1000:])) for each in versions))
        assert await content(backend, "states/sv-1") in versions

    async def test_what_is_deleted_is_gone(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(b"x"))
        await backend.delete("states/sv-1")
        with pytest.raises(ObjectMissing):
            await backend.info("states/sv-1")
        assert await keys(backend) == set()

    async def test_deleting_what_is_not_there_is_fine(self, backend: StorageBackend) -> None:
        await backend.delete("states/none")
        await backend.write("states/sv-1", chunks(b"x"))
        await backend.delete("states/sv-1")
        await backend.delete("states/sv-1")
        await backend.delete("states/sv-1/below")

    async def test_a_listing_holds_what_begins_with_the_prefix(self, backend: StorageBackend) -> None:
        for key in ("logs/plan-1", "logs/plan-12", "logs/apply-1", "states/sv-1"):
            await backend.write(key, chunks(b"x"))
        assert await keys(backend, "logs/plan-1") == {"logs/plan-1", "logs/plan-12"}
        assert await keys(backend, "logs/") == {"logs/plan-1", "logs/plan-12", "logs/apply-1"}
        assert await keys(backend, "none/") == set()
        assert len(await keys(backend)) == 4

    async def test_a_listing_knows_the_sizes(self, backend: StorageBackend) -> None:
        await backend.write("logs/plan-1", chunks(b"abc"))
        assert [(info.key, info.size) async for info in backend.list("")] == [("logs/plan-1", 3)]

    @pytest.mark.parametrize("key", ["", "/", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\x00b", "ä"])
    async def test_a_key_that_could_lead_elsewhere_is_refused(self, backend: StorageBackend, key: str) -> None:
        with pytest.raises(ValueError):
            await backend.write(key, chunks(b"x"))
        with pytest.raises(ValueError):
            await content(backend, key)
        with pytest.raises(ValueError):
            await backend.info(key)
        with pytest.raises(ValueError):
            await backend.delete(key)

    async def test_a_signed_url_is_absolute_and_of_its_own(self, backend: StorageBackend) -> None:
        if not isinstance(backend, SupportsSignedURLs):
            pytest.skip("the backend does not claim SupportsSignedURLs")
        await backend.write("states/sv-1", chunks(b"x"))
        get = await backend.signed_url("states/sv-1", "GET", timedelta(minutes=5))
        put = await backend.signed_url("states/sv-1", "PUT", timedelta(minutes=5))
        assert get != put
        for url in (get, put):
            assert urlsplit(url).scheme in ("http", "https")
            assert urlsplit(url).hostname


async def _write(backend: StorageBackend, key: str, parts: AsyncIterator[bytes]) -> None:
    await backend.write(key, parts)
