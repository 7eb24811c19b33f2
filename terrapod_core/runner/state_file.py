"""The other transport: the engine writes a state file after each resource, and a watcher hands the good ones on."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from .beneath import read_beneath
from .states import Head, NoState, StateKeeper, parse_head
from .workdir import write_new

POLL_SECONDS = 1.0


class StateFile:
    """The state file of a `local` backend. It is written in place, so only what parses whole, and is newer, counts."""

    def __init__(self, path: Path, keeper: StateKeeper) -> None:
        """`path` is in a directory of ours in which the engine writes."""
        self.path = path
        self._keeper = keeper
        self._seen = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="state file", daemon=True)

    def begin(self) -> None:
        """Put the phase's state in place and start watching."""
        if self._keeper.current is not None:
            shutil.copyfile(self._keeper.current.path, self.path)
            self._seen = self.path.lstat().st_mtime_ns
        self._thread.start()

    def finish(self) -> bool:
        """Stop watching and take the last state; false when there is none that can be read."""
        self._stop.set()
        self._thread.join()
        return self._take() or self._readable()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._take()

    def _readable(self) -> bool:
        try:
            parse_head(read_beneath(self.path.parent, Path(self.path.name)))
        except (OSError, NoState):
            return False
        return True

    def _take(self) -> bool:
        try:
            changed = self.path.lstat().st_mtime_ns
        except OSError:
            return False
        if changed == self._seen:
            return False
        taken = take_if_newer(self.path.parent, Path(self.path.name), self._keeper)
        if taken:
            self._seen = changed
        return taken


def take_if_newer(root: Path, relative: Path, keeper: StateKeeper) -> bool:
    """Hand a state that the engine left in a file below `root` to the keeper, if it is whole, of the same lineage, and newer."""
    try:
        raw = read_beneath(root, relative)
        head = parse_head(raw)
        if not _follows(head, None if keeper.current is None else keeper.current.head):
            return False
        copy = keeper.new_file()
        write_new(copy, "")
        with copy.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        keeper.save(copy)
    except (OSError, NoState):
        return False
    return True


def _follows(head: Head, last: Head | None) -> bool:
    return last is None or (head.serial > last.serial and last.lineage in (head.lineage, ""))
