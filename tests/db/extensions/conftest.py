"""A server with one plugin that adds to it in every way there is; the test says what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest
from quart import Blueprint, Response
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from terrapod_core.app import Terrapod
from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.db import Database
from terrapod_core.plugin import (
    CheckedRun,
    Decision,
    Every,
    Migrations,
    On,
    PluginCondition,
    Plugins,
    Rendered,
    Routes,
    RunCreated,
    ServerContext,
    Stage,
    TerrapodError,
    WorkspaceAddition,
    WorkspaceFacts,
    hookimpl,
)
from terrapod_core.runs.requests import Report
from terrapod_core.storage import PhaseClaim
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from tests.db.runs.conftest import Engine, make_user, settings_for


class Base(DeclarativeBase):
    """Of the sample's tables."""


class Note(Base):
    """The sample's own table."""

    __tablename__ = "sample_notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


@dataclass
class Sample:
    """What the plugin answers, and what it was told."""

    decision: Decision | None = None
    asked: list[tuple[CheckedRun, Stage]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    conditions: list[PluginCondition] = field(default_factory=list)
    events: list[RunCreated] = field(default_factory=list)
    context: ServerContext | None = None
    fails: bool = False
    concerning: Callable[[Session, Collection[str]], Any] = field(default_factory=lambda: _noted)
    renders: Callable[[TerrapodError], Rendered] = field(default_factory=lambda: _rendered)
    added: Any = None
    """What is said of each workspace, instead of the attributes and conditions."""

    name = "sample"

    async def check(self, run: CheckedRun, stage: Stage) -> Decision | None:
        self.asked.append((run, stage))
        if self.fails:
            raise RuntimeError("the sample is out of order")
        return self.decision

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(
            register_run_checks=hookimpl(lambda context: [self]),
            register_workspace_additions=hookimpl(lambda context: [_Additions(self)]),
            register_jobs=hookimpl(
                lambda context: [
                    On(RunCreated, "hear", self._hear, concerning=self._concerning),
                    Every("tick", timedelta(hours=1), self._tick),
                ]
            ),
            register_routes=hookimpl(lambda context: _routes(self, context)),
            register_migrations=hookimpl(lambda: Migrations("tests.db.extensions", "sample_migrations", Base)),
        )

    def render(self, error: TerrapodError) -> Rendered:
        return self.renders(error)

    def _concerning(self, session: Session, workspace_ids: Collection[str]) -> Any:
        return self.concerning(session, workspace_ids)

    async def _hear(self, event: RunCreated) -> None:
        self.events.append(event)

    async def _tick(self) -> None:
        return None


def _noted(session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    """The sample cares for workspaces about which it has no note."""
    return set(workspace_ids) - set(session.execute(select(Note.id)).scalars())


class _Additions:
    name = "sample"

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    async def of(self, workspaces: list[WorkspaceFacts]) -> dict[str, WorkspaceAddition]:
        if self._sample.fails:
            raise RuntimeError("the sample is out of order")
        if self._sample.added is not None:
            return {each.id: self._sample.added for each in workspaces}
        return {each.id: WorkspaceAddition(self._sample.attributes, self._sample.conditions) for each in workspaces}


def _routes(sample: Sample, context: ServerContext) -> list[Routes]:
    sample.context = context
    blueprint = Blueprint("sample", __name__)

    @blueprint.get("/me")
    async def me() -> Response:
        caller = await context.callers.current()
        return Response(msgspec.json.encode({"name": caller.name, "admin": caller.is_platform_admin}), content_type="application/json")

    @blueprint.get("/as/<user_id>")
    async def another(user_id: str) -> Response:
        found = await context.callers.remembered(user_id)
        assert found is not None
        before = await context.callers.current()
        account = await context.api.get("/api/v2/account/details", as_=found)
        after = await context.callers.current()
        return Response(msgspec.json.encode([before.id, account["data"]["id"], after.id]), content_type="application/json")

    @blueprint.post("/lock/<workspace_id>")
    async def lock(workspace_id: str) -> Response:
        await context.api.post(f"/api/v2/workspaces/{workspace_id}/actions/lock", {}, as_=await context.callers.current())
        return Response(b"", status=204)

    @blueprint.put("/body")
    async def body() -> Response:
        return Response(str(len(await context.read_body(1000))), content_type="text/plain")

    return [Routes(blueprint, prefix="/v1/sample", render=sample.render, requests_per_minute=3)]


def _rendered(error: TerrapodError) -> Rendered:
    return Rendered(msgspec.json.encode({"error": error.title, "message": error.detail, "code": error.status}), "application/json")


@dataclass
class Extended:
    """The server, its plugin, and a client of its HTTP."""

    engine: Engine
    sample: Sample
    http: httpx.AsyncClient
    token: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def get(self, path: str, token: str | None = None) -> httpx.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token or self.token}"})

    async def plan_reported(self, claim: PhaseClaim) -> None:
        await self.engine.phases.report(claim, Report(status="finished", has_changes=True, additions=1))

    async def token_of(self, actor: Actor) -> str:
        return (await self.engine.terrapod.tokens.create(actor, description="tests")).text


@pytest.fixture
def clock() -> FakeClock:
    """The clock that the server goes by."""
    return FakeClock()


@pytest.fixture
async def extended(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Extended]:
    sample, backend = Sample(), FakeRunnerBackend(capacity=2)
    settings = settings_for(migrated_url, tmp_path)
    fakes = SimpleNamespace(
        register_storage_backends=hookimpl(lambda context: [MemoryStorage()]),
        register_runner_backends=hookimpl(lambda context: [backend]),
    )
    plugins = Plugins.discover(settings, modules={"fakes": fakes, "sample": sample.module()})
    terrapod = Terrapod(settings, plugins=plugins, clock=clock)
    await terrapod.projects.ensure_default()
    await _tables(terrapod.db)
    engine = Engine(terrapod, backend, clock, await make_user(terrapod, "root@example.com", PlatformRole.ADMIN))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=cast(Any, terrapod.app)), base_url="http://localhost") as http:
        found = Extended(engine, sample, http, "")
        found.token = await found.token_of(engine.admin)
        yield found
    await engine.close()


async def _tables(db: Database) -> None:
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
