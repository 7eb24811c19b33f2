"""The one sealer: gives entries their numbers and hashes within about a second of their commit.

Chaining inside the change's own transaction would put every writer of the installation in one queue. The price of doing it
afterwards is said by `verify`: how many entries wait, and for how long.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from terrapod_core.audit.anchors import AnchorFile
from terrapod_core.audit.chain import COLUMNS, FORMAT, Link, beginning, link_hash
from terrapod_core.audit.checkpoints import EVENT, Checkpoint, CheckpointKeys
from terrapod_core.audit.models import AuditArchive, AuditCheckpoint, AuditEntry, AuditSegment
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict

EVERY: Final = timedelta(seconds=1)
BATCH: Final = 500
"""Entries of one transaction: some ten milliseconds for which SQLite's other writers wait."""

CHECKPOINT_ENTRIES: Final = 1000
CHECKPOINT_AFTER: Final = timedelta(minutes=10)
LOOK_AFTER: Final = timedelta(minutes=1)
"""How often to see whether a checkpoint is due although nothing waits."""

ANCHORED_AT_ONCE: Final = 1000
"""Checkpoints that are read at once for a file that is far behind: one that was just begun has to get all of them."""

LOCK: Final = 0x7365616C
"""PostgreSQL's advisory lock of whoever appends to the chain or archives from it: `seal` in ASCII."""

log = structlog.get_logger("terrapod.audit")


@dataclass(frozen=True)
class Head:
    """Where the chain ends."""

    segment: AuditSegment
    seal_no: int
    hash: str
    """What the next entry follows."""
    checkpoint: int
    """The number of the newest checkpoint; 0 when there is none."""
    checkpoint_at: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether a checkpoint is to be made: there is something new, and enough of it or enough time."""
        new = self.seal_no - self.checkpoint
        return new >= CHECKPOINT_ENTRIES or (new > 0 and now - self.checkpoint_at >= CHECKPOINT_AFTER)


class Sealer:
    """Seals what waits. Any number may run at once, in any number of processes: a lock of the database lets one at a time in."""

    def __init__(self, db: Database, keys: CheckpointKeys, anchor: AnchorFile | None = None) -> None:
        self._db = db
        self._keys = keys
        self._anchor = anchor
        self._anchored: int | None = None
        self._anchor_is_behind = anchor is not None
        self._anchor_at: datetime | None = None
        """When to try again after the file could not be written."""
        self._look_at: datetime | None = None

    async def run(self) -> None:
        """Seal everything that waits, in batches; make a checkpoint when one is due. With nothing to do, one small query."""
        while await self._is_wanted():
            if not await self._batch():
                break
        if self._anchor_is_behind and (self._anchor_at is None or self._db.clock.now() >= self._anchor_at):
            await self._catch_up()

    async def _is_wanted(self) -> bool:
        now = self._db.clock.now()
        if self._look_at is None or now >= self._look_at:
            return True
        return await self._db.read(lambda session: session.execute(_waiting(1)).first() is not None)

    async def _batch(self) -> bool:
        """Seal one batch; whether there may be more to do."""
        async with self._db.uow() as uow:
            if not await alone(uow, wait=False):
                return False  # somebody else seals
            head = await uow.run(find_head) or await _begin(uow)
            room = min(BATCH, CHECKPOINT_ENTRIES - (head.seal_no - head.checkpoint))
            links = await uow.run(lambda session: [Link.of(row) for row in session.execute(_waiting(room))])
            if links:
                head = await _append(uow, head, links)
            checkpoint = self._checkpoint(uow, head)
            if links or checkpoint is not None:
                await uow.commit()
        self._look_at = self._db.clock.now() + LOOK_AFTER
        if checkpoint is not None:
            self._tell(Checkpoint.of(checkpoint))
        return bool(links)

    def _checkpoint(self, uow: UnitOfWork, head: Head) -> AuditCheckpoint | None:
        now = uow.now()
        if not head.is_due(now):
            return None
        made = AuditCheckpoint(
            seal_no=head.seal_no,
            chain_id=head.segment.chain_id,
            segment=head.segment.segment,
            hash=head.hash,
            count=head.seal_no - head.checkpoint,
            at=now,
        )
        self._keys.sign(made)
        uow.add(made)
        return made

    def _tell(self, checkpoint: Checkpoint) -> None:
        log.info(EVENT, **msgspec.to_builtins(checkpoint))
        self._anchor_is_behind = self._anchor is not None

    async def _catch_up(self) -> None:
        """Bring the anchor file up to the newest checkpoint, also after a crash between the commit and the file."""
        assert self._anchor is not None
        head = await self._db.read(find_head)
        if head is None:
            return
        try:
            if self._anchored is None:
                self._anchored = await asyncio.to_thread(self._anchor.newest, head.segment.chain_id)
                if self._anchored > head.seal_no:
                    log.error("the audit chain ends below its anchor", head=head.seal_no, anchor=self._anchored)
            while found := await self._db.read(partial(_checkpoints_after, seal_no=self._anchored)):
                await asyncio.to_thread(self._anchor.append, found)
                self._anchored = found[-1].seal_no
        except OSError as error:
            log.error("a checkpoint could not be written to the anchor file", file=str(self._anchor.path), error=str(error))
            self._anchor_at = self._db.clock.now() + LOOK_AFTER
            return
        self._anchor_is_behind, self._anchor_at = False, None


async def alone(uow: UnitOfWork, *, wait: bool) -> bool:
    """Whether this transaction is the only one that touches the chain, until it ends. SQLite's writer is alone anyway."""
    dialect = uow.session.get_bind().dialect.name
    if dialect != "postgresql":
        return True
    if not wait:
        return bool(await uow.session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}))
    await uow.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    return True


def find_head(session: Session) -> Head | None:
    """The end of the chain; `None` before its first batch. Raises `Conflict` for a chain in a newer format."""
    segment = session.execute(select(AuditSegment).order_by(AuditSegment.segment.desc()).limit(1)).scalar_one_or_none()
    if segment is None:
        return None
    if segment.format != FORMAT:
        raise Conflict(f"the audit chain is in format {segment.format}; this version knows format {FORMAT} alone")
    last: Any = session.execute(
        select(AuditEntry.seal_no, AuditEntry.hash).where(AuditEntry.seal_no.is_not(None)).order_by(AuditEntry.seal_no.desc()).limit(1)
    ).first()
    if last is None:
        newest = select(AuditArchive.last_seal_no, AuditArchive.last_hash).order_by(AuditArchive.last_seal_no.desc()).limit(1)
        last = session.execute(newest).first()
    seal_no, found = (last[0], last[1]) if last is not None else (0, "")
    if seal_no < segment.first_seal_no:
        found = beginning(segment)
    checkpoint = session.execute(
        select(AuditCheckpoint.seal_no, AuditCheckpoint.at).order_by(AuditCheckpoint.seal_no.desc()).limit(1)
    ).first()
    return Head(segment, seal_no, found, checkpoint[0] if checkpoint else 0, checkpoint[1] if checkpoint else segment.started_at)


async def _begin(uow: UnitOfWork) -> Head:
    segment = AuditSegment(
        segment=1, chain_id=secrets.token_hex(16), format=FORMAT, first_seal_no=1, previous_hash="", started_at=uow.now()
    )
    uow.add(segment)
    await uow.flush()
    return Head(segment, 0, beginning(segment), 0, segment.started_at)


def _waiting(limit: int) -> Any:
    return select(*COLUMNS).where(AuditEntry.seal_no.is_(None)).order_by(AuditEntry.at, AuditEntry.id).limit(limit)


async def _append(uow: UnitOfWork, head: Head, links: list[Link]) -> Head:
    seal_no, previous = head.seal_no, head.hash
    sealed = []
    for link in links:
        seal_no += 1
        previous = link_hash(link, previous, seal_no)
        sealed.append({"which": link.id, "number": seal_no, "sealed": previous})
    table = AuditEntry.__table__
    # The condition is for the one who took the lock away from us: nothing is ever sealed twice.
    change = (
        update(table)  # type: ignore[arg-type]
        .where(table.c.id == bindparam("which"), table.c.seal_no.is_(None))
        .values(seal_no=bindparam("number"), hash=bindparam("sealed"))
    )
    await (await uow.session.connection()).execute(change, sealed)
    return Head(head.segment, seal_no, previous, head.checkpoint, head.checkpoint_at)


def _checkpoints_after(session: Session, seal_no: int) -> list[Checkpoint]:
    query = select(AuditCheckpoint).where(AuditCheckpoint.seal_no > seal_no).order_by(AuditCheckpoint.seal_no).limit(ANCHORED_AT_ONCE)
    return [Checkpoint.of(row) for row in session.execute(query).scalars()]


@dataclass(frozen=True)
class Waiting:
    """What is not sealed yet."""

    count: int
    oldest: datetime | None


def waiting(session: Session) -> Waiting:
    """How many entries wait for the sealer, and since when the oldest."""
    oldest = session.execute(_waiting(1)).first()
    if oldest is None:
        return Waiting(0, None)
    count = session.execute(select(func.count()).select_from(AuditEntry).where(AuditEntry.seal_no.is_(None))).scalar_one()
    return Waiting(count, oldest.at)
