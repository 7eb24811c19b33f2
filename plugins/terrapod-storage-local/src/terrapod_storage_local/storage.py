"""The backend `local`: an object is a file.

    <path>/state-versions/sv-…/state.…      the object of that key
    <path>/.incoming/                       files that are still being written

No segment of a key begins with a dot, so no key names anything in `.incoming`. Objects are encrypted before they come here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from terrapod_core.plugin import ObjectInfo, ObjectMissing, check_key
from terrapod_storage_local.files import BLOCK, Incoming, Outgoing

INCOMING: Final = ".incoming"
LEFTOVER_AGE: Final = 24 * 60 * 60
"""Seconds after which a temporary file cannot belong to an upload that still runs."""
_LISTED_AT_ONCE: Final = 1000


class LocalStorage:
    """Keeps objects as files under one folder. Several processes may share it when they share the disk."""

    name = "local"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / INCOMING

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object: temporary file, fsync, rename, fsync of the folder. Raises `StoreFull`.

        A small object takes one hop to a thread in all, a large one a hop for each MiB.
        """
        return await self._write(Incoming(self._incoming, self._path(key), key), chunks)

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """Store an object where there is none: it gets its name by a hard link. Raises `ObjectExists` and `StoreFull`."""
        return await self._write(Incoming(self._incoming, self._path(key), key, create=True), chunks)

    async def _write(self, incoming: Incoming, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        held: list[bytes] = []
        size = 0
        try:
            async for chunk in chunks:
                held.append(chunk)
                size += len(chunk)
                if size >= BLOCK:
                    await asyncio.to_thread(incoming.append, _joined(held))
                    held, size = [], 0
            return await asyncio.to_thread(incoming.finish, _joined(held))
        except BaseException:
            # In a thread, since it waits for the one that may still write; shielded, since a second cancellation changes nothing.
            await asyncio.shield(asyncio.to_thread(incoming.discard))
            raise

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of a range in blocks of up to 1 MiB. Raises `ObjectMissing`."""
        outgoing = Outgoing(self._path(key), key, start, end)
        try:
            while block := await asyncio.to_thread(outgoing.block):
                yield block
                if outgoing.done:
                    return
        finally:
            outgoing.close()

    async def info(self, key: str) -> ObjectInfo:
        """Size and age of an object. Raises `ObjectMissing`."""
        return await asyncio.to_thread(self._info, key)

    async def delete(self, key: str) -> None:
        """Remove an object, and the folders that are empty without it."""
        await asyncio.to_thread(self._delete, key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`."""
        found = self._walk(prefix)
        while batch := await asyncio.to_thread(lambda: [*itertools.islice(found, _LISTED_AT_ONCE)]):
            for info in batch:
                yield info

    def remove_leftovers(self) -> int:
        """Remove what a crash left half-written, if older than a day; returns how many files that were."""
        removed = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._incoming):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - LEFTOVER_AGE:
                        Path(entry.path).unlink()
                        removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _info(self, key: str) -> ObjectInfo:
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissing(key) from None
        if not stat.S_ISREG(status.st_mode):
            raise ObjectMissing(key)
        return _describe(key, status)

    def _delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        for folder in itertools.takewhile(lambda folder: folder != self._root, path.parents):
            try:
                folder.rmdir()
            except OSError:
                return  # not empty

    def _walk(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below the deepest folder that `prefix` names."""
        folder = prefix.rpartition("/")[0]
        if folder:
            try:
                check_key(folder)
            except ValueError:
                return  # no key begins like that
        for directory, folders, names in os.walk(self._root / folder):
            if directory == str(self._root):
                folders[:] = [name for name in folders if name != INCOMING]
            for name in names:
                path = Path(directory, name)
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):
                        yield _describe(key, path.stat())


def _describe(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _joined(held: list[bytes]) -> bytes:
    return held[0] if len(held) == 1 else b"".join(held)
