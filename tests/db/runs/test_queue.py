"""One run at a time holds a workspace; the others wait, in order, and know why."""

from __future__ import annotations

import pytest

from terrapod_core.errors import Conflict, InvalidTransition
from terrapod_core.jsonapi import PageRequest
from terrapod_core.plugin import WorkspaceUnlocked
from terrapod_core.runs.filters import RunFilters
from terrapod_core.settings import Limits
from tests.db.runs.conftest import Engine


async def test_the_first_run_takes_the_workspace_and_the_second_waits_behind_it(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, second = await engine.run(workspace), await engine.run(workspace)
    assert (first.run.status, second.run.status) == ("plan_queued", "pending")
    waiting = (await engine.show(second)).waiting_on
    assert waiting is not None
    assert waiting.code == "queued_behind"
    assert first.id in waiting.detail


async def test_the_next_run_is_admitted_when_the_first_is_discarded(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, second, third = [await engine.run(workspace) for _ in range(3)]
    await engine.plan(first)
    await engine.runs.discard(engine.admin, first.id)
    assert await engine.status(second) == "plan_queued"
    assert await engine.status(third) == "pending"
    shown = await engine.terrapod.workspaces.read(engine.admin, workspace.id)
    assert (shown.lock_kind, shown.lock_holder_id, shown.current_run_id) == ("run", second.id, second.id)


async def test_a_persons_lock_keeps_runs_pending_and_says_so(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, "hands off")
    run = await engine.run(workspace)
    waiting = run.waiting_on
    assert run.run.status == "pending"
    assert waiting is not None
    assert waiting.code == "workspace_locked"
    assert "hands off" in waiting.detail
    assert engine.admin.name in waiting.detail
    await engine.terrapod.workspaces.locks.unlock(engine.admin, workspace.id)
    await engine.look()
    assert await engine.status(run) == "plan_queued"


async def test_a_persons_lock_is_not_cleared_because_a_run_ended(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, None)
    beside = await engine.run(workspace, speculative=True)
    await engine.plan(beside)
    assert await engine.status(beside) == "planned_and_finished"
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_kind == "user"


async def test_a_plan_only_run_and_a_saved_plan_run_beside_the_holder_and_hold_nothing(engine: Engine) -> None:
    workspace = await engine.workspace()
    holder = await engine.run(workspace)
    speculative, saved = await engine.run(workspace, speculative=True), await engine.run(workspace, save_plan=True)
    assert (speculative.run.status, saved.run.status) == ("plan_queued", "plan_queued")
    await engine.plan(speculative)
    await engine.plan(saved)
    assert await engine.status(speculative) == "planned_and_finished"
    assert await engine.status(saved) == "planned_and_saved"
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_holder_id == holder.id


async def test_a_saved_plan_cannot_be_confirmed_while_another_run_has_the_workspace(engine: Engine) -> None:
    workspace = await engine.workspace()
    saved = await engine.run(workspace, save_plan=True)
    await engine.plan(saved)
    holder = await engine.run(workspace)
    with pytest.raises(Conflict, match=f"locked by {holder.id}"):
        await engine.runs.confirm(engine.admin, saved.id)
    await engine.plan(holder)
    await engine.runs.discard(engine.admin, holder.id)
    await engine.runs.confirm(engine.admin, saved.id)
    await engine.apply(saved)
    assert await engine.status(saved) == "applied"


async def test_runs_of_different_workspaces_do_not_wait_for_each_other(engine: Engine) -> None:
    first, second = await engine.run(await engine.workspace("a")), await engine.run(await engine.workspace("b"))
    assert (first.run.status, second.run.status) == ("plan_queued", "plan_queued")


async def test_with_every_runner_busy_a_run_waits_and_its_log_says_so(engine: Engine) -> None:
    runs = [await engine.run(await engine.workspace(name)) for name in ("a", "b", "c")]
    await engine.look()
    assert len(engine.backend.phases) == 2
    waiting = (await engine.show(runs[2])).waiting_on
    assert waiting is not None
    assert waiting.code == "concurrency"
    assert await engine.log(runs[2].run.plan_id) == b"\x02Waiting: all 2 runners are busy with other runs.\n"


async def test_applies_are_launched_before_plans(engine: Engine) -> None:
    confirmed = await engine.run(await engine.workspace("a"))
    await engine.plan(confirmed)
    busy = await engine.run(await engine.workspace("b"))
    await engine.begin(busy.run.plan_id)
    later = await engine.run(await engine.workspace("c"))
    await engine.runs.confirm(engine.admin, confirmed.id)
    await engine.look()
    launched = [fake.spec.phase_id for fake in engine.backend.phases.values() if fake.running]
    assert confirmed.run.apply_id in launched
    assert later.run.plan_id not in launched


async def test_news_of_an_unlocking_heard_twice_admits_one_run(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, None)
    first, second = await engine.run(workspace), await engine.run(workspace)
    await engine.terrapod.workspaces.locks.unlock(engine.admin, workspace.id)
    async with engine.terrapod.db.uow() as uow:
        uow.emit(WorkspaceUnlocked(workspace_id=workspace.id))
        await uow.commit()
    await engine.look()
    assert [await engine.status(run) for run in (first, second)] == ["plan_queued", "pending"]


async def test_no_more_than_the_limit_of_runs_wait_in_a_workspace(engine: Engine) -> None:
    workspace = await engine.workspace()
    configuration = await engine.configuration(workspace)
    for _ in range(21):
        await engine.create(workspace, configuration)
    with pytest.raises(Conflict, match="20 runs of this workspace wait already"):
        await engine.create(workspace, configuration)


async def test_no_more_than_the_limit_of_one_users_runs_wait_anywhere(engine: Engine) -> None:
    engine.runs._limits = Limits(pending_runs_per_user=2)
    for name in ("a", "b"):
        await engine.run(await engine.workspace(name))
    with pytest.raises(Conflict, match="2 runs of yours wait already"):
        await engine.run(await engine.workspace("c"))


async def test_runs_are_listed_newest_first_and_without_plan_only_ones_unless_asked(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, speculative, last = await engine.run(workspace), await engine.run(workspace, speculative=True), await engine.run(workspace)
    page = await engine.runs.page(engine.admin, PageRequest(), RunFilters(), workspace.id)
    assert [each.id for each in page.items] == [last.id, first.id]
    page = await engine.runs.page(engine.admin, PageRequest(), RunFilters(operations=("plan_only",)), workspace.id)
    assert [each.id for each in page.items] == [speculative.id]


async def test_the_organizations_queue_numbers_the_waiting_runs(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, second = await engine.run(workspace), await engine.run(workspace)
    page = await engine.runs.queue(engine.admin, PageRequest())
    assert [(each.id, each.position) for each in page.items] == [(first.id, 0), (second.id, 1)]
    assert await engine.runs.capacity() == (2, 0)
    await engine.begin(first.run.plan_id)
    assert await engine.runs.capacity() == (1, 1)
    assert (await engine.show(second)).position == 1
    third, other = await engine.run(workspace), await engine.run(await engine.workspace("other"))
    page = await engine.runs.queue(engine.admin, PageRequest())
    assert [each.id for each in page.items] == [other.id, second.id, third.id]
    assert [(await engine.show(each)).position for each in page.items] == [each.position for each in page.items] == [1, 2, 3]


async def test_a_run_that_ended_cannot_be_discarded_confirmed_or_cancelled(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.plan(run, has_changes=False)
    for act in (engine.runs.discard, engine.runs.confirm, engine.runs.cancel):
        with pytest.raises(InvalidTransition):
            await act(engine.admin, run.id)
    assert await engine.status(run) == "planned_and_finished"
