"""The gauges that come from the database: asked in one go, and not for every scrape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from sqlalchemy.orm import Session

from terrapod_core.agents import counts as agents_counts
from terrapod_core.audit.sealer import waiting as audit_waiting
from terrapod_core.db import Database
from terrapod_core.errors import TerrapodError
from terrapod_core.jobs import counts as jobs_counts
from terrapod_core.metrics.definitions import AUDIT_OLDEST, AUDIT_UNSEALED, READ, VCS_FAILING, Sample
from terrapod_core.mirrors import counts as mirrors_counts
from terrapod_core.runs import counts as runs_counts
from terrapod_core.runs.takes import busy_listeners
from terrapod_core.vcs import queries as vcs_queries

EVERY_SECONDS: Final = 10.0
"""How old what is told may be: any number of scrapes costs one look in this time."""

WAIT_SECONDS: Final = 2.0
"""A database that takes longer is told as one that does not answer."""

log = structlog.get_logger("terrapod.metrics")


class Readings:
    """What the database said last."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._told: Sequence[Sample] = ()
        self._until = float("-inf")

    async def now(self) -> Sequence[Sample]:
        """The samples; when the database does not answer only that it does not. Whoever asks meanwhile waits for the same."""
        async with self._lock:
            if self._monotonic() >= self._until:
                self._told = await self._ask()
                self._until = self._monotonic() + EVERY_SECONDS
        return self._told

    async def _ask(self) -> Sequence[Sample]:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return [(READ, (), 1.0), *await self._db.read(self._look)]
        except (TerrapodError, TimeoutError) as error:
            log.warning("the metrics lack what the database knows", error=str(error))
        except Exception:
            # Whatever a driver raises in an outage: what this process counted itself is still worth telling.
            log.exception("the metrics lack what the database knows")
        return [(READ, (), 0.0)]

    def _look(self, session: Session) -> list[Sample]:
        now = self._db.clock.now()
        unsealed = audit_waiting(session)
        return [
            *runs_counts.samples(session, now),
            *jobs_counts.samples(session, now),
            *mirrors_counts.samples(session),
            (VCS_FAILING, (), float(vcs_queries.failing(session))),
            *agents_counts.samples(session, now, busy_listeners()),
            (AUDIT_UNSEALED, (), float(unsealed.count)),
            (AUDIT_OLDEST, (), (now - (unsealed.oldest or now)).total_seconds()),
        ]
