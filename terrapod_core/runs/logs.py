"""A phase's log: appended in order, read by offset, bracketed by STX and ETX as terraform's log reader expects.

While a phase runs its text lies in the database in the chunks in which it came, so that appending is one row in the
transaction that checks the offset. Once it has ended, a job moves it into one object of the store. The newest text is also in
memory (`tails`), for the many who read at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from terrapod_core.db import Database, LookUp, UnitOfWork
from terrapod_core.errors import NotFound
from terrapod_core.runs.models import LogChunk, Phase, Run
from terrapod_core.runs.tails import Tail, Tails, Wake
from terrapod_core.secrets import Keyring
from terrapod_core.storage import ObjectKind, Objects
from terrapod_core.storage.claims import Claim, Claims
from terrapod_core.workspaces import Workspace

STX: Final = b"\x02"
ETX: Final = b"\x03"
CHUNK_BYTES: Final = 1024 * 1024
"""The most that one append may bring."""

REMOVED: Final = STX + b"[This log was removed: the server keeps logs for a limited time.]\n" + ETX
"""Stands for a log that retention removed: a whole log, so that every reader comes to its end."""

READ_BYTES: Final = 1024 * 1024
COLUMN: Final = "log_chunks.data"
PHASE: Final = LookUp(Phase, select(Phase).where(Phase.id == bindparam("phase_id")))


class _SealedMeanwhile(Exception):
    """Another job has moved the log: the news of one change of a run comes in several events, and so do the jobs."""


class Logs:
    """Reads and writes logs; the rights to do so were checked by the caller."""

    def __init__(self, db: Database, objects: Objects, keyring: Keyring) -> None:
        self._db = db
        self._objects = objects
        self._claims = Claims(objects)
        self._keyring = keyring
        self._tails = Tails(db)

    def append(self, uow: UnitOfWork, phase: Phase, data: bytes, *, is_whole: bool = False) -> None:
        """Add bytes at the end, the last ones when the log `is_whole` with them; the phase's row is locked by the caller."""
        if not data:
            return
        row = f"{phase.id}/{phase.log_size}"
        sealed = self._keyring.seal(data, column=COLUMN, row=row)
        uow.add(LogChunk(phase_id=phase.id, start=phase.log_size, size=len(data), data=sealed))
        self._tails.grows(uow, phase.id)
        uow.then(partial(self._tails.grown, phase.id, phase.log_size, data, is_whole=is_whole))
        phase.log_size += len(data)

    def open(self, uow: UnitOfWork, phase: Phase, line: str = "") -> None:
        """Begin the log, with a line of the server's own; does nothing when it has begun."""
        if phase.log_size == 0:
            self.append(uow, phase, STX + line.encode())
            phase.log_head = phase.log_size

    def say(self, uow: UnitOfWork, phase: Phase, line: str) -> None:
        """A line of the server's own, while no runner writes: what the next one sends counts from behind it."""
        self.open(uow, phase)
        self.append(uow, phase, line.encode())
        phase.log_head = phase.log_size

    def close(self, uow: UnitOfWork, phase: Phase, line: str = "") -> None:
        """End the log, with a last line of the server's own, so that every reader stops."""
        self.open(uow, phase)
        self.append(uow, phase, line.encode() + ETX, is_whole=True)

    async def read(self, phase_id: str, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`; empty beyond the end. Raises `NotFound` for an unknown phase."""
        phase = await self._phase(phase_id)
        end = min(phase.log_size, offset + max(0, min(limit, READ_BYTES)))
        if offset >= end:
            return b""
        if phase.log_removed_at is not None:
            return REMOVED[offset:end]
        remembered = self._tails.cut(phase_id, offset, end)
        return remembered if remembered is not None else await self._stored(phase, offset, end)

    async def follow(self, phase_id: str, wake: Wake) -> Tail:
        """The growing end of a log: `wake` is called whenever there is more of it. Raises `NotFound` for an unknown phase.

        Whoever follows calls `leave` in the end.
        """
        phase = await self._phase(phase_id)
        tail = self._tails.follow(phase_id, phase.log_size, wake, self.read)
        tail.is_whole = tail.is_whole or (phase.is_final and tail.end >= phase.log_size)
        return tail

    def leave(self, phase_id: str, wake: Wake) -> None:
        """Follow it no more."""
        self._tails.leave(phase_id, wake)

    async def stop_following(self) -> None:
        """Look for nothing more that others append."""
        await self._tails.close()

    async def _phase(self, phase_id: str) -> Phase:
        phase = await self._db.look_up(PHASE, phase_id=phase_id)
        if phase is None:
            raise NotFound("there is no such log")
        return phase

    async def _stored(self, phase: Phase, offset: int, end: int) -> bytes:
        """The bytes from where they lie."""
        if phase.log_key is None:
            chunks = await self._db.read(lambda session: _chunks(session, phase.id, offset, end))
            if chunks:
                text = b"".join(self._opened(phase.id, start, sealed) for start, sealed in chunks)
                first = chunks[0][0]
                return text[offset - first : end - first]
            phase = await self._phase(phase.id)  # sealed since we looked
        if phase.log_key is None:
            return b""
        return b"".join([piece async for piece in self._objects.get(ObjectKind.LOG, phase.id, phase.log_key, offset, end)])

    async def seal(self, phase_id: str) -> None:
        """Move an ended log into the store. Safe to repeat: the row decides which object counts."""

        def whole(session: Session) -> tuple[bool, list[int]]:
            phase = session.get(Phase, phase_id)
            if phase is None or not phase.is_final or phase.log_key is not None or phase.log_removed_at is not None:
                return False, []
            return True, list(
                session.execute(select(LogChunk.start).where(LogChunk.phase_id == phase_id).order_by(LogChunk.start)).scalars()
            )

        due, starts = await self._db.read(whole)
        if not due or not starts:
            return
        try:
            stored = await self._objects.put(ObjectKind.LOG, phase_id, self._chunks(phase_id, starts), limit=None)
        except _SealedMeanwhile:
            return
        await self._claims.settle(stored, partial(self._name, phase_id, stored.key))

    async def _name(self, phase_id: str, key: str, claim: Claim) -> None:
        async with self._db.uow() as uow:
            phase = await uow.session.get(Phase, phase_id, with_for_update=True)
            if phase is None or phase.log_key is not None or phase.log_removed_at is not None:
                return
            run = await uow.session.get_one(Run, phase.run_id)
            if (await uow.session.get_one(Workspace, run.workspace_id)).deleted_at is not None:
                return  # what a deleted workspace left goes with its rows: an object named now could outlive them
            phase.log_key = key
            await uow.session.execute(delete(LogChunk).where(LogChunk.phase_id == phase_id))
            claim.make()
            await uow.commit()

    async def _chunks(self, phase_id: str, starts: list[int]) -> AsyncIterator[bytes]:
        for start in starts:
            key = (phase_id, start)
            chunk = await self._db.read(lambda session, key=key: session.get(LogChunk, key))  # type: ignore[misc]
            if chunk is None:
                raise _SealedMeanwhile
            yield self._opened(phase_id, start, chunk.data)

    def _opened(self, phase_id: str, start: int, sealed: bytes) -> bytes:
        return self._keyring.open(sealed, column=COLUMN, row=f"{phase_id}/{start}")


def _chunks(session: Session, phase_id: str, offset: int, end: int) -> list[tuple[int, bytes]]:
    """Start and sealed text of the chunks that hold these bytes; of what came before, nothing is read."""
    first = select(func.max(LogChunk.start)).where(LogChunk.phase_id == phase_id, LogChunk.start <= offset).scalar_subquery()
    query = select(LogChunk.start, LogChunk.data).where(LogChunk.phase_id == phase_id, LogChunk.start >= first, LogChunk.start < end)
    return [(row[0], row[1]) for row in session.execute(query.order_by(LogChunk.start))]
