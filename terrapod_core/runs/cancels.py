"""Passes cancels on to runners, whichever server was asked.

A runner hears of a cancel with the answer to whatever it asks next, but one that waits for terraform asks every ten seconds at
most. So the process that does background work tells the backend too. It is woken for what other servers are asked; while those are
not heard it looks several times a second: a person who cancels has a reason to hurry.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.coordination import PHASES
from terrapod_core.db import Database
from terrapod_core.jobs.looking import Looking
from terrapod_core.plugin import RunnerBackend
from terrapod_core.runs.models import Phase
from terrapod_core.runs.reach import Reach
from terrapod_core.runs.status import Cancel
from terrapod_core.runs.turns import LIVE

LOOK_SECONDS: Final = 0.25
"""While others are not heard, and while a cancelled phase runs."""

SELDOM_SECONDS: Final = 5.0
FORCE_AGAIN: Final = timedelta(seconds=10)


class Cancels:
    """One per process that does background work."""

    def __init__(self, db: Database, backend: RunnerBackend, reach: Reach) -> None:
        self._db = db
        self._backend = backend
        self._reach = reach
        self._pace = db.wakeups.pace(LOOK_SECONDS, SELDOM_SECONDS)
        self._looking = Looking("cancels", self._seconds, self.look)
        self._due = False
        self._told: dict[tuple[str, int, str], datetime] = {}
        db.wakeups.on(PHASES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Look no longer."""
        await self._looking.stop()

    async def look(self) -> None:
        """Tell the runners that were not told yet."""
        due = await self._db.read(lambda session: _cancelled(session, self._reach))
        self._due = bool(due)
        now = self._db.clock.now()
        self._told = {key: told for key, told in self._told.items() if key[0] in {each.id for each in due}}
        for phase in due:
            key, force = (phase.id, phase.epoch, phase.cancel), phase.cancel == Cancel.FORCE
            told = self._told.get(key)
            if told is None or (force and now - told > FORCE_AGAIN):
                await self._backend.cancel(phase.handle or {}, force=force)
                self._told[key] = now

    def _seconds(self) -> float:
        return LOOK_SECONDS if self._due else self._pace()


def _cancelled(session: Session, reach: Reach) -> list[Phase]:
    """Phases that somebody cancelled and that the backend here has a handle of; the index of the queue finds those that run."""
    query = select(Phase).where(Phase.status.in_(LIVE), Phase.cancel != Cancel.NONE.value, reach.covers)
    return list(session.execute(query.where(Phase.finished_at.is_(None), Phase.handle.is_not(None))).scalars())
