"""What keeps objects in the store while a backup copies them.

A backup takes its hold, then looks at the database, then copies what the rows name. Whoever removes an object lets go of it in the
database first and looks for holds after that: either it finds the hold, or the backup's look came later and finds no row that names
the object. A backup renews its hold while it lives; one that died holds nothing for longer than `HOLD`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from terrapod_core import ids
from terrapod_core.db import Base, Database, UnitOfWork
from terrapod_core.errors import Conflict, Unavailable

HOLD: Final = timedelta(minutes=5)
RENEWED_EVERY: Final = timedelta(seconds=45)


class BackupHold(Base):
    """A backup that runs."""

    __tablename__ = "backup_holds"

    id: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


def is_held(session: Session, now: datetime) -> bool:
    """Whether a backup runs."""
    return session.execute(select(BackupHold.id).where(BackupHold.until > now).limit(1)).first() is not None


class Hold:
    """The hold of one backup."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.id = ids.new("bak")
        self._until = db.clock.now() + HOLD

    def check(self) -> None:
        """Raise `Conflict` when it may have lapsed: objects may be gone that the backup has not copied yet."""
        if self._db.clock.now() >= self._until:
            raise Conflict(
                "the backup stood still, or the database was away, for so long that objects may have been removed: start it again"
            )

    async def take(self, note: Callable[[UnitOfWork, str], None]) -> None:
        """Begin; `note` writes down, in the same transaction, that a backup of this id was begun. Holds of dead ones are cleared away."""
        async with self._db.uow() as uow:
            await uow.session.execute(delete(BackupHold).where(BackupHold.until <= uow.now()))
            uow.add(BackupHold(id=self.id, until=uow.now() + HOLD))
            note(uow, self.id)
            await uow.commit()

    async def renew(self) -> None:
        """Hold on for longer, unless it has lapsed."""
        until = self._db.clock.now() + HOLD
        async with self._db.uow() as uow:
            statement = update(BackupHold).where(BackupHold.id == self.id, BackupHold.until > uow.now()).values(until=until)
            renewed: Any = await uow.session.execute(statement)
            await uow.commit()
        if renewed.rowcount:
            self._until = until

    async def release(self) -> None:
        """Let go."""
        async with self._db.uow() as uow:
            await uow.session.execute(delete(BackupHold).where(BackupHold.id == self.id))
            await uow.commit()

    async def keep(self) -> None:
        """Renew for ever; a database that is away for a moment is asked again."""
        while True:
            await asyncio.sleep(RENEWED_EVERY.total_seconds())
            try:
                await self.renew()
            except Unavailable:
                continue


@asynccontextmanager
async def held(db: Database, note: Callable[[UnitOfWork, str], None]) -> AsyncIterator[Hold]:
    """Nothing that a row names from now on is removed from the store inside."""
    hold = Hold(db)
    await hold.take(note)
    keeping = asyncio.create_task(hold.keep(), name="backup-hold")
    try:
        yield hold
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await asyncio.shield(hold.release())
