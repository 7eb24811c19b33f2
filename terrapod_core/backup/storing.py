"""Objects on their way into a store, small ones side by side, large ones as streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from terrapod_core.backup.objects import AT_ONCE
from terrapod_core.backup.records import ObjectBytes
from terrapod_core.plugin import StorageBackend


class Storing:
    """Writes the pieces of objects as they come; whoever uses it calls `finish` or `stop` in the end."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend
        self._small: list[ObjectBytes] = []
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(2)
        self._large: asyncio.Task[Any] | None = None

    async def put(self, piece: ObjectBytes) -> None:
        """The next piece. Raises whatever the store raises."""
        if self._large is None and not piece.more:
            self._small.append(piece)
            if len(self._small) == AT_ONCE:
                await self._write_small()
            return
        if self._large is None:
            self._queue = asyncio.Queue(2)
            self._large = asyncio.create_task(self._backend.write(piece.key, _chunks(self._queue)))
        await self._feed(self._large, piece.data)
        if not piece.more:
            await self._feed(self._large, None)
            await self._large
            self._large = None

    async def finish(self) -> None:
        """Write what is held back."""
        await self._write_small()

    async def stop(self) -> None:
        """Write no more."""
        if self._large is not None:
            self._large.cancel()
            with contextlib.suppress(BaseException):
                await self._large

    async def _write_small(self) -> None:
        pieces, self._small = self._small, []
        async with asyncio.TaskGroup() as group:
            for piece in pieces:
                group.create_task(self._write(piece))

    async def _write(self, piece: ObjectBytes) -> None:
        await self._backend.write(piece.key, _one(piece.data))

    async def _feed(self, writing: asyncio.Task[Any], data: bytes | None) -> None:
        """Hand on bytes, unless the store has failed by now."""
        handing = asyncio.create_task(self._queue.put(data))
        await asyncio.wait({handing, writing}, return_when=asyncio.FIRST_COMPLETED)
        if not handing.done():
            handing.cancel()
            await writing


async def _one(data: bytes) -> AsyncGenerator[bytes]:
    yield data


async def _chunks(queue: asyncio.Queue[bytes | None]) -> AsyncGenerator[bytes]:
    while (data := await queue.get()) is not None:
        yield data
