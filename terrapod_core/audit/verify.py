"""Whether the record is what was sealed: the first place where it is not, and what no seal covers yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.audit.chain import Link, beginning, link_hash
from terrapod_core.audit.checkpoints import Checkpoint, CheckpointKeys, Trust
from terrapod_core.audit.models import AuditArchive, AuditCheckpoint, AuditEntry, AuditSegment
from terrapod_core.audit.sealer import CHECKPOINT_ENTRIES, find_head, waiting
from terrapod_core.audit.walk import Broken, walk
from terrapod_core.db import Database
from terrapod_core.storage import Objects

Anchors = Iterable[tuple[int, Checkpoint]]
"""Line number and checkpoint of each line of a file that is one."""

Progress = Callable[[int, int], None]
"""Told after each page how many entries were looked at, and of how many."""


@dataclass
class Verified:
    """What was found."""

    entries: int = 0
    """Sealed entries that are what they were, those in archives among them."""
    head: str = ""
    """The hash of the last of them."""
    checkpoints: int = 0
    anchors: int = 0
    uncovered: int = 0
    """Sealed entries behind the newest checkpoint: nothing here would show that they were cut off."""
    unsealed: int = 0
    """Entries that wait for the sealer: nothing would show that they were changed."""
    oldest_unsealed: datetime | None = None
    keys_not_given: set[str] = field(default_factory=set)
    """Ids of keys that signed checkpoints and are not in the keyring."""
    broken: str | None = None
    """The first broken link; `None` when there is none."""


async def verify(
    db: Database, objects: Objects, keys: CheckpointKeys, anchors: Anchors = (), progress: Progress = lambda _done, _of: None
) -> Verified:
    """Look at everything that is sealed now; the server may go on meanwhile. Memory does not grow with the record.

    Raises `Conflict` for a chain in a newer format, `BadRequest` for anchors that cannot be read.
    """
    found = Verified()
    try:
        await _Verification(db, objects, keys, found).walk(anchors, progress)
    except Broken as broken:
        found.broken = str(broken)
    still = await db.read(waiting)
    found.unsealed, found.oldest_unsealed = still.count, still.oldest
    return found


class _Verification:
    """One walk. Raises `Broken` at the first thing that is wrong."""

    def __init__(self, db: Database, objects: Objects, keys: CheckpointKeys, found: Verified) -> None:
        self._db = db
        self._objects = objects
        self._keys = keys
        self._found = found
        self._segment: AuditSegment | None = None
        self._hash = ""
        self._checkpoint = 0
        """Number of the newest checkpoint so far."""
        self._proven = 0
        """Number of the newest entry that a signature of ours is over, be it a checkpoint's or an anchor's."""
        self._anchors: dict[int, list[tuple[int, Checkpoint]]] = {}

    async def walk(self, anchors: Anchors, progress: Progress) -> None:
        # In this order: a checkpoint or an anchor that is there now belongs to an entry that is there later.
        given = list(anchors)
        newest = await self._db.read(lambda session: session.execute(select(func.max(AuditCheckpoint.seal_no))).scalar_one()) or 0
        head = await self._db.read(find_head)
        segments = await self._db.read(_segments)
        self._take(given, segments)
        end = head.seal_no if head is not None else 0
        if head is None and (newest or await self._db.read(_is_anything_sealed)):
            raise Broken("entries were sealed, and the row that names their chain is gone")
        async with aclosing(walk(self._db, self._objects)) as pages:
            async for page in pages:
                wanted = page[: max(0, end - page[0].seal_no + 1)] if page else page
                if wanted:
                    await self._page(wanted, segments)
                    progress(self._found.entries, end)
                if page and len(wanted) < len(page):
                    break
        await self._ending(newest)

    def _take(self, anchors: Anchors, segments: Sequence[AuditSegment]) -> None:
        chains = {segment.chain_id for segment in segments}
        for line, anchor in anchors:
            if anchor.chain not in chains:
                held = f"this is {next(iter(chains))}" if chains else "nothing is sealed here"
                raise Broken(f"line {line} of the anchors is of the chain {anchor.chain}, and {held}: the record was replaced")
            self._judge(anchor, f"line {line} of the anchors")
            self._anchors.setdefault(anchor.seal_no, []).append((line, anchor))

    async def _page(self, page: Sequence[Link], segments: Sequence[AuditSegment]) -> None:
        first, last = page[0].seal_no, page[-1].seal_no
        begun = {segment.first_seal_no: segment for segment in segments if first <= segment.first_seal_no <= last}
        signed = await self._db.read(lambda session: _checkpoints(session, first, last))
        for link in page:
            if link.seal_no in begun:
                self._begin(begun[link.seal_no])
            if self._segment is None:
                raise Broken("the row that names the beginning of the chain is gone")
            if link_hash(link, self._hash, link.seal_no) != link.hash:
                raise Broken(f"number {link.seal_no} ({link.id}) is not what was sealed: it was changed, moved, or put in another's place")
            self._hash = link.hash
            self._pass(link, signed.get(link.seal_no))
            self._found.entries, self._found.head = self._found.entries + 1, link.hash

    def _begin(self, segment: AuditSegment) -> None:
        follows = self._segment.segment + 1 if self._segment is not None else 1
        if segment.segment != follows or segment.previous_hash != self._hash:
            raise Broken(f"segment {segment.segment} of the chain does not begin where segment {follows - 1} ended")
        self._segment, self._hash = segment, beginning(segment)

    def _pass(self, link: Link, checkpoint: Checkpoint | None) -> None:
        number = link.seal_no
        if checkpoint is not None:
            self._agree(checkpoint, link, f"the checkpoint at number {number}")
            if checkpoint.count != number - self._checkpoint:
                raise Broken(f"the checkpoint at number {number} is over {checkpoint.count} entries: the one before it was deleted")
            self._checkpoint = number
            self._found.checkpoints += 1
        elif number - self._checkpoint >= CHECKPOINT_ENTRIES:
            raise Broken(f"no checkpoint covers the numbers {self._checkpoint + 1} to {number}: it was deleted")
        for line, anchor in self._anchors.pop(number, ()):
            self._agree(anchor, link, f"line {line} of the anchors")
            self._found.anchors += 1

    def _agree(self, checkpoint: Checkpoint, link: Link, what: str) -> None:
        """Check a checkpoint or an anchor against the entry that it is over."""
        assert self._segment is not None
        here = (self._segment.chain_id, self._segment.segment, link.hash)
        if (checkpoint.chain, checkpoint.segment, checkpoint.hash) != here:
            raise Broken(f"{what} signs another entry as number {link.seal_no} than {link.id}: the record was rewritten")
        if self._judge(checkpoint, what) is Trust.VALID:
            self._proven = link.seal_no

    def _judge(self, checkpoint: Checkpoint, what: str) -> Trust:
        trust = self._keys.judge(checkpoint)
        if trust is Trust.FORGED:
            raise Broken(f"{what} bears a signature that the key {checkpoint.key_id} did not make over it")
        if trust is Trust.KEY_NOT_GIVEN:
            self._found.keys_not_given.add(checkpoint.key_id)
        return trust

    async def _ending(self, newest: int) -> None:
        end = self._found.entries
        self._found.uncovered = end - self._checkpoint
        if newest > end:
            raise Broken(f"the chain ends at number {end}, and a checkpoint signs number {newest}: its end was cut off")
        if self._anchors:
            number, anchors = min(self._anchors.items())
            raise Broken(
                f"the chain ends at number {end}, and line {anchors[0][0]} of the anchors signs number {number}: its end was cut off"
            )
        if await self._db.read(_is_anything_misplaced):
            raise Broken("the table holds a sealed entry whose number is archived, or was never given: it was put there")
        if newest > self._proven:
            # A server signs with a key that is given. Whoever rewrites the record can sign with any other, under any other name.
            missing = ", ".join(sorted(self._found.keys_not_given))
            raise Broken(
                f"the newest checkpoint, at number {newest}, is signed with a key that is not given: nothing proves the entries "
                f"from number {self._proven + 1} on. Add the key {missing} to the keys, behind the newest"
            )


def _segments(session: Session) -> Sequence[AuditSegment]:
    return session.execute(select(AuditSegment).order_by(AuditSegment.segment)).scalars().all()


def _checkpoints(session: Session, first: int, last: int) -> dict[int, Checkpoint]:
    query = select(AuditCheckpoint).where(AuditCheckpoint.seal_no.between(first, last))
    return {row.seal_no: Checkpoint.of(row) for row in session.execute(query).scalars()}


def _is_anything_sealed(session: Session) -> bool:
    query = select(AuditEntry.id).where(AuditEntry.seal_no.is_not(None)).limit(1)
    return session.execute(query).first() is not None or session.execute(select(AuditArchive).limit(1)).first() is not None


def _is_anything_misplaced(session: Session) -> bool:
    archived = select(func.coalesce(func.max(AuditArchive.last_seal_no), 0)).scalar_subquery()
    query = select(AuditEntry.id).where(or_(AuditEntry.seal_no <= archived, AuditEntry.seal_no < 1)).limit(1)
    return session.execute(query).first() is not None
