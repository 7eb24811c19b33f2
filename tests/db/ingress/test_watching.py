"""What a look found is written down once for each workspace, whoever looks and however often."""

from __future__ import annotations

import asyncio

import pytest

from terrapod_core.errors import Conflict, InvalidTransition
from terrapod_core.ingress.models import Change, ChangeStatus
from terrapod_core.jsonapi import PageRequest
from terrapod_core.plugin import PullRequests, Refs
from terrapod_core.vcs import queries as vcs
from terrapod_core.vcs.following import Seen, Wants
from terrapod_core.workspaces import Workspace
from tests.support.paper_forge import PaperClient, Servers, pull, sha


async def changes(servers: Servers, workspace: Workspace) -> list[Change]:
    """What a workspace saw, the oldest first."""
    page = await servers.one.ingress.changes.list(servers.admin, workspace.id, PageRequest(number=1, size=100))
    return sorted(page.items, key=lambda each: each.created_at)


async def seen(servers: Servers, workspace: Workspace) -> Seen:
    """All that the forge has now, as a look shows it."""
    repository = await servers.one.db.read(lambda session: vcs.repository(session, workspace.vcs_repository_id or ""))
    assert repository is not None
    connection = await servers.one.db.read(lambda session: vcs.connection(session, repository.connection_id))
    assert connection is not None
    forge = servers.forge
    return Seen(
        connection,
        repository,
        PaperClient(forge),
        Wants(branches=True, tags=True, pulls=True),
        Refs(dict(forge.branches)),
        PullRequests(tuple(forge.pulls)),
    )


async def test_each_workspace_sees_a_commit_once(servers: Servers) -> None:
    connection = await servers.connection()
    workspaces = [await servers.workspace(connection) for _ in range(3)]
    await servers.look()
    for _ in range(2):
        found = await seen(servers, workspaces[0])
        for each in servers.made:
            watching = each.ingress.poller._followers[0]
            await watching.look(found)
    assert [[one.sha for one in await changes(servers, each)] for each in workspaces] == [[sha(1)]] * 3


async def test_a_webhook_and_the_clock_at_once_make_one_change(servers: Servers) -> None:
    """Two looks that write at the same time: one of them may be refused by the database, and then finds it written."""
    workspace = await servers.workspace(await servers.connection())
    await servers.look()
    servers.forge.branches["main"] = sha(2)
    servers.forge.pulls.append(pull(7, 3))
    found = await seen(servers, workspace)
    looks = (each.ingress.poller._followers[0].look(found) for each in servers.made)
    results = await asyncio.gather(*looks, return_exceptions=True)
    assert any(each is None for each in results), results
    await servers.made[1].ingress.poller._followers[0].look(found)
    assert sorted(each.sha for each in await changes(servers, workspace)) == [sha(1), sha(2), sha(3)]


async def test_a_head_that_comes_back_is_dealt_with_again(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection())
    watching = servers.one.ingress.poller._followers[0]
    for heads in ([2], [3], [], [2]):
        servers.clock.advance(seconds=1)
        servers.forge.pulls = [pull(7, head) for head in heads]
        await watching.look(await seen(servers, workspace))
    found = {each.sha: each for each in await changes(servers, workspace)}
    assert (found[sha(2)].status, found[sha(2)].open) == (ChangeStatus.PENDING, True)
    assert (found[sha(3)].status, found[sha(3)].open) == (ChangeStatus.SUPERSEDED, False)


async def test_an_approval_is_for_one_commit_and_stays_with_it(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection(), fork_pull_requests="approval")
    watching = servers.one.ingress.poller._followers[0]

    async def look(*heads: int) -> dict[str, Change]:
        servers.clock.advance(seconds=1)
        servers.forge.pulls = [pull(7, head, is_fork=True) for head in heads]
        await watching.look(await seen(servers, workspace))
        return {each.sha: each for each in await changes(servers, workspace)}

    first = (await look(2))[sha(2)]
    assert first.status == ChangeStatus.WAITING
    await servers.one.ingress.changes.approve(servers.admin, first.id, None)
    found = await look(3)
    assert (found[sha(2)].status, found[sha(3)].status) == (ChangeStatus.SUPERSEDED, ChangeStatus.WAITING)
    with pytest.raises(InvalidTransition):
        await servers.one.ingress.changes.approve(servers.admin, first.id, None)
    found = await look(2)
    assert (found[sha(2)].status, found[sha(2)].approved_by_id) == (ChangeStatus.PENDING, servers.admin.user_id)
    assert found[sha(3)].status == ChangeStatus.SUPERSEDED
    with pytest.raises((Conflict, InvalidTransition)):
        await servers.one.ingress.changes.approve(servers.admin, found[sha(3)].id, None)
