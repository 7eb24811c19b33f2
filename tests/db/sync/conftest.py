"""The Sync API on a whole server in process; a small engine stands in for the real one, and says what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

import terrapod_sync
from terrapod_core.app import Terrapod
from terrapod_core.audit.models import AuditEntry
from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.extensions.models import PluginDelegate
from terrapod_core.plugin import Caller, Conflict as Refusal, Plugins, Routes, ServerContext, WorkspaceFacts, hookimpl
from terrapod_core.settings._convert import Raw
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from terrapod_sync import routes
from terrapod_sync.models import Base, Conflict, GlobalConfig, Sync, SyncedWorkspace
from terrapod_sync.ports import Decision
from tests.db.runs.conftest import Engine as Server, make_user, settings_for

BASE = "/v1/terraform/sync"
PRODUCTION = {"enabled": True, "sync_interval": "10m", "auto_apply": False}
"""The contract's entry."""


@dataclass
class PaperEngine:
    """Notes what it is asked; `refuses` is the code of what it raises instead."""

    refuses: str | None = None
    triggered: list[str] = field(default_factory=list)
    decided: list[Decision] = field(default_factory=list)
    context: ServerContext[Any] | None = None

    async def trigger(self, caller: Caller, workspace: WorkspaceFacts) -> tuple[SyncedWorkspace, Sync]:
        self._refuse()
        self.triggered.append(workspace.name)
        assert self.context is not None
        async with self.context.tables.change() as change:
            row = await change.run(lambda session: session.get_one(SyncedWorkspace, workspace.id))
            sync = make_sync(workspace.id, "sync-paper", change.now(), run_id="run-paper", cause="manual", status="pending")
            change.add(sync)
            row.active_sync_id, row.last_run_id, row.status = sync.id, sync.run_id, "pending"
            await change.commit()
        return row, sync

    async def resolve(self, caller: Caller, conflict_id: str, decision: Decision) -> Conflict:
        self._refuse()
        self.decided.append(decision)
        assert self.context is not None
        async with self.context.tables.change() as change:
            row = await change.run(lambda session: session.get_one(Conflict, conflict_id))
            row.status, row.resolution, row.resolved_by_id = "resolved", decision.resolution.value, caller.id
            row.resolved_at, row.ignored_until = change.now(), decision.until
            await change.commit()
        return row

    def _refuse(self) -> None:
        if self.refuses is not None:
            raise Refusal("it cannot be done now", code=self.refuses)


def make_sync(workspace_id: str, ident: str, at: datetime, **more: Any) -> Sync:
    asked: dict[str, Any] = {"cause": "schedule", "mode": "save", "status": "success", **more}
    return Sync(id=ident, workspace_id=workspace_id, operations=[], acting_id="user-1", attempt=0, forbidden=[], created_at=at, **asked)


def make_conflict(workspace_id: str, ident: str, at: datetime, **more: Any) -> Conflict:
    asked: dict[str, Any] = {"kind": "lock", "status": "open", "detail": "it is locked", "steps": [], **more}
    return Conflict(id=ident, workspace_id=workspace_id, created_at=at, **asked)


@dataclass
class API:
    """The server, and those who ask it."""

    server: Server
    engine: PaperEngine
    http: httpx.AsyncClient
    clock: FakeClock
    token: str = ""
    """The platform admin's."""

    async def ask(self, method: str, path: str, *, token: str | None = None, sent: Any = None) -> httpx.Response:
        body = sent if isinstance(sent, bytes) or sent is None else json.dumps(sent).encode()
        return await self.http.request(method, BASE + path, content=body, headers={"Authorization": f"Bearer {token or self.token}"})

    async def get(self, path: str, token: str | None = None) -> Any:
        answer = await self.ask("GET", path, token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put(self, document: Any, token: str | None = None) -> Any:
        """A document that is taken; the answer."""
        answer = await self.ask("PUT", "/config", token=token, sent=document)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def token_of(self, actor: Actor) -> str:
        return (await self.server.terrapod.tokens.create(actor, description="tests")).text

    async def row(self, workspace_id: str) -> SyncedWorkspace:
        return await self.server.terrapod.db.read(lambda session: session.get_one(SyncedWorkspace, workspace_id))

    async def set(self, workspace_id: str, **values: Any) -> None:
        """Write into an entry's row, as the engine would."""

        def write(session: Session) -> None:
            row = session.get_one(SyncedWorkspace, workspace_id)
            for name, value in values.items():
                setattr(row, name, value)

        async with self.server.terrapod.db.uow() as uow:
            await uow.run(write)
            await uow.commit()

    async def add(self, *found: Any) -> None:
        async with self.server.terrapod.db.uow() as uow:
            uow.session.add_all(found)
            await uow.commit()

    async def stored(self) -> list[dict[str, Any]]:
        """All that the plugin has, and whom it remembers."""

        def look(session: Session) -> list[dict[str, Any]]:
            return [
                {column.key: getattr(row, column.key) for column in type(row).__mapper__.columns}
                for table in (GlobalConfig, SyncedWorkspace, Sync, Conflict, PluginDelegate)
                for row in session.execute(select(table)).scalars()
            ]

        return await self.server.terrapod.db.read(look)

    async def audited(self) -> list[tuple[str, str, str]]:
        """Who did what to which thing, in the configuration."""
        query = select(AuditEntry).where(AuditEntry.action == "sync.config").order_by(AuditEntry.at, AuditEntry.id)
        found = await self.server.terrapod.db.read(lambda session: session.execute(query).scalars().all())
        return sorted((each.actor_id, each.resource_id, each.detail.get("change", "")) for each in found)


@pytest.fixture
def clock() -> FakeClock:
    """The clock that the server goes by."""
    return FakeClock()


@pytest.fixture
def sync_settings() -> dict[str, Any]:
    """`[plugin.sync]`; a test of limits has its own."""
    return {"requests_per_minute": 0}


@pytest.fixture
async def sync(migrated_url: str, tmp_path: Path, clock: FakeClock, sync_settings: dict[str, Any]) -> AsyncIterator[API]:
    backend, engine = FakeRunnerBackend(capacity=2), PaperEngine()
    given = {name: Raw(value, "the test") for name, value in sync_settings.items()}
    settings = replace(settings_for(migrated_url, tmp_path), plugin_sections={("plugin", "sync"): given})
    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [MemoryStorage()]),
        register_runner_backends=hookimpl(lambda context: [backend]),
    )
    plugins = Plugins.discover(settings, modules={"fakes": fakes, "sync": _wired(engine)})
    terrapod = Terrapod(settings, plugins=plugins, clock=clock)
    await terrapod.projects.ensure_default()
    async with terrapod.db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    server = Server(terrapod, backend, clock, await make_user(terrapod, "root@example.com", PlatformRole.ADMIN))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=cast(Any, terrapod.app)), base_url="http://localhost") as http:
        found = API(server, engine, http, clock)
        found.token = await found.token_of(server.admin)
        yield found
    await server.close()


def _wired(engine: PaperEngine) -> SimpleNamespace:
    """The plugin with this engine."""

    def register_routes(context: ServerContext[Any]) -> list[Routes]:
        engine.context = context
        return [routes.opened(context, engine)]

    return SimpleNamespace(
        register_settings=terrapod_sync.register_settings,
        register_migrations=terrapod_sync.register_migrations,
        register_routes=hookimpl(register_routes),
    )
