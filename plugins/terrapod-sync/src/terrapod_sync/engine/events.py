"""What the schedule tells whoever sends notifications."""

from __future__ import annotations

from dataclasses import dataclass

from terrapod_core.plugin import Event


@dataclass(frozen=True)
class SyncDriftFound(Event):
    """A plan found changes that nobody may or wants to apply by themselves; the one before it had none."""

    workspace_id: str
    sync_id: str
    run_id: str | None = None
    drifted: bool = False
    """Whether something was changed behind terraform's back; else the configuration is ahead."""


@dataclass(frozen=True)
class SyncConflictArose(Event):
    """Something keeps a sync from going on."""

    workspace_id: str
    conflict_id: str
    kind: str
    """One of `words.ConflictKind`."""


@dataclass(frozen=True)
class SyncFailed(Event):
    """A workspace whose last sync was well has had one that failed; further failures in a row are not told."""

    workspace_id: str
    sync_id: str
    code: str
    """Why, in a word: `run-failed`, `run-canceled`, `cannot-start`, `editor-gone`, `editor-may-not`."""


@dataclass(frozen=True)
class SyncRecovered(Event):
    """The first sync after failures that came to an end of its own."""

    workspace_id: str
    sync_id: str
