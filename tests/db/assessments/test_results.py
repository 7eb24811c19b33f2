"""What an assessment found: which runs are one, what is written down of them, and what the workspace says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from terrapod_core.assessments import AssessmentResult, handlers
from terrapod_core.plugin.events import RunStatusChanged
from terrapod_core.runs import plan_json
from terrapod_core.runs.models import Run
from tests.db.assessments.conftest import ADDRESSES, Assessed, document

CHECKS = ("pass", "pass", "fail", "error", "unknown")


async def count(assessed: Assessed) -> int:
    query = select(func.count()).select_from(AssessmentResult)
    return await assessed.engine.terrapod.db.read(lambda session: session.execute(query).scalar_one())


async def test_a_plugins_plan_tells_what_has_drifted_and_how_checks_ended(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    run = await assessed.synced(workspace)
    await assessed.planned(run, document(*ADDRESSES[:2], checks=CHECKS))
    found = await assessed.current(workspace)
    assert found["attributes"] == {
        "drifted": True, "succeeded": True, "error-message": None, "error-msg": None, "resources-drifted": 2, "resources-undrifted": 1,
        "all-checks-succeeded": False, "checks-passed": 2, "checks-failed": 1, "checks-errored": 1, "checks-unknown": 1,
        "created-at": found["attributes"]["created-at"],
    }  # fmt: skip
    assert found["relationships"]["run"]["data"]["id"] == run.id
    assert found["id"].startswith("asmtres-")
    assert (await assessed.get(f"assessment-results/{found['id']}"))["data"] == found


async def test_a_resource_that_is_gone_is_drifted_and_not_undrifted(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    gone = {"address": "terraform_data.gone", "mode": "managed", "change": {"actions": ["delete"]}}
    run = await assessed.synced(workspace)
    await assessed.planned(run, document(resource_drift=[gone]))
    attributes = (await assessed.current(workspace))["attributes"]
    assert (attributes["resources-drifted"], attributes["resources-undrifted"], attributes["all-checks-succeeded"]) == (1, 3, True)


@pytest.mark.parametrize("sent", [{"plan_only": False, "save_plan": True}, {"plan_only": False, "refresh_only": True}])
async def test_saved_plans_and_plans_that_wait_are_assessments_too(assessed: Assessed, sent: dict[str, bool]) -> None:
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.synced(workspace, **sent), document(ADDRESSES[0]))
    assert (await assessed.current(workspace))["attributes"]["drifted"] is True


@pytest.mark.parametrize("sent", [{"refresh": False}, {"target_addrs": ["terraform_data.a"]}])
async def test_what_looks_at_a_part_is_no_assessment(assessed: Assessed, sent: dict[str, Any]) -> None:
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.synced(workspace, **sent), document(ADDRESSES[0]))
    assert await count(assessed) == 0


async def test_what_a_person_asked_for_is_no_assessment(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.made(workspace, assessed.engine.admin, plan_only=True), document(ADDRESSES[0]))
    assert await count(assessed) == 0
    refused = await assessed.get(f"workspaces/{workspace.id}/current-assessment-result", 404)
    assert "was not assessed yet" in refused["errors"][0]["detail"]


@pytest.mark.parametrize("given", [{"trusted": False}, {"of_fork": True}, {"trigger_reason": "vcs"}, {"trigger_reason": "retry"}])
async def test_what_nobody_vouches_for_and_what_vcs_brings_is_no_assessment(given: dict[str, Any]) -> None:
    kept = {"trusted": True, "of_fork": False, "trigger_reason": "sync", "refresh": True, "target_addrs": []}
    assert Run(**kept).assesses
    assert not Run(**kept | given).assesses


async def test_a_plan_that_failed_is_a_failed_assessment_and_says_why(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.synced(workspace), None, status="errored")
    attributes = (await assessed.current(workspace))["attributes"]
    assert (attributes["succeeded"], attributes["drifted"], attributes["resources-drifted"]) == (False, False, None)
    assert attributes["error-message"] == "the plan failed; its log says why"
    assert attributes["all-checks-succeeded"] is False


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (b"{", "cannot be read"),
        (b'{"format_version":"2.0"}', "of a version"),
        (document(errored=True), "not whole"),
        (None, "left no JSON"),
        (b'{"format_version":"1.2","prior_state":{"values":{"root_module":' + b'{"child_modules":[' * 100_000, "cannot be read"),
    ],
)
async def test_a_plan_that_cannot_be_read_is_a_failed_assessment(assessed: Assessed, plan: bytes | None, why: str) -> None:
    workspace = await assessed.workspace()
    claimed = await assessed.synced(workspace)
    if plan is not None and len(plan) > 1 << 20:
        plan = plan[: 1 << 20]
    await assessed.planned(claimed, plan)
    attributes = (await assessed.current(workspace))["attributes"]
    assert attributes["succeeded"] is False
    assert why in attributes["error-message"]


async def test_a_plan_over_the_limit_is_not_taken_apart(assessed: Assessed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_json, "PARSE_BYTES", 100)
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.synced(workspace), document(ADDRESSES[0]))
    attributes = (await assessed.current(workspace))["attributes"]
    assert (attributes["succeeded"], "larger than 64 MiB" in attributes["error-message"]) == (False, True)


async def test_a_run_has_one_result_however_often_the_news_come(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    run = await assessed.synced(workspace)
    await assessed.planned(run, document(ADDRESSES[0]))
    listener = handlers.Handlers(assessed.engine.terrapod.db, assessed.engine.terrapod.objects)
    event = RunStatusChanged(run_id=run.id, workspace_id=workspace.id, status="planned_and_finished", previous="planning")
    await asyncio.gather(*(listener.look(event) for _ in range(3)))
    assert await count(assessed) == 1


async def test_news_of_an_older_plan_that_come_late_change_nothing_of_what_is_current(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    older, newer = await assessed.synced(workspace), await assessed.synced(workspace)
    await assessed.planned(older, document(ADDRESSES[0]))
    await assessed.planned(newer, document())
    async with assessed.engine.terrapod.db.uow() as uow:
        await uow.session.execute(AssessmentResult.__table__.delete().where(AssessmentResult.run_id == older.id))  # type: ignore[attr-defined]
        await uow.commit()
    listener = handlers.Handlers(assessed.engine.terrapod.db, assessed.engine.terrapod.objects)
    await listener.look(RunStatusChanged(run_id=older.id, workspace_id=workspace.id, status="planned_and_finished", previous="planning"))
    assert await count(assessed) == 2
    assert (await assessed.current(workspace))["relationships"]["run"]["data"]["id"] == newer.id
    assert await assessed.conditions(workspace) == []


async def test_the_newest_results_of_a_workspace_are_kept(assessed: Assessed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "KEPT", 2)
    workspace, other = await assessed.workspace(), await assessed.workspace("other")
    await assessed.planned(await assessed.synced(other), document())
    runs = [await assessed.synced(workspace) for _ in range(3)]
    for run in runs:
        await assessed.planned(run, document())
    kept = await assessed.engine.terrapod.db.read(lambda session: list(session.execute(select(AssessmentResult.run_id)).scalars()))
    assert {run.id for run in runs[1:]} < set(kept)
    assert len(kept) == 3


# -- the condition


async def test_drift_is_a_condition_that_names_the_run_and_ends_with_the_next_result(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    first = await assessed.synced(workspace)
    await assessed.planned(first, document(*ADDRESSES[:2]))
    (found,) = await assessed.conditions(workspace)
    assert (found["severity"], found["run-id"]) == ("warning", first.id)
    assert found["detail"] == f"2 resources were changed outside of terraform: {ADDRESSES[0]}, {ADDRESSES[1]}"
    assert first.id in found["remedy"]
    second = await assessed.synced(workspace)
    await assessed.planned(second, document(*ADDRESSES[:2]))
    (again,) = await assessed.conditions(workspace)
    assert (again["since"], again["run-id"]) == (found["since"], second.id)
    await assessed.planned(await assessed.synced(workspace), None, status="errored")
    assert len(await assessed.conditions(workspace)) == 1, "who could not look has not seen that it is well"
    await assessed.planned(await assessed.synced(workspace), document())
    assert await assessed.conditions(workspace) == []


async def test_a_run_that_is_applied_ends_drift(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    saved = await assessed.synced(workspace, plan_only=False, save_plan=True)
    await assessed.planned(saved, document(ADDRESSES[0]))
    assert len(await assessed.conditions(workspace)) == 1
    await assessed.engine.runs.confirm(assessed.engine.admin, saved.id)
    await assessed.engine.apply(saved, serial=2)
    await assessed.engine.look()
    assert await assessed.conditions(workspace) == []


async def test_a_run_whose_plan_was_older_than_the_drift_ends_nothing(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    waiting = await assessed.made(workspace, assessed.engine.admin)
    await assessed.planned(waiting, None)
    await assessed.planned(await assessed.synced(workspace), document(ADDRESSES[0]))
    await assessed.engine.runs.confirm(assessed.engine.admin, waiting.id)
    await assessed.engine.apply(waiting, serial=2)
    await assessed.engine.look()
    assert len(await assessed.conditions(workspace)) == 1


async def test_drift_that_an_apply_has_mended_before_it_was_told_is_no_condition(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    run = await assessed.synced(workspace, plan_only=False, auto_apply=True)
    await assessed.planned(run, document(ADDRESSES[0]))
    await assessed.engine.apply(run, serial=2)
    async with assessed.engine.terrapod.db.uow() as uow:
        await uow.session.execute(AssessmentResult.__table__.delete())  # type: ignore[attr-defined]
        await uow.commit()
    listener = handlers.Handlers(assessed.engine.terrapod.db, assessed.engine.terrapod.objects)
    await assessed.engine.look()
    await listener.look(RunStatusChanged(run_id=run.id, workspace_id=workspace.id, status="planned", previous="planning"))
    assert await count(assessed) == 1
    assert await assessed.conditions(workspace) == []
