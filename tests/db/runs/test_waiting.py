"""Why a run waits, in the API and at the head of its log; and runs that stop waiting."""

from __future__ import annotations

import pytest

from terrapod_core.errors import InvalidTransition
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.runs.service import Runs
from tests.db.runs.conftest import Engine


async def test_the_log_of_a_pending_run_begins_with_what_it_waits_for(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, second = await engine.run(workspace), await engine.run(workspace)
    head = f"\x02Waiting: {first.id} has the workspace.\n".encode()
    assert await engine.log(second.run.plan_id) == head
    await engine.plan(first, has_changes=False)
    claim = await engine.begin(second.run.plan_id)
    await engine.phases.append_log(claim, 0, b"Plan: 1 to add\n")
    assert await engine.log(second.run.plan_id) == head + b"Plan: 1 to add\n"


async def test_a_run_that_waits_for_its_workspace_and_then_for_a_runner_says_both(engine: Engine) -> None:
    engine.backend.capacity = 1
    await engine.run(await engine.workspace("busy"))
    await engine.look()
    workspace = await engine.workspace()
    first, second = await engine.run(workspace), await engine.run(workspace)
    await engine.runs.cancel(engine.admin, first.id)
    await engine.look()
    waiting = (await engine.show(second)).waiting_on
    assert waiting is not None
    assert (waiting.code, waiting.detail) == ("concurrency", "it waits for a free runner; one is at work")
    lines = f"\x02Waiting: {first.id} has the workspace.\nWaiting: the one runner is busy with other runs.\n"
    assert await engine.log(second.run.plan_id) == lines.encode()
    await engine.look()
    assert await engine.log(second.run.plan_id) == lines.encode()


async def test_a_lock_from_before_the_run_does_not_make_it_wait_since_then(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, None)
    engine.clock.advance(hours=1)
    run = await engine.run(workspace)
    assert run.waiting_on is not None
    assert run.waiting_on.since == run.run.created_at


async def test_a_free_workspace_whose_news_was_laid_aside_is_given_to_who_waits(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, None)
    run = await engine.run(workspace)
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(type(workspace), workspace.id)).unlock()  # and nobody is told
        await uow.commit()
    waiting = (await engine.show(run)).waiting_on
    assert waiting is not None
    assert "just become free" in waiting.detail
    assert engine.terrapod.worker is not None
    (sweep,) = [each for each in engine.terrapod.jobs.periodic if each.name == "runs.admit-overlooked"]
    await sweep.run()
    assert await engine.status(run) == "plan_queued"


async def test_what_was_cancelled_before_it_began_never_begins(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.look()
    await engine.runs.cancel(engine.admin, run.id)
    assert await engine.status(run) == "plan_queued"
    with pytest.raises(LeaseLost):
        await engine.phases.claim(engine.claim(run.run.plan_id), Claim(runner="host 1"))
    assert await engine.status(run) == "canceled"


async def test_a_plan_that_was_through_before_it_heard_of_the_cancel_goes_no_further(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), auto_apply=True)
    claim = await engine.begin(run.run.plan_id)
    await engine.runs.cancel(engine.admin, run.id)
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    assert await engine.status(run) == "canceled"


@pytest.mark.parametrize("act", [Runs.confirm, Runs.discard, Runs.cancel])
async def test_an_action_repeated_is_refused_and_changes_nothing(engine: Engine, act: object) -> None:
    run = await engine.run(await engine.workspace())
    if act is not Runs.cancel:
        await engine.plan(run)
    await act(engine.runs, engine.admin, run.id)  # type: ignore[operator]
    before = (await engine.show(run)).run.status_timestamps, len(await engine.runs.events(engine.admin, run.id))
    with pytest.raises(InvalidTransition) as caught:
        await act(engine.runs, engine.admin, run.id)  # type: ignore[operator]
    assert caught.value.title == "transition not allowed"
    assert ((await engine.show(run)).run.status_timestamps, len(await engine.runs.events(engine.admin, run.id))) == before


async def test_a_run_is_executed_before_its_turn_and_the_one_that_only_waited_is_discarded(engine: Engine) -> None:
    workspace = await engine.workspace()
    first, second, third = [await engine.run(workspace) for _ in range(3)]
    with pytest.raises(InvalidTransition, match=f"{first.id} has the workspace and is plan_queued"):
        await engine.terrapod.again.force_execute(engine.admin, third.id)
    await engine.plan(first)
    engine.clock.advance(seconds=1)
    await engine.terrapod.again.force_execute(engine.admin, third.id, "production is down")
    assert [await engine.status(run) for run in (first, second, third)] == ["discarded", "pending", "plan_queued"]
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_holder_id == third.id
    last = (await engine.runs.events(engine.admin, first.id))[-1]
    assert third.id in last.description
    with pytest.raises(InvalidTransition, match="only a pending run"):
        await engine.terrapod.again.force_execute(engine.admin, third.id)


async def test_a_persons_lock_is_stronger_than_execution_by_force(engine: Engine) -> None:
    workspace = await engine.workspace()
    await engine.terrapod.workspaces.locks.lock(engine.admin, workspace.id, None)
    run = await engine.run(workspace)
    with pytest.raises(InvalidTransition, match="unlock it first"):
        await engine.terrapod.again.force_execute(engine.admin, run.id)
