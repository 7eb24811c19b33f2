"""The life of a run, with the runner played by the test."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from datetime import timedelta

import pytest

from terrapod_core.authz import PlatformRole
from terrapod_core.errors import Forbidden, Invalid, InvalidTransition, NotFound
from terrapod_core.runs import Run
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.requests import Claim, Report, RunVariable, Started
from terrapod_core.storage import ObjectKind
from tests.db.runs.conftest import Engine, make_person, make_user, pieces


async def test_a_run_is_planned_confirmed_and_applied(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    await engine.plan(run)
    planned = await engine.show(run)
    assert (planned.run.status, planned.run.has_changes, planned.run.is_confirmable) == ("planned", True, True)
    await engine.runs.confirm(engine.admin, run.id)
    await engine.apply(run)
    applied = await engine.show(run)
    assert applied.run.status == "applied"
    assert list(applied.run.status_timestamps) == [
        "plan-queued-at",
        "planning-at",
        "planned-at",
        "confirmed-at",
        "apply-queued-at",
        "applying-at",
        "applied-at",
    ]
    shown = await engine.terrapod.workspaces.read(engine.admin, workspace.id)
    assert shown.lock_kind is None
    current = await engine.terrapod.db.read(lambda session: engine.terrapod.states.current(session, workspace.id))
    assert current is not None
    assert current.run_id == run.id


async def test_auto_apply_goes_on_alone(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), auto_apply=True)
    await engine.plan(run)
    assert await engine.status(run) == "apply_queued"


async def test_auto_apply_waits_for_a_person_when_its_creator_lost_the_right(engine: Engine) -> None:
    workspace, root = await engine.workspace(), engine.admin
    engine.admin = await make_person(engine, workspace, "write")
    run = await engine.run(workspace, auto_apply=True)
    claim = await engine.begin(run.run.plan_id)
    await engine.terrapod.accounts.disable(root, engine.admin.id)
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    shown = await engine.runs.show(root, run.id)
    assert shown.run.status == "planned"
    assert shown.waiting_on is not None
    assert shown.waiting_on.code == "approval"


async def test_what_the_cli_reads_is_written_with_the_end_of_the_log(engine: Engine) -> None:
    """terraform looks at the run the moment the log is over; without has-changes it would leave without applying."""
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    await engine.phases.append_log(claim, 0, b"Plan: 1 to add\n")
    assert not (await engine.log(run.run.plan_id)).endswith(b"\x03")
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    assert await engine.log(run.run.plan_id) == b"\x02Plan: 1 to add\n\x03"
    shown = await engine.show(run)
    assert (shown.run.status, shown.run.has_changes) == ("planned", True)


async def test_no_changes_ends_the_run_and_frees_the_workspace(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    await engine.plan(run, has_changes=False)
    assert await engine.status(run) == "planned_and_finished"
    assert (await engine.phase(run.run.apply_id)).status == "unreachable"
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_kind is None


async def test_a_failed_plan_makes_the_apply_unreachable_so_that_nobody_polls_for_ever(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.plan(run, status="errored")
    assert await engine.status(run) == "errored"
    assert (await engine.phase(run.run.plan_id)).status == "errored"
    assert (await engine.phase(run.run.apply_id)).status == "unreachable"


async def test_the_material_holds_what_the_run_was_asked_with(engine: Engine) -> None:
    workspace = await engine.workspace(working_directory="live/net")
    run = await engine.run(
        workspace,
        is_destroy=True,
        target_addrs=["terraform_data.a"],
        variables=[RunVariable(key="who", value='"bob"')],
    )
    await engine.look()
    material = await engine.phases.claim(engine.claim(run.run.plan_id), Claim(runner="host 1"))
    assert material["operation"] == {
        "destroy": True,
        "refresh": True,
        "refresh-only": False,
        "targets": ["terraform_data.a"],
        "replaces": [],
        "generate-config": False,
    }
    assert material["working-directory"] == "live/net"
    assert material["variables"] == [{"key": "who", "value": '"bob"', "hcl": True, "sensitive": False}]
    assert material["state"] is None


async def test_an_apply_gets_exactly_the_engine_of_its_plan(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(terraform_version="~> 1.11"))
    claim = await engine.begin(run.run.plan_id)
    await engine.phases.started(claim, Started(tool="terraform", version="1.11.4", platform="linux_amd64"))
    await engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"plan"), 100)
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    await engine.runs.confirm(engine.admin, run.id)
    await engine.look()
    material = await engine.phases.claim(engine.claim(run.run.apply_id), Claim(runner="host 1"))
    assert material["engine"] == {"tool": "terraform", "version": "1.11.4", "cached": False}
    assert material["plan-digest"] == hashlib.sha256(b"plan").hexdigest()


async def test_a_saved_plan_is_given_up_when_the_state_has_moved_on(engine: Engine) -> None:
    workspace = await engine.workspace()
    saved = await engine.run(workspace, save_plan=True)
    await engine.plan(saved)
    other = await engine.run(workspace, auto_apply=True)
    await engine.plan(other)
    await engine.apply(other, serial=1)
    with pytest.raises(InvalidTransition, match="the state has moved since this plan was made \\(from serial none to 1\\)"):
        await engine.runs.confirm(engine.admin, saved.id)
    await engine.look()
    assert await engine.status(saved) == "discarded"
    last = (await engine.runs.events(engine.admin, saved.id))[-1]
    assert (last.action, last.actor_id) == ("discarded", None)
    assert "from serial none to 1" in last.description


async def test_an_apply_whose_state_has_moved_changes_nothing_and_says_why(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    await engine.plan(run)
    await engine.runs.confirm(engine.admin, run.id)
    await engine.look()
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(Run, run.id)).state_serial = 7  # as if another state had been there when it was planned
        await uow.commit()
    with pytest.raises(LeaseLost):
        await engine.phases.claim(engine.claim(run.run.apply_id), Claim(runner="host 1"))
    failed = await engine.show(run)
    assert failed.run.status == "errored"
    assert "the state has moved since this plan was made (from serial 7 to none)" in (failed.run.failure or "")
    assert b"the state has moved" in await engine.log(run.run.apply_id)
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_kind is None


async def test_a_run_in_a_workspace_that_executes_locally_is_refused(engine: Engine) -> None:
    workspace = await engine.workspace(execution_mode="local")
    with pytest.raises(Invalid, match="execution mode is `local`"):
        await engine.run(workspace)


async def test_a_destroy_is_refused_where_the_workspace_forbids_it(engine: Engine) -> None:
    workspace = await engine.workspace(allow_destroy_plan=False)
    with pytest.raises(Invalid, match="allow-destroy-plan"):
        await engine.run(workspace, is_destroy=True)


async def test_the_configuration_of_another_workspace_is_refused_as_if_it_were_not_there(engine: Engine) -> None:
    mine, other = await engine.workspace("mine"), await engine.workspace("other")
    foreign = await engine.configuration(other)
    with pytest.raises(Invalid, match="there is no such configuration version in this workspace"):
        await engine.create(mine, foreign)


async def test_a_stranger_sees_no_run_and_starts_none(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    stranger = await make_user(engine.terrapod, "stranger@example.com")
    for act in (engine.runs.show, engine.runs.confirm, engine.runs.cancel, engine.runs.discard, engine.runs.events):
        with pytest.raises(NotFound):
            await act(stranger, run.id)


async def test_without_isolation_only_platform_admins_run(engine: Engine) -> None:
    owner = await make_user(engine.terrapod, "owner@example.com")
    engine.backend.isolation = "none"
    engine.admin, admin = owner, engine.admin
    workspace = await engine.workspace("theirs")
    with pytest.raises(Forbidden) as caught:
        await engine.run(workspace)
    assert caught.value.code == "runner_not_isolated"
    engine.admin = admin
    assert (await engine.run(await engine.workspace("ours"))).run.status == "plan_queued"


async def test_the_log_is_read_by_offset_before_and_after_it_was_sealed(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    await engine.phases.append_log(claim, 0, b"one\n")
    await engine.phases.append_log(claim, 4, b"two\n")
    logs = engine.terrapod.logs
    assert await logs.read(run.run.plan_id, 3, 4) == b"e\ntw"
    await engine.phases.report(claim, Report(status="finished", has_changes=True))
    whole = b"\x02one\ntwo\n\x03"
    assert await logs.read(run.run.plan_id, 0, 100) == whole
    await engine.look()
    assert (await engine.phase(run.run.plan_id)).log_key is not None
    for offset in range(len(whole) + 2):
        assert await logs.read(run.run.plan_id, offset, 4) == whole[offset : offset + 4]


async def test_what_happened_to_a_run_can_be_read_in_order(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    still = engine.clock.now
    moments = itertools.count()
    monkeypatch.setattr(engine.clock, "now", lambda: still() + timedelta(milliseconds=next(moments)))
    run = await engine.run(await engine.workspace())
    await engine.plan(run)
    await engine.runs.confirm(engine.admin, run.id, "looks right")
    await engine.apply(run)
    events = await engine.runs.events(engine.admin, run.id)
    assert [each.action for each in events] == ["created", "plan-queued", "planning", "planned", "confirmed", "applying", "applied"]
    assert events[4].description == "the apply was confirmed: looks right"
    assert (await engine.show(run)).comment_ids == (events[4].comment_id,)


async def test_two_jobs_that_seal_one_log_leave_it_whole(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.plan(run)
    before = await engine.log(run.run.plan_id)
    await asyncio.gather(*(engine.terrapod.logs.seal(run.run.plan_id) for _ in range(4)))
    assert (await engine.phase(run.run.plan_id)).log_key is not None
    assert await engine.log(run.run.plan_id) == before


async def test_the_values_of_run_variables_are_for_those_who_may_write(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), variables=[RunVariable(key="password", value='"planted"')])
    assert run.variables == ({"key": "password", "value": '"planted"'},)
    auditor = await make_user(engine.terrapod, "auditor@example.com", PlatformRole.AUDIT)
    assert (await engine.runs.show(auditor, run.id)).variables == ({"key": "password", "value": None},)
    stored = await engine.terrapod.db.read(lambda session: session.get_one(Run, run.id).variables)
    assert stored is not None
    assert b"planted" not in stored
