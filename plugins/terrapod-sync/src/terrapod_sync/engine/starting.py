"""From the decision to sync to the run: in whose name, and again after a crash."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from terrapod_core.plugin import APIRefused, Caller
from terrapod_sync.engine import store
from terrapod_sync.engine.ending import Ending
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.runs import REFRESH
from terrapod_sync.engine.timetable import entry_of
from terrapod_sync.models import Sync, SyncedWorkspace
from terrapod_sync.words import Status

GONE: Final = "The one in whose name it is synced is disabled or gone."
PERMANENT: Final = (400, 404, 409, 422)


class Starting:
    """Makes runs."""

    def __init__(self, parts: Parts, ending: Ending) -> None:
        self._parts = parts
        self._ending = ending

    def made(
        self, row: SyncedWorkspace, sync_id: str, cause: str, acting_id: str, now: datetime, *, refresh: bool = False, tick: bool = True
    ) -> Sync:
        """A sync of the workspace as its entry says, or one that takes what is there into the state."""
        intent = entry_of(row).intent()
        return Sync(
            id=sync_id,
            workspace_id=row.workspace_id,
            cause=cause,
            mode=REFRESH if refresh else intent.mode.value,
            operations=sorted(intent.operations),
            acting_id=acting_id,
            tick_at=row.tick_at if tick else None,
            attempt=row.attempts,
            run_id=None,
            forbidden=[],
            status=Status.PENDING.value,
            given_up=False,
            created_at=now,
        )

    async def start_quietly(self, sync_id: str) -> None:
        """The same as `start`; whatever goes wrong on the way is logged, and tried again by the sweep."""
        try:
            await self.start(sync_id)
        except Exception:
            self._parts.log.exception("the sync %s could not be started yet; it is tried again in a minute", sync_id)

    async def start(self, sync_id: str, *, again: bool = False) -> str | None:
        """Make the run of a claimed sync: its id; `None` when there was none to make, or it was refused, which ends the sync.

        `again` when somebody may have made it already. Raises what the API raises while the server is in trouble.
        """
        found = await self._parts.read(lambda session: store.sync_with_row(session, sync_id))
        if found is None or found[0].ended_at is not None or found[0].run_id is not None:
            return found[0].run_id if found is not None else None
        sync = found[0]
        caller = await self._parts.remembered(sync.acting_id)
        if caller is None:
            await self.give_up(sync_id, "editor-gone", GONE)
            return None
        try:
            run_id = await self._parts.runs.find(sync, caller) if again else None
            if run_id is None:
                await self._discard_former(sync, caller)
                run_id = await self._parts.runs.make(sync, caller)
        except APIRefused as refusal:
            await self._refused(sync, refusal)
            return None
        await self._note(sync_id, run_id, caller)
        return run_id

    async def give_up(self, sync_id: str, code: str, reason: str, *, retried: bool = False) -> None:
        """End a sync that cannot go on."""
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is None or found[0].ended_at is not None:
                return
            found[0].given_up = found[0].run_id is not None
            self._ending.fail(change, found[1], found[0], code, reason, retried=retried)
            await change.commit()

    async def _refused(self, sync: Sync, refusal: APIRefused) -> None:
        """What the API says will be the same in a minute, so the sync is over; not so when the server is in trouble."""
        if refusal.http_status == 403 or (refusal.http_status == 422 and "may not see it" in refusal.detail):
            await self.give_up(sync.id, "editor-may-not", f"The one in whose name it is synced may not do so: {refusal.detail}.")
        elif refusal.code == "queue_full":
            await self.give_up(sync.id, "cannot-start", f"The run could not be made: {refusal.detail}.", retried=True)
        elif refusal.http_status in PERMANENT:
            await self.give_up(sync.id, "cannot-start", f"The run could not be made: {refusal.detail}.")
        else:
            raise refusal

    async def _discard_former(self, sync: Sync, caller: Caller) -> None:
        """The plan that lies there since the last time is replaced by this one."""
        for sync_id, run_id in await self._parts.read(lambda session: store.left_over(session, sync.workspace_id, sync.id)):
            done = await self._parts.runs.discard(run_id, caller, f"a newer plan is made by {sync.id}")
            async with self._parts.tables.change() as change:
                former = await change.run(lambda session, former=sync_id: store.locked_with_row(session, former))  # type: ignore[misc]
                if former is not None:
                    former[0].given_up = not done
                    if former[0].ended_at is None:
                        self._ending.differ(change, former[1], former[0], "A newer plan was made.")
                    await change.commit()

    async def discard(self, sync_id: str, run_id: str, caller: Caller, comment: str) -> None:
        """Discard the run of a sync that was given up. What does not come to it is made up for by the sweep, and by the next sync."""
        if await self._parts.runs.discard(run_id, caller, comment):
            async with self._parts.tables.change() as change:
                await change.run(lambda session: store.discarded(session, sync_id))
                await change.commit()

    async def _note(self, sync_id: str, run_id: str, caller: Caller) -> None:
        async with self._parts.tables.change() as change:
            found = await change.run(lambda session: store.locked_with_row(session, sync_id))
            if found is not None and found[0].run_id in (None, run_id):
                sync, row = found
                sync.run_id = run_id
                await change.run(lambda session: store.pass_conflicts(session, row.workspace_id, change.now()))
                await change.commit()
                return
        # Two have made one, since the first was away for so long: the other run is the one that counts.
        await self._parts.runs.discard(run_id, caller, f"another run was made for {sync_id}")
