"""A process that is killed in the midst of a job, and another that takes the job up: two real ones."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec

from terrapod_core.db import Base, Database
from terrapod_core.jobs import Job
from terrapod_core.plugin import WorkspaceUnlocked
from terrapod_core.testing import FakeClock

PROGRAM = """
import asyncio, sys, time
from terrapod_core.clock import SystemClock
from terrapod_core.db import Database
from terrapod_core.jobs import Jobs, Worker
from terrapod_core.plugin import WorkspaceUnlocked

url, way = sys.argv[1:]

async def work(event):
    print(way, event.workspace_id, flush=True)
    if way == "hang":
        await asyncio.Event().wait()

async def main():
    jobs = Jobs()
    jobs.on(WorkspaceUnlocked, "test.work", work)
    # Five times as fast as it is, so that nobody waits a whole period.
    Worker(Database(url, clock=SystemClock()), jobs, SystemClock(), monotonic=lambda: time.monotonic() * 5).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def started(url: str, way: str) -> Process:
    return await create_subprocess_exec(sys.executable, "-c", PROGRAM, url, way, stdout=PIPE)


async def first_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


async def test_the_job_of_a_killed_process_is_taken_up_by_another(database_url: str, clock: FakeClock) -> None:
    db = Database(database_url, clock=clock)
    async with db.engine.begin() as connection:
        made = [Base.metadata.tables[name] for name in (Job.__tablename__, "outbox", "event_head", "told_events")]
        await connection.run_sync(Base.metadata.create_all, tables=made)
    async with db.uow() as uow:
        uow.emit(WorkspaceUnlocked(workspace_id="ws-1"))
        await uow.commit()
    await db.close()
    victim = await started(database_url, "hang")
    try:
        assert await first_line(victim) == "hang ws-1"
    finally:
        victim.kill()
        await victim.wait()
    other = await started(database_url, "do")
    try:
        assert await first_line(other) == "do ws-1"
    finally:
        other.kill()
        await other.wait()
