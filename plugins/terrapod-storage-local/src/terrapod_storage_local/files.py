"""One file on its way into the store, and one being read. Synchronous: called in threads.

Both take a lock around what they do, so that a caller who was cancelled may put an end to them while a thread still works:
that end waits for the thread, and no descriptor is closed under it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

from terrapod_core.plugin import ObjectExists, ObjectInfo, ObjectMissing

BLOCK: Final = 1024 * 1024
"""Bytes read or written in one go."""
_ATTEMPTS: Final = 20


class StoreFull(OSError):
    """The disk, or the quota, of the store has no room for the object."""


class Incoming:
    """An object being written to a temporary file, which gets its name once it is whole and on disk."""

    def __init__(self, folder: Path, target: Path, key: str, *, create: bool = False) -> None:
        """With `create`, only a name that nothing has is given."""
        self._create = create
        self._temporary = folder / secrets.token_hex(16)
        self._target = target
        self._key = key
        self._lock = Lock()
        self._descriptor: int | None = None
        self._ended = False

    def append(self, data: bytes) -> None:
        """Write the next bytes. Raises `StoreFull`."""
        with self._lock, self._room():
            self._write(data)

    def finish(self, data: bytes) -> ObjectInfo:
        """Write the last bytes, make everything durable and give it its name. Raises `StoreFull` and `ObjectExists`."""
        with self._lock, self._room():
            descriptor = self._write(data)
            os.fsync(descriptor)
            status = os.fstat(descriptor)
            self._place()
            self._ended = True
            self._close()
        return ObjectInfo(self._key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def discard(self) -> None:
        """Remove what was written, unless it is finished; nothing can be written afterwards."""
        with self._lock:
            if not self._ended:
                self._ended = True
                self._close()
                self._temporary.unlink(missing_ok=True)

    def _write(self, data: bytes) -> int:
        if self._ended:
            raise ValueError("this object was finished or discarded already")
        if self._descriptor is None:
            make_folders(self._temporary.parent)
            self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return self._descriptor

    def _place(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                make_folders(self._target.parent)
                self._name()
                break
            except FileNotFoundError:
                # Somebody deleted the last other object of that folder, and the folder with it, just now.
                if attempt == _ATTEMPTS - 1:
                    raise
        with contextlib.suppress(FileNotFoundError):
            sync_folder(self._target.parent)

    def _name(self) -> None:
        if not self._create:
            self._temporary.replace(self._target)
            return
        try:
            self._target.hardlink_to(self._temporary)
        except FileExistsError:
            raise ObjectExists(self._key) from None
        self._temporary.unlink()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(error.errno, f"the disk of the object store is full, no room for {self._key}") from error
            raise


class Outgoing:
    """A range of an object, block by block, all of the file that had the name when the first was read."""

    def __init__(self, path: Path, key: str, start: int, end: int | None) -> None:
        self._path = path
        self._key = key
        self._at = start
        self._end = end
        self._lock = Lock()
        self._descriptor: int | None = None
        self._closed = False

    def block(self) -> bytes:
        """The next bytes; empty at the end. Raises `ObjectMissing`."""
        with self._lock:
            if self._closed:
                return b""
            if self._descriptor is None:
                self._descriptor = self._open()
            wanted = BLOCK if self._end is None else min(BLOCK, self._end - self._at)
            data = os.pread(self._descriptor, wanted, self._at) if wanted > 0 else b""
            self._at += len(data)
            return data

    @property
    def done(self) -> bool:
        """Whether the range was read to its end, so that asking for one more block is needless."""
        return self._end is not None and self._at >= self._end

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _open(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissing(self._key) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectMissing(self._key)
        return descriptor


def make_folders(path: Path) -> None:
    """Make a folder and what is missing above it, each 0700 and durable."""
    if path.is_dir():
        return
    make_folders(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: fsync of a file does not cover its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
