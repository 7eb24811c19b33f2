from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator

import pytest
from hypothesis import given, settings, strategies as st

from terrapod_core.errors import NotFound, TooLarge, Unavailable
from terrapod_core.plugin import ObjectInfo, StorageBackend, check_key
from terrapod_core.secrets import Keyring, SecretUnreadable, new_key
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.storage.objects import LAYOUT
from terrapod_core.testing import MemoryStorage

MEGABYTE = 1024 * 1024
DATA = b'{"planted": "secret-in-the-state"}' * 60_000 + os.urandom(MEGABYTE)


class Memory(MemoryStorage):
    """A storage backend in memory that can be told to fail, or to keep nothing of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.discards = False

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        return await super().write(key, self._passed(chunks))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if self.failure is not None:
            raise self.failure
        async for chunk in super().read(key, start, end):
            yield chunk

    async def _passed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if self.failure is not None:
                raise self.failure
            if not self.discards:
                yield chunk


@pytest.fixture
def backend() -> Memory:
    return Memory()


@pytest.fixture
def objects(backend: StorageBackend) -> Objects:
    return Objects(backend, Keyring(new_key()))


async def chunked(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(objects: Objects, kind: ObjectKind, object_id: str, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in objects.get(kind, object_id, key, start, end)])


async def test_what_was_put_is_told_and_read_back(objects: Objects, backend: Memory) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(DATA), limit=None)
    assert (stored.size, stored.md5) == (len(DATA), hashlib.md5(DATA, usedforsecurity=False).hexdigest())
    assert stored.sha256 == hashlib.sha256(DATA).hexdigest()
    assert await read(objects, ObjectKind.STATE, "sv-1", stored.key) == DATA
    assert b"secret-in-the-state" not in backend.objects[stored.key]


async def test_an_empty_object_is_an_object(objects: Objects) -> None:
    stored = await objects.put(ObjectKind.LOG, "plan-1", chunked(b""), limit=0)
    assert stored.size == 0
    assert await objects.exists(stored.key)
    assert await read(objects, ObjectKind.LOG, "plan-1", stored.key) == b""


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, len(DATA) + 10), length=st.none() | st.integers(0, len(DATA)))
async def test_a_range_is_the_same_as_a_slice(start: int, length: int | None) -> None:
    objects = Objects(Memory(), Keyring(new_key()))
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(DATA), limit=None)
    end = None if length is None else start + length
    assert await read(objects, ObjectKind.STATE, "sv-1", stored.key, start, end) == DATA[start:end]


async def test_chunks_are_at_most_a_mebibyte(objects: Objects) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(DATA, 3 * MEGABYTE), limit=None)
    sizes = [len(chunk) async for chunk in objects.get(ObjectKind.STATE, "sv-1", stored.key, 100)]
    assert max(sizes) <= MEGABYTE


@pytest.mark.parametrize("kind", list(ObjectKind))
async def test_every_kind_lies_where_the_layout_says(objects: Objects, kind: ObjectKind) -> None:
    stored = await objects.put(kind, "plan-1", chunked(b"x"), limit=None)
    assert stored.key.startswith(LAYOUT[kind].format(id="plan-1") + ".")
    assert check_key(stored.key)


def test_no_two_kinds_share_a_place() -> None:
    assert set(LAYOUT) == set(ObjectKind)
    assert len(set(LAYOUT.values())) == len(LAYOUT)


@pytest.mark.parametrize("object_id", ["", "../x", "a/b", ".hidden", "a b", "a" * 129])
async def test_what_is_no_id_is_refused(objects: Objects, backend: Memory, object_id: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        await objects.put(ObjectKind.STATE, object_id, chunked(b"x"), limit=None)
    assert backend.objects == {}


async def test_exactly_the_limit_is_taken_and_one_byte_more_leaves_nothing(objects: Objects, backend: Memory) -> None:
    await objects.put(ObjectKind.STATE, "sv-1", chunked(bytes(2 * MEGABYTE)), limit=2 * MEGABYTE)
    with pytest.raises(TooLarge, match="2097152 bytes"):
        await objects.put(ObjectKind.STATE, "sv-2", chunked(bytes(2 * MEGABYTE + 1)), limit=2 * MEGABYTE)
    assert len(backend.objects) == 1


async def test_a_body_over_the_limit_is_left_as_soon_as_it_passes_it(objects: Objects) -> None:
    given_out = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_out
        while True:
            given_out += 1
            yield bytes(1000)

    with pytest.raises(TooLarge):
        await objects.put(ObjectKind.STATE, "sv-1", endless(), limit=5000)
    assert given_out == 6


async def test_two_uploads_of_one_thing_at_once_are_both_whole(objects: Objects) -> None:
    first, second = await asyncio.gather(
        objects.put(ObjectKind.STATE, "sv-1", chunked(b"a" * 3 * MEGABYTE), limit=None),
        objects.put(ObjectKind.STATE, "sv-1", chunked(b"b" * 3 * MEGABYTE), limit=None),
    )
    assert first.key != second.key
    assert await read(objects, ObjectKind.STATE, "sv-1", first.key) == b"a" * 3 * MEGABYTE
    assert await read(objects, ObjectKind.STATE, "sv-1", second.key) == b"b" * 3 * MEGABYTE


@pytest.mark.parametrize(("kind", "object_id"), [(ObjectKind.STATE, "sv-2"), (ObjectKind.STATE_JSON, "sv-1")])
async def test_an_object_copied_to_another_row_or_kind_is_refused(objects: Objects, kind: ObjectKind, object_id: str) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(b"secret"), limit=None)
    with pytest.raises(SecretUnreadable):
        await read(objects, kind, object_id, stored.key)


async def test_the_bytes_of_two_objects_cannot_be_swapped(objects: Objects, backend: Memory) -> None:
    one = await objects.put(ObjectKind.STATE, "sv-1", chunked(b"one"), limit=None)
    two = await objects.put(ObjectKind.STATE, "sv-2", chunked(b"two"), limit=None)
    backend.objects[one.key], backend.objects[two.key] = backend.objects[two.key], backend.objects[one.key]
    with pytest.raises(SecretUnreadable):
        await read(objects, ObjectKind.STATE, "sv-1", one.key)


async def test_every_altered_byte_is_refused(objects: Objects, backend: Memory) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(b"a planted secret"), limit=None)
    whole = backend.objects[stored.key]
    for at in range(len(whole)):
        backend.objects[stored.key] = whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :]
        with pytest.raises(SecretUnreadable):
            await read(objects, ObjectKind.STATE, "sv-1", stored.key)


async def test_an_object_that_is_gone_is_not_found(objects: Objects) -> None:
    stored = await objects.put(ObjectKind.PLAN_FILE, "plan-1", chunked(b"x"), limit=None)
    await objects.delete(stored.key)
    await objects.delete(stored.key)
    assert not await objects.exists(stored.key)
    with pytest.raises(NotFound, match="plan file of plan-1"):
        await read(objects, ObjectKind.PLAN_FILE, "plan-1", stored.key)


async def test_a_torn_upload_leaves_nothing_and_raises_what_tore_it(objects: Objects, backend: Memory) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield bytes(3 * MEGABYTE)
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await objects.put(ObjectKind.STATE, "sv-1", torn(), limit=None)
    assert backend.objects == {}


async def test_a_cancelled_upload_closes_its_stream_and_leaves_nothing(objects: Objects, backend: Memory) -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield bytes(3 * MEGABYTE)
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.ensure_future(objects.put(ObjectKind.STATE, "sv-1", endless(), limit=None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
    assert backend.objects == {}


async def test_a_store_that_fails_is_unavailable_and_its_words_stay_inside(objects: Objects, backend: Memory) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(DATA), limit=None)
    backend.failure = OSError(28, "no space left on /secret/path")
    with pytest.raises(Unavailable, match="'memory' does not work") as refused:
        await objects.put(ObjectKind.STATE, "sv-2", chunked(DATA), limit=None)
    assert refused.value.__cause__ is backend.failure
    assert refused.value.retry_after
    with pytest.raises(Unavailable):
        await read(objects, ObjectKind.STATE, "sv-1", stored.key)
    with pytest.raises(Unavailable):
        await objects.key_id(stored.key)
    with pytest.raises(Unavailable):
        await objects.rewrap(ObjectKind.STATE, "sv-1", stored.key)
    assert list(backend.objects) == [stored.key]


async def test_a_reader_who_leaves_early_lets_go_of_the_store(objects: Objects, backend: Memory) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(DATA), limit=None)
    reading = objects.get(ObjectKind.STATE, "sv-1", stored.key)
    assert await anext(reading) == DATA[:MEGABYTE]
    await reading.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_a_long_upload_takes_the_memory_of_a_few_batches(backend: Memory, objects: Objects) -> None:
    backend.discards = True
    block = os.urandom(65_536)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(64 * 16):
            yield bytes(bytearray(block))

    tracemalloc.start()
    stored = await objects.put(ObjectKind.CONFIGURATION, "cv-1", source(), limit=None)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stored.size == 64 * MEGABYTE
    assert most < 16 * MEGABYTE


async def test_a_long_download_takes_the_memory_of_a_few_batches(objects: Objects) -> None:
    stored = await objects.put(ObjectKind.STATE, "sv-1", chunked(bytes(64 * MEGABYTE), MEGABYTE), limit=None)
    tracemalloc.start()
    size = 0
    async for chunk in objects.get(ObjectKind.STATE, "sv-1", stored.key):
        size += len(chunk)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 64 * MEGABYTE
    assert most < 16 * MEGABYTE
