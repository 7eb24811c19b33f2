"""Background work of this room."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.db import Database
from terrapod_core.jobs import Jobs
from terrapod_core.live import queries
from terrapod_core.settings import Live


def register(jobs: Jobs, db: Database, settings: Live) -> None:
    """Register it."""

    async def sweep() -> None:
        async with db.uow() as uow:
            if await queries.sweep(uow, uow.now() - timedelta(minutes=settings.keep_minutes)):
                await uow.commit()

    jobs.every("live.sweep", timedelta(minutes=1), sweep)
