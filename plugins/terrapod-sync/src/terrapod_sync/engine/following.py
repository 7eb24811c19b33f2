"""What becomes of the runs of the schedule: every piece of news is a reason to look, and the run itself is what counts.

So news may come twice, late, or in another order than it happened, and what was never heard is looked at by the sweep.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from terrapod_core.plugin import APIRefused, Caller, Change, ConfigurationUploaded, RunStatusChanged, WorkspaceDeleted
from terrapod_sync.engine import store
from terrapod_sync.engine.conflicts import Conflicts, changes_nothing
from terrapod_sync.engine.ending import Ending
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.runs import REFRESH, RunSeen
from terrapod_sync.engine.starting import GONE, Starting
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.models import Sync, SyncedWorkspace
from terrapod_sync.policies import Mode
from terrapod_sync.words import ConflictKind, Status, status_of

UNSEEN: Final = timedelta(seconds=60)
SWEPT: Final = 100
TIDIED: Final = 500
_STATE: Final = "The state has moved since the plan was made."
_CONFIG: Final = "A newer configuration came after the one that was planned."
_UNJUDGED: Final = "The plan could not be judged, so nothing of it is applied."
_ENDED: Final = frozenset({"planned_and_finished", "applied", "errored", "canceled", "discarded"})
_CONFIRMED: Final = frozenset({"confirmed", "apply_queued", "applying", "applied"})


class Following:
    """Looks at runs, and does what is next."""

    def __init__(self, parts: Parts, ending: Ending, starting: Starting, conflicts: Conflicts) -> None:
        self._parts = parts
        self._ending = ending
        self._starting = starting
        self._conflicts = conflicts

    async def heard(self, event: RunStatusChanged) -> None:
        """A run moved."""
        sync = await self._parts.read(lambda session: store.sync_of(session, event.workspace_id, event.run_id))
        if sync is not None:
            await self.look(sync.id)

    async def sweep(self) -> None:
        """Look at what is under way and was not looked at for a minute."""
        now = self._parts.clock.now()
        self._parts.metrics.scheduled(await self._parts.read(store.scheduled))
        for sync_id in await self._overlooked(now):
            try:
                await self.look(sync_id)
            except Exception:
                self._parts.log.exception("the sync %s could not be looked at; it is tried again in a minute", sync_id)

        for sync in await self._parts.read(lambda session: store.given_up(session, SWEPT)):
            await self._discard(sync)

    async def _overlooked(self, now: datetime) -> list[str]:
        found = await self._parts.read(lambda session: store.overlooked(session, now - UNSEEN, SWEPT))
        if found:
            async with self._parts.tables.change() as change:
                await change.run(lambda session: store.looked_at(session, found, now))
                await change.commit()
        return found

    async def _discard(self, sync: Sync) -> None:
        """What somebody gave up and died before it was discarded. In the name of the one it was made for; else the next sync does it."""
        caller = await self._parts.remembered(sync.acting_id)
        if caller is not None and sync.run_id is not None:
            try:
                await self._starting.discard(sync.id, sync.run_id, caller, f"{sync.id} was given up")
            except Exception:
                self._parts.log.exception("the plan of the sync %s could not be discarded; it is tried again", sync.id)

    async def tidy(self) -> None:
        """Remove what was over longer ago than history is kept, some at a time."""
        before = self._parts.clock.now() - timedelta(days=self._parts.settings.history_days)
        removed = TIDIED
        while removed == TIDIED:
            async with self._parts.tables.change() as change:
                removed = await change.run(lambda session: store.outdated(session, before, TIDIED))
                await change.commit()

    async def look(self, sync_id: str) -> None:
        """See how a sync's run stands, and go on."""
        found = await self._parts.read(lambda session: store.sync_with_row(session, sync_id))
        if found is None or found[0].ended_at is not None:
            await self._let_go(sync_id)
            return
        sync, row = found
        if sync.run_id is None:
            await self._starting.start(sync_id, again=True)
            return
        caller = await self._parts.remembered(sync.acting_id)
        if caller is None:
            await self._starting.give_up(sync_id, "editor-gone", GONE)
            return
        try:
            seen = await self._parts.runs.show(sync.run_id, caller)
            await self._act(sync, row, seen, caller)
        except APIRefused as refusal:
            if refusal.http_status not in (403, 404):
                raise
            await self._starting.give_up(sync_id, "editor-may-not", f"The one in whose name it is synced may not do so: {refusal.detail}.")

    async def _let_go(self, sync_id: str) -> None:
        """A row that still says a sync is under way which is over, or gone."""
        async with self._parts.tables.change() as change:
            if await change.run(lambda session: store.let_go(session, sync_id)):
                await change.commit()

    async def _act(self, sync: Sync, row: SyncedWorkspace, seen: RunSeen, caller: Caller) -> None:
        if seen.status in ("planned_and_saved", "planned"):
            if row.active_sync_id == sync.id and sync.status not in store.WAITING:
                await self._settle(sync, row, seen, caller)
        elif seen.status == "discarded":
            await self._discarded(sync, row, seen, caller)
        else:
            await self._progress(sync.id, seen)

    # -- a plan that is saved

    async def _settle(self, sync: Sync, row: SyncedWorkspace, seen: RunSeen, caller: Caller) -> None:
        """Apply it, have somebody approve it, or say what is in the way."""
        general = entry_of(row).general()
        if sync.mode != REFRESH and (sync.has_changes is None or sync.reason is not None):
            allowed = general.operations if general is not None else None
            bounded = allowed is not None and any(each["needs"] not in allowed for each in sync.forbidden)
            kind = ConflictKind.POLICY if bounded else ConflictKind.DESTRUCTIVE_PLAN
            await self._conflicts.forbidden(sync, row, caller, kind, sync.reason or _UNJUDGED)
        elif sync.mode == Mode.SAVE or changes_nothing(general) or not await self._still_meant(sync, row):
            await self._wait(sync.id)
        elif sync.mode == Mode.APPLY and await self._is_behind(sync, seen, caller):
            await self._conflicts.moved(sync, caller, ConflictKind.CONFIG, _CONFIG)
        else:
            await self._confirm(sync, row, seen, caller)

    async def _still_meant(self, sync: Sync, row: SyncedWorkspace) -> bool:
        """Whether all is allowed today that was when the sync began. Else the plan waits, and the next tick makes another."""
        enabled, _ = await self._parts.read(store.settings_of)
        intent = entry_of(row).intent()
        applies = sync.mode == REFRESH or intent.mode is Mode.APPLY
        return enabled and row.enabled and applies and set(sync.operations) <= set(intent.operations)

    async def _is_behind(self, sync: Sync, seen: RunSeen, caller: Caller) -> bool:
        newest = await self._parts.runs.configuration_of(sync.workspace_id, caller)
        return newest is not None and newest != seen.configuration_id

    async def _wait(self, sync_id: str) -> None:
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is not None and found[0].ended_at is None:
                self._ending.wait(change, found[1], found[0], Status.AWAITING_APPROVAL)
                await change.commit()

    async def _confirm(self, sync: Sync, row: SyncedWorkspace, seen: RunSeen, caller: Caller) -> None:
        try:
            await self._parts.runs.confirm(seen.id, caller)
        except APIRefused as refusal:
            if refusal.http_status != 409:
                raise
            await self._not_confirmed(sync, row, refusal, caller)
            return
        await self._progress(sync.id, await self._parts.runs.show(seen.id, caller))

    async def _not_confirmed(self, sync: Sync, row: SyncedWorkspace, refusal: APIRefused, caller: Caller) -> None:
        seen = await self._parts.runs.show(sync.run_id or "", caller)
        if seen.status in _CONFIRMED:
            await self._progress(sync.id, seen)  # somebody was quicker
        elif refusal.code == "run_denied":
            await self._conflicts.forbidden(sync, row, caller, ConflictKind.POLICY, refusal.detail)
        elif seen.status == "discarded" or "the state has moved" in refusal.detail:
            await self._conflicts.moved(sync, caller, ConflictKind.STATE, _STATE)
        else:
            await self._locked(sync.id, refusal.detail)

    async def _locked(self, sync_id: str, detail: str) -> None:
        """The workspace was locked while the plan was made: it lies there until the next tick, or somebody approves it."""
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is not None and found[0].ended_at is None:
                await self._conflicts.open(change, found[1], found[0], ConflictKind.LOCK, detail)
                self._ending.wait(change, found[1], found[0], Status.AWAITING_APPROVAL)
                await change.commit()

    async def _discarded(self, sync: Sync, row: SyncedWorkspace, seen: RunSeen, caller: Caller) -> None:
        """By a person, or by the server, as the state had moved. What a person would have decided each tick anew is no conflict."""
        by_server = not await self._parts.runs.discarded_by_somebody(seen.id, caller)
        if by_server and store.is_current(row, sync) and (sync.mode == Mode.APPLY or sync.status == Status.CONFLICT):
            await self._conflicts.moved(sync, caller, ConflictKind.STATE, _STATE)
            return
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync.id))
            if found is not None and found[0].ended_at is None:
                if store.is_current(found[1], found[0]):
                    await change.run(lambda session: store.pass_conflicts(session, sync.workspace_id, change.now(), store.PARKED))
                self._ending.differ(change, found[1], found[0], _STATE if by_server else "Its plan was discarded.")
                await change.commit()

    # -- on the way, and at the end

    async def _progress(self, sync_id: str, seen: RunSeen) -> None:
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is None or found[0].ended_at is not None:
                return
            sync, row = found
            await self._confirmed_by_somebody(change, row, sync, seen)
            if seen.status in _ENDED:
                self._end(change, row, sync, seen)
            else:
                sync.status = status_of(seen.status)
                if row.active_sync_id == sync.id:
                    row.status, row.looked_at = sync.status, change.now()
            await change.commit()

    async def _confirmed_by_somebody(self, change: Change, row: SyncedWorkspace, sync: Sync, seen: RunSeen) -> None:
        """A plan that lay there is being applied after all, wherever that was decided: it is under way again."""
        if sync.status not in store.WAITING or seen.status not in _CONFIRMED or not store.is_current(row, sync):
            return
        for conflict in await change.run(lambda session: store.open_conflicts(session, row.workspace_id, store.PARKED)):
            conflict.status, conflict.resolution, conflict.resolved_at = "resolved", "accept", change.now()
            conflict.resulting_run_id = sync.run_id
            about = {"conflict": conflict.id, "conflict_kind": conflict.kind, "plan": conflict.plan_digest, "resolution": "accept"}
            change.audit(None, "sync.resolve", "workspaces", row.workspace_id, **about)
        await change.run(lambda session: store.pass_conflicts(session, row.workspace_id, change.now(), (ConflictKind.LOCK,)))
        row.active_sync_id, row.looked_at = sync.id, change.now()

    def _end(self, change: Change, row: SyncedWorkspace, sync: Sync, seen: RunSeen) -> None:
        if seen.status == "errored":
            self._ending.fail(change, row, sync, "run-failed", f"The run failed: {seen.error or 'its log says why'}", retried=True)
        elif seen.status == "canceled":
            self._ending.fail(change, row, sync, "run-canceled", "The run was cancelled.")
        elif seen.status == "planned_and_finished" and seen.has_changes:
            sync.has_changes = True
            self._ending.differ(change, row, sync)
        else:
            self._ending.succeed(change, row, sync)

    # -- other news

    async def configured(self, event: ConfigurationUploaded) -> None:
        """A new configuration is a reason to try again what failed for good, and makes a parked plan an old one."""
        async with self._parts.tables.change() as change:
            row = await change.run(lambda session: store.locked(session, event.workspace_id))
            if row is None:
                return
            if row.enabled and row.active_sync_id is None and row.status == Status.ERROR:
                row.attempts, row.tick_at, row.next_at = 0, None, change.now()
                await change.commit()
                return
            parked = await change.run(lambda session: store.open_conflicts(session, event.workspace_id, store.PARKED))
            sync_ids = [each.sync_id for each in parked if each.sync_id is not None]
        for sync_id in sync_ids:
            await self._overtaken(sync_id)

    async def _overtaken(self, sync_id: str) -> None:
        sync = await self._parts.read(lambda session: session.get(Sync, sync_id))
        caller = await self._parts.remembered(sync.acting_id) if sync is not None else None
        if sync is None or sync.run_id is None or sync.ended_at is not None or caller is None:
            return
        try:
            behind = await self._is_behind(sync, await self._parts.runs.show(sync.run_id, caller), caller)
        except APIRefused as refusal:
            if refusal.http_status not in (403, 404):
                raise
            return
        if behind:
            await self._conflicts.moved(sync, caller, ConflictKind.CONFIG, _CONFIG)

    async def forget(self, event: WorkspaceDeleted) -> None:
        """A workspace is gone, and its entry, syncs and conflicts with it."""
        async with self._parts.tables.change() as change:
            await change.run(lambda session: store.forget(session, event.workspace_id))
            await change.commit()
