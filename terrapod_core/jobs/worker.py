"""The loops that carry jobs out: relay, claim, run, retry; and the clock for periodic work.

Truth is in the tables. A wake-up after a commit makes it quick; a look by the clock makes it certain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Delete, Update, delete, or_, select, text, update
from sqlalchemy.orm import Session

from terrapod_core import ids, traces
from terrapod_core.clock import Clock
from terrapod_core.coordination import EVENTS, JOBS, TOLD
from terrapod_core.db import HEAD_ID, Database, EventHead, OutboxRow, ToldEvent, patient
from terrapod_core.errors import Unavailable
from terrapod_core.jobs.claims import CLAIM_SECONDS, Claim, Claims
from terrapod_core.jobs.leader import Leader
from terrapod_core.jobs.looking import Looking
from terrapod_core.jobs.models import Job
from terrapod_core.jobs.registry import Jobs, Periodic
from terrapod_core.metrics.definitions import JOB_SECONDS, JOBS_RUN, PERIODIC

LOOK_SECONDS: Final = 1.0

SELDOM_SECONDS: Final = 5.0
"""Between two looks that nothing has caused while all others are heard: well within `claims.DEAF_SECONDS`."""

RENEW_SECONDS: Final = 5.0
"""How often a running job's claim is renewed: three renewals may be late before somebody else takes it."""

UNKNOWN: Final = timedelta(hours=1)
"""How long a job waits for a process that has a handler for it, before it is laid aside: an upgrade, server by server, is over by then."""

CONCURRENCY: Final = 4
RELAY_BATCH: Final = 100
STALLED_SECONDS: Final = 10
"""A relay that stops in its midst (its process was stopped) is thrown out by PostgreSQL, so that another may go on."""

log = structlog.get_logger("terrapod.jobs")


class Worker:
    """Runs the jobs of one process until stopped."""

    def __init__(
        self,
        db: Database,
        jobs: Jobs,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._claims = Claims(monotonic)
        self._leader = Leader(db)
        self._looking = Looking("jobs", db.wakeups.pace(LOOK_SECONDS, SELDOM_SECONDS), self._look)
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[None]] = set()
        db.wakeups.on(EVENTS, self._looking.wake, enough=True)
        db.wakeups.on(JOBS, self._looking.wake)

    def start(self) -> None:
        """Begin; returns at once."""
        self._looking.start()
        self._tasks = [asyncio.create_task(self._by_the_clock(each), name=f"jobs:{each.name}") for each in self._jobs.periodic]

    async def stop(self, grace: float = 20.0) -> None:
        """Take no new job, give running ones `grace` seconds, then let go: what is unfinished stays in the table."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        await self._looking.stop()
        for task in (*self._tasks, *self._running):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running, return_exceptions=True)
        await self._leader.release()

    async def drain(self) -> None:
        """Run everything that is due, here and now, until nothing is; for tests and one-off commands."""
        while await self.relay() or await self._run_one():
            pass

    async def _look(self) -> None:
        while not self._stopping and await self.relay():
            pass
        while len(self._running) < CONCURRENCY and not self._stopping:
            job = await self._claim()
            if job is None:
                break
            self._spawn(job)

    def _spawn(self, job: Job) -> None:
        task = asyncio.create_task(self._carry_out(job), name=f"job:{job.name}")
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._looking.wake()
        if not task.cancelled() and task.exception() is not None:
            log.error("a job could not be accounted for", error=repr(task.exception()))

    async def relay(self) -> bool:
        """Turn a batch of outbox rows into jobs and told events, in one transaction; `False` when there was none."""
        if not await self._db.read(lambda session: session.execute(select(OutboxRow.number).limit(1)).first()):
            return False
        async with self._db.uow() as uow:
            if not self._db.is_sqlite:
                await uow.session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {STALLED_SECONDS * 1000:d}"))
            # One process at a time, until its commit: so the ids of told events show up in their order.
            head = await uow.session.get_one(EventHead, HEAD_ID, with_for_update=True)
            rows = list((await uow.session.execute(select(OutboxRow).order_by(OutboxRow.number).limit(RELAY_BATCH))).scalars())
            concerned = await uow.run(lambda session: self._concerned(session, rows))
            now, made = uow.now(), 0
            for row in rows:
                for name in self._jobs.listeners.get(row.event, ()):
                    if name not in concerned or row.payload["workspace_id"] in concerned[name]:
                        made += 1
                        uow.append(Job, id=ids.new("job"), name=name, payload=row.payload, run_at=now, attempts=0, created_at=now)
                if "workspace_id" in row.payload:
                    head.last += 1
                    uow.append(ToldEvent, **_as_told(head.last, row, now))
            await uow.session.execute(delete(OutboxRow).where(OutboxRow.number.in_([row.number for row in rows])))
            uow.wake(TOLD)
            if made > CONCURRENCY - len(self._running):
                uow.wake(JOBS, here=False)
            await uow.commit()
        return bool(rows)

    def _concerned(self, session: Session, rows: Sequence[OutboxRow]) -> dict[str, Collection[str]]:
        """For listeners that have said how to ask: the workspaces of these events in which they have something to do."""
        found: dict[str, Collection[str]] = {}
        for name, ask in self._jobs.concerning.items():
            of = {row.payload["workspace_id"] for row in rows if name in self._jobs.listeners.get(row.event, ())}
            if of:
                found[name] = ask(session, of)
        return found

    async def _run_one(self) -> bool:
        job = await self._claim()
        if job is None:
            return False
        await self._carry_out(job)
        return True

    async def _claim(self) -> Job | None:
        """Take a job that is due, or one whose worker is gone; `None` when there is none or others were quicker."""
        alive = Job.dead_at.is_(None)
        now = self._clock.now()
        # One without a handler here may have one in a process that has what this one lacks: a newer version, or another plugin.
        mine = or_(Job.name.in_(self._jobs.handlers), Job.run_at <= now - UNKNOWN)
        due = select(Job.id).where(alive, Job.run_at <= now, Job.claimed_until.is_(None), mine).order_by(Job.run_at).limit(1)
        claimed = select(Job.id, Job.attempts, Job.claimed_until).where(alive, Job.claimed_until.is_not(None))

        def look(session: Session) -> tuple[bool, list[Claim]]:
            return session.execute(due).first() is not None, [Claim(*row) for row in session.execute(claimed)]

        # A look by the readers first: most looks find nothing, and SQLite's one writer is not for looking.
        waiting, claims = await self._db.read(look)
        for lost in self._claims.lost(claims):
            unchanged = (Job.id == lost.job_id) & (Job.attempts == lost.attempts) & (Job.claimed_until == lost.claimed_until)
            if job := await self._take(unchanged):
                return job
        return await self._take(Job.id == due.with_for_update(skip_locked=True).scalar_subquery()) if waiting else None

    async def _take(self, which: ColumnElement[bool]) -> Job | None:
        claim = update(Job).where(which).values(claimed_until=self._until(), attempts=Job.attempts + 1).returning(Job)
        async with self._db.uow() as uow:
            found = await uow.session.execute(claim.execution_options(synchronize_session=False))
            job: Job | None = found.scalar_one_or_none()
            await uow.commit()
            return job

    def _until(self) -> datetime:
        return self._clock.now() + timedelta(seconds=CLAIM_SECONDS)

    async def _carry_out(self, job: Job) -> None:
        with traces.job(self._counted(job)):
            renewing = asyncio.create_task(self._renew(job), name=f"claim:{job.name}")
            try:
                await self._try(job)
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, job: Job) -> None:
        """Keep the job while it runs. Never once somebody else has it: each claim is another attempt."""
        mine = update(Job).where(Job.id == job.id, Job.attempts == job.attempts, Job.claimed_until.is_not(None))
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with self._db.uow() as uow:
                    await uow.session.execute(mine.values(claimed_until=self._until()))
                    await uow.commit()
            except Unavailable as error:
                log.warning("a claim could not be renewed", job=job.name, id=job.id, error=error.detail)
            except Exception:
                log.exception("a claim could not be renewed and is tried again", job=job.name, id=job.id)

    async def _try(self, job: Job) -> None:
        handler = self._jobs.handlers.get(job.name)
        started = time.perf_counter()
        try:
            if handler is None:
                raise LookupError(f"no handler is called {job.name}; was its plugin removed?")
            with patient():
                await handler.run(job.payload)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the job is accounted for
            await self._failed(job, error, retries=handler.retries if handler else 0)
            return
        finally:
            JOB_SECONDS.labels(self._counted(job)).observe(time.perf_counter() - started)
        JOBS_RUN.labels(self._counted(job), "done").inc()
        traces.told("done")
        await self._account(delete(Job).where(Job.id == job.id, Job.attempts == job.attempts))

    def _counted(self, job: Job) -> str:
        return job.name if job.name in self._jobs.handlers else "(no handler)"

    async def _failed(self, job: Job, error: Exception, *, retries: int) -> None:
        dead = job.attempts > retries and not isinstance(error, Unavailable)
        log.warning("job failed", job=job.name, id=job.id, attempt=job.attempts, dead=dead, exc_info=error)
        JOBS_RUN.labels(self._counted(job), "dead" if dead else "failed").inc()
        traces.told("dead" if dead else "failed", failed=True)
        now = self._clock.now()
        pause = timedelta(seconds=min(2.0 ** min(job.attempts, 10), 300))
        await self._account(
            update(Job)
            .where(Job.id == job.id, Job.attempts == job.attempts)
            .values(claimed_until=None, run_at=now + pause, last_error=f"{type(error).__name__}: {error}", dead_at=now if dead else None)
        )
        asyncio.get_running_loop().call_later(pause.total_seconds(), self._looking.wake)

    async def _account(self, statement: Delete | Update) -> None:
        """Write down what became of a job. A database that is away is asked again: else the job would lie there until its claim is over."""
        while True:
            try:
                async with self._db.uow() as uow:
                    await uow.session.execute(statement)
                    await uow.commit()
                return
            except Unavailable:
                await asyncio.sleep(LOOK_SECONDS)

    async def _by_the_clock(self, periodic: Periodic) -> None:
        while True:
            await asyncio.sleep(periodic.every.total_seconds())
            try:
                if await self._leader.is_mine():
                    with traces.job(periodic.name), patient():
                        await periodic.run()
                        traces.told("done")
                    PERIODIC.labels(periodic.name, "done").inc()
            except Unavailable as error:
                PERIODIC.labels(periodic.name, "failed").inc()
                log.warning("periodic work waits for the database", work=periodic.name, error=error.detail)
            except Exception:
                PERIODIC.labels(periodic.name, "failed").inc()
                log.exception("periodic work failed and is tried again next time", work=periodic.name)


def _as_told(number: int, row: OutboxRow, now: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "event": row.event,
        "payload": row.payload,
        "workspace_id": row.payload["workspace_id"],
        "happened_at": row.created_at,
        "told_at": now,
    }
