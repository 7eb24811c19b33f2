"""No request needs a second connection while it holds one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from types import FunctionType

import httpx
import pytest
from sqlalchemy import select

from terrapod_core.authz.models import Visibility
from terrapod_core.db import Database
from tests.support.access import TABLE, Who
from tests.support.known_forge import trusting
from tests.support.one_connection import SecondConnection
from tests.support.postgres import PostgresServer
from tests.support.server import Server
from tests.support.walk import Walk

ENOUGH = {"DATABASE__POOL_SIZE": "1", "DATABASE__CONNECTION_WAIT_SECONDS": "10"}


@pytest.mark.slow
@pytest.mark.timeout(600)  # some five hundred requests, many of them with a world of their own
def test_every_route_does_with_a_pool_of_one(new_server: Callable[..., Server], engines: dict[str, str], postgres: PostgresServer) -> None:
    """A route that asked for a second one would wait ten seconds for itself, and be answered 503."""
    server = new_server(database_url=postgres.url(postgres.create()), settings=engines | ENOUGH | trusting()).start()
    with ExitStack() as closing:
        client = closing.enter_context(httpx.Client(base_url=server.url, trust_env=False, timeout=60))
        walk = Walk(server, {Who.PLATFORM: server.token}, client)
        failed = {}
        for route, row in TABLE.items():
            spends = route.startswith("DELETE ") or "/actions/" in route
            answer = walk.ask(Who.PLATFORM, route, row, walk.fresh() if spends else walk.world)
            if answer.status_code >= 500:
                failed[route] = answer.text[:300]
    assert not failed


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    opened = Database(migrated_url)
    yield opened
    await opened.close()


async def asks_twice(db: Database) -> None:
    async with db.uow() as uow:
        assert await uow.run(lambda session: session.execute(select(Visibility)).first()) is not None
        with pytest.raises(SecondConnection):
            await db.ping()
        with pytest.raises(SecondConnection):
            async with db.uow():
                pass


async def test_the_guard_over_all_tests_sees_a_second_connection(db: Database) -> None:
    product = FunctionType(asks_twice.__code__.replace(co_filename="/terrapod_core/planted.py"), globals())
    await product(db)
    await db.ping()
