"""Counts of what the caches give: kept in memory, and written with all others some seconds later.

When a package was used last is written more exactly than that where it matters: see `filling.TOUCHED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, case, update

from terrapod_core.db import Database
from terrapod_core.jobs.flushing import Flushing
from terrapod_core.metrics.definitions import MIRROR_REQUESTS, MIRROR_SERVED
from terrapod_core.mirrors.models import MirrorPackage, kind_of
from terrapod_core.plugin import Source

WRITE_SECONDS: Final = 3.0


@dataclass
class _Count:
    hits: int
    misses: int
    last_at: datetime


class Uses:
    """Counts in this process; `start` sees to it that they are written, `stop` writes the last ones."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: dict[str, _Count] = {}
        self._flushing = Flushing("mirrors:uses", WRITE_SECONDS, self.flush)
        self.start, self.stop = self._flushing.start, self._flushing.stop

    def count(self, source: Source, package: MirrorPackage) -> None:
        """A package is given to somebody; whether it is here, its row says."""
        hit = package.object_key is not None
        MIRROR_REQUESTS.labels(kind_of(source), "hit" if hit else "miss").inc()
        if hit:
            MIRROR_SERVED.labels(kind_of(source)).inc(package.size or 0)
        self._add(package.id, _Count(int(hit), int(not hit), self._db.clock.now()))

    async def flush(self) -> None:
        """Write what was counted. Raises `Unavailable`, and then forgets nothing."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        table = MirrorPackage.__table__.c
        last = case((table.last_used_at < bindparam("now"), bindparam("now")), else_=table.last_used_at)
        add = update(MirrorPackage.__table__).where(table.id == bindparam("its_id"))  # type: ignore[arg-type]
        add = add.values(uses=table.uses + bindparam("hits"), misses=table.misses + bindparam("more"), last_used_at=last)
        rows = [{"its_id": each, "hits": count.hits, "more": count.misses, "now": count.last_at} for each, count in sorted(counts.items())]
        try:
            async with self._db.uow() as uow:
                await uow.run(lambda session: session.connection().execute(add, rows))
                await uow.commit()
        except BaseException:
            for each, count in counts.items():
                self._add(each, count)
            raise

    def _add(self, package_id: str, more: _Count) -> None:
        there = self._counts.setdefault(package_id, _Count(0, 0, more.last_at))
        there.hits += more.hits
        there.misses += more.misses
        there.last_at = max(there.last_at, more.last_at)
