"""The loop of background work that looks again and again: woken when there is news, and by the clock should a wake-up be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from terrapod_core.errors import Unavailable

log = structlog.get_logger("terrapod.jobs")


class Looking:
    """Calls `look` at once, whenever it is woken, and at the latest `seconds()` after the last look ended, until stopped.

    A look that fails is logged and does not end the loop.
    """

    def __init__(self, name: str, seconds: Callable[[], float], look: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._seconds = seconds
        self._look = look
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self, _key: str = "") -> None:
        """Look now."""
        self._wake.set()

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._task = asyncio.create_task(self._loop(), name=self._name)

    async def stop(self) -> None:
        """Look no longer; a look that is under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Unavailable as error:
                log.warning("background work waits for the database", work=self._name, error=error.detail)
            except Exception:
                log.exception("background work stumbled and goes on", work=self._name)
            # Not `wait_for`: that of Python 3.11 swallows a cancel that comes together with a wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds()):
                    await self._wake.wait()
