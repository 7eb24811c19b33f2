"""Objects as they lie in the store, encrypted: out of one store and into another, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Final

from terrapod_core.backup.records import ObjectBytes
from terrapod_core.plugin import ObjectMissing, StorageBackend

PIECE: Final = 1 << 20
AT_ONCE: Final = 8
"""Small objects that are asked for, or written, at the same time: a store far away answers each in its time."""

MISSING_NAMED: Final = 100
"""How many missing objects an archive names."""

Piece = tuple[str, ObjectBytes | None]
"""A key, and the next bytes of its object; `None` for one that is not in the store."""


async def read_all(backend: StorageBackend, pages: Iterable[list[str]]) -> AsyncGenerator[Piece]:
    """The bytes of each object, in pieces; those of one follow each other."""
    for page in pages:
        for keys in (page[at : at + AT_ONCE] for at in range(0, len(page), AT_ONCE)):
            for key, small in zip(keys, await asyncio.gather(*(_small(backend, key) for key in keys)), strict=True):
                if small is not None:
                    yield key, small
                    continue
                try:
                    async for piece in _pieces(backend, key):
                        yield key, piece
                except ObjectMissing:
                    yield key, None


async def _small(backend: StorageBackend, key: str) -> ObjectBytes | None:
    """A small object whole; `None` for one that is large or missing."""
    try:
        if (await backend.info(key)).size > PIECE:
            return None
        # One that is replaced meanwhile by a longer one is seen to be longer.
        data = b"".join([chunk async for chunk in backend.read(key, 0, 2 * PIECE)])
    except ObjectMissing:
        return None
    return ObjectBytes(key, data, more=False) if len(data) < 2 * PIECE else None


async def _pieces(backend: StorageBackend, key: str) -> AsyncIterator[ObjectBytes]:
    held = bytearray()
    async for chunk in backend.read(key):
        held += chunk
        while len(held) > PIECE:
            yield ObjectBytes(key, bytes(memoryview(held)[:PIECE]), more=True)
            del held[:PIECE]
    yield ObjectBytes(key, bytes(held), more=False)
