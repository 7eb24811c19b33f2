"""Connections on their way back to the pool.

A client that vanishes cancels its handler, and a connection must not go back half-used. So giving it back goes on behind the
back of whoever was cancelled, and whoever closes the database waits for it: a pool that is gone would drop it unclosed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class Leaving:
    """The work of giving connections back that has not ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait_for(self, work: Coroutine[None, None, None]) -> None:
        """Do the work to its end, also when the caller is cancelled meanwhile."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def all(self) -> None:
        """Wait until nothing is on its way; what failed has told its own caller."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
