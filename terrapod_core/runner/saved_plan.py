"""What a saved plan says about where it came from: the state it was made from, and the lock file of its providers."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .failures import PhaseFailed
from .states import Head
from .workdir import LOCK_FILE


@dataclass(frozen=True)
class SavedPlan:
    """`origin` is `None` for a plan that cannot be looked into (OpenTofu can encrypt them); serial 0 without lineage means no state."""

    origin: Head | None
    lock: bytes | None


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, *, tool: str) -> SavedPlan:
    """Look into a plan file; raises `PhaseFailed` for one that is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = json.loads(archive.read("tfstate"))
            lock = archive.read(LOCK_FILE) if LOCK_FILE in archive.namelist() else None
            return SavedPlan(Head(int(members["serial"]), str(members["lineage"])), lock or None)
    except zipfile.BadZipFile as error:
        if tool == "tofu":
            return SavedPlan(None, None)
        raise PhaseFailed("The saved plan is not a plan file: plan again.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise PhaseFailed("The saved plan does not say which state it was made from: plan again.") from error


def check_origin(plan: SavedPlan, state: Head | None) -> None:
    """Raise `PhaseFailed` unless the state is the one the plan was made from, by serial and lineage."""
    origin = plan.origin
    if origin is None:
        return
    planned_from_nothing = not origin.lineage and (state is None or not state.lineage)
    if state != origin and not planned_from_nothing:
        raise PhaseFailed(
            f"The saved plan was made from {_words(origin)}, but the workspace now has {_words(state)}. Nothing was changed: plan again."
        )


def _words(head: Head | None) -> str:
    return f"state {head.serial} of lineage {head.lineage}" if head is not None and head.lineage else "no state"
