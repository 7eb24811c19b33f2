"""Streams of events: in order, whole, and only for those who may read what they are about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from terrapod_core.db import HEAD_ID, EventHead, ToldEvent
from terrapod_core.jobs import Jobs
from terrapod_core.live import handlers, queries
from terrapod_core.live.watching import MOST_WAITING
from terrapod_core.plugin import RunStatusChanged, UserDeleted, WorkspaceUnlocked
from terrapod_core.settings import Live
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.live.conftest import Process
from tests.support.rooms import ALICE, AUDITOR, BOB, PHASE


def names(told: list[Any]) -> list[str]:
    return [each.name for each in told]


async def test_what_happens_is_told_in_order_under_growing_ids(process: Process) -> None:
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id)
    assert await client.now() == []
    await process.house.workspaces.locks.lock(ALICE, workspace.id, "a reason that is nobody else's business")
    await process.house.workspaces.locks.unlock(ALICE, workspace.id)
    await process.news(workspace.id, "run-1", "run-2")
    told = await client.hears(4)
    assert names(told) == ["workspace.locked", "workspace.unlocked", "run.status", "run.status"]
    assert [each.id for each in told] == list(range(told[0].id, told[0].id + 4))
    assert set(told[0].data) == {"type", "workspace-id", "at"}
    wanted = {"type": "run.status", "run-id": "run-1", "workspace-id": workspace.id, "status": "planning", "previous": "plan_queued"}
    assert wanted.items() <= told[2].data.items()
    assert await client.now() == []


async def test_one_run_hears_nothing_of_another(process: Process) -> None:
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id, run_id="run-2")
    await client.now()
    await process.news(workspace.id, "run-1", "run-2", "run-3", "run-2")
    assert [each.data["run-id"] for each in await client.hears(2)] == ["run-2", "run-2"]


async def test_many_watchers_cost_one_reading(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await process.house.workspace()
    clients = [process.client(workspace_id=workspace.id) for _ in range(50)]
    for client in clients:
        await client.now()
    reads = counted(monkeypatch, "after"), counted(monkeypatch, "guarded")
    await process.news(workspace.id, "run-1")
    for client in clients:
        assert names(await client.hears(1)) == ["run.status"]
    # The feed may have looked once more than it was woken for; it never looks for one watcher.
    assert all(len(each) <= 3 for each in reads), reads


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """The calls of a query from now on."""
    calls: list[object] = []
    query: Callable[..., Any] = getattr(queries, name)

    def noting(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments[1:])
        return query(*arguments, **options)

    monkeypatch.setattr(queries, name, noting)
    return calls


async def test_a_client_that_comes_back_misses_nothing_and_hears_nothing_twice(process: Process, other: Process) -> None:
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id)
    await client.now()
    await process.news(workspace.id, "run-1", "run-2")
    seen = (await client.hears(2))[0]
    client.source.end()
    await process.news(workspace.id, *(f"run-{number}" for number in range(3, 504)))
    again = other.client(workspace_id=workspace.id, after=str(seen.id))
    missed = await again.hears(502)
    await process.news(workspace.id, "run-504")
    heard = [*missed, *await again.hears(1)]
    assert [each.data["run-id"] for each in heard] == [f"run-{number}" for number in range(2, 505)]


async def test_a_client_that_comes_back_to_a_server_which_is_behind_hears_nothing_twice(process: Process, other: Process) -> None:
    workspace = await process.house.workspace()
    early = other.client(workspace_id=workspace.id)
    await early.now()  # the other server has begun to look
    client = process.client(workspace_id=workspace.id)
    await client.now()
    async with other.feed._moving:  # and does not look for a while
        await process.news(workspace.id, "run-1")
        seen = (await client.hears(1))[0]
        joining = asyncio.create_task((again := other.client(workspace_id=workspace.id, after=str(seen.id))).now())
    assert await joining == []
    await process.news(workspace.id, "run-2")
    assert [each.data["run-id"] for each in await again.hears(1)] == ["run-2"]


async def test_another_server_hears_it_too(process: Process, other: Process) -> None:
    workspace = await process.house.workspace()
    client = other.client(workspace_id=workspace.id)
    await client.now()
    await process.news(workspace.id, "run-1")
    assert names(await client.hears(1)) == ["run.status"]


async def test_what_is_committed_late_comes_late_and_is_not_skipped(process: Process) -> None:
    if process.db.is_sqlite:
        pytest.skip("SQLite has one writer: nothing is committed out of order")
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id)
    await client.now()
    async with process.db.uow() as slow:
        slow.emit(RunStatusChanged(run_id="run-slow", workspace_id=workspace.id, status="planning", previous="plan_queued"))
        await slow.flush()  # written first
        await process.news(workspace.id, "run-quick")
        quick = await client.hears(1)
        await slow.commit()
    await process.tell()
    late = await client.hears(1)
    assert [each.data["run-id"] for each in (*quick, *late)] == ["run-quick", "run-slow"]
    assert late[0].id > quick[0].id


async def test_an_id_shows_up_only_after_all_that_are_lower(process: Process, other: Process) -> None:
    if process.db.is_sqlite:
        pytest.skip("SQLite has one writer: nothing is committed out of order")
    workspace = await process.house.workspace()
    await process.tell()
    client = process.client(workspace_id=workspace.id)
    await client.now()
    async with process.db.uow() as first:
        # One server is in the midst of telling: it has an id, and has not committed.
        head = await first.session.get_one(EventHead, HEAD_ID, with_for_update=True)
        head.last += 1
        first.add(row(head.last, workspace.id, process))
        await first.flush()
        async with other.db.uow() as uow:
            uow.emit(RunStatusChanged(run_id="run-2", workspace_id=workspace.id, status="planning", previous="plan_queued"))
            await uow.commit()
        relay = asyncio.create_task(other.worker.relay())
        await waits_for_a_lock(process)
        assert await process.db.read(lambda session: queries.after(session, head.last - 1, 10)) == []
        await first.commit()
    assert await relay
    assert [each.data["run-id"] for each in await client.hears(2)] == ["run-1", "run-2"]


async def waits_for_a_lock(process: Process) -> None:
    """Return when somebody waits for what somebody else holds."""
    waiting = text("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()")
    async with asyncio.timeout(30):
        while not await process.db.read(lambda session: session.execute(waiting).scalar_one()):
            pass


def row(number: int, workspace_id: str, process: Process) -> ToldEvent:
    event = RunStatusChanged(run_id="run-1", workspace_id=workspace_id, status="planning", previous="plan_queued")
    now = process.clock.now()
    return ToldEvent(id=number, event=event.name(), payload=event.payload(), workspace_id=workspace_id, happened_at=now, told_at=now)


@pytest.mark.parametrize("after", ["x", "-1", "9" * 12, "9" * 40, "1.5"])
async def test_an_id_that_was_never_given_is_answered_with_a_reset(process: Process, after: str) -> None:
    workspace = await process.house.workspace()
    await process.news(workspace.id, "run-1")
    client = process.client(workspace_id=workspace.id, after=after)
    told = await client.now()
    assert [(each.name, each.data) for each in told] == [("reset", {"type": "reset", "reason": "unknown"})]
    await process.news(workspace.id, "run-2")
    assert [each.data["run-id"] for each in await client.hears(1)] == ["run-2"]


async def test_what_is_older_than_the_setting_is_swept_and_a_client_from_before_is_told_so(process: Process) -> None:
    workspace = await process.house.workspace()
    await process.news(workspace.id, "run-1", "run-2")
    oldest = (await process.db.read(lambda session: queries.after(session, 0, 1)))[0].id
    process.clock.advance(timedelta(minutes=5))
    await process.news(workspace.id, "run-3")
    jobs = Jobs()
    handlers.register(jobs, process.db, Live(keep_minutes=3))
    for periodic in jobs.periodic:
        await periodic.run()
    kept = await process.db.read(lambda session: queries.after(session, 0, 10))
    assert [each.payload["run_id"] for each in kept] == ["run-3"]
    client = process.client(workspace_id=workspace.id, after=str(oldest))
    assert [each.data["reason"] for each in await client.now()] == ["too_old"]
    # Whoever has seen all that was swept misses nothing.
    client = process.client(workspace_id=workspace.id, after=str(kept[0].id - 1))
    assert [each.data["run-id"] for each in await client.hears(1)] == ["run-3"]


async def test_a_client_that_does_not_read_costs_no_more_than_a_bounded_buffer(process: Process) -> None:
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id)
    await client.now()
    watched = process.client(workspace_id=workspace.id)
    await watched.now()
    for first in range(0, 3 * MOST_WAITING, 100):
        await process.news(workspace.id, *(f"run-{number}" for number in range(first, first + 100)))
        await watched.hears(100)
        assert len(client.source._waiting) <= MOST_WAITING
    told = await client.now()
    assert (told[0].name, told[0].data["reason"]) == ("reset", "too_slow")
    last = int(told[-1].data["run-id"].removeprefix("run-"))
    assert [each.data["run-id"] for each in told[1:]] == [f"run-{number}" for number in range(last - len(told) + 2, last + 1)]
    assert last == 799
    assert told[0].id == told[1].id - 1


async def test_everything_is_told_to_each_as_far_as_they_may_read_it(process: Process) -> None:
    hers = await process.house.workspace(name="hers")
    shared = await process.house.workspace(name="shared", labels={"access": "everyone"})
    clients = {actor.name: process.client(actor) for actor in (ALICE, AUDITOR, BOB, PHASE)}
    for client in clients.values():
        await client.now()
    await process.tell()
    await process.news(hers.id, "run-1")
    await process.news(shared.id, "run-2")
    await clients["alice"].hears(2)
    assert [each.data["run-id"] for each in await clients["audrey"].hears(2)] == ["run-1", "run-2"]
    assert [each.data["run-id"] for each in await clients["bob"].now()] == ["run-2"]
    assert await clients["plan"].now() == []
    # Rights that are taken away count for what is told next, also for what happened before.
    await process.news(shared.id, "run-3")
    await clients["alice"].hears(1)
    await process.house.workspaces.update(ALICE, shared.id, UpdateWorkspace(labels={}))
    await process.news(shared.id, "run-4")
    await clients["alice"].hears(1)
    assert await clients["bob"].now() == []


async def test_the_stream_of_a_workspace_ends_for_who_may_not_read_it_any_more(process: Process) -> None:
    workspace = await process.house.workspace()
    client = process.client(workspace_id=workspace.id)
    await client.now()
    client.actor = BOB  # whose the token is now, so to speak
    await process.news(workspace.id, "run-1")
    assert await client.is_over()


async def test_a_deleted_workspace_says_so_and_its_stream_ends(process: Process) -> None:
    workspace = await process.house.workspace()
    client, everything, bobs = (
        process.client(workspace_id=workspace.id),
        process.client(),
        process.client(BOB),
    )
    for each in (client, everything, bobs):
        await each.now()
    await process.house.workspaces.delete(ALICE, workspace.id)
    await process.news(workspace.id, "run-1")  # what its end brings about
    assert names(await everything.hears(1)) == ["workspace.deleted"]
    piece = await client.source.take(ALICE)
    assert piece is not None
    assert b"event: workspace.deleted" in piece
    assert b"run-1" not in piece
    assert await client.is_over()
    assert await bobs.now() == []


async def test_a_quiet_stream_can_be_come_back_to(process: Process) -> None:
    quiet, busy = await process.house.workspace(name="quiet"), await process.house.workspace(name="busy")
    client, other = process.client(workspace_id=quiet.id), process.client(workspace_id=busy.id)
    await client.now()
    await other.now()
    await process.news(busy.id, "run-1", "run-2")
    told = await other.hears(2)
    assert client.source.beat() == b"id: %d\n" % told[-1].id
    assert await client.now() == []


async def test_news_of_no_workspace_is_not_told(process: Process) -> None:
    before = (await process.db.read(queries.head)).last
    async with process.db.uow() as uow:
        uow.emit(UserDeleted(user_id="user-1"))
        uow.emit(WorkspaceUnlocked(workspace_id="ws-of-nobody"))
        await uow.commit()
    await process.tell()
    assert (await process.db.read(queries.head)).last == before + 1
    client = process.client(AUDITOR)
    await client.now()
    assert await client.now() == []
