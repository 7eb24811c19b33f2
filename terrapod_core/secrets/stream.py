"""Objects as streams: plaintext chunks in, the framed format out, and back; computing happens in threads, not on the loop.

Work is handed over in batches of about 1 MiB, one hop each: a hop costs some 50 µs, hashing and encrypting 1 MiB about 3 ms.
Memory is a few batches, whatever the size of the object.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from terrapod_core.secrets.frames import FRAME, TAIL, Binding, Directory, FrameWriter, directory_bytes, read_directory
from terrapod_core.secrets.keyring import SecretUnreadable

BATCH_FRAMES: Final = 8
BATCH: Final = BATCH_FRAMES * FRAME
"""Bytes of plaintext handled in one hop: 1 MiB."""

ReadRange = Callable[[int, int], AsyncIterator[bytes]]
"""Reads bytes `start` to `end` (exclusive) of an object as it is stored."""


@dataclass(frozen=True)
class Digests:
    """What went into an object."""

    size: int
    md5: str
    """Lower-case hexadecimal, as `sha256`."""
    sha256: str


class Digesting:
    """Counts and hashes one stream."""

    def __init__(self) -> None:
        # Not used for security: md5 is what the protocol's clients declare for a state.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._size = 0

    @property
    def digests(self) -> Digests:
        """Size and hashes of what was seen so far."""
        return Digests(self._size, self._md5.hexdigest(), self._sha256.hexdigest())

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes. It computes: call it in a thread."""
        self._md5.update(data)
        self._sha256.update(data)
        self._size += len(data)


class ObjectEncoder:
    """Encrypts one stream; `digests`, of the plaintext, is there once it has ended."""

    def __init__(self, binding: Binding) -> None:
        self._writer = FrameWriter(binding)
        self._digesting = Digesting()

    @property
    def digests(self) -> Digests:
        """Size and hashes of the plaintext seen so far."""
        return self._digesting.digests

    async def encode(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        """The object's bytes for a stream of chunks of any size, in pieces of about 1 MiB before compression."""
        held: list[bytes] = []
        size = 0
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            # A batch goes only when something follows it: which frame is the last one is part of its encryption.
            if size > BATCH:
                encrypted, rest = await asyncio.to_thread(self._batch, held)
                held, size = [rest], len(rest)
                yield encrypted
        yield await asyncio.to_thread(self._end, held)

    def _batch(self, held: list[bytes]) -> tuple[bytes, bytes]:
        """Encrypt whole batches; returns them and the 1 byte to one batch that stay for later."""
        data = held[0] if len(held) == 1 else b"".join(held)
        held.clear()  # the caller's list: no second copy stays alive while this one is encrypted
        whole = (len(data) - 1) // BATCH * BATCH
        view = memoryview(data)
        return b"".join(self._frames(view[:whole], last=False)), bytes(view[whole:])

    def _end(self, held: list[bytes]) -> bytes:
        return b"".join([*self._frames(memoryview(b"".join(held)), last=True), self._writer.directory()])

    def _frames(self, data: memoryview, *, last: bool) -> list[bytes]:
        self._digesting.update(data)
        return self._writer.frames(data, last=last)


async def open_directory(binding: Binding, encrypted_size: int, read: ReadRange) -> Directory:
    """Read and verify the directory of a stored object of `encrypted_size` bytes. Raises `SecretUnreadable`."""
    tail = await _all(read(max(0, encrypted_size - TAIL), encrypted_size))
    needed = directory_bytes(tail)
    if len(tail) < needed <= encrypted_size:
        tail = await _all(read(encrypted_size - needed, encrypted_size - len(tail))) + tail
    return read_directory(binding, tail, encrypted_size)


async def decode(directory: Directory, read: ReadRange, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
    """The plaintext from `start` to `end` (exclusive; `None`: to the end), in chunks of at most 1 MiB.

    A range beyond the end is cut to what there is. Raises `SecretUnreadable` before any byte of a frame that does not verify.
    """
    start, stop = directory.clip(start, end)
    if start == stop:
        return
    number, beyond = start // FRAME, -(-stop // FRAME)
    offsets = directory.offsets
    held = bytearray()
    async for chunk in read(offsets[number], offsets[beyond]):
        held += chunk
        while number < beyond:
            count = min(BATCH_FRAMES, beyond - number)
            needed = offsets[number + count] - offsets[number]
            if len(held) < needed:
                break
            encrypted = bytes(memoryview(held)[:needed])
            del held[:needed]
            yield await asyncio.to_thread(_cut, directory, number, encrypted, count, start, stop)
            number += count
    if number < beyond:
        raise SecretUnreadable("A stored object cannot be read: it is cut short. Restore it from a backup.")


def _cut(directory: Directory, number: int, encrypted: bytes, count: int, start: int, stop: int) -> bytes:
    """Open `count` frames and return what of them lies between `start` and `stop`."""
    opened = b"".join(directory.open(number, encrypted, count))
    base = number * FRAME
    # A slice of everything is the same object: only the first and the last batch of a range are copied.
    return opened[max(start - base, 0) : stop - base]


async def ahead(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same pieces, each next one being made while the consumer is busy with the one before; closes `pieces` at its end.

    So a disk writes, or a client receives, while a thread computes: a third more bytes a second, for one more batch of memory.
    """
    following = asyncio.ensure_future(anext(pieces, None))
    try:
        while (piece := await following) is not None:
            following = asyncio.ensure_future(anext(pieces, None))
            yield piece
    finally:
        following.cancel()
        # Its failure is already raised above, or the consumer left and does not want to know.
        await asyncio.wait([following])
        if not following.cancelled():
            following.exception()
        await pieces.aclose()


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
