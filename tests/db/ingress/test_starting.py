"""From a stored configuration to one run, whatever breaks in between."""

from __future__ import annotations

from sqlalchemy import func, select, update

from terrapod_core.ingress.models import Change, ChangeStatus
from terrapod_core.runs import Run
from terrapod_core.workspaces.documents import UpdateWorkspace
from tests.db.ingress.test_watching import changes
from tests.support.paper_forge import Servers, pull, sha


async def runs(servers: Servers) -> int:
    """How many there are."""
    return await servers.one.db.read(lambda session: session.execute(select(func.count()).select_from(Run)).scalar_one())


async def test_a_server_that_dies_after_it_made_the_run_leaves_one_that_the_next_server_finds(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection(), queue_all_runs=True)
    await servers.look()
    await servers.work()
    (change,) = await changes(servers, workspace)
    assert (change.status, await runs(servers)) == (ChangeStatus.STARTED, 1)
    async with servers.one.db.uow() as uow:  # as it was before the run was written down
        before = update(Change).where(Change.id == change.id)
        await uow.session.execute(before.values(status=ChangeStatus.STORED.value, run_id=None, next_try_at=servers.clock.now()))
        await uow.commit()
    servers.clock.advance(minutes=5)
    await servers.work(servers.made[1])
    (again,) = await changes(servers, workspace)
    assert (again.status, again.run_id, await runs(servers)) == (ChangeStatus.STARTED, change.run_id, 1)


async def test_two_servers_start_one_run(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection(), queue_all_runs=True)
    await servers.look()
    batch = await servers.one.ingress.loop._fetching.claim()
    assert batch is not None
    assert await servers.made[1].ingress.loop._fetching.claim() is None
    await servers.one.ingress.loop._fetching.carry_out(batch)
    claimed = [await each.ingress.loop._starting.claim() for each in servers.made]
    assert [len(each) for each in claimed] == [1, 0]
    await servers.one.ingress.loop._starting.carry_out(claimed[0][0])
    assert await runs(servers) == 1
    assert [each.status for each in await changes(servers, workspace)] == [ChangeStatus.STARTED]


async def test_a_forks_commit_waits_when_its_workspace_went_to_an_agent_meanwhile(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection(), fork_pull_requests="no-secrets")
    servers.forge.pulls = [pull(7, 2, is_fork=True)]
    await servers.look()
    loop = servers.one.ingress.loop
    while (batch := await loop._fetching.claim()) is not None:
        await loop._fetching.carry_out(batch)
    found = {each.sha: each for each in await changes(servers, workspace)}
    assert found[sha(2)].status == ChangeStatus.STORED
    async with servers.one.db.uow() as uow:
        held = await uow.session.get_one(type(workspace), workspace.id)
        held.execution_mode = "agent"
        await uow.commit()
    await servers.work()
    found = {each.sha: each for each in await changes(servers, workspace)}
    assert (found[sha(2)].status, found[sha(2)].run_id) == (ChangeStatus.WAITING, None)


async def test_what_was_stored_starts_nothing_once_the_workspace_follows_nothing(servers: Servers) -> None:
    """Its runs would have the rights of nobody in particular."""
    workspace = await servers.workspace(await servers.connection(), queue_all_runs=True)
    await servers.look()
    fetching = servers.one.ingress.loop._fetching
    batch = await fetching.claim()
    assert batch is not None
    await fetching.carry_out(batch)
    await servers.one.workspaces.update(servers.admin, workspace.id, UpdateWorkspace(vcs_repo=None))
    await servers.work()
    (change,) = await changes(servers, workspace)
    assert (change.status, change.run_id, await runs(servers)) == (ChangeStatus.SKIPPED, None, 0)


async def test_the_runs_of_a_workspace_stand_in_the_order_of_its_commits(servers: Servers) -> None:
    connection = await servers.connection()
    workspaces = [await servers.workspace(connection, queue_all_runs=True) for _ in range(2)]
    fetching, starting = servers.one.ingress.loop._fetching, servers.one.ingress.loop._starting
    for number in (1, 2):
        servers.forge.branches["main"] = sha(number)
        servers.clock.advance(minutes=10)
        await servers.look()
        while (batch := await fetching.claim()) is not None:
            await fetching.carry_out(batch)
    first = await starting.claim()
    assert {each.workspace_id: each.sha for each in first} == {each.id: sha(1) for each in workspaces}
    await servers.work()  # another server was quicker with the second commits
    for change in first:
        await starting.carry_out(change)
    for each in workspaces:
        statuses = {one.sha: one.status for one in await changes(servers, each)}
        assert statuses == {sha(1): ChangeStatus.SKIPPED, sha(2): ChangeStatus.STARTED}
