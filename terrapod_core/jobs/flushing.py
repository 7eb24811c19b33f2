"""The loop of what is kept in memory and written by the clock: counts that are worth no transaction of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from terrapod_core.errors import Unavailable

log = structlog.get_logger("terrapod.jobs")


class Flushing:
    """Calls `flush` every `seconds` after the last ended, until stopped, and `last` once more then: what is not written then is lost.

    A flush that fails is logged and tried again; whoever gave it keeps what it could not write.
    """

    def __init__(
        self, name: str, seconds: float, flush: Callable[[], Awaitable[object]], last: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """`last` is `flush` where nothing is said of it."""
        self._name = name
        self._seconds = seconds
        self._flush = flush
        self._last = last or flush
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin to write by the clock; returns at once."""
        self._task = asyncio.create_task(self._loop(), name=self._name)

    async def stop(self) -> None:
        """Write what there is, and no more; also where nothing was started. Raises what `last` raises, but for `Unavailable`."""
        self._stopping.set()
        if self._task is not None:
            # Not cancelled: a commit that was cut off may have happened, and then the same would be written twice.
            await self._task
            self._task = None
        try:
            await self._last()
        except Unavailable:
            log.warning("what was counted is lost: the database is away", work=self._name)

    async def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), self._seconds)
            except TimeoutError:
                await self._try()

    async def _try(self) -> None:
        try:
            await self._flush()
        except Unavailable as error:
            log.warning("what was counted waits for the database", work=self._name, error=error.detail)
        except Exception:
            log.exception("what was counted could not be written and is tried again", work=self._name)
