"""How long the database may keep somebody waiting, and what they are told then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from terrapod_core.app import Terrapod
from terrapod_core.authz.models import Visibility
from terrapod_core.db import Bounds, Database, patient
from terrapod_core.errors import Unavailable
from terrapod_core.settings import load
from tests.support.server import KEYS

QUICK = Bounds(statement=1, lock=1, connection=1)
ROW = select(Visibility).where(Visibility.kind == "workspace").with_for_update()

NewDatabase = Callable[..., Database]


@pytest.fixture
async def connect(migrated_url: str) -> AsyncIterator[NewDatabase]:
    """Makes a `Database` of one connection with narrow bounds."""
    made: list[Database] = []

    def make(bounds: Bounds = QUICK) -> Database:
        made.append(Database(migrated_url, pool_size=1, bounds=bounds))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def long(session: Session) -> object:
    """A statement that takes two seconds or (SQLite) would take minutes."""
    if session.get_bind().dialect.name == "postgresql":
        return session.execute(text("SELECT pg_sleep(2)")).all()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most) SELECT count(*) FROM n"
    return session.execute(text(numbers), {"most": 10**9}).all()


def refusal(caught: pytest.ExceptionInfo[Unavailable]) -> tuple[str | None, bool]:
    """The word for programs, and whether a client is told to come back."""
    return caught.value.code, caught.value.retry_after is not None


async def test_a_read_that_takes_too_long_is_stopped_and_the_connection_serves_the_next_one(connect: NewDatabase) -> None:
    db = connect()
    with pytest.raises(Unavailable) as caught:
        await db.read(long)
    assert refusal(caught) == ("statement_timeout", True)
    await db.ping()


async def test_a_change_that_is_stopped_leaves_nothing_behind(connect: NewDatabase) -> None:
    db = connect()
    if db.is_sqlite:
        pytest.skip("SQLite's one writer is bounded by the wait for it, not by statements: none of a change is long")
    with pytest.raises(Unavailable) as caught:
        async with db.uow() as uow:
            await uow.session.execute(text("UPDATE visibility SET generation = 4711"))
            await uow.run(long)
            await uow.commit()
    assert refusal(caught) == ("statement_timeout", True)
    assert await db.read(lambda session: session.execute(select(Visibility).where(Visibility.generation == 4711)).first()) is None


async def test_background_work_takes_as_long_as_it_takes(connect: NewDatabase) -> None:
    db = connect()
    if db.is_sqlite:
        db.bounds = QUICK
        with patient():
            await db.ping()
        return
    with patient():
        await db.read(long)
        async with db.uow() as uow:
            await uow.run(long)
    with pytest.raises(Unavailable):
        await db.read(long)


async def test_a_wait_for_a_row_ends(connect: NewDatabase) -> None:
    """On SQLite the wait is for the one writing connection, on PostgreSQL for the row; a second server would tell no difference."""
    first, second = connect(), connect(Bounds(statement=20, lock=1, connection=1))
    if first.is_sqlite:
        second = first

    async def wait() -> None:
        async with second.uow() as uow:
            await uow.session.execute(ROW)

    async with first.uow() as uow:
        await uow.session.execute(ROW)
        with pytest.raises(Unavailable) as caught:
            await asyncio.create_task(wait())
    assert refusal(caught) == ("database_busy" if first.is_sqlite else "lock_timeout", True)


async def test_a_request_that_gets_no_connection_is_answered_503_with_a_time_to_come_back(migrated_url: str, tmp_path: Path) -> None:
    options = {"data_dir": tmp_path, "database.url": migrated_url, "database.pool_size": 1, "database.connection_wait_seconds": 1}
    environ = {"TERRAPOD_SECRETS__KEYS": KEYS}
    terrapod = Terrapod(load(environ=environ, overrides=options), jobs=False)
    try:
        async with terrapod.db.uow() as uow:
            await uow.session.execute(ROW)
            answer = await terrapod.app.test_client().post("/api/v2/auth/callback", json={"state": "x" * 40})
    finally:
        await terrapod.db.close()
    (error,) = (await answer.get_json())["errors"]
    assert (answer.status_code, error["code"]) == (503, "database_busy")
    assert int(answer.headers["Retry-After"]) > 0


async def _until_nobody_is_at(db: Database, pid: int) -> None:
    living = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    for _ in range(400):
        if not await db.read(lambda session: session.execute(living, {"pid": pid}).scalar_one()):
            return
        await asyncio.sleep(0.05)
    pytest.fail("PostgreSQL does not end the transaction")


async def test_a_transaction_in_which_nothing_happens_is_ended_and_the_next_one_begins(connect: NewDatabase) -> None:
    db = connect(Bounds(idle=1))
    if db.is_sqlite:
        pytest.skip("SQLite has one writing process, which does not wait for itself")
    other = connect(Bounds())
    async with db.uow() as uow:
        mine = await uow.session.scalar(text("SELECT pg_backend_pid()"))
        await _until_nobody_is_at(other, mine)
        with pytest.raises(Exception, match="connection"):
            await uow.session.execute(ROW)
    async with db.uow() as uow:
        await uow.session.execute(ROW)


async def test_a_connection_that_the_database_closed_is_replaced_unseen(connect: NewDatabase) -> None:
    db = connect(Bounds())
    if db.is_sqlite:
        pytest.skip("nobody closes a connection of SQLite's")
    other = connect(Bounds())
    async with db.uow() as uow:
        mine = await uow.session.scalar(text("SELECT pg_backend_pid()"))
    async with other.uow() as uow:
        await uow.session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
    async with db.uow() as uow:
        assert await uow.session.scalar(text("SELECT pg_backend_pid()")) != mine
