"""Whether a storage backend keeps its contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest

from terrapod_core.plugin import CannotSign, ObjectExists, ObjectMissing, StorageBackend, SupportsCreating, SupportsSignedURLs

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
    """Extend it in a test module, and fill the fixture `backend` with an empty store.

    What a store does that only plays the real one is said by the class: whether `signed_urls_answer` over HTTP, whether
    `signatures_are_checked` and `expiry_is_checked`, and whether it `creates`, and `creates_large`, only where there is nothing.
    """

    signed_urls_answer = True
    signatures_are_checked = True
    expiry_is_checked = True
    creates = True
    creates_large = True

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
        found = await backend.info("logs/plan-1")
        assert (written.key, written.size) == (found.key, found.size)
        assert abs(written.modified - found.modified) < timedelta(minutes=1)
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

    async def test_an_object_is_created_only_where_there_is_none(self, backend: StorageBackend) -> None:
        creator = self._creator(backend)
        info = await creator.create("claims/one", chunks(b"first ", b"come"))
        assert (info.key, info.size) == ("claims/one", 10)
        with pytest.raises(ObjectExists):
            await creator.create("claims/one", chunks(b"second"))
        assert await content(backend, "claims/one") == b"first come"
        await backend.delete("claims/one")
        await creator.create("claims/one", chunks(b"again"))
        assert await content(backend, "claims/one") == b"again"

    async def test_a_large_object_too_is_created_only_where_there_is_none(self, backend: StorageBackend) -> None:
        creator = self._creator(backend)
        if not self.creates_large:
            pytest.skip("the store under the backend replaces what is there by what is large")
        await creator.create("claims/one", chunks(LARGE, LARGE, LARGE))
        with pytest.raises(ObjectExists):
            await creator.create("claims/one", chunks(LARGE, LARGE, b"other"))
        assert await content(backend, "claims/one") == LARGE * 3

    async def test_of_many_who_create_one_succeeds(self, backend: StorageBackend) -> None:
        creator = self._creator(backend)
        tries = (creator.create("claims/one", chunks(bytes([number]) * 1000)) for number in range(8))
        results = await asyncio.gather(*tries, return_exceptions=True)
        [winner] = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
        assert all(isinstance(result, ObjectExists) for number, result in enumerate(results) if number != winner)
        assert await content(backend, "claims/one") == bytes([winner]) * 1000

    async def test_a_torn_creation_leaves_nothing(self, backend: StorageBackend) -> None:
        with pytest.raises(ConnectionResetError):
            await self._creator(backend).create("claims/one", torn(b"half"))
        assert await keys(backend) == set()

    async def test_a_signed_url_is_absolute_and_of_its_own(self, backend: StorageBackend) -> None:
        await backend.write("states/sv-1", chunks(b"x"))
        get, put = [await self._signed(backend, "states/sv-1", method) for method in ("GET", "PUT")]
        assert get != put
        for url in (get, put):
            assert urlsplit(url).scheme in ("http", "https")
            assert urlsplit(url).hostname

    async def test_a_signed_url_gives_its_object_and_no_other(self, backend: StorageBackend) -> None:
        if not self.signed_urls_answer:
            pytest.skip("nobody answers signed URLs here")
        for number in (1, 2):
            await backend.write(f"states/sv-{number}", chunks(b"state ", str(number).encode()))
        url = await self._signed(backend, "states/sv-1")
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(url)
            assert (answer.status_code, answer.content) == (200, b"state 1")
            part = await client.get(url, headers={"Range": "bytes=2-4"})
            assert part.content == b"ate"
            if self.signatures_are_checked:
                other = await client.get(url.replace("sv-1", "sv-2"))
                assert other.status_code in (400, 401, 403)
                assert b"state 2" not in other.content

    async def test_a_signed_url_ends(self, backend: StorageBackend) -> None:
        if not (self.signed_urls_answer and self.expiry_is_checked):
            pytest.skip("nobody checks here when signed URLs end")
        await backend.write("states/sv-1", chunks(b"x"))
        url = await self._signed(backend, "states/sv-1", expires=timedelta(seconds=1))
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(100):
                if (await client.get(url)).status_code in (400, 401, 403):
                    return
                await asyncio.sleep(0.1)
        pytest.fail("the URL still gives the object long after its end")

    async def _signed(
        self, backend: StorageBackend, key: str, method: Literal["GET", "PUT"] = "GET", expires: timedelta = timedelta(minutes=5)
    ) -> str:
        if not isinstance(backend, SupportsSignedURLs):
            pytest.skip("the backend does not claim SupportsSignedURLs")
        try:
            return await backend.signed_url(key, method, expires)
        except CannotSign as error:
            pytest.skip(f"the backend cannot sign: {error}")

    def _creator(self, backend: StorageBackend) -> SupportsCreating:
        if not isinstance(backend, SupportsCreating):
            pytest.skip("the backend does not claim SupportsCreating")
        if not self.creates:
            pytest.skip("the store under the backend replaces what is there")
        return backend


async def _write(backend: StorageBackend, key: str, parts: AsyncIterator[bytes]) -> None:
    await backend.write(key, parts)
