"""Variable sets: create, read, list, update, delete. Platform admins make and change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, Permission, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import Page, Query
from terrapod_core.projects import Projects, queries as projects
from terrapod_core.variables import effective, set_queries
from terrapod_core.variables.assignments import PROJECTS, WORKSPACES, Assignments, Kind
from terrapod_core.variables.models import VariableSet
from terrapod_core.variables.set_documents import CreateVariableSet, UpdateVariableSet, columns, variables, within
from terrapod_core.variables.set_door import SetDoor
from terrapod_core.variables.set_queries import ShownSet
from terrapod_core.variables.set_variables import SetVariables
from terrapod_core.variables.values import Values
from terrapod_core.workspaces import queries as workspaces

DEFAULTS: Final[dict[str, Any]] = {"description": "", "is_global": False, "priority": False, "unadmitted_workspaces": False}


class VariableSets:
    """go-tfe's `VariableSets`; what is in a set and what it is assigned to have services of their own, `variables` and `assignments`."""

    def __init__(self, db: Database, authz: Authorizer, projects: Projects, values: Values) -> None:
        self._door = SetDoor(db, authz)
        self._projects = projects
        self._values = values
        self.variables = SetVariables(self._door, values)
        self.assignments = Assignments(self._door)

    async def list(self, actor: Actor, query: Query) -> Page[ShownSet]:
        """One page of the sets that the actor may read."""
        return await self._door.db.read(lambda session: self._page(session, actor, self._visible(actor), query))

    async def list_for_workspace(self, actor: Actor, workspace_id: str, query: Query) -> Page[ShownSet]:
        """The same, of those that reach the workspace, whichever way; needs to read it."""

        def read(session: Session) -> Page[ShownSet]:
            workspace = workspaces.by_id(session, workspace_id)
            if workspace is None:
                raise missing("workspace")
            self._door.authz.require(actor, Permission.VARIABLE_READ, workspace)
            reaching = [each.varset.id for each in effective.sets_of(session, workspace) if each.origins]
            return self._page(session, actor, self._visible(actor).where(VariableSet.id.in_(reaching)), query)

        return await self._door.db.read(read)

    async def list_for_project(self, actor: Actor, project_id: str, query: Query) -> Page[ShownSet]:
        """The same, of those that are meant for all workspaces of the project; needs to read it."""

        def read(session: Session) -> Page[ShownSet]:
            project = self._projects.readable(session, actor, projects.by_id(session, project_id))
            return self._page(session, actor, set_queries.for_project(self._visible(actor), project.id), query)

        return await self._door.db.read(read)

    async def read(self, actor: Actor, varset_id: str) -> ShownSet:
        """The set; `NotFound` when it is not there, or reaches nothing that the actor may read."""
        return await self._door.db.read(lambda session: self._shown(session, actor, self._door.readable(session, actor, varset_id)))

    async def create(self, actor: Actor, new: CreateVariableSet) -> ShownSet:
        """Make a set, with variables and assignments when they are sent too. `Invalid` says what is wrong with the document."""
        self._door.authz.require_platform(actor, PlatformRole.ADMIN, to="create variable sets")
        values = {**DEFAULTS, **columns(new)}
        async with self._door.db.uow() as uow:
            now = uow.now()
            varset = VariableSet(id=ids.new("varset"), created_at=now, updated_at=now, **values)
            uow.add(varset)
            audit.record(uow, actor, "variable-set.create", "varsets", varset.id, new=values)
            await _flush(uow)
            for root, each in variables(new):
                with within(root):
                    await self._values.create(uow, actor, each, varset_id=varset.id)
            await self._assign(uow, actor, varset, new)
            await self._door.check_global(uow, varset, pointer="/data/relationships/vars")
            shown = await uow.run(lambda session: self._shown(session, actor, varset))
            await uow.commit()
        return shown

    async def update(self, actor: Actor, varset_id: str, changes: UpdateVariableSet) -> ShownSet:
        """Change what was sent. A set that becomes global leaves what it was assigned to."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to="change variable sets")
            values = {name: value for name, value in columns(changes).items() if getattr(varset, name) != value}
            if values:
                old = {name: getattr(varset, name) for name in values}
                for name, value in values.items():
                    setattr(varset, name, value)
                varset.updated_at = uow.now()
                audit.record(uow, actor, "variable-set.update", "varsets", varset.id, name=varset.name, old=old, new=values)
                await _flush(uow)
            if values.get("is_global"):
                await self._unassign(uow, varset)
            await self._assign(uow, actor, varset, changes)
            await self._door.check_global(uow, varset, pointer="/data/attributes/global")
            shown = await uow.run(lambda session: self._shown(session, actor, varset))
            await uow.commit()
        return shown

    async def delete(self, actor: Actor, varset_id: str) -> None:
        """Remove the set, its variables and its assignments."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to="delete variable sets")
            audit.record(uow, actor, "variable-set.delete", "varsets", varset.id, name=varset.name)
            await uow.session.delete(varset)
            await uow.commit()

    # -- inside

    def _visible(self, actor: Actor) -> Select[VariableSet]:
        return set_queries.visible(self._door.authz, actor)

    def _page(self, session: Session, actor: Actor, found: Select[VariableSet], query: Query) -> Page[ShownSet]:
        page = set_queries.listing(session, found, query)
        return Page(set_queries.shown(session, self._door.authz, actor, page.items), page.number, page.size, page.total)

    def _shown(self, session: Session, actor: Actor, varset: VariableSet) -> ShownSet:
        return set_queries.shown(session, self._door.authz, actor, [varset])[0]

    async def _assign(self, uow: UnitOfWork, actor: Actor, varset: VariableSet, sent: UpdateVariableSet) -> None:
        named: Sequence[tuple[Kind, Any]] = ((WORKSPACES, sent.workspaces), (PROJECTS, sent.projects))
        for kind, refs in named:
            if isinstance(refs, list):
                await self.assignments.put(uow, actor, varset, kind, refs, pointer=f"/data/relationships/{kind.name}")

    async def _unassign(self, uow: UnitOfWork, varset: VariableSet) -> None:
        for kind in (WORKSPACES, PROJECTS):
            await uow.session.execute(delete(kind.table).where(kind.table.varset_id == varset.id))


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid("Name has already been taken", pointer="/data/attributes/name") from error
