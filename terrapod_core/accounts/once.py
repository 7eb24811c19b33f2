"""What may be used a single time, whichever server it is shown to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from terrapod_core.accounts.models import UsedOnce
from terrapod_core.accounts.texts import plain_digest
from terrapod_core.db import Database


class Once:
    """`OnceStore` over the table."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def claim(self, key: str, until: datetime) -> bool:
        """`True` for the first; the primary key decides who that was."""
        try:
            async with self._db.uow() as uow:
                row = plain_digest(key)
                await uow.session.execute(delete(UsedOnce).where(UsedOnce.hash == row, UsedOnce.until <= uow.now()))
                uow.add(UsedOnce(hash=row, until=until))
                await uow.commit()
        except IntegrityError:
            return False
        return True
