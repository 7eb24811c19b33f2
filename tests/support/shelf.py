"""The rooms that keep bytes, over a real database and a store in memory, for tests of their services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.authz import Actor, ActorKind, Authorizer
from terrapod_core.configurations import Configurations, ConfigurationVersion, CreateConfigurationVersion
from terrapod_core.db import Database, OutboxRow
from terrapod_core.secrets import Keyring, new_key
from terrapod_core.settings import Limits
from terrapod_core.states import CreateStateVersion, States, StateVersion
from terrapod_core.storage import Capabilities, Objects
from terrapod_core.testing import FakeClock, MemoryStorage
from terrapod_core.workspaces import Workspace, queries as workspaces_queries
from tests.support.rooms import ALICE, House
from tests.support.wire import archive, md5

APPLY = Actor(ActorKind.PHASE, "apply-2uPXtbAVfmCkwGsT", "the apply of run-1")


async def pieces(content: bytes, step: int = 1 << 16) -> AsyncIterator[bytes]:
    """Bytes as they come from a client."""
    for at in range(0, len(content), step):
        yield content[at : at + step]


async def torn(content: bytes) -> AsyncIterator[bytes]:
    """The same from a client that vanishes half-way."""
    yield content[: len(content) // 2]
    raise asyncio.CancelledError


async def all_of(chunks: AsyncIterator[bytes]) -> bytes:
    """A stream, joined."""
    return b"".join([chunk async for chunk in chunks])


@dataclass
class Shelf(House):
    """The rooms of configurations and states, and what they ask of rooms above them."""

    clock: FakeClock = field(default_factory=FakeClock)
    in_use: set[str] = field(default_factory=set)
    """Ids of configuration versions that a run needs."""
    runs: dict[str, str] = field(default_factory=dict)
    """Ids of runs, and of the workspaces they belong to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.db.clock = self.clock
        authz, keyring, limits = Authorizer(), Keyring(new_key()), Limits()
        self.keyring = keyring
        self.storage = MemoryStorage(self.clock)
        self.objects = Objects(self.storage, keyring)
        self.capabilities = Capabilities(keyring, self.clock)
        self.configurations = Configurations(
            self.db,
            authz,
            self.workspaces,
            self.objects,
            self.capabilities,
            limits,
            lambda _session, one: one in self.in_use,
            lambda: select(ConfigurationVersion.id).where(ConfigurationVersion.id.in_(self.in_use)),
            lambda _actor, _workspace: None,
        )
        self.states = States(
            self.db,
            authz,
            self.workspaces,
            self.objects,
            self.capabilities,
            keyring,
            limits,
            lambda _session, one: self.runs.get(one),
        )

    async def held(self, actor: Actor = ALICE, name: str = "net") -> Workspace:
        """A new workspace that the actor has locked."""
        workspace = await self.workspace(actor, name)
        return await self.workspaces.locks.lock(actor, workspace.id, None)

    async def now(self, workspace: Workspace) -> Workspace:
        """The workspace as it is now."""
        found = await self.db.read(lambda session: workspaces_queries.by_id(session, workspace.id))
        assert found is not None
        return found

    async def given_to_run(self, workspace: Workspace, run_id: str) -> None:
        """Let a run hold the workspace, whoever held it."""
        async with self.db.uow() as uow:
            row = await uow.run(lambda session: workspaces_queries.for_update(session, workspace.id))
            assert row is not None
            row.unlock()
            self.workspaces.take_for_run(uow, row, run_id)
            await uow.commit()

    async def configuration(self, workspace: Workspace, actor: Actor = ALICE, **sent: Any) -> ConfigurationVersion:
        """A new configuration version that waits for its archive."""
        return await self.configurations.create(actor, workspace.id, CreateConfigurationVersion(**sent), source="tfe-api")

    async def uploaded(self, workspace: Workspace, content: bytes | None = None, **sent: Any) -> ConfigurationVersion:
        """A configuration version with its archive."""
        version = await self.configuration(workspace, **sent)
        self.clock.advance(seconds=1)
        await self.configurations.upload(version.id, pieces(archive({"main.tf": "locals {}\n"}) if content is None else content))
        return await self.configurations.read(ALICE, version.id)

    async def announced(self, workspace: Workspace, content: bytes, serial: int, actor: Actor = ALICE, **sent: Any) -> StateVersion:
        """A state version that waits for these bytes."""
        new = CreateStateVersion(serial=serial, md5=md5(content), **sent)
        return await self.states.create(actor, workspace.id, new)

    async def stated(self, workspace: Workspace, content: bytes, serial: int, **sent: Any) -> StateVersion:
        """A state version with its bytes."""
        version = await self.announced(workspace, content, serial, **sent)
        self.clock.advance(seconds=1)
        await self.states.uploads.content(version.id, pieces(content))
        return await self.states.read(ALICE, version.id)

    async def bytes_of(self, version: StateVersion) -> bytes:
        """What a state version holds."""
        return await all_of(self.states.content(version))

    async def emitted(self, event: str) -> list[dict[str, Any]]:
        """What the events of this name told."""

        def read(session: Any) -> list[dict[str, Any]]:
            return [row.payload for row in session.query(OutboxRow).filter(OutboxRow.event == event).order_by(OutboxRow.number)]

        return await self.db.read(read)


@pytest.fixture
async def shelf(migrated_url: str) -> AsyncIterator[Shelf]:
    """The rooms over a migrated database of the test's own."""
    shelf = Shelf(Database(migrated_url))
    await shelf.projects.ensure_default()
    yield shelf
    await shelf.db.close()
