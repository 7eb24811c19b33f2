"""The newest text of logs that grow, in memory: whoever reads at the end of one costs no read of the database.

A log only ever grows, so what is remembered of it stays true; how long it is, the phase's row says. What this process appends
comes here with the commit. For what another appends it is woken: it says whose logs are followed here, and whoever appends to one
of those wakes it with the commit. The text does not travel that way, it is sealed in the database; one query asks for the sizes of
all logs that somebody follows, and each new piece is read once however many follow it. While others are not heard it looks four
times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.coordination import LOGS, READERS
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import TerrapodError
from terrapod_core.plugin.coordination import Wakeup
from terrapod_core.runs.models import Phase

LOOK_SECONDS: Final = 0.25
SELDOM_SECONDS: Final = 1.0
"""While all others are heard."""

FRESH_SECONDS: Final = 1.0
"""So long others may not have heard yet that somebody follows."""

SAY_SECONDS: Final = 10.0
"""How often it is said whose logs are followed here."""

WANTED_SECONDS: Final = 25.0
"""For so long it is believed that another still follows."""

AGAIN_SECONDS: Final = 2.0
"""After a look that failed."""

KEPT_BYTES: Final = 256 * 1024
"""Of one log."""

MOST_UNFOLLOWED: Final = 64
"""Logs that are remembered although nobody follows them: terraform's own reader asks for them again and again."""

ReadStored = Callable[[str, int, int], Awaitable[bytes]]
"""Reads at most so many bytes of a phase's log from an offset, from where they are stored."""

Wake = Callable[[], None]

log = structlog.get_logger("terrapod.runs")


class Tail:
    """The end of one log, as far as this process knows."""

    def __init__(self, end: int) -> None:
        self._start = end
        self._kept = bytearray()
        self.is_whole = False
        """Whether the log has ended, so that nothing follows `end`."""
        self.followers: set[Wake] = set()

    @property
    def end(self) -> int:
        """Bytes of the log that are known to be there."""
        return self._start + len(self._kept)

    def grow(self, start: int, data: bytes) -> None:
        """The log goes on at `start`; what does not follow on what is known takes its place."""
        if start + len(data) <= self.end:
            return
        if start > self.end:
            self._start, self._kept = start, bytearray()
        self._kept += data[self.end - start :]
        surplus = len(self._kept) - KEPT_BYTES
        if surplus > 0:
            del self._kept[:surplus]
            self._start += surplus

    def cut(self, start: int, end: int) -> bytes | None:
        """These bytes; `None` when not all of them are remembered."""
        if start < self._start or end > self.end:
            return None
        return bytes(self._kept[start - self._start : end - self._start])


class Tails:
    """The tails of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tails: OrderedDict[str, Tail] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._pace = db.wakeups.pace(LOOK_SECONDS, SELDOM_SECONDS)
        self._fresh_until = self._say_at = 0.0
        self._wanted: dict[str, float] = {}
        db.wakeups.on(LOGS, self._grown_elsewhere)
        db.wakeups.on(READERS, self._followed_elsewhere)

    def grows(self, uow: UnitOfWork, phase_id: str) -> None:
        """This process is about to append to a log: others who follow it look after the commit."""
        if self._wanted.get(phase_id, 0.0) > _now():
            uow.wake(LOGS, phase_id, here=False)

    def grown(self, phase_id: str, start: int, data: bytes, *, is_whole: bool = False) -> None:
        """This process has appended to a log."""
        tail = self._tails.get(phase_id)
        if tail is None:
            tail = self._tails[phase_id] = Tail(start)
        self._tails.move_to_end(phase_id)
        self._forget_oldest()
        tail.grow(start, data)
        self._tell(tail, is_whole=is_whole)

    def cut(self, phase_id: str, start: int, end: int) -> bytes | None:
        """These bytes of a log; `None` when not all of them are remembered."""
        tail = self._tails.get(phase_id)
        return tail.cut(start, end) if tail is not None else None

    def follow(self, phase_id: str, end: int, wake: Wake, read: ReadStored) -> Tail:
        """Call `wake` when the log grows or ends; `end` is how long it was a moment ago, `read` is for what others append."""
        tail = self._tails.setdefault(phase_id, Tail(end))
        if not tail.followers:
            self._fresh_until = _now() + FRESH_SECONDS
            self._db.wakeups.tell(Wakeup(READERS, phase_id))
        tail.followers.add(wake)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._loop(read), name="runs:tails")
        return tail

    def leave(self, phase_id: str, wake: Wake) -> None:
        """Follow it no more."""
        tail = self._tails.get(phase_id)
        if tail is not None:
            tail.followers.discard(wake)
            self._forget_oldest()

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- what other processes append

    async def _loop(self, read: ReadStored) -> None:
        while followed := {phase_id: tail for phase_id, tail in self._tails.items() if tail.followers and not tail.is_whole}:
            self._news.clear()
            self._say(followed)
            pause = AGAIN_SECONDS
            try:
                await self._look(followed, read)
                pause = LOOK_SECONDS if _now() < self._fresh_until else self._pace()
            except TerrapodError as error:
                log.warning("logs that are followed wait", error=error.detail)
            except Exception:
                log.exception("the reader of logs stumbled and goes on")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    def _say(self, followed: Iterable[str]) -> None:
        """Say whose logs are followed here, now and then."""
        if _now() >= self._say_at:
            self._say_at = _now() + SAY_SECONDS
            self._db.wakeups.tell(*(Wakeup(READERS, each) for each in followed))

    def _grown_elsewhere(self, phase_id: str) -> None:
        tail = self._tails.get(phase_id)
        if not phase_id or (tail is not None and tail.followers):
            self._news.set()

    def _followed_elsewhere(self, phase_id: str) -> None:
        now = _now()
        if phase_id:
            self._wanted = {each: until for each, until in self._wanted.items() if until > now} | {phase_id: now + WANTED_SECONDS}
        else:
            self._say_at = 0.0  # others may have missed it, too

    async def _look(self, followed: dict[str, Tail], read: ReadStored) -> None:
        sizes = await self._db.read(lambda session: _sizes(session, list(followed)))
        for phase_id, tail in followed.items():
            size, is_whole = sizes.get(phase_id, (tail.end, True))  # a phase that is gone says no more
            while tail.end < size:
                start = max(tail.end, size - KEPT_BYTES)
                piece = await read(phase_id, start, size - start)
                if not piece:
                    break
                tail.grow(start, piece)
                self._tell(tail)
            if is_whole and tail.end >= size:
                self._tell(tail, is_whole=True)

    def _tell(self, tail: Tail, *, is_whole: bool = False) -> None:
        tail.is_whole = tail.is_whole or is_whole
        for wake in tail.followers:
            wake()

    def _forget_oldest(self) -> None:
        unfollowed = [phase_id for phase_id, tail in self._tails.items() if not tail.followers]
        for phase_id in unfollowed[: max(0, len(unfollowed) - MOST_UNFOLLOWED)]:
            del self._tails[phase_id]


def _now() -> float:
    return time.monotonic()


def _sizes(session: Session, phase_ids: list[str]) -> dict[str, tuple[int, bool]]:
    """Length, and whether it has ended, of each log."""
    query = select(Phase.id, Phase.log_size, Phase.finished_at).where(Phase.id.in_(phase_ids))
    return {row[0]: (row[1], row[2] is not None) for row in session.execute(query)}
