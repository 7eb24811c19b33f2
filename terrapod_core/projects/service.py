"""Projects: create, read, list, update, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import UNSET
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import SYSTEM, Actor, Authorizer, Permission, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Forbidden, Invalid
from terrapod_core.jsonapi import Page, Query
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.plugin.events import UserDeleted
from terrapod_core.projects import documents, queries
from terrapod_core.projects.documents import CreateProject, UpdateProject
from terrapod_core.projects.execution import Execution, ExecutionMode, Said
from terrapod_core.projects.models import DEFAULT_NAME, Project
from terrapod_core.projects.queries import WorkspacesInProjects

CheckPool: TypeAlias = Callable[[Session, Actor, str, str], None]
"""Raises `Invalid` or `Forbidden` unless the actor may send runs to the pool of this id, named at this pointer; the agents' room knows."""

_ORGANIZATION: Final = Execution(ExecutionMode.REMOTE)
"""What the organization says, and so a project that says nothing."""

_FOLLOWED: Final = {"default_execution_mode", "default_agent_pool_id"}
"""Changes that workspaces follow."""


class Projects:
    """go-tfe's `Projects`. Platform admins and a project's owner see and change it; the default project everybody sees."""

    def __init__(self, db: Database, authz: Authorizer, workspaces: WorkspacesInProjects, check_pool: CheckPool) -> None:
        self._db = db
        self._authz = authz
        self._workspaces = workspaces
        self._check_pool = check_pool

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
        said = documents.check(new)
        async with self._db.uow() as uow:
            now = uow.now()
            execution = await uow.run(lambda session: self._execution(session, actor, said, _ORGANIZATION))
            project = Project(
                id=ids.new("prj"),
                name=new.name,
                description=new.description or None,
                owner_id=actor.user_id,
                default_execution_mode=execution.mode.value,
                default_agent_pool_id=execution.pool_id,
                created_at=now,
                updated_at=now,
            )
            uow.add(project)
            audit.record(uow, actor, "project.create", "projects", project.id, name=project.name, **_defaults(execution))
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
        """Change what was sent; needs the project's admin. Workspaces that inherit its execution mode follow in the same transaction."""
        async with self._db.uow() as uow:
            # Who may not change it locks nothing of it.
            await uow.run(lambda session: self._changeable(session, actor, queries.by_id(session, project_id)))
            said = documents.check(changes)
            if said.anything:
                await uow.run(lambda session: self._workspaces.hold(session, project_id))
            project = await uow.run(lambda session: self._changeable(session, actor, queries.for_update(session, project_id)))
            execution = await uow.run(lambda session: self._execution(session, actor, said, project.execution))
            values: dict[str, Any] = {"name": changes.name, "description": changes.description, **_defaults(execution)}
            changed = {name: value for name, value in values.items() if value is not UNSET and value != getattr(project, name)}
            for name, value in changed.items():
                setattr(project, name, value or None)
            if changed:
                project.updated_at = uow.now()
            await _flush(uow)
            if changed:
                detail = await uow.run(lambda session: self._follow(session, project)) if _FOLLOWED & changed.keys() else {}
                audit.record(uow, actor, "project.update", "projects", project.id, name=project.name, changed=sorted(changed), **detail)
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

    def _execution(self, session: Session, actor: Actor, said: Said, now: Execution) -> Execution:
        """What holds after a document; a pool must be one that the actor may use, unless it was there before."""
        execution = said.agrees(_ORGANIZATION) if said.own is False else said.after(now)
        if execution.pool_id is not None and execution != now:
            self._check_pool(session, actor, execution.pool_id, said.pool_pointer)
        return execution

    def _follow(self, session: Session, project: Project) -> dict[str, object]:
        """Let workspaces follow the project's new default; what the audit says of it."""
        followed = self._workspaces.follow(session, project.id, project.execution, project.updated_at)
        return {**_defaults(project.execution), "workspaces": followed}

    def _changeable(self, session: Session, actor: Actor, project: Project | None) -> Project:
        project = self.readable(session, actor, project)
        if project.is_default:
            self._authz.require_platform(actor, PlatformRole.ADMIN, to="change the default project")
        if not self._authz.allows(actor, Permission.PROJECT_UPDATE, project):
            raise Forbidden("changing this project needs its owner or a platform admin", code="level_too_low")
        return project


def _defaults(execution: Execution) -> dict[str, object]:
    """As columns, and for the audit."""
    return {"default_execution_mode": execution.mode.value, "default_agent_pool_id": execution.pool_id}


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        if "agent_pool" in str(error.orig).lower():  # it was deleted a moment ago
            raise Invalid("there is no such agent pool, or you may not see it", pointer="/data/attributes/default-agent-pool-id") from error
        raise Invalid("Name has already been taken", pointer="/data/attributes/name") from error
