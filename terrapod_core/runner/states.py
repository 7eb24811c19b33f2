"""Keeps every state the engine acknowledges until the server has it.

A state is a file of ours before anybody hears that it was saved, and stays one until the server took it, or a newer one.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .client import Server
from .failures import PhaseGone, Refused
from .notes import note
from .workdir import UNDELIVERED

_HEAD = re.compile(rb'\s*\{\s*"version":\s*\d+,\s*"terraform_version":\s*"[^"]*",\s*"serial":\s*(\d+),\s*"lineage":\s*"([^"\\]*)"')


class NoState(Exception):
    """The bytes are no state; the text says why."""


@dataclass(frozen=True)
class Head:
    """What identifies a state."""

    serial: int
    lineage: str


@dataclass(frozen=True)
class Saved:
    """A state in a file that nobody writes to any more."""

    path: Path
    head: Head
    md5: str


def read_head(path: Path) -> Head:
    """Serial and lineage of a state file; raises `NoState`. terraform writes them first, so a large state is not parsed whole."""
    with path.open("rb") as file:
        match = _HEAD.match(file.read(4096))
    if match:
        return Head(int(match.group(1)), match.group(2).decode("utf-8", "replace"))
    return parse_head(path.read_bytes())


def parse_head(raw: bytes) -> Head:
    """Serial and lineage of a whole state; raises `NoState` when it is torn, or none."""
    try:
        members = json.loads(raw)
        return Head(int(members["serial"]), str(members["lineage"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NoState(f"not a state: {type(error).__name__}") from error


class StateKeeper:
    """Takes states, hands them to the server one after the other, and knows whether the last one arrived."""

    def __init__(self, directory: Path, server: Server, *, accepts: bool) -> None:
        """`accepts` is false for a plan, which has no business to write state."""
        self._accepts = accepts
        self._directory = directory
        self._server = server
        self._changed = threading.Condition()
        self._current: Saved | None = None
        self._delivered: Saved | None = None
        self._refusal: tuple[Saved, str] | None = None
        self._number = 0
        self._worker: threading.Thread | None = None

    @property
    def current(self) -> Saved | None:
        """The newest state: the one given at the start, or the last the engine saved."""
        return self._current

    def begin_with(self, path: Path) -> Saved:
        """The state the server gave for the phase; it is not sent back. Raises `NoState`."""
        saved = Saved(path, read_head(path), "")
        self._current = self._delivered = saved
        return saved

    def new_file(self) -> Path:
        """A path for a state that is being received."""
        with self._changed:
            self._number += 1
            return self._directory / f"state-{self._number}.json"

    def save(self, path: Path, md5: str | None = None) -> Saved:
        """Make the (complete, synced) file the newest state and start to deliver it. Raises `NoState`."""
        if not self._accepts:
            raise NoState("a plan does not change the state")
        saved = Saved(path, read_head(path), md5 or _md5(path))
        with self._changed:
            if self._current is not None and (self._current.head, self._current.md5) == (saved.head, saved.md5):
                return self._current
            self._current = saved
            if self._worker is None:
                self._worker = threading.Thread(target=self._deliver_all, name="states", daemon=True)
                self._worker.start()
            self._changed.notify_all()
        return saved

    def delivered(self, saved: Saved, seconds: float | None) -> bool | None:
        """Wait for the server to have this state or a newer one: true; false when it refused it; `None` when time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while True:
                if self._refusal is not None and self._refusal[0] is self._current:
                    return False
                if self._delivered is saved or (self._delivered is self._current and self._current is not None):
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)

    def finish(self) -> str | None:
        """Wait, as long as it takes, until the newest state is delivered; else the reason why it never will be."""
        if self._current is None or self.delivered(self._current, None):
            return None
        return self._refusal[1] if self._refusal else "the server did not take it"

    def keep_undelivered(self, root: Path) -> Path | None:
        """Move a state that never arrived to where clearing the directory leaves it; `None` when there is none."""
        with self._changed:
            if self._current is None or self._current is self._delivered:
                return None
            self._current.path.replace(root / UNDELIVERED)
        return root / UNDELIVERED

    def _deliver_all(self) -> None:
        while True:
            with self._changed:
                while self._current is self._delivered or (self._refusal is not None and self._refusal[0] is self._current):
                    self._changed.wait()
                saved = self._current
                assert saved is not None  # the loop above waits while both are None
            self._deliver(saved)

    def _deliver(self, saved: Saved) -> None:
        refusal: str | None = None
        try:
            self._server.put("/state", saved.path, serial=saved.head.serial, lineage=saved.head.lineage, md5=saved.md5)
        except (PhaseGone, Refused) as error:
            refusal = str(error)
            note(f"the server did not take state {saved.head.serial}: {refusal}")
        with self._changed:
            if refusal is None:
                before, self._delivered = self._delivered, saved
                if before is not None:
                    before.path.unlink(missing_ok=True)
            else:
                self._refusal = (saved, refusal)
            self._changed.notify_all()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()  # the checksum Terraform's own state API speaks of
