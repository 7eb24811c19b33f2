"""What the HTTP side asks of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from terrapod_core.plugin import Caller, WorkspaceFacts
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.words import Resolution


@dataclass(frozen=True)
class Decision:
    """What a person says about a conflict."""

    resolution: Resolution
    until: datetime | None = None
    """Until when it is left alone: with `ignore`, and with nothing else."""
    plan: str | None = None
    """The plan digest that the person was shown; `None` when they did not say. Another plan than the conflict's is refused."""


class Engine(Protocol):
    """Does what a person wants done now, with a right that it looks for itself."""

    async def trigger(self, caller: Caller, workspace: WorkspaceFacts) -> tuple[SyncedWorkspace, Sync]:
        """Begin a sync of a workspace with an entry, in the caller's name; the sync's `run_id` is set.

        Raises `Conflict` with one of the codes `sync_disabled`, `sync_in_progress` and `workspace_locked`, or `Forbidden`.
        """
        ...

    async def resolve(self, caller: Caller, conflict_id: str, decision: Decision) -> Conflict:
        """End an open conflict and do what was decided.

        Raises `Conflict` with the code `conflict_resolved` or `conflict_changed`, or `Forbidden`.
        """
        ...
