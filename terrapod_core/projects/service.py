"""Projects: create, read, list, update, delete."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import SYSTEM, Actor, Authorizer, Permission, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid, Problems
from terrapod_core.jsonapi import Page, Query, Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.projects import queries
from terrapod_core.projects.models import DEFAULT_NAME, Project
from terrapod_core.projects.queries import WorkspacesInProjects

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _-]{1,38}[A-Za-z0-9_-]")
MAX_DESCRIPTION: Final = 256


class UpdateProject(msgspec.Struct, kw_only=True):
    """What may be sent about a project; what is absent stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    auto_destroy_activity_duration: str | UnsetType | None = UNSET
    default_execution_mode: str | UnsetType | None = UNSET
    default_agent_pool_id: str | UnsetType | None = UNSET
    tag_bindings: list[Ref] | UnsetType = UNSET


class CreateProject(UpdateProject, kw_only=True):
    """The same for a new one, which needs a name."""

    name: str


class Projects:
    """go-tfe's `Projects`. Platform admins and a project's owner see and change it; the default project everybody sees."""

    def __init__(self, db: Database, authz: Authorizer, workspaces: WorkspacesInProjects) -> None:
        self._db = db
        self._authz = authz
        self._workspaces = workspaces

    async def disown(self, event: UserDeleted) -> None:
        """Leave what a deleted user owned to platform admins."""
        async with self._db.uow() as uow:
            theirs = update(Project).where(Project.owner_id == event.user_id).values(owner_id=None).returning(Project.id)
            freed = (await uow.session.execute(theirs.execution_options(synchronize_session=False))).scalars().all()
            if freed:
                audit.record(uow, SYSTEM, "project.disown", "users", event.user_id, projects=sorted(freed))
            await uow.commit()

    async def ensure_default(self) -> None:
        """Make the default project when it is not there; called at each start."""
        if await self._db.read(lambda session: queries.by_id(session, DEFAULT_PROJECT_ID)) is not None:
            return
        async with self._db.uow() as uow:
            now = uow.now()
            uow.add(Project(id=DEFAULT_PROJECT_ID, name=DEFAULT_NAME, description=None, owner_id=None, created_at=now, updated_at=now))
            try:
                await uow.commit()
            except IntegrityError:
                return  # another replica started at the same moment

    async def create(self, actor: Actor, new: CreateProject) -> Project:
        """Make a project; any user may, and owns it. `Invalid` says what is wrong with the document."""
        if actor.user_id is None and not actor.is_platform_admin:
            raise Forbidden("only people create projects")
        self._authz.require_unscoped(actor, to="create projects")
        _check(new)
        async with self._db.uow() as uow:
            now = uow.now()
            project = Project(
                id=ids.new("prj"),
                name=new.name,
                description=new.description or None,
                owner_id=actor.user_id,
                created_at=now,
                updated_at=now,
            )
            uow.add(project)
            audit.record(uow, actor, "project.create", "projects", project.id, name=project.name)
            await _flush(uow)
            await uow.commit()
        return project

    async def read(self, actor: Actor, project_id: str) -> Project:
        """The project; `NotFound` when it is not there or not for this actor."""

        def query(session: Session) -> Project:
            project = self.readable(session, actor, queries.by_id(session, project_id))
            queries.with_counts(session, self._workspaces, actor, [project])
            return project

        return await self._db.read(query)

    async def list(self, actor: Actor, query: Query) -> Page[Project]:
        """One page of the projects the actor may read."""

        def read(session: Session) -> Page[Project]:
            page = queries.listing(session, self._authz, self._workspaces, actor, query)
            queries.with_counts(session, self._workspaces, actor, page.items)
            return page

        return await self._db.read(read)

    async def update(self, actor: Actor, project_id: str, changes: UpdateProject) -> Project:
        """Change what was sent; needs the project's admin."""
        async with self._db.uow() as uow:
            project = await uow.run(lambda session: self._changeable(session, actor, queries.for_update(session, project_id)))
            _check(changes)
            changed = {
                name: value
                for name, value in (("name", changes.name), ("description", changes.description))
                if value is not UNSET and value != getattr(project, name)
            }
            for name, value in changed.items():
                setattr(project, name, value or None)
            if changed:
                project.updated_at = uow.now()
                audit.record(uow, actor, "project.update", "projects", project.id, name=project.name, changed=sorted(changed))
            await _flush(uow)
            await uow.run(lambda session: queries.with_counts(session, self._workspaces, actor, [project]))
            await uow.commit()
        return project

    async def delete(self, actor: Actor, project_id: str) -> None:
        """Remove an empty project; `Conflict` while it holds workspaces, `Invalid` for the default one."""
        async with self._db.uow() as uow:
            project = await uow.run(lambda session: self._changeable(session, actor, queries.for_update(session, project_id)))
            if project.is_default:
                raise Invalid("the default project cannot be deleted: workspaces that name no project live in it")
            name = project.name
            await uow.session.delete(project)
            audit.record(uow, actor, "project.delete", "projects", project.id, name=name)
            try:
                await uow.flush()
            except IntegrityError as error:
                raise Conflict(f"the project {name} still holds workspaces; move or delete them first") from error
            await uow.commit()

    def readable(self, session: Session, actor: Actor, project: Project | None) -> Project:
        """The project when the actor may read it or a workspace in it, else `NotFound`; for rooms that look one up themselves."""
        if project is None:
            raise missing("project")
        if project.is_default or self._authz.allows(actor, Permission.PROJECT_READ, project):
            return project
        if self._workspaces.count(session, actor, [project.id]).get(project.id):
            return project
        raise missing("project")

    def takes_workspaces_of(self, actor: Actor, project: Project) -> bool:
        """Whether the actor may put workspaces into the project: everybody into the default one, else its admins."""
        return project.is_default or self._authz.allows(actor, Permission.PROJECT_UPDATE, project)

    def _changeable(self, session: Session, actor: Actor, project: Project | None) -> Project:
        project = self.readable(session, actor, project)
        if project.is_default:
            self._authz.require_platform(actor, PlatformRole.ADMIN, to="change the default project")
        if not self._authz.allows(actor, Permission.PROJECT_UPDATE, project):
            raise Forbidden("changing this project needs its owner or a platform admin", code="level_too_low")
        return project


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid("Name has already been taken", pointer="/data/attributes/name") from error


def _check(sent: UpdateProject) -> None:
    problems = Problems()
    if sent.name is not UNSET and NAME.fullmatch(sent.name) is None:
        problems.add(
            "Name must have 3 to 40 characters, and may only contain letters, digits, spaces, - and _, with no space at either end",
            attribute="name",
        )
    if isinstance(sent.description, str) and len(sent.description) > MAX_DESCRIPTION:
        problems.add(f"Description must have at most {MAX_DESCRIPTION} characters", attribute="description")
    if sent.auto_destroy_activity_duration:
        problems.add("Workspaces are not destroyed automatically here", attribute="auto-destroy-activity-duration")
    if sent.default_execution_mode not in (UNSET, None, "remote"):
        problems.add("Set the execution mode on each workspace; projects have none of their own", attribute="default-execution-mode")
    if sent.default_agent_pool_id:
        problems.add("Agent pools take no runs here yet", attribute="default-agent-pool-id")
    if sent.tag_bindings:
        problems.add("Tag bindings are kept on workspaces; projects have none", relationship="tag-bindings")
    problems.refuse()
