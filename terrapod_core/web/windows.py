"""At most so many within any minute: for a contract that says it so, beside the buckets that everybody has."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from terrapod_core.metrics.definitions import RATE_LIMITED
from terrapod_core.web.rates import Allowance, Meter, RateLimited

SECONDS: Final = 60.0
MOST_KEYS: Final = 10_000


class Windows:
    """Remembers for each key when it asked within the last minute; no more of them than the limit.

    Each process knows what it was asked itself. With a meter, all servers together give a key at most so many at once and so many
    a minute after that; without one, each server has a window of its own.
    """

    def __init__(
        self, name: str, per_minute: int, meter: Meter | None = None, clock: Callable[[], float] = time.monotonic, *, most: int = MOST_KEYS
    ) -> None:
        self._allowance = Allowance(name, per_minute / SECONDS, per_minute, per_minute)
        self._meter = meter
        self._clock = clock
        self._most = most
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    async def take(self, key: str) -> None:
        """Count one; raises `RateLimited`, and then it does not count."""
        now, asked = self._clock(), self._asked.setdefault(key, deque())
        self._asked.move_to_end(key)
        while len(self._asked) > self._most:
            self._asked.popitem(last=False)
        while asked and asked[0] <= now - SECONDS:
            asked.popleft()
        wait = asked[0] + SECONDS - now if len(asked) >= self._allowance.burst else 0.0
        if not wait and self._meter is not None:
            wait = await self._meter.take(key, self._allowance)
        if wait:
            RATE_LIMITED.labels(self._allowance.name).inc()
            raise RateLimited(self._allowance, wait)
        asked.append(now)
