"""How a sync ends, and what that means for its workspace: its status, its problem, and when it is due next.

Everything here changes rows that the caller has locked, within the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from terrapod_core.plugin import Change
from terrapod_sync.engine.events import SyncDriftFound, SyncFailed, SyncRecovered
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.store import is_current
from terrapod_sync.models import Sync, SyncedWorkspace
from terrapod_sync.words import Status


class Ending:
    """The ends there are."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def succeed(self, change: Change, row: SyncedWorkspace, sync: Sync) -> None:
        """What is there is what the configuration says."""
        current = self._close(change, row, sync, Status.SUCCESS)
        if current:
            self._well(change, row, sync)
            row.has_changes, row.drifted = False, False
            self._parts.timetable.arm(row, change.now())

    def differ(self, change: Change, row: SyncedWorkspace, sync: Sync, reason: str | None = None) -> None:
        """It found changes, or nobody wanted its plan."""
        knew = row.has_changes
        current = self._close(change, row, sync, Status.OUT_OF_SYNC, reason)
        if current:
            self._well(change, row, sync)
            self._plan_of(row, sync)
            self._parts.timetable.arm(row, change.now())
            self._tell_drift(change, row, sync, knew)

    def wait(self, change: Change, row: SyncedWorkspace, sync: Sync, status: Status) -> None:
        """Its plan lies there for a person; for the schedule it is over. In a conflict nothing is due until somebody acts."""
        sync.status, knew = status, row.has_changes
        if not is_current(row, sync):
            return
        self._rest(change, row, sync)
        self._well(change, row, sync)
        self._plan_of(row, sync)
        row.status = status
        if status is Status.CONFLICT:
            row.tick_at = row.next_at = None
        else:
            self._parts.timetable.arm(row, change.now())
            self._tell_drift(change, row, sync, knew)

    def fail(self, change: Change, row: SyncedWorkspace, sync: Sync, code: str, reason: str, *, retried: bool = False) -> None:
        """It did not come to its end. One that is `retried` is tried again after a pause, as often as the operator says."""
        first = row.problem is None
        current = self._close(change, row, sync, Status.ERROR, reason)
        if not current:
            return
        now = change.now()
        row.problem, row.problem_code = reason, code
        row.problem_since = now if first else row.problem_since
        if retried:
            self._retry_later(change, row)
        else:
            row.attempts = 0
            self._parts.timetable.arm(row, now)
        change.audit(None, "sync.failed", "workspaces", row.workspace_id, sync=sync.id, run=sync.run_id, code=code, attempt=row.attempts)
        if first:
            change.emit(SyncFailed(row.workspace_id, sync.id, code))

    def _retry_later(self, change: Change, row: SyncedWorkspace) -> None:
        row.attempts += 1
        pause = self._parts.timetable.pause(row.attempts)
        # A retry stands where the next tick would; after the last one nothing is due until somebody acts.
        row.tick_at, row.next_at = None, change.now() + pause if pause is not None and row.enabled else None

    def _close(self, change: Change, row: SyncedWorkspace, sync: Sync, status: Status, reason: str | None = None) -> bool:
        """End the sync; whether it is the one that says how the workspace stands."""
        sync.status, sync.ended_at = status, change.now()
        sync.reason = reason or sync.reason
        self._parts.metrics.ended(status)
        current = is_current(row, sync)
        if current:
            self._rest(change, row, sync)
            row.status = status
        return current

    def _rest(self, change: Change, row: SyncedWorkspace, sync: Sync) -> None:
        row.active_sync_id = row.looked_at = None
        row.last_sync_at = change.now()
        row.last_run_id = sync.run_id

    def _tell_drift(self, change: Change, row: SyncedWorkspace, sync: Sync, knew: bool | None) -> None:
        if row.has_changes and not knew:
            change.emit(SyncDriftFound(row.workspace_id, sync.id, sync.run_id, bool(sync.drifted)))

    def _plan_of(self, row: SyncedWorkspace, sync: Sync) -> None:
        if sync.has_changes is not None:
            row.has_changes, row.drifted = sync.has_changes, bool(sync.drifted)

    def _well(self, change: Change, row: SyncedWorkspace, sync: Sync) -> None:
        """Whatever it found, it came to its end: earlier failures are over."""
        if row.problem is not None:
            change.emit(SyncRecovered(row.workspace_id, sync.id))
        row.attempts = 0
        row.problem = row.problem_code = row.problem_since = None


def steps_of(sync: Sync) -> list[dict[str, Any]]:
    """What is forbidden of its plan."""
    return list(sync.forbidden or ())
