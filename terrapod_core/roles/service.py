"""Roles: create, read, list, update, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, ClaimedRole, PlatformRole, Role, RoleAssignment
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Invalid, NotFound
from terrapod_core.jsonapi import Page, Query
from terrapod_core.roles import queries
from terrapod_core.roles.documents import DEFAULTS, CreateRole, UpdateRole, columns
from terrapod_core.roles.views import BUILT_IN_ROLES, RoleView

MOST_ROLES: Final = 500
"""Of one installation: each is looked at for every name and label that is given away."""


class Roles:
    """Built-in and custom roles. Platform admins change the custom ones; platform auditors see all of them."""

    def __init__(self, db: Database, authz: Authorizer, forget: Callable[[], None]) -> None:
        """`forget` makes this process resolve everybody's roles anew; others do within seconds."""
        self._db = db
        self._authz = authz
        self._forget = forget

    async def list(self, actor: Actor, query: Query) -> Page[RoleView]:
        """One page: the built-in ones, then the custom ones by name."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="list roles")
        return await self._db.read(lambda session: queries.roles_page(session, query))

    async def read(self, actor: Actor, name: str) -> RoleView:
        """One role; `NotFound` when there is none of this name."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to="look at roles")

        def query(session: Session) -> RoleView:
            for built_in in BUILT_IN_ROLES:
                if built_in.name == name:
                    return built_in
            return RoleView.of(_there(queries.role_by_name(session, name)))

        return await self._db.read(query)

    async def create(self, actor: Actor, new: CreateRole) -> RoleView:
        """Make a role. `Invalid` says all that is wrong with it; `Conflict` when the name, in whatever case, is taken."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="create roles")
        values = {**DEFAULTS, **columns(new)}
        async with self._db.uow() as uow:
            await exclusive(uow, Lock.ROLES)
            await uow.run(lambda session: _room_for(session, new.name))
            now = uow.now()
            role = Role(id=ids.new("role"), name=new.name, created_at=now, updated_at=now, **values)
            uow.add(role)
            audit.record(uow, actor, "role.create", "roles", role.name, new=values)
            await uow.commit()
        self._forget()
        return RoleView.of(role)

    async def update(self, actor: Actor, name: str, changes: UpdateRole) -> RoleView:
        """Change what was sent. A role keeps its name: assignments and the settings' mappings of groups go by it."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="change roles")
        async with self._db.uow() as uow:
            role = await self._changeable(uow, name, "changed")
            if changes.name not in (UNSET, name):
                raise Invalid(
                    f"a role keeps its name, by which it is assigned; make another role and delete {name}", pointer="/data/attributes/name"
                )
            values = columns(changes)
            old = {column: getattr(role, column) for column, value in values.items() if getattr(role, column) != value}
            if old:
                new = {column: values[column] for column in old}
                for column, value in new.items():
                    setattr(role, column, value)
                role.updated_at = uow.now()
                audit.record(uow, actor, "role.update", "roles", name, old=old, new=new)
            await uow.commit()
        self._forget()
        return RoleView.of(role)

    async def delete(self, actor: Actor, name: str) -> None:
        """Delete a role and take it from everybody who holds it; the audit says from how many."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to="delete roles")
        async with self._db.uow() as uow:
            role = await self._changeable(uow, name, "deleted")
            # The locked row keeps others from assigning it between these and the commit.
            assigned = await _counted(uow, delete(RoleAssignment).where(RoleAssignment.role == name).returning(RoleAssignment.id))
            claimed = await _counted(uow, delete(ClaimedRole).where(ClaimedRole.role == name).returning(ClaimedRole.user_id))
            old = {column: getattr(role, column) for column in ("workspace_permission", *DEFAULTS)}
            audit.record(uow, actor, "role.delete", "roles", name, old=old, assignments=assigned, claimed=claimed)
            await uow.session.delete(role)
            await uow.commit()
        self._forget()

    async def _changeable(self, uow: UnitOfWork, name: str, verb: str) -> Role:
        if any(built_in.name == name for built_in in BUILT_IN_ROLES):
            raise Conflict(f"{name} is a built-in role and cannot be {verb}; make a role of your own", code="built_in_role")
        return await uow.run(lambda session: _there(queries.for_update(session, name)))


def _there(role: Role | None) -> Role:
    if role is None:
        raise NotFound("there is no such role")
    return role


def _room_for(session: Session, name: str) -> None:
    taken = session.execute(select(Role.name).where(func.lower(Role.name) == name.lower())).scalar_one_or_none()
    if taken is not None:
        raise Conflict(f"there is a role named {taken} already; names that differ only in case are one")
    if session.execute(select(func.count()).select_from(Role)).scalar_one() >= MOST_ROLES:
        raise Invalid(f"there may be at most {MOST_ROLES} roles; delete one first")


async def _counted(uow: UnitOfWork, statement: Any) -> int:
    return len((await uow.session.execute(statement)).all())
