"""What terraform itself may ask of the server during a run, and until when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from terrapod_core.accounts import User
from terrapod_core.authz import ENGINE_MAY, Actor, EngineRights, Permission
from terrapod_core.configurations import ConfigurationVersion
from terrapod_core.jsonapi import Ref
from terrapod_core.runs import Run
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.storage import Holder, ObjectKind, PhaseClaim
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.runs.conftest import LINEAGE, Engine, make_person, pieces


async def token_of(engine: Engine, claim: PhaseClaim) -> str:
    """What the runner is given for its engine."""
    material = await engine.phases.claim(claim, Claim(runner="host 1"))
    return str(material["engine-access"]["token"])


async def started(engine: Engine, run: RunView, phase_id: str | None = None) -> str:
    """The engine's token of the run's plan, or another phase, which begins now."""
    return await token_of(engine, await engine.begin(phase_id or run.run.plan_id))


async def whose(engine: Engine, token: str) -> Actor | None:
    return await engine.terrapod.engines.authenticate(token)


async def rights(engine: Engine, token: str) -> EngineRights:
    actor = await whose(engine, token)
    assert actor is not None
    assert actor.engine is not None
    return replace(actor.engine, answering=())


async def answering(engine: Engine, token: str) -> list[str]:
    """The ids of those whose rights on the registry an engine has."""
    actor = await whose(engine, token)
    assert actor is not None
    assert actor.engine is not None
    return [each.id for each in actor.engine.answering]


class Door:
    """The API as a program with this token meets it."""

    def __init__(self, engine: Engine, token: str) -> None:
        self._client = engine.terrapod.app.test_client()
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __call__(self, path: str, method: str = "GET") -> tuple[int, Any]:
        nothing: dict[str, Any] = {}
        answer = await self._client.open(f"/api/v2/{path}", method=method, headers=self._headers, **nothing)
        raw = await answer.get_data(as_text=False)
        return answer.status_code, json.loads(raw) if raw.startswith(b"{") else raw


async def stated(engine: Engine, workspace: Workspace, serial: int, secret: str) -> str:
    """Let a run apply, and leave a state with outputs; its version's id."""
    run = await engine.run(workspace, auto_apply=True)
    await engine.plan(run)
    claim = await engine.begin(run.run.apply_id)
    outputs = {"plain": {"value": 1, "type": "number"}, "secret": {"value": secret, "type": "string", "sensitive": True}}
    document = {"version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": LINEAGE, "outputs": outputs, "resources": []}
    text = json.dumps(document).encode()
    kept = await engine.phases.put_state(claim, serial, LINEAGE, hashlib.md5(text).hexdigest(), pieces(text))
    await engine.phases.report(claim, Report(status="finished", additions=1))
    return str(kept["state-version"])


# -- how long


async def test_the_token_is_good_from_the_claim_to_the_report(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.look()
    claim = engine.claim(run.run.plan_id)
    assert await whose(engine, engine.terrapod.phase_tokens.issue_engine(claim)) is None
    token = await token_of(engine, claim)
    actor = await whose(engine, token)
    assert actor is not None
    assert (actor.id, actor.name, actor.user_id) == (run.run.plan_id, f"the engine of {run.id}", None)
    await engine.phases.report(claim, Report(status="finished", has_changes=False))
    assert await whose(engine, token) is None


async def test_the_apply_has_a_token_of_its_own_and_the_plan_s_is_over(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), auto_apply=True)
    old = await started(engine, run)
    await engine.plan(run)
    new = await started(engine, run, run.run.apply_id)
    assert await whose(engine, old) is None
    assert await whose(engine, new) is not None


async def test_a_cancel_ends_it_while_terraform_still_winds_down(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    token = await started(engine, run)
    await engine.runs.cancel(engine.admin, run.id)
    assert (await engine.phase(run.run.plan_id)).finished_at is None
    assert await whose(engine, token) is None


async def test_a_lost_lease_ends_it_and_the_next_launch_has_another(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    lost = await started(engine, run)
    for _ in range(8):
        engine.clock.advance(seconds=10)
        await engine.look()
    assert await whose(engine, lost) is None
    again = await started(engine, run)
    assert await whose(engine, again) is not None
    assert await whose(engine, lost) is None


async def test_no_token_of_another_epoch_run_or_time_is_good(engine: Engine) -> None:
    run, other = await engine.run(await engine.workspace()), await engine.run(await engine.workspace("other"))
    tokens = engine.terrapod.phase_tokens
    claim = await engine.begin(run.run.plan_id)
    assert await whose(engine, tokens.issue_engine(claim)) is not None
    for wrong in (replace(claim, epoch=claim.epoch + 1), replace(claim, run_id=other.id), replace(claim, phase_id=run.run.apply_id)):
        assert await whose(engine, tokens.issue_engine(wrong)) is None
    short = replace(claim, expires=engine.clock.now().replace(microsecond=0))
    engine.clock.advance(seconds=1)
    assert await whose(engine, tokens.issue_engine(short)) is None
    assert await whose(engine, tokens.issue(claim.run_id, claim.phase_id, claim.phase, claim.epoch, claim.expires)) is None


async def test_a_deleted_workspace_ends_it(engine: Engine) -> None:
    workspace = await engine.workspace()
    token = await started(engine, await engine.run(workspace))
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(Workspace, workspace.id)).deleted_at = uow.now()
        await uow.commit()
    assert await whose(engine, token) is None


# -- whose state


async def test_a_run_reads_of_those_that_list_its_workspace_and_of_no_other(engine: Engine) -> None:
    own, lists, other = [await engine.workspace(name) for name in ("own", "lists", "other")]
    sharing = engine.terrapod.workspaces.sharing
    await sharing.add(engine.admin, lists.id, [Ref("workspaces", own.id)])
    await sharing.add(engine.admin, own.id, [Ref("workspaces", other.id)])
    token = await started(engine, await engine.run(own))
    assert await rights(engine, token) == EngineRights(own.id, frozenset({lists.id}), reads_shared_with_all=True)
    door = Door(engine, token)
    assert [(await door(f"workspaces/{each.id}"))[0] for each in (own, lists, other)] == [200, 200, 404]
    await sharing.remove(engine.admin, lists.id, [Ref("workspaces", own.id)])
    assert (await door(f"workspaces/{lists.id}"))[0] == 404
    await engine.terrapod.workspaces.update(engine.admin, other.id, UpdateWorkspace(global_remote_state=True))
    assert (await door("organizations/default/workspaces/other"))[0] == 200


async def test_an_untrusted_run_reads_its_own_workspace_alone(engine: Engine) -> None:
    own, lists = await engine.workspace("own"), await engine.workspace("lists")
    everyone = await engine.workspace("everyone", global_remote_state=True)
    await engine.terrapod.workspaces.sharing.add(engine.admin, lists.id, [Ref("workspaces", own.id)])
    run = await engine.run(own)
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(Run, run.id)).trusted = False
        await uow.commit()
    token = await started(engine, run)
    assert await rights(engine, token) == EngineRights(own.id)
    assert [(await Door(engine, token)(f"workspaces/{each.id}"))[0] for each in (own, lists, everyone)] == [200, 404, 404]


# -- of the registry


async def test_the_registry_is_read_for_who_started_the_run_and_confirmed_the_apply(engine: Engine) -> None:
    workspace = await engine.workspace()
    alice = await make_person(engine, workspace, "write")
    run = await engine.run(workspace)
    claim = await engine.begin(run.run.plan_id)
    token = engine.terrapod.phase_tokens.issue_engine(claim)
    assert await answering(engine, token) == [engine.admin.id]
    await engine.phases.put_artifact(claim, ObjectKind.PLAN_FILE, pieces(b"a saved plan"), 1000)
    await engine.phases.report(claim, Report(status="finished", has_changes=True, additions=1))
    await engine.runs.confirm(alice, run.id, None)
    assert await answering(engine, await started(engine, run, run.run.apply_id)) == [alice.id]


async def test_of_an_untrusted_run_whoever_wrote_what_it_executes_counts_too(engine: Engine) -> None:
    workspace = await engine.workspace()
    alice = await make_person(engine, workspace, "plan")
    run = await engine.run(workspace)
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(Run, run.id)).trusted = False
        (await uow.session.get_one(ConfigurationVersion, run.run.configuration_version_id)).created_by_id = alice.id
        await uow.commit()
    token = await started(engine, run)
    assert await answering(engine, token) == [engine.admin.id, alice.id]
    async with engine.terrapod.db.uow() as uow:
        (await uow.session.get_one(User, alice.id)).disabled_at = uow.now()
        await uow.commit()
    assert await answering(engine, token) == [], "one who is gone vouches for nothing"


# -- what of it


async def test_the_current_state_is_read_with_its_outputs_and_no_older_one(engine: Engine) -> None:
    workspace = await engine.workspace()
    old = await stated(engine, workspace, 1, "taken out")
    new = await stated(engine, workspace, 2, "in use")
    door = Door(engine, await started(engine, await engine.run(workspace)))
    status, document = await door(f"workspaces/{workspace.id}/current-state-version")
    assert (status, document["data"]["id"]) == (200, new)
    assert document["data"]["attributes"]["hosted-state-download-url"].startswith("https://tfe.example.com/c/")
    assert document["data"]["attributes"]["hosted-state-upload-url"] is None
    listed = (await door(f"workspaces/{workspace.id}/current-state-version-outputs"))[1]["data"]
    (ident,) = [each["id"] for each in listed if each["attributes"]["sensitive"]]
    assert (await door(f"state-version-outputs/{ident}"))[1]["data"]["attributes"]["value"] == "in use"
    assert [(await door(f"state-versions/{new}{what}"))[0] for what in ("", "/outputs", "/download")] == [200, 200, 302]
    assert [(await door(f"state-versions/{old}{what}"))[0] for what in ("", "/outputs", "/download")] == [404, 404, 404]
    person = await engine.terrapod.states.read(engine.admin, old)
    assert (await door(f"state-version-outputs/{person.output_ids[0]}"))[0] == 404


async def test_the_workspace_is_shown_with_no_right_but_to_read_and_nothing_beside_it(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    door = Door(engine, await started(engine, run))
    for path in (f"workspaces/{workspace.id}", f"organizations/default/workspaces/{workspace.name}"):
        status, document = await door(f"{path}?include=current_run,owner,project,organization")
        assert status == 200
        allowed = {name for name, may in document["data"]["attributes"]["permissions"].items() if may}
        assert allowed == {"can-read-state-versions", "can-read-state-outputs", "can-read-settings"}
        assert not document.get("included")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "account/details"),
        ("GET", "organizations/default/workspaces"),
        ("POST", "organizations/default/workspaces"),
        ("GET", "organizations/default"),
        ("GET", "workspaces/{workspace}/vars"),
        ("GET", "workspaces/{workspace}/runs"),
        ("GET", "workspaces/{workspace}/state-versions"),
        ("GET", "workspaces/{workspace}/relationships/remote-state-consumers"),
        ("DELETE", "workspaces/{workspace}"),
        ("POST", "workspaces/{workspace}/actions/lock"),
        ("GET", "runs/{run}"),
        ("POST", "runs/{run}/actions/cancel"),
        ("GET", "authentication-tokens"),
        ("GET", "admin/users"),
    ],
)
async def test_everything_else_is_not_there(engine: Engine, method: str, path: str) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    door = Door(engine, await started(engine, run))
    status, _ = await door(path.format(workspace=workspace.id, run=run.id), method)
    assert status == 404
    assert await engine.status(run) == "planning"
    assert (await door("organizations/default/entitlement-set"))[0] == 200


async def test_a_dead_token_is_unknown_everywhere(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    door = Door(engine, await started(engine, run))
    await engine.runs.cancel(engine.admin, run.id)
    assert {(await door(path))[0] for path in (f"workspaces/{workspace.id}", "account/details", "organizations/default")} == {401}


async def test_neither_token_of_a_phase_opens_what_the_other_opens(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    claim = await engine.begin(run.run.plan_id)
    tokens = engine.terrapod.phase_tokens
    supervisor = tokens.issue(claim.run_id, claim.phase_id, claim.phase, claim.epoch, claim.expires)
    assert (await Door(engine, supervisor)(f"workspaces/{workspace.id}"))[0] == 401
    posing = tokens.issue_engine(claim).replace("terrapod-engine-", "terrapod-phase-")
    client = engine.terrapod.app.test_client()
    for shown in (tokens.issue_engine(claim), posing):
        answer = await client.get(f"/api/runner/v1/phases/{claim.phase_id}/state", headers={"Authorization": f"Bearer {shown}"})
        assert answer.status_code == 401
    assert tokens.verify(tokens.issue_engine(claim), holder=Holder.ENGINE) == claim


async def test_the_material_names_the_addresses_that_configurations_use(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    material = await engine.phases.claim(await engine.begin(run.run.plan_id), Claim(runner="host 1"))
    assert material["engine-access"]["urls"] == ["https://tfe.example.com"]


def test_what_an_engine_may_is_reading_of_state() -> None:
    assert {str(each) for each in ENGINE_MAY} == {"workspace:read", "state:read", "state:download", "output:read-sensitive"}
    assert Permission.RUN_PLAN not in ENGINE_MAY
