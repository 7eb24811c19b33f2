"""What workspaces show of the schedule, for those that have an entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.plugin import PluginCondition, WorkspaceAddition, WorkspaceFacts
from terrapod_sync.engine import store
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.timetable import UNREADABLE, entry_of
from terrapod_sync.models import GLOBAL_ID, Conflict, GlobalConfig, SyncedWorkspace
from terrapod_sync.words import Status

AT_ONCE: Final = 500
_SAVE_AGAIN: Final = (
    "Somebody with admin on the workspace has to change its entry in the Sync configuration: it is then synced in their name."
)


class Additions:
    """The plugin's `WorkspaceAdditions`."""

    name = "sync"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, workspaces: Sequence[WorkspaceFacts]) -> Mapping[str, WorkspaceAddition]:
        """How each stands, and what is wrong with it."""
        enabled, rows = await (self._many(workspaces) if len(workspaces) > 1 else self._single(workspaces[0].id))
        blocked = [row.workspace_id for row in rows if row.status == Status.CONFLICT]
        conflicts = await self._parts.read(lambda session: _conflicts(session, blocked)) if blocked else []
        return {row.workspace_id: _addition(row, enabled, conflicts) for row in rows}

    async def _single(self, workspace_id: str) -> tuple[bool, list[SyncedWorkspace]]:
        """What every request for a workspace asks: most have no entry."""
        row = await self._parts.tables.one(SyncedWorkspace, workspace_id)
        if row is None:
            return False, []
        everything = await self._parts.tables.one(GlobalConfig, GLOBAL_ID)
        return everything is not None and everything.enabled, [row]

    async def _many(self, workspaces: Sequence[WorkspaceFacts]) -> tuple[bool, list[SyncedWorkspace]]:
        return await self._parts.read(lambda session: (store.settings_of(session)[0], _rows(session, workspaces)))


def _conflicts(session: Session, ids: Sequence[str]) -> list[Conflict]:
    found: list[Conflict] = []
    for start in range(0, len(ids), AT_ONCE):
        query = select(Conflict).where(
            Conflict.workspace_id.in_(ids[start : start + AT_ONCE]), Conflict.status == "open", Conflict.kind.in_(store.BLOCKING)
        )
        found += session.execute(query).scalars()
    return found


def _rows(session: Session, workspaces: Sequence[WorkspaceFacts]) -> list[SyncedWorkspace]:
    ids = [each.id for each in workspaces]
    found: list[SyncedWorkspace] = []
    for start in range(0, len(ids), AT_ONCE):
        query = select(SyncedWorkspace).where(SyncedWorkspace.workspace_id.in_(ids[start : start + AT_ONCE]))
        found += session.execute(query).scalars()
    return found


def _addition(row: SyncedWorkspace, enabled: bool, conflicts: Sequence[Conflict]) -> WorkspaceAddition:
    own = [each for each in conflicts if each.workspace_id == row.workspace_id]
    return WorkspaceAddition(_attributes(row, enabled), _conditions(row, own) if enabled and row.enabled else ())


def _attributes(row: SyncedWorkspace, enabled: bool) -> dict[str, Any]:
    entry, on = entry_of(row), enabled and row.enabled
    shown: dict[str, Any] = {
        "sync-enabled": on,
        "sync-status": row.status if on else Status.DISABLED.value,
        "sync-last-at": _text(row.last_sync_at),
        "sync-next-at": _text(row.next_at) if on else None,
        "sync-policy": entry.policy or None,
        "sync-workspace-policy": entry.workspace_policy or None,
        "sync-drifted": bool(row.drifted),
    }
    if entry.schedule:
        return shown | {"sync-schedule": entry.schedule, "sync-schedule-timezone": entry.schedule_timezone or "UTC"}
    return shown | {"sync-interval": entry.sync_interval or entry.period or None}


def _text(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment is not None else None


def _conditions(row: SyncedWorkspace, conflicts: Sequence[Conflict]) -> list[PluginCondition]:
    found = [_of_problem(row)] if row.problem is not None else []
    found += [_of_conflict(each) for each in conflicts]
    if row.status == Status.OUT_OF_SYNC:
        found.append(
            PluginCondition(
                "sync-drift",
                "Something was changed behind terraform's back." if row.drifted else "The configuration is ahead of what is there.",
                "Look at the plan; apply it, or take what is there into the configuration.",
                since=row.last_sync_at,
                run_id=row.last_run_id,
            )
        )
    return found


def _of_problem(row: SyncedWorkspace) -> PluginCondition:
    codes = {
        "editor-gone": ("sync-editor-gone", _SAVE_AGAIN),
        UNREADABLE: ("sync-failed", "Change its entry in the Sync configuration."),
        "editor-may-not": ("sync-editor-may-not", f"Give them their right back. Or: {_SAVE_AGAIN}"),
    }
    code, remedy = codes.get(row.problem_code or "", ("sync-failed", "Mend what the run says; then sync the workspace by hand, or wait."))
    return PluginCondition(code, row.problem or "", remedy, since=row.problem_since, run_id=row.last_run_id)


def _of_conflict(conflict: Conflict) -> PluginCondition:
    return PluginCondition(
        "sync-conflict",
        conflict.detail,
        "Accept the plan, prefer what is there, ignore it until a date, or discard it:"
        f" terrapod sync resolve {conflict.id} accept|prefer_remote|ignore|discard, or by the Sync API.",
        since=conflict.created_at,
        run_id=conflict.run_id,
    )
