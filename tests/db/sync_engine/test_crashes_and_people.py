"""A server that dies at any step, editors who go away, and workspaces that change."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from terrapod_core.authz import PlatformRole
from terrapod_core.plugin import Forbidden, Invalid
from terrapod_core.workspaces.documents import CreateWorkspace, UpdateWorkspace
from terrapod_sync.engine import following
from terrapod_sync.engine.acting import Acting
from terrapod_sync.engine.runs import RunsAPI
from terrapod_sync.engine.starting import Starting
from terrapod_sync.models import Sync, SyncedWorkspace
from terrapod_sync.words import Resolution
from tests.db.runs.conftest import make_person, make_user
from tests.db.sync_engine.conftest import Synced


class Died(RuntimeError):
    """The process, at this point."""


async def die(*_: Any, **__: Any) -> None:
    raise Died


async def after_a_minute(synced: Synced) -> None:
    """Another process sweeps."""
    synced.clock.advance(seconds=61)
    await synced.sync.following.sweep()
    await synced.engine.look()


@pytest.mark.parametrize(("owner", "name"), [(RunsAPI, "make"), (Starting, "_note"), (Starting, "start")])
async def test_a_crash_around_the_making_of_a_run_leaves_one_run(
    synced: Synced, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    workspace = await synced.workspace(policy="full-control")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        await synced.sync.ticking.tick()
    assert (await synced.row(workspace)).active_sync_id is not None
    await after_a_minute(synced)
    (run,) = await synced.runs(workspace)
    assert await synced.last_run(workspace) == run.id
    await synced.plan(run.id, "create")
    await synced.apply(run.id)
    assert (await synced.row(workspace)).status == "success"


async def test_a_run_that_was_not_noted_is_judged_and_known_all_the_same(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await synced.workspace(policy="apply")
    with monkeypatch.context() as patch:
        patch.setattr(Starting, "_note", die)
        await synced.sync.ticking.tick()
    (run,) = await synced.runs(workspace)
    await synced.plan(run.id, "delete")
    assert ((await synced.last(workspace)).run_id, len(await synced.conflicts(workspace))) == (run.id, 1)


async def test_a_crash_before_the_confirmation_is_made_up_for(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(RunsAPI, "confirm", die)
        await synced.plan(run_id, "create")
    assert (await synced.run(run_id)).status == "planned_and_saved"
    await after_a_minute(synced)
    await synced.apply(run_id)
    assert (await synced.row(workspace)).status == "success"


async def test_a_crash_after_the_confirmation_confirms_nothing_twice(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await synced.workspace(policy="full-control")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    confirm = RunsAPI.confirm

    async def confirm_and_die(self: RunsAPI, *arguments: Any) -> None:
        await confirm(self, *arguments)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(RunsAPI, "confirm", confirm_and_die)
        await synced.plan(run_id, "create")
    await synced.apply(run_id)
    await after_a_minute(synced)
    assert ((await synced.row(workspace)).status, len(await synced.runs(workspace))) == ("success", 1)


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_a_crash_inside_a_resolution_leaves_no_plan_that_somebody_may_apply(
    synced: Synced, monkeypatch: pytest.MonkeyPatch, resolution: Resolution
) -> None:
    """Between noting what was decided and doing it: the next tick makes another plan, and the one that was given up is gone."""
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "delete")
    (conflict,) = await synced.conflicts(workspace)
    until = synced.clock.now() + timedelta(minutes=5) if resolution is Resolution.IGNORE else None
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(RunsAPI, "confirm" if resolution is Resolution.ACCEPT else "discard", die)
        await synced.resolve(conflict, resolution, until=until)
    assert (await synced.run(run_id)).status == "planned_and_saved"
    if resolution is Resolution.ACCEPT:  # noted last: it was not accepted
        assert [each.id for each in await synced.conflicts(workspace)] == [conflict.id]
        return
    assert await synced.conflicts(workspace) == []
    if resolution is Resolution.PREFER_REMOTE:
        await after_a_minute(synced)
    else:
        await synced.tick(minutes=12)
    (first, second) = sorted(await synced.runs(workspace), key=lambda run: run.created_at)
    assert (first.id, first.status, second.status) == (run_id, "discarded", "plan_queued")
    assert second.refresh_only is (resolution is Resolution.PREFER_REMOTE)


@pytest.mark.parametrize("wanted", ["skip", "prefer_remote"])
async def test_a_crash_while_the_configuration_decides_leaves_no_plan_either(
    synced: Synced, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    await synced.switch(conflicts=wanted)
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(RunsAPI, "discard", die)
        await synced.plan(run_id, "delete")
    assert (await synced.run(run_id)).status == "planned_and_saved"
    await after_a_minute(synced)
    assert (await synced.run(run_id)).status == "discarded"


async def test_an_acceptance_that_was_not_noted_is_known_by_its_run(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "delete")
    (conflict,) = await synced.conflicts(workspace)
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(Acting, "_resolved", die)
        await synced.resolve(conflict, Resolution.ACCEPT)
    await synced.apply(run_id)
    assert [(each.status, each.resolution) for each in await synced.conflicts(workspace, None)] == [("resolved", "accept")]
    assert (await synced.row(workspace)).status == "success"


async def test_a_crash_while_a_saved_plan_is_replaced_leaves_the_new_one_alone(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await synced.workspace()
    await synced.tick()
    former = await synced.last(workspace)
    await synced.plan(str(former.run_id), "create")
    discard = RunsAPI.discard

    async def discard_and_die(self: RunsAPI, *arguments: Any) -> None:
        await discard(self, *arguments)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(RunsAPI, "discard", discard_and_die)
        await synced.tick(minutes=12)
    assert len(await synced.runs(workspace)) == 1
    await after_a_minute(synced)
    (first, second) = sorted(await synced.runs(workspace), key=lambda run: run.created_at)
    assert (first.status, second.status) == ("discarded", "plan_queued")
    (ended, going_on) = await synced.syncs(workspace)
    assert (ended.id, ended.ended_at is not None, going_on.run_id) == (former.id, True, second.id)


async def test_the_plan_of_somebody_who_may_no_more_is_given_up_by_who_comes_next(synced: Synced) -> None:
    workspace = await synced.engine.workspace("net")
    await synced.engine.configuration(workspace)
    editor = await make_person(synced.engine, workspace, "write")
    await synced.enter(workspace, editor, policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)

    async def leave() -> None:
        await synced.engine.terrapod.accounts.disable(synced.admin, editor.id)

    await synced.plan(run_id, "update", meanwhile=leave)
    assert ((await synced.row(workspace)).problem_code, (await synced.run(run_id)).status) == ("editor-gone", "planned_and_saved")
    await after_a_minute(synced)
    await synced.trigger(workspace)
    assert (await synced.run(run_id)).status == "discarded"


@pytest.mark.parametrize("what", ["over", "gone"])
async def test_no_workspace_waits_for_a_sync_that_is_not_there(synced: Synced, what: str) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    sync = await synced.last(workspace)
    await synced.plan(str(sync.run_id), "nothing")
    await synced.edit(workspace, active_sync_id=sync.id if what == "over" else "sync-gone", looked_at=synced.clock.now())
    await after_a_minute(synced)
    assert (await synced.row(workspace)).active_sync_id is None
    await synced.tick(minutes=12)
    assert len(await synced.runs(workspace)) == 2


async def test_a_sync_that_cannot_be_looked_at_has_no_turn_before_the_others(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SWEPT", 1)
    asked: list[str] = []

    async def fail(_self: following.Following, sync_id: str) -> None:
        asked.append(sync_id)
        raise Died

    workspaces = [await synced.workspace(name, policy="observe") for name in ("one", "two")]
    await synced.sync.ticking.tick()
    monkeypatch.setattr(following.Following, "look", fail)
    synced.clock.advance(seconds=61)
    for _ in range(2):
        await synced.sync.following.sweep()
    assert sorted(asked) == sorted([(await synced.last(each)).id for each in workspaces])


# -- people


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_an_editor_who_is_gone_makes_no_run(synced: Synced, how: str) -> None:
    workspace = await synced.engine.workspace("net")
    await synced.engine.configuration(workspace)
    editor = await make_person(synced.engine, workspace, "admin")
    await synced.enter(workspace, editor, policy="apply")
    accounts = synced.engine.terrapod.accounts
    await (accounts.disable if how == "disabled" else accounts.delete)(synced.admin, editor.id)
    await synced.tick()
    row = await synced.row(workspace)
    assert (await synced.runs(workspace), row.status, row.problem_code, row.next_at is not None) == ([], "error", "editor-gone", True)
    sync = await synced.trigger(workspace)
    assert (await synced.run(str(sync.run_id))).created_by_id == synced.admin.id


async def test_an_editor_without_rights_makes_no_run(synced: Synced) -> None:
    workspace, other = await synced.engine.workspace("net"), await synced.engine.workspace("other")
    await synced.engine.configuration(workspace)
    reader, stranger = await make_person(synced.engine, workspace, "read"), await make_person(synced.engine, other, "admin")
    await synced.enter(workspace, reader, policy="apply")
    await synced.tick()
    assert (await synced.row(workspace)).problem_code == "editor-may-not"
    await _edited(synced, workspace.id, edited_by_id=stranger.id)
    async with synced.context.tables.change() as change:
        await change.remember(synced.caller(stranger))
        await change.commit()
    await synced.tick(minutes=12)
    row = await synced.row(workspace)
    assert (await synced.runs(workspace), row.problem_code) == ([], "editor-may-not")


async def test_who_may_trigger(synced: Synced) -> None:
    workspace, seen = await synced.workspace(), await synced.workspace("seen", policy="observe")
    planner = await make_person(synced.engine, workspace, "plan")
    with pytest.raises(Forbidden, match="level write"):
        await synced.trigger(workspace, planner)
    other = await make_person(synced.engine, seen, "plan")
    assert (await synced.run(str((await synced.trigger(seen, other)).run_id))).created_by_id == other.id


# -- workspaces


async def _edited(synced: Synced, workspace_id: str, **values: Any) -> None:
    async with synced.context.tables.change() as change:
        row = await change.run(lambda session: session.get_one(SyncedWorkspace, workspace_id))
        for name, value in values.items():
            setattr(row, name, value)
        await change.commit()


async def test_a_renamed_workspace_goes_on(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.engine.terrapod.workspaces.update(synced.admin, workspace.id, UpdateWorkspace(name="net-2"))
    await synced.tick()
    assert len(await synced.runs(workspace)) == 1


async def test_of_a_deleted_workspace_nothing_is_left(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "delete")
    await synced.engine.terrapod.workspaces.delete(synced.admin, workspace.id)
    await synced.engine.look()
    assert await synced.read(lambda session: session.get(SyncedWorkspace, workspace.id)) is None
    assert (await synced.syncs(workspace), await synced.conflicts(workspace, None)) == ([], [])
    await synced.tick(days=1)


async def test_a_workspace_without_a_configuration_waits_for_one(synced: Synced) -> None:
    workspace = await synced.engine.workspace("bare")
    await synced.enter(workspace, policy="observe")
    await synced.tick()
    row = await synced.row(workspace)
    assert (row.status, row.problem_code) == ("error", "cannot-start")
    assert "no configuration yet" in (row.problem or "")
    with pytest.raises(Invalid, match="no configuration yet"):
        await synced.trigger(workspace)
    await synced.engine.configuration(workspace)
    await synced.engine.look()
    await synced.tick(seconds=1)
    assert len(await synced.runs(workspace)) == 1


async def test_a_workspace_that_runs_elsewhere_is_not_synced(synced: Synced) -> None:
    workspace = await synced.engine.terrapod.workspaces.create(synced.admin, CreateWorkspace(name="local", execution_mode="local"))
    await synced.engine.configuration(workspace)
    await synced.enter(workspace)
    await synced.tick()
    row = await synced.row(workspace)
    assert (row.problem_code, "execution mode is `local`" in (row.problem or "")) == ("cannot-start", True)


async def test_workspaces_show_how_they_stand(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply", workspace_policy="full-control")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "delete")
    (adds,) = synced.sync.additions()
    other = await synced.engine.workspace("not-synced")
    found = await adds.of([await synced.facts(workspace), await synced.facts(other)])
    assert list(found) == [workspace.id]
    attributes = found[workspace.id].attributes
    assert (attributes["sync-enabled"], attributes["sync-status"], attributes["sync-interval"]) == (True, "conflict", "10m")
    assert (attributes["sync-policy"], attributes["sync-workspace-policy"]) == ("apply", "full-control")
    (condition,) = found[workspace.id].conditions
    assert (condition.code, condition.run_id) == ("sync-conflict", await synced.last_run(workspace))


async def test_who_made_a_run_is_the_servers_word_and_not_its_message(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply", workspace_policy="apply")
    await synced.tick()
    sync = await synced.last(workspace)
    await _forget_run(synced, sync.id)
    forged = await synced.engine.run(workspace, message=f"Sync (schedule) {sync.id}", auto_apply=True)
    await synced.plan(forged.id, "delete")
    assert ((await synced.run(forged.id)).status, (await synced.last(workspace)).run_id) == ("errored", None)


async def _forget_run(synced: Synced, sync_id: str) -> None:
    async with synced.context.tables.change() as change:
        (await change.run(lambda session: session.get_one(Sync, sync_id))).run_id = None
        await change.commit()


async def test_somebody_who_syncs_several_workspaces_at_once_for_the_first_time(synced: Synced) -> None:
    """As a service account does in as many jobs: whom the plugin may act for is written down once."""
    workspaces = [await synced.engine.workspace(f"w{number}") for number in range(6)]
    person = await make_user(synced.engine.terrapod, "pipeline@example.com", PlatformRole.ADMIN)
    for each in workspaces:
        await synced.engine.configuration(each)
        await synced.enter(each, policy="observe")
    facts = [await synced.facts(each, person) for each in workspaces]
    await asyncio.gather(*(synced.sync.trigger(synced.caller(person), each) for each in facts))
    assert [len(await synced.runs(each)) for each in workspaces] == [1] * 6
