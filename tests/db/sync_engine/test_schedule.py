"""The clock of the schedule: due, coalesced, capped, missed, set back and forth; retries; and several servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from terrapod_core.jobs.models import Job
from terrapod_core.plugin import Conflict as Refused, WorkspaceFacts
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryStorage
from terrapod_sync.engine import opened
from terrapod_sync.engine.store import Due
from terrapod_sync.engine.ticking import Ticking
from terrapod_sync.settings import SyncSettings
from tests.db.sync_engine.conftest import Synced, served


def capped(synced: Synced, **chosen: int) -> None:
    """Other settings, for the engine that the test calls and the one that hears of runs alike."""
    settings = replace(SyncSettings(), **chosen)
    for name, value in chosen.items():
        object.__setattr__(synced.context.settings, name, value)
    synced.sync = opened(replace(synced.context, settings=settings))


async def test_a_tick_while_a_sync_is_under_way_is_dropped(synced: Synced) -> None:
    workspace = await synced.workspace()
    await synced.tick()
    await synced.tick(hours=3)
    assert len(await synced.runs(workspace)) == 1
    with pytest.raises(Refused) as refusal:
        await synced.trigger(workspace)
    assert refusal.value.code == "sync_in_progress"
    assert ((await synced.row(workspace)).next_at or synced.clock.now()) > synced.clock.now()


async def test_a_period_is_counted_from_the_end(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    synced.clock.advance(minutes=7)
    await synced.plan(await synced.last_run(workspace), "nothing")
    row = await synced.row(workspace)
    assert row.tick_at == synced.clock.now() + timedelta(minutes=10)


async def test_a_schedule_is_of_the_clock(synced: Synced) -> None:
    workspace = await synced.engine.workspace("net")
    await synced.engine.configuration(workspace)
    await synced.enter(workspace, policy="observe", sync_interval="", schedule="0 * * * *")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    tick = (await synced.row(workspace)).tick_at
    assert tick is not None
    assert (tick.minute, tick.second, tick - synced.clock.now() <= timedelta(hours=1)) == (0, 0, True)


async def test_many_missed_ticks_are_one_that_catches_up(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    await synced.tick(days=4)
    await synced.tick(seconds=1)
    assert [each.cause for each in await synced.syncs(workspace)] == ["schedule", "catch-up"]


async def test_no_more_than_the_cap_are_under_way_and_all_have_their_turn(synced: Synced) -> None:
    capped(synced, max_concurrent_runs=2)
    workspaces = [await synced.workspace(f"w{number}", policy="observe") for number in range(5)]
    done: set[str] = set()
    for _ in range(3):
        await synced.tick(seconds=1)
        under_way = [each for each in workspaces if (await synced.row(each)).active_sync_id is not None]
        assert len(under_way) <= 2
        for each in under_way:
            await synced.plan(await synced.last_run(each), "nothing")
            done.add(each.id)
    assert len(done) == 5


async def test_a_clock_that_is_set_back_does_not_stop_the_schedule(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    await synced.tick(seconds=1)
    synced.clock.set(synced.clock.now() - timedelta(days=30))
    await synced.tick()
    await synced.tick(minutes=12)
    assert len(await synced.syncs(workspace)) == 2


async def test_a_clock_that_was_set_back_between_two_processes_does_not_either(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    synced.clock.set(synced.clock.now() - timedelta(days=30))
    synced.sync = opened(synced.context)
    await synced.tick()
    await synced.tick(minutes=12)
    assert len(await synced.syncs(workspace)) == 2


async def test_a_retry_comes_no_later_than_its_pause_after_the_clock_was_set_back(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "create", status="errored")
    await synced.tick(seconds=1)
    synced.clock.set(synced.clock.now() - timedelta(days=30))
    await synced.tick()
    assert (await synced.row(workspace)).next_at == synced.clock.now() + timedelta(minutes=5)


async def test_what_is_under_way_is_looked_at_after_the_clock_was_set_back(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    synced.clock.set(synced.clock.now() - timedelta(days=30))
    await synced.tick()
    assert (await synced.row(workspace)).looked_at == synced.clock.now()


async def test_one_entry_that_cannot_be_read_any_more_keeps_no_other_from_its_turn(synced: Synced) -> None:
    broken, other = await synced.workspace("broken", policy="observe"), await synced.workspace("other", policy="observe")
    row = await synced.row(broken)
    gone = {"enabled": True, "policy": "observe", "schedule": "0 2 * * *", "schedule_timezone": "Atlantis/Capital"}
    assert row.next_at is not None
    await synced.edit(broken, entry=gone, next_at=row.next_at - timedelta(days=1), tick_at=row.next_at - timedelta(days=1))
    await synced.tick()
    await synced.plan(await synced.last_run(broken), "nothing")
    row = await synced.row(broken)
    assert (row.status, row.problem_code, row.active_sync_id, row.next_at) == ("error", "schedule-unreadable", None, None)
    assert "must be a time zone" in (row.problem or "")
    assert len(await synced.runs(other)) == 1


async def test_what_goes_wrong_with_one_workspace_is_tried_again_and_keeps_no_other_from_its_turn(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = await synced.workspace("broken", policy="observe"), await synced.workspace("other", policy="observe")
    await synced.edit(broken, next_at=synced.clock.now() - timedelta(days=1))
    claim = Ticking._claim

    async def fail(self: Ticking, due: Due, facts: WorkspaceFacts | None) -> str | None:
        if due.workspace_id == broken.id:
            raise RuntimeError("nobody thought of this")
        return await claim(self, due, facts)

    with monkeypatch.context() as patch:
        patch.setattr(Ticking, "_claim", fail)
        await synced.tick()
        assert [len(await synced.runs(each)) for each in (broken, other)] == [0, 1]
        assert (await synced.row(broken)).next_at == synced.clock.now() + timedelta(minutes=1)
    await synced.tick(minutes=1)
    assert len(await synced.runs(broken)) == 1


async def test_nothing_is_due_while_the_entry_or_all_of_it_is_disabled(synced: Synced) -> None:
    await synced.switch(enabled=False)
    workspace, off = await synced.workspace(), await synced.workspace("off", enabled=False)
    await synced.tick(hours=1)
    assert [await synced.runs(workspace), await synced.runs(off)] == [[], []]
    for each in (workspace, off):
        with pytest.raises(Refused) as refusal:
            await synced.trigger(each)
        assert refusal.value.code == "sync_disabled"


async def test_failures_are_tried_again_ever_later_and_then_rest(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    for pause in (300, 600, 1200, 2400, 4800):
        await synced.plan(await synced.last_run(workspace), "create", status="errored")
        assert (await synced.row(workspace)).next_at == synced.clock.now() + timedelta(seconds=pause)
        await synced.tick(seconds=pause)
    await synced.plan(await synced.last_run(workspace), "create", status="errored")
    await synced.tick(days=9)
    row = await synced.row(workspace)
    assert (len(await synced.runs(workspace)), row.status, row.problem_code, row.attempts) == (6, "error", "run-failed", 6)
    assert [each.cause for each in await synced.syncs(workspace)] == ["schedule", *["retry"] * 5]
    await synced.engine.configuration(workspace)
    await synced.engine.look()
    await synced.tick(seconds=1)
    assert len(await synced.runs(workspace)) == 7
    await synced.plan(await synced.last_run(workspace), "nothing")
    row = await synced.row(workspace)
    assert (row.status, row.problem, row.attempts) == ("success", None, 0)


async def test_a_manual_sync_ends_a_rest_after_failures(synced: Synced) -> None:
    capped(synced, retries=0)
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "create", status="errored")
    assert (await synced.row(workspace)).next_at is None
    sync = await synced.trigger(workspace)
    assert (sync.cause, sync.acting_id, (await synced.row(workspace)).status in ("pending", "running")) == ("manual", synced.admin.id, True)


async def test_a_cancelled_run_is_an_error_that_is_not_tried_again(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.sync.ticking.tick()
    await synced.engine.runs.cancel(synced.admin, await synced.last_run(workspace))
    await synced.engine.look()
    row = await synced.row(workspace)
    assert (row.status, row.problem_code, row.attempts, row.next_at is not None) == ("error", "run-canceled", 0, True)


async def test_two_servers_over_one_database_fire_a_tick_once(synced: Synced, migrated_url: str, tmp_path: Path, clock: FakeClock) -> None:
    workspaces = [await synced.workspace(f"w{number}", policy="observe") for number in range(4)]
    terrapod, context = served(migrated_url, tmp_path / "other", clock, FakeRunnerBackend(), MemoryStorage(), SyncSettings())
    try:
        await asyncio.gather(synced.sync.ticking.tick(), opened(context).ticking.tick())
        assert [len(await synced.runs(each)) for each in workspaces] == [1, 1, 1, 1]
    finally:
        await terrapod.db.close()


async def test_what_is_over_is_kept_for_as_long_as_the_operator_says(synced: Synced) -> None:
    workspace = await synced.workspace(policy="observe")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "nothing")
    await synced.tick(days=60)
    await synced.sync.following.tidy()
    assert len(await synced.syncs(workspace)) == 2
    synced.clock.advance(days=31)
    await synced.sync.following.tidy()
    (kept,) = await synced.syncs(workspace)
    assert kept.ended_at is None, "it is under way, however old it is"
    assert (await synced.row(workspace)).last_sync_at is not None


async def test_the_news_of_other_workspaces_is_nobodys_work(synced: Synced) -> None:
    await synced.workspace("on-a-schedule")
    other = await synced.engine.workspace("other")
    run = await synced.engine.run(other)
    await synced.engine.dispatch()
    worker = synced.engine.terrapod.worker
    assert worker is not None
    await worker.relay()
    jobs = await synced.engine.terrapod.db.read(lambda session: session.execute(select(Job.name, Job.payload)).all())
    about = {name for name, payload in jobs if payload.get("run_id") == run.id}
    assert "sync.follow" not in about
