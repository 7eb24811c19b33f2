"""The rooms of workspaces over a real database, for tests of their services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from terrapod_core.agents import check_use
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import Actor, ActorKind, Authorizer, GuardKind, PlatformRole
from terrapod_core.authz.models import Visibility
from terrapod_core.db import Base, Database, OutboxRow
from terrapod_core.jsonapi import Query
from terrapod_core.projects import Projects
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.settings import Settings
from terrapod_core.variables import Values, Variables, VariableSets
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.opening import Forges
from terrapod_core.vcs.service import Connections
from terrapod_core.workspaces import Workspaces, queries
from terrapod_core.workspaces.documents import CreateWorkspace
from terrapod_core.workspaces.linking import Linking
from terrapod_core.workspaces.models import Workspace
from terrapod_core.workspaces.service import Limits
from tests.support.databases import Databases


def user(name: str, *roles: PlatformRole) -> Actor:
    """Somebody who is signed in."""
    return Actor(ActorKind.USER, f"user-{name}", name, f"{name}@example.com", platform=frozenset(roles))


ROOT = user("root", PlatformRole.ADMIN)
AUDITOR = user("audrey", PlatformRole.AUDIT)
ALICE = user("alice")
BOB = user("bob")
PHASE = Actor(ActorKind.PHASE, "plan-2uPXtbAVfmCkwGsT", "plan")


def tables(url: str) -> None:
    """Make every table."""

    async def make() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(insert(Visibility), [{"kind": kind.value, "generation": 1} for kind in GuardKind])
        await engine.dispose()

    asyncio.run(make())


@dataclass
class House:
    """The rooms, and what they ask of rooms above them."""

    db: Database
    pending: set[str] = field(default_factory=set)
    """Ids of workspaces whose newest state still waits for its bytes."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        authz = Authorizer()
        self.projects = Projects(self.db, authz, queries.InProjects(authz), partial(check_use, authz))
        self.workspaces = Workspaces(
            self.db,
            authz,
            self.projects,
            linking=Linking(self.db, Browsing(Connections(self.db, authz, Forges({}, Keyring(new_key()))), 5.0)),
            pending_state=lambda _session, one: one in self.pending,
            limits=self.limits,
        )
        self.settings = Settings(external_url="https://tfe.example.com")
        values = Values(Keyring(new_key()), self.settings)
        self.variables = Variables(self.db, authz, values)
        self.variable_sets = VariableSets(self.db, authz, self.projects, values)

    async def workspace(self, actor: Actor = ALICE, name: str = "net", **sent: object) -> Workspace:
        """A new workspace."""
        return await self.workspaces.create(actor, CreateWorkspace(name=name, **sent))  # type: ignore[arg-type]

    async def names(self, actor: Actor, *pairs: tuple[str, str]) -> list[str]:
        """The names that a list request with this query string is answered with, in order."""
        return [one.name for one in (await self.workspaces.list(actor, Query.parse(pairs))).items]

    async def audited(self) -> list[tuple[str, str]]:
        """Action and actor of each audit entry so far."""
        return await self.db.read(_audited)

    async def events(self) -> list[str]:
        """The names of the events told so far."""
        return await self.db.read(lambda session: list(session.execute(select(OutboxRow.event).order_by(OutboxRow.number)).scalars()))


def _audited(session: Session) -> list[tuple[str, str]]:
    return [(row.action, row.actor_name) for row in session.execute(select(AuditEntry).order_by(AuditEntry.at)).scalars()]


@pytest.fixture
def tables_url(databases: Databases) -> str:
    """The URL of a database of the test's own, with every table."""
    return databases.copy_of("tables", tables)


@pytest.fixture
async def house(databases: Databases, tables_url: str) -> AsyncIterator[House]:
    """The rooms over such a database, with the default project."""
    house = House(Database(tables_url))
    await house.projects.ensure_default()
    yield house
    await house.db.close()
    databases.drop(tables_url)
