"""When the row of a workspace is due next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from terrapod_sync.configuration import WorkspaceConfig
from terrapod_sync.jitter import delay
from terrapod_sync.models import SyncedWorkspace
from terrapod_sync.retries import pause_before
from terrapod_sync.settings import SyncSettings
from terrapod_sync.words import Status

UNREADABLE: Final = "schedule-unreadable"


def entry_of(row: SyncedWorkspace) -> WorkspaceConfig:
    """The workspace's entry as it was put."""
    return msgspec.convert(row.entry, WorkspaceConfig)


class Timetable:
    """Moments, from entries and what the operator chose."""

    def __init__(self, settings: SyncSettings) -> None:
        self._default = timedelta(seconds=settings.default_interval_seconds)
        self._jitter = timedelta(seconds=settings.jitter_seconds)
        self._settings = settings

    def arm(self, row: SyncedWorkspace, now: datetime) -> None:
        """Set the row's next tick, from now on; none for an entry that is disabled, or whose schedule has come to its end.

        An entry that was taken once and cannot be read today, as its time zone is no more, is a problem of its workspace alone.
        """
        try:
            schedule = entry_of(row).due(self._default)
        except ValueError as refusal:
            row.tick_at = row.next_at = None
            row.status, row.problem_since = Status.ERROR, row.problem_since or now
            row.problem, row.problem_code = f"Its schedule cannot be read any more: it {refusal}.", UNREADABLE
            return
        tick = schedule.next_after(now) if row.enabled else None
        if tick is None:
            row.tick_at = row.next_at = None
            return
        row.tick_at, row.next_at = tick, tick + delay(row.workspace_id, tick, schedule.shortest(), self._jitter)

    def pause(self, attempts: int) -> timedelta | None:
        """How long after so many failures in a row it is tried again; `None` when it is not."""
        return pause_before(attempts, pause=timedelta(seconds=self._settings.retry_pause_seconds), retries=self._settings.retries)

    def missed(self, row: SyncedWorkspace, now: datetime) -> bool:
        """Whether the row's tick is longer ago than the time between two of them: nobody was there to see it."""
        try:
            shortest = entry_of(row).due(self._default).shortest()
        except ValueError:
            return False
        return row.tick_at is not None and now - row.tick_at > shortest + self._jitter
