"""What each policy lets the schedule and people do to a workspace, with plans of a real terraform."""

from __future__ import annotations

import pytest

from terrapod_core.errors import Conflict as Refused
from terrapod_sync.models import SyncedWorkspace
from tests.db.sync_engine.conftest import ALL, Synced, digest

ALLOWED = {"full-control": ALL, "apply": ("create", "update"), "create-only": ("create",), "observe": ()}
CASES = [(policy, plan) for policy in ALLOWED for plan in ALL]


@pytest.mark.parametrize(("policy", "plan"), CASES)
async def test_the_schedule_applies_what_its_policy_allows_and_nothing_else(synced: Synced, policy: str, plan: str) -> None:
    workspace = await synced.workspace(policy=policy)
    await synced.tick()
    run_id = await synced.last_run(workspace)
    run = await synced.run(run_id)
    assert (run.trigger_reason, run.plan_only, run.save_plan) == ("sync", policy == "observe", policy != "observe")
    await synced.plan(run_id, plan)
    if plan in ALLOWED[policy]:
        await synced.apply(run_id)
        assert (await synced.run(run_id)).status == "applied"
        assert (await synced.row(workspace)).status == "success"
        return
    sync, row = await synced.last(workspace), await synced.row(workspace)
    if policy == "observe":
        assert ((await synced.run(run_id)).status, row.status, await synced.conflicts(workspace)) == (
            "planned_and_finished",
            "out_of_sync",
            [],
        )
        return
    (conflict,) = await synced.conflicts(workspace)
    assert ((await synced.run(run_id)).status, row.status, row.next_at) == ("planned_and_saved", "conflict", None)
    assert (conflict.kind, conflict.run_id, conflict.plan_digest) == ("destructive_plan", run_id, digest(run_id))
    assert [each["does"] for each in conflict.steps] == [{"delete": "destroy"}.get(plan, plan)]
    assert "POLICY CONFLICT" in (sync.reason or "")


@pytest.mark.parametrize(("policy", "plan"), CASES)
async def test_the_general_policy_bounds_the_runs_of_people_too(synced: Synced, policy: str, plan: str) -> None:
    workspace = await synced.workspace(workspace_policy=policy, enabled=False)
    run = await synced.engine.run(workspace, auto_apply=True)
    await synced.plan(run.id, plan)
    status = (await synced.run(run.id)).status
    assert status == ("apply_queued" if plan in ALLOWED[policy] else "errored")


@pytest.mark.parametrize("plan", ALL)
async def test_without_a_sync_policy_a_plan_is_saved_and_the_next_tick_makes_another(synced: Synced, plan: str) -> None:
    workspace = await synced.workspace()
    await synced.tick()
    first = await synced.last_run(workspace)
    await synced.plan(first, plan)
    row = await synced.row(workspace)
    assert ((await synced.run(first)).status, row.status, row.active_sync_id) == ("planned_and_saved", "awaiting_approval", None)
    await synced.tick(minutes=12)
    second = await synced.last_run(workspace)
    assert second != first
    assert ((await synced.run(first)).status, (await synced.run(second)).status) == ("discarded", "plan_queued")
    former, _ = await synced.syncs(workspace)
    assert former.status == "out_of_sync"


async def test_a_saved_plan_that_somebody_approves_is_followed_to_its_end(synced: Synced) -> None:
    workspace = await synced.workspace()
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "update")
    await synced.engine.runs.confirm(synced.admin, run_id)
    await synced.engine.look()
    assert (await synced.row(workspace)).active_sync_id is not None
    await synced.apply(run_id)
    row = await synced.row(workspace)
    assert (row.status, row.active_sync_id, row.has_changes) == ("success", None, False)


async def test_what_the_general_policy_forbids_is_a_conflict_of_policies_that_nobody_can_accept(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply", workspace_policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "delete")
    (conflict,) = await synced.conflicts(workspace)
    assert conflict.kind == "policy"
    with pytest.raises(Refused, match="may not be applied"):
        await synced.engine.runs.confirm(synced.admin, run_id)


async def test_a_plan_without_json_is_not_applied(synced: Synced) -> None:
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), None)
    (conflict,) = await synced.conflicts(workspace)
    assert (conflict.kind, conflict.steps) == ("destructive_plan", [])
    assert "no JSON" in conflict.detail


async def test_a_plan_of_a_person_without_json_is_denied_under_a_general_policy(synced: Synced) -> None:
    workspace = await synced.workspace(workspace_policy="apply")
    run = await synced.engine.run(workspace)
    await synced.plan(run.id, None)
    assert (await synced.run(run.id)).status == "errored"


async def test_a_workspace_without_an_entry_is_left_alone(synced: Synced) -> None:
    run = await synced.engine.run(await synced.engine.workspace("free"), auto_apply=True)
    await synced.plan(run.id, "delete")
    assert (await synced.run(run.id)).status == "apply_queued"


async def test_nothing_to_do_is_a_success(synced: Synced) -> None:
    workspace = await synced.workspace(policy="create-only")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    row = await synced.row(workspace)
    assert (row.status, row.has_changes, row.attempts) == ("success", False, 0)


@pytest.mark.parametrize("change", [{"policy": "create-only"}, {"auto_apply": False}, {"enabled": False}])
async def test_what_the_entry_no_longer_allows_when_the_plan_is_there_is_not_applied(synced: Synced, change: dict[str, object]) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    async with synced.context.tables.change() as transaction:
        row = await transaction.run(lambda session: session.get_one(SyncedWorkspace, workspace.id))
        row.entry = {**row.entry, **change}
        row.enabled = row.entry["enabled"]
        await transaction.commit()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "update")
    assert ((await synced.run(run_id)).status, (await synced.row(workspace)).status) == ("planned_and_saved", "awaiting_approval")


async def test_what_is_planned_when_everything_is_switched_off_is_not_applied(synced: Synced) -> None:
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "update", meanwhile=lambda: synced.switch(enabled=False))
    assert ((await synced.run(run_id)).status, (await synced.row(workspace)).status) == ("planned_and_saved", "awaiting_approval")


TELLS_NOTHING = b'{"format_version": "1.2", "resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"]}}]}'


@pytest.mark.parametrize("document", [b'{"format_version": "1.2"}', TELLS_NOTHING])
async def test_a_plan_with_changes_whose_json_tells_of_none_is_not_applied(synced: Synced, document: bytes) -> None:
    workspace = await synced.workspace(policy="create-only", workspace_policy="apply")
    await synced.tick()
    await synced.plan_of(await synced.last_run(workspace), document)
    (conflict,) = await synced.conflicts(workspace)
    assert "tells of none" in conflict.detail
    run = await synced.engine.run(workspace, auto_apply=True)
    await synced.plan_of(run.id, document)
    assert (await synced.run(run.id)).status == "errored"


async def test_a_refresh_of_a_person_has_no_steps_and_is_allowed(synced: Synced) -> None:
    workspace = await synced.workspace(workspace_policy="apply")
    run = await synced.engine.run(workspace, refresh_only=True, auto_apply=True)
    await synced.plan_of(run.id, b'{"format_version": "1.2"}')
    assert (await synced.run(run.id)).status == "apply_queued"
