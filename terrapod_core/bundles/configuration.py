"""What a configuration locks and calls, read out of its archive without unpacking or running anything of it.

The archive is looked through as it passes; its files of configuration are parsed by the program that reads modules
(`registry.contents`), a directory at a time.
"""

from __future__ import annotations

import asyncio
import io
import posixpath
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from terrapod_core.bundles.wishes import Wish, called_module, locked
from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.reader import ModuleReader
from terrapod_core.tarballs import ArchiveInspector, ArchiveLimits
from terrapod_core.tarballs.inspector import Entry

LOCK_FILE: Final = ".terraform.lock.hcl"
FILE_BYTES: Final = 4 << 20
"""The largest file that is read."""
ALL_BYTES: Final = 64 << 20
"""Of all of them."""
DIRECTORIES: Final = 500
"""The most that are parsed of one archive."""

_LIMITS: Final = ArchiveLimits()


@dataclass
class Used:
    """What a configuration needs."""

    wishes: list[Wish] = field(default_factory=list)
    locked: bool = False
    """Whether there is a lock file."""
    left_out: list[str] = field(default_factory=list)
    """What cannot be in a bundle, each with the reason."""


class ConfigurationReader:
    """Reads archives of configurations and of modules."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._modules = ModuleReader(limits)

    async def configuration(self, archive: AsyncIterator[bytes], directory: str, because: str) -> Used:
        """Of a workspace's configuration that is run in `directory`. Raises `Invalid` for an archive that cannot be read."""
        files = await _files(archive)
        used = Used()
        start = posixpath.normpath(directory or ".")
        text = files.get(posixpath.normpath(posixpath.join(start, LOCK_FILE)))
        if text is not None:
            used.locked = True
            used.wishes += locked(text.decode("utf-8", "replace"), because)
        await self._follow(files, [start], because, used)
        return used

    async def module(self, archive: AsyncIterator[bytes], filename: str, root: str, because: str) -> Used:
        """Of a module: what it and its submodules call. Raises `Invalid`."""
        files = await (_zipped(archive) if filename.endswith(".zip") else _files(archive))
        if root == "*":
            root = next(iter(sorted({path.partition("/")[0] for path in files})), "")
        root = posixpath.normpath(root or ".")
        below = "" if root == "." else root + "/"
        inside = {posixpath.dirname(path) for path in files if path.startswith(f"{below}modules/")}
        used = Used()
        await self._follow(files, [root, *sorted(inside)], because, used)
        return used

    async def _follow(self, files: Mapping[str, bytes], starts: list[str], because: str, used: Used) -> None:
        """The calls of these directories, and of those that they call in turn."""
        by_directory: dict[str, dict[str, bytes]] = {}
        for path, content in files.items():
            if path.endswith((".tf", ".tf.json", ".tofu")):
                by_directory.setdefault(posixpath.dirname(path) or ".", {})[posixpath.basename(path)] = content
        waiting, seen = list(starts), set(starts)
        while waiting:
            directory = waiting.pop()
            if directory not in by_directory:
                continue
            if len(seen) > DIRECTORIES:
                used.left_out.append(f"{because} has more than {DIRECTORIES} directories of configuration; not all of them were read")
                return
            for source, version in await self._calls(by_directory[directory], because, used):
                if source.startswith(("./", "../")):
                    local = posixpath.normpath(posixpath.join(directory, source))
                    if local not in seen and not local.startswith(".."):
                        seen.add(local)
                        waiting.append(local)
                elif (found := called_module(source)) is not None:
                    used.wishes.append(Wish(found, None, version, because))
                else:
                    used.left_out.append(f"{because} calls {source[:200]!r}, which is no module of a registry")

    async def _calls(self, files: Mapping[str, bytes], because: str, used: Used) -> list[tuple[str, str | None]]:
        packed = await asyncio.to_thread(_packed, files)
        try:
            contents = await self._modules.understand(_one(packed))
        except Invalid as error:
            used.left_out.append(f"{because} has configuration that cannot be read: {error.detail}")
            return []
        used.left_out += [f"{because} has a file that cannot be read: {each.file}: {each.detail}" for each in contents.problems]
        return [(call.source, call.version) for call in contents.module.calls if call.source is not None]


class _Wanted:
    """Says which files are kept, as far as there is room."""

    def __init__(self) -> None:
        self.left = ALL_BYTES

    def __call__(self, path: str, size: int) -> bool:
        name = posixpath.basename(path)
        if not (name == LOCK_FILE or name.endswith((".tf", ".tf.json", ".tofu"))) or size > min(FILE_BYTES, self.left):
            return False
        self.left -= size
        return True


async def _files(archive: AsyncIterator[bytes]) -> dict[str, bytes]:
    wanted = _Wanted()

    def take(entry: Entry) -> bool:
        return wanted(entry.path.decode("utf-8", "surrogateescape"), entry.size)

    inspector = ArchiveInspector(_LIMITS, wanted=take)
    async for piece in archive:
        await asyncio.to_thread(inspector.feed, piece)
    await asyncio.to_thread(inspector.finish)
    return {path.decode("utf-8", "surrogateescape"): content for path, content in inspector.files.items()}


async def _zipped(archive: AsyncIterator[bytes]) -> dict[str, bytes]:
    """Likewise of a zip, which was looked through when it was cached."""
    with await asyncio.to_thread(tempfile.TemporaryFile) as file:
        async for piece in archive:
            await asyncio.to_thread(file.write, piece)

        def read() -> dict[str, bytes]:
            wanted, found = _Wanted(), {}
            with zipfile.ZipFile(file) as zipped:
                for info in zipped.infolist():
                    if not info.is_dir() and wanted(info.filename, info.file_size):
                        found[info.filename] = zipped.read(info)
            return found

        return await asyncio.to_thread(read)


def _packed(files: Mapping[str, bytes]) -> bytes:
    """One directory as an archive of its own."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
