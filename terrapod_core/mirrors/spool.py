"""A file that is still coming: one writes it, many read it, and its end is held back until it was verified."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator
from typing import IO, Final

HELD: Final = 64 << 10
"""Bytes at the end that nobody is given before they are verified, so that nobody ever has a whole file that was not."""

PIECE: Final = 256 << 10
"""Bytes read at a time."""


class Spool:
    """On disk, nameless; memory does not grow with it. It is there until who writes it has let go, and all who read it are done."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="terrapod-mirror-")  # noqa: SIM115 - closed with the last who holds it
        self._holders = 1
        self.size = 0
        self._digest = hashlib.sha256()
        self._released = False
        self._failure: BaseException | None = None
        self._grown = asyncio.Event()

    @property
    def sha256(self) -> str:
        """Of what is there so far."""
        return self._digest.hexdigest()

    async def write(self, data: bytes) -> None:
        """Append what came."""
        await asyncio.to_thread(self._write, data)
        self.size += len(data)
        self._tell()

    def release(self) -> None:
        """It is whole, and what it should be: let those who read have its end."""
        self._released = True
        self._tell()

    def fail(self, error: BaseException) -> None:
        """It will never be whole: what was read breaks off with this. Not after `release`."""
        if not self._released:
            self._failure = error
            self._tell()

    async def read(self) -> AsyncGenerator[bytes]:
        """Its bytes from the start, as they come. Raises what it failed with, and then the last `HELD` bytes were never given."""
        self._holders += 1
        try:
            at = 0
            while True:
                grown = self._grown
                end = self.size if self._released else self.size - HELD
                if at < end:
                    piece = await asyncio.to_thread(os.pread, self.file.fileno(), min(PIECE, end - at), at)
                    at += len(piece)
                    yield piece
                elif self._failure is not None:
                    raise self._failure
                elif self._released:
                    return
                else:
                    await grown.wait()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Who wrote it is done."""
        self._holders -= 1
        if self._holders == 0:
            self.file.close()

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.file.flush()
        self._digest.update(data)

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
