"""Counting attempts, in memory: so many in so long, then a pause. Each process counts for itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final

from terrapod_core.clock import Clock
from terrapod_core.errors import TooManyRequests

MOST_KEYS: Final = 20_000
"""The least recently seen are forgotten beyond this, so that nobody fills the memory with names."""


class Throttle:
    """At most `limit` attempts a key within `window`. An attempt is charged before it is made, so that many at once count too."""

    def __init__(self, clock: Clock, *, limit: int, window: timedelta, sentence: str) -> None:
        self._clock = clock
        self._limit = limit
        self._window = window
        self._sentence = sentence
        self._attempts: OrderedDict[str, deque[datetime]] = OrderedDict()

    def charge(self, key: str) -> int:
        """Count one attempt and say how many there are now; raises `TooManyRequests` when there were enough already."""
        now = self._clock.now()
        attempts = self._attempts.setdefault(key, deque())
        self._attempts.move_to_end(key)
        while attempts and attempts[0] <= now - self._window:
            attempts.popleft()
        if len(attempts) >= self._limit:
            wait = attempts[0] + self._window - now
            raise TooManyRequests(self._sentence, retry_after=max(1, int(wait.total_seconds()) + 1))
        attempts.append(now)
        while len(self._attempts) > MOST_KEYS:
            self._attempts.popitem(last=False)
        return len(attempts)

    def refund(self, key: str) -> None:
        """Take the latest attempt back: it was no failure."""
        attempts = self._attempts.get(key)
        if attempts:
            attempts.pop()

    def clear(self, key: str) -> None:
        """Forget all attempts: somebody proved to be the right one."""
        self._attempts.pop(key, None)
