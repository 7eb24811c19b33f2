"""The clock of the schedule: what is due is claimed, by one process, once.

While nothing is due a tick is one query over one index, however many workspaces there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from terrapod_core.plugin import Change, WorkspaceFacts
from terrapod_sync.engine import store
from terrapod_sync.engine.conflicts import Conflicts
from terrapod_sync.engine.parts import Parts
from terrapod_sync.engine.starting import Starting
from terrapod_sync.engine.store import Due
from terrapod_sync.models import SyncedWorkspace
from terrapod_sync.words import ConflictKind, Status

T = TypeVar("T")
SET_BACK: Final = timedelta(seconds=5)
"""A clock that loses less than this is one that is kept in time."""
BEYOND: Final = 100
"""How many more than may start are looked at: those that are under way already only move on."""
BATCH: Final = 500
POSTPONED: Final = timedelta(minutes=1)


class Ticking:
    """Fires what is due."""

    def __init__(self, parts: Parts, starting: Starting, conflicts: Conflicts) -> None:
        self._parts = parts
        self._starting = starting
        self._conflicts = conflicts
        self._last: datetime | None = None

    async def tick(self) -> None:
        """Start what is due, as far as the cap allows; what waits is taken at a later tick, the longest overdue first."""
        now = self._parts.clock.now()
        if await self._set_back(now):
            await self._rearm(now)
        self._last = now
        cap = self._parts.settings.max_concurrent_runs
        due = await self._parts.read(lambda session: store.due(session, now, cap + BEYOND))
        for each in [each for each in due if each.under_way]:
            await self._guarded(each, self._move_on(each))
        waiting = [each for each in due if not each.under_way]
        if waiting:
            free = cap - await self._parts.read(store.under_way)
            await self._fire(waiting[: max(free, 0)])

    async def _fire(self, waiting: list[Due]) -> None:
        facts = await self._parts.workspaces.by_id(each.workspace_id for each in waiting)
        claimed = [await self._guarded(each, self._claim(each, facts.get(each.workspace_id))) for each in waiting]
        # Nobody's moment waits until the runs of others are made.
        await asyncio.gather(*(self._starting.start_quietly(each) for each in claimed if each is not None))

    async def _set_back(self, now: datetime) -> bool:
        """Whether the clock was, since the last tick of this process; before its first one, since the end of any sync."""
        last, moment = self._last, now + SET_BACK
        return moment < last if last is not None else await self._parts.read(lambda session: store.of_the_future(session, moment))

    async def _guarded(self, due: Due, doing: Awaitable[T]) -> T | None:
        """Do it; what goes wrong with one workspace keeps no other from its turn."""
        try:
            return await doing
        except Exception:
            self._parts.log.exception("the sync of %s could not be begun; it is tried again in a minute", due.workspace_id)
        async with self._parts.tables.change() as change:
            await change.run(lambda session: store.postpone(session, due, change.now() + POSTPONED))
            await change.commit()
        return None

    async def _move_on(self, due: Due) -> None:
        """The tick of a workspace that is being synced is dropped."""
        async with self._parts.tables.change() as change:
            row = await change.run(lambda session: store.locked(session, due.workspace_id))
            if row is not None and row.next_at == due.next_at:
                self._parts.timetable.arm(row, change.now())
                await change.commit()

    async def _claim(self, due: Due, facts: WorkspaceFacts | None) -> str | None:
        """The sync that is to be started now; `None` when there is none to start."""
        if facts is None or facts.locked:
            await self._skip(due, there=facts is not None)
            return None
        sync_id = store.new_id("sync")
        async with self._parts.tables.change() as change:
            row = await change.run(lambda session: store.claim(session, due.workspace_id, sync_id, change.now(), due.next_at))
            if row is None:
                return None
            if not await change.run(lambda session: _may_go_on(session, row, change.now())):
                row.active_sync_id = row.looked_at = None
                row.tick_at = row.next_at = row.rests_until
                await change.commit()
                return None
            self._begin(change, row, sync_id)
            await change.commit()
        self._parts.metrics.began(due.next_at, self._parts.clock.now())
        return sync_id

    def _begin(self, change: Change, row: SyncedWorkspace, sync_id: str) -> None:
        now = change.now()
        cause = "retry" if row.attempts else "catch-up" if self._parts.timetable.missed(row, now) else "schedule"
        change.add(self._starting.made(row, sync_id, cause, row.edited_by_id, now))
        self._parts.timetable.arm(row, now)
        row.status = Status.PENDING

    async def _skip(self, due: Due, *, there: bool) -> None:
        """Drop the tick of a workspace that is locked, or gone."""
        async with self._parts.tables.change() as change:
            row = await change.run(lambda session: store.locked(session, due.workspace_id))
            if row is None or row.next_at != due.next_at or row.active_sync_id is not None:
                return
            self._parts.timetable.arm(row, change.now())
            if there:
                await self._conflicts.open(change, row, None, ConflictKind.LOCK, "The workspace was locked when it was due.")
            else:
                row.tick_at = row.next_at = None
            await change.commit()

    async def _rearm(self, now: datetime) -> None:
        """The clock was set back: what was to be due by the old one is due no later than by the new one."""
        self._parts.log.warning("the clock was set back; due times are worked out anew")
        async with self._parts.tables.change() as change:
            await change.run(lambda session: store.look_sooner(session, now))
            await change.commit()
        after: str | None = ""
        while after is not None:
            async with self._parts.tables.change() as change:
                rows = await change.run(lambda session, after=after: store.armed(session, after, BATCH))  # type: ignore[misc]
                for row in rows:
                    self._sooner(row, now)
                after = rows[-1].workspace_id if rows else None
                await change.commit()

    def _sooner(self, row: SyncedWorkspace, now: datetime) -> None:
        if row.rests_until is not None:
            return  # until a date
        tick, due = row.tick_at, row.next_at
        if row.attempts and row.active_sync_id is None:  # a retry
            row.next_at = now + (self._parts.timetable.pause(row.attempts) or timedelta())
        else:
            self._parts.timetable.arm(row, now)
        if due is not None and (row.next_at is None or due < row.next_at):
            row.tick_at, row.next_at = tick, due


def _may_go_on(session: Session, row: SyncedWorkspace, now: datetime) -> bool:
    """Whether nothing waits for a person; what somebody has changed the entry for since then does not any more."""
    if row.rests_until is not None and row.rests_until > now:
        return False
    row.rests_until = None
    waiting = store.open_conflicts(session, row.workspace_id)
    if any(each.created_at >= row.edited_at for each in waiting):
        return False
    store.pass_conflicts(session, row.workspace_id, now)
    return True
