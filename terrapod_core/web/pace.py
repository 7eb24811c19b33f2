"""How slowly a client may send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

GRACE_SECONDS: Final = 10.0
"""May pass in waiting before anything is asked: a network that changes, a laptop that wakes up."""

BYTES_A_SECOND: Final = 1024


class Pace:
    """Counts the time spent waiting for one client's body. The time that we need ourselves, for a slow disk, is not the client's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waited = 0.0
        self._bytes = 0

    def left(self) -> float:
        """Seconds that may pass until the next piece."""
        return max(0.0, GRACE_SECONDS + self._bytes / BYTES_A_SECOND - self._waited)

    def came(self, size: int) -> None:
        """A piece of so many bytes is there."""
        self._bytes += size

    async def wait(self, piece: Awaitable[T]) -> T:
        """The next piece; raises `TimeoutError` when it does not come in time."""
        begun = self._clock()
        try:
            async with asyncio.timeout(self.left()):
                return await piece
        finally:
            self._waited += self._clock() - begun
