"""What old runs left goes after the days of the settings, and nothing that anybody may still need."""

from __future__ import annotations

from typing import cast

import pytest
from sqlalchemy import func, select

from terrapod_core.errors import Gone
from terrapod_core.runs import Phase, retention
from terrapod_core.runs.logs import REMOVED
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.retention import OldRuns
from terrapod_core.settings import Retention
from terrapod_core.storage import ObjectKind
from terrapod_core.storage.discards import DiscardedObject
from terrapod_core.testing import MemoryStorage
from tests.db.runs.conftest import Engine, pieces
from tests.support.faults import Deaths, check_store


def old_runs(engine: Engine, *, log_days: int | None = None, plan_days: int | None = None) -> OldRuns:
    return OldRuns(engine.terrapod.db, engine.terrapod.objects, Retention(log_days=log_days, plan_days=plan_days))


async def planned(engine: Engine, run: RunView, *, has_changes: bool = True) -> None:
    """A plan with all that a plan leaves."""
    claim = await engine.begin(run.run.plan_id)
    for kind in (ObjectKind.PLAN_FILE, ObjectKind.PLAN_JSON, ObjectKind.PROVIDER_SCHEMAS):
        await engine.phases.put_artifact(claim, kind, pieces(b"{}"), 1000)
    await engine.plan(run, has_changes=has_changes)
    await engine.look()


async def ended(engine: Engine, name: str = "net") -> RunView:
    workspace = await engine.workspace(name)
    run = await engine.run(workspace)
    await planned(engine, run, has_changes=False)
    return run


def storage(engine: Engine) -> MemoryStorage:
    """The fake below what counts its operations, which passes everything through."""
    return cast("MemoryStorage", engine.terrapod.storage_backend)


async def test_without_a_setting_everything_is_kept(engine: Engine) -> None:
    run = await ended(engine)
    before = set(storage(engine).objects)
    engine.clock.advance(days=5000)
    await old_runs(engine).tidy()
    assert set(storage(engine).objects) == before
    assert await engine.log(run.run.plan_id) != REMOVED


async def test_old_logs_and_plans_go_and_the_runs_say_so(engine: Engine) -> None:
    run = await ended(engine)
    engine.clock.advance(days=11)
    await old_runs(engine, log_days=20, plan_days=10).tidy()
    assert await engine.kept("plans/") == []
    assert await engine.kept("logs/") != []
    plan = await engine.phase(run.run.plan_id)
    with pytest.raises(Gone, match="limited time"):
        await engine.terrapod.redactor.redacted(plan, run.run.workspace_id)
    engine.clock.advance(days=10)
    await old_runs(engine, log_days=20, plan_days=10).tidy()
    assert await engine.kept("logs/") == []
    assert await engine.log(run.run.plan_id) == REMOVED
    assert await engine.terrapod.logs.read(run.run.plan_id, len(REMOVED) - 1, 100) == b"\x03"
    assert (await engine.phase(run.run.plan_id)).log_size == len(REMOVED)
    assert await engine.status(run) == "planned_and_finished"
    assert len(await engine.kept("configuration-versions/")) == 1


async def test_what_waits_keeps_its_plan_and_log_however_old_it_is(engine: Engine) -> None:
    saved = await engine.run(await engine.workspace("saved"), save_plan=True)
    waiting = await engine.run(await engine.workspace("waiting"))
    for run in (saved, waiting):
        await planned(engine, run)
    before = set(storage(engine).objects)
    engine.clock.advance(days=500)
    await old_runs(engine, log_days=1, plan_days=1).tidy()
    assert set(storage(engine).objects) == before
    await engine.runs.confirm(engine.admin, saved.id)
    await engine.apply(saved)
    assert await engine.status(saved) == "applied"


async def test_a_young_run_keeps_what_it_has(engine: Engine) -> None:
    await ended(engine)
    before = set(storage(engine).objects)
    engine.clock.advance(hours=23)
    await old_runs(engine, log_days=1, plan_days=1).tidy()
    assert set(storage(engine).objects) == before


async def test_a_log_that_never_came_to_the_store_goes_too(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.plan(run, has_changes=False)  # and no job has moved the log
    assert await engine.kept("logs/") == []
    engine.clock.advance(days=2)
    await old_runs(engine, log_days=1).tidy()
    assert await engine.log(claim.phase_id) == REMOVED
    await engine.look()
    assert await engine.kept("logs/") == []


async def test_removal_survives_a_death_at_any_moment_and_leaves_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    runs = [await ended(engine, name) for name in ("one", "two", "three")]
    engine.clock.advance(days=2)
    tidy = old_runs(engine, log_days=1, plan_days=1).tidy
    deaths = Deaths(monkeypatch)
    died = await deaths.everywhere(tidy, lambda: check_store(engine.terrapod.db, storage(engine)))
    assert died > 8
    assert await engine.kept("plans/") == await engine.kept("logs/") == []
    for run in runs:
        assert await engine.log(run.run.plan_id) == REMOVED
    left = select(func.count()).select_from(DiscardedObject)
    assert await engine.terrapod.db.read(lambda session: session.execute(left).scalar_one()) == 0
    named = select(func.count()).select_from(Phase).where(Phase.log_key.is_not(None) | Phase.plan_file_key.is_not(None))
    assert await engine.terrapod.db.read(lambda session: session.execute(named).scalar_one()) == 0
