"""Which processes there are, and whether any of them serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from terrapod_core.db import Database
from terrapod_core.jobs.presence import Kind, Presence, Process

LATELY = timedelta(seconds=15)


class Seconds:
    """A clock that the test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    database = Database(migrated_url)
    yield database
    await database.close()


async def rows(db: Database) -> list[tuple[str, int]]:
    return [(row.kind, row.beat) for row in await db.read(lambda session: list(session.execute(select(Process)).scalars()))]


async def test_a_process_says_again_and_again_that_it_is_there(db: Database) -> None:
    server = Presence(db, Kind.SERVER)
    await server.say()
    await server.say()
    assert await rows(db) == [("server", 1)]


async def test_a_worker_knows_while_no_server_is_there(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("on SQLite the process that works is the one that serves")
    seconds = Seconds()
    server, worker = Presence(db, Kind.SERVER), Presence(db, Kind.WORKER, monotonic=seconds)
    assert await worker.servers_heard(LATELY), "an earlier version says nothing"
    await server.say()
    await worker.say()
    for _ in range(3):
        seconds.now += 10
        await server.say()
        assert await worker.servers_heard(LATELY)
    seconds.now += 10
    assert await worker.servers_heard(LATELY)
    seconds.now += 10
    await worker.say()
    assert not await worker.servers_heard(LATELY)
    await Presence(db, Kind.SERVER).say()
    assert await worker.servers_heard(LATELY)


async def test_a_server_hears_itself(db: Database) -> None:
    assert await Presence(db, Kind.SERVER).servers_heard(timedelta(0))


async def test_what_has_not_been_heard_for_a_day_is_forgotten_when_another_begins(db: Database) -> None:
    await Presence(db, Kind.SERVER).say()
    async with db.uow() as uow:
        row = (await uow.session.execute(select(Process))).scalar_one()
        row.seen_at -= timedelta(days=2)
        await uow.commit()
    await Presence(db, Kind.WORKER).say()
    assert await rows(db) == [("worker", 0)]
