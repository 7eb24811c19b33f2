"""Roles and assignments over a real database, beside the accounts that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.accounts import Holders, User
from terrapod_core.accounts.identities import welcomed
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import SYSTEM, Actor, Authorizer, Held, RoleAssignment, held_by
from terrapod_core.jsonapi import Query
from terrapod_core.plugin import Identity
from terrapod_core.roles import Assignments, AssignmentView, Roles
from terrapod_core.roles.documents import CreateRole, SetRoles
from terrapod_core.settings import Auth
from tests.support.people import People, people

__all__ = ["Access", "access", "people"]


@dataclass
class Access:
    """The room, and the accounts that it asks."""

    people: People

    def __post_init__(self) -> None:
        services = self.people.services
        self.holders = Holders(services.sign_in.providers, services.authentication)
        self.db = self.people.db
        self.roles = Roles(self.db, Authorizer(), self.holders.forget)
        self.assignments = Assignments(self.db, Authorizer(), self.holders)

    async def role(self, name: str = "developer", **sent: Any) -> None:
        """Make a role that allows `dev-*`, unless something else is sent."""
        await self.roles.create(SYSTEM, CreateRole(name=name, **{"workspace_permission": "write", "allow_names": ["dev-*"], **sent}))

    async def set(self, email: str, *roles: str, provider: str = "local", actor: Actor = SYSTEM) -> AssignmentView:
        """Let the person hold exactly these."""
        return await self.assignments.set(actor, SetRoles(provider_name=provider, email=email, roles=list(roles)))

    async def listed(self, *pairs: tuple[str, str]) -> list[AssignmentView]:
        """What a list request with this query string is answered with."""
        return list((await self.assignments.list(SYSTEM, Query.parse(pairs))).items)

    async def held(self, user_id: str) -> Held:
        """What the gate goes by."""
        return await self.db.read(lambda session: held_by(session, user_id, claims_count=True))

    async def rows(self) -> Sequence[RoleAssignment]:
        """All there are."""
        query = select(RoleAssignment).order_by(RoleAssignment.email_key, RoleAssignment.role)
        return await self.db.read(lambda session: session.execute(query).scalars().all())

    async def signs_in(self, subject: str, email: str, *, verified: bool = True, **settings: Any) -> User:
        """A sign-in through the provider `corporate`; groups are given as `groups`."""
        groups = frozenset(settings.pop("groups", ()))
        identity = Identity(subject, "https://idp.example", email, verified, subject)
        async with self.db.uow() as uow:
            user = await welcomed(uow, "corporate", replace(identity, groups=groups), Auth(**settings))
            await uow.commit()
        return user

    async def audited(self, action: str) -> list[dict[str, Any]]:
        """The details of the entries of this action."""
        query = select(AuditEntry.detail).where(AuditEntry.action == action)
        return await self.db.read(lambda session: list(session.execute(query).scalars()))


@pytest.fixture
def access(people: People) -> Access:
    """The room over a database of the test's own."""
    return Access(people)
