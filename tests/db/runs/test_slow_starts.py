"""Backends whose machines take their time, or are away."""

from __future__ import annotations

import pytest

from terrapod_core.plugin import Handle, LaunchPostponed, PhaseSpec, PhaseState
from terrapod_core.workspaces.documents import CreateWorkspace
from tests.db.runs.conftest import Engine


async def test_a_phase_that_has_no_machine_yet_keeps_its_lease(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    state = PhaseState(True, "waits: not scheduled", waiting=True)

    async def poll(handle: Handle) -> PhaseState:
        return state

    monkeypatch.setattr(engine.backend, "poll", poll)
    run = await engine.run(await engine.workspace())
    for _ in range(30):
        await engine.look()
        engine.clock.advance(seconds=10)
    phase = await engine.phase(run.run.plan_id)
    assert (phase.status, phase.launches) == ("queued", 1)
    assert (await engine.log(run.run.plan_id)).count(b"The runner waits: not scheduled\n") == 1
    state = PhaseState(False, "it did not begin within 900 seconds: not scheduled: 0/3 nodes are available")
    for _ in range(6):
        await engine.look()
        engine.clock.advance(seconds=1)
    failed = await engine.show(run)
    assert failed.run.status == "errored"
    assert "0/3 nodes are available" in (failed.run.failure or "")
    assert b"0/3 nodes are available" in await engine.log(run.run.plan_id)


async def test_a_claimed_phase_is_lost_whatever_its_backend_says_of_waiting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await engine.run(await engine.workspace())
    first = await engine.begin(run.run.plan_id)

    async def poll(handle: Handle) -> PhaseState:
        return PhaseState(True, "waits", waiting=True)

    monkeypatch.setattr(engine.backend, "poll", poll)
    for _ in range(8):
        engine.clock.advance(seconds=10)
        await engine.look()
    assert (await engine.phase(run.run.plan_id)).epoch > first.epoch


async def test_a_postponed_launch_is_tried_again_and_costs_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    async def postpone(phase: PhaseSpec) -> Handle:
        tried.append(phase.epoch)
        raise LaunchPostponed("the cluster is away")

    with monkeypatch.context() as away:
        away.setattr(engine.backend, "launch", postpone)
        run = await engine.run(await engine.workspace())
        for _ in range(10):
            await engine.look()
            engine.clock.advance(seconds=1)
    phase = await engine.phase(run.run.plan_id)
    assert (phase.status, phase.launches, phase.lease_expires_at) == ("queued", 0, None)
    assert len(tried) >= 10
    waiting = (await engine.show(run)).waiting_on
    assert waiting is not None
    assert (waiting.code, waiting.detail) == ("concurrency", "its runner cannot be started now: the cluster is away")
    assert len(set(tried)) == len(tried)
    claim = await engine.begin(run.run.plan_id)
    assert claim.epoch > max(tried)
    assert await engine.status(run) == "planning"


async def test_a_backend_is_told_what_the_workspace_asks_for(engine: Engine) -> None:
    new = CreateWorkspace(name="large", resource_cpu="2", resource_memory="4Gi")
    run = await engine.run(await engine.terrapod.workspaces.create(engine.admin, new))
    await engine.begin(run.run.plan_id)
    spec = next(each.spec for each in engine.backend.phases.values() if each.spec.run_id == run.id)
    assert (spec.cpu, spec.memory, spec.service_account) == ("2", "4Gi", None)
