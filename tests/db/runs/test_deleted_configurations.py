"""Runs whose configuration is gone when they come to be carried out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, update

from terrapod_core.configurations import ConfigurationVersion
from terrapod_core.errors import Invalid
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.queries import RunView
from tests.db.runs.conftest import Engine

GONE = {
    "was deleted": lambda version_id: delete(ConfigurationVersion).where(ConfigurationVersion.id == version_id),
    "is archived": lambda version_id: (
        update(ConfigurationVersion).where(ConfigurationVersion.id == version_id).values(status="archived", object_key=None)
    ),
}


async def lose(engine: Engine, run: RunView, statement: Callable[..., object]) -> None:
    async with engine.terrapod.db.uow() as uow:
        await uow.session.execute(statement(run.run.configuration_version_id))  # type: ignore[call-overload]
        await uow.commit()


@pytest.mark.parametrize("became", list(GONE))
async def test_a_queued_plan_of_a_configuration_that_is_gone_ends_with_the_reason(engine: Engine, became: str) -> None:
    workspace = await engine.workspace()
    run, behind = await engine.run(workspace), await engine.run(workspace)
    await lose(engine, run, GONE[became])
    with pytest.raises(LeaseLost):
        await engine.begin(run.run.plan_id)
    shown = await engine.show(run)
    assert shown.run.status == "errored"
    assert became in (shown.run.failure or "")
    assert became.encode() in await engine.terrapod.logs.read(run.run.plan_id, 0, 10_000)
    assert await engine.status(behind) == "plan_queued"


async def test_an_apply_of_a_configuration_that_is_gone_changes_nothing_and_says_why(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), auto_apply=True)
    await engine.plan(run)
    await lose(engine, run, GONE["was deleted"])
    with pytest.raises(LeaseLost):
        await engine.begin(run.run.apply_id)
    shown = await engine.show(run)
    assert shown.run.status == "errored"
    assert "was deleted" in (shown.run.failure or "")


async def test_a_run_cannot_be_made_of_a_configuration_that_is_archived(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    await lose(engine, run, GONE["is archived"])
    with pytest.raises(Invalid, match="is archived"):
        await engine.create(workspace, run.run.configuration_version_id)
