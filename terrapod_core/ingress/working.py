"""The loop that carries changes on: fetch, start, tell. Truth is in the rows; a wake-up makes it quick, the clock makes it certain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Final

import structlog

from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.ingress import queries
from terrapod_core.ingress.fetching import Fetching
from terrapod_core.ingress.starting import Starting
from terrapod_core.ingress.telling import Telling
from terrapod_core.jobs.looking import Looking

LONGEST_SLEEP: Final = 15.0

log = structlog.get_logger("terrapod.vcs")


class Ingress:
    """One per process that does background work."""

    def __init__(self, db: Database, fetching: Fetching, starting: Starting, telling: Telling, *, fetch_at_once: int) -> None:
        self._db = db
        self._fetching = fetching
        self._starting = starting
        self._telling = telling
        self._most = fetch_at_once
        self._looking = Looking("ingress", self._seconds, self.look)
        self._fetches: set[asyncio.Task[None]] = set()
        self._others: set[asyncio.Task[None]] = set()
        self._next: datetime | None = None
        db.wakeups.on(CHANGES, self._looking.wake)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._looking.start()

    async def stop(self) -> None:
        """Begin nothing more, and drop what is under way: another process takes it up."""
        await self._looking.stop()
        tasks = [*self._fetches, *self._others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Begin what is due, as far as there is room; returns before it is done."""
        while len(self._fetches) < self._most and (batch := await self._fetching.claim()) is not None:
            self._spawn(self._fetches, self._fetching.carry_out(batch))
        if not self._others:
            for change in await self._starting.claim():
                self._spawn(self._others, self._starting.carry_out(change))
            for change in await self._telling.claim():
                self._spawn(self._others, self._telling.carry_out(change))
        self._next = await self._db.read(queries.next_due)

    def _spawn(self, among: set[asyncio.Task[None]], work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        among.add(task)
        task.add_done_callback(lambda done: self._done(among, done))

    def _done(self, among: set[asyncio.Task[None]], task: asyncio.Future[None]) -> None:
        among.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a change could not be dealt with, and is tried again", exc_info=task.exception())
        self._looking.wake()

    def _seconds(self) -> float:
        if self._next is None or len(self._fetches) >= self._most:
            return LONGEST_SLEEP
        shortest = 1.0 if self._others else 0.05  # what is due besides waits until those are done, and whoever is done wakes it
        return min(LONGEST_SLEEP, max(shortest, (self._next - self._db.clock.now()).total_seconds()))
