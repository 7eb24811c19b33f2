"""What people want done now: a sync, or the end of a conflict."""

from __future__ import annotations

from typing import Final

from terrapod_core import plugin
from terrapod_core.plugin import APIRefused, Caller, Change, Forbidden, Invalid, NotFound, WorkspaceFacts
from terrapod_sync.engine import store
from terrapod_sync.engine.conflicts import Conflicts, changes_nothing
from terrapod_sync.engine.ending import Ending
from terrapod_sync.engine.following import Following
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.starting import Starting
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.policies import Mode
from terrapod_sync.ports import Decision
from terrapod_sync.words import Resolution, Status

_LOCKED: Final = "The workspace is locked; sync it when it is free."
_BUSY: Final = "A sync of this workspace is under way already."
_CHANGED: Final = "The conflict is about another plan by now; look at it again."


class Acting:
    """Carries out what a caller asks for, with the rights they have."""

    def __init__(self, parts: Parts, ending: Ending, starting: Starting, conflicts: Conflicts, following: Following) -> None:
        self._parts = parts
        self._ending = ending
        self._starting = starting
        self._conflicts = conflicts
        self._following = following

    # -- a sync

    async def trigger(self, caller: Caller, workspace: WorkspaceFacts) -> tuple[SyncedWorkspace, Sync]:
        """Begin a sync now, see `ports.Engine`. Raises `Invalid` where the server refuses the run."""
        enabled, row = await self._parts.read(
            lambda session: (store.settings_of(session)[0], session.get(SyncedWorkspace, workspace.id)),
        )
        if row is None or not row.enabled or not enabled:
            raise plugin.Conflict(_disabled(workspace), code="sync_disabled")
        level = "plan" if entry_of(row).intent().mode is Mode.OBSERVE else "write"
        _require(caller, workspace, level)
        if row.active_sync_id is not None:
            raise plugin.Conflict(_BUSY, code="sync_in_progress")
        if workspace.locked:
            raise plugin.Conflict(_LOCKED, code="workspace_locked")
        sync_id = await self._claim(caller, workspace)
        await self._starting.start(sync_id)
        found = await self._parts.read(lambda session: store.sync_with_row(session, sync_id))
        if found is None:
            raise NotFound(f"Workspace '{workspace.name}' does not exist")
        sync, row = found
        if sync.run_id is None:
            raise Invalid(sync.reason or "The run could not be made.")
        return row, sync

    async def _claim(self, caller: Caller, workspace: WorkspaceFacts) -> str:
        sync_id = store.new_id("sync")
        async with self._parts.tables.change() as change:
            await change.remember(caller)
            row = await change.run(lambda session: store.claim(session, workspace.id, sync_id, change.now()))
            if row is None:
                raise plugin.Conflict(_BUSY, code="sync_in_progress")
            row.attempts, row.rests_until, row.status = 0, None, Status.PENDING
            await change.run(lambda session: store.pass_conflicts(session, row.workspace_id, change.now()))
            change.add(self._starting.made(row, sync_id, "manual", caller.id, change.now(), tick=False))
            self._parts.timetable.arm(row, change.now())
            change.audit(caller, "sync.trigger", "workspaces", workspace.id, workspace=workspace.name, sync=sync_id)
            await change.commit()
        return sync_id

    # -- a conflict

    async def resolve(self, caller: Caller, conflict_id: str, decision: Decision) -> Conflict:
        """End an open conflict, see `ports.Engine`. Raises `NotFound` where there is none that the caller may see."""
        conflict = await self._parts.read(lambda session: session.get(Conflict, conflict_id))
        facts = await self._parts.workspaces.by_id([conflict.workspace_id], as_=caller) if conflict is not None else {}
        workspace = facts.get(conflict.workspace_id) if conflict is not None else None
        if conflict is None or workspace is None:
            raise NotFound("there is no such conflict")
        _require(caller, workspace, "write")
        _check(conflict, decision)
        if decision.resolution is Resolution.ACCEPT and conflict.kind in store.PARKED:
            await self._accept(caller, conflict, decision)
        else:
            await self._settle(caller, conflict, decision, workspace)
        resolved = await self._parts.read(lambda session: session.get(Conflict, conflict_id))
        if resolved is None:
            raise NotFound("there is no such conflict")
        return resolved

    async def _accept(self, caller: Caller, conflict: Conflict, decision: Decision) -> None:
        """Have the very plan applied that was shown. The general policy has the last word."""
        try:
            await self._parts.runs.confirm(conflict.run_id or "", caller, f"{conflict.id} was accepted")
        except APIRefused as refusal:
            if refusal.code == "run_denied":
                raise Forbidden(f"{refusal.detail}; the workspace's own policy has to allow it first.") from None
            if refusal.http_status == 403:
                raise Forbidden(refusal.detail) from None
            if "is locked" in refusal.detail:
                raise plugin.Conflict(_LOCKED, code="workspace_locked") from None
            if refusal.http_status in (404, 409):
                raise plugin.Conflict(_CHANGED, code="conflict_changed") from None
            raise
        async with self._parts.tables.change() as change:
            await change.remember(caller)
            found = await change.run(lambda session: store.locked_with_row(session, conflict.sync_id or ""))
            if found is not None:
                sync, row = found
                if store.is_current(row, sync) and sync.ended_at is None:
                    row.active_sync_id, row.looked_at, row.status = sync.id, change.now(), Status.RUNNING
                    sync.status, sync.acting_id = Status.RUNNING, caller.id
            await self._resolved(change, caller, conflict, decision, done=True)
            await change.run(lambda session: _with_result(session.get(Conflict, conflict.id), conflict.run_id))
            await change.commit()

    async def _settle(self, caller: Caller, conflict: Conflict, decision: Decision, workspace: WorkspaceFacts) -> None:
        """Every other decision gives the plan up, and some begin a sync."""
        begins = decision.resolution in (Resolution.ACCEPT, Resolution.PREFER_REMOTE)
        left, following = None, None
        async with self._parts.tables.change() as change:
            if begins:  # before the row is locked, as wherever a person begins one
                await change.remember(caller)
            row = await change.run(lambda session: store.locked(session, conflict.workspace_id))
            if row is None:
                raise NotFound("there is no such conflict")
            if begins:
                enabled, _ = await change.run(store.settings_of)
                _may_begin(row, workspace, decision, enabled=enabled)
            await self._resolved(change, caller, conflict, decision)
            left = await self._left(change, row, conflict)
            if begins:
                refresh = decision.resolution is Resolution.PREFER_REMOTE
                following = await self._conflicts.follow(change, row, caller.id, refresh=refresh)
            elif row.active_sync_id is None:
                self._later(change, row, decision)
            await change.commit()
        if left is not None and left.run_id is not None:
            await self._starting.discard(left.id, left.run_id, caller, f"{conflict.id}: {decision.resolution}")
        if following is not None:
            await self._starting.start_quietly(following)
            await self._conflicts.note_result(conflict.id, following)

    async def _left(self, change: Change, row: SyncedWorkspace, conflict: Conflict) -> Sync | None:
        """The sync whose plan waited, which is over now; its run is still to be discarded."""
        found = await change.run(lambda session: store.locked_with_row(session, conflict.sync_id or ""))
        if found is None or found[0].ended_at is not None or found[1].active_sync_id == found[0].id:
            return None
        sync = found[0]
        sync.given_up = sync.run_id is not None
        self._ending.differ(change, row, sync, None)
        return sync

    def _later(self, change: Change, row: SyncedWorkspace, decision: Decision) -> None:
        """When it is due next, after a decision that begins nothing."""
        self._parts.timetable.arm(row, change.now())
        if row.status == Status.CONFLICT:
            row.status = Status.OUT_OF_SYNC
        if decision.resolution is Resolution.IGNORE:
            row.rests_until = row.tick_at = row.next_at = decision.until if row.enabled else None

    async def _resolved(self, change: Change, caller: Caller, conflict: Conflict, decision: Decision, *, done: bool = False) -> None:
        """Keep what was decided; of what is `done` already also where somebody else has ended the conflict meanwhile."""
        row = await change.run(lambda session: session.get(Conflict, conflict.id, with_for_update=True, populate_existing=True))
        if row is None or (row.status != "open" and not (done and row.resolved_by_id is None)):
            raise plugin.Conflict("The conflict is over already.", code="conflict_resolved")
        row.status, row.resolution = "resolved", decision.resolution.value
        row.resolved_by_id, row.resolved_at = caller.id, change.now()
        row.ignored_until = decision.until if decision.resolution is Resolution.IGNORE else None
        about = {
            "conflict": conflict.id,
            "conflict_kind": conflict.kind,
            "resolution": decision.resolution.value,
            "plan": conflict.plan_digest,
        }
        change.audit(caller, "sync.resolve", "workspaces", conflict.workspace_id, **about)


def _require(caller: Caller, workspace: WorkspaceFacts, level: str) -> None:
    if not workspace.may(level):
        raise Forbidden(f"This needs the level {level} on workspace '{workspace.name}'.")
    if not caller.is_user:
        raise Forbidden("Only a user can do this; show a user's token.")


def _check(conflict: Conflict, decision: Decision) -> None:
    if conflict.status != "open":
        raise plugin.Conflict(f"The conflict is {conflict.status} already.", code="conflict_resolved")
    if decision.plan is not None and decision.plan != conflict.plan_digest:
        raise plugin.Conflict(_CHANGED, code="conflict_changed")


def _may_begin(row: SyncedWorkspace, workspace: WorkspaceFacts, decision: Decision, *, enabled: bool) -> None:
    if not row.enabled or not enabled:
        raise plugin.Conflict(_disabled(workspace), code="sync_disabled")
    if row.active_sync_id is not None:
        raise plugin.Conflict(_BUSY, code="sync_in_progress")
    if workspace.locked:
        raise plugin.Conflict(_LOCKED, code="workspace_locked")
    if decision.resolution is Resolution.PREFER_REMOTE and changes_nothing(entry_of(row).general()):
        raise Forbidden("The workspace's own policy allows nothing to be applied, not even to its state.")


def _disabled(workspace: WorkspaceFacts) -> str:
    return f"Sync is disabled for workspace '{workspace.name}'."


def _with_result(conflict: Conflict | None, run_id: str | None) -> None:
    if conflict is not None:
        conflict.resulting_run_id = run_id
