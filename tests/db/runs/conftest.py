"""The whole server over a real database, with a runner that the test plays itself and a clock that it turns."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from terrapod_core.accounts.platform_roles import grant
from terrapod_core.accounts.users import add_local_user
from terrapod_core.app import Terrapod
from terrapod_core.authz import SYSTEM, Actor, PlatformRole
from terrapod_core.configurations.service import CreateConfigurationVersion
from terrapod_core.jsonapi import Ref
from terrapod_core.plugin import Plugins, hookimpl
from terrapod_core.roles.documents import CreateRole, SetRoles
from terrapod_core.runs import Phase, RunStatus
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, CreateRun, Report
from terrapod_core.secrets import new_key
from terrapod_core.settings import Database, Runner as RunnerSettings, Secrets, Settings, Storage
from terrapod_core.storage import ObjectKind, PhaseClaim
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import CreateWorkspace

LINEAGE = "6a2f7a9e-0000-4000-8000-000000000001"


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("main.tf")
        text = b'resource "terraform_data" "a" {}\n'
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def state(serial: int, lineage: str = LINEAGE) -> bytes:
    document = {"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage, "outputs": {}, "resources": []}
    return json.dumps(document).encode()


class Engine:
    """The services, and short ways to do what a test of runs does all the time."""

    def __init__(self, terrapod: Terrapod, backend: FakeRunnerBackend, clock: FakeClock, admin: Actor) -> None:
        self.terrapod = terrapod
        self.runs = terrapod.runs
        self.phases = terrapod.phases
        self.backend = backend
        self.clock = clock
        self.admin = admin

    async def workspace(self, name: str = "net", **sent: Any) -> Workspace:
        return await self.terrapod.workspaces.create(self.admin, CreateWorkspace(name=name, **sent))

    async def configuration(self, workspace: Workspace, **sent: Any) -> str:
        new = CreateConfigurationVersion(auto_queue_runs=False, **sent)
        version = await self.terrapod.configurations.create(self.admin, workspace.id, new, source="tfe-api")
        await self.terrapod.configurations.upload(version.id, pieces(archive()))
        return version.id

    async def run(self, workspace: Workspace, *, speculative: bool = False, **sent: Any) -> RunView:
        configuration = await self.configuration(workspace, speculative=speculative)
        return await self.create(workspace, configuration, **sent)

    async def create(self, workspace: Workspace, configuration: str, **sent: Any) -> RunView:
        new = CreateRun(
            workspace=Ref(type="workspaces", id=workspace.id),
            configuration_version=Ref(type="configuration-versions", id=configuration),
            **sent,
        )
        view = await self.runs.create(self.admin, new)
        self.clock.advance(seconds=1)
        return view

    async def show(self, run: RunView) -> RunView:
        return await self.runs.show(self.admin, run.id)

    async def status(self, run: RunView) -> str:
        return (await self.show(run)).run.status

    async def phase(self, phase_id: str) -> Phase:
        return await self.terrapod.db.read(lambda session: session.get_one(Phase, phase_id))

    async def dispatch(self) -> None:
        """One pass of the dispatcher, and of the loop that passes cancels on."""
        await self.terrapod.dispatcher.cancels.look()
        await self.terrapod.dispatcher.look()

    async def look(self) -> None:
        """The same, and every job that is due."""
        await self.dispatch()
        assert self.terrapod.worker is not None
        await self.terrapod.worker.drain()

    def claim(self, phase_id: str) -> PhaseClaim:
        """What the newest token launched for this phase says."""
        tokens = [fake.spec.token for fake in self.backend.phases.values() if fake.spec.phase_id == phase_id]
        return self.terrapod.phase_tokens.verify(tokens[-1])

    async def begin(self, phase_id: str) -> PhaseClaim:
        """Launch and claim."""
        await self.look()
        claim = self.claim(phase_id)
        await self.phases.claim(claim, Claim(runner="host 1"))
        return claim

    async def plan(self, run: RunView, *, has_changes: bool = True, status: str = "finished") -> PhaseClaim:
        """Play the runner of the plan to its end."""
        claim = await self.begin(run.run.plan_id)
        await self.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000)
        await self.phases.report(claim, Report(status=status, has_changes=has_changes, additions=1))
        return claim

    async def apply(self, run: RunView, *, serial: int = 1, status: str = "finished") -> PhaseClaim:
        """Play the runner of the apply to its end."""
        claim = await self.begin(run.run.apply_id)
        await self.put_state(claim, serial)
        await self.phases.report(claim, Report(status=status, additions=1))
        return claim

    async def put_state(self, claim: PhaseClaim, serial: int, lineage: str = LINEAGE) -> dict[str, Any]:
        text = state(serial, lineage)
        return await self.phases.put_state(claim, serial, lineage, hashlib.md5(text).hexdigest(), pieces(text))

    async def kept(self, prefix: str) -> list[str]:
        """The keys of the objects in the store."""
        return [each.key async for each in self.terrapod.storage_backend.list(prefix)]

    async def close(self) -> None:
        """Let go of the database."""
        await self.terrapod.people.authentication.settle()
        await self.terrapod.db.close()

    async def log(self, phase_id: str) -> bytes:
        return await self.terrapod.logs.read(phase_id, 0, 1 << 20)


@pytest.fixture
async def engine(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Engine]:
    engine = await open_engine(migrated_url, tmp_path, clock)
    yield engine
    await engine.close()


async def open_engine(url: str, data: Path, clock: FakeClock) -> Engine:
    """The server over a database that has its tables; whoever opens it closes it."""
    backend = FakeRunnerBackend(capacity=2)
    settings = settings_for(url, data)
    terrapod = Terrapod(settings, plugins=plugins_with(backend, settings), clock=clock)
    await terrapod.projects.ensure_default()
    return Engine(terrapod, backend, clock, await make_user(terrapod, "root@example.com", PlatformRole.ADMIN))


KEYS = new_key()


def settings_for(url: str, data: Path) -> Settings:
    return Settings(
        data_dir=data,
        external_url="https://tfe.example.com",
        database=Database(url=url),
        secrets=Secrets(keys=KEYS),
        storage=Storage(backend="memory"),
        runner=RunnerSettings(backend="fake"),
    )


def plugins_with(backend: FakeRunnerBackend, settings: Settings) -> Plugins:
    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [MemoryStorage()]),
        register_runner_backends=hookimpl(lambda context: [backend]),
    )
    return Plugins.discover(settings, modules={"fakes": fakes})


async def make_user(terrapod: Terrapod, email: str, *roles: PlatformRole) -> Actor:
    """A user in the table, as one who asks."""
    async with terrapod.db.uow() as uow:
        user = await add_local_user(uow, email, None, "a hash: they can sign in")
        for role in roles:
            await grant(uow, SYSTEM, user, role)
        await uow.commit()
    now = terrapod.clock.now()
    return await terrapod.db.read(lambda session: terrapod.people.authentication.actor_of(session, user, now))


async def make_person(engine: Engine, workspace: Workspace, level: str) -> Actor:
    """Somebody who has this level on this workspace, by a role."""
    name = f"{level}-{workspace.name}"
    await engine.terrapod.roles.create(engine.admin, CreateRole(name=name, workspace_permission=level, allow_names=[workspace.name]))
    person = await make_user(engine.terrapod, f"{name}@example.com")
    await engine.terrapod.assignments.set(engine.admin, SetRoles(provider_name="local", email=f"{name}@example.com", roles=[name]))
    actor = await engine.terrapod.db.read(lambda session: engine.terrapod.actor_of(session, person.id))
    assert actor is not None
    return actor


__all__ = ["LINEAGE", "Engine", "RunStatus", "make_person", "make_user", "open_engine", "pieces", "plugins_with", "settings_for", "state"]
