"""Background work of this room."""

from __future__ import annotations

from datetime import timedelta

from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.workspaces.service import Workspaces


def handlers(jobs: Jobs, workspaces: Workspaces) -> None:
    """Register it."""

    async def purge() -> None:
        await workspaces.purge()

    jobs.on(UserDeleted, "workspaces.disown", workspaces.disown)
    jobs.every("workspaces.purge", timedelta(hours=1), purge)
