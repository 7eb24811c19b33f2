"""What the services of variable sets share: finding a set that an actor may read, or change."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.variables import set_queries
from terrapod_core.variables.models import VariableSet


@dataclass(frozen=True)
class SetDoor:
    """The database and the gate before it."""

    db: Database
    authz: Authorizer

    def readable(self, session: Session, actor: Actor, varset_id: str) -> VariableSet:
        """The set; `NotFound` when it is not there, or reaches nothing that the actor may read."""
        found = session.execute(set_queries.visible(self.authz, actor).where(VariableSet.id == varset_id)).scalar_one_or_none()
        if found is None:
            hidden = missing("variable set")
            hidden.refusal = set_queries.by_id(session, varset_id) is not None
            raise hidden
        return found

    async def taken(self, uow: UnitOfWork, actor: Actor, varset_id: str, *, to: str) -> VariableSet:
        """The set with its row locked, for a platform admin who wants `to` change it; `Forbidden` for who may only read it."""

        def take(session: Session) -> VariableSet:
            self.readable(session, actor, varset_id)
            self.authz.require_platform(actor, PlatformRole.ADMIN, to=to)
            varset = set_queries.for_update(session, varset_id)
            if varset is None:
                raise missing("variable set")
            return varset

        return await uow.run(take)

    async def check_global(self, uow: UnitOfWork, varset: VariableSet, *, pointer: str) -> None:
        """`Invalid` when a key of a global set is in another global one too: nothing but their names would say which counts."""
        if not varset.is_global:
            return
        found = await uow.run(lambda session: set_queries.in_another_global_set(session, varset.id))
        if found is not None:
            raise Invalid(f"Key {found[0]} has already been taken by the global variable set {found[1]}", pointer=pointer)
