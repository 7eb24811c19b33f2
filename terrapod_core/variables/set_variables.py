"""The variables of a set."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.jsonapi import Page, Query
from terrapod_core.variables import queries, set_queries
from terrapod_core.variables.documents import CreateVariable, UpdateVariable
from terrapod_core.variables.models import Variable, VariableSet
from terrapod_core.variables.set_door import SetDoor
from terrapod_core.variables.values import ShownVariable, Values

CHANGE = "change the variables of variable sets"
KEY = "/data/attributes/key"


class SetVariables:
    """go-tfe's `VariableSetVariables`. Who may read a set reads its variables; platform admins change them."""

    def __init__(self, door: SetDoor, values: Values) -> None:
        self._door = door
        self._values = values

    async def list(self, actor: Actor, varset_id: str, query: Query) -> Page[ShownVariable]:
        """One page of the set's variables, by category and key."""

        def read(session: Session) -> Page[Variable]:
            return set_queries.variables_page(session, self._door.readable(session, actor, varset_id).id, query)

        page = await self._door.db.read(read)
        return Page([self._values.shown(each) for each in page.items], page.number, page.size, page.total)

    async def read(self, actor: Actor, varset_id: str, variable_id: str) -> ShownVariable:
        """One variable; `NotFound` also when it is not of this set."""

        def read(session: Session) -> Variable:
            return _of(self._door.readable(session, actor, varset_id), queries.by_id(session, variable_id))

        return self._values.shown(await self._door.db.read(read))

    def load(self, session: Session, actor: Actor, variable_ids: Sequence[str]) -> Sequence[ShownVariable]:
        """Those of the variables that are of sets which the actor may read; the loader of `include=vars`."""
        return [self._values.shown(each) for each in set_queries.variables_by_id(session, self._door.authz, actor, variable_ids)]

    async def create(self, actor: Actor, varset_id: str, new: CreateVariable) -> ShownVariable:
        """Add a variable; its key must be new in its category, for a global set in all global ones."""
        async with self._door.db.uow() as uow:
            varset = await self._door.taken(uow, actor, varset_id, to=CHANGE)
            variable = await self._values.create(uow, actor, new, varset_id=varset.id)
            await self._door.check_global(uow, varset, pointer=KEY)
            await uow.commit()
        return self._values.shown(variable)

    async def update(self, actor: Actor, varset_id: str, variable_id: str, changes: UpdateVariable) -> ShownVariable:
        """Change what was sent. Of a sensitive variable only value and description change, or `Invalid`."""
        async with self._door.db.uow() as uow:
            varset, variable = await self._taken(uow, actor, varset_id, variable_id)
            await self._values.update(uow, actor, variable, changes)
            await self._door.check_global(uow, varset, pointer=KEY)
            await uow.commit()
        return self._values.shown(variable)

    async def delete(self, actor: Actor, varset_id: str, variable_id: str) -> None:
        """Remove a variable."""
        async with self._door.db.uow() as uow:
            _, variable = await self._taken(uow, actor, varset_id, variable_id)
            await self._values.delete(uow, actor, variable)
            await uow.commit()

    async def _taken(self, uow: UnitOfWork, actor: Actor, varset_id: str, variable_id: str) -> tuple[VariableSet, Variable]:
        varset = await self._door.taken(uow, actor, varset_id, to=CHANGE)
        return varset, await uow.run(lambda session: _of(varset, queries.for_update(session, variable_id)))


def _of(varset: VariableSet, variable: Variable | None) -> Variable:
    if variable is None or variable.varset_id != varset.id:
        raise missing("variable")
    return variable
