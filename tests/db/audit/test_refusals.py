"""Nobody fills the record by being refused, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from terrapod_core.audit import REQUEST, AuditEntry, Refusals, RequestInfo, refusals as room
from terrapod_core.authz import Actor, ActorKind
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Forbidden, Unauthorized, Unavailable
from terrapod_core.settings import Limits, Settings
from terrapod_core.web import TerrapodQuart
from terrapod_core.web.dress import dress
from terrapod_core.web.failures import Failures
from tests.support.record import ALICE, BOB, Record


async def entries(log: Record) -> list[AuditEntry]:
    return await log.db.read(lambda session: list(session.execute(select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)).scalars()))


def knock(refusals: Refusals, times: int, address: str | None = "192.0.2.1") -> None:
    """So many requests without a credential, from one address."""
    token = REQUEST.set(RequestInfo("req-1", address))
    for _ in range(times):
        refusals.anonymous()
    REQUEST.reset(token)


async def test_ten_thousand_requests_without_a_token_are_one_entry(log: Record) -> None:
    refusals = Refusals(log.db)
    knock(refusals, 10_000)
    assert await refusals.flush() == 0, "the minute has not ended"
    log.clock.advance(minutes=1)
    assert await refusals.flush() == 1
    assert await refusals.flush() == 0
    [entry] = await entries(log)
    assert (entry.actor_id, entry.action, entry.outcome) == ("anonymous", "request.refuse", "refused")
    assert (entry.resource_type, entry.resource_id, entry.address, entry.request_id) == ("addresses", "192.0.2.1", "192.0.2.1", None)
    assert entry.detail == {"count": 10_000, "since": "2026-01-01T12:00:00+00:00", "until": "2026-01-01T12:01:00+00:00"}


async def test_addresses_and_minutes_are_counted_apart(log: Record) -> None:
    refusals = Refusals(log.db)
    knock(refusals, 3)
    knock(refusals, 2, "192.0.2.2")
    knock(refusals, 1, None)
    log.clock.advance(minutes=1)
    knock(refusals, 5)
    log.clock.advance(minutes=1)
    assert await refusals.flush() == 4
    found = [(entry.resource_id, entry.detail["count"]) for entry in await entries(log)]
    assert sorted(found) == [("192.0.2.1", 3), ("192.0.2.1", 5), ("192.0.2.2", 2), ("unknown", 1)]


async def test_a_flood_from_everywhere_takes_bounded_memory_and_rows(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REMEMBERED", 10)
    refusals = Refusals(log.db)
    for number in range(500):
        knock(refusals, 1, f"2001:db8::{number:x}")
    log.clock.advance(minutes=1)
    assert await refusals.flush() == 11
    [others] = [entry for entry in await entries(log) if entry.address is None]
    assert (others.resource_id, others.detail["count"]) == ("others", 490)


async def test_sixty_refusals_of_a_user_are_written_and_the_rest_counted(log: Record) -> None:
    refusals = Refusals(log.db)
    for _ in range(75):
        await refusals.known(ALICE, "GET /x", "route", "-", status=403)
    await refusals.known(BOB, "GET /x", "route", "-", status=403)
    assert await log.count() == 61
    log.clock.advance(minutes=1)
    assert await refusals.flush() == 1
    [counted] = [entry for entry in await entries(log) if entry.action == "request.refuse"]
    assert (counted.actor_name, counted.resource_type, counted.resource_id, counted.detail["count"]) == ("alice", "users", ALICE.id, 15)
    await refusals.known(ALICE, "GET /x", "route", "-", status=403)
    assert await log.count() == 63, "another minute, another sixty"


async def test_users_beyond_what_is_remembered_are_counted_together(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "REMEMBERED", 2)
    refusals = Refusals(log.db)
    for number in range(5):
        await refusals.known(Actor(ActorKind.USER, f"user-{number}", f"u{number}"), "GET /x", "route", "-")
    assert await log.count() == 2
    log.clock.advance(minutes=1)
    await refusals.flush()
    [others] = [entry for entry in await entries(log) if entry.action == "request.refuse"]
    assert (others.resource_id, others.detail["count"]) == ("others", 3)


async def test_counts_wait_while_the_database_is_away(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals(log.db)
    knock(refusals, 3)
    log.clock.advance(minutes=1)
    with monkeypatch.context() as patch:
        patch.setattr(log.db, "uow", away)
        with pytest.raises(Unavailable):
            await refusals.flush()
        for _ in range(30):
            log.clock.advance(minutes=1)
            knock(refusals, 1)
        assert len(refusals._minutes) == room.MINUTES, "an outage of a day would fill the memory"
    log.clock.advance(minutes=1)
    assert await refusals.flush() == room.MINUTES


async def test_a_minute_that_was_given_up_during_a_slow_write_does_not_write_the_others_twice(
    log: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, uow = Refusals(log.db), log.db.uow
    for _ in range(2):
        knock(refusals, 1)
        log.clock.advance(minutes=1)

    @asynccontextmanager
    async def slow() -> AsyncIterator[UnitOfWork]:
        async with uow() as found:
            yield found
        del refusals._minutes[min(refusals._minutes)]  # as when ten more minutes have passed

    with monkeypatch.context() as patch:
        patch.setattr(log.db, "uow", slow)
        assert await refusals.flush() == 2
    assert await refusals.flush() == 0


def away() -> None:
    raise Unavailable("the database does not answer")


async def test_what_was_counted_is_written_when_the_server_stops(log: Record) -> None:
    refusals = Refusals(log.db)
    refusals.start()
    knock(refusals, 3)
    await refusals.stop()
    assert [entry.detail["count"] for entry in await entries(log)] == [3]


async def test_counts_are_written_though_nothing_more_arrives(log: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.01)
    refusals = Refusals(log.db)
    knock(refusals, 3)
    log.clock.advance(minutes=1)
    refusals.start()
    while not await log.count():
        pass
    await refusals.stop()
    assert await log.count() == 1


# -- through the application


@pytest.fixture
def application(log: Record) -> tuple[TerrapodQuart, Failures]:
    """An application that refuses."""
    app = TerrapodQuart("test")
    failures = Failures(app, Refusals(log.db))
    dress(app, Settings(limits=Limits(requests_per_second_per_address=0)))

    @app.get("/secret")
    async def secret() -> str:
        raise Unauthorized("send an API token")

    @app.get("/forbidden")
    async def forbidden() -> str:
        from quart import g

        g.actor = ALICE
        raise Forbidden("you may not")

    return app, failures


async def test_requests_without_a_token_write_nothing_by_themselves(log: Record, application: tuple[TerrapodQuart, Failures]) -> None:
    app, failures = application
    client = app.test_client()
    for _ in range(200):
        assert (await client.get("/secret")).status_code == 401
    assert await log.count() == 0
    log.clock.advance(minutes=1)
    assert await failures.refusals.flush() == 1
    assert (await entries(log))[0].detail["count"] == 200


async def test_a_users_refusal_names_the_route(log: Record, application: tuple[TerrapodQuart, Failures]) -> None:
    app, _ = application
    assert (await app.test_client().get("/forbidden")).status_code == 403
    [entry] = await entries(log)
    assert (entry.actor_name, entry.action, entry.outcome, entry.detail) == ("alice", "GET /forbidden", "refused", {"status": 403})
