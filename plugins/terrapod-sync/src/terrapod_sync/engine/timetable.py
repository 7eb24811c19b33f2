"""When the row of a workspace is due next."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from terrapod_sync.configuration import WorkspaceConfig
from terrapod_sync.jitter import delay
from terrapod_sync.models import SyncedWorkspace
from terrapod_sync.settings import SyncSettings


def entry_of(row: SyncedWorkspace) -> WorkspaceConfig:
    """The workspace's entry as it was put."""
    return msgspec.convert(row.entry, WorkspaceConfig)


class Timetable:
    """Moments, from entries and what the operator chose."""

    def __init__(self, settings: SyncSettings) -> None:
        self._default = timedelta(seconds=settings.default_interval_seconds)
        self._jitter = timedelta(seconds=settings.jitter_seconds)

    def arm(self, row: SyncedWorkspace, now: datetime) -> None:
        """Set the row's next tick, from now on; none for an entry that is disabled, or whose schedule has come to its end."""
        schedule = entry_of(row).due(self._default)
        tick = schedule.next_after(now) if row.enabled else None
        if tick is None:
            row.tick_at = row.next_at = None
            return
        row.tick_at, row.next_at = tick, tick + delay(row.workspace_id, tick, schedule.shortest(), self._jitter)

    def missed(self, row: SyncedWorkspace, now: datetime) -> bool:
        """Whether the row's tick is longer ago than the time between two of them: nobody was there to see it."""
        return row.tick_at is not None and now - row.tick_at > entry_of(row).due(self._default).shortest() + self._jitter
