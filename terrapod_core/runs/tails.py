"""The newest text of logs that grow, in memory: whoever reads at the end of one costs no read of the database.

A log only ever grows, so what is remembered of it stays true; how long it is, the phase's row says. What this process appends
comes here with the commit. What another appends is looked for four times a second, in one query for all logs that somebody
follows, and each new piece is read once however many follow it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import TerrapodError
from terrapod_core.runs.models import Phase

LOOK_SECONDS: Final = 0.25
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
            pause = AGAIN_SECONDS
            try:
                await self._look(followed, read)
                pause = LOOK_SECONDS
            except TerrapodError as error:
                log.warning("logs that are followed wait", error=error.detail)
            except Exception:
                log.exception("the reader of logs stumbled and goes on")
            await asyncio.sleep(pause)

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


def _sizes(session: Session, phase_ids: list[str]) -> dict[str, tuple[int, bool]]:
    """Length, and whether it has ended, of each log."""
    query = select(Phase.id, Phase.log_size, Phase.finished_at).where(Phase.id.in_(phase_ids))
    return {row[0]: (row[1], row[2] is not None) for row in session.execute(query)}
