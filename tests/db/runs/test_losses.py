"""Runners that are cancelled, lost, late, or heard twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from terrapod_core.errors import Conflict, InvalidTransition, TerrapodError, Unavailable
from terrapod_core.runs.phases import LeaseLost
from terrapod_core.runs.requests import Claim, Report
from terrapod_core.storage import ObjectKind
from tests.db.runs.conftest import Engine


async def quiet(engine: Engine, seconds: int) -> None:
    """Time passes while the server listens and the runner says nothing."""
    for _ in range(seconds // 10):
        engine.clock.advance(seconds=10)
        await engine.look()


async def test_a_plan_whose_runner_is_not_heard_is_tried_once_more_and_then_fails(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    first = await engine.begin(run.run.plan_id)
    await quiet(engine, 80)
    assert await engine.status(run) == "plan_queued"
    second = await engine.begin(run.run.plan_id)
    assert second.epoch > first.epoch
    await quiet(engine, 80)
    failed = await engine.show(run)
    assert failed.run.status == "errored"
    assert "lost" in (failed.run.failure or "")
    assert (await engine.log(run.run.plan_id)).endswith(b"\x03")


async def test_a_lost_apply_is_not_tried_again(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace, auto_apply=True)
    await engine.plan(run)
    await engine.begin(run.run.apply_id)
    await quiet(engine, 80)
    failed = await engine.show(run)
    assert failed.run.status == "errored"
    assert "refresh-only" in (failed.run.failure or "")
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_kind is None


async def test_a_runner_that_renews_keeps_its_phase(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    for _ in range(12):
        engine.clock.advance(seconds=10)
        assert await engine.phases.renew(claim) == {"cancel": "none"}
        await engine.look()
    assert await engine.status(run) == "planning"


async def test_after_an_outage_of_the_server_every_runner_gets_a_full_period(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    engine.clock.advance(minutes=10)  # nobody looked: the server was down
    await engine.look()
    assert await engine.status(run) == "planning"
    await engine.phases.renew(claim)


async def test_after_an_outage_of_the_database_every_runner_gets_a_full_period(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    with monkeypatch.context() as patch:
        patch.setattr(engine.terrapod.db, "read", away)
        for _ in range(8):
            engine.clock.advance(seconds=10)
            with pytest.raises(Unavailable):
                await engine.terrapod.dispatcher.look()
    await engine.look()
    assert await engine.status(run) == "planning"
    await engine.phases.renew(claim)
    await quiet(engine, 80)
    assert await engine.status(run) == "plan_queued"  # from then on it is heard, or lost


async def away(*_: object) -> None:
    raise Unavailable("the database does not answer")


@pytest.mark.parametrize("during", ["the read", "the work"])
async def test_a_server_that_stood_still_in_the_middle_of_a_look_loses_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    first, second = [await engine.run(await engine.workspace(name)) for name in ("one", "two")]
    for run in (first, second):
        await engine.begin(run.run.plan_id)
    where: Any = engine.terrapod.db if during == "the read" else engine.backend
    name = "read" if during == "the read" else "poll"
    act = getattr(where, name)

    async def slowly(argument: Any) -> Any:
        answer = await act(argument)
        engine.clock.advance(minutes=10)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(where, name, slowly)
        await engine.terrapod.dispatcher.look()
    await engine.look()
    assert [await engine.status(run) for run in (first, second)] == ["planning", "planning"]


async def test_a_runner_that_ended_without_a_report_is_noticed_at_once(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.begin(run.run.plan_id)
    handle = (await engine.phase(run.run.plan_id)).handle
    assert handle is not None
    engine.backend.end(handle)
    await engine.look()
    assert await engine.status(run) == "plan_queued"


async def test_a_runner_whose_handle_nobody_kept_is_found_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(*_: object) -> None:
        raise RuntimeError("the server is killed right after the launch")

    run = await engine.run(await engine.workspace())
    with monkeypatch.context() as patch:
        patch.setattr(engine.terrapod.dispatcher, "_keep", die)
        with pytest.raises(RuntimeError):
            await engine.terrapod.dispatcher.look()
    await engine.phases.claim(engine.claim(run.run.plan_id), Claim(runner="host 1"))
    await engine.look()
    handle = (await engine.phase(run.run.plan_id)).handle
    assert handle is not None
    engine.backend.end(handle)
    await engine.look()
    assert await engine.status(run) == "plan_queued"


async def test_a_runner_that_lost_its_lease_can_change_nothing(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    old = await engine.begin(run.run.plan_id)
    await quiet(engine, 80)
    await engine.begin(run.run.plan_id)
    report = Report(status="finished", has_changes=True)
    for attempt in (
        engine.phases.renew(old),
        engine.phases.append_log(old, 0, b"late"),
        engine.phases.report(old, report),
        engine.phases.claim(old, Claim(runner="host 1")),
    ):
        with pytest.raises(LeaseLost) as caught:
            await attempt
        assert caught.value.meta == {"lost": True}
    assert await engine.status(run) == "planning"
    assert b"late" not in await engine.log(run.run.plan_id)


async def test_the_state_of_a_late_runner_is_kept_beside_and_never_becomes_current(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace, auto_apply=True)
    await engine.plan(run)
    late = await engine.begin(run.run.apply_id)
    await quiet(engine, 80)
    answer = await engine.put_state(late, 1)
    assert answer["rescued"] is True
    assert await engine.terrapod.db.read(lambda session: engine.terrapod.states.current(session, workspace.id)) is None


async def test_what_a_late_runner_uploads_leaves_nothing_in_the_store(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    late = await engine.begin(run.run.plan_id)
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"half"
        await held.wait()
        yield b"the rest"

    upload = asyncio.create_task(engine.phases.put_artifact(late, ObjectKind.PLAN_FILE, slow(), 1000))
    await asyncio.sleep(0)
    await quiet(engine, 80)
    held.set()
    with pytest.raises(LeaseLost):
        await upload
    assert await engine.kept("plans/") == []


async def test_the_logs_of_a_deleted_workspace_are_not_moved_into_the_store(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    claim = await engine.begin(run.run.plan_id)
    await engine.phases.append_log(claim, 0, b"Plan: 1 to add\n")
    await engine.terrapod.workspaces.delete(engine.admin, workspace.id)
    await engine.look()
    await engine.look()
    assert await engine.kept("logs/") == []


async def test_a_report_repeated_changes_nothing_and_another_one_is_refused(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.plan(run)
    await engine.phases.report(claim, Report(status="finished", has_changes=True, additions=1))
    with pytest.raises(LeaseLost):
        await engine.phases.report(claim, Report(status="errored"))
    assert await engine.status(run) == "planned"
    assert (await engine.log(run.run.plan_id)).count(b"\x03") == 1


async def test_a_second_runner_cannot_take_a_phase_that_is_claimed(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    with pytest.raises(LeaseLost):
        await engine.phases.claim(claim, Claim(runner="another 2"))
    assert (await engine.phases.claim(claim, Claim(runner="host 1")))["run-id"] == run.id


async def test_log_text_at_another_offset_is_refused_with_the_size_to_go_on_from(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    claim = await engine.begin(run.run.plan_id)
    assert await engine.phases.append_log(claim, 0, b"12345") == {"size": 5, "cancel": "none"}
    for offset in (0, 4, 6):
        with pytest.raises(Conflict) as caught:
            await engine.phases.append_log(claim, offset, b"x")
        assert caught.value.meta == {"size": 5}
    assert await engine.log(run.run.plan_id) == b"\x0212345"


async def test_the_second_runner_of_a_plan_begins_its_log_at_nothing(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    first = await engine.begin(run.run.plan_id)
    await engine.phases.append_log(first, 0, b"from the first\n")
    await quiet(engine, 80)
    second = await engine.begin(run.run.plan_id)
    assert await engine.phases.append_log(second, 0, b"from the second\n") == {"size": 16, "cancel": "none"}
    log = await engine.log(run.run.plan_id)
    assert log.startswith(b"\x02from the first\n")
    assert log.endswith(b"from the second\n")


async def test_a_queued_run_is_cancelled_at_once(engine: Engine) -> None:
    workspace = await engine.workspace()
    run, behind = await engine.run(workspace), await engine.run(workspace)
    await engine.runs.cancel(engine.admin, run.id)
    assert await engine.status(run) == "canceled"
    assert await engine.status(behind) == "plan_queued"


async def test_a_running_apply_is_interrupted_once_and_ends_when_its_runner_says_so(engine: Engine) -> None:
    run = await engine.run(await engine.workspace(), auto_apply=True)
    await engine.plan(run)
    claim = await engine.begin(run.run.apply_id)
    await engine.runs.cancel(engine.admin, run.id)
    for _ in range(3):
        await engine.look()
    fake = [each for each in engine.backend.phases.values() if each.spec.phase_id == run.run.apply_id][-1]
    assert fake.canceled == [False]
    assert await engine.status(run) == "applying"
    assert await engine.phases.renew(claim) == {"cancel": "interrupt"}
    await engine.put_state(claim, 1)
    await engine.phases.report(claim, Report(status="canceled"))
    assert await engine.status(run) == "canceled"


async def test_force_cancel_is_offered_a_minute_after_cancel_and_kills(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace)
    claim = await engine.begin(run.run.plan_id)
    with pytest.raises(InvalidTransition):
        await engine.runs.force_cancel(engine.admin, run.id)
    await engine.runs.cancel(engine.admin, run.id)
    with pytest.raises(InvalidTransition):
        await engine.runs.force_cancel(engine.admin, run.id)
    for _ in range(7):
        engine.clock.advance(seconds=10)
        await engine.phases.renew(claim)
        await engine.look()
    await engine.runs.force_cancel(engine.admin, run.id)
    await engine.look()
    await engine.look()
    assert await engine.status(run) == "canceled"
    assert (await engine.terrapod.workspaces.read(engine.admin, workspace.id)).lock_kind is None


async def test_a_cancel_whose_runner_is_gone_still_ends_cancelled(engine: Engine) -> None:
    run = await engine.run(await engine.workspace())
    await engine.begin(run.run.plan_id)
    await engine.runs.cancel(engine.admin, run.id)
    await quiet(engine, 80)
    assert await engine.status(run) == "canceled"


async def test_a_deleted_workspace_ends_its_runs_and_their_credentials(engine: Engine) -> None:
    workspace = await engine.workspace()
    run = await engine.run(workspace, auto_apply=True)
    await engine.plan(run)
    claim = await engine.begin(run.run.apply_id)
    await engine.terrapod.workspaces.delete(engine.admin, workspace.id)
    await engine.look()
    for attempt in (engine.phases.renew(claim), engine.phases.append_log(claim, 0, b"x"), engine.put_state(claim, 1)):
        with pytest.raises(TerrapodError):
            await attempt


async def test_a_runner_that_cannot_be_started_fails_the_run_with_the_reason_in_its_log(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrapod_core.plugin import LaunchFailed

    async def fail(phase: object) -> None:
        raise LaunchFailed("no such program")

    monkeypatch.setattr(engine.backend, "launch", fail)
    run = await engine.run(await engine.workspace())
    await engine.look()
    failed = await engine.show(run)
    assert failed.run.status == "errored"
    assert b"no such program" in await engine.log(run.run.plan_id)
