"""Look-ups on the driver itself find what a session finds, and survive the loss of their connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, inspect, select, text

from terrapod_core.db import Base, Database, LookUp
from terrapod_core.jobs import Job

BY_NAME = LookUp(Job, select(Job).where(Job.name == bindparam("job_name"), Job.dead_at.is_(None), Job.attempts == 3))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=[Base.metadata.tables["jobs"]])
    yield database
    await database.close()


async def add(db: Database, name: str) -> Job:
    now = datetime.now(UTC)
    job = Job(id=f"job-{name}", name=name, payload={"a": [1, None, "ü"]}, run_at=now, attempts=3, created_at=now)
    async with db.uow() as uow:
        uow.add(job)
        await uow.commit()
    return job


async def test_a_look_up_gives_the_columns_that_a_session_gives(db: Database) -> None:
    await add(db, "one")
    await add(db, "other")
    found = await db.look_up(BY_NAME, job_name="one")
    expected = await db.read(lambda session: BY_NAME.over(session, {"job_name": "one"}))
    assert found is not None
    assert expected is not None
    names = [attribute.key for attribute in inspect(Job).column_attrs]
    assert {name: getattr(found, name) for name in names} == {name: getattr(expected, name) for name in names}


async def test_a_look_up_for_what_is_not_there_is_none(db: Database) -> None:
    await add(db, "one")
    assert await db.look_up(BY_NAME, job_name="two") is None


async def test_a_look_up_sees_what_was_committed_a_moment_ago(db: Database) -> None:
    for number in range(3):
        assert await db.look_up(BY_NAME, job_name=f"n{number}") is None
        await add(db, f"n{number}")
        assert await db.look_up(BY_NAME, job_name=f"n{number}") is not None


async def test_text_is_never_read_as_sql(db: Database) -> None:
    await add(db, "one")
    assert await db.look_up(BY_NAME, job_name="one' OR '1'='1") is None


async def test_a_look_up_whose_connections_were_cut_finds_it_all_the_same(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("nobody cuts a file")
    await add(db, "one")
    assert await db.look_up(BY_NAME, job_name="one") is not None
    async with db.uow() as uow:
        cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        await uow.session.execute(cut)
        await uow.commit()
    for _ in range(3):
        assert await db.look_up(BY_NAME, job_name="one") is not None


async def test_a_look_up_while_a_table_is_being_written_waits_for_nobody(db: Database) -> None:
    await add(db, "one")
    async with db.uow() as uow:
        await uow.session.execute(text("UPDATE jobs SET attempts = 4"))
        found = await db.look_up(BY_NAME, job_name="one")
        assert found is not None
        assert found.attempts == 3
