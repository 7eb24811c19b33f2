"""Jobs: from an event in the outbox to work done, once, or retried, or laid aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from terrapod_core.db import Base, Database, OutboxRow, UnitOfWork
from terrapod_core.errors import Unavailable
from terrapod_core.jobs import Job, Jobs, Worker, worker as worker_module
from terrapod_core.jobs.claims import CLAIM_SECONDS
from terrapod_core.jobs.leader import Leader
from terrapod_core.plugin import WorkspaceDeleted, WorkspaceUnlocked
from terrapod_core.testing import FakeClock


@pytest.fixture
async def db(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    database = Database(database_url, clock=clock)
    async with database.engine.begin() as connection:
        made = [Base.metadata.tables[name] for name in ("jobs", "outbox", "event_head", "told_events")]
        await connection.run_sync(Base.metadata.create_all, tables=made)
    yield database
    await database.close()


async def unlock(db: Database, *ids: str) -> None:
    async with db.uow() as uow:
        for each in ids:
            uow.emit(WorkspaceUnlocked(workspace_id=each))
        await uow.commit()


async def count(db: Database, table: type[Base]) -> int:
    return await db.read(lambda session: session.execute(select(func.count()).select_from(table)).scalar_one())


def worker_of(db: Database, jobs: Jobs, clock: FakeClock, time: FakeClock) -> Worker:
    """A worker of a server with this clock; `time` is how it measures what passes."""
    return Worker(db, jobs, clock, monotonic=lambda: time.now().timestamp())


async def look_on(worker: Worker, time: FakeClock, seconds: float) -> None:
    """Let time pass while the worker looks again and again."""
    for _ in range(round(seconds)):
        time.advance(timedelta(seconds=1))
        await worker.drain()


async def test_each_listener_hears_each_event_once(db: Database, clock: FakeClock) -> None:
    heard: list[tuple[str, str]] = []
    jobs = Jobs()

    async def first(event: WorkspaceUnlocked) -> None:
        heard.append(("first", event.workspace_id))

    async def second(event: WorkspaceUnlocked) -> None:
        heard.append(("second", event.workspace_id))

    jobs.on(WorkspaceUnlocked, "test.first", first)
    jobs.on(WorkspaceUnlocked, "test.second", second)
    worker = Worker(db, jobs, clock)
    await unlock(db, "ws-1", "ws-2")
    await worker.drain()
    assert sorted(heard) == [("first", "ws-1"), ("first", "ws-2"), ("second", "ws-1"), ("second", "ws-2")]
    assert await count(db, Job) == 0
    assert await count(db, OutboxRow) == 0


async def test_news_nobody_listens_for_is_dropped(db: Database, clock: FakeClock) -> None:
    async with db.uow() as uow:
        uow.emit(WorkspaceDeleted(workspace_id="ws-1"))
        await uow.commit()
    await Worker(db, Jobs(), clock).drain()
    assert await count(db, OutboxRow) == 0


async def test_a_failing_job_is_tried_again_later_and_then_laid_aside_with_its_error(db: Database, clock: FakeClock) -> None:
    tries = 0
    jobs = Jobs()

    async def fail(event: WorkspaceUnlocked) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError("the other side said no")

    jobs.on(WorkspaceUnlocked, "test.fail", fail, retries=2)
    worker = Worker(db, jobs, clock)
    await unlock(db, "ws-1")
    for _ in range(6):
        await worker.drain()
        clock.advance(timedelta(minutes=10))
    assert tries == 3
    dead = await db.read(lambda session: session.execute(select(Job)).scalar_one())
    assert dead.dead_at is not None
    assert dead.last_error == "RuntimeError: the other side said no"


async def test_a_job_waits_for_a_process_that_has_its_handler(db: Database, clock: FakeClock) -> None:
    heard: list[str] = []
    newer, older = Jobs(), Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        heard.append(event.workspace_id)

    newer.on(WorkspaceUnlocked, "plugin.hear", hear)
    await unlock(db, "ws-1")
    with_plugin, without = Worker(db, newer, clock), Worker(db, older, clock)
    assert await with_plugin.relay()
    clock.advance(timedelta(minutes=50))
    await without.drain()
    await with_plugin.drain()
    assert heard == ["ws-1"]
    assert await count(db, Job) == 0


async def test_a_job_that_nobody_has_a_handler_for_is_laid_aside_and_says_so(db: Database, clock: FakeClock) -> None:
    jobs = Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        raise AssertionError(event)

    jobs.on(WorkspaceUnlocked, "plugin.hear", hear)
    await unlock(db, "ws-1")
    await Worker(db, jobs, clock).relay()
    clock.advance(timedelta(hours=1))
    await Worker(db, Jobs(), clock).drain()
    dead = await db.read(lambda session: session.execute(select(Job)).scalar_one())
    assert dead.dead_at is not None
    assert "no handler is called plugin.hear" in (dead.last_error or "")


@pytest.mark.parametrize("well", [True, False])
async def test_an_outage_at_the_end_of_a_job_does_not_leave_it_lying(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, well: bool
) -> None:
    jobs = Jobs()
    tries = 0

    async def work(event: WorkspaceUnlocked) -> None:
        nonlocal tries
        tries += 1
        monkeypatch.setattr(db, "uow", away_once)
        if not well and tries == 1:
            raise Unavailable("the database does not answer")

    def away_once() -> NoReturn:
        monkeypatch.undo()
        raise Unavailable("the database does not answer")

    jobs.on(WorkspaceUnlocked, "test.work", work)
    worker = Worker(db, jobs, clock)
    await unlock(db, "ws-1")
    await worker.drain()
    clock.advance(timedelta(seconds=5))  # less than a claim
    await worker.drain()
    assert tries == (1 if well else 2)
    assert await count(db, Job) == 0


async def test_one_failing_listener_does_not_hold_up_another(db: Database, clock: FakeClock) -> None:
    heard: list[str] = []
    jobs = Jobs()

    async def fail(event: WorkspaceUnlocked) -> None:
        raise RuntimeError("no")

    async def hear(event: WorkspaceUnlocked) -> None:
        heard.append(event.workspace_id)

    jobs.on(WorkspaceUnlocked, "test.fail", fail)
    jobs.on(WorkspaceUnlocked, "test.hear", hear)
    worker = Worker(db, jobs, clock)
    await unlock(db, "ws-1")
    await worker.drain()
    assert heard == ["ws-1"]


async def test_the_job_of_a_worker_that_died_is_taken_over(db: Database, clock: FakeClock) -> None:
    heard: list[str] = []
    jobs = Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        heard.append(event.workspace_id)

    jobs.on(WorkspaceUnlocked, "test.hear", hear)
    dead, alive = worker_of(db, jobs, clock, clock), worker_of(db, jobs, clock, clock)
    await unlock(db, "ws-1")
    await dead.relay()
    assert await dead._claim() is not None  # and nothing after it: the process is gone
    await alive.drain()
    await look_on(alive, clock, CLAIM_SECONDS - 1)
    assert heard == []
    await look_on(alive, clock, 1)
    assert heard == ["ws-1"]


@pytest.mark.parametrize("skew", [timedelta(hours=-1), timedelta(hours=1)])
async def test_clocks_that_differ_neither_take_a_job_away_nor_keep_it(db: Database, clock: FakeClock, skew: timedelta) -> None:
    heard: list[str] = []
    jobs = Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        heard.append(event.workspace_id)

    jobs.on(WorkspaceUnlocked, "test.hear", hear)
    other_clock = FakeClock(clock.now() + skew)
    busy, other = worker_of(db, jobs, clock, clock), worker_of(db, jobs, other_clock, clock)
    await unlock(db, "ws-1")
    await busy.relay()
    job = await busy._claim()
    assert job is not None
    for _ in range(4):
        await look_on(other, clock, CLAIM_SECONDS - 1)
        async with db.uow() as uow:
            await uow.session.execute(update(Job).values(claimed_until=busy._until()))
            await uow.commit()
    assert heard == []
    await look_on(other, clock, CLAIM_SECONDS + 1)
    assert heard == ["ws-1"]


async def test_a_worker_that_was_away_itself_takes_nobody_for_dead(db: Database, clock: FakeClock) -> None:
    jobs = Jobs()

    async def ignore(_event: WorkspaceUnlocked) -> None: ...

    jobs.on(WorkspaceUnlocked, "test.ignore", ignore)
    busy, away = worker_of(db, jobs, clock, clock), worker_of(db, jobs, clock, clock)
    await unlock(db, "ws-1")
    await busy.relay()
    assert await busy._claim() is not None
    await away.drain()
    clock.advance(timedelta(seconds=CLAIM_SECONDS + 1))  # its database was away, and the other's too
    await away.drain()
    assert await count(db, Job) == 1
    await look_on(away, clock, CLAIM_SECONDS)
    assert await count(db, Job) == 0


async def test_a_long_job_is_kept_by_the_worker_that_is_at_it(db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RENEW_SECONDS", 0.01)
    tries, begun, end = 0, asyncio.Event(), asyncio.Event()
    jobs = Jobs()

    async def work(event: WorkspaceUnlocked) -> None:
        nonlocal tries
        tries += 1
        begun.set()
        await end.wait()

    jobs.on(WorkspaceUnlocked, "test.work", work)
    await unlock(db, "ws-1")
    busy = asyncio.create_task(Worker(db, jobs, clock).drain())
    await asyncio.wait_for(begun.wait(), 30)
    other = worker_of(db, jobs, clock, clock)
    for _ in range(3):
        await look_on(other, clock, CLAIM_SECONDS - 1)
        until = clock.now() + timedelta(seconds=CLAIM_SECONDS)
        async with asyncio.timeout(30):
            while await db.read(lambda session: session.execute(select(Job.claimed_until)).scalar_one()) != until:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    end.set()
    await busy
    assert tries == 1
    assert await count(db, Job) == 0


async def test_a_worker_that_lost_its_job_does_not_account_for_it(db: Database, clock: FakeClock) -> None:
    jobs = Jobs()
    taken: list[Job | None] = []

    async def stand_still(event: WorkspaceUnlocked) -> None:
        other = worker_of(db, jobs, clock, clock)
        while not (job := await other._claim()):
            clock.advance(timedelta(seconds=1))
        taken.append(job)

    jobs.on(WorkspaceUnlocked, "test.work", stand_still)
    await unlock(db, "ws-1")
    worker = Worker(db, jobs, clock)
    await worker.relay()
    await worker._run_one()
    assert taken[0] is not None
    assert await count(db, Job) == 1  # the one who has it now is at it


async def test_many_workers_share_the_work_without_doing_any_of_it_twice(db: Database, clock: FakeClock) -> None:
    heard: list[str] = []
    jobs = Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        await asyncio.sleep(0)
        heard.append(event.workspace_id)

    jobs.on(WorkspaceUnlocked, "test.hear", hear)
    await unlock(db, *(f"ws-{number}" for number in range(60)))
    await asyncio.gather(*(Worker(db, jobs, clock).drain() for _ in range(4)))
    await Worker(db, jobs, clock).drain()
    assert sorted(heard) == sorted(f"ws-{number}" for number in range(60))


async def test_a_relay_that_stalls_does_not_hold_up_the_others(db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    if db.is_sqlite:
        pytest.skip("one process owns an SQLite database")
    monkeypatch.setattr(worker_module, "STALLED_SECONDS", 1)
    stalled = asyncio.Event()

    async def never(_uow: UnitOfWork) -> None:
        stalled.set()
        await asyncio.Event().wait()

    await unlock(db, "ws-1")
    with monkeypatch.context() as patch:
        patch.setattr(UnitOfWork, "commit", never)
        stopped = asyncio.create_task(Worker(db, Jobs(), clock).relay())
        await asyncio.wait_for(stalled.wait(), 30)
    assert await asyncio.wait_for(Worker(db, Jobs(), clock).relay(), 30)
    assert await count(db, OutboxRow) == 0
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)


async def test_a_running_worker_is_woken_by_a_commit(db: Database, clock: FakeClock) -> None:
    done = asyncio.Event()
    jobs = Jobs()

    async def hear(event: WorkspaceUnlocked) -> None:
        done.set()

    jobs.on(WorkspaceUnlocked, "test.hear", hear)
    worker = Worker(db, jobs, clock)
    worker.start()
    try:
        await unlock(db, "ws-1")
        await asyncio.wait_for(done.wait(), 10)
    finally:
        await worker.stop()


async def test_a_worker_stops_though_it_is_woken_at_the_same_moment(db: Database, clock: FakeClock) -> None:
    for _ in range(5):
        worker = Worker(db, Jobs(), clock)
        worker.start()
        await asyncio.sleep(0)
        await unlock(db, "ws-1")
        await asyncio.wait_for(worker.stop(), 30)


async def test_one_process_leads_at_a_time(db: Database, clock: FakeClock) -> None:
    first, second = Worker(db, Jobs(), clock), Worker(db, Jobs(), clock)
    assert await first._leader.is_mine()
    # On SQLite there is one process, and it always leads.
    assert await second._leader.is_mine() is db.is_sqlite
    await first._leader.release()
    assert await second._leader.is_mine()
    await second._leader.release()


async def test_who_is_stopped_while_it_takes_the_lead_leaves_it_to_others(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if db.is_sqlite:
        pytest.skip("on SQLite there is nobody else")
    taken, ask = asyncio.Event(), AsyncConnection.scalar

    async def hang(connection: AsyncConnection, *asked: Any) -> None:
        await ask(connection, *asked)
        taken.set()
        await asyncio.Event().wait()

    first, second = Leader(db), Leader(db)
    with monkeypatch.context() as patch:
        patch.setattr(AsyncConnection, "scalar", hang)
        asking = asyncio.create_task(first.is_mine())
        await taken.wait()
        asking.cancel()
        await asyncio.sleep(0)
        asking.cancel()  # as a worker does that stops
        await asyncio.gather(asking, return_exceptions=True)
    await first.release()
    assert await second.is_mine()
    await second.release()
