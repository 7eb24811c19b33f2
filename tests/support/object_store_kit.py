"""What every backend over an object store does alike, through a proxy that fails as told: requests, blocks, memory, bad days."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest

from terrapod_core.plugin import ObjectMissing, ObjectStore, PluginContexts, StoreFailed, SupportsClosing
from terrapod_core.plugin.object_stores import PIECE, ObjectStoreSettings
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support.faulty_proxy import Cut, FaultyProxy, Silence, faulty_proxy
from tests.support.object_stores import Store

S = TypeVar("S", bound=ObjectStore)
Makes = Callable[..., S]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A stream of these."""
    for part in parts:
        yield part


async def read(storage: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    """All that a read gives."""
    return b"".join([piece async for piece in storage.read(key, start, end)])


async def torn(block: int) -> AsyncIterator[bytes]:
    """A client that is gone in the middle of an upload."""
    yield bytes(2 * block)
    raise ConnectionResetError("the client is gone")


class ObjectStoreKit(Generic[S]):
    """A class of tests extends it, and adds the fixtures `store` (of the module) and `settings`, which go through `proxy`."""

    plugin: ModuleType
    backend: type[S]
    small: list[str]
    """The methods of the requests that store a small object, and a large one of three blocks."""
    large: list[str]
    held_by_a_read = 6 * PIECE
    """Bytes that reading takes at most."""
    goes_on = True
    """Whether an upload of blocks that was interrupted goes on with the store that the tests use."""

    @pytest.fixture
    def proxy(self, store: Store) -> Iterator[FaultyProxy]:
        with faulty_proxy(store.port) as proxy:
            yield proxy

    @pytest.fixture
    async def other(self, settings: ObjectStoreSettings) -> AsyncIterator[Makes[S]]:
        """Makes storages of other settings."""
        made: list[S] = []

        def make(**changes: object) -> S:
            build: Any = self.backend
            made.append(build(replace(settings, **changes)))  # type: ignore[arg-type]
            return made[-1]

        yield make
        for each in made:
            await each.close()

    @pytest.fixture
    def storage(self, other: Makes[S]) -> S:
        return other()

    async def unfinished(self, storage: S) -> list[str]:
        """What the store has of uploads that were begun, and neither finished nor thrown away."""
        return []

    async def test_a_small_object_is_one_request(self, storage: S, proxy: FaultyProxy) -> None:
        await storage.write("states/sv-1", chunks(b"small ", b"state"))
        assert [request.split()[0] for request in proxy.asked] == self.small

    async def test_a_large_object_is_sent_in_blocks_and_read_in_pieces(self, storage: S, proxy: FaultyProxy) -> None:
        block = self.backend.block
        data = os.urandom(2 * block + 12345)
        written = await storage.write("states/sv-1", chunks(data[:100], data[100:]))
        assert [request.split()[0] for request in proxy.asked] == self.large
        assert written.size == (await storage.info("states/sv-1")).size == len(data)
        pieces = [piece async for piece in storage.read("states/sv-1")]
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= PIECE
        assert (
            await read(storage, "states/sv-1", self.backend.block - 5, self.backend.block + 5)
            == data[self.backend.block - 5 : self.backend.block + 5]
        )

    @pytest.mark.parametrize("more", [0, 1])
    async def test_an_object_that_ends_with_its_block_is_whole(self, storage: S, more: int) -> None:
        data = os.urandom(2 * self.backend.block + more)
        await storage.write("states/sv-1", chunks(data))
        assert await read(storage, "states/sv-1") == data

    async def test_a_large_object_takes_little_memory(self, storage: S) -> None:
        block = os.urandom(1 << 20)
        await storage.write("warm", chunks(b"x"))
        tracemalloc.start()
        try:
            await storage.write("states/sv-1", chunks(*[block] * 80))
            assert tracemalloc.get_traced_memory()[1] < 6 * self.backend.block
            tracemalloc.reset_peak()
            size = 0
            async for piece in storage.read("states/sv-1"):
                size += len(piece)
            assert size == 80 << 20
            assert tracemalloc.get_traced_memory()[1] < self.held_by_a_read
        finally:
            tracemalloc.stop()

    async def test_a_torn_upload_leaves_nothing_at_the_store(self, storage: S) -> None:
        with pytest.raises(ConnectionResetError):
            await storage.write("states/sv-1", torn(self.backend.block))
        await self._nothing_is_left(storage)

    async def test_a_cancelled_upload_leaves_nothing_at_the_store_however_often_it_is_cancelled(self, storage: S) -> None:
        began = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield bytes(2 * self.backend.block)
            began.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(storage.write("states/sv-1", endless()))
        await began.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        await storage.close()
        await self._nothing_is_left(storage)

    async def test_a_store_that_answers_503_every_other_time_is_used_all_the_same(self, storage: S, proxy: FaultyProxy) -> None:
        proxy.rule = lambda number, request: 503 if number % 2 else None
        data = os.urandom(2 * self.backend.block if self.goes_on else 1000)
        reads = 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal reads
            reads += 1
            yield data

        await storage.write("states/sv-1", source())
        assert await read(storage, "states/sv-1") == data
        assert [info.key async for info in storage.list("")] == ["states/sv-1"]
        await storage.delete("states/sv-1")
        assert [info.key async for info in storage.list("")] == []
        assert reads == 1

    async def test_a_read_whose_connection_breaks_goes_on_where_it_was(self, storage: S, proxy: FaultyProxy) -> None:
        data = os.urandom(3 << 20)
        await storage.write("states/sv-1", chunks(data))
        proxy.rule = lambda number, request: Cut(1 << 20)
        assert await read(storage, "states/sv-1", 1000) == data[1000:]
        assert len(proxy.asked) > 3

    async def test_a_read_never_goes_on_with_another_version(self, storage: S, proxy: FaultyProxy) -> None:
        await storage.write("states/sv-1", chunks(bytes(6 << 20)))
        proxy.rule = lambda number, request: Cut(1 << 20) if request.startswith("GET") else None
        await self._is_replaced_while_it_is_read(storage, 6 << 20)

    async def test_a_prefix_keeps_an_installation_to_its_own(self, storage: S, other: Makes[S]) -> None:
        neighbour = other(prefix="neighbour")
        await neighbour.write("states/sv-1", chunks(b"theirs"))
        await storage.write("states/sv-2", chunks(b"ours"))
        assert [info.key async for info in storage.list("")] == ["states/sv-2"]
        with pytest.raises(ObjectMissing):
            await storage.info("states/sv-1")

    async def test_a_listing_is_asked_for_in_pages(self, storage: S, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(f"{self.backend.__module__}.LISTED_AT_ONCE", 2)
        for number in range(5):
            await storage.write(f"logs/{number}", chunks(b"x"))
        proxy.asked.clear()
        assert [info.key async for info in storage.list("logs/")] == [f"logs/{number}" for number in range(5)]
        assert len(proxy.asked) == 3

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_refusal_is_said_to_be_one(self, storage: S, proxy: FaultyProxy, status: int) -> None:
        proxy.rule = lambda number, request: status
        with pytest.raises(StoreFailed, match=f"refuses access with {status}.*; check the credentials"):
            await storage.write("states/sv-1", chunks(b"x"))
        assert len(proxy.asked) == 1

    async def test_a_store_that_hangs_is_given_up(self, other: Makes[S], proxy: FaultyProxy) -> None:
        proxy.rule = lambda number, request: Silence()
        storage = other(read_timeout_seconds=0.3, retries=1)
        with pytest.raises(StoreFailed, match="cannot be reached"):
            await storage.write("states/sv-1", chunks(b"x"))
        assert len(proxy.asked) == 2

    async def test_all_repetitions_together_end_in_time(self, other: Makes[S], proxy: FaultyProxy) -> None:
        proxy.rule = lambda number, request: Silence()
        storage = other(read_timeout_seconds=60, retries=20, retry_seconds=0.5)
        with pytest.raises(StoreFailed, match=r"cannot be reached \(no answer in time\)"):
            await storage.info("states/sv-1")

    async def test_closed_connections_are_made_anew(self, storage: S) -> None:
        await storage.write("states/sv-1", chunks(b"x"))
        await storage.close()
        await storage.close()
        assert await read(storage, "states/sv-1") == b"x"

    def test_the_hook_gives_the_backend_without_connecting_anywhere(self, settings: ObjectStoreSettings, tmp_path: Path) -> None:
        contexts = PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
        [storage] = self.plugin.register_storage_backends(contexts(f"storage-{self.backend.name}", settings))
        assert isinstance(storage, self.backend)
        assert isinstance(storage, SupportsClosing)

    async def _nothing_is_left(self, storage: S) -> None:
        assert await self.unfinished(storage) == []
        assert [info async for info in storage.list("")] == []
        with pytest.raises(ObjectMissing):
            await storage.info("states/sv-1")

    async def _is_replaced_while_it_is_read(self, storage: S, size: int) -> None:
        reading = storage.read("states/sv-1")
        seen = await anext(reading)
        await storage.write("states/sv-1", chunks(b"\x01" * size))
        with pytest.raises(StoreFailed, match="the object states/sv-1 in the .* was replaced while it was read"):
            async for piece in reading:
                seen += piece
        assert set(seen) == {0}
