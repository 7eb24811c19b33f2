"""Several processes on one PostgreSQL and nothing else: wake-ups by NOTIFY, leases by advisory locks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from terrapod_core.coordination import EVENTS, PHASES, PostgreSQLCoordination
from terrapod_core.db import Database
from terrapod_core.plugin import CoordinationAway, CoordinationBackend, Lease, Wakeup
from terrapod_core.testing.coordination import CoordinationBackendKit, Make, acquired, eventually
from tests.support.postgres import PostgresServer, postgres_server

CUT = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE query ~ 'pg_notify' AND datname = current_database() AND pid <> pg_backend_pid()"
)


class TestPostgreSQL(CoordinationBackendKit):
    @pytest.fixture
    def make(self, postgres_url: str) -> Make:
        return lambda: PostgreSQLCoordination(make_url(postgres_url))


class Server:
    """A process with a database, and the keys of topics that it was woken for."""

    def __init__(self, url: str) -> None:
        self.db = Database(url)
        self.db.wakeups.use(PostgreSQLCoordination(self.db.url))
        self.heard: list[tuple[str, str]] = []
        for topic in (PHASES, "things"):
            self.db.wakeups.on(topic, lambda key, topic=topic: self.heard.append((topic, key)))  # type: ignore[misc]

    async def start(self) -> Server:
        self.db.wakeups.start()
        await eventually(lambda: self.db.wakeups.hears)
        self.heard.clear()
        return self

    async def close(self) -> None:
        await self.db.wakeups.close()
        await self.db.close()


@pytest.fixture
async def here(postgres_url: str) -> AsyncIterator[Server]:
    server = await Server(postgres_url).start()
    yield server
    await server.close()


@pytest.fixture
async def there(postgres_url: str) -> AsyncIterator[Server]:
    server = await Server(postgres_url).start()
    yield server
    await server.close()


async def test_a_wake_up_comes_with_the_commit_and_never_without(here: Server, there: Server) -> None:
    async with here.db.uow() as uow:
        uow.wake("things", "rolled-back")
    async with here.db.uow() as uow:
        uow.wake(PHASES)
        uow.wake("things", "one")
        uow.wake("things", "one")
        uow.wake("things", "elsewhere", here=False)
        await uow.flush()
        assert here.heard == []
        await uow.commit()
    assert here.heard == [(PHASES, ""), ("things", "one")]
    await eventually(lambda: len(there.heard) == 3)
    assert there.heard == [(PHASES, ""), ("things", "one"), ("things", "elsewhere")]


async def test_nobody_is_notified_of_what_one_process_is_enough_for(here: Server, there: Server) -> None:
    here.db.wakeups.on(EVENTS, lambda _key: None, enough=True)
    there.db.wakeups.on(EVENTS, lambda key: there.heard.append((EVENTS, key)))
    async with here.db.uow() as uow:
        uow.wake(EVENTS)
        uow.wake("things", "last")
        await uow.commit()
    await eventually(lambda: there.heard)
    assert there.heard == [("things", "last")]
    async with there.db.uow() as uow:
        uow.wake(EVENTS)
        await uow.commit()
    await eventually(lambda: (EVENTS, "") in there.heard)


async def test_a_process_whose_connection_is_cut_comes_back_and_looks_at_everything(here: Server, there: Server) -> None:
    async with there.db.uow() as uow:
        await uow.session.execute(CUT)
    await eventually(lambda: (PHASES, "") in here.heard)
    await eventually(lambda: here.db.wakeups.hears and there.db.wakeups.hears)
    here.heard.clear()
    there.db.wakeups.tell(Wakeup("things", "again"))
    await eventually(lambda: ("things", "again") in here.heard)


async def test_leases_are_over_with_the_connection(here: Server, there: Server) -> None:
    backend, other = here.db.wakeups.backend, there.db.wakeups.backend
    lease = await acquired(backend, "work")
    async with there.db.uow() as uow:
        holders = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        await uow.session.execute(text(holders))
    await acquired(other, "work")
    # At once, whether or not this process has noticed by now that its connection is over.
    assert not await _still_held(backend, lease)
    await eventually(lambda: here.db.wakeups.hears)
    assert not await _still_held(backend, lease)


async def _still_held(backend: CoordinationBackend, lease: Lease) -> bool:
    with suppress(CoordinationAway):
        return await backend.renew(lease, 60)
    return False


async def test_listening_begins_again_after_a_restart_of_postgresql_and_looks_are_frequent_meanwhile() -> None:
    with postgres_server() as own:
        await _survive(own)


async def _survive(own: PostgresServer) -> None:
    server = await Server(own.url(own.create())).start()
    pace = server.db.wakeups.pace(1.0, 5.0)
    assert pace() == 5.0
    await asyncio.to_thread(own.stop)
    await eventually(lambda: not server.db.wakeups.hears)
    assert pace() == 1.0
    assert re.search("PostgreSQL", server.db.wakeups.backend.trouble or "")
    with pytest.raises(CoordinationAway):
        await server.db.wakeups.backend.acquire("work", 60)
    await asyncio.to_thread(own.start)
    await eventually(lambda: server.db.wakeups.hears)
    assert pace() == 5.0
    await server.close()
