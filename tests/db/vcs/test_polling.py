"""One look at a repository for all who follow it, of which nothing is forgotten before it was written down."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import update

from terrapod_core.jsonapi import PageRequest
from terrapod_core.plugin import VCSFailed
from terrapod_core.vcs import queries
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.polling import Poller
from tests.support.paper_forge import Noting, Servers, sha

PAGE = PageRequest(number=1, size=20)


async def followed(servers: Servers) -> Repository:
    """A repository that a workspace follows."""
    workspace = await servers.workspace(await servers.connection())
    return await repository(servers, workspace.vcs_repository_id or "")


async def repository(servers: Servers, ident: str) -> Repository:
    found = await servers.one.db.read(lambda session: queries.repository(session, ident))
    assert found is not None
    return found


def poller_of(servers: Servers, *followers: Noting) -> Poller:
    return Poller(servers.one.db, servers.one.forges, servers.one.settings.vcs, followers)


async def look(poller: Poller) -> None:
    await poller.look()
    await poller._begun.ended()


async def test_two_servers_look_once(servers: Servers) -> None:
    await followed(servers)
    servers.forge.gate = asyncio.Event()
    await servers.one.ingress.poller.look()
    await servers.made[1].ingress.poller.look()
    await asyncio.sleep(0)
    assert not servers.made[1].ingress.poller._begun
    servers.forge.gate.set()
    await servers.one.ingress.poller._begun.ended()
    assert servers.forge.looks == 1


async def test_the_look_of_a_server_that_died_is_taken_over_when_its_claim_ends(servers: Servers) -> None:
    found = await followed(servers)
    async with servers.one.db.uow() as uow:
        claimed = update(Repository).where(Repository.id == found.id)
        await uow.session.execute(claimed.values(claimed_until=servers.clock.now().replace(microsecond=0)))
        await uow.commit()
    servers.clock.advance(seconds=-5)
    await servers.look(servers.made[1])
    assert servers.forge.looks == 0
    servers.clock.advance(seconds=10)
    await servers.look(servers.made[1])
    assert servers.forge.looks == 1


async def test_what_one_follower_could_not_write_down_is_shown_to_all_again(servers: Servers) -> None:
    found = await followed(servers)
    first, second = Noting([found.id]), Noting([found.id], fault=RuntimeError("no room"))
    poller = poller_of(servers, first, second)
    await look(poller)
    kept = await repository(servers, found.id)
    assert (kept.refs_validator, kept.pulls_validator) == (None, None)
    assert kept.failures == 1
    second.fault = None
    servers.clock.advance(minutes=10)
    await look(poller)
    assert [each.refs.branches for each in (*first.seen, *second.seen) if each.refs] == [{"main": sha(1)}] * 3
    kept = await repository(servers, found.id)
    assert kept.refs_validator is not None
    assert kept.failures == 0
    servers.clock.advance(minutes=10)
    await look(poller)
    assert len(second.seen) == 1, "what has not changed is not shown again"


async def test_who_begins_to_follow_during_a_look_is_shown_everything(servers: Servers) -> None:
    found = await followed(servers)
    servers.forge.gate = asyncio.Event()
    await servers.one.ingress.poller.look()
    servers.clock.advance(seconds=1)
    late = await servers.workspace(found.connection_id)
    servers.forge.gate.set()
    await servers.one.ingress.poller._begun.ended()
    await servers.look()
    page = await servers.one.ingress.changes.list(servers.admin, late.id, PAGE)
    assert [each.sha for each in page.items] == [sha(1)]


async def test_a_repository_that_nobody_follows_any_more_is_looked_at_no_longer(servers: Servers) -> None:
    found = await followed(servers)
    poller = poller_of(servers, Noting([]))
    await look(poller)
    assert servers.forge.looks == 0
    assert (await repository(servers, found.id)).next_poll_at is None


async def test_nothing_is_due_while_its_connection_rests(servers: Servers) -> None:
    found, now = await followed(servers), servers.clock.now()
    async with servers.one.db.uow() as uow:
        resting = update(Connection).where(Connection.id == found.connection_id)
        await uow.session.execute(resting.values(rests_until=now + timedelta(minutes=30)))
        await uow.commit()
    await servers.look()
    assert servers.forge.looks == 0
    assert await servers.one.db.read(lambda session: queries.next_due(session, now)) == now + timedelta(minutes=30)
    servers.clock.advance(minutes=31)
    await servers.look()
    assert servers.forge.looks == 1


async def test_credentials_that_are_given_during_a_look_are_used_at_once_and_are_not_blamed(servers: Servers) -> None:
    found = await followed(servers)
    servers.forge.gate, servers.forge.faults["refs"] = asyncio.Event(), VCSFailed("has had enough of this token", retry_after=3600)
    await servers.one.ingress.poller.look()
    servers.clock.advance(seconds=1)
    await servers.one.connections.update(servers.admin, found.connection_id, {"token": "another"})
    servers.clock.advance(seconds=1)
    servers.forge.gate.set()
    await servers.one.ingress.poller._begun.ended()
    connection = await servers.one.connections.read(servers.admin, found.connection_id)
    assert (connection.trouble, connection.rests_until) == (None, None)
    servers.forge.faults.clear()
    await servers.look()
    assert servers.forge.looks == 2
    assert (await repository(servers, found.id)).failures == 0
