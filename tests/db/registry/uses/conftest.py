"""A registry with a module in two versions, and runs that the test plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.accounts import User
from terrapod_core.authz import Actor
from terrapod_core.registry.uses.documents import Use, Uses
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.storage import ObjectKind
from terrapod_core.testing import FakeRunnerBackend
from terrapod_core.workspaces import Workspace
from tests.db.agents.conftest import URL, Answer, Site, site
from tests.db.registry.modules.conftest import VPC, Registry
from tests.db.runs.conftest import Engine, pieces

__all__ = ["Runs", "runs", "site"]

SOURCE = "tfe.example.com/default/vpc/aws"


def uses(*versions: str, source: str = SOURCE, providers: Sequence[Use] = ()) -> Uses:
    """What a runner says that called the module in these versions."""
    return Uses(modules=[Use(source, version) for version in versions], providers=list(providers))


@dataclass
class Runs:
    """The registry, and runs of those who use it."""

    registry: Registry
    engine: Engine

    async def workspace(self, name: str) -> Workspace:
        """A workspace of root's."""
        return await self.engine.workspace(name)

    async def planned(self, workspace: Workspace, told: Uses | None, *, has_changes: bool = True, **sent: Any) -> RunView:
        """A run whose plan has ended, with what its runner said."""
        run = await self.engine.run(workspace, **sent)
        claim = await self.engine.begin(run.run.plan_id)
        await self.engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000)
        await self.engine.phases.report(claim, Report(status="finished", has_changes=has_changes, uses=told))
        return run

    async def applied(self, workspace: Workspace, told: Uses | None, *, status: str = "finished") -> RunView:
        """The same for one that was applied."""
        run = await self.planned(workspace, told, auto_apply=True)
        await self.engine.look()
        claim = self.engine.claim(run.run.apply_id)
        await self.engine.phases.claim(claim, Claim(runner="host 1"))
        await self.engine.phases.report(claim, Report(status=status, uses=told))
        return run

    async def as_(self, who: str) -> None:
        """From now on runs are asked for by this user."""
        self.engine.admin = await self.actor(who)

    async def actor(self, who: str) -> Actor:
        """A user as they are now."""
        terrapod, now = self.engine.terrapod, self.engine.clock.now()
        query = select(User).where(User.email == f"{who}@example.com")

        def look(session: Any) -> Actor:
            return terrapod.people.authentication.actor_of(session, session.execute(query).scalar_one(), now)

        return await terrapod.db.read(look)

    async def ask(self, what: str, who: str = "root", path: str = VPC) -> Answer:
        """What the API says of an item's `consumers` or `downloads`."""
        return await self.registry.ask(who, "GET", f"{path}/{what}")

    async def consumers(self, who: str = "root", path: str = VPC, narrowed: str = "") -> list[tuple[str, str, str, bool]]:
        """Version, workspace, run, and whether it was planned alone."""
        answer = await self.ask(f"consumers{narrowed}", who, path)
        assert answer.status == 200, answer
        return [
            (
                each["attributes"]["version"],
                each["relationships"]["workspace"]["data"]["id"],
                each["relationships"]["run"]["data"]["id"],
                each["attributes"]["plan-only"],
            )
            for each in answer.body["data"]
        ]

    async def follow(self, link: str, method: str = "get", **headers: str) -> int:
        """Follow a link without a token; the status of the answer."""
        response = await getattr(self.engine.terrapod.app.test_client(), method)(link.removeprefix(URL), headers=headers)
        await response.get_data(as_text=False)
        status: int = response.status_code
        return status

    async def link(self, who: str, version: str = "1.0.0") -> str:
        """The link of a version's archive, as terraform is given it."""
        answer = await self.registry.ask(who, "GET", f"registry/modules/default/vpc/aws/{version}/download")
        assert answer.status == 204, answer
        found: str = answer.headers["X-Terraform-Get"]
        return found


@pytest.fixture
async def runs(site: Site) -> Runs:
    """The module `vpc` in the versions 1.0.0 and 1.1.0, which everybody may read; root asks for runs."""
    await site.person("carol")
    backend = site.terrapod.runner_backend
    assert isinstance(backend, FakeRunnerBackend)
    runs = Runs(Registry(site), Engine(site.terrapod, backend, site.clock, None))  # type: ignore[arg-type]
    await runs.as_("root")
    await runs.registry.module(labels={"access": "everyone"})
    for version in ("1.0.0", "1.1.0"):
        await runs.registry.publish(version)
    return runs
