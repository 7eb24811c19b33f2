"""What launches and forgets of one run hold, since they share a directory: tasks of one process, and processes of one machine.

<data_dir>/runs.locks/17        locked while one works on a run of that number
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from terrapod_runner_local.workdir import WorkDir

_LOCKS: Final = 64
"""Runs that share one wait for each other, and nothing else happens."""


class Locks:
    """Locks for the runs below one directory, each a lock of this process and one on a file: servers may share the directory."""

    def __init__(self, root: Path) -> None:
        self._folder = root.with_name(f"{root.name}.locks")
        self._here = [threading.RLock() for _ in range(_LOCKS)]

    @contextmanager
    def of(self, place: WorkDir) -> Iterator[None]:
        """Hold the lock of a run. Not to be taken again while it is held."""
        number = zlib.crc32(place.path.name.encode()) % _LOCKS
        with self._here[number]:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
