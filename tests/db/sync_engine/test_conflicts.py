"""Conflicts of each kind: what the configuration does about them, and what people do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from terrapod_core.plugin import Conflict as Refused, Forbidden, NotFound
from terrapod_core.workspaces import Workspace
from terrapod_sync.models import Conflict, SyncedWorkspace
from terrapod_sync.words import Resolution
from tests.db.runs.conftest import make_person
from tests.db.sync_engine.conftest import Synced

R = Resolution


async def parked(synced: Synced, plan: str = "delete", policy: str = "apply") -> tuple[Workspace, Conflict]:
    """A workspace whose plan may not be applied by the schedule."""
    workspace = await synced.workspace(policy=policy)
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), plan)
    (conflict,) = await synced.conflicts(workspace)
    return workspace, conflict


# -- what the configuration says


@pytest.mark.parametrize("wanted", ["manual", "prefer_config"])
async def test_a_forbidden_plan_lies_there_and_no_tick_comes(synced: Synced, wanted: str) -> None:
    await synced.switch(conflicts=wanted)
    workspace, conflict = await parked(synced)
    await synced.tick(days=3)
    assert (len(await synced.runs(workspace)), (await synced.row(workspace)).status) == (1, "conflict")
    assert conflict.status == "open"


async def test_a_forbidden_plan_is_skipped_until_the_next_tick(synced: Synced) -> None:
    await synced.switch(conflicts="skip")
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "delete")
    (conflict,) = await synced.conflicts(workspace, None)
    row = await synced.row(workspace)
    assert (conflict.status, conflict.resolution, (await synced.run(run_id)).status) == ("resolved", "skip", "discarded")
    assert row.status == "out_of_sync"
    await synced.tick(minutes=12)
    assert len(await synced.runs(workspace)) == 2


async def test_what_is_there_is_preferred_to_a_forbidden_plan(synced: Synced) -> None:
    await synced.switch(conflicts="prefer_remote")
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "delete")
    synced.clock.advance(seconds=1)
    # Both were made in the same instant of the clock.
    first, second = sorted(await synced.runs(workspace), key=lambda run: run.refresh_only)
    assert (first.status, second.refresh_only, second.save_plan) == ("discarded", True, True)
    await synced.plan(second.id, "update")
    await synced.apply(second.id)
    (conflict,) = await synced.conflicts(workspace, None)
    assert (conflict.resolution, conflict.resulting_run_id) == ("prefer_remote", second.id)
    assert (await synced.row(workspace)).status == "success"


async def test_under_observe_not_even_the_state_is_refreshed(synced: Synced) -> None:
    workspace, conflict = await parked(synced, "update", policy="create-only")
    async with synced.context.tables.change() as change:
        row = await change.run(lambda session: session.get_one(SyncedWorkspace, workspace.id))
        row.entry = {**row.entry, "workspace_policy": "observe"}
        await change.commit()
    with pytest.raises(Forbidden, match="allows nothing to be applied"):
        await synced.resolve(conflict, R.PREFER_REMOTE)
    with pytest.raises(Forbidden, match="observe"):
        await synced.resolve(conflict, R.ACCEPT)
    assert [each.id for each in await synced.conflicts(workspace)] == [conflict.id]


# -- what people do


async def test_an_accepted_plan_is_the_one_that_was_shown(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    with pytest.raises(Refused, match="another plan") as refusal:
        await synced.resolve(conflict, R.ACCEPT, plan="0" * 64)
    assert refusal.value.code == "conflict_changed"
    resolved = await synced.resolve(conflict, R.ACCEPT, plan=conflict.plan_digest)
    assert (resolved.status, resolved.resulting_run_id, resolved.resolved_by_id) == ("resolved", conflict.run_id, synced.admin.id)
    await synced.apply(str(conflict.run_id))
    row = await synced.row(workspace)
    assert (row.status, row.next_at is not None, await synced.conflicts(workspace)) == ("success", True, [])


@pytest.mark.parametrize("resolution", list(R))
async def test_a_conflict_is_resolved_once(synced: Synced, resolution: R) -> None:
    _, conflict = await parked(synced)
    await synced.resolve(conflict, resolution)
    with pytest.raises(Refused) as refusal:
        await synced.resolve(conflict, R.DISCARD)
    assert refusal.value.code == "conflict_resolved"


async def test_a_discarded_plan_is_made_anew_at_the_next_tick(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    await synced.resolve(conflict, R.DISCARD)
    row = await synced.row(workspace)
    assert ((await synced.run(str(conflict.run_id))).status, row.status) == ("discarded", "out_of_sync")
    await synced.tick(minutes=12)
    assert len(await synced.runs(workspace)) == 2


async def test_what_is_ignored_rests_until_its_date(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    until = synced.clock.now() + timedelta(days=2)
    await synced.resolve(conflict, R.IGNORE, until=until)
    await synced.tick(days=1)
    async with synced.context.tables.change() as change:  # as a PUT that changes the entry does
        (await change.run(lambda session: session.get_one(SyncedWorkspace, workspace.id))).next_at = change.now()
        await change.commit()
    await synced.tick(hours=23)
    assert len(await synced.runs(workspace)) == 1
    await synced.tick(hours=2)
    assert len(await synced.runs(workspace)) == 2


async def test_what_is_ignored_without_a_date_rests_until_somebody_acts(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    await synced.resolve(conflict, R.IGNORE)
    await synced.tick(days=300)
    assert len(await synced.runs(workspace)) == 1
    await synced.trigger(workspace)
    assert len(await synced.runs(workspace)) == 2


async def test_preferring_what_is_there_takes_it_into_the_state(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    synced.clock.advance(seconds=1)
    resolved = await synced.resolve(conflict, R.PREFER_REMOTE)
    _, second = await synced.runs(workspace)
    assert (second.refresh_only, second.id, second.created_by_id) == (True, resolved.resulting_run_id, synced.admin.id)
    await synced.plan(second.id, "update")
    await synced.apply(second.id)
    assert (await synced.row(workspace)).status == "success"


async def test_resolving_needs_write_and_a_conflict_that_one_may_see(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    reader, stranger = (
        await make_person(synced.engine, workspace, "plan"),
        await make_person(synced.engine, await synced.engine.workspace("x"), "admin"),
    )
    with pytest.raises(Forbidden, match="level write"):
        await synced.resolve(conflict, R.DISCARD, reader)
    with pytest.raises(NotFound):
        await synced.resolve(conflict, R.DISCARD, stranger)


# -- lock, state, configuration


async def test_a_locked_workspace_is_passed_over_and_the_conflict_goes_away_by_itself(synced: Synced) -> None:
    workspace = await synced.workspace()
    await synced.engine.terrapod.workspaces.locks.lock(synced.admin, workspace.id, "mine")
    await synced.tick()
    await synced.tick(minutes=12)
    (conflict,) = await synced.conflicts(workspace)
    assert (conflict.kind, await synced.runs(workspace), (await synced.row(workspace)).status) == ("lock", [], "never")
    with pytest.raises(Refused) as refusal:
        await synced.trigger(workspace)
    assert refusal.value.code == "workspace_locked"
    await synced.engine.terrapod.workspaces.locks.unlock(synced.admin, workspace.id)
    await synced.tick(minutes=12)
    assert [each.status for each in await synced.conflicts(workspace, None)] == ["passed"]
    assert len(await synced.runs(workspace)) == 1


async def locked_while_planned(synced: Synced) -> tuple[Workspace, str]:
    """A workspace that somebody locked while the schedule's run was planned, and that run."""
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)

    async def lock() -> None:
        await synced.engine.terrapod.workspaces.locks.lock(synced.admin, workspace.id, "mine")

    await synced.plan(run_id, "update", meanwhile=lock)
    return workspace, run_id


@pytest.mark.parametrize("resolution", [R.DISCARD, R.IGNORE, R.PREFER_REMOTE, R.ACCEPT])
async def test_a_plan_that_a_lock_kept_from_being_applied_is_given_up_with_the_conflict(synced: Synced, resolution: R) -> None:
    workspace, run_id = await locked_while_planned(synced)
    (conflict,) = await synced.conflicts(workspace)
    assert (conflict.kind, conflict.run_id, (await synced.row(workspace)).status) == ("lock", run_id, "awaiting_approval")
    await synced.engine.terrapod.workspaces.locks.unlock(synced.admin, workspace.id)
    await synced.resolve(conflict, resolution, until=synced.clock.now() + timedelta(days=1) if resolution is R.IGNORE else None)
    assert (await synced.run(run_id)).status == "discarded"
    assert len(await synced.runs(workspace)) == (2 if resolution in (R.PREFER_REMOTE, R.ACCEPT) else 1)


async def test_a_plan_that_a_lock_kept_from_being_applied_ends_the_conflict_when_somebody_applies_it(synced: Synced) -> None:
    workspace, run_id = await locked_while_planned(synced)
    await synced.engine.terrapod.workspaces.locks.unlock(synced.admin, workspace.id)
    await synced.engine.runs.confirm(synced.admin, run_id)
    await synced.engine.look()
    assert await synced.conflicts(workspace) == []


@pytest.mark.parametrize("what", ["entry", "everything"])
@pytest.mark.parametrize("resolution", [R.ACCEPT, R.PREFER_REMOTE])
async def test_what_is_switched_off_is_not_synced_by_a_decision(synced: Synced, resolution: R, what: str) -> None:
    workspace, _ = await parked(synced)
    await synced.move_state(workspace)
    (conflict,) = await synced.conflicts(workspace)
    await (synced.edit(workspace, enabled=False) if what == "entry" else synced.switch(enabled=False))
    with pytest.raises(Refused) as refusal:
        await synced.resolve(conflict, resolution)
    assert (refusal.value.code, [each.id for each in await synced.conflicts(workspace)]) == ("sync_disabled", [conflict.id])
    await synced.resolve(conflict, R.DISCARD)


async def test_a_state_that_moves_makes_a_parked_plan_stale(synced: Synced) -> None:
    workspace, conflict = await parked(synced)
    await synced.move_state(workspace)
    kinds = [(each.kind, each.status) for each in await synced.conflicts(workspace, None)]
    assert sorted(kinds) == [("destructive_plan", "passed"), ("state", "open")]
    assert (await synced.run(str(conflict.run_id))).status == "discarded"
    await synced.tick(days=1)
    assert len(await synced.runs(workspace)) == 2
    (moved,) = await synced.conflicts(workspace)
    await synced.resolve(moved, R.ACCEPT)
    assert len(await synced.runs(workspace)) == 3


@pytest.mark.parametrize(
    ("wanted", "conflict", "sync", "follows"),
    [
        ("manual", ("open", None), "conflict", []),
        ("skip", ("resolved", "skip"), "out_of_sync", []),
        ("prefer_config", ("resolved", "prefer_config"), "pending", [False]),
        ("prefer_remote", ("resolved", "prefer_remote"), "pending", [True]),
    ],
)
async def test_a_state_that_moves_while_a_plan_is_made(
    synced: Synced, wanted: str, conflict: tuple[str, str | None], sync: str, follows: list[bool]
) -> None:
    await synced.switch(conflicts=wanted)
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "update", meanwhile=lambda: synced.move_state(workspace))
    assert (await synced.run(run_id)).status == "discarded"
    (moved,) = await synced.conflicts(workspace, None)
    assert (moved.kind, (moved.status, moved.resolution), (await synced.row(workspace)).status) == ("state", conflict, sync)
    others = [each for each in await synced.runs(workspace) if each.trigger_reason == "sync" and each.id != run_id]
    assert [each.refresh_only for each in others] == follows
    assert moved.resulting_run_id == (others[0].id if others else None)
    told = await synced.audited("sync.resolve")
    assert [(each.detail["resolution"], each.detail["conflict"]) for each in told] == [(wanted, moved.id)] * (wanted != "manual")
    await synced.tick(minutes=12)
    # What is skipped has its turn again; what waits for a person, or is under way, has not.
    assert len(await synced.syncs(workspace)) == (1 if wanted == "manual" else 2)


@pytest.mark.parametrize(
    ("wanted", "runs", "status"),
    [("manual", 1, "open"), ("skip", 1, "resolved"), ("prefer_config", 2, "resolved"), ("prefer_remote", 2, "resolved")],
)
async def test_a_newer_configuration_makes_a_plan_an_old_one(synced: Synced, wanted: str, runs: int, status: str) -> None:
    await synced.switch(conflicts=wanted)
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    synced.clock.advance(seconds=5)
    await synced.engine.configuration(workspace)
    await synced.plan(run_id, "create")
    (conflict,) = await synced.conflicts(workspace, None)
    assert (conflict.kind, conflict.status, (await synced.run(run_id)).status) == ("config", status, "discarded")
    assert len(await synced.runs(workspace)) == runs


async def test_a_configuration_that_comes_while_a_plan_is_parked(synced: Synced) -> None:
    workspace, _ = await parked(synced)
    synced.clock.advance(seconds=5)
    await synced.engine.configuration(workspace, speculative=True)
    await synced.engine.look()
    assert [each.kind for each in await synced.conflicts(workspace)] == ["destructive_plan"]
    await synced.engine.configuration(workspace)
    await synced.engine.look()
    kinds = [(each.kind, each.status) for each in await synced.conflicts(workspace, None)]
    assert sorted(kinds) == [("config", "open"), ("destructive_plan", "passed")]
