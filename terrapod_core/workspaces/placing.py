"""Which project a workspace is in, and who may put it there or take it away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor, GuardKind, Permission, visibility
from terrapod_core.authz.gate import missing
from terrapod_core.errors import Forbidden, Invalid
from terrapod_core.jsonapi import Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects import Project, Projects, queries as project_queries
from terrapod_core.workspaces import documents, execution, queries
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.door import Door
from terrapod_core.workspaces.models import Workspace


class Placing:
    """Projects of workspaces."""

    def __init__(self, door: Door, projects: Projects) -> None:
        self._door = door
        self._projects = projects

    async def move(self, actor: Actor, project_id: str, moved: Sequence[Ref]) -> None:
        """Put workspaces into a project, all or none; `Invalid` names one that is not there, `Forbidden` those the actor may not move."""
        allows = self._door.authz.allows
        async with self._door.db.uow() as uow:
            project = await uow.run(lambda session: self._projects.readable(session, actor, project_queries.by_id(session, project_id)))
            if not self._projects.takes_workspaces_of(actor, project):
                raise Forbidden("putting workspaces into this project needs its admin", code="level_too_low")
            wanted = sorted({one.id or "" for one in moved})
            found = {one.id: one for one in await uow.run(lambda session: queries.by_ids(session, wanted, locked=True))}
            hidden = [one for one in wanted if one not in found or not allows(actor, Permission.WORKSPACE_READ, found[one])]
            if hidden:
                raise Invalid(f"there is no workspace {hidden[0]}, or you may not see it", pointer="/data")
            refused = [one for one in wanted if not allows(actor, Permission.WORKSPACE_UPDATE, found[one])]
            if refused:
                raise Forbidden(f"moving these workspaces needs their admin: {', '.join(refused)}", code="level_too_low")
            moving = [one for one in found.values() if one.project_id != project.id]
            await uow.run(lambda session: self._leaves(session, actor, {one.project_id for one in moving}))
            if await uow.run(lambda session: project_queries.for_share(session, project_id)) is None:  # after workspaces, as everywhere
                raise missing("project")
            for workspace in moving:
                workspace.project_id, workspace.updated_at = project.id, uow.now()
                detail = execution.inherit(workspace, project)
                changed = ["project_id", *detail]
                audit.record(uow, actor, "workspace.update", "workspaces", workspace.id, changed=changed, project_id=project.id, **detail)
            if moving:
                await visibility.changed(uow, GuardKind.WORKSPACE)
            await uow.commit()

    # -- for the rest of the room, over a session

    def project(self, session: Session, actor: Actor, ref: Any) -> Project:
        """The project a document names, held until the transaction ends; the default one when it names none.

        Raises `Invalid` for one that is not there, or that the actor may not put workspaces into.
        """
        project = project_queries.for_share(session, (ref.id or "") if isinstance(ref, Ref) else DEFAULT_PROJECT_ID)
        if project is None or not self._projects.takes_workspaces_of(actor, project):
            raise no_project()
        return project

    def placed(self, session: Session, actor: Actor, workspace: Workspace, changes: UpdateWorkspace) -> dict[str, object]:
        """The columns that say in which project it is, and where its runs are carried out; none when the document says nothing of these."""
        said, wanted = documents.execution(changes), changes.project
        if wanted is not UNSET and (wanted is None or wanted.id != workspace.project_id):
            self._leaves(session, actor, {workspace.project_id})
            project: Project | None = self.project(session, actor, wanted)
        elif said.anything:
            project = project_queries.for_share(session, workspace.project_id)
        else:
            return {}
        if project is None:
            raise missing("project")
        return {"project_id": project.id, **execution.chosen(session, self._door.authz, actor, said, project, workspace)}

    def _leaves(self, session: Session, actor: Actor, project_ids: Iterable[str]) -> None:
        """Refuse to take workspaces away from those who look after the projects that they are in."""
        for project_id in project_ids:
            left = project_queries.by_id(session, project_id)
            if left is None:
                raise missing("project")
            if not self._projects.takes_workspaces_of(actor, left):
                raise Forbidden("moving a workspace out of its project needs that project's admin", code="level_too_low")


def no_project() -> Invalid:
    """What is said of a project that a document names, and that is not there for who sends it."""
    return Invalid("there is no such project, or you may not put workspaces into it", pointer="/data/relationships/project")
