"""The one reader of told events in a process, and the streams that it feeds.

It looks when a relay has told something, in this process or another, and by the clock in case that was not heard. While nobody
watches it does not look.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final, Protocol

import structlog

from terrapod_core.coordination import TOLD
from terrapod_core.db import Database
from terrapod_core.errors import Unavailable
from terrapod_core.live import queries
from terrapod_core.live.guards import Guards
from terrapod_core.live.kinds import News, news

LOOK_SECONDS: Final = 1.0
SELDOM_SECONDS: Final = 5.0
"""While all others are heard."""

BATCH: Final = 500

log = structlog.get_logger("terrapod.live")


class Watcher(Protocol):
    """Hears what is told of one workspace, or of all."""

    workspace_id: str | None
    """`None` hears of all."""

    def hear(self, told: News) -> None:
        """Take it in, at once: the feed waits for nobody."""
        ...


class Feed:
    """Reads each event once and gives it to everybody it concerns, in order."""

    def __init__(self, db: Database, guards: Guards) -> None:
        self._db = db
        self._guards = guards
        self._watchers: dict[str | None, set[Watcher]] = defaultdict(set)
        self._position = 0
        self._news = asyncio.Event()
        self._moving = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._pace = db.wakeups.pace(LOOK_SECONDS, SELDOM_SECONDS)
        db.wakeups.on(TOLD, self.wake)

    @property
    def position(self) -> int:
        """The id of the newest event that was given out."""
        return self._position

    def wake(self, _key: str = "") -> None:
        """Look now."""
        self._news.set()

    async def join(self, watcher: Watcher) -> int:
        """Hear everything after the position that is returned; what came before it is in the database."""
        async with self._moving:
            if self._task is None or self._task.done():
                self._position = (await self._db.read(queries.head)).last
                self._task = asyncio.create_task(self._loop(), name="live:feed")
            self._watchers[watcher.workspace_id].add(watcher)
            return self._position

    def leave(self, watcher: Watcher) -> None:
        """Hear nothing more."""
        heard = self._watchers.get(watcher.workspace_id)
        if heard is not None:
            heard.discard(watcher)
            if not heard:
                del self._watchers[watcher.workspace_id]

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        while self._watchers:
            self._news.clear()
            try:
                while await self._move():
                    pass
            except Unavailable as error:
                log.warning("streams wait for the database", error=error.detail)
            except Exception:
                log.exception("the reader of events stumbled and goes on")
            await _either(self._news, self._pace())

    async def _move(self) -> bool:
        """Give out one batch; whether it was a full one."""
        async with self._moving:
            position = self._position
            rows = await self._db.read(lambda session: queries.after(session, position, BATCH))
            told = [each for row in rows if (each := news(row)) is not None]
            concerned = {each.workspace_id for each in told if self._concerns(each)}
            if concerned:
                await self._guards.renew(concerned)
            for each in told:
                for watcher in (*self._watchers.get(each.workspace_id, ()), *self._watchers.get(None, ())):
                    watcher.hear(each)
            if rows:
                self._position = rows[-1].id
            return len(rows) == BATCH

    def _concerns(self, told: News) -> bool:
        return None in self._watchers or told.workspace_id in self._watchers


async def _either(woken: asyncio.Event, seconds: float) -> None:
    """Wait until woken, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return
