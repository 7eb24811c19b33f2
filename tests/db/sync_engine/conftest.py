"""The whole server with the sync plugin over a real database; the test turns the clock and plays the runner."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

import terrapod_sync
from terrapod_core.app import Terrapod
from terrapod_core.audit.models import AuditEntry
from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.plugin import Caller, Event, Plugins, ServerContext, WorkspaceFacts, hookimpl
from terrapod_core.runs.models import Run
from terrapod_core.runs.requests import Report
from terrapod_core.storage import ObjectKind
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from terrapod_core.workspaces import Workspace
from terrapod_sync.engine import SyncEngine, opened
from terrapod_sync.engine.store import WAITING
from terrapod_sync.models import GLOBAL_ID, Base, Conflict, GlobalConfig, Sync, SyncedWorkspace
from terrapod_sync.ports import Decision
from terrapod_sync.settings import SyncSettings
from terrapod_sync.words import Resolution
from tests.db.runs.conftest import Engine, make_user, pieces, settings_for, state
from tests.support.sync_plans import RECORDED

T = TypeVar("T")
ALL = ("create", "update", "replace", "delete")


class Synced:
    """The server, the plugin's engine in it, and what tests of the schedule do all the time."""

    def __init__(self, engine: Engine, context: ServerContext[SyncSettings], sync: SyncEngine) -> None:
        self.engine = engine
        self.context = context
        self.sync = sync
        self.clock = engine.clock
        self.admin = engine.admin

    # -- the configuration

    async def switch(self, *, enabled: bool = True, conflicts: str = "manual") -> None:
        """The global values."""
        async with self.context.tables.change() as change:
            new = GlobalConfig(
                id=GLOBAL_ID, enabled=enabled, conflict_resolution=conflicts, edited_by_id=self.admin.id, edited_at=change.now()
            )
            await change.run(lambda session: session.merge(new))
            await change.commit()

    async def enter(self, workspace: Workspace, editor: Actor | None = None, **entry: Any) -> None:
        """An entry for the workspace, due at once."""
        editor = editor or self.admin
        async with self.context.tables.change() as change:
            await change.remember(self.caller(editor))
            change.add(row_of(workspace, editor.id, change.now(), {"enabled": True, "sync_interval": "10m", **entry}))
            await change.commit()

    async def workspace(self, name: str = "net", editor: Actor | None = None, **entry: Any) -> Workspace:
        """A workspace with a configuration and an entry that is due."""
        made = await self.engine.workspace(name)
        await self.engine.configuration(made)
        await self.enter(made, editor, **entry)
        return made

    def caller(self, actor: Actor) -> Caller:
        """Somebody as the plugin sees them."""
        known: Caller = self.context.callers._known(actor)  # type: ignore[attr-defined]
        return known

    # -- time, and the runner

    async def tick(self, **parts: float) -> None:
        """Let time pass, the clock fire, and the news be heard."""
        self.clock.advance(timedelta(**parts))
        await self.sync.ticking.tick()
        await self.engine.look()

    async def plan(
        self, run_id: str, name: str | None, *, status: str = "finished", meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Play the runner of a plan that is one of a real terraform's; `None` for one without JSON. `meanwhile` happens while it plans."""
        document = (RECORDED / f"{name}.json").read_bytes() if name is not None else None
        await self.plan_of(run_id, document, has_changes=name != "nothing", status=status, meanwhile=meanwhile)

    async def plan_of(
        self,
        run_id: str,
        document: bytes | None,
        *,
        has_changes: bool = True,
        status: str = "finished",
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Play the runner of a plan with this JSON."""
        run = await self.run(run_id)
        self.clock.advance(seconds=1)  # what follows from the plan is later than what it was made of
        claim = await self.engine.begin(run.plan_id)
        if meanwhile is not None:
            await meanwhile()
        await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(f"the plan {run_id}".encode()), 1000)
        if document is not None:
            await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_JSON, pieces(document), 1 << 20)
        await self.engine.phases.report(claim, Report(status=status, has_changes=has_changes, additions=1))
        await self.engine.look()

    async def apply(self, run_id: str, serial: int = 1) -> None:
        """Play the runner of an apply."""
        claim = await self.engine.begin((await self.run(run_id)).apply_id)
        await self.engine.put_state(claim, serial)
        await self.engine.phases.report(claim, Report(status="finished"))
        await self.engine.look()

    async def move_state(self, workspace: Workspace, serial: int = 7) -> None:
        """Have a run of somebody else write another state, from the configuration that is there."""
        former, *_ = await self.runs(workspace)
        other = await self.engine.create(workspace, former.configuration_version_id, auto_apply=True)
        await self.plan(other.id, "create")
        await self.apply(other.id, serial)

    # -- what there is

    async def read(self, query: Callable[[Session], T]) -> T:
        """From the plugin's tables."""
        return await self.context.tables.read(query)

    async def row(self, workspace: Workspace) -> SyncedWorkspace:
        return await self.read(lambda session: session.get_one(SyncedWorkspace, workspace.id))

    async def syncs(self, workspace: Workspace) -> list[Sync]:
        query = select(Sync).where(Sync.workspace_id == workspace.id).order_by(Sync.created_at, Sync.run_id)
        return await self.read(lambda session: list(session.execute(query).scalars()))

    async def last(self, workspace: Workspace) -> Sync:
        return (await self.syncs(workspace))[-1]

    async def last_run(self, workspace: Workspace) -> str:
        run_id = (await self.last(workspace)).run_id
        assert run_id is not None
        return run_id

    async def conflicts(self, workspace: Workspace, status: str | None = "open") -> list[Conflict]:
        query = select(Conflict).where(Conflict.workspace_id == workspace.id).order_by(Conflict.created_at, Conflict.id)
        found = await self.read(lambda session: list(session.execute(query).scalars()))
        return [each for each in found if status in (None, each.status)]

    async def run(self, run_id: str) -> Run:
        return await self.engine.terrapod.db.read(lambda session: session.get_one(Run, run_id))

    async def runs(self, workspace: Workspace) -> list[Run]:
        query = select(Run).where(Run.workspace_id == workspace.id).order_by(Run.created_at, Run.id)
        return await self.engine.terrapod.db.read(lambda session: list(session.execute(query).scalars()))

    async def audited(self, action: str) -> list[AuditEntry]:
        query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.at, AuditEntry.id)
        return await self.engine.terrapod.db.read(lambda session: list(session.execute(query).scalars()))

    async def edit(self, workspace: Workspace, **values: Any) -> None:
        """Write into the workspace's row."""
        async with self.context.tables.change() as change:
            row = await change.run(lambda session: session.get_one(SyncedWorkspace, workspace.id))
            for name, value in values.items():
                setattr(row, name, value)
            await change.commit()

    async def facts(self, workspace: Workspace, actor: Actor | None = None) -> WorkspaceFacts:
        found = await self.context.workspaces.by_id([workspace.id], as_=self.caller(actor or self.admin))
        return found[workspace.id]

    # -- people

    async def trigger(self, workspace: Workspace, actor: Actor | None = None) -> Sync:
        caller = self.caller(actor or self.admin)
        _row, sync = await self.sync.trigger(caller, await self.facts(workspace, actor))
        await self.engine.look()
        return sync

    async def resolve(self, conflict: Conflict, resolution: Resolution, actor: Actor | None = None, **more: Any) -> Conflict:
        resolved = await self.sync.resolve(self.caller(actor or self.admin), conflict.id, Decision(resolution, **more))
        await self.engine.look()
        return resolved


def row_of(workspace: Workspace, editor_id: str, now: Any, entry: dict[str, Any]) -> SyncedWorkspace:
    return SyncedWorkspace(
        workspace_id=workspace.id,
        name=workspace.name,
        position=0,
        entry=entry,
        enabled=entry["enabled"],
        edited_by_id=editor_id,
        edited_at=now,
        tick_at=now,
        next_at=now,
        status="never",
    )


def served(
    url: str, data: Path, clock: FakeClock, backend: FakeRunnerBackend, storage: MemoryStorage, settings: SyncSettings
) -> tuple[Terrapod, ServerContext[SyncSettings]]:
    """A server with the plugin, and what the plugin was given."""
    contexts: list[ServerContext[SyncSettings]] = []

    def jobs(context: ServerContext[SyncSettings]) -> Any:
        contexts.append(context)
        return terrapod_sync.register_jobs(context)

    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [storage]),
        register_runner_backends=hookimpl(lambda context: [backend]),
    )
    plugin = SimpleNamespace(
        register_settings=hookimpl(lambda: type(settings)),
        register_migrations=terrapod_sync.register_migrations,
        register_jobs=hookimpl(jobs),
        register_run_checks=terrapod_sync.register_run_checks,
        register_workspace_additions=terrapod_sync.register_workspace_additions,
    )
    chosen = settings_for(url, data)
    terrapod = Terrapod(chosen, plugins=Plugins.discover(chosen, modules={"fakes": fakes, "sync": plugin}), clock=clock)
    return terrapod, contexts[0]


@pytest.fixture
def clock() -> FakeClock:
    """The clock that the server goes by."""
    return FakeClock()


@pytest.fixture
async def synced(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Synced]:
    backend = FakeRunnerBackend(capacity=20)
    terrapod, context = served(migrated_url, tmp_path, clock, backend, MemoryStorage(), SyncSettings())
    await terrapod.projects.ensure_default()
    async with terrapod.db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    engine = Engine(terrapod, backend, clock, await make_user(terrapod, "root@example.com", PlatformRole.ADMIN))
    found = Synced(engine, context, opened(context))
    await found.switch()
    yield found
    await engine.close()


def digest(run_id: str) -> str:
    """Of the plan that `Synced.plan` plays."""
    return hashlib.sha256(f"the plan {run_id}".encode()).hexdigest()


MINUTES_10 = timedelta(minutes=10)

__all__ = ["ALL", "MINUTES_10", "WAITING", "Event", "Synced", "digest", "served", "state"]
