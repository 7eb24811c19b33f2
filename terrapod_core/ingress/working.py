"""The loop that carries changes on: fetch, start, tell. Truth is in the rows; a wake-up makes it quick, the clock makes it certain."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.ingress import queries
from terrapod_core.ingress.fetching import Fetching
from terrapod_core.ingress.starting import Starting
from terrapod_core.ingress.telling import Telling
from terrapod_core.jobs.background_tasks import BackgroundTasks, sleep_until
from terrapod_core.jobs.looking import Looking

LONGEST_SLEEP: Final = 15.0


class Ingress:
    """One per process that does background work."""

    def __init__(self, db: Database, fetching: Fetching, starting: Starting, telling: Telling, *, fetch_at_once: int) -> None:
        self._db = db
        self._fetching = fetching
        self._starting = starting
        self._telling = telling
        self._most = fetch_at_once
        self._looking = Looking("ingress", self._seconds, self.look)
        self._fetches = BackgroundTasks("fetch a commit", self._looking.wake)
        self._starts = BackgroundTasks("start the run of a commit", self._looking.wake)
        self._tellings = BackgroundTasks("tell a commit", self._looking.wake)
        self._next: datetime | None = None
        db.wakeups.on(CHANGES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Begin nothing more, and drop what is under way: another process takes it up."""
        await self._looking.stop()
        for begun in (self._fetches, self._starts, self._tellings):
            await begun.stop()

    async def look(self) -> None:
        """Begin what is due, as far as there is room; returns before it is done."""
        while len(self._fetches) < self._most and (batch := await self._fetching.claim()) is not None:
            self._fetches.begin(self._fetching.carry_out(batch))
        # A forge that is slow to be told keeps no run from being started.
        if not self._starts:
            for change in await self._starting.claim():
                self._starts.begin(self._starting.carry_out(change))
        if not self._tellings:
            for change in await self._telling.claim():
                self._tellings.begin(self._telling.carry_out(change))
        self._next = await self._db.read(queries.next_due)

    def _seconds(self) -> float:
        full = len(self._fetches) >= self._most or self._starts or self._tellings  # whatever ends wakes it
        return sleep_until(None if full else self._next, self._db.clock.now(), LONGEST_SLEEP)
