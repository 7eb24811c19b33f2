"""Work that a loop has begun and does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import structlog

SHORTEST: Final = 0.05
"""Seconds that a loop sleeps at least, though something is due: it may be that somebody else has just taken it."""

log = structlog.get_logger("terrapod.jobs")


class BackgroundTasks:
    """Tasks of one kind. Each that ends wakes the loop; one that ends in a fault is logged, and left to be found again by its row."""

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it; returns at once."""
        task = asyncio.create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Cancel all of it."""
        for task in self._tasks:
            task.cancel()
        await self.ended()

    async def ended(self) -> None:
        """Return when all that has begun so far has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work stumbled and is taken up again", work=self._name, exc_info=task.exception())
        self._wake()


def sleep_until(moment: datetime | None, now: datetime, longest: float) -> float:
    """Seconds that a loop may sleep until then; `None` is for nothing that is due."""
    return longest if moment is None else min(longest, max(SHORTEST, (moment - now).total_seconds()))
