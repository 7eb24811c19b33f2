from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from terrapod_core.secrets import Keyring, SecretUnreadable, new_key
from terrapod_core.secrets.frames import FRAME, TAIL, Binding, FrameWriter
from terrapod_core.secrets.stream import BATCH, ObjectEncoder, ahead, decode, open_directory
from terrapod_core.testing import MemoryKeys
from terrapod_core.testing.keys import key_text

KEYRING = Keyring(new_key())
STATE = Binding(KEYRING, "state", "sv-1")
LONG = b'{"planted": "secret-in-the-state"}' * 50_000 + os.urandom(BATCH)
"""Some 2.6 MiB: compressible frames, then frames that are not, over several batches."""


async def chunked(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def encode(data: bytes, binding: Binding = STATE, size: int = 65_536) -> bytes:
    return b"".join([piece async for piece in ObjectEncoder(binding).encode(chunked(data, size))])


async def read(stored: bytes, start: int = 0, end: int | None = None, *, binding: Binding = STATE, size: int = 65_536) -> list[bytes]:
    def source(first: int, beyond: int) -> AsyncIterator[bytes]:
        return chunked(stored[first:beyond], size)

    directory = await open_directory(binding, len(stored), source)
    return [chunk async for chunk in decode(directory, source, start, end)]


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME, FRAME + 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, len(LONG)])
@pytest.mark.parametrize("size", [10_007, 5 * BATCH])
async def test_an_object_of_any_length_reads_back_whole(length: int, size: int) -> None:
    stored = await encode(LONG[:length], size=size)
    chunks = await read(stored, size=size)
    assert b"".join(chunks) == LONG[:length]
    assert all(0 < len(chunk) <= BATCH for chunk in chunks)


async def test_the_digests_are_those_of_the_plaintext() -> None:
    encoder = ObjectEncoder(STATE)
    async for _ in encoder.encode(chunked(LONG)):
        pass
    digests = encoder.digests
    assert digests.size == len(LONG)
    assert digests.md5 == hashlib.md5(LONG, usedforsecurity=False).hexdigest()
    assert digests.sha256 == hashlib.sha256(LONG).hexdigest()


@pytest.fixture(scope="module")
def stored() -> bytes:
    writer = FrameWriter(STATE)
    return b"".join([*writer.frames(LONG, last=True), writer.directory()])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(LONG) + 10), end=st.none() | st.integers(0, len(LONG) + 10))
async def test_a_range_is_the_same_as_a_slice(stored: bytes, start: int, end: int | None) -> None:
    assert b"".join(await read(stored, start, end)) == LONG[start : None if end is None else max(start, end)]


async def test_a_range_near_the_end_reads_nothing_that_comes_before_it(stored: bytes) -> None:
    asked: list[tuple[int, int]] = []

    def source(first: int, beyond: int) -> AsyncIterator[bytes]:
        asked.append((first, beyond))
        return chunked(stored[first:beyond])

    directory = await open_directory(STATE, len(stored), source)
    got = b"".join([chunk async for chunk in decode(directory, source, len(LONG) - 10)])
    assert got == LONG[-10:]
    assert sum(beyond - first for first, beyond in asked) <= TAIL + FRAME + 16


async def test_a_range_that_counts_from_before_the_beginning_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="beginning"):
        await read(stored, -5)


async def test_every_altered_byte_of_an_object_is_refused_before_anything_is_released() -> None:
    small = await encode(b"a planted secret of some forty characters")
    for at in range(len(small)):
        altered = small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :]
        with pytest.raises(SecretUnreadable):
            await read(altered)


async def test_every_truncation_is_refused() -> None:
    small = await encode(b"a planted secret of some forty characters")
    for length in range(len(small)):
        with pytest.raises(SecretUnreadable):
            await read(small[:length])


@pytest.mark.parametrize("surplus", [b"\x00", b"x" * 100])
async def test_bytes_put_before_or_behind_an_object_are_refused(surplus: bytes) -> None:
    small = await encode(b"secret")
    empty = await encode(b"")
    for altered in (surplus + small, small + surplus, surplus + empty, empty + surplus):
        with pytest.raises(SecretUnreadable):
            await read(altered)


async def test_an_object_that_shrinks_between_its_directory_and_its_frames_is_an_error(stored: bytes) -> None:
    def source(first: int, beyond: int) -> AsyncIterator[bytes]:
        return chunked(stored[first : beyond - (1 if first == 0 else 0)])

    directory = await open_directory(STATE, len(stored), source)
    with pytest.raises(SecretUnreadable, match="cut short"):
        async for _ in decode(directory, source):
            pass


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2)])
async def test_frames_that_changed_places_are_refused(one: int, other: int) -> None:
    stored = await encode(os.urandom(3 * FRAME))
    frame = FRAME + 16
    order = [0, 1, 2]
    order[one], order[other] = other, one
    moved = b"".join(stored[number * frame : (number + 1) * frame] for number in order)
    with pytest.raises(SecretUnreadable, match=f"frame {one}"):
        await read(moved + stored[3 * frame :])


def test_no_two_frames_are_encrypted_alike() -> None:
    block = os.urandom(FRAME)
    frames = FrameWriter(STATE).frames(block * 5, last=True) + FrameWriter(STATE).frames(block * 5, last=True)
    assert len(set(frames)) == 10


async def test_a_frame_of_another_object_is_refused() -> None:
    one, two = await encode(os.urandom(2 * FRAME)), await encode(os.urandom(2 * FRAME))
    with pytest.raises(SecretUnreadable, match="frame 0"):
        await read(two[: FRAME + 16] + one[FRAME + 16 :])


async def test_frames_before_a_damaged_batch_are_released_and_none_of_it_is() -> None:
    data = os.urandom(2 * BATCH)
    stored = bytearray(await encode(data))
    stored[BATCH + 5 * FRAME] ^= 1

    def source(first: int, beyond: int) -> AsyncIterator[bytes]:
        return chunked(bytes(stored[first:beyond]))

    directory = await open_directory(STATE, len(stored), source)
    got: list[bytes] = []
    with pytest.raises(SecretUnreadable):
        async for chunk in decode(directory, source):
            got.append(chunk)  # noqa: PERF401 - what came before the failure is the point
    assert b"".join(got) == data[:BATCH]


@pytest.mark.parametrize(
    "other", [Binding(KEYRING, "state", "sv-2"), Binding(KEYRING, "log", "sv-1"), Binding(Keyring(new_key()), "state", "sv-1")]
)
async def test_an_object_of_another_id_another_kind_or_another_installation_is_refused(other: Binding) -> None:
    with pytest.raises(SecretUnreadable):
        await read(await encode(b"secret"), binding=other)


async def test_an_object_of_a_later_format_is_refused_by_name() -> None:
    stored = await encode(b"secret")
    with pytest.raises(SecretUnreadable, match="format version 2.*upgrade"):
        await read(stored[:-1] + b"\x02")


async def test_an_object_stays_readable_after_a_newer_key_came() -> None:
    old = new_key()
    stored = await encode(b"secret", Binding(Keyring(old), "state", "sv-1"))
    rotated = Binding(Keyring(f"{new_key()},{old}"), "state", "sv-1")
    assert await read(stored, binding=rotated) == [b"secret"]


async def test_an_upload_during_which_a_newer_key_settles_ends_under_that_one() -> None:
    source = MemoryKeys(key_text("k1"))
    keyring = Keyring(source)

    async def uploaded() -> AsyncIterator[bytes]:
        yield LONG
        source.text = key_text("k2", "k1")
        keyring.reload()
        keyring.settle(dict.fromkeys(("k2", "k1"), datetime(1970, 1, 1, tzinfo=UTC)))
        yield LONG

    stored = b"".join([piece async for piece in ObjectEncoder(Binding(keyring, "state", "sv-1")).encode(uploaded())])
    without_the_old = Binding(Keyring(key_text("k2")), "state", "sv-1")
    assert b"".join(await read(stored, binding=without_the_old)) == LONG * 2


async def test_the_secret_is_not_in_the_bytes_and_compressible_text_shrinks(stored: bytes) -> None:
    assert b"secret-in-the-state" not in stored
    assert len(await encode(LONG[: 1024 * 1024])) < 100_000


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    assert [len(frame) for frame in FrameWriter(STATE).frames(os.urandom(2 * FRAME), last=True)] == [FRAME + 16] * 2


async def test_an_object_whose_index_is_longer_than_the_tail_is_read() -> None:
    writer = FrameWriter(STATE)
    frames = TAIL // 4 + 10
    data = bytes(FRAME)
    body = b"".join(piece for _ in range(frames - 1) for piece in writer.frames(data, last=False))
    stored = body + b"".join(writer.frames(b"the end", last=True)) + writer.directory()
    assert b"".join(await read(stored, (frames - 1) * FRAME - 2)) == b"\x00\x00the end"


async def test_pieces_are_made_ahead_by_one_and_a_consumer_who_leaves_ends_that() -> None:
    made: list[int] = []
    closed = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        try:
            for number in range(10):
                made.append(number)
                yield bytes([number])
        finally:
            closed.set()

    reading = ahead(pieces())
    assert await anext(reading) == b"\x00"
    await asyncio.sleep(0)
    assert made == [0, 1]
    await reading.aclose()
    assert closed.is_set()
    assert made == [0, 1]


async def test_a_failure_while_making_ahead_comes_after_the_pieces_before_it() -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"one"
        raise SecretUnreadable("damaged")

    got: list[bytes] = []
    with pytest.raises(SecretUnreadable):
        async for piece in ahead(pieces()):
            got.append(piece)  # noqa: PERF401 - what came before the failure is the point
    assert got == [b"one"]


def test_only_the_last_stretch_may_end_within_a_frame() -> None:
    writer = FrameWriter(STATE)
    with pytest.raises(ValueError, match="shorter"):
        writer.frames(b"short", last=False)
    writer.frames(b"short", last=True)
    with pytest.raises(ValueError, match="already"):
        writer.frames(b"more", last=True)
