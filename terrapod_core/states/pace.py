"""How busy this process is with taking states, and how often terraform is therefore asked to save what it has so far.

A local apply saves a snapshot every so often (`X-Terraform-Snapshot-Interval`, terraform: internal/cloud/state.go). When many do at once,
or when a snapshot takes long, they are asked to do it less often, so that what they all send stays what the server can take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LEAST_SECONDS: Final = 20
"""terraform's own least spacing."""

MOST_SECONDS: Final = 600
"""It takes up to an hour; what a crash of it may cost is worth more than that."""

REMEMBERED_SECONDS: Final = 60.0


class Pace:
    """How many states were being taken at once, over the last minute; what is longer ago counts less and less."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._now = 0
        self._average = 0.0
        self._since = monotonic()

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Around the taking of one state."""
        self._move()
        self._now += 1
        try:
            yield
        finally:
            self._move()
            self._now -= 1

    @property
    def snapshot_seconds(self) -> int:
        """How often a snapshot may come from each of those who apply now."""
        self._move()
        return min(MOST_SECONDS, math.ceil(LEAST_SECONDS * max(1.0, self._average)))

    def _move(self) -> None:
        now = self._monotonic()
        weight = math.exp((self._since - now) / REMEMBERED_SECONDS)
        self._average = self._average * weight + self._now * (1 - weight)
        self._since = now
