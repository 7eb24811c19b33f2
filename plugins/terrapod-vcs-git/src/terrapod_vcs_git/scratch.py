"""Private directories on the server's disk that are gone after use, also when the server was killed meanwhile.

Every server process has a directory of its own below the root, and holds a lock as long as it lives. Whoever starts removes the
directories whose lock nobody holds.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path


class Scratch:
    """Makes directories. Nothing is made before the first one is wanted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._own: Path | None = None
        self._held: int | None = None
        if root.is_dir():
            with self._locked():
                self._tidy()

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Path]:
        """An empty directory of mode 0700, removed at the end of the block."""
        path = await asyncio.to_thread(self._make)
        try:
            yield path
        finally:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def close(self) -> None:
        """Remove what is left, and let go."""
        if self._own is not None and self._held is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._held)
            self._own = self._held = None

    def _make(self) -> Path:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.chmod(0o700)
        with self._locked():
            if self._own is None or not self._own.is_dir():
                self._begin()
            return Path(tempfile.mkdtemp(prefix="commit-", dir=self._own))

    def _begin(self) -> None:
        self._tidy()
        if self._held is not None:
            os.close(self._held)
        self._own = Path(tempfile.mkdtemp(prefix="server-", dir=self._root))
        self._held = os.open(self._own / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else makes or removes directories of servers meanwhile."""
        with (self._root / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _tidy(self) -> None:
        for path in self._root.glob("server-*"):
            if path == self._own:
                continue
            with suppress(OSError), (path / "lock").open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)


def size_of(path: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += (Path(directory) / name).lstat().st_size
    return total
