"""What is kept of an apply whose runner was lost, killed, or came back too late; and what its workspace says about it."""

from __future__ import annotations

from typing import Any

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import PageRequest
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Report
from terrapod_core.storage import PhaseClaim
from terrapod_core.ui.workspace_doors import WorkspacePageDoor
from terrapod_core.ui.workspace_views import Paging, WorkspaceAction
from terrapod_core.workspaces import Workspace
from tests.db.runs.conftest import LINEAGE, Engine
from tests.db.runs.test_losses import quiet


async def conditions(engine: Engine, workspace: Workspace) -> list[dict[str, Any]]:
    return (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).conditions


async def current_serial(engine: Engine, workspace: Workspace) -> int | None:
    found = await engine.terrapod.db.read(lambda session: engine.terrapod.states.current(session, workspace.id))
    return found.serial if found is not None else None


async def applying(engine: Engine, workspace: Workspace) -> tuple[RunView, PhaseClaim]:
    run = await engine.run(workspace, auto_apply=True)
    await engine.plan(run)
    return run, await engine.begin(run.run.apply_id)


async def lost(engine: Engine, workspace: Workspace) -> tuple[RunView, PhaseClaim]:
    run, claim = await applying(engine, workspace)
    await engine.put_state(claim, 3)
    await quiet(engine, 80)
    assert await engine.status(run) == "errored"
    return run, claim


async def test_a_lost_apply_leaves_its_newest_state_current_and_a_condition_with_a_remedy(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, _ = await lost(engine, workspace)
    [condition] = await conditions(engine, workspace)
    assert (condition["code"], condition["run-id"], condition["severity"]) == ("state-diverged", run.id, "error")
    assert run.id in condition["detail"]
    assert "acknowledge" in condition["remedy"]
    current = await engine.terrapod.states.read_current(engine.admin, workspace.id)
    assert (current.serial, current.intermediate, current.rescued) == (3, True, False)


async def test_a_lost_plan_and_an_apply_that_never_began_leave_no_condition(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace, auto_apply=True)
    await engine.begin(run.run.plan_id)
    await quiet(engine, 80)
    await engine.plan(run)
    for _ in range(4):
        await quiet(engine, 80)
    assert await engine.status(run) == "errored"
    assert await conditions(engine, workspace) == []


async def test_a_run_that_is_started_after_a_loss_and_applied_ends_the_condition(engine: Engine) -> None:
    workspace = await engine.workspace()
    first = await engine.run(workspace, auto_apply=True)
    behind = await engine.run(workspace, auto_apply=True)
    await engine.plan(first)
    await engine.begin(first.run.apply_id)
    await quiet(engine, 80)
    await engine.plan(behind)
    await engine.apply(behind, serial=1)
    assert await engine.status(behind) == "applied"
    assert [each["run-id"] for each in await conditions(engine, workspace)] == [first.id]  # nobody meant to look
    after = await engine.run(workspace, auto_apply=True)
    await engine.plan(after)
    await engine.apply(after, serial=2)
    assert await conditions(engine, workspace) == []


@pytest.mark.parametrize(
    ("sent", "ends"), [({}, True), ({"refresh_only": True}, True), ({"refresh": False}, False), ({"plan_only": True}, False)]
)
async def test_a_plan_that_looked_and_found_nothing_to_do_ends_the_condition(engine: Engine, sent: dict[str, Any], ends: bool) -> None:
    workspace = await engine.workspace()
    await lost(engine, workspace)
    run = await engine.run(workspace, **sent)
    await engine.plan(run, has_changes=False)
    assert await engine.status(run) == "planned_and_finished"
    assert (await conditions(engine, workspace) == []) is ends


async def test_a_plan_of_some_resources_only_ends_no_condition(engine: Engine) -> None:
    workspace = await engine.workspace()
    await lost(engine, workspace)
    run = await engine.run(workspace, target_addrs=["terraform_data.a"])
    await engine.plan(run, has_changes=False)
    assert len(await conditions(engine, workspace)) == 1


async def test_a_late_state_waits_as_rescued_for_half_an_hour_and_is_promoted_by_an_admin(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, claim = await lost(engine, workspace)
    answer = await engine.put_state(claim, 5)
    assert answer["rescued"] is True
    assert await current_serial(engine, workspace) == 3
    [condition] = await conditions(engine, workspace)
    assert answer["state-version"] in condition["remedy"]
    assert (await engine.put_state(claim, 5)) == answer
    version = await engine.terrapod.states.promote(engine.admin, answer["state-version"])
    assert (version.serial, await current_serial(engine, workspace)) == (6, 6)
    assert await conditions(engine, workspace) == []
    engine.clock.advance(minutes=31)
    with pytest.raises(LeaseLost):
        await engine.put_state(claim, 7)
    assert (await engine.show(run)).run.status == "errored"


async def test_a_state_that_was_acknowledged_already_is_not_rescued_once_more(engine: Engine) -> None:
    workspace = await engine.workspace()
    _, claim = await lost(engine, workspace)
    [before] = await conditions(engine, workspace)
    assert (await engine.put_state(claim, 3))["rescued"] is False
    assert await conditions(engine, workspace) == [before]


@pytest.mark.parametrize("status", ["canceled", "errored"])
async def test_an_apply_whose_engine_was_killed_says_that_the_state_may_lack_something(engine: Engine, status: str) -> None:
    workspace = await engine.workspace()
    run, claim = await applying(engine, workspace)
    await engine.put_state(claim, 1)
    await engine.phases.report(claim, Report(status=status, message="The apply was killed.", state_incomplete=True))
    [condition] = await conditions(engine, workspace)
    assert (condition["code"], condition["run-id"]) == ("state-diverged", run.id)
    assert "The apply was killed" in condition["detail"]


@pytest.mark.parametrize("status", ["canceled", "errored", "finished"])
async def test_the_last_state_of_an_apply_that_ended_by_itself_is_final_and_no_condition_remains(engine: Engine, status: str) -> None:
    workspace = await engine.workspace()
    _, claim = await applying(engine, workspace)
    for serial in (1, 2):
        await engine.put_state(claim, serial)
    assert (await engine.terrapod.states.read_current(engine.admin, workspace.id)).intermediate is True
    await engine.phases.report(claim, Report(status=status))
    current = await engine.terrapod.states.read_current(engine.admin, workspace.id)
    assert (current.serial, current.intermediate) == (2, False)
    assert await conditions(engine, workspace) == []


async def awaited(engine: Engine, workspace: Workspace) -> tuple[RunView, PhaseClaim]:
    """A cancelled apply whose runner is not heard, although it still runs as far as anybody knows."""
    engine.backend.out_of_reach = True
    run, claim = await applying(engine, workspace)
    await engine.put_state(claim, 1)
    await engine.runs.cancel(engine.admin, run.id)
    await quiet(engine, 80)
    assert await engine.status(run) == "canceled"
    return run, claim


async def codes(engine: Engine, workspace: Workspace) -> list[str]:
    seen = await engine.terrapod.workspaces.read(engine.admin, workspace.id)
    return [each["code"] for each in engine.terrapod.conditions.of(seen)]


async def holder(engine: Engine, workspace: Workspace) -> str | None:
    return (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_holder_id


async def test_the_state_of_a_cancelled_apply_that_was_not_heard_becomes_current_and_the_next_run_begins_soon(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, claim = await awaited(engine, workspace)
    behind = await engine.run(workspace)
    assert await holder(engine, workspace) == run.id
    assert await codes(engine, workspace) == ["state-diverged", "state-awaited"]
    waiting = (await engine.show(behind)).waiting_on
    assert waiting is not None
    assert (waiting.code, "its state is awaited until" in waiting.detail) == ("queued_behind", True)
    answer = await engine.put_state(claim, 2)
    assert answer["rescued"] is False
    assert await engine.put_state(claim, 2) == answer  # once more, because the answer was lost
    await sweep(engine)
    assert await holder(engine, workspace) == run.id  # it may have been a snapshot: terraform hears of its end only now
    assert (await engine.put_state(claim, 3))["rescued"] is False
    current = await engine.terrapod.states.read_current(engine.admin, workspace.id)
    assert (current.serial, current.intermediate) == (3, False)
    engine.clock.advance(seconds=61)
    await sweep(engine)
    assert await codes(engine, workspace) == ["state-diverged"]
    assert (await holder(engine, workspace), await engine.status(behind)) == (behind.id, "plan_queued")
    assert (await engine.put_state(claim, 4))["rescued"] is True  # the workspace is not the run's any more


async def sweep(engine: Engine) -> None:
    (found,) = [each for each in engine.terrapod.jobs.periodic if each.name == "runs.release-awaited"]
    await found.run()


@pytest.mark.parametrize(("serial", "lineage", "rescued"), [(1, LINEAGE, False), (0, LINEAGE, True), (2, "another", True)])
async def test_after_any_state_of_an_awaited_run_the_workspace_is_soon_free_though_it_does_not_become_current(
    engine: Engine, serial: int, lineage: str, rescued: bool
) -> None:
    workspace = await engine.workspace()
    _, claim = await awaited(engine, workspace)
    assert (await engine.put_state(claim, serial, lineage))["rescued"] is rescued
    assert await current_serial(engine, workspace) == 1
    engine.clock.advance(seconds=61)
    await sweep(engine)
    assert await holder(engine, workspace) is None


async def test_a_workspace_whose_state_does_not_come_is_free_after_ten_minutes_also_after_a_restart(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, claim = await awaited(engine, workspace)
    behind = await engine.run(workspace)
    engine.clock.advance(minutes=8)
    await engine.look()
    assert await holder(engine, workspace) == run.id
    engine.clock.advance(minutes=3)  # the server was away: the rows alone tell
    await sweep(engine)
    await sweep(engine)
    assert (await holder(engine, workspace), await engine.status(behind)) == (behind.id, "plan_queued")
    assert await codes(engine, workspace) == ["state-diverged"]
    assert (await engine.put_state(claim, 2))["rescued"] is True


async def offered(engine: Engine, workspace: Workspace) -> frozenset[WorkspaceAction]:
    """What the workspace's page lets an admin do with the lock."""
    of = engine.terrapod
    door = WorkspacePageDoor(of.workspaces, of.runs, of.states, of.variables, of.conditions, of.live, of.authz, of.pools, of.assessments)
    first = PageRequest(1, 20)
    return (await door.show(engine.admin, workspace.name, Paging(first, first, first))).actions


async def test_an_admin_who_unlocks_by_force_waits_for_no_state(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, claim = await applying(engine, workspace)
    locks = engine.terrapod.workspaces.locks
    assert await offered(engine, workspace) == frozenset()
    with pytest.raises(Invalid, match="is locked by Run"):
        await locks.force_unlock(engine.admin, workspace.id)
    await engine.runs.cancel(engine.admin, run.id)
    engine.backend.out_of_reach = True
    await quiet(engine, 80)
    behind = await engine.run(workspace)
    assert await offered(engine, workspace) == {WorkspaceAction.FORCE_UNLOCK}
    await locks.force_unlock(engine.admin, workspace.id)
    assert await codes(engine, workspace) == ["state-diverged"]
    await engine.look()
    assert await engine.status(behind) == "plan_queued"
    assert (await engine.put_state(claim, 2))["rescued"] is True


async def test_a_workspace_is_free_at_once_when_the_runner_of_the_awaited_state_is_known_to_be_gone(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, _ = await awaited(engine, workspace)
    handle = (await engine.phase(run.run.apply_id)).handle
    assert handle is not None
    engine.backend.end(handle)
    await engine.look()
    assert await holder(engine, workspace) is None


async def test_a_run_that_was_cancelled_and_whose_runner_is_gone_keeps_nothing(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, claim = await applying(engine, workspace)
    await engine.runs.cancel(engine.admin, run.id)
    handle = (await engine.phase(run.run.apply_id)).handle
    assert handle is not None
    engine.backend.end(handle)
    await engine.terrapod.dispatcher.look()
    assert (await engine.status(run), await holder(engine, workspace)) == ("canceled", None)
    assert [each["run-id"] for each in await conditions(engine, workspace)] == [run.id]
    assert (await engine.put_state(claim, 1))["rescued"] is True  # the workspace is not the run's any more
    assert await current_serial(engine, workspace) is None
