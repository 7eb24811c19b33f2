"""A deleted workspace leaves nothing in the store and no row behind, wherever the work is interrupted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.configurations import ConfigurationVersion
from terrapod_core.db import Base, OutboxRow
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.runs import Phase, Run
from terrapod_core.states import StateVersion, StateVersionOutput
from terrapod_core.storage.discards import DiscardedObject
from terrapod_core.workspaces import Workspace
from tests.db.runs.conftest import Engine
from tests.db.runs.test_retention import planned, storage
from tests.support.faults import Deaths, check_store

HANDLERS = ("runs.remove-workspace", "states.remove_workspace", "configurations.remove_workspace")


async def full(engine: Engine, name: str = "net") -> Workspace:
    """A workspace with runs that ended, one that waits, and one that is going on."""
    workspace = await engine.workspace(name)
    for serial in (1, 2):
        run = await engine.run(workspace, auto_apply=True)
        await planned(engine, run)
        await engine.apply(run, serial=serial)
        await engine.look()
    beside = await engine.run(workspace, save_plan=True)
    await planned(engine, beside)
    going_on = await engine.run(workspace, auto_apply=True)
    await planned(engine, going_on)
    await engine.put_state(await engine.begin(going_on.run.apply_id), 3)
    return workspace


async def rows(engine: Engine, *tables: type[Base]) -> list[int]:
    def count(session: Session) -> list[int]:
        return [session.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

    return await engine.terrapod.db.read(count)


async def told(engine: Engine) -> int:
    """How often the deletion was told; no job has heard it."""
    count = select(func.count()).select_from(OutboxRow).where(OutboxRow.event == WorkspaceDeleted.name())
    return await engine.terrapod.db.read(lambda session: session.execute(count).scalar_one())


async def handle(engine: Engine, workspace: Workspace) -> None:
    payload: dict[str, Any] = WorkspaceDeleted(workspace_id=workspace.id).payload()
    for name in HANDLERS:
        await engine.terrapod.jobs.handlers[name].run(payload)


async def test_a_death_at_any_moment_leaves_nothing_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await full(engine)
    await engine.terrapod.workspaces.delete(engine.admin, workspace.id)
    assert len(storage(engine).objects) > 15
    deaths = Deaths(monkeypatch)
    died = await deaths.everywhere(lambda: handle(engine, workspace), lambda: check_store(engine.terrapod.db, storage(engine)))
    assert died > 8
    assert storage(engine).objects == {}
    assert await rows(engine, StateVersion, StateVersionOutput, ConfigurationVersion, DiscardedObject) == [0, 0, 0, 0]
    engine.clock.advance(days=2)
    assert await engine.terrapod.workspaces.purge() == 1
    assert await rows(engine, Workspace, Run, Phase) == [0, 0, 0]


async def test_another_workspace_keeps_all_it_has(engine: Engine) -> None:
    gone, kept = await full(engine), await full(engine, "kept")
    before = await rows(engine, StateVersion, ConfigurationVersion)
    await engine.terrapod.workspaces.delete(engine.admin, gone.id)
    await handle(engine, gone)
    assert await rows(engine, StateVersion, ConfigurationVersion) == [count // 2 for count in before]
    await check_store(engine.terrapod.db, storage(engine))
    assert (await engine.terrapod.states.read_current(engine.admin, kept.id)).serial == 3


async def test_a_workspace_of_which_something_is_left_is_not_purged_but_told_of_once_more(engine: Engine) -> None:
    workspace = await full(engine)
    await engine.terrapod.workspaces.delete(engine.admin, workspace.id)
    engine.clock.advance(days=2)
    for times, name in enumerate(HANDLERS, 2):
        assert await engine.terrapod.workspaces.purge() == 0
        assert await told(engine) == times
        await engine.terrapod.jobs.handlers[name].run(WorkspaceDeleted(workspace_id=workspace.id).payload())
    assert await engine.terrapod.workspaces.purge() == 1
    assert await told(engine) == 1 + len(HANDLERS)
    assert await rows(engine, Workspace, Run, Phase) == [0, 0, 0]
    assert storage(engine).objects == {}
