"""The two doors of the database, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import bindparam, event, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from terrapod_core import ids
from terrapod_core.audit import AuditEntry, record
from terrapod_core.authz import SYSTEM
from terrapod_core.coordination import EVENTS
from terrapod_core.db import Base, Database, OutboxRow
from terrapod_core.jobs import Job
from terrapod_core.plugin import WorkspaceUnlocked


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(
            Base.metadata.create_all, tables=[Base.metadata.tables[name] for name in ("jobs", "outbox", "audit_entries")]
        )
    yield database
    await database.close()


def job(**fields: object) -> Job:
    now = datetime.now(UTC)
    return Job(**{"id": ids.new("job"), "name": "n", "payload": {}, "run_at": now, "attempts": 0, "created_at": now, **fields})


async def count(db: Database, table: type[Base]) -> int:
    return await db.read(lambda session: session.execute(select(func.count()).select_from(table)).scalar_one())


async def test_what_is_not_committed_is_not_there(db: Database) -> None:
    async with db.uow() as uow:
        uow.add(job())
        uow.emit(WorkspaceUnlocked(workspace_id="ws-1"))
        record(uow, SYSTEM, "workspace.unlock", "workspaces", "ws-1")
        await uow.flush()
    assert [await count(db, table) for table in (Job, OutboxRow, AuditEntry)] == [0, 0, 0]


async def test_a_change_its_news_and_its_audit_entry_are_kept_together(db: Database) -> None:
    async with db.uow() as uow:
        uow.add(job())
        uow.emit(WorkspaceUnlocked(workspace_id="ws-1"))
        record(uow, SYSTEM, "workspace.unlock", "workspaces", "ws-1")
        await uow.commit()
    assert [await count(db, table) for table in (Job, OutboxRow, AuditEntry)] == [1, 1, 1]


async def test_this_process_hears_of_news_after_the_commit_only(db: Database) -> None:
    heard: list[str] = []
    db.wakeups.on(EVENTS, heard.append)
    async with db.uow() as uow:
        uow.emit(WorkspaceUnlocked(workspace_id="ws-1"))
        assert heard == []
        await uow.commit()
    async with db.uow() as uow:
        uow.add(job())
        await uow.commit()
    async with db.uow() as uow:
        uow.emit(WorkspaceUnlocked(workspace_id="ws-2"))
    assert heard == [""]


async def test_who_is_woken_hears_once_however_often_it_was_asked_for(db: Database) -> None:
    heard: list[str] = []
    db.wakeups.on("things", heard.append)
    async with db.uow() as uow:
        for key in ("a", "b", "a"):
            uow.wake("things", key)
        uow.wake("things", "c", here=False)
        await uow.commit()
        await uow.commit()
    assert heard == ["a", "b"]


async def test_times_come_back_in_utc_whatever_zone_they_went_in_with(db: Database) -> None:
    elsewhere = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    async with db.uow() as uow:
        uow.add(job(id="job-1", run_at=elsewhere))
        await uow.commit()
    found = await db.read(lambda session: session.get_one(Job, "job-1").run_at)
    assert found == elsewhere
    assert found.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(db: Database) -> None:
    with pytest.raises(Exception, match="naive datetime"):
        async with db.uow() as uow:
            uow.add(job(run_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - what must not pass
            await uow.flush()


async def test_json_comes_back_as_it_went_in(db: Database) -> None:
    payload = {"text": "é ☃ \\u0000-free", "nested": [1, 2.5, None, {"a": True}]}
    async with db.uow() as uow:
        uow.add(job(id="job-1", payload=payload))
        await uow.commit()
    assert await db.read(lambda session: session.get_one(Job, "job-1").payload) == payload


async def test_many_writers_at_once_all_succeed(db: Database) -> None:
    async def write() -> None:
        async with db.uow() as uow:
            uow.add(job())
            await asyncio.sleep(0)
            await uow.commit()

    await asyncio.gather(*(write() for _ in range(40)))
    assert await count(db, Job) == 40


async def test_a_writer_that_is_cancelled_leaves_the_connection_usable(db: Database) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with db.uow() as uow:
            uow.add(job())
            await uow.flush()
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with db.uow() as uow:
        uow.add(job())
        await uow.commit()
    assert await count(db, Job) == 1


async def test_readers_see_the_last_commit_while_a_writer_is_busy(db: Database) -> None:
    async with db.uow() as uow:
        uow.add(job())
        await uow.flush()
        assert await count(db, Job) == 0
        await uow.commit()
    assert await count(db, Job) == 1


def test_a_database_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="must start with sqlite\\+aiosqlite:// or postgresql\\+asyncpg://, not mysql://"):
        Database("mysql://localhost/x")


async def test_an_error_of_the_database_does_not_repeat_the_values(db: Database) -> None:
    secret = "planted-secret-value"
    async with db.uow() as uow:
        uow.add(job(id="job-1", name=secret))
        await uow.commit()
    with pytest.raises(IntegrityError) as caught:
        async with db.uow() as uow:
            uow.add(job(id="job-1", name=secret))
            await uow.flush()
    assert secret not in str(caught.value)


async def test_closing_waits_for_connections_that_the_cancelled_still_give_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database, given_back, closing, may_close = Database(database_url), list[str](), asyncio.Event(), asyncio.Event()
    event.listen(database.engine.sync_engine.pool, "close", lambda *_: given_back.append("closed"))
    close = AsyncSession.close

    async def slowly(session: AsyncSession) -> None:
        closing.set()
        await may_close.wait()
        await close(session)

    async def write() -> None:
        async with database.uow() as uow:
            await uow.session.execute(text("SELECT 1"))

    monkeypatch.setattr(AsyncSession, "close", slowly)
    writer = asyncio.create_task(write())
    await closing.wait()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    asyncio.get_running_loop().call_soon(may_close.set)
    await database.close()
    assert given_back == ["closed"]


async def test_a_writer_that_is_cancelled_in_the_middle_leaves_no_lock(db: Database) -> None:
    def cancel(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE jobs"):
            raise asyncio.CancelledError

    event.listen(db.engine.sync_engine, "after_cursor_execute", cancel)
    async with db.uow() as uow:
        uow.add(job())
        await uow.commit()
    jobs = Base.metadata.tables["jobs"]
    attempt = update(jobs).where(jobs.c.attempts == bindparam("before")).values(attempts=bindparam("after"))
    with pytest.raises(asyncio.CancelledError) as kept:  # and with it the cursor, as until the garbage collector comes by
        async with db.uow() as uow:
            await (await uow.session.connection()).execute(attempt, [{"before": 0, "after": 1}, {"before": 1, "after": 2}])
    event.remove(db.engine.sync_engine, "after_cursor_execute", cancel)
    async with db.uow() as uow:
        uow.add(job())
        await uow.commit()
    assert await count(db, Job) == 2
    assert kept.tb is not None
