"""Whose worker is gone: claims that did not change while this process looked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

CLAIM_SECONDS: Final = 20.0
"""A worker that was not heard for this long is taken for dead, and its jobs are given to another."""

DEAF_SECONDS: Final = 10.0
"""With a longer pause between two looks this process, or its database, was away: nobody could be heard, so nobody is lost."""


@dataclass(frozen=True)
class Claim:
    """A job as a worker has it: which attempt it is, and what its last renewal wrote."""

    job_id: str
    attempts: int
    claimed_until: datetime | None


class Claims:
    """The claims of all processes, and since when this one has seen each as it is.

    Its own text says when a claim ends by the clock of whichever server wrote it; one that does not change for a whole period
    is over by any clock. `monotonic` tells seconds that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[Claim, float] = {}
        self._looked = monotonic()

    def lost(self, seen: Sequence[Claim]) -> list[Claim]:
        """Those among all the claims there are now, just read, that are over."""
        now = self._monotonic()
        if now - self._looked > DEAF_SECONDS:
            self._since.clear()
        self._looked = now
        self._since = {claim: self._since.get(claim, now) for claim in seen}
        return [claim for claim, since in self._since.items() if now - since >= CLAIM_SECONDS]
