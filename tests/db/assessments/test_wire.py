"""Assessments on the wire: starting one, the workspace's words of it, and the documents of its plan."""

from __future__ import annotations

import json

from tests.db.assessments.conftest import ADDRESSES, Assessed, document
from tests.db.runs.conftest import make_person


async def test_who_may_plan_starts_an_assessment_that_can_change_nothing(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    token = await assessed.token_of(await make_person(assessed.engine, workspace, "plan"))
    attributes = (run := (await assessed.assess(workspace, token=token))["data"])["attributes"]
    assert (attributes["message"], attributes["trigger-reason"]) == ("Health assessment", "assessment")
    assert (attributes["plan-only"], attributes["refresh-only"]) == (True, True)
    view = await assessed.engine.runs.show(assessed.engine.admin, run["id"])
    await assessed.planned(view, document(ADDRESSES[0]))
    assert (await assessed.current(workspace))["attributes"]["resources-drifted"] == 1


async def test_one_is_under_way_at_a_time(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    first = (await assessed.assess(workspace))["data"]["id"]
    refused = (await assessed.assess(workspace, 409))["errors"][0]
    assert f"under way ({first})" in refused["detail"]
    await assessed.planned(await assessed.engine.runs.show(assessed.engine.admin, first), document())
    await assessed.assess(workspace)


async def test_what_cannot_be_compared_is_refused_in_words(assessed: Assessed) -> None:
    bare = await assessed.engine.workspace("bare")
    assert "has no state yet" in (await assessed.assess(bare, 409))["errors"][0]["detail"]
    local = await assessed.engine.workspace("local", execution_mode="local")
    assert "`local`" in (await assessed.assess(local, 409))["errors"][0]["detail"]


async def test_who_may_only_read_starts_none_and_reads_all_but_values(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    await assessed.planned(await assessed.synced(workspace), document(ADDRESSES[0]))
    token = await assessed.token_of(await make_person(assessed.engine, workspace, "read"))
    await assessed.assess(workspace, 403, token)
    result = f"assessment-results/{(await assessed.current(workspace))['id']}"
    await assessed.get(result, token=token)
    await assessed.get(f"{result}/json-output", 403, token)
    assert "xyzzy-a-value" not in json.dumps(await assessed.get(f"{result}/sanitized-plan", token=token))
    refused = (await assessed.get(f"{result}/json-schema", 404, token))["errors"][0]
    assert refused["detail"] == "this plan has no provider schemas"
    other = await assessed.workspace("other")
    stranger = await assessed.token_of(await make_person(assessed.engine, other, "admin"))
    for path in (result, f"{result}/sanitized-plan", f"{result}/log-output", f"workspaces/{workspace.id}/current-assessment-result"):
        await assessed.get(path, 404, stranger)
    await assessed.assess(workspace, 404, stranger)


async def test_the_plan_is_read_whole_by_admins_and_the_log_by_all(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    run = await assessed.synced(workspace)
    plan = document(ADDRESSES[0])
    await assessed.planned(run, plan)
    result = f"assessment-results/{(await assessed.current(workspace))['id']}"
    assert await assessed.get(f"{result}/json-output") == json.loads(plan)
    headers = {"Authorization": f"Bearer {assessed.token}"}
    whole = await assessed.http.get(f"/api/v2/{result}/log-output", headers=headers)
    assert (whole.status_code, whole.content) == (200, await assessed.engine.log(run.run.plan_id))
    part = await assessed.http.get(f"/api/v2/{result}/log-output", params={"limit": 1, "offset": 0}, headers=headers)
    assert part.content == whole.content[:1]
    wrong = await assessed.http.get(f"/api/v2/{result}/log-output", params={"limit": "some"}, headers=headers)
    assert wrong.status_code == 400


async def test_a_workspace_points_to_its_newest_result_and_brings_it_along(assessed: Assessed) -> None:
    workspace = await assessed.workspace()
    path = f"workspaces/{workspace.id}"
    before = (await assessed.get(path))["data"]
    assert before["attributes"]["last-assessment-result-at"] is None
    assert before["relationships"]["current-assessment-result"]["data"] is None
    await assessed.planned(await assessed.synced(workspace), document())
    shown = await assessed.get(f"{path}?include=current_assessment_result")
    found = await assessed.current(workspace)
    assert shown["included"] == [found]
    assert shown["data"]["relationships"]["current-assessment-result"]["data"] == {"type": "assessment-results", "id": found["id"]}
    assert shown["data"]["attributes"]["last-assessment-result-at"] == found["attributes"]["created-at"]
    may = shown["data"]["attributes"]["permissions"]
    assert (may["can-read-assessment-results"], may["can-manage-assessments"]) == (True, True)
    reader = await assessed.token_of(await make_person(assessed.engine, workspace, "read"))
    may = (await assessed.get(path, token=reader))["data"]["attributes"]["permissions"]
    assert (may["can-read-assessment-results"], may["can-manage-assessments"]) == (True, False)
