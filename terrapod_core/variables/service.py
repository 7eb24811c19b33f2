"""Variables of workspaces: create, read, list, update, delete, and what a run gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.variables import effective, queries
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.models import AssignedWorkspace, Category, Variable, VariableSet
from terrapod_core.variables.precedence import InForce, Origin, RunValue, Tier
from terrapod_core.variables.values import ShownVariable, Values
from terrapod_core.workspaces import Workspace, queries as workspaces


@dataclass(frozen=True)
class EffectiveVariable:
    """A variable as a run gets it, sensitive or not."""

    key: str
    value: str
    category: Category
    hcl: bool
    """Whether the value is an expression; never for the environment."""
    sensitive: bool
    origin: Origin


class Variables:
    """go-tfe's `Variables`."""

    def __init__(self, db: Database, authz: Authorizer, values: Values) -> None:
        self._db = db
        self._authz = authz
        self._values = values

    async def list(self, actor: Actor, workspace_id: str) -> Sequence[ShownVariable]:
        """All variables of the workspace, by category and key."""

        def read(session: Session) -> Sequence[Variable]:
            self._allowed(session, actor, Permission.VARIABLE_READ, workspace_id)
            return queries.of_workspace(session, workspace_id)

        return [self._values.shown(variable) for variable in await self._db.read(read)]

    async def list_named(self, actor: Actor, workspace_name: str) -> Sequence[ShownVariable]:
        """The same, by the workspace's name."""
        workspace = await self._db.read(lambda session: workspaces.by_name(session, workspace_name))
        return await self.list(actor, workspace.id if workspace is not None else "")

    async def read(self, actor: Actor, variable_id: str, workspace_id: str | None = None) -> ShownVariable:
        """One variable; `NotFound` also when it is not of the workspace that was named with it."""

        def read(session: Session) -> Variable:
            variable = self._of(queries.by_id(session, variable_id), workspace_id)
            self._allowed(session, actor, Permission.VARIABLE_READ, variable.workspace_id, noun="variable")
            return variable

        return self._values.shown(await self._db.read(read))

    async def list_effective(self, actor: Actor, workspace_id: str) -> tuple[Sequence[ShownVariable], Sequence[VariableSet]]:
        """What a run of the workspace would get, each with its origin; and the sets that are withheld from it."""

        def read(session: Session) -> effective.Effective:
            return effective.of_workspace(session, self._allowed(session, actor, Permission.VARIABLE_READ, workspace_id))

        found = await self._db.read(read)
        shown = [self._values.shown(each.variable, each.origin) for each in found.in_force if isinstance(each.variable, Variable)]
        return shown, found.withheld

    async def create(self, actor: Actor, workspace_id: str, new: CreateVariable) -> ShownVariable:
        """Add a variable; its key must be new in its category."""
        async with self._db.uow() as uow:
            await uow.run(lambda session: self._allowed(session, actor, Permission.VARIABLE_WRITE, workspace_id))
            variable = await self._values.create(uow, actor, new, workspace_id=workspace_id)
            await uow.commit()
        return self._values.shown(variable)

    async def update(self, actor: Actor, variable_id: str, changes: UpdateVariable, workspace_id: str | None = None) -> ShownVariable:
        """Change what was sent. Of a sensitive variable only value and description change, or `Invalid`."""
        async with self._db.uow() as uow:
            variable = await self._taken(uow, actor, variable_id, workspace_id)
            await self._values.update(uow, actor, variable, changes)
            await uow.commit()
        return self._values.shown(variable)

    async def delete(self, actor: Actor, variable_id: str, workspace_id: str | None = None) -> None:
        """Remove a variable."""
        async with self._db.uow() as uow:
            await self._values.delete(uow, actor, await self._taken(uow, actor, variable_id, workspace_id))
            await uow.commit()

    def effective(
        self, session: Session, workspace: Workspace, run: Sequence[RunValue] = (), *, secrets: bool = True
    ) -> Sequence[EffectiveVariable]:
        """What a run of the workspace gets, one variable for each category and key; for the runs' room, which asked the gate.

        Without `secrets` nothing that is sensitive, wherever it comes from, but what the run itself says in place of it.
        """
        found = effective.of_workspace(session, workspace, run).in_force
        return [self._opened(each) for each in found if secrets or not each.sensitive or each.origin.tier is Tier.RUN]

    async def forget(self, deleted: WorkspaceDeleted) -> None:
        """Remove what a workspace that is gone had of variables and sets: secrets do not wait for its row to be purged."""
        async with self._db.uow() as uow:
            for held in (Variable, AssignedWorkspace):
                await uow.session.execute(delete(held).where(held.workspace_id == deleted.workspace_id))
            await uow.commit()

    # -- inside

    def _opened(self, found: InForce) -> EffectiveVariable:
        variable = found.variable
        return EffectiveVariable(
            key=variable.key,
            value=self._values.open(variable) if isinstance(variable, Variable) else variable.value,
            category=Category(variable.category),
            hcl=variable.hcl,
            sensitive=found.sensitive,
            origin=found.origin,
        )

    def _allowed(
        self, session: Session, actor: Actor, permission: Permission, workspace_id: str | None, *, noun: str = "workspace"
    ) -> Workspace:
        """The workspace; a variable that no workspace holds is no variable here."""
        workspace = workspaces.by_id(session, workspace_id) if workspace_id is not None else None
        if workspace is None:
            raise missing(noun)
        self._authz.require(actor, permission, workspace, noun=noun)
        return workspace

    def _of(self, variable: Variable | None, workspace_id: str | None) -> Variable:
        if variable is None or workspace_id not in (None, variable.workspace_id):
            raise missing("variable")
        return variable

    async def _taken(self, uow: UnitOfWork, actor: Actor, variable_id: str, workspace_id: str | None) -> Variable:
        def take(session: Session) -> Variable:
            variable = self._of(queries.for_update(session, variable_id), workspace_id)
            self._allowed(session, actor, Permission.VARIABLE_WRITE, variable.workspace_id, noun="variable")
            return variable

        return await uow.run(take)
