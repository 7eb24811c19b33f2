"""Background work of this room that is not the loop's."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select

from terrapod_core.db import Database
from terrapod_core.ingress import conditions, queries
from terrapod_core.ingress.models import Change
from terrapod_core.ingress.telling import Telling
from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import RunStatusChanged, VCSConnectionDeleted
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.conditions import raise_on, settle

KEPT: Final = timedelta(days=90)
BATCH: Final = 500


class Handlers:
    """Listens for what concerns changes."""

    def __init__(self, db: Database, telling: Telling) -> None:
        self._db = db
        self._telling = telling

    def register(self, jobs: Jobs) -> None:
        """Listen, and tidy by the clock."""
        jobs.on(RunStatusChanged, "ingress.tell", self._telling.hear, concerning=queries.linked)
        jobs.on(VCSConnectionDeleted, "ingress.unlink", self.unlink)
        jobs.every("ingress.tidy", timedelta(hours=1), self.tidy)

    async def unlink(self, event: VCSConnectionDeleted) -> None:
        """Let workspaces know that their connection was deleted. May be called twice."""
        linked = select(Workspace.id).where(Workspace.vcs_link.is_not(None), Workspace.vcs_repository_id.is_(None))
        for workspace_id in await self._db.read(lambda session: list(session.execute(linked).scalars())):
            async with self._db.uow() as uow:
                workspace = await uow.run(lambda session, one=workspace_id: workspaces.for_update(session, one))  # type: ignore[misc]
                if workspace is None or (workspace.vcs_link or {}).get("connection-id") != event.connection_id:
                    continue
                workspace.vcs_link = workspace.vcs_branch = workspace.vcs_tags_regex = workspace.vcs_linked_by_id = None
                for code in conditions.ALL:
                    settle(uow, workspace, code, "the connection was deleted")
                raise_on(uow, workspace, conditions.connection_gone(uow.now()))
                await uow.commit()

    async def tidy(self) -> None:
        """Forget changes of long ago. Their runs and configurations stay as long as those of others."""
        while True:
            async with self._db.uow() as uow:
                old = await uow.run(lambda session: queries.old(session, uow.now() - KEPT, BATCH))
                await uow.session.execute(delete(Change).where(Change.id.in_(old)))
                await uow.commit()
            if len(old) < BATCH:
                return
