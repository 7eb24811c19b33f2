"""The loop that publishes tags. Truth is in the rows; a wake-up makes it quick, the clock makes it certain."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.jobs.background_tasks import BackgroundTasks, sleep_until
from terrapod_core.jobs.looking import Looking
from terrapod_core.registry.modules import tag_queries as queries
from terrapod_core.registry.modules.tag_publishing import TagPublishing

LONGEST_SLEEP: Final = 15.0


class TagLoop:
    """One per process that does background work."""

    def __init__(self, db: Database, publishing: TagPublishing, *, at_once: int) -> None:
        self._db = db
        self._publishing = publishing
        self._most = at_once
        self._looking = Looking("module-tags", self._seconds, self.look)
        self._begun = BackgroundTasks("module-tag", self._looking.wake)
        self._next: datetime | None = None
        db.wakeups.on(CHANGES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Begin nothing more, and drop what is under way: another process takes it up."""
        await self._looking.stop()
        await self._begun.stop()

    async def look(self) -> None:
        """Begin what is due, as far as there is room; returns before it is done."""
        while len(self._begun) < self._most and (job := await self._publishing.claim()) is not None:
            self._begun.begin(self._publishing.carry_out(job))
        self._next = await self._db.read(queries.next_due)

    def _seconds(self) -> float:
        full = len(self._begun) >= self._most  # whatever ends wakes it
        return sleep_until(None if full else self._next, self._db.clock.now(), LONGEST_SLEEP)
