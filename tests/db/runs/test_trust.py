"""What a run may have depends on who vouches for what it executes, when it is asked for and when it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from terrapod_core.authz import Actor
from terrapod_core.configurations.service import CreateConfigurationVersion
from terrapod_core.errors import Forbidden, Invalid, InvalidTransition
from terrapod_core.jsonapi import Ref
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import Claim, CreateRun, RunVariable
from terrapod_core.variables.documents import CreateVariable
from terrapod_core.workspaces import UntrustedPlans, Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.runs.conftest import Engine, archive, make_person, pieces

VARIABLES = [RunVariable(key="zone", value='"b"')]

MATRIX: Mapping[str, tuple[str, str, bool, bool]] = {
    # who uploads, who runs, with variables of the run: whether the run is trusted
    "their own upload": ("plan", "plan", False, False),
    "their own upload, run by somebody with write": ("plan", "write", False, False),
    "a trusted upload, run by somebody with plan": ("write", "plan", False, True),
    "a trusted upload, run by somebody with plan and variables": ("write", "plan", True, False),
    "a trusted upload, run by somebody with write and variables": ("write", "write", True, True),
}


async def upload(engine: Engine, actor: Actor, workspace: Workspace, *, speculative: bool) -> str:
    new = CreateConfigurationVersion(auto_queue_runs=False, speculative=speculative)
    version = await engine.terrapod.configurations.create(actor, workspace.id, new, source="tfe-api")
    await engine.terrapod.configurations.upload(version.id, pieces(archive()))
    return version.id


async def start(engine: Engine, actor: Actor, workspace: Workspace, configuration: str, **sent: Any) -> RunView:
    new = CreateRun(
        workspace=Ref("workspaces", workspace.id),
        configuration_version=Ref("configuration-versions", configuration),
        plan_only=True,
        **sent,
    )
    return await engine.runs.create(actor, new)


async def setting(engine: Engine, workspace: Workspace, value: UntrustedPlans) -> None:
    await engine.terrapod.workspaces.update(engine.admin, workspace.id, UpdateWorkspace(untrusted_plans=value.value))


async def plant(engine: Engine, workspace: Workspace) -> None:
    for key, category, sensitive in (
        ("token", "terraform", True),
        ("AWS_KEY", "env", True),
        ("zone", "terraform", False),
        ("TZ", "env", False),
    ):
        new = CreateVariable(key=key, value=f"planted-{key}", category=category, sensitive=sensitive)
        await engine.terrapod.variables.create(engine.admin, workspace.id, new)


@pytest.mark.parametrize("value", UntrustedPlans)
@pytest.mark.parametrize("source", MATRIX)
async def test_secrets_go_where_somebody_vouches_or_the_workspace_gives_them(engine: Engine, source: str, value: UntrustedPlans) -> None:
    uploads, runs, with_variables, trusted = MATRIX[source]
    workspace = await engine.workspace()
    await plant(engine, workspace)
    await setting(engine, workspace, value)
    people = {level: await make_person(engine, workspace, level) for level in ("plan", "write")}
    configuration = await upload(engine, people[uploads], workspace, speculative=uploads == "plan")
    begun = start(engine, people[runs], workspace, configuration, variables=VARIABLES if with_variables else None)
    if not trusted and value is UntrustedPlans.REFUSED:
        with pytest.raises(Forbidden) as caught:
            await begun
        assert caught.value.code == "untrusted_plans_refused"
        return
    run = await begun
    assert (run.run.trusted, run.run.plan_only) == (trusted, True)
    await engine.look()
    material = await engine.phases.claim(engine.claim(run.run.plan_id), Claim(runner="host 1"))
    given = {each["key"]: each["value"] for each in (*material["variables"], *material["environment"])}
    gets = trusted or value is UntrustedPlans.WITH_SECRETS
    assert ("planted-token" in given.values(), "planted-AWS_KEY" in given.values()) == (gets, gets)
    assert (given["zone"], given["TZ"]) == ('"b"' if with_variables else "planted-zone", "planted-TZ")
    assert (b"planned without the workspace's sensitive variables" in await engine.log(run.run.plan_id)) is not gets


async def test_an_untrusted_run_stays_so_whoever_tries_it_again(engine: Engine) -> None:
    workspace = await engine.workspace()
    people = {level: await make_person(engine, workspace, level) for level in ("plan", "write")}
    configuration = await upload(engine, people["write"], workspace, speculative=False)
    run = await start(engine, people["plan"], workspace, configuration, variables=VARIABLES)
    await engine.plan(run)
    again = await engine.terrapod.again.retry(people["write"], run.id)
    assert (again.run.trusted, again.run.plan_only, again.run.trigger_reason) == (False, True, "retry")
    assert again.variables == ({"key": "zone", "value": '"b"'},)
    assert again.run.message.startswith(f"Retry of {run.id}")


async def test_a_retry_gives_no_more_than_a_new_run_would(engine: Engine) -> None:
    workspace = await engine.workspace()
    planner, reader = await make_person(engine, workspace, "plan"), await make_person(engine, workspace, "read")
    whole = await engine.run(workspace, variables=VARIABLES)
    for actor, refusal in ((engine.admin, InvalidTransition), (planner, InvalidTransition), (reader, Forbidden)):
        with pytest.raises(refusal):
            await engine.terrapod.again.retry(actor, whole.id)
    await engine.plan(whole, has_changes=False)
    with pytest.raises(Forbidden, match="values you may not see"):
        await engine.terrapod.again.retry(planner, whole.id)
    plain = await engine.run(workspace)
    await engine.plan(plain, has_changes=False)
    with pytest.raises(Forbidden, match="needs the level write"):
        await engine.terrapod.again.retry(planner, plain.id)
    again = await engine.terrapod.again.retry(engine.admin, plain.id)
    assert (again.run.created_by_id, again.run.configuration_version_id) == (engine.admin.id, plain.run.configuration_version_id)


async def test_a_retry_needs_its_configuration(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    await engine.plan(run, has_changes=False)
    await engine.configuration(workspace)  # the newest stays; older ones can be archived
    await engine.terrapod.configurations.archive(engine.admin, run.run.configuration_version_id)
    with pytest.raises(Invalid, match="the configuration version is archived"):
        await engine.terrapod.again.retry(engine.admin, run.id)


async def test_the_setting_of_the_moment_counts_when_a_plan_begins(engine: Engine) -> None:
    workspace = await engine.workspace()
    planner = await make_person(engine, workspace, "plan")
    run = await start(engine, planner, workspace, await upload(engine, planner, workspace, speculative=True))
    await engine.look()
    await setting(engine, workspace, UntrustedPlans.REFUSED)
    with pytest.raises(LeaseLost):
        await engine.phases.claim(engine.claim(run.run.plan_id), Claim(runner="host 1"))
    assert await engine.status(run) == "errored"
    assert b"untrusted-plans" in await engine.log(run.run.plan_id)


async def test_nothing_begins_for_somebody_who_was_disabled_or_lost_the_right_meanwhile(engine: Engine) -> None:
    workspace = await engine.workspace()
    writer = await make_person(engine, workspace, "write")
    configuration = await engine.configuration(workspace)
    engine.admin, admin = writer, engine.admin
    planned, queued = await engine.create(workspace, configuration), await engine.create(workspace, configuration, save_plan=True)
    engine.admin = admin
    await engine.plan(planned)
    await engine.runs.confirm(writer, planned.id)
    await engine.terrapod.accounts.disable(admin, writer.id)
    await engine.look()
    for run, phase_id, word in ((planned, planned.run.apply_id, "confirmed"), (queued, queued.run.plan_id, "asked for")):
        with pytest.raises(LeaseLost):
            await engine.phases.claim(engine.claim(phase_id), Claim(runner="host 1"))
        failed = await engine.show(run)
        assert failed.run.status == "errored"
        assert failed.run.failure == f"the one who {word} this run may not do so any more; nothing was changed"


async def test_whoever_confirms_answers_for_the_apply(engine: Engine) -> None:
    workspace = await engine.workspace()
    writer = await make_person(engine, workspace, "write")
    configuration = await engine.configuration(workspace)
    engine.admin, admin = writer, engine.admin
    run = await engine.create(workspace, configuration)
    engine.admin = admin
    await engine.plan(run)
    await engine.terrapod.accounts.disable(admin, writer.id)
    await engine.runs.confirm(admin, run.id)
    await engine.apply(run)
    assert await engine.status(run) == "applied"


async def test_only_a_plan_only_run_chooses_its_version(engine: Engine) -> None:
    workspace = await engine.workspace()
    with pytest.raises(Invalid, match="only a plan-only run can choose its version"):
        await engine.run(workspace, terraform_version="1.11.4")
    run = await engine.run(workspace, terraform_version="1.11.4", plan_only=True)
    assert run.run.terraform_version == "1.11.4"
