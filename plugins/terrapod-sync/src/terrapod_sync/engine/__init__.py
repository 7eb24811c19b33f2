"""The engine: what is due is started, followed, judged and brought to its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from terrapod_core.plugin import (
    Caller,
    ConfigurationUploaded,
    Every,
    Job,
    On,
    RunCheck,
    RunStatusChanged,
    ServerContext,
    WorkspaceAdditions,
    WorkspaceDeleted,
    WorkspaceFacts,
)
from terrapod_sync.engine import store
from terrapod_sync.engine.acting import Acting
from terrapod_sync.engine.additions import Additions
from terrapod_sync.engine.conflicts import Conflicts
from terrapod_sync.engine.ending import Ending
from terrapod_sync.engine.following import Following
from terrapod_sync.engine.judging import Judging
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.starting import Starting
from terrapod_sync.engine.ticking import Ticking
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.ports import Decision
from terrapod_sync.settings import SyncSettings

TICK: Final = timedelta(seconds=1)
SWEEP: Final = timedelta(seconds=15)
TIDY: Final = timedelta(hours=1)


class SyncEngine:
    """All of it, over one server. It keeps nothing of its own: whatever counts is in the tables, so there may be several."""

    def __init__(self, context: ServerContext[SyncSettings]) -> None:
        self.parts = Parts(context)
        ending = Ending(self.parts)
        self.starting = Starting(self.parts, ending)
        self.conflicts = Conflicts(self.parts, ending, self.starting)
        self.ticking = Ticking(self.parts, self.starting, self.conflicts)
        self.following = Following(self.parts, ending, self.starting, self.conflicts)
        self.acting = Acting(self.parts, ending, self.starting, self.conflicts, self.following)

    async def trigger(self, caller: Caller, workspace: WorkspaceFacts) -> tuple[SyncedWorkspace, Sync]:
        """See `ports.Engine`."""
        return await self.acting.trigger(caller, workspace)

    async def resolve(self, caller: Caller, conflict_id: str, decision: Decision) -> Conflict:
        """See `ports.Engine`."""
        return await self.acting.resolve(caller, conflict_id, decision)

    def jobs(self) -> Sequence[Job]:
        """What runs in the background.

        That a state moved is not among the news: the server itself discards the saved plans that it makes stale, and says so.
        """
        return [
            Every("tick", TICK, self.ticking.tick),
            Every("sweep", SWEEP, self.following.sweep),
            Every("tidy", TIDY, self.following.tidy),
            On(RunStatusChanged, "follow", self.following.heard, concerning=store.concerned),
            On(ConfigurationUploaded, "configured", self.following.configured, concerning=store.concerned),
            On(WorkspaceDeleted, "forget", self.following.forget),
        ]

    def checks(self) -> Sequence[RunCheck]:
        """The say about every run."""
        return [Judging(self.parts)]

    def additions(self) -> Sequence[WorkspaceAdditions]:
        """What workspaces show."""
        return [Additions(self.parts)]


def opened(context: ServerContext[SyncSettings]) -> SyncEngine:
    """The engine over a server."""
    return SyncEngine(context)
