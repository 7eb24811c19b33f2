"""Which commits' files are fetched, which are given up, and in which order they count."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from terrapod_core.ingress.models import Change, ChangeStatus
from terrapod_core.plugin import VCSFailed, VCSMissing
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.ingress.test_watching import changes
from tests.support.paper_forge import Servers, pull, sha

AWAY = VCSFailed("paper.example.com: is down")
HIDDEN = VCSMissing("paper.example.com has no such commit, or does not show it.")


async def followed(servers: Servers) -> Workspace:
    """A workspace with its first commit."""
    workspace = await servers.workspace(await servers.connection(), queue_all_runs=True)
    await servers.look()
    await servers.work()
    return workspace


async def push(servers: Servers, *numbers: int) -> None:
    """Let the branch have these commits one after the other, each of which is seen."""
    for number in numbers:
        servers.clock.advance(minutes=10)
        servers.forge.branches["main"] = sha(number)
        await servers.look()
        await servers.work()


async def statuses(servers: Servers, workspace: Workspace) -> dict[str, str]:
    return {each.sha: each.status for each in await changes(servers, workspace)}


async def current(servers: Servers, workspace: Workspace) -> str | None:
    """The commit whose files the workspace has."""
    kept = await servers.one.workspaces.read(servers.admin, workspace.id)
    by_files = {each.configuration_version_id: each.sha for each in await changes(servers, workspace)}
    return by_files.get(kept.current_configuration_version_id)


async def test_a_commit_that_comes_late_takes_the_place_of_no_newer_one(servers: Servers) -> None:
    workspace = await followed(servers)
    servers.forge.faults[sha(2)] = AWAY
    await push(servers, 2, 3)
    assert (await statuses(servers, workspace))[sha(3)] == ChangeStatus.STARTED
    servers.forge.faults.clear()
    servers.clock.advance(hours=1)
    await servers.work()
    found = {each.sha: each for each in await changes(servers, workspace)}
    assert (found[sha(2)].status, found[sha(2)].run_id) == (ChangeStatus.SKIPPED, None)
    assert "a newer commit" in (found[sha(2)].reason or "")
    assert await current(servers, workspace) == sha(3)


async def test_a_commit_whose_files_arrive_after_those_of_a_newer_one_takes_the_place_of_none(servers: Servers) -> None:
    workspace = await followed(servers)
    servers.forge.branches["main"] = sha(2)
    servers.clock.advance(minutes=10)
    await servers.look()
    fetching = servers.one.ingress.loop._fetching
    slow = await fetching.claim()
    assert slow is not None
    servers.clock.advance(seconds=1)
    servers.forge.branches["main"] = sha(3)
    await servers.one.ingress.changes.look_now(servers.admin, workspace.id)
    await servers.look()
    await servers.work()
    await fetching.carry_out(slow)
    assert await current(servers, workspace) == sha(3)
    servers.clock.advance(hours=1)
    await servers.work()
    assert (await statuses(servers, workspace))[sha(2)] == ChangeStatus.SKIPPED


async def test_a_commit_of_a_branch_that_is_followed_no_longer_is_not_fetched(servers: Servers) -> None:
    workspace = await followed(servers)
    servers.forge.branches["next"] = sha(5)
    servers.forge.faults[sha(2)] = AWAY
    await push(servers, 2)
    await servers.one.workspaces.update(servers.admin, workspace.id, UpdateWorkspace(vcs_branch="next"))
    servers.forge.faults.clear()
    servers.clock.advance(hours=1)
    await servers.work()
    await servers.look()
    await servers.work()
    found = {each.sha: each for each in await changes(servers, workspace)}
    assert (found[sha(2)].status, found[sha(2)].reason) == (ChangeStatus.SKIPPED, "the workspace follows this branch no longer")
    assert await current(servers, workspace) == sha(5)


async def test_a_commit_that_the_forge_does_not_show_for_a_while_is_not_lost(servers: Servers) -> None:
    workspace = await followed(servers)
    servers.forge.pulls = [pull(7, 4)]
    servers.forge.faults |= {sha(2): HIDDEN, sha(4): HIDDEN}
    await push(servers, 2)
    for _ in range(6):
        servers.clock.advance(minutes=11)
        await servers.work()
    kept = await servers.one.workspaces.read(servers.admin, workspace.id)
    assert "vcs-fetch-failing" in {each["code"] for each in kept.conditions}
    servers.forge.faults.clear()
    servers.clock.advance(minutes=11)
    await servers.work()
    found = await statuses(servers, workspace)
    assert (found[sha(2)], found[sha(4)]) == (ChangeStatus.STARTED, ChangeStatus.STARTED)


async def test_a_commit_that_was_overwritten_by_force_is_given_up(servers: Servers) -> None:
    workspace = await followed(servers)
    servers.forge.faults |= {sha(2): HIDDEN, sha(3): AWAY}
    await push(servers, 2, 3)
    for _ in range(6):
        servers.clock.advance(minutes=11)
        await servers.work()
    assert (await statuses(servers, workspace))[sha(2)] == ChangeStatus.REFUSED


@pytest.mark.parametrize(("days", "status"), [(0, ChangeStatus.PENDING), (2, ChangeStatus.REFUSED)])
async def test_the_commit_of_a_tag_is_looked_for_for_a_day(servers: Servers, days: int, status: ChangeStatus) -> None:
    workspace = await followed(servers)
    servers.forge.faults[sha(2)] = HIDDEN
    await push(servers, 2)
    async with servers.one.db.uow() as uow:
        tag = update(Change).where(Change.sha == sha(2))
        await uow.session.execute(tag.values(kind="tag", ref="v1.0.0"))
        await uow.commit()
    servers.clock.advance(days=days)
    for _ in range(6):
        servers.clock.advance(minutes=11)
        await servers.work()
    assert (await statuses(servers, workspace))[sha(2)] == status
