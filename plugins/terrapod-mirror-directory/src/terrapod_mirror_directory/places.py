"""Directories behind an address, and on this machine, asked alike: by URLs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from terrapod_core.plugin import Answer, HTTPClients, Upstream, UpstreamFailed, UpstreamMissing
from terrapod_mirror_directory.settings import DirectorySettings

SECTION: Final = "mirror.directory"
PIECE_BYTES: Final = 256 << 10


def place_of(at: str, settings: DirectorySettings, http: HTTPClients) -> tuple[str, Upstream]:
    """The URL of this directory, with a slash at its end, and who reads what is below it."""
    if "://" in at:
        url = at.rstrip("/") + "/"
        return url, Upstream(http, [url], SECTION, settings)
    root = Path(at)
    return root.as_uri().rstrip("/") + "/", LocalFiles(root, settings, http)


class LocalFiles(Upstream):
    """Files below a directory of this machine, by `file://` URLs."""

    def __init__(self, root: Path, settings: DirectorySettings, http: HTTPClients) -> None:
        super().__init__(http, (), SECTION, settings)
        self._root = root
        self._most = settings.max_archive_bytes

    async def get(
        self, url: str, *, most: int, missing: str, validator: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """As `Upstream.get`: a validator is made of when the file was changed, and its size."""
        return await asyncio.to_thread(self._get, url, most, missing, validator)

    async def stream(self, url: str, *, missing: str) -> AsyncIterator[bytes]:
        """As `Upstream.stream`."""
        file, size = await asyncio.to_thread(self._open, url, self._most, missing)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                size -= len(piece)
                yield piece
        finally:
            file.close()
        if size:
            raise UpstreamFailed(f"{self._root}: a file was changed while it was read")

    def names(self) -> list[str]:
        """What is in the directory itself; blocking."""
        try:
            return [each.name for each in self._root.iterdir() if each.is_file()]
        except OSError as error:
            raise UpstreamFailed(f"{self._root}: cannot be read: {error.strerror}") from None

    def _get(self, url: str, most: int, missing: str, validator: str | None) -> Answer | None:
        file, _ = self._open(url, most, missing)
        with file:
            found = Path(file.name).stat()
            now = f"{found.st_mtime_ns}-{found.st_size}"
            return None if now == validator else Answer(file.read(most), url, {"etag": now})

    def _open(self, url: str, most: int, missing: str) -> tuple[IO[bytes], int]:
        path = Path(unquote(urlsplit(url).path))
        root = self._root.resolve()
        if urlsplit(url).scheme != "file" or not path.resolve().is_relative_to(root):
            raise UpstreamFailed(f"{self._root}: names a file outside of it")
        if not root.is_dir():
            raise UpstreamFailed(f"{self._root}: is no directory that is there")
        try:
            if not path.is_file():
                raise UpstreamMissing(missing)
            size = path.stat().st_size
            if size > most:
                raise UpstreamFailed(f"{path}: has more than {most} bytes")
            return path.open("rb"), size
        except OSError as error:
            raise UpstreamFailed(f"{path}: cannot be read: {error.strerror}") from None
