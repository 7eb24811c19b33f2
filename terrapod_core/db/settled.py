"""Exact totals of long histories that need not be counted again and again.

What is older than an hour in such a history stays as it is: nothing is put between it, and nothing is taken from it but with the
whole. So that part is counted once and remembered; each request counts what came since, which is little.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

SETTLES: Final = timedelta(hours=1)
"""Clocks of servers differ by much less, and no transaction takes as long."""

LIVELY: Final = 500
"""So many rows that came since, and the part that is remembered is made longer."""

MOST: Final = 10_000
"""Remembered in all."""

Count: TypeAlias = Callable[[datetime | None, datetime | None], int]
"""How many there are from one moment on, and before another; `None` is no bound."""


class SettledCounts:
    """Remembered counts by what they are of. Used from the threads that read."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, tuple[datetime, int]] = OrderedDict()
        self._lock = threading.Lock()

    def total(self, key: Hashable, until: datetime, count: Count) -> int:
        """How many there are. What is before `until` is settled: the caller knows it is, and `until` is at least an hour ago.

        `key` names everything that the count depends on beside time.
        """
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None:
            return self._anew(key, until, count)
        since, number = known
        lately = count(since, None)
        if lately > LIVELY and until > since:
            return self._anew(key, until, count)
        return number + lately

    def _anew(self, key: Hashable, until: datetime, count: Count) -> int:
        number = count(None, until)
        with self._lock:
            self._known[key] = (until, number)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return number + count(until, None)
