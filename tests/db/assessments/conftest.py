"""A server whose runs the test plays, with workspaces that have been applied and can be assessed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Ref
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import CreateRun, Report
from terrapod_core.storage import ObjectKind
from terrapod_core.testing import FakeClock
from terrapod_core.workspaces import Workspace
from tests.db.runs.conftest import Engine, open_engine, pieces

ADDRESSES = ("terraform_data.a", "module.m.terraform_data.b", "terraform_data.c")


def document(*drifted: str, checks: tuple[str, ...] = (), **more: Any) -> bytes:
    """The JSON of a plan over three resources and a data source, of which these have drifted."""

    def resource(address: str, mode: str = "managed") -> dict[str, Any]:
        return {"address": address, "mode": mode, "values": {"input": "xyzzy-a-value"}}

    module = {"address": "module.m", "resources": [resource(ADDRESSES[1])]}
    root = {"resources": [resource(ADDRESSES[0]), resource(ADDRESSES[2]), resource("data.x.y", "data")], "child_modules": [module]}
    changed = [{"address": each, "mode": "managed", "change": {"actions": ["update"], "before": {}, "after": {}}} for each in drifted]
    moved = {"address": ADDRESSES[0], "mode": "managed", "previous_address": "old", "change": {"actions": ["no-op"]}}
    plan = {
        "format_version": "1.2",
        "prior_state": {"values": {"root_module": root}},
        "resource_drift": [*changed, moved],
        "checks": [{"address": {"to_display": str(number)}, "status": each} for number, each in enumerate(checks)],
    }
    return json.dumps(plan | more).encode()


@dataclass
class Assessed:
    """The server and a client of its HTTP."""

    engine: Engine
    http: httpx.AsyncClient
    token: str

    async def workspace(self, name: str = "net") -> Workspace:
        """One that has a configuration and a state."""
        workspace = await self.engine.workspace(name)
        run = await self.engine.run(workspace, auto_apply=True)
        await self.engine.plan(run)
        await self.engine.apply(run)
        self.engine.clock.advance(seconds=1)
        return workspace

    async def synced(self, workspace: Workspace, **sent: Any) -> RunView:
        """A run that a plugin makes in the admin's name."""
        return await self.made(workspace, replace(self.engine.admin, via="sync"), **{"plan_only": True, **sent})

    async def made(self, workspace: Workspace, actor: Actor, **sent: Any) -> RunView:
        view = await self.engine.runs.create(actor, CreateRun(workspace=Ref(type="workspaces", id=workspace.id), **sent))
        self.engine.clock.advance(seconds=1)
        return view

    async def planned(self, run: RunView, plan: bytes | None, *, status: str = "finished", has_changes: bool = True) -> None:
        """Play its runner to the plan's end, and do what is due."""
        claim = await self.engine.begin(run.run.plan_id)
        await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000)
        if plan is not None:
            await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_JSON, pieces(plan[:7], plan[7:]), 1 << 20)
        await self.engine.phases.report(claim, Report(status=status, has_changes=has_changes))
        await self.engine.look()
        self.engine.clock.advance(seconds=1)

    async def get(self, path: str, status: int = 200, token: str | None = None) -> Any:
        answer = await self.http.get(f"/api/v2/{path}", headers={"Authorization": f"Bearer {token or self.token}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def assess(self, workspace: Workspace, status: int = 200, token: str | None = None) -> Any:
        path = f"/api/v2/workspaces/{workspace.id}/actions/assess"
        answer = await self.http.post(path, headers={"Authorization": f"Bearer {token or self.token}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def current(self, workspace: Workspace) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get(f"workspaces/{workspace.id}/current-assessment-result"))["data"]
        return found

    async def conditions(self, workspace: Workspace) -> list[dict[str, Any]]:
        found = (await self.get(f"workspaces/{workspace.id}"))["data"]["attributes"]["conditions"]
        return [each for each in found if each["code"] == "drift-found"]

    async def token_of(self, actor: Actor) -> str:
        return (await self.engine.terrapod.tokens.create(actor, description="tests")).text


@pytest.fixture
async def assessed(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Assessed]:
    engine = await open_engine(migrated_url, tmp_path, clock)
    app = cast(Any, engine.terrapod.app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as http:
        found = Assessed(engine, http, "")
        found.token = await found.token_of(engine.admin)
        yield found
    await engine.close()
