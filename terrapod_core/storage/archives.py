"""Modules, providers and engine binaries: no secrets, so they are stored as they are, and a client may fetch them from the store itself.

They lie beside the encrypted objects, `archives/<kind>/<id>.<attempt>`, `<attempt>` random and new with every `put`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import timedelta
from enum import StrEnum

from terrapod_core.errors import NotFound
from terrapod_core.plugin import CannotSign, ObjectMissing, StorageBackend, SupportsSignedURLs
from terrapod_core.secrets.stream import BATCH, Digesting, ahead
from terrapod_core.storage.storing import Counted, Stored, new_key, put_whole, working


class ArchiveKind(StrEnum):
    """What an archive is; the folder that it lies in."""

    MODULE = "modules"
    PROVIDER = "providers"
    MIRRORED = "mirrored"


class Archives:
    """Puts and gets archives; hashing and waiting for disks happen off the event loop."""

    def __init__(self, backend: StorageBackend, *, links: bool) -> None:
        """Without `links`, `link` gives none, whatever the backend can do."""
        self._backend = backend
        self._links = links

    async def put(self, kind: ArchiveKind, archive_id: str, chunks: AsyncIterable[bytes], *, limit: int | None) -> Stored:
        """Store a stream whole or not at all; it is durable when this returns.

        `limit` is in bytes (`None`: no limit); `TooLarge` as soon as it is passed. Whatever ends the stream early leaves nothing
        behind. Raises `Unavailable` when the store fails.
        """
        key = new_key(f"archives/{kind.value}/{{id}}", archive_id)
        digesting = Digesting()
        source = Counted(chunks, limit)
        await put_whole(self._backend, key, source, _hashed(source.read(), digesting))
        digests = digesting.digests
        return Stored(key, digests.size, digests.md5, digests.sha256)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to `end` (exclusive; `None`: to the end), in chunks. A range beyond the end gives what there is.

        Raises `NotFound`, at the first chunk at the latest, and `Unavailable`.
        """

        async def stored() -> AsyncGenerator[bytes]:
            async for chunk in self._backend.read(key, start, end):
                yield chunk

        try:
            with working(self._backend, "read"):
                async with contextlib.aclosing(ahead(stored())) as chunks:
                    async for chunk in chunks:
                        yield chunk
        except ObjectMissing:
            raise _gone(key) from None

    async def size(self, key: str) -> int:
        """In bytes. Raises `NotFound` and `Unavailable`."""
        try:
            with working(self._backend, "look"):
                return (await self._backend.info(key)).size
        except ObjectMissing:
            raise _gone(key) from None

    async def delete(self, key: str) -> None:
        """Remove an archive; one that is absent is fine. Raises `Unavailable`."""
        with working(self._backend, "delete"):
            await self._backend.delete(key)

    async def link(self, key: str, expires: timedelta) -> str | None:
        """A URL of the store itself, at which anybody may GET the archive for as long as `expires`; `None` where there can be none.

        Whether the archive is there is not looked at. Raises `Unavailable`.
        """
        if not self._links or not isinstance(self._backend, SupportsSignedURLs):
            return None
        with working(self._backend, "sign"):
            try:
                return await self._backend.signed_url(key, "GET", expires)
            except CannotSign:
                return None


def _gone(key: str) -> NotFound:
    return NotFound(f"The archive {key} is no longer in the store.")


async def _hashed(chunks: AsyncIterable[bytes], digesting: Digesting) -> AsyncGenerator[bytes]:
    """The same bytes in pieces of about 1 MiB, each hashed in a thread."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            yield await asyncio.to_thread(_joined, held, digesting)
            size = 0
    if held:
        yield await asyncio.to_thread(_joined, held, digesting)


def _joined(held: list[bytes], digesting: Digesting) -> bytes:
    data = held[0] if len(held) == 1 else b"".join(held)
    held.clear()  # the caller's list: no second copy stays alive while this one is hashed
    digesting.update(data)
    return data
