from __future__ import annotations

import asyncio
from typing import Any

import pytest

from terrapod_core.authz import Actor, ActorKind, PlatformRole
from terrapod_core.errors import Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects.documents import CreateProject
from terrapod_core.workspaces import queries
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.service import Limits
from tests.support.rooms import ALICE, AUDITOR, BOB, PHASE, ROOT, House


async def test_a_name_is_all_that_a_workspace_needs(house: House) -> None:
    await house.workspace(name="net")
    found = await house.workspaces.read_by_name(ALICE, "net")
    assert (found.execution_mode, found.terraform_version, found.auto_apply, found.labels) == ("remote", "latest", False, {})
    assert (found.project_id, found.owner_id, found.locked, found.resource_count) == (DEFAULT_PROJECT_ID, ALICE.id, False, 0)
    assert found.allow_destroy_plan
    assert found.latest_change_at == found.created_at
    assert await house.audited() == [("workspace.create", "alice")]


async def test_it_is_found_by_id_and_by_name_by_those_who_may_see_it(house: House) -> None:
    workspace = await house.workspace()
    for actor in (ALICE, AUDITOR, ROOT):
        assert (await house.workspaces.read(actor, workspace.id)).name == "net"
        assert (await house.workspaces.read_by_name(actor, "net")).id == workspace.id
    for stranger in (BOB, PHASE):
        with pytest.raises(NotFound):
            await house.workspaces.read(stranger, workspace.id)
        with pytest.raises(NotFound):
            await house.workspaces.read_by_name(stranger, "net")


async def test_a_workspace_of_a_platform_admin_is_admitted_and_others_are_not(house: House) -> None:
    assert not (await house.workspace(ALICE, "one")).admitted
    assert (await house.workspace(ROOT, "two")).admitted


async def test_a_name_is_given_once_even_to_two_who_ask_at_once(house: House) -> None:
    tried = await asyncio.gather(*(house.workspace(ALICE, "net") for _ in range(4)), return_exceptions=True)
    refused = [one for one in tried if isinstance(one, Invalid)]
    assert len(refused) == 3
    assert {one.detail for one in refused} == {"Name has already been taken"}


async def test_the_name_of_a_deleted_workspace_is_only_a_platform_admins_to_give_again(house: House) -> None:
    workspace = await house.workspace(ALICE, "prod-net")
    await house.workspaces.delete(ALICE, workspace.id)
    with pytest.raises(Invalid, match="only a platform admin may use it again"):
        await house.workspace(BOB, "prod-net")
    again = await house.workspace(ROOT, "prod-net")
    assert again.id != workspace.id
    await house.workspaces.delete(ROOT, again.id)
    with pytest.raises(Invalid, match="only a platform admin"):
        await house.workspace(ALICE, "prod-net")


async def test_a_name_that_was_changed_stays_reserved_too(house: House) -> None:
    workspace = await house.workspace(ALICE, "old")
    assert (await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(name="new"))).name == "new"
    with pytest.raises(NotFound):
        await house.workspaces.read_by_name(ALICE, "old")
    with pytest.raises(Invalid, match="only a platform admin"):
        await house.workspace(BOB, "old")
    with pytest.raises(Invalid, match="only a platform admin"):
        await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(name="old"))
    assert (await house.workspaces.update(ROOT, workspace.id, UpdateWorkspace(name="old"))).name == "old"


async def test_a_rename_to_a_name_in_use_is_refused(house: House) -> None:
    await house.workspace(ALICE, "one")
    two = await house.workspace(ALICE, "two")
    with pytest.raises(Invalid, match="Name has already been taken"):
        await house.workspaces.update(ALICE, two.id, UpdateWorkspace(name="one"))


async def test_a_user_has_no_more_workspaces_than_allowed_and_a_platform_admin_has(house: House) -> None:
    few = House(house.db, limits=Limits(per_user=1))
    await few.workspace(ALICE, "one")
    with pytest.raises(Invalid, match="as many as one user may"):
        await few.workspace(ALICE, "two")
    for name in ("three", "four"):
        await few.workspace(ROOT, name)


async def test_creating_may_be_kept_for_platform_admins(house: House) -> None:
    strict = House(house.db, limits=Limits(creators=("admins",)))
    with pytest.raises(Forbidden, match="only platform admins, and the roles"):
        await strict.workspace(ALICE)
    await strict.workspace(ROOT)


async def test_a_phase_creates_no_workspace(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.workspace(PHASE)


async def test_an_update_changes_what_was_sent_and_nothing_else(house: House) -> None:
    workspace = await house.workspace(description="routers", auto_apply=True, labels={"env": "dev"})
    changed = await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(terraform_version="1.11.4", working_directory="a//b/"))
    assert (changed.terraform_version, changed.working_directory) == ("1.11.4", "a/b")
    found = await house.workspaces.read(ALICE, workspace.id)
    assert (found.description, found.auto_apply, found.labels, found.name) == ("routers", True, {"env": "dev"}, "net")
    assert found.updated_at >= found.created_at
    assert [action for action, _ in await house.audited()] == ["workspace.create", "workspace.update"]


async def test_an_update_that_changes_nothing_is_not_recorded(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(name="net", auto_apply=False))
    assert [action for action, _ in await house.audited()] == ["workspace.create"]


async def test_a_null_means_the_default(house: House) -> None:
    workspace = await house.workspace(working_directory="a", terraform_version="1.11", description="x")
    nulls = UpdateWorkspace(working_directory=None, terraform_version=None, description=None)
    changed = await house.workspaces.update(ALICE, workspace.id, nulls)
    assert (changed.working_directory, changed.terraform_version, changed.description) == (None, "latest", None)


async def test_only_an_admin_of_the_workspace_changes_it(house: House) -> None:
    workspace = await house.workspace()
    with pytest.raises(Forbidden):
        await house.workspaces.update(AUDITOR, workspace.id, UpdateWorkspace(auto_apply=True))
    with pytest.raises(NotFound):
        await house.workspaces.update(BOB, workspace.id, UpdateWorkspace(auto_apply=True))
    await house.workspaces.update(ROOT, workspace.id, UpdateWorkspace(auto_apply=True))


async def test_somebody_elses_project_is_refused_as_if_it_were_not_there(house: House) -> None:
    project = await house.projects.create(BOB, CreateProject(name="bobs"))
    refusals = []
    for ident in (project.id, "prj-1111111111111111"):
        with pytest.raises(Invalid) as refused:
            await house.workspace(project=Ref("projects", ident))
        refusals.append(refused.value.problems)
    assert refusals[0] == refusals[1]
    assert refusals[0][0].pointer == "/data/relationships/project"


async def test_a_workspace_moves_between_projects_of_its_owner(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="nets"))
    workspace = await house.workspace()
    moved = await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(project=Ref("projects", project.id)))
    assert moved.project_id == project.id
    back = await house.workspaces.update(ALICE, workspace.id, UpdateWorkspace(project=None))
    assert back.project_id == DEFAULT_PROJECT_ID


async def test_many_workspaces_move_all_or_none(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="nets"))
    mine, theirs = await house.workspace(ALICE, "mine"), await house.workspace(BOB, "theirs")
    both = [Ref("workspaces", mine.id), Ref("workspaces", theirs.id)]
    with pytest.raises(Invalid, match=theirs.id):
        await house.workspaces.placing.move(ALICE, project.id, both)
    watcher = Actor(ActorKind.USER, ALICE.id, "alice", platform=frozenset({PlatformRole.AUDIT}))
    with pytest.raises(Forbidden, match=theirs.id):
        await house.workspaces.placing.move(watcher, project.id, both)
    assert (await house.workspaces.read(ALICE, mine.id)).project_id == DEFAULT_PROJECT_ID
    await house.workspaces.placing.move(ALICE, project.id, [Ref("workspaces", mine.id)])
    assert (await house.workspaces.read(ALICE, mine.id)).project_id == project.id


async def test_reading_a_workspace_is_one_statement(house: House) -> None:
    from sqlalchemy import event

    workspace = await house.workspace(labels={"env": "dev"})
    statements: list[str] = []

    def read(session: Any) -> object:
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", heard)
        try:
            return queries.by_id(session, workspace.id)
        finally:
            event.remove(engine, "before_cursor_execute", heard)

    def heard(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    found: Any = await house.db.read(read)
    assert found.labels == {"env": "dev"}
    assert len([one for one in statements if one.startswith("SELECT")]) == 1


async def test_nobody_takes_workspaces_out_of_a_project_that_another_looks_after(house: House) -> None:
    theirs, mine = [await house.projects.create(who, CreateProject(name=f"of {who.name}")) for who in (BOB, ALICE)]
    workspace = await house.workspace(ALICE)
    await house.workspaces.placing.move(ROOT, theirs.id, [Ref("workspaces", workspace.id)])
    for project_id in (mine.id, DEFAULT_PROJECT_ID):
        with pytest.raises(Forbidden, match="that project's admin"):
            await house.workspaces.placing.move(ALICE, project_id, [Ref("workspaces", workspace.id)])
    assert (await house.workspaces.read(ALICE, workspace.id)).project_id == theirs.id
