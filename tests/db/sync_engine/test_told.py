"""What others hear of the schedule: events for notifications, the audit, metrics."""

from __future__ import annotations

from typing import Any

import pytest

from terrapod_core.extensions.tables import OwnChange
from terrapod_core.plugin import Event
from terrapod_core.testing import FakeClock
from terrapod_sync.words import Resolution
from tests.db.sync_engine.conftest import Synced


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> list[str]:
    """Names of the events that are told, in order."""
    found: list[str] = []
    emit = OwnChange.emit

    def listen(self: OwnChange, event: Event) -> None:
        found.append(type(event).__name__)
        emit(self, event)

    monkeypatch.setattr(OwnChange, "emit", listen)
    return found


@pytest.mark.parametrize("entry", [{"policy": "observe"}, {"auto_apply": False}])
async def test_changes_that_wait_are_told_once(synced: Synced, heard: list[str], entry: dict[str, Any]) -> None:
    workspace = await synced.workspace(**entry)
    for _ in range(2):
        await synced.tick(minutes=12)
        await synced.plan(await synced.last_run(workspace), "update")
    assert heard == ["SyncDriftFound"]


async def test_failures_in_a_row_are_told_once_and_so_is_their_end(synced: Synced, heard: list[str]) -> None:
    workspace = await synced.workspace(policy="observe")
    for status, plan in (("errored", "update"), ("errored", "update"), ("finished", "nothing")):
        await synced.tick(minutes=12)
        await synced.plan(await synced.last_run(workspace), plan, status=status)
    assert heard == ["SyncFailed", "SyncRecovered"]
    assert [each.detail["attempt"] for each in await synced.audited("sync.failed")] == [1, 2]


async def test_a_conflict_is_told_and_who_resolved_it_and_the_plan_they_were_shown_are_kept(synced: Synced, heard: list[str]) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "delete")
    (conflict,) = await synced.conflicts(workspace)
    assert heard == ["SyncConflictArose"]
    await synced.resolve(conflict, Resolution.DISCARD)
    await synced.trigger(workspace)
    (arose,), (resolved,) = await synced.audited("sync.conflict"), await synced.audited("sync.resolve")
    about = {"conflict": conflict.id, "conflict_kind": "destructive_plan", "plan": conflict.plan_digest}
    assert {name: arose.detail.get(name) for name in about} == about
    assert (resolved.actor_id, resolved.resource_id) == (synced.admin.id, workspace.id)
    assert {name: resolved.detail.get(name) for name in (*about, "resolution")} == {**about, "resolution": "discard"}
    (triggered,) = await synced.audited("sync.trigger")
    assert (triggered.actor_id, triggered.detail["sync"]) == (synced.admin.id, (await synced.last(workspace)).id)


async def test_what_the_configuration_decides_is_kept_too(synced: Synced) -> None:
    await synced.switch(conflicts="skip")
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    await synced.plan(await synced.last_run(workspace), "delete")
    (resolved,) = await synced.audited("sync.resolve")
    (conflict,) = await synced.conflicts(workspace, None)
    assert (resolved.actor_kind, resolved.detail["resolution"], resolved.detail["conflict"]) == ("system", "skip", conflict.id)


async def test_a_parked_plan_that_is_confirmed_as_a_run_is_accepted_and_that_is_kept(synced: Synced) -> None:
    workspace = await synced.workspace(policy="apply")
    await synced.tick()
    run_id = await synced.last_run(workspace)
    await synced.plan(run_id, "delete")
    await synced.engine.runs.confirm(synced.admin, run_id)
    await synced.engine.look()
    (conflict,), (resolved,) = await synced.conflicts(workspace, None), await synced.audited("sync.resolve")
    assert (conflict.status, conflict.resolution, resolved.detail["conflict"]) == ("resolved", "accept", conflict.id)
