"""Retention: what is older than `audit.keep_days` moves, sealed and signed, from the table to the object store.

The object is stored and read back before anything is deleted; the row that names it and the deletion are one transaction. A crash
before that leaves an object that nobody names, a crash after it nothing undone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from terrapod_core.audit.chain import beginning, link_hash
from terrapod_core.audit.models import AuditArchive, AuditCheckpoint, AuditEntry, AuditSegment
from terrapod_core.audit.record import record
from terrapod_core.audit.sealer import alone
from terrapod_core.audit.walk import Broken, lines_of, read_archive, walk
from terrapod_core.authz import SYSTEM
from terrapod_core.db import Database
from terrapod_core.storage import ObjectKind, Objects, Stored
from terrapod_core.storage.claims import Claim, Claims

EVERY: Final = timedelta(hours=1)
"""How often to look. Seldom enough to cost nothing, often enough for a server that is restarted every day."""

RANGE: Final = 10_000
"""Entries of one archive: their deletion is one transaction, and SQLite's other writers wait for it."""

log = structlog.get_logger("terrapod.audit")


@dataclass(frozen=True)
class Range:
    """What is to be archived next."""

    first: int
    last: int
    previous_hash: str
    last_hash: str


class Archiver:
    """Moves old entries away, a range at a time. Without `keep` nothing is ever moved."""

    def __init__(self, db: Database, objects: Objects, keep: timedelta | None) -> None:
        self._db = db
        self._objects = objects
        self._claims = Claims(objects)
        self._keep = keep

    async def run(self) -> None:
        """Archive all that is old enough. A range whose chain is broken stays where it is: it is evidence."""
        if self._keep is None:
            return
        before = self._db.clock.now() - self._keep
        try:
            while (found := await self._db.read(lambda session: _next_range(session, before))) is not None:
                if not await self._archive(found):
                    return
        except Broken as broken:
            log.error("audit entries are not archived: the chain is broken", problem=str(broken))

    async def _archive(self, found: Range) -> bool:
        object_id = f"audit-{found.first}-{found.last}"
        stored = await self._objects.put(ObjectKind.AUDIT, object_id, self._lines(found), limit=None)
        archive = AuditArchive(
            first_seal_no=found.first,
            last_seal_no=found.last,
            count=found.last - found.first + 1,
            previous_hash=found.previous_hash,
            last_hash=found.last_hash,
            object_id=object_id,
            object_key=stored.key,
            size=stored.size,
            sha256=stored.sha256,
            created_at=self._db.clock.now(),
        )
        return await self._claims.settle(stored, lambda claim: self._take_over(claim, archive, stored))

    async def _take_over(self, claim: Claim, archive: AuditArchive, stored: Stored) -> bool:
        """Name the object and delete what it holds; `False` when another process was faster."""
        async with aclosing(read_archive(self._objects, archive)) as pages:
            async for _page in pages:
                pass
        async with self._db.uow() as uow:
            await alone(uow, wait=True)
            if await uow.run(_archived_up_to) != archive.first_seal_no - 1:
                return False
            uow.add(archive)
            await uow.flush()
            numbers = AuditEntry.seal_no.between(archive.first_seal_no, archive.last_seal_no)
            await uow.session.execute(delete(AuditEntry).where(numbers).execution_options(synchronize_session=False))
            detail = {"first": archive.first_seal_no, "last": archive.last_seal_no, "sha256": stored.sha256}
            record(uow, SYSTEM, "audit-log.archive", "audit-archives", archive.object_id, **detail)
            claim.make()
            await uow.commit()
        log.info("audit entries archived", first=archive.first_seal_no, last=archive.last_seal_no, object=stored.key)
        return True

    async def _lines(self, found: Range) -> AsyncIterator[bytes]:
        """The range as JSON lines; each is checked against the chain on its way."""
        previous = found.previous_hash
        begun = await self._db.read(lambda session: {each.first_seal_no: beginning(each) for each in session.scalars(select(AuditSegment))})
        async with aclosing(walk(self._db, self._objects, found.first)) as pages:
            async for page in pages:
                wanted = [link for link in page if link.seal_no <= found.last]
                for link in wanted:
                    previous = begun.get(link.seal_no, previous)
                    if link_hash(link, previous, link.seal_no) != link.hash:
                        raise Broken(f"number {link.seal_no} ({link.id}) is not what was sealed")
                    previous = link.hash
                yield lines_of(wanted)
                if not wanted or wanted[-1].seal_no == found.last:
                    break
        if previous != found.last_hash:
            raise Broken(f"the checkpoint at number {found.last} signs another entry")


def _archived_up_to(session: Session) -> int:
    return session.execute(select(func.coalesce(func.max(AuditArchive.last_seal_no), 0))).scalar_one()


def _next_range(session: Session, before: datetime) -> Range | None:
    """From the first entry that is not archived to a checkpoint made `before`: what it signs was written earlier still."""
    archived = session.execute(select(AuditArchive).order_by(AuditArchive.last_seal_no.desc()).limit(1)).scalar_one_or_none()
    done = archived.last_seal_no if archived is not None else 0
    old = select(AuditCheckpoint).where(AuditCheckpoint.seal_no > done, AuditCheckpoint.at < before)
    within = old.where(AuditCheckpoint.seal_no <= done + RANGE).order_by(AuditCheckpoint.seal_no.desc()).limit(1)
    last = session.execute(within).scalar_one_or_none()
    if last is None:
        return None
    return Range(done + 1, last.seal_no, archived.last_hash if archived is not None else "", last.hash)
