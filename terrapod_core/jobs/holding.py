"""Rows that a loop has taken up are nobody else's while it deals with them: the moment at which they are due is put off again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import InstrumentedAttribute

from terrapod_core.db import Database
from terrapod_core.errors import Unavailable

CLAIM: Final = timedelta(seconds=30)
"""How long a row is a process's without a word of it: when one dies, another begins anew after this."""

log = structlog.get_logger("terrapod.jobs")


@asynccontextmanager
async def held(
    db: Database, due: InstrumentedAttribute[datetime | None], rows: ColumnElement[bool], until: datetime, name: str
) -> AsyncIterator[None]:
    """Keep `rows`, whose column `due` was set to `until` when they were taken up, until the block ends. `name` is for the log.

    A row that was dealt with meanwhile, or put off, has another moment, and stays as it was left.
    """
    renewing = asyncio.create_task(_renew(db, due, rows, until, name), name=f"claim:{name}")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _renew(db: Database, due: InstrumentedAttribute[datetime | None], rows: ColumnElement[bool], until: datetime, name: str) -> None:
    while True:
        await asyncio.sleep(CLAIM.total_seconds() / 3)
        later = db.clock.now() + CLAIM
        try:
            async with db.uow() as uow:
                await uow.session.execute(update(due.class_).where(rows, due == until).values({due: later}))
                await uow.commit()
        except Unavailable as error:
            log.warning("a claim could not be renewed", work=name, error=error.detail)
        else:
            until = later
