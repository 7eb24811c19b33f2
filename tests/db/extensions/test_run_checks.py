"""A plugin's say about runs: at the plan's end, at the confirmation, and before the apply begins."""

from __future__ import annotations

import pytest

from terrapod_core.errors import Conflict
from terrapod_core.plugin import Advise, Decision, Deny, Hold, Stage
from terrapod_core.runs import RunStatus
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.storage import ObjectKind
from tests.db.extensions.conftest import Extended
from tests.db.runs.conftest import pieces


async def history(extended: Extended, run_id: str) -> list[tuple[str, str]]:
    return [(each.action, each.description) for each in await extended.runs.events(extended.admin, run_id)]


async def test_a_run_nobody_minds_goes_on(extended: Extended) -> None:
    workspace = await extended.workspace(auto_apply=True)
    run = await extended.run(workspace)
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.APPLY_QUEUED
    seen, stage = extended.sample.asked[0]
    assert (stage, seen.id, seen.workspace_name, seen.has_changes, seen.trigger_reason) == (
        Stage.PLANNED,
        run.id,
        workspace.name,
        True,
        "manual",
    )
    assert await seen.plan_json() is None


async def test_a_check_reads_the_plan_as_data(extended: Extended) -> None:
    run = await extended.run(await extended.workspace())
    claim = await extended.begin(run.run.plan_id)
    await extended.phases.put_artifact(claim, ObjectKind.PLAN_JSON, pieces(b'{"format', b'_version":"1.2"}'), 1000)
    await extended.plan_reported(claim)
    assert await extended.sample.asked[0][0].plan_json() == b'{"format_version":"1.2"}'


async def test_a_held_run_waits_for_a_person_and_says_why(extended: Extended) -> None:
    extended.sample.decision = Hold("it deletes a database")
    run = await extended.run(await extended.workspace(auto_apply=True))
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.PLANNED
    assert ("held", "sample: it deletes a database") in await history(extended, run.id)
    await extended.runs.confirm(extended.admin, run.id)
    assert await extended.status(run) == RunStatus.APPLY_QUEUED


@pytest.mark.parametrize("sent", [{"auto_apply": True}, {"save_plan": True}, {}])
async def test_a_denied_plan_is_never_applied(extended: Extended, sent: dict[str, bool]) -> None:
    extended.sample.decision = Deny("the policy observe changes nothing")
    run = await extended.run(await extended.workspace(), **sent)
    await extended.plan(run)
    shown = await extended.show(run)
    assert shown.run.status == RunStatus.ERRORED
    assert shown.run.failure == "this plan may not be applied: sample: the policy observe changes nothing"
    assert b"Error: this plan may not be applied" in await extended.log(run.run.plan_id)
    assert (await extended.phase(run.run.apply_id)).status == "unreachable"


async def test_a_plan_without_changes_cannot_be_denied_anything(extended: Extended) -> None:
    extended.sample.decision = Deny("nothing is ever applied here")
    run = await extended.run(await extended.workspace())
    await extended.plan(run, has_changes=False)
    assert await extended.status(run) == RunStatus.PLANNED_AND_FINISHED


async def test_a_speculative_plan_hears_what_would_be_denied(extended: Extended) -> None:
    extended.sample.decision = Deny("nothing is ever applied here")
    run = await extended.run(await extended.workspace(), speculative=True)
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.PLANNED_AND_FINISHED
    assert ("denied", "sample: nothing is ever applied here") in await history(extended, run.id)


async def test_advice_stands_in_the_history(extended: Extended) -> None:
    extended.sample.decision = Advise("look at the costs")
    run = await extended.run(await extended.workspace(auto_apply=True))
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.APPLY_QUEUED
    assert ("advised", "sample: look at the costs") in await history(extended, run.id)


async def test_what_became_forbidden_after_the_plan_cannot_be_confirmed(extended: Extended) -> None:
    run = await extended.run(await extended.workspace())
    await extended.plan(run)
    extended.sample.decision = Deny("the policy is observe since today")
    with pytest.raises(Conflict, match="the policy is observe since today") as refusal:
        await extended.runs.confirm(extended.admin, run.id)
    assert refusal.value.code == "run_denied"
    assert await extended.status(run) == RunStatus.PLANNED


async def test_what_became_forbidden_after_the_confirmation_does_not_begin(extended: Extended) -> None:
    run = await extended.run(await extended.workspace(auto_apply=True))
    await extended.plan(run)
    extended.sample.decision = Deny("the policy is observe since a second ago")
    with pytest.raises(LeaseLost):
        await extended.begin(run.run.apply_id)
    shown = await extended.show(run)
    assert shown.run.status == RunStatus.ERRORED
    assert shown.run.failure == "nothing was changed: sample: the policy is observe since a second ago"


async def test_a_check_that_fails_holds_a_plan_and_denies_an_apply(extended: Extended) -> None:
    extended.sample.fails = True
    run = await extended.run(await extended.workspace(auto_apply=True))
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.PLANNED
    assert any(word == "held" and "could not decide (RuntimeError" in said for word, said in await history(extended, run.id))
    with pytest.raises(Conflict, match="could not decide"):
        await extended.runs.confirm(extended.admin, run.id)


async def test_an_answer_that_is_no_decision_holds(extended: Extended) -> None:
    decision: Decision = "yes"  # type: ignore[assignment]
    extended.sample.decision = decision
    run = await extended.run(await extended.workspace(auto_apply=True))
    await extended.plan(run)
    assert await extended.status(run) == RunStatus.PLANNED


@pytest.mark.parametrize("kind", [Advise, Hold, Deny])
async def test_a_reason_may_name_whatever_the_plan_does(extended: Extended, kind: type[Advise | Hold | Deny]) -> None:
    extended.sample.decision = kind("it deletes a\0b\ud800" + "c" * 10_000)
    run = await extended.run(await extended.workspace())
    await extended.plan(run)
    assert await extended.status(run) == (RunStatus.ERRORED if kind is Deny else RunStatus.PLANNED)
    (said,) = [said for _word, said in await history(extended, run.id) if said.startswith("sample: ")]
    assert said.startswith("sample: it deletes a\N{REPLACEMENT CHARACTER}b?ccc")
    assert len(said) < 5000
