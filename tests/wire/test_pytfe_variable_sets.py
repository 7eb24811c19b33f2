"""HashiCorp's Python client on variable sets: every path it knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytfe import TFEClient
from pytfe.errors import NotFound, TFEError
from pytfe.models import CategoryType, ProjectCreateOptions, VariableCreateOptions, WorkspaceCreateOptions
from pytfe.models.organization import Organization
from pytfe.models.project import Project
from pytfe.models.variable_set import (
    Parent,
    VariableSet,
    VariableSetApplyToProjectsOptions,
    VariableSetApplyToWorkspacesOptions,
    VariableSetCreateOptions,
    VariableSetIncludeOpt,
    VariableSetListOptions,
    VariableSetReadOptions,
    VariableSetRemoveFromProjectsOptions,
    VariableSetRemoveFromWorkspacesOptions,
    VariableSetUpdateOptions,
    VariableSetUpdateWorkspacesOptions,
    VariableSetVariableCreateOptions,
    VariableSetVariableListOptions,
    VariableSetVariableUpdateOptions,
)
from pytfe.models.workspace import Workspace

from tests.support.wire import fresh

EVERYTHING = [VariableSetIncludeOpt.WORKSPACES, VariableSetIncludeOpt.PROJECTS, VariableSetIncludeOpt.VARS]


@pytest.fixture
def workspace(tfe: TFEClient) -> Workspace:
    return tfe.workspaces.create("default", WorkspaceCreateOptions(name=fresh("pytfe")))


@pytest.fixture
def project(tfe: TFEClient) -> Project:
    return tfe.projects.create("default", ProjectCreateOptions(name=fresh("pytfe")))


@pytest.fixture
def varset(tfe: TFEClient) -> Iterator[VariableSet]:
    made = tfe.variable_sets.create("default", VariableSetCreateOptions(name=fresh("set"), description="shared", global_=False))
    yield made
    tfe.variable_sets.delete(ident(made))


def ident(thing: VariableSet | Workspace | Project) -> str:
    return str(thing.id)


def test_create_read_update_and_delete(tfe: TFEClient) -> None:
    name, parent = fresh("set"), Parent(organization=Organization(id="default", name="default"))
    options = VariableSetCreateOptions(name=name, description="d", global_=False, priority=True, parent=parent)
    made = tfe.variable_sets.create("default", options)
    assert (made.name, made.description, made.global_, made.priority) == (name, "d", False, True)
    assert made.parent is not None
    assert made.parent.organization is not None
    assert made.parent.organization.id == "default"
    changed = tfe.variable_sets.update(
        ident(made), VariableSetUpdateOptions(name=name + "x", description="e", global_=True, priority=False)
    )
    assert (changed.name, changed.description, changed.global_, changed.priority) == (name + "x", "e", True, False)
    assert tfe.variable_sets.read(ident(made)).name == name + "x"
    tfe.variable_sets.delete(ident(made))
    with pytest.raises(NotFound):
        tfe.variable_sets.read(ident(made))


def test_a_set_of_a_projects_own_is_refused(tfe: TFEClient, project: Project) -> None:
    with pytest.raises(TFEError) as refusal:
        tfe.variable_sets.create("default", VariableSetCreateOptions(name=fresh("set"), global_=False, parent=Parent(project=project)))
    assert refusal.value.status == 422


def test_its_variables(tfe: TFEClient, varset: VariableSet) -> None:
    held, of = tfe.variable_set_variables, ident(varset)
    made = held.create(of, VariableSetVariableCreateOptions(key="region", value="eu", category=CategoryType.TERRAFORM, description="where"))
    assert made.id is not None
    assert (made.key, made.value, made.category, made.hcl, made.sensitive, made.description) == (
        "region", "eu", CategoryType.TERRAFORM, False, False, "where",
    )  # fmt: skip
    assert made.variable_set is not None
    assert made.variable_set.id == of
    changed = held.update(of, made.id, VariableSetVariableUpdateOptions(value='["eu"]', hcl=True, sensitive=True))
    assert (changed.value, changed.hcl, changed.sensitive) == (None, True, True)
    assert held.read(of, made.id).version_id == changed.version_id
    for number in range(25):
        held.create(of, VariableSetVariableCreateOptions(key=f"v{number:02}", value="x", category=CategoryType.ENV))
    keys = [one.key for one in held.list(of, VariableSetVariableListOptions(page_size=10))]
    assert keys == [*(f"v{number:02}" for number in range(25)), "region"]
    held.delete(of, made.id)
    with pytest.raises(NotFound):
        held.read(of, made.id)


def test_its_workspaces_and_projects(tfe: TFEClient, varset: VariableSet, workspace: Workspace, project: Project) -> None:
    sets, of = tfe.variable_sets, ident(varset)
    tfe.variable_set_variables.create(of, VariableSetVariableCreateOptions(key="k", value="v", category=CategoryType.ENV))
    sets.apply_to_workspaces(of, VariableSetApplyToWorkspacesOptions(workspaces=[workspace]))
    sets.apply_to_projects(of, VariableSetApplyToProjectsOptions(projects=[project]))
    found = sets.read(of, VariableSetReadOptions(include=EVERYTHING))
    assert [(one.id, one.name) for one in found.workspaces] == [(workspace.id, workspace.name)]
    assert [(one.id, one.name) for one in found.projects] == [(project.id, project.name)]
    assert [(one.key, one.value) for one in found.vars] == [("k", "v")]
    sets.remove_from_workspaces(of, VariableSetRemoveFromWorkspacesOptions(workspaces=[workspace]))
    sets.remove_from_projects(of, VariableSetRemoveFromProjectsOptions(projects=[project]))
    bare = sets.read(of)
    assert (bare.workspaces, bare.projects) == ([], [])
    replaced = sets.update_workspaces(of, VariableSetUpdateWorkspacesOptions(workspaces=[workspace]))
    assert [one.id for one in replaced.workspaces] == [workspace.id]
    assert sets.update_workspaces(of, VariableSetUpdateWorkspacesOptions(workspaces=[])).workspaces == []


def test_lists_of_the_organization_a_workspace_and_a_project(
    tfe: TFEClient, varset: VariableSet, workspace: Workspace, project: Project
) -> None:
    sets, of = tfe.variable_sets, ident(varset)
    everywhere = sets.create("default", VariableSetCreateOptions(name=fresh("set"), global_=True))
    try:
        search = VariableSetListOptions(query=varset.name, page_size=1, include=EVERYTHING)
        assert [one.id for one in sets.list("default", search)] == [of]
        sets.apply_to_projects(of, VariableSetApplyToProjectsOptions(projects=[project]))
        assert {of, ident(everywhere)} <= {one.id for one in sets.list_for_project(ident(project))}
        assert of not in {one.id for one in sets.list_for_workspace(ident(workspace))}
        sets.apply_to_workspaces(of, VariableSetApplyToWorkspacesOptions(workspaces=[workspace]))
        assert {of, ident(everywhere)} <= {one.id for one in sets.list_for_workspace(ident(workspace))}
    finally:
        sets.delete(ident(everywhere))


def test_all_variables_of_a_workspace_are_those_in_force(tfe: TFEClient, varset: VariableSet, workspace: Workspace) -> None:
    of, at = ident(varset), ident(workspace)
    for key, value in (("shared", "of the set"), ("both", "of the set")):
        options = VariableSetVariableCreateOptions(key=key, value=value, category=CategoryType.TERRAFORM)
        tfe.variable_set_variables.create(of, options)
    tfe.variable_sets.apply_to_workspaces(of, VariableSetApplyToWorkspacesOptions(workspaces=[workspace]))
    tfe.variables.create(at, VariableCreateOptions(key="both", value="of the workspace", category=CategoryType.TERRAFORM))
    assert {one.key: one.value for one in tfe.variables.list_all(at)} == {"shared": "of the set", "both": "of the workspace"}
    assert [one.key for one in tfe.variables.list(at)] == ["both"]
    tfe.variable_sets.update(of, VariableSetUpdateOptions(priority=True))
    assert {one.key: one.value for one in tfe.variables.list_all(at)} == {"shared": "of the set", "both": "of the set"}
