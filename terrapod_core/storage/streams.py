"""Streams on their way in and out: looked through as they pass, and opened before anything is promised."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, Protocol

BATCH: Final = 1 << 18
"""Bytes that are worth a hop to a thread."""

SMALL: Final = 1 << 13
"""Bytes of a whole stream that are not: an inspector has them seen in less time than the hop takes."""


class Inspector(Protocol):
    """Looks at a stream. Synchronous; may compute much, and raise whatever should end the stream."""

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        ...

    def finish(self) -> None:
        """There are no more."""
        ...


async def batches(chunks: AsyncIterable[bytes], size: int = BATCH) -> AsyncIterator[bytes]:
    """The same bytes in pieces of at least `size`, the last one excepted."""
    held: list[bytes] = []
    length = 0
    async for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= size:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, length = [], 0
    if length:
        yield b"".join(held)


async def inspected(chunks: AsyncIterable[bytes], inspector: Inspector, *, small: int = SMALL) -> AsyncIterator[bytes]:
    """The same bytes, each piece once the inspector has seen it; what it raises ends the stream.

    It works in a thread, once there are more bytes than `small`: none for one that writes to a disk.
    """
    seen = 0
    async for batch in batches(chunks):
        seen += len(batch)
        if seen <= small:
            inspector.feed(batch)
        else:
            await asyncio.to_thread(inspector.feed, batch)
        yield batch
    if seen <= small:
        inspector.finish()
    else:
        await asyncio.to_thread(inspector.finish)


async def is_same(chunks: AsyncIterable[bytes], declared: int | None, size: int, sha256: str) -> bool:
    """Whether the bytes are those that are stored; no more of them is read than it takes to know. `declared` is their announced length."""
    if declared is not None and declared != size:
        return False
    digest, seen = hashlib.sha256(), 0
    async for batch in batches(chunks):
        seen += len(batch)
        if seen > size:
            return False
        await asyncio.to_thread(digest.update, batch)
    return digest.hexdigest() == sha256


async def opened(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same stream, once its first piece is there: an object that cannot be read is an answer, not a broken download."""
    first = await anext(chunks, b"")
    return _joined(first, chunks)


async def _joined(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk
