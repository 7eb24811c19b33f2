"""Counts of downloads.

The link of an archive says who was given it (a token, or the workspace of a run), because whoever follows it shows nothing else, and is
counted when it is answered. Counting where links are given would count those that nobody follows: terraform asks for a link, and
then finds the archive in its cache. A count is kept in memory and written with all others some seconds later: downloads wait for no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Insert, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.jobs.flushing import Flushing
from terrapod_core.registry.uses.kinds import KINDS, Kind
from terrapod_core.registry.uses.models import By

WRITE_SECONDS: Final = 3.0

MOST: Final = 10_000
"""Versions and parties that are told apart while they wait to be written; beyond that new parties are counted as `By.OTHER`."""


@dataclass(frozen=True, order=True)
class _Key:
    version_id: str
    by: By
    by_id: str


@dataclass
class _Count:
    number: int
    last_at: datetime


class Downloads:
    """Counts in this process; `start` sees to it that counts are written, `stop` writes the last ones."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: dict[str, dict[_Key, _Count]] = {kind.noun: {} for kind in KINDS}
        self._flushing = Flushing("registry:downloads", WRITE_SECONDS, self.flush)

    def count(self, kind: Kind, version_id: str, subject: str) -> None:
        """A download has been answered; `subject` is what its link says."""
        counts = self._counts[kind.noun]
        key = _Key(version_id, By.OTHER, "")
        if subject and len(counts) < MOST:
            key = _Key(version_id, By.RUN if subject.startswith("ws-") else By.TOKEN, subject)
        self._add(counts, key, _Count(1, self._db.clock.now()))

    async def flush(self) -> None:
        """Write what was counted. Raises `Unavailable`, and then forgets nothing."""
        for kind in KINDS:
            counts, self._counts[kind.noun] = self._counts[kind.noun], {}
            if not counts:
                continue
            try:
                async with self._db.uow() as uow:
                    await uow.run(partial(_write, kind=kind, counts=counts, sqlite=self._db.is_sqlite))
                    await uow.commit()
            except BaseException:
                for key, count in counts.items():
                    self._add(self._counts[kind.noun], key, count)
                raise

    def start(self) -> None:
        """Begin to write by the clock; returns at once."""
        self._flushing.start()

    async def stop(self) -> None:
        """Write what was counted until now."""
        await self._flushing.stop()

    def _add(self, counts: dict[_Key, _Count], key: _Key, more: _Count) -> None:
        there = counts.setdefault(key, _Count(0, more.last_at))
        there.number += more.number
        there.last_at = max(there.last_at, more.last_at)


def _write(session: Session, *, kind: Kind, counts: Mapping[_Key, _Count], sqlite: bool) -> None:
    """Add the counts to those of versions that are still there, and to the totals on the versions' own rows.

    The items' rows are locked first, as by whoever deletes something of them: so no two transactions wait for each other.
    """
    version_ids = sorted({key.version_id for key in counts})
    items = select(kind.item_id).where(kind.version.id.in_(version_ids))
    session.execute(select(kind.item.id).where(kind.item.id.in_(items)).order_by(kind.item.id).with_for_update()).all()
    totals = dict.fromkeys(version_ids, 0)
    for key, count in counts.items():
        totals[key.version_id] += count.number
    connection = session.connection()
    version = kind.version.__table__.c
    add = update(kind.version.__table__).where(version.id == bindparam("its_version"))
    add = add.values(download_count=version.download_count + bindparam("more"))
    connection.execute(add, [{"its_version": each, "more": number} for each, number in totals.items()])
    rows: list[dict[str, Any]] = [
        {"its_version": key.version_id, "by_what": key.by.value, "by_whom": key.by_id, "more": count.number, "now": count.last_at}
        for key, count in sorted(counts.items(), key=lambda each: each[0])
    ]
    connection.execute(_upsert(kind, sqlite=sqlite), rows)


def _upsert(kind: Kind, *, sqlite: bool) -> Insert:
    table = kind.download.__table__
    source = select(
        kind.version.id,
        bindparam("by_what", type_=table.c.by.type),
        bindparam("by_whom", type_=table.c.by_id.type),
        bindparam("more", type_=table.c.count.type),
        bindparam("now", type_=table.c.last_at.type),
    ).where(kind.version.id == bindparam("its_version"))
    names = ["version_id", "by", "by_id", "count", "last_at"]
    insert = (sqlite_insert if sqlite else postgresql_insert)(table).from_select(names, source)
    more = {"count": table.c.count + insert.excluded.count, "last_at": insert.excluded.last_at}
    return insert.on_conflict_do_update(index_elements=names[:3], set_=more)
