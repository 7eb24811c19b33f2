"""When a repository is due, and when the loop that looks at them has to wake."""

from __future__ import annotations

from datetime import datetime, timedelta

from terrapod_core.db import Database
from terrapod_core.vcs import queries
from terrapod_core.vcs.models import Connection, Repository
from tests.support.rooms import House


async def make(
    db: Database, name: str, now: datetime, *, rests: float | None = None, polled: float | None = 0, claimed: float | None = None
) -> None:
    """A connection and a repository of it; seconds from now."""

    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else now + timedelta(seconds=seconds)

    connection = Connection(
        id=f"vcs-{name}",
        name=name,
        provider="github",
        base_url="https://forge.example",
        values={},
        secrets=b"",
        webhook_secret=b"",
        repositories=["*"],
        roles=[],
        project_ids=[],
        rests_until=at(rests),
        created_at=now,
        updated_at=now,
    )
    repository = Repository(
        id=f"vcsrepo-{name}",
        connection_id=connection.id,
        path=f"acme/{name}",
        default_branch="main",
        http_url="",
        clone_url="",
        wanted="",
        next_poll_at=at(polled),
        claimed_until=at(claimed),
        created_at=now,
    )
    async with db.uow() as uow:
        uow.add(connection)
        await uow.flush()
        uow.add(repository)
        await uow.commit()


async def test_one_that_is_due_is_found_and_others_are_not(house: House) -> None:
    now = house.db.clock.now()
    await make(house.db, "due", now)
    await make(house.db, "later", now, polled=5)
    await make(house.db, "claimed", now, claimed=5)
    await make(house.db, "forgotten", now, polled=None)
    await make(house.db, "resting", now, rests=5)
    assert await house.db.read(lambda session: queries.due_ids(session, now, 10)) == ["vcsrepo-due"]
    assert len(await house.db.read(lambda session: queries.due_ids(session, now + timedelta(seconds=6), 10))) == 4


async def test_the_loop_sleeps_until_a_claim_or_a_rest_is_over(house: House) -> None:
    now = house.db.clock.now()
    assert await house.db.read(lambda session: queries.next_due(session, now)) is None
    await make(house.db, "forgotten", now, polled=None)
    assert await house.db.read(lambda session: queries.next_due(session, now)) is None
    await make(house.db, "resting", now, polled=-1, rests=600)
    assert await house.db.read(lambda session: queries.next_due(session, now)) == now + timedelta(seconds=600)
    await make(house.db, "claimed", now, claimed=90)
    assert await house.db.read(lambda session: queries.next_due(session, now)) == now + timedelta(seconds=90)
    await make(house.db, "rested", now, polled=20, rests=10)
    assert await house.db.read(lambda session: queries.next_due(session, now)) == now + timedelta(seconds=10)  # the end of a rest
