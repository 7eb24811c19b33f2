"""A bundle's file: on disk, whole, before it has its name; gone on with where it was when it was interrupted.

    FILE.partial    the bytes so far
    FILE.journal    which manifest they are of, who asked for it, and how many of the bytes were on the disk when it was written

The manifest decides every byte of the file, so going on is to write the rest. What lies behind the journal's mark is not believed: after a
crash it may be anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Final

import msgspec

from terrapod_core.bundles.layout import END, Layout, Place, front, header, padding
from terrapod_core.bundles.manifest import Manifest, PackageOf, ReleaseOf, id_of
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle, Progress

MARK_BYTES: Final = 32 << 20
"""At most so many bytes, and one file, are written again after an interruption."""

Content = Callable[[ReleaseOf, PackageOf], AsyncIterator[bytes]]


class _Journal(msgspec.Struct):
    manifest: str
    """Id of it."""
    request: str
    done: int
    """Bytes that are on the disk, a whole number of entries."""


class Export:
    """One file that is being written."""

    def __init__(self, path: Path, request: str) -> None:
        self.path = path
        self._request = request
        self._partial = path.with_name(path.name + ".partial")
        self._journal = path.with_name(path.name + ".journal")

    def begun(self) -> Manifest | None:
        """The manifest of an export that was interrupted and asked for the same; `None` when there is none to go on with. Blocks."""
        try:
            journal = msgspec.json.decode(self._journal.read_bytes(), type=_Journal)
            with Bundle(self._partial, whole=False) as bundle:
                size = self._partial.stat().st_size
                fits = bundle.layout.front <= journal.done <= size and journal.manifest == bundle.id and journal.request == self._request
                return bundle.manifest if fits else None
        except (OSError, msgspec.MsgspecError, BundleError):
            return None

    async def write(self, content: Content, progress: Progress) -> None:
        """Write the rest, and give the file its name. Raises `OSError`, `BundleError` and what `content` raises; it can be gone on with."""
        journal = msgspec.json.decode(await asyncio.to_thread(self._journal.read_bytes), type=_Journal)
        with await asyncio.to_thread(Bundle, self._partial, whole=False) as bundle:
            manifest, layout = bundle.manifest, bundle.layout
        with await asyncio.to_thread(self._partial.open, "r+b") as file:
            await asyncio.to_thread(file.truncate, journal.done)
            await asyncio.to_thread(file.seek, journal.done)
            await self._files(file, manifest, layout, journal, content, progress)
            await asyncio.to_thread(self._finish, file)
        progress(layout.size, layout.size)

    def begin(self, document: bytes, signature: bytes) -> None:
        """Write the beginning, in the place of whatever was begun here before. Blocks; raises `OSError`."""
        self._journal.unlink(missing_ok=True)
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(front(document, signature))
            file.flush()
            os.fsync(file.fileno())
            done = file.tell()
        self._mark(_Journal(id_of(document), self._request, done))

    async def _files(
        self, file: IO[bytes], manifest: Manifest, layout: Layout, journal: _Journal, content: Content, progress: Progress
    ) -> None:
        coming = [(release, package) for release in manifest.releases for package in release.packages if package.file is not None]
        for place, (release, package) in zip(layout.places(), coming, strict=True):
            if place.end <= journal.done:
                continue
            await self._entry(file, place, package, content(release, package), lambda at: progress(at, layout.size))
            if place.end - journal.done >= MARK_BYTES:
                await asyncio.to_thread(os.fsync, file.fileno())
                journal.done = place.end
                await asyncio.to_thread(self._mark, journal)

    async def _entry(
        self, file: IO[bytes], place: Place, package: PackageOf, content: AsyncIterator[bytes], progress: Callable[[int], None]
    ) -> None:
        await asyncio.to_thread(file.write, header(place.name, place.size))
        digest, size = hashlib.sha256(), 0
        async for piece in content:
            size += len(piece)
            await asyncio.to_thread(_written, file, digest, piece)
            progress(place.content + size)
        if size != package.size or digest.hexdigest() != package.sha256:
            raise BundleError(f"{package.filename} in the cache is not what was verified: run `terrapod storage check --deep`")
        await asyncio.to_thread(file.write, padding(place.size))
        await asyncio.to_thread(file.flush)

    def _finish(self, file: IO[bytes]) -> None:
        file.write(END)
        file.flush()
        os.fsync(file.fileno())
        self._partial.replace(self.path)
        self._journal.unlink(missing_ok=True)
        _sync(self.path.parent)

    def _mark(self, journal: _Journal) -> None:
        temporary = self._journal.with_name(self._journal.name + ".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(journal))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._journal)
        _sync(self._journal.parent)


def _written(file: IO[bytes], digest: object, piece: bytes) -> None:
    file.write(piece)
    digest.update(piece)  # type: ignore[attr-defined]


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
