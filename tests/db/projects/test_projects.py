from __future__ import annotations

import pytest

from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.organizations import DEFAULT_PROJECT_ID
from terrapod_core.projects.documents import CreateProject, UpdateProject
from tests.support.rooms import ALICE, AUDITOR, BOB, PHASE, ROOT, House


async def names(house: House, actor: object, *pairs: tuple[str, str]) -> list[str]:
    return [one.name for one in (await house.projects.list(actor, Query.parse(pairs))).items]  # type: ignore[arg-type]


async def test_the_default_project_is_there_once_however_often_it_is_asked_for(house: House) -> None:
    await house.projects.ensure_default()
    assert await names(house, ALICE) == ["Default Project"]


async def test_its_creator_owns_a_project_and_others_do_not_see_it(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="net team"))
    assert (await house.projects.read(ALICE, project.id)).name == "net team"
    assert await names(house, BOB) == ["Default Project"]
    assert await names(house, AUDITOR) == ["Default Project", "net team"]
    with pytest.raises(NotFound):
        await house.projects.read(BOB, project.id)
    assert await house.audited() == [("project.create", "alice")]


async def test_a_phase_creates_no_project(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.projects.create(PHASE, CreateProject(name="net team"))


@pytest.mark.parametrize("name", ["ab", " abc", "abc ", "a/b", "x" * 41, "ünter"])
async def test_a_name_that_is_none_is_refused_with_a_pointer(house: House, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        await house.projects.create(ALICE, CreateProject(name=name))
    assert [problem.pointer for problem in refused.value.problems] == ["/data/attributes/name"]


async def test_a_name_that_is_taken_is_refused(house: House) -> None:
    await house.projects.create(ALICE, CreateProject(name="net"))
    with pytest.raises(Invalid, match="Name has already been taken"):
        await house.projects.create(BOB, CreateProject(name="net"))


async def test_what_is_not_kept_on_projects_is_refused(house: House) -> None:
    sent = CreateProject(
        name="net",
        default_execution_mode="cloud",
        auto_destroy_activity_duration="14d",
        tag_bindings=[Ref("tag-bindings", None, {"key": "a"})],
    )
    with pytest.raises(Invalid) as refused:
        await house.projects.create(ALICE, sent)
    assert len(refused.value.problems) == 3


async def test_the_list_is_filtered_searched_and_sorted(house: House) -> None:
    for name in ("alpha", "beta", "Gamma"):
        await house.projects.create(ALICE, CreateProject(name=name))
    assert await names(house, ALICE, ("filter[names]", "ALPHA,gamma"), ("q", "beta")) == ["Gamma", "alpha"]
    assert await names(house, ALICE, ("q", "ET")) == ["beta"]
    assert await names(house, ALICE, ("sort", "-name"), ("page[size]", "2")) == ["beta", "alpha"]


async def test_an_owner_changes_a_project_and_an_auditor_does_not(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="net"))
    changed = await house.projects.update(ALICE, project.id, UpdateProject(description="routers"))
    assert (changed.name, changed.description) == ("net", "routers")
    with pytest.raises(Forbidden):
        await house.projects.update(AUDITOR, project.id, UpdateProject(name="mine"))
    with pytest.raises(NotFound):
        await house.projects.update(BOB, project.id, UpdateProject(name="mine"))


async def test_a_project_that_holds_workspaces_stays(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="net"))
    workspace = await house.workspace(project=Ref("projects", project.id))
    with pytest.raises(Conflict, match="still holds workspaces"):
        await house.projects.delete(ALICE, project.id)
    await house.workspaces.delete(ALICE, workspace.id)
    await house.projects.delete(ALICE, project.id)
    with pytest.raises(NotFound):
        await house.projects.read(ALICE, project.id)


async def test_the_default_project_is_everybodys_to_read_and_nobodys_to_delete(house: House) -> None:
    assert (await house.projects.read(BOB, DEFAULT_PROJECT_ID)).is_default
    with pytest.raises(Forbidden):
        await house.projects.delete(BOB, DEFAULT_PROJECT_ID)
    with pytest.raises(Invalid):
        await house.projects.delete(ROOT, DEFAULT_PROJECT_ID)


async def test_a_project_counts_the_workspaces_its_reader_sees(house: House) -> None:
    await house.workspace(ALICE, "one")
    await house.workspace(ALICE, "two")
    await house.workspace(BOB, "three")
    assert (await house.projects.read(ALICE, DEFAULT_PROJECT_ID)).workspace_count == 2
    assert (await house.projects.read(ROOT, DEFAULT_PROJECT_ID)).workspace_count == 3
