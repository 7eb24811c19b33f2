"""Caches that stay as large as they may be, and hold nothing that nobody wants: the longest unused goes first.

Bytes go; rows, digests and signatures stay, so that what is fetched again must be what it was. Never evicted is

* what a run holds: whatever was used since the oldest phase that runs now began;
* what may not come again: packages that nobody signed (a forge makes the archive of a tag anew, perhaps with other bytes, and those would
  be refused for ever), packages of sources that no plugin here serves, and everything while the server is sealed.

Why the first is certain. Who is given a package has its row say so within `TOUCHED`, before a byte is given (`filling`). So a package that
a phase used has in its row a moment no earlier than the phase's beginning, less `TOUCHED` and what servers' clocks differ by. Eviction
locks the row, looks at it again, and asks in the same transaction which phases run. Whoever comes for the package at that moment waits
for the lock, and then finds that it is gone, and fetches it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.metrics.definitions import MIRROR_EVICTED, MIRROR_EVICTIONS
from terrapod_core.mirrors.filling import TOUCHED
from terrapod_core.mirrors.models import MirrorPackage, MirrorRelease, kind_of, source_of
from terrapod_core.mirrors.upstreams import Upstreams
from terrapod_core.plugin import Source
from terrapod_core.settings import Mirrors
from terrapod_core.storage.discards import discard

CLOCKS: Final = timedelta(minutes=5)
"""What the clocks of servers may differ by."""
HELD: Final = TOUCHED + CLOCKS
EVERY: Final = timedelta(minutes=5)
BATCH: Final = 100

OldestPhase = Callable[[Session], datetime | None]
"""When the oldest of the phases began that runners have now; `None` when none runs."""

log = structlog.get_logger("terrapod.mirrors")


@dataclass(frozen=True)
class _Candidate:
    id: str
    source: Source
    last_used_at: datetime


class Care:
    """Looks by the clock, on one server at a time."""

    def __init__(self, db: Database, upstreams: Upstreams, settings: Mirrors, oldest_phase: OldestPhase) -> None:
        self._db = db
        self._upstreams = upstreams
        self._settings = settings
        self._oldest_phase = oldest_phase

    async def tidy(self) -> None:
        """Evict what is unused for too long, and then what is too much."""
        if self._upstreams.sealed:
            return
        if self._settings.unused_days is not None:
            await self._evict("age", self._db.clock.now() - timedelta(days=self._settings.unused_days), None)
        if self._settings.cache_bytes is not None:
            over = await self._db.read(size) - self._settings.cache_bytes
            if over > 0:
                await self._evict("size", None, over)

    async def _evict(self, why: str, before: datetime | None, enough: int | None) -> None:
        """Evict what was used last `before` (`None`: whatever is not held), the longest unused first, until `enough` bytes are gone."""
        after: tuple[datetime, str] | None = None
        limit = await self._db.read(self._limit)
        before = min(before, limit) if before is not None else limit
        while enough is None or enough > 0:
            page = await self._db.read(lambda session, after=after: _candidates(session, before, after))  # type: ignore[misc]
            for each in page:
                if enough is not None and enough <= 0:
                    return
                if self._comes_again(each.source):
                    gone = await self._let_go(each, before, why)
                    enough = enough - gone if enough is not None else None
            if len(page) < BATCH:
                return
            after = page[-1].last_used_at, page[-1].id

    def _comes_again(self, source: Source) -> bool:
        try:
            self._upstreams.of(source)
        except NotFound:
            return False
        return True

    async def _let_go(self, candidate: _Candidate, before: datetime, why: str) -> int:
        """Bytes that are gone: none for what is held."""
        async with self._db.uow() as uow:
            row = await uow.run(lambda session: session.get(MirrorPackage, candidate.id, with_for_update=True))
            limit = await uow.run(self._limit)
            if row is None or row.object_key is None or row.last_used_at >= min(limit, before):
                return 0
            discard(uow, [row.object_key])
            row.object_key = None
            await uow.commit()
        kind, gone = kind_of(candidate.source), row.size or 0
        MIRROR_EVICTIONS.labels(kind, why).inc()
        MIRROR_EVICTED.labels(kind).inc(gone)
        log.info("a package was evicted", package=row.filename, source=str(candidate.source), bytes=gone, because=why)
        return gone

    def _limit(self, session: Session) -> datetime:
        """What was used since is held."""
        now = self._db.clock.now()
        return min(self._oldest_phase(session) or now, now) - HELD


def size(session: Session) -> int:
    """Bytes of all packages that are here."""
    return session.execute(select(func.sum(MirrorPackage.size)).where(MirrorPackage.object_key.is_not(None))).scalar_one() or 0


def _candidates(session: Session, before: datetime, after: tuple[datetime, str] | None) -> Sequence[_Candidate]:
    """Signed packages that are here, the longest unused first."""
    query: Select[str, str, datetime] = (
        select(MirrorPackage.id, MirrorRelease.source, MirrorPackage.last_used_at)
        .join(MirrorRelease, MirrorRelease.id == MirrorPackage.release_id)
        .where(MirrorPackage.object_key.is_not(None), MirrorRelease.sums.is_not(None), MirrorPackage.last_used_at < before)
        .order_by(MirrorPackage.last_used_at, MirrorPackage.id)
        .limit(BATCH)
    )
    if after is not None:
        moment, last = after
        query = query.where((MirrorPackage.last_used_at > moment) | ((MirrorPackage.last_used_at == moment) & (MirrorPackage.id > last)))
    return [_Candidate(row_id, source_of(source), used) for row_id, source, used in session.execute(query)]
