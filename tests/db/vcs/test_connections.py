"""Who sees, uses and changes a connection, and for what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from terrapod_core.authz import Actor, PlatformRole
from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.ingress import queries as ingress
from terrapod_core.jsonapi import Ref
from terrapod_core.projects.documents import CreateProject
from terrapod_core.roles.documents import CreateRole, SetRoles
from terrapod_core.ui.version_control_doors import VersionControlDoor
from terrapod_core.vcs import queries as vcs
from terrapod_core.workspaces import Workspace
from terrapod_core.workspaces.documents import CreateWorkspace, UpdateWorkspace
from tests.db.runs.conftest import make_user
from tests.support.paper_forge import Servers


async def holder(servers: Servers, role: str = "connectors") -> Actor:
    """Somebody with a role that gives nothing but its name."""
    one = servers.one
    await one.roles.create(servers.admin, CreateRole(name=role, workspace_permission="read", allow_names=["nothing"]))
    email = f"{role}@example.com"
    user = await make_user(one, email)
    await one.assignments.set(servers.admin, SetRoles(provider_name="local", email=email, roles=[role]))
    found = await one.db.read(lambda session: one.actor_of(session, user.user_id or ""))
    assert found is not None
    return found


async def made(servers: Servers, actor: Actor, connection: str, path: str = "acme/net", **sent: Any) -> Workspace:
    new = CreateWorkspace(
        name=f"ws-{next(servers.names)}", vcs_repo_url=path, vcs_connection=Ref(type="vcs-connections", id=connection), **sent
    )
    return await servers.one.workspaces.create(actor, new)


async def test_a_name_is_one_connections_alone(servers: Servers) -> None:
    await servers.connection(name="forge")
    with pytest.raises(Invalid, match="taken"):
        await servers.connection(name="forge")
    await servers.connection(name="Forge")


async def test_platform_admins_change_role_holders_use_auditors_look_and_nobody_else_knows(servers: Servers) -> None:
    service = servers.one.connections
    ours, theirs = await servers.connection(roles=["connectors"]), await servers.connection()
    user, auditor = await holder(servers), await make_user(servers.one, "auditor@example.com", PlatformRole.AUDIT)
    stranger = await make_user(servers.one, "stranger@example.com")
    for actor, seen in ((servers.admin, {ours, theirs}), (user, {ours}), (auditor, {ours, theirs}), (stranger, set())):
        assert {each.id for each in (await service.list(actor)).items} == seen
    with pytest.raises(NotFound):
        await service.read(user, theirs)
    with pytest.raises(NotFound):
        await service.delete(stranger, ours)
    for actor in (user, auditor):
        with pytest.raises(Forbidden):
            await service.update(actor, ours, {"name": "mine"})
        with pytest.raises(Forbidden):
            await service.renew_webhook_secret(actor, ours)
        with pytest.raises(Forbidden):
            await service.delete(actor, ours)
    assert (await service.test(user, ours)).trouble is None
    with pytest.raises(Forbidden):
        await service.test(auditor, ours)


async def test_who_may_only_look_has_nothing_followed_by_it(servers: Servers) -> None:
    connection = await servers.connection()
    auditor, stranger = await make_user(servers.one, "a@example.com", PlatformRole.AUDIT), await make_user(servers.one, "s@example.com")
    with pytest.raises(Forbidden, match="roles"):
        await made(servers, auditor, connection)
    with pytest.raises(Invalid, match="or you may not see it") as hidden:
        await made(servers, stranger, connection)
    with pytest.raises(Invalid) as unknown:
        await made(servers, stranger, "vcs-1111111111111111")
    assert str(hidden.value) == str(unknown.value)


async def test_a_role_uses_it_for_the_repositories_and_projects_that_it_is_for(servers: Servers) -> None:
    user = await holder(servers)
    project = await servers.one.projects.create(user, CreateProject(name="network"))
    connection = await servers.connection(roles=["connectors"], repositories=["acme/*"])
    await made(servers, user, connection, "acme/net")
    with pytest.raises(Forbidden, match="other/net"):
        await made(servers, user, connection, "other/net")
    await servers.one.connections.update(servers.admin, connection, {}, project_ids=[project.id])
    with pytest.raises(Forbidden, match="projects"):
        await made(servers, user, connection, "acme/net")
    workspace = await made(servers, user, connection, "acme/net", project=Ref(type="projects", id=project.id))
    assert (workspace.vcs_link or {})["identifier"] == "acme/net"
    with pytest.raises(Forbidden):
        await servers.one.workspaces.update(user, workspace.id, UpdateWorkspace(vcs_repo_url="other/net"))


async def test_one_that_is_deleted_leaves_its_workspaces_told_and_following_nothing(servers: Servers) -> None:
    connection = await servers.connection()
    workspace = await servers.workspace(connection)
    await servers.look()
    await servers.one.connections.delete(servers.admin, connection)
    assert servers.one.worker is not None
    await servers.one.worker.drain()
    shown = await servers.one.db.read(lambda session: session.get_one(Workspace, workspace.id))
    assert (shown.vcs_link, shown.vcs_repository_id) == (None, None)
    assert [each["code"] for each in shown.conditions] == ["vcs-connection-gone"]
    repository_id = workspace.vcs_repository_id or ""
    assert await servers.one.db.read(lambda session: vcs.repository(session, repository_id)) is None
    assert await servers.one.db.read(lambda session: ingress.followers(session, repository_id)) == []


async def test_of_two_who_give_new_credentials_at_once_one_is_told(servers: Servers) -> None:
    service, connection = servers.one.connections, await servers.connection()
    servers.forge.account_gate = asyncio.Event()
    both = [asyncio.create_task(service.update(servers.admin, connection, {"token": token})) for token in ("one", "other")]
    await asyncio.sleep(0.1)
    servers.forge.account_gate.set()
    done = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Conflict", "Connection"]


async def test_a_vcs_repo_that_says_nothing_changes_nothing(servers: Servers) -> None:
    workspace = await servers.workspace(await servers.connection())
    for nothing in ({}, {"ingress-submodules": False}, {"identifier": None}):
        kept = await servers.one.workspaces.update(servers.admin, workspace.id, UpdateWorkspace(vcs_repo=nothing))
        assert kept.vcs_repository_id == workspace.vcs_repository_id


async def test_credentials_are_sent_to_no_other_server_than_the_one_that_they_were_given_for(servers: Servers) -> None:
    service, connection = servers.one.connections, await servers.connection()
    with pytest.raises(Invalid, match="another server.*give token too") as refused:
        await service.update(servers.admin, connection, {"base-url": "https://elsewhere.example.com"})
    assert refused.value.problems[0].pointer == "/data/attributes/base-url"
    same = await service.update(servers.admin, connection, {"base-url": "https://paper.example.com/forge"})
    assert same.base_url == "https://paper.example.com/forge"
    moved = await service.update(servers.admin, connection, {"base-url": "https://elsewhere.example.com", "token": "its own"})
    assert moved.base_url == "https://elsewhere.example.com"


async def test_a_form_offers_no_connection_that_is_for_no_project(servers: Servers) -> None:
    ours, nobodys = await servers.connection(), await servers.connection()
    await servers.one.connections.change_projects(servers.admin, nobodys, lambda there: set())
    workspace = await servers.workspace(ours)
    one = servers.one
    door = VersionControlDoor(one.workspaces, one.ingress.changes, one.connections, one.browsing, one.conditions, one.db, one.authz)
    form = await door.form(servers.admin, workspace.name, None, None, afresh=True)
    assert [each.value for each in form.connections] == [ours]
