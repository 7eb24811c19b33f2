"""The doors of the pages, over the services of workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core import runs as room
from terrapod_core.authz import Actor
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest, Query
from terrapod_core.projects.models import Project
from terrapod_core.ui.views import WorkspaceRow
from terrapod_core.workspaces import Workspaces
from terrapod_core.workspaces.conditions import Conditions

ORGANIZATION: Final = "default"


class WorkspaceDoor:
    """Workspaces, for the first page."""

    def __init__(self, workspaces: Workspaces, db: Database, conditions: Conditions) -> None:
        self._workspaces = workspaces
        self._db = db
        self._conditions = conditions

    async def list(self, actor: Actor, page: PageRequest, search: str | None) -> Page[WorkspaceRow]:
        """Those the actor may see, by name."""
        asked = {"page[number]": str(page.number), "page[size]": str(page.size), "sort": "name"}
        found = await self._workspaces.list(actor, Query.parse({**asked, **({"search[name]": search} if search else {})}))
        await self._workspaces.look_at_pools(found.items)
        await self._conditions.look(found.items)

        def rows(session: Session) -> list[WorkspaceRow]:
            run_ids = [each.current_run_id for each in found.items if each.current_run_id]
            project_ids = {each.project_id for each in found.items}
            statuses = {row[0]: row[1] for row in session.execute(select(room.Run.id, room.Run.status).where(room.Run.id.in_(run_ids)))}
            names = {row[0]: row[1] for row in session.execute(select(Project.id, Project.name).where(Project.id.in_(project_ids)))}
            return [
                WorkspaceRow(
                    name=each.name,
                    organization=ORGANIZATION,
                    project=names.get(each.project_id),
                    updated_at=each.updated_at,
                    resources=each.resource_count,
                    locked=each.lock_kind is not None,
                    run_id=each.current_run_id,
                    run_status=statuses.get(each.current_run_id or ""),
                    conditions=self._conditions.of(each),
                )
                for each in found.items
            ]

        return Page(items=await self._db.read(rows), number=found.number, size=found.size, total=found.total)

    async def ids(self, actor: Actor, names: Sequence[str]) -> Sequence[str]:
        """Those of the workspaces with these names."""
        return [(await self._workspaces.read_by_name(actor, name)).id for name in names]
