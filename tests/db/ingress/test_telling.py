"""Commits and pull requests are told what became of them: in order, by one server at a time, and nothing twice."""

from __future__ import annotations

import asyncio

from terrapod_core.ingress.models import Change
from terrapod_core.runs.models import Run
from tests.db.ingress.test_watching import changes
from tests.support.paper_forge import Servers, pull, sha


async def started(servers: Servers) -> Change:
    """A pull request whose run is pending, and that was told so."""
    workspace = await servers.workspace(await servers.connection())
    await servers.look()
    servers.forge.pulls = [pull(7, 2)]
    servers.clock.advance(minutes=10)
    await servers.look()
    await servers.work()
    return next(each for each in await changes(servers, workspace) if each.sha == sha(2))


async def news(servers: Servers, change: Change, status: str) -> None:
    """Let its run have moved on."""
    async with servers.one.db.uow() as uow:
        run = await uow.session.get_one(Run, change.run_id)
        row = await uow.session.get_one(Change, change.id)
        run.status, row.tell_at = status, uow.now()
        await uow.commit()


async def tell(servers: Servers, number: int) -> int:
    """Let one of the servers tell what is due; how much that was."""
    telling = servers.made[number].ingress.telling
    claimed = await telling.claim()
    for each in claimed:
        await telling.carry_out(each)
    return len(claimed)


async def test_the_same_is_told_once(servers: Servers) -> None:
    change = await started(servers)
    assert len(servers.forge.told) == 1
    assert servers.forge.told[0][1] == "pending Queued"
    for _ in range(2):
        await news(servers, change, "pending")
        assert await tell(servers, 1) == 1
    assert len(servers.forge.told) == 1
    assert len(servers.forge.comments) == 1


async def test_two_servers_tell_in_the_order_in_which_it_happened(servers: Servers) -> None:
    """What moves while a server tells is told by the same one, or after it: never by another one at the same time."""
    change = await started(servers)
    await news(servers, change, "planning")
    servers.clock.advance(seconds=1)
    first = await servers.one.ingress.telling.claim()
    await news(servers, change, "errored")
    assert await tell(servers, 1) == 0, "the other one has it"
    await servers.one.ingress.telling.carry_out(first[0])
    servers.clock.advance(seconds=1)
    await tell(servers, 1)
    words = [text for _, text in servers.forge.told]
    assert words[-1] == "failure Failed"
    assert len(words) == len(set(words))


async def test_what_a_server_that_died_had_to_tell_is_told_when_its_claim_ends(servers: Servers) -> None:
    change = await started(servers)
    await news(servers, change, "errored")
    assert len(await servers.one.ingress.telling.claim()) == 1
    assert await tell(servers, 1) == 0
    servers.clock.advance(minutes=3)
    assert await tell(servers, 1) == 1
    assert servers.forge.told[-1][1] == "failure Failed"


async def test_workspaces_that_tell_one_pull_request_at_once_all_come_into_its_one_comment(servers: Servers) -> None:
    connection = await servers.connection()
    workspaces = [await servers.workspace(connection) for _ in range(3)]
    await servers.look()
    servers.forge.pulls, servers.forge.comment_gate = [pull(7, 2)], asyncio.Event()
    servers.clock.advance(minutes=10)
    await servers.look()
    await servers.one.ingress.loop.look()
    loop = servers.one.ingress.loop
    while (batch := await loop._fetching.claim()) is not None:
        await loop._fetching.carry_out(batch)
    await loop._fetches.ended()
    for each in await loop._starting.claim():
        await loop._starting.carry_out(each)
    claimed = [(number, each) for number in (0, 1) for each in await servers.made[number].ingress.telling.claim()]
    assert len(claimed) == 3
    tasks = [asyncio.create_task(servers.made[number].ingress.telling.carry_out(each)) for number, each in claimed]
    servers.forge.comment_gate.set()
    await asyncio.gather(*tasks)
    servers.clock.advance(seconds=2)
    await servers.work(servers.made[1])
    (text,) = servers.forge.comments.values()
    assert all(f"[{each.name}](" in text for each in workspaces), text


async def test_the_cancelled_run_of_a_head_that_was_overtaken_is_told_nowhere(servers: Servers) -> None:
    change = await started(servers)
    servers.forge.pulls = [pull(7, 3)]
    servers.clock.advance(minutes=10)
    await servers.look()
    await news(servers, change, "canceled")
    await tell(servers, 0)
    assert [text for _, text in servers.forge.told] == ["pending Queued"]
