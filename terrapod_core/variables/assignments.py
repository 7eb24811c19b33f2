"""Which workspaces and projects get a variable set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import Ref
from terrapod_core.projects import Project
from terrapod_core.variables.models import AssignedProject, AssignedWorkspace, VariableSet
from terrapod_core.variables.set_door import SetDoor
from terrapod_core.workspaces import queries as workspaces

ASSIGN: Final = "assign variable sets"


@dataclass(frozen=True)
class Kind:
    """A kind of thing that sets are assigned to."""

    name: str
    """As in a relationship: `workspaces`."""
    table: Any
    """Of the assignments."""
    column: str
    """Of that table, with the thing's id."""
    there: Callable[[Session, Sequence[str]], set[str]]
    """Those of the ids that exist; their rows stay until the transaction ends."""


def _workspaces(session: Session, ids: Sequence[str]) -> set[str]:
    return {each.id for each in workspaces.by_ids(session, ids, locked=True)}


def _projects(session: Session, ids: Sequence[str]) -> set[str]:
    query = select(Project.id).where(Project.id.in_(ids)).order_by(Project.id).with_for_update(read=True)
    return set(session.execute(query).scalars())


WORKSPACES: Final = Kind("workspaces", AssignedWorkspace, "workspace_id", _workspaces)
PROJECTS: Final = Kind("projects", AssignedProject, "project_id", _projects)


class Assignments:
    """go-tfe's `VariableSets.ApplyTo…`, `RemoveFrom…` and `UpdateWorkspaces`. For platform admins, who may read whatever is named."""

    def __init__(self, door: SetDoor) -> None:
        self._door = door

    async def add(self, actor: Actor, varset_id: str, kind: Kind, refs: Sequence[Ref]) -> None:
        """Give the set to these too; those that have it already are none too many."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to=ASSIGN)
            named = await self._named(uow, varset, kind, refs, "/data")
            await self._change(uow, actor, varset, kind, add=named - await self._now(uow, varset, kind), remove=set())
            await uow.commit()

    async def replace(self, actor: Actor, varset_id: str, kind: Kind, refs: Sequence[Ref]) -> None:
        """Give the set to these and to no others of their kind."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to=ASSIGN)
            await self.put(uow, actor, varset, kind, refs, pointer="/data")
            await uow.commit()

    async def remove(self, actor: Actor, varset_id: str, kind: Kind, refs: Sequence[Ref]) -> None:
        """Take the set from these."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to=ASSIGN)
            named = {each.id for each in refs if each.id}
            await self._change(uow, actor, varset, kind, add=set(), remove=named & await self._now(uow, varset, kind))
            await uow.commit()

    async def put(self, uow: UnitOfWork, actor: Actor, varset: VariableSet, kind: Kind, refs: Sequence[Ref], *, pointer: str) -> None:
        """The same as `replace`, for who holds the set already."""
        named = await self._named(uow, varset, kind, refs, pointer)
        now = await self._now(uow, varset, kind)
        await self._change(uow, actor, varset, kind, add=named - now, remove=now - named)

    async def _named(self, uow: UnitOfWork, varset: VariableSet, kind: Kind, refs: Sequence[Ref], pointer: str) -> set[str]:
        """The ids, when each is there; `Invalid` else, and for a set that reaches everything as it is."""
        named = {each.id or "" for each in refs}
        if named and varset.is_global:
            raise Invalid(f"the set is global and reaches all workspaces; switch global off to name {kind.name}", pointer=pointer)
        wanted = sorted(named)
        strange = named - await uow.run(lambda session: kind.there(session, wanted))
        if strange:
            raise Invalid(f"there is no {kind.name.removesuffix('s')} {min(strange)}, or you may not see it", pointer=pointer)
        return named

    async def _now(self, uow: UnitOfWork, varset: VariableSet, kind: Kind) -> set[str]:
        query = select(getattr(kind.table, kind.column)).where(kind.table.varset_id == varset.id)
        return set((await uow.session.execute(query)).scalars())

    async def _change(self, uow: UnitOfWork, actor: Actor, varset: VariableSet, kind: Kind, *, add: set[str], remove: set[str]) -> None:
        if not add and not remove:
            return
        uow.add(*(kind.table(varset_id=varset.id, **{kind.column: one}) for one in sorted(add)))
        gone = getattr(kind.table, kind.column).in_(sorted(remove))
        await uow.session.execute(delete(kind.table).where(kind.table.varset_id == varset.id, gone))
        audit.record(
            uow, actor, "variable-set.assign", "varsets", varset.id,
            name=varset.name, kind=kind.name, added=sorted(add), removed=sorted(remove),
        )  # fmt: skip
        await uow.flush()
