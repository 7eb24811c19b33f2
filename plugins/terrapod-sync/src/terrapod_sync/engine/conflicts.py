"""What keeps a sync from going on: opened, and done about what the configuration says."""

from __future__ import annotations

from terrapod_core.plugin import Caller, Change
from terrapod_sync.engine import store
from terrapod_sync.engine.ending import Ending, steps_of
from terrapod_sync.engine.events import SyncConflictArose
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.starting import Starting
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.models import Conflict, Sync, SyncedWorkspace
from terrapod_sync.policies import CHANGING, Policy
from terrapod_sync.words import ConflictKind, ConflictResolution, Status

_R = ConflictResolution


def changes_nothing(general: Policy | None) -> bool:
    """Whether under this general policy nothing is ever applied."""
    return general is not None and not general.operations & CHANGING


class Conflicts:
    """Opens conflicts, and settles them where nobody needs to be asked."""

    def __init__(self, parts: Parts, ending: Ending, starting: Starting) -> None:
        self._parts = parts
        self._ending = ending
        self._starting = starting

    async def open(
        self, change: Change, row: SyncedWorkspace, sync: Sync | None, kind: ConflictKind, detail: str, resolved: str | None = None
    ) -> Conflict | None:
        """Note a conflict, as one that is `resolved` by the configuration already where that is given; `None` for a lock that is known.

        An earlier one of its kind has passed: it was about another plan.
        """
        now, workspace_id = change.now(), row.workspace_id
        known = await change.run(lambda session: store.open_conflicts(session, workspace_id, (kind,)))
        if kind is ConflictKind.LOCK and known:
            return None
        await change.run(lambda session: store.pass_conflicts(session, workspace_id, now, (kind,)))
        conflict = Conflict(
            id=store.new_id("conflict"),
            workspace_id=workspace_id,
            kind=kind.value,
            sync_id=sync.id if sync is not None else None,
            run_id=sync.run_id if sync is not None else None,
            plan_digest=sync.plan_digest if sync is not None else None,
            detail=detail,
            steps=steps_of(sync) if sync is not None and kind in store.PARKED else [],
            status="open" if resolved is None else "resolved",
            resolution=resolved,
            resolved_at=now if resolved is not None else None,
            created_at=now,
        )
        change.add(conflict)
        about = {"conflict": conflict.id, "conflict_kind": kind.value, "plan": conflict.plan_digest}
        change.audit(None, "sync.conflict", "workspaces", workspace_id, **about)
        if resolved is not None:
            change.audit(None, "sync.resolve", "workspaces", workspace_id, **about, resolution=resolved)
        change.emit(SyncConflictArose(workspace_id, conflict.id, kind.value))
        self._parts.metrics.arose(kind)
        return conflict

    async def forbidden(self, sync: Sync, row: SyncedWorkspace, caller: Caller, kind: ConflictKind, detail: str) -> None:
        """A saved plan may not be applied by the schedule."""
        _, wanted = await self._parts.read(store.settings_of)
        if wanted is _R.PREFER_REMOTE and changes_nothing(entry_of(row).general()):
            wanted = _R.MANUAL
        parked = wanted in (_R.MANUAL, _R.PREFER_CONFIG)  # no policy allows it, so that there is nothing to prefer
        await self._note(sync, caller, kind, detail, None if parked else wanted)

    async def moved(self, sync: Sync, caller: Caller, kind: ConflictKind, detail: str) -> None:
        """What a plan was made from is not what is there any more: it is given up."""
        _, wanted = await self._parts.read(store.settings_of)
        await self._note(sync, caller, kind, detail, None if wanted is _R.MANUAL else wanted)

    async def _note(self, seen: Sync, caller: Caller, kind: ConflictKind, detail: str, wanted: ConflictResolution | None) -> None:
        """Write down the conflict and what becomes of the sync, give up its plan, and begin the sync that follows from it.

        Written down first: the news that the plan was given up is then no news.
        """
        following: str | None = None
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, seen.id))
            if found is None or found[0].ended_at is not None or not store.is_current(found[1], found[0]):
                return
            sync, row = found
            if kind in store.PARKED and sync.status == Status.CONFLICT:
                return  # it is known
            now = change.now()
            await change.run(lambda session: store.pass_conflicts(session, row.workspace_id, now, store.BLOCKING))
            conflict = await self.open(change, row, sync, kind, detail, wanted)
            parked = wanted is None and kind in store.PARKED
            if parked:
                self._ending.wait(change, row, sync, Status.CONFLICT)
            else:
                sync.given_up = sync.run_id is not None
                self._ending.differ(change, row, sync, detail)
                if wanted is None:
                    row.status, row.tick_at, row.next_at = Status.CONFLICT, None, None
            if wanted in (_R.PREFER_REMOTE, _R.PREFER_CONFIG):
                following = await self.follow(change, row, sync.acting_id, refresh=wanted is _R.PREFER_REMOTE)
            await change.commit()
        if not parked and seen.run_id is not None:
            await self._starting.discard(seen.id, seen.run_id, caller, detail[:1000])
        if following is not None and conflict is not None:
            await self._starting.start_quietly(following)
            await self.note_result(conflict.id, following)

    async def follow(self, change: Change, row: SyncedWorkspace, acting_id: str, *, refresh: bool) -> str | None:
        """Claim the workspace for the sync that a resolution asks for: its id; `None` when another is under way."""
        sync_id, now = store.new_id("sync"), change.now()
        if row.active_sync_id is not None:
            return None
        row.active_sync_id, row.looked_at, row.status = sync_id, now, Status.PENDING
        row.rests_until = None
        change.add(self._starting.made(row, sync_id, "resolution", acting_id, now, refresh=refresh, tick=False))
        self._parts.timetable.arm(row, now)
        return sync_id

    async def note_result(self, conflict_id: str, sync_id: str) -> None:
        """Keep with a conflict the run that came of it."""
        async with self._parts.tables.change() as change:
            conflict = await change.run(lambda session: session.get(Conflict, conflict_id))
            sync = await change.run(lambda session: session.get(Sync, sync_id))
            if conflict is not None and sync is not None:
                conflict.resulting_run_id = sync.run_id
                await change.commit()
