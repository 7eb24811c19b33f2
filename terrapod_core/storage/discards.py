"""Objects that nobody names any more and that are still to be removed from the store.

What lets go of an object writes its key here in the same transaction. So a crash, wherever it comes, leaves either a row that names
the object or a row here: the job that empties this table removes it sooner or later, and never twice what somebody needs.

While a backup runs nothing is removed that a row has named: see `holds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from terrapod_core.db import Base, Database, UnitOfWork
from terrapod_core.storage.holds import is_held
from terrapod_core.storage.objects import Objects

BATCH: Final = 100


class DiscardedObject(Base):
    """An object to be removed."""

    __tablename__ = "discarded_objects"

    key: Mapped[str] = mapped_column(primary_key=True)
    discarded_at: Mapped[datetime]


def discard(uow: UnitOfWork, keys: Iterable[str | None]) -> None:
    """Have these objects removed after the commit; `None` stands for an object there never was."""
    uow.add(*(DiscardedObject(key=key, discarded_at=uow.now()) for key in keys if key is not None))


async def remove_discarded(db: Database, objects: Objects) -> None:
    """Remove them all, a batch at a time; may be interrupted and repeated anywhere. While a backup runs they stay."""

    def batch(session: Session) -> list[str]:
        keys = list(session.execute(select(DiscardedObject.key).order_by(DiscardedObject.key).limit(BATCH)).scalars())
        return [] if is_held(session, db.clock.now()) else keys

    while keys := await db.read(batch):
        for key in keys:
            await objects.delete(key)
        async with db.uow() as uow:
            await uow.session.execute(delete(DiscardedObject).where(DiscardedObject.key.in_(keys)))
            await uow.commit()


async def remove_unnamed(db: Database, objects: Objects, keys: Sequence[str]) -> None:
    """Remove objects that no row names any more; what a backup may still want is left to `remove_discarded`."""
    if not keys or not await db.read(lambda session: is_held(session, db.clock.now())):
        for key in keys:
            await objects.delete(key)
        return
    async with db.uow() as uow:
        known = set((await uow.session.execute(select(DiscardedObject.key).where(DiscardedObject.key.in_(keys)))).scalars())
        discard(uow, [key for key in dict.fromkeys(keys) if key not in known])
        await uow.commit()
