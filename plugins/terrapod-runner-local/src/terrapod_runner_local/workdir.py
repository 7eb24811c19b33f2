"""The directory of a run: `<data_dir>/runs/<run id>`, and beside it the note of who works there."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terrapod_core.plugin import UNDELIVERED_STATE, Handle

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class WorkDir:
    """Where the phases of one run work; plan and apply at the same path, which terraform writes into saved plans."""

    path: Path

    @classmethod
    def of(cls, root: Path, run_id: str) -> WorkDir:
        """The directory of a run; `ValueError` for an id that could lead elsewhere."""
        if not _RUN_ID.fullmatch(run_id):
            raise ValueError(f"{run_id!r} is no run id")
        return cls(root / run_id)

    @classmethod
    def all_of(cls, root: Path) -> list[WorkDir]:
        """Every run of which there is a directory or a note."""
        names = {path.name.partition(".")[0] for path in root.iterdir()} if root.is_dir() else set()
        return [cls(root / name) for name in sorted(names) if _RUN_ID.fullmatch(name)]

    @property
    def log(self) -> Path:
        """What the program says besides the run's log: mostly nothing, or why it could not work."""
        return self.path / "runner.log"

    @property
    def note(self) -> Path:
        """The handle of the latest launch, out of reach of what runs inside."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def forced(self) -> Path:
        """Exists since the program was told to kill terraform."""
        return self.path.with_name(f"{self.path.name}.forced")

    def create(self) -> None:
        """Make it anew, empty but for a state that was not handed in."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clear()
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.path.chmod(0o700)

    def clear(self) -> bool:
        """Remove it; whether it is gone. It is not when it holds a state that was not handed in: that alone stays."""
        self.forced.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        if not self.path.is_dir():
            return True
        kept = (self.path / UNDELIVERED_STATE).is_file()
        for entry in self.path.iterdir():
            if not (kept and entry.name == UNDELIVERED_STATE):
                _remove(entry)
        if not kept:
            self.path.rmdir()
        return not kept

    def write_note(self, handle: Handle, phase_id: str, epoch: int) -> None:
        """Note who works here, and at what, before the program gets anything to do."""
        descriptor = os.open(self.note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**handle, "phase": phase_id, "epoch": epoch}, file)

    def read_note(self) -> Handle | None:
        """The handle of the latest launch; `None` when there is none, or it was cut short by a crash."""
        try:
            note = json.loads(self.note.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return note if isinstance(note, dict) else None

    def handle_of(self, phase_id: str, epoch: int) -> Handle | None:
        """The handle of the latest launch if it was this one."""
        note = self.read_note() or {}
        if (note.get("phase"), note.get("epoch")) != (phase_id, epoch):
            return None
        return {name: value for name, value in note.items() if name not in ("phase", "epoch")}


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Caches of modules and providers come with directories nobody may write to.
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o700)
    shutil.rmtree(path)
