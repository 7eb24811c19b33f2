"""Whose runs are launched while nothing keeps terraform from the server."""

from __future__ import annotations

import pytest

from terrapod_core.agents.documents import CreatePool
from terrapod_core.authz import Actor
from terrapod_core.configurations.service import CreateConfigurationVersion
from terrapod_core.errors import Forbidden
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.runs.conftest import Engine, make_user


async def test_a_run_of_anybody_but_an_admin_waits_for_a_sandbox_and_says_so(engine: Engine) -> None:
    admin, engine.admin = engine.admin, await make_user(engine.terrapod, "alice@example.com")
    hers = await engine.run(await engine.workspace("hers"))
    engine.admin, alice = admin, engine.admin
    engine.backend.isolation = "none"
    ours = await engine.run(await engine.workspace("ours"))
    await engine.look()
    assert [fake.spec.run_id for fake in engine.backend.phases.values()] == [ours.id]
    waiting = (await engine.show(hers)).waiting_on
    assert waiting is not None
    assert waiting.code == "no_isolation"
    assert "allow_unisolated_users" in waiting.detail
    await engine.look()
    assert await engine.log(hers.run.plan_id) == f"\x02Waiting: {waiting.detail}.\n".encode()

    engine.backend.isolation = "sandbox"
    await engine.look()
    assert {fake.spec.run_id for fake in engine.backend.phases.values()} == {ours.id, hers.id}
    assert (await engine.show(hers)).run.held_for is None
    assert alice.user_id == hers.run.created_by_id


async def test_runs_that_wait_for_a_sandbox_do_not_stand_in_the_way_of_others(engine: Engine) -> None:
    admin, engine.admin = engine.admin, await make_user(engine.terrapod, "alice@example.com")
    for number in range(3):
        await engine.run(await engine.workspace(f"hers-{number}"))
    engine.admin = admin
    engine.backend.isolation = "none"
    ours = await engine.run(await engine.workspace("ours"))
    await engine.begin(ours.run.plan_id)


async def test_who_stops_waiting_for_a_sandbox_waits_for_a_free_runner(engine: Engine) -> None:
    engine.admin = await make_user(engine.terrapod, "alice@example.com")
    hers = await engine.run(await engine.workspace("hers"))
    engine.backend.isolation = "none"
    await engine.look()
    engine.backend.allow_unisolated_users = True
    engine.backend.capacity = 0
    await engine.look()
    waiting = (await engine.show(hers)).waiting_on
    assert waiting is not None
    assert waiting.code == "concurrency"


async def test_without_isolation_nobody_but_admins_uploads_what_would_be_run(engine: Engine) -> None:
    admin, engine.admin = engine.admin, await make_user(engine.terrapod, "alice@example.com")
    workspace = await engine.workspace("hers")
    engine.backend.isolation = "none"
    for speculative in (False, True):
        new = CreateConfigurationVersion(auto_queue_runs=False, speculative=speculative)
        with pytest.raises(Forbidden) as caught:
            await engine.terrapod.configurations.create(engine.admin, workspace.id, new, source="tfe-api")
        assert caught.value.code == "runner_not_isolated"
    engine.admin = admin
    await engine.run(workspace)


async def to_a_pool(engine: Engine, workspace: Workspace, admin: Actor) -> None:
    pools = engine.terrapod.pools
    pool = await pools.create(admin, CreatePool(name="build"))
    sent = UpdateWorkspace(execution_mode="agent", agent_pool_id=pool.id)
    await engine.terrapod.workspaces.update(admin, workspace.id, sent)


async def test_what_an_agent_pool_carries_out_needs_no_isolation_here(engine: Engine) -> None:
    admin, engine.admin = engine.admin, await make_user(engine.terrapod, "alice@example.com")
    workspace = await engine.workspace("hers")
    await to_a_pool(engine, workspace, admin)
    engine.backend.isolation = "none"
    run = await engine.run(workspace)
    await engine.look()
    waiting = (await engine.show(run)).waiting_on
    assert waiting is not None
    assert waiting.code == "no_agent"
    sent = UpdateWorkspace(execution_mode="remote")
    await engine.terrapod.workspaces.update(engine.admin, workspace.id, sent)
    with pytest.raises(Forbidden):
        await engine.create(workspace, run.run.configuration_version_id)


async def test_a_run_that_waits_for_isolation_here_waits_no_more_when_a_pool_is_to_carry_it_out(engine: Engine) -> None:
    admin, engine.admin = engine.admin, await make_user(engine.terrapod, "alice@example.com")
    workspace = await engine.workspace("hers")
    run = await engine.run(workspace)
    engine.backend.isolation = "none"
    await engine.look()
    assert (await engine.show(run)).run.held_for == "no_isolation"
    await to_a_pool(engine, workspace, admin)
    await engine.look()
    waiting = (await engine.show(run)).waiting_on
    assert waiting is not None
    assert waiting.code == "no_agent"
