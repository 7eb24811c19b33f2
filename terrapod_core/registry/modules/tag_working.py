"""The loop that publishes tags. Truth is in the rows; a wake-up makes it quick, the clock makes it certain."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog

from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.jobs.looking import Looking
from terrapod_core.registry.modules import tag_queries as queries
from terrapod_core.registry.modules.tag_publishing import TagPublishing

LONGEST_SLEEP: Final = 15.0

log = structlog.get_logger("terrapod.registry")


class TagLoop:
    """One per process that does background work."""

    def __init__(self, db: Database, publishing: TagPublishing, *, at_once: int) -> None:
        self._db = db
        self._publishing = publishing
        self._most = at_once
        self._looking = Looking("module-tags", self._seconds, self.look)
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: datetime | None = None
        db.wakeups.on(CHANGES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Begin nothing more, and drop what is under way: another process takes it up."""
        await self._looking.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self) -> None:
        """Begin what is due, as far as there is room; returns before it is done."""
        while len(self._tasks) < self._most and (job := await self._publishing.claim()) is not None:
            task = asyncio.create_task(self._publishing.carry_out(job))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        self._next = await self._db.read(queries.next_due)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a tag could not be dealt with, and is tried again", exc_info=task.exception())
        self._looking.wake()

    def _seconds(self) -> float:
        if self._next is None or len(self._tasks) >= self._most:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(0.05, (self._next - self._db.clock.now()).total_seconds()))
